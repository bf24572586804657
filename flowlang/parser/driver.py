"""Runs a parse table over tokens, one at a time. Knows neither what they mean nor how to mend them.

This is the loop of every LALR parser, kept here rather than taken from Lark: a table from the
cache can then be used without importing Lark (its import costs more than reading a file), and
recovery can look ahead on the states alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from flowlang.parser.table import END, Table
from flowlang.parser.tokens import Token

Action: TypeAlias = Callable[[list[Any]], Any] | None
BoundRule: TypeAlias = tuple[int, str, Action]


def bound(table: Table, builder: object) -> list[BoundRule]:
    """The table's rules, each with the method of `builder` that it calls."""
    return [
        (rule.size, rule.origin, getattr(builder, rule.action) if rule.action else None)
        for rule in table.rules
    ]


class Driver:
    """`values` holds what the actions made of the symbols that `states` stand for."""

    def __init__(self, table: Table, rules: list[BoundRule], start: str) -> None:
        self._moves = table.states
        self._rules = rules
        self.states = [table.starts[start]]
        self.values: list[Any] = []

    def feed(self, token: Token) -> bool:
        """Takes `token`, with every reduction before it; False when it cannot stand here."""
        states, values, rules, moves = self.states, self.values, self._rules, self._moves
        kind = token.kind
        while True:
            move = moves[states[-1]].get(kind)
            if move is None:
                return False
            if move >= 0:
                if kind != END:
                    states.append(move)
                    values.append(token)
                return True
            size, origin, action = rules[~move]
            if action is None:  # one symbol that stands for another
                states[-1] = moves[states[-2]][origin]
            elif size:
                parts = values[-size:]
                del values[-size:]
                del states[-size:]
                values.append(action(parts))
                states.append(moves[states[-1]][origin])
            else:
                values.append(action([]))
                states.append(moves[states[-1]][origin])

    def feed_all(self, tokens: Iterable[Token]) -> bool:
        """Whether every token could stand where it stood."""
        return all(map(self.feed, tokens))

    def result(self) -> Any:
        """What the whole input became, after END was taken."""
        return self.values[-1]

    def reach(self, tokens: Sequence[Token]) -> tuple[int, list[int]]:
        """How many of `tokens` could be fed, and the states then. Feeds nothing."""
        states = list(self.states)
        for number, token in enumerate(tokens):
            if not self._move(states, token.kind):
                # The refused token may have caused reductions: what could come is told by the
                # states before them.
                states = list(self.states)
                for earlier in tokens[:number]:
                    self._move(states, earlier.kind)
                return number, states
        return len(tokens), states

    def accepts(self, states: list[int]) -> frozenset[str]:
        """The kinds of token that could come next."""
        terminals = [kind for kind in self._moves[states[-1]] if kind.isupper()]
        return frozenset(kind for kind in terminals if self._move(list(states), kind))

    def _move(self, states: list[int], kind: str) -> bool:
        """Changes `states` as a token of `kind` would; False if it cannot come."""
        moves = self._moves
        while True:
            move = moves[states[-1]].get(kind)
            if move is None:
                return False
            if move >= 0:
                if kind != END:
                    states.append(move)
                return True
            size, origin, _ = self._rules[~move]
            if size:
                del states[-size:]
            states.append(moves[states[-1]][origin])
