"""`flowc test`: runs tests of `.flow` files and prints what came of them. Plays nothing itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from flowlang.cli.exhaust import exhaust_flow, exhaustive_options
from flowlang.cli.printing import (
    JSON,
    PATH,
    can_draw,
    colored,
    drawable,
    print_diagnostics,
    print_json,
    summary,
)
from flowlang.cli.walking import walk_conversations
from flowlang.diagnostics import as_data
from flowlang.project import shown, sources_below

if TYPE_CHECKING:
    from flowlang.testing.gathering import Workshop
    from flowlang.testing.playing import Played
    from flowlang.testing.tally import Tally

OF_TESTS = {
    "name": "-k",
    "coverage": "--coverage",
    "conversations": "--conversations",
    "tries": "--tries",
    "least": "--min",
    "seed": "--seed",
}
OF_WORLDS = {
    "written": "--arg",
    "parties": "--parties",
    "services": "--services",
    "limit": "--limit",
    "output": "--output",
}
"""Options of one half of the command, by their parameters."""


@click.command("test")
@click.argument("paths", nargs=-1, type=PATH)
@click.option("-k", "name", help="Only tests with this in their name.")
@click.option("--coverage", is_flag=True, help="Show what of the flows no test has seen.")
@click.option(
    "--min",
    "least",
    type=click.FloatRange(0, 100),
    help="Exit 1 if less than so many percent were seen.",
)
@click.option("--seed", type=int, help="Choices of the world. Default: none, all in order.")
@click.option(
    "--conversations",
    is_flag=True,
    help="Walk the conversations that `flowc check --tests` lists, with the real flows.",
)
@click.option(
    "--tries",
    default=400,
    show_default=True,
    type=click.IntRange(1),
    help="So often each conversation is tried.",
)
@exhaustive_options
@JSON
def test_command(
    paths: tuple[Path, ...],
    name: str | None,
    coverage: bool,
    least: float | None,
    seed: int | None,
    conversations: bool,
    tries: int,
    exhaustive: str | None,
    written: tuple[str, ...],
    parties: int,
    services: str | None,
    limit: int,
    output: Path,
    as_json: bool,
) -> None:
    """Run the test blocks of .flow files, and of all files of a folder. Default: this folder.

    With --exhaustive FLOW, play that flow with its counterparties instead: every crash at every
    commit, one and two of them, and every order of deliveries, a world for each.

    With --conversations, have the flows on either side of each conversation say what is listed,
    with contents that are made up; --min says how many percent must follow.
    """
    _refuse_mixed(exhaustive is not None)
    _refuse_other(conversations)
    if exhaustive is not None:
        exhaust_flow(
            paths or (Path(),), exhaustive, written, parties, services, limit, output, as_json
        )
    if conversations:
        walk_conversations(paths or (Path(),), tries, seed or 0, least, as_json)
    from flowlang.testing.gathering import workshops
    from flowlang.testing.tally import Tally

    began = time.perf_counter()
    files = sources_below(paths or (Path(),))
    found = workshops(files)
    try:
        _exit_if_wrong(found, as_json)
        tally, played = Tally(), []
        for workshop in found:
            names = {one.module: one.name for one in workshop.sources.values()}
            tally.know(workshop.machines.values(), names)
            played += _play(workshop, name, seed, tally, as_json)
    finally:
        for workshop in found:
            workshop.close()
    if not found:
        _exit_if_mistaken(files, as_json)
    if not played:
        _nothing(files, name, as_json)
    failed = [one for one in played if one.failure is not None]
    short = least is not None and tally.percent() < least
    if as_json:
        print_json(_data(played, tally if coverage or least is not None else None, short))
    else:
        _report(played, time.perf_counter() - began)
        if coverage or short:
            click.echo(f"\n{tally.table()}")
        if short:
            click.echo(f"That is less than the {least:g} % that are wanted.")
    sys.exit(1 if failed or short else 0)


def _refuse_mixed(is_exhaustive: bool) -> None:
    """An option that would do nothing is not what was meant."""
    context = click.get_current_context()
    others = OF_TESTS if is_exhaustive else OF_WORLDS
    for name, option in others.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            way = "does not go with" if is_exhaustive else "needs"
            raise click.UsageError(f"{option} {way} --exhaustive.")


def _refuse_other(conversations: bool) -> None:
    """What goes with conversations alone, and what does not."""
    context = click.get_current_context()
    wrong = {"name": "-k", "coverage": "--coverage"} if conversations else {"tries": "--tries"}
    for name, option in wrong.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            way = "does not go with" if conversations else "needs"
            raise click.UsageError(f"{option} {way} --conversations.")


def _exit_if_wrong(found: Sequence[Workshop], as_json: bool) -> None:
    """A file with a mistake in it is not tested."""
    wrong = [one for workshop in found for one in workshop.diagnostics]
    if not wrong:
        return
    if as_json:
        print_json({"ok": False, "diagnostics": [as_data(one) for one in wrong]})
    else:
        sources = {name: text for one in found for name, text in one.sources.items()}
        print_diagnostics(wrong, sources)
        click.echo(summary(wrong, len(sources)))
    sys.exit(1)


def _exit_if_mistaken(files: Sequence[Path], as_json: bool) -> None:
    """Where no file has a test, a mistake may be why: it is told first."""
    from flowlang.testing.gathering import workshops

    found = workshops(files, with_all=True)
    try:
        _exit_if_wrong(found, as_json)
    finally:
        for workshop in found:
            workshop.close()


def _play(
    workshop: Workshop, name: str | None, seed: int | None, tally: Tally, as_json: bool
) -> list[Played]:
    """Run the tests of one project that are wanted, and print a line for each."""
    played = []
    for path, tests in workshop.tests.items():
        wanted = [test for test in tests if name is None or name.lower() in test.name.lower()]
        if wanted and not as_json:
            click.echo(shown(path))
        for test in wanted:
            one = workshop.play(test, seed=seed)
            tally.see(one.history)
            played.append(one)
            if not as_json:
                word = "ok" if one.failure is None else "FAILED"
                painted = click.style(f"{word:6}", fg="green" if one.failure is None else "red")
                click.echo(f"  {painted}  {test.name}", color=colored())
    return played


def _nothing(files: Sequence[Path], name: str | None, as_json: bool) -> None:
    """Nothing was run, which is never what was meant."""
    where = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    if name is not None:
        message = f"no test in {where} has {name!r} in its name"
    else:
        message = f'there is no test in {where}; one begins with `test "what is shown":`'
    if as_json:
        print_json({"ok": False, "message": message})
    else:
        click.echo(f"error: {message}", err=True)
    sys.exit(1)


def _report(played: Sequence[Played], seconds: float) -> None:
    for one in played:
        if one.failure is not None:
            click.echo(drawable(f"\n{one.text(ascii_only=not can_draw())}"), nl=False)
    failed = sum(one.failure is not None for one in played)
    count = f"{len(played)} test{'s' if len(played) != 1 else ''}"
    said = f"{failed} of {count} failed" if failed else f"{count} passed"
    click.echo(f"\n{said} in {seconds:.1f} s.")


def _data(played: Sequence[Played], tally: Tally | None, short: bool) -> dict[str, Any]:
    tests = []
    for one in played:
        place = one.plan.place if one.failure is None else one.failure.place
        tests.append(
            {
                "name": one.plan.name,
                "file": one.plan.file,
                "line": place.line,
                "column": place.column,
                "ok": one.failure is None,
            }
            | (
                {}
                if one.failure is None
                else {
                    "expected": one.failure.expected,
                    "happened": one.failure.happened,
                    "text": one.text(),
                }
            )
        )
    data: dict[str, Any] = {"ok": all(one["ok"] for one in tests) and not short, "tests": tests}
    if tally is not None:
        data["percent"] = round(tally.percent(), 1)
        data["flows"] = [
            {
                "flow": line.name,
                "place": line.place,
                "states": list(line.states),
                "ways": list(line.ways),
                "messages": list(line.messages),
                "missing": list(line.missing),
            }
            for line in tally.lines()
        ]
    return data
