"""Tokens and the text between them as logical lines: words, comments, blank lines, depth of blocks.

Decides where comments belong and where a blank line stands; knows nothing of a line's width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from flowlang.formatter.spacing import Spacing
from flowlang.parser.marks import Marked
from flowlang.parser.tokens import LAYOUT

_FOLLOWERS = frozenset({"ELSE", "ELIF", "CATCH", "OR"})
"""What goes on with the statement above it, and is not parted from it."""


@dataclasses.dataclass(slots=True)
class Word:
    """A token with the comments that belong to it: those on lines of their own `above`, the one
    `beside` it at its line's end. `spaced` says whether a space stands before it."""

    kind: str
    text: str
    name: bool
    open_ended: bool
    spaced: bool = False
    above: tuple[str, ...] = ()
    beside: str | None = None


@dataclasses.dataclass(slots=True)
class Comment:
    """A comment on a line of its own, between logical lines."""

    text: str
    depth: int
    blank: bool


@dataclasses.dataclass(slots=True)
class Line:
    """A logical line, and what stands above it; the last one of a file has no words."""

    depth: int
    above: list[Comment]
    blank: bool
    words: list[Word]


@dataclasses.dataclass(slots=True)
class _Gap:
    """What is between two tokens: the comment at the end of the first one's line, those on lines
    of their own, each with its column and whether a blank line is before it."""

    beside: str | None
    above: list[tuple[int, str, bool]]
    blank: bool


def lines_of(found: Marked) -> list[Line]:
    """The logical lines of a text, with blank lines where they will stand."""
    lines = _Reader(found).read()
    for number, line in enumerate(lines):
        _part(line, lines[number - 1] if number else None, lines[number + 1 : number + 2])
    return lines


class _Reader:
    """One text, token by token."""

    def __init__(self, found: Marked) -> None:
        self._text = found.text
        self._found = found
        self._widths = [0]  # of the margins of open blocks, in the text as it is
        self._before = [0]  # the same where the line before ended
        self._lines: list[Line] = []
        self._words: list[Word] = []
        self._spacing = Spacing()
        self._last: Word | None = None
        self._position = 0

    def read(self) -> list[Line]:
        for number, token in enumerate(self._found.tokens):
            if token.kind == "INDENT":
                self._widths.append(token.column - 1)
            elif token.kind == "DEDENT":
                self._widths.pop()
            elif token.kind == "NEWLINE":
                self._words = []
                self._before = list(self._widths)
            elif token.kind not in LAYOUT and token.text:
                word = Word(
                    token.kind,
                    token.text,
                    number in self._found.names,
                    number in self._found.open_ended,
                )
                self._take(word, _gap(self._text[self._position : token.start]))
                self._position = token.start + len(token.text)
        self._widths = [0]
        self._end(_gap(self._text[self._position :] + "\n"))
        return self._lines

    def _take(self, word: Word, gap: _Gap) -> None:
        if not self._words:
            self._end(gap)
            self._words = self._lines[-1].words
            self._spacing = Spacing()
        else:
            self._beside(gap)
            word.above += tuple(text for _, text, _ in gap.above)
        word.spaced = self._spacing.before(word)
        self._words.append(word)
        self._last = word

    def _beside(self, gap: _Gap) -> None:
        if self._last is not None:
            self._last.beside = gap.beside
        elif gap.beside is not None:
            gap.above.insert(0, (0, gap.beside, False))

    def _end(self, gap: _Gap) -> None:
        """A logical line ended; what is in the gap stands above the next."""
        self._beside(gap)
        outer, inner = len(self._widths) - 1, len(self._before) - 1
        above = []
        for column, text, blank in gap.above:
            depth = outer
            while depth < inner and self._before[depth + 1] <= column:
                depth += 1
            above.append(Comment(text, depth, blank))
        self._lines.append(Line(outer, above, gap.blank, []))


def _gap(text: str) -> _Gap:
    if "#" not in text:
        return _Gap(None, [], text.count("\n") > 1)
    first, *rest = text.split("\n")
    found = _Gap(first.strip() or None, [], False)
    blank = False
    for line in rest[:-1]:
        comment = line.strip()
        if comment:
            found.above.append((len(line) - len(line.lstrip()), comment, blank))
        blank = not comment
    found.blank = blank
    return found


# --- blank lines ------------------------------------------------------------------------------


def _part(line: Line, before: Line | None, after: Sequence[Line]) -> None:
    """Puts blank lines where they must be, and takes them where they may not."""
    items: list[Comment | Line] = [*line.above, line]
    if before is None or line.depth > before.depth:
        items[0].blank = False
    if line.words and line.words[0].kind in _FOLLOWERS and not line.words[0].name:
        for item in items:
            item.blank = False
    if before is None or line.depth > 0:
        return
    opens = bool(line.words and after and after[0].depth > 0)
    first = next((item for item in items if item.depth == 0), line)
    if opens or before.depth > 0 or _parted(before, line):
        first.blank = True


def _parted(before: Line, line: Line) -> bool:
    """Whether a blank line ends the docstring of the file, or its `use` lines."""
    if not line.words:
        return False
    kinds = before.words[0].kind, line.words[0].kind
    return kinds[0] == "DOC" or (kinds[0] == "USE" and kinds[1] != "USE")
