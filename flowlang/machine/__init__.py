"""A flow as an explicit state machine, and a module of them: plain data, to and from JSON.

The centre of the house: everything before it works towards this value, everything after it (code,
diagrams, checks) reads nothing else. Names in it are the author's; the code generator makes them
safe for Python. It decides nothing and prints nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from flowlang.machine.actions import (
    Action,
    Assign,
    Break,
    CatchBlock,
    Check,
    Close,
    Continue,
    Do,
    For,
    If,
    Leave,
    Log,
    Open,
    Progress,
    Require,
    Return,
    Send,
    Throw,
    Try,
    While,
)
from flowlang.machine.expressions import (
    About,
    Answered,
    Arithmetic,
    AskFor,
    Beginning,
    Builtin,
    CallFunction,
    CallOperation,
    Cased,
    Compare,
    Compute,
    Const,
    Divide,
    Earlier,
    Entries,
    Expr,
    Follow,
    FollowEach,
    Get,
    IsCase,
    Item,
    Items,
    Keys,
    Logic,
    Negate,
    New,
    Not,
    Outcome,
    Peer,
    Place,
    Received,
    Reply,
    Request,
    Sender,
    Shared,
    Size,
    Some,
    StartFlow,
    Text,
    ToDecimal,
    Update,
    Var,
    Version,
)
from flowlang.machine.states import (
    Arm,
    AwaitAnswer,
    AwaitCheckpoint,
    AwaitChoice,
    AwaitEach,
    AwaitMessage,
    AwaitMoment,
    AwaitOperator,
    AwaitResult,
    AwaitResults,
    AwaitSubflow,
    AwaitTime,
    Branch,
    Came,
    Choose,
    Done,
    End,
    Ended,
    Goto,
    Handler,
    Late,
    Machine,
    Next,
    Plays,
    ProgressStep,
    Remedy,
    Role,
    State,
    Suspend,
    Variable,
    Wait,
    retargeted,
    targets,
)
from flowlang.types import Said, Turn, Type

FORMAT = 1


# --- a module of them ---------------------------------------------------------------------------


class Field(msgspec.Struct, frozen=True):
    name: str
    type: Type
    default: Expr | None = None


class Record(msgspec.Struct, frozen=True):
    kind: Literal["record", "message"]
    name: str
    doc: str | None
    fields: tuple[Field, ...]
    place: Place


class Case(msgspec.Struct, frozen=True):
    """One case of an enum, by its qualified name: `shop.Decision.Approved`."""

    name: str
    fields: tuple[Field, ...]
    place: Place


class Enum(msgspec.Struct, frozen=True):
    name: str
    doc: str | None
    cases: tuple[Case, ...]
    place: Place


class Opaque(msgspec.Struct, frozen=True):
    """A type that is a class in Python: `target` is `module:Class`."""

    name: str
    doc: str | None
    target: str
    place: Place


class Error(msgspec.Struct, frozen=True):
    """`text` mentions the fields as variables. `family` is the error that it is one of."""

    name: str
    fields: tuple[Field, ...]
    text: Expr | None
    place: Place
    family: str | None = None


class Function(msgspec.Struct, frozen=True):
    name: str
    parameters: tuple[Variable, ...]
    result: Type
    target: str
    place: Place


class Operation(msgspec.Struct, frozen=True):
    """`external` ones leave the node, at least once; those that are `once` at most once."""

    name: str
    kind: Literal["read", "write", "event", "external", "once"]
    parameters: tuple[Variable, ...]
    result: Type | None


class Service(msgspec.Struct, frozen=True):
    name: str
    doc: str | None
    operations: tuple[Operation, ...]
    place: Place


class Schedule(msgspec.Struct, frozen=True):
    """Starts the flow (qualified name and version) whenever `cron` says so in the time zone."""

    name: str
    flow: str
    version: int
    arguments: tuple[Expr, ...]
    cron: str
    zone: str
    place: Place


class Protocol(msgspec.Struct, frozen=True):
    """Who says what to whom, as turns; it begins with the first."""

    name: str
    doc: str | None
    roles: tuple[str, ...]
    turns: tuple[Turn, ...]
    place: Place


class Module(msgspec.Struct, frozen=True):
    """What one `.flow` file becomes. `uses` maps each used module to the short names taken from it,
    and `used_errors` are those of them that are errors, qualified; `digest` is the SHA-256 of the
    source, as hex. All other names are qualified."""

    format: int
    module: str
    source: str
    digest: str
    doc: str | None
    uses: dict[str, tuple[str, ...]]
    used_errors: tuple[str, ...]
    records: tuple[Record, ...]
    errors: tuple[Error, ...]
    functions: tuple[Function, ...]
    services: tuple[Service, ...]
    machines: tuple[Machine, ...]
    enums: tuple[Enum, ...] = ()
    opaques: tuple[Opaque, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    protocols: tuple[Protocol, ...] = ()


def to_json(module: Module) -> bytes:
    """The module as indented JSON, the same bytes for the same module."""
    return msgspec.json.format(msgspec.json.encode(module), indent=2) + b"\n"


def from_json(data: bytes) -> Module:
    """The module again. Raises `msgspec.ValidationError` for anything else."""
    return msgspec.json.decode(data, type=Module)


__all__ = [
    "FORMAT",
    "About",
    "Action",
    "Answered",
    "Arithmetic",
    "Arm",
    "AskFor",
    "Assign",
    "AwaitAnswer",
    "AwaitCheckpoint",
    "AwaitChoice",
    "AwaitEach",
    "AwaitMessage",
    "AwaitMoment",
    "AwaitOperator",
    "AwaitResult",
    "AwaitResults",
    "AwaitSubflow",
    "AwaitTime",
    "Beginning",
    "Branch",
    "Break",
    "Builtin",
    "CallFunction",
    "CallOperation",
    "Came",
    "Case",
    "Cased",
    "CatchBlock",
    "Check",
    "Choose",
    "Close",
    "Compare",
    "Compute",
    "Const",
    "Continue",
    "Divide",
    "Do",
    "Done",
    "Earlier",
    "End",
    "Ended",
    "Entries",
    "Enum",
    "Error",
    "Expr",
    "Field",
    "Follow",
    "FollowEach",
    "For",
    "Function",
    "Get",
    "Goto",
    "Handler",
    "If",
    "IsCase",
    "Item",
    "Items",
    "Keys",
    "Late",
    "Leave",
    "Log",
    "Logic",
    "Machine",
    "Module",
    "Negate",
    "New",
    "Next",
    "Not",
    "Opaque",
    "Open",
    "Operation",
    "Outcome",
    "Peer",
    "Place",
    "Plays",
    "Progress",
    "ProgressStep",
    "Protocol",
    "Received",
    "Record",
    "Remedy",
    "Reply",
    "Request",
    "Require",
    "Return",
    "Role",
    "Said",
    "Schedule",
    "Send",
    "Sender",
    "Service",
    "Shared",
    "Size",
    "Some",
    "StartFlow",
    "State",
    "Suspend",
    "Text",
    "Throw",
    "ToDecimal",
    "Try",
    "Turn",
    "Update",
    "Var",
    "Variable",
    "Version",
    "Wait",
    "While",
    "from_json",
    "retargeted",
    "targets",
    "to_json",
]
