"""A sequence picture in characters, for a terminal. Knows nothing of flows.

Lanes are columns; a fragment is a box around what it holds, as wide as the whole picture less its
depth, so that boxes never cross. With `ascii_only` the lines are drawn with `-`, `|` and `+`; what
authors wrote stays as it is.
"""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from collections.abc import Iterable
from typing import assert_never

from flowlang.diagnostics import printable
from flowlang.pictures.measure import columns
from flowlang.pictures.sequence import (
    Alternatives,
    Ending,
    Frame,
    Instead,
    Item,
    Loop,
    Message,
    Note,
    Progress,
    Sequence,
    every,
    inner,
)

LONGEST = 44
"""Columns of a message's text; a longer one is shortened."""

BROADEST = 36
"""Columns of a note beside a lane; more go into lines below it."""

GAP = 6
"""Columns that a message's text leaves free between two lanes."""

NARROW = 14
"""Two lanes are so far from each other at least."""

_ASCII = str.maketrans("│─┌┐└┘├┤┬┴╌◀▶✗■…", "|-++++++++-<>x#.")


def text_of(picture: Sequence, *, ascii_only: bool = False, numbered: bool = False) -> str:
    """The whole text, lines of which none has blanks at its end. Where it is `numbered`, each item
    that has a place has a number, too; there is more room then, since such a picture is small."""
    return _Writer(picture, ascii_only, numbered).text()


@dataclasses.dataclass(frozen=True)
class _Row:
    """One line: pieces at columns (the first wins where two meet), how many fragments it is in,
    whether it is an edge of the innermost (then its two corners), what stands at the margin."""

    pieces: tuple[tuple[int, str], ...]
    depth: int
    edge: str = ""
    place: str = ""


class _Writer:
    def __init__(self, picture: Sequence, ascii_only: bool, numbered: bool) -> None:
        self.picture = picture
        self._numbered = numbered
        self._ascii = ascii_only
        self._deepest = max((_depth(item) for item in picture.items), default=0)
        self._centres = self._centred()
        self._rows: list[_Row] = []

    def text(self) -> str:
        lanes = self.picture.lanes
        self._centred_row([(self._centres[lane.key], _printed(lane.name)) for lane in lanes])
        if any(lane.detail for lane in lanes):
            details = [(self._centres[lane.key], _printed(lane.detail)) for lane in lanes]
            self._centred_row([one for one in details if one[1]])
        for item in self.picture.items:
            self._item(item, 0)
        right = self._right()
        lines = [self._line(row, right) for row in self._rows]
        if self._numbered:
            count = itertools.count(1)
            starts = [f"{next(count):>4}  " if row.place else " " * 6 for row in self._rows]
            lines = [f"{start}{line}".rstrip() for start, line in zip(starts, lines, strict=True)]
        title = [_printed(self.picture.title), ""] if self.picture.title else []
        return "\n".join([*title, *lines]) + "\n"

    def _centred(self) -> dict[str, int]:
        """The column of each lane: what is said between two lanes has room."""
        gap = GAP + 2 if self._numbered else GAP
        order = {lane.key: number for number, lane in enumerate(self.picture.lanes)}
        spans: list[tuple[int, int, int]] = []
        for item in every(self.picture.items):
            if isinstance(item, Message):
                low, high = sorted((order[item.sender], order[item.receiver]))
                spans.append((low, high, columns(_cut(_said(item))) + gap))
        at: list[int] = []
        widths = [
            max(columns(_printed(lane.name)), columns(_printed(lane.detail)))
            for lane in self.picture.lanes
        ]
        for number, wide in enumerate(widths):
            if not number:
                at.append(2 * self._deepest + max(wide // 2, 2 if self._deepest else 0))
                continue
            ends = [at[low] + need for low, high, need in spans if low < high == number]
            apart = max(NARROW, (widths[number - 1] + wide) // 2 + 3)
            at.append(max([at[number - 1] + apart, *ends]))
        return {lane.key: at[order[lane.key]] for lane in self.picture.lanes}

    def _centred_row(self, texts: Iterable[tuple[int, str]]) -> None:
        pieces = tuple((centre - columns(said) // 2, said) for centre, said in texts)
        self._rows.append(_Row(pieces, 0, edge="heads"))

    def _right(self) -> int:
        """The column behind everything that is said, but not behind boxes."""
        rights = [column + columns(said) for row in self._rows for column, said in row.pieces]
        least = 0 if self._numbered else 40
        return max([least, *rights, *(centre + 2 for centre in self._centres.values())]) + 1

    def _line(self, row: _Row, right: int) -> str:
        cells: dict[int, str] = {}
        taken: set[int] = set()

        def put(column: int, said: str) -> None:
            for character in said:
                wide = columns(character)
                if wide == 0 and column - 1 in cells:
                    cells[column - 1] += character
                    continue
                if not any(at in taken for at in range(column, column + wide)):
                    cells[column] = character
                    taken.update(range(column, column + wide))
                column += wide

        for column, said in row.pieces:
            put(column, said)
        outer = row.depth - (1 if row.edge in ("┌┐", "├┤", "└┘") else 0)
        end = right + 2 * self._deepest
        for depth in range(outer):
            put(2 * depth, self._drawn("│"))
            put(end - 1 - 2 * depth, self._drawn("│"))
        if row.edge in ("┌┐", "├┤", "└┘"):
            put(2 * outer, self._drawn(row.edge[0]))
            put(end - 1 - 2 * outer, self._drawn(row.edge[1]))
            line = "╌" if row.edge == "├┤" else "─"
            put(2 * outer + 1, self._drawn(line * (end - 2 - 4 * outer)))
        elif row.edge != "heads":
            for centre in self._centres.values():
                put(centre, self._drawn("│"))
        if row.place:
            put(end + 2, row.place)
        line, width = "", 0
        for column in sorted(cells):
            line += " " * (column - width) + cells[column]
            width = column + max(1, columns(cells[column]))
        return line.rstrip()

    def _drawn(self, lines: str) -> str:
        return lines.translate(_ASCII) if self._ascii else lines

    # --- items ------------------------------------------------------------------------------

    def _row(self, pieces: Iterable[tuple[int, str]], depth: int, place: str = "") -> None:
        self._rows.append(_Row(tuple(pieces), depth, place=_printed(place)))

    def _item(self, item: Item, depth: int) -> None:
        match item:
            case Message():
                self._message(item, depth)
            case Note(lanes=lanes, text=text, tone=tone, place=place):
                mark = {"plain": "", "condition": "", "wait": "… ", "trouble": "✗ "}[tone]
                self._beside(min(self._centres[lane] for lane in lanes), mark, text, depth, place)
            case Progress(lane=lane, step=step, label=label):
                said = f"[{step}] {label}" if label else f"[{step}]"
                self._beside(self._centres[lane], "", said, depth)
            case Ending(lane=lane, text=text, failed=failed, place=place):
                mark = "✗" if failed else "■"
                centre = self._centres[lane]
                pieces = ((centre, self._drawn(mark)), (centre + 2, f"{_cut(text)} "))
                self._row(pieces, depth, place)
            case Alternatives(branches=branches):
                word = "alt" if len(branches) > 1 else "opt"
                for number, branch in enumerate(branches):
                    self._edge("├┤" if number else "┌┐", "or" if number else word,
                               branch.condition, depth + 1)  # fmt: skip
                    self._items(branch.items, depth + 1)
                self._edge("└┘", "", "", depth + 1)
            case Instead(condition=condition):
                self._fragment("instead", condition, item, depth)
            case Loop(condition=condition):
                self._fragment("loop", condition, item, depth)
            case Frame(title=title):
                self._fragment("subflow", title, item, depth)
            case _:
                assert_never(item)

    def _items(self, items: Iterable[Item], depth: int) -> None:
        for item in items:
            self._item(item, depth)

    def _fragment(self, word: str, said: str, item: Item, depth: int) -> None:
        self._edge("┌┐", word, said, depth + 1)
        for items in inner(item):
            self._items(items, depth + 1)
        self._edge("└┘", "", "", depth + 1)

    def _edge(self, corners: str, word: str, said: str, depth: int) -> None:
        said = _cut(said, 2 * LONGEST)
        text = " ".join(part for part in (word, said) if part)
        pieces = ((2 * depth + 1, f" {text} "),) if text else ()
        self._rows.append(_Row(pieces, depth, edge=corners))

    def _beside(self, centre: int, mark: str, text: str, depth: int, place: str = "") -> None:
        broadest = BROADEST + 24 if self._numbered else BROADEST
        lines = textwrap.wrap(_printed(text), broadest) or [""]
        for number, said in enumerate(lines):
            sign = self._drawn(mark) if not number else " " * len(mark)
            self._row(((centre + 2, f"{sign}{said} "),), depth, "" if number else place)

    def _message(self, item: Message, depth: int) -> None:
        start, end = self._centres[item.sender], self._centres[item.receiver]
        said = _cut(_said(item))
        if self._ascii:
            said = said.replace("✗", "x")
        if start == end:
            arrow = self._drawn("├◀")
            self._row(((start, arrow), (start + 3, said)), depth, item.place)
            return
        low, high = min(start, end), max(start, end)
        free = high - low - 1 - columns(said) - 2
        line = "╌" if item.kind in ("answer", "end", "lost") else "─"
        before, after = line * (free // 2), line * (free - free // 2)
        tip = "✗" if item.kind == "lost" else "▶" if start < end else "◀"
        if start < end:
            after = after[:-1] + tip
        else:
            before = tip + before[1:]
        piece = f"{self._drawn(before)} {said} {self._drawn(after)}"
        self._row(((low + 1, piece),), depth, item.place)


def _said(item: Message) -> str:
    return f"✗ {item.text}" if item.kind == "error" else item.text


def _depth(item: Item) -> int:
    """How many fragments are in each other here."""
    deepest, todo = 0, [(item, 0)]
    while todo:
        at, depth = todo.pop()
        within = inner(at)
        deepest = max(deepest, depth + bool(within))
        todo += [(one, depth + 1) for items in within for one in items]
    return deepest


def _printed(text: str) -> str:
    return printable(" ".join(text.split()))


def _cut(text: str, most: int = LONGEST) -> str:
    text = _printed(text)
    if columns(text) <= most:
        return text
    while columns(text) >= most:
        text = text[:-1]
    return text.rstrip() + "…"
