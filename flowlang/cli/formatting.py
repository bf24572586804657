"""`flowc fmt`: which files are formatted, and what is written or shown. Lays out nothing itself."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from flowlang.cli.printing import PATHS, colored, print_diagnostics
from flowlang.diagnostics import Diagnostic
from flowlang.project import Project, read, replace_text, shown, sources_below
from flowlang.source import Source

_STDIN = Path("-")
_PAINT = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}


@click.command("fmt")
@PATHS
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 if it would.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change, and exit 1.")
def fmt(paths: tuple[Path, ...], only_check: bool, diff: bool) -> None:
    """Write .flow files in the one way to write them. There is nothing to choose.

    PATHS are files, folders, or - for standard input, which goes to standard output. A file with a
    mistake in its syntax is left as it is, and the mistake is shown.
    """
    if _STDIN in paths:
        if len(paths) > 1:
            raise click.UsageError("`-` stands alone: standard input is one text.")
        sys.exit(_one_text(only_check, diff))
    changed = wrong = 0
    files = sources_below(paths)
    for path in files:
        Project.around(path).module_of(path)  # Before anything is written: the names of them all.
    for path in files:
        data = read(path)
        text, diagnostics = _formatted(shown(path), data)
        if text is None:
            wrong += 1
            print_diagnostics(diagnostics, _sources(shown(path), data))
        elif text.encode() != data:
            changed += 1
            if diff:
                _show_difference(shown(path), data, text)
            elif not only_check:
                replace_text(path, text)
            click.echo(f"{'would format' if only_check or diff else 'formatted'} {shown(path)}")
    click.echo(_summary(len(files), changed, wrong, written=not (only_check or diff)))
    sys.exit(1 if wrong or (changed and (only_check or diff)) else 0)


def _one_text(only_check: bool, diff: bool) -> int:
    """Standard input, to standard output."""
    data = sys.stdin.buffer.read()
    text, diagnostics = _formatted("<stdin>", data)
    if text is None:
        print_diagnostics(diagnostics, _sources("<stdin>", data), err=True)
        return 1
    if diff:
        _show_difference("<stdin>", data, text)
    elif not only_check:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    return 1 if (only_check or diff) and text.encode() != data else 0


def _formatted(name: str, data: bytes) -> tuple[str | None, tuple[Diagnostic, ...]]:
    from flowlang.formatter import formatted
    from flowlang.parser import decode

    source = decode(name, "", data)
    if isinstance(source, Diagnostic):
        return None, (source,)
    done = formatted(source)
    return done.text, done.diagnostics


def _sources(name: str, data: bytes) -> dict[str, Source]:
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    return {name: Source(name, "", text)}


def _show_difference(name: str, data: bytes, text: str) -> None:
    before = data.decode("utf-8").splitlines(keepends=True)
    for line in _difference(name, before, text.splitlines(keepends=True)):
        paint = _PAINT.get(line[:1], "") if colored() else ""
        click.echo(f"{paint}{line}\x1b[0m" if paint else line, nl=False, color=colored())


def _difference(name: str, before: list[str], after: list[str]) -> Iterator[str]:
    for line in difflib.unified_diff(before, after, name, f"{name}, formatted"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _summary(files: int, changed: int, wrong: int, *, written: bool) -> str:
    def counted(count: int) -> str:
        return f"{count} file{'s' if count != 1 else ''}"

    parts = []
    if changed:
        parts.append(f"{counted(changed)} {'formatted' if written else 'would be formatted'}")
    if files - changed - wrong or not parts:
        parts.append(f"{counted(files - changed - wrong)} left as {_were(files - changed - wrong)}")
    if wrong:
        parts.append(f"{counted(wrong)} with mistakes")
    return f"{', '.join(parts)}."


def _were(count: int) -> str:
    return "it was" if count == 1 else "they were"
