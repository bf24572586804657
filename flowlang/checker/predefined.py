"""The names that every file knows without declaring them. Only tables."""

from __future__ import annotations

from collections.abc import Mapping

from flowlang.types import (
    BUILTINS,
    FLOW_ID,
    PARTY,
    TEXT,
    TIMESTAMP,
    Builtin,
    ErrorInfo,
    OptionalType,
    ParameterInfo,
    Type,
)

VALUES: Mapping[str, Builtin] = {"me": PARTY, "now": TIMESTAMP, "flow_id": FLOW_ID}

FUNCTIONS = frozenset(
    {"abs", "decimal", "divide", "int", "max", "min", "round", "text", "timestamp"}
)

ROUNDINGS = ("UP", "DOWN", "HALF_UP", "HALF_DOWN", "HALF_EVEN", "CEILING", "FLOOR")

ERRORS: Mapping[str, ErrorInfo] = {
    name: ErrorInfo(name, (ParameterInfo("reason", TEXT, False),), None)
    for name in (
        "SessionRejected",
        "SessionEnded",
        "UnexpectedFlowEnd",
        "UnexpectedMessage",
        "Malformed",
        "TaskExpired",
        "FlowFailed",
        "Timeout",
    )
}

ANY_ERROR = ErrorInfo("FlowError", (), None)
"""What `catch FlowError` names: any error. It cannot be thrown."""

ABOUT: Mapping[str, Type] = {"text": TEXT, "peer": OptionalType(PARTY), "id": TEXT}
"""What a caught error tells of itself, unless it has a field of that name."""

TYPES = frozenset(BUILTINS) | {"List", "Map"}


def reserved(name: str) -> str | None:
    """What a predefined name is, in words; None for a name that is free."""
    if name in TYPES:
        return "a built-in type"
    if name in ERRORS or name == ANY_ERROR.name:
        return "a built-in error"
    if name in VALUES:
        return "a built-in value"
    if name in ("divide", "decimal"):
        return "a built-in function"
    return None


def function(name: str) -> str | None:
    """What a built-in function is, in words. Variables may have the names of most of them: `text`
    and `min` say too well what many a value is."""
    return "a built-in function" if name in FUNCTIONS else None
