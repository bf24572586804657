"""Pseudonyms: that a key with no name on it belongs to a party. Knows no map and no database.

A claim is signed twice, by the party's well-known key (so that nobody else can give the party keys)
and by the claimed key itself (so that the party can claim no key that it does not hold). What is
signed names the network, so a claim means nothing in another one.
"""

from __future__ import annotations

from typing import Final

from flowrt.core.flow import Party
from flowrt.core.values import BadBytes, decode, encode
from flowrt.ledger.identity.names import canonical
from flowrt.ledger.keys import COMPOSITE, PublicKey, SigningKey
from flowrt.ledger.problems import BadKey, Unreadable

MAX_BYTES: Final = 1024
"""The largest claim."""

_SIGNED = b"flowlang pseudonym claim\x00"


class Pseudonym:
    """A claim that `key` belongs to `party`, by its well-known key `identity`."""

    __slots__ = ("_encoded", "by_identity", "by_key", "identity", "key", "network", "party")
    flow_never_changes: Final = True

    def __init__(
        self,
        network: bytes,
        party: Party,
        identity: PublicKey,
        key: PublicKey,
        by_identity: bytes,
        by_key: bytes,
    ) -> None:
        """Raises Unreadable, BadKey, BadName for what cannot be a claim. Whether it is a true one
        is not looked at."""
        canonical(party.name)
        if COMPOSITE in (identity.scheme, key.scheme) or identity == key:
            raise BadKey("a claim is about a simple key, by another one")
        if (len(network), len(by_identity), len(by_key)) != (32, 64, 64):
            raise Unreadable("a claim has a network of 32 bytes and two signatures of 64")
        self.network = network
        self.party = party
        self.identity = identity
        self.key = key
        self.by_identity = by_identity
        self.by_key = by_key
        self._encoded: bytes | None = None

    def check(self) -> None:
        """Raises BadSignature unless both keys signed. Whose key `identity` is, the network map
        tells."""
        content = _content(self.network, self.party, self.identity, self.key)
        self.identity.verify(self.by_identity, content)
        self.key.verify(self.by_key, content)

    def to_flow(self) -> bytes:
        """Its canonical bytes."""
        if self._encoded is None:
            parts = (self.network, self.party.name, self.identity, self.key)
            self._encoded = encode([*parts, self.by_identity, self.by_key])
        return self._encoded

    @classmethod
    def from_flow(cls, data: bytes) -> Pseudonym:
        """The claim again. Raises LedgerError for anything else."""
        if len(data) > MAX_BYTES:
            raise Unreadable(f"a claim has at most {MAX_BYTES} bytes")
        try:
            network, name, identity, key, by_identity, by_key = decode(
                tuple[bytes, str, PublicKey, PublicKey, bytes, bytes], data
            )
        except BadBytes as error:
            raise Unreadable(f"not the claim of a pseudonym: {error}") from None
        return cls(network, Party(name), identity, key, by_identity, by_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pseudonym) and self.to_flow() == other.to_flow()

    def __hash__(self) -> int:
        return hash((self.key, self.by_identity))

    def __repr__(self) -> str:
        return f"Pseudonym({self.party.name}, {self.key.text})"


def claim(network: bytes, party: Party, identity: SigningKey, key: SigningKey) -> Pseudonym:
    """That `key` belongs to `party`, whose well-known key `identity` is."""
    content = _content(network, party, identity.public, key.public)
    signatures = (identity.sign(content), key.sign(content))
    return Pseudonym(network, party, identity.public, key.public, *signatures)


def _content(network: bytes, party: Party, identity: PublicKey, key: PublicKey) -> bytes:
    return _SIGNED + encode([network, party.name, identity, key])
