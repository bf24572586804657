"""What a transaction is, to the byte: its canonical form, its id, what a signature covers.

Knows no keys, no database and no flow; the same value gives the same bytes on every machine.

A stranger who wants to check us needs three facts:

1. The canonical bytes of a transaction are MessagePack, arrays and never maps, every number and
   length in its shortest form:

       transaction = [notary, [ref, …], [state, …]]
       ref         = [made_by: bytes, index: int]
       state       = [kind: text, serial: text, issuer, [units: int, currency: text], owner]
       a party     = [name: text]

2. The transaction's id is the SHA-256 of these bytes.
3. A signature is Ed25519 over `b"two-party-trade transaction 1\\n"` followed by the id.

A signed transaction at rest is MessagePack as well: [transaction, [[party, signature: bytes], …]].
"""

from __future__ import annotations

import hashlib

import msgspec
from ledger_flow import SignedTransaction, State, StateRef, Transaction

CASH = "Cash"


def canonical_bytes(transaction: Transaction) -> bytes:
    """The one way to write `transaction`."""
    return msgspec.msgpack.encode(transaction)


def id_of(transaction: Transaction) -> bytes:
    """The SHA-256 of the canonical bytes: 32 bytes that name this transaction and no other."""
    return hashlib.sha256(canonical_bytes(transaction)).digest()


def signed_text(transaction: Transaction) -> bytes:
    """What a signature covers. The prefix keeps it from meaning anything in another protocol."""
    return b"two-party-trade transaction 1\n" + id_of(transaction)


def to_bytes(signed: SignedTransaction) -> bytes:
    """`signed` as a database keeps it."""
    return msgspec.msgpack.encode(signed)


def from_bytes(data: bytes) -> SignedTransaction:
    """What `to_bytes` wrote.

    Raises:
        ValueError: these are other bytes, or another way to write the same values. MessagePack
            allows several, and an id must not depend on which one somebody chose.
    """
    signed = msgspec.msgpack.decode(data, type=SignedTransaction)
    if to_bytes(signed) != data:
        raise ValueError("a signed transaction that is not in its canonical form")
    return signed


def outputs_of(transaction: Transaction) -> list[tuple[StateRef, State]]:
    """Each state that the transaction makes, with its name."""
    made_by = id_of(transaction)
    return [(StateRef(made_by, index), state) for index, state in enumerate(transaction.outputs)]


def balances(used: list[State], made: list[State]) -> bool:
    """Whether what is made is what was used, and only owners changed.

    Cash may be split and joined, but no issuer's currency may grow or shrink; any other state
    comes out exactly as it went in.
    """
    if any(state.value.units <= 0 for state in made):
        return False
    return _cash(used) == _cash(made) and _securities(used) == _securities(made)


def _cash(states: list[State]) -> dict[tuple[str, str], int]:
    total: dict[tuple[str, str], int] = {}
    for state in states:
        if state.kind == CASH:
            money = (state.issuer.name, state.value.currency)
            total[money] = total.get(money, 0) + state.value.units
    return total


def _securities(states: list[State]) -> list[tuple[str, str, str, str, int]]:
    return sorted(
        (state.kind, state.serial, state.issuer.name, state.value.currency, state.value.units)
        for state in states
        if state.kind != CASH
    )
