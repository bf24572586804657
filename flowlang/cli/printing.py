"""What flowc's commands print in the same way: diagnostics, data, colours. Decides nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from flowlang.diagnostics import Diagnostic, as_data, as_text, in_ascii
from flowlang.project import FileTrouble, is_file
from flowlang.source import START, Source

Command = TypeVar("Command", bound=Callable[..., Any])

SHOWN = 100
"""Problems that are printed as text; nobody reads more of them at once."""

_WANTED = "flowc.json"


class _Named(click.Path):
    """A path that is not empty: an empty one would be this folder, and nobody means that."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("This name of a file is empty.", param, ctx)
        return super().convert(value, param, ctx)


def _remember(ctx: click.Context, _: click.Parameter, as_json: bool) -> bool:
    ctx.meta[_WANTED] = as_json
    return as_json


def json_option(says: str) -> Callable[[Command], Command]:
    """`--json`. It is read first, so that wrong usage is told as data, too."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_remember, help=says
    )


JSON = json_option("Print data instead of text.")
PATH = _Named(path_type=Path)
PATHS = click.argument("paths", nargs=-1, required=True, type=PATH)
FILE = click.argument("file", type=PATH)


def wants_json() -> bool:
    """Whether the command that runs was asked for data."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_WANTED))


def colored() -> bool:
    """Whether what is printed may have colours."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def can_draw() -> bool:
    """Whether what is printed may have lines and arrows that are not ASCII."""
    try:
        "─▶✗×…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def drawable(text: str) -> str:
    """A text of ours as this terminal can show it."""
    return text if can_draw() else in_ascii(text)


def print_json(data: object) -> None:
    """Data for programs."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_diagnostics(
    diagnostics: Sequence[Diagnostic], sources: Mapping[str, Source], *, err: bool = False
) -> None:
    """Diagnostics for people, as many as anybody reads."""
    for found in diagnostics[:SHOWN]:
        text = as_text(found, sources, color=colored(), ascii_only=not can_draw())
        click.echo(text, color=colored(), err=err)
    if len(diagnostics) > SHOWN:
        more = f"… and {len(diagnostics) - SHOWN:,} more, which `--json` shows."
        click.echo(drawable(more), err=err)


def print_trouble(trouble: FileTrouble) -> None:
    """What is wrong with a file as a whole, as data if the command was asked for that."""
    place = Diagnostic(trouble.code, trouble.message, trouble.path, START, trouble.hint)
    if wants_json():
        print_json({"ok": False, "files": [trouble.path], "diagnostics": [as_data(place)]})
        return
    text = as_text(place, {}, color=colored(), ascii_only=not can_draw())
    click.echo(text, nl=False, color=colored())


def sources_of(diagnostics: Sequence[Diagnostic]) -> dict[str, Source]:
    """The texts that the diagnostics point into, from their files."""
    names = {found.source for found in diagnostics}
    names |= {note.source for found in diagnostics for note in found.notes}
    sources = {}
    for name in filter(lambda name: is_file(Path(name)), names):
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
