"""Flows that failed and wait for a person: what is known of each, and how it is put into words.

Treats nobody itself.
"""

from __future__ import annotations

import msgspec

FAILED, HELD, LOST, PAUSED, UNLOADABLE = "failed", "held", "lost", "paused", "unloadable"
"""Why a flow is in the hospital."""


class Patient(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A flow in the hospital, with its last good state.

    `cause` is the error's type and text, or the reason of a `hold`; `flow` and `state` are the
    innermost flow and its state, `place` the `.flow` line there; `since_us` is when (microseconds
    since 1970); `trace` is the Python traceback, for the operator only. `kind` is why it is here:
    its step failed, it holds itself, an operation was lost, an operator paused it, or it cannot be
    loaded.
    """

    flow_id: int
    flow: str
    state: str
    place: str
    cause: str
    since_us: int
    trace: str = ""
    kind: str = FAILED


def text_of(error: Exception) -> str:
    """An error's type and text, though the text is made by an author's Python too."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def one_line(text: str) -> str:
    """A text that cannot forge a second log line."""
    return "".join([c if c.isprintable() else f"\\x{ord(c):02x}" for c in text])
