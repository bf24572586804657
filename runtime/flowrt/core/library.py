"""What values can be asked, as the language defines it: the second module that generated code uses.

It computes only, and knows no flow. Where something cannot be computed it is a `Fault`; no text or
list that it makes is longer than `MAX_SIZE`.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from flowrt.core.flow import (
    DECIMAL_DIGITS,
    INT_MAX,
    INT_MIN,
    ROUNDINGS,
    Fault,
    InvariantBroken,
    checked,
    decimal_add,
    normal,
    shifted,
    written,
)

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
K = TypeVar("K")
V = TypeVar("V")

MAX_SIZE = 1 << 20
"""The longest text or list that is made here."""

_WIDE = decimal.Context(prec=400)
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,18})\Z", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,80}(?:\.[0-9]{1,80})?\Z", re.ASCII)
_SECOND = datetime.timedelta(seconds=1)


def _bounded(size: int, what: str) -> None:
    if size > MAX_SIZE:
        raise Fault(f"the {what} would be longer than {MAX_SIZE:,}")


# --- cases of enums ---------------------------------------------------------------------------


def cased(kind: type[T], value: object) -> T:
    """`value`, which a `match` has shown to be of that case where Python cannot see it."""
    if not isinstance(value, kind):
        raise InvariantBroken(f"a value is no {kind.__name__} that was matched as one")
    return value


def equal(left: object, right: object) -> bool:
    """Whether two values are the same, whatever a type checker makes of their types."""
    return left == right


def changed(value: S, /, **changes: object) -> S:
    """A copy with other values in these fields."""
    return msgspec.structs.replace(value, **changes)


# --- lists ------------------------------------------------------------------------------------


def list_first(values: Sequence[T]) -> T | None:
    return values[0] if values else None


def list_last(values: Sequence[T]) -> T | None:
    return values[-1] if values else None


def list_reversed(values: Sequence[T]) -> tuple[T, ...]:
    return tuple(reversed(values))


def list_sorted(values: Sequence[T]) -> tuple[T, ...]:
    """The smallest first; equal ones stay in their order."""
    ordered: Any = values
    return tuple(sorted(ordered))


def list_min(values: Sequence[T]) -> T | None:
    ordered: Any = values
    least: T | None = min(ordered, default=None)
    return least


def list_max(values: Sequence[T]) -> T | None:
    ordered: Any = values
    most: T | None = max(ordered, default=None)
    return most


def list_slice(values: Sequence[T], start: int, end: int) -> tuple[T, ...]:
    """The items from `start` up to `end`, `end` not included; as far as there are any."""
    return tuple(values[max(0, start) : max(0, end)])


def list_index_of(values: Sequence[T], item: object) -> int | None:
    return next((at for at, value in enumerate(values) if value == item), None)


def list_contains(values: Sequence[object], item: object) -> bool:
    return item in values


def list_append(values: Sequence[T], item: T) -> tuple[T, ...]:
    _bounded(len(values) + 1, "list")
    return (*values, item)


def list_sum_int(values: Sequence[int]) -> int:
    """0 for an empty list; only the sum itself must fit."""
    return checked(sum(values))


def list_sum_decimal(values: Sequence[decimal.Decimal]) -> decimal.Decimal:
    total = decimal.Decimal(0)
    for value in values:
        total = decimal_add(total, value)
    return total


def list_sum_duration(values: Sequence[datetime.timedelta]) -> datetime.timedelta:
    return shifted(lambda: sum(values, datetime.timedelta(0)))


def list_join(values: Sequence[str], separator: str) -> str:
    _bounded(sum(map(len, values)) + len(separator) * max(0, len(values) - 1), "text")
    return separator.join(values)


# --- maps -------------------------------------------------------------------------------------


def map_keys(values: Mapping[K, object]) -> tuple[K, ...]:
    """In their order: numbers by size, texts by their characters."""
    ordered: Any = values
    return tuple(sorted(ordered))


def map_values(values: Mapping[Any, V]) -> tuple[V, ...]:
    """In the order of their keys."""
    return tuple([values[key] for key in sorted(values)])


def map_get(values: Mapping[K, V], key: K) -> V | None:
    return values.get(key)


def map_contains(values: Mapping[K, object], key: K) -> bool:
    return key in values


def map_put(values: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    """Another map, in which `key` has that value."""
    _bounded(len(values) + 1, "map")
    return {**values, key: value}


def map_remove(values: Mapping[K, V], key: K) -> Mapping[K, V]:
    """Another map, which has no `key`."""
    return {one: value for one, value in values.items() if one != key}


# --- texts ------------------------------------------------------------------------------------


def text_upper(value: str) -> str:
    return value.upper()


def text_lower(value: str) -> str:
    return value.lower()


def text_trim(value: str) -> str:
    return value.strip()


def text_starts_with(value: str, start: str) -> bool:
    return value.startswith(start)


def text_ends_with(value: str, end: str) -> bool:
    return value.endswith(end)


def text_contains(value: str, part: str) -> bool:
    return part in value


def text_replace(value: str, part: str, by: str) -> str:
    """Every `part`, from the left, becomes `by`."""
    if not part:
        raise Fault("an empty text cannot be replaced")
    _bounded(len(value) + value.count(part) * (len(by) - len(part)), "text")
    return value.replace(part, by)


def text_split(value: str, separator: str) -> tuple[str, ...]:
    if not separator:
        raise Fault("a text cannot be split at an empty text")
    _bounded(value.count(separator) + 1, "list")
    return tuple(value.split(separator))


def text_slice(value: str, start: int, end: int) -> str:
    """The characters from `start` up to `end`, `end` not included; as far as there are any."""
    return value[max(0, start) : max(0, end)]


# --- numbers ----------------------------------------------------------------------------------


def int_of_text(value: str) -> int | None:
    """The number that the text is, written as the language writes one; None for anything else."""
    if not _INT.match(value) or value == "-0":
        return None
    number = int(value)
    return number if INT_MIN <= number <= INT_MAX else None


def int_of_decimal(value: decimal.Decimal) -> int | None:
    """The same number, if it is whole and fits."""
    if value != value.to_integral_value(context=_WIDE):
        return None
    number = int(value)
    return number if INT_MIN <= number <= INT_MAX else None


def decimal_of_text(value: str) -> decimal.Decimal | None:
    """The number that the text is: digits, perhaps a `-` before and a point between them."""
    if not _DECIMAL.match(value):
        return None
    number = decimal.Decimal(value)
    digits = number.normalize(_WIDE).as_tuple()
    assert isinstance(digits.exponent, int)
    fits = len(digits.digits) + max(0, digits.exponent) <= DECIMAL_DIGITS
    return normal(number) if fits and digits.exponent >= -DECIMAL_DIGITS else None


def abs_int(value: int) -> int:
    return checked(abs(value))


def abs_decimal(value: decimal.Decimal) -> decimal.Decimal:
    return value.copy_abs()


def abs_duration(value: datetime.timedelta) -> datetime.timedelta:
    return shifted(lambda: abs(value))


def least(left: T, right: T) -> T:
    """The smaller one; the left one of equals."""
    one: Any = left
    return right if right < one else left


def greatest(left: T, right: T) -> T:
    """The larger one; the left one of equals."""
    one: Any = left
    return right if right > one else left


def rounded(value: decimal.Decimal, places: int, rounding: str) -> decimal.Decimal:
    """To so many decimal places, as `rounding` (a key of `ROUNDINGS`) says."""
    if not 0 <= places < DECIMAL_DIGITS:
        raise Fault(f"a Decimal has 0 to {DECIMAL_DIGITS - 1} decimal places")
    exact = value.quantize(decimal.Decimal(1).scaleb(-places), ROUNDINGS[rounding], _WIDE)
    return _fitting(normal_wide(exact))


def normal_wide(value: decimal.Decimal) -> decimal.Decimal:
    """Without the zeros that say nothing."""
    return value.normalize(_WIDE)


def _fitting(value: decimal.Decimal) -> decimal.Decimal:
    if len(value.as_tuple().digits) > DECIMAL_DIGITS:
        raise Fault(f"the result needs more than {DECIMAL_DIGITS} decimal digits")
    return normal(value)


# --- times ------------------------------------------------------------------------------------


def _whole(unit: datetime.timedelta) -> Callable[[datetime.timedelta], int]:
    def count(value: datetime.timedelta) -> int:
        return value // unit

    return count


duration_days = _whole(datetime.timedelta(days=1))
duration_hours = _whole(datetime.timedelta(hours=1))
duration_minutes = _whole(datetime.timedelta(minutes=1))
duration_seconds = _whole(_SECOND)
duration_milliseconds = _whole(datetime.timedelta(milliseconds=1))


def _utc(value: datetime.datetime) -> datetime.datetime:
    return value.astimezone(datetime.UTC)


def timestamp_year(value: datetime.datetime) -> int:
    return _utc(value).year


def timestamp_month(value: datetime.datetime) -> int:
    return _utc(value).month


def timestamp_day(value: datetime.datetime) -> int:
    return _utc(value).day


def timestamp_hour(value: datetime.datetime) -> int:
    return _utc(value).hour


def timestamp_minute(value: datetime.datetime) -> int:
    return _utc(value).minute


def timestamp_second(value: datetime.datetime) -> int:
    return _utc(value).second


def timestamp_weekday(value: datetime.datetime) -> int:
    """1 for Monday, 7 for Sunday."""
    return _utc(value).isoweekday()


# --- formats ----------------------------------------------------------------------------------


def number_shown(value: int | decimal.Decimal, places: int | None, grouped: bool) -> str:
    """With so many decimal places, rounded to the even neighbour; in groups of three digits."""
    if isinstance(value, decimal.Decimal):
        if places is not None:
            step = decimal.Decimal(1).scaleb(-places)
            value = value.quantize(step, decimal.ROUND_HALF_EVEN, _WIDE)
            if not value:
                value = value.copy_abs()
        digits = format(value if places is not None else normal(value), "f")
    else:
        digits = str(value)
    if not grouped:
        return digits
    sign = "-" if digits.startswith("-") else ""
    whole, point, rest = digits.removeprefix("-").partition(".")
    return f"{sign}{int(whole):,}{point}{rest}"


def padded(value: str, width: int, align: str, fill: str) -> str:
    """At least so wide. `align` is where the value stands: `<` left, `>` right, `^` in the middle;
    zeros go behind the sign of a number."""
    if fill == "0":
        return value.zfill(width)
    if align == "<":
        return value.ljust(width)
    if align == ">":
        return value.rjust(width)
    left = (width - len(value)) // 2
    return value if left < 0 else (" " * left + value).ljust(width)


def timestamp_shown(value: datetime.datetime, style: str) -> str:
    """In UTC: the `date`, the `time` to the second, or the date and the `minute`."""
    shown = _utc(value).replace(microsecond=0, tzinfo=None).isoformat(" ")
    return {"date": shown[:10], "time": shown[11:], "minute": shown[:16]}[style]


_UNITS = {
    "d": datetime.timedelta(days=1),
    "h": datetime.timedelta(hours=1),
    "m": datetime.timedelta(minutes=1),
    "s": _SECOND,
    "ms": datetime.timedelta(milliseconds=1),
}


def duration_shown(value: datetime.timedelta, style: str) -> str:
    """As a number of one unit, rounded to the even neighbour, or as a `clock`: `49:30:05`, whose
    rest of a second is left out."""
    if style != "clock":
        unit = _UNITS[style]
        whole, rest = divmod(value, unit)
        if 2 * rest > unit or (2 * rest == unit and whole % 2):
            whole += 1
        return str(whole)
    sign = "-" if value <= -_SECOND else ""
    seconds = abs(value) // _SECOND
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def shown(value: object) -> str:
    """One value, as a text writes it."""
    return value if isinstance(value, str) else written(value)
