"""Reads a file that has mistakes: each is said once, and all the rest is in the tree.

A logical line is looked at on the parser's states before it is fed. Where it cannot be read, one
mistake is said; then the line as it was meant is fed if that is known, else BROKEN in its place, so
that nothing is ever half fed. Knows no rule's meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowlang import syntax
from flowlang.parser.driver import Driver
from flowlang.parser.explain import explain
from flowlang.parser.mistakes import Mistakes
from flowlang.parser.scene import OUTSIDE_OF_FLOW, Said, Scene
from flowlang.parser.tokens import Token

# A line that begins so has statements below it, which are read although the line is not.
_HAS_STATEMENTS = frozenset(
    {"IF", "WHILE", "FOR", "TRY", "RECEIVE", "SEND", "ELIF", "ELSE", "CATCH"}
)
# A line that stays part of the `if` or `try` above it.
_TAILS = frozenset({"ELIF", "ELSE", "CATCH"})
# Lines whose first word says what is missing from the tree.
_KEPT = _TAILS | {"RESPONDS", "STEPS"}
# A declaration whose body is read although its header is not.
_HAS_BODY = frozenset({"FLOW", "SERVICE", "RECORD", "MESSAGE"})
_DECLARES_NAME = _HAS_BODY | {"ERROR", "FUNCTION"}


class Recovery:
    """`broken_lines` and `damaged` are numbers of lines: where the tree has gaps, and where the
    lexer has already said what is wrong."""

    def __init__(
        self,
        driver: Driver,
        mistakes: Mistakes,
        reserved: frozenset[str],
        damaged: set[int],
        broken_lines: set[int],
    ) -> None:
        self._driver = driver
        self._mistakes = mistakes
        self._reserved = reserved
        self._damaged = damaged
        self._broken_lines = broken_lines
        self._tokens: Sequence[Token] = ()
        self._position = 0
        self._ignored_dedents: set[int] = set()
        self._last_line = 0
        self._stray = False  # the line before explains why this one is outside of a flow

    def read(self, tokens: Sequence[Token]) -> syntax.File:
        """The tree of the whole file. `tokens` ends with END."""
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
        file = self._driver.result()
        assert isinstance(file, syntax.File)
        return file

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
        line = list(self._tokens[start : end + 1])
        self._position = end + 1
        count, states = self._driver.reach(line)
        if count == len(line):
            self._driver.feed_all(line)
            bodiless = self._tokens[self._position].kind != "INDENT"
            self._stray = line[0].kind in _HAS_BODY and bodiless
        else:
            self._unreadable(line, count, states)
        self._last_line = line[-1].line

    def _unreadable(self, line: list[Token], at: int, states: list[int]) -> None:
        scene = Scene(
            line,
            at,
            self._driver.accepts(states),
            self._driver.accepts(self._driver.states),
            self._reserved,
            lambda tokens: self._driver.reach(tokens)[0],
        )
        said = explain(scene)
        outside = said.code == OUTSIDE_OF_FLOW
        if not (outside and self._stray) and not self._is_damaged(line):
            self._mistakes.add(said.code, said.span, said.message, said.hint)
        self._stray = outside
        meant = self._mended(said, line)
        if meant is not None and self._driver.reach(meant)[0] == len(meant):
            self._driver.feed_all(meant)
        else:
            self._break(meant or line, scene)

    def _mended(self, said: Said, line: list[Token]) -> list[Token] | None:
        """The line as it was meant, with what else is wrong in it mended too if that is known."""
        meant = said.mended
        for _ in range(_REPAIRS):
            if meant is None:
                return None
            count, states = self._driver.reach(meant)
            if count == len(meant):
                return meant
            opening = self._driver.accepts(self._driver.states)
            again = explain(
                Scene(
                    meant,
                    count,
                    self._driver.accepts(states),
                    opening,
                    self._reserved,
                    lambda tokens: self._driver.reach(tokens)[0],
                )
            )
            if again.mended is None:
                return meant
            meant = again.mended
        return meant

    def _is_damaged(self, line: list[Token]) -> bool:
        return not self._damaged.isdisjoint(range(line[0].line, line[-1].line + 1))

    # --- broken lines -------------------------------------------------------------------------

    def _break(self, line: list[Token], scene: Scene) -> None:
        """Feeds BROKEN instead of the line; then what is below it is read, or passed over."""
        first, top = line[0].kind, scene.room == "file"
        indented = self._tokens[self._position].kind == "INDENT"
        if top:
            keeps = indented and first in _HAS_BODY
        else:
            keeps = scene.room == "flow" and first in _KEPT & scene.opening
        reads = keeps or (scene.room == "flow" and first in _HAS_STATEMENTS)
        names = _variables(line) if scene.room == "flow" else _declared(line)
        newline = line[-1]
        if indented and not (reads and self._takes_block(line, keeps)):
            names = self._pass_over_block(names)
        if keeps:
            self._driver.feed(line[0])
        fed = self._driver.feed(_broken(line, names)) and self._driver.feed(newline)
        assert fed, "a broken line may stand wherever a line may"
        self._broken_lines.add(line[0].line)

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


def explain_hole(
    driver: Driver, tokens: Sequence[Token], at: int, states: list[int], mistakes: Mistakes
) -> None:
    """Says why the tokens between a text's braces are no expression."""
    opening = driver.accepts(driver.states)
    scene = Scene(
        tokens,
        at,
        driver.accepts(states),
        opening,
        frozenset(),
        lambda other: driver.reach(other)[0],
    )
    said = explain(scene)
    mistakes.add(said.code, said.span, said.message, said.hint)


_REPAIRS = 4
_DECLARING_WORDS = frozenset(
    {"flow", "service", "record", "message", "error", "function", "use", "enum", "protocol"}
    | {"schedule", "migrate", "external"}
)


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
    words = [token.text for token in line if token.text.isidentifier()]
    if line[0].kind in _DECLARES_NAME:
        return tuple(words[1:2])
    return tuple(dict.fromkeys(words))


def _variables(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The names that may be variables. A name that begins with a capital letter is none, and to
    take it for one would hide a declaration."""
    found = [token.text for token in tokens if token.kind == "NAME" and token.text[0].islower()]
    return tuple(dict.fromkeys(found))
