"""What a side does together with whoever keeps to a protocol in the other role, in turns.

Every place where it goes wrong is found, not the first alone. Knows no roles, only automata.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowlang.protocol.automaton import Automaton, Final
from flowlang.protocol.pairs import (
    LEFT,
    MOST_CONFIGURATIONS,
    RIGHT,
    Config,
    Misfit,
    Side,
    Together,
    Verdict,
)

OUT_OF_TURN = "turn"
"""The code of a misfit where the left side sends although it is the other's turn."""


def in_turns(left: Automaton, right: Automaton) -> Verdict:
    """Whether the left side fits all that keep to a protocol as `right` does, which is any of them:
    it sends whatever may be sent, and takes whatever may come. All places where it goes wrong."""
    return _InTurns((Side(left), Side(right))).all()


class _InTurns(Together):
    """Nobody sends but in turn, so that what was found for one that keeps to the protocol holds for
    every other."""

    def leaves(self, config: Config) -> bool:
        return False

    def all(self) -> Verdict:
        """Goes on beside what is wrong, as far as there is a way around it."""
        found: dict[tuple[str, int, str, tuple[int, int]], Misfit] = {}
        for config in self.order:
            self.after[config] = []
            if self.is_done(config):
                continue
            for wrong in self._wrongs(config):
                sent = wrong.edge.message if wrong.edge is not None else ""
                found.setdefault((wrong.code, wrong.side, sent, wrong.at), wrong)
            self.after[config] = list(self.moves(config))
            for target, move in self.after[config]:
                if target not in self.seen:
                    self.seen[target] = (config, move)
                    self.order.append(target)
            if len(self.order) > MOST_CONFIGURATIONS:
                break
        misfits = list(found.values()) or list(self._stuck())
        miscounts = self._miscounts(len(self.after) < len(self.order))
        return Verdict(tuple(misfits), 0, frozenset(self.used), len(self.seen), miscounts)

    def _wrongs(self, config: Config) -> Iterator[Misfit]:
        """All that is wrong at a place, one for each message."""
        left, right = config[0]
        mine = self.sides[LEFT].sends[left]
        if mine and self.sides[RIGHT].sends[right]:
            yield self.misfit(OUT_OF_TURN, RIGHT, config, mine[0])
            return
        is_refused = False
        for number in (LEFT, RIGHT):
            other, its = self.sides[1 - number], config[0][1 - number]
            node = other.nodes[its]
            for edge in self.sides[number].sends[config[0][number]]:
                if node.owes:
                    continue
                if node.final is Final.ENDED:
                    yield self.misfit("P204", 1 - number, config, edge)
                elif node.is_receiving and other.takes(its, edge) is None:
                    yield self.refused(1 - number, config, edge)
                else:
                    continue
                is_refused = True
        found = None if is_refused else self.wrong(config)
        if found is not None:
            yield found
