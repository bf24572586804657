"""The types of the language as values, and what a checked file knows. Decides nothing.

Types are compared by content and are plain data, so that a `Machine` can carry them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from flowlang import syntax
from flowlang.diagnostics import Diagnostic
from flowlang.source import Source, Span

# --- protocols ------------------------------------------------------------------------------------


class Said(msgspec.Struct, frozen=True):
    """A message that may be sent in a turn: its qualified name, the turn after it, where a protocol
    says so."""

    message: str
    target: int
    module: str
    line: int
    text: str


class Turn(msgspec.Struct, frozen=True):
    """One point of a protocol: `sender` is the role whose turn it is, empty where nobody's is; what
    it may send. `over` says that the session may end here instead, by that role; where the line
    stands."""

    sender: str
    said: tuple[Said, ...]
    over: bool
    module: str
    line: int
    text: str


# --- types ------------------------------------------------------------------------------------


class Builtin(msgspec.Struct, frozen=True, tag_field="of", tag="builtin"):
    """Int Decimal Bool Text Bytes Timestamp Duration Party Session FlowId."""

    name: str


class Named(msgspec.Struct, frozen=True, tag_field="of", tag="named"):
    """A declared record, message, enum, Python type or error. `name` is qualified:
    `shop.orders.Line`."""

    kind: Literal["record", "message", "enum", "type", "error"]
    name: str


class Caught(msgspec.Struct, frozen=True, tag_field="of", tag="caught"):
    """What a `catch` of several errors takes: one of these."""

    errors: tuple[str, ...]


class ListType(msgspec.Struct, frozen=True, tag_field="of", tag="list"):
    item: Type


class MapType(msgspec.Struct, frozen=True, tag_field="of", tag="map"):
    key: Type
    value: Type


class OptionalType(msgspec.Struct, frozen=True, tag_field="of", tag="optional"):
    """`T?`. Never nested: `T??` is `T?`."""

    item: Type


class FlowIdType(msgspec.Struct, frozen=True, tag_field="of", tag="flow_id"):
    """`FlowId[T]`: the id of a flow started here that gives a T. Stands for a plain FlowId too."""

    result: Type


class AnswerType(msgspec.Struct, frozen=True, tag_field="of", tag="answer"):
    """What somebody answered to `ask`: the answer itself, who gave it and when. Has no written
    form."""

    value: Type


class PendingType(msgspec.Struct, frozen=True, tag_field="of", tag="pending"):
    """What was begun and not waited for; `result` comes as a case of a `receive:`. Has no written
    form and is no value."""

    kind: Literal["answer", "result"]
    result: Type


class NoneType(msgspec.Struct, frozen=True, tag_field="of", tag="none"):
    """The type of `none` alone."""


class Unknown(msgspec.Struct, frozen=True, tag_field="of", tag="unknown"):
    """What an expression with a reported mistake has; it fits everywhere and reports nothing more.
    Never reaches a `Machine`."""


Type: TypeAlias = (
    Builtin
    | Named
    | Caught
    | ListType
    | MapType
    | OptionalType
    | FlowIdType
    | AnswerType
    | PendingType
    | NoneType
    | Unknown
)

INT = Builtin("Int")
DECIMAL = Builtin("Decimal")
BOOL = Builtin("Bool")
TEXT = Builtin("Text")
BYTES = Builtin("Bytes")
TIMESTAMP = Builtin("Timestamp")
DURATION = Builtin("Duration")
PARTY = Builtin("Party")
SESSION = Builtin("Session")
FLOW_ID = Builtin("FlowId")
NONE = NoneType()
UNKNOWN = Unknown()

BUILTINS: Mapping[str, Builtin] = {
    t.name: t
    for t in (INT, DECIMAL, BOOL, TEXT, BYTES, TIMESTAMP, DURATION, PARTY, SESSION, FLOW_ID)
}


def shown(kind: Type) -> str:
    """As an author writes it: `List[Line]?`; a declared type by its short name."""
    match kind:
        case Builtin(name=name):
            return name
        case Named(name=name):
            return name.rpartition(".")[2]
        case Caught(errors=errors):
            return " or ".join(name.rpartition(".")[2] for name in errors)
        case ListType(item=item):
            return f"List[{shown(item)}]"
        case MapType(key=key, value=value):
            return f"Map[{shown(key)}, {shown(value)}]"
        case OptionalType(item=item):
            return f"{shown(item)}?"
        case FlowIdType(result=result):
            return f"FlowId[{shown(result)}]"
        case AnswerType(value=value):
            return f"the answer {shown(value)}"
        case PendingType(result=NoneType()):
            return "pending"
        case PendingType(result=result):
            return f"pending {shown(result)}"
        case NoneType():
            return "none"
        case Unknown():
            return "?"


# --- what names mean --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class FieldInfo:
    name: str
    type: Type
    default: syntax.Expr | None


@dataclasses.dataclass(frozen=True, eq=False)
class ParameterInfo:
    name: str
    type: Type
    untrusted: bool
    default: syntax.Expr | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class RecordInfo:
    """A record or message, resolved."""

    name: str  # qualified
    kind: Literal["record", "message"]
    fields: tuple[FieldInfo, ...]
    declaration: syntax.Record


@dataclasses.dataclass(frozen=True, eq=False)
class CaseInfo:
    """One case of an enum; its fields are those of the values made by it."""

    name: str  # short
    enum: str  # qualified
    fields: tuple[FieldInfo, ...]
    declaration: syntax.EnumCase

    @property
    def qualified(self) -> str:
        """`shop.orders.Decision.Approved`."""
        return f"{self.enum}.{self.name}"


@dataclasses.dataclass(frozen=True, eq=False)
class EnumInfo:
    """An enum; its cases by short name, in their order."""

    name: str  # qualified
    cases: Mapping[str, CaseInfo]
    declaration: syntax.Enum


@dataclasses.dataclass(frozen=True, eq=False)
class OpaqueInfo:
    """A Python type: `fields` are what flows may see of it."""

    name: str  # qualified
    fields: tuple[FieldInfo, ...]
    ordered: bool
    declaration: syntax.Opaque


@dataclasses.dataclass(frozen=True, eq=False)
class ErrorInfo:
    """A declared or built-in error; a built-in one has no declaration and the field `reason`.
    `families` are the errors behind `is`, its own first, then that one's."""

    name: str  # qualified, or the bare name of a built-in one
    parameters: tuple[ParameterInfo, ...]
    declaration: syntax.Error | None
    families: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class FunctionInfo:
    name: str
    parameters: tuple[ParameterInfo, ...]
    result: Type
    declaration: syntax.Function


AWAITED = frozenset(("event", "external"))
"""The kinds of operation that a flow waits for."""


@dataclasses.dataclass(frozen=True, eq=False)
class OperationInfo:
    name: str  # short
    kind: Literal["read", "write", "event", "external"]
    parameters: tuple[ParameterInfo, ...]
    result: Type | None
    declaration: syntax.Operation


@dataclasses.dataclass(frozen=True, eq=False)
class ServiceInfo:
    name: str
    operations: Mapping[str, OperationInfo]
    declaration: syntax.Service


@dataclasses.dataclass(frozen=True, eq=False)
class StepInfo:
    """A progress step: `parameters` are the values that a move to it shows."""

    name: str
    parameters: tuple[ParameterInfo, ...]
    declaration: syntax.ProgressStep


@dataclasses.dataclass(frozen=True, eq=False)
class FlowInfo:
    """A flow's face: all that others need to call, open or start it."""

    name: str
    version: int
    parameters: tuple[ParameterInfo, ...]
    result: Type | None
    untrusted_result: bool
    responds_to: str | None  # qualified name of the initiator, or of the role that it has
    steps: Mapping[str, StepInfo]
    declaration: syntax.Flow
    plays: tuple[PlaysInfo, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class ProtocolInfo:
    """A protocol between two roles; it begins with its first turn. Without turns it is wrong, which
    was reported."""

    name: str
    roles: tuple[str, ...]
    turns: tuple[Turn, ...]
    declaration: syntax.Protocol

    def other(self, role: str) -> str:
        """The role that this one talks to."""
        return next((one for one in self.roles if one != role), role)


@dataclasses.dataclass(frozen=True)
class PlaysInfo:
    """A flow plays a role on a session of its own; `node` is what says so. `protocol` is
    qualified."""

    session: str
    protocol: str
    role: str
    node: object
    span: Span


@dataclasses.dataclass(frozen=True, eq=False)
class ScheduleInfo:
    name: str
    declaration: syntax.Schedule


TypeInfo: TypeAlias = RecordInfo | EnumInfo | OpaqueInfo | ErrorInfo
"""What a `Named` type can be."""

Info: TypeAlias = TypeInfo | FunctionInfo | ServiceInfo | FlowInfo | ScheduleInfo | ProtocolInfo


@dataclasses.dataclass(frozen=True)
class Method:
    """What every value of a type can be asked after a dot. `function` is what computes it;
    `result` is what it gives; without `brackets` it is written like a field."""

    function: str
    parameters: tuple[tuple[str, Type], ...]
    result: Type
    brackets: bool


Meaning: TypeAlias = Info | CaseInfo | OperationInfo
"""What a name, or a name behind a name, stands for."""


@dataclasses.dataclass(frozen=True, eq=False)
class Variable:
    """One variable of a flow: a parameter, a `let`, `var`, loop, matched, session, received or
    caught one.

    Two variables of one name in two blocks are two `Variable`s.
    """

    name: str
    type: Type
    mutable: bool
    span: Span


@dataclasses.dataclass(frozen=True)
class Checked:
    """A file and what the checker found out, beside the tree.

    `type_of` has every expression of every flow (after narrowing, the narrowed type; for a call
    without a result, that of `none`) and every default and error text; `variable_of` has every
    `Name` that reads a variable and every statement or catch that binds or assigns one (`Let For
    Open Receive Assign Catch Responds Parameter`, and the `Bound`s of a case; also the parameters
    of an error and of a step, which its text reads); `meaning_of` has every `Name` that names a
    declaration, and the `Call`s' callees that are attributes (`Desk.propose`) as their
    `OperationInfo`, and every `Decision.Pending`, called or not, as its `CaseInfo`. `methods` has
    the attributes and calls that ask a value something. `patterns` has, for each pattern, the case
    that it means. `calls` has, for each `Call` of a record, error, function, operation or flow and
    for each `StepTo`, its arguments in declared order (None: the default).
    `checks_of` has, for each case that names a message and does not take it unchecked, how many of
    its first statements are its block of checks.
    `infos` are this file's own declarations by short name, in order; `scope` adds the used ones;
    `named` has, by qualified name, every declared type and error that a type here can lead to.
    """

    source: Source
    file: syntax.File
    infos: Mapping[str, Info]
    scope: Mapping[str, Info]
    type_of: Mapping[syntax.Expr, Type]
    variable_of: Mapping[object, Variable]
    meaning_of: Mapping[syntax.Expr, Meaning]
    calls: Mapping[syntax.Call | syntax.StepTo, tuple[syntax.Expr | None, ...]]
    type_refs: Mapping[syntax.TypeRef, Type]
    checks_of: Mapping[syntax.MessageCase, int]
    diagnostics: tuple[Diagnostic, ...]
    named: Mapping[str, TypeInfo] = dataclasses.field(default_factory=dict)
    methods: Mapping[syntax.Expr, Method] = dataclasses.field(default_factory=dict)
    patterns: Mapping[syntax.CasePattern, CaseInfo] = dataclasses.field(default_factory=dict)
