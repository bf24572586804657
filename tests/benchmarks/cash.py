"""How much cash is issued and paid each second: whole flows over nodes in one process, each with an
SQLite file and full durability.

`issue_pay_per_s` is the two as one operation, of which Corda's open-source edition does 8 a second
on 32 cores, by its own sizing page: a sum is issued, and paid to another node through the notary.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowrt.core.flow import Party
from flowrt.finance import cash
from flowrt.finance.cash import Cash, Move
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.ledger.keys import ED25519, SigningKey
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.ledger.transactions import LedgerTransaction, SignedCommand
from flowrt.stdlib.finance import cash_flow
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer
from tests.ledger.played import program

COUNT = 400
"""How many issues, and payments, one round has."""

AT_ONCE = 100
"""How many of them are under way together."""

ISSUE_AND_PAY = """
use finance.cash: CashIssue, CashPayment
use ledger.core: SignedTransaction
use ledger.parts: Amount

flow IssueAndPay(payee: Party, amount: Amount, notary: Party) -> SignedTransaction:
    startable by rpc
    subflow CashIssue([amount], b"", notary)
    return subflow CashPayment(payee, amount)
"""


def _own(ledger: Ledger) -> Mapping[str, object]:
    return {
        "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
        "finance.cash.Treasury": Treasury(otherwise=None),
    }


async def _rate(node: Any, flow: Any, count: int, **arguments: Any) -> tuple[float, float]:
    """Flows each second, so many together, by the clock and of the processor."""

    async def some(number: int) -> None:
        for _ in range(number):
            handle = await node.start(flow, **arguments)
            await handle.result()

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*[some(count // AT_ONCE) for _ in range(AT_ONCE)])
    return count / (time.perf_counter() - began), count / (time.process_time() - cpu)


async def _play(folder: Path, count: int) -> tuple[tuple[float, float], ...]:
    flows = program(ISSUE_AND_PAY, "benchmark")
    async with LocalNetwork(["bank", "alice"], [cash], folder=folder) as local:
        await local.open(cash_flow, flows, own=_own)
        bank = local.nodes["bank"]
        coin = (Amount(100, "EUR"),)
        issued = await _rate(
            bank,
            cash_flow.CashIssue_v1,
            count,
            sums=coin,
            reference=b"\x01",
            notary=local.notary,
        )
        paid = await _rate(
            bank,
            cash_flow.CashPayment_v1,
            count,
            payee=Party("alice"),
            amount=Amount(70, "EUR"),
        )
        both = await _rate(
            bank,
            flows.IssueAndPay_v1,
            count,
            payee=Party("alice"),
            amount=Amount(70, "EUR"),
            notary=local.notary,
        )
        return issued, paid, both


def judged(figures: dict[str, float], seconds: float = 0.5) -> None:
    """The contract alone: a payment of one coin with change."""
    alice, bob, bank = (SigningKey(ED25519, bytes([n]) * 32).public for n in (1, 2, 3))
    issuer = Issuer(bank, b"\x01")
    seen = LedgerTransaction(
        id=bytes(32),
        inputs=(Cash(alice, Amount(100, "EUR"), issuer),),
        outputs=(Cash(bob, Amount(70, "EUR"), issuer), Cash(alice, Amount(30, "EUR"), issuer)),
        commands=(SignedCommand(Move(), (alice,)),),
        references=(),
        notary=None,
        window=None,
        attachments={},
    )
    times, began = 0, time.process_time()
    while (took := time.process_time() - began) < seconds:
        for _ in range(100):
            cash.verify(seen)
        times += 100
    figures["cash_contract_us"] = took / times * 1e6


def measure(figures: dict[str, float], count: int = COUNT) -> None:
    """All figures of cash, into `figures`."""
    judged(figures)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_play(Path(folder), count))
    for name, (rate, rate_cpu) in zip(("issuances", "payments", "issue_pay"), found, strict=True):
        figures[f"{name}_per_s"] = rate
        figures[f"{name}_per_cpu_s"] = rate_cpu
