"""The ledger of a served node: its keys, the map, a notary's book, and the library's finance.

Imported only for nodes that have a ledger.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from flowrt.core.flow import Party
from flowrt.finance import cash, obligation, paper
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.finance.trading import TradeDesk
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.identity.networkmap import MapRefused, NetworkMap
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.node import Ledger
from flowrt.ledger.notary.desk import Desk
from flowrt.ledger.notary.service import Notary
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import Rulebook
from flowrt.serving.apps import Factory, Place
from flowrt.serving.config import Config
from flowrt.serving.party import open_keys
from flowrt.serving.troubles import Refused, refused
from flowrt.stdlib.finance import cash_flow, money_flow
from flowrt.stdlib.ledger.parts_flow import Identity
from flowrt.store import StoreError
from flowrt.store.copies import check_book
from flowrt.store.uniqueness import UniquenessFile, UniquenessMemory

FINANCE: Final = (cash_flow, money_flow)
"""What of the library's finance a ledger's node has by itself."""

RULES: Final = (cash, paper, obligation)

ROTATIONS: Final = 1_000
"""So many well-known keys are tried to find the one that a map has."""


def modules_of(own: Iterable[ModuleType]) -> tuple[ModuleType, ...]:
    """The library's modules, then one's own."""
    return Ledger.modules(*FINANCE, *(module for module in own if module not in FINANCE))


def _cash(place: Place) -> CashDesk:
    ledger = _of(place)
    return CashDesk(ledger.keys, ledger.network, ledger.vault)


def _treasury(limits: Mapping[str, int] | None = None, otherwise: int = 0) -> Treasury:
    return Treasury(limits, otherwise=otherwise)


def _trades(place: Place) -> TradeDesk:
    ledger = _of(place)
    return TradeDesk(ledger.keys, ledger.vault, ledger.rules)


def _of(place: Place) -> Ledger:
    assert place.ledger is not None
    return place.ledger


FACTORIES: Final[Mapping[str, Factory]] = {
    "finance.cash.Cash": _cash,
    "finance.cash.Treasury": _treasury,
    "finance.trade.Trades": _trades,
}
"""The services of finance that need nothing but a ledger. People are asked about every payment,
unless `[services."finance.cash.Treasury"]` says up to how much nobody is."""


def map_of(config: Config) -> NetworkMap:
    """The map in the file that the configuration names. Raises Refused."""
    settings = config.settings
    assert settings.ledger is not None
    path, root = config.file(settings.ledger.map), config.file(settings.tls.root)
    try:
        data, pem = path.read_bytes(), root.read_bytes()
    except OSError as error:
        remedy = "have the request certified (`flowctl network admit`), and install what comes"
        cause = f"{error.filename} cannot be read: {error.strerror}"
        raise Refused([config.trouble("ledger.map", cause, remedy)]) from None
    try:
        [certificate] = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise refused(
            root, "it is not one certificate in PEM", "it is the network's root"
        ) from None
    try:
        return NetworkMap(data, certificate.public_bytes(Encoding.DER))
    except (MapRefused, LedgerError) as error:
        remedy = "take the map that the network's operator publishes"
        raise refused(path, str(error), remedy) from None


def ledger_of(
    config: Config, passphrase: str, rules: tuple[ModuleType, ...]
) -> tuple[Ledger, Desk | None]:
    """The ledger of a node, and a notary's desk, whose book is not opened yet: see `open_book`.
    Raises Refused: keys or map cannot be opened, they are not each other's, the map says otherwise
    of a notary."""
    settings = config.settings
    own = settings.ledger
    assert own is not None
    map_ = map_of(config)
    keys = open_keys(config.file(own.keys), passphrase)
    certified = map_.certified(settings.name)
    if certified is None:
        remedy = "have the request certified: `flowctl network admit`"
        cause = f"{config.file(own.map)} does not have {settings.name}"
        raise Refused([config.trouble("name", cause, remedy)])
    number = number_of(keys, certified.key)
    if number is None:
        cause = f"the key of {settings.name} in {config.file(own.map)} is not of these keys"
        remedy = "name the key file that the certificate was asked for with"
        raise Refused([config.trouble("ledger.keys", cause, remedy)])
    now = datetime.datetime.now(datetime.UTC)
    try:
        certified.check_time(now)
    except LedgerError as error:
        raise Refused(
            [config.trouble("ledger.map", str(error), "have it certified anew")]
        ) from None
    listed = map_.notaries.get(settings.name)
    if (own.notary is None) != (listed is None):
        if listed is None:
            cause = f"the network does not list {settings.name} as a notary"
            remedy = "remove the key, or have the operator admit it with --notary"
        else:
            cause = f"the network lists {settings.name} as a notary"
            remedy = f'write `notary = "{_kind(listed.validating)}"`'
        raise Refused([config.trouble("ledger.notary", cause, remedy)])
    rulebook = Rulebook(dict.fromkeys((*RULES, *rules)))
    if own.notary is None or listed is None:
        return Ledger(keys, map_, rulebook), None
    if _kind(listed.validating) != own.notary:
        cause = f"the network lists {settings.name} as {_kind(listed.validating)}"
        raise Refused([config.trouble("ledger.notary", cause, "write that")])
    if config.file(own.book) == config.file(settings.store):
        raise Refused([config.trouble("ledger.book", "this is the store", "name another file")])
    path = config.file(own.book)
    try:
        if path.exists():
            check_book(path, settings.name)
    except StoreError as error:
        raise Refused([config.trouble("ledger.book", str(error), "name another file")]) from None
    desk = Desk(UniquenessMemory(), keys.identity(number))
    identity = Identity(Party(settings.name), certified.key)
    notary = Notary(identity, desk, is_validating=listed.validating)
    return Ledger(keys, map_, rulebook, notary=notary), desk


def open_book(config: Config, desk: Desk) -> None:
    """Open a notary's book; it is made if it is not there. Raises Refused."""
    own = config.settings.ledger
    assert own is not None
    try:
        desk.book = UniquenessFile(config.file(own.book), config.settings.name)
    except StoreError as error:
        raise Refused([config.trouble("ledger.book", str(error))]) from None


def number_of(keys: KeyStore, key: PublicKey) -> int | None:
    """Which of the well-known keys one is; None if it is none of the first thousand."""
    found = (number for number in range(ROTATIONS) if keys.identity(number).public == key)
    return next(found, None)


def _kind(validating: bool) -> str:
    return "validating" if validating else "non-validating"
