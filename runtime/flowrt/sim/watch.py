"""A running step that is watched: what it says, reads and calls. Kept only if it is committed.

The node runs flows as ever; it is only asked to run each step as this class.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from flowrt.core.commit import Commit, World
from flowrt.core.flow import Arm, Done, FlowKilled, Late, Message, ServiceKey, Session, Timeout
from flowrt.core.step import StepRun
from flowrt.core.values import (
    Checkpoint,
    Content,
    Data,
    Letter,
    OnAny,
    OnTime,
    Reject,
    SessionState,
    StackFrame,
)
from flowrt.core.waiting import can_go_on, find, is_ready
from flowrt.sim.history import Place
from flowrt.sim.violation import Violation

S = TypeVar("S")
M = TypeVar("M", bound=Message)


class Record:
    """What one step did: `said` are (whether it was sent, flow, place, session's secret, peer,
    content, class), `calls` (operation, arguments)."""

    __slots__ = (
        "before",
        "began",
        "calls",
        "dropping",
        "flow",
        "flow_id",
        "held",
        "parent",
        "passed",
        "path",
        "said",
    )

    def __init__(self, flow_id: int, checkpoint: Checkpoint) -> None:
        self.flow_id = flow_id
        self.flow = checkpoint.frames[0].flow if checkpoint.frames else ""
        self.began = checkpoint.steps == 0
        self.parent = checkpoint.extra.parent if checkpoint.extra is not None else 0
        self.before: Place = () if self.began else path_of(checkpoint.frames)
        self.path: Place = ()
        self.passed: list[Place] = []
        self.said: list[tuple[bool, str, str, bytes, str, Content, type[Message] | None]] = []
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.dropping: list[bytes] = []
        self.held = False


class Watch:
    """What the steps of one process did since its last commit, and what they must not have done.
    `fails` is asked before each call of a service, and may raise. `notes` is for the whole world:
    by what its end may depend on when things happen."""

    __slots__ = ("fails", "notes", "records", "violations")

    def __init__(self, notes: set[str] | None = None) -> None:
        self.fails: Callable[[str], None] | None = None
        self.notes = notes if notes is not None else set()
        self.records: dict[int, Record] = {}
        self.violations: list[Violation] = []


def path_of(frames: list[StackFrame]) -> Place:
    """Where a flow is: (flow, state) for it and the subflows in it."""
    return tuple([(frame.flow, type(frame.state).__name__) for frame in frames])


class WatchedRun(StepRun):
    """A step that tells a `watch` what it did, once it has gone through."""

    __slots__ = ("_record", "_watch")

    def __init__(
        self,
        watch: Watch,
        checkpoint: Checkpoint,
        flow_id: int,
        world: World,
        commit: Commit,
    ) -> None:
        super().__init__(checkpoint, flow_id, world, commit)
        self._watch = watch
        self._record = Record(flow_id, checkpoint)
        # What it did in a batch that was refused has not happened, though it fails this time.
        watch.records.pop(flow_id, None)

    def go(self) -> None:
        self._in_time()
        self._by_its_own_class()
        if self._checkpoint.admitted:
            self._violates("I16", f"flow {self.flow_id} goes on, and is in the hospital")
        super().go()
        self._has_gone()

    def _reads_on(self) -> bool:
        at = path_of(self._checkpoint.frames)
        does = super()._reads_on()
        if does:
            self._record.passed.append(at)
        return does

    def end(self, error: FlowKilled) -> None:
        super().end(error)
        self._has_gone()

    def throw(self, name: str, fields: bytes) -> None:
        super().throw(name, fields)
        self._has_gone()

    def _has_gone(self) -> None:
        record = self._record
        record.path = path_of(self._checkpoint.frames)
        record.held = self._commit.held is not None
        self._watch.records[record.flow_id] = record

    @property
    def now(self) -> datetime.datetime:
        self._watch.notes.add("a flow asks for the time")
        return super().now

    def _in_time(self) -> None:
        """I13: no timer rings before it is due, and nothing goes on without what it waits for."""
        waiting = self._checkpoint.waiting
        now_us = self._world.now_us
        if type(waiting) is OnTime and now_us < waiting.due_us:
            text = f"flow {self.flow_id} goes on {waiting.due_us - now_us} us early"
            self._violates("I13", text)
        if type(waiting) is OnAny and not can_go_on(self._checkpoint, now_us):
            text = f"flow {self.flow_id} goes on, and nothing of {waiting} came"
            self._violates("I13", text)

    def _by_its_own_class(self) -> None:
        """I17: a state is run by the code of the version that it was written by."""
        for frame in self._checkpoint.frames:
            kind = self._world.registry.classes[frame.flow]
            state = type(frame.state)
            if kind.versioned() != frame.flow or getattr(kind, state.__name__, None) is not state:
                text = f"{frame.flow} at {state.__qualname__} is run by {kind.__qualname__}"
                self._violates("I17", text)

    def _violates(self, invariant: str, text: str) -> None:
        """Told when the event is over: no handler of a step may catch it."""
        self._watch.violations.append(Violation(invariant, text))

    def _say(self, sent: bool, session: SessionState | None, content: Content) -> None:
        if session is None or not session.secret:
            return
        frame = self._checkpoint.frames[-1]
        kind = None
        if type(content) is Data:
            kind = self._world.registry.messages.get(content.name)
        self._record.said.append(
            (
                sent,
                frame.flow,
                getattr(frame.state, "place", ""),
                session.secret,
                session.peer,
                content,
                kind,
            )
        )

    # --- what is said ---

    def send(self, session: Session, message: Message) -> None:
        super().send(session, message)
        found = find(self._checkpoint, session)
        if found is None or not found.secret:
            return
        if found.unsent:
            self._say(True, found, found.unsent[-1])
        else:
            letter = self._commit.outbox[-1][1]
            assert type(letter) is Letter
            self._say(True, found, letter.content)

    def _end(self, session: SessionState, farewell: Content, named: int = 0) -> None:
        self._say(True, session, farewell)
        super()._end(session, farewell, named)

    # --- what is read ---

    def _take(self, number: int) -> None:
        super()._take(number)
        self._read_given()

    def received(self, kind: type[M]) -> M:
        waited = self._waited
        is_there = waited is not None and is_ready(find(self._checkpoint, waited.sessions[0]))
        try:
            return super().received(kind)
        except Timeout:
            if is_there:
                self._violates("I13", f"flow {self.flow_id} is late for what came in time")
            raise

    def chosen(self, *arms: Arm) -> int:
        waited = self._waited
        came = dict(self._came(waited)) if waited is not None else {}
        number = super().chosen(*arms)
        taken = type(arms[number])
        if came and taken is Late:
            self._violates("I13", f"flow {self.flow_id} is late for what came in time")
        if len(came) > 1:
            first = min(came.values())
            if isinstance(arm := arms[number], Done):
                mine = came.get((1, arm.call), first)
            else:
                mine = came.get((0, self._sender), first)
            if mine != first:
                self._violates("I7", f"flow {self.flow_id} takes what did not come first")
        if self._given is not None:
            self._read_given()
        return number

    def _came(self, waited: OnAny) -> Iterator[tuple[tuple[int, int], int]]:
        """(0, session) or (1, call) of what is there, and with which commit of the flow it came."""
        for session in self._checkpoint.sessions:
            inbox = session.inbox
            if session.id in waited.sessions and inbox and inbox[0][0] < session.expected:
                yield (0, session.id), inbox[0][2]
        for call in self._checkpoint.extra.calls if self._checkpoint.extra is not None else ():
            if call.number in waited.calls and call.done is not None:
                yield (1, call.number), call.came

    def _read_given(self) -> None:
        assert self._given is not None
        session, content = self._given
        if session is not None and type(content) is not Reject:
            self._say(False, session, content)

    def _owe(self, waited: OnAny, number: int) -> None:
        super()._owe(waited, number)
        found = find(self._checkpoint, number)
        if found is not None:
            self._record.dropping.append(found.secret)

    # --- what is called ---

    def service(self, key: ServiceKey[S]) -> S:
        found = super().service(key)
        return Overheard(found, key.name, self._record, self._watch.fails)  # type: ignore[return-value]


class Overheard:
    """A service of which each call is noted."""

    __slots__ = ("_fails", "_name", "_record", "_service")

    def __init__(
        self, service: object, name: str, record: Record, fails: Callable[[str], None] | None
    ) -> None:
        self._fails = fails
        self._service = service
        self._name = name
        self._record = record

    def __getattr__(self, operation: str) -> Any:
        called = getattr(self._service, operation)
        record, what, fails = self._record, f"{self._name}.{operation}", self._fails

        def run(*arguments: Any) -> Any:
            if fails is not None:
                fails(what)
            record.calls.append((what, arguments[1:]))
            return called(*arguments)

        return run
