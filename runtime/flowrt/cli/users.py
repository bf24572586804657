"""`flowctl user`: who may come in by HTTP."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from flowrt.cli.printing import JSON, PARTY, print_json, print_table

NAME = click.argument("name")
AT = click.option(
    "--at", "party", type=click.Path(path_type=Path), default=Path(), help="The party's folder."
)


@click.group()
def user() -> None:
    """Add, disable and list users of a party's HTTP interface."""


@user.command("add")
@NAME
@AT
@click.option("--role", "roles", multiple=True, required=True, help="What it may do.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="From this day on it may not.")
@click.option("--certificate", help="The subject of its client certificate, instead of a token.")
def add(
    name: str,
    party: Path,
    roles: tuple[str, ...],
    expires: datetime.datetime | None,
    certificate: str | None,
) -> None:
    """Let the user NAME in. Its token is printed once, and kept by nobody."""
    from flowrt.serving import users
    from flowrt.serving.config import read

    day = expires.date() if expires is not None else None
    token = users.add(read(party), name, roles, expires=day, certificate=certificate)
    if token:
        click.echo(token)
    _told(party)


@user.command("disable")
@NAME
@AT
def disable(name: str, party: Path) -> None:
    """Let the user NAME in no more."""
    _set(name, party, True)


@user.command("enable")
@NAME
@AT
def enable(name: str, party: Path) -> None:
    """Let the user NAME in again."""
    _set(name, party, False)


def _set(name: str, party: Path, disabled: bool) -> None:
    from flowrt.serving import users
    from flowrt.serving.config import read

    word = "disabled" if disabled else "enabled"
    changed = users.disable(read(party), name, disabled=disabled)
    click.echo(f"{name} is {word}" if changed else f"{name} was {word} already", err=True)
    if changed:
        _told(party)


@user.command("list")
@PARTY
@JSON
def list_users(party: Path, as_json: bool) -> None:
    """Who may come in at a PARTY."""
    from flowrt.serving import users
    from flowrt.serving.config import read

    today = datetime.datetime.now(datetime.UTC).date()
    rows = [
        (
            name,
            ", ".join(one.roles),
            f"certificate {one.certificate}" if one.certificate else "token",
            one.expires.isoformat() if one.expires else "-",
            users.standing(one, today),
        )
        for name, one in read(party).settings.users.items()
    ]
    if as_json:
        keys = ("name", "roles", "by", "expires", "state")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(("USER", "ROLES", "BY", "EXPIRES", "STATE"), rows)


def _told(party: Path) -> None:
    from flowrt.serving.config import read
    from flowrt.serving.files import holder

    process = holder(read(party).folder)
    if process is not None:
        click.echo(f"the node takes it by `kill -HUP {process}`", err=True)
