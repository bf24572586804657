"""What every value of a type can be asked after a dot: a closed set. Only a table of types."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from flowlang.checker.relations import ordered
from flowlang.types import (
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    TEXT,
    Builtin,
    ListType,
    MapType,
    Method,
    OptionalType,
    Type,
    Unknown,
)

_TEXT_ASKED: Mapping[str, tuple[tuple[tuple[str, Type], ...], Type]] = {
    "upper": ((), TEXT),
    "lower": ((), TEXT),
    "trim": ((), TEXT),
    "starts_with": ((("start", TEXT),), BOOL),
    "ends_with": ((("end", TEXT),), BOOL),
    "contains": ((("part", TEXT),), BOOL),
    "replace": ((("part", TEXT), ("by", TEXT)), TEXT),
    "split": ((("separator", TEXT),), ListType(TEXT)),
    "slice": ((("start", INT), ("end", INT)), TEXT),
}
_DURATION_PARTS = ("days", "hours", "minutes", "seconds", "milliseconds")
_TIMESTAMP_PARTS = ("year", "month", "day", "hour", "minute", "second", "weekday")


@functools.cache
def of(kind: Type) -> Mapping[str, Method]:
    """The methods of a type, by name. `size` is not among them: it is as old as the language."""
    match kind:
        case ListType(item=item):
            return _of_list(kind, item)
        case MapType(key=key, value=value):
            return {
                "keys": Method("map_keys", (), ListType(key), False),
                "values": Method("map_values", (), ListType(value), False),
                "get": Method("map_get", (("key", key),), _optional(value), True),
                "put": Method("map_put", (("key", key), ("value", value)), kind, True),
                "remove": Method("map_remove", (("key", key),), kind, True),
                "contains": Method("map_contains", (("key", key),), BOOL, True),
            }
        case Builtin(name="Text"):
            return {
                name: Method(f"text_{name}", parameters, result, True)
                for name, (parameters, result) in _TEXT_ASKED.items()
            }
        case Builtin(name="Duration"):
            return {name: Method(f"duration_{name}", (), INT, False) for name in _DURATION_PARTS}
        case Builtin(name="Timestamp"):
            return {name: Method(f"timestamp_{name}", (), INT, False) for name in _TIMESTAMP_PARTS}
        case _:
            return {}


def _of_list(kind: ListType, item: Type) -> dict[str, Method]:
    found = {
        "first": Method("list_first", (), _optional(item), False),
        "last": Method("list_last", (), _optional(item), False),
        "reversed": Method("list_reversed", (), kind, True),
        "slice": Method("list_slice", (("start", INT), ("end", INT)), kind, True),
        "index_of": Method("list_index_of", (("item", item),), OptionalType(INT), True),
        "contains": Method("list_contains", (("item", item),), BOOL, True),
        "append": Method("list_append", (("item", item),), kind, True),
    }
    known = not isinstance(item, Unknown)
    if not known or (isinstance(item, Builtin) and ordered(item)):
        found["sorted"] = Method("list_sorted", (), kind, True)
        found["min"] = Method("list_min", (), _optional(item), True)
        found["max"] = Method("list_max", (), _optional(item), True)
    if not known or item in (INT, DECIMAL, DURATION):
        word = item.name.lower() if isinstance(item, Builtin) else "int"
        found["sum"] = Method(f"list_sum_{word}", (), item, True)
    if not known or item == TEXT:
        found["join"] = Method("list_join", (("separator", TEXT),), TEXT, True)
    return found


def _optional(kind: Type) -> Type:
    return kind if isinstance(kind, OptionalType | Unknown) else OptionalType(kind)


WHY_NOT: Mapping[str, str] = {
    "sorted": "only lists of Int, Decimal, Text, Timestamp or Duration can be put in order",
    "min": "only lists of Int, Decimal, Text, Timestamp or Duration can be put in order",
    "max": "only lists of Int, Decimal, Text, Timestamp or Duration can be put in order",
    "sum": "only lists of Int, Decimal or Duration have a sum",
    "join": "only a list of Text can be joined",
}
"""What is to say of a list that has no such method, where other lists have it."""

ALL = {
    *_of_list(ListType(INT), INT),
    "join",
    *of(MapType(TEXT, INT)),
    *_TEXT_ASKED,
    *_DURATION_PARTS,
    *_TIMESTAMP_PARTS,
    "size",
}
"""Every name that some value can be asked."""
