"""The trade of examples/two_party_trade: how it ends, what a crash may change (nothing), what a
cheat achieves (nothing either)."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowlang import demo
from flowrt.core.flow import FlowError, Party
from flowrt.node import Handle, Node
from flowrt.store import Batch
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork

SEED = "tests"
SELLER, BUYER, NOTARY = Party("seller"), Party("buyer"), Party("notary")
PARTIES = (SELLER, BUYER, NOTARY)
TABLES = {
    "seller": ("vault_transactions", "vault_states", "register_sealed"),
    "buyer": ("vault_transactions", "vault_states", "register_sealed"),
    "notary": ("register_sealed", "register_used", "register_states", "vault_transactions"),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The example, compiled, as its modules by name."""
    folder = tmp_path_factory.mktemp("trade")
    demo.prepare(folder)
    sys.path.insert(0, str(folder / "app"))
    names = ("ledger_flow", "trade_flow", "transactions", "keys", "vault", "register", "desk")
    try:
        yield SimpleNamespace(
            folder=folder, **{name: importlib.import_module(name) for name in (*names, "market")}
        )
    finally:
        sys.path.remove(str(folder / "app"))


# --- a world of three parties -----------------------------------------------------------------


class Crash(BaseException):
    """The process is gone. No handler of the product may catch it."""


class Power:
    """Counts commits of all parties and cuts the power before or after one of them."""

    def __init__(self, at: int = 0, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.commits = 0
        self.resting: list[int] = []

    def commit(self, batch: Batch, commit: Callable[[Batch], None]) -> None:
        self.commits += 1
        if self.commits == self.at and not self.after:
            raise Crash
        commit(batch)
        self.resting += [len(row[0]) for row in batch.flows.values() if row and row[1] != 0]
        if self.commits == self.at:
            raise Crash


class OnDisk(SqliteStore):
    def __init__(self, path: Path, power: Power) -> None:
        super().__init__(path)
        self.power = power

    def commit(self, batch: Batch) -> None:
        self.power.commit(batch, super().commit)


class InMemory(MemoryStore):
    def __init__(self, disk: MemoryDisk, power: Power) -> None:
        super().__init__(disk)
        self.power = power

    def commit(self, batch: Batch) -> None:
        self.power.commit(batch, super().commit)


Services = Callable[[Party], dict[str, object]]


class World:
    """Three nodes in one thread, driven by hand, with a clock that jumps.

    Args:
        folder: where databases go; None keeps them in memory.
        batch: how many events one commit takes.
        together: whether a crash takes all parties and what is on the wire with it, or only the
            party whose commit it hit.
    """

    def __init__(
        self,
        app: SimpleNamespace,
        services: Services,
        *,
        folder: Path | None = None,
        power: Power | None = None,
        batch: int = 512,
        together: bool = True,
    ) -> None:
        self.app = app
        self.services = services
        self.folder = folder
        self.power = power or Power()
        self.batch = batch
        self.together = together
        self.now_us = 1_750_000_000_000_000
        self.network = MemoryNetwork()
        self.disks = {party.name: MemoryDisk() for party in PARTIES}
        self.stores: dict[str, OnDisk | InMemory] = {}
        self.nodes: dict[str, Node] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.handles: dict[str, Handle[Any]] = {}
        self.crashes = 0
        for party in PARTIES:
            self.boot(party.name)

    def boot(self, name: str) -> None:
        """Start a party's node, again and again until it runs."""
        while name not in self.nodes:
            store = self.stores[name] = self._store(name)
            try:
                self.nodes[name] = Node.create(
                    name,
                    store=store,
                    network=self.network,
                    modules=[self.app.trade_flow],
                    services=self.services(Party(name)),
                    clock=lambda: self.now_us,
                    key=name.encode().ljust(32, b"."),
                    batch=self.batch,
                    reload=True,
                )
            except Crash:
                self.crash(name)

    def _store(self, name: str) -> OnDisk | InMemory:
        if self.folder is None:
            return InMemory(self.disks[name], self.power)
        return OnDisk(self.folder / f"{name}.sqlite", self.power)

    def crash(self, name: str) -> None:
        """What is left after the power went: the stores' committed content."""
        self.crashes += 1
        gone = [party.name for party in PARTIES] if self.together else [name]
        if self.together:
            self.network = MemoryNetwork()
        for party in gone:
            self.nodes.pop(party, None)
            if party in self.stores:
                self.stores.pop(party).close()
        for party in gone:
            if party != name or party in self.nodes:
                self.boot(party)

    def sell(self, order: str, serial: str, *units: int) -> None:
        """Give the seller an order; it is begun when the world runs."""
        prices = tuple(self.app.market.euros(price) for price in units)
        self.orders[order] = {"order": order, "buyer": BUYER, "serial": serial, "prices": prices}

    def run(self) -> None:
        """Until nothing moves and nothing is due."""
        while True:
            self._begin()
            busy = [self._turn(party.name) for party in PARTIES]
            if any([*busy, self.network.pump()]):
                continue
            due = [time for node in self.nodes.values() if (time := node.next_due()) is not None]
            if not due:
                return
            self.now_us = max(self.now_us, *due)

    def _begin(self) -> None:
        """Start the orders that have no flow yet, as the worker of the demo does."""
        seller = self.nodes["seller"]
        rows = self.rows("seller", "SELECT name, flow_id FROM desk_orders")
        known = {name: flow_id for name, flow_id in rows}
        for order, arguments in self.orders.items():
            handle = self.handles.get(order)
            if handle is not None and handle._node is seller:
                continue
            if order in known:
                self.handles[order] = seller.handle(known[order])
            else:
                self.handles[order] = seller.submit(
                    self.app.trade_flow.Seller_v1, **arguments
                )

    def _turn(self, name: str) -> bool:
        try:
            return self.nodes[name].turn()
        except Crash:
            self.crash(name)
            self.boot(name)
            return True

    def rows(self, party: str, sql: str) -> list[tuple[Any, ...]]:
        """What a party's database says."""
        store = self.stores[party]
        store.savepoint()
        try:
            return store.execute(sql, (), read_only=True)
        finally:
            store.abandon()

    # --- what is compared ---

    def result(self, order: str) -> Any:
        """The order's transaction; raises the error that ended it."""
        return self.handles[order].result_now()

    def buyer_result(self, flow_id: int = 1) -> Any:
        return self.nodes["buyer"].handle(flow_id).result_now()

    def locked(self) -> int:
        query = "SELECT count(*) FROM vault_states WHERE locked_by IS NOT NULL"
        return int(self.rows("buyer", query)[0][0])

    def cash(self, party: str) -> int:
        query = "SELECT sum(units) FROM vault_states WHERE kind = 'Cash' AND used_by IS NULL"
        return int(self.rows(party, query)[0][0] or 0)

    def story(self) -> dict[str, Any]:
        """All that must be the same, whatever crashed: results, tables, progress, nobody left."""
        told: dict[str, Any] = {}
        for order in self.orders:
            told[order] = _ended(lambda order=order: self.result(order))
        for party in PARTIES:
            node = self.nodes[party.name]
            for table in TABLES[party.name]:
                told[f"{party.name}.{table}"] = sorted(
                    self.rows(party.name, f"SELECT * FROM {table}"), key=repr
                )
            told[f"{party.name} living"] = [view.flow for view in node.flows()]
            told[f"{party.name} hospital"] = node.hospital()
            told[f"{party.name} progress"] = [
                [(move.number, move.path, move.label, move.outcome) for move in node.progress(n)]
                for n in range(1, 4)
            ]
        return told


def _ended(result: Callable[[], Any]) -> Any:
    try:
        return result()
    except FlowError as error:
        return (error.wire, error.fields())


def make(
    app: SimpleNamespace,
    *,
    coins: Sequence[int] = (80_000, 70_000, 50_000),
    kind: str = "CommercialPaper",
    change: Callable[[Party, dict[str, object]], None] | None = None,
    **options: Any,
) -> World:
    """A world where the seller has two papers of 1,000.00 euros, `change`d as a test likes."""
    market = app.market
    first = market.issue(
        SEED,
        [
            *(market.security(kind, serial, 100_000, SELLER) for serial in ("P-1", "P-2")),
            *(market.coin(units, BUYER) for units in coins),
        ],
    )

    def services(party: Party) -> dict[str, object]:
        offered: dict[str, object] = market.services(SEED, party, [first])
        if change is not None:
            change(party, offered)
        return offered

    return World(app, services, **options)


# --- how a trade ends -------------------------------------------------------------------------


def test_a_paper_is_sold_for_cash_with_change(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 95_000)
    world.run()
    settled = world.result("one")
    assert settled == world.buyer_result()
    transaction = settled.transaction
    assert [signature.by for signature in settled.signatures] == [BUYER, SELLER, NOTARY]
    assert len(transaction.inputs) == 3, "the paper and the two largest coins"
    owners = [(state.kind, state.owner, state.value.units) for state in transaction.outputs]
    assert sorted(owners, key=repr) == [
        ("Cash", BUYER, 55_000),
        ("Cash", SELLER, 80_000),
        ("Cash", SELLER, 15_000),
        ("CommercialPaper", BUYER, 100_000),
    ] or sorted(owners, key=repr) == sorted(
        [
            ("CommercialPaper", BUYER, 100_000),
            ("Cash", SELLER, 95_000),
            ("Cash", BUYER, 55_000),
        ],
        key=repr,
    )
    assert (world.cash("seller"), world.cash("buyer")) == (95_000, 105_000)
    assert world.locked() == 0
    assert all(node.flows() == [] for node in world.nodes.values())
    assert all(node.hospital() == [] for node in world.nodes.values())
