"""A loan from five lenders: one declines, and one is asleep.

flowc compile loan.flow && python gather.py
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping

import loan_flow
from loan_flow import Accepted, Borrow_v1, NotEnough
from treasury import Treasury

from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork

LENDERS = {
    "abacus": Treasury(50_000, most=20_000, rate="4.25"),
    "bullion": Treasury(90_000, most=25_000, rate="3.9"),
    "coffer": Treasury(9_000, most=8_000, rate="3.75"),
    "ducat": Treasury(70_000),
}
ASLEEP = "escudo"


async def show(patience: datetime.timedelta) -> list[Mapping[str, Accepted]]:
    """Gather two loans; the second is more than there is."""
    network = MemoryNetwork()
    nodes = {
        name: await Node.open(
            name,
            store=MemoryStore(),
            network=network,
            modules=[loan_flow],
            services={"Treasury": treasury},
        )
        for name, treasury in {"mill": Treasury(), **LENDERS}.items()
    }
    lenders = tuple(Party(name) for name in (*LENDERS, ASLEEP))
    given = []
    for units in (40_000, 400_000):
        print(f"mill needs {units:,}, and waits {patience.total_seconds():g} s for {len(lenders)}")
        loan = await nodes["mill"].start(
            Borrow_v1, lenders=lenders, units=units, purpose="a new roof", patience=patience
        )
        try:
            given.append(await loan.result())
        except NotEnough as error:
            print(f"    {error}")
            continue
        for name, share in given[-1].items():
            print(f"    {name:8} {share.units:>7,} at {share.rate} %")
    for node in nodes.values():
        await node.close()
    return given


if __name__ == "__main__":
    asyncio.run(show(datetime.timedelta(seconds=2)))
