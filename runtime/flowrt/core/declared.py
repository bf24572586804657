"""What authors declare: bases of values, messages, parties, states and errors; the built-in errors.

Computes nothing and knows no flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec


class Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of records and messages: immutable, compared by content, bytes without field names."""


class Message(Value, frozen=True, array_like=True, gc=False):
    """A value that may cross the wire. `wire` is its qualified name, which is its tag there."""

    wire: ClassVar[str] = ""


class Party(Value, frozen=True, array_like=True, gc=False):
    """One who takes part: known by `name`, authenticated by the transport."""

    name: str


class State(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of the states of generated flows: the variables that the rest of the flow still needs.

    `place` is the `.flow` file and line at which the flow rests in this state.
    """

    place: ClassVar[str] = ""


# --- what goes wrong --------------------------------------------------------------------------


class Fault(Exception):
    """Arithmetic or an index went wrong. In a block of checks the peer is blamed (`Malformed`);
    anywhere else it is the flow's own bug and the flow goes to the hospital."""


class FlowError(Exception):
    """Base of every declared error: an outcome, which travels to counterparties and can be caught.

    Attributes:
        error_id: names this failure in the logs of both sides; empty until the engine sees it.
        peer: who sent it, or None when it was thrown here.
    """

    wire: ClassVar[str] = "FlowError"
    builtin: ClassVar[bool] = False
    Fields: ClassVar[type[Value]] = Value
    error_id: str = ""
    peer: Party | None = None

    def fields(self) -> Value:
        """The declared fields, as the value that travels or is kept."""
        names = self.Fields.__struct_fields__
        return self.Fields(*[getattr(self, name) for name in names])

    def field(self, name: str) -> Any:
        """A field that each of the errors that were caught together has."""
        return getattr(self, name)


class _Reason(Value, frozen=True, array_like=True, gc=False):
    reason: str = ""


class BuiltinError(FlowError):
    """Base of the errors that the runtime itself throws; peers see only their id."""

    builtin = True
    Fields = _Reason

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or type(self).__doc__ or "")


class SessionRejected(BuiltinError):
    """the counterparty did not accept the session"""

    wire = "SessionRejected"


class SessionEnded(BuiltinError):
    """the counterparty ended the session"""

    wire = "SessionEnded"


class UnexpectedFlowEnd(BuiltinError):
    """the counterparty's flow failed; its own log has the details under the same id"""

    wire = "UnexpectedFlowEnd"


class UnexpectedMessage(BuiltinError):
    """a message of another type arrived than this flow waits for"""

    wire = "UnexpectedMessage"


class Malformed(BuiltinError):
    """a message could not be read or checked"""

    wire = "Malformed"


class Timeout(BuiltinError):
    """what was waited for did not come in time"""

    wire = "Timeout"


class TaskExpired(BuiltinError):
    """nobody answered the question in time"""

    wire = "TaskExpired"


class FlowFailed(BuiltinError):
    """a flow that was started here failed"""

    wire = "FlowFailed"


class FlowKilled(BuiltinError):
    """an operator ended the flow"""

    wire = "FlowKilled"


BUILTIN_ERRORS: Mapping[str, type[BuiltinError]] = {
    error.wire: error for error in BuiltinError.__subclasses__()
}


def invariant(holds: object, message: str) -> None:
    """Stop this step when our own rules are broken; unlike `assert` it stays on under `-O`."""
    if not holds:
        raise InvariantBroken(message)


class InvariantBroken(Exception):
    """The engine or a generated class broke its own rule. Never the user's mistake."""
