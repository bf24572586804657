"""Values and arithmetic as the language defines them, worked out a second time.

Written from the language's page alone, over whole numbers and fractions, so that it shares no
mistake with the runtime. Knows no flow.
"""

from __future__ import annotations

import datetime
from fractions import Fraction
from typing import NamedTuple, TypeAlias

MOST, LEAST = 2**63 - 1, -(2**63)
DIGITS = 38


class Faulted(Exception):
    """Arithmetic or an index went wrong: not an error that a flow can catch."""


class Party(NamedTuple):
    name: str


class Span(NamedTuple):
    """A duration."""

    microseconds: int


class Moment(NamedTuple):
    """A timestamp, since 1970."""

    microseconds: int


class Made(NamedTuple):
    """A record, message or declared error: its name, and its fields in their order."""

    name: str
    fields: tuple[tuple[str, Value], ...]

    def field(self, name: str) -> Value:
        return dict(self.fields)[name]


Value: TypeAlias = object
"""An int, bool, str, bytes, Fraction, None, one of the tuples above, a tuple of values, a Map, or
what only the interpreter knows (a session, a caught error)."""


class Map(dict[object, object]):
    """A map of the language. Never changed once made."""


FARTHEST = 999_999_999 * 86_400_000_000
"""The longest duration, in microseconds: a little less than a thousand million days."""

_UTC = datetime.UTC
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=_UTC)
_FIRST = (datetime.datetime(1, 1, 1, tzinfo=_UTC) - _EPOCH) // datetime.timedelta(microseconds=1)
_LAST = (datetime.datetime(9999, 12, 31, tzinfo=_UTC) - _EPOCH) // datetime.timedelta(
    microseconds=1
) + 86_400_000_000


def span(microseconds: int) -> Span:
    """A Duration, if it is not too long."""
    if not -FARTHEST <= microseconds < FARTHEST + 86_400_000_000:
        raise Faulted("Duration overflow")
    return Span(microseconds)


def moment(microseconds: int) -> Moment:
    """A Timestamp, if it is in the calendar."""
    if not _FIRST <= microseconds < _LAST:
        raise Faulted("Timestamp overflow")
    return Moment(microseconds)


def whole(value: int) -> int:
    """An Int, if it fits."""
    if not LEAST <= value <= MOST:
        raise Faulted("Int overflow")
    return value


def exact(value: Fraction) -> Fraction:
    """A Decimal, if it can be written with so many digits."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
        if places > 400:
            raise Faulted("not a decimal number")
    if len(str(abs(int(value * 10**places)))) > DIGITS:
        raise Faulted("Decimal overflow")
    return value


def binary(operator: str, left: Value, right: Value) -> Value:
    """`left operator right`; `and` and `or` are not among them."""
    match operator:
        case "+":
            return plus(left, right)
        case "-":
            return minus(left, right)
        case "*":
            return times(left, right)
        case "//" | "%":
            assert isinstance(left, int)
            assert isinstance(right, int)
            if right == 0:
                raise Faulted("division by zero")
            quotient, rest = divmod(left, right)
            return whole(quotient if operator == "//" else rest)
        case "==":
            return left == right
        case "!=":
            return left != right
        case "in":
            assert isinstance(right, tuple | Map)
            return left in right
    return ordered(operator, left, right)


def ordered(operator: str, left: Value, right: Value) -> bool:
    assert type(left) is type(right) is not bool
    less: bool = left < right  # type: ignore[operator]
    same = left == right
    return {"<": less, "<=": less or same, ">": not (less or same), ">=": not less}[operator]


def plus(left: Value, right: Value) -> Value:
    if isinstance(left, Moment) and isinstance(right, Span):
        return moment(left.microseconds + right.microseconds)
    assert type(left) is type(right) is not bool, (left, right)
    match left, right:
        case Span(a), Span(b):
            return span(a + b)
        case int(), int():
            return whole(left + right)
        case Fraction(), Fraction():
            return exact(left + right)
        case (str(), str()) | (bytes(), bytes()) | (tuple(), tuple()):
            return left + right  # type: ignore[operator]
    raise AssertionError((left, right))


def minus(left: Value, right: Value) -> Value:
    match left, right:
        case Moment(a), Moment(b):
            return span(a - b)
        case Moment(a), Span(b):
            return moment(a - b)
        case Span(a), Span(b):
            return span(a - b)
        case Fraction(), Fraction():
            return exact(left - right)
        case int(), int():
            return whole(left - right)
    raise AssertionError((left, right))


def times(left: Value, right: Value) -> Value:
    match left, right:
        case Span(a), int():
            return span(a * right)
        case Fraction(), Fraction():
            return exact(left * right)
        case int(), int():
            return whole(left * right)
    raise AssertionError((left, right))


def negated(value: Value) -> Value:
    match value:
        case Span(microseconds):
            return span(-microseconds)
        case Fraction():
            return -value
        case int():
            return whole(-value)
    raise AssertionError(value)


def divided(left: Fraction, right: Fraction, places: int, rounding: str) -> Fraction:
    """Rounded once, to so many places."""
    if right == 0:
        raise Faulted("division by zero")
    if not 0 <= places < DIGITS:
        raise Faulted("places")
    scaled = left / right * 10**places
    sign = -1 if scaled < 0 else 1
    size = abs(scaled)
    down = size.numerator // size.denominator
    rest = size - down
    half = Fraction(1, 2)
    up = {
        "UP": rest > 0,
        "DOWN": False,
        "HALF_UP": rest >= half,
        "HALF_DOWN": rest > half,
        "HALF_EVEN": rest > half or (rest == half and down % 2 == 1),
        "CEILING": rest > 0 and sign > 0,
        "FLOOR": rest > 0 and sign < 0,
    }[rounding]
    return exact(Fraction(sign * (down + up), 10**places))


def item(values: Value, index: Value) -> Value:
    if isinstance(values, Map):
        if index not in values:
            raise Faulted("no such key")
        return values[index]
    assert isinstance(values, tuple)
    assert isinstance(index, int)
    if not 0 <= index < len(values):
        raise Faulted("no such index")
    found: Value = values[index]
    return found


def decimal_text(value: Fraction) -> str:
    """Without an exponent, without zeros that say nothing."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str(abs(int(value * 10**places))).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    if not places:
        return sign + digits
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def span_text(span: Span) -> str:
    """`2d3h`, `250ms`, `-5m`, `0s`."""
    left = abs(span.microseconds) // 1000
    shown = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        if left >= size:
            shown += f"{left // size}{unit}"
            left %= size
    return ("-" if span.microseconds < 0 and shown else "") + (shown or "0s")


def moment_text(value: Moment) -> str:
    """`2024-02-29T23:59:59.250000Z`, in UTC; no fraction where there is none."""
    seconds, rest = divmod(value.microseconds, 1_000_000)
    when = _EPOCH + datetime.timedelta(seconds=seconds)
    fraction = f".{rest:06}" if rest else ""
    return f"{when.year:04}-{when:%m-%dT%H:%M:%S}{fraction}Z"


def shown(value: Value) -> str:
    """As an interpolated text writes it."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case Fraction():
            return decimal_text(value)
        case Party(name):
            return name
        case Span():
            return span_text(value)
        case Moment():
            return moment_text(value)
        case bytes():
            return f"0x{value.hex()}"
        case str() | int():
            return str(value)
    raise AssertionError(value)


def plain(value: Value) -> object:
    """For comparing with what another interpreter computed: nothing but plain Python."""
    match value:
        case Fraction():
            return ("Decimal", decimal_text(value))
        case Party(name):
            return ("Party", name)
        case Span(microseconds):
            return ("Duration", microseconds)
        case Moment(microseconds):
            return ("Timestamp", microseconds)
        case Made(name, fields):
            return (name, *[plain(field) for _, field in fields])
        case Map():
            return ("Map", tuple(sorted((plain(k), plain(v)) for k, v in value.items())))
        case tuple():
            return ("List", *[plain(part) for part in value])
    return value
