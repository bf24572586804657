"""What happened as a sequence diagram in text: a lane for each party, time going down.

It is told events; it looks at no world and no flow.
"""

from __future__ import annotations

import dataclasses
import datetime
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from flowrt.core.flow import written
from flowrt.sim.history import Began, Ended, Event, Received, Sent, Trouble
from flowrt.sim.notation import MOST, cut
from flowrt.sim.words import said

MOST_ROWS = 80
"""Of a longer story the beginning is drawn."""

GAP = 7
"""Columns that a message leaves free between two lanes."""

NARROW = 14
"""Two lanes are so far from each other at least."""


@dataclasses.dataclass(frozen=True)
class Row:
    """`text` from the lane of `sender` to that of `receiver`; a note beside the lane if they are
    the same. `time` stands at the left."""

    sender: str
    receiver: str
    text: str
    time: str = ""


def diagram(parties: Sequence[str], rows: Sequence[Row], *, ascii_only: bool = False) -> list[str]:
    """The lines of the diagram. The text of a message stands in its arrow."""
    left_over = len(rows) - MOST_ROWS
    if left_over > 0:
        note = Row(parties[0], parties[0], f"… {left_over} more")
        rows = [*rows[:MOST_ROWS], note]
    names = list(
        dict.fromkeys([*parties, *(n for row in rows for n in (row.sender, row.receiver))])
    )
    bar, line, left, right = "|-<>" if ascii_only else "│─◀▶"
    times = max((_width(row.time) for row in rows), default=0)
    centres = _centres(names, rows, times + 2 if times else 0)
    found = [_placed([(centres[name] - _width(name) // 2, name) for name in names])]
    empty = [(centres[name], bar) for name in names]
    last = ""
    for row in rows:
        time = [(0, row.time)] if row.time != last else []
        last = row.time
        start, end = centres[row.sender], centres[row.receiver]
        if start == end:
            found.append(_placed([*time, *empty, (start + 2, row.text)]))
            continue
        low, high = min(start, end), max(start, end)
        free = high - low - 1 - _width(row.text) - 2
        before = line * (free // 2)
        after = line * (free - free // 2)
        before, after = (before, after[:-1] + right) if start < end else (left + before[1:], after)
        kept = [(at, sign) for at, sign in empty if not low < at < high]
        found.append(_placed([*time, *kept, (low + 1, f"{before} {row.text} {after}")]))
    return found


def rows_of(
    history: Iterable[Event], outcomes: Mapping[tuple[str, int], str], start_us: int
) -> list[Row]:
    """What a world's history gives to see. `outcomes` says, by (party, flow id), what a flow
    returned or what it threw."""
    events = list(history)
    read = {(one.session, one.party, repr(one.content)) for one in events if type(one) is Received}
    rows: list[Row] = []
    for event in events:
        time = f"+{passed(start_us, event.at_us)}"
        here = event.party
        if type(event) is Sent:
            # An end that nobody reads is the rule; a message that nobody reads is worth a word.
            is_read = (event.session, event.peer, repr(event.content)) in read
            unread = "" if is_read or event.message is None else " (never read)"
            text = f"{said(event, MOST)}{unread}"
            if event.peer:
                rows.append(Row(here, event.peer, text, time))
            else:
                rows.append(Row(here, here, f"tells its owner {text}", time))
        elif type(event) is Began:
            rows.append(Row(here, here, f"{_short(event.flow)} begins", time))
        elif type(event) is Ended:
            text = outcomes.get((here, event.flow_id), event.error or "ends")
            rows.append(Row(here, here, cut(f"{_short(event.flow)} {text}"), time))
        elif type(event) is Trouble:
            if event.kind == "crash" and rows and "** commit crash" in rows[-1].text:
                continue  # It is said already what brought it about.
            during = f" ({event.during})" if event.during else ""
            rows.append(Row(here, here, f"** {event.kind}{during}", time))
    return rows


def passed(start_us: int, at_us: int) -> str:
    """How long it is since the beginning, as one would write a duration."""
    since = datetime.timedelta(microseconds=at_us - start_us)
    milliseconds = since // datetime.timedelta(milliseconds=1)
    return written(datetime.timedelta(milliseconds=milliseconds))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _centres(names: Sequence[str], rows: Sequence[Row], first: int) -> dict[str, int]:
    """The column of each lane: what is said between two lanes has room."""
    order = {name: number for number, name in enumerate(names)}
    centres: dict[str, int] = {}
    for number, name in enumerate(names):
        if not number:
            centres[name] = first + _width(name) // 2
            continue
        before = names[number - 1]
        column = centres[before] + max(NARROW, (_width(before) + _width(name)) // 2 + GAP)
        for row in rows:
            low, high = sorted((order[row.sender], order[row.receiver]))
            if high == number and low < high:
                column = max(column, centres[names[low]] + _width(row.text) + GAP)
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
