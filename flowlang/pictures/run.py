"""One run of two sides as a sequence picture: what a finding shows. Works nothing out."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from flowlang.conversation import (
    MOST_SHOWN,
    Conversation,
    Row,
    is_of_one_file,
    left_out,
    place_of,
    rows_of,
)
from flowlang.pictures.sequence import Item, Lane, Loop, Message, Note, Sequence

LEFT, RIGHT = SIDES = ("left", "right")


def picture_of(run: Conversation) -> Sequence:
    """The run with a lane for each side, and nothing of where they are in the end."""
    lanes = Lane(LEFT, run.left), Lane(RIGHT, run.right)
    return Sequence("", lanes, tuple(_items(run)))


def whole_picture(run: Conversation, title: str) -> Sequence:
    """The run, and below it what each side does in the end."""
    run = _without_ticks(run)
    title = title.replace("`", "")
    one_file = is_of_one_file(run)
    ends = [
        Note((lane,), stand.text, "trouble", place_of(stand, one_file=one_file))
        for lane, stand in zip(SIDES, run.now, strict=True)
    ]
    picture = picture_of(run)
    told = "; ".join(
        f"{name} {stand.text}" for name, stand in zip((run.left, run.right), run.now, strict=True)
    )
    return Sequence(title, picture.lanes, (*picture.items, *ends), f"In the end: {told}.")


def _without_ticks(run: Conversation) -> Conversation:
    """Without the marks by which a text shows what is code: a picture has other means."""
    steps = [dataclasses.replace(one, text=one.text.replace("`", "")) for one in run.steps]
    left, right = (dataclasses.replace(one, text=one.text.replace("`", "")) for one in run.now)
    return dataclasses.replace(run, steps=tuple(steps), now=(left, right))


def _items(run: Conversation) -> Iterator[Item]:
    one_file = is_of_one_file(run)
    rows = rows_of(run.steps, MOST_SHOWN)
    last = rows[-1] if rows and run.refused else None
    for _, group in itertools.groupby(rows, lambda row: row.round if row.times > 1 else -1):
        some = list(group)
        items = tuple(_item(row, is_refused=row is last, one_file=one_file) for row in some)
        if some[0].step is not None and some[0].times > 1:
            yield Loop(f"{some[0].times} times", items)
        else:
            yield from items


def _item(row: Row, *, is_refused: bool, one_file: bool) -> Item:
    step = row.step
    if step is None:
        return Note((LEFT, RIGHT), f"and {left_out(row)}")
    place = place_of(step, one_file=one_file)
    me, other = SIDES[step.side], SIDES[1 - step.side]
    if step.kind == "sends":
        return Message(me, other, step.text, "lost" if is_refused else "data", place)
    return Note((me,), step.text, "condition" if step.kind == "decides" else "plain", place)
