"""The `Vault` service: what a party owns, in two tables of its node's own database.

Everything here happens in the transaction of the step that asked for it: coins are locked in the
same commit that sends the proposal, and a trade is recorded in the same commit that ends the flow.
Knows nothing of conversations.

A lock is a note to ourselves, so that two trades at once do not offer the same coin. What protects
everybody else is the notary. A flow releases its locks when its trade comes to nothing; one that
an operator ended had no chance to, so a lock also runs out after a day.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable

from keys import Keys
from ledger_flow import (
    Amount,
    Holding,
    NotEnoughCash,
    NotOwned,
    SignedTransaction,
    State,
    StateRef,
    Transaction,
)
from transactions import CASH, from_bytes, id_of, outputs_of, to_bytes

from flowrt.core.flow import Party, Tx

LOCK = datetime.timedelta(days=1)

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS vault_transactions (
        id      BLOB PRIMARY KEY,
        signed  BLOB NOT NULL           -- canonical bytes of the SignedTransaction
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS vault_states (
        made_by      BLOB NOT NULL,
        position     INTEGER NOT NULL,  -- the output's index in that transaction
        kind         TEXT NOT NULL,
        serial       TEXT NOT NULL,
        currency     TEXT NOT NULL,
        units        INTEGER NOT NULL,
        used_by      BLOB,              -- the transaction that used it up, or NULL while it is ours
        locked_by    INTEGER,           -- the flow that means to use it
        locked_until INTEGER,           -- in seconds since 1970
        PRIMARY KEY (made_by, position)
    ) WITHOUT ROWID
    """,
)


class Vault:
    """One party's holdings.

    Args:
        keys: signs for the owner.
        notary: the notary whose seal the owner trusts.
        banks: whose money the owner takes.
        first: transactions that are known from the start, such as the one that issued it all.
    """

    def __init__(
        self,
        keys: Keys,
        notary: Party,
        banks: Collection[Party],
        first: Iterable[SignedTransaction] = (),
    ) -> None:
        self._keys = keys
        self._notary = notary
        self._banks = frozenset(banks)
        self._first = tuple(first)

    def setup(self, tx: Tx) -> None:
        """Make the tables, if they are missing; called whenever the node opens."""
        for table in TABLES:
            tx.execute(table)
        for signed in self._first:
            self.record(tx, signed)

    # --- what the owner knows -----------------------------------------------------------------

    def notary(self, tx: Tx) -> Party:
        return self._notary

    def find(self, tx: Tx, serial: str) -> Holding:
        """The security with that serial number, if it is still ours."""
        query = (
            "SELECT made_by, position FROM vault_states"
            " WHERE serial = ? AND kind <> ? AND used_by IS NULL"
        )
        for made_by, position in tx.execute(query, (serial, CASH)):
            return self._holding(tx, StateRef(made_by, position))
        raise NotOwned(serial)

    def gives_only(self, tx: Tx, ref: StateRef, transaction: Transaction) -> bool:
        """Whether `ref` is all that `transaction` uses of what is ours."""
        return [used for used in transaction.inputs if self._owns(tx, used)] == [ref]

    def pays(self, tx: Tx, price: Amount, transaction: Transaction) -> bool:
        """Whether `transaction` gives us exactly `price`, in money of a bank that we trust."""
        paid = sum(
            state.value.units
            for state in transaction.outputs
            if state.kind == CASH
            and state.owner == self._keys.owner
            and state.issuer in self._banks
            and state.value.currency == price.currency
        )
        return paid == price.units

    def _holding(self, tx: Tx, ref: StateRef) -> Holding:
        [(data,)] = tx.execute("SELECT signed FROM vault_transactions WHERE id = ?", (ref.made_by,))
        return Holding(ref, from_bytes(data).transaction.outputs[ref.index])

    def _owns(self, tx: Tx, ref: StateRef) -> bool:
        query = "SELECT 1 FROM vault_states WHERE made_by = ? AND position = ? AND used_by IS NULL"
        return bool(tx.execute(query, (ref.made_by, ref.index)))

    # --- what the owner does ------------------------------------------------------------------

    def propose(self, tx: Tx, paper: Holding, price: Amount, seller: Party) -> SignedTransaction:
        """Lock coins worth `price` and build the transaction that swaps them for `paper`."""
        coins = self._pick(tx, price)
        self._lock(tx, [coin.ref for coin in coins])
        transaction = Transaction(
            notary=self._notary,
            inputs=(paper.ref, *(coin.ref for coin in coins)),
            outputs=(
                moved(paper.state, self._keys.owner),
                *self._payments([coin.state for coin in coins], price, seller),
            ),
        )
        return SignedTransaction(transaction, (self._keys.sign(tx, transaction),))

    def release(self, tx: Tx) -> None:
        """Unlock what this flow locked."""
        tx.execute(
            "UPDATE vault_states SET locked_by = NULL, locked_until = NULL WHERE locked_by = ?",
            (tx.flow_id,),
        )

    def record(self, tx: Tx, settled: SignedTransaction) -> None:
        """Take note of a sealed transaction: what it used up of ours, what it made for us. Doing
        so again changes nothing."""
        transaction = settled.transaction
        made_by = id_of(transaction)
        tx.execute(
            "INSERT OR IGNORE INTO vault_transactions VALUES (?, ?)", (made_by, to_bytes(settled))
        )
        for ref in transaction.inputs:
            tx.execute(
                "UPDATE vault_states SET used_by = ?, locked_by = NULL, locked_until = NULL"
                " WHERE made_by = ? AND position = ?",
                (made_by, ref.made_by, ref.index),
            )
        for ref, state in outputs_of(transaction):
            if state.owner == self._keys.owner:
                value = state.value
                tx.execute(
                    "INSERT OR IGNORE INTO vault_states"
                    " VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
                    (made_by, ref.index, state.kind, state.serial, value.currency, value.units),
                )

    # --- coins --------------------------------------------------------------------------------

    def _pick(self, tx: Tx, price: Amount) -> list[Holding]:
        """Enough coins for `price` that no other trade means to use: the largest first, so that
        they are few. Throws before it locked any."""
        free = tx.execute(
            "SELECT made_by, position, units FROM vault_states"
            " WHERE kind = ? AND currency = ? AND used_by IS NULL"
            " AND (locked_until IS NULL OR locked_until < ?)"
            " ORDER BY units DESC, made_by, position",
            (CASH, price.currency, int(tx.now.timestamp())),
        )
        picked, missing = [], price.units
        for made_by, position, units in free:
            if missing <= 0:
                break
            picked.append(StateRef(made_by, position))
            missing -= units
        if missing > 0:
            raise NotEnoughCash(price)
        return [self._holding(tx, ref) for ref in picked]

    def _lock(self, tx: Tx, refs: Iterable[StateRef]) -> None:
        until = int((tx.now + LOCK).timestamp())
        for ref in refs:
            tx.execute(
                "UPDATE vault_states SET locked_by = ?, locked_until = ?"
                " WHERE made_by = ? AND position = ?",
                (tx.flow_id, until, ref.made_by, ref.index),
            )

    def _payments(self, coins: Iterable[State], price: Amount, seller: Party) -> list[State]:
        """The coins as they come out: `price` for the seller, the change for the owner; each
        bank's money on its own, because money of two banks is not one coin."""
        by_bank: dict[Party, int] = {}
        for coin in coins:
            by_bank[coin.issuer] = by_bank.get(coin.issuer, 0) + coin.value.units
        due, out = price.units, []
        for bank, units in by_bank.items():
            paid = min(due, units)
            due -= paid
            for owner, share in ((seller, paid), (self._keys.owner, units - paid)):
                if share:
                    out.append(State(CASH, "", bank, Amount(share, price.currency), owner))
        return out


def moved(state: State, owner: Party) -> State:
    """`state` with another owner."""
    return State(state.kind, state.serial, state.issuer, state.value, owner)
