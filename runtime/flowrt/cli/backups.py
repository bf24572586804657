"""`flowctl backup` and `flowctl restore`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flowrt.cli.printing import JSON, PARTY, counted, print_json


@click.command()
@PARTY
@click.argument("to", type=click.Path(path_type=Path))
@JSON
def backup(party: Path, to: Path, as_json: bool) -> None:
    """Back a PARTY up into the new folder TO; it may be served meanwhile."""
    from flowrt.serving import backups
    from flowrt.serving.config import read

    made = backups.back_up(read(party), to)
    if as_json:
        print_json(made._asdict())
        return
    click.echo(
        f"{to} is {made.party} as of {made.at}: "
        f"{counted(made.flows, 'flow')}, {counted(made.commits, 'commit')}"
    )
    click.echo("keep the passphrase elsewhere: it is not in it")


_LOST = "What was done since then is lost, and its sessions end. Go on?"


@click.command()
@PARTY
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--accept", is_flag=True, help="The older database is there already: accept it.")
@click.option("--old-book", is_flag=True, help="Take a notary's older book, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(party: Path, folder: Path | None, accept: bool, old_book: bool, yes: bool) -> None:
    """Put the backup in FOLDER in the place of a PARTY's database.

    What the node did since the backup is lost: its sessions with peers end on both sides.
    """
    from flowrt.serving import backups
    from flowrt.serving.config import read
    from flowrt.serving.files import locked

    if accept == (folder is not None):
        raise click.UsageError("Name the folder of a backup, or --accept.")
    if folder is not None:
        backups.read(folder)
    if party.exists():
        with locked(read(party).folder):
            pass  # It is not served.
    if not yes and not click.confirm(_LOST):
        sys.exit(1)
    if folder is None:
        config = read(party)
        with locked(config.folder):
            backups.accept(config)
        click.echo(f"{config.settings.name} goes on from what it has")
    elif not party.exists():
        made = backups.put_anew(folder, party, old_book=old_book)
        click.echo(f"{party} is {made.party} as of {made.at}; put its passphrase there")
    else:
        kept = backups.put_back(folder, read(party), old_book=old_book)
        click.echo(f"{party} is as of the backup")
        if kept is not None:
            click.echo(f"what it was is in {kept}")
    click.echo("on a ledger, recover the keys that were made since: ledger.keys.RecoverKeys")
