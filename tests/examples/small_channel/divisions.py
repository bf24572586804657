"""How a deposit is divided: the two divisions there are, and what a signature covers.

Knows no coins, no ledger and no flow. Payer and payee make the same division from the same facts,
so neither has to look through one that the other made.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import msgspec
from channel_flow import Division, Lock
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flowrt.core.flow import Party


def refund(lock: Lock, ends: datetime.datetime) -> Division:
    """All of it back to the payer, once the channel's time is over."""
    return Division(lock, 0, ends)


def claim(lock: Lock, total: int) -> Division:
    """`total` for the payee, the rest for the payer, at any time."""
    return Division(lock, total, None)


def sign(key: Ed25519PrivateKey, division: Division) -> bytes:
    return key.sign(_text(division))


def is_valid(public: Mapping[str, bytes], signature: bytes, by: Party, division: Division) -> bool:
    """Whether `by` really signed this division."""
    try:
        Ed25519PublicKey.from_public_bytes(public[by.name]).verify(signature, _text(division))
    except (InvalidSignature, KeyError):
        return False
    return True


def _text(division: Division) -> bytes:
    # MessagePack of arrays is the same on every machine; the prefix keeps a signature from
    # meaning anything elsewhere.
    return b"payment-channel division 1\n" + msgspec.msgpack.encode(division)
