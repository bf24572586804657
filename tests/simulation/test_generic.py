"""Worlds of any modules: made-up values, services, people and owners; the same world each time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from flowrt.core.flow import FlowError, Int, Party, typed
from flowrt.core.registry import Registry
from flowrt.sim import Tape, World, play
from flowrt.sim.generic import Generic, NotPlayable, fields_of
from flowrt.sim.history import Called, Ended
from flowrt.sim.mocks import Mocks
from flowrt.sim.values import Draw, Unknown
from tests.simulation.order import ORDER, compiled


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def order() -> ModuleType:
    return compiled(ORDER, "order")


def drawn(kind: Any, seed: int | None = None) -> Any:
    return Draw(Tape(seed), "value", [Party("alice"), Party("bob")], 0).value(kind)


def test_the_smallest_value_of_every_type(order: ModuleType) -> None:
    assert drawn(order.Line) == order.Line("", order.Size_Small())
    assert drawn(order.Bid) == order.Bid(Decimal(0))
    assert drawn(Int | None) is None
    assert drawn(tuple[Party, ...]) == ()
    assert drawn(Party) == Party("alice")


def test_values_are_of_their_types_and_differ(order: ModuleType) -> None:
    for kind in (order.Line, order.Bid, order.Ask, tuple[order.Line, ...], order.Question):
        found = {repr(typed("drawn", kind, drawn(kind, seed))) for seed in range(60)}
        assert len(found) > 3


def test_an_error_has_its_fields(order: ModuleType) -> None:
    error = drawn(order.SoldOut, 1)
    assert isinstance(error, FlowError)
    assert isinstance(error.sku, str)


def test_what_no_value_can_be_made_up_for_is_named(order: ModuleType) -> None:
    class Opaque:
        def to_flow(self) -> bytes:
            return b""

    with pytest.raises(Unknown, match="values of Opaque cannot be made up; give the class"):
        drawn(Opaque)


def test_a_world_of_everything_is_well_and_goes_everywhere(order: ModuleType) -> None:
    scenario = Generic([order])
    ends: Counter[tuple[str, str | None]] = Counter()
    for seed in range(120):
        played = play(scenario, seed)
        assert played.violation is None, f"{seed}: {played.violation}"
        ends.update((e.flow, e.error) for e in played.world.history if type(e) is Ended)
    assert ends.keys() >= {
        ("order.Buy_v1", None),
        ("order.Buy_v1", "order.SoldOut"),
        ("order.Buy_v1", "TaskExpired"),
        ("order.Sell_v1", None),
        ("order.Count_v1", None),
        ("order.Count_v1", "Timeout"),
    }


def test_a_world_is_the_same_again_by_its_choices(order: ModuleType) -> None:
    scenario = Generic([order])
    for seed in range(40):
        played = play(scenario, seed)
        again = play(scenario, choices=played.choices)
        assert again.world.digest == played.world.digest
        assert again.choices == played.choices


def test_without_choices_one_flow_starts_and_nothing_goes_wrong(order: ModuleType) -> None:
    played = play(Generic([order]), choices={})
    assert played.choices == {}
    assert [e.flow for e in played.world.history if type(e) is Ended] == [
        "order.Sell_v1",
        "order.Buy_v1",
    ]


def test_a_flow_that_was_named_starts_with_what_was_given(order: ModuleType) -> None:
    line = order.Line("tea", order.Size_Large(3))
    scenario = Generic(
        [order], flow=order.Buy_v1, arguments={"line": line}, parties=("ann", "ben"), most=1
    )
    for seed in range(10):
        played = play(scenario, seed)
        assert played.violation is None
        (started,) = played.world.starts
        assert (started.party, started.flow, started.arguments["line"]) == (
            "ann",
            order.Buy_v1,
            line,
        )


def test_real_services_are_used(order: ModuleType) -> None:
    class Stock:
        def price(self, tx: Any, sku: str) -> Any:
            return Decimal(3)

        def take(self, tx: Any, sku: str) -> int:
            return 7

        def book(self, key: str, sku: str) -> str:
            return "booked"

        def charge(self, key: str, price: Any) -> str:
            return "charged"

    scenario = Generic(
        [order], flow=order.Buy_v1, services=lambda party: {"Stock": Stock()}, most=1
    )
    played = play(scenario, choices={})
    assert played.violation is None
    (started,) = played.world.starts
    assert started.outcome is not None
    assert started.outcome.error is None
    assert any(
        type(e) is Called and e.operation == "order.Stock.take" for e in played.world.history
    )


def test_who_cannot_be_started_is_said(order: ModuleType) -> None:
    with pytest.raises(NotPlayable, match="Sell_v1 is not `startable by rpc`"):
        Generic([order], flow=order.Sell_v1)


def test_the_owners_session_is_no_argument(order: ModuleType) -> None:
    assert [field.name for field in fields_of(order.Count_v1)] == ["seller"]


class Step:
    """What an operation sees of the step that calls it."""

    flow_id = 1


def test_the_same_question_in_a_repeated_step_has_the_same_answer(order: ModuleType) -> None:
    world = World(Tape(3))
    mocks = Mocks(world, Registry([order]))
    world.add("alice", [order], mocks.services("alice"))
    stock: Any = mocks.services("alice")["order.Stock"]
    answers = [stock.price(Step(), "tea") for _ in range(5)]
    assert len(set(map(repr, answers))) == 1
    world.close()


def test_who_asks_again_and_again_hears_something_else_in_the_end(order: ModuleType) -> None:
    world = World(Tape())
    mocks = Mocks(world, Registry([order]))
    world.add("alice", [order], mocks.services("alice"))
    stock: Any = mocks.services("alice")["order.Stock"]
    answers = []
    for _ in range(20):
        answers.append(stock.price(Step(), "tea"))
        world.history.append(Called(0, "alice", 1, "order.Stock.price", ("tea",)))
    assert answers[0] is None
    assert any(answer is not None for answer in answers)
    world.close()


def test_what_may_run_once_and_runs_twice_is_seen(order: ModuleType) -> None:
    world = World(Tape())
    mocks = Mocks(world, Registry([order]))
    world.add("alice", [order], mocks.services("alice"))
    stock: Any = mocks.services("alice")["order.Stock"]
    assert stock.book("key-1", "tea") == stock.book("key-1", "tea")
    mocks.judge()
    stock.charge("key-2", 5)
    mocks.judge()
    stock.charge("key-2", 5)
    with pytest.raises(AssertionError, match=r"I3: order\.Stock\.charge may run once"):
        mocks.judge()
    world.close()


def test_one_key_for_two_calls_is_seen(order: ModuleType) -> None:
    world = World(Tape())
    mocks = Mocks(world, Registry([order]))
    world.add("alice", [order], mocks.services("alice"))
    stock: Any = mocks.services("alice")["order.Stock"]
    stock.book("key-1", "tea")
    stock.book("key-1", "milk")
    with pytest.raises(AssertionError, match="I3: key-1 names"):
        mocks.judge()
    world.close()
