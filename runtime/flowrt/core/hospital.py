"""Flows that failed: what is known of each, when it is looked at again, and how that is put into
words.

Treats nobody itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flowrt.core.session import head
from flowrt.core.values import (
    Checkpoint,
    Content,
    Data,
    OnAny,
    OnMessage,
    OnOperator,
    OnTime,
    SessionState,
)
from flowrt.core.waiting import find

FAILED, HELD, LOST, PAUSED, UNLOADABLE = "failed", "held", "lost", "paused", "unloadable"
"""Why a flow is in the hospital."""

AGAIN, ENDS = "retry", "end"
"""What is done by itself with a patient when its time comes."""


class Patient(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A flow in the hospital, with its last good state.

    `cause` is the error's type and text, or the reason of a `hold`; `flow` and `state` are the
    innermost flow and its state, `place` the `.flow` line there; `since_us` is when (microseconds
    since 1970); `trace` is the Python traceback, for the operator only. `kind` is why it is here:
    its step failed, it holds itself, an operation was lost, an operator paused it, or it cannot be
    loaded.

    `tries` counts how often it was tried again by itself since it last went on. At `next_us` it
    is tried again by itself, or ended, as `next` says; "" waits for a person. `event` is what it
    was going on with when it failed, `peer` who invited it, or "", `line` the `.flow` line that
    failed, if it is known.
    """

    flow_id: int
    flow: str
    state: str
    place: str
    cause: str
    since_us: int
    trace: str = ""
    kind: str = FAILED
    tries: int = 0
    next_us: int = 0
    next: str = ""
    event: str = ""
    peer: str = ""
    line: str = ""


def text_of(error: Exception) -> str:
    """An error's type and text, though the text is made by an author's Python too."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def one_line(text: str) -> str:
    """A text that cannot forge a second log line."""
    return "".join([c if c.isprintable() else f"\\x{ord(c):02x}" for c in text])


def inviter_of(checkpoint: Checkpoint, responds: bool) -> str:
    """Who invited a flow that responds; "" for any other, and if that session is over."""
    session = find(checkpoint, 0) if responds else None
    return session.peer if session is not None else ""


def event_of(checkpoint: Checkpoint) -> str:
    """What a flow that rests so goes on with, in words."""
    waiting = checkpoint.waiting
    if type(waiting) is OnMessage:
        return _came([find(checkpoint, waiting.session)])
    if type(waiting) is OnAny:
        if waiting.sessions:
            return _came([find(checkpoint, number) for number in waiting.sessions])
        return "what it awaited" if waiting.calls else "time"
    if type(waiting) is OnTime:
        return "time"
    if type(waiting) is OnOperator:
        return "an operator"
    return "its beginning" if checkpoint.steps <= 1 else "a checkpoint"


def _came(sessions: list[SessionState | None]) -> str:
    """The first message of these sessions that is there."""
    for session in sessions:
        content: Any = head(session) if session is not None else None
        if session is not None and content is not None:
            return f"{_word(content)} of {session.peer or 'its owner'}"
    return "the end of a session"


def _word(content: Content) -> str:
    return content.name[:200] if type(content) is Data else f"the {type(content).__name__.lower()}"
