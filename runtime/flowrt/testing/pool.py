"""What was said before, by type: a peer that makes sense repeats much of it. Draws nothing."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Mapping
from typing import Any

from flowrt.core import flow as rt

_LEAVES = {
    int: rt.Int,
    str: str,
    bytes: bytes,
    decimal.Decimal: decimal.Decimal,
    datetime.datetime: rt.Timestamp,
    datetime.timedelta: datetime.timedelta,
}


def pool_of(messages: Iterable[object]) -> dict[Any, dict[object, object]]:
    """All that stands in these messages, by type: who answers sensibly repeats much of it."""
    found: dict[Any, dict[object, object]] = {}

    def look(value: object) -> None:
        kind = _LEAVES.get(type(value))
        if kind is not None:
            found.setdefault(kind, {}).setdefault(value, value)
        elif isinstance(value, rt.Value) and not isinstance(value, rt.Party):
            if not isinstance(value, rt.Message):
                found.setdefault(type(value), {}).setdefault(repr(value), value)
            for name in value.__struct_fields__:
                look(getattr(value, name))
        elif isinstance(value, tuple):
            for one in value:
                look(one)
        elif isinstance(value, Mapping):
            for key, one in value.items():
                look(key)
                look(one)

    for message in messages:
        look(message)
    return found
