"""The `Keys` service: who signs with what. Knows no transaction's meaning and no database.

The keys of this example are made from a seed, so that a party has the same key after a restart and
nobody has to keep a file. That is good enough to show a trade and not good enough to make one:
whoever knows the seed signs for everybody. A real party keeps its key in a hardware module, or in a
service that does nothing else, and offers the same three operations.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ledger_flow import Signature, SignedTransaction, Transaction
from transactions import signed_text

from flowrt.core.flow import Party, Tx

if TYPE_CHECKING:
    # At run time it is imported where it is used: starting a process should not wait for it.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def private_key(seed: str, name: str) -> Ed25519PrivateKey:
    """The signing key of the party `name` in the world that `seed` stands for."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = f"two-party-trade key\n{seed}\n{name}".encode()
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(text).digest())


def directory(seed: str, names: Iterable[str]) -> Mapping[str, bytes]:
    """Everybody's public key, by name: what a network's operator would hand out."""
    return {name: private_key(seed, name).public_key().public_bytes_raw() for name in names}


def sign(key: Ed25519PrivateKey, by: Party, transaction: Transaction) -> Signature:
    """The signature of `by`, whose key this is, under `transaction`."""
    return Signature(by, key.sign(signed_text(transaction)))


def is_valid(public: Mapping[str, bytes], signature: Signature, transaction: Transaction) -> bool:
    """Whether the party that `signature` names really signed `transaction`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    known = public.get(signature.by.name)
    if known is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(known).verify(signature.value, signed_text(transaction))
    except InvalidSignature:
        return False
    return True


def has_signed(public: Mapping[str, bytes], party: Party, signed: SignedTransaction) -> bool:
    """Whether a good signature of `party` is among those of `signed`."""
    return any(
        signature.by == party and is_valid(public, signature, signed.transaction)
        for signature in signed.signatures
    )


class Keys:
    """One party's own key, and the directory of everybody's public ones."""

    def __init__(self, seed: str, owner: Party, public: Mapping[str, bytes]) -> None:
        self._seed = seed
        self.owner = owner
        self.public = public

    @functools.cached_property
    def _key(self) -> Ed25519PrivateKey:
        return private_key(self._seed, self.owner.name)

    def sign(self, tx: Tx, transaction: Transaction) -> Signature:
        return sign(self._key, self.owner, transaction)

    def valid(self, tx: Tx, signature: Signature, by: Party, transaction: Transaction) -> bool:
        return signature.by == by and is_valid(self.public, signature, transaction)

    def signed_by(self, tx: Tx, party: Party, signed: SignedTransaction) -> bool:
        return has_signed(self.public, party, signed)
