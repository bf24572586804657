"""Every choice of a world, drawn from one seed or read again from what was kept. Knows no world.

A choice is a small number; 0 always means that nothing goes wrong: no fault, in order, smallest.
Each belongs to a label, and the k-th draw under a label is the k-th choice of that label, whatever
else happens in the world. So the few choices that are not 0 describe a whole run; dropping one of
them leaves the others where they are, and a failure shrinks by dropping.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

Choices = Mapping[str, Mapping[int, int]]
"""By label and number of the draw: the choices that are not 0."""

NEVER = 1 << 62


class Tape:
    """The source of a world's choices.

    With a `seed` they are random; without one, all that `choices` does not name are 0.
    """

    def __init__(self, seed: int | None = None, choices: Choices | None = None) -> None:
        self.seed = seed
        self.choices: dict[str, dict[int, int]] = {}
        """All choices so far that were not 0."""
        self.draws = 0
        self._random = random.Random(seed) if seed is not None else None
        self._apart: dict[str, random.Random] = {}
        self._given = {label: dict(found) for label, found in (choices or {}).items()}
        self._counts: dict[str, int] = {}
        self._next: dict[str, int] = {}

    def draw(self, label: str, n: int, rate: float = 1.0) -> int:
        """A choice of range(n). If it is random, it is not 0 with probability `rate`; of a label
        that is the same in all of a world."""
        return self.pick(label, range(1, n), rate)

    def chance(self, label: str, rate: float) -> bool:
        """Whether something goes wrong."""
        return self.pick(label, _ONE, rate) > 0

    def pick(self, label: str, allowed: range | tuple[int, ...], rate: float = 1.0) -> int:
        """0, or with probability `rate` one of `allowed`."""
        index = self._counts.get(label, 0)
        self._counts[label] = index + 1
        if self._random is None or label in self._given:
            value = self._again(label, index)
        else:
            due = self._next.get(label)
            if due is None:
                due = self._next[label] = index + self._gap(rate)
            if index < due:
                return 0
            self._next[label] = index + 1 + self._gap(rate)
            value = allowed[int(self._random.random() * len(allowed))] if allowed else 0
        if value:
            self.choices.setdefault(label, {})[index] = value
        return value

    def drawn(self, label: str) -> int:
        """How many draws there were under a label."""
        return self._counts.get(label, 0)

    def uniform(self, label: str, n: int) -> int:
        """A choice of range(n), all equally probable."""
        return self.pick(label, range(n))

    def uniform_apart(self, label: str, n: int) -> int:
        """The same, drawn apart, so that the other draws of a seed stay what they were: for choices
        that came later than the seeds that people know."""
        if self._random is None or label in self._given:
            return self.uniform(label, n)
        if label not in self._apart:
            self._apart[label] = random.Random(f"{label} {self.seed}")
        index = self._counts.get(label, 0)
        self._counts[label] = index + 1
        value = self._apart[label].randrange(n)
        if value:
            self.choices.setdefault(label, {})[index] = value
        return value

    def _again(self, label: str, index: int) -> int:
        given = self._given.get(label)
        return given.get(index, 0) if given is not None else 0

    def _gap(self, rate: float) -> int:
        """How many draws go well before one does not."""
        if rate >= 1.0:
            return 0
        if rate <= 0.0:
            return NEVER
        assert self._random is not None
        return int(math.log(1.0 - self._random.random()) / math.log1p(-rate))

    def swarm(self, n: int, kind: str = "") -> int:
        """One of range(n) for the mix of faults, which is no choice of the world: what it led to is
        on the tape. 0 if nothing is random. A `kind` of faults that came later is drawn apart, so
        that the other draws of a seed stay what they were."""
        if self._random is None:
            return 0
        if not kind:
            return self._random.randrange(n)
        if kind not in self._apart:
            self._apart[kind] = random.Random(f"{kind} {self.seed}")
        return self._apart[kind].randrange(n)

    def is_replay(self) -> bool:
        """Whether nothing in it is random."""
        return self._random is None


_ONE = (1,)


def count(choices: Choices) -> int:
    """How many choices are not 0."""
    return sum(map(len, choices.values()))
