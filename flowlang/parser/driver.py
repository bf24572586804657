"""Runs a parse table over tokens, one at a time. Knows neither what they mean nor how to mend them.

This is the loop of every LALR parser, thirty lines, kept here rather than taken from Lark so that
a cached table can be used without importing Lark (its import costs more than checking a file), and
so that recovery can look at the stacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowlang.parser.table import END, Table
from flowlang.parser.tokens import Token

Action = Callable[[list[Any]], Any]


class Driver:
    """`values` holds what the actions made of the symbols that `states` stand for."""

    def __init__(self, table: Table, actions: list[Action | None], start: str) -> None:
        self._table = table
        self._rules = [
            (rule.size, rule.origin, action)
            for rule, action in zip(table.rules, actions, strict=True)
        ]
        self._end = table.ends[start]
        self.states = [table.starts[start]]
        self.values: list[Any] = []

    def feed(self, token: Token) -> bool:
        """Takes `token`, with every reduction before it; False when it cannot stand here."""
        states, values, rules = self.states, self.values, self._rules
        moves = self._table.states
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
            if action is None:
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

    def accepts(self, states: list[int] | None = None) -> set[str]:
        """The kinds of token that could come next."""
        stack = self.states if states is None else states
        return {
            kind
            for kind in self._table.states[stack[-1]]
            if (kind.isupper() or kind == END) and self._could_take(kind, stack)
        }

    def _could_take(self, kind: str, states: list[int]) -> bool:
        moves = self._table.states
        stack = list(states)
        while True:
            move = moves[stack[-1]].get(kind)
            if move is None:
                return False
            if move >= 0:
                return True
            size, origin, _ = self._rules[~move]
            if size:
                del stack[-size:]
            stack.append(moves[stack[-1]][origin])
