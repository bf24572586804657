"""How many two-party trades complete each second: whole conversations over three nodes in one
process, each with an SQLite file and full durability, beside what their signatures alone allow."""

from __future__ import annotations

import asyncio
import datetime
import statistics
import tempfile
import time
from collections.abc import Mapping
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
from tests.ledger.trades import TradeTown, play

COUNT = 300
"""How many trades one round has."""

AT_ONCE = 100
"""How many of them are under way together."""

PRICE = Amount(1_000, "EUR")

SIGNED, CHECKED = 4, 5
"""What one trade under known keys needs, whoever programs it: signatures of the buyer, the seller,
under the request to the notary, and its seal; each checked by who needs it, the seal by both."""


def _own(ledger: Ledger) -> Mapping[str, object]:
    return {
        "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
        "finance.cash.Treasury": Treasury(otherwise=None),
        "finance.trade.Trades": TradeDesk(ledger.keys, ledger.vault, ledger.rules),
        "finance.trade.Trading": TradeRules(paper.NAME, PRICE),
    }


async def _play(folder: Path, count: int, *, pseudonymous: bool) -> float:
    """Trades each second. The seller has papers of its own, the buyer coins of its own that fit."""
    async with LocalNetwork(["alice", "bob"], [cash, paper], folder=folder) as local:
        await local.open(cash_flow, trade_flow, play(), own=_own)
        alice, bob, key = local.nodes["alice"], local.nodes["bob"], local.key("alice")
        now = datetime.datetime.now(datetime.UTC)
        papers = []
        for number in range(count):
            terms = (Amount(1_200, "EUR"), Issuer(key, b""), now + datetime.timedelta(days=9))
            builder = TransactionBuilder(local.identity("notary")).command(paper.Issue(), key)
            builder.make(CommercialPaper(Issuer(key, number.to_bytes(4, "big")), key, *terms))
            builder.around(now, datetime.timedelta(hours=1))
            signed = builder.sign([local.keys["alice"].identity()])
            papers.append(StateRef(signed.id, 0))
            await alice.start(play().Share_v1, signed=signed, parties=())
        while alice.flows():
            await asyncio.sleep(0.01)
        # Each coin is of a transaction of its own: with each trade comes a history.
        for _ in range(count):
            coins = {"sums": (PRICE,), "reference": b"", "notary": local.notary}
            await bob.start(cash_flow.CashIssue_v1, **coins)
        while bob.flows():
            await asyncio.sleep(0.01)

        async def some(first: int) -> None:
            for number in range(first, count, AT_ONCE):
                offered = {
                    "buyer": Party("bob"),
                    "asset": papers[number],
                    "price": PRICE,
                    "pseudonymous": pseudonymous,
                }
                handle = await alice.start(trade_flow.OfferTrade_v1, **offered)
                await handle.result()

        began = time.perf_counter()
        await asyncio.gather(*[some(first) for first in range(AT_ONCE)])
        return count / (time.perf_counter() - began)


def measure(figures: dict[str, float]) -> None:
    """All figures of the trade, into `figures`, which has those of signatures already."""
    for name, pseudonymous in (
        ("known_key_trades_per_s", False),
        ("pseudonymous_trades_per_s", True),
    ):
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = asyncio.run(_play(Path(folder), COUNT, pseudonymous=pseudonymous))
    work_us = SIGNED * figures["ed25519_sign_us"] + CHECKED * figures["ed25519_verify_us"]
    figures["trades_limit_of_signatures_per_s"] = 1e6 / work_us
    sizes = state_bytes()
    figures["trade_state_bytes_median"] = statistics.median(sizes.values())
    figures["trade_state_bytes_max"] = max(sizes.values())
    for state, size in sizes.items():
        figures[f"trade_state_bytes_{state}"] = size


def state_bytes() -> dict[str, int]:
    """The bytes of each state in which a flow of a trade waited, at all three parties, the most if
    it was so more than once. A state is called by the flow that somebody started, the subflow that
    it rests in, and what it waits for."""
    town = TradeTown()
    town.coins(30_000, 30_000, 50_000)
    asset = town.paper()
    before = town.commits()
    town.result_of(town.offer(asset))
    sizes: dict[str, int] = {}
    for state, size in town.resting_states(before):
        sizes[state] = max(size, sizes.get(state, 0))
    town.close()
    return sizes
