"""The network map: who takes part now, under which key, and by which rules; signed by its operator.

A map is a value. A newer one takes the place of an older one of the same operator; what a node
keeps of older ones is the business of `register`. Knows no database and no clock.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from flowrt.core.declared import Value
from flowrt.core.flow import Int
from flowrt.core.values import BadBytes, decode, encode
from flowrt.ledger.identity.certificates import (
    CertificateRefused,
    Certified,
    Root,
    Usage,
    fingerprint,
    name_in,
)
from flowrt.ledger.identity.names import BadName, canonical, skeleton
from flowrt.ledger.keys import PublicKey, SigningKey
from flowrt.ledger.problems import BadKey, BadSignature, LedgerError

FORMAT: Final = 1

MAX_BYTES: Final = 16 << 20
"""The largest map."""

MAX_ENTRIES: Final = 20_000
MAX_NOTARIES: Final = 256
MAX_WORKERS: Final = 64
MAX_ADDRESSES: Final = 16
MAX_ADDRESS: Final = 256

_SIGNED = b"flowlang network map\x00"
_PARAMETERS = b"flowlang network parameters\x00"


class MapRefused(LedgerError):
    """Bytes that are no map of this network, or one that may not take the place of ours."""


class Stale(MapRefused):
    """A map that is not newer than the one that is there."""


class NotaryEntry(Value, frozen=True, array_like=True, gc=False):
    """A notary: whether it sees whole transactions, and the nodes that answer for it (none given:
    itself)."""

    name: str
    validating: bool = False
    workers: tuple[str, ...] = ()


class Parameters(Value, frozen=True, array_like=True, gc=False):
    """The rules that all parties keep. Transactions name the hash of those they were made under."""

    version: Int = 1
    minimum_platform: Int = 1
    max_transaction_bytes: Int = 512 * 1024
    notaries: tuple[NotaryEntry, ...] = ()

    @property
    def hash(self) -> bytes:
        """SHA-256 of them, as transactions name it."""
        return hashlib.sha256(_PARAMETERS + encode(self)).digest()


class Entry(Value, frozen=True, array_like=True, gc=False):
    """A party: its certificate and those above it, the root left out, and where it is reached. What
    an address means is the transport's business."""

    name: str
    chain: tuple[bytes, ...]
    addresses: tuple[str, ...] = ()


class Content(Value, frozen=True, array_like=True, gc=False):
    """What the operator signs. `network` is the fingerprint of the root."""

    format: Int
    network: bytes
    serial: Int
    parameters: Parameters
    entries: tuple[Entry, ...]


class Signed(Value, frozen=True, array_like=True, gc=False):
    """A map as it travels."""

    content: bytes
    operator: tuple[bytes, ...]
    """The operator's certificate and those above it, the root left out."""
    signature: bytes


class NetworkMap:
    """A map that was found good: its signature, its operator, every certificate, every name."""

    def __init__(self, data: bytes, root: bytes) -> None:
        """The map that `data` is, of the network whose root certificate `root` is.

        Whether certificates are good at a given time is asked with `identity`, for a map may live
        longer than some of them. Raises MapRefused, which says what is wrong.
        """
        if not isinstance(data, bytes) or not 0 < len(data) <= MAX_BYTES:
            raise MapRefused(f"a network map has at most {MAX_BYTES} bytes")
        self.data = data
        self.network = fingerprint(root)
        self._root = Root(root)
        try:
            signed = decode(Signed, data)
            content = decode(Content, signed.content)
            if encode(signed) != data or encode(content) != signed.content:
                raise MapRefused("a network map that is not in its one encoding")
        except BadBytes as error:
            raise MapRefused(f"not a network map: {error}") from None
        self.operator = self._checked_operator(signed)
        """Who signed it."""
        if content.format != FORMAT or content.network != self.network:
            raise MapRefused("the map is another network's, or of another format")
        if content.serial < 1:
            raise MapRefused("maps are numbered from 1 on")
        self.serial: int = content.serial
        self.parameters: Parameters = content.parameters
        self.entries: Mapping[str, Entry] = self._checked_entries(content.entries)
        self.notaries = self._checked_notaries()

    @property
    def root(self) -> bytes:
        """The root's certificate."""
        return self._root.certificate

    @functools.cached_property
    def digest(self) -> bytes:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self.data).digest()

    def certified(self, name: str) -> Certified | None:
        """A party's name, key and times; None for a party that is not in the map."""
        return self._certified.get(name)

    def key(self, name: str, at: datetime.datetime) -> PublicKey | None:
        """A party's well-known key; None if it is not in the map, or not certified at that time."""
        found = self._certified.get(name)
        return found.key if found is not None and found.since <= at < found.until else None

    def check_succeeds(self, older: NetworkMap) -> None:
        """Raises MapRefused, Stale unless it may take the place of `older`."""
        if self.network != older.network or self.operator.name != older.operator.name:
            ours = older.operator.name.text
            raise MapRefused(f"the map is signed by {self.operator.name.text}, ours by {ours}")
        if self.serial <= older.serial:
            raise Stale(f"map {self.serial} does not replace map {older.serial}")

    def _checked_operator(self, signed: Signed) -> Certified:
        try:
            found = self._root.check(signed.operator, Usage.OPERATOR)
            found.key.verify(signed.signature, _SIGNED + signed.content)
        except (CertificateRefused, BadSignature, BadKey) as error:
            raise MapRefused(f"the map is not signed by the network's operator: {error}") from None
        return found

    def _checked_entries(self, entries: tuple[Entry, ...]) -> dict[str, Entry]:
        if not 0 < len(entries) <= MAX_ENTRIES:
            raise MapRefused(f"a map has 1 to {MAX_ENTRIES} parties")
        self._certified: dict[str, Certified] = {}
        looks: dict[str, str] = {}
        keys: dict[PublicKey, str] = {}
        for entry in entries:
            try:
                name = canonical(entry.name)
                found = self._root.check(entry.chain, Usage.IDENTITY)
            except (BadName, CertificateRefused, BadKey) as error:
                raise MapRefused(f"the entry of {entry.name[:60]!a}: {error}") from None
            if found.name != name:
                raise MapRefused(f"the certificate of {entry.name} is {found.name.text}'s")
            if entry.name in self._certified:
                raise MapRefused(f"{entry.name} is in the map twice")
            other = looks.setdefault(skeleton(entry.name), entry.name)
            if other != entry.name:
                raise MapRefused(f"{other} and {entry.name} look alike")
            if keys.setdefault(found.key, entry.name) != entry.name:
                raise MapRefused(f"{keys[found.key]} and {entry.name} have one key")
            addresses = entry.addresses
            if len(addresses) > MAX_ADDRESSES or any(len(a) > MAX_ADDRESS for a in addresses):
                raise MapRefused(f"the addresses of {entry.name} are too many or too long")
            self._certified[entry.name] = found
        return {entry.name: entry for entry in entries}

    def _checked_notaries(self) -> dict[str, NotaryEntry]:
        found: dict[str, NotaryEntry] = {}
        if len(self.parameters.notaries) > MAX_NOTARIES:
            raise MapRefused(f"a network has at most {MAX_NOTARIES} notaries")
        for notary in self.parameters.notaries:
            if notary.name in found or len(notary.workers) > MAX_WORKERS:
                raise MapRefused(f"the notary {notary.name[:60]!a} is listed twice, or too big")
            for name in (notary.name, *notary.workers):
                if name not in self.entries:
                    raise MapRefused(f"the notary {name[:60]!a} is not in the map")
            found[notary.name] = notary
        return found


def entry(chain: Iterable[bytes], addresses: Iterable[str] = ()) -> Entry:
    """The entry of the party that a chain certifies; it is checked when the map is read."""
    certificates = tuple(chain)
    return Entry(name_in(certificates), certificates, tuple(addresses))


def publish(
    root: bytes,
    operator: tuple[bytes, ...],
    key: SigningKey,
    serial: int,
    entries: Iterable[Entry],
    parameters: Parameters,
) -> NetworkMap:
    """A map signed by the operator, whose certificate chain and key are given. It is read again
    before it is handed out, so what nodes would refuse is refused here. Raises MapRefused."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.name))
    content = encode(Content(FORMAT, fingerprint(root), serial, parameters, ordered))
    signed = Signed(content, tuple(operator), key.sign(_SIGNED + content))
    return NetworkMap(encode(signed), root)
