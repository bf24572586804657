"""Looking for a planted defect: worlds, one seed after the other, until one goes wrong; then the
fewest choices that still show it. Knows no defect by name.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from flowrt.sim.scenario import Played
from flowrt.sim.shrink import shrink
from flowrt.sim.tape import Choices, count
from flowrt.sim.world import World
from tests.planted.events import Events
from tests.planted.planting import Defect
from tests.planted.restored import Restored
from tests.planted.stories import STORIES, Story, forget, played, small_inboxes
from tests.simulation.ledger import Town

MOST = 4000
"""So many worlds are played before a defect counts as not seen."""

APART_FROM_OTHERS: dict[str, Sequence[type[Any]]] = {
    "lineage": (Restored,),
    "events": (Events,),
    "ledger": (Town,),
}
"""Rooms whose defects show in stories of their own."""

APART = 1_000_000
"""How far apart the first seeds of two hunts are."""

TRIES = 1000
"""How many worlds shrinking may play."""


class Replay(AssertionError):
    """A world that went wrong goes otherwise when it is played again."""


@dataclasses.dataclass(frozen=True)
class Kill:
    """One hunt's end: after how many worlds, in which story, by which invariant, and the choices
    that are left of it."""

    seeds: int
    story: type[Any]
    invariant: str
    text: str
    choices: Choices
    found: int

    @property
    def left(self) -> int:
        """How many choices are not the default."""
        return count(self.choices)


def worlds(first: int, most: int, stories: Sequence[type[Any]] = STORIES) -> Iterator[Played]:
    """So many worlds, the stories in turns."""
    for number in range(most):
        yield played(stories[number % len(stories)], first + number)


def stories_of(defect: Defect) -> Sequence[type[Any]]:
    """The stories in which it is looked for: a disk that goes back, and events, are in one only."""
    return APART_FROM_OTHERS.get(defect.room, STORIES)


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
            for number, one in enumerate(worlds(first, most, stories_of(defect)), 1):
                if one.violation is not None:
                    return _killed(number, one, tries)
    finally:
        if defect.is_compiled:
            forget()
    return None


def _killed(number: int, one: Played, tries: int) -> Kill:
    story = next(
        story for story in (*STORIES, Restored, Events, Town) if story.name == one.scenario
    )
    assert one.violation is not None
    _again(story, one, one.choices)
    choices = shrunk(story, one, tries) if tries else one.choices
    if tries:
        small = played(story, None, choices)
        _again(story, small, small.choices)
        choices = small.choices
    violation = one.violation
    return Kill(number, story, violation.invariant, violation.text, choices, count(one.choices))


def _again(story: type[Any], one: Played, choices: Choices) -> None:
    again = played(story, None, choices)
    if again.world.digest != one.world.digest or str(again.violation) != str(one.violation):
        raise Replay(f"{story.name}: {one.violation} became {again.violation}")


def shrunk(story: type[Any], one: Played, tries: int = TRIES) -> Choices:
    """The fewest choices of a world that went wrong with which the same goes wrong, as far as so
    many worlds tell."""
    with small_inboxes():
        # The clock counts worlds instead of seconds: a hunt is the same on every machine.
        return shrink(_Anew(story), one, tries, itertools.count().__next__).played.choices


class _Anew:
    """A story that is told from its beginning in each world."""

    def __init__(self, kind: type[Story]) -> None:
        self.name = kind.name
        self._kind = kind

    def build(self, world: World) -> None:
        self._story = self._kind()
        self._story.build(world)

    def judge(self, world: World) -> None:
        self._story.judge(world)


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
