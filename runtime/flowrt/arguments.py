"""What a flow is started with: arguments, checked against their declared types. Starts nothing."""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec

from flowrt.core.flow import Flow, State, all_finite, has_decimal
from flowrt.core.values import BadBytes, decode, encode
from flowrt.handle import NotStartable


def start_state(flow: type[Flow[Any]], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The Start state of a flow, its arguments checked against their declared types. Raises
    NotStartable."""
    if arguments:
        raise NotStartable(f"{flow.__name__} takes named arguments only")
    if flow.owner:
        owner = flow.Start.__struct_fields__[-1]
        if owner in named:
            raise NotStartable(f"{flow.__name__}: `{owner}` is not given: its node opens it")
        named = {**named, owner: 0}
    try:
        for name, kind in _decimals(flow.Start):
            # A number of another kind would pass for a Decimal on its way through the encoder.
            if name in named:
                all_finite(kind, named[name])
        start = flow.Start(**named)
        return decode(flow.Start, encode(start))
    except (TypeError, ValueError, OverflowError, RecursionError, BadBytes) as error:
        text = _PLACE.sub(lambda found: _named(flow, found), str(error))
        raise NotStartable(f"{flow.__name__}: {text}") from None


@functools.cache
def _decimals(start: type[State]) -> tuple[tuple[str, Any], ...]:
    """The arguments that have Decimals in them, outside of records. (Kept, because looking at a
    class's types takes longer than starting a flow.)"""
    fields = msgspec.structs.fields(start)
    return tuple([(one.name, one.type) for one in fields if has_decimal(one.type)])


_PLACE = re.compile(r"`\$\[(\d+)\]")
"""Where a decoder found something wrong: the number of a field."""


def _named(flow: type[Flow[Any]], found: re.Match[str]) -> str:
    """The field's name in its place; number 0 of a tagged state is its tag."""
    number = int(found[1]) - (flow.Start.__struct_config__.tag is not None)
    return f"`{flow.Start.__struct_fields__[number]}"
