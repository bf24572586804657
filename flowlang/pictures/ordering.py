"""In which order cells stand in their layers, so that few lines cross. Knows no sizes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

ROUNDS = 12
"""Sweeps down and up; larger graphs get fewer."""

LARGE = 4000
"""Cells from which on a picture is too large to be worth the time."""


def ordered(layer: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The cells of each layer, from left to right. `layer` has the layer of each cell, `links` run
    from a cell to one in the layer below."""
    above: list[list[int]] = [[] for _ in layer]
    below: list[list[int]] = [[] for _ in layer]
    for upper, lower in links:
        above[lower].append(upper)
        below[upper].append(lower)
    found = _first(layer, above, below)
    best, least = [list(cells) for cells in found], _crossings(found, below)
    for number in range(ROUNDS if len(layer) < LARGE else 4):
        if not least:
            break
        if number % 2 == 0:
            for at in range(1, len(found)):
                _sort(found[at], found[at - 1], above)
        else:
            for at in range(len(found) - 2, -1, -1):
                _sort(found[at], found[at + 1], below)
        if len(layer) < LARGE:
            _swap(found, above, below)
        crossings = _crossings(found, below)
        if crossings < least:
            best, least = [list(cells) for cells in found], crossings
    return best


def _first(
    layer: Sequence[int], above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]
) -> list[list[int]]:
    """As one comes to the cells, going down first: a tree has no crossings then."""
    layers: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    seen = [False] * len(layer)
    roots = sorted(range(len(layer)), key=lambda cell: (bool(above[cell]), layer[cell], cell))
    for root in roots:
        todo = [root]
        while todo:
            cell = todo.pop()
            if seen[cell]:
                continue
            seen[cell] = True
            layers[layer[cell]].append(cell)
            todo += reversed(below[cell])
    return layers


def _sort(cells: list[int], beside: Sequence[int], linked: Sequence[Sequence[int]]) -> None:
    """By the mean place of what each is linked with; what is linked with nothing keeps its place
    among the others."""
    place = {cell: number for number, cell in enumerate(beside)}
    means = {
        cell: sum(place[other] for other in linked[cell]) / len(linked[cell])
        for cell in cells
        if linked[cell]
    }
    moving = iter(sorted((cell for cell in cells if cell in means), key=means.__getitem__))
    cells[:] = [next(moving) if cell in means else cell for cell in cells]


def _swap(
    layers: Sequence[list[int]], above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]
) -> None:
    """Neighbours change places where fewer lines cross then."""
    places = [{cell: number for number, cell in enumerate(cells)} for cells in layers]
    for at, cells in enumerate(layers):
        sides = []
        if at:
            sides.append((above, places[at - 1]))
        if at + 1 < len(layers):
            sides.append((below, places[at + 1]))
        for number in range(len(cells) - 1):
            left, right = cells[number], cells[number + 1]
            gained = 0
            for linked, place in sides:
                for a in linked[left]:
                    for b in linked[right]:
                        gained += (place[a] > place[b]) - (place[a] < place[b])
            if gained > 0:
                cells[number], cells[number + 1] = right, left
                places[at][left], places[at][right] = number + 1, number


def _crossings(layers: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """How many pairs of links cross, counted with a tree of sums."""
    found = 0
    for upper, lower in itertools.pairwise(layers):
        place = {cell: number for number, cell in enumerate(lower)}
        sums = [0] * (len(lower) + 1)
        total = 0
        for cell in upper:
            ends = sorted(place[other] for other in below[cell])
            for end in ends:
                at, before = end + 1, 0
                while at:
                    before += sums[at]
                    at &= at - 1
                found += total - before
            for end in ends:
                total += 1
                at = end + 1
                while at < len(sums):
                    sums[at] += 1
                    at += at & -at
    return found
