"""A flow from outside: its handle, which waits for its result and hears its progress, and its view.

Knows the node only by what it asks of it; it runs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from flowrt.core.engine import Outcome
from flowrt.core.flow import Message, Party
from flowrt.core.progress import ProgressEvent
from flowrt.core.tracker import Tree, TreeView
from flowrt.streams import Stream

R = TypeVar("R")


class NodeStopped(Exception):
    """The node has stopped or is closed; what was committed is in its store."""


class NotAccepted(Exception):
    """A flow did not take what was sent or answered to it; says why. The flow goes on as it was."""


class Bounced(Exception):
    """What an owner sent and the flow could not take when it came to it. Attributes: `message`, and
    `reason`."""

    def __init__(self, message: Message | None, reason: str) -> None:
        super().__init__(reason)
        self.message = message
        self.reason = reason


Letter: TypeAlias = "Message | Exception"
"""What an owner hears: a message, or what is raised instead."""


class NotStartable(Exception):
    """A flow cannot be started so; the message says why and what is possible."""


class StillRunning(Exception):
    """A result was asked for at once, and the flow has not ended."""


class Tracked(NamedTuple):
    """What happened (None: nothing yet), the tree after it, and how many reports of operations this
    reader was too slow for."""

    event: ProgressEvent | None
    tree: TreeView
    dropped: int


class Home(typing.Protocol):
    """What a handle asks of its node."""

    party: Party

    def moves(self, flow_id: int, start: int, limit: int) -> list[ProgressEvent]: ...

    def tree(self, flow_id: int, from_the_beginning: bool) -> Tree: ...

    async def command(self, flow_id: int, message: Message) -> None: ...

    def mail(self, flow_id: int, start: int) -> tuple[int, Letter | None]: ...

    def unpack(self, outcome: Outcome) -> Any: ...

    def refuse_if_stopped(self) -> None: ...


class Handle(Generic[R]):
    """A flow that was started, or found again by its id."""

    __slots__ = (
        "__weakref__",
        "_node",
        "_outcome",
        "_post",
        "_read",
        "_refused",
        "_streams",
        "_waiters",
        "id",
    )

    def __init__(self, node: Home, flow_id: int, outcome: Outcome | None = None) -> None:
        self.id = flow_id
        self._node = node
        self._outcome = outcome
        self._refused: Exception | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._streams: list[Stream] = []
        self._post: list[asyncio.Future[None]] = []
        self._read = 0

    def __repr__(self) -> str:
        return f"<Handle of flow {self.id} on {self._node.party.name}>"

    @property
    def outcome(self) -> Outcome | None:
        """How the flow ended, as bytes; None while it runs."""
        return self._outcome

    def result_now(self) -> R:
        """The flow's result, if it has one. Raises the error that ended it, or StillRunning."""
        outcome = self.outcome
        if self._refused is not None:
            raise self._refused
        if outcome is None:
            raise StillRunning(f"flow {self.id} has not ended")
        return self._node.unpack(outcome)  # type: ignore[no-any-return]

    async def result(self) -> R:
        """Wait for the flow's result. Raises the error that ended it; NodeStopped if its node stops
        first (the flow then goes on when the node is opened again)."""
        while self._outcome is None and self._refused is None:
            self._node.refuse_if_stopped()
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self.result_now()

    # --- the owner's session ---

    async def send(self, message: Message) -> None:
        """Send to a flow that is `startable by rpc as owner`; returns when that is committed.

        Raises:
            NotAccepted: the flow has ended, never takes such a message from its owner, or has left
                too much unread.
            TypeError: a field of the message is not as it is declared.
            NodeStopped: the node stops first; send again when it is open.
        """
        await self._node.command(self.id, message)

    async def receive(self) -> Message:
        """The next message from the flow to its owner, from its beginning on: what this handle has
        not received yet. Another handle, or one after a restart, begins at the first again.

        Raises:
            Bounced: the flow could not take what was sent to it when it came to it.
            SessionEnded: the flow has closed the session, or ended. A declared error that ended it
                is raised itself, any other as UnexpectedFlowEnd.
            NodeStopped: the node stops first.
        """
        while True:
            self._node.refuse_if_stopped()
            number, letter = self._node.mail(self.id, self._read)
            if letter is not None:
                return self._next(number, letter)
            waiter = asyncio.get_running_loop().create_future()
            self._post.append(waiter)
            await waiter

    def receive_now(self) -> Message | None:
        """Like `receive`, but None if nothing is there."""
        number, letter = self._node.mail(self.id, self._read)
        return None if letter is None else self._next(number, letter)

    def _next(self, number: int, letter: Letter) -> Message:
        """Hand out what was read. The last word is said again whenever somebody asks."""
        if not isinstance(letter, Exception) or isinstance(letter, Bounced):
            self._read = number + 1
        if isinstance(letter, Exception):
            raise letter
        return letter

    def posted(self) -> asyncio.Future[None]:
        """Done as soon as the flow, from now on, says more to its owner, or ends; NodeStopped if
        its node stops."""
        self._node.refuse_if_stopped()
        waiter = asyncio.get_running_loop().create_future()
        self._post.append(waiter)
        return waiter

    def mailed(self) -> None:
        """The flow said something to its owner: told by the node after the commit."""
        _let_go(self._post, None)

    # --- progress and end ---

    async def progress(self, *, after: int = -1) -> AsyncIterator[ProgressEvent]:
        """Every event of the flow's tracker from its beginning, or `after` that number, then live,
        until the flow ends: moves, trouble, reports of operations; not that subflows begin and end
        (`track`)."""
        with self._listening(after + 1) as stream:
            while True:
                event = await stream.next()
                if event is None:
                    return
                if not event.is_structure:
                    yield event
                if event.done:
                    return

    async def track(self, *, history: bool = False) -> AsyncIterator[Tracked]:
        """The tree of the flow's progress: as it is now, then after every event, until the flow
        ends. With `history` from its beginning, event by event."""
        tree = self._node.tree(self.id, history)
        with self._listening(tree.number) as stream:
            yield Tracked(None, tree.view(), 0)
            while tree.outcome is None:
                event = await stream.next()
                if event is None:
                    return
                tree.apply(event)
                yield Tracked(event, tree.view(), stream.dropped)

    @contextlib.contextmanager
    def _listening(self, start: int) -> Iterator[Stream]:
        self._node.refuse_if_stopped()
        stream = Stream(functools.partial(self._node.moves, self.id), start)
        if self._refused is not None:
            stream.stop(self._refused)
        if self._outcome is not None:
            stream.end()
        self._streams.append(stream)
        try:
            yield stream
        finally:
            self._streams.remove(stream)

    def moved(self, event: ProgressEvent) -> None:
        """The flow's tracker moved: told by the node after the commit."""
        for stream in self._streams:
            stream.moved(event)

    def reported(self, event: ProgressEvent) -> None:
        """An operation of the flow says how far it is: told by the node."""
        for stream in self._streams:
            stream.reported(event)

    def ended(self, outcome: Outcome) -> None:
        """The flow ended: told by the node after the commit."""
        self._outcome = outcome
        self.wake()
        for stream in self._streams:
            stream.end()

    def refused(self, reason: Exception) -> None:
        """The flow was not started after all: told by the node."""
        self._refused = reason
        self.wake()
        for stream in self._streams:
            stream.stop(reason)

    def wake(self, error: Exception | None = None) -> None:
        """Let go of whoever waits; with `error`, because the node has stopped."""
        _let_go(self._waiters, error)
        _let_go(self._post, error)
        if error is not None:
            for stream in self._streams:
                stream.stop(error)


def _let_go(waiters: list[asyncio.Future[None]], error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
    waiters.clear()
