"""Transactions in the vault: recorded ones, and those that wait for their notary. Judges nothing.

A transaction in flight gets its number again when it is recorded, so numbers of recorded ones rise
in the order of recording: that is what updates are read by.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from flowrt.core.flow import Tx
from flowrt.ledger.memory import Remembered, of_table
from flowrt.ledger.transactions import SignedTransaction
from flowrt.ledger.vault.tables import IN_FLIGHT, VERIFIED

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)

PARSED_BYTES = 16 * 1024 * 1024
"""How many bytes of transactions are kept as they were read."""


class Row(NamedTuple):
    """A transaction as the table has it."""

    number: int
    status: int
    signed: bytes


ROWS_BYTES = 8 * 1024 * 1024
"""How many bytes of rows are remembered, so that they need not be asked for again."""

_ROWS, _IDS_OF, _LAST = (
    "ledger_transaction",
    "ledger_transaction number",
    "ledger_transaction last number",
)
"""What is remembered: rows by id, ids by number, the last number."""


def find(tx: Tx, id: bytes) -> Row | None:
    """A recorded transaction, or one in flight."""
    remembered = of_table(tx, _ROWS, ROWS_BYTES)
    found: tuple[Row | None] | None = remembered.get(id)
    if found is None:
        rows = tx.execute(
            "SELECT number, status, signed FROM ledger_transaction WHERE id = ?", (id,)
        )
        found = (Row._make(rows[0]) if rows else None,)
        remembered.put(id, found, _weight(found[0]))
    return found[0]


def _weight(row: Row | None) -> int:
    return 200 + (0 if row is None else len(row.signed))


class Records:
    """The table of transactions, and a memory of those that were read from it."""

    def __init__(self) -> None:
        self._parsed: Remembered[bytes, SignedTransaction] = Remembered(PARSED_BYTES)

    def find(self, tx: Tx, id: bytes) -> Row | None:
        """A recorded transaction, or one in flight."""
        return find(tx, id)

    def status(self, tx: Tx, id: bytes) -> int | None:
        """VERIFIED, IN_FLIGHT, or None: it is not there."""
        found = find(tx, id)
        return None if found is None else found.status

    def read(self, signed: bytes) -> SignedTransaction:
        """A transaction from the bytes of its row."""
        found = self._parsed.get(signed)
        if found is None:
            found = SignedTransaction.from_flow(signed)
            self._parsed.put(signed, found, len(signed))
        return found

    def verified(self, tx: Tx, id: bytes) -> SignedTransaction | None:
        """A recorded transaction."""
        row = self.find(tx, id)
        return None if row is None or row.status != VERIFIED else self.read(row.signed)

    def put(
        self, tx: Tx, transaction: SignedTransaction, status: int, before: Row | None = None
    ) -> int:
        """Write it under the next number, in place of what was `before`; that number."""
        signed = transaction.to_flow()
        self._parsed.put(signed, transaction, len(signed))
        at_us = time_us(tx.now)
        last: int | None = tx.known.get(_LAST)
        if last is None:
            [(last,)] = tx.execute("SELECT coalesce(max(number), 0) FROM ledger_transaction")
        number = last + 1
        if before is None:
            tx.execute(
                "INSERT INTO ledger_transaction VALUES (?, ?, ?, ?, ?)",
                (number, transaction.id, status, at_us, signed),
            )
        else:
            tx.execute(
                "UPDATE ledger_transaction SET number = ?, status = ?, at_us = ?, signed = ? "
                "WHERE number = ?",
                (number, status, at_us, signed, before.number),
            )
        tx.known[_LAST] = number
        row = Row(number, status, signed)
        of_table(tx, _ROWS, ROWS_BYTES).put(transaction.id, (row,), _weight(row))
        if before is not None:
            of_table(tx, _IDS_OF).drop(before.number)
        of_table(tx, _IDS_OF).put(number, transaction.id)
        return number

    def forget(self, tx: Tx, number: int) -> None:
        """Remove one that is in flight."""
        rows = tx.execute(
            f"DELETE FROM ledger_transaction WHERE number = ? AND status = {IN_FLIGHT} "
            "RETURNING id",
            (number,),
        )
        for (id,) in rows:
            of_table(tx, _ROWS, ROWS_BYTES).drop(id)
            of_table(tx, _IDS_OF).drop(number)
            tx.known.pop(_LAST, None)

    def in_flight(self, tx: Tx, most: int = -1) -> list[tuple[int, bytes, int, bytes]]:
        """(number, id, time, bytes) of those in flight, the oldest first."""
        rows = tx.execute(
            "SELECT number, id, at_us, signed FROM ledger_transaction "
            f"WHERE status = {IN_FLIGHT} ORDER BY at_us, number LIMIT ?",
            (most,),
        )
        return [(number, id, at_us, signed) for number, id, at_us, signed in rows]

    def recorded_after(self, tx: Tx, number: int, most: int) -> list[tuple[int, int, bytes]]:
        """(number, time, bytes) of recorded ones, in order, from behind that number on."""
        rows = tx.execute(
            "SELECT number, at_us, signed FROM ledger_transaction "
            f"WHERE number > ? AND status = {VERIFIED} ORDER BY number LIMIT ?",
            (number, most),
        )
        return [(number, at_us, signed) for number, at_us, signed in rows]

    def ids(self, tx: Tx, numbers: Sequence[int]) -> dict[int, bytes]:
        """The ids of transactions by their numbers."""
        remembered = of_table(tx, _IDS_OF)
        found: dict[int, bytes] = {}
        wanted = []
        for number in sorted(set(numbers)):
            id: bytes | None = remembered.get(number)
            if id is None:
                wanted.append(number)
            else:
                found[number] = id
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            # One text for all counts, so that it is prepared once.
            some += [-1] * (_AT_ONCE - len(some))
            for number, id in tx.execute(_IDS, some):
                found[number] = id
                remembered.put(number, id)
        return found


_AT_ONCE = 32
_IDS = f"SELECT number, id FROM ledger_transaction WHERE number IN ({', '.join('?' * _AT_ONCE)})"


def time_us(at: datetime.datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def time_of(at_us: int) -> datetime.datetime:
    """The moment so many microseconds after 1970 began."""
    return _EPOCH + datetime.timedelta(microseconds=at_us)
