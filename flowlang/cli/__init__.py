"""flowc, the author's command: arguments, files, exit codes, printing. Works nothing out itself.

Everything slow is imported by the command that needs it, so that `--help` and an unchanged `check`
answer at once. Exit codes: 0 fine, 1 a problem was found or a flow failed, 2 wrong usage, 70 our
bug.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from flowlang import __version__
from flowlang.cli.checking import check
from flowlang.cli.compiling import compile_command, compile_or_exit, generate
from flowlang.cli.drawing import graph
from flowlang.cli.formatting import fmt
from flowlang.cli.measuring import size, stats
from flowlang.cli.printing import FILE, JSON, print_json, print_trouble, wants_json
from flowlang.cli.protocols import protocol
from flowlang.cli.simulating import sim
from flowlang.cli.testing import test_command
from flowlang.diagnostics import closest
from flowlang.project import FileTrouble, Project, shown, sources_below
from flowrt.cli.group import Commands


class _Flowc(Commands):
    """flowc's commands: each says in which form it answers, files have diagnostics."""

    unwritable = Commands.unwritable | {errno.EBADF}

    def wants_json(self) -> bool:
        return wants_json()

    def nearest(self, name: str, known: Iterable[str]) -> str | None:
        return closest(name, known)

    def tells(self, error: Exception) -> bool:
        if isinstance(error, FileTrouble):
            print_trouble(error)
        return isinstance(error, FileTrouble)


@click.group(cls=_Flowc, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flowc")
def commands() -> None:
    """Check, compile and try out flows: business conversations written as sequential text."""


commands.add_command(check)
commands.add_command(compile_command)
commands.add_command(fmt)
commands.add_command(graph)
commands.add_command(protocol)
commands.add_command(size)
commands.add_command(stats)
commands.add_command(sim)
commands.add_command(test_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `flowc`. Never shows a traceback for a user's mistake."""
    commands.run("flowc", arguments, "this is a bug of flowc, not of your file; please report it")


# --- explain ----------------------------------------------------------------------------------


@commands.command()
@click.argument("code")
@JSON
def explain(code: str, as_json: bool) -> None:
    """Say more about the diagnostic CODE, such as F301, with examples."""
    from importlib.resources import files

    pages = {
        page.name.removesuffix(".md"): page
        for page in files("flowlang").joinpath("codes").iterdir()
        if page.name.endswith(".md")
    }
    page = pages.get(code.upper())
    if page is None:
        near = closest(code.upper(), pages)
        hint = f" Did you mean {near}?" if near else ""
        raise click.UsageError(f"There is no diagnostic {code}.{hint}")
    text = page.read_text("utf-8")
    if as_json:
        title = text.splitlines()[0].removeprefix(f"# {code.upper()}").strip(" :")
        print_json({"code": code.upper(), "title": title, "text": text})
    else:
        click.echo(text, nl=not text.endswith("\n"))


# --- run, new, demo ---------------------------------------------------------------------------


@commands.command("run")
@FILE
@click.argument("flow")
@click.argument("arguments", nargs=-1)
@click.option("--as", "own", required=True, help="The party that starts the flow.")
@click.option("--party", "parties", multiple=True, help="A further party that takes part.")
@click.option("--services", help="MODULE:FUNCTION that gives a party's services from its name.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the parties' databases. Default: in memory only.",
)
@click.option("--send", "sent", multiple=True, help="A message from the owner: 'Pay(5)'.")
@click.option("--answer", "answers", multiple=True, help="ROLE=VALUE, for a question to people.")
@JSON
def run_command(
    file: Path,
    flow: str,
    arguments: tuple[str, ...],
    own: str,
    parties: tuple[str, ...],
    services: str | None,
    store: Path | None,
    sent: tuple[str, ...],
    answers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run FLOW of FILE to its end, with all its parties in this process.

    ARGUMENTS are key=value, written as in the language: flowc run trade.flow Seller --as alice
    buyer=bob price=12.50 within=2h
    """
    import asyncio
    import tempfile

    from flowlang import run

    files = sources_below([file])
    compilation = compile_or_exit(files, as_json)
    project = Project.around(files[0])
    names = [project.module_of(files[0])]
    names += [name for name in compilation.modules if name not in names]

    def tell(flow_id: int, party: str, event: Any) -> None:
        if as_json:
            click.echo(json.dumps({"party": party, "id": flow_id} | event.plain()), err=True)
        else:
            mark = event.outcome or ("  " * event.depth + (event.path[-1] if event.path else ""))
            click.echo(f"{party} #{flow_id} {mark} {run.printable(event.label)}".rstrip(), err=True)

    def hear(flow_id: int, party: str, message: Any) -> None:
        if as_json:
            said = {"party": party, "id": flow_id, "says": type(message).__name__}
            click.echo(json.dumps(said | {"message": run.plain(message)}), err=True)
        else:
            click.echo(f"{party} #{flow_id} says {run.shown(message)}", err=True)

    with tempfile.TemporaryDirectory() as work:
        generate(compilation, Path(work))
        with run.importable(Path(work), project.sources, Path.cwd()):
            try:
                modules = run.import_generated(names)
                kind = run.find_flow(modules, flow)
                outcome = asyncio.run(
                    run.run(
                        modules,
                        kind,
                        own=own,
                        written=arguments,
                        extra_parties=parties,
                        services=run.find_services(services) if services else None,
                        folder=_made(store),
                        tell=tell,
                        sent=sent,
                        answers=answers,
                        hear=hear,
                    )
                )
            except run.CannotRun as trouble:
                wrong = isinstance(trouble, run.WrongUsage)
                _fail(str(trouble), as_json, 2 if wrong else 1)
    if as_json:
        print_json(outcome)
    elif "error" in outcome:
        click.echo(f"{outcome['flow']} failed: {run.printable(outcome['error']['text'])}")
    else:
        click.echo(f"{outcome['flow']} returned {json.dumps(outcome['result'])}")
    sys.exit(1 if "error" in outcome else 0)


def _made(folder: Path | None) -> Path | None:
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            from flowlang.run import CannotRun

            raise CannotRun(f"--store {folder}: {error.strerror}") from None
    return folder


def _fail(message: str, as_json: bool, code: int = 1) -> None:
    if as_json:
        print_json({"ok": False, "message": message})
    else:
        click.echo(f"error: {message}", err=True)
    sys.exit(code)


@commands.command()
@click.argument("name")
def new(name: str) -> None:
    """Make a project NAME that checks, compiles and passes its own test."""
    from flowlang.scaffold import create

    folder = create(name)
    click.echo(f"Created {shown(folder)}")
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        click.echo(f"  {path.relative_to(folder)}")
    click.echo(
        f"Next: cd {shown(folder)} && flowc check . && flowc run greeting.flow Greet "
        "--as alice whom=bob name=World && python -m pytest"
    )


@commands.command()
@click.option(
    "--processes",
    is_flag=True,
    help="Each party is a process of its own, over TLS, and is killed alone.",
)
@click.option("--trades", type=click.IntRange(1, 10_000), help="Default: 50; 60 with --processes.")
@click.option(
    "--kills",
    type=click.IntRange(0, 1000),
    help="How often a process is killed with SIGKILL. Default: 5; 9 with --processes.",
)
@click.option("--seed", type=int, help="Repeat a run's choices. Default: a random one, printed.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the databases and the compiled example, or the network. Default: a temporary "
    "one.",
)
@JSON
def demo(
    processes: bool,
    trades: int | None,
    kills: int | None,
    seed: int | None,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Trade between three parties, while their process is killed again and again.

    At the end it opens the databases and proves that every trade settled exactly once.
    """
    from flowlang.demo import run_demo

    sys.exit(run_demo(trades, kills, seed, keep, as_json, processes=processes))
