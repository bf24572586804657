"""The mistakes that reading one file has found, and the limits of what is read. Knows no syntax."""

from __future__ import annotations

from flowlang.diagnostics import Diagnostic, Note
from flowlang.source import Span

FILE_BYTES = 1024 * 1024
FILE_TOKENS = 220_000
DECLARATIONS = 10_000
NAME_LENGTH = 64
BLOCK_DEPTH = 64
EXPRESSION_DEPTH = 100
MISTAKES = 100


class TooMany(Exception):
    """So much is wrong, or so much is there, that reading on would tell nothing."""


class Mistakes:
    """Collects diagnostics; one place and code is one mistake, however often it is found."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: set[tuple[int, int, str]] = set()
        self.found: list[Diagnostic] = []

    def add(
        self,
        code: str,
        span: Span,
        message: str,
        hint: str | None = None,
        note: tuple[str, Span] | None = None,
    ) -> None:
        """Refuses with TooMany when the limit is reached."""
        key = (span.line, span.column, code)
        if key in self._seen:
            return
        self._seen.add(key)
        notes = (Note(note[0], self._source, note[1]),) if note else ()
        self.found.append(Diagnostic(code, message, self._source, span, hint, notes))
        if len(self.found) >= MISTAKES:
            raise TooMany
