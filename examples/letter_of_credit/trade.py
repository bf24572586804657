"""Four parties and a notary in one process: one letter of credit that is paid, one that expires.

flowc compile letter.flow && python trade.py
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from types import ModuleType

import credit
import letter_flow
from desk import Credit
from letter_flow import (
    Apply_v1,
    CreditApplication,
    CreditDecision_Grant,
    Examination,
    Letter,
    NoSuchLetter,
    Papers,
    PapersSeen_Complete,
    Present_v1,
    Ship_v1,
    Terms,
    Verdict_Conforming,
)

from flowrt.core.flow import Party
from flowrt.finance import cash
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.node import Node
from flowrt.stdlib.finance import cash_flow
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

RULES: tuple[ModuleType, ...] = (cash, credit)
MODULES: tuple[ModuleType, ...] = (letter_flow, cash_flow)
PARTIES = ("buyer", "seller", "bank", "adviser", "mint")
"""The mint issues the money."""

ACCOUNT = b"\x01"
ANSWERS = {
    CreditApplication: CreditDecision_Grant(),
    Papers: PapersSeen_Complete(),
    Examination: Verdict_Conforming(),
}
"""What people say in this demo."""

SOON = datetime.timedelta(seconds=3)


def services(local: LocalNetwork, ledger: Ledger) -> Mapping[str, object]:
    """What each node has of its own."""
    return {
        "Credit": Credit(ledger, local.notary),
        "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
        "finance.cash.Treasury": Treasury(otherwise=None),
    }


async def people(nodes: Mapping[str, Node]) -> None:
    """Answer whatever is asked, at every node."""
    while True:
        for name, node in nodes.items():
            for task in node.tasks():
                answer = ANSWERS[type(task.question)]
                print(f"    {task.role} of {name}: {type(answer).__name__.partition('_')[2]}")
                await node.answer(task.flow_id, task.number, answer, by="kim")
        await asyncio.sleep(0.02)


async def show() -> Mapping[str, object]:
    """Who has what in the end."""
    local = LocalNetwork(PARTIES, RULES, seed="credit")
    async with await local.open(*MODULES, own=lambda ledger: services(local, ledger)):
        nodes = local.nodes
        answering = asyncio.create_task(people(nodes))
        money = Issuer(local.key("mint"), ACCOUNT)
        issuing = await nodes["mint"].start(
            cash_flow.CashIssue_v1,
            sums=(Amount(10_000_000, "EUR"),),
            reference=ACCOUNT,
            notary=local.notary,
        )
        await issuing.result()
        lending = await nodes["mint"].start(
            cash_flow.CashPayment_v1,
            payee=Party("bank"),
            amount=Amount(5_000_000, "EUR"),
            purpose="the bank's account",
            pseudonymous=True,
            issuers=(),
        )
        await lending.result()

        async def apply(goods: str, expires: datetime.datetime) -> bytes:
            terms = Terms(
                Party("seller"),
                Party("adviser"),
                Amount(2_400_000, "EUR"),
                money,
                goods,
                expires,
                expires,
            )
            print(f"buyer applies for 24,000.00 EUR for {goods}")
            applying = await nodes["buyer"].start(Apply_v1, bank=Party("bank"), terms=terms)
            return await applying.result()

        now = datetime.datetime.now(datetime.UTC)
        paid = await apply("40 bales of wool", now + datetime.timedelta(days=90))
        shipping = await nodes["seller"].start(
            Ship_v1, letter=paid, vessel="MV Ceres", paper=b"a picture of the bill"
        )
        bill = await shipping.result()
        print("seller has shipped, and presents the bill of lading")
        presenting = await nodes["seller"].start(Present_v1, letter=paid, bill=bill)
        await presenting.result()
        await gone(local, paid)
        print("    paid, and the bill of lading is the buyer's")

        lapsed = await apply("12 bales of silk", datetime.datetime.now(datetime.UTC) + SOON)
        print("seller ships nothing")
        await gone(local, lapsed)
        print("    the letter is cancelled")
        answering.cancel()
        return holdings(local, bill)


async def gone(local: LocalNetwork, number: bytes) -> None:
    """Wait until neither the buyer nor the seller has the letter any more."""
    while any(letter(local, name, number) is not None for name in ("buyer", "seller", "adviser")):
        await asyncio.sleep(0.02)


def letter(local: LocalNetwork, name: str, number: bytes) -> Letter | None:
    """A letter as a party has it now."""
    desk = Credit(local.ledgers[name], local.notary)
    try:
        return desk.letter(local.nodes[name].reading(), number)
    except NoSuchLetter:
        return None


def holdings(local: LocalNetwork, bill: bytes) -> Mapping[str, object]:
    """What cash the parties have, and whose the goods are."""
    found: dict[str, object] = {}
    for name in ("buyer", "seller", "bank"):
        reading, vault = local.nodes[name].reading(), local.ledgers[name].vault
        found[name] = int(vault.spendable(reading, "EUR"))
    desk = Credit(local.ledgers["buyer"], local.notary)
    found["goods"] = desk.bill(local.nodes["buyer"].reading(), bill).owner.name
    for name, what in found.items():
        print(f"    {name:8} {what}")
    return found


if __name__ == "__main__":
    asyncio.run(show())
