"""A way of two sides told step by step: who sends what, who decides what. Judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from flowlang.conversation import Happening
from flowlang.protocol.automaton import Edge, Kind, Spot, Step
from flowlang.protocol.pairs import Move


class Retelling:
    """Tells ways of two flows of these names; `file` is what a statement's file is called."""

    def __init__(self, names: tuple[str, str], file: Callable[[Spot], str]) -> None:
        self._names = names
        self._file = file

    def steps(self, way: Sequence[Move], spots: tuple[Spot, Spot]) -> list[Happening]:
        """All that is worth telling. `spots` are where the sides are in the end."""
        found: list[Happening] = []
        for number, move in enumerate(way):
            found += self._of(move, number + 1 == len(way), spots)
        return found

    def send(self, side: int, edge: Edge) -> list[Happening]:
        """A message that is sent, and what was decided for it."""
        sent = self._one("sends", side, edge.message.rpartition(".")[2], edge.spot)
        return [*self._decided(side, edge.steps), sent]

    def _of(self, move: Move, is_last: bool, spots: tuple[Spot, Spot]) -> list[Happening]:
        edge = move.edge
        if edge is None:
            return [self._one("drops", move.side, "drops what came late", spots[move.side])]
        if edge.kind is Kind.SILENT:
            return self._decided(move.side, edge.steps)
        name = edge.message.rpartition(".")[2]
        found = []
        if edge.kind is Kind.SEND:
            found.append(self._one("sends", move.side, name, edge.spot))
            if move.is_dropped:
                found.append(self._one("drops", 1 - move.side, "drops it", spots[1 - move.side]))
        elif edge.kind is Kind.ENDED:
            text = f"learns that {self._names[1 - move.side]} has ended"
            found.append(self._one("learns", move.side, text, edge.spot))
        elif not is_last:
            found.append(self._one("takes", move.side, f"takes {name}", edge.spot))
        found += self._decided(move.side, edge.steps)
        if move.taken is not None:
            found += self._decided(1 - move.side, move.taken.steps)
        return found

    def _decided(self, side: int, steps: Sequence[Step]) -> list[Happening]:
        return [self._one("decides", side, step.told, step.spot) for step in steps]

    def _one(
        self,
        kind: Literal["sends", "decides", "drops", "learns", "takes"],
        side: int,
        text: str,
        spot: Spot,
    ) -> Happening:
        return Happening(kind, 0 if side == 0 else 1, text, self._file(spot), spot.place.line)
