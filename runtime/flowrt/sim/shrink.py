"""Makes a failure small: drops and lowers choices as long as the same invariant is violated.

Delta debugging (Zeller and Hildebrandt, 2002) on the choices that are not 0: whole kinds of them
first, then labels, then blocks, then single ones, then smaller values. Knows no scenario.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence

from flowrt.sim.scenario import Played, Scenario, play
from flowrt.sim.tape import Choices
from flowrt.sim.violation import Violation

SECONDS = 60.0
"""How long shrinking may take, unless somebody says otherwise."""

FEW = 20
"""Choices are moved only when no more are left than these."""

MOVE = 4
"""How far they are moved."""

Choice = tuple[str, int, int]
"""A label, the number of the draw under it, the value."""


@dataclasses.dataclass(frozen=True)
class Shrunk:
    """The smallest failure that was found. `was` and `left` count choices; `tried` worlds.
    `is_least`: no single choice of it can be dropped or lowered; otherwise time ran out."""

    played: Played
    was: int
    left: int
    tried: int
    seconds: float
    is_least: bool


class _OutOfTime(Exception):
    pass


def shrink(
    scenario: Scenario,
    found: Played,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Shrunk:
    """The smallest world near `found` that violates the same invariant. `seconds` is about how
    long it may take by `clock`."""
    kind = kind_of(found.violation)
    assert kind
    return smallest(
        scenario, found, lambda played: kind_of(played.violation) == kind, seconds, clock
    )


def smallest(
    scenario: Scenario,
    found: Played,
    is_same: Callable[[Played], bool],
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Shrunk:
    """The smallest world near `found` of which `is_same` holds, as it does of `found`."""
    search = _Search(scenario, found, is_same, clock() + seconds, clock)
    began = clock()
    is_least = True
    try:
        search.descend()
    except _OutOfTime:
        is_least = False
    return Shrunk(
        search.best,
        sum(map(len, found.choices.values())),
        len(search.choices),
        search.tried,
        clock() - began,
        is_least,
    )


class _Search:
    def __init__(
        self,
        scenario: Scenario,
        found: Played,
        is_same: Callable[[Played], bool],
        until: float,
        clock: Callable[[], float],
    ) -> None:
        self.best = found
        self.choices = _listed(found.choices)
        self.tried = 0
        self._scenario = scenario
        self._is_same = is_same
        self._until = until
        self._clock = clock
        self._known: set[tuple[Choice, ...]] = set()

    def descend(self) -> None:
        """Until nothing can be left out and nothing lowered."""
        self._fails([])
        before: list[Choice] | None = None
        while self.choices != before:
            before = self.choices
            self._without_groups(lambda choice: choice[0].partition(" ")[0])
            self._without_groups(lambda choice: choice[0])
            self._without_blocks()
            self._lower()
            self._move_up()

    def _fails(self, wanted: list[Choice]) -> bool:
        """Whether this world is such a one; if so, it is the best from now on."""
        if len(wanted) == len(self.choices) and wanted == self.choices:
            return True
        key = tuple(wanted)
        if key in self._known:
            return False
        if self._clock() > self._until:
            raise _OutOfTime
        self._known.add(key)
        self.tried += 1
        played = play(self._scenario, choices=nested(wanted))
        if not self._is_same(played):
            return False
        # What the world never drew is not part of it.
        self.best, self.choices = played, _listed(played.choices)
        return True

    def _without_groups(self, group: Callable[[Choice], str]) -> None:
        for name in dict.fromkeys(map(group, self.choices)):
            left = [choice for choice in self.choices if group(choice) != name]
            if len(left) < len(self.choices):
                self._fails(left)

    def _without_blocks(self) -> None:
        size = len(self.choices)
        while size >= 1:
            start = 0
            while start < len(self.choices):
                left = self.choices[:start] + self.choices[start + size :]
                if not self._fails(left):
                    start += size
            size //= 2

    def _lower(self) -> None:
        number = 0
        while number < len(self.choices):
            label, index, value = self.choices[number]
            for smaller in _smaller(value):
                lowered = list(self.choices)
                lowered[number] = (label, index, smaller)
                if self._fails(lowered):
                    break
            number += 1

    def _move_up(self) -> None:
        """Leave one out whose absence makes a later one of its label come earlier: without the
        first crash, the commit that the second one hits has a smaller number."""
        number = 0
        while number < len(self.choices) <= FEW:
            label, index, _ = self.choices[number]
            later = [c for c in self.choices if c[0] == label and c[1] > index]
            left = [c for c in self.choices if c[0] != label or c[1] < index]
            moves = (
                sorted(left + [(name, old - by, value) for name, old, value in later])
                for by in range(1, 1 + (min(MOVE, later[0][1] - index) if later else 0))
            )
            if not later or not any(map(self._fails, moves)):
                number += 1


def kind_of(violation: Violation | None) -> str:
    """What makes two failures the same: the invariant, and of a crash the exception's name."""
    if violation is None:
        return ""
    if violation.invariant != "crash":
        return violation.invariant
    return f"crash {violation.text.partition(':')[0]}"


def nested(choices: Iterable[Choice]) -> dict[str, dict[int, int]]:
    """Choices by label and number, as a tape takes them."""
    found: dict[str, dict[int, int]] = {}
    for label, index, value in choices:
        found.setdefault(label, {})[index] = value
    return found


def _listed(choices: Choices) -> list[Choice]:
    return [
        (label, index, value)
        for label in sorted(choices)
        for index, value in sorted(choices[label].items())
    ]


def _smaller(value: int) -> Sequence[int]:
    """Values to try instead, the smallest first."""
    return sorted({1, value // 2, value - 1} - {0, value})
