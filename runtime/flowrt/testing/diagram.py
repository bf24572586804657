"""A world's history as a sequence diagram in text: a lane for each party, time going down.

It is told events; it looks at no world and no flow.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from flowrt.core import flow as rt
from flowrt.core.values import Data, Failure, Reject
from flowrt.sim.history import Began, Ended, Event, Received, Rested, Said, Sent, Trouble

MOST_LABEL = 48
"""So wide may what is said be; more is cut."""

MOST_ROWS = 80
_NEAREST = 16
_TIME = 10


def shown(value: Any) -> str:
    """A value as one would write it in the language, as far as that is short."""
    if isinstance(value, str):
        return '"' + value.translate(_ESCAPES) + '"'
    if isinstance(value, rt.FlowError):
        fields = value.fields()
        return _call(type(value).__name__, fields)
    if isinstance(value, rt.Party):
        return rt.written(value)
    if isinstance(value, msgspec.Struct):
        name = type(value).__name__
        case = type(value).__struct_config__.tag
        return _call(case if isinstance(case, str) else name, value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(k)}: {shown(v)}" for k, v in value.items()) + "}"
    return rt.written(value)


_ESCAPES = {
    code: f"\\x{code:02x}" if code not in (10, 13, 9) else {10: "\\n", 13: "\\r", 9: "\\t"}[code]
    for code in (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F))
} | {ord('"'): '\\"', ord("\\"): "\\\\"}


def _call(name: str, fields: msgspec.Struct) -> str:
    names = fields.__struct_fields__
    if not names:
        return name
    inside = ", ".join(f"{one}={shown(getattr(fields, one))}" for one in names)
    return f"{name}({inside})"


def cut(text: str, width: int = MOST_LABEL) -> str:
    """`text`, at most so wide."""
    return text if len(text) <= width else text[: width - 1] + "…"


def diagram(
    history: Iterable[Event], parties: Sequence[str], start_us: int, outcomes: dict[Any, str]
) -> list[str]:
    """The lines of the diagram.

    `outcomes` says, by (party, flow id), what a flow returned or what it threw.
    """
    rows = _rows(list(history), outcomes, start_us)
    if len(rows) > MOST_ROWS:
        rows = [
            *rows[:MOST_ROWS],
            _Note(rows[-1].at_us, parties[0], f"… {len(rows) - MOST_ROWS} more"),
        ]
    return _Page(parties, start_us, rows).lines


class _Arrow(msgspec.Struct):
    at_us: int
    party: str
    peer: str
    text: str


class _Note(msgspec.Struct):
    at_us: int
    party: str
    text: str


_Row = _Arrow | _Note


def _rows(history: list[Event], outcomes: dict[Any, str], start_us: int) -> list[_Row]:
    read = {(one.session, one.party, repr(one.content)) for one in history if type(one) is Received}
    rows: list[_Row] = []
    for event in history:
        if type(event) is Sent:
            # An end that nobody reads is the rule; a message that nobody reads is worth a word.
            unread = (event.session, event.peer, repr(event.content)) not in read
            rows.append(_arrow(event, " (never read)" if unread else ""))
        elif type(event) is Began:
            rows.append(_Note(event.at_us, event.party, f"{_short(event.flow)} begins"))
        elif type(event) is Ended:
            text = outcomes.get((event.party, event.flow_id), event.error or "ends")
            rows.append(_Note(event.at_us, event.party, cut(f"{_short(event.flow)} {text}", 60)))
        elif type(event) is Trouble:
            last = rows[-1] if rows else None
            if event.kind == "crash" and isinstance(last, _Note) and "crash" in last.text:
                continue  # It is said already what brought it about.
            during = f" ({event.during})" if event.during else ""
            rows.append(_Note(event.at_us, event.party, f"** {event.kind}{during}"))
        elif type(event) is Rested:
            continue
    return rows


def _arrow(event: Said, unread: str) -> _Arrow:
    message = event.message
    if message is not None:
        text = cut(shown(message)) + unread
    elif type(event.content) is Failure:
        text = f"throws {event.content.name.rpartition('.')[2]}"
    elif type(event.content) is Reject:
        text = f"rejected: {cut(event.content.reason, 30)}"
    elif type(event.content) is Data:
        text = f"{event.content.name}, which cannot be read"
    else:
        text = "end"
    return _Arrow(event.at_us, event.party, event.peer, text)


def _short(flow: str) -> str:
    return flow.rpartition(".")[2]


def passed(start_us: int, at_us: int) -> str:
    """How long it is since the beginning, as one would write a duration."""
    since = datetime.timedelta(microseconds=at_us - start_us)
    milliseconds = since // datetime.timedelta(milliseconds=1)
    text = rt.written(datetime.timedelta(milliseconds=milliseconds))
    return "+" + text


class _Page:
    """Lanes and rows. The lanes are as far from each other as what is said between them needs."""

    def __init__(self, parties: Sequence[str], start_us: int, rows: Sequence[_Row]) -> None:
        self._lanes = self._placed(parties, rows)
        self._start_us = start_us
        self._last = ""
        self._width = _TIME + 4
        self.lines = [self._heads()]
        for row in rows:
            self._row(row)

    def _placed(self, parties: Sequence[str], rows: Sequence[_Row]) -> dict[str, int]:
        gaps = [_NEAREST] * len(parties)
        order = {party: number for number, party in enumerate(parties)}
        for number in range(len(parties) - 1):
            gaps[number] = max(gaps[number], len(parties[number]) + len(parties[number + 1]))
        for row in rows:
            if isinstance(row, _Arrow) and row.party in order and row.peer in order:
                low, high = sorted((order[row.party], order[row.peer]))
                if high - low == 1:
                    gaps[low] = max(gaps[low], len(row.text) + 8)
        places, at = {}, 0
        for party, gap in zip(parties, gaps, strict=True):
            places[party] = at
            at += gap
        return places

    def _heads(self) -> str:
        line = ""
        for party, at in self._lanes.items():
            line = line.ljust(at) + party
        return " " * self._width + line

    def _time(self, at_us: int) -> str:
        time = passed(self._start_us, at_us)
        shown_time = "" if time == self._last else time
        self._last = time
        return shown_time.ljust(_TIME)[: max(_TIME, len(shown_time))]

    def _empty(self) -> list[str]:
        cells = [" "] * (max(self._lanes.values(), default=0) + 1)
        for at in self._lanes.values():
            cells[at] = "|"
        return cells

    def _row(self, row: _Row) -> None:
        time = self._time(row.at_us)
        cells = self._empty()
        here = self._lanes.get(row.party, 0)
        if isinstance(row, _Note):
            text = f"| {row.text}" if row.text.startswith("**") else f"o {row.text}"
            self._put(cells, here, text)
        elif row.peer not in self._lanes or row.peer == row.party:
            self._put(cells, here, f"|--> {row.peer}: {row.text}")
        else:
            there = self._lanes[row.peer]
            low, high = min(here, there), max(here, there)
            room = high - low - 1
            text = f" {cut(row.text, room - 6)} "
            right = there > here
            body = text.center(room, "-")
            body = f"{body[:-1]}>" if right else f"<{body[1:]}"
            self._put(cells, low + 1, body)
        line = f"{time.ljust(self._width)}{''.join(cells)}".rstrip()
        self.lines.append(line)

    def _put(self, cells: list[str], at: int, text: str) -> None:
        cells += [" "] * (at + len(text) - len(cells))
        cells[at : at + len(text)] = text
