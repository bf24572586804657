"""The service `Rates` of an oracle, and what it is shown of a transaction. Knows no swap: it signs
that a rate is what it published, and sees nothing else.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from swap_flow import AlreadyPublished, NotSigned
from swaps import Fix

from flowrt.core.flow import Tx
from flowrt.core.values import BadBytes, decode
from flowrt.ledger.filtered import FilteredTransaction, filtered
from flowrt.ledger.node import Ledger
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import schema_of
from flowrt.ledger.transactions import (
    COMMANDS,
    SIGNERS,
    SignedTransaction,
    TransactionSignature,
    sign,
)

FIX = schema_of(Fix)

TABLE = """
CREATE TABLE IF NOT EXISTS oracle_rate (
    name TEXT NOT NULL, date TEXT NOT NULL, rate INTEGER NOT NULL, PRIMARY KEY (name, date))
"""


def fixing_shown(transaction: SignedTransaction) -> FilteredTransaction:
    """The fixing, and who must sign which command: an oracle must know that it signs no other."""

    def is_wanted(group: int, value: Any) -> bool:
        return group == SIGNERS or (group == COMMANDS and value.schema == FIX.name)

    return filtered(transaction.transaction, is_wanted)


class Rates:
    """What one oracle publishes: the rates of these indexes."""

    def __init__(self, ledger: Ledger, indexes: Sequence[str] = ()) -> None:
        self._keys = ledger.keys
        self._indexes = indexes

    def setup(self, tx: Tx) -> None:
        """Make the table, if it is missing; called whenever the node opens."""
        tx.execute(TABLE)

    def knows(self, tx: Tx, index: str) -> bool:
        return index in self._indexes

    def published(self, tx: Tx, index: str, date: datetime.datetime) -> int | None:
        rows = tx.execute(
            "SELECT rate FROM oracle_rate WHERE name = ? AND date = ?", (index, date.isoformat())
        )
        return rows[0][0] if rows else None

    def enter(self, tx: Tx, index: str, date: datetime.datetime, rate: int) -> None:
        known = self.published(tx, index, date)
        if known is not None:
            raise AlreadyPublished(known)
        tx.execute("INSERT INTO oracle_rate VALUES (?, ?, ?)", (index, date.isoformat(), rate))
        tx.happened("Rates.published", index, date)

    def sign(self, tx: Tx, parts: FilteredTransaction) -> tuple[TransactionSignature, ...]:
        """Our signature, if all that needs it is shown, and is what we published."""
        me = self._keys.me(tx).key
        try:
            signers = parts.all_of(SIGNERS)
        except LedgerError as error:
            raise NotSigned(str(error)) from None
        shown = parts.groups.get(COMMANDS, {})
        ours = [number for number, keys in enumerate(signers) if me in keys]
        if not ours:
            raise NotSigned("nothing needs our signature")
        for number in ours:
            fix = self._read(shown.get(number))
            if self.published(tx, fix.index, fix.date) != fix.rate:
                raise NotSigned(f"{fix.rate} is not the rate of {fix.index}")
        return (sign(parts.id, self._keys.identity_key(tx)),)

    @staticmethod
    def _read(command: Any) -> Fix:
        if command is None or (command.schema, command.version) != (FIX.name, FIX.version):
            raise NotSigned("something else needs our signature, or it is hidden")
        try:
            found: Fix = decode(Fix, command.data)
        except BadBytes:
            raise NotSigned("a fixing that cannot be read") from None
        return found
