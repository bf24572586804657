"""What came, handed to the flow: messages, ends, results, answers; and what is thrown instead.

Which wait it was and what is there is in the checkpoint. What the flow does next is not known here.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from flowrt.core import session as sessions
from flowrt.core.commit import Commit, World
from flowrt.core.flow import (
    BUILTIN_ERRORS,
    INT_MAX,
    Answer,
    Arm,
    Came,
    Done,
    Ended,
    Fault,
    FlowError,
    FlowFailed,
    Late,
    Malformed,
    Message,
    Party,
    Session,
    SessionEnded,
    SessionRejected,
    TaskExpired,
    Timeout,
    UnexpectedFlowEnd,
    UnexpectedMessage,
    invariant,
)
from flowrt.core.values import (
    ANY,
    EVENT,
    FLOW,
    MAX_TEXT,
    TASK,
    BadBytes,
    CallState,
    Checkpoint,
    Content,
    Data,
    End,
    Ending,
    Extra,
    Failure,
    OnAny,
    OnMessage,
    Reject,
    SessionState,
    Waiting,
    decode,
    decode_foreign,
    decode_message,
    error_of,
)
from flowrt.core.waiting import (
    call_of,
    find,
    is_done,
    is_expired,
    is_hopeless,
    is_over,
    is_ready,
    is_undecided,
)

M = TypeVar("M", bound=Message)
T = TypeVar("T")

END = End()
_NOBODY = Session(-1)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class NotForNow(Exception):
    """What the owner sent does not fit: it goes back, and the flow waits on as if nothing came."""


class Incoming:
    """The part of a running step that reads what it was waked by."""

    __slots__ = (
        "_checkpoint",
        "_commit",
        "_given",
        "_planned",
        "_sender",
        "_taken",
        "_waited",
        "_world",
    )

    def __init__(self, checkpoint: Checkpoint, world: World, commit: Commit) -> None:
        self._checkpoint = checkpoint
        self._world = world
        self._commit = commit
        self._given: tuple[SessionState | None, Content] | None = None
        self._waited: OnAny | None = None
        self._planned: FlowError | None = None
        self._taken: CallState | None = None
        self._sender = _NOBODY

    # --- messages ---

    def received(self, kind: type[M]) -> M:
        if self._waited is not None:
            waited = self._ask_for()
            number = waited.sessions[0]
            if not is_ready(find(self._checkpoint, number)):
                self._give_up(waited)
            self._take(number)
        given, self._given = self._given, None
        invariant(given is not None, "nothing was received")
        assert given is not None
        session, content = given
        if type(content) is not Data:
            raise self._error_from(session, content)
        if content.name != kind.wire:
            self._give_back(session, content, f"the flow waits for {kind.wire}")
            came = content.name[:MAX_TEXT]
            raise UnexpectedMessage(f"{came} arrived where {kind.wire} was expected")
        try:
            return decode_message(kind, content.body)
        except Malformed as error:
            self._give_back(session, content, error.reason)
            raise

    def received_each(self, kind: type[M]) -> tuple[M, ...]:
        waited = self._ask_for()
        self._check_owner(waited, kind)
        found = [find(self._checkpoint, number) for number in waited.sessions]
        failed = [one for one in found if is_over(one) or type(sessions.head(one)) is not Data]  # type: ignore[arg-type]  # one that is not over is there
        ended = [one for one in failed if is_ready(one)]
        if ended:
            first = min(ended, key=lambda one: -1 if one is None else sessions.came(one))
            content = END if first is None or is_over(first) else sessions.read(first)
            raise self._error_from(first, content)
        if failed:
            self._give_up(waited)
        return tuple([self._message_of(number, kind) for number in waited.sessions])

    def _message_of(self, number: int, kind: type[M]) -> M:
        self._take(number)
        return self.received(kind)

    def received_some(self, kind: type[M]) -> tuple[M | None, ...]:
        waited = self._ask_for()
        self._check_owner(waited, kind)
        if not waited.discard and not all(
            is_ready(find(self._checkpoint, number)) for number in waited.sessions
        ):
            self._give_up(waited)
        got: list[M | None] = []
        for number in waited.sessions:
            session = find(self._checkpoint, number)
            if not is_ready(session):
                self._owe(waited, number)
                got.append(None)
                continue
            try:
                got.append(self._message_of(number, kind))
            except FlowError:
                got.append(None)
        return tuple(got)

    def _check_owner(self, waited: OnAny, kind: type[Message]) -> None:
        """Give back what the owner sent and does not fit, before anything else is taken."""
        for number in waited.sessions:
            session = find(self._checkpoint, number)
            if session is None or session.secret or is_over(session):
                continue
            content = sessions.head(session)
            if type(content) is Data and not _fits(content, kind):
                sessions.read(session)
                self._bounce(session, content, f"the flow waits for {kind.wire}")

    def _take(self, number: int) -> None:
        session = find(self._checkpoint, number)
        if session is None or is_over(session):
            self._given = (None, END)
        else:
            self._given = (session, sessions.read(session))

    def _error_from(self, session: SessionState | None, content: Content) -> FlowError:
        if type(content) is Reject:
            return built_in(SessionRejected(content.reason[:MAX_TEXT]), content.error_id, session)
        if type(content) is not Failure:
            return built_in(SessionEnded(), "", session)
        peer = session.peer if session is not None else None
        # What a service throws no file need name, so any flow's errors are known to all of a node.
        kind = self._kind_of(content.name) or self._world.registry.errors.get(content.name)
        if kind is not None:
            try:
                fields = decode_foreign(kind.Fields, content.fields)
            except BadBytes:
                return built_in(UnexpectedFlowEnd(), content.error_id, session)
            return error_of(kind, fields, content.error_id, peer)
        for name in content.families:
            kind = self._kind_of(name)
            if kind is not None and not kind.Fields.__struct_fields__:
                return error_of(kind, None, content.error_id, peer)
        return built_in(UnexpectedFlowEnd(), content.error_id, session)

    def _kind_of(self, name: str) -> type[FlowError] | None:
        """The declared error of that name, if a flow under way can name it."""
        for frame in reversed(self._checkpoint.frames):
            kind = self._world.registry.classes[frame.flow].errors.get(name)
            if kind is not None:
                return kind
        return None

    # --- deadlines ---

    def woken(self) -> None:
        if self._waited is not None:
            waited = self._ask_for()
            if not self._is_own_time(waited):
                self._give_up(waited)

    def _ask_for(self) -> OnAny:
        """The wait that is over; asked for once. Throws what an operator throws instead."""
        waited, self._waited = self._waited, None
        if self._planned is not None:
            planned, self._planned = self._planned, None
            raise planned
        invariant(waited is not None, "the flow did not wait for this")
        assert waited is not None
        return waited

    def _is_own_time(self, waited: OnAny) -> bool:
        """Whether the wait's own time is over, not only the deadline over it."""
        due_us = waited.due_us
        if not 0 < due_us <= self._world.now_us:
            return False
        return not waited.until_us or due_us <= waited.until_us

    def _give_up(self, waited: OnAny) -> NoReturn:
        for number in waited.sessions:
            if not is_ready(find(self._checkpoint, number)):
                self._owe(waited, number)
        raise Timeout

    def _owe(self, waited: OnAny, number: int) -> None:
        """The flow has stopped waiting for this session, and drops what comes late if it said so.
        At its end it does not wait any more to hear that the invitation is accepted."""
        session = find(self._checkpoint, number)
        if waited.discard or (session is not None and is_undecided(session)):
            extra = self._extra()
            extra.owed[number] = extra.owed.get(number, 0) + waited.discard

    def _pass_over(self, waiting: Waiting) -> None:
        """An operator throws an error instead of what the flow waits for: what it would have gone
        on with is dropped, and for the rest it waits no more."""
        if type(waiting) is OnMessage:
            waited = OnAny((waiting.session,))
        elif type(waiting) is OnAny:
            waited = waiting
        else:
            return
        first = min(self._there(waited), key=lambda one: one[0], default=None)
        for number in waited.sessions:
            session = find(self._checkpoint, number)
            if not is_ready(session):
                self._owe(waited, number)
            elif session is not None and (waited.kind != ANY or (first and first[1] is session)):
                self._skip(session)
        for number in waited.calls:
            call = call_of(self._checkpoint, number)
            if call is not None and (
                waited.kind != ANY or call.lost or (first and first[1] is call)
            ):
                self._drop(call)

    def _skip(self, session: SessionState) -> None:
        """Pass over a message. The last word of a session stays, to be read."""
        if is_over(session):
            return
        content = sessions.head(session)
        if type(content) is Data:
            sessions.read(session)
            if not session.secret:
                self._commit.bounce(session, content, "an operator passed it over")

    def _extra(self) -> Extra:
        if self._checkpoint.extra is None:
            self._checkpoint.extra = Extra([], 0, [], {}, 0)
        return self._checkpoint.extra

    # --- choices ---

    def chosen(self, *arms: Arm) -> int:
        waited = self._ask_for()
        came = min(self._there(waited), key=lambda one: one[0], default=None)
        if came is None:
            return self._nothing_came(waited, arms)
        _, thing = came
        if isinstance(thing, CallState):
            return self._call_is_done(thing, arms)
        self._sender = Session(thing.id)
        head = sessions.head(thing)
        if type(head) is Data:
            number = _arm(arms, lambda arm: _takes(arm, thing.id, head.name))
            if number < 0:
                self._give_back(thing, head, "the flow does not wait for it now", unread=True)
        else:
            wanted = type(head) is End
            number = _arm(arms, lambda arm: wanted and _is_end(arm, thing.id))
        content = sessions.read(thing)
        if number >= 0:
            self._given = (thing, content)
            return number
        if type(content) is Data:
            raise UnexpectedMessage(f"{content.name[:MAX_TEXT]} arrived, which no case takes")
        raise self._error_from(thing, content)

    def _there(self, waited: OnAny) -> Iterator[tuple[int, SessionState | CallState]]:
        """What has come, each with when."""
        for number in waited.sessions:
            session = find(self._checkpoint, number)
            if session is not None and not is_over(session) and sessions.head(session) is not None:
                yield sessions.came(session), session
        for number in waited.calls:
            call = call_of(self._checkpoint, number)
            if call is not None and call.done is not None:
                yield call.came, call

    def _nothing_came(self, waited: OnAny, arms: tuple[Arm, ...]) -> int:
        """What is chosen when time is over, or nothing can come any more."""
        now_us = self._world.now_us
        # Of several times that are over, as after a long rest of the node, the earliest counts.
        first = min([due for due in (waited.due_us, waited.until_us) if due], default=INT_MAX)
        for call in self._expired(waited):
            if call.due_us <= first:
                return self._call_is_done(call, arms)
        if self._is_own_time(waited):
            late = _arm(arms, lambda arm: isinstance(arm, Late))
            invariant(late >= 0, "no case takes the timeout")
            for number in waited.sessions:
                self._owe(waited, number)
            return late
        if 0 < waited.until_us <= now_us:
            self._give_up(waited)
        invariant(is_hopeless(self._checkpoint, waited), "nothing came")
        if waited.calls and not waited.sessions:
            raise Fault("all that this waits for was taken before")
        if len(waited.sessions) == 1:
            only = waited.sessions[0]
            self._sender = Session(only)
            number = _arm(arms, lambda arm: _is_end(arm, only))
            if number >= 0:
                return number
        raise SessionEnded

    def _call_is_done(self, call: CallState, arms: tuple[Arm, ...]) -> int:
        self._taken = call
        number = _arm(arms, functools.partial(_is_done, call=call.number))
        invariant(number >= 0, "no case takes the call that is done")
        return number

    def _expired(self, waited: OnAny) -> list[CallState]:
        """The tasks whose time is over, the first one first."""
        calls = [call_of(self._checkpoint, number) for number in waited.calls]
        now_us = self._world.now_us
        over = [call for call in calls if call is not None and is_expired(call, now_us)]
        return sorted(over, key=lambda call: call.due_us)

    def sender(self) -> Session:
        return self._sender

    def _give_back(
        self, session: SessionState | None, content: Data, reason: str, *, unread: bool = False
    ) -> None:
        """What does not fit goes back if the owner sent it; a peer's is the flow's to judge."""
        if session is not None and not session.secret:
            if unread:
                sessions.read(session)
            self._bounce(session, content, reason)

    def _bounce(self, session: SessionState, content: Data, reason: str) -> NoReturn:
        self._commit.bounce(session, content, reason)
        raise NotForNow

    # --- calls ---

    def outcome(self, kind: Any) -> Any:
        return self._value_of(self._one_call(), kind)

    def outcomes(self, kind: Any) -> tuple[Any, ...]:
        waited = self._ask_for()
        calls = [call_of(self._checkpoint, number) for number in waited.calls]
        now_us = self._world.now_us
        failed = [c for c in calls if c is not None and c.done is not None and c.done.error]
        failed = sorted(failed, key=lambda call: call.came) or self._expired(waited)
        is_late = not failed and not all(is_done(call, now_us) for call in calls)
        if failed or is_late:
            for call in calls:
                self._drop(call)
            if is_late:
                self._give_up(waited)
            return (self._value_of(failed[0], kind),)  # It throws.
        return tuple([self._value_of(call, kind) for call in calls])

    def answer(self, kind: Any) -> Answer[Any]:
        call = self._one_call()
        value = self._value_of(call, kind)
        assert call is not None
        assert call.done is not None
        at = EPOCH + datetime.timedelta(microseconds=call.done.at_us)
        return Answer(value, call.done.by, at)

    def _one_call(self) -> CallState | None:
        """The call that a choice took, or the one that was awaited."""
        if self._taken is not None:
            call, self._taken = self._taken, None
            return call
        waited = self._ask_for()
        awaited = call_of(self._checkpoint, waited.calls[0])
        if not is_done(awaited, self._world.now_us) or _was_late_before(awaited, waited):
            self._drop(awaited)
            self._give_up(waited)
        return awaited

    def _value_of(self, call: CallState | None, kind: Any) -> Any:
        invariant(call is not None, "the call was taken before")
        assert call is not None
        self._drop(call)
        if call.done is None:
            raise TaskExpired
        if call.done.error is not None:
            raise self._error_of(call.done)
        return decode(kind, call.done.value)

    def _error_of(self, ending: Ending) -> FlowError:
        name = ending.error or FlowFailed.wire
        kind = self._kind_of(name) or self._world.registry.errors.get(name)
        kind = kind or BUILTIN_ERRORS.get(name)
        if kind is None:
            return UnexpectedFlowEnd(f"{name}: {ending.text}"[:MAX_TEXT])
        return error_of(kind, decode(kind.Fields, ending.value), "", None)

    def _drop(self, call: CallState | None) -> None:
        """The call has no reader any more."""
        extra = self._checkpoint.extra
        if call is None or extra is None or call not in extra.calls:
            return
        extra.calls.remove(call)
        if call.kind == TASK:
            self._commit.more.tasks[call.number] = None
        elif call.kind < FLOW:
            self._commit.more.dropped.append(call.number)
        elif call.kind == EVENT and call.done is None:
            self._commit.more.waits[call.number] = (call.what, call.detail, False)


def _fits(content: Data, kind: type[Message]) -> bool:
    """Whether it is a message of this kind, and can be read."""
    if content.name != kind.wire:
        return False
    try:
        decode_message(kind, content.body)
    except Malformed:
        return False
    return True


def _was_late_before(call: CallState | None, waited: OnAny) -> bool:
    """Whether the deadline passed before the time of a task that nobody answered."""
    return call is not None and call.done is None and 0 < waited.until_us < call.due_us


def _arm(arms: tuple[Arm, ...], fits: Any) -> int:
    """The number of the first arm that fits, or -1."""
    return next((number for number, arm in enumerate(arms) if fits(arm)), -1)


def _among(sessions_: Session | tuple[Session, ...], number: int) -> bool:
    return number in sessions_ if isinstance(sessions_, tuple) else number == sessions_


def _takes(arm: Arm, session: int, name: str) -> bool:
    return isinstance(arm, Came) and arm.kind.wire == name and _among(arm.sessions, session)


def _is_done(arm: Arm, call: int) -> bool:
    return isinstance(arm, Done) and arm.call == call


def _is_end(arm: Arm, session: int) -> bool:
    return isinstance(arm, Ended) and _among(arm.sessions, session)


def built_in(error: FlowError, error_id: str, session: SessionState | None) -> FlowError:
    """A built-in error that came from a session."""
    error.error_id = error_id
    error.peer = Party(session.peer) if session is not None else None
    return error
