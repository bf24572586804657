"""How many two-party trades are settled each second over three nodes in one process, each with an
SQLite file and full durability, and how many there could be if signatures were all that costs.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowrt.core.flow import Party
from flowrt.finance import cash
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.ledger.keys import PublicKey, SigningKey
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.ledger.states import Rulebook
from flowrt.stdlib.finance import cash_flow
from flowrt.stdlib.ledger.parts_flow import Amount
from tests.ledger.played import program
from tests.simulation import market

ROUNDS = ((1, 40), (8, 160), (32, 320), (96, 384))
"""How many trades are under way at once, and how many there are."""

EACH = 20
"""How many coins one transaction makes."""

PRICE = Amount(1_000, "EUR")

FLOWS = Path(__file__).parents[1] / "simulation" / "market.flow"
"""The trade: a thing for cash, which the buyer has notarised, among pseudonyms."""


def _own(flows: Any, rules: Rulebook, ledger: Ledger) -> Mapping[str, object]:
    return {
        "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
        "finance.cash.Treasury": Treasury(otherwise=None),
        "market.Market": market.Market(ledger, rules, flows, set()),
    }


class Counted:
    """How many signatures were made, and how many were checked."""

    def __init__(self) -> None:
        self.signs = 0
        self.verifies = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        sign, verify = SigningKey.sign, PublicKey.verify

        def signing(key: SigningKey, content: bytes) -> bytes:
            self.signs += 1
            return sign(key, content)

        def verifying(key: PublicKey, data: bytes, content: bytes) -> None:
            self.verifies += 1
            verify(key, data, content)

        SigningKey.sign, PublicKey.verify = signing, verifying  # type: ignore[method-assign]
        try:
            yield
        finally:
            SigningKey.sign, PublicKey.verify = sign, verify  # type: ignore[method-assign]


def seconds_of(once: Callable[[], object], times: int = 300) -> float:
    """Seconds of the processor that a call takes: the best of five rounds."""
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(times):
            once()
        rounds.append((time.process_time() - begun) / times)
    return min(rounds)


async def _run(node: Any, flow: Any, count: int, at_once: int, **arguments: Any) -> None:
    async def some(number: int) -> None:
        for _ in range(number):
            handle = await node.start(flow, **arguments)
            await handle.result()

    await asyncio.gather(*[some(count // at_once) for _ in range(at_once)])


async def _play(folder: Path, figures: dict[str, float]) -> None:
    counted = Counted()
    flows = program(FLOWS.read_text("utf-8"), "market")
    async with LocalNetwork(["seller", "buyer"], [cash, market.RULES], folder=folder) as local:
        own = functools.partial(_own, flows, local.rules)
        await local.open(cash_flow, flows, own=own)
        seller, buyer = local.nodes["seller"], local.nodes["buyer"]
        needed = 8 + sum(count for _, count in ROUNDS)
        await _run(seller, flows.Make_v1, needed, 8, name="a horse", notary=local.notary)
        coins = (Amount(1_500, "EUR"),) * EACH
        await _run(
            buyer,
            cash_flow.CashIssue_v1,
            needed // EACH + 1,
            1,
            sums=coins,
            reference=b"",
            notary=local.notary,
        )
        trade = functools.partial(
            _run, buyer, flows.Buy_v1, seller=Party("seller"), price=PRICE, watcher=None
        )
        await trade(4, 1)  # What is found out once is known.
        with counted.counting():
            await trade(1, 1)
        figures["trade_signs"] = counted.signs
        figures["trade_verifies"] = counted.verifies
        best = best_cpu = 0.0
        for at_once, count in ROUNDS:
            began, cpu = time.perf_counter(), time.process_time()
            await trade(count, at_once)
            rate = count / (time.perf_counter() - began)
            figures[f"trades_per_s_{at_once}_at_once"] = rate
            best = max(best, rate)
            best_cpu = max(best_cpu, count / (time.process_time() - cpu))
        figures["trades_per_s"] = best
        figures["trades_per_cpu_s"] = best_cpu
        key = local.keys["seller"].identity()
    content = b"c" * 70
    data = key.sign(content)
    sign = seconds_of(lambda: key.sign(content))
    verify = seconds_of(lambda: key.public.verify(data, content))
    figures["trades_limit_per_s"] = 1 / (counted.signs * sign + counted.verifies * verify)


def measure(figures: dict[str, float]) -> None:
    """All figures of trades, into `figures`."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), figures))
