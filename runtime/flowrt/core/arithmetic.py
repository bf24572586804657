"""Numbers, times and texts as the language defines them; what Python does otherwise is a `Fault`.

Knows no flow and no declaration but a party's name.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from flowrt.core import opaque
from flowrt.core.declared import Fault, InvariantBroken, Party

T = TypeVar("T")

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1
DECIMAL_DIGITS = 38

_EXACT = decimal.Context(
    prec=DECIMAL_DIGITS,
    Emin=-999,
    Emax=999,
    traps=[
        decimal.Inexact,
        decimal.InvalidOperation,
        decimal.DivisionByZero,
        decimal.Overflow,
    ],
)


def checked(value: int) -> int:
    """`value`, if it fits into 64 bits; a `Fault` otherwise."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Fault("the result does not fit into a 64-bit Int")


def floor_div(left: int, right: int) -> int:
    """Whole division, rounding down."""
    if right == 0:
        raise Fault("division by zero")
    return checked(left // right)


def modulo(left: int, right: int) -> int:
    """What `floor_div` leaves over; it has the sign of `right`."""
    if right == 0:
        raise Fault("division by zero")
    return left % right


def _exact(operation: Callable[[], decimal.Decimal]) -> decimal.Decimal:
    try:
        return normal(operation())
    except decimal.DecimalException:
        raise Fault(f"the result needs more than {DECIMAL_DIGITS} decimal digits") from None


def normal(value: decimal.Decimal) -> decimal.Decimal:
    """The one way to write a Decimal: no trailing zeros, no exponent above zero, no minus zero."""
    if not value:
        return decimal.Decimal(0)
    value = value.normalize(_EXACT)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return value.quantize(1, context=_EXACT)
    return value


def decimal_add(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    """Exact sum; a `Fault` when it does not fit."""
    return _exact(lambda: _EXACT.add(left, right))


def decimal_subtract(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    """Exact difference; a `Fault` when it does not fit."""
    return _exact(lambda: _EXACT.subtract(left, right))


def decimal_multiply(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    """Exact product; a `Fault` when it does not fit."""
    return _exact(lambda: _EXACT.multiply(left, right))


ROUNDINGS: Mapping[str, str] = {
    "UP": decimal.ROUND_UP,
    "DOWN": decimal.ROUND_DOWN,
    "HALF_UP": decimal.ROUND_HALF_UP,
    "HALF_DOWN": decimal.ROUND_HALF_DOWN,
    "HALF_EVEN": decimal.ROUND_HALF_EVEN,
    "CEILING": decimal.ROUND_CEILING,
    "FLOOR": decimal.ROUND_FLOOR,
}


def divide(
    left: decimal.Decimal, right: decimal.Decimal, places: int, rounding: str
) -> decimal.Decimal:
    """`left / right` to `places` decimal places, rounded once, as `rounding` (a key of
    `ROUNDINGS`) says."""
    if not right:
        raise Fault("division by zero")
    if not 0 <= places < DECIMAL_DIGITS:
        raise Fault(f"a Decimal has 0 to {DECIMAL_DIGITS - 1} decimal places")
    # Work in whole numbers: rounding a rounded quotient would round twice.
    numerator, denominator = left.as_integer_ratio()
    top, bottom = right.as_integer_ratio()
    above = numerator * bottom * 10**places
    below = denominator * top
    if below < 0:
        above, below = -above, -below
    whole, rest = divmod(above, below)
    wide = decimal.Context(prec=400)
    exact = decimal.Decimal(whole)
    if rest:
        # A digit on the right side of one half is all that any rounding mode looks at.
        twice = 2 * rest
        tail = "0.5" if twice == below else "0.25" if twice < below else "0.75"
        exact = wide.add(exact, decimal.Decimal(tail))
    rounded = exact.quantize(decimal.Decimal(1), ROUNDINGS[rounding], wide)
    return _exact(lambda: _EXACT.create_decimal(wide.scaleb(rounded, -places)))


def finite(*values: decimal.Decimal | None) -> None:
    """Refuse what is not a number, or is too large: called when a value is decoded."""
    for value in values:
        if value is None:
            continue
        if not isinstance(value, decimal.Decimal):
            raise TypeError(f"this is {type(value).__name__}, but Decimal is wanted")
        _, digits, exponent = value.as_tuple() if len(str(value)) < 100 else (0, (), "long")
        if not isinstance(exponent, int) or len(digits) > DECIMAL_DIGITS:
            raise ValueError("a Decimal must be a number of at most 38 digits")
        if not -DECIMAL_DIGITS <= exponent <= DECIMAL_DIGITS:
            raise ValueError("a Decimal's exponent must lie between -38 and 38")


def all_finite(kind: Any, value: Any) -> None:
    """Refuse what an encoder would let pass for a Decimal, on its own or inside lists, maps and
    optional ones; records look after themselves. Other mistakes are left to the decoder."""
    if kind is decimal.Decimal:
        finite(value)
        return
    inner = typing.get_args(kind)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        if value is not None and has_decimal(kind):
            all_finite(inner[0], value)
    elif isinstance(value, list | tuple) and len(inner) == 2 and inner[1] is Ellipsis:
        if has_decimal(inner[0]):
            for item in value:
                all_finite(inner[0], item)
    elif isinstance(value, Mapping) and len(inner) == 2 and has_decimal(inner[1]):
        for item in value.values():
            all_finite(inner[1], item)


@functools.cache
def has_decimal(kind: Any) -> bool:
    """Whether the type mentions Decimal itself."""
    return kind is decimal.Decimal or any(has_decimal(part) for part in typing.get_args(kind))


def shifted(operation: Callable[[], T]) -> T:
    """A sum of times or durations; a `Fault` when it leaves the calendar."""
    try:
        return operation()
    except OverflowError:
        raise Fault("the time is out of range") from None


def item(values: Sequence[T], index: int) -> T:
    """`values[index]`; a `Fault` unless 0 <= index < size."""
    if 0 <= index < len(values):
        return values[index]
    raise Fault(f"index {index} is outside a list of {len(values)}")


def entry(values: Mapping[Any, T], key: object) -> T:
    """`values[key]`; a `Fault` when the key is absent."""
    try:
        return values[key]
    except KeyError:
        raise Fault("the map has no such key") from None


def some(value: T | None) -> T:
    """`value`, which the author's tests have shown not to be none where Python cannot see them."""
    if value is None:
        raise InvariantBroken("a value is none that was tested not to be")
    return value


def text(*parts: object) -> str:
    """The parts, written as the language writes them, one after the other."""
    return "".join([part if type(part) is str else written(part) for part in parts])


def written(value: object) -> str:
    """How one value reads in a text: `true`, `12.5`, `bob`, `2d3h`, `0xcafe`, `none`."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "none"
    if isinstance(value, decimal.Decimal):
        return format(normal(value), "f")
    if isinstance(value, Party):
        return value.name
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value)


def _duration(value: datetime.timedelta) -> str:
    rest = round(value.total_seconds() * 1000)
    if rest == 0:
        return "0s"
    sign, rest = ("-", -rest) if rest < 0 else ("", rest)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)


def typed(what: str, kind: Any, value: T) -> T:
    """`value` as it will be after every reload, if it has the declared type: lists are tuples, and
    nothing is shared with the code that made it. Otherwise says which Python broke its promise.

    Raises:
        TypeError: the author's Python returned something else than the `.flow` file declares.
    """
    as_is, items = _as_they_are(kind)
    if type(value) in as_is:
        return value
    if items and isinstance(value, tuple) and type(value) is tuple:
        if all(type(item) in items for item in value):
            return value
    try:
        if has_decimal(kind):
            all_finite(kind, value)
        again: T = _reader(kind).decode(_WRITER.encode(value))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"{what} did not return what the .flow file declares: {error}") from None
    return again


@functools.cache
def _as_they_are(kind: Any) -> tuple[frozenset[type], frozenset[type]]:
    """The classes whose values of a declared type need no copy, because nothing can change them and
    their bytes give the same again; and those of which lists, as tuples, need none."""
    if kind is None:
        return frozenset([types.NoneType]), frozenset()
    if kind in (bool, bytes, types.NoneType) or opaque.never_changes(kind):
        return frozenset([kind]), frozenset()
    inner = typing.get_args(kind)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return frozenset().union(*(_as_they_are(one)[0] for one in inner)), frozenset()
    if typing.get_origin(kind) is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return frozenset(), _as_they_are(inner[0])[0]
    return frozenset(), frozenset()


_WRITER = msgspec.msgpack.Encoder(enc_hook=opaque.to_plain)


@functools.cache
def _reader(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, dec_hook=opaque.from_plain)


def frozen(values: Iterable[T]) -> tuple[T, ...]:
    """A list of the language, which is a tuple in Python."""
    return tuple(values)
