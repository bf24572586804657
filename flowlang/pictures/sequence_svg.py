"""A sequence picture as SVG. Knows nothing of flows.

First everything is measured, the inner things first: how high it is, how far it reaches to both
sides. Then it is drawn, each item below the one before it. A fragment is drawn around all that it
holds, so no box touches another one that it does not hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias, assert_never

from flowlang.pictures import svg
from flowlang.pictures.measure import broken, shortened
from flowlang.pictures.sequence import (
    Alternatives,
    Ending,
    Frame,
    Instead,
    Item,
    Lane,
    Loop,
    Message,
    Note,
    Progress,
    Sequence,
    every,
    inner,
    named,
)

TITLE = svg.Style(16, bold=True)
NAME = svg.Style(14, bold=True)
DETAIL = svg.Style(11, "soft")
SAID = svg.Style(13)
NOTED = svg.Style(12)
PLACE = svg.Style(10, "soft", mono=True)
TAG = svg.Style(11, "soft", bold=True)
CONDITION = svg.Style(11, "soft", mono=True)
STEP = svg.Style(10, "blue", bold=True)
STEP_LABEL = svg.Style(11, "blue")

LONGEST = 300.0
"""Pixels of a message's text; a longer one is shortened."""

BROADEST = 180.0
"""Pixels of a line in a note; more go into lines below it."""

MARGIN = 24.0
PADDING = 12.0
NARROW = 130.0
"""Two lanes are so far from each other at least."""

TALL = 700.0
"""Pictures that are higher name the lanes at the bottom again."""

_TONES = {
    "plain": ("box", "faint", "ink"),
    "condition": ("box", "faint", "soft"),
    "wait": ("amber-box", "amber", "amber"),
    "trouble": ("red-box", "red", "red"),
}
_ARROWS = {
    "data": ("ink", ""),
    "call": ("line", ""),
    "answer": ("line", " dashed"),
    "error": ("red", ""),
    "end": ("line", " dashed"),
    "lost": ("red", " dashed"),
}


class Box(NamedTuple):
    """A rectangle of the picture: around a name, a note, a step, or around all that `depth` many
    fragments hold."""

    x: float
    y: float
    wide: float
    high: float
    depth: int = 0


@dataclasses.dataclass(frozen=True)
class Laid:
    """An item that was measured: its height, how far it reaches, and its lines of text."""

    item: Item
    high: float
    left: float
    right: float
    lines: tuple[str, ...] = ()
    inner: tuple[tuple[Laid, ...], ...] = ()


def svg_of(picture: Sequence) -> str:
    """The whole file."""
    return Drawing(picture).svg()


def boxes_of(picture: Sequence) -> list[Box]:
    """The rectangles that are drawn."""
    drawing = Drawing(picture)
    drawing.svg()
    return drawing.boxes


class Drawing:
    """One picture on its way to SVG."""

    def __init__(self, picture: Sequence) -> None:
        self.picture = picture
        self.boxes: list[Box] = []
        self._centres = _centres(picture)
        self._elements: list[str] = []
        self._margin = 0.0  # where places stand, right of everything

    def svg(self) -> str:
        lanes = self.picture.lanes
        laid = self._measured(self.picture.items)
        heads = [_head_width(lane) / 2 for lane in lanes]
        lefts = [self._centres[lane.key] - half for lane, half in zip(lanes, heads, strict=True)]
        rights = [self._centres[lane.key] + half for lane, half in zip(lanes, heads, strict=True)]
        left = min([0.0, *lefts, *(one.left for one in laid)])
        right = max([200.0, *rights, *(one.right for one in laid)])
        for key in self._centres:
            self._centres[key] += MARGIN - left
        laid = self._measured(self.picture.items)
        right += MARGIN - left
        places = [_place_of(item) for item in every(self.picture.items)]
        room = max((PLACE.width(place) for place in places), default=0.0)
        self._margin = right + 16
        wide = max(right + (16 + room if room else 0.0), TITLE.width(self._title()) + MARGIN)
        top = 56.0
        under = top + self._head_height()
        bottom = under + 18 + sum(one.high for one in laid) + 12
        foot = bottom - under > TALL
        lines, self._elements = self._elements, []
        y = under + 18
        for one in laid:
            self._draw(one, y, 0)
            y += one.high
        front, self._elements = self._elements, lines
        for lane in lanes:
            x = self._centres[lane.key]
            self._add(svg.line([(x, under), (x, bottom)], "s-faint"))
        self._elements += front
        self._add(svg.text(MARGIN, 32, self._title(), TITLE, "start"))
        for lane in lanes:
            self._name(lane, top)
            if foot:
                self._name(lane, bottom)
        high = bottom + (self._head_height() if foot else 0.0) + MARGIN
        return svg.page(
            wide + MARGIN, high, self.picture.title, self.picture.description, self._elements
        )

    def _title(self) -> str:
        return shortened(self.picture.title, 900, TITLE.size, bold=True)

    # --- lanes ------------------------------------------------------------------------------

    def _head_height(self) -> float:
        return 46.0 if any(lane.detail for lane in self.picture.lanes) else 32.0

    def _name(self, lane: Lane, y: float) -> None:
        wide, high, x = _head_width(lane), self._head_height(), self._centres[lane.key]
        is_service = lane.kind == "service"
        names = "f-ground s-line dashed" if is_service else "f-box s-line"
        self._box(Box(x - wide / 2, y, wide, high), names, high / 2 if is_service else 6)
        middle = y + high / 2
        name = shortened(lane.name, LONGEST, NAME.size, bold=True)
        self._add(svg.text(x, middle + (-2 if lane.detail else 5), name, NAME))
        if lane.detail:
            detail = shortened(lane.detail, LONGEST, DETAIL.size)
            self._add(svg.text(x, middle + 14, detail, DETAIL))

    # --- measuring --------------------------------------------------------------------------

    def _measured(self, items: Iterable[Item]) -> tuple[Laid, ...]:
        return tuple(self._measure(item) for item in items)

    def _measure(self, item: Item) -> Laid:
        match item:
            case Message(sender=sender, receiver=receiver):
                said = _cut(item.text)
                start, end = self._centres[sender], self._centres[receiver]
                if sender == receiver:
                    return Laid(item, 40, start - 8, start + 34 + SAID.width(said) + 6, (said,))
                return Laid(item, 38, min(start, end) - 8, max(start, end) + 8, (said,))
            case Note(lanes=lanes):
                centres = [self._centres[lane] for lane in lanes]
                low, high = min(centres), max(centres)
                style = _note_style(item)
                room = max(BROADEST, high - low + 60)
                lines = broken(item.text, room, style.size, most=6, mono=style.mono)
                wide = max([high - low + 30, *(style.width(one) + 20 for one in lines)])
                middle = (low + high) / 2
                tall = 16 * len(lines) + 22
                return Laid(item, tall, middle - wide / 2, middle + wide / 2, tuple(lines))
            case Progress(lane=lane):
                lines = _step_lines(item)
                wide, x = _step_width(item), self._centres[lane]
                tall = 15 * len(lines) + 20
                return Laid(item, tall, x - wide / 2, x + wide / 2, tuple(lines))
            case Ending(lane=lane):
                x = self._centres[lane]
                said = _cut(item.text)
                return Laid(item, 28, x - 12, x + 14 + NOTED.width(said), (said,))
            case Alternatives() | Instead() | Loop() | Frame():
                return self._measure_fragment(item)
            case _:
                assert_never(item)

    def _measure_fragment(self, item: Alternatives | Instead | Loop | Frame) -> Laid:
        parts = tuple(self._measured(items) for items in inner(item))
        own = [self._centres[lane] for lane in _lanes_in(item)] or [min(self._centres.values())]
        left = min([min(own) - 30, *(one.left for part in parts for one in part)]) - PADDING
        right = max([max(own) + 30, *(one.right for part in parts for one in part)]) + PADDING
        titles = _titles(item)
        need = max(_tab_width(item) + CONDITION.width(title) + 24 for title in titles)
        right = max(right, left + need)
        tall = 10.0  # free below it
        for part in parts:
            tall += 32 + sum(one.high for one in part) + 4
        return Laid(item, tall, left, right, tuple(titles), parts)

    # --- drawing ----------------------------------------------------------------------------

    def _add(self, element: str) -> None:
        self._elements.append(element)

    def _box(self, box: Box, names: str, round_: float = 4) -> None:
        self.boxes.append(box)
        self._add(svg.box(box.x, box.y, box.wide, box.high, names, round_))

    def _draw(self, laid: Laid, y: float, depth: int) -> None:
        item = laid.item
        match item:
            case Message():
                self._message(item, laid, y)
            case Note():
                fill, stroke, colour = _TONES[item.tone]
                style = dataclasses.replace(_note_style(item), colour=colour)
                wide = laid.right - laid.left
                self._box(Box(laid.left, y + 3, wide, laid.high - 10), f"f-{fill} s-{stroke}")
                x = (laid.left + laid.right) / 2
                for number, said in enumerate(laid.lines):
                    self._add(svg.text(x, y + 20 + 16 * number, said, style))
                self._place(item.place, y + 20)
            case Progress(lane=lane):
                wide, x = laid.right - laid.left, self._centres[lane]
                tall = laid.high - 10
                self._box(Box(laid.left, y + 3, wide, tall), "f-blue-box s-blue", 8)
                for number, said in enumerate(laid.lines):
                    style = STEP_LABEL if number else STEP
                    self._add(svg.text(x, y + 17 + 15 * number, said, style))
            case Ending(lane=lane, failed=failed):
                x, colour = self._centres[lane], "red" if failed else "green"
                if failed:
                    self._add(svg.cross(x, y + 13, colour))
                else:
                    self._add(svg.box(x - 9, y + 10, 18, 5, f"f-{colour}", 2))
                style = dataclasses.replace(NOTED, colour=colour)
                self._add(svg.text(x + 14, y + 17, laid.lines[0], style, "start", halo=True))
                self._place(item.place, y + 17)
            case Alternatives() | Instead() | Loop() | Frame():
                self._fragment(item, laid, y, depth)
            case _:
                assert_never(item)

    def _message(self, item: Message, laid: Laid, y: float) -> None:
        start, end = self._centres[item.sender], self._centres[item.receiver]
        colour, dashed = _ARROWS[item.kind]
        ink = "red" if colour == "red" else "soft" if colour == "line" else "ink"
        style = dataclasses.replace(SAID, colour=ink)
        stroke, open_ = f"s-{colour}{dashed}", item.kind in ("call", "answer", "end")
        if start == end:
            top, low = y + 10, y + 26
            self._add(svg.line([(start, top), (start + 26, top), (start + 26, low), (start, low)],
                               stroke, 5))  # fmt: skip
            self._add(svg.head((start, low), (-1, 0), colour, open_=open_))
            said = svg.text(start + 34, y + 22, laid.lines[0], style, "start", halo=True)
            self._add(said)
            self._place(item.place, y + 22)
            return
        way = 1.0 if start < end else -1.0
        stop = end if item.kind != "lost" else start + (end - start) * 0.8
        self._add(svg.line([(start, y + 26), (stop - way, y + 26)], stroke))
        if item.kind == "lost":
            self._add(svg.cross(stop, y + 26, colour))
        else:
            self._add(svg.head((end, y + 26), (way, 0), colour, open_=open_))
        if item.kind == "error":
            self._add(svg.cross(start, y + 26, colour))
        said = svg.text((start + end) / 2, y + 19, laid.lines[0], style, halo=True)
        self._add(said)
        self._place(item.place, y + 26)

    def _fragment(
        self, item: Alternatives | Instead | Loop | Frame, laid: Laid, y: float, depth: int
    ) -> None:
        tag, colour = _tag(item), _fragment_colour(item)
        wide, high = laid.right - laid.left, laid.high - 10
        self._box(Box(laid.left, y, wide, high, depth + 1), f"s-{colour}")
        at = y
        for number, (title, part) in enumerate(zip(laid.lines, laid.inner, strict=True)):
            start = laid.left
            if number:
                ends = [(laid.left, at), (laid.right, at)]
                self._add(svg.line(ends, f"s-{colour} dashed"))
                start += 10
            else:
                tab = _tab_width(item)
                corners = [(start, at + 20), (start + tab - 7, at + 20), (start + tab, at + 13),
                           (start + tab, at)]  # fmt: skip
                self._add(svg.line(corners, f"s-{colour}"))
                style = dataclasses.replace(TAG, colour=colour if colour != "line" else "soft")
                self._add(svg.text(start + (tab - 3) / 2, at + 14, tag, style))
                start += tab + 8
            if title:
                self._add(svg.text(start, at + 15, title, CONDITION, "start", halo=True))
            at += 32
            for one in part:
                self._draw(one, at, depth + 1)
                at += one.high
            at += 4

    def _place(self, place: str, y: float) -> None:
        if place:
            self._add(svg.text(self._margin, y, place, PLACE, "start"))


# --- what things measure --------------------------------------------------------------------------


def _centres(picture: Sequence) -> dict[str, float]:
    """Where each lane is, so that what is said between two lanes has room, and what stands at a
    lane reaches no other one."""
    order = {lane.key: number for number, lane in enumerate(picture.lanes)}
    gaps = [NARROW] * len(order)  # gaps[n]: between lane n - 1 and n
    for number in range(1, len(picture.lanes)):
        left, right = picture.lanes[number - 1], picture.lanes[number]
        gaps[number] = max(NARROW, (_head_width(left) + _head_width(right)) / 2 + 24)
    spans: list[tuple[int, int, float]] = []
    for item in every(picture.items):
        match item:
            case Message(sender=sender, receiver=receiver, text=text):
                low, high = sorted((order[sender], order[receiver]))
                if low == high:
                    spans.append((low, low + 1, 34 + SAID.width(_cut(text)) + 20))
                else:
                    spans.append((low, high, SAID.width(_cut(text)) + 44))
            case Note(lanes=lanes) if len(set(lanes)) == 1:
                style = _note_style(item)
                lines = broken(item.text, BROADEST, style.size, most=6, mono=style.mono)
                half = max((style.width(one) for one in lines), default=0) / 2 + 20
                at = order[lanes[0]]
                spans += [(at - 1, at, half), (at, at + 1, half)]
            case Progress(lane=lane):
                half, at = _step_width(item) / 2 + 14, order[lane]
                spans += [(at - 1, at, half), (at, at + 1, half)]
            case Ending(lane=lane, text=text):
                spans.append((order[lane], order[lane] + 1, 30 + NOTED.width(_cut(text))))
            case Note() | Alternatives() | Instead() | Loop() | Frame():
                pass
    columns = [0.0] * len(order)
    for number in range(1, len(order)):
        ends = [columns[low] + wide for low, high, wide in spans if high == number and low >= 0]
        columns[number] = max([columns[number - 1] + gaps[number], *ends])
    return {lane.key: columns[order[lane.key]] for lane in picture.lanes}


def _head_width(lane: Lane) -> float:
    name = NAME.width(shortened(lane.name, LONGEST, NAME.size, bold=True))
    detail = DETAIL.width(shortened(lane.detail, LONGEST, DETAIL.size))
    return max(90.0, max(name, detail) + (44 if lane.kind == "service" else 28))


def _note_style(note: Note) -> svg.Style:
    return dataclasses.replace(NOTED, mono=note.tone == "condition")


def _step_lines(step: Progress) -> list[str]:
    name = shortened(step.step, BROADEST, STEP.size, bold=True)
    return [name, *broken(step.label, BROADEST, STEP_LABEL.size, most=3)]


def _step_width(step: Progress) -> float:
    name, *label = _step_lines(step)
    return max([STEP.width(name), *(STEP_LABEL.width(one) for one in label)]) + 22


def _lanes_in(item: Item) -> Iterator[str]:
    for one in every([item]):
        yield from named(one)


_Fragment: TypeAlias = Alternatives | Instead | Loop | Frame


def _tag(item: _Fragment) -> str:
    match item:
        case Alternatives(branches=branches):
            return "alt" if len(branches) > 1 else "opt"
        case Instead():
            return "instead"
        case Loop():
            return "loop"
        case Frame():
            return "subflow"


def _fragment_colour(item: _Fragment) -> str:
    match item:
        case Alternatives():
            return "line"
        case Instead(items=items):
            return "red" if any(_is_trouble(one) for one in every(items)) else "line"
        case Loop():
            return "amber"
        case Frame():
            return "green"


def _is_trouble(item: Item) -> bool:
    match item:
        case Ending(failed=failed):
            return failed
        case Message(kind=kind):
            return kind == "error"
        case Note(tone=tone):
            return tone == "trouble"
        case _:
            return False


def _titles(item: _Fragment) -> list[str]:
    match item:
        case Alternatives(branches=branches):
            said = [branch.condition for branch in branches]
        case Instead(condition=condition) | Loop(condition=condition):
            said = [condition]
        case Frame(title=title):
            said = [title]
    return [shortened(one, 2 * LONGEST, CONDITION.size, mono=True) for one in said]


def _tab_width(item: _Fragment) -> float:
    return TAG.width(_tag(item)) + 20


def _cut(text: str) -> str:
    return shortened(text, LONGEST, SAID.size)


def _place_of(item: Item) -> str:
    match item:
        case Message(place=place) | Note(place=place) | Ending(place=place):
            return place
        case Progress() | Alternatives() | Instead() | Loop() | Frame():
            return ""
