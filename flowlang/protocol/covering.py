"""A few conversations of two sides that together have every message that either can send.

Each is a shortest one that has a message which those before do not have, gone on with to its end.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator, Mapping, Sequence

from flowlang.protocol.automaton import Automaton, Edge, Final, Kind
from flowlang.protocol.frames import REFUSES, SETBACKS
from flowlang.protocol.pairs import Config, Move, explored

ENDS = (Final.ENDED, Final.CLOSED)


@dataclasses.dataclass(frozen=True)
class Covering:
    """The conversations, each as what happens; `missed` are the sends that no conversation has,
    since nothing ever leads there or the two do not fit."""

    conversations: tuple[tuple[Move, ...], ...]
    missed: tuple[tuple[int, Edge], ...]


def covering(left: Automaton, right: Automaton) -> Covering:
    """Conversations that have every message, the shortest first."""
    after, start = explored(left, right)
    wanted = {
        (side, _place(edge)): edge
        for side, made in enumerate((left, right))
        for node in made.nodes
        for edge in node.of(Kind.SEND)
    }
    ways = _cheapest(after, [start])
    homes = _homes(after, left, right)
    found: list[tuple[Move, ...]] = []
    open_ones = dict(wanted)
    for config in sorted(ways, key=lambda config: len(_way(ways, config))):
        for target, move in after.get(config, ()):
            key = _key(move)
            if key is None or key not in open_ones:
                continue
            way = (*_way(ways, config), move, *_home(homes, target))
            found.append(way)
            for one in way:
                open_ones.pop(_key(one), None)  # type: ignore[arg-type]
    return Covering(tuple(found), tuple((side, edge) for (side, _), edge in open_ones.items()))


def _place(edge: Edge) -> tuple[str, str, int]:
    """A send in the source: the same statement is covered once, whatever is known when it runs."""
    return edge.message, edge.spot.module, edge.spot.place.line


def _key(move: Move) -> tuple[int, tuple[str, str, int]] | None:
    if move.edge is None or move.edge.kind is not Kind.SEND:
        return None
    return move.side, _place(move.edge)


_Ways = dict[Config, tuple[Config, Move] | None]


UNLIKELY = 10
"""What a step costs by which time passes or something fails: other ways are told first."""


def _cost(move: Move) -> int:
    edges = [edge for edge in (move.edge, move.taken) if edge is not None]
    unlikely = sum(
        step.told in SETBACKS or step.told.startswith(REFUSES)
        for edge in edges
        for step in edge.steps
    )
    return 1 + UNLIKELY * (unlikely + move.is_dropped)


def _cheapest(after: Mapping[Config, Sequence[tuple[Config, Move]]], roots: list[Config]) -> _Ways:
    """For each configuration that can be reached the step that leads there, on a cheapest way."""
    found: _Ways = dict.fromkeys(roots)
    costs = dict.fromkeys(roots, 0)
    heap = [(0, number, root) for number, root in enumerate(roots)]
    count = len(roots)
    while heap:
        cost, _, config = heapq.heappop(heap)
        if cost > costs[config]:
            continue
        for target, move in after.get(config, ()):
            total = cost + _cost(move)
            if target not in costs or total < costs[target]:
                costs[target] = total
                found[target] = (config, move)
                heapq.heappush(heap, (total, count, target))
                count += 1
    return found


def _way(ways: _Ways, config: Config) -> tuple[Move, ...]:
    moves = []
    step = ways[config]
    while step is not None:
        moves.append(step[1])
        step = ways[step[0]]
    return tuple(reversed(moves))


def _homes(
    after: Mapping[Config, Sequence[tuple[Config, Move]]], left: Automaton, right: Automaton
) -> _Ways:
    """For each configuration the first step of a cheapest way to where both have ended."""
    before: dict[Config, list[tuple[Config, Move]]] = {}
    ends = []
    for config, following in after.items():
        at = left.nodes[config[0][0]].final, right.nodes[config[0][1]].final
        if at[0] in ENDS and at[1] in ENDS:
            ends.append(config)
        for target, move in following:
            before.setdefault(target, []).append((config, move))
    return _cheapest(before, ends)


def _home(homes: _Ways, config: Config) -> Iterator[Move]:
    step = homes.get(config)
    while step is not None:
        yield step[1]
        step = homes[step[0]]
