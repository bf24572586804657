"""Trades between three processes: two parties and a notary on TLS, asked through HTTP.

`python -m tests.benchmarks.town` prints the figures; `make bench` has them, too.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path

from flowlang.demo.board import Quiet
from flowlang.demo.processes import APP, _compiled
from flowlang.demo.tally import PARTIES
from flowlang.demo.town import Town
from flowlang.demo.trading import UNASKED, Day, Order, Plan

ALONE = 40
"""How many trades are made one after the other."""

TOGETHER = 400
"""How many are made with `AT_ONCE` under way."""

AT_ONCE = 16


def traded(figures: dict[str, float]) -> None:
    """Figures `processes_*`: trades a second, and milliseconds from a trade's start to its result,
    as the seller's client sees it; one at a time and several."""
    with tempfile.TemporaryDirectory() as folder:
        figures |= asyncio.run(_measured(Path(folder)))


async def _measured(folder: Path) -> dict[str, float]:
    _compiled()
    plan = Plan.drawn(random.Random(1), ALONE + TOGETHER, 0)
    town = await Town.founded(folder / "town", PARTIES, APP)
    try:
        with (town.places["buyer"].folder / "node.toml").open("a") as file:
            file.write(f'\n[services."finance.cash.Treasury"]\nlimits = {{ EUR = {UNASKED} }}\n')
        day = Day(town, plan, random.Random(1), Quiet())
        try:
            await day._open()
            for order in plan.orders:
                face = {"units": order.face, "currency": "EUR"}
                given = {"serial": order.serial, "face": face, "notary": "notary"}
                await day._ran("seller", "papers.IssuePaper", order.serial, given)
            alone, _ = await _rounds(day, plan.orders[:ALONE], 1)
            together, seconds = await _rounds(day, plan.orders[ALONE:], AT_ONCE)
        finally:
            await day.close()
        await town.stop()
    finally:
        town.close()
    return {
        "processes_trades_per_s": len(together) / seconds,
        "processes_trade_p50_ms": statistics.median(alone),
        "processes_trade_p99_ms": statistics.quantiles(alone, n=100)[98],
        f"processes_trade_at_{AT_ONCE}_p50_ms": statistics.median(together),
        f"processes_trade_at_{AT_ONCE}_p99_ms": statistics.quantiles(together, n=100)[98],
    }


async def _rounds(day: Day, orders: tuple[Order, ...], at_once: int) -> tuple[list[float], float]:
    """Milliseconds of each trade, and seconds of all."""
    room = asyncio.Semaphore(at_once)
    times = []

    async def trade(order: Order) -> None:
        async with room:
            begun = time.perf_counter()
            prices = [{"units": order.price, "currency": "EUR"}]
            given = {"order": order.order, "buyer": "buyer", "serial": order.serial}
            await day._ran("seller", "trade.Seller", order.order, {**given, "prices": prices})
            times.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    await asyncio.gather(*map(trade, orders))
    return times, time.perf_counter() - begun


if __name__ == "__main__":
    found: dict[str, float] = {}
    traded(found)
    for name, value in found.items():
        print(f"{name:36}{value:>12.2f}")
