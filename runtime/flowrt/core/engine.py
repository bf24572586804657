"""One event in, one commit out. Knows no clock, no store, no wire.

`advance` takes a flow's checkpoint and an event, runs the flow to its next wait, and answers with
everything that must now be written at once: the new checkpoint, what leaves, the outcome. It owns
the checkpoint that it is given and changes it in place: whoever must be able to go back keeps the
bytes. A step that raises leaves nothing behind but a spoiled checkpoint, to be loaded anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from flowrt.core import session as sessions
from flowrt.core.commit import Commit as Commit
from flowrt.core.commit import Opened as Opened
from flowrt.core.commit import Outcome as Outcome
from flowrt.core.commit import World as World
from flowrt.core.flow import BUILTIN_ERRORS, FlowError, FlowKilled, UnexpectedFlowEnd
from flowrt.core.incoming import built_in
from flowrt.core.registry import AnyFlow
from flowrt.core.step import StepRun, ending_of
from flowrt.core.values import (
    CHECKPOINT_FORMAT,
    FLOW,
    MAX_TEXT,
    NAMED,
    TASK,
    Checkpoint,
    Confirm,
    Data,
    Ending,
    Extra,
    Letter,
    OnCommit,
    OnOperator,
    OnTime,
    SessionState,
    StackFrame,
    decode,
    error_of,
)
from flowrt.core.values import writable as writable
from flowrt.core.waiting import (
    can_go_on,
    is_expired,
    is_outside,
    is_settled,
    is_undecided,
    open_events,
)
from flowrt.core.waiting import due as due
from flowrt.core.waiting import find as find

# --- events -----------------------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, gc=False):
    """The first step of a new flow."""


class Resume(msgspec.Struct, frozen=True, gc=False):
    """What the flow rested for is there: go on."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A letter from an authenticated peer."""

    peer: str
    letter: Letter


class Command(msgspec.Struct, frozen=True, gc=False):
    """A message from the flow's owner."""

    content: Data


class CallEnded(msgspec.Struct, frozen=True, gc=False):
    """Something that the flow began has ended."""

    number: int
    ending: Ending


class FlowEnded(msgspec.Struct, frozen=True, gc=False):
    """A flow that this one started has ended."""

    flow_id: int
    outcome: Outcome


class Happened(msgspec.Struct, frozen=True, gc=False):
    """An event that the flow waits for, as its call of that number, is said to be so."""

    number: int


class Told(msgspec.Struct, frozen=True, gc=False):
    """Somebody says, outside of every step, that an event is so. It is no flow's; who waits for it
    is looked up."""

    what: str
    detail: bytes


class Followed(msgspec.Struct, frozen=True, gc=False):
    """Another flow wants to hear of this one's end."""

    follower: int


class Severed(msgspec.Struct, frozen=True, gc=False):
    """The store of `peer`, or if that is "" our own, has lost what it knew of its sessions: they
    end, but for those of the numbers in `spared`. Operations under way keep the keys that they had
    under `former`."""

    peer: str
    text: str
    error_id: str
    spared: frozenset[int] = frozenset()
    former: bytes = b""


class Lost(msgspec.Struct, frozen=True, gc=False):
    """An operation that the flow began needs a person; says why."""

    number: int
    cause: str


class Retry(msgspec.Struct, frozen=True, gc=False):
    """An operator lets a flow out of the hospital, to try again; says who and why."""

    by: str = ""
    reason: str = ""


class Again(msgspec.Struct, frozen=True, gc=False):
    """The time has come to try a patient again, with nobody asking for it."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """An operator changes variables of a patient that rests in `state`, and lets it try again.
    `values` are bytes by name; `shown` says it in words."""

    by: str
    reason: str
    state: str
    values: dict[str, bytes]
    shown: str


class Throw(msgspec.Struct, frozen=True, gc=False):
    """An operator throws a declared error where a patient rests: its name, the bytes of its
    fields, and `shown`, which says it in words."""

    by: str
    reason: str
    error: str
    fields: bytes
    shown: str


class End(msgspec.Struct, frozen=True, gc=False):
    """A patient is ended because its policy says so; `cause` is what it was admitted for."""

    cause: str


class Kill(msgspec.Struct, frozen=True, gc=False):
    """An operator ends a flow, wherever it is; says who and why."""

    by: str
    reason: str


class Pause(msgspec.Struct, frozen=True, gc=False):
    """An operator lets a flow rest: it keeps what comes, and does not go on."""

    by: str
    reason: str


Taken: TypeAlias = Command | CallEnded | FlowEnded | Followed | Lost
"""What is kept in the checkpoint, whether or not the flow can go on with it."""

Event = (
    Begin
    | Resume
    | Arrival
    | Severed
    | Happened
    | Told
    | Taken
    | Retry
    | Again
    | Change
    | Throw
    | End
    | Kill
    | Pause
)

BEGIN = Begin()
RESUME = Resume()
RETRY = Retry()
AGAIN = Again()


# --- making and moving checkpoints ------------------------------------------------------------


def begin(name: str, flow: AnyFlow, start: Any, parent: int = 0, due_us: int = 0) -> Checkpoint:
    """The checkpoint of a flow that nobody has run yet. `parent` is the flow that starts it, if one
    does; it begins at once, or at `due_us`. `start` has 0 for the owner's session."""
    key = flow.key(start)
    return Checkpoint(
        CHECKPOINT_FORMAT,
        [StackFrame(name, start)],
        OnTime(due_us) if due_us else OnCommit(),
        [sessions.owned(0)] if flow.owner else [],
        next_session=1 if flow.owner else 0,
        extra=Extra([], 0, [], {}, parent, [], key) if parent or key else None,
    )


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
    ready = False
    if type(event) is Resume:
        if checkpoint.admitted:
            return None
        # A flow that is looked at although nothing is there may have missed what became so.
        if not can_go_on(checkpoint, world.now_us) and not _ask_again(checkpoint, world, commit):
            return None
        ready = can_go_on(checkpoint, world.now_us)
    elif type(event) is Happened:
        if not _ask_again(checkpoint, world, commit, event.number):
            return None
    elif type(event) is Arrival:
        if not _arrive(checkpoint, event, commit):
            return None
    elif type(event) is Severed:
        if not _sever(checkpoint, event):
            return None
    elif type(event) in _TAKEN:
        if not _take_in(checkpoint, event, world, commit):  # type: ignore[arg-type]  # as just looked at
            return None
    elif type(event) is Kill or type(event) is End:
        if not run or not checkpoint.frames:
            return None
        (world.running or StepRun)(checkpoint, flow_id, world, commit).end(_ended_by(event))
        _finish(checkpoint, world, commit)
        return commit
    elif type(event) is Throw:
        if not checkpoint.admitted or not checkpoint.frames:
            return None
        checkpoint.admitted = False
        commit.ran = True
        running = (world.running or StepRun)(checkpoint, flow_id, world, commit)
        running.throw(event.error, event.fields)
        _finish(checkpoint, world, commit)
        return commit
    elif type(event) is Pause:
        if checkpoint.admitted or not checkpoint.frames:
            return None
        checkpoint.admitted = True
        run = False
    elif type(event) in _LETS_GO:
        if type(event) is not Retry and not checkpoint.admitted:
            return None
        if type(event) is Change and not _change(checkpoint, event):
            return None
        checkpoint.admitted = False
        commit.more.requested += _found_again(checkpoint)
        _ask_again(checkpoint, world, commit)
        if type(checkpoint.waiting) is OnOperator:
            checkpoint.waiting = _ON_COMMIT
    ready = ready or (not checkpoint.admitted and can_go_on(checkpoint, world.now_us))
    if run and ready:
        commit.ran = True
        (world.running or StepRun)(checkpoint, flow_id, world, commit).go()
    _finish(checkpoint, world, commit)
    return commit


def admit(checkpoint: Checkpoint, event: Event, world: World) -> Commit:
    """The commit of a step that failed: its flow stays where it was, in the hospital, and keeps
    what had arrived, so that the peer is not asked for it again."""
    commit = Commit()
    if type(event) is Arrival:
        _arrive(checkpoint, event, commit)
    elif type(event) is Severed:
        _sever(checkpoint, event)
    elif type(event) in _TAKEN:
        _take_in(checkpoint, event, world, commit)  # type: ignore[arg-type]  # as just looked at
    elif type(event) is Change:
        _change(checkpoint, event)  # A correction stays, though the step failed again.
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
    if session.closed and session.status in (sessions.OPEN, sessions.OVER):
        return False
    expected, held = session.expected, len(session.inbox)
    taken, freed = sessions.take(session, letter.seq, letter.content, checkpoint.steps)
    if not taken:
        raise NotTaken
    commit.outbox += [(session.peer, letter) for letter in freed]
    if checkpoint.extra is not None and checkpoint.extra.owed:
        _drop_owed(checkpoint.extra, session)
    if session.closed and session.closed != NAMED and is_settled(checkpoint, session):
        checkpoint.sessions.remove(session)
        return True
    return session.expected != expected or len(session.inbox) != held


def _sever(checkpoint: Checkpoint, event: Severed) -> bool:
    """End the sessions that a store has lost; False if the flow has none of them."""
    severed = False
    extra = checkpoint.extra
    for session in list(checkpoint.sessions):
        is_meant = session.secret and event.peer in ("", session.peer)
        if not is_meant or session.id in event.spared:
            continue
        if not sessions.sever(session, checkpoint.steps, event.text, event.error_id):
            continue
        severed = True
        if extra is not None and extra.owed:
            _drop_owed(extra, session)
        if session.closed and session.closed != NAMED and is_settled(checkpoint, session):
            checkpoint.sessions.remove(session)
    for call in extra.calls if extra is not None and event.former else ():
        if is_outside(call) and not call.under:
            call.under = event.former
            severed = True
    return severed


def _drop_owed(extra: Extra, session: SessionState) -> None:
    """Drop what was owed when the flow gave up waiting for it."""
    if extra.owed.get(session.id) == 0 and not is_undecided(session):
        del extra.owed[session.id]  # It is known now whether the invitation is accepted.
    while session.id in extra.owed and (head := sessions.head(session)) is not None:
        if type(head) is not Data:
            del extra.owed[session.id]  # The last word is no message, and stays to be read.
            return
        sessions.read(session)
        _settle(extra, session.id)


def _settle(extra: Extra, number: int) -> None:
    """One of the messages that a session owes is there."""
    extra.owed[number] -= 1
    if not extra.owed[number]:
        del extra.owed[number]


_LETS_GO = frozenset({Retry, Again, Change})


def _change(checkpoint: Checkpoint, event: Change) -> bool:
    """Change variables of the state in which a flow rests; False if it rests elsewhere."""
    if not checkpoint.frames:
        return False
    frame = checkpoint.frames[-1]
    if type(frame.state).__name__ != event.state:
        return False
    kinds = {field.name: field.type for field in msgspec.structs.fields(frame.state)}
    values = {name: decode(kinds[name], data) for name, data in event.values.items()}
    frame.state = msgspec.structs.replace(frame.state, **values)
    return True


def _ended_by(event: Kill | End) -> FlowKilled:
    if isinstance(event, End):
        return FlowKilled(f"its step failed, and its policy ends it: {event.cause}"[:MAX_TEXT])
    return FlowKilled(f"killed by {writable(event.by)}: {writable(event.reason)}"[:MAX_TEXT])


def _found_again(checkpoint: Checkpoint) -> list[int]:
    """The operations that were lost, and that a person lets run again."""
    lost = [] if checkpoint.extra is None else [c for c in checkpoint.extra.calls if c.lost]
    for call in lost:
        call.lost = False
    return [call.number for call in lost]


def _ask_again(checkpoint: Checkpoint, world: World, commit: Commit, number: int = -1) -> bool:
    """Ask for the events that the flow waits for, or for one of them; whether any is so."""
    found = False
    for call in open_events(checkpoint):
        if number not in (-1, call.number):
            continue
        ending = world.asked(call.what, call.detail)
        if ending is not None:
            call.done = ending
            call.came = checkpoint.steps
            commit.more.waits[call.number] = (call.what, call.detail, False)
            found = True
    return found


_TAKEN = frozenset({Command, CallEnded, FlowEnded, Followed, Lost})


def _take_in(checkpoint: Checkpoint, event: Taken, world: World, commit: Commit) -> bool:
    """Keep what came; False if nobody waits for it any more."""
    if type(event) is Command:
        return _command(checkpoint, event.content, commit)
    if type(event) is Followed:
        return _followed(checkpoint, event.follower)
    extra = checkpoint.extra
    if extra is None:
        return False
    if type(event) is Lost:
        lost = [call for call in extra.calls if call.number == event.number and call.done is None]
        for call in lost:
            call.lost = True
        return bool(lost)
    if type(event) is CallEnded:
        calls = [call for call in extra.calls if call.number == event.number]
        ending = event.ending
        if any(is_expired(call, world.now_us) for call in calls):
            return False
    else:
        assert isinstance(event, FlowEnded)
        calls = [c for c in extra.calls if c.kind == FLOW and c.target == event.flow_id]
        ending = ending_of(event.outcome)
    calls = [call for call in calls if call.done is None]
    for call in calls:
        call.done = ending
        call.came = checkpoint.steps
        if call.kind == TASK:
            commit.more.tasks[call.number] = None
    return bool(calls)


def _command(checkpoint: Checkpoint, content: Data, commit: Commit) -> bool:
    session = next((s for s in checkpoint.sessions if not s.secret and not s.closed), None)
    if session is None:
        return False
    extra = checkpoint.extra
    if extra is not None and session.id in extra.owed:
        # Nothing that an owner sent vanishes without a word.
        commit.bounce(session, content, "the flow does not wait for it any more")
        _settle(extra, session.id)
        return True
    session.inbox.append((session.expected, content, checkpoint.steps))
    session.expected += 1
    return True


def _followed(checkpoint: Checkpoint, follower: int) -> bool:
    """Remember who waits for this flow's end, unless it is who started it."""
    if checkpoint.extra is None:
        checkpoint.extra = Extra([], 0, [], {}, 0)
    extra = checkpoint.extra
    if follower == extra.parent or follower in extra.followers:
        return False
    extra.followers.append(follower)
    return True


def _finish(checkpoint: Checkpoint, world: World, commit: Commit) -> None:
    checkpoint.steps += 1
    if not checkpoint.frames and not checkpoint.sessions:
        commit.gone = True
        return
    if checkpoint.extra is not None:
        _tidy(checkpoint, checkpoint.extra)
    commit.due_us = due(checkpoint, world.now_us)


def _tidy(checkpoint: Checkpoint, extra: Extra) -> None:
    """Forget what belongs to sessions that are gone."""
    for number in [number for number in extra.owed if find(checkpoint, number) is None]:
        del extra.owed[number]
    if extra == _NOTHING:
        checkpoint.extra = None


_NOTHING = Extra([], 0, [], {}, 0)


_ON_COMMIT = OnCommit()


def error_from_outcome(outcome: Outcome, errors: Mapping[str, type[FlowError]]) -> FlowError:
    """The error that ended a flow, again."""
    fields, error_id, peer, text = decode(tuple[msgspec.Raw, str, str | None, str], outcome.value)
    name = outcome.error or UnexpectedFlowEnd.wire
    kind = errors.get(name) or BUILTIN_ERRORS.get(name)
    if kind is None:
        return built_in(UnexpectedFlowEnd(f"{name}: {text}"), error_id, None)
    return error_of(kind, decode(kind.Fields, fields), error_id, peer)
