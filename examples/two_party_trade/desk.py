"""The services that are a party's own: its orders, what it would buy at which price.

Stands for what traders decide. Puts no transaction together and knows no conversation.
"""

from __future__ import annotations

from collections.abc import Sequence

from trade_flow import NotHeld, OrderExists

from flowrt.core.flow import Party, Tx
from flowrt.finance import paper
from flowrt.ledger.node import Ledger
from flowrt.ledger.states import State
from flowrt.ledger.transactions import SignedTransaction, StateAndRef
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from flowrt.stdlib.ledger.vault_flow import StateQuery

PERCENT = 95  # of the face value

TABLE = """
    CREATE TABLE IF NOT EXISTS desk_orders (
        name     TEXT PRIMARY KEY,
        flow_id  INTEGER NOT NULL       -- the flow that carries it out
    )
"""


class Desk:
    """The service `Desk` of one party.

    Args:
        ledger: its node's.
        banks: whose money it takes.
        opening: the transactions that it knows on the first morning.
    """

    def __init__(
        self, ledger: Ledger, banks: Sequence[Issuer], opening: Sequence[SignedTransaction] = ()
    ) -> None:
        self._vault = ledger.vault
        self._banks = tuple(banks)
        self._opening = opening

    def setup(self, tx: Tx) -> None:
        """Make the table, if it is missing; called whenever the node opens. On the first morning
        the vault learns what it owns."""
        tx.execute(TABLE)
        for signed in self._opening:
            self._vault.record(tx, signed)

    def begin(self, tx: Tx, order: str) -> None:
        """Enter the order. It commits with the first step of the flow that carries it out, so an
        order in the table is under way or done, and one that is not was never begun."""
        if tx.execute("SELECT 1 FROM desk_orders WHERE name = ?", (order,)):
            raise OrderExists(order)
        tx.execute("INSERT INTO desk_orders VALUES (?, ?)", (order, tx.flow_id))

    def find(self, tx: Tx, serial: str) -> StateRef:
        after = None
        while True:
            page = self._vault.states(tx, StateQuery(size=1_000, after=after))
            for found in page.states:
                if serial_of(self._vault.read(tx, found.state.ref)) == serial:
                    return found.state.ref
            after = page.next_
            if after is None:
                raise NotHeld(serial)

    def banks(self, tx: Tx) -> tuple[Issuer, ...]:
        return self._banks


class Appetite:
    """The library's service `Trading`: what is bought, at up to `percent` of its face value."""

    def __init__(self, ledger: Ledger, wanted: str = paper.NAME, percent: int = PERCENT) -> None:
        self._vault = ledger.vault
        self._wanted = wanted
        self._percent = percent

    def wanted(self, tx: Tx) -> str:
        return self._wanted

    def limit(self, tx: Tx, asset: StateAndRef) -> Amount:
        return limit_of(self._vault.read(tx, asset.ref), self._percent)

    def sells(self, tx: Tx, asset: StateRef, price: Amount, buyer: Party) -> bool:
        """Nothing is sold to who asks for it: orders are what is sold."""
        return False


def limit_of(asset: State, percent: int = PERCENT) -> Amount:
    """The most that is paid for an asset; nothing for one that has no face value."""
    face = getattr(asset, "face_value", Amount(0, ""))
    return Amount(face.units * percent // 100, face.currency)


def serial_of(asset: State) -> str | None:
    """The number under which an asset was issued; None for what has none, such as money."""
    issuance = getattr(asset, "issuance", None)
    return None if issuance is None else issuance.reference.decode()
