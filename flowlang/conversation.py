"""A run of two sides as plain data: what a finding shows of a conversation. Works nothing out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
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


# --- as text --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Example:
    """A whole conversation of two flows (qualified names), which goes well."""

    left: str
    right: str
    steps: tuple[Happening, ...]


def example_lines(example: Example, number: int, *, ascii_only: bool = False) -> list[str]:
    """A whole conversation as people read it."""
    left, right = (name.rpartition(".")[2] for name in (example.left, example.right))
    nowhere = Stand("", 0, "")
    run = Conversation(left, right, example.steps, (nowhere, nowhere), "", 0)
    one_file = len({step.file for step in example.steps}) == 1
    told = [_told(run, step, ascii_only, one_file) for step in run.steps]
    rows = _rounds(told)
    wide = max([len(row[0]) + (12 if row[2] > 1 else 0) for row in rows], default=0)
    found = [f"{left} and {right}, conversation {number}"]
    for count, text, place in _numbered(rows):
        found.append(f"  {count:>3}  {text.ljust(wide)}  {place}".rstrip())
    return found


def lines(run: Conversation, *, ascii_only: bool = False) -> list[str]:
    """As people read it: the steps, numbered, repeated rounds told once; where both are then."""
    files = {step.file for step in run.steps} | {stand.file for stand in run.now}
    one_file = len(files) == 1
    told = [_told(run, step, ascii_only, one_file) for step in run.steps]
    if run.refused and told:
        mark = "(!)" if ascii_only else run.refused
        told[-1] = (told[-1][0], f"{told[-1][1]}   {mark}")
    rows = list(_numbered(_shortened(told)))
    wide = max([len(row[1]) for row in rows], default=0)
    found = [" how it goes wrong:" if rows else " at once:"]
    for number, text, place in rows:
        found.append(f"   {number:>3}  {text.ljust(wide)}  {place}".rstrip())
    found.append(" then:")
    names = (run.left, run.right)
    spots = [_place(one, one_file) for one in run.now]
    for name, spot, stand in zip(names, spots, run.now, strict=True):
        wide = max(map(len, names))
        found.append(
            f"        {name.ljust(wide)}  {spot.ljust(max(map(len, spots)))}  {stand.text}"
        )
    if run.scope:
        found.append(f" checked with up to {run.scope} messages under way in each direction")
    return found


def _place(at: Happening | Stand, one_file: bool) -> str:
    return f"line {at.line}" if one_file else f"{at.file}:{at.line}"


def _told(run: Conversation, step: Happening, ascii_only: bool, one_file: bool) -> tuple[str, str]:
    names = (run.left, run.right)
    me, other = names[step.side], names[1 - step.side]
    place = _place(step, one_file)
    if step.kind != "sends":
        return f"{me}: {step.text}", place
    wide = max(map(len, names))
    bar, head = ("--", "->") if ascii_only else ("──", "─▶")
    return f"{me.ljust(wide)} {bar} {step.text} {bar}{head} {other}", place


def _shortened(told: Sequence[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """With rounds that repeat told once: each row, and how often it came; the middle of a long run
    left out."""
    rows = _rounds(told)
    if len(rows) > MOST_SHOWN:
        keep = MOST_SHOWN // 2
        left = len(rows) - 2 * keep
        rows = [
            *rows[:keep],
            (f"… {left} more step{'s' if left > 1 else ''} …", "", 0),
            *rows[-keep:],
        ]
    return rows


def _rounds(told: Sequence[tuple[str, str]]) -> list[tuple[str, str, int]]:
    rows: list[tuple[str, str, int]] = []
    at = 0
    while at < len(told):
        size, times = _round(told, at)
        for text, place in told[at : at + size]:
            rows.append((text, place, times))
        at += size * times
    return rows


def _round(told: Sequence[tuple[str, str]], at: int) -> tuple[int, int]:
    """The round that repeats here, and how often; a round is shorter than what is left."""
    best = 1, 1
    for size in range(1, (len(told) - at) // 2 + 1):
        first = told[at : at + size]
        times = 1
        while told[at + times * size : at + (times + 1) * size] == first:
            times += 1
        if times > 1 and size * times > best[0] * best[1]:
            best = size, times
    return best


def _numbered(rows: Sequence[tuple[str, str, int]]) -> Iterator[tuple[str, str, str]]:
    number = 0
    for text, place, times in rows:
        if not times:
            yield "", text, ""
            continue
        number += 1
        yield str(number), text + (f"   {times} times" if times > 1 else ""), place
