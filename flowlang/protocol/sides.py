"""One side of a session, by node: what is silent, sent, received, told. Explores nothing."""

from __future__ import annotations

from collections.abc import Sequence

from flowlang.protocol.automaton import NOTHING, Automaton, Edge, Final, Kind, Node, Values


class Side:
    """An automaton, by node: what is silent, sent, received, told of an end."""

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self.nodes: Sequence[Node] = automaton.nodes
        self.silent: list[list[Edge]] = []
        self.sends: list[list[Edge]] = []
        self.ends: list[list[Edge]] = []
        self.receives: list[dict[str, dict[Values, list[Edge]]]] = []
        self.final: list[Final] = []
        self.waits: list[bool] = []
        self.numbers: list[range] = []
        self.sent: list[Edge] = []
        for node in self.nodes:
            self.silent.append(list(node.of(Kind.SILENT)))
            sends = list(node.of(Kind.SEND))
            self.numbers.append(range(len(self.sent), len(self.sent) + len(sends)))
            self.sent += sends
            self.sends.append(sends)
            self.ends.append(list(node.of(Kind.ENDED)))
            taken: dict[str, dict[Values, list[Edge]]] = {}
            for edge in node.of(Kind.RECEIVE):
                taken.setdefault(edge.message, {}).setdefault(edge.values, []).append(edge)
            self.receives.append(taken)
            self.final.append(node.final)
            self.waits.append(node.is_receiving)

    def takes(self, at: int, sent: Edge) -> list[Edge] | None:
        """What receiving a message leads to; None if it is not accepted here."""
        by_values = self.receives[at].get(sent.message)
        if by_values is None:
            return None
        return by_values.get(sent.values) or by_values[NOTHING]
