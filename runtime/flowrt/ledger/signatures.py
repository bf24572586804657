"""Signatures over a transaction's id, alone or for a batch, and a memory of those found good.

Knows ids and keys; what a transaction says, and who had to sign it, it never knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, TypeAlias

import msgspec

from flowrt.core.declared import Value
from flowrt.core.values import encode
from flowrt.ledger import merkle
from flowrt.ledger.keys import COMPOSITE, SIGNATURE_BYTES, PublicKey, SigningKey
from flowrt.ledger.problems import BadProof, BadSignature

PLATFORM: Final = 1
"""The version of the rules under which a signature is given; part of what is signed."""

MAX_PLATFORM = 65_535
MAX_BATCH = 1 << 20
"""The most ids that are signed together."""

Hash: TypeAlias = Annotated[
    bytes, msgspec.Meta(min_length=merkle.HASH_BYTES, max_length=merkle.HASH_BYTES)
]

_SIGNED = b"flowlang transaction signature\x00"


class BatchProof(Value, frozen=True, array_like=True, gc=False):
    """That an id is number `index` of `size` ids that were signed together, by their root."""

    index: Annotated[int, msgspec.Meta(ge=0, lt=MAX_BATCH)]
    size: Annotated[int, msgspec.Meta(ge=2, le=MAX_BATCH)]
    hashes: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=20)]


class TransactionSignature(Value, frozen=True, array_like=True, gc=False):
    """`by` signed a transaction's id, alone or as one of a batch, under the rules `platform`."""

    flow_never_changes: ClassVar = True

    by: PublicKey
    data: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
    platform: Annotated[int, msgspec.Meta(ge=1, le=MAX_PLATFORM)] = PLATFORM
    batch: BatchProof | None = None

    def check(self, transaction: bytes, memory: GoodSignatures | None = None) -> None:
        """Raises BadSignature, BadProof unless it is a signature of the transaction of this id.
        `memory` spares the cryptography for what it knows, and learns what is good."""
        size = 1 if self.batch is None else self.batch.size
        if self.by.scheme == COMPOSITE or not 1 <= self.platform <= MAX_PLATFORM:
            raise BadSignature(f"no signature of {self.by.text} can be of this form")
        content = _to_sign(self.root(transaction), size, self.platform, self.by.scheme)
        if memory is None:
            self.by.verify(self.data, content)
        else:
            memory.verify(self.by, self.data, content)

    def root(self, transaction: bytes) -> bytes:
        """What was signed: the id, or the root of the batch that has it. Raises BadProof."""
        if self.batch is None:
            return transaction
        if not 1 < self.batch.size <= MAX_BATCH:
            raise BadProof(f"a batch of signatures has two to {MAX_BATCH}")
        leaf = merkle.leaf(transaction)
        return merkle.root_from(self.batch.size, {self.batch.index: leaf}, self.batch.hashes)


def sign(transaction: bytes, key: SigningKey) -> TransactionSignature:
    """The signature of the transaction of this id."""
    data = key.sign(_to_sign(transaction, 1, PLATFORM, key.public.scheme))
    return TransactionSignature(key.public, data)


def sign_all(transactions: Sequence[bytes], key: SigningKey) -> list[TransactionSignature]:
    """A signature for each of the ids, made by signing once. Raises BadProof for more than
    MAX_BATCH."""
    if len(transactions) > MAX_BATCH:
        raise BadProof(f"a batch of signatures has at most {MAX_BATCH}")
    if len(transactions) < 2:
        return [sign(id, key) for id in transactions]
    leaves = [merkle.leaf(id) for id in transactions]
    content = _to_sign(merkle.root(leaves), len(leaves), PLATFORM, key.public.scheme)
    data = key.sign(content)
    return [
        TransactionSignature(key.public, data, PLATFORM, BatchProof(index, len(leaves), path))
        for index, path in enumerate(merkle.paths(leaves))
    ]


def _to_sign(root: bytes, size: int, platform: int, scheme: int) -> bytes:
    # The size is signed, as the proof of a leaf can be one in trees of several sizes.
    return _SIGNED + encode([root, size, platform, scheme])


class GoodSignatures:
    """A bounded memory of signatures that one owner, such as a node, has found good, so that it
    checks none twice. What is not good is never remembered."""

    __slots__ = ("_half", "_new", "_old")

    def __init__(self, size: int = 16_384) -> None:
        """Holds the last `size` / 2 to `size`, of about 120 bytes each."""
        self._half = max(1, size // 2)
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def verify(self, key: PublicKey, signature: bytes, content: bytes) -> None:
        """Raises BadSignature unless `key` made `signature` over `content`."""
        known = _digest(key, signature, content)
        if len(signature) != SIGNATURE_BYTES or (known not in self._new and known not in self._old):
            key.verify(signature, content)
        self._keep(known)

    def made(self, signature: TransactionSignature, transaction: bytes) -> None:
        """Remembers one that its owner has made itself, for a transaction alone."""
        content = _to_sign(transaction, 1, signature.platform, signature.by.scheme)
        self._keep(_digest(signature.by, signature.data, content))

    def _keep(self, known: bytes) -> None:
        if len(self._new) >= self._half and known not in self._new:
            self._old, self._new = self._new, set()
        self._new.add(known)

    def __len__(self) -> int:
        return len(self._new | self._old)


def _digest(key: PublicKey, signature: bytes, content: bytes) -> bytes:
    # A key's length is told by its first byte (composite keys do not sign) and a signature's is
    # fixed, so no two triples are one string: `verify` never takes one of another length as known.
    return merkle.sha256(key.encoded, signature, content)
