"""One event in, one commit out. Knows no clock, no store, no wire.

`advance` takes a flow's checkpoint and an event, runs the flow to its next wait, and answers with
everything that must now be written at once: the new checkpoint, what leaves, the outcome. It owns
the checkpoint that it is given and changes it in place: whoever must be able to go back keeps the
bytes. A step that raises leaves nothing behind but a spoiled checkpoint, to be loaded anew.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from flowrt.core import session as sessions
from flowrt.core.flow import (
    BUILTIN_ERRORS,
    INT_MAX,
    Call,
    Fault,
    Flow,
    FlowError,
    Hold,
    Message,
    Party,
    Receive,
    Return,
    ServiceKey,
    Session,
    SessionEnded,
    SessionRejected,
    Sleep,
    Tx,
    UnexpectedFlowEnd,
    UnexpectedMessage,
    invariant,
)
from flowrt.core.flow import Checkpoint as Pause
from flowrt.core.progress import ProgressEvent, path_of
from flowrt.core.registry import AnyFlow, Registry
from flowrt.core.values import (
    CHECKPOINT_FORMAT,
    MAX_FRAME_BYTES,
    MAX_TEXT,
    BadBytes,
    Checkpoint,
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Letter,
    OnAcceptance,
    OnCommit,
    OnMessage,
    OnOperator,
    OnSettling,
    OnTime,
    Reject,
    SessionState,
    StackFrame,
    StepWithValues,
    decode,
    decode_message,
    encode,
    error_of,
    families_of,
    plain,
    writable,
)

M = TypeVar("M", bound=Message)
R = TypeVar("R")
S = TypeVar("S")

MAX_FRAMES = 200
"""How deep subflows may call each other."""

ORPHAN = -1
"""The owner of a session whose frame has ended: it only waits for its confirmation."""

MAX_TURNS = 1_000_000
"""How many turns of loops one step may take."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


# --- events -----------------------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, gc=False):
    """The first step of a new flow."""


class Resume(msgspec.Struct, frozen=True, gc=False):
    """What the flow rested for is there: go on."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A letter from an authenticated peer."""

    peer: str
    letter: Letter


class Retry(msgspec.Struct, frozen=True, gc=False):
    """An operator lets a flow out of the hospital, to try again."""


Event = Begin | Resume | Arrival | Retry

BEGIN = Begin()
RESUME = Resume()
RETRY = Retry()


# --- what a step may use, and what it answers -----------------------------------------------------


class World:
    """What the node lends to a step: names, time, a secret, services. Set anew for every batch.

    `key` is 32 random bytes that no one else knows: ids of sessions and errors are derived from it.
    `tx` is the running transaction, made when a service first asks for it.
    """

    __slots__ = ("key", "me", "now_us", "registry", "services", "tx")

    def __init__(
        self, me: Party, registry: Registry, key: bytes, services: Mapping[str, Any], tx: Tx
    ) -> None:
        self.me = me
        self.registry = registry
        self.key = key
        self.services = services
        self.tx = tx
        self.now_us = 0

    def secret(self, flow_id: int, number: int, purpose: bytes = b"session") -> bytes:
        """16 bytes that nobody can guess and that no other flow and number gets."""
        text = b"%s:%d:%d" % (purpose, flow_id, number)
        return hashlib.blake2b(text, key=self.key, digest_size=16).digest()


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How a flow ended: `value` are the bytes of its result, or, where `error` names one, of its
    error: (fields, error id, peer's name or none, text).
    """

    flow: str
    value: bytes
    error: str | None = None


class Opened(msgspec.Struct, frozen=True, gc=False):
    """A new session, to be invited: the node numbers the invitation."""

    session: SessionState
    flow: str
    initiator: str
    version: int


class Commit:
    """What one step decided. All of it becomes durable at once, with the others of its batch.

    `outbox` are frames and new sessions in their order; `due_us` is None, or when the flow goes on
    by itself (0: at once); `ran` says that the flow took a step, not only something in; `gone` that
    nothing of it is left but its outcome.
    """

    __slots__ = ("due_us", "gone", "held", "logs", "moves", "outbox", "outcome", "ran")

    def __init__(self) -> None:
        self.outbox: list[tuple[str, Letter | Opened]] = []
        self.logs: list[tuple[str, str]] = []
        self.moves: list[ProgressEvent] = []
        self.outcome: Outcome | None = None
        self.due_us: int | None = None
        self.ran = False
        self.gone = False
        self.held: str | None = None


# --- making and moving checkpoints ------------------------------------------------------------


def begin(name: str, start: Any) -> Checkpoint:
    """The checkpoint of a flow that nobody has run yet."""
    return Checkpoint(CHECKPOINT_FORMAT, [StackFrame(name, start)], OnCommit(), [])


def respond(
    name: str, flow: AnyFlow, invitation: Any, peer: str, flow_id: int
) -> tuple[Checkpoint, Letter]:
    """The checkpoint of a responder that was invited, and the confirmation that it is owed."""
    session = sessions.accept(invitation, peer, 0)
    start = flow.Start(0)
    checkpoint = Checkpoint(
        CHECKPOINT_FORMAT, [StackFrame(name, start)], OnCommit(), [session], next_session=1
    )
    return checkpoint, sessions.letter(session, Confirm(flow_id, 0, flow.version))


def advance(
    checkpoint: Checkpoint, flow_id: int, event: Event, world: World, *, run: bool = True
) -> Commit | None:
    """Take one event, and go on if that is possible (and `run`: what the flow did before is
    committed). None when there is nothing to write: a repeated arrival, a stale timer.

    Raises:
        NotTaken: the letter came too early; it must not be acknowledged.
        Exception: the step failed, by the author's Python or by our fault; nothing of it counts.
    """
    commit = Commit()
    if type(event) is Arrival:
        if not _arrive(checkpoint, event, commit):
            return None
    elif type(event) is Retry:
        checkpoint.admitted = False
        if type(checkpoint.waiting) is OnOperator:
            checkpoint.waiting = _ON_COMMIT
    elif due(checkpoint, world.now_us) != 0:
        return None
    if run and not checkpoint.admitted and can_go_on(checkpoint, world.now_us):
        commit.ran = True
        StepRun(checkpoint, flow_id, world, commit).go()
    _finish(checkpoint, world, commit)
    return commit


def admit(checkpoint: Checkpoint, event: Event, world: World) -> Commit:
    """The commit of a step that failed: its flow stays where it was, in the hospital, and keeps
    what had arrived, so that the peer is not asked for it again."""
    commit = Commit()
    if type(event) is Arrival:
        _arrive(checkpoint, event, commit)
    checkpoint.admitted = True
    _finish(checkpoint, world, commit)
    return commit


class NotTaken(Exception):
    """A letter that is not acknowledged: too far ahead, or more than an inbox may hold."""


def _arrive(checkpoint: Checkpoint, event: Arrival, commit: Commit) -> bool:
    letter = event.letter
    session = find(checkpoint, letter.to_session)
    if session is None:
        return False  # It ended here; what still comes for it has no reader, and needs none.
    if not sessions.is_for(session, event.peer, letter.secret):
        # Answered like the one above, so that guessing tells a stranger nothing.
        return False
    expected, held = session.expected, len(session.inbox)
    taken, freed = sessions.take(session, letter.seq, letter.content)
    if not taken:
        raise NotTaken
    commit.outbox += [(session.peer, letter) for letter in freed]
    if session.closed and _is_settled(checkpoint, session):
        checkpoint.sessions.remove(session)
        return True
    return session.expected != expected or len(session.inbox) != held


def _is_settled(checkpoint: Checkpoint, session: SessionState) -> bool:
    """Whether a session that was closed here is good for nothing more. A rejected one is kept for
    its frame, which ends with that error, but one such is enough."""
    if session.status in (sessions.OPEN, sessions.OVER):
        return True
    if sessions.head(session) is None:
        return False
    return session.frame == ORPHAN or any(
        other is not session
        and other.closed
        and other.frame == session.frame
        and sessions.head(other) is not None
        for other in checkpoint.sessions
    )


def find(checkpoint: Checkpoint, number: int) -> SessionState | None:
    """The session of that number, if it still lives."""
    for session in checkpoint.sessions:
        if session.id == number:
            return session
    return None


def can_go_on(checkpoint: Checkpoint, now_us: int) -> bool:
    """Whether what the flow rests for is there."""
    waiting = checkpoint.waiting
    kind = type(waiting)
    if kind is OnCommit:
        return True
    if kind is OnMessage:
        session = find(checkpoint, waiting.session)  # type: ignore[union-attr]
        return (
            session is None
            or session.closed
            or session.status == sessions.OVER
            or sessions.head(session) is not None
        )
    if kind is OnTime:
        return waiting.due_us <= now_us  # type: ignore[union-attr]
    if kind is OnAcceptance:
        return not any(_undecided(s, len(checkpoint.frames) - 1) for s in checkpoint.sessions)
    if kind is OnSettling:
        return not checkpoint.sessions
    return False


def due(checkpoint: Checkpoint, now_us: int) -> int | None:
    """When the flow goes on without anybody: 0 for at once, None for not by itself."""
    if checkpoint.admitted:
        return None
    if can_go_on(checkpoint, now_us):
        return 0
    return checkpoint.waiting.due_us if type(checkpoint.waiting) is OnTime else None


def _undecided(session: SessionState, frame: int) -> bool:
    """Whether the frame's invitation of this session is neither confirmed nor rejected yet."""
    return (
        session.frame == frame
        and session.status in (sessions.NEW, sessions.INVITED)
        and sessions.head(session) is None
    )


def _finish(checkpoint: Checkpoint, world: World, commit: Commit) -> None:
    checkpoint.steps += 1
    if not checkpoint.frames and not checkpoint.sessions:
        commit.gone = True
        return
    commit.due_us = due(checkpoint, world.now_us)


# --- a step -------------------------------------------------------------------------------------


class StepRun:
    """One step of one flow, from committed state to the next: what generated code sees as `run`."""

    __slots__ = (
        "_checkpoint",
        "_commit",
        "_errors",
        "_given",
        "_now",
        "_result",
        "_turns",
        "_world",
        "flow_id",
        "me",
        "tx",
    )

    def __init__(self, checkpoint: Checkpoint, flow_id: int, world: World, commit: Commit) -> None:
        self.me = world.me
        self.flow_id = flow_id
        self.tx = world.tx
        self._world = world
        self._checkpoint = checkpoint
        self._commit = commit
        self._given: tuple[SessionState | None, Content] | None = None
        self._result: tuple[object, FlowError | None] | None = None
        self._now: datetime.datetime | None = None
        self._turns = 0
        self._errors = 0

    # --- the loop: frames call, return and fail until something waits ---

    def go(self) -> None:
        """Run until the flow rests or ends."""
        checkpoint = self._checkpoint
        frames = checkpoint.frames
        waiting = checkpoint.waiting
        if type(waiting) is OnMessage:
            self._take(waiting.session)
        elif type(waiting) is OnAcceptance:
            kind = self._world.registry.classes[frames[-1].flow].Result
            if not self._returned(decode(kind, waiting.result)):
                return
        elif type(waiting) is OnSettling:
            return
        classes = self._world.registry.classes
        while True:
            frame = frames[-1]
            try:
                step = classes[frame.flow].step(frame.state, self)
            except FlowError as error:
                if self._thrown(error):
                    continue
                return
            kind = type(step)
            if kind is Return:
                if self._returned(step.value):  # type: ignore[union-attr]
                    continue
                return
            frame.state = step.state  # type: ignore[union-attr]
            if kind is Pause:
                checkpoint.waiting = _ON_COMMIT
                return
            if kind is Receive:
                checkpoint.waiting = OnMessage(step.session)  # type: ignore[union-attr]
                return
            if kind is Call:
                self._call(step)  # type: ignore[arg-type]
                continue
            self._rest(step)
            return

    def _rest(self, step: object) -> None:
        if type(step) is Sleep:
            microseconds = max(0, step.duration // _MICROSECOND)
            # No further than a store's integer goes.
            self._checkpoint.waiting = OnTime(min(self._world.now_us + microseconds, INT_MAX))
            return
        invariant(type(step) is Hold, f"{type(step).__name__} is not a step")
        assert isinstance(step, Hold)
        reason = writable(step.reason)
        self._checkpoint.waiting = OnOperator(reason)
        self._checkpoint.admitted = True
        self._commit.held = reason

    def _call(self, step: Call) -> None:
        frames = self._checkpoint.frames
        if len(frames) >= MAX_FRAMES:
            raise Fault(f"subflows call each other more than {MAX_FRAMES} deep")
        name = self._world.registry.names.get(step.flow)
        if name is None:
            raise Fault(f"{step.flow.__name__} is not registered on this node")
        frames.append(StackFrame(name, step.start))

    def _returned(self, value: object) -> bool:
        """End the innermost frame well, unless an invitation of its own is still open or was
        rejected: who only sends must learn that nobody listened. True if a caller goes on."""
        checkpoint = self._checkpoint
        depth = len(checkpoint.frames) - 1
        for session in checkpoint.sessions:
            if session.frame == depth and type(sessions.head(session)) is Reject:
                return self._thrown(self._error_from(session, sessions.read(session)))
        if any(_undecided(session, depth) for session in checkpoint.sessions):
            checkpoint.waiting = OnAcceptance(encode(value))
            return False
        name = checkpoint.frames[0].flow
        self._drop_frame(END)
        if depth > 0:
            self._result = (value, None)
            return True
        self._commit.outcome = Outcome(name, encode(value))
        checkpoint.waiting = OnSettling()
        self._moved(name, 0, "", "done")
        return False

    def _thrown(self, error: FlowError) -> bool:
        """End the innermost frame with an error. True if its caller goes on with it."""
        checkpoint = self._checkpoint
        if not error.error_id:
            self._errors += 1
            purpose = b"error %d" % self._errors
            error.error_id = self._world.secret(self.flow_id, checkpoint.steps, purpose)[:8].hex()
        depth = len(checkpoint.frames) - 1
        name = checkpoint.frames[0].flow
        self._drop_frame(_disclosed(error))
        if depth > 0:
            self._result = (None, error)
            return True
        peer = error.peer.name if error.peer is not None else None
        value = encode((error.fields(), error.error_id, peer, str(error)))
        self._commit.outcome = Outcome(name, value, error.wire)
        checkpoint.waiting = OnSettling()
        self._moved(name, 0, str(error), "failed")
        return False

    def _drop_frame(self, farewell: Content) -> None:
        checkpoint = self._checkpoint
        depth = len(checkpoint.frames) - 1
        for session in list(checkpoint.sessions):
            if session.frame == depth:
                session.frame = ORPHAN
                if not session.closed:
                    self._end(session, farewell)
                elif _is_settled(checkpoint, session):
                    checkpoint.sessions.remove(session)
        checkpoint.frames.pop()

    def _end(self, session: SessionState, farewell: Content) -> None:
        letter = sessions.say(session, farewell)
        if letter is not None:
            self._commit.outbox.append((session.peer, letter))
        session.closed = True
        if _is_settled(self._checkpoint, session):
            self._checkpoint.sessions.remove(session)

    # --- what arrived ---

    def _take(self, number: int) -> None:
        session = find(self._checkpoint, number)
        if session is None or session.closed or session.status == sessions.OVER:
            self._given = (None, END)
        else:
            self._given = (session, sessions.read(session))

    def _error_from(self, session: SessionState | None, content: Content) -> FlowError:
        if type(content) is Reject:
            return _built_in(SessionRejected(content.reason[:MAX_TEXT]), content.error_id, session)
        if type(content) is not Failure:
            return _built_in(SessionEnded(), "", session)
        peer = session.peer if session is not None else None
        kind = self._known_error(content.name)
        if kind is not None:
            try:
                fields = decode(kind.Fields, content.fields)
            except BadBytes:
                return _built_in(UnexpectedFlowEnd(), content.error_id, session)
            return error_of(kind, fields, content.error_id, peer)
        for name in content.families:
            kind = self._known_error(name)
            if kind is not None and not kind.Fields.__struct_fields__:
                return error_of(kind, None, content.error_id, peer)
        return _built_in(UnexpectedFlowEnd(), content.error_id, session)

    def _known_error(self, name: str) -> type[FlowError] | None:
        """The error of that name, as the innermost flow knows it that does."""
        for frame in reversed(self._checkpoint.frames):
            kind = self._world.registry.classes[frame.flow].errors.get(name)
            if kind is not None:
                return kind
        return None

    # --- what generated code calls ---

    @property
    def now(self) -> datetime.datetime:
        if self._now is None:
            self._now = _EPOCH + datetime.timedelta(microseconds=self._world.now_us)
        return self._now

    def open(self, flow: str, party: Party, block: int) -> Session:
        checkpoint = self._checkpoint
        number = checkpoint.next_session
        checkpoint.next_session = number + 1
        depth = len(checkpoint.frames) - 1
        opener = self._world.registry.classes[checkpoint.frames[-1].flow]
        session = SessionState(
            id=number,
            peer=party.name,
            secret=self._world.secret(self.flow_id, number),
            status=sessions.NEW,
            sent=0,
            expected=0,
            frame=depth,
            block=block,
            inbox=[],
            unsent=[],
        )
        checkpoint.sessions.append(session)
        opened = Opened(session, flow, opener.name, opener.version)
        self._commit.outbox.append((party.name, opened))
        return Session(number)

    def send(self, session: Session, message: Message) -> None:
        found = find(self._checkpoint, session)
        if found is None or found.closed or found.status == sessions.OVER:
            raise SessionEnded
        waiting = sessions.head(found)
        if waiting is not None and type(waiting) is not Data:
            raise self._error_from(found, sessions.read(found))
        body = encode(message)
        if len(body) > MAX_FRAME_BYTES - 1024:
            raise Fault(f"a message of {len(body)} bytes is larger than a frame may be")
        letter = sessions.say(found, Data(message.wire, body))
        if letter is not None:
            self._commit.outbox.append((found.peer, letter))

    def received(self, kind: type[M]) -> M:
        given, self._given = self._given, None
        invariant(given is not None, "nothing was received")
        assert given is not None
        session, content = given
        if type(content) is not Data:
            raise self._error_from(session, content)
        if content.name != kind.wire:
            came = content.name[:MAX_TEXT]
            raise UnexpectedMessage(f"{came} arrived where {kind.wire} was expected")
        return decode_message(kind, content.body)

    def result(self, flow: type[Flow[R]]) -> R:
        given, self._result = self._result, None
        invariant(given is not None, "no subflow has ended")
        assert given is not None
        value, error = given
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # the class that returned it is `flow`

    def leave(self, block: int) -> None:
        depth = len(self._checkpoint.frames) - 1
        for session in list(self._checkpoint.sessions):
            if session.frame == depth and session.block > block and not session.closed:
                self._end(session, END)

    def peer(self, session: Session) -> Party:
        found = find(self._checkpoint, session)
        if found is None:
            raise Fault("the session has ended, so its peer is not known any more")
        return Party(found.peer)

    def at(
        self, step: str, label: str | None = None, values: Mapping[str, Any] | None = None
    ) -> None:
        frames = self._checkpoint.frames
        frame = frames[-1]
        registry = self._world.registry
        index = registry.step_names[frame.flow].index(step)
        position: int | StepWithValues = index
        shown: dict[str, Any] | None = None
        if values is not None:
            shown = plain(values)
            digest = hashlib.blake2b(encode(shown), digest_size=8).digest()
            position = StepWithValues(index, digest)
        if frame.step == position and (label is None or values is not None):
            return
        frame.step = position
        text = registry.classes[frame.flow].steps[index].label if label is None else label
        self._moved(frame.flow, len(frames) - 1, text, None, shown)

    def _moved(
        self,
        name: str,
        depth: int,
        label: str,
        outcome: str | None,
        values: dict[str, Any] | None = None,
    ) -> None:
        checkpoint = self._checkpoint
        registry = self._world.registry
        event = ProgressEvent(
            checkpoint.moves,
            registry.classes[name].name,
            depth,
            path_of(checkpoint.frames, registry.step_names),
            writable(label),
            outcome,
            values or {},
        )
        checkpoint.moves += 1
        self._commit.moves.append(event)

    def log(self, level: str, text: str) -> None:
        self._commit.logs.append((level, writable(text)))

    def service(self, key: ServiceKey[S]) -> S:
        bound: S = self._world.services[key.name]
        return bound

    def tick(self) -> None:
        self._turns += 1
        if self._turns > MAX_TURNS:
            raise Fault(f"a loop took more than {MAX_TURNS} turns without a wait")


END = End()
_ON_COMMIT = OnCommit()


def _built_in(error: FlowError, error_id: str, session: SessionState | None) -> FlowError:
    error.error_id = error_id
    error.peer = Party(session.peer) if session is not None else None
    return error


def _disclosed(error: FlowError) -> Failure:
    """What a counterparty learns: details travel one hop, and only of declared errors."""
    if error.builtin or error.peer is not None:
        return Failure(UnexpectedFlowEnd.wire, b"", error.error_id)
    return Failure(error.wire, encode(error.fields()), error.error_id, families_of(error))


def error_from_outcome(outcome: Outcome, errors: Mapping[str, type[FlowError]]) -> FlowError:
    """The error that ended a flow, again."""
    fields, error_id, peer, text = decode(tuple[msgspec.Raw, str, str | None, str], outcome.value)
    name = outcome.error or UnexpectedFlowEnd.wire
    kind = errors.get(name) or BUILTIN_ERRORS.get(name)
    if kind is None:
        return _built_in(UnexpectedFlowEnd(f"{name}: {text}"), error_id, None)
    return error_of(kind, decode(kind.Fields, fields), error_id, peer)
