"""Types, expressions and effects, as written."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from typing import Literal, TypeAlias, TypeVar, dataclass_transform

from flowlang.source import Span

_Class = TypeVar("_Class")


@dataclass_transform(eq_default=False, frozen_default=True)
def node(cls: type[_Class]) -> type[_Class]:
    """A class of the tree: frozen, compared by identity."""
    return dataclasses.dataclass(frozen=True, eq=False, slots=True)(cls)


# --- types ------------------------------------------------------------------------------------


@node
class TypeRef:
    """`Int`, `List[T]`, `Map[K, V]`, `T?`, a declared name; with a `role`, that of a protocol."""

    name: str
    arguments: tuple[TypeRef, ...]
    optional: bool
    span: Span
    role: Name | None = None


# --- expressions ------------------------------------------------------------------------------


@node
class Constant:
    """A value written out. `kind` is a built-in type's name, or "none"."""

    kind: Literal["Int", "Decimal", "Bool", "Text", "Bytes", "Duration", "none"]
    value: int | decimal.Decimal | bool | str | bytes | datetime.timedelta | None
    span: Span


@node
class Interpolation:
    """`"text {expression}"`; parts are texts and expressions in their order, `Formatted` ones
    where a format is given."""

    parts: tuple[str | Expr, ...]
    span: Span


@node
class Formatted:
    """`{value:.2}` in a text, and nowhere else. `format` is as written, `format_span` its place."""

    value: Expr
    format: str
    format_span: Span
    span: Span


@node
class Name:
    name: str
    span: Span


@node
class Attribute:
    """`value.name`; `name_span` is the place of the name alone."""

    value: Expr
    name: str
    name_span: Span
    span: Span


@node
class Index:
    value: Expr
    index: Expr
    span: Span


@node
class Argument:
    """One argument of a call; `name` is None when it is positional."""

    name: str | None
    value: Expr
    span: Span


@node
class Call:
    """`Amount(5, currency="EUR")`, `total(lines)`, `Desk.propose(info)`."""

    callee: Name | Attribute
    arguments: tuple[Argument, ...]
    span: Span


@node
class Unary:
    operator: Literal["-", "not"]
    operand: Expr
    span: Span


BinaryOperator: TypeAlias = Literal[
    "+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "in", "and", "or"
]


@node
class Binary:
    operator: BinaryOperator
    left: Expr
    right: Expr
    span: Span


@node
class ListLiteral:
    items: tuple[Expr, ...]
    span: Span


@node
class MapLiteral:
    entries: tuple[tuple[Expr, Expr], ...]
    span: Span


@node
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


# --- effects: they suspend, so they stand alone or right of let, var, = and return ---------------


@node
class Subflow:
    """`subflow F(args)`."""

    call: Call
    span: Span


@node
class Start:
    """`start F(args)` and `start F(args) at t`; the callee of `call` is a flow."""

    call: Call
    at: Expr | None
    span: Span


@node
class Await:
    """`await Service.op(args)`, `await id` and, for `each`, `await each ids`."""

    value: Expr
    each: bool
    span: Span


@node
class Ask:
    """`ask "role": Question(…) -> Answer within 2d`."""

    role: Expr
    question: Expr
    answer: TypeRef
    deadline: Expr | None
    span: Span


@node
class Pending:
    """`pending await …` and `pending ask …`: begins it and goes on."""

    effect: Await | Ask
    span: Span


Waiting: TypeAlias = Subflow | Await | Ask
"""Effects that wait; the others begin something and go on."""

Effect: TypeAlias = Waiting | Start | Pending
