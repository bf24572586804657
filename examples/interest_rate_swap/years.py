"""A swap of two years, four dates, in a few seconds: the clock jumps from date to date.

flowc compile swap.flow && python years.py
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Mapping
from types import ModuleType

import swap_flow
import swaps
from book import Swaps
from oracle import Rates
from swap_flow import Agree_v1, PublishRate_v1, SwapDecision_Take, Terms

from flowrt.core.flow import Party
from flowrt.finance import cash
from flowrt.finance.currencies import shown
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.stdlib.finance import cash_flow
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

RULES: tuple[ModuleType, ...] = (cash, swaps)
MODULES: tuple[ModuleType, ...] = (swap_flow, cash_flow)
PARTIES = ("acme", "fund", "oracle", "mint")
INDEX = "EURIBOR 6M"
ACCOUNT = b"\x01"

BEGINS = datetime.datetime(2027, 1, 4, 9, tzinfo=datetime.UTC)
DATES = tuple(
    datetime.datetime(year, month, 5, 9, tzinfo=datetime.UTC)
    for year, month in ((2027, 7), (2028, 1), (2028, 7), (2029, 1))
)
RATES = (39_500, 42_500, 46_250, 47_000)


class Clock:
    """A clock that can be set forward."""

    def __init__(self, start: datetime.datetime) -> None:
        self._ahead = int(start.timestamp()) * 1_000_000 - time.time_ns() // 1000

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self._ahead

    def set(self, to: datetime.datetime) -> None:
        self._ahead = int(to.timestamp()) * 1_000_000 - time.time_ns() // 1000


def services(local: LocalNetwork, ledger: Ledger) -> Mapping[str, object]:
    """What each node has of its own."""
    return {
        "Swaps": Swaps(ledger, local.notary),
        "Rates": Rates(ledger, [INDEX]),
        "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
        "finance.cash.Treasury": Treasury(otherwise=None),
    }


def terms(local: LocalNetwork) -> Terms:
    """`acme`, which has borrowed at the floating rate, wants to pay a fixed one."""
    return Terms(
        Party("acme"),
        Party("fund"),
        Party("oracle"),
        INDEX,
        Amount(1_000_000_000, "EUR"),
        Issuer(local.key("mint"), ACCOUNT),
        42_500,
        BEGINS,
        DATES,
    )


async def show() -> list[tuple[int, int]]:
    """What both sides have after each date."""
    clock = Clock(BEGINS)
    local = LocalNetwork(PARTIES, RULES, seed="swap", clock=clock)
    seen = []
    async with await local.open(*MODULES, own=lambda ledger: services(local, ledger)):
        nodes = local.nodes
        issuing = await nodes["mint"].start(
            cash_flow.CashIssue_v1,
            sums=(Amount(100_000_000, "EUR"),),
            reference=ACCOUNT,
            notary=local.notary,
        )
        await issuing.result()
        for name in ("acme", "fund"):
            paying = await nodes["mint"].start(
                cash_flow.CashPayment_v1,
                payee=Party(name),
                amount=Amount(10_000_000, "EUR"),
                purpose="an account",
                pseudonymous=True,
                issuers=(),
            )
            await paying.result()
        agreeing = await nodes["acme"].start(Agree_v1, terms=terms(local))
        while not (asked := nodes["fund"].tasks("swaps desk")):
            await asyncio.sleep(0.01)
        await nodes["fund"].answer(asked[0].flow_id, asked[0].number, SwapDecision_Take(), by="kim")
        await agreeing.result()
        print("acme pays 4.25 % on 10,000,000.00 EUR, fund pays the floating rate")
        for date, rate in zip(DATES, RATES, strict=True):
            before = cash_of(local)
            clock.set(date)
            for node in nodes.values():
                node.turn()  # The clock was set: nobody noticed that.
            publishing = await nodes["oracle"].start(
                PublishRate_v1, index=INDEX, date=date, rate=rate
            )
            await publishing.result()
            await quiet(local)
            seen.append(cash_of(local))
            paid = seen[-1][1] - before[1]
            who = "nobody pays" if not paid else "acme pays fund" if paid > 0 else "fund pays acme"
            sum_ = shown(Amount(abs(paid), "EUR")) if paid else ""
            print(f"    {date:%Y-%m-%d}  {rate / 10_000:.3f} %  {who} {sum_}")
    return seen


async def quiet(local: LocalNetwork) -> None:
    """Wait until no flow is under way."""
    still = 0
    while still < 5:
        await asyncio.sleep(0.02)
        still = still + 1 if not any(node.flows() for node in local.nodes.values()) else 0


def cash_of(local: LocalNetwork) -> tuple[int, int]:
    """What acme and fund have."""
    acme, fund = (
        int(local.ledgers[name].vault.spendable(local.nodes[name].reading(), "EUR"))
        for name in ("acme", "fund")
    )
    return acme, fund


if __name__ == "__main__":
    asyncio.run(show())
