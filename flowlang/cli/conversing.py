"""Conversations of `flowc check`: those that have every message, printed, and those that go wrong,
drawn into files. Finds none itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import click

from flowlang.cli.printing import can_draw, print_json
from flowlang.conversation import Example, example_lines
from flowlang.diagnostics import Diagnostic
from flowlang.project import FileTrouble, shown


def print_conversations(files: Sequence[Path], as_json: bool) -> None:
    """Print what the flows in these files and those that respond to them say to each other; the
    files have no mistakes. Raises FileTrouble."""
    from flowlang.cli.checking import built_of
    from flowlang.compiler import conversations

    compilation = built_of(files, None).compilation
    assert compilation is not None
    found = conversations(compilation)
    if as_json:
        print_json({"ok": True, "conversations": [dataclasses.asdict(one) for one in found]})
        return
    click.echo("\n".join(listed(found, ascii_only=not can_draw())))


def draw_findings(diagnostics: Sequence[Diagnostic], folder: Path) -> list[Path]:
    """An SVG for each finding that shows a conversation; the files, in the order of the findings.
    Raises FileTrouble."""
    from flowlang.pictures.run import whole_picture
    from flowlang.pictures.sequence_svg import svg_of

    drawn: list[Path] = []
    for found in diagnostics:
        if found.run is None:
            continue
        path = folder / f"{found.code}-{Path(found.source).stem}-{found.span.line}.svg"
        if path in drawn:
            path = path.with_stem(f"{path.stem}-{len(drawn)}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(svg_of(whole_picture(found.run, found.message)), "utf-8")
        except OSError as error:
            why = f"cannot write here: {error.strerror or error}"
            raise FileTrouble("F706", shown(path), why) from None
        drawn.append(path)
    return drawn


def listed(found: Sequence[Example], *, ascii_only: bool) -> list[str]:
    """The lines that people read."""
    if not found:
        return ["No flow here opens a session."]
    lines: list[str] = []
    numbers: dict[tuple[str, str], int] = {}
    for one in found:
        pair = one.left, one.right
        numbers[pair] = numbers.get(pair, 0) + 1
        lines += [*example_lines(one, numbers[pair], ascii_only=ascii_only), ""]
    pairs = len(numbers)
    return [*lines, f"{_many(len(found), 'conversation')} of {_many(pairs, 'pair')} of flows."]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
