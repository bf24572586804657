"""Reads a file that has mistakes: each is said once, and all the rest is in the tree.

A logical line is looked at on the parser's states before it is fed. Where it cannot be read, one
mistake is said; then the line as it was meant is fed if that is known, else BROKEN in its place, so
that nothing is ever half fed. Knows no rule's meaning.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from flowlang import syntax
from flowlang.parser.driver import Driver
from flowlang.parser.explain import explain
from flowlang.parser.mistakes import Mistakes, TooMany
from flowlang.parser.scene import NOT_YET, OUTSIDE_OF_FLOW, Said, Scene
from flowlang.parser.table import Table
from flowlang.parser.tokens import LAYOUT, Token

# A line that begins so has statements below it, which are read although the line is not.
_HAS_STATEMENTS = frozenset(
    {"IF", "WHILE", "FOR", "TRY", "RECEIVE", "SEND", "ELIF", "ELSE", "CATCH", "CASE", "WITHIN"}
)
# A line that stays part of the `if` or `try` above it.
_TAILS = frozenset({"ELIF", "ELSE", "CATCH", "CASE"})
# Lines whose first word says what is missing from the tree.
_KEPT = _TAILS | {"RESPONDS", "STEPS", "CASE"}
# Unreadable lines that are looked at, most of them in silence: one mistake may explain many.
_PATIENCE = 2_000
# A declaration whose body is read although its header is not.
_HAS_BODY = frozenset({"FLOW", "SERVICE", "RECORD", "MESSAGE", "ENUM", "TEST"})
_DECLARES_NAME = (_HAS_BODY | {"ERROR", "FUNCTION", "TYPE", "PROTOCOL"}) - {"TEST"}


_DECLARES_VARIABLE = frozenset({"LET", "VAR", "FOR", "RECEIVE", "AS"})


class Words(NamedTuple):
    """The kinds of words that cannot be names. `misused` are those that this file gives to
    something all the same: that is said there, so that other places need not be blamed."""

    reserved: frozenset[str]
    misused: frozenset[str]


def words_of(table: Table, tokens: Sequence[Token]) -> Words:
    """The reserved words, as a file with these tokens uses them."""
    reserved = frozenset(word.upper() for word in table.reserved)
    misused = set()
    first = tokens[0].kind
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if before.kind in LAYOUT:
            first = token.kind
        if token.kind in reserved and after.kind in _GIVES_NAME.get(before.kind, ()):
            if before.kind not in ("LPAR", "COMMA") or first == "FLOW":
                misused.add(token.kind)
    return Words(reserved, frozenset(misused))


# What stands before and after a name that is given.
_GIVES_NAME = {
    "LET": ("EQUAL", "COLON"),
    "VAR": ("EQUAL", "COLON"),
    "FOR": ("IN",),
    "RECEIVE": ("COLON",),
    "AS": ("NEWLINE", "COLON"),
    "FLOW": ("LPAR",),
    "FUNCTION": ("LPAR",),
    "LPAR": ("COLON",),
    "COMMA": ("COLON",),
}


def understood(driver: Driver, line: Sequence[Token], words: Words) -> list[Token]:
    """The line, with words taken for names that are misused elsewhere."""
    line = list(line)
    while True:
        count, states = driver.reach(line)
        if count == len(line) or line[count].kind not in words.misused:
            return line
        if not {"NUMBER", "LPAR"} <= driver.accepts(states):
            return line  # no value is wanted here, so the word may be meant
        line[count] = line[count]._replace(kind="NAME")


def scene_of(driver: Driver, line: Sequence[Token], words: Words) -> Scene | None:
    """Where the line cannot be read on; None if it can be read."""
    count, states = driver.reach(line)
    if count == len(line):
        return None
    return Scene(
        line,
        count,
        driver.accepts(states),
        driver.accepts(driver.states),
        words.reserved,
        lambda tokens: driver.reach(tokens)[0],
    )


def mended(driver: Driver, said: Said, words: Words) -> list[Token] | None:
    """The line as it was meant, with what else is wrong in it mended too where that is known."""
    meant = said.mended
    for _ in range(_REPAIRS):
        scene = scene_of(driver, meant, words) if meant is not None else None
        if scene is None:
            break
        again = explain(scene).mended
        if again is None:
            break
        meant = again
    return meant


_REPAIRS = 4


def read_expression(
    driver: Driver, tokens: Sequence[Token], words: Words
) -> tuple[syntax.Expr | None, Said | None]:
    """The expression between a text's braces, and what is wrong with it."""
    line = understood(driver, tokens, words)
    scene = scene_of(driver, line, words)
    said = explain(scene) if scene is not None else None
    meant = line if said is None else mended(driver, said, words)
    if meant is None or scene_of(driver, meant, words) is not None:
        return None, said
    driver.feed_all(meant)
    found: syntax.Expr = driver.result()
    return found, said


class Recovery:
    """`broken_lines` and `damaged` are numbers of lines: where the tree has gaps, and where the
    lexer has already said what is wrong."""

    def __init__(
        self,
        driver: Driver,
        mistakes: Mistakes,
        words: Words,
        damaged: set[int],
        broken_lines: set[int],
    ) -> None:
        self._driver = driver
        self._mistakes = mistakes
        self._words = words
        self._damaged = damaged
        self._broken_lines = broken_lines
        self._tokens: Sequence[Token] = ()
        self._position = 0
        self._ignored_dedents: set[int] = set()
        self._last_line = 0
        self._stray = False  # the line before explains why this one is outside of a flow
        self._patience = _PATIENCE

    def read(self, tokens: Sequence[Token]) -> None:
        """Feeds the driver a whole file. `tokens` ends with END."""
        self._tokens = tokens
        while self._position < len(tokens) - 1:
            kind = tokens[self._position].kind
            if kind == "INDENT":
                self._indent()
            elif kind == "DEDENT":
                self._dedent()
            else:
                self._line()
        fed = self._driver.feed(tokens[-1])
        assert fed, "a file may end after any whole item"

    # --- layout -------------------------------------------------------------------------------

    def _indent(self) -> None:
        token = self._tokens[self._position]
        if self._driver.feed(token):
            self._position += 1
            return
        line = self._tokens[self._position + 1]
        if self._last_line not in self._broken_lines and line.line not in self._damaged:
            self._mistakes.add(
                "F104",
                line.span,
                "this line is indented, but no block begins here",
                "indent it like the line above, or end the line above with `:` "
                "if this is to be its block",
            )
        self._ignored_dedents.add(self._matching_dedent())
        self._position += 1

    def _dedent(self) -> None:
        if self._position not in self._ignored_dedents:
            fed = self._driver.feed(self._tokens[self._position])
            assert fed, "a block may end after any whole line"
        self._position += 1

    def _matching_dedent(self) -> int:
        """The place of the DEDENT that belongs to the INDENT at the current position."""
        depth = 0
        for index in range(self._position, len(self._tokens)):
            kind = self._tokens[index].kind
            depth += (kind == "INDENT") - (kind == "DEDENT")
            if depth == 0:
                return index
        raise AssertionError("the lexer ends every block that it begins")

    # --- lines --------------------------------------------------------------------------------

    def _line(self) -> None:
        start = self._position
        end = start
        while self._tokens[end].kind != "NEWLINE":
            end += 1
        self._position = end + 1
        line = understood(self._driver, self._tokens[start : end + 1], self._words)
        scene = scene_of(self._driver, line, self._words)
        if scene is None:
            self._driver.feed_all(line)
            bodiless = self._tokens[self._position].kind != "INDENT"
            self._stray = line[0].kind in _HAS_BODY | {"MATCH"} and bodiless
        else:
            self._unreadable(line, scene)
        self._last_line = line[-1].line

    def _unreadable(self, line: list[Token], scene: Scene) -> None:
        self._patience -= 1
        if self._patience < 0:
            raise TooMany
        said = explain(scene)
        outside = said.code == OUTSIDE_OF_FLOW or (said.code == "F125" and line[0].kind == "CASE")
        if not (outside and self._stray) and not self._is_damaged(line):
            self._mistakes.add(said.code, said.span, said.message, said.hint)
        self._stray = outside
        meant = mended(self._driver, said, self._words)
        if meant is not None and scene_of(self._driver, meant, self._words) is None:
            self._driver.feed_all(meant)
        else:
            self._break(meant or line, scene, said)

    def _is_damaged(self, line: list[Token]) -> bool:
        return not self._damaged.isdisjoint(range(line[0].line, line[-1].line + 1))

    # --- broken lines -------------------------------------------------------------------------

    def _break(self, line: list[Token], scene: Scene, said: Said) -> None:
        """Feeds BROKEN instead of the line; then what is below it is read, or passed over."""
        room = "flow" if scene.room == "match" else scene.room
        if room == "file" and line[0].kind == "PRIVATE" and len(line) > 2:
            self._driver.feed(line[0])
            line = line[1:]
        first = line[0].kind
        indented = self._tokens[self._position].kind == "INDENT"
        if room == "file":
            keeps = indented and first in _HAS_BODY
        else:
            keeps = room == "flow" and first in _KEPT & scene.opening
        reads = keeps or (room == "flow" and first in _HAS_STATEMENTS and said.code != NOT_YET)
        names = self._names(line) if room == "flow" else _declared(line)
        newline = line[-1]
        if indented and not (reads and self._takes_block(line, keeps)):
            names = self._pass_over_block(names)
        if keeps:
            self._driver.feed(line[0])
        fed = self._driver.feed(_broken(line, names)) and self._driver.feed(newline)
        assert fed, "a broken line may stand wherever a line may"
        self._broken_lines.add(line[0].line)

    def _names(self, line: list[Token]) -> tuple[str, ...]:
        """The variables that a broken statement may have made. If it should have named one and
        does not, that may be any that is used further down."""
        names = _variables(line)
        unnamed = line[0].kind in _DECLARES_VARIABLE - {"AS"} and line[1].text not in names
        if line[0].kind == "OPEN":
            unnamed = not any(token.kind == "AS" for token in line[:-2])
        if not unnamed:
            return names
        end = self._position
        while end < len(self._tokens) and self._tokens[end].column > 1:
            end += 1
        return tuple(dict.fromkeys((*names, *_variables(self._tokens[self._position : end]))))

    def _takes_block(self, line: list[Token], keeps: bool) -> bool:
        """Whether the block below a broken line can be fed where the line stands."""
        place = line[0]
        head = [place] if keeps else []
        newline = line[-1]
        tokens = [*head, _broken(line, ()), newline, newline._replace(kind="INDENT")]
        return self._driver.reach(tokens)[0] == len(tokens)

    def _pass_over_block(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Goes behind the block that begins here; the names in it may be meant later."""
        end = self._matching_dedent()
        inside = _variables(self._tokens[self._position : end])
        self._position = end + 1
        return tuple(dict.fromkeys((*names, *inside)))


def _broken(line: list[Token], names: tuple[str, ...]) -> Token:
    """BROKEN in the place of the line. It carries the names as its text."""
    first, last = line[0], line[-1]
    return Token(
        "BROKEN",
        " ".join(names),
        first.line,
        first.column,
        last.end_line,
        max(last.end_column, first.column + 1),
        first.start,
    )


def _declared(line: Sequence[Token]) -> tuple[str, ...]:
    """What a broken line would have declared: the name after its keyword, or any of its words."""
    if line[0].kind == "TEST":
        return ()
    words = [token.text for token in line if token.text.isidentifier()]
    if line[0].kind in _DECLARES_NAME:
        return tuple(words[1:2])
    return tuple(dict.fromkeys(words))


def _variables(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The names that may be variables. A name that begins with a capital letter is none, nor one
    that is called: to take it for one would hide a declaration. Where a variable is declared, it
    may have any word as its name."""
    found = []
    before = "NEWLINE"
    for token, after in itertools.zip_longest(tokens, tokens[1:]):
        declares = before in _DECLARES_VARIABLE and token.text.isidentifier()
        used = token.kind == "NAME" and (after is None or after.kind != "LPAR")
        if (declares or used) and token.text[0].islower():
            found.append(token.text)
        before = token.kind
    return tuple(dict.fromkeys(found))
