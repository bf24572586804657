"""A user's mistakes as values: what is wrong, where, what to do about it. Prints nothing itself.

The sentence of each diagnostic stands beside the check that finds the mistake; here are only the
value and the two ways to write it (text with the source line and a caret, and plain data).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from flowlang import conversation
from flowlang.conversation import Conversation
from flowlang.source import Source, Span

WIDTH = 100
"""Columns of a source line that are shown; a longer line is cut around the caret."""


@dataclasses.dataclass(frozen=True)
class Note:
    """A second place that matters, such as where a variable got its type."""

    message: str
    source: str
    span: Span


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One mistake; or, less than that, a warning or a note. `code` is stable and explained by
    `flowc explain`; `hint` is the remedy. `run` is the conversation that goes wrong, if that is
    what was found."""

    code: str
    message: str
    source: str
    span: Span
    hint: str | None = None
    notes: tuple[Note, ...] = ()
    severity: Literal["error", "warning", "note"] = "error"
    run: Conversation | None = None


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by place, each mistake once: one place and code is one mistake."""
    seen: dict[tuple[str, int, int, str], Diagnostic] = {}
    for found in diagnostics:
        seen.setdefault((found.source, found.span.line, found.span.column, found.code), found)
    return [seen[key] for key in sorted(seen)]


def as_data(diagnostic: Diagnostic) -> dict[str, object]:
    """For `--json`: plain values only."""
    line, column, end_line, end_column = diagnostic.span
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": diagnostic.source,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "hint": diagnostic.hint,
        "notes": [
            {
                "message": note.message,
                "file": note.source,
                "line": note.span.line,
                "column": note.span.column,
                "end_line": note.span.end_line,
                "end_column": note.span.end_column,
            }
            for note in diagnostic.notes
        ],
        **({} if diagnostic.run is None else {"run": conversation.as_data(diagnostic.run)}),
    }


def from_data(data: Mapping[str, Any]) -> Diagnostic:
    """The diagnostic again, from what `as_data` gave."""
    notes = [Note(note["message"], note["file"], _span(note)) for note in data["notes"]]
    return Diagnostic(
        data["code"],
        data["message"],
        data["file"],
        _span(data),
        data["hint"],
        tuple(notes),
        data["severity"],
        None if data.get("run") is None else conversation.from_data(data["run"]),
    )


def _span(data: Mapping[str, Any]) -> Span:
    return Span(data["line"], data["column"], data["end_line"], data["end_column"])


def as_text(
    diagnostic: Diagnostic,
    sources: Mapping[str, Source],
    *,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """As a person reads it: the sentence, the place, the line with a caret, the remedy.

    Where `ascii_only` is true all but what stands in a source is.
    """
    said = in_ascii if ascii_only else str
    paint = _PAINT if color else _PLAIN
    shade = paint[diagnostic.severity]
    head = f"{shade}{diagnostic.severity}[{diagnostic.code}]{paint['off']}: "
    lines = [f"{head}{paint['bold']}{said(printable(diagnostic.message))}{paint['off']}"]
    lines += _frame(diagnostic.source, diagnostic.span, sources, shade, paint["off"], said("…"))
    for note in diagnostic.notes:
        lines.append(f" note: {said(printable(note.message))}")
        lines += _frame(note.source, note.span, sources, paint["note"], paint["off"], said("…"))
    if diagnostic.run is not None:
        run = conversation.lines(diagnostic.run, ascii_only=ascii_only)
        lines += [printable(line) for line in run]
    if diagnostic.hint:
        lines.append(f" help: {said(printable(diagnostic.hint))}")
    return "\n".join(lines) + "\n"


_PLAIN = dict.fromkeys(("error", "warning", "note", "bold", "off"), "")
_PAINT = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "note": "\x1b[1;36m",
    "bold": "\x1b[1m",
    "off": "\x1b[0m",
}


def _frame(
    name: str, span: Span, sources: Mapping[str, Source], shade: str, off: str, cut: str
) -> list[str]:
    place = f"  --> {printable(name)}:{span.line}:{span.column}"
    source = sources.get(name)
    text = source.line(span.line) if source else ""
    if not text.strip():
        return [place]
    end = span.end_column if span.end_line == span.line else len(text) + 1
    start = max(0, min(span.column - 1, len(text)))
    length = max(1, min(end, len(text) + 1) - 1 - start)
    left = max(0, start - WIDTH // 2) if len(text) > WIDTH else 0
    shown = text[left : left + WIDTH]
    before = cut if left else ""
    after = cut if left + WIDTH < len(text) else ""
    column = start - left + len(before)
    width = min(length, WIDTH - (start - left)) or 1
    gutter = " " * len(str(span.line))
    return [
        place,
        f" {gutter} |",
        f" {span.line} | {before}{printable(shown)}{after}",
        f" {gutter} | {' ' * column}{shade}{'^' * width}{off}",
    ]


_ASCII = str.maketrans({"…": "...", "→": "->", "×": "x", "—": "-", "–": "-"})


def in_ascii(text: str) -> str:
    """What we write ourselves, for a terminal that has no more characters."""
    return text.translate(_ASCII)


def printable(text: str) -> str:
    """`text` with what a terminal would obey (control and bidirectional characters) replaced,
    each by one character so that carets stay in place."""
    if text.isprintable():
        return text
    return "".join([character if character.isprintable() else "�" for character in text])


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, for a "did you mean"."""
    import difflib

    if len(name) > 64:
        return None
    near = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=0.7)
    if near:
        return near[0]
    folded = {known_name.lower(): known_name for known_name in known}
    return folded.get(name.lower())


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A whole hint, or None when nothing is near."""
    near = closest(name, known)
    return f"did you mean `{near}`?" if near else None
