"""Issuing, paying and exiting cash on a whole network, with people who agree and who do not."""

from __future__ import annotations

import datetime
import decimal
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.finance import cash, obligation, paper
from flowrt.finance.cash import Cash
from flowrt.finance.desk import CashDesk, Treasury, coins_of
from flowrt.handle import StillRunning
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.stdlib.finance import cash_flow, money_flow
from flowrt.stdlib.ledger.approval_flow import (
    NobodyApproved,
    PaymentDecision_Approve,
    PaymentDecision_Refuse,
    PaymentRefused,
)
from flowrt.stdlib.ledger.core_flow import (
    ContractRejected,
    InsufficientBalance,
    NotaryUnknown,
    UnknownParty,
)
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer
from flowrt.stdlib.ledger.vault_flow import StateQuery
from tests.runtime.crashes import Power, Start, World, every_crash

ALICE, BOB, BANK, NOTARY = map(Party, ("alice", "bob", "bank", "notary"))
MODULES = Ledger.modules(cash_flow, money_flow)
HOUR = datetime.timedelta(hours=1)


class Town:
    """A bank, its customers and a notary. The bank may pay 1,000,000 units, the others 10,000,
    without asking."""

    def __init__(
        self,
        folder: Path | None = None,
        power: Power | None = None,
        desks: Mapping[str, type[CashDesk]] | None = None,
    ) -> None:
        self.desks = desks or {}
        self.world = World(folder=folder, power=power, reload=True)
        self.local = LocalNetwork(
            ("bank", "alice", "bob"),
            [cash, paper, obligation],
            folder=folder,
            clock=lambda: self.world.now_us,
        )
        for name in self.local.parties:
            own = functools.partial(self._own, name)
            services = functools.partial(self.local.services, name, MODULES, own)
            self.world.add(name, MODULES, services)

    def _own(self, name: str, ledger: Ledger) -> dict[str, object]:
        limit = 1_000_000 if name == "bank" else 10_000
        desk = self.desks.get(name, CashDesk)
        return {
            "finance.cash.Cash": desk(ledger.keys, ledger.network, ledger.vault),
            "finance.cash.Treasury": Treasury({"EUR": limit}, patience=HOUR),
        }

    def start(self, who: str, flow: str, /, **arguments: Any) -> Start:
        return self.world.start(who, getattr(cash_flow, f"{flow}_v1"), **arguments)

    def do(self, who: str, flow: str, /, **arguments: Any) -> Any:
        started = self.start(who, flow, **arguments)
        self.world.run()
        try:
            return self.world.result(started)
        except StillRunning:
            ill = {name: self.world.node(name).hospital() for name in self.local.parties}
            raise AssertionError(ill) from None

    def issue(self, *units: int, currency: str = "EUR", reference: bytes = b"\x01") -> Any:
        sums = tuple(Amount(count, currency) for count in units)
        return self.do("bank", "CashIssue", sums=sums, reference=reference, notary=NOTARY)

    def pay(self, who: str, payee: Party, units: int, currency: str = "EUR", **more: Any) -> Any:
        amount = Amount(units, currency)
        return self.do(who, "CashPayment", payee=payee, amount=amount, **more)

    def ask(self, who: str, operation: str, *arguments: Any) -> Any:
        reading = self.world.node(who).reading()
        return getattr(self.local.ledgers[who].vault, operation)(reading, *arguments)

    def balance(self, who: str, currency: str = "EUR") -> int:
        units = self.ask(who, "spendable", currency)
        assert units == int(units)
        return int(units)

    def balances(self) -> tuple[int, int, int]:
        return self.balance("bank"), self.balance("alice"), self.balance("bob")

    def coins(self, who: str, consumed: bool = False) -> list[Any]:
        return list(self.ask(who, "states", StateQuery(consumed=consumed)).states)

    def nothing_is_left(self) -> None:
        assert set(self.world.residue().values()) == {(0, 0, 0)}
        for name in self.local.parties:
            assert self.ask(name, "in_flight", 10) == (), name

    def close(self) -> None:
        self.world.close()


@pytest.fixture
def town() -> Any:
    made = Town()
    yield made
    made.close()


# --- CS-230: issue, pay, exit -----------------------------------------------------------------


def test_cs_230_issue(town: Town) -> None:
    issued = town.issue(50_000)
    assert coins_of(issued) == [
        Cash(town.local.key("bank"), Amount(50_000, "EUR"), Issuer(town.local.key("bank"), b"\x01"))
    ]
    assert town.balances() == (50_000, 0, 0)
    town.nothing_is_left()


def test_cs_230_several_are_issued_at_once(town: Town) -> None:
    town.issue(50_000, 7, 8)
    assert town.balance("bank") == 50_015
    assert len(town.coins("bank")) == 3
    issued = town.do(
        "bank",
        "CashIssue",
        sums=(Amount(5, "EUR"), Amount(9, "USD")),
        reference=b"\x02",
        notary=NOTARY,
    )
    assert len(coins_of(issued)) == 2
    assert (town.balance("bank"), town.balance("bank", "USD")) == (50_020, 9)


def test_cs_230_pay_a_part(town: Town) -> None:
    town.issue(50_000)
    paid = town.pay("bank", ALICE, 20_000, purpose="rent")
    assert town.balances() == (30_000, 20_000, 0)
    # The payer has used one coin up and got change, the payee got one.
    assert [len(town.coins("bank", consumed)) for consumed in (True, False)] == [1, 1]
    assert [len(town.coins("alice", consumed)) for consumed in (True, False)] == [0, 1]
    known = {town.local.key(name) for name in town.local.parties}
    assert known.isdisjoint(coin.owner for coin in coins_of(paid))
    town.nothing_is_left()


def test_cs_230_pay_to_the_well_known_key(town: Town) -> None:
    town.issue(50_000)
    paid = town.pay("bank", ALICE, 20_000, pseudonymous=False)
    assert town.local.key("alice") in {coin.owner for coin in coins_of(paid)}
    assert town.balances() == (30_000, 20_000, 0)


def test_cs_230_what_was_received_is_paid_on(town: Town) -> None:
    town.issue(6_000, 5_000)
    town.pay("bank", ALICE, 11_000)
    town.pay("alice", BOB, 7_500)
    town.pay("bob", BANK, 7_400)
    assert town.balances() == (7_400, 3_500, 100)
    town.nothing_is_left()


def test_cs_230_on_disk(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.issue(6_000, 5_000)
    town.pay("bank", ALICE, 10_000)
    town.do("bank", "CashExit", amount=Amount(400, "EUR"), reference=b"\x01")
    for name in town.local.parties:
        town.world.crash(name)
    assert town.balances() == (600, 10_000, 0)
    town.nothing_is_left()
    town.close()


def test_cs_230_pay_too_much(town: Town) -> None:
    town.issue(50_000)
    with pytest.raises(InsufficientBalance) as caught:
        town.pay("bank", ALICE, 50_001)
    assert caught.value.missing == Amount(1, "EUR")
    with pytest.raises(InsufficientBalance) as caught:
        town.pay("alice", BOB, 5)
    assert caught.value.missing == Amount(5, "EUR")
    assert town.balances() == (50_000, 0, 0)
    town.nothing_is_left()


@pytest.mark.parametrize("units", [0, -5])
def test_cs_230_nothing_is_issued_paid_or_exited(town: Town, units: int) -> None:
    town.issue(50_000)
    with pytest.raises(cash_flow.NotPayable):
        town.issue(units)
    with pytest.raises(cash_flow.NotPayable):
        town.pay("bank", ALICE, units)
    with pytest.raises(cash_flow.NotPayable):
        town.do("bank", "CashExit", amount=Amount(units, "EUR"), reference=b"\x01")
    assert town.balances() == (50_000, 0, 0)


def test_cs_230_exit(town: Town) -> None:
    town.issue(50_000)
    town.do("bank", "CashExit", amount=Amount(20_000, "EUR"), reference=b"\x01")
    assert town.balances() == (30_000, 0, 0)
    assert [len(town.coins("bank", consumed)) for consumed in (True, False)] == [1, 1]
    town.do("bank", "CashExit", amount=Amount(30_000, "EUR"), reference=b"\x01")
    assert town.coins("bank") == []
    town.nothing_is_left()


def test_cs_230_exit_too_much_of_another_reference_or_of_anothers_cash(town: Town) -> None:
    town.issue(50_000)
    town.pay("bank", ALICE, 1_000)
    for who, units, reference in (
        ("bank", 49_001, b"\x01"),
        ("bank", 1, b"\x02"),
        ("alice", 1, b"\x01"),
    ):
        with pytest.raises(InsufficientBalance):
            town.do(who, "CashExit", amount=Amount(units, "EUR"), reference=reference)
    assert town.balances() == (49_000, 1_000, 0)
    town.nothing_is_left()


def test_only_coins_of_these_issuers(town: Town) -> None:
    town.issue(100, 100)
    town.issue(100, reference=b"\x02")
    other = (Issuer(town.local.key("bank"), b"\x02"),)
    with pytest.raises(InsufficientBalance):
        town.pay("bank", ALICE, 101, issuers=other)
    paid = town.pay("bank", ALICE, 100, issuers=other)
    assert [coin.issuer for coin in coins_of(paid)] == [*other]


def test_who_is_refused(town: Town) -> None:
    town.issue(100)
    with pytest.raises(cash_flow.PaymentToOneself):
        town.pay("bank", BANK, 5)
    with pytest.raises(UnknownParty):
        town.pay("bank", Party("nobody"), 5)
    with pytest.raises(NotaryUnknown):
        town.do("bank", "CashIssue", sums=(Amount(5, "EUR"),), reference=b"", notary=BOB)
    with pytest.raises(cash_flow.NothingToIssue):
        town.issue()
    with pytest.raises(ContractRejected, match="three to twelve capital letters"):
        town.issue(5, currency="eur")
    assert town.balances() == (100, 0, 0)
    town.nothing_is_left()


def test_the_payee_knows_what_it_got(town: Town) -> None:
    town.issue(50_000)
    paid = town.pay("bank", ALICE, 20_000, purpose="rent")
    node = town.world.node("alice")
    seen = [node.handle(number).result_now() for number in range(1, 9) if known(node, number)]
    assert seen == [cash_flow.CashReceived(Amount(20_000, "EUR"), "rent", paid.id)]


class Cheat(CashDesk):
    """Pays less than it was told to."""

    def pay(self, tx: Any, to: Any, amount: Amount, issuers: Any) -> Any:
        return super().pay(tx, to, Amount(amount.units - 1, amount.currency), issuers)


def test_a_payee_that_is_paid_less_than_it_was_told_is_told_what_it_got() -> None:
    town = Town(desks={"bank": Cheat})
    town.issue(50_000)
    town.pay("bank", ALICE, 20_000, purpose="rent")
    node = town.world.node("alice")
    (got,) = [node.handle(number).result_now() for number in range(1, 9) if known(node, number)]
    assert got.amount == Amount(19_999, "EUR")
    town.close()


def known(node: Any, number: int) -> bool:
    try:
        return node.handle(number).outcome is not None
    except KeyError:
        return False


# --- the treasury -----------------------------------------------------------------------------


def asked(town: Town, units: int = 10_001) -> tuple[Start, Any]:
    """Alice has cash, and wants to pay more than she may."""
    town.issue(50_000)
    town.pay("bank", ALICE, 50_000)
    paying = town.start("alice", "CashPayment", payee=BOB, amount=Amount(units, "EUR"))
    town.world.run(horizon_us=0)
    (task,) = town.world.node("alice").tasks("treasury")
    return paying, task


def answer(town: Town, task: Any, said: object) -> None:
    town.world.node("alice").submit_answer(task.flow_id, task.number, said, "ann")
    town.world.run()


def test_above_the_limit_the_treasury_agrees(town: Town) -> None:
    paying, task = asked(town)
    assert task.question.amount == decimal.Decimal("100.01")
    assert task.question.payee == BOB
    assert town.balances() == (0, 50_000, 0)
    answer(town, task, PaymentDecision_Approve())
    town.world.result(paying)
    assert town.balances() == (0, 39_999, 10_001)
    town.nothing_is_left()


def test_above_the_limit_the_treasury_refuses(town: Town) -> None:
    paying, task = asked(town)
    answer(town, task, PaymentDecision_Refuse("too dear"))
    with pytest.raises(PaymentRefused, match="ann refuses the payment: too dear"):
        town.world.result(paying)
    assert town.balances() == (0, 50_000, 0)
    town.nothing_is_left()


def test_above_the_limit_nobody_answers(town: Town) -> None:
    paying, _ = asked(town)
    town.world.run(horizon_us=2 * HOUR // datetime.timedelta(microseconds=1))
    with pytest.raises(NobodyApproved):
        town.world.result(paying)
    assert town.balances() == (0, 50_000, 0)
    town.nothing_is_left()


def test_up_to_the_limit_nobody_is_asked(town: Town) -> None:
    town.issue(50_000)
    town.pay("bank", ALICE, 50_000)
    town.pay("alice", BOB, 10_000)
    assert town.balances() == (0, 40_000, 10_000)


def test_what_has_no_limit_of_its_own() -> None:
    assert Treasury({"EUR": 5}).limit(None, "USD") == 0  # type: ignore[arg-type]
    assert Treasury({"EUR": 5}, otherwise=None).limit(None, "USD") is None  # type: ignore[arg-type]


# --- crashes ----------------------------------------------------------------------------------


def crashing(power: Power) -> World:
    town = Town(power=power)
    town.world.town = town  # type: ignore[attr-defined]
    sums = (Amount(9_000, "EUR"),)
    town.start("bank", "CashIssue", sums=sums, reference=b"", notary=NOTARY)
    town.world.run()
    town.start("bank", "CashPayment", payee=ALICE, amount=Amount(6_000, "EUR"))
    return town.world


def afterwards(world: World) -> tuple[int, int, int]:
    town = world.town  # type: ignore[attr-defined]
    town.nothing_is_left()
    return town.balances()


@pytest.mark.parametrize("part", range(4))
def test_cash_is_conserved_by_crashes(part: int) -> None:
    """Several processes end in one world, at commits that lie apart."""
    power = Power(*[(number, ("before", "after")[number % 2]) for number in range(3 + part, 90, 5)])
    with crashing(power) as world:
        world.run()
        assert afterwards(world) == (3_000, 6_000, 0), power
    assert power.failures > 3


@pytest.mark.campaign
def test_cash_is_conserved_by_a_crash_at_any_commit() -> None:
    for power, seen in every_crash(crashing, afterwards):
        assert seen == (3_000, 6_000, 0), power
