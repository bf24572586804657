"""`flowctl keys`: new keys, and what the operator certifies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowrt.cli.printing import PARTY

if TYPE_CHECKING:
    from flowrt.serving.config import Config


@click.group()
def keys() -> None:
    """Rotate a party's keys, and install what the operator gives."""


@keys.command("rotate")
@PARTY
@click.option("--identity", is_flag=True, help="The key on the ledger, not that of connections.")
@click.option(
    "--network",
    "network",
    type=click.Path(path_type=Path),
    help="The network's folder, if we are its operator: certify and install it at once.",
)
def rotate(party: Path, identity: bool, network: Path | None) -> None:
    """Make a new key for a PARTY, and a request to certify it. The old one serves until then."""
    from flowrt.serving import network as networks
    from flowrt.serving import rotation
    from flowrt.serving.config import read
    from flowrt.serving.party import passphrase_of, read_request

    config = read(party)
    passphrase = passphrase_of(config)
    make = rotation.rotate_identity if identity else rotation.rotate_tls
    request = make(config, passphrase)
    if network is None:
        click.echo(f"send {request} to the network's operator; the old key serves meanwhile")
        return
    operator = networks.Operator(network, networks.passphrase_in(network))
    place = networks.lay_out(network, operator.admit(read_request(request)))
    _tell(config, rotation.install(config, place, passphrase))
    for other in networks.distribute(network, operator.map.data):
        click.echo(f"{other} has map {operator.map.serial}: `kill -HUP` its node, if it is served")
    if not identity:
        click.echo("the node shows the new certificate by `kill -HUP`, or when it starts")


@keys.command("install")
@PARTY
@click.argument("folder", type=click.Path(path_type=Path))
def install(party: Path, folder: Path) -> None:
    """Install what the operator has put into FOLDER for a PARTY."""
    from flowrt.serving import rotation
    from flowrt.serving.config import read
    from flowrt.serving.party import passphrase_of

    config = read(party)
    _tell(config, rotation.install(config, folder, passphrase_of(config)))


@keys.command("show")
@PARTY
def show(party: Path) -> None:
    """The PARTY's public keys, to be compared with the operator's, on another way."""
    from flowrt.serving.config import read
    from flowrt.serving.party import REQUEST, read_request

    asked = read_request(read(party).file(REQUEST))
    for what, key in (("on the ledger", asked.identity), ("for connections", asked.tls)):
        if key is not None:
            click.echo(f"{asked.name}, {what}: {key.text}")


def _tell(config: Config, installed: Sequence[str]) -> None:
    for name in installed:
        click.echo(f"{config.file(name)} is new")
    if not installed:
        click.echo(f"{config.folder} has all of it")
