"""Whether a flow at rest can go on, and when it does by itself. Changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from flowrt.core import session as sessions
from flowrt.core.values import (
    ANY,
    EACH,
    EVENT,
    FLOW,
    TASK,
    CallState,
    Checkpoint,
    Data,
    OnAcceptance,
    OnAny,
    OnCommit,
    OnMessage,
    OnSettling,
    OnTime,
    SessionState,
    encode,
)

ORPHAN = -1
"""The owner of a session whose frame has ended: it only waits for its confirmation."""


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
            or session.closed > 0
            or session.status == sessions.OVER
            or sessions.head(session) is not None
        )
    if kind is OnTime:
        return waiting.due_us <= now_us  # type: ignore[union-attr]
    if kind is OnAny:
        return _has_any(checkpoint, waiting, now_us)  # type: ignore[arg-type]
    if kind is OnAcceptance:
        if 0 < waiting.until_us <= now_us:  # type: ignore[union-attr]
            return True
        return not is_unheard(checkpoint)
    if kind is OnSettling:
        return not checkpoint.sessions
    return False


def is_ready(session: SessionState | None) -> bool:
    """Whether the flow can read something of it, be it that it has ended."""
    return is_over(session) or (session is not None and sessions.head(session) is not None)


def is_over(session: SessionState | None) -> bool:
    """Whether nothing can be read of it any more but that it has ended."""
    return session is None or session.closed > 0 or session.status == sessions.OVER


def call_of(checkpoint: Checkpoint, number: int) -> CallState | None:
    """The call of that number, unless it was taken or dropped."""
    if checkpoint.extra is not None:
        for call in checkpoint.extra.calls:
            if call.number == number:
                return call
    return None


def is_done(call: CallState | None, now_us: int) -> bool:
    """Whether the call has ended, be it that its time is over."""
    return call is None or call.done is not None or is_expired(call, now_us)


def is_expired(call: CallState, now_us: int) -> bool:
    """Whether nobody answered in time."""
    return call.done is None and call.kind == TASK and 0 < call.due_us <= now_us


def wait_key(what: str, detail: bytes) -> bytes:
    """What the waits for one event with the same arguments are found by: 16 bytes."""
    return hashlib.blake2b(encode((what, detail)), digest_size=16).digest()


def open_events(checkpoint: Checkpoint) -> list[CallState]:
    """The events that the flow has asked for and that were not so yet."""
    extra = checkpoint.extra
    calls = extra.calls if extra is not None else ()
    return [call for call in calls if call.kind == EVENT and call.done is None]


def runs_outside(checkpoint: Checkpoint) -> bool:
    """Whether somebody must see to a call of this flow: an operation that has not ended."""
    extra = checkpoint.extra
    return extra is not None and any(is_outside(call) for call in extra.calls)


def is_outside(call: CallState) -> bool:
    """Whether it is an operation that has not ended."""
    return call.done is None and call.kind < FLOW


def _has_any(checkpoint: Checkpoint, waiting: OnAny, now_us: int) -> bool:
    if 0 < waiting.until_us <= now_us or 0 < waiting.due_us <= now_us:
        return True
    if waiting.kind == ANY:
        for number in waiting.sessions:
            session = find(checkpoint, number)
            if not is_over(session) and sessions.head(session) is not None:  # type: ignore[arg-type]  # one that is not over is there
                return True
        for number in waiting.calls:
            call = call_of(checkpoint, number)
            # What an earlier choice has taken is over, and happens no second time.
            if call is not None and is_done(call, now_us):
                return True
        return is_hopeless(checkpoint, waiting)
    found = [find(checkpoint, number) for number in waiting.sessions]
    calls = [call_of(checkpoint, number) for number in waiting.calls]
    if waiting.kind == EACH and (
        any(_has_failed(one) for one in found) or any(_went_wrong(one, now_us) for one in calls)
    ):
        return True
    return all(map(is_ready, found)) and all(is_done(call, now_us) for call in calls)


def is_hopeless(checkpoint: Checkpoint, waiting: OnAny) -> bool:
    """Whether all that could still happen is over: ends and results are told only once."""
    return (
        not waiting.due_us
        and all(is_over(find(checkpoint, number)) for number in waiting.sessions)
        and all(call_of(checkpoint, number) is None for number in waiting.calls)
    )


def _has_failed(session: SessionState | None) -> bool:
    return is_over(session) or (
        session is not None
        and (head := sessions.head(session)) is not None
        and type(head) is not Data
    )


def _went_wrong(call: CallState | None, now_us: int) -> bool:
    if call is None or is_expired(call, now_us):
        return True
    return call.done is not None and call.done.error is not None


def _times(checkpoint: Checkpoint, waiting: OnAny) -> Iterator[int]:
    if waiting.until_us:
        yield waiting.until_us
    if waiting.due_us:
        yield waiting.due_us
    for number in waiting.calls:
        call = call_of(checkpoint, number)
        if call is not None and call.kind == TASK and call.done is None and call.due_us:
            yield call.due_us


def due(checkpoint: Checkpoint, now_us: int) -> int | None:
    """When the flow goes on without anybody: 0 for at once, None for not by itself."""
    if checkpoint.admitted:
        return None
    if can_go_on(checkpoint, now_us):
        return 0
    if type(checkpoint.waiting) is OnTime:
        return checkpoint.waiting.due_us
    if type(checkpoint.waiting) is OnAcceptance:
        return checkpoint.waiting.until_us or None
    if type(checkpoint.waiting) is OnAny:
        return min(_times(checkpoint, checkpoint.waiting), default=None)
    return None


def is_undecided(session: SessionState) -> bool:
    """Whether an invitation is neither confirmed nor rejected yet."""
    return session.status in (sessions.NEW, sessions.INVITED) and sessions.head(session) is None


def is_unheard(checkpoint: Checkpoint) -> bool:
    """Whether nobody knows yet if an invitation of the innermost frame is accepted. Sessions for
    which the flow has stopped waiting do not count."""
    depth = len(checkpoint.frames) - 1
    owed = checkpoint.extra.owed if checkpoint.extra is not None else {}
    return any(
        s.frame == depth and is_undecided(s) and s.id not in owed for s in checkpoint.sessions
    )


def is_settled(checkpoint: Checkpoint, session: SessionState) -> bool:
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
