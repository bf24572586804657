"""Starting flows from outside: what may be started, with which arguments, under whose name for it.

Runs nothing: it puts the beginning before the loop.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import typing
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from flowrt.arguments import start_state
from flowrt.core import engine
from flowrt.core.engine import BEGIN, Outcome
from flowrt.core.flow import Flow, State
from flowrt.core.values import encode
from flowrt.handle import Handle, Home, NotStartable
from flowrt.loop import Asked, Loop
from flowrt.store import SENT
from flowrt.turn import Job

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_NAME = 512
"""How many characters a client's name for a flow may have."""


class Starting(Loop):
    """A loop whose flows can be started."""

    async def start(
        self, flow: Callable[P, Flow[R]], /, *arguments: P.args, **named: P.kwargs
    ) -> Handle[R]:
        """Start a flow; returns when its first step is committed: from then on it ends, whatever
        happens to this process.

        Raises:
            NotStartable: not `startable by rpc`, not registered here, or arguments do not fit.
            NodeStopped: the node is closed or has failed; the flow was not started.
        """
        waiter = asyncio.get_running_loop().create_future()
        handle = self._begin(flow, arguments, named, waiter)
        await waiter
        return handle

    def submit(
        self, flow: Callable[P, Flow[R]], /, *arguments: P.args, **named: P.kwargs
    ) -> Handle[R]:
        """Like `start`, but does not wait for the commit: `turn` does it. Raises NotStartable."""
        return self._begin(flow, arguments, named, None)

    async def start_named(
        self, client: str, flow: type[Flow[R]], arguments: Mapping[str, object], *, by: str
    ) -> Handle[R]:
        """Like `start_once`, for who has the arguments by name: the audit trail says by whom."""
        _check_client(client)
        waiter = asyncio.get_running_loop().create_future()
        handle: Handle[R] = self._begin(flow, (), dict(arguments), waiter, client, by)
        asked = self._asked.get(client)
        if asked is not None and asked.told is not None:
            await asyncio.shield(asked.told)
        return handle

    async def start_once(
        self, client: str, flow: Callable[P, Flow[R]], /, *arguments: P.args, **named: P.kwargs
    ) -> Handle[R]:
        """Start a flow under a name that the client chooses, such as a number of an order, and that
        is kept with it: however often it is asked for, also at once and after a restart, there is
        one flow, and this gives its handle. Its result is there until it is purged; then the name
        is free.

        Raises:
            NotStartable: as `start` does; or the name was used for another flow, or for other
                arguments; or it is empty, or longer than 512 characters.
            NodeStopped: the node stops first; ask again when it is open.
        """
        _check_client(client)
        waiter = asyncio.get_running_loop().create_future()
        handle = self._begin(flow, arguments, named, waiter, client)
        asked = self._asked.get(client)
        if asked is not None and asked.told is not None:
            await asyncio.shield(asked.told)  # Others may wait for the same.
        return handle

    def submit_once(
        self, client: str, flow: Callable[P, Flow[R]], /, *arguments: P.args, **named: P.kwargs
    ) -> Handle[R]:
        """Like `start_once`, but does not wait for the commit: `turn` does it."""
        _check_client(client)
        return self._begin(flow, arguments, named, None, client)

    def _begin(
        self,
        flow: Callable[P, Flow[R]],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
        waiter: asyncio.Future[None] | None,
        client: str = "",
        by: str = "",
    ) -> Handle[R]:
        self.refuse_if_stopped()
        kind: Any = flow
        name = self.registry.names.get(kind)
        if name is None:
            raise NotStartable(f"{kind!r} is not a flow of this node; pass its module to Node.open")
        if "rpc" not in kind.startable:
            raise NotStartable(f"{kind.__name__} is not `startable by rpc`")
        start = start_state(kind, arguments, named)
        digest = b""
        if client:
            digest = _digest(kind, start)
            known = self._known(client, digest, kind)
            if known is not None:
                return known
        if self._draining:
            raise NotStartable(f"{self.party.name} is draining: it takes no new flows")
        flow_id = self._new_flow()
        handle: Handle[R] = self.made_handle(flow_id)
        make = functools.partial(engine.begin, name, kind, start)
        job = Job(flow_id, BEGIN, make, waiter, asker=name.encode(), by=engine.writable(by))
        if client:
            job.client = (client, digest)
            self._asked[client] = Asked(handle, digest, waiter)
        self._ready.append(job)
        self._wake()
        return handle

    def made_handle(self, flow_id: int) -> Handle[Any]:
        """The handle of a flow that is about to begin."""
        handle: Handle[Any] = Handle(typing.cast(Home, self), flow_id)
        self._handles[flow_id] = handle
        return handle

    def _known(self, client: str, digest: bytes, flow: type[Flow[Any]]) -> Handle[Any] | None:
        """The flow that was asked for under that name; None if there is none yet."""
        asked = self._asked.get(client)
        if asked is not None:
            flow_id, kept = asked.handle.id, asked.digest
        else:
            found = self._store.client(client)
            if found is None:
                return None
            flow_id, kept = found
        if kept != digest:
            raise NotStartable(
                f"{client!r} is the name of flow {flow_id}, which was started otherwise; "
                f"ask for {flow.__name__} with these arguments under another name"
            )
        return asked.handle if asked is not None else self.handle(flow_id)

    def handle(self, flow_id: int) -> Handle[Any]:
        """A flow's handle by its id. KeyError if there is no such flow, living or ended."""
        known = self._handles.get(flow_id)
        if known is not None:
            return known
        self.refuse_if_stopped()
        ended = self._store.outcome(flow_id)
        if ended is None and self._store.load(flow_id) is None:
            raise KeyError(flow_id)
        outcome = Outcome(ended[0], ended[2], ended[1]) if ended is not None else None
        handle: Handle[Any] = Handle(typing.cast(Home, self), flow_id, outcome)
        self._handles[flow_id] = handle
        return handle


def _check_client(client: str) -> None:
    if not client or len(client) > LONGEST_NAME:
        raise NotStartable(
            f"a client's name for a flow has 1 to {LONGEST_NAME} characters, not {len(client)}"
        )
    if client.startswith(SENT):
        raise NotStartable("a client's name for a flow does not begin with a control character")


def _digest(flow: type[Flow[Any]], start: State) -> bytes:
    """What was asked for: the flow, whatever its version, and its arguments."""
    return hashlib.blake2b(encode(start), key=flow.name.encode()[:64], digest_size=16).digest()
