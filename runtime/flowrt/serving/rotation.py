"""New keys for a party that has keys: made beside the old, put in their place when certified."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from flowrt.ledger.identity.certificates import Root, Usage, key_of
from flowrt.ledger.identity.networkmap import NetworkMap
from flowrt.ledger.keys import PublicKey, SigningKey
from flowrt.ledger.problems import LedgerError
from flowrt.node import Node
from flowrt.serving.assembly import assemble
from flowrt.serving.config import Config
from flowrt.serving.files import PRIVATE, PUBLIC, locked, sync_folder, write
from flowrt.serving.ledgers import map_of, number_of
from flowrt.serving.party import REQUEST, Request, new_tls_key, open_keys, tls_key, tls_pem
from flowrt.serving.troubles import Refused, refused
from flowrt.store import StoreError
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork

NEXT: Final = ".next"
"""A new TLS key lies beside the one in use, under its name and this."""


def rotate_tls(config: Config, passphrase: str) -> Path:
    """Make a new TLS key beside the one in use, and a request to certify it; where that is. The old
    one serves until `install`. Raises Refused."""
    key = new_tls_key()
    settings = config.settings
    aside = config.file(f"{settings.tls.key}{NEXT}")
    write(aside, tls_pem(key, passphrase, settings.name), PRIVATE)
    request = Request(settings.name, None, key.public, _addresses(config))
    return _ask(config, request, [key], passphrase)


def rotate_identity(config: Config, passphrase: str) -> Path:
    """Make the next well-known key, and a request to certify it; where that is. The old one counts
    until a map has the new one. The party must not be served.

    Raises:
        Refused: it is served, or has no ledger, or is a notary.
    """
    settings = config.settings
    own = settings.ledger
    if own is None:
        raise Refused([config.trouble("ledger", "this party has no key on a ledger")])
    if own.notary is not None:
        cause = "a notary's key is in every state that it watches over, so it is not replaced"
        remedy = "admit another notary, and move the states to it (docs/ledger.md)"
        raise Refused([config.trouble("ledger.notary", cause, remedy)])
    with locked(config.folder):
        try:
            public = asyncio.run(_rotated(config, passphrase))
        except StoreError as error:
            raise Refused([config.trouble("store", str(error))]) from None
    keys = open_keys(config.file(own.keys), passphrase)
    number = number_of(keys, public)
    assert number is not None
    request = Request(settings.name, public, None, _addresses(config))
    return _ask(config, request, [keys.identity(number)], passphrase)


async def _rotated(config: Config, passphrase: str) -> PublicKey:
    """The key that the flow `RotateIdentity` makes, in a node that nobody can reach."""
    from flowrt.stdlib.ledger.keys_flow import RotateIdentity_v1

    made = assemble(config, passphrase)
    node = await Node.open(
        config.settings.name,
        store=SqliteStore(config.file(config.settings.store)),
        network=MemoryNetwork(),
        **made.options(config),
    )
    try:
        started = await node.start(RotateIdentity_v1)
        return await started.result()
    finally:
        await node.close()


def _ask(config: Config, request: Request, keys: list[SigningKey], passphrase: str) -> Path:
    """Write a request, vouched for by the key that the map has."""
    settings = config.settings
    own = settings.ledger
    voucher = None
    if own is not None:
        certified = map_of(config).certified(settings.name)
        store = open_keys(config.file(own.keys), passphrase)
        number = number_of(store, certified.key) if certified is not None else None
        voucher = store.identity(number) if number is not None else None
    path = config.file(REQUEST)
    write(path, request.written(*keys, voucher=voucher), PUBLIC)
    return path


def _addresses(config: Config) -> tuple[str, ...]:
    """Where the map has us now; what is asked for changes nothing of it."""
    if config.settings.ledger is not None:
        entry = map_of(config).entries.get(config.settings.name)
        if entry is not None and entry.addresses:
            return entry.addresses
    return (config.settings.listen.address,)


def install(config: Config, folder: Path, passphrase: str) -> list[str]:
    """Put what the operator gave into the party's folder, after it was found good; what was
    put, which is what was not there already. Doing it again after an interruption ends it.

    Raises:
        Refused: it is not for this party, or its keys, or this network.
    """
    settings = config.settings
    own = settings.tls
    files = _given(folder)
    place = config.file(own.root)
    if place.exists() and "root.pem" in files and place.read_bytes() != files["root.pem"]:
        remedy = "make sure of it with the operator; then remove the old one first"
        raise refused(folder / "root.pem", "this is another network's root than ours", remedy)
    pem = files.get("root.pem") or (place.read_bytes() if place.exists() else b"")
    try:
        [certificate] = x509.load_pem_x509_certificates(pem)
        root = Root(certificate.public_bytes(Encoding.DER))
        done = []
        if "tls.pem" in files:
            chain = x509.load_pem_x509_certificates(files["tls.pem"])
            shown = root.check([one.public_bytes(Encoding.DER) for one in chain], Usage.TLS)
            if shown.name.text != settings.name:
                cause = f"it is the certificate of {shown.name.text}, not of {settings.name}"
                raise refused(folder / "tls.pem", cause)
            _take_key(config, key_of(chain[0]), passphrase, folder)
        if "network.map" in files and settings.ledger is not None:
            NetworkMap(files["network.map"], root.certificate)
    except (ValueError, LedgerError) as error:
        raise refused(folder, f"this is not what an operator gives: {error}") from None
    targets = {"root.pem": own.root, "tls.pem": own.certificate}
    if settings.ledger is not None:
        targets["network.map"] = settings.ledger.map
    for name, target in targets.items():
        place = config.file(target)
        if name in files and not (place.exists() and place.read_bytes() == files[name]):
            write(place, files[name], PUBLIC)
            done.append(target)
    return done


def _given(folder: Path) -> dict[str, bytes]:
    found = {}
    for name in ("root.pem", "tls.pem", "network.map"):
        try:
            found[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise refused(folder / name, f"it cannot be read: {error.strerror}") from None
    if not found:
        raise refused(folder, "there is nothing of an operator in it", "name what it gave you")
    return found


def _take_key(config: Config, wanted: PublicKey, passphrase: str, folder: Path) -> None:
    """Make the key that is certified the one in use."""
    path = config.file(config.settings.tls.key)
    aside = Path(f"{path}{NEXT}")
    for place in (path, aside):
        if not place.exists():
            continue
        held = tls_key(place.read_bytes(), passphrase, config.settings.name, place)
        if held.public == wanted:
            if place is aside:
                os.replace(path, Path(f"{path}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"))
                os.replace(aside, path)
                sync_folder(path.parent)
            return
    cause = f"its key is neither that of {path.name} nor that of {aside.name}"
    raise refused(folder / "tls.pem", cause, "have the newest request certified")
