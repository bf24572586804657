"""How long a node that has nothing needs for a long history: two nodes in one process, each with an
SQLite file and full durability; sent, checked, recorded.

What one of them has read, the process knows by its bytes, so the other does not parse it again: two
processes need the time of `ledger_parse_us` more for each transaction.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from flowrt.core.flow import Party
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from tests.ledger import deals
from tests.ledger.market import PROGRAM

LENGTH = 2_500
"""How many transactions the history has, each resting on the one before."""


async def _play(folder: Path, length: int) -> tuple[float, float]:
    """Seconds from the beginning of the session to the last recorded transaction, by the clock and
    of the processor."""

    def own(ledger: Ledger) -> Mapping[str, object]:
        seal = local.keys["notary"].identity()
        return {"Deals": deals.Deals(ledger, local.identity("notary"), seal)}

    async with LocalNetwork(["alice", "bob"], [deals.RULES], folder=folder) as local:
        await local.open(PROGRAM, own=own)
        alice, bob = local.nodes["alice"], local.nodes["bob"]
        grown = await alice.start(PROGRAM.Grow_v1, count=length + 1, wide=1, spoiled=-1, how="")
        last = await grown.result()
        began, cpu = time.perf_counter(), time.process_time()
        shown = await alice.start(PROGRAM.Show_v1, whom=Party("bob"), shown=last)
        await shown.result()
        while bob.flows():
            await asyncio.sleep(0.001)
        took = time.perf_counter() - began, time.process_time() - cpu
        [[count]] = bob.reading().execute("SELECT count(*) FROM ledger_transaction")
        assert count == length, count
        return took


def measure(figures: dict[str, float]) -> None:
    """All figures of histories, into `figures`."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = asyncio.run(_play(Path(folder), LENGTH))
    figures["resolve_2500_s"], figures["resolve_2500_cpu_s"] = wall, cpu
