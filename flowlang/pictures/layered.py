"""A graph in layers, after Sugiyama: where its nodes stand, and where its edges run. Knows sizes
and numbers, no flow and no SVG; the same graph always gives the same picture.

Edges run straight down and turn at right angles between two layers. What an edge is labelled with
stands in a layer of its own, right of the line. An edge that goes back runs up beside the nodes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from flowlang.pictures.ordering import ordered
from flowlang.pictures.placing import Extent, placed, spread
from flowlang.pictures.tracks import Turn, tracks

BETWEEN = 36.0
"""Pixels between two nodes side by side."""

BESIDE = 14.0
"""Pixels between a line and what is beside it."""

PORTS = 18.0
"""Pixels between two lines at the edge of a node, where there is room."""

TRACK = 10.0
"""Pixels between two lines that run side by side between layers."""

ABOVE = 12.0
"""Pixels that a line goes straight at least, where it leaves and where it arrives."""


class Size(NamedTuple):
    """Of a node or a label; a label of (0, 0) is none."""

    wide: float
    high: float


class Edge(NamedTuple):
    """Between two nodes, by their numbers."""

    source: int
    target: int
    label: Size


class Point(NamedTuple):
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class Layout:
    """`nodes` are the upper left corners, in the nodes' order; `routes` the lines from node to node
    in the direction of the edges; `labels` the upper left corners, None where there is none."""

    nodes: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]
    wide: float
    high: float


def ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    """The rank of each node: below all that lead to it, but for the edges that go back. The first
    node is the beginning."""
    forward = _forward(count, edges)
    below: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for edge, goes_on in zip(edges, forward, strict=True):
        if goes_on:
            below[edge.source].append(edge.target)
            waiting[edge.target] += 1
    found = [0] * count
    ready = [node for node in range(count) if not waiting[node]]
    for node in ready:  # It grows while it is read.
        for target in below[node]:
            found[target] = max(found[target], found[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return found


def _forward(count: int, edges: Sequence[Edge]) -> list[bool]:
    """For each edge whether it goes on; those that do make no circle."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    for number, edge in enumerate(edges):
        leaving[edge.source].append(number)
    forward = [True] * len(edges)
    state = [0] * count  # 1: on the way to here; 2: done
    for root in range(count):
        if state[root]:
            continue
        path = [(root, iter(leaving[root]))]
        state[root] = 1
        while path:
            node, rest = path[-1]
            following = next(rest, None)
            if following is None:
                state[node] = 2
                path.pop()
                continue
            target = edges[following].target
            if state[target] == 1:
                forward[following] = False
            elif not state[target]:
                state[target] = 1
                path.append((target, iter(leaving[target])))
    return forward


def layout(nodes: Sequence[Size], edges: Sequence[Edge]) -> Layout:
    """Where everything goes. The first node is the beginning; there is one."""
    return _Layout(nodes, edges).layout()


class _Layout:
    """Layers of cells: nodes in the odd ones, labels and turns in the even ones between. The first
    cells are the nodes; each edge adds a chain of cells, one for each layer that it passes."""

    def __init__(self, nodes: Sequence[Size], edges: Sequence[Edge]) -> None:
        self.sizes, self.edges = nodes, edges
        self.layer = [2 * rank + 1 for rank in ranks(len(nodes), edges)]
        side = BETWEEN / 2
        self.extents = [Extent(size.wide / 2 + side, size.wide / 2 + side) for size in nodes]
        self.heights = [size.high for size in nodes]
        self.links: list[tuple[int, int]] = []  # upper cell, lower cell
        self.chains = [self._chain(edge) for edge in edges]
        self.order = ordered(self.layer, self.links)
        x = placed(self.order, self.links, self.extents, self._straight())
        left = min(at - extent.left for at, extent in zip(x, self.extents, strict=True))
        self.x = [at - left for at in x]
        self.ports = self._ports()

    # --- cells ------------------------------------------------------------------------------

    def _goes_back(self, edge: Edge) -> bool:
        return self.layer[edge.target] <= self.layer[edge.source]

    def _chain(self, edge: Edge) -> list[int]:
        """The cells between the ends of an edge, in its direction."""
        first, last = self.layer[edge.source], self.layer[edge.target]
        back = self._goes_back(edge)
        # What goes back turns below its source, and again above its target.
        passed = range(first + 1, last - 2, -1) if back else range(first + 1, last)
        chain = []
        for layer in passed:
            self.layer.append(layer)
            labelled = bool(edge.label.wide) and layer == (first if back else first + 1)
            right = 10 + edge.label.wide if labelled else 0.0
            self.extents.append(Extent(BESIDE / 2, BESIDE / 2 + right))
            self.heights.append(edge.label.high if labelled else 0.0)
            chain.append(len(self.layer) - 1)
        if back:
            self.links += [(upper, lower) for lower, upper in itertools.pairwise(chain)]
            self.links += [(edge.source, chain[0]), (chain[-1], edge.target)]
        else:
            self.links += itertools.pairwise([edge.source, *chain, edge.target])
        return chain

    def _straight(self) -> list[list[int]]:
        """Cells that should stand below each other: a line, and a node in which it ends."""
        leaving = {edge.source for edge in self.edges}
        return [
            chain if edge.target in leaving or self._goes_back(edge) else [*chain, edge.target]
            for edge, chain in zip(self.edges, self.chains, strict=True)
        ]

    def _line(self, number: int) -> list[int]:
        """The cells through which a line really runs."""
        chain = self.chains[number]
        return chain[1:-1] if self._goes_back(self.edges[number]) else chain

    def _ports(self) -> list[tuple[float, float]]:
        """For each edge the x at which it leaves its source and arrives at its target."""
        leaving: dict[int, list[tuple[float, int]]] = {}
        arriving: dict[int, list[tuple[float, int]]] = {}
        for number, edge in enumerate(self.edges):
            line = self._line(number)
            leaving.setdefault(edge.source, []).append((self.x[line[0]], number))
            arriving.setdefault(edge.target, []).append((self.x[line[-1]], number))
        ends = [[0.0, 0.0] for _ in self.edges]
        for side, found in enumerate((leaving, arriving)):
            for node, wanted in found.items():
                wanted.sort()
                half = max(0.0, self.sizes[node].wide / 2 - 8)
                apart = min(PORTS, 2 * half / max(1, len(wanted) - 1))
                low, high = self.x[node] - half, self.x[node] + half
                inside = spread([at for at, _ in wanted], apart, low, high)
                for at, (_, number) in zip(inside, wanted, strict=True):
                    ends[number][side] = at
        return [(out, into) for out, into in ends]

    # --- lines ------------------------------------------------------------------------------

    def layout(self) -> Layout:
        turns = [self._turns(number) for number in range(len(self.edges))]
        channels: dict[int, list[tuple[int, int]]] = {}  # by the layer below it
        for number, found in enumerate(turns):
            for place, (channel, _) in enumerate(found):
                channels.setdefault(channel, []).append((number, place))
        track: dict[tuple[int, int], int] = {}
        rooms: dict[int, int] = {}
        for channel, members in channels.items():
            used = tracks([turns[number][place][1] for number, place in members])
            track.update(zip(members, used, strict=True))
            bent = [turns[n][p][1].is_straight for n, p in members]
            rooms[channel] = 0 if all(bent) else max(used) + 1
        tops, channel_tops, high = self._rows(rooms)
        routes = []
        for number, found in enumerate(turns):
            ys = [
                channel_tops[channel] + ABOVE + TRACK * track[number, place]
                for place, (channel, _) in enumerate(found)
            ]
            routes.append(self._route(number, ys, tops))
        nodes = [
            Point(self.x[node] - size.wide / 2, self._top(node, tops))
            for node, size in enumerate(self.sizes)
        ]
        labels = [self._label(number, tops) for number in range(len(self.edges))]
        wide = max(at + extent.right for at, extent in zip(self.x, self.extents, strict=True))
        return Layout(tuple(nodes), tuple(routes), tuple(labels), wide, high)

    def _turns(self, number: int) -> list[tuple[int, Turn]]:
        """Where the line may turn, in its direction: the layer below which channel, and from where
        to where."""
        edge, line, (out, into) = self.edges[number], self._line(number), self.ports[number]
        first, last = self.layer[edge.source], self.layer[edge.target]
        at = [self.x[cell] for cell in line]
        if not self._goes_back(edge):
            ways = itertools.pairwise([out, *at, into])
            return [(first + 1 + n, Turn((a,), (b,))) for n, (a, b) in enumerate(ways)]
        up = [(first - n, Turn((b,), (a,))) for n, (a, b) in enumerate(itertools.pairwise(at))]
        return [
            (first + 1, Turn((out, at[0]), ())),
            *up,
            (last, Turn((), (at[-1], into))),
        ]

    def _rows(self, rooms: dict[int, int]) -> tuple[list[float], dict[int, float], float]:
        """The y of each layer and of each channel, and of the end."""
        count = len(self.order)
        highs = [0.0] * count
        for cell, layer in enumerate(self.layer):
            highs[layer] = max(highs[layer], self.heights[cell])
        y, tops, channels = 0.0, [], {}
        for layer in range(count):
            channels[layer] = y
            used = rooms.get(layer, 0)
            if layer:
                y += ABOVE * 2 + TRACK * (used - 1) if used else ABOVE
            elif used:
                y += ABOVE + TRACK * used
            tops.append(y)
            y += highs[layer]
        return tops, channels, y

    def _top(self, cell: int, tops: Sequence[float]) -> float:
        """Cells hang from the top of their layer, so that lines leave nodes without a gap."""
        return tops[self.layer[cell]]

    def _route(self, number: int, ys: Sequence[float], tops: Sequence[float]) -> tuple[Point, ...]:
        edge, (out, into) = self.edges[number], self.ports[number]
        xs = [out, *(self.x[cell] for cell in self._line(number)), into]
        bottom = self._top(edge.source, tops) + self.sizes[edge.source].high
        points = [Point(out, bottom)]
        for (a, b), y in zip(itertools.pairwise(xs), ys, strict=True):
            if abs(a - b) >= 0.5:
                points += [Point(a, y), Point(b, y)]
        points.append(Point(points[-1].x, self._top(edge.target, tops)))
        return tuple(points)

    def _label(self, number: int, tops: Sequence[float]) -> Point | None:
        edge = self.edges[number]
        if not edge.label.wide:
            return None
        cell = self._line(number)[0]
        return Point(self.x[cell] + 8, self._top(cell, tops))
