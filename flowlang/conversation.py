"""A run of two sides as plain data: what a finding shows of a conversation. Works nothing out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

MOST_SHOWN = 12
"""Steps of a run that a person is shown; of a longer one the middle is left out."""


@dataclasses.dataclass(frozen=True)
class Happening:
    """One step: who did it (0 the flow that opened the session, 1 the one that responds), what, and
    where in the source. A message has its name in `text`."""

    kind: Literal["sends", "decides", "drops", "learns", "takes"]
    side: Literal[0, 1]
    text: str
    file: str
    line: int


@dataclasses.dataclass(frozen=True)
class Stand:
    """Where a side is in the end."""

    file: str
    line: int
    text: str


@dataclasses.dataclass(frozen=True)
class Conversation:
    """`left` opened the session, `right` responds. `refused` tells what is wrong with the last
    message, if it is one; `scope` up to how many messages under way were looked at, 0 for any."""

    left: str
    right: str
    steps: tuple[Happening, ...]
    now: tuple[Stand, Stand]
    refused: str
    scope: int


def as_data(run: Conversation) -> dict[str, Any]:
    """For `--json`: plain values only."""
    return dataclasses.asdict(run)


def from_data(data: Mapping[str, Any]) -> Conversation:
    """The run again, from what `as_data` gave."""
    left, right = (Stand(**one) for one in data["now"])
    steps = tuple(Happening(**one) for one in data["steps"])
    return Conversation(
        data["left"], data["right"], steps, (left, right), data["refused"], data["scope"]
    )


# --- what is shown of it --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Example:
    """A whole conversation of two flows (qualified names), which goes well."""

    left: str
    right: str
    steps: tuple[Happening, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """A step that is shown: how often its round came, and which round of the run it is in. Without
    a step it stands for `times` steps that are left out."""

    step: Happening | None
    times: int
    round: int


def rows_of(steps: Sequence[Happening], most: int | None = None) -> list[Row]:
    """Rounds that repeat are shown once; where there are more than `most` rows, the middle is left
    out."""
    rows: list[Row] = []
    at = number = 0
    while at < len(steps):
        size, times = _round(steps, at)
        rows += [Row(step, times, number) for step in steps[at : at + size]]
        at += size * times
        number += 1
    if most is None or len(rows) <= most:
        return rows
    keep = most // 2
    return [*rows[:keep], Row(None, len(rows) - 2 * keep, -1), *rows[-keep:]]


def _round(steps: Sequence[Happening], at: int) -> tuple[int, int]:
    """The round that repeats here, and how often; a round is shorter than what is left."""
    best = 1, 1
    for size in range(1, (len(steps) - at) // 2 + 1):
        first = steps[at : at + size]
        times = 1
        while steps[at + times * size : at + (times + 1) * size] == first:
            times += 1
        if times > 1 and size * times > best[0] * best[1]:
            best = size, times
    return best


def left_out(row: Row) -> str:
    """What stands for steps that are not shown."""
    return f"{row.times} more step{'' if row.times == 1 else 's'}"


def place_of(at: Happening | Stand, *, one_file: bool) -> str:
    """Where it stands in the source; the line alone, if all stands in one file."""
    return f"line {at.line}" if one_file else f"{at.file}:{at.line}"


def is_of_one_file(run: Conversation) -> bool:
    """Whether all of it stands in one file."""
    return len({one.file for one in run.steps} | {one.file for one in run.now}) == 1


# --- as text --------------------------------------------------------------------------------------


def example_lines(example: Example, number: int, *, ascii_only: bool = False) -> list[str]:
    """A whole conversation as people read it."""
    names = _short(example.left), _short(example.right)
    one_file = len({step.file for step in example.steps}) == 1
    told = _listed(names, rows_of(example.steps), ascii_only=ascii_only, one_file=one_file)
    return [f"{names[0]} and {names[1]}, conversation {number}", *(f" {line}" for line in told)]


def lines(run: Conversation, *, ascii_only: bool = False) -> list[str]:
    """As people read it: the steps, numbered, repeated rounds told once; where both are then.

    Where messages go to and fro it is a picture with a lane for each side.
    """
    if not run.steps:
        return [" at once:", *_after(run)]
    found = [" how it goes wrong:"]
    if sum(step.kind == "sends" for step in run.steps) > 1:
        found += _drawn(run, ascii_only)
    else:
        rows = rows_of(run.steps, MOST_SHOWN)
        names, one_file = (run.left, run.right), is_of_one_file(run)
        told = _listed(names, rows, run.refused, ascii_only=ascii_only, one_file=one_file)
        found += [f"  {line}" for line in told]
    return [*found, " then:", *_after(run)]


def _after(run: Conversation) -> list[str]:
    found = []
    names = (run.left, run.right)
    spots = [place_of(one, one_file=is_of_one_file(run)) for one in run.now]
    wide, far = max(map(len, names)), max(map(len, spots))
    for name, spot, stand in zip(names, spots, run.now, strict=True):
        found.append(f"        {name.ljust(wide)}  {spot.ljust(far)}  {stand.text}")
    if run.scope:
        found.append(f" checked with up to {run.scope} messages under way in each direction")
    return found


def _drawn(run: Conversation, ascii_only: bool) -> list[str]:
    # The room of pictures shows texts as diagnostics do, which show this.
    from flowlang.pictures.run import picture_of
    from flowlang.pictures.sequence_text import text_of

    text = text_of(picture_of(run), ascii_only=ascii_only, numbered=True)
    return [f" {line}".rstrip() for line in text.splitlines()]


def _listed(
    names: tuple[str, str],
    rows: Sequence[Row],
    refused: str = "",
    *,
    ascii_only: bool,
    one_file: bool,
) -> list[str]:
    """A line for each step."""
    told: list[tuple[str, str, str]] = []
    number = 0
    for row in rows:
        if row.step is None:
            told.append(("", f"{'...' if ascii_only else '…'} {left_out(row)}", ""))
            continue
        number += 1
        text = _told(names, row.step, ascii_only)
        often = f"   {row.times} times" if row.times > 1 else ""
        told.append((str(number), f"{text}{often}", place_of(row.step, one_file=one_file)))
    if refused and told:
        mark = "(!)" if ascii_only else refused
        told[-1] = (told[-1][0], f"{told[-1][1]}   {mark}", told[-1][2])
    wide = max([len(text) for _, text, _ in told], default=0)
    return [f"{count:>4}  {text.ljust(wide)}  {place}".rstrip() for count, text, place in told]


def _told(names: tuple[str, str], step: Happening, ascii_only: bool) -> str:
    me, other = names[step.side], names[1 - step.side]
    if step.kind != "sends":
        return f"{me}: {step.text}"
    wide = max(map(len, names))
    bar, head = ("--", "->") if ascii_only else ("──", "─▶")
    return f"{me.ljust(wide)} {bar} {step.text} {bar}{head} {other}"


def _short(name: str) -> str:
    return name.rpartition(".")[2]
