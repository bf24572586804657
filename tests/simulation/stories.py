"""The examples' flows in worlds where everything goes wrong, judged by the examples' own rules.

What is judged after every commit is what nobody may ever see broken: nothing is sold twice, no
money appears or is lost. What is judged at the end is what the flows promise once all is well
again. Knows nothing of seeds and of how many worlds there are.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flowrt.core.flow import FlowError, Party
from flowrt.core.values import encode
from flowrt.handle import StillRunning
from flowrt.sim import Host, Started, Violation, World
from flowrt.store import Batch
from tests.examples.loaded import loaded

_open = contextlib.ExitStack()
_apps: dict[str, SimpleNamespace] = {}


def app(example: str, module: str) -> SimpleNamespace:
    """An example's modules, compiled once for this process."""
    if example not in _apps:
        folder = _open.enter_context(tempfile.TemporaryDirectory())
        with loaded(example, module, Path(folder)) as found:
            _apps[example] = found
    return _apps[example]


def importable(example: SimpleNamespace) -> None:
    """Make them importable under their names: flows look for their functions there."""
    modules = [one for one in vars(example).values() if isinstance(one, ModuleType)]
    sys.modules.update({module.__name__: module for module in modules})


def rows(host: Host, sql: str) -> list[tuple[Any, ...]]:
    """What is on a party's disk now, whether its process lives or not."""
    tables = host.disk.tables
    return tables.execute(sql).fetchall() if tables is not None else []


def ended(world: World, started: Started) -> Any:
    """What a flow came to: its result, the error that ended it, or StillRunning."""
    try:
        return world.result(started)
    except (FlowError, StillRunning) as error:
        return error


def require(condition: object, rule: str, text: str) -> None:
    if not condition:
        raise Violation(rule, text)


def is_well(world: World) -> bool:
    """Whether nobody must help by hand: what fails for good waits in the hospital for that."""
    return not any(host.disk.patients for host in world.hosts.values())


# --- a paper for cash -----------------------------------------------------------------------------


class Trade:
    """A seller with two papers, a buyer with three coins, a notary; two orders at once, the second
    of them for the first paper again or for the other one."""

    name = "trade"
    parties = ("seller", "buyer", "notary")
    coins = (80_000, 70_000, 50_000)

    def __init__(self) -> None:
        self.app = app("small_trade", "trade")
        market = self.app.market
        seller, buyer = Party("seller"), Party("buyer")
        papers = [market.security("CommercialPaper", n, 100_000, seller) for n in ("P-1", "P-2")]
        coins = [market.coin(units, buyer) for units in self.coins]
        self.first = market.issue("worlds", [*papers, *coins])
        self.services = {
            name: market.services("worlds", Party(name), [self.first]) for name in self.parties
        }

    def build(self, world: World) -> None:
        importable(self.app)
        for name in self.parties:
            world.add(name, [self.app.flow], self.services[name])
        prices = ((95_000,), (99_000, 90_000), (96_000,))
        self.orders = []
        for number in range(1 + world.tape.uniform("orders", 2)):
            asked = prices[world.tape.uniform("prices", len(prices))]
            self.orders.append(
                world.start(
                    "seller",
                    self.app.flow.Seller_v1,
                    order=f"order {number}",
                    buyer=Party("buyer"),
                    serial=("P-1", "P-2")[world.tape.uniform("serial", 2)],
                    prices=tuple(self.app.market.euros(units) for units in asked),
                )
            )
        world.witnesses.append(self.look)

    def look(self, host: Host, _: Batch) -> None:
        """I9, I11: the notary seals each state away once; nobody has more than there is."""
        if host.name == "notary":
            sealed = [self.transaction(data) for _, data in self.sealed(host)]
            used = [ref for transaction in sealed for ref in transaction.inputs]
            require(len(used) == len(set(used)), "I9", "a state was sealed away twice")
        else:
            cash = self.cash(host)
            require(cash <= sum(self.coins), "I10", f"{host.name} has {cash} units")

    def sealed(self, host: Host) -> list[tuple[Any, ...]]:
        return rows(host, "SELECT id, signed FROM register_sealed")

    def transaction(self, data: bytes) -> Any:
        return self.app.transactions.from_bytes(data).transaction

    def cash(self, host: Host) -> int:
        found = rows(
            host, "SELECT sum(units) FROM vault_states WHERE kind = 'Cash' AND used_by IS NULL"
        )
        return int(found[0][0] or 0)

    def judge(self, world: World) -> None:
        if not is_well(world):
            return
        seller, buyer, notary = [world.hosts[name] for name in self.parties]
        units = self.cash(seller) + self.cash(buyer)
        require(units == sum(self.coins), "I10", f"there are {units} units in the end")
        kept = [
            dict(rows(host, f"SELECT id, signed FROM {table}"))
            for host, table in (
                (seller, "vault_transactions"),
                (buyer, "vault_transactions"),
                (notary, "register_sealed"),
            )
        ]
        require(kept[0] == kept[1] == kept[2], "I9", "they do not have the same transactions")
        locked = rows(buyer, "SELECT 1 FROM vault_states WHERE locked_by IS NOT NULL")
        require(not locked, "I11", f"{len(locked)} coins are locked, and no trade is under way")
        settled = set()
        for order in self.orders:
            found = ended(world, order)
            require(not isinstance(found, StillRunning), "L", f"{order} has not ended")
            if not isinstance(found, FlowError):
                # Two orders of one paper may be settled by one and the same transaction: when the
                # buyer's clock has leapt over the time for which its coins were locked.
                settled.add(encode(found))
        seals = len(kept[2]) - 1
        require(len(settled) == seals, "I9", f"{len(settled)} settled, {seals} sealed")


# --- payments out of a deposit --------------------------------------------------------------------


class Channel:
    """Alice opens a channel to bob and pays on her application's command; now and then she never
    finishes. The public ledger is no party: nothing befalls it."""

    name = "channel"
    coins, deposit = 1_500, 100

    def __init__(self) -> None:
        self.app = app("small_channel", "channel")
        self.keys = {
            name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32))
            for name in ("alice", "bob")
        }
        self.public = {name: key.public_key().public_bytes_raw() for name, key in self.keys.items()}

    def build(self, world: World) -> None:
        importable(self.app)
        self.ledger = self.app.ledger.Ledger(self.public, lambda: world.now)
        for name, coins in (("alice", self.coins), ("bob", 0)):
            world.add(
                name,
                [self.app.flow],
                {
                    "Wallet": self.app.wallet.Wallet(self.keys[name], self.public, coins),
                    "Ledger": self.ledger,
                },
            )
        self.channel = world.start(
            "alice",
            self.app.flow.Channel_v1,
            payee=Party("bob"),
            deposit=self.deposit,
            open_for=datetime.timedelta(hours=24),
        )
        totals = ((10,), (10, 30, 60), (100,), (5, 200, 20))[world.tape.uniform("payments", 4)]
        flow = self.app.flow
        self.said: list[Any] = [flow.Pay(total) for total in totals]
        if not world.tape.uniform("never finishes", 4):
            self.said.append(flow.Finish())
        world.people.append(self.speak)

    def speak(self, world: World) -> bool:
        """Once all is quiet, the next command; of what was refused nobody speaks again."""
        if not self.said or not self.channel.is_done or self.channel.outcome is not None:
            return False
        world.command(self.channel, self.said.pop(0))
        return True

    def judge(self, world: World) -> None:
        if not is_well(world):
            return
        alice, bob = [
            rows(world.hosts[name], "SELECT units FROM wallet_coins")[0][0]
            for name in ("alice", "bob")
        ]
        found = ended(world, self.channel)
        require(not isinstance(found, StillRunning), "L", "the channel has not ended")
        locked = len(self.ledger.locks) - len(self.ledger.divisions)
        # Bob takes what the ledger gives him even if alice has taken hers long before.
        require(
            alice + bob + locked * self.deposit == self.coins or bob == 0,
            "I10",
            f"alice has {alice}, bob {bob}, {locked} deposits are locked",
        )
        require(alice >= self.coins - self.deposit, "I10", f"alice has only {alice}")
        given = sum(division.to_payee for division in self.ledger.divisions.values())
        require(bob in (0, given), "I10", f"bob has {bob}, and the ledger gave {given}")


# --- a loan from many -----------------------------------------------------------------------------


class Loan:
    """A mill borrows from four: one declines, one has nothing."""

    name = "loan"
    rates = {"cheap": "3.5", "dear": "4.5", "proud": "", "poor": "1"}

    def __init__(self) -> None:
        self.app = app("loan", "loan")
        made = self.app.treasury.Treasury
        self.treasuries = {
            name: made(0 if name == "poor" else 1_000, most=300, rate=self.rates.get(name, ""))
            for name in ("mill", *self.rates)
        }

    def build(self, world: World) -> None:
        importable(self.app)
        for name, treasury in self.treasuries.items():
            world.add(name, [self.app.flow], {"Treasury": treasury})
        self.units = (500, 601, 300)[world.tape.uniform("units", 3)]
        self.loan = world.start(
            "mill",
            self.app.flow.Borrow_v1,
            lenders=tuple(map(Party, self.rates)),
            units=self.units,
            purpose="a roof",
        )
        world.witnesses.append(self.look)

    def look(self, host: Host, _: Batch) -> None:
        """I10: what a lender has is free, held back or lent, at every moment."""
        if host.name != "mill" and rows(
            host, "SELECT 1 FROM sqlite_master WHERE name = 'treasury'"
        ):
            whole = 0 if host.name == "poor" else 1_000
            free, held, lent = self.books(host)
            fine = free >= 0 and held >= 0 and free + held + lent == whole
            require(fine, "I10", f"{host.name}: {free} free, {held} held, {lent} lent")

    def books(self, host: Host) -> tuple[int, int, int]:
        [(free, held)] = rows(host, "SELECT free, held FROM treasury")
        [(lent,)] = rows(host, "SELECT coalesce(sum(units), 0) FROM treasury_loans")
        return free, held, lent

    def judge(self, world: World) -> None:
        if not is_well(world):
            return
        found = ended(world, self.loan)
        require(not isinstance(found, StillRunning), "L", "the loan has not ended")
        lent = {name: self.books(world.hosts[name]) for name in self.rates}
        for name, (_, held, _) in lent.items():
            require(held == 0, "I11", f"{name} holds {held} back, and nobody wants it")
        if isinstance(found, FlowError):
            total = sum(books[2] for books in lent.values())
            require(total == 0, "I10", f"{total} was lent, and the mill got nothing")
            return
        for name, share in found.items():
            require(lent[name][2] == share.units, "I10", f"{name} lent {lent[name][2]}: {share}")
        require(sum(share.units for share in found.values()) == self.units, "I10", "not all of it")


# --- a purchase with a manager --------------------------------------------------------------------


class Purchase:
    """A builder buys ten saws. Its manager decides by the price, or does not decide."""

    name = "purchase"

    def __init__(self) -> None:
        self.app = app("purchase", "purchase")
        made = self.app.warehouse.Warehouse
        self.warehouses = {"builder": made({}), "shop": made({"saw": "100"})}

    def build(self, world: World) -> None:
        importable(self.app)
        for name, warehouse in self.warehouses.items():
            world.add(name, [self.app.flow], {"Warehouse": warehouse})
        self.purchase = world.start(
            "builder",
            self.app.flow.Purchase_v1,
            order="P-1",
            seller=Party("shop"),
            sku="saw",
            count=10,
            budget=decimal.Decimal((500, 1_000)[world.tape.uniform("budget", 2)]),
        )
        flow = self.app.flow
        bid, approve = flow.Decision_Bid, flow.Decision_Approve()
        self.decisions = (
            {1_000: bid(decimal.Decimal(800)), 900: bid(decimal.Decimal(700)), 850: approve},
            {1_000: approve},
            {1_000: bid(decimal.Decimal(800)), 900: flow.Decision_Refuse("too dear")},
            {},
        )[world.tape.uniform("manager", 4)]
        self.arrival = flow.Arrival(not world.tape.uniform("incomplete", 4))
        world.people.append(self.decide)

    def decide(self, world: World) -> bool:
        """What people say follows from what they are asked, however often they are."""
        found = False
        for task in world.tasks("builder"):
            if task.role == "warehouse":
                said: Any = self.arrival
            else:
                said = self.decisions.get(int(task.question.price))
            if said is not None:
                world.answer("builder", task, said, by="mary")
                found = True
        return found

    def judge(self, world: World) -> None:
        shipped = rows(world.hosts["shop"], "SELECT sku, count, receiver FROM warehouse_shipments")
        require(len(shipped) <= 1, "I3", f"{len(shipped)} shipments of one order")
        found = ended(world, self.purchase)
        held = world.node("builder").hospital()
        if not held or self.purchase.id not in [patient.flow_id for patient in held]:
            require(not isinstance(found, StillRunning), "L", "the purchase has not ended")
        if isinstance(found, decimal.Decimal):
            require(shipped == [("saw", 10, "builder")], "I8", f"bought, and shipped {shipped}")


def examples() -> list[Any]:
    """The stories of all examples."""
    return [Trade(), Channel(), Loan(), Purchase()]
