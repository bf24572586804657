"""The `Wallet` service: a party's coins, in one row of its node's database, and its key.

Coins move in the commit of the step that moves them, so there is no moment at which they are
counted twice or not at all. Knows no conversation and no ledger.
"""

from __future__ import annotations

from collections.abc import Mapping

from channel_flow import Division, Lock, NotEnough
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from divisions import is_valid, sign

from flowrt.core.flow import Party, Tx


class Wallet:
    """One party's wallet.

    Args:
        key: what it signs with.
        public: everybody's public key, by name.
        coins: how many it has when it is made.
    """

    def __init__(self, key: Ed25519PrivateKey, public: Mapping[str, bytes], coins: int = 0) -> None:
        self._key = key
        self._public = public
        self._coins = coins

    def setup(self, tx: Tx) -> None:
        """Make the row, if it is missing; called whenever the node opens."""
        tx.execute("CREATE TABLE IF NOT EXISTS wallet_coins (units INTEGER NOT NULL)")
        if not tx.execute("SELECT 1 FROM wallet_coins"):
            tx.execute("INSERT INTO wallet_coins VALUES (?)", (self._coins,))

    def pay_in(self, tx: Tx, lock: Lock) -> None:
        [(units,)] = tx.execute("SELECT units FROM wallet_coins")
        if units < lock.units:
            raise NotEnough(lock.units)
        tx.execute("UPDATE wallet_coins SET units = units - ?", (lock.units,))

    def take_out(self, tx: Tx, division: Division) -> int:
        lock = division.lock
        ours = division.to_payee if tx.me == lock.payee else lock.units - division.to_payee
        tx.execute("UPDATE wallet_coins SET units = units + ?", (ours,))
        return ours

    def sign(self, tx: Tx, division: Division) -> bytes:
        return sign(self._key, division)

    def valid(self, tx: Tx, signature: bytes, by: Party, division: Division) -> bool:
        return is_valid(self._public, signature, by, division)
