"""`flowc test --conversations`: which conversations the flows really have, printed. Walks none."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flowlang.cli.printing import colored, print_diagnostics, print_json, summary
from flowlang.diagnostics import as_data
from flowlang.project import sources_below

if TYPE_CHECKING:
    from flowlang.testing.gathering import Workshop
    from flowlang.testing.walking import Walked


def walk_conversations(
    paths: Sequence[Path], tries: int, seed: int, least: float | None, as_json: bool
) -> NoReturn:
    """Walk all conversations of these files' flows, and exit. Raises FileTrouble."""
    from flowlang.testing.gathering import workshops

    _exit_without_hypothesis(as_json)
    found = workshops(sources_below(paths), with_all=True)
    done: list[Walked] = []
    try:
        for workshop in found:
            _exit_if_wrong(workshop, as_json)
            done += _walk(workshop, tries, seed, as_json)
    finally:
        for workshop in found:
            workshop.close()
    walks = [walk for one in done for walk in one.walks]
    count = sum(walk.walked for walk in walks)
    percent = 100 * count / len(walks) if walks else 100.0
    short = least is not None and percent < least
    if as_json:
        print_json(
            {
                "ok": not short,
                "percent": round(percent, 1),
                "conversations": [_data(one) for one in done],
            }
        )
    else:
        click.echo(f"{count} of {len(walks)} walks followed their conversation ({percent:.0f} %).")
        if short:
            click.echo(f"That is less than the {least:g} % that are wanted.")
    sys.exit(int(short))


def _exit_without_hypothesis(as_json: bool) -> None:
    """What contents are made up with does not come with the compiler."""
    try:
        importlib.import_module("flowlang.testing.walking")
    except ModuleNotFoundError as missing:
        if missing.name != "hypothesis":
            raise
        message = 'hypothesis is not installed; `pip install "flowlang-dsl[test]"` brings it'
        if as_json:
            print_json({"ok": False, "message": message})
        else:
            click.echo(f"error: {message}", err=True)
        sys.exit(1)


def _exit_if_wrong(workshop: Workshop, as_json: bool) -> None:
    """Flows that do not fit have no conversations to walk."""
    from flowlang.compiler import misfits

    wrong = list(workshop.diagnostics)
    if not wrong:
        wrong = [one for one in misfits(workshop.compilation) if one.severity == "error"]
    if not wrong:
        return
    if as_json:
        print_json({"ok": False, "diagnostics": [as_data(one) for one in wrong]})
    else:
        print_diagnostics(wrong, workshop.sources)
        click.echo(summary(wrong, len(workshop.sources)))
    sys.exit(1)


def _walk(workshop: Workshop, tries: int, seed: int, as_json: bool) -> list[Walked]:
    from flowlang.testing.walking import walked

    done = []
    for one in walked(workshop, tries=tries, seed=seed):
        done.append(one)
        if as_json:
            continue
        names = [name.rpartition(".")[2] for name in (one.example.left, one.example.right)]
        click.echo(f"{names[0]} and {names[1]}, conversation {one.number}")
        for name, walk in zip(names, one.walks, strict=True):
            word = click.style("walked    ", fg="green") if walk.walked else click.style(
                "NOT WALKED", fg="red"
            )  # fmt: skip
            after = f"after {walk.said} of {walk.wanted} messages {walk.left}"
            told = "" if walk.walked else f": {after} ({walk.tries} tries, --seed {walk.seed})"
            click.echo(f"  {word}  {name}{told}", color=colored())
        click.echo("")
    return done


def _data(one: Walked) -> dict[str, Any]:
    return {
        **dataclasses.asdict(one.example),
        "walks": [dataclasses.asdict(walk) for walk in one.walks],
    }
