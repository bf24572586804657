"""Source text to syntax tree. The only package that knows Lark; knows no file and no meaning.

`parse` never refuses: what could not be read is a diagnostic, and the rest of the file is in the
tree. Importing this package does not import Lark; a first parse on a machine does, once.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable

from flowlang import syntax
from flowlang.diagnostics import Diagnostic, in_order
from flowlang.parser.builder import Builder
from flowlang.parser.characters import readable
from flowlang.parser.driver import Driver, bound
from flowlang.parser.mistakes import FILE_BYTES, Mistakes, TooMany
from flowlang.parser.recovery import Recovery, Words, read_expression, words_of
from flowlang.parser.table import Table, load_table
from flowlang.parser.tokens import Lexer
from flowlang.source import START, Source, Span

__all__ = ["Parsed", "decode", "parse"]


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A file's tree and what is wrong with its text. Without diagnostics the tree is whole."""

    file: syntax.File
    diagnostics: tuple[Diagnostic, ...]


def decode(name: str, module: str, data: bytes) -> Source | Diagnostic:
    """A file's bytes as a source, or why they are none."""
    if len(data) > FILE_BYTES:
        return Diagnostic("F001", _too_large(len(data)), name, START, _SPLIT)
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = _place_after(data[: error.start].decode("utf-8"))
        message = f"this file is not UTF-8: the byte 0x{data[error.start]:02X} cannot stand here"
        return Diagnostic("F002", message, name, place, "save the file as UTF-8")
    if "\0" in text:
        place = _place_after(text[: text.index("\0")])
        message = "this file is not text: it has a NUL character"
        return Diagnostic("F003", message, name, place, "save the file as UTF-8")
    return Source(name, module, text)


def parse(source: Source) -> Parsed:
    """The tree of `source`, as much of it as can be read."""
    mistakes = Mistakes(source.name)
    text = source.text.removeprefix("\ufeff")
    size = len(text.encode("utf-8", "replace"))
    try:
        if size > FILE_BYTES:
            mistakes.add("F001", START, _too_large(size), _SPLIT)
            file = _unread(text)
        else:
            file = _read(text, mistakes, source.name)
    except TooMany:
        file = _unread(text)
    return Parsed(file, tuple(in_order(mistakes.found)))


def _read(text: str, mistakes: Mistakes, name: str) -> syntax.File:
    made = load_table()
    lexer = Lexer(made, *readable(text, mistakes), mistakes)
    lexer.read()
    words = functools.cache(lambda: words_of(made, lexer.tokens))
    # What is said while a tree is built counts only if that tree is kept.
    said = Mistakes(name)
    driver, builder = _driver(made, lexer, words, said)
    if not driver.feed_all(lexer.tokens):
        said = Mistakes(name)
        driver, builder = _driver(made, lexer, words, said)
        recovery = Recovery(driver, said, words(), lexer.damaged, builder.broken_lines)
        try:
            recovery.read(lexer.tokens)
        except TooMany:
            mistakes.found += said.found
            raise
    mistakes.found += said.found
    file = driver.result()
    assert isinstance(file, syntax.File)
    if lexer.unread is not None:
        names = file.broken_names | _declared_in(text[lexer.unread :])
        file = dataclasses.replace(file, broken_names=names)
    return file


def _driver(
    made: Table, lexer: Lexer, words: Callable[[], Words], mistakes: Mistakes
) -> tuple[Driver, Builder]:
    """A parser of the file, and the builder of its nodes."""

    def read_hole(start: int, end: int, line: int, column: int) -> syntax.Expr | None:
        """The expression in a text's braces; None, and a mistake, where there is none."""
        tokens = lexer.fragment(start, end, line, column)
        driver = Driver(made, rules, "interpolated")
        count, _ = driver.reach(tokens)
        if count == len(tokens):
            driver.feed_all(tokens)
            found: syntax.Expr | None = driver.result()
            return found
        found, said = read_expression(driver, tokens, words())
        if said is not None and line not in lexer.damaged:
            mistakes.add(said.code, said.span, said.message, said.hint)
        return found

    builder = Builder(made, mistakes, read_hole, lexer.damaged)
    rules = bound(made, builder)
    return Driver(made, rules, "file"), builder


# --- what cannot be read ----------------------------------------------------------------------

_SPLIT = "split it into several files and `use` one from the other"


def _too_large(size: int) -> str:
    return f"this file has {size:,} bytes; {FILE_BYTES:,} is the most"


def _place_after(text: str) -> Span:
    line = text.count("\n") + 1
    column = len(text) - (text.rfind("\n") + 1) + 1
    return Span(line, column, line, column + 1)


_DECLARATION = re.compile(
    r"^(?:private[ \t]+)?"
    r"(?:flow|record|message|enum|type|error|service|function|schedule|protocol)[ \t]+"
    r"([A-Za-z]\w{0,63})",
    re.M | re.A,
)


def _declared_in(text: str) -> frozenset[str]:
    return frozenset(_DECLARATION.findall(text))


def _unread(text: str) -> syntax.File:
    """A file of which nothing was read but what it declares."""
    return syntax.File(None, (), (), _declared_in(text))
