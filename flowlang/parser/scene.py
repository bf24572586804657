"""A line, the place in it where reading stopped, and what is said about it. Decides nothing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from flowlang.parser.table import END
from flowlang.parser.tokens import Token
from flowlang.source import Span

OUTSIDE_OF_FLOW = "F127"
"""The code of a statement that is in no flow."""
NOT_YET = "F199"
"""The code of a construct that the language does not have yet."""

DECLARES = frozenset(
    {"FLOW", "USE", "RECORD", "MESSAGE", "ENUM", "ERROR", "SERVICE", "FUNCTION", "SCHEDULE"}
    | {"PROTOCOL"}
)
NOT_WORDS = frozenset(
    {"NAME", "NUMBER", "TEXT", "BYTES", "DOC", "NEWLINE", "COMPARE", "MULTIPLY", "ARROW", "PLUS"}
    | {"MINUS", "COLON", "EQUAL", "DOT", "COMMA", "LPAR", "RPAR", "LSQB", "RSQB", "LBRACE"}
    | {"RBRACE", "QMARK", "STATE_MARK", "INDENT", "DEDENT", "BROKEN", "WILDCARD"}
)
"""Kinds of token that are no word of the language."""


class Said(NamedTuple):
    """One mistake, and the line as it was meant, if that is known."""

    code: str
    span: Span
    message: str
    hint: str | None = None
    mended: list[Token] | None = None


@dataclasses.dataclass(frozen=True)
class Scene:
    """A logical line and the place in it where reading stopped."""

    line: Sequence[Token]
    at: int
    accepted: frozenset[str]
    """What could have come at `at`."""
    opening: frozenset[str]
    """What could have come at the start of the line."""
    reserved: frozenset[str]
    """The kinds of words that cannot be names."""
    reach: Callable[[Sequence[Token]], int]
    """How far another line would be read in this one's place."""

    @property
    def first(self) -> Token:
        return self.line[0]

    @property
    def token(self) -> Token:
        return self.line[self.at]

    @property
    def before(self) -> Token | None:
        return self.line[self.at - 1] if self.at else None

    @property
    def after(self) -> Token | None:
        return self.line[self.at + 1] if self.at + 1 < len(self.line) else None

    @property
    def room(
        self,
    ) -> (
        Literal["file", "service", "flow", "record", "steps", "cases", "enum", "match"]
        | Literal["test", "mocks", "sent", "protocol"]
    ):
        """What the line stands in, told by what could begin it."""
        if END in self.opening:
            return "file"
        if "LPAR" in self.opening:
            return "flow"
        if "CASE" in self.opening and "NAME" not in self.opening:
            # Only a `match` has `case _:`.
            kinds = ("CASE", "WILDCARD", "COLON")
            wild = [self.first._replace(kind=kind) for kind in kinds]
            return "match" if self.reach(wild) == len(wild) else "cases"
        if "INCLUDE" in self.opening and "EACH" not in self.opening:
            return "protocol"  # Where any word may be a name, `each` may, too.
        if "LET" not in self.opening:
            if "EXPECT" in self.opening:
                return "sent" if "NAME" in self.opening else "test"
            return "mocks" if "NAME" in self.opening else "service"
        if "DOC" not in self.opening:
            return "steps"
        # Only a case of an enum may be a name alone.
        alone = [self.first._replace(kind="CASE"), self.line[-1]._replace(kind="NEWLINE")]
        return "enum" if self.reach(alone) == len(alone) else "record"

    @property
    def in_a_text(self) -> bool:
        """Whether the line is the expression in a text's braces."""
        return "LPAR" in self.opening and "LET" not in self.opening

    @property
    def wants_value(self) -> bool:
        return {"NUMBER", "LPAR"} <= self.accepted

    @property
    def wants_name(self) -> bool:
        return "NAME" in self.accepted and not self.wants_value

    @property
    def value_complete(self) -> bool:
        """Whether a value stands before the token, to which an operator could be added."""
        return {"PLUS", "DOT"} <= self.accepted

    @property
    def touches(self) -> bool:
        """Whether no blank is between the token and the one before it."""
        before = self.before
        return before is not None and before.start + len(before.text) == self.token.start

    @property
    def open_bracket(self) -> str:
        """The kind of the innermost bracket that is open before the token; "" if none is."""
        opened = []
        for token in self.line[: self.at]:
            if token.kind in ("LPAR", "LSQB", "LBRACE"):
                opened.append(token.kind)
            elif token.kind in ("RPAR", "RSQB", "RBRACE") and opened:
                opened.pop()
        return opened[-1] if opened else ""

    @property
    def found(self) -> str:
        """The end of a sentence that says what was expected."""
        return "" if self.token.kind in ("NEWLINE", END) else f", found {shown(self.token)}"

    def with_kind(self, index: int, kind: str) -> list[Token]:
        """The line with another kind of token at `index`."""
        line = list(self.line)
        text = line[index].text if kind == "NAME" else _TEXTS.get(kind, kind.lower())
        line[index] = line[index]._replace(kind=kind, text=text)
        return line


_TEXTS = {"COLON": ":", "EQUAL": "=", "COMPARE": "=="}


def shown(token: Token) -> str:
    """A token in a sentence."""
    text = re.sub(r"\s+", " ", token.text)
    return f"`{text}`" if len(text) <= 30 else f"`{text[:20]}…`"
