"""What flowc's commands print in the same way: diagnostics, data, colours. Decides nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from flowlang.diagnostics import Diagnostic, as_text
from flowlang.project import FileTrouble
from flowlang.source import START, Source

SHOWN = 100
"""Problems that are printed as text; nobody reads more of them at once."""

JSON = click.option("--json", "as_json", is_flag=True, help="Print data instead of text.")
PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))


def colored() -> bool:
    """Whether what is printed may have colours."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def print_json(data: object) -> None:
    """Data for programs."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_diagnostics(
    diagnostics: Sequence[Diagnostic], sources: Mapping[str, Source], *, err: bool = False
) -> None:
    """Diagnostics for people, as many as anybody reads."""
    for found in diagnostics[:SHOWN]:
        click.echo(as_text(found, sources, color=colored()), color=colored(), err=err)
    if len(diagnostics) > SHOWN:
        click.echo(f"… and {len(diagnostics) - SHOWN:,} more, which `--json` shows.", err=err)


def print_trouble(trouble: FileTrouble) -> None:
    """What is wrong with a file as a whole."""
    place = Diagnostic(trouble.code, trouble.message, trouble.path, START, trouble.hint)
    click.echo(as_text(place, {}, color=colored()), nl=False, color=colored())


def sources_of(diagnostics: Sequence[Diagnostic]) -> dict[str, Source]:
    """The texts that the diagnostics point into, from their files."""
    names = {found.source for found in diagnostics}
    names |= {note.source for found in diagnostics for note in found.notes}
    sources = {}
    for name in names:
        try:
            text = Path(name).read_bytes().decode("utf-8", errors="replace")
        except OSError:
            continue
        sources[name] = Source(name, "", text.removeprefix("\ufeff"))
    return sources


def summary(diagnostics: Sequence[Diagnostic], files: int) -> str:
    """The last line of a check."""
    checked = f"{files} file{'s' if files != 1 else ''}"
    counts = [
        (word, sum(found.severity == severity for found in diagnostics))
        for severity, word in (("error", "problem"), ("warning", "warning"), ("note", "note"))
    ]
    said = [f"{count} {word}{'s' if count != 1 else ''}" for word, count in counts if count]
    if not said:
        return f"No problems in {checked}."
    if not counts[0][1]:
        said.insert(0, "no problems")
    code = min(diagnostics, key=lambda found: (found.severity != "error", found.code)).code
    listed = ", ".join(said)
    return f"{listed[0].upper()}{listed[1:]} in {checked}. More about one: flowc explain {code}"
