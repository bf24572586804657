"""The one way to write each program: a text laid out anew. Reads and writes no file.

It works on tokens, the comments between them, and the blocks they stand in, and knows no statement
of the language: what is new in the grammar is laid out by the same rules as the rest. What comes
out has the same tokens and the same comments in the same order, and is compared before it is given.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from flowlang.diagnostics import Diagnostic
from flowlang.formatter.breaking import WIDTH, rows, width
from flowlang.formatter.lines import Line, lines_of
from flowlang.parser import parse
from flowlang.parser.literals import doc_of
from flowlang.parser.marks import Marked, marked, unmarked
from flowlang.source import Source

__all__ = ["Formatted", "formatted"]

MARGIN = 4


@dataclasses.dataclass(frozen=True)
class Formatted:
    """`text` is None where the source has mistakes: such a text is left as it is."""

    text: str | None
    diagnostics: tuple[Diagnostic, ...]


def formatted(source: Source) -> Formatted:
    """`source` as it is written."""
    parsed = parse(source)
    if parsed.diagnostics:
        return Formatted(None, parsed.diagnostics)
    text = source.text.removeprefix("\ufeff").replace("\r\n", "\n")
    before = marked(dataclasses.replace(source, text=text))
    written = "".join(f"{row}\n" for row in _written(lines_of(before)))
    after = unmarked(dataclasses.replace(source, text=written))
    if _said(before) != _said(after) or comments(before) != comments(after):
        raise AssertionError(f"the formatter changed what {source.name} says")
    return Formatted(written, ())


def _written(lines: list[Line]) -> Iterator[str]:
    columns = _columns(lines)
    for line, column in zip(lines, columns, strict=True):
        for comment in line.above:
            if comment.blank:
                yield ""
            yield " " * (MARGIN * comment.depth) + comment.text
        if not line.words:
            continue  # Comments at the end of the file.
        if line.blank:
            yield ""
        margin = " " * (MARGIN * line.depth)
        if line.words[0].kind == "DOC":
            found = [_doc(line.words[0].text, margin)]
        else:
            found = rows(line.words, len(margin))
        beside = line.words[-1].beside
        if beside is not None:
            found[-1] = f"{found[-1]:{max(0, column - len(margin))}}  {beside}"
        yield from (margin + row if row else row for row in found)


def _columns(lines: list[Line]) -> list[int]:
    """For each line the column of its comment: those of neighbours stand below each other."""
    columns = [0] * len(lines)
    run: list[int] = []
    for number, line in enumerate(lines):
        if run and (line.above or line.blank or line.depth != lines[run[0]].depth):
            run = []
        length = MARGIN * line.depth + width(line.words) if line.words else 0
        if not line.words or line.words[-1].beside is None or not 0 < length <= WIDTH:
            run = []
            continue
        run.append(number)
        widest = max(length, columns[run[0]])
        for one in run:
            columns[one] = widest
    return columns


def _doc(text: str, margin: str) -> str:
    """A docstring whose further lines stand below its first one."""
    lines = text[3:-3].expandtabs(4).split("\n")
    used = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    cut = min(used, default=0)
    laid = [lines[0].rstrip() if len(lines) > 1 else lines[0]]
    laid += [(margin + line[cut:].rstrip()) if line.strip() else "" for line in lines[1:]]
    if not laid[0].lstrip().startswith('"'):
        laid[0] = laid[0].lstrip()
    if len(lines) > 1 and not lines[-1].strip():
        laid[-1] = margin
    elif not laid[-1].rstrip().endswith('"'):
        laid[-1] = laid[-1].rstrip()
    return '"""' + "\n".join(laid) + '"""'


def _said(text: Marked) -> list[tuple[str, str]]:
    """All that a text says to the compiler."""
    return [
        (token.kind, doc_of(token.text) if token.kind == "DOC" else token.text.strip())
        for token in text.tokens
    ]


def comments(found: Marked) -> list[str]:
    """The comments of a text, in order."""
    gathered: list[str] = []
    position = 0
    for token in found.tokens:
        if token.text:
            gathered += _COMMENT.findall(found.text, position, token.start)
            position = token.start + len(token.text)
    gathered += _COMMENT.findall(found.text, position)
    return [comment.rstrip() for comment in gathered]


_COMMENT = re.compile("#[^\n]*")
