"""Where a generator's decisions come from: a seed.

Decision 0 is always the simplest one. Knows nothing of what is decided.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Choices(Protocol):
    """One decision after the other."""

    def below(self, count: int) -> int:
        """A number from 0 to `count - 1`."""
        ...


class Seeded:
    """Decisions from a seed: fast, and the same ones every time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, count: int) -> int:
        return self._random.randrange(count)


def pick(choices: Choices, options: Sequence[T]) -> T:
    """One of the options, each as likely; the first is the simplest."""
    return options[choices.below(len(options))]


def weighted(choices: Choices, options: Sequence[tuple[int, T]]) -> T:
    """One of the options by weight; the first is the simplest."""
    at = choices.below(sum(weight for weight, _ in options))
    for weight, option in options:
        if at < weight:
            return option
        at -= weight
    raise AssertionError("the weights do not add up")


def chance(choices: Choices, percent: int) -> bool:
    """True in `percent` of 100 cases; False is the simple answer."""
    return choices.below(100) >= 100 - percent
