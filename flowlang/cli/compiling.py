"""`flowc compile`, and the compilation that other commands need. Compiles nothing itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowlang.build import Built, Texts, all_python, remember, write_python
from flowlang.cli.checking import built_of, project_of
from flowlang.cli.printing import (
    JSON,
    PATH,
    PATHS,
    print_diagnostics,
    print_json,
    sources_of,
    summary,
)
from flowlang.cli.watching import WATCH, watch
from flowlang.diagnostics import as_data
from flowlang.project import Cache, shown, sources_below, write_all

if TYPE_CHECKING:
    from flowlang.compiler import Compilation


def _compile(files: Sequence[Path]) -> Compilation:
    """The compilation of these files and what they use."""
    from flowlang.compiler import compile_modules

    project = project_of(files)
    modules = [project.module_of(path) for path in files]
    return compile_modules(modules, Texts(project).load, project.modules)


def compile_or_exit(files: Sequence[Path], as_json: bool = False) -> Compilation:
    """A compilation without mistakes; otherwise they are printed and flowc ends."""
    compilation = _compile(files)
    if compilation.diagnostics:
        if as_json:
            found = [as_data(found) for found in compilation.diagnostics]
            print_json({"ok": False, "diagnostics": found})
        else:
            print_diagnostics(compilation.diagnostics, compilation.sources)
            click.echo(summary(compilation.diagnostics, len(compilation.sources)))
        sys.exit(1)
    return compilation


@click.command("compile")
@PATHS
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="Folder for the Python files. Default: the project's output folder, or beside the source.",
)
@click.option(
    "--emit",
    type=click.Choice(["python", "json"]),
    default="python",
    show_default=True,
    help="json prints the state machines of the named files.",
)
@JSON
@WATCH
def compile_command(
    paths: tuple[Path, ...], output: Path | None, emit: str, as_json: bool, watched: bool
) -> None:
    """Turn .flow files, and those that they use, into Python state machines.

    `shop/orders.flow` becomes `shop/orders_flow.py`. Nothing is written if there is a mistake.
    """
    if emit == "json":
        _emit(sources_below(paths), as_json)
        return

    def once() -> tuple[int, Sequence[str]]:
        built = built_of(sources_below(paths), cache := Cache())
        code = _write(built, output, as_json)
        remember(built, cache)
        return code, list(built.texts.depends)

    if watched:
        watch(once, paths)
    sys.exit(once()[0])


def _emit(files: Sequence[Path], as_json: bool) -> None:
    from flowlang.machine import to_json

    compilation = compile_or_exit(files, as_json)
    project = project_of(files)
    for path in files:
        click.echo(to_json(compilation.modules[project.module_of(path)]), nl=False)


def _write(built: Built, output: Path | None, as_json: bool) -> int:
    """Write what changed, or nothing if there is a mistake; the exit code."""
    errors = [found for found in built.diagnostics if found.severity == "error"]
    if errors:
        if as_json:
            print_json({"ok": False, "diagnostics": [as_data(found) for found in errors]})
        else:
            print_diagnostics(errors, sources_of(errors))
            click.echo(summary(errors, len(built.files)))
        return 1
    written = write_python(built, output)
    if as_json:
        print_json({"ok": True, "written": [shown(path) for path in written]})
        return 0
    for path in written:
        click.echo(f"wrote {shown(path)}")
    total = len(built.modules)
    click.echo(f"{total} module{'s' if total != 1 else ''} compiled, {len(written)} changed.")
    return 0


def generate(compilation: Compilation, folder: Path) -> list[Path]:
    """Write the Python of every module below `folder`; returns the files that changed.
    Raises FileTrouble."""
    return sorted(write_all(all_python(compilation, folder), folder))
