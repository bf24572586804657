"""A trade on the ledger between nodes that have nothing in common but TLS connections."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

from flowrt.core.flow import Party
from flowrt.finance import cash, paper
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.finance.paper import CommercialPaper
from flowrt.finance.trading import TradeDesk, TradeRules
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.stdlib.finance import cash_flow, trade_flow
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from tests.ledger.trades import play
from tests.transport.certified import Doors, Town

PRICE = Amount(1_000, "EUR")


def own(ledger: Ledger) -> dict[str, object]:
    return {
        "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
        "finance.cash.Treasury": Treasury(otherwise=None),
        "finance.trade.Trades": TradeDesk(ledger.keys, ledger.vault, ledger.rules),
        "finance.trade.Trading": TradeRules(paper.NAME, PRICE),
    }


def test_a_paper_is_sold_for_cash_over_real_sockets(tmp_path: Path) -> None:
    town = Town(tmp_path)

    async def main() -> None:
        async with town.open("alice", "bob", "notary") as networks:
            local = LocalNetwork(["alice", "bob"], [cash, paper])
            local.network = Doors(networks)  # type: ignore[assignment]
            async with local:
                await local.open(cash_flow, trade_flow, play(), own=own)
                alice, bob, key = local.nodes["alice"], local.nodes["bob"], local.key("alice")
                now = datetime.datetime.now(datetime.UTC)
                builder = TransactionBuilder(local.identity("notary")).command(paper.Issue(), key)
                terms = (Amount(1_200, "EUR"), Issuer(key, b""), now + datetime.timedelta(days=9))
                builder.make(CommercialPaper(Issuer(key, b"1"), key, *terms))
                builder.around(now, datetime.timedelta(hours=1))
                signed = builder.sign([local.keys["alice"].identity()])
                shared = await alice.start(play().Share_v1, signed=signed, parties=())
                await shared.result()
                issued = await bob.start(
                    cash_flow.CashIssue_v1, sums=(PRICE,), reference=b"", notary=local.notary
                )
                await issued.result()
                offered = await alice.start(
                    trade_flow.OfferTrade_v1,
                    buyer=Party("bob"),
                    asset=StateRef(signed.id, 0),
                    price=PRICE,
                    pseudonymous=False,
                )
                await offered.result()

    asyncio.run(main())
