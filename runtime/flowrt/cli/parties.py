"""`flowctl init`, `up`, `config` and `apps`: one party on this machine."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from flowrt.cli.printing import JSON, PARTY, print_json, print_table, print_troubles, told


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The party's name, such as alice or O=Bank A, C=GB.")
@click.option("--listen", default="127.0.0.1:7400", show_default=True, help="Where peers connect.")
@click.option("--reached", multiple=True, help="Where peers reach it, if that is elsewhere.")
@click.option("--http", help="Where its people and programs connect, such as 127.0.0.1:8400.")
@click.option("--app", "apps", multiple=True, help="An app that it runs.")
@click.option("--notary", type=click.Choice(["validating", "non-validating"]), help="It is one.")
@click.option("--no-ledger", is_flag=True, help="It takes part in no ledger.")
def init(
    folder: Path,
    name: str,
    listen: str,
    reached: tuple[str, ...],
    http: str | None,
    apps: tuple[str, ...],
    notary: str | None,
    no_ledger: bool,
) -> None:
    """Make a party: keys, a request to be certified, a database, node.toml, in a new FOLDER.

    Its keys are encrypted under FLOWRT_PASSPHRASE; without it, under a passphrase made by chance,
    which is kept in the folder.
    """
    from flowrt.serving import party as parties

    given = os.environ.get(parties.PASSPHRASE)
    party = parties.Party(name, listen, http, reached, apps, notary, not no_ledger)
    made = parties.create(
        folder, party, given or parties.new_passphrase(), keep_passphrase=not given
    )
    click.echo(f"{folder} is {name}: keys, an empty database, node.toml")
    if not given:
        click.echo(f"its passphrase is in {folder / parties.PASSPHRASE_FILE}: keep it safe")
    if made.backup:
        click.echo("write this down and lock it away; it brings the ledger's keys back:")
        groups = made.backup.split()
        click.echo(f"  {' '.join(groups[:5])}\n  {' '.join(groups[5:])}")
    click.echo(f"send {folder / parties.REQUEST} to the network's operator")


@click.command()
@PARTY
@click.option("--accept-clock", is_flag=True, help="The clock is right, though it went back.")
@click.option("--new-store", is_flag=True, help="Begin with an empty database if it is gone.")
@click.option(
    "--log",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How what happens is written to stderr.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What of it is written.",
)
def up(party: Path, accept_clock: bool, new_store: bool, log: str, log_level: str) -> None:
    """Serve a PARTY (its folder, or its node.toml) until SIGTERM."""
    import gc
    import logging

    gc.disable()  # Nothing of what is imported becomes garbage; `serve` lets it work again.

    from flowrt.logs import JsonLines, TextLines

    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=log_level.upper())
    from flowrt.serving.config import read
    from flowrt.serving.process import serve

    def say(text: str) -> None:
        click.echo(text)
        sys.stdout.flush()

    def warn(text: str) -> None:
        click.echo(text, err=True)

    config = read(party)
    sys.exit(serve(config, say, warn, accept_clock=accept_clock, new_store=new_store))


@click.group()
def config() -> None:
    """Look at a party's configuration."""


@config.command("show")
@PARTY
@JSON
def show(party: Path, as_json: bool) -> None:
    """Every value that counts for a PARTY, and where it comes from."""
    from flowrt.serving.config import dotted, read

    found = read(party)
    rows = [(dotted(one.keys), one.shown, one.source) for one in found.values()]
    if as_json:
        print_json([{"key": key, "value": value, "source": source} for key, value, source in rows])
        return
    print_table(
        ("KEY", "VALUE", "FROM"),
        [(key, "-" if value is None else _shown(value), source) for key, value, source in rows],
    )


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


@config.command("check")
@PARTY
@JSON
def check(party: Path, as_json: bool) -> None:
    """Say all that keeps a PARTY from being served, and what is worth a warning."""
    from flowrt.serving.config import read
    from flowrt.serving.process import inspected

    found = read(party)
    parts, troubles = inspected(found)
    if as_json:
        print_json({"ok": parts is not None, "troubles": [told(one) for one in troubles]})
    else:
        print_troubles(troubles)
        if parts is not None:
            click.echo(f"{found.path}: {found.settings.name} can be served")
    sys.exit(0 if parts is not None else 1)


@click.command()
@click.argument("party", type=click.Path(path_type=Path), required=False)
@JSON
def apps(party: Path | None, as_json: bool) -> None:
    """The apps that installed packages bring, and which of them and of its own modules a PARTY runs
    (its folder, or its node.toml; the current folder if it is one)."""
    from flowrt.serving.apps import installed

    found = [*installed().values()]
    runs: frozenset[str] | None = None
    if party is None and Path("node.toml").exists():
        party = Path()
    if party is not None:
        from flowrt.serving.assembly import described_apps
        from flowrt.serving.config import read

        configuration = read(party)
        modules = described_apps(configuration)
        found += modules
        runs = frozenset(configuration.settings.apps) | {one.target for one in modules}
    rows = [(one, runs is not None and bool({one.name, one.target} & runs)) for one in found]
    if as_json:
        known = runs is not None
        print_json([{**one._asdict(), "runs": run if known else None} for one, run in rows])
    elif not found:
        click.echo("no installed package brings an app (entry point group flowrt.apps)")
    else:
        print_table(
            ("APP", "VERSION", "PACKAGE", "FROM", *(() if runs is None else ("RUNS",))),
            [
                (
                    one.name,
                    one.version or "-",
                    one.package or "-",
                    one.target,
                    *(() if runs is None else ("yes" if run else "-",)),
                )
                for one, run in rows
            ],
        )
