"""What the parse table tells of a text's tokens, without a tree: which words are names, and before
which closing brackets a comma may stand. Knows no construct of the language by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from flowlang.parser.characters import readable
from flowlang.parser.mistakes import Mistakes
from flowlang.parser.table import END, Table, load_table
from flowlang.parser.tokens import Lexer, Token
from flowlang.source import Source

_NAMES = frozenset({"name", "any_name", "reserved"})
_CLOSERS = frozenset({"RPAR", "RSQB", "RBRACE"})


@dataclasses.dataclass(frozen=True)
class Marked:
    """A text's tokens, without commas that only close a list, which `text` has not either. `names`
    and `open_ended` are numbers of tokens: words that are names here, and closing brackets that may
    have a comma before them."""

    text: str
    tokens: Sequence[Token]
    names: frozenset[int]
    open_ended: frozenset[int]


def marked(source: Source) -> Marked:
    """The tokens of a text that `parse` found no mistake in."""
    found = unmarked(source)
    walk = _Walk(load_table())
    for number, token in enumerate(found.tokens):
        walk.take(number, token.kind)
    names = {number for number, token in enumerate(found.tokens) if token.kind == "NAME"}
    return Marked(
        found.text, found.tokens, frozenset(names | walk.names), frozenset(walk.open_ended)
    )


def unmarked(source: Source) -> Marked:
    """The tokens alone, in less than half the time."""
    table, mistakes = load_table(), Mistakes(source.name)
    text, damaged = readable(source.text.removeprefix("\ufeff"), mistakes)
    lexer = Lexer(table, text, damaged, mistakes)
    lexer.read()
    tokens: list[Token] = []
    closing: list[Token] = []
    for token, after in zip(lexer.tokens, [*lexer.tokens[1:], lexer.tokens[-1]], strict=True):
        in_vain = token.kind == "COMMA" and after.kind in _CLOSERS
        (closing if in_vain else tokens).append(token)
    return Marked(_without(text, closing), tokens, frozenset(), frozenset())


def _without(text: str, commas: Sequence[Token]) -> str:
    """The text with a blank for each of these."""
    parts, position = [], 0
    for comma in commas:
        parts += [text[position : comma.start], " "]
        position = comma.start + 1
    return "".join([*parts, text[position:]])


class _Walk:
    """The states that the parser goes through."""

    def __init__(self, table: Table) -> None:
        self.names: set[int] = set()
        self.open_ended: set[int] = set()
        self._moves = table.states
        self._rules = [(rule.size, rule.origin) for rule in table.rules]
        self._states = [table.starts["file"]]

    def take(self, number: int, kind: str) -> None:
        """The next token."""
        if kind in _CLOSERS and self._may_end_in_comma(kind):
            self.open_ended.add(number)
        if self._move(self._states, kind) and self._reduced_to_name:
            self.names.add(number - 1)

    def _may_end_in_comma(self, closer: str) -> bool:
        states = list(self._states)
        return self._move(states, "COMMA") and self._move(states, closer)

    def _move(self, states: list[int], kind: str) -> bool:
        """Changes `states` as a token of `kind` would; False if it cannot come."""
        self._reduced_to_name = False
        while True:
            move = self._moves[states[-1]].get(kind)
            if move is None:
                return False
            if move >= 0:
                if kind != END:
                    states.append(move)
                return True
            size, origin = self._rules[~move]
            if size:
                del states[-size:]
            states.append(self._moves[states[-1]][origin])
            self._reduced_to_name = self._reduced_to_name or origin in _NAMES
