"""A flow from outside: its handle, which waits for its result and hears its progress, and its view.

Knows the node only by what it asks of it; it runs nothing.
"""

from __future__ import annotations

import asyncio
import typing
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

import msgspec

from flowrt.core import engine
from flowrt.core.engine import Outcome
from flowrt.core.flow import Party
from flowrt.core.progress import ProgressEvent, path_of
from flowrt.core.registry import Registry
from flowrt.core.values import (
    BadBytes,
    Checkpoint,
    OnAcceptance,
    OnMessage,
    OnOperator,
    OnTime,
    decode_checkpoint,
)

R = TypeVar("R")


class NodeStopped(Exception):
    """The node has stopped or is closed; what was committed is in its store."""


class StillRunning(Exception):
    """A result was asked for at once, and the flow has not ended."""


class Home(typing.Protocol):
    """What a handle asks of its node."""

    party: Party

    def progress(self, flow_id: int) -> list[ProgressEvent]: ...

    def unpack(self, outcome: Outcome) -> Any: ...

    def refuse_if_stopped(self) -> None: ...


class Handle(Generic[R]):
    """A flow that was started, or found again by its id."""

    __slots__ = ("__weakref__", "_node", "_outcome", "_streams", "_waiters", "id")

    def __init__(self, node: Home, flow_id: int, outcome: Outcome | None = None) -> None:
        self.id = flow_id
        self._node = node
        self._outcome = outcome
        self._waiters: list[asyncio.Future[None]] = []
        self._streams: list[asyncio.Queue[ProgressEvent | None]] = []

    def __repr__(self) -> str:
        return f"<Handle of flow {self.id} on {self._node.party.name}>"

    @property
    def outcome(self) -> Outcome | None:
        """How the flow ended, as bytes; None while it runs."""
        return self._outcome

    def result_now(self) -> R:
        """The flow's result, if it has one. Raises the error that ended it, or StillRunning."""
        outcome = self.outcome
        if outcome is None:
            raise StillRunning(f"flow {self.id} has not ended")
        return self._node.unpack(outcome)  # type: ignore[no-any-return]

    async def result(self) -> R:
        """Wait for the flow's result. Raises the error that ended it; NodeStopped if its node stops
        first (the flow then goes on when the node is opened again)."""
        while self._outcome is None:
            self._node.refuse_if_stopped()
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self.result_now()

    async def progress(self) -> AsyncIterator[ProgressEvent]:
        """Every progress event from the flow's beginning, then live, until the flow ends."""
        self._node.refuse_if_stopped()
        stream: asyncio.Queue[ProgressEvent | None] = asyncio.Queue()
        self._streams.append(stream)
        try:
            number = 0
            for event in self._node.progress(self.id):
                yield event
                number = event.number + 1
                if event.done:
                    return
            while True:
                live = await stream.get()
                if live is None:
                    self._node.refuse_if_stopped()
                    return
                if live.number < number:
                    continue  # Committed between reading the history and now: already told.
                yield live
                if live.done:
                    return
        finally:
            self._streams.remove(stream)

    def moved(self, event: ProgressEvent) -> None:
        """The flow's tracker moved: told by the node after the commit."""
        for stream in self._streams:
            stream.put_nowait(event)

    def ended(self, outcome: Outcome) -> None:
        """The flow ended: told by the node after the commit."""
        self._outcome = outcome
        self.wake()

    def wake(self, error: Exception | None = None) -> None:
        """Let go of whoever waits; with `error`, because the node has stopped."""
        for waiter in self._waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
        self._waiters.clear()
        if error is not None:
            for stream in self._streams:
                stream.put_nowait(None)


class FlowView(msgspec.Struct, frozen=True):
    """A living flow, for people: where it rests and for what.

    `flow` is the outermost flow's versioned name; `state` and `place` are the innermost frame's;
    `waits` says for what, `peer` for whom; `path` are its progress steps; `checkpoint_bytes` is its
    whole size at rest.
    """

    id: int
    flow: str
    state: str
    place: str
    waits: str
    peer: str | None
    path: tuple[str, ...]
    in_hospital: bool
    checkpoint_bytes: int


def _waiting(checkpoint: Checkpoint) -> tuple[str, str | None]:
    """What a flow waits for, and for whom."""
    waiting = checkpoint.waiting
    if isinstance(waiting, OnMessage):
        session = engine.find(checkpoint, waiting.session)
        return "a message", session.peer if session else None
    if isinstance(waiting, OnTime):
        return "time", None
    if isinstance(waiting, OnOperator):
        return f"an operator: {waiting.reason}", None
    if isinstance(waiting, OnAcceptance):
        return "acceptance of its invitations", None
    return "nothing", None


def view(flow_id: int, data: bytes, registry: Registry) -> FlowView:
    """A living flow's view, from its checkpoint's bytes."""
    try:
        checkpoint = decode_checkpoint(data, registry.states_of)
    except KeyError as error:
        name = str(error.args[0])
        return FlowView(
            flow_id, name, "?", "", f"{name} to be installed", None, (), True, len(data)
        )
    except BadBytes as error:
        return FlowView(flow_id, "?", "?", "", f"unreadable: {error}", None, (), True, len(data))
    if not checkpoint.frames:
        return FlowView(flow_id, "", "ended", "", "confirmations", None, (), False, len(data))
    frame = checkpoint.frames[-1]
    waits, peer = _waiting(checkpoint)
    return FlowView(
        flow_id,
        checkpoint.frames[0].flow,
        type(frame.state).__name__,
        frame.state.place,
        waits,
        peer,
        path_of(checkpoint.frames, registry.step_names),
        checkpoint.admitted,
        len(data),
    )
