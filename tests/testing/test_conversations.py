"""Conversations as examples: they run, one can say what must have come of them, and what they find
is small. UPDATE_EXPECT=1 writes what a failing case prints into the file beside this one."""

from __future__ import annotations

import datetime
import decimal
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from flowrt.core import flow as rt
from flowrt.sim.history import Trouble
from flowrt.sim.words import in_words
from flowrt.testing import Conversation, conversations
from flowrt.testing.schedule import schedules
from tests.runtime.written import compiled

EXPECTED = Path(__file__).with_name("ordered_twice.txt")


def check(
    strategy: st.SearchStrategy[Conversation],
    test: Callable[[Conversation], None],
    examples: int = 25,
) -> None:
    """Have a test run for conversations; raises what fails, shrunk."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def shop_is_asked_once(run: Conversation) -> None:
        test(run)

    shop_is_asked_once()


def everything(run: Conversation) -> None:
    """What holds for every conversation of the examples' flows."""
    assert not [flow for _, flow in run.running() if flow.endswith(("Sale_v1", "Lend_v1"))]
    assert "starts" in run.report()


def test_a_purchase_with_people(examples: dict[str, SimpleNamespace]) -> None:
    flow = examples["purchase"].flow
    seen = set()

    def test(run: Conversation) -> None:
        everything(run)
        seen.add(type(run.outcome(flow.Purchase_v1)).__name__)
        if isinstance(run.outcome(flow.Sale_v1), rt.FlowError):
            run.assert_not_sent(flow.Confirmation)
            run.assert_effect("Warehouse.ship", times=0)
        else:
            run.assert_sent(flow.Confirmation, frm="sale", to="purchase", times=1)
            run.assert_effect("Warehouse.ship", times=1)

    prices = st.decimals(1, 1000, places=2)
    strategy = conversations(
        flow.Purchase_v1,
        flow.Sale_v1,
        arguments={"count": st.integers(1, 9), "budget": prices},
        answers={"Warehouse.list_price": prices, "Warehouse.least_price": prices},
        people={"manager": st.just(flow.Decision_Approve())},
        # A date that nobody reaches would make the buyer wait for its delivery.
        given={rt.Timestamp: st.just(datetime.datetime(2027, 3, 1, tzinfo=datetime.UTC))},
    )
    check(strategy, test, 60)
    assert {"Decimal", "Expired"} <= seen


def test_a_loan_of_two_lenders(examples: dict[str, SimpleNamespace]) -> None:
    flow = examples["loan"].flow

    def test(run: Conversation) -> None:
        everything(run)
        run.assert_ended()
        assert list(run.parties) == ["borrow", "lend", "lend2"]
        assert len(run.outcomes(flow.Lend_v1)) == len(
            {one.receiver for one in run.messages if isinstance(one.message, flow.Request)}
        )
        assert all(one.operation == "loan.Treasury.judge" for one in run.effects("Treasury.judge"))

    lenders = st.just((rt.Party("lend"), rt.Party("lend2")))
    check(
        conversations(flow.Borrow_v1, flow.Lend_v1, flow.Lend_v1, arguments={"lenders": lenders}),
        test,
    )


def test_a_channel_with_an_owner(examples: dict[str, SimpleNamespace]) -> None:
    flow = examples["small_channel"].flow
    seen = set()

    def test(run: Conversation) -> None:
        run.assert_ended()
        seen.update(type(one.message).__name__ for one in run.messages)

    strategy = conversations(
        flow.Channel_v1,
        flow.Collect_v1,
        parties=["payer", "payee"],
        arguments={"deposit": st.integers(1, 50), "open_for": st.just(datetime.timedelta(days=2))},
        commands=st.lists(st.integers(1, 60).map(flow.Pay), max_size=3),
        answers={
            "Wallet.valid": st.just(True),
            "Wallet.pay_in": st.none(),
            "Ledger.holds": st.just(True),
        },
    )
    check(strategy, test)
    assert "Payment" in seen


def test_a_trade_of_three(examples: dict[str, SimpleNamespace]) -> None:
    flow = examples["small_trade"].flow
    check(conversations(flow.Seller_v1, flow.Buyer_v1, flow.Notary_v1), everything, 15)


ORDERS = """
message Order:
    count: Int

message Receipt:
    count: Int

service Shop:
    write take(count: Int)
    external weigh(count: Int) -> Int

flow Buyer(seller: Party, count: Int) -> Int:
    startable by rpc
    while true:
        try:
            open Seller with seller as talk
            send Order(count) to talk then receive receipt: Receipt from talk within 3s unchecked
            return receipt.count
        catch Timeout:
            log warn "once more"

flow Seller():
    responds to Buyer as talk
    receive order: Order from talk unchecked
    Shop.take(order.count)
    send Receipt(order.count) to talk
"""

orders = compiled(ORDERS)
BOTH = (orders.Buyer_v1, orders.Seller_v1)


def test_a_planted_mistake_is_found_and_its_minimal_case_printed() -> None:
    with pytest.raises(AssertionError) as caught:
        check(conversations(*BOTH), lambda run: run.assert_effect("Shop.take"), 300)
    text = f"{caught.value}\n" + "\n".join(caught.value.__notes__) + "\n"
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    text = text.replace(orders.Buyer_v1.name.rpartition(".")[0], "orders")
    if "UPDATE_EXPECT" in os.environ:
        EXPECTED.write_text(text)
    assert text == EXPECTED.read_text()


def test_without_faults_nothing_goes_wrong() -> None:
    def test(run: Conversation) -> None:
        run.assert_ended()
        run.assert_effect("Shop.take", run.result)
        run.assert_sent(orders.Order(run.result), frm="buyer", to="seller", times=1)
        assert not run.choices
        assert not [one for one in run.world.history if isinstance(one, Trouble)]

    check(conversations(*BOTH, faults=0), test)


def test_assertions_say_what_was_seen() -> None:
    said = []

    def test(run: Conversation) -> None:
        for assertion in (
            lambda: run.assert_sent(orders.Receipt, frm="buyer"),
            lambda: run.assert_sent(orders.Order, times=3),
            lambda: run.assert_not_sent(orders.Order, to="seller"),
            lambda: run.assert_effect("Shop.take", 7, times=2),
            lambda: run.assert_effect("Shop.take", 8),
        ):
            with pytest.raises(AssertionError) as caught:
                assertion()
            said.append(str(caught.value))
        with pytest.raises(InvalidArgument, match=r"calls an operation Shop\.give"):
            run.effects("Shop.give")
        with pytest.raises(InvalidArgument, match=r"no party is named bayer; there are: buyer, s"):
            run.assert_not_sent(orders.Order, frm="bayer")

    check(conversations(*BOTH, faults=0, arguments={"count": st.just(7)}), test, 1)
    assert said == [
        "Receipt from buyer was never sent",
        "Order was sent 1 times, not 3",
        "Order to seller was sent 1 times",
        "Shop.take(7) was called 1 times, not 2",
        "Shop.take(8) was called 0 times, not 1\n  it was called with (7) by seller",
    ]


def test_a_flow_in_the_hospital_fails_the_example() -> None:
    def broken(count: int) -> None:
        raise ValueError(f"no room for {count}")

    strategy = conversations(*BOTH, answers={"Shop.take": broken}, faults=0)
    with pytest.raises(AssertionError, match="Seller_v1 of seller is in the hospital") as caught:
        check(strategy, lambda run: None)
    assert "ValueError: no room for 0" in str(caught.value)
    assert "Order(count=0)" in "\n".join(caught.value.__notes__)  # The diagram is with it.


def test_a_flow_in_the_hospital_can_be_allowed(examples: dict[str, SimpleNamespace]) -> None:
    flow = examples["loan"].flow
    failed = []

    def broken(units: int) -> bool:
        failed.append(units)
        raise ValueError("the vault does not open")

    strategy = conversations(
        flow.Borrow_v1,
        flow.Lend_v1,
        arguments={"lenders": st.just((rt.Party("lend"),)), "units": st.just(5)},
        answers={
            "Treasury.reserve": broken,
            "Treasury.judge": st.just(flow.Offer(5, decimal.Decimal(1))),
        },
        faults=0,
        allow_hospital=True,
    )
    check(strategy, lambda run: run.assert_sent(flow.Request), 2)
    assert failed


def test_services_are_mocked_or_real() -> None:
    class Shop:
        def __init__(self, party: str) -> None:
            self.party = party

        def take(self, tx: Any, count: int) -> None:
            tx.execute("CREATE TABLE IF NOT EXISTS taken (party TEXT, count INTEGER)")
            tx.execute("INSERT INTO taken VALUES (?, ?)", (self.party, count))

        def weigh(self, key: str, count: int) -> int:
            return count

    def test(run: Conversation) -> None:
        assert run.result == 3
        rows = run.world.rows("seller", "SELECT party, count FROM taken")
        assert rows == [("seller", 3)] * len(run.outcomes(orders.Seller_v1))

    check(conversations(*BOTH, services={"Shop": Shop}, arguments={"count": st.just(3)}), test, 10)


def test_what_does_not_fit_is_said_at_once() -> None:
    with pytest.raises(InvalidArgument, match="none of these flows is `startable by rpc`: Seller"):
        conversations(orders.Seller_v1)
    with pytest.raises(InvalidArgument, match="no flow is given"):
        conversations()
    with pytest.raises(InvalidArgument, match=r"Order'> is no flow; give generated classes"):
        conversations(orders.Order)
    with pytest.raises(InvalidArgument, match="2 flows want 2 different parties"):
        conversations(*BOTH, parties=["one"])
    with pytest.raises(InvalidArgument, match="has a parameter price; they have: count, seller"):
        conversations(*BOTH, arguments={"price": st.none()})
    with pytest.raises(
        InvalidArgument, match=r"no flow calls an operation Shop\.give; they call: "
    ):
        conversations(*BOTH, answers={"Shop.give": st.none()})
    with pytest.raises(InvalidArgument, match="no flow uses a service Desk; they use: "):
        conversations(*BOTH, services={"Desk": object()})


@settings(max_examples=50)
@given(schedules(["ann", "ben"]))
def test_schedules_can_be_said_in_words(choices: Any) -> None:
    told = in_words(choices, ["ann", "ben"])
    assert len(told) == sum(map(len, choices.values()))
    assert not [line for line in told if ", draw " in line]
