"""The trade of examples/two_party_trade: how it ends, what a crash may change (nothing), what a
cheat achieves (nothing either)."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
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
    """Counts commits of all parties and cuts the power before or after some of them."""

    def __init__(self, *at: int, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.commits = 0
        self.resting: list[int] = []

    def commit(self, batch: Batch, commit: Callable[[Batch], None]) -> None:
        self.commits += 1
        if self.commits in self.at and not self.after:
            raise Crash
        commit(batch)
        self.resting += [len(row[0]) for row in batch.flows.values() if row and row[1] != 0]
        if self.commits in self.at:
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
        known = dict(rows)
        for order, arguments in self.orders.items():
            handle = self.handles.get(order)
            if handle is not None and handle._node is seller:
                continue
            if order in known:
                self.handles[order] = seller.handle(known[order])
            else:
                self.handles[order] = seller.submit(self.app.trade_flow.Seller_v1, **arguments)

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
    assert [(state.kind, state.owner, state.value.units) for state in transaction.outputs] == [
        ("CommercialPaper", BUYER, 100_000),
        ("Cash", SELLER, 95_000),
        ("Cash", BUYER, 55_000),
    ]
    assert (world.cash("seller"), world.cash("buyer")) == (95_000, 105_000)
    assert world.locked() == 0
    assert all(node.flows() == [] for node in world.nodes.values())
    assert all(node.hospital() == [] for node in world.nodes.values())


def test_the_seller_comes_down_on_a_fresh_session(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 99_000, 97_000, 95_000)
    world.run()
    assert world.result("one") == world.buyer_result(3)
    refusals = [_ended(lambda n=n: world.buyer_result(n)) for n in (1, 2)]
    assert [(wire, fields.price.units) for wire, fields in refusals] == [
        ("trade.UnacceptablePrice", 99_000),
        ("trade.UnacceptablePrice", 97_000),
    ]
    labels = [move.label for move in world.nodes["seller"].progress(1) if move.depth == 0]
    assert labels[1:4] == [f"Offering P-1 for {n} EUR" for n in (99_000, 97_000, 95_000)]


def test_a_seller_whose_prices_are_all_too_high_keeps_the_paper(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 99_000, 98_000)
    world.run()
    with pytest.raises(app.trade_flow.Unsold, match="no price of order one was acceptable"):
        world.result("one")
    assert (world.cash("seller"), world.cash("buyer"), world.locked()) == (0, 200_000, 0)


def test_a_wrong_asset_is_refused_on_both_sides(app: SimpleNamespace) -> None:
    bond = app.market.security("Bond", "B-1", 100_000, SELLER)
    extra = app.market.issue("bonds", [bond])
    world = make(app, change=lambda party, offered: _also_record(app, party, offered, extra))
    world.sell("one", "B-1", 95_000)
    world.run()
    for result in (lambda: world.result("one"), world.buyer_result):
        with pytest.raises(
            app.trade_flow.AssetMismatch, match="wanted a CommercialPaper, was offered a Bond"
        ):
            result()
    assert world.locked() == 0


def _also_record(
    app: SimpleNamespace, party: Party, offered: dict[str, object], *extra: object
) -> None:
    vault: Any = offered["Vault"]
    offered["Vault"] = app.vault.Vault(vault._keys, NOTARY, vault._banks, (*vault._first, *extra))


def test_a_buyer_without_enough_cash_says_so_and_locks_nothing(app: SimpleNamespace) -> None:
    world = make(app, coins=(40_000, 50_000))
    world.sell("one", "P-1", 95_000)
    world.run()
    for result in (lambda: world.result("one"), world.buyer_result):
        with pytest.raises(app.ledger_flow.NotEnoughCash, match="not enough cash for 95000 EUR"):
            result()
    assert world.locked() == 0


def test_two_trades_at_once_use_different_coins(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 60_000)
    world.sell("two", "P-2", 60_000)
    world.run()
    used = [world.result(order).transaction.inputs for order in ("one", "two")]
    assert not set(used[0]) & set(used[1])
    assert (world.cash("seller"), world.cash("buyer")) == (120_000, 80_000)


def test_cash_that_is_locked_is_not_there_for_others(app: SimpleNamespace) -> None:
    world = make(app, coins=(100_000,))
    world.sell("one", "P-1", 60_000)
    world.sell("two", "P-2", 40_000)
    world.run()
    assert world.result("one").transaction.outputs[1].value.units == 60_000
    with pytest.raises(app.ledger_flow.NotEnoughCash):
        world.result("two")
    world.sell("three", "P-2", 40_000)
    world.run()
    assert world.result("three") == world.buyer_result(3)
    assert (world.cash("seller"), world.cash("buyer")) == (100_000, 0)


def test_the_notary_refuses_a_second_spend(app: SimpleNamespace) -> None:
    """Two orders offer the same paper at once; an offer is no promise, and the notary decides."""
    world = make(app)
    world.sell("one", "P-1", 60_000)
    world.sell("two", "P-1", 60_000)
    world.run()
    settled = world.result("one")
    with pytest.raises(app.ledger_flow.AlreadySpent) as refused:
        world.result("two")
    assert refused.value.ref == settled.transaction.inputs[0]
    # What used it up is told as a hash: proof to who knows the transaction, nothing to others.
    used_by = app.transactions.id_of(settled.transaction)
    assert refused.value.by == hashlib.sha256(used_by).digest()
    assert refused.value.peer == BUYER
    assert (world.cash("seller"), world.cash("buyer"), world.locked()) == (60_000, 140_000, 0)
    sealed = world.rows("notary", "SELECT id FROM register_sealed")
    assert len(sealed) == 2, "the issue and one sale"


def test_an_order_is_not_carried_out_twice(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 60_000)
    world.run()
    again = world.nodes["seller"].submit(
        app.trade_flow.Seller_v1, **(world.orders["one"] | {"serial": "P-2"})
    )
    world.run()
    with pytest.raises(app.trade_flow.OrderExists, match="order one was carried out before"):
        again.result_now()


def test_what_is_not_ours_is_not_offered(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-9", 60_000)
    world.run()
    with pytest.raises(app.ledger_flow.NotOwned, match="P-9 is not ours to sell"):
        world.result("one")
    assert world.nodes["buyer"].progress(1) == [], "the buyer never heard of it"


# --- cheats -----------------------------------------------------------------------------------


def _of(party: Party, name: str, change: Callable[[Any], None]) -> Callable[..., None]:
    """Changes one service of one party."""

    def apply(owner: Party, offered: dict[str, object]) -> None:
        if owner == party:
            change(offered[name])

    return apply


def _proposing(app: SimpleNamespace, swap: Callable[[Any], Any]) -> Callable[..., None]:
    """A buyer whose proposals are `swap`ped for others, well signed."""

    def change(vault: Any) -> None:
        honest = vault.propose

        def propose(tx: Any, paper: Any, price: Any, seller: Any) -> Any:
            transaction = swap(honest(tx, paper, price, seller).transaction)
            signature = vault._keys.sign(tx, transaction)
            return app.ledger_flow.SignedTransaction(transaction, (signature,))

        vault.propose = propose

    return _of(BUYER, "Vault", change)


def _with_outputs(app: SimpleNamespace, transaction: Any, outputs: Sequence[Any]) -> Any:
    return app.ledger_flow.Transaction(transaction.notary, transaction.inputs, tuple(outputs))


def _short(app: SimpleNamespace) -> Callable[..., None]:
    def swap(transaction: Any) -> Any:
        paper, paid, change = transaction.outputs
        less = app.market.coin(paid.value.units - 1, paid.owner)
        more = app.market.coin(change.value.units + 1, change.owner)
        return _with_outputs(app, transaction, (paper, less, more))

    return _proposing(app, swap)


def _false_money(app: SimpleNamespace) -> Callable[..., None]:
    def swap(transaction: Any) -> Any:
        paper, paid, change = transaction.outputs
        buyers_own = app.ledger_flow.State("Cash", "", BUYER, paid.value, paid.owner)
        return _with_outputs(app, transaction, (paper, buyers_own, change))

    return _proposing(app, swap)


def _greedy(app: SimpleNamespace) -> Callable[..., None]:
    def swap(transaction: Any) -> Any:
        first = transaction.inputs[0]
        second = app.ledger_flow.StateRef(first.made_by, 1)
        return app.ledger_flow.Transaction(
            transaction.notary, (*transaction.inputs, second), transaction.outputs
        )

    return _proposing(app, swap)


def _elsewhere(app: SimpleNamespace) -> Callable[..., None]:
    return _proposing(
        app,
        lambda t: app.ledger_flow.Transaction(Party("buyer"), t.inputs, t.outputs),
    )


def _not_taking(app: SimpleNamespace) -> Callable[..., None]:
    return _proposing(app, lambda t: app.ledger_flow.Transaction(t.notary, t.inputs[1:], t.outputs))


def _unsigned(app: SimpleNamespace) -> Callable[..., None]:
    return _of(BUYER, "Keys", lambda keys: setattr(keys, "_seed", "somebody else's"))


@pytest.mark.parametrize(
    ("cheat", "why"),
    [
        (_short, "it does not pay the price"),
        (_false_money, "it does not pay the price"),
        (_greedy, "it takes more than that"),
        (_not_taking, "it does not take the paper"),
        (_elsewhere, "its notary is not ours"),
        (_unsigned, "you did not sign it"),
    ],
)
def test_the_seller_refuses_a_proposal_that_is_not_what_was_offered(
    app: SimpleNamespace, cheat: Callable[[SimpleNamespace], Any], why: str
) -> None:
    world = make(app, change=cheat(app))
    world.sell("one", "P-1", 95_000)
    world.run()
    for result in (lambda: world.result("one"), world.buyer_result):
        with pytest.raises(
            app.trade_flow.ProposalRefused, match=f"the seller refuses the proposal: {why}"
        ):
            result()
    assert (world.cash("seller"), world.cash("buyer"), world.locked()) == (0, 200_000, 0)


def _minting(app: SimpleNamespace) -> Callable[..., None]:
    def swap(transaction: Any) -> Any:
        paper, paid, change = transaction.outputs
        more = app.market.coin(change.value.units + 1, change.owner)
        return _with_outputs(app, transaction, (paper, paid, more))

    return _proposing(app, swap)


def _made_up_coins(app: SimpleNamespace) -> Callable[..., None]:
    fake = app.market.issue("fake", [app.market.coin(90_000, BUYER) for _ in range(2)])

    def apply(party: Party, offered: dict[str, object]) -> None:
        if party == BUYER:
            _also_record(app, party, offered, fake)

    return apply


def _stolen_coins(app: SimpleNamespace) -> Callable[..., None]:
    """The buyer pays with coins that belong to the notary."""
    first = app.market.issue("theirs", [app.market.coin(90_000, NOTARY) for _ in range(2)])
    theirs = app.transactions.outputs_of(first.transaction)

    def swap(transaction: Any) -> Any:
        refs = [ref for ref, _ in theirs]
        coins = [state for _, state in theirs]
        total = sum(coin.value.units for coin in coins)
        paper, paid, _ = transaction.outputs
        change = app.market.coin(total - paid.value.units, BUYER)
        return app.ledger_flow.Transaction(
            transaction.notary, (transaction.inputs[0], *refs), (paper, paid, change)
        )

    proposing = _proposing(app, swap)

    def apply(party: Party, offered: dict[str, object]) -> None:
        if party == NOTARY:
            register: Any = offered["Register"]
            register._first = (*register._first, first)
        proposing(party, offered)

    return apply


@pytest.mark.parametrize(
    ("cheat", "why"),
    [
        (_minting, "it does not add up"),
        (_made_up_coins, "it uses what does not exist"),
        (_stolen_coins, "signatures missing"),
    ],
)
def test_the_notary_refuses_a_transaction_that_is_not_in_order(
    app: SimpleNamespace, cheat: Callable[[SimpleNamespace], Any], why: str
) -> None:
    world = make(app, change=cheat(app))
    world.sell("one", "P-1", 95_000)
    world.run()
    for result in (lambda: world.result("one"), world.buyer_result):
        with pytest.raises(app.trade_flow.NotSettled, match=f"the trade was not settled: {why}"):
            result()
    assert world.locked() == 0
    assert world.cash("seller") == 0


def test_a_seller_who_signs_badly_gets_nothing_and_the_coins_are_free_again(
    app: SimpleNamespace,
) -> None:
    world = make(app, change=_of(SELLER, "Keys", lambda keys: setattr(keys, "_seed", "other")))
    world.sell("one", "P-1", 95_000)
    world.run()
    for result in (lambda: world.result("one"), world.buyer_result):
        with pytest.raises(app.trade_flow.NotSettled, match="no good signature"):
            result()
    assert (world.cash("buyer"), world.locked()) == (200_000, 0)


def test_a_seal_that_cannot_be_checked_holds_the_trade_until_somebody_looks(
    app: SimpleNamespace,
) -> None:
    """The buyer has an outdated key of the notary: nobody knows whether the trade is sealed, so the
    buyer must neither go on nor give up."""
    outdated = {"public": app.keys.directory("last year", ["seller", "buyer", "notary"])}

    def change(party: Party, offered: dict[str, object]) -> None:
        if party == BUYER and outdated:
            keys: Any = offered["Keys"]
            keys.public = {**keys.public, "notary": outdated["public"]["notary"]}

    world = make(app, change=change)
    world.sell("one", "P-1", 95_000)
    world.run()
    [patient] = world.nodes["buyer"].hospital()
    assert patient.cause == "hold: no good answer from notary; go on to ask it again"
    assert world.handles["one"].outcome is None
    assert world.locked() == 2

    outdated.clear()  # The right key is installed, the node started again, the flow let go on.
    world.crash("buyer")
    world.boot("buyer")
    world.nodes["buyer"].submit_retry(patient.flow_id)
    world.run()
    assert world.result("one") == world.buyer_result()
    assert (world.cash("seller"), world.cash("buyer"), world.locked()) == (95_000, 105_000, 0)
    assert world.nodes["buyer"].hospital() == []


# --- crashes ----------------------------------------------------------------------------------


def _hard(app: SimpleNamespace, **options: Any) -> World:
    """A trade with everything in it: refused twice by price and then settled, with change."""
    world = make(app, **options)
    world.sell("one", "P-1", 99_000, 95_000)
    world.run()
    return world


@pytest.fixture(scope="module")
def reference(app: SimpleNamespace) -> dict[str, Any]:
    """How the hard trade ends when nothing crashes."""
    return _hard(app).story()


def test_the_reference_is_a_settled_trade(app: SimpleNamespace, reference: dict[str, Any]) -> None:
    assert isinstance(reference["one"], app.ledger_flow.SignedTransaction)
    assert len(reference["notary.register_sealed"]) == 2
    assert all(not reference[f"{party.name} hospital"] for party in PARTIES)


@pytest.mark.parametrize("together", [True, False], ids=["all", "one"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("batch", [1, 512], ids=["single", "batched"])
def test_a_crash_at_any_commit_changes_nothing(
    app: SimpleNamespace, reference: dict[str, Any], batch: int, after: bool, together: bool
) -> None:
    """Before and after every commit of the trade, opening the databases included."""
    commits = _hard(app, batch=batch).power.commits
    assert commits > 20
    for at in range(1, commits + 1):
        world = _hard(app, batch=batch, power=Power(at, after=after), together=together)
        assert world.crashes == 1
        assert world.story() == reference, f"crash {'after' if after else 'before'} commit {at}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_commit_changes_nothing_on_disk(
    app: SimpleNamespace, reference: dict[str, Any], tmp_path: Path, after: bool
) -> None:
    def hard(at: int) -> World:
        folder = tmp_path / str(at)
        folder.mkdir()
        return _hard(app, folder=folder, power=Power(at, after=after))

    for at in range(1, hard(0).power.commits + 1):
        world = hard(at)
        assert world.crashes == 1
        assert world.story() == reference, f"crash {'after' if after else 'before'} commit {at}"
        for store in world.stores.values():
            store.close()


def test_two_crashes_in_a_row_change_nothing(
    app: SimpleNamespace, reference: dict[str, Any]
) -> None:
    """The second hits while the first is being recovered from, or soon afterwards."""
    commits = _hard(app).power.commits
    for gap in range(1, 7):
        for at in range(1, commits + 1, 3):
            world = _hard(app, power=Power(at, at + gap, after=True))
            assert world.crashes == 2
            assert world.story() == reference, f"crashes after commits {at} and {at + gap}"


def test_a_network_that_loses_repeats_and_reorders_changes_nothing(
    app: SimpleNamespace, reference: dict[str, Any]
) -> None:
    for seed in range(30):
        world = make(app)
        world.network.lose = world.network.repeat = world.network.reorder = 0.3
        world.network._random.seed(seed)
        world.sell("one", "P-1", 99_000, 95_000)
        world.run()
        assert world.story() == reference, f"network seed {seed}"


def test_a_flow_at_rest_takes_less_than_a_thousand_bytes(app: SimpleNamespace) -> None:
    """Every checkpoint of every party in the hard trade, as it is committed."""
    resting = _hard(app, batch=1).power.resting
    assert len(resting) > 10
    assert max(resting) < 1_000


# --- transactions and locks by themselves -----------------------------------------------------


def test_a_stranger_can_compute_a_transactions_id(app: SimpleNamespace) -> None:
    ledger = app.ledger_flow
    made_by = bytes(range(32))
    transaction = ledger.Transaction(
        notary=NOTARY,
        inputs=(ledger.StateRef(made_by, 0),),
        outputs=(ledger.State("Cash", "", Party("bank"), ledger.Amount(500, "EUR"), SELLER),),
    )
    by_hand = (
        b"\x93"  # an array of three
        + (b"\x91" + b"\xa6notary")
        + (b"\x91" + b"\x92" + b"\xc4\x20" + made_by + b"\x00")
        + (b"\x91" + b"\x95" + b"\xa4Cash" + b"\xa0" + b"\x91\xa4bank")
        + (b"\x92" + b"\xcd\x01\xf4" + b"\xa3EUR" + b"\x91\xa6seller")
    )
    assert app.transactions.canonical_bytes(transaction) == by_hand
    assert app.transactions.id_of(transaction) == hashlib.sha256(by_hand).digest()


@pytest.mark.parametrize(
    ("written", "differently"),
    [
        (b"\xcd\x01\xf4", b"\xce\x00\x00\x01\xf4"),  # a number in more bytes than it needs
        (b"\xa4Cash", b"\xd9\x04Cash"),  # a length in more bytes than it needs
        (b"\xa4Cash", b"\xc4\x04Cash"),  # bytes where text is declared
        (b"\xcd\x01\xf4", b"\xcb\x40\x7f\x40\x00\x00\x00\x00\x00"),  # a float
    ],
)
def test_a_transaction_written_in_another_way_is_refused(
    app: SimpleNamespace, written: bytes, differently: bytes
) -> None:
    issued = app.market.issue(SEED, [app.market.coin(500, SELLER)])
    data = app.transactions.to_bytes(issued)
    assert app.transactions.from_bytes(data) == issued
    with pytest.raises(ValueError, match=r"."):
        app.transactions.from_bytes(data.replace(written, differently))
    with pytest.raises(ValueError, match=r"."):
        app.transactions.from_bytes(data + b"\x00")


def test_a_lock_runs_out_after_a_day(app: SimpleNamespace) -> None:
    """For a flow that an operator ended, and that had no chance to release."""
    market = app.market
    first = market.issue(SEED, [market.coin(100, BUYER)])
    vault = market.services(SEED, BUYER, [first])["Vault"]
    ref = app.ledger_flow.StateRef(bytes(32), 0)
    paper = app.ledger_flow.Holding(ref, market.security("CommercialPaper", "P", 200, SELLER))
    noon = datetime.datetime(2025, 6, 1, 12, tzinfo=datetime.UTC)
    with contextlib.closing(sqlite3.connect(":memory:")) as db:

        def at(flow_id: int, hours: int) -> Any:
            return SimpleNamespace(
                me=BUYER,
                flow_id=flow_id,
                now=noon + datetime.timedelta(hours=hours),
                execute=lambda sql, parameters=(): db.execute(sql, parameters).fetchall(),
            )

        vault.setup(at(0, 0))
        proposal = vault.propose(at(1, 0), paper, market.euros(60), SELLER)
        with pytest.raises(app.ledger_flow.NotEnoughCash):
            vault.propose(at(2, 23), paper, market.euros(60), SELLER)
        assert vault.propose(at(2, 25), paper, market.euros(60), SELLER) == proposal
        vault.release(at(1, 25))
        with pytest.raises(app.ledger_flow.NotEnoughCash):
            vault.propose(at(3, 26), paper, market.euros(60), SELLER)
        vault.release(at(2, 26))
        assert vault.propose(at(3, 26), paper, market.euros(60), SELLER) == proposal
