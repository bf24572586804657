"""Looking for a planted defect: worlds, one seed after the other, until one goes wrong; then the
fewest choices that still show it. Knows no defect by name.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence

from flowrt.sim.scenario import Played
from flowrt.sim.tape import Choices, count
from tests.planted.planting import Defect
from tests.planted.stories import STORIES, Story, forget, played

MOST = 4000
"""So many worlds are played before a defect counts as not seen."""

APART = 1_000_000
"""How far apart the first seeds of two hunts are."""

TRIES = 200
"""How many worlds shrinking may play."""


class Replay(AssertionError):
    """A world that went wrong goes otherwise when it is played again."""


@dataclasses.dataclass(frozen=True)
class Kill:
    """One hunt's end: after how many worlds, in which story, by which invariant, and the choices
    that are left of it."""

    seeds: int
    story: type[Story]
    invariant: str
    text: str
    choices: Choices
    found: int

    @property
    def left(self) -> int:
        """How many choices are not the default."""
        return count(self.choices)


def worlds(first: int, most: int, stories: Sequence[type[Story]] = STORIES) -> Iterator[Played]:
    """So many worlds, the stories in turns."""
    for number in range(most):
        yield played(stories[number % len(stories)], first + number)


def hunt(defect: Defect, first: int, most: int = MOST, tries: int = TRIES) -> Kill | None:
    """Plant a defect and play until it is seen; None if it is not. What is found is played again
    from its choices, and shrunk.

    Raises:
        Replay: it does not go wrong in the same way from its choices.
    """
    if defect.is_compiled:
        forget()
    try:
        with defect.planted():
            for number, one in enumerate(worlds(first, most), 1):
                if one.violation is not None:
                    return _killed(number, one, tries)
    finally:
        if defect.is_compiled:
            forget()
    return None


def _killed(number: int, one: Played, tries: int) -> Kill:
    story = next(story for story in STORIES if story.name == one.scenario)
    assert one.violation is not None
    _again(story, one, one.choices)
    choices = shrunk(story, one, tries) if tries else one.choices
    if tries:
        small = played(story, None, choices)
        _again(story, small, small.choices)
        choices = small.choices
    violation = one.violation
    return Kill(number, story, violation.invariant, violation.text, choices, count(one.choices))


def _again(story: type[Story], one: Played, choices: Choices) -> None:
    again = played(story, None, choices)
    if again.world.digest != one.world.digest or str(again.violation) != str(one.violation):
        raise Replay(f"{story.name}: {one.violation} became {again.violation}")


def shrunk(story: type[Story], one: Played, tries: int = TRIES) -> Choices:
    """The choices of a world that went wrong, without what is not needed for that: whole labels are
    dropped first, then halves of what is left, then single ones. The same invariant must fail."""
    assert one.violation is not None
    wanted = one.violation.invariant
    left = tries

    def fails(entries: list[tuple[str, int, int]]) -> bool:
        nonlocal left
        left -= 1
        again = played(story, None, _as_choices(entries))
        return again.violation is not None and again.violation.invariant == wanted

    entries = [
        (label, index, value)
        for label, found in one.choices.items()
        for index, value in found.items()
    ]
    if fails([]):
        return {}
    for label in sorted(one.choices, key=lambda label: -len(one.choices[label])):
        rest = [entry for entry in entries if entry[0] != label]
        if left > 0 and len(rest) < len(entries) and fails(rest):
            entries = rest
    size = max(1, len(entries) // 2)
    while left > 0:
        at, dropped = 0, False
        while at < len(entries) and left > 0:
            rest = entries[:at] + entries[at + size :]
            if fails(rest):
                entries, dropped = rest, True
            else:
                at += size
        if size == 1 and not dropped:
            break
        size = max(1, size // 2)
    return _as_choices(entries)


def _as_choices(entries: list[tuple[str, int, int]]) -> Choices:
    found: dict[str, dict[int, int]] = {}
    for label, index, value in entries:
        found.setdefault(label, {})[index] = value
    return found


# --- what is reported -----------------------------------------------------------------------------


def hunted(defect: Defect, hunts: int, first: int = 0, most: int = MOST) -> Hunted:
    """So many hunts for a defect, each from a first seed of its own."""
    return Hunted(
        defect,
        tuple(
            [
                hunt(defect, first + number * APART, most, 0 if number else TRIES)
                for number in range(hunts)
            ]
        ),
    )


@dataclasses.dataclass(frozen=True)
class Hunted:
    """All hunts for one defect; a hunt that ended without it is None. The first one's world is
    shrunk."""

    defect: Defect
    kills: tuple[Kill | None, ...]

    @property
    def found(self) -> list[Kill]:
        return [kill for kill in self.kills if kill is not None]

    @property
    def is_killed(self) -> bool:
        return len(self.found) == len(self.kills)

    def row(self) -> str:
        """A row of the table in docs/reliability.md."""
        if not self.found:
            return (
                f"| {self.defect.name} | {self.defect.room} | {self.defect.text} | not seen | | |"
            )
        seeds = [kill.seeds for kill in self.found]
        seen = ", ".join(sorted({f"{kill.invariant} ({kill.story.name})" for kill in self.found}))
        missed = len(self.kills) - len(self.found)
        also = f"; {missed} not seen" if missed else ""
        return (
            f"| {self.defect.name} | {self.defect.room} | {self.defect.text} | {seen}{also} "
            f"| {statistics.median(seeds):g} ({', '.join(map(str, seeds))}) "
            f"| {self.found[0].left} |"
        )


HEAD = (
    "| defect | room | what it breaks | seen by (in) | worlds: median (all) | choices left |\n"
    "| --- | --- | --- | --- | ---: | ---: |"
)


def summary(hunted: Sequence[Hunted]) -> str:
    """The figures over all defects."""
    killed = [one for one in hunted if one.is_killed]
    kills = [kill for one in hunted for kill in one.found]
    seeds = [statistics.median(kill.seeds for kill in one.found) for one in hunted if one.found]
    left = [one.found[0].left for one in hunted if one.found]
    hunts = sum(len(one.kills) for one in hunted)
    return (
        f"{len(killed)} of {len(hunted)} defects killed in each of their hunts, {len(kills)} of "
        f"{hunts} hunts; worlds until one is seen: median {statistics.median(seeds):g}, worst "
        f"{max(kill.seeds for kill in kills)}; choices left after shrinking: median "
        f"{statistics.median(left):g}, most {max(left)}, of "
        f"{statistics.median(kill.found for kill in kills):g} before; every one of them played "
        "again exactly"
    )
