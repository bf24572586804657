"""`flowc check`: what is asked of a project, in which form the answer is given. Checks nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Literal

import click

from flowlang import __version__
from flowlang.build import Built, build
from flowlang.cli.conversing import draw_findings, print_conversations
from flowlang.cli.printing import (
    PATH,
    PATHS,
    json_option,
    print_diagnostics,
    print_json,
    sources_of,
    summary,
)
from flowlang.cli.watching import WATCH, watch
from flowlang.diagnostics import Diagnostic, as_data, from_data
from flowlang.project import Cache, FileTrouble, Project, shown, sources_below
from flowlang.source import START

Form = Literal["text", "json", "github", "sarif"]
_UNSURE = {"F711", "F716"}
"""What installing a package may mend: such an answer is not kept."""


@click.command()
@PATHS
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="json and sarif for programs, github for annotations in its workflows.",
)
@json_option("The same as --format json.")
@click.option("--strict", is_flag=True, help="Exit 1 if there are warnings, too.")
@click.option("--notes", is_flag=True, help="Show notes, such as waits without a time limit.")
@click.option("--no-cache", is_flag=True, help="Check again even if nothing has changed.")
@click.option(
    "--tests",
    "lists_tests",
    is_flag=True,
    help="List conversations that have every message which the flows send.",
)
@click.option(
    "--svg",
    "pictures",
    type=PATH,
    help="Draw each conversation that goes wrong into a file of this folder.",
)
@WATCH
def check(
    paths: tuple[Path, ...],
    form: Form,
    as_json: bool,
    strict: bool,
    notes: bool,
    no_cache: bool,
    lists_tests: bool,
    pictures: Path | None,
    watched: bool,
) -> None:
    """Find the mistakes in .flow files, and in those that they use.

    PATHS are files, or folders whose .flow files are meant.
    """

    def once() -> tuple[int, Sequence[str]]:
        cache = None if no_cache else Cache()
        try:
            answer = _answer(paths, cache)
        except FileTrouble as trouble:
            if form == "text" and not as_json:
                raise
            answer = _trouble(trouble)
        diagnostics = [from_data(found) for found in answer["diagnostics"]]
        diagnostics = [found for found in diagnostics if notes or found.severity != "note"]
        worst = {found.severity for found in diagnostics} & {"error", "warning"}
        wrong = "error" in worst or (strict and bool(worst))
        if lists_tests and "error" not in worst:
            print_conversations(sources_below(paths), as_json or form == "json")
            return int(wrong), answer["depends"]
        drawn = [] if pictures is None else draw_findings(diagnostics, pictures)
        _print(diagnostics, answer["files"], "json" if as_json else form, drawn, ok=not wrong)
        return int(wrong), answer["depends"]

    if watched:
        watch(once, paths)
    sys.exit(once()[0])


def _trouble(trouble: FileTrouble) -> dict[str, Any]:
    """What is wrong with a file as a whole, as an answer like others."""
    found = Diagnostic(trouble.code, trouble.message, trouble.path, START, trouble.hint)
    return {"diagnostics": [as_data(found)], "files": [trouble.path], "depends": [trouble.path]}


def _answer(paths: Sequence[Path], cache: Cache | None) -> dict[str, Any]:
    """All diagnostics, the files that were looked at, and those that the answer depends on."""
    files = sources_below(paths)
    key = json.dumps(["check", os.getcwd(), [str(path) for path in files]])
    answer = None if cache is None else cache.answer(key)
    if answer is None:
        built = built_of(files, cache)
        answer = {
            "diagnostics": [as_data(found) for found in built.diagnostics],
            "files": built.files,
            "depends": list(built.texts.depends),
        }
        if cache is not None and not any(one.code in _UNSURE for one in built.diagnostics):
            cache.keep(key, built.texts.depends, answer)
    return answer


def built_of(files: Sequence[Path], cache: Cache | None) -> Built:
    """What is known of the one project that these files belong to. Raises FileTrouble."""
    project = project_of(files)
    return build(project, [project.module_of(path) for path in files], cache)


def project_of(files: Sequence[Path]) -> Project:
    """The one project that these files belong to. Raises FileTrouble."""
    projects = {path: Project.around(path) for path in files}
    project = next(iter(projects.values()))
    for path, other in projects.items():
        if other != project:
            raise FileTrouble(
                "F708",
                shown(path),
                f"this file belongs to another project than {shown(files[0])}",
                "run flowc once for each; or make them one project, by a `pyproject.toml` with"
                " `[tool.flowlang]` in the folder above both",
            )
    return project


def _print(
    diagnostics: Sequence[Diagnostic],
    files: Sequence[str],
    form: Form,
    drawn: Sequence[Path],
    *,
    ok: bool,
) -> None:
    match form:
        case "text":
            print_diagnostics(diagnostics, sources_of(diagnostics))
            for path in drawn:
                click.echo(f"drawn: {shown(path)}")
            click.echo(summary(diagnostics, len(files)))
        case "json":
            data = [as_data(found) for found in diagnostics]
            pictures = {"pictures": [str(path) for path in drawn]} if drawn else {}
            print_json({"ok": ok, "files": list(files), "diagnostics": data, **pictures})
        case "github":
            from flowlang import reports

            click.echo(reports.github(diagnostics), nl=False)
        case "sarif":
            from flowlang import reports

            print_json(reports.sarif(diagnostics, __version__, _titles(diagnostics)))


def _titles(diagnostics: Sequence[Diagnostic]) -> dict[str, str]:
    pages = resources("flowlang").joinpath("codes")
    titles = {}
    for code in {found.code for found in diagnostics}:
        first = pages.joinpath(f"{code}.md").read_text("utf-8").partition("\n")[0]
        titles[code] = first.removeprefix(f"# {code}: ")
    return titles
