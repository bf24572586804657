"""The `Warehouse` service: a seller's stock, and what it costs. Knows no conversation."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping

from flowrt.core.flow import Party, Tx

TWO_WEEKS = datetime.timedelta(days=14)
LEAST_PERCENT = 85  # of the list price

TABLE = """
    CREATE TABLE IF NOT EXISTS warehouse_shipments (
        flow_id  INTEGER PRIMARY KEY,   -- the sale that it is for
        sku      TEXT NOT NULL,
        count    INTEGER NOT NULL,
        receiver TEXT NOT NULL
    )
"""


class Warehouse:
    """Sells what is in `prices`, by kind, for at least 85 percent of that."""

    def __init__(self, prices: Mapping[str, str] | None = None) -> None:
        self._prices = {sku: decimal.Decimal(price) for sku, price in (prices or {}).items()}

    def setup(self, tx: Tx) -> None:
        """Make the table, if it is missing; called whenever the node opens."""
        tx.execute(TABLE)

    def list_price(self, tx: Tx, sku: str, count: int) -> decimal.Decimal | None:
        price = self._prices.get(sku)
        return None if price is None else price * count

    def least_price(self, tx: Tx, sku: str, count: int) -> decimal.Decimal:
        return self._prices[sku] * count * LEAST_PERCENT / 100

    def ship(self, tx: Tx, sku: str, count: int, to: Party) -> datetime.datetime:
        """Send it on its way, in the commit that confirms it; when it should be there."""
        row = (tx.flow_id, sku, count, to.name)
        tx.execute("INSERT INTO warehouse_shipments VALUES (?, ?, ?, ?)", row)
        return tx.now + TWO_WEEKS
