"""The tree of a `.flow` file, as written. Holds no meaning: that is the checker's.

Nodes are compared by identity, so that a pass can keep its answers beside the tree
(`type_of[node]`). Every node has the `span` of its text.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from typing import Literal, TypeAlias, TypeVar, dataclass_transform

from flowlang.source import Span

_Class = TypeVar("_Class")


@dataclass_transform(eq_default=False, frozen_default=True)
def _node(cls: type[_Class]) -> type[_Class]:
    return dataclasses.dataclass(frozen=True, eq=False, slots=True)(cls)


# --- types ------------------------------------------------------------------------------------


@_node
class TypeRef:
    """`Int`, `List[T]`, `Map[K, V]`, `T?`, a declared name."""

    name: str
    arguments: tuple[TypeRef, ...]
    optional: bool
    span: Span


# --- expressions ------------------------------------------------------------------------------


@_node
class Constant:
    """A value written out. `kind` is a built-in type's name, or "none"."""

    kind: Literal["Int", "Decimal", "Bool", "Text", "Bytes", "Duration", "none"]
    value: int | decimal.Decimal | bool | str | bytes | datetime.timedelta | None
    span: Span


@_node
class Interpolation:
    """`"text {expression}"`; parts are texts and expressions in their order, `Formatted` ones
    where a format is given."""

    parts: tuple[str | Expr, ...]
    span: Span


@_node
class Formatted:
    """`{value:.2}` in a text, and nowhere else. `format` is as written, `format_span` its place."""

    value: Expr
    format: str
    format_span: Span
    span: Span


@_node
class Name:
    name: str
    span: Span


@_node
class Attribute:
    """`value.name`; `name_span` is the place of the name alone."""

    value: Expr
    name: str
    name_span: Span
    span: Span


@_node
class Index:
    value: Expr
    index: Expr
    span: Span


@_node
class Argument:
    """One argument of a call; `name` is None when it is positional."""

    name: str | None
    value: Expr
    span: Span


@_node
class Call:
    """`Amount(5, currency="EUR")`, `total(lines)`, `Desk.propose(info)`."""

    callee: Name | Attribute
    arguments: tuple[Argument, ...]
    span: Span


@_node
class Unary:
    operator: Literal["-", "not"]
    operand: Expr
    span: Span


BinaryOperator: TypeAlias = Literal[
    "+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "in", "and", "or"
]


@_node
class Binary:
    operator: BinaryOperator
    left: Expr
    right: Expr
    span: Span


@_node
class ListLiteral:
    items: tuple[Expr, ...]
    span: Span


@_node
class MapLiteral:
    entries: tuple[tuple[Expr, Expr], ...]
    span: Span


@_node
class Update:
    """`order with count = 3`: a copy with other values in some fields; every argument is named."""

    value: Expr
    changes: tuple[Argument, ...]
    span: Span


Expr: TypeAlias = (
    Constant
    | Interpolation
    | Formatted
    | Update
    | Name
    | Attribute
    | Index
    | Call
    | Unary
    | Binary
    | ListLiteral
    | MapLiteral
)


@_node
class Subflow:
    """`subflow F(args)`: suspends, so it stands alone or on the right of let, var, = and return."""

    call: Call
    span: Span


# --- statements -------------------------------------------------------------------------------

Block: TypeAlias = "tuple[Statement, ...]"


@_node
class Let:
    """`let x = …` and, where `mutable`, `var x = …`; `type` is the written one, if any."""

    name: str
    name_span: Span
    type: TypeRef | None
    value: Expr | Subflow
    mutable: bool
    span: Span


@_node
class Assign:
    name: str
    name_span: Span
    value: Expr | Subflow
    span: Span


@_node
class If:
    """`branches` are the `if` and its `elif`s, in order."""

    branches: tuple[tuple[Expr, Block], ...]
    otherwise: Block | None
    span: Span


@_node
class Binding:
    """A name that a pattern gives to a part of what it matches."""

    name: str
    span: Span


@_node
class AnyPattern:
    """`_`: whatever was not matched before."""

    span: Span


@_node
class ValuePattern:
    """A value written out; `none` too."""

    value: Constant
    span: Span


@_node
class CasePattern:
    """`Approved(by)`: a case of an enum, by its short name. `bindings` are None for `Approved`
    alone, which looks at no field; one of them is None where `_` stands."""

    name: str
    name_span: Span
    bindings: tuple[Binding | None, ...] | None
    span: Span


Pattern: TypeAlias = AnyPattern | ValuePattern | CasePattern


@_node
class MatchCase:
    """`case A, B:` and its block."""

    patterns: tuple[Pattern, ...]
    body: Block
    span: Span


@_node
class Match:
    """`broken` says that a case could not be read."""

    value: Expr
    cases: tuple[MatchCase, ...]
    broken: bool
    span: Span


@_node
class While:
    condition: Expr
    body: Block
    span: Span


@_node
class For:
    name: str
    name_span: Span
    values: Expr
    body: Block
    span: Span


@_node
class Break:
    span: Span


@_node
class Continue:
    span: Span


@_node
class Return:
    value: Expr | Subflow | None
    span: Span


@_node
class Pass:
    span: Span


@_node
class Open:
    """`open F with party as s`."""

    flow: Name
    party: Expr
    name: str
    name_span: Span
    span: Span


@_node
class Send:
    value: Expr
    session: Expr
    span: Span


@_node
class Receive:
    """`receive x: T from s:` + checks, or `unchecked` (then `checks` is None).

    `send` is what a `send … then receive …` sends first; `state` is the name given by `@name`.
    """

    name: str
    name_span: Span
    type: TypeRef
    session: Expr
    checks: Block | None
    send: Send | None
    state: str | None
    span: Span


@_node
class SubflowStatement:
    subflow: Subflow
    span: Span


@_node
class Catch:
    """`catch E, F as e:`; `name` is None where the error itself is not wanted."""

    errors: tuple[Name, ...]
    name: str | None
    name_span: Span | None
    body: Block
    span: Span


@_node
class Try:
    body: Block
    catches: tuple[Catch, ...]
    span: Span


@_node
class Throw:
    """`error` is a call of a declared error, or the name of a caught one."""

    error: Expr
    span: Span


@_node
class Require:
    condition: Expr
    error: Expr
    span: Span


@_node
class StepTo:
    """`step NAME` and `step NAME: "label"`."""

    name: str
    name_span: Span
    label: Expr | None
    span: Span


@_node
class Sleep:
    duration: Expr
    span: Span


@_node
class Checkpoint:
    span: Span


@_node
class Log:
    level: Literal["debug", "info", "warn"]
    text: Expr
    span: Span


@_node
class Hold:
    reason: Expr
    span: Span


@_node
class CallStatement:
    """A service's operation, called for what it does."""

    call: Call
    span: Span


@_node
class Broken:
    """A statement that could not be read. `names` are the names it mentions, so that later lines
    are not blamed for using them; `body` is the block below it, if it had one."""

    names: tuple[str, ...]
    body: Block
    span: Span


Statement: TypeAlias = (
    Let
    | Assign
    | If
    | Match
    | While
    | For
    | Break
    | Continue
    | Return
    | Pass
    | Open
    | Send
    | Receive
    | SubflowStatement
    | Try
    | Throw
    | Require
    | StepTo
    | Sleep
    | Checkpoint
    | Log
    | Hold
    | CallStatement
    | Broken
)


# --- declarations -----------------------------------------------------------------------------


@_node
class Used:
    name: str
    span: Span


@_node
class Use:
    """`use shop.orders: Order, Line`."""

    module: str
    module_span: Span
    names: tuple[Used, ...]
    span: Span


@_node
class Field:
    name: str
    type: TypeRef
    default: Expr | None
    span: Span


@_node
class Record:
    kind: Literal["record", "message"]
    name: str
    name_span: Span
    doc: str | None
    fields: tuple[Field, ...]
    span: Span


@_node
class Parameter:
    name: str
    type: TypeRef
    untrusted: bool
    default: Expr | None
    span: Span


@_node
class EnumCase:
    """`Approved(by: Text)`; a case without fields has no brackets."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    span: Span


@_node
class Enum:
    name: str
    name_span: Span
    doc: str | None
    cases: tuple[EnumCase, ...]
    span: Span


@_node
class Opaque:
    """`type Invoice = python "shop.invoices:Invoice":`, with what flows may see of the class."""

    name: str
    name_span: Span
    doc: str | None
    target: str
    target_span: Span
    fields: tuple[Field, ...]
    ordered: bool
    span: Span


@_node
class Error:
    """`text` is what a person reads; it may mention the fields."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    text: Expr | None
    span: Span


@_node
class Function:
    """`target` is `module:function` in Python."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    result: TypeRef
    target: str
    target_span: Span
    span: Span


@_node
class Operation:
    kind: Literal["read", "write"]
    name: str
    parameters: tuple[Parameter, ...]
    result: TypeRef | None
    span: Span


@_node
class Service:
    name: str
    name_span: Span
    doc: str | None
    operations: tuple[Operation, ...]
    span: Span


@_node
class ProgressStep:
    name: str
    label: str
    tracks: Name | None
    span: Span


@_node
class Responds:
    """`responds to F as s`."""

    flow: Name
    name: str
    name_span: Span
    span: Span


@_node
class Flow:
    """`broken` says that part of it could not be read: what follows from a gap is not reported."""

    name: str
    name_span: Span
    doc: str | None
    parameters: tuple[Parameter, ...]
    result: TypeRef | None
    version: int
    responds: Responds | None
    startable: tuple[str, ...]
    steps: tuple[ProgressStep, ...]
    body: Block
    broken: bool
    span: Span


Declaration: TypeAlias = Record | Enum | Opaque | Error | Function | Service | Flow


@_node
class File:
    """`broken_names` are the names of declarations that could not be read."""

    doc: str | None
    uses: tuple[Use, ...]
    declarations: tuple[Declaration, ...]
    broken_names: frozenset[str]
