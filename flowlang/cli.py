"""flowc, the author's command: arguments, files, exit codes, printing. Works nothing out itself.

Everything slow is imported by the command that needs it, so that `--help` and an unchanged `check`
answer at once. Exit codes: 0 fine, 1 a problem was found or a flow failed, 2 wrong usage, 70 our
bug.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowlang import __version__
from flowlang.diagnostics import Diagnostic, as_data, as_text, closest, from_data
from flowlang.project import (
    Cache,
    FileTrouble,
    Project,
    file_digest,
    shown,
    sources_below,
    write_all,
)
from flowlang.source import START, Source

if TYPE_CHECKING:
    from flowlang.compiler import Compilation

_JSON = click.option("--json", "as_json", is_flag=True, help="Print data instead of text.")
_SHOWN = 100
"""Problems that are printed as text; nobody reads more of them at once."""

_PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))


class _Suggesting(click.Group):
    """A group that knows what a misspelt command meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = closest(args[0], self.list_commands(ctx))
            if near and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean `{near}`?", ctx) from None
            raise


@click.group(cls=_Suggesting, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flowc")
def commands() -> None:
    """Check, compile and try out flows: business conversations written as sequential text."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `flowc`. Never shows a traceback for a user's mistake."""
    try:
        commands.main(args=list(arguments) if arguments is not None else None, prog_name="flowc")
    except FileTrouble as trouble:
        _print_trouble(trouble)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception:
        click.echo(traceback.format_exc(), err=True)
        click.echo("flowc: this is a bug of flowc, not of your file; please report it", err=True)
        sys.exit(70)


def _colored() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _print_json(data: object) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _print_trouble(trouble: FileTrouble) -> None:
    place = Diagnostic(trouble.code, trouble.message, trouble.path, START, trouble.hint)
    click.echo(as_text(place, {}, color=_colored()), nl=False, color=_colored())


# --- check ------------------------------------------------------------------------------------


@commands.command()
@_PATHS
@_JSON
@click.option("--no-cache", is_flag=True, help="Check again even if nothing has changed.")
def check(paths: tuple[Path, ...], as_json: bool, no_cache: bool) -> None:
    """Find the mistakes in .flow files, and in those that they use.

    PATHS are files, or folders whose .flow files are meant.
    """
    files = sources_below(paths)
    key = json.dumps(["check", os.getcwd(), [str(path) for path in files]])
    cache = Cache()
    answer = None if no_cache else cache.answer(key)
    if answer is None:
        compilation, depends = _compile(files)
        answer = {
            "diagnostics": [as_data(found) for found in compilation.diagnostics],
            "files": _files_of(compilation),
        }
        cache.keep(key, depends, answer)
    diagnostics = [from_data(found) for found in answer["diagnostics"]]
    if as_json:
        _print_json(answer | {"ok": not diagnostics})
    else:
        _print_diagnostics(diagnostics, _sources(diagnostics))
        click.echo(_summary(diagnostics, len(answer["files"])))
    sys.exit(1 if diagnostics else 0)


def _files_of(compilation: Compilation) -> list[str]:
    """The files that were looked at; of some, not even the characters could be read."""
    return sorted({*compilation.sources, *(found.source for found in compilation.diagnostics)})


def _sources(diagnostics: Sequence[Diagnostic]) -> dict[str, Source]:
    """The texts that the diagnostics point into."""
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


def _print_diagnostics(diagnostics: Sequence[Diagnostic], sources: Mapping[str, Source]) -> None:
    for found in diagnostics[:_SHOWN]:
        click.echo(as_text(found, sources, color=_colored()), color=_colored())
    if len(diagnostics) > _SHOWN:
        click.echo(f"… and {len(diagnostics) - _SHOWN:,} more, which `--json` shows.")


def _summary(diagnostics: Sequence[Diagnostic], files: int) -> str:
    checked = f"{files} file{'s' if files != 1 else ''}"
    if not diagnostics:
        return f"No problems in {checked}."
    codes = sorted({found.code for found in diagnostics})
    count = len(diagnostics)
    return (
        f"{count} problem{'s' if count != 1 else ''} in {checked}. "
        f"More about one: flowc explain {codes[0]}"
    )


# --- compile ----------------------------------------------------------------------------------


def _compile(files: Sequence[Path]) -> tuple[Compilation, dict[str, str | None]]:
    """The compilation of these files and what they use, and the files that it depends on."""
    from flowlang.compiler import compile_modules
    from flowlang.parser import decode

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
    depends: dict[str, str | None] = {}

    def load(module: str) -> Source | Diagnostic | None:
        path = project.path_of(module)
        depends[str(path)] = file_digest(path)
        data = project.read(module)
        return None if data is None else decode(shown(path), module, data)

    modules = [project.module_of(path) for path in files]
    compilation = compile_modules(modules, load, project.modules)
    settings = project.sources / "pyproject.toml"
    depends[str(settings)] = file_digest(settings)
    return compilation, depends


def _compile_or_exit(files: Sequence[Path], as_json: bool = False) -> Compilation:
    """A compilation without mistakes; otherwise they are printed and flowc ends."""
    compilation, _ = _compile(files)
    if compilation.diagnostics:
        if as_json:
            found = [as_data(found) for found in compilation.diagnostics]
            _print_json({"ok": False, "diagnostics": found})
        else:
            _print_diagnostics(compilation.diagnostics, compilation.sources)
            click.echo(_summary(compilation.diagnostics, len(_files_of(compilation))))
        sys.exit(1)
    return compilation


@commands.command("compile")
@_PATHS
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the Python files. Default: the project's output folder, or beside the source.",
)
@click.option(
    "--emit",
    type=click.Choice(["python", "json"]),
    default="python",
    show_default=True,
    help="json prints the state machines of the named files.",
)
@_JSON
def compile_command(paths: tuple[Path, ...], output: Path | None, emit: str, as_json: bool) -> None:
    """Turn .flow files, and those that they use, into Python state machines.

    `shop/orders.flow` becomes `shop/orders_flow.py`. Nothing is written if there is a mistake.
    """
    files = sources_below(paths)
    compilation = _compile_or_exit(files, as_json)
    project = Project.around(files[0])
    if emit == "json":
        from flowlang.machine import to_json

        for path in files:
            click.echo(to_json(compilation.modules[project.module_of(path)]), nl=False)
        return
    written = generate(compilation, output or project.output)
    if as_json:
        _print_json({"ok": True, "written": [shown(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {shown(path)}")
    total = len(compilation.modules)
    click.echo(f"{total} module{'s' if total != 1 else ''} compiled, {len(written)} changed.")


def generate(compilation: Compilation, folder: Path) -> list[Path]:
    """Write the Python of every module below `folder`; returns the files that changed.
    Raises FileTrouble."""
    from flowlang.codegen import generate as python_of

    files = {
        folder.joinpath(*f"{name}_flow".split(".")).with_suffix(".py"): python_of(module)
        for name, module in compilation.modules.items()
    }
    return sorted(write_all(files, folder))


# --- graph, explain ---------------------------------------------------------------------------


@commands.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("flow", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid"]),
    default="text",
    show_default=True,
    help="text for a terminal, mermaid for documents.",
)
def graph(file: Path, flow: str | None, form: str) -> None:
    """Draw the state machine of each flow in FILE, or of FLOW alone."""
    from flowlang import diagram

    files = sources_below([file])
    compilation = _compile_or_exit(files)
    module = compilation.modules[Project.around(files[0]).module_of(files[0])]
    machines = {machine.name.rpartition(".")[2]: machine for machine in module.machines}
    if flow is not None and flow not in machines:
        near = closest(flow, machines)
        hint = f" Did you mean `{near}`?" if near else ""
        raise click.UsageError(f"There is no flow `{flow}` in {shown(file)}.{hint}")
    draw = diagram.mermaid if form == "mermaid" else diagram.text
    chosen = [machines[flow]] if flow is not None else list(machines.values())
    click.echo("\n".join(draw(machine) for machine in chosen), nl=False)


@commands.command()
@click.argument("code")
@_JSON
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
        _print_json({"code": code.upper(), "title": title, "text": text})
    else:
        click.echo(text, nl=not text.endswith("\n"))


# --- run, new, demo ---------------------------------------------------------------------------


@commands.command("run")
@click.argument("file", type=click.Path(path_type=Path))
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
@_JSON
def run_command(
    file: Path,
    flow: str,
    arguments: tuple[str, ...],
    own: str,
    parties: tuple[str, ...],
    services: str | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Run FLOW of FILE to its end, with all its parties in this process.

    ARGUMENTS are key=value: flowc run trade.flow Seller --as alice buyer=bob price=100
    """
    import asyncio
    import tempfile

    files = sources_below([file])
    compilation = _compile_or_exit(files, as_json)
    project = Project.around(files[0])
    names = [project.module_of(files[0])]
    names += [name for name in compilation.modules if name not in names]

    def tell(flow_id: int, party: str, event: Any) -> None:
        if as_json:
            said = {name: getattr(event, name) for name in event.__struct_fields__}
            click.echo(json.dumps({"party": party, "id": flow_id} | said), err=True)
        else:
            mark = event.outcome or ("  " * event.depth + (event.path[-1] if event.path else ""))
            click.echo(f"{party} #{flow_id} {mark} {event.label}".rstrip(), err=True)

    from flowlang import run

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
                    )
                )
            except run.CannotRun as trouble:
                _fail(str(trouble), as_json)
    if as_json:
        _print_json(outcome)
    elif "error" in outcome:
        click.echo(f"{outcome['flow']} failed: {outcome['error']['text']}")
    else:
        click.echo(f"{outcome['flow']} returned {json.dumps(outcome['result'])}")
    sys.exit(1 if "error" in outcome else 0)


def _made(folder: Path | None) -> Path | None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fail(message: str, as_json: bool) -> None:
    if as_json:
        _print_json({"ok": False, "message": message})
    else:
        click.echo(f"error: {message}", err=True)
    sys.exit(1)


@commands.command()
@click.argument("name")
def new(name: str) -> None:
    """Make a project NAME that checks, compiles and passes its own test."""
    from flowlang.scaffold import create

    folder = create(Path(name))
    click.echo(f"Created {shown(folder)}")
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        click.echo(f"  {path.relative_to(folder)}")
    click.echo(
        f"Next: cd {shown(folder)} && flowc check . && flowc run greeting.flow Greet "
        "--as alice whom=bob name=World && python -m pytest"
    )


@commands.command()
@click.option("--trades", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option(
    "--kills",
    default=5,
    show_default=True,
    type=click.IntRange(0, 1000),
    help="How often the worker process is killed with SIGKILL.",
)
@click.option("--seed", type=int, help="Repeat a run's choices. Default: a random one, printed.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the databases and the compiled example. Default: a temporary one.",
)
@_JSON
def demo(trades: int, kills: int, seed: int | None, keep: Path | None, as_json: bool) -> None:
    """Trade between three parties, while their process is killed again and again.

    At the end it opens the databases and proves that every trade settled exactly once.
    """
    from flowlang.demo import run_demo

    sys.exit(run_demo(trades, kills, seed, keep, as_json))
