"""The `Desk` service: the orders that a party carried out, and what it would buy at which price.

Stands for what traders decide. Knows no transaction and no key.
"""

from __future__ import annotations

from ledger_flow import Amount, State
from trade_flow import OrderExists

from flowrt.core.flow import Tx

PERCENT = 95  # of the face value

TABLE = """
    CREATE TABLE IF NOT EXISTS desk_orders (
        name     TEXT PRIMARY KEY,
        flow_id  INTEGER NOT NULL       -- the flow that carries it out
    )
"""


class Desk:
    """A desk that buys securities of one kind, for at most `percent` of their face value."""

    def __init__(self, wanted: str = "CommercialPaper", percent: int = PERCENT) -> None:
        self._wanted = wanted
        self.percent = percent

    def setup(self, tx: Tx) -> None:
        """Make the table, if it is missing; called whenever the node opens."""
        tx.execute(TABLE)

    def begin(self, tx: Tx, order: str) -> None:
        """Enter the order. It commits with the first step of the flow that carries it out, so an
        order in the table is under way or done, and one that is not was never begun."""
        if tx.execute("SELECT 1 FROM desk_orders WHERE name = ?", (order,)):
            raise OrderExists(order)
        tx.execute("INSERT INTO desk_orders VALUES (?, ?)", (order, tx.flow_id))

    def wanted(self, tx: Tx) -> str:
        return self._wanted

    def limit(self, tx: Tx, paper: State) -> Amount:
        return Amount(paper.value.units * self.percent // 100, paper.value.currency)
