"""The small language behind the `:` in `"{price:>12,.2}"`, and timestamps written out.

Knows texts and types; whether a format stands in the right place, others ask.
"""

from __future__ import annotations

import dataclasses
import datetime
import re

from flowlang.types import DECIMAL, DURATION, INT, TEXT, TIMESTAMP, Builtin, Type, Unknown, shown

MAX_WIDTH = 200
MAX_PLACES = 37
STYLES = {
    TIMESTAMP: ("date", "time", "minute"),
    DURATION: ("d", "h", "m", "s", "ms", "clock"),
}
"""What a time may be shown as; everything else is a number or a text."""

_FORM = re.compile(
    r"(?P<align>[<>^])?(?P<zeros>0)?(?P<width>[1-9][0-9]{0,5})?(?P<grouped>,)?"
    r"(?:\.(?P<places>[0-9]{1,5}))?\Z"
)
_MOMENT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?(Z|[+-]\d{2}:\d{2})\Z",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True)
class Format:
    """`style` is one of `STYLES`; `places` are decimal places, None for as many as there are."""

    align: str = ""
    zeros: bool = False
    width: int = 0
    grouped: bool = False
    places: int | None = None
    style: str = ""


@dataclasses.dataclass(frozen=True)
class Unfit:
    """Why a format does not do, and what would."""

    message: str
    hint: str


def read(written: str, kind: Type) -> Format | Unfit:
    """What a format means for a value of this type."""
    styles = STYLES.get(kind, ()) if isinstance(kind, Builtin) else ()
    if styles:
        if written in styles:
            return Format(style=written)
        listed = ", ".join(f"`:{style}`" for style in styles)
        return Unfit(f"`:{written}` is no format of a {shown(kind)}", f"there are {listed}")
    match = _FORM.match(written)
    if match is None or not written:
        example = "`:>12,.2`" if kind == DECIMAL else "`:>12,`" if kind == INT else "`:>12`"
        return Unfit(f"`:{written}` is no format", f"a format is written like {example}")
    if kind not in (INT, DECIMAL, TEXT) and not isinstance(kind, Unknown):
        return Unfit(f"a {shown(kind)} has no format", "leave the format out")
    found = Format(
        match["align"] or "",
        match["zeros"] is not None,
        int(match["width"] or 0),
        match["grouped"] is not None,
        None if match["places"] is None else int(match["places"]),
    )
    return _refused(found, kind) or found


def _refused(found: Format, kind: Type) -> Unfit | None:
    if found.width > MAX_WIDTH:
        return Unfit(f"a width of {found.width} is too much", f"{MAX_WIDTH} is the most")
    if found.places is not None and kind == INT:
        return Unfit("an Int has no decimal places", "leave the `.` and what follows it out")
    if found.places is not None and found.places > MAX_PLACES:
        return Unfit(f"a Decimal has 0 to {MAX_PLACES} decimal places", "write fewer places")
    if kind == TEXT and (found.grouped or found.zeros or found.places is not None):
        return Unfit("a Text can only be given a width", "write `:20`, `:>20` or `:^20`")
    if (found.align or found.zeros) and not found.width:
        return Unfit("this format says how to fill a width, but no width", "write `:>12`")
    if found.zeros and (found.align or found.grouped):
        return Unfit("zeros fill a number from the left, with nothing between them", "write `:05`")
    return None


def moment(written: str) -> datetime.datetime | None:
    """The timestamp, in UTC; None if it is not written as one, or is no moment."""
    match = _MOMENT.match(written)
    if match is None:
        return None
    second, fraction, zone = match.groups()[5:]
    try:
        when = datetime.datetime.fromisoformat(
            f"{written[:16]}:{second or '00'}.{(fraction or '').ljust(6, '0')}"
            f"{'+00:00' if zone == 'Z' else zone}"
        )
        return when.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
