"""Expressions of machines, resolved and typed, and places in the source. Plain data."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from flowlang.types import Type


class Place(msgspec.Struct, frozen=True):
    """Where in the source: the line (from 1) and that line's text without its indentation."""

    line: int
    text: str


# --- expressions: resolved and typed ------------------------------------------------------------


class Const(msgspec.Struct, frozen=True, tag_field="node", tag="const"):
    """`type` is a built-in type's name or "none". Decimals and timestamps are written as text,
    bytes as hex, durations as whole milliseconds; a session as its number in its flow."""

    type: str
    value: str | int | bool | None


class Var(msgspec.Struct, frozen=True, tag_field="node", tag="var"):
    name: str


class Get(msgspec.Struct, frozen=True, tag_field="node", tag="get"):
    """A field of a record or error, `name` of a Party."""

    value: Expr
    name: str


class Some(msgspec.Struct, frozen=True, tag_field="node", tag="some"):
    """An optional variable or field where the author's tests have shown that it is not `none`."""

    value: Expr


class IsCase(msgspec.Struct, frozen=True, tag_field="node", tag="is_case"):
    """Whether a value of an enum is one of these cases (qualified); `others` are those it has
    besides."""

    value: Expr
    cases: tuple[str, ...]
    others: tuple[str, ...]


class Cased(msgspec.Struct, frozen=True, tag_field="node", tag="cased"):
    """A value of an enum that a test has shown to be that case; `others` are those that the enum
    has besides."""

    value: Expr
    case: str
    others: tuple[str, ...]


class Update(msgspec.Struct, frozen=True, tag_field="node", tag="update"):
    """A copy of a record or message with other values in these fields, computed in this order."""

    value: Expr
    changes: tuple[tuple[str, Expr], ...]


class Compute(msgspec.Struct, frozen=True, tag_field="node", tag="compute"):
    """What a function of the runtime's library gives; a value that is asked something comes
    first."""

    function: str
    arguments: tuple[Expr, ...]


class New(msgspec.Struct, frozen=True, tag_field="node", tag="new"):
    """A record, message, case of an enum or error by its qualified name; all arguments, in declared
    order."""

    type: str
    arguments: tuple[Expr, ...]


class Arithmetic(msgspec.Struct, frozen=True, tag_field="node", tag="arithmetic"):
    """`+ - * // %`; `type` is the built-in type (or "List") of the left operand."""

    operator: str
    type: str
    left: Expr
    right: Expr


class Compare(msgspec.Struct, frozen=True, tag_field="node", tag="compare"):
    """`== != < <= > >= in`. "in" looks into a list or among a map's keys."""

    operator: str
    left: Expr
    right: Expr


class Logic(msgspec.Struct, frozen=True, tag_field="node", tag="logic"):
    operator: Literal["and", "or"]
    left: Expr
    right: Expr


class Not(msgspec.Struct, frozen=True, tag_field="node", tag="not"):
    value: Expr


class Negate(msgspec.Struct, frozen=True, tag_field="node", tag="negate"):
    type: str
    value: Expr


class Item(msgspec.Struct, frozen=True, tag_field="node", tag="item"):
    """`values[index]` of a list, or `values[key]` of a map where `map` is true."""

    values: Expr
    index: Expr
    map: bool


class Earlier(msgspec.Struct, frozen=True, tag_field="node", tag="earlier"):
    """The earlier of two Timestamps."""

    left: Expr
    right: Expr


class Keys(msgspec.Struct, frozen=True, tag_field="node", tag="keys"):
    """The keys of a map as a list, in their order."""

    value: Expr


class Items(msgspec.Struct, frozen=True, tag_field="node", tag="items"):
    items: tuple[Expr, ...]


class Entries(msgspec.Struct, frozen=True, tag_field="node", tag="entries"):
    entries: tuple[tuple[Expr, Expr], ...]


class Text(msgspec.Struct, frozen=True, tag_field="node", tag="text"):
    """An interpolated text: its parts, each written as the language writes it."""

    parts: tuple[Expr, ...]


class Builtin(msgspec.Struct, frozen=True, tag_field="node", tag="builtin_value"):
    name: Literal["me", "now", "flow_id"]


class Received(msgspec.Struct, frozen=True, tag_field="node", tag="received"):
    """The message, of this type, that the case which was chosen is about."""

    type: str


class Outcome(msgspec.Struct, frozen=True, tag_field="node", tag="outcome"):
    """What came of the pending call that the case which was chosen is about."""

    type: Type | None


class Reply(msgspec.Struct, frozen=True, tag_field="node", tag="reply"):
    """What somebody answered, with the type of that name, where a case about it was chosen."""

    type: str


class Sender(msgspec.Struct, frozen=True, tag_field="node", tag="sender"):
    """The session that the case which was chosen is about."""


class Peer(msgspec.Struct, frozen=True, tag_field="node", tag="peer"):
    session: Expr


class Version(msgspec.Struct, frozen=True, tag_field="node", tag="version"):
    """The version of the flow at a session's other end."""

    session: Expr


class About(msgspec.Struct, frozen=True, tag_field="node", tag="about"):
    """What any error tells of itself: its text, who sent it, the id by which logs know it."""

    value: Expr
    what: Literal["text", "peer", "id"]


class Shared(msgspec.Struct, frozen=True, tag_field="node", tag="shared"):
    """A field that each of several errors has, of the one that was caught."""

    value: Expr
    name: str


class Size(msgspec.Struct, frozen=True, tag_field="node", tag="size"):
    value: Expr


class Divide(msgspec.Struct, frozen=True, tag_field="node", tag="divide"):
    """`divide(x, y, places, ROUNDING)`."""

    left: Expr
    right: Expr
    places: Expr
    rounding: str


class ToDecimal(msgspec.Struct, frozen=True, tag_field="node", tag="to_decimal"):
    """`decimal(n)` of an Int."""

    value: Expr


class CallFunction(msgspec.Struct, frozen=True, tag_field="node", tag="function"):
    """`target` is the `module:function` in Python that is behind the name."""

    name: str
    target: str
    arguments: tuple[Expr, ...]


class CallOperation(msgspec.Struct, frozen=True, tag_field="node", tag="operation"):
    service: str
    operation: str
    arguments: tuple[Expr, ...]


class Answered(msgspec.Struct, frozen=True, tag_field="node", tag="answered"):
    """A part of what `ask` brought: what was answered, by whom, and when."""

    value: Expr
    part: Literal["value", "by", "at"]


class StartFlow(msgspec.Struct, frozen=True, tag_field="node", tag="start"):
    """Starts another flow (qualified name and version), maybe later; the value is its id."""

    flow: str
    version: int
    arguments: tuple[Expr, ...]
    at: Expr | None


class Request(msgspec.Struct, frozen=True, tag_field="node", tag="request"):
    """Begins an external operation. The value of this and of the next three is not what comes of
    it, but that it is pending."""

    service: str
    operation: str
    arguments: tuple[Expr, ...]


class Follow(msgspec.Struct, frozen=True, tag_field="node", tag="follow"):
    """Begins to wait for the end of a flow."""

    id: Expr


class FollowEach(msgspec.Struct, frozen=True, tag_field="node", tag="follow_each"):
    """Begins to wait for the end of each flow of a list."""

    ids: Expr


class AskFor(msgspec.Struct, frozen=True, tag_field="node", tag="ask"):
    """Begins to ask people; `asked` and `answer` are the qualified names of the types of what they
    are asked and of what they answer with."""

    role: Expr
    asked: str
    question: Expr
    answer: str
    within: Expr | None


Beginning: TypeAlias = StartFlow | Request | Follow | FollowEach | AskFor
"""What is begun in a step and goes on after it."""

Expr: TypeAlias = (
    Const
    | Var
    | Get
    | Some
    | IsCase
    | Cased
    | Update
    | Compute
    | New
    | Arithmetic
    | Compare
    | Logic
    | Not
    | Negate
    | Item
    | Earlier
    | Keys
    | Items
    | Entries
    | Text
    | Builtin
    | Received
    | Outcome
    | Reply
    | Sender
    | Peer
    | Version
    | About
    | Shared
    | Size
    | Divide
    | ToDecimal
    | CallFunction
    | CallOperation
    | Answered
    | Beginning
)
