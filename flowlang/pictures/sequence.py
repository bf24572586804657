"""A sequence picture as a value: lanes, and what happens between them, in order. Knows neither
flows nor how it is drawn.

Whoever has a conversation to show (all that there are, or one run) makes this value.

Texts are plain, of any characters; a writer escapes, shortens and breaks them as it needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias


@dataclasses.dataclass(frozen=True)
class Lane:
    """One who takes part, from left to right in the order of the picture. Items name it by `key`;
    `name` is shown, and `detail` small below it (such as the flow's versioned name)."""

    key: str
    name: str
    detail: str = ""
    kind: Literal["party", "service"] = "party"


@dataclasses.dataclass(frozen=True)
class Message:
    """An arrow from one lane to another; beside the lane if they are the same one.

    `kind` says how it is drawn: "data" whole; "call" a call of a service, "answer" what comes back;
    "error" and "end" what ends a session; "lost" never arrives or is never read. `place` is small
    at the margin, such as "trade.flow:11" or "trade.flow:11 → 27".
    """

    sender: str
    receiver: str
    text: str
    kind: Literal["data", "call", "answer", "error", "end", "lost"] = "data"
    place: str = ""


@dataclasses.dataclass(frozen=True)
class Note:
    """Words over the lanes that they concern: one lane, or all from the first to the last named.

    `tone` is "plain" (what is done), "condition" (what was so, in source words), "wait" (what is
    waited for) or "trouble" (what is wrong).
    """

    lanes: tuple[str, ...]
    text: str
    tone: Literal["plain", "condition", "wait", "trouble"] = "plain"
    place: str = ""


@dataclasses.dataclass(frozen=True)
class Progress:
    """A step of the progress tracker that a lane comes to, with its label."""

    lane: str
    step: str
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Ending:
    """A lane's flow ends: it returned, or failed with the error that `text` names."""

    lane: str
    text: str
    failed: bool = False
    place: str = ""


@dataclasses.dataclass(frozen=True)
class Branch:
    """One way of several: when it is taken, in source words, and what happens then."""

    condition: str
    items: tuple[Item, ...]


@dataclasses.dataclass(frozen=True)
class Alternatives:
    """One of several ways; after it all of them that have not ended go on together. One branch
    alone may also not happen."""

    branches: tuple[Branch, ...]


@dataclasses.dataclass(frozen=True)
class Instead:
    """A way that is taken instead of all that follows in the enclosing items: what happens if
    something goes wrong, or is over early."""

    condition: str
    items: tuple[Item, ...]


@dataclasses.dataclass(frozen=True)
class Loop:
    """What happens again and again; `condition` in source words (`for price in prices`), or how
    often in one run (`× 3`)."""

    condition: str
    items: tuple[Item, ...]


@dataclasses.dataclass(frozen=True)
class Frame:
    """What happens while a lane runs a subflow: the subflow's name as `title`."""

    lane: str
    title: str
    items: tuple[Item, ...]


Item: TypeAlias = Message | Note | Progress | Ending | Alternatives | Instead | Loop | Frame


@dataclasses.dataclass(frozen=True)
class Sequence:
    """The whole picture. `description` is read to those who do not see it."""

    title: str
    lanes: tuple[Lane, ...]
    items: tuple[Item, ...]
    description: str = ""


def inner(item: Item) -> tuple[tuple[Item, ...], ...]:
    """The lists of items directly within one."""
    match item:
        case Alternatives(branches=branches):
            return tuple(branch.items for branch in branches)
        case Instead(items=items) | Loop(items=items) | Frame(items=items):
            return (items,)
        case Message() | Note() | Progress() | Ending():
            return ()


def named(item: Item) -> tuple[str, ...]:
    """The lanes that an item names itself, without those within it."""
    match item:
        case Message(sender=sender, receiver=receiver):
            return (sender, receiver)
        case Note(lanes=lanes):
            return lanes
        case Progress(lane=lane) | Ending(lane=lane) | Frame(lane=lane):
            return (lane,)
        case Alternatives() | Instead() | Loop():
            return ()


def every(items: Iterable[Item]) -> Iterator[Item]:
    """All items, those within others too, from the top of the picture down."""
    todo = [iter(tuple(items))]
    while todo:
        item = next(todo[-1], None)
        if item is None:
            todo.pop()
            continue
        yield item
        todo += [iter(items) for items in reversed(inner(item))]


def without_subflows(picture: Sequence) -> Sequence:
    """The picture with one note in place of all that happens in each subflow. Lanes that only the
    subflows had are gone."""
    items = _shut(picture.items)
    used = {key for item in every(items) for key in named(item)}
    lanes = tuple(lane for lane in picture.lanes if lane.key in used)
    return dataclasses.replace(picture, lanes=lanes, items=items)


def _shut(items: Iterable[Item]) -> tuple[Item, ...]:
    found: list[Item] = []
    for item in items:
        match item:
            case Frame(lane=lane, title=title):
                talked = {key for one in every((item,)) if isinstance(one, Message)
                          for key in (one.sender, one.receiver)
                          if one.kind not in ("call", "answer")}  # fmt: skip
                found.append(Note((lane, *sorted(talked - {lane})), f"subflow {title}"))
            case Alternatives(branches=branches):
                shut = tuple(Branch(one.condition, _shut(one.items)) for one in branches)
                found.append(Alternatives(shut))
            case Instead(condition=condition, items=inside):
                found.append(Instead(condition, _shut(inside)))
            case Loop(condition=condition, items=inside):
                found.append(Loop(condition, _shut(inside)))
            case Message() | Note() | Progress() | Ending():
                found.append(item)
    return tuple(found)


__all__ = [
    "Alternatives",
    "Branch",
    "Ending",
    "Frame",
    "Instead",
    "Item",
    "Lane",
    "Loop",
    "Message",
    "Note",
    "Progress",
    "Sequence",
    "every",
    "inner",
    "named",
    "without_subflows",
]
