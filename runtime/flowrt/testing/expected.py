"""What a flow at rest waits for: which messages, in which sessions. Runs no step to its end.

The generated class itself is asked: its step begins by naming what it takes, and is stopped there.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from flowrt.core import flow as rt
from flowrt.core.registry import Registry
from flowrt.core.values import Checkpoint, OnAny, OnMessage


class Expected(msgspec.Struct, frozen=True):
    """A message that the flow takes where it rests: its type, and the session by its number."""

    session: int
    kind: type[rt.Message]


class _Asked(BaseException):
    """The step has said what it takes; no handler of generated code catches this."""

    def __init__(self, taken: tuple[tuple[int | None, type[rt.Message]], ...]) -> None:
        self.taken = taken


class _Question:
    """What stands for a running step. All that a step may ask before it takes something is to be
    found here; anything else means that it takes no message."""

    def received(self, kind: type[rt.Message]) -> NoReturn:
        raise _Asked(((None, kind),))

    received_each = received
    received_some = received

    def chosen(self, *arms: rt.Arm) -> NoReturn:
        taken: list[tuple[int | None, type[rt.Message]]] = []
        for arm in arms:
            if isinstance(arm, rt.Came):
                several = arm.sessions if isinstance(arm.sessions, tuple) else (arm.sessions,)
                taken += [(number, arm.kind) for number in several]
        raise _Asked(tuple(taken))

    def __getattr__(self, name: str) -> NoReturn:
        raise _Asked(())


def expected(checkpoint: Checkpoint, registry: Registry) -> list[Expected]:
    """The messages that the flow takes where it rests, in the order in which it names them. Empty
    where it waits for something else: time, an answer, a person."""
    waiting = checkpoint.waiting
    if type(waiting) is OnMessage:
        sessions: tuple[int, ...] = (waiting.session,)
    elif type(waiting) is OnAny:
        sessions = waiting.sessions
    else:
        return []
    innermost = checkpoint.frames[-1]
    step: Any = registry.classes[innermost.flow].step
    try:
        step(innermost.state, _Question())
    except _Asked as asked:
        return [
            Expected(one, kind)
            for number, kind in asked.taken
            for one in (sessions if number is None else (number,))
            if one in sessions
        ]
    return []
