"""Where cells stand in their layers from left to right, so that lines run straight. Knows widths
and orders, no heights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ROUNDS = 14
"""Sweeps down and up; larger graphs get fewer."""

LARGE = 4000


class Extent(NamedTuple):
    """How far a cell reaches to both sides of its line, with the room that it wants to be free."""

    left: float
    right: float


def placed(
    layers: Sequence[Sequence[int]],
    links: Sequence[tuple[int, int]],
    extents: Sequence[Extent],
    chains: Sequence[Sequence[int]],
) -> list[float]:
    """The x of each cell. `chains` are the cells of one line each, which should be straight."""
    count = len(extents)
    on_chain = {cell for chain in chains for cell in chain}
    above: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    below: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for upper, lower in links:
        weight = (1.0, 2.0, 8.0)[(upper in on_chain) + (lower in on_chain)]
        below[upper].append((lower, weight))
        above[lower].append((upper, weight))
    x = [0.0] * count
    for cells in layers:
        right = 0.0
        for cell in cells:
            x[cell] = right + extents[cell].left
            right = x[cell] + extents[cell].right
    for number in range(ROUNDS if count < LARGE else 6):
        down = number % 2 == 0
        both = number >= 4
        for cells in layers if down else reversed(layers):
            _settle(cells, above if down or both else (), below if not down or both else (),
                    extents, x)  # fmt: skip
    beside = _beside(layers)
    for chain in chains:
        _straighten(chain, beside, extents, x)
    return x


def _beside(layers: Sequence[Sequence[int]]) -> dict[int, tuple[int | None, int | None]]:
    """For each cell its neighbours to the left and to the right."""
    found: dict[int, tuple[int | None, int | None]] = {}
    for cells in layers:
        for number, cell in enumerate(cells):
            left = cells[number - 1] if number else None
            right = cells[number + 1] if number + 1 < len(cells) else None
            found[cell] = (left, right)
    return found


def _settle(
    cells: Sequence[int],
    above: Sequence[Sequence[tuple[int, float]]],
    below: Sequence[Sequence[tuple[int, float]]],
    extents: Sequence[Extent],
    x: list[float],
) -> None:
    """Each cell of a layer as near as can be to the mean of what it is linked with."""
    wanted, weights, offsets = [], [], []
    offset = 0.0
    for number, cell in enumerate(cells):
        if number:
            offset += extents[cells[number - 1]].right + extents[cell].left
        near = [*(above[cell] if above else ()), *(below[cell] if below else ())]
        total = sum(weight for _, weight in near)
        mean = sum(x[other] * weight for other, weight in near) / total if total else x[cell]
        offsets.append(offset)
        wanted.append(mean - offset)
        weights.append(total or 0.1)
    for cell, at, offset in zip(cells, _rising(wanted, weights), offsets, strict=True):
        x[cell] = at + offset


def _rising(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The numbers nearest to those wanted, by weighted squares, of which none is below the one
    before it: neighbours that are in each other's way are drawn together."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for mean, weight in zip(wanted, weights, strict=True):
        many = 1
        while pools and pools[-1][0] > mean:
            other, heavy, more = pools.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, many = weight + heavy, many + more
        pools.append((mean, weight, many))
    return [mean for mean, _, many in pools for _ in range(many)]


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Numbers near those wanted (which rise), so far apart, from `low` to `high`."""
    offsets = [apart * number for number in range(len(wanted))]
    free = [at - offset for at, offset in zip(wanted, offsets, strict=True)]
    last = high - offsets[-1]
    settled = _rising(free, [1.0] * len(free))
    return [min(max(at, low), last) + offset for at, offset in zip(settled, offsets, strict=True)]


def _straighten(
    chain: Sequence[int],
    beside: dict[int, tuple[int | None, int | None]],
    extents: Sequence[Extent],
    x: list[float],
) -> None:
    """Cells of a line that stand nearly below each other stand so exactly, where there is room."""
    start = 0
    while start < len(chain):
        end, low, high = start, float("-inf"), float("inf")
        while end < len(chain):
            left, right = beside[chain[end]]
            extent = extents[chain[end]]
            least = x[left] + extents[left].right + extent.left if left is not None else low
            most = x[right] - extents[right].left - extent.right if right is not None else high
            if max(low, least) > min(high, most):
                break
            low, high, end = max(low, least), min(high, most), end + 1
        part = chain[start : max(end, start + 1)]
        if end > start:
            middle = sorted(x[cell] for cell in part)[len(part) // 2]
            for cell in part:
                x[cell] = min(max(middle, low), high)
        start = max(end, start + 1)
