"""One step of one flow: frames call, return and fail until something waits; what is begun.

Decides nothing about when a flow runs, and writes nothing: all of it goes into a `Commit`.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from flowrt.core import session as sessions
from flowrt.core import shapes
from flowrt.core.commit import Commit, Congested, Opened, Outcome, Started, Task, World
from flowrt.core.flow import (
    INT_MAX,
    Await,
    Call,
    Choose,
    Fault,
    Flow,
    FlowError,
    FlowFailed,
    FlowKilled,
    Hold,
    InvariantBroken,
    Message,
    Party,
    Pending,
    Receive,
    ReceiveEach,
    Return,
    ServiceKey,
    Session,
    SessionEnded,
    Sleep,
    State,
    Timeout,
    UnexpectedFlowEnd,
    WaitUntil,
    invariant,
)
from flowrt.core.flow import Checkpoint as Pause
from flowrt.core.incoming import END, EPOCH, Incoming, NotForNow
from flowrt.core.progress import BEGUN, LABEL, OVER, Detail, ProgressEvent, number_of, path_of
from flowrt.core.registry import unversioned
from flowrt.core.values import (
    ANY,
    EACH,
    EVENT,
    FLOW,
    MAX_FRAME_BYTES,
    MAX_TEXT,
    NAMED,
    ONCE,
    OPERATION,
    SOME,
    TASK,
    CallState,
    Checkpoint,
    Content,
    Data,
    Ending,
    Failure,
    OnAcceptance,
    OnAny,
    OnCommit,
    OnMessage,
    OnOperator,
    OnSettling,
    OnTime,
    Question,
    Reject,
    SessionState,
    StackFrame,
    StepWithValues,
    Waiting,
    decode,
    encode,
    error_of,
    families_of,
    forget_where,
    plain,
    writable,
)
from flowrt.core.waiting import ORPHAN, can_go_on, find, is_settled, is_undecided, is_unheard

R = TypeVar("R")
S = TypeVar("S")

MAX_FRAMES = 200
"""How deep subflows may call each other."""

MAX_TURNS = 1_000_000
"""How many turns of loops one step may take."""

_MICROSECOND = datetime.timedelta(microseconds=1)


class StepRun(Incoming):
    """One step of one flow, from committed state to the next: what generated code sees as `run`."""

    __slots__ = ("_errors", "_now", "_result", "_turns", "_unsent", "flow_id", "me", "tx")

    def __init__(self, checkpoint: Checkpoint, flow_id: int, world: World, commit: Commit) -> None:
        super().__init__(checkpoint, world, commit)
        self.me = world.me
        self.flow_id = flow_id
        self.tx = world.tx
        self._result: tuple[object, FlowError | None] | None = None
        self._now: datetime.datetime | None = None
        self._turns = 0
        self._errors = 0
        self._unsent: dict[int, bool] = {}

    # --- the loop: frames call, return and fail until something waits ---

    def go(self) -> None:
        """Run until the flow rests or ends."""
        waiting = self._checkpoint.waiting
        if type(waiting) is OnMessage:
            self._take(waiting.session)
        elif type(waiting) is OnAny:
            self._waited = waiting
        elif type(waiting) is OnAcceptance:
            if not self._accepted(waiting):
                return
        elif type(waiting) is OnSettling:
            return
        self._go_on()

    def _go_on(self) -> None:
        checkpoint = self._checkpoint
        frames = checkpoint.frames
        classes = self._world.registry.classes
        while True:
            frame = frames[-1]
            try:
                step = classes[frame.flow].step(frame.state, self)
            except FlowError as error:
                goes_on = self._thrown(error)
                forget_where(error)
                if goes_on:
                    continue
                return
            except NotForNow:
                return
            if self._waited is not None:
                raise InvariantBroken("the flow did not ask what came, or whether it is too late")
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
                self._receive(step)  # type: ignore[arg-type]
                if self._reads_on():
                    continue
                return
            if kind is Call:
                self._call(step)  # type: ignore[arg-type]
                continue
            self._rest(step)
            if (kind is Choose or kind is ReceiveEach) and self._reads_on():
                continue
            return

    def _reads_on(self) -> bool:
        """Whether a message that the flow now waits for has come already, and is read in this step:
        nothing is gained by a commit before it."""
        waiting = self._checkpoint.waiting
        if type(waiting) is OnMessage:
            session = find(self._checkpoint, waiting.session)
            if session is None or session.closed or type(sessions.head(session)) is not Data:
                return False
        elif type(waiting) is OnAny:
            found = [find(self._checkpoint, number) for number in waiting.sessions]
            heads = [sessions.head(one) for one in found if one is not None and not one.closed]
            if not any(type(head) is Data for head in heads):
                return False
            if not can_go_on(self._checkpoint, self._world.now_us):
                return False
        if self._world.reads_on <= 0:
            return False
        self._world.reads_on -= 1
        self._turns = 0
        if type(waiting) is OnMessage:
            self._take(waiting.session)
        elif type(waiting) is OnAny:
            self._waited = waiting
        return True

    def throw(self, name: str, fields: bytes) -> None:
        """Throw a declared error where the flow rests, and go on with what handles it. The message
        that it would have gone on with is passed over: what failed with it fails no second time."""
        kind = self._kind_of(name)
        if kind is None:
            raise Fault(f"no flow under way here can name the error {name}")
        error = error_of(kind, decode(kind.Fields, fields), "", None)
        checkpoint = self._checkpoint
        frame = checkpoint.frames[-1]
        waiting = checkpoint.waiting
        self._pass_over(waiting)
        at_start = type(frame.state) is self._world.registry.classes[frame.flow].Start
        if at_start or type(waiting) is OnAcceptance:
            # There is no `try` around the beginning of a flow, nor around its end.
            if not self._thrown(error):
                return
        else:
            self._planned = error
            self._waited = OnAny()
        self._go_on()

    def end(self, error: FlowKilled) -> None:
        """End every frame, whatever it waits for; nothing of the flow's own code runs, so nothing
        can catch it. Peers learn that the flow ended, and its error id."""
        checkpoint = self._checkpoint
        checkpoint.admitted = False
        while checkpoint.frames:
            self._thrown(error)
        self._result = None

    def _accepted(self, waiting: OnAcceptance) -> bool:
        """The invitations are accepted, or it is too late. True if a caller goes on."""
        checkpoint = self._checkpoint
        if is_unheard(checkpoint):
            return self._thrown(Timeout())
        kind = self._world.registry.classes[checkpoint.frames[-1].flow].Result
        return self._returned(decode(kind, waiting.result))

    def _receive(self, step: Receive) -> None:
        extra = self._checkpoint.extra
        if step.until is None and (extra is None or not extra.deadlines):
            self._checkpoint.waiting = OnMessage(step.session)
            return
        until_us = self._until(step.until)
        discard = step.discard and self._is_first(step.until, until_us)
        self._checkpoint.waiting = OnAny((step.session,), (), ANY, 0, until_us, discard)

    def _is_first(self, own: datetime.datetime | None, until_us: int) -> bool:
        """Whether a wait's own deadline passes before those over its frames: a caller's says that
        nothing more is wanted at all, so nothing is owed then."""
        return own is not None and _moment(own) <= until_us

    def _until(self, own: datetime.datetime | None) -> int:
        """The earliest of a wait's own deadline and those over its frames; 0 if there is none."""
        found = [_moment(own)] if own is not None else []
        extra = self._checkpoint.extra
        if extra is not None:
            found += [until_us for _, until_us in extra.deadlines]
        return min(found, default=0)

    def _rest(self, step: object) -> None:
        now_us = self._world.now_us
        match step:
            case ReceiveEach():
                if len(set(step.sessions)) != len(step.sessions):
                    raise Fault("one session stands twice in the group to receive from")
                kind = SOME if step.optional else EACH
                until_us = self._until(step.until)
                discard = step.discard and self._is_first(step.until, until_us)
                waiting: Waiting = OnAny(step.sessions, (), kind, 0, until_us, discard)
            case Choose():
                due_us = 0 if step.timeout is None else _later(now_us, step.timeout)
                until_us = self._until(step.until)
                waiting = OnAny(step.sessions, step.calls, ANY, due_us, until_us)
            case Await():
                waiting = OnAny((), step.calls, EACH, 0, self._until(step.until))
            case Sleep():
                waiting = self._asleep(_later(now_us, step.duration), step.until)
            case WaitUntil():
                waiting = self._asleep(_moment(step.time), step.until)
            case Hold():
                reason = writable(step.reason)
                waiting = OnOperator(reason)
                self._checkpoint.admitted = True
                self._commit.held = reason
            case _:
                raise InvariantBroken(f"{type(step).__name__} is not a step")
        self._checkpoint.waiting = waiting

    def _asleep(self, due_us: int, until: datetime.datetime | None) -> Waiting:
        until_us = self._until(until)
        return OnAny((), (), ANY, due_us, until_us) if until_us else OnTime(due_us)

    def _call(self, step: Call) -> None:
        frames = self._checkpoint.frames
        if len(frames) >= MAX_FRAMES:
            raise Fault(f"subflows call each other more than {MAX_FRAMES} deep")
        name = self._world.registry.names.get(step.flow)
        if name is None:
            raise Fault(f"{step.flow.__name__} is not registered on this node")
        frames.append(StackFrame(name, step.start))
        if step.flow.steps:
            begun = Detail(BEGUN, step.flow.version)
            self._moved(name, len(frames) - 1, "", detail=begun)
        if step.until is not None:
            self._extra().deadlines.append((len(frames) - 1, _moment(step.until)))

    def _returned(self, value: object) -> bool:
        """End the innermost frame well, unless an invitation of its own is still open or was
        rejected: who only sends must learn that nobody listened. True if a caller goes on."""
        checkpoint = self._checkpoint
        depth = len(checkpoint.frames) - 1
        for session in checkpoint.sessions:
            if session.frame == depth and type(sessions.head(session)) is Reject:
                return self._thrown(self._error_from(session, sessions.read(session)))
        if is_unheard(checkpoint):
            checkpoint.waiting = OnAcceptance(encode(value), self._until(None))
            return False
        name = checkpoint.frames[depth].flow
        self._drop_frame(END)
        if depth > 0:
            self._over(name, depth)
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
        name = checkpoint.frames[depth].flow
        self._drop_frame(_disclosed(error))
        if depth > 0:
            self._over(name, depth, "failed", str(error))
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
                else:
                    self._forget(session)
        extra = checkpoint.extra
        if extra is not None:
            extra.deadlines = [one for one in extra.deadlines if one[0] < depth]
            for call in [call for call in extra.calls if call.frame >= depth]:
                self._drop(call)
        checkpoint.frames.pop()

    def _end(self, session: SessionState, farewell: Content, named: int = 0) -> None:
        if not session.secret:
            self._refuse_rest(session)
        letter = sessions.say(session, farewell)
        if letter is not None:
            self._commit.post(session, letter)
        session.closed = named or 1
        if not named and is_settled(self._checkpoint, session):
            self._checkpoint.sessions.remove(session)

    def _forget(self, session: SessionState) -> None:
        """Nobody can name a closed session any more."""
        session.closed = 1
        if is_settled(self._checkpoint, session):
            self._checkpoint.sessions.remove(session)

    def _refuse_rest(self, session: SessionState) -> None:
        """What the owner sent and nobody read goes back."""
        while type(head := sessions.head(session)) is Data:
            sessions.read(session)
            self._commit.bounce(session, head, "the flow has ended")

    # --- what generated code calls ---

    @property
    def now(self) -> datetime.datetime:
        if self._now is None:
            self._now = EPOCH + datetime.timedelta(microseconds=self._world.now_us)
        return self._now

    def open(self, flow: str, party: Party, block: int, plays: str = "") -> Session:
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
        self._must_have_room(session)
        messages = shapes.told(opener.roles[plays]) if plays else ""
        opened = Opened(session, flow, plays or opener.name, opener.version, messages)
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
        if found.status != sessions.OPEN or not self._world.has_room(found.peer):
            self._must_have_room(found)
        letter = sessions.say(found, Data(message.wire, body))
        if letter is not None:
            self._commit.post(found, letter)

    def _must_have_room(self, session: SessionState) -> None:
        """Put the step off if too much waits for the peer already. What one step says does not
        count for it, or a step that says much could never be taken."""
        number = session.id
        if session.status == sessions.INVITED and number not in self._unsent:
            self._unsent[number] = sessions.is_much(session.unsent)
        if self._unsent and self._unsent.get(number):
            raise Congested(f"{session.peer} has not confirmed the session, and much waits for it")
        if session.secret and not self._world.has_room(session.peer):
            raise Congested(f"too much waits for {session.peer}, who does not acknowledge it")

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
            if session.frame != depth or session.block <= block:
                continue
            if session.closed == NAMED:
                self._forget(session)
            elif not session.closed:
                self._end(session, END)

    def peer(self, session: Session) -> Party:
        found = find(self._checkpoint, session)
        if found is None:
            raise Fault("the session has ended, so its peer is not known any more")
        return Party(found.peer) if found.secret else self.me

    def close(self, session: Session) -> None:
        found = find(self._checkpoint, session)
        if found is not None and not found.closed:
            self._end(found, END, NAMED)
            extra = self._checkpoint.extra
            given_up = extra is not None and extra.owed.pop(found.id, None) is not None
            if extra is not None and given_up and is_undecided(found):
                extra.owed[found.id] = 0  # Nor is its acceptance waited for.

    def version(self, session: Session) -> int:
        found = find(self._checkpoint, session)
        if found is None or not found.version:
            raise Fault("the version of the flow at the other end is not known here")
        return found.version

    # --- others ---

    def start(
        self, flow: type[Flow[Any]], start: State, at: datetime.datetime | None = None
    ) -> int:
        name = self._world.registry.names.get(flow)
        if name is None:
            raise Fault(f"{flow.__name__} is not registered on this node")
        self._refuse_second(flow, flow.key(start))
        flow_id = self._world.new_flow()
        due_us = 0 if at is None else max(0, _micros(at))
        if due_us <= self._world.now_us:
            due_us = 0
        self._commit.more.starts.append(Started(flow_id, name, start, due_us))
        return flow_id

    def _refuse_second(self, flow: type[Flow[Any]], key: str) -> None:
        """Of the flows of one name only one lives under a business key."""
        classes = self._world.registry.classes
        living = self._world.holder(flow.name, key) if key else None
        for other in self._commit.more.starts if key else ():
            kind = classes[other.flow]
            if (kind.name, kind.key(other.start)) == (flow.name, key):
                living = other.flow_id
        if living is not None:
            raise FlowFailed(f"{flow.name} {key} lives already: it is flow {living}")

    def request(self, key: ServiceKey[Any], operation: str, *arguments: object) -> Pending:
        kinds = {found.name: found.kind for found in key.operations}
        if kinds[operation] == "event":
            return self._expect(f"{key.name}.{operation}", encode(arguments))
        kind = ONCE if kinds[operation] == "once" else OPERATION
        pending = self._new_call(kind, f"{key.name}.{operation}", encode(arguments))
        self._commit.more.requested.append(pending)
        return pending

    def _expect(self, what: str, detail: bytes) -> Pending:
        """Begin to wait for an event: it is asked for at once, and again when it is told."""
        pending = self._new_call(EVENT, what, detail)
        ending = self._world.asked(what, detail)
        if ending is None:
            self._commit.more.waits[pending] = (what, detail, True)
        else:
            call = self._extra().calls[-1]
            call.done = ending
            call.came = self._checkpoint.steps
        return pending

    def follow(self, flow_id: int) -> Pending:
        pending = self._new_call(FLOW, "", b"")
        call = self._extra().calls[-1]
        call.target = flow_id
        outcome = self._world.lookup(flow_id)
        if outcome is not None:
            call.done = ending_of(outcome)
            call.came = self._checkpoint.steps
        elif all(one.flow_id != flow_id for one in self._commit.more.starts):
            self._commit.more.follows.append(flow_id)  # Perhaps another flow started it.
        return pending

    def ask(
        self,
        role: str,
        asked: str,
        question: object,
        answer: str,
        within: datetime.timedelta | None = None,
    ) -> Pending:
        value = encode(question)
        now_us = self._world.now_us
        due_us = 0 if within is None else _later(now_us, within)
        pending = self._new_call(TASK, role, encode(Question(asked, value, answer)))
        self._extra().calls[-1].due_us = due_us
        flow = self._checkpoint.frames[-1].flow
        self._commit.more.tasks[pending] = Task(
            self.flow_id, pending, writable(role), flow, asked, value, answer, now_us, due_us
        )
        return pending

    def _new_call(self, kind: int, what: str, detail: bytes) -> Pending:
        extra = self._extra()
        number = extra.next_call
        extra.next_call = number + 1
        depth = len(self._checkpoint.frames) - 1
        extra.calls.append(CallState(number, kind, depth, what, detail))
        return Pending(number)

    # --- what people see ---

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
        detail = _LABEL if number_of(frame.step) == index else None
        frame.step = position
        text = registry.classes[frame.flow].steps[index].label if label is None else label
        self._moved(frame.flow, len(frames) - 1, text, None, shown, detail)

    def _over(self, name: str, depth: int, outcome: str = "done", cause: str = "") -> None:
        """A subflow has ended; one that shows no steps leaves nothing behind that people see."""
        if self._world.registry.step_names.get(name):
            detail = Detail(OVER, state=outcome, cause=writable(cause)[:MAX_TEXT])
            self._moved(name, depth, "", detail=detail)

    def _moved(
        self,
        name: str,
        depth: int,
        label: str,
        outcome: str | None = None,
        values: dict[str, Any] | None = None,
        detail: Detail | None = None,
    ) -> None:
        checkpoint = self._checkpoint
        registry = self._world.registry
        event = ProgressEvent(
            checkpoint.moves,
            unversioned(name),
            depth,
            path_of(checkpoint.frames, registry.step_names),
            writable(label),
            outcome,
            values or {},
            detail,
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


_ON_COMMIT = OnCommit()
_LABEL = Detail(LABEL)


def ending_of(outcome: Outcome) -> Ending:
    """How a flow's end looks to who started it."""
    if outcome.error is None:
        return Ending(outcome.value)
    text = decode(tuple[msgspec.Raw, str, str | None, str], outcome.value)[3]
    reason = FlowFailed(f"{outcome.error}: {text}"[:MAX_TEXT]).fields()
    return Ending(encode(reason), FlowFailed.wire, text[:MAX_TEXT])


def _micros(time: datetime.datetime) -> int:
    """Microseconds since 1970, within what a store's integer holds."""
    return (time - EPOCH) // _MICROSECOND


def _moment(time: datetime.datetime) -> int:
    """The same of a time that is waited for: 0 says that there is none."""
    return max(1, _micros(time))


def _later(now_us: int, duration: datetime.timedelta) -> int:
    return min(now_us + max(0, duration // _MICROSECOND), INT_MAX)


def _disclosed(error: FlowError) -> Failure:
    """What a counterparty learns: details travel one hop, and only of declared errors."""
    if error.builtin or error.peer is not None:
        return Failure(UnexpectedFlowEnd.wire, b"", error.error_id)
    return Failure(error.wire, encode(error.fields()), error.error_id, families_of(error))
