"""What happened in a world, in order. Only committed things are in it, and what went wrong.

`at_us` is the world's time in microseconds, `party` where it happened. Knows no world.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from flowrt.core.flow import Message
from flowrt.core.values import BadBytes, Content, Data, decode_message


class Began(msgspec.Struct, frozen=True):
    """A flow took its first step. `parent` is the flow that started it, 0 if none did."""

    at_us: int
    party: str
    flow_id: int
    flow: str
    parent: int = 0


class Said(msgspec.Struct, frozen=True):
    """What a flow sent or read in a session: a message, its end, an error.

    `session` names the conversation, `flow` the versioned flow and `place` the line where it
    happened; `kind` is the message's class if it is known here.
    """

    at_us: int
    party: str
    flow_id: int
    flow: str
    place: str
    session: bytes
    peer: str
    content: Content
    kind: type[Message] | None = None

    @property
    def message(self) -> Message | None:
        """The message; None for ends and errors, and for what cannot be read."""
        if type(self.content) is not Data or self.kind is None:
            return None
        try:
            return decode_message(self.kind, self.content.body)
        except BadBytes:
            return None

    @property
    def name(self) -> str:
        """The message's name as it travels; "End" and "Failure" for ends and errors."""
        return self.content.name if type(self.content) is Data else type(self.content).__name__


class Sent(Said, frozen=True):
    """A flow said something; `session` and `content` as for all that is said."""


class Received(Said, frozen=True):
    """A flow read something."""


class Called(msgspec.Struct, frozen=True):
    """A flow called a service within its step."""

    at_us: int
    party: str
    flow_id: int
    operation: str
    arguments: tuple[Any, ...]


Place: TypeAlias = tuple[tuple[str, str], ...]
"""Where a flow is: (flow, state) for it and the subflows in it; () before it begins and when it has
ended."""


class Rested(msgspec.Struct, frozen=True):
    """A step was committed: where it began and where its flow rests now. `passed` are the
    places between them where it read on, since what it waited for was there."""

    at_us: int
    party: str
    flow_id: int
    before: Place
    path: Place
    passed: tuple[Place, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the step led its flow, one place after the other: `passed`, then `path`."""
        return (*self.passed, self.path)


class Ended(msgspec.Struct, frozen=True):
    """A flow ended; `error` is the name of what ended it, None if it returned."""

    at_us: int
    party: str
    flow_id: int
    flow: str
    error: str | None
    value: bytes


class Trouble(msgspec.Struct, frozen=True):
    """Something went wrong, because the tape said so. `during` is what was under way."""

    at_us: int
    party: str
    kind: str
    during: str = ""


Event: TypeAlias = Began | Sent | Received | Called | Rested | Ended | Trouble
