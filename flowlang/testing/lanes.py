"""A sequence of messages as text: a lane for each party, a row for each message. Knows no world."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence

GAP = 4
NARROW = 14
"""A lane is so wide at least."""


@dataclasses.dataclass(frozen=True)
class Row:
    """`text` from the lane of `sender` to that of `receiver`; in one lane if they are the same."""

    sender: str
    receiver: str
    text: str


def lanes(parties: Sequence[str], rows: Sequence[Row], *, ascii_only: bool = False) -> str:
    """The diagram, without a line end at its end.

    The label of a message stands above its arrow, which runs between the lanes of the two parties.
    """
    names = list(
        dict.fromkeys([*parties, *(n for row in rows for n in (row.sender, row.receiver))])
    )
    bar, line, left, right = "|-<>" if ascii_only else "│─◀▶"
    centres = _centres(names, rows)
    found = [_placed([(centres[name] - _width(name) // 2, name) for name in names])]
    empty = [(centres[name], bar) for name in names]
    for row in rows:
        start, end = centres[row.sender], centres[row.receiver]
        if start == end:
            found.append(_placed([*empty, (start + 2, f"{row.text}")]))
            continue
        low, high = min(start, end), max(start, end)
        label = low + max(1, (high - low - _width(row.text)) // 2)
        kept = [(at, sign) for at, sign in empty if not low < at < high]
        found.append(_placed([*kept, (label, row.text)]))
        arrow = line * (high - low - 1)
        arrow = arrow[:-1] + right if start < end else left + arrow[1:]
        found.append(_placed([*kept, (low + 1, arrow)]))
    return "\n".join(found)


def _centres(names: Sequence[str], rows: Sequence[Row]) -> dict[str, int]:
    """The column of each lane: what runs between two lanes has room."""
    order = {name: number for number, name in enumerate(names)}
    centres: dict[str, int] = {}
    column = _width(names[0]) // 2 if names else 0
    for number, name in enumerate(names):
        if number:
            before = names[number - 1]
            needed = max(NARROW, (_width(before) + _width(name)) // 2 + GAP)
            column = centres[before] + needed
            for row in rows:
                first, last = sorted((order[row.sender], order[row.receiver]))
                if last == number and first < last:
                    column = max(column, centres[names[first]] + _width(row.text) + GAP)
                elif first == last == number - 1:
                    column = max(column, centres[before] + _width(row.text) + GAP)
        centres[name] = column
    return centres


def _placed(pieces: Sequence[tuple[int, str]]) -> str:
    """Texts at their columns; a later piece never overwrites what stands."""
    row, width = "", 0
    for column, text in sorted(pieces):
        if column < width:
            continue
        row += " " * (column - width) + text
        width = column + _width(text)
    return row.rstrip()


def _width(text: str) -> int:
    """Columns of a terminal: wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
