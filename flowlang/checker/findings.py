"""What is found out about one file while it is checked: answers beside the tree, and mistakes.

Writes both down and quotes the source; decides nothing about either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowlang import syntax
from flowlang.diagnostics import Diagnostic, Note, closest
from flowlang.source import Source, Span
from flowlang.types import CaseInfo, Meaning, Method, Type, TypeInfo, Variable

PATIENCE = 20_000
"""Names compared for a "did you mean" in one file. Comparing is slow, and a file with thousands of
unknown names would otherwise take minutes."""

QUOTED = 40
"""Characters of source that are repeated in a hint."""


class Findings:
    """The answers of `Checked` while they are being collected."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.type_of: dict[syntax.Expr, Type] = {}
        self.variable_of: dict[object, Variable] = {}
        self.meaning_of: dict[syntax.Expr, Meaning] = {}
        self.methods: dict[syntax.Expr, Method] = {}
        self.patterns: dict[syntax.CasePattern, CaseInfo] = {}
        self.calls: dict[syntax.Call | syntax.StepTo, tuple[syntax.Expr | None, ...]] = {}
        self.type_refs: dict[syntax.TypeRef, Type] = {}
        self.checks_of: dict[syntax.MessageCase, int] = {}
        self.named: Mapping[str, TypeInfo] = {}
        self.diagnostics: list[Diagnostic] = []
        self._mistaken: set[int] = set()
        self._lines = source.text.split("\n")
        self._patience = PATIENCE

    def report(
        self, code: str, span: Span, message: str, hint: str | None = None, *notes: Note | None
    ) -> None:
        """One mistake, at its place in this file."""
        self._mistaken.add(span.line)
        known = tuple(note for note in notes if note is not None)
        self.diagnostics.append(Diagnostic(code, message, self.source.name, span, hint, known))

    def has_mistake(self, block: syntax.Block) -> bool:
        """Whether something was reported on a line of the block."""
        lines = range(block[0].span.line, block[-1].span.end_line + 1)
        return any(line in self._mistaken for line in lines)

    def note(self, message: str, span: Span) -> Note:
        """A second place in this file."""
        return Note(message, self.source.name, span)

    def quoted(self, span: Span) -> str | None:
        """The source text of `span`, if it is short enough to be repeated in a hint."""
        if span.line != span.end_line or span.end_column - span.column > QUOTED:
            return None
        text = self._line(span.line)[span.column - 1 : span.end_column - 1]
        return text or None

    def name_span(self, name: str, span: Span) -> Span:
        """Where `name` stands in the first line of `span`, for nodes that know only their whole."""
        line = self._line(span.line)
        start = span.column - 1
        # A line that could not be read may have no name, which would be found everywhere.
        while name and (start := line.find(name, start)) >= 0:
            end = start + len(name)
            alone = not (line[end : end + 1].isalnum() or line[end : end + 1] == "_")
            before = line[start - 1 : start] if start else ""
            if alone and not (before.isalnum() or before == "_"):
                return Span(span.line, start + 1, span.line, end + 1)
            start = end
        return span

    def did_you_mean(self, name: str, known: Iterable[str]) -> str | None:
        """A whole hint, or None when nothing is near."""
        if self._patience < 0:
            return None
        names = list(known)
        self._patience -= len(names)
        near = closest(name, names)
        return f"did you mean `{near}`?" if near else None

    def _line(self, number: int) -> str:
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""
