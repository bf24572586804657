"""Names and types in an author's words: articles, lists, and how a name is rightly written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowlang.types import (
    AnswerType,
    FlowIdType,
    ListType,
    MapType,
    Named,
    OptionalType,
    Type,
    Unknown,
    shown,
)

LISTED = 8
"""Names that a sentence lists at most."""

_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
_UPPER = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*\Z")
_WORDS = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+|[0-9]+")


def a(noun: str) -> str:
    """`a flow`, `an error`."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """`` `a`, `b` and `c` ``; only the first of very many."""
    quoted = [f"`{name}`" for name in names[:LISTED]]
    if len(names) > LISTED:
        quoted.append(f"{len(names) - LISTED} more")
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def counted(number: int, noun: str) -> str:
    """`no arguments`, `1 argument`, `2 arguments`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def short(qualified: str) -> str:
    """The name without its module."""
    return qualified.rpartition(".")[2]


def said(kind: Type) -> str:
    """A type as a sentence names it; what is not known of it is left out."""
    match kind:
        case ListType(item=Unknown()):
            return "a list"
        case MapType(value=Unknown()):
            return "a map"
        case _:
            return shown(kind)


def told_apart(given: Type, wanted: Type) -> tuple[str, str]:
    """Both types in words; with their modules where they would look alike."""
    if said(given) != said(wanted):
        return said(given), said(wanted)
    return _in_full(given), _in_full(wanted)


def _in_full(kind: Type) -> str:
    match kind:
        case Named(name=name):
            return name
        case ListType(item=item):
            return f"List[{_in_full(item)}]"
        case MapType(key=key, value=value):
            return f"Map[{_in_full(key)}, {_in_full(value)}]"
        case OptionalType(item=item):
            return f"{_in_full(item)}?"
        case FlowIdType(result=result):
            return f"FlowId[{_in_full(result)}]"
        case AnswerType(value=value):
            return f"the answer {_in_full(value)}"
        case _:
            return shown(kind)


def upper_camel(name: str) -> str:
    """`order_line` as `OrderLine`; unchanged when it is right already."""
    if _CAMEL.match(name):
        return name
    shouted = name.isupper() and "_" in name
    return "".join(
        word.capitalize() if shouted else word[0].upper() + word[1:] for word in _pieces(name)
    )


def snake(name: str) -> str:
    """`orderLine` as `order_line`; unchanged when it is right already."""
    return name if _SNAKE.match(name) else "_".join(_pieces(name)).lower()


def upper(name: str) -> str:
    """`orderLine` as `ORDER_LINE`; unchanged when it is right already."""
    return name if _UPPER.match(name) else "_".join(_pieces(name)).upper()


def _pieces(name: str) -> list[str]:
    return _WORDS.findall(name) or [name]
