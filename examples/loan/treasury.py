"""The `Treasury` service: what a lender can spare, holds back, has lent. Knows no conversation."""

from __future__ import annotations

import decimal

from loan_flow import Offer, Request

from flowrt.core.flow import Party, Tx

TABLES = (
    "CREATE TABLE IF NOT EXISTS treasury (free INTEGER NOT NULL, held INTEGER NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS treasury_loans (
        flow_id   INTEGER PRIMARY KEY,  -- the flow that lent it
        borrower  TEXT NOT NULL,
        units     INTEGER NOT NULL,
        rate      TEXT NOT NULL         -- a decimal, exactly
    )
    """,
)


class Treasury:
    """One lender. It has `units`, and offers at most `most` of them at a time, at `rate`; to nobody
    if it has no rate."""

    def __init__(self, units: int = 0, most: int = 0, rate: str = "") -> None:
        self._units = units
        self._most = most
        self._rate = rate

    def setup(self, tx: Tx) -> None:
        """Make the tables, if they are missing; called whenever the node opens."""
        for table in TABLES:
            tx.execute(table)
        if not tx.execute("SELECT 1 FROM treasury"):
            tx.execute("INSERT INTO treasury VALUES (?, 0)", (self._units,))

    async def judge(self, key: str, borrower: Party, request: Request) -> Offer | None:
        """Stands for a credit bureau, which may take its time; here it knows at once."""
        if not self._rate:
            return None
        return Offer(min(request.units, self._most), decimal.Decimal(self._rate))

    def reserve(self, tx: Tx, units: int) -> bool:
        [(free,)] = tx.execute("SELECT free FROM treasury")
        if free < units:
            return False
        tx.execute("UPDATE treasury SET free = free - ?, held = held + ?", (units, units))
        return True

    def release(self, tx: Tx, units: int) -> None:
        tx.execute("UPDATE treasury SET free = free + ?, held = held - ?", (units, units))

    def lend(self, tx: Tx, borrower: Party, units: int, rate: decimal.Decimal) -> None:
        tx.execute("UPDATE treasury SET held = held - ?", (units,))
        tx.execute(
            "INSERT INTO treasury_loans VALUES (?, ?, ?, ?)",
            (tx.flow_id, borrower.name, units, str(rate)),
        )
