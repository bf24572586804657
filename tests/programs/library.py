"""What values can be asked, and formats, as the language defines them, worked out a second time.

Written from the language's page alone; shares nothing with the runtime. Knows no flow.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from fractions import Fraction

from tests.programs import arithmetic
from tests.programs.arithmetic import LEAST, MOST, Map, Moment, Span, Value

UNITS = {
    "days": 86_400_000_000,
    "hours": 3_600_000_000,
    "minutes": 60_000_000,
    "seconds": 1_000_000,
    "milliseconds": 1000,
}
_SHORT = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
NOTHING = object()
"""What is answered where a value of that sort has no such method."""


def asked(value: Value, name: str, given: Sequence[Value]) -> Value:
    """`value.name(given)`, or without brackets."""
    match value:
        case str():
            return _text(value, name, given)
        case Map():
            return _map(value, name, given)
        case Span(microseconds) if name in UNITS:
            return microseconds // UNITS[name]
        case Moment():
            return _moment(value, name)
        case tuple() if type(value) is tuple:
            return _list(value, name, given)
    return NOTHING


def _text(value: str, name: str, given: Sequence[Value]) -> Value:
    match name, given:
        case "upper", []:
            return value.upper()
        case "lower", []:
            return value.lower()
        case "trim", []:
            return value.strip()
        case "starts_with", [str(part)]:
            return value[: len(part)] == part
        case "ends_with", [str(part)]:
            return part == "" or value[-len(part) :] == part
        case "contains", [str(part)]:
            return value.find(part) >= 0
        case "replace", [str(part), str(by)]:
            return by.join(value.split(part))
        case "split", [str(separator)]:
            return tuple(value.split(separator))
        case "slice", [int(start), int(end)]:
            return "".join([c for at, c in enumerate(value) if start <= at < end])
    return NOTHING


def _list(value: tuple[Value, ...], name: str, given: Sequence[Value]) -> Value:
    match name, given:
        case "first", []:
            return value[0] if value else None
        case "last", []:
            return value[len(value) - 1] if value else None
        case "reversed", []:
            return value[::-1]
        case "sorted", []:
            return tuple(sorted(value))  # type: ignore[type-var]
        case "min", []:
            return sorted(value)[0] if value else None  # type: ignore[type-var]
        case "max", []:
            return sorted(value)[-1] if value else None  # type: ignore[type-var]
        case "slice", [int(start), int(end)]:
            return tuple([one for at, one in enumerate(value) if start <= at < end])
        case "index_of", [wanted]:
            return value.index(wanted) if wanted in value else None
        case "contains", [wanted]:
            return wanted in value
        case "append", [item]:
            return (*value, item)
        case "sum", []:
            total = 0
            for one in value:
                assert isinstance(one, int)
                total += one
            return arithmetic.whole(total)
        case "join", [str(separator)]:
            return separator.join([str(one) for one in value])
    return NOTHING


def _map(value: Map, name: str, given: Sequence[Value]) -> Value:
    match name, given:
        case "keys", []:
            return tuple(sorted(value))  # type: ignore[type-var]
        case "values", []:
            return tuple([value[key] for key in sorted(value)])  # type: ignore[type-var]
        case "get", [key]:
            return value.get(key)
        case "contains", [key]:
            return key in value
        case "put", [key, item]:
            return Map([*value.items(), (key, item)])
        case "remove", [key]:
            return Map([(one, item) for one, item in value.items() if one != key])
    return NOTHING


def _moment(value: Moment, name: str) -> Value:
    day, rest = divmod(value.microseconds, UNITS["days"])
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    clock = {"hour": "hours", "minute": "minutes", "second": "seconds"}
    if name in clock:
        return rest // UNITS[clock[name]] % {"hour": 24, "minute": 60, "second": 60}[name]
    if name == "weekday":
        return (day + 3) % 7 + 1
    return getattr(date, name, NOTHING)


def moment(text: str) -> Moment:
    """A timestamp that is written out."""
    date, _, time = text.partition("T")
    zone = 0
    if time.endswith("Z"):
        time = time[:-1]
    else:
        sign = -1 if "-" in time else 1
        time, _, away = time.replace("-", "+").partition("+")
        hours, minutes = away.split(":")
        zone = sign * (int(hours) * 60 + int(minutes)) * UNITS["minutes"]
    parts = [*time.split(":"), "0"][:3]
    year, month, day = map(int, date.split("-"))
    days = (datetime.date(year, month, day) - datetime.date(1970, 1, 1)).days
    second = Fraction(parts[2])
    micros = (
        days * UNITS["days"] + int(parts[0]) * UNITS["hours"] + int(parts[1]) * UNITS["minutes"]
    )
    return Moment(micros + int(second * 1_000_000) - zone)


# --- built-in functions -----------------------------------------------------------------------


def built_in(name: str, given: Sequence[Value]) -> Value:
    """`abs`, `min`, `max`, `int`, `text`: what does not say how it rounds."""
    match name, given:
        case "abs", [Span(micros)]:
            return arithmetic.span(abs(micros))
        case "abs", [int(number)]:
            return arithmetic.whole(abs(number))
        case "abs", [Fraction() as number]:
            return abs(number)
        case "min", [left, right]:
            return right if arithmetic.ordered("<", right, left) else left
        case "max", [left, right]:
            return right if arithmetic.ordered(">", right, left) else left
        case "int", [Fraction() as number]:
            return number.numerator if number.denominator == 1 else None
        case "int", [str(written)]:
            digits = written.removeprefix("-")
            plain = digits.isascii() and digits.isdigit() and (digits == "0" or digits[0] != "0")
            number = int(written) if plain and len(digits) < 20 and written != "-0" else MOST + 1
            return number if LEAST <= number <= MOST else None
        case "text", [value]:
            return arithmetic.shown(value)
    raise AssertionError((name, given))


def rounded(value: Fraction, places: int, rounding: str) -> Fraction:
    return arithmetic.divided(value, Fraction(1), places, rounding)


# --- formats ----------------------------------------------------------------------------------


def formatted(value: Value, written: str) -> str:
    """`{value:written}`."""
    match value:
        case Moment():
            shown = arithmetic.moment_text(value).partition(".")[0].removesuffix("Z")
            date, _, time = shown.partition("T")
            return {"date": date, "time": time, "minute": f"{date} {time[:5]}"}[written]
        case Span(micros):
            return _span(micros, written)
    head, _, places = written.partition(".")
    align = head[:1] if head[:1] in ("<", ">", "^") else ""
    width = head.removeprefix(align).removesuffix(",")
    text = arithmetic.shown(value)
    if isinstance(value, Fraction) and places:
        text = _places(value, int(places))
    if head.endswith(","):
        text = _grouped(text)
    missing = int(width or 0) - len(text)
    if missing <= 0:
        return text
    if width.startswith("0"):
        sign = "-" if text.startswith("-") else ""
        return sign + "0" * missing + text.removeprefix("-")
    left = {"<": 0, ">": missing, "^": missing // 2}[align or ("<" if type(value) is str else ">")]
    return " " * left + text + " " * (missing - left)


def _places(value: Fraction, places: int) -> str:
    whole = round(value * 10**places)  # of two equally near ones, Python too takes the even one
    digits = str(abs(whole)).rjust(places + 1, "0")
    point = f".{digits[-places:]}" if places else ""
    return ("-" if whole < 0 else "") + digits[: len(digits) - places] + point


def _grouped(text: str) -> str:
    sign = "-" if text.startswith("-") else ""
    whole, point, rest = text.removeprefix("-").partition(".")
    groups = []
    while whole:
        groups.insert(0, whole[-3:])
        whole = whole[:-3]
    return sign + ",".join(groups) + point + rest


def _span(micros: int, written: str) -> str:
    if written != "clock":
        return str(round(Fraction(micros, UNITS[_SHORT[written]])))
    seconds = abs(micros) // 1_000_000
    sign = "-" if micros < 0 and seconds else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
