"""A trading day: one process with a node for each party, which carries out a plan of orders.

It may be killed at any moment. Started again in the same folder, it goes on where it was: the flows
are in the stores, and which orders were begun is in the seller's own table, written in the same
commit as the flow that carries the order out. It tells what happens as lines of JSON, each after
the commit that made it true.

    python -m day FOLDER --seed 7 --trades 50
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trade_flow
from market import BUYER, MODULES, PARTIES, SELLER, TOO_MUCH, Day, Order, plan

from flowrt.core.flow import FlowError, Party
from flowrt.core.progress import ProgressEvent
from flowrt.core.values import decode
from flowrt.node import Node
from flowrt.stdlib.ledger.approval_flow import PaymentDecision_Approve, PaymentDecision_Refuse
from flowrt.store import Batch
from flowrt.store.sqlite import SqliteStore

AT_ONCE = 8
"""How many orders are under way at a time."""

Tell = Callable[[dict[str, Any]], None]


def store_path(folder: Path, party: Party) -> Path:
    """Where a party's database is."""
    return folder / f"{party.name}.db"


class WatchedStore(SqliteStore):
    """Tells what a commit brought, once it is on disk: moves of progress trackers, and the bytes
    of each flow that now rests until somebody or something wakes it."""

    def __init__(self, path: Path, party: Party, tell: Tell) -> None:
        super().__init__(path)
        self._party = party
        self._tell = tell

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        events = [(flow_id, decode(ProgressEvent, data)) for flow_id, _, data in batch.moves]
        moves = [_move(flow_id, event) for flow_id, event in events if _is_shown(event)]
        resting = [len(row[0]) for row in batch.flows.values() if row and row[1] != 0]
        if moves or resting:
            self._tell(
                {"tell": "commit", "party": self._party.name, "moves": moves, "resting": resting}
            )


Move = tuple[int, int, str, str | None]
"""A flow's id, the depth of the subflow that moved, its label; how it ended, if it did."""


def _is_shown(event: ProgressEvent) -> bool:
    return event.is_move or event.done


def _move(flow_id: int, event: ProgressEvent) -> Move:
    return flow_id, event.depth, event.label, event.outcome


async def run(folder: Path, seed: str, trades: int, tell: Tell) -> None:
    """Carry out the day's orders, from wherever an earlier process left them."""
    day = plan(seed, trades, AT_ONCE, folder)
    nodes = await _open(folder, day, tell)
    seller = nodes[SELLER.name]
    begun = _begun(folder)
    living = {party: [view.id for view in node.flows()] for party, node in nodes.items()}
    moves = {
        party: [_move(n, e) for n in living[party] for e in node.progress(n) if _is_shown(e)]
        for party, node in nodes.items()
    }
    tell(
        {
            "tell": "opened",
            "in_flight": len(living[SELLER.name]),
            "flows": sum(map(len, living.values())),
            "begun": len(begun),
            "moves": moves,
        }
    )
    treasury = asyncio.create_task(_decide(nodes[BUYER.name]))
    gate = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for order in day.orders:
            group.create_task(_carry_out(seller, order, begun.get(order.name), gate, tell))
    # The last seal is on its way when the last seller is done: let everybody finish.
    while any(node.flows() for node in nodes.values()):
        await asyncio.sleep(0.002)
    treasury.cancel()
    for node in nodes.values():
        await node.close()
    await day.market.local.close()
    tell({"tell": "closed"})


async def _open(folder: Path, day: Day, tell: Tell) -> dict[str, Node]:
    nodes = {}
    for party in PARTIES:

        def own(ledger: Any, party: Party = party) -> dict[str, object]:
            return day.market.services(ledger, party)

        nodes[party.name] = await Node.open(
            party.name,
            store=WatchedStore(store_path(folder, party), party, tell),
            network=day.market.local.network,
            modules=MODULES,
            services=day.market.local.services(party.name, MODULES, own),
        )
    return nodes


def _begun(folder: Path) -> dict[str, int]:
    """The flow of each order that was begun."""
    uri = f"{store_path(folder, SELLER).as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        return dict(db.execute("SELECT name, flow_id FROM desk_orders"))


async def _decide(buyer: Node) -> None:
    """The buyer's treasury, which knows a sum that is too much. A question that was asked before a
    crash is there afterwards, and so is its answer."""
    while True:
        for task in buyer.tasks("treasury"):
            is_fine = task.question.amount * 100 <= TOO_MUCH
            said = PaymentDecision_Approve() if is_fine else PaymentDecision_Refuse("too much")
            await buyer.answer(task.flow_id, task.number, said, by="kim")
        await asyncio.sleep(0.01)


async def _carry_out(
    seller: Node, order: Order, flow_id: int | None, gate: asyncio.Semaphore, tell: Tell
) -> None:
    """See one order through: start its flow, or find the one that an earlier process started."""
    async with gate:
        if flow_id is None:
            handle = await seller.start(
                trade_flow.Seller_v1,
                order=order.name,
                buyer=BUYER,
                serial=order.serial,
                prices=order.prices,
            )
        else:
            handle = seller.handle(flow_id)
        try:
            settled = await handle.result()
        except FlowError as error:
            end, transaction = type(error).__name__, None
        else:
            end, transaction = "settled", settled.transaction.hex()
        tell({"tell": "ended", "order": order.name, "end": end, "transaction": transaction})


def _tell_line(fact: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", default="7")
    parser.add_argument("--trades", type=int, default=50)
    options = parser.parse_args()
    asyncio.run(run(options.folder.resolve(), options.seed, options.trades, _tell_line))


if __name__ == "__main__":
    main()
