"""The trade of tests/examples/small_trade: how it ends, what a crash may change (nothing), what a
cheat achieves (nothing either)."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.source import Source
from flowrt.core.flow import FlowError, Party
from flowrt.transport.memory import MemoryNetwork
from tests.examples.loaded import loaded
from tests.runtime.crashes import Member, Power, Start, World, every_crash

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
    with loaded("small_trade", "trade", tmp_path_factory.mktemp("trade")) as found:
        yield found


# --- a world of three parties -----------------------------------------------------------------


Services = Callable[[Party], dict[str, object]]


class Market(World):
    """Seller, buyer and notary, and the seller's orders.

    With `together` a crash takes all three and what is on the wire, as the end of one process that
    hosts them does; otherwise only the party whose commit it hit.
    """

    def __init__(
        self, app: SimpleNamespace, services: Services, *, together: bool = False, **options: Any
    ) -> None:
        super().__init__(reload=True, wire_dies=together, **options)
        self.app = app
        self.together = together
        self.orders: dict[str, Start] = {}
        for party in PARTIES:
            self.add(
                party.name,
                [app.trade_flow],
                lambda party=party: services(party),  # type: ignore[misc]
            )

    def _crashed(self, member: Member) -> None:
        super()._crashed(member)
        if self.together:
            others = [other for other in self.members.values() if other.node is not None]
            for other in others:
                super()._crashed(other)
            for other in others:
                self.node(other.name)

    def sell(self, order: str, serial: str, *units: int) -> None:
        """Give the seller an order."""
        self.orders[order] = self.start(
            "seller",
            self.app.trade_flow.Seller_v1,
            order=order,
            buyer=BUYER,
            serial=serial,
            prices=tuple(self.app.market.euros(price) for price in units),
        )

    def rows(self, party: str, sql: str) -> list[tuple[Any, ...]]:
        """What a party's database says."""
        self.node(party)
        store = self.members[party].store
        assert store is not None
        store.savepoint()
        try:
            rows: list[tuple[Any, ...]] = store.execute(sql, (), read_only=True)
        finally:
            store.abandon()
        return rows

    def ended(self, order: str) -> Any:
        """The order's transaction; raises the error that ended it."""
        return self.result(self.orders[order])

    def bought(self, flow_id: int = 1) -> Any:
        """What one of the buyer's flows returned; raises the error that ended it."""
        return self.node("buyer").handle(flow_id).result_now()

    def cash(self, party: str) -> int:
        query = "SELECT sum(units) FROM vault_states WHERE kind = 'Cash' AND used_by IS NULL"
        return int(self.rows(party, query)[0][0] or 0)

    def locked(self) -> int:
        """How many of the buyer's coins are locked."""
        query = "SELECT count(*) FROM vault_states WHERE locked_by IS NOT NULL"
        return int(self.rows("buyer", query)[0][0])

    def story(self) -> dict[str, Any]:
        """All that must be the same, whatever crashed: results, tables, progress, nobody left."""
        told: dict[str, Any] = {"left": self.residue()}
        for order in self.orders:
            told[order] = _ended(lambda order=order: self.ended(order))  # type: ignore[misc]
        for party in PARTIES:
            for table in TABLES[party.name]:
                rows = self.rows(party.name, f"SELECT * FROM {table}")
                told[f"{party.name}.{table}"] = sorted(rows, key=repr)
            told[f"{party.name} progress"] = [
                [(move.number, move.path, move.label, move.outcome) for move in moves]
                for moves in (self.node(party.name).progress(flow_id) for flow_id in range(1, 4))
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
) -> Market:
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

    return Market(app, services, **options)


# --- how a trade ends -------------------------------------------------------------------------


def test_a_paper_is_sold_for_cash_with_change(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 95_000)
    world.run()
    settled = world.ended("one")
    assert settled == world.bought()
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
    assert set(world.residue().values()) == {(0, 0, 0)}


def test_the_seller_comes_down_on_a_fresh_session(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 99_000, 97_000, 95_000)
    world.run()
    assert world.ended("one") == world.bought(3)
    refusals = [_ended(lambda n=n: world.bought(n)) for n in (1, 2)]
    assert [(wire, fields.price.units) for wire, fields in refusals] == [
        ("trade.UnacceptablePrice", 99_000),
        ("trade.UnacceptablePrice", 97_000),
    ]
    labels = [move.label for move in world.node("seller").progress(1) if move.depth == 0]
    assert labels[1:4] == [f"Offering P-1 for {n} EUR" for n in (99_000, 97_000, 95_000)]


def test_a_seller_whose_prices_are_all_too_high_keeps_the_paper(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 99_000, 98_000)
    world.run()
    with pytest.raises(app.trade_flow.Unsold, match="no price of order one was acceptable"):
        world.ended("one")
    assert (world.cash("seller"), world.cash("buyer"), world.locked()) == (0, 200_000, 0)


def test_a_wrong_asset_is_refused_on_both_sides(app: SimpleNamespace) -> None:
    bond = app.market.security("Bond", "B-1", 100_000, SELLER)
    extra = app.market.issue("bonds", [bond])
    world = make(app, change=lambda party, offered: _also_record(app, party, offered, extra))
    world.sell("one", "B-1", 95_000)
    world.run()
    for result in (lambda: world.ended("one"), world.bought):
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
    for result in (lambda: world.ended("one"), world.bought):
        with pytest.raises(app.ledger_flow.NotEnoughCash, match="not enough cash for 95000 EUR"):
            result()
    assert world.locked() == 0


def test_two_trades_at_once_use_different_coins(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-1", 60_000)
    world.sell("two", "P-2", 60_000)
    world.run()
    used = [world.ended(order).transaction.inputs for order in ("one", "two")]
    assert not set(used[0]) & set(used[1])
    assert (world.cash("seller"), world.cash("buyer")) == (120_000, 80_000)


def test_cash_that_is_locked_is_not_there_for_others(app: SimpleNamespace) -> None:
    world = make(app, coins=(100_000,))
    world.sell("one", "P-1", 60_000)
    world.sell("two", "P-2", 40_000)
    world.run()
    assert world.ended("one").transaction.outputs[1].value.units == 60_000
    with pytest.raises(app.ledger_flow.NotEnoughCash):
        world.ended("two")
    world.sell("three", "P-2", 40_000)
    world.run()
    assert world.ended("three") == world.bought(3)
    assert (world.cash("seller"), world.cash("buyer")) == (100_000, 0)


def test_the_notary_refuses_a_second_spend(app: SimpleNamespace) -> None:
    """Two orders offer the same paper at once; an offer is no promise, and the notary decides."""
    world = make(app)
    world.sell("one", "P-1", 60_000)
    world.sell("two", "P-1", 60_000)
    world.run()
    settled = world.ended("one")
    with pytest.raises(app.ledger_flow.AlreadySpent) as refused:
        world.ended("two")
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
    world.sell("one", "P-2", 60_000)
    world.run()
    with pytest.raises(app.trade_flow.OrderExists, match="order one was carried out before"):
        world.ended("one")


def test_what_is_not_ours_is_not_offered(app: SimpleNamespace) -> None:
    world = make(app)
    world.sell("one", "P-9", 60_000)
    world.run()
    with pytest.raises(app.ledger_flow.NotOwned, match="P-9 is not ours to sell"):
        world.ended("one")
    assert world.node("buyer").progress(1) == [], "the buyer never heard of it"


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
    for result in (lambda: world.ended("one"), world.bought):
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
    for result in (lambda: world.ended("one"), world.bought):
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
    for result in (lambda: world.ended("one"), world.bought):
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
    [patient] = world.node("buyer").hospital()
    assert patient.cause == "hold: no seal from notary; go on to ask it again"
    assert world.outcome(world.orders["one"]) is None
    assert world.locked() == 2

    outdated.clear()  # The right key is installed, the node started again, the flow let go on.
    world.crash("buyer")
    world.node("buyer").submit_retry(patient.flow_id)
    world.run()
    assert world.ended("one") == world.bought()
    assert (world.cash("seller"), world.cash("buyer"), world.locked()) == (95_000, 105_000, 0)
    assert world.node("buyer").hospital() == []


def _idle(app: SimpleNamespace) -> ModuleType:
    """A module whose only flow does nothing."""
    text = "flow Idle():\n    checkpoint\n"
    source = Source("idle.flow", "idle", text)
    compilation = compile_modules(["idle"], lambda _: source, lambda: ["idle"])
    (app.folder / "idle_flow.py").write_text(generate(compilation.modules["idle"]))
    return importlib.import_module("idle_flow")


def test_a_notary_that_does_not_answer_holds_the_trade_until_it_does(
    app: SimpleNamespace,
) -> None:
    """The notary's node runs other flows for now, so the session is rejected."""
    world = make(app)
    notary = world.members["notary"]
    at_work = notary.modules, notary.services
    notary.modules, notary.services = [_idle(app)], dict
    world.crash("notary")
    world.sell("one", "P-1", 95_000)
    world.run()
    [patient] = world.node("buyer").hospital()
    assert patient.cause == "hold: no seal from notary; go on to ask it again"
    assert world.locked() == 2

    notary.modules, notary.services = at_work
    world.crash("notary")
    world.node("buyer").submit_retry(patient.flow_id)
    world.run()
    assert world.ended("one") == world.bought()
    assert set(world.residue().values()) == {(0, 0, 0)}


# --- crashes ----------------------------------------------------------------------------------


def _hard(app: SimpleNamespace, power: Power, **options: Any) -> Market:
    """A trade with everything in it: refused by price, then settled, with change."""
    world = make(app, power=power, **options)
    world.sell("one", "P-1", 99_000, 95_000)
    return world


@pytest.fixture(scope="module")
def reference(app: SimpleNamespace) -> dict[str, Any]:
    """How the hard trade ends when nothing crashes."""
    with _hard(app, Power()) as world:
        world.run()
        return world.story()


def test_the_reference_is_a_settled_trade(app: SimpleNamespace, reference: dict[str, Any]) -> None:
    assert isinstance(reference["one"], app.ledger_flow.SignedTransaction)
    assert len(reference["notary.register_sealed"]) == 2
    assert set(reference["left"].values()) == {(0, 0, 0)}


@pytest.mark.parametrize("together", [True, False], ids=["all", "one"])
@pytest.mark.parametrize("batch", [1, 512], ids=["single", "batched"])
def test_a_crash_at_any_commit_changes_nothing(
    app: SimpleNamespace, reference: dict[str, Any], batch: int, together: bool
) -> None:
    """Before and after every commit of the trade, opening the databases included."""

    def build(power: Power) -> World:
        return _hard(app, power, batch=batch, together=together)

    worlds = 0
    for power, story in every_crash(build, Market.story):
        worlds += 1
        assert power.failures == len(power.fail)
        assert story == reference, power
    assert worlds > 30


def test_a_crash_at_any_commit_of_several_trades_changes_no_end(app: SimpleNamespace) -> None:
    """With several flows in one commit. Which coins a trade takes may differ; how it ends, not."""
    sizes: list[int] = []

    def build(power: Power) -> World:
        world = make(app, power=power, together=True, coins=(90_000, 80_000, 70_000, 60_000))
        world.sell("high", "P-1", 99_000, 95_000)
        world.sell("fair", "P-2", 94_000)
        world.sell("none", "P-3", 94_000)
        world.sell("high again", "P-1", 99_000, 98_000)
        return world

    def ends(world: Market) -> Any:
        for member in world.members.values():
            assert member.store is not None
            sizes.extend(len(batch.flows) for batch in member.store.batches)
        prices = {order: _price(world, order) for order in world.orders}
        return world.residue(), prices, world.cash("seller"), world.cash("buyer"), world.locked()

    for power, seen in every_crash(build, ends):
        assert seen == (
            dict.fromkeys(("seller", "buyer", "notary"), (0, 0, 0)),
            {
                "high": 95_000,
                "fair": 94_000,
                "none": "ledger.NotOwned",
                "high again": "trade.Unsold",
            },
            189_000,
            111_000,
            0,
        ), power
    assert max(sizes) >= 3


def _price(world: Market, order: str) -> Any:
    try:
        settled = world.ended(order)
    except FlowError as error:
        return error.wire
    return settled.transaction.outputs[1].value.units


@pytest.mark.parametrize("batch", [1, 512], ids=["single", "batched"])
def test_a_crash_at_any_commit_changes_nothing_on_disk(
    app: SimpleNamespace, reference: dict[str, Any], folders: Iterator[Path], batch: int
) -> None:
    def build(power: Power) -> World:
        return _hard(app, power, batch=batch, together=True, folder=next(folders))

    for power, story in every_crash(build, Market.story):
        assert story == reference, power


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Iterator[Path]]:
    """New empty folders, in memory where the system has a place for that: what is tested is the
    end of a process, not of a disk, and hundreds of worlds would wait for `fsync`."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as home:

        def fresh() -> Iterator[Path]:
            for number in itertools.count():
                folder = Path(home) / str(number)
                folder.mkdir()
                yield folder

        yield fresh()


def test_two_crashes_in_a_row_change_nothing(
    app: SimpleNamespace, reference: dict[str, Any]
) -> None:
    """The second hits while the first is being recovered from."""

    def build(power: Power) -> World:
        return _hard(app, power, together=True)

    for power, story in every_crash(build, Market.story, twice=True):
        assert story == reference, power


def test_a_network_that_loses_repeats_and_reorders_changes_nothing(
    app: SimpleNamespace, reference: dict[str, Any]
) -> None:
    for seed in range(30):
        network = MemoryNetwork(seed=seed, lose=0.3, repeat=0.3, reorder=0.3)
        with _hard(app, Power(), network=network) as world:
            world.run()
            assert world.story() == reference, f"network seed {seed}"


def test_a_flow_at_rest_takes_less_than_a_thousand_bytes(app: SimpleNamespace) -> None:
    """Every checkpoint of every party in the hard trade, as it is committed."""
    with _hard(app, Power(), batch=1) as world:
        world.run()
        resting = [
            len(row[0])
            for member in world.members.values()
            if member.store is not None
            for batch in member.store.batches
            for row in batch.flows.values()
            if row is not None and row[1] != 0
        ]
    assert len(resting) > 5
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
        (b"\xcd\x01\xf4", b"\xce\x00\x00\x01\xf4"),
        (b"\xa4Cash", b"\xd9\x04Cash"),
        (b"\xa4Cash", b"\xc4\x04Cash"),
        (b"\xcd\x01\xf4", b"\xcb\x40\x7f\x40\x00\x00\x00\x00\x00"),
    ],
    ids=["a longer number", "a longer length", "bytes for text", "a float"],
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
