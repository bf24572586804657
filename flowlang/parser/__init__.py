"""Source text to syntax tree. The only package that knows Lark; knows no file and no meaning.

`parse` never refuses: what could not be read is a diagnostic, and the rest of the file is in the
tree. Importing this package does not import Lark; a first parse on a machine does, once.
"""

from __future__ import annotations

import dataclasses

from flowlang import syntax
from flowlang.diagnostics import Diagnostic, in_order
from flowlang.source import Source


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A file's tree and what is wrong with its text. Without diagnostics the tree is whole."""

    file: syntax.File
    diagnostics: tuple[Diagnostic, ...]


def parse(source: Source) -> Parsed:
    """Reads `source`."""
    from flowlang.parser.builder import Builder
    from flowlang.parser.driver import Driver
    from flowlang.parser.mistakes import Mistakes
    from flowlang.parser.table import table
    from flowlang.parser.tokens import Lexer

    made = table()
    mistakes = Mistakes(source.name)
    lexer = Lexer(made, source.text, mistakes)
    lexer.read()

    def read_hole(start: int, end: int, line: int, column: int) -> syntax.Expr | None:
        driver = Driver(made, actions, "interpolated")
        if driver.feed_all(lexer.fragment(start, end, line, column)):
            return driver.result()
        return None

    builder = Builder(made, mistakes, read_hole)
    actions = builder.actions(made)
    driver = Driver(made, actions, "file")
    for token in lexer.tokens:
        if not driver.feed(token):
            mistakes.add("F100", token.span, f"unexpected {token.kind} {token.text}")
            file = syntax.File(None, (), (), frozenset())
            break
    else:
        file = driver.result()
    return Parsed(file, tuple(in_order(mistakes.found)))
