"""A sequence picture as Mermaid's `sequenceDiagram`, for documents. Knows nothing of flows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from flowlang.pictures.mermaid import escaped
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
)

_ARROWS = {
    "data": "->>",
    "call": "-)",
    "answer": "-->>",
    "error": "->>",
    "end": "-->>",
    "lost": "-x",
}


def mermaid_of(picture: Sequence) -> str:
    """The whole text."""
    return "\n".join(_Writer(picture).lines()) + "\n"


class _Writer:
    def __init__(self, picture: Sequence) -> None:
        self.picture = picture
        # Names of the author's could be words of Mermaid, so lanes have names of ours.
        self._ids = {lane.key: f"p{number}" for number, lane in enumerate(picture.lanes)}

    def lines(self) -> Iterator[str]:
        yield from ("---", f"title: {escaped(self.picture.title)}", "---", "sequenceDiagram")
        for lane in self.picture.lanes:
            detail = f"<br/>{escaped(lane.detail)}" if lane.detail else ""
            yield f"    participant {self._ids[lane.key]} as {escaped(lane.name)}{detail}"
        yield from self._items(self.picture.items, "    ")

    def _items(self, items: Iterable[Item], space: str) -> Iterator[str]:
        for item in items:
            yield from self._item(item, space)

    def _item(self, item: Item, space: str) -> Iterator[str]:
        deeper = space + "    "
        match item:
            case Message(sender=sender, receiver=receiver, text=text, kind=kind, place=place):
                ends = f"{self._ids[sender]}{_ARROWS[kind]}{self._ids[receiver]}"
                mark = "✗ " if kind == "error" else ""
                where = f" ({escaped(place)})" if place else ""
                yield f"{space}{ends}: {mark}{escaped(text)}{where}"
            case Note(lanes=lanes, text=text, place=place):
                where = f" ({escaped(place)})" if place else ""
                yield f"{space}Note over {self._over(lanes)}: {escaped(text)}{where}"
            case Progress(lane=lane, step=step, label=label):
                said = escaped(step) + (f"<br/>{escaped(label)}" if label else "")
                yield f"{space}Note over {self._ids[lane]}: {said}"
            case Ending(lane=lane, text=text, failed=failed):
                mark = "✗" if failed else "■"
                yield f"{space}Note over {self._ids[lane]}: {mark} {escaped(text)}"
            case Alternatives(branches=branches):
                word = "alt" if len(branches) > 1 else "opt"
                for number, branch in enumerate(branches):
                    said = "else" if number else word
                    yield f"{space}{said} {escaped(branch.condition)}".rstrip()
                    yield from self._items(branch.items, deeper)
                yield f"{space}end"
            case Instead(condition=condition, items=items):
                yield f"{space}break {escaped(condition)}"
                yield from self._items(items, deeper)
                yield f"{space}end"
            case Loop(condition=condition, items=items):
                yield f"{space}loop {escaped(condition)}"
                yield from self._items(items, deeper)
                yield f"{space}end"
            case Frame(lane=lane, title=title, items=items):
                # A grey that is seen on a light page and on a dark one.
                yield f"{space}rect rgba(128, 128, 128, 0.15)"
                yield f"{deeper}Note over {self._ids[lane]}: subflow {escaped(title)}"
                yield from self._items(items, deeper)
                yield f"{space}end"
            case _:
                assert_never(item)

    def _over(self, lanes: Iterable[str]) -> str:
        order = [key for key in self._ids if key in set(lanes)]
        ends = dict.fromkeys((order[0], order[-1]))
        return ",".join(self._ids[key] for key in ends)
