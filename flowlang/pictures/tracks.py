"""The turns of lines between two layers, each on a track, so that none lies on another. Knows one
channel at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

APART = 6.0
"""Lines that are nearer to each other than so many pixels are taken for one."""


class Turn(NamedTuple):
    """A piece from left to right of a line: it comes from `ups` and `downs`, the places at which
    the line goes on to the layer above and to the layer below."""

    ups: tuple[float, ...]
    downs: tuple[float, ...]

    @property
    def low(self) -> float:
        return min(*self.ups, *self.downs)

    @property
    def high(self) -> float:
        return max(*self.ups, *self.downs)

    @property
    def is_straight(self) -> bool:
        return self.high - self.low < 0.5


def tracks(turns: Sequence[Turn]) -> list[int]:
    """The track of each turn, from 0 at the top; a straight one has none, so 0."""
    found = [0] * len(turns)
    done: list[int] = []
    for number in sorted(range(len(turns)), key=lambda number: _order(turns[number], number)):
        turn = turns[number]
        if turn.is_straight:
            continue
        least, used = 0, set()
        for other in done:
            beside = turns[other]
            if turn.low - APART < beside.high and beside.low < turn.high + APART:
                used.add(found[other])
                if _must_be_below(turn, beside):
                    least = max(least, found[other] + 1)
        track = least
        while track in used:
            track += 1
        found[number] = track
        done.append(number)
    return found


def _order(turn: Turn, number: int) -> tuple[int, float, int]:
    """Those first that are to be above: lines to the right from right to left, then those to the
    left from left to right, so that parallel ones do not cross."""
    if len(turn.ups) == 1 and len(turn.downs) == 1:
        if turn.ups[0] < turn.downs[0]:
            return (1, -turn.ups[0], number)
        return (1, turn.ups[0] - 1e6, number)
    if turn.ups:  # Both ends go up: the shorter one is inside, so above.
        return (0, turn.high - turn.low, number)
    return (2, turn.low - turn.high, number)


def _must_be_below(turn: Turn, other: Turn) -> bool:
    """Whether the way down of one would lie on the way up of the other, were it above."""
    return any(abs(down - up) < APART for down in turn.downs for up in other.ups)
