"""A purchase beyond the budget: the manager bids twice, and then approves.

flowc compile purchase.flow && python haggle.py
"""

from __future__ import annotations

import asyncio
import decimal

import purchase_flow
from purchase_flow import Decision_Approve, Decision_Bid, Purchase_v1
from warehouse import Warehouse

from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork

STOCK = {"drill": "249.00", "saw": "99.50"}


async def show() -> decimal.Decimal:
    """Buy eight drills; what was paid for them."""
    network = MemoryNetwork()
    buyer, seller = [
        await Node.open(
            name,
            store=MemoryStore(),
            network=network,
            modules=[purchase_flow],
            services={"Warehouse": Warehouse(stock)},
        )
        for name, stock in (("builder", {}), ("toolshop", STOCK))
    ]
    purchase = await buyer.start(
        Purchase_v1,
        order="P-1",
        seller=Party("toolshop"),
        sku="drill",
        count=8,
        budget=decimal.Decimal(1_500),
    )
    for bid in ("1600", "1650", None):
        while not (tasks := buyer.tasks("manager")):
            await asyncio.sleep(0)
        [task] = tasks
        asked = task.question
        print(f"{asked.count} {asked.sku} for {asked.price:.2f}? The budget is {asked.budget}.")
        print(f"    The manager {'approves' if bid is None else f'bids {bid}'}.")
        said = Decision_Approve() if bid is None else Decision_Bid(decimal.Decimal(bid))
        await buyer.answer(task.flow_id, task.number, said, by="mary")
    paid = await purchase.result()
    print(f"Bought for {paid:.2f}; in two weeks the warehouse is asked whether all of it is there.")
    await buyer.close()
    await seller.close()
    return paid


if __name__ == "__main__":
    asyncio.run(show())
