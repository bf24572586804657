"""How types stand to each other: what fits where, what two have in common, what operators give.

Pure functions of types. Knows no tree and reports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowlang.types import (
    BYTES,
    DECIMAL,
    DURATION,
    FLOW_ID,
    INT,
    NONE,
    SESSION,
    TEXT,
    TIMESTAMP,
    UNKNOWN,
    AnswerType,
    Builtin,
    Caught,
    FlowIdType,
    ListType,
    MapType,
    Named,
    NoneType,
    OptionalType,
    Type,
    Unknown,
)

ORDERED = frozenset({"Int", "Decimal", "Text", "Timestamp", "Duration"})
"""What `<` compares."""

PRINTABLE = frozenset(
    {"Int", "Decimal", "Bool", "Text", "Bytes", "Party", "Timestamp", "Duration", "FlowId"}
)
"""What a text can show."""


def fits(given: Type, wanted: Type) -> bool:
    """Whether a value of type `given` may stand where `wanted` is wanted."""
    match given, wanted:
        case (Unknown(), _) | (_, Unknown()):
            return True
        case NoneType(), _:
            return isinstance(wanted, NoneType | OptionalType)
        case _, OptionalType(item=item):
            return fits(bare(given), item)
        # Values are immutable, so a list of Int is also a list of Int?.
        case ListType(item=have), ListType(item=want):
            return fits(have, want)
        case MapType(key=key, value=have), MapType(key=wanted_key, value=want):
            return fits(key, wanted_key) and fits(have, want)
        case FlowIdType(result=have), FlowIdType(result=want):
            return fits(have, want)
        case FlowIdType(), _ if wanted == FLOW_ID:
            return True
        case _:
            return given == wanted


def join(left: Type, right: Type) -> Type | None:
    """The narrowest type that both fit, or None."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return UNKNOWN
    if fits(left, right):
        return right
    if fits(right, left):
        return left
    if left == NONE or right == NONE:
        return OptionalType(right if left == NONE else left)
    if isinstance(left, ListType) and isinstance(right, ListType):
        item = join(left.item, right.item)
        return None if item is None else ListType(item)
    if isinstance(left, FlowIdType) and isinstance(right, FlowIdType):
        return FLOW_ID
    return None


def bare(kind: Type) -> Type:
    """The type without its `?`."""
    return kind.item if isinstance(kind, OptionalType) else kind


def has_session(kind: Type) -> bool:
    """Whether a value of this type is a session, or is made of some."""
    return any(part == SESSION for part in _parts(kind))


def has_error(kind: Type) -> bool:
    """Whether a value of this type is an error, or is made of some."""
    return any(
        isinstance(part, Caught) or (isinstance(part, Named) and part.kind == "error")
        for part in _parts(kind)
    )


def undecided(kind: Type) -> bool:
    """Whether the type of a bare `none`, `[]` or `{}` is part of it."""
    return any(isinstance(part, NoneType) for part in _parts(kind))


def _parts(kind: Type) -> list[Type]:
    match kind:
        case ListType(item=item) | OptionalType(item=item):
            return [kind, *_parts(item)]
        case MapType(key=key, value=value):
            return [kind, *_parts(key), *_parts(value)]
        case FlowIdType(result=inner) | AnswerType(value=inner):
            return [kind, *_parts(inner)]
        case _:
            return [kind]


def printable(kind: Type) -> bool:
    """Whether a text can show it."""
    kind = bare(kind)
    return isinstance(kind, Unknown | FlowIdType) or (
        isinstance(kind, Builtin) and kind.name in PRINTABLE
    )


def ordered(kind: Type) -> bool:
    """Whether `<` compares it."""
    return isinstance(kind, Builtin) and kind.name in ORDERED


_ARITHMETIC: Mapping[tuple[Type, str, Type], Type] = {
    **{(INT, operator, INT): INT for operator in ("+", "-", "*", "//", "%")},
    **{(DECIMAL, operator, DECIMAL): DECIMAL for operator in ("+", "-", "*")},
    (TEXT, "+", TEXT): TEXT,
    (BYTES, "+", BYTES): BYTES,
    (TIMESTAMP, "+", DURATION): TIMESTAMP,
    (TIMESTAMP, "-", DURATION): TIMESTAMP,
    (TIMESTAMP, "-", TIMESTAMP): DURATION,
    (DURATION, "+", DURATION): DURATION,
    (DURATION, "-", DURATION): DURATION,
    (DURATION, "*", INT): DURATION,
}

NEGATABLE = (INT, DECIMAL, DURATION)


def arithmetic(left: Type, operator: str, right: Type) -> Type | None:
    """What the operator gives for these operands, or None where it does not apply."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return UNKNOWN
    if operator == "+" and isinstance(left, ListType) and isinstance(right, ListType):
        return join(left, right)
    return _ARITHMETIC.get((left, operator, right))


def same_sort(left: Type, right: Type) -> bool:
    """Whether `==` may compare them: equal types, or one may be absent."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return True
    if left == NONE or right == NONE:
        return isinstance(left, OptionalType | NoneType) and isinstance(
            right, OptionalType | NoneType
        )
    return fits(left, right) or fits(right, left) or fits(bare(left), bare(right))
