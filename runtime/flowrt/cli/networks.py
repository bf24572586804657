"""`flowctl network`: what a network's operator does, and whole local networks."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import click

from flowrt.cli.printing import JSON, print_json, print_table

FOLDER = click.argument("folder", type=click.Path(path_type=Path))
REQUEST = click.argument("request", type=click.Path(path_type=Path))


@click.group()
def network() -> None:
    """Found a network, admit parties, publish its map."""


@network.command("new")
@FOLDER
@click.option("--parties", "first", required=True, help="The parties' names, one after the other.")
@click.argument("others", nargs=-1)
@click.option("--notary", help="Which of them is the notary; `notary`, if there is one.")
@click.option("--non-validating", is_flag=True, help="The notary does not see transactions whole.")
@click.option("--app", "apps", multiple=True, help="An app that all of them run.")
@click.option("--port", default=7401, show_default=True, help="The first's port; then the next.")
@click.option("--http-port", default=8401, show_default=True, help="The same for HTTP.")
def new(
    folder: Path,
    first: str,
    others: tuple[str, ...],
    notary: str | None,
    non_validating: bool,
    apps: tuple[str, ...],
    port: int,
    http_port: int,
) -> None:
    """A network on this machine, to play with: in FOLDER one folder for each party.

    \b
    flowctl network new town --parties alice bob notary
    """
    from flowrt.serving import network as networks
    from flowrt.serving.troubles import Refused, Trouble

    names = (first, *others)
    if notary is None and "notary" in names:
        notary = "notary"
    ports = list(range(port, port + len(names)))
    https = list(range(http_port, http_port + len(names)))
    troubles = [
        Trouble(f"127.0.0.1:{number}", "", why, f"choose others with {option}")
        for option, wanted in (("--port", ports), ("--http-port", https))
        for number in wanted
        if (why := _unusable(number))
    ]
    if not troubles and set(ports) & set(https):
        troubles.append(Trouble("--http-port", "", "these ports overlap with those of --port"))
    if troubles:
        raise Refused(troubles)
    made = networks.create(
        folder,
        names,
        notary=notary,
        validating=not non_validating,
        apps=apps,
        ports=ports,
        http_ports=https,
    )
    print_table(
        ("PARTY", "PEERS", "HTTP", "START IT WITH"),
        [(one.name, one.listen, f"http://{one.http}", f"flowctl up {one.folder}") for one in made],
    )


def _unusable(port: int) -> str:
    if not 0 < port < 65536:
        return "a port is a number from 1 to 65535"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return f"the port cannot be had: {error.strerror}"
    return ""


@network.command("admit")
@FOLDER
@REQUEST
@click.option("--notary", type=click.Choice(["validating", "non-validating"]), help="It is one.")
@click.option("--into", type=click.Path(path_type=Path), help="The party's folder, if it is here.")
@click.option("--yes", is_flag=True, help="Do not ask whether the keys were compared.")
def admit(folder: Path, request: Path, notary: str | None, into: Path | None, yes: bool) -> None:
    """Certify the REQUEST of a party, and publish a map with it.

    FOLDER is the network's. What the party is given lies in FOLDER/admitted then.
    """
    from flowrt.serving import network as networks
    from flowrt.serving import party as parties
    from flowrt.serving import rotation
    from flowrt.serving.config import read

    operator = networks.Operator(folder, networks.passphrase_in(folder))
    asked = parties.read_request(request)
    for what, key in (("on the ledger", asked.identity), ("for connections", asked.tls)):
        if key is not None:
            click.echo(f"{asked.name}, {what}: {key.text}")
    if operator.vouches(asked):
        click.echo(f"{asked.name} has signed this with the key that the map has")
    elif not yes and not click.confirm("Has the party told you these keys on another way?"):
        sys.exit(1)
    place = networks.lay_out(folder, operator.admit(asked, notary=notary))
    if into is not None:
        config = read(into)
        rotation.install(config, place, parties.passphrase_of(config))
        click.echo(f"{into} has its certificates")
    else:
        click.echo(f"give {place} to the party, which installs it (`flowctl keys install`)")
    if asked.name in operator.map.entries:
        _told(folder, operator.map.serial, operator.map.data)
    else:
        click.echo(f"{asked.name} has no key on the ledger: list it under [peers] of its peers")


@network.command("remove")
@FOLDER
@click.argument("name")
def remove(folder: Path, name: str) -> None:
    """Publish a map without the party NAME: nobody takes anything from it any more."""
    from flowrt.serving import network as networks

    operator = networks.Operator(folder, networks.passphrase_in(folder))
    operator.remove(name)
    _told(folder, operator.map.serial, operator.map.data)


@network.command("publish")
@FOLDER
def publish(folder: Path) -> None:
    """Put the newest map into the folders of those parties that lie in FOLDER."""
    from flowrt.serving import network as networks

    operator = networks.Operator(folder, networks.passphrase_in(folder))
    _told(folder, operator.map.serial, operator.map.data)


@network.command("show")
@FOLDER
@JSON
def show(folder: Path, as_json: bool) -> None:
    """Who is in the newest map."""
    from flowrt.serving import network as networks

    operator = networks.Operator(folder, networks.passphrase_in(folder))
    rows = []
    for name, entry in operator.map.entries.items():
        certified = operator.map.certified(name)
        assert certified is not None
        listed = operator.map.notaries.get(name)
        kind = "" if listed is None else "validating" if listed.validating else "non-validating"
        rows.append((name, ", ".join(entry.addresses), kind, f"{certified.until:%Y-%m-%d}"))
    if as_json:
        keys = ("name", "addresses", "notary", "until")
        parties = [dict(zip(keys, row, strict=True)) for row in rows]
        print_json({"serial": operator.map.serial, "parties": parties})
        return
    click.echo(f"map {operator.map.serial}, signed by {operator.map.operator.name.text}")
    print_table(("PARTY", "REACHED AT", "NOTARY", "CERTIFIED UNTIL"), rows)


def _told(folder: Path, serial: int, data: bytes) -> None:
    """Hand the map to those who lie in the network's folder, and say who takes it when."""
    from flowrt.serving import network as networks
    from flowrt.serving.files import holder

    click.echo(f"{folder / networks.MAP} is map {serial}")
    for party in networks.distribute(folder, data):
        process = holder(party)
        when = f"now, by `kill -HUP {process}`" if process else "when it is served"
        click.echo(f"{party} has it, and takes it {when}")
