"""The trade as an app of nodes: `apps = ["two_party_trade"]` in `node.toml`.

Who sells issues papers (`papers.IssuePaper`), who buys issues cash (`finance.cash.CashIssue`).
`[services.Desk]` says whose money is taken; `[services."finance.trade.Trading"]` up to how many
percent of its face value a paper is bought.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from flowlang.examples import compiled
from flowrt.core.flow import Party, Tx
from flowrt.finance import cash, paper
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.node import Ledger
from flowrt.ledger.transactions import SignedTransaction
from flowrt.serving.apps import App, Place
from flowrt.stdlib.finance import cash_flow
from flowrt.stdlib.finance import trade_flow as library
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

ACCOUNT = b"\x01"
YEAR = datetime.timedelta(days=365)


class Papers:
    """The service `Papers` of one node."""

    def __init__(self, place: Place) -> None:
        self._ledger = _ledger(place)

    def issue(self, tx: Tx, serial: str, face: Amount, notary: Party) -> SignedTransaction:
        """The issue of a paper that we own and owe."""
        ledger = self._ledger
        me = ledger.keys.me(tx).key
        builder = TransactionBuilder(ledger.network.identity(tx, notary))
        issuance, payable = Issuer(me, serial.encode()), Issuer(me, ACCOUNT)
        made = paper.CommercialPaper(issuance, me, face, payable, tx.now + YEAR)
        builder.make(made).command(paper.Issue(), me)
        # The notary's clock is another one.
        builder.around(tx.now, datetime.timedelta(minutes=2))
        built = builder.build(ledger.keys.salt(tx))
        return ledger.keys.sign(tx, SignedTransaction(built))


def app() -> App:
    """The flows of a trade, and a party's own book."""
    compiled("two_party_trade")
    import bonds
    import papers_flow
    import trade_flow
    from desk import Appetite, Desk

    def desk(place: Place, banks: Sequence[str] | None = None) -> object:
        known = _ledger(place).network.newest
        names = known.entries if banks is None else banks
        found = [known.certified(name) for name in names]
        return Desk(_ledger(place), [Issuer(one.key, ACCOUNT) for one in found if one is not None])

    def appetite(place: Place, **given: Any) -> object:
        return Appetite(_ledger(place), **given)

    return App(
        modules=(trade_flow, papers_flow, library, cash_flow),
        services={"Desk": desk, "Papers": Papers, "finance.trade.Trading": appetite},
        rules=(cash, paper, bonds),
    )


def _ledger(place: Place) -> Ledger:
    assert place.ledger is not None, "a trade needs [ledger]"
    return place.ledger
