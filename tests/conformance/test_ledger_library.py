"""The library of flows, as Corda's tests of it ask: what is not beside the library's own tests."""

from __future__ import annotations

from typing import Any

from flowrt.stdlib.ledger.transactions_flow import Supplied, Wanted
from tests.ledger.market import BOB, Market

LONG = 2_500
IN_ORDER = "SELECT id FROM ledger_transaction WHERE status = 1 ORDER BY number"


def said(market: Market, kind: type) -> list[Any]:
    return [message for _, message in market.said if isinstance(message, kind)]


def test_cs_204_a_history_of_2500() -> None:
    """All of it is verified, oldest first, in few questions, and nothing of it is kept by flows."""
    # Who has it believes it; who is shown it verifies all.
    with Market("alice", "bob", believing="alice") as market:
        last = market.do("alice", "Grow", count=LONG + 1)
        market.do("alice", "Show", whom=BOB, shown=last)
        ids = [id for (id,) in market.world.rows("alice", IN_ORDER)]
        assert len(ids) == LONG + 1
        assert [id for (id,) in market.world.rows("bob", IN_ORDER)] == ids[:-1]
        assert len(said(market, Wanted)) == 13
        assert max(len(supplied.transactions) for supplied in said(market, Supplied)) <= 500
        market.nothing_is_left()
