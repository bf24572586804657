"""The `Register` service: the notary's own book, in three tables of the notary's database.

It holds every state that exists and what used it up. That a state can be used only once is a
uniqueness constraint of the database, and the check, the entry and the seal are one operation in
one transaction: whoever crashes where, no two seals ever cover the same input. Knows no prices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
from keys import Keys
from ledger_flow import AlreadySpent, Signature, SignedTransaction, State, StateRef, Transaction
from transactions import balances, from_bytes, id_of, outputs_of, to_bytes

from flowrt.core.flow import Tx

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS register_states (
        made_by   BLOB NOT NULL,
        position  INTEGER NOT NULL,
        state     BLOB NOT NULL,
        PRIMARY KEY (made_by, position)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS register_used (
        made_by   BLOB NOT NULL,
        position  INTEGER NOT NULL,
        used_by   BLOB NOT NULL,
        PRIMARY KEY (made_by, position) -- what makes a second use impossible
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS register_sealed (
        id      BLOB PRIMARY KEY,
        signed  BLOB NOT NULL           -- canonical bytes; the seal is the last signature
    ) WITHOUT ROWID
    """,
)


class Register:
    """One notary's book.

    Args:
        keys: the notary's.
        first: transactions that are in the book from the start, such as the one that issued it all.
    """

    def __init__(self, keys: Keys, first: Iterable[SignedTransaction] = ()) -> None:
        self._keys = keys
        self._first = tuple(first)

    def setup(self, tx: Tx) -> None:
        """Make the tables, if they are missing; called whenever the node opens."""
        for table in TABLES:
            tx.execute(table)
        for signed in self._first:
            if self._sealed(tx, signed.transaction) is None:
                self._enter(tx, signed)

    # --- whether a transaction is in order ----------------------------------------------------

    def knows_inputs(self, tx: Tx, transaction: Transaction) -> bool:
        """Whether it uses something, nothing twice, and only what exists or existed."""
        inputs = transaction.inputs
        return 0 < len(inputs) == len(set(inputs)) and all(
            self._state(tx, ref) is not None for ref in inputs
        )

    def owners_signed(self, tx: Tx, signed: SignedTransaction) -> bool:
        """Whether every owner of an input has signed."""
        owners = {state.owner for state in self._used(tx, signed.transaction)}
        return all(self._keys.signed_by(tx, owner, signed) for owner in owners)

    def balances(self, tx: Tx, transaction: Transaction) -> bool:
        """Whether nothing appears, disappears or changes but its owner."""
        return balances(self._used(tx, transaction), list(transaction.outputs))

    # --- the seal -----------------------------------------------------------------------------

    def seal(self, tx: Tx, signed: SignedTransaction) -> Signature:
        """Enter what `signed` uses and makes, and sign it; the same transaction gets the same seal
        again. Throws `AlreadySpent` before anything was entered: what a step has written stays
        written when it throws."""
        transaction = signed.transaction
        earlier = self._sealed(tx, transaction)
        if earlier is not None:
            return earlier.signatures[-1]
        for ref in transaction.inputs:
            query = "SELECT used_by FROM register_used WHERE made_by = ? AND position = ?"
            for (used_by,) in tx.execute(query, (ref.made_by, ref.index)):
                # The hash tells an outsider nothing; to one who knows the transaction it is proof.
                raise AlreadySpent(ref, hashlib.sha256(used_by).digest())
        seal = self._keys.sign(tx, transaction)
        self._enter(tx, SignedTransaction(transaction, (*signed.signatures, seal)))
        return seal

    def _enter(self, tx: Tx, sealed: SignedTransaction) -> None:
        transaction = sealed.transaction
        made_by = id_of(transaction)
        tx.execute("INSERT INTO register_sealed VALUES (?, ?)", (made_by, to_bytes(sealed)))
        for ref in transaction.inputs:
            tx.execute(
                "INSERT INTO register_used VALUES (?, ?, ?)", (ref.made_by, ref.index, made_by)
            )
        for ref, state in outputs_of(transaction):
            tx.execute(
                "INSERT INTO register_states VALUES (?, ?, ?)",
                (made_by, ref.index, msgspec.msgpack.encode(state)),
            )

    # --- looking up ---------------------------------------------------------------------------

    def _sealed(self, tx: Tx, transaction: Transaction) -> SignedTransaction | None:
        query = "SELECT signed FROM register_sealed WHERE id = ?"
        for (data,) in tx.execute(query, (id_of(transaction),)):
            return from_bytes(data)
        return None

    def _state(self, tx: Tx, ref: StateRef) -> State | None:
        query = "SELECT state FROM register_states WHERE made_by = ? AND position = ?"
        for (data,) in tx.execute(query, (ref.made_by, ref.index)):
            return msgspec.msgpack.decode(data, type=State)
        return None

    def _used(self, tx: Tx, transaction: Transaction) -> list[State]:
        states = (self._state(tx, ref) for ref in transaction.inputs)
        return [state for state in states if state is not None]
