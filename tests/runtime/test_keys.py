"""Business keys: of the flows of one name only one lives under a key, and it is found by it."""

from __future__ import annotations

import asyncio
import types
from pathlib import Path

import pytest

from flowrt.core import flow as rt
from flowrt.node import Node, NotStartable, StillRunning
from flowrt.store import Store
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import compiled

PROGRAM = """
flow Order(number: Text, days: Int) -> Int:
    startable by rpc
    key "order-{number}"
    sleep 1d * days
    return days

flow Two(first: Text, second: Text) -> untrusted Text:
    startable by rpc
    start Order(first, 1)
    try:
        start Order(second, 1)
    catch FlowFailed as e:
        return e.reason
    return "both"
"""
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def module() -> types.ModuleType:
    return compiled(PROGRAM)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return SqliteStore(tmp_path / "alice.db") if request.param == "sqlite" else MemoryStore()


class Clock:
    def __init__(self) -> None:
        self.now_us = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now_us


def node_of(store: Store, module: types.ModuleType, clock: Clock) -> Node:
    return Node.create("alice", store=store, network=MemoryNetwork(), modules=[module], clock=clock)


def settle(node: Node) -> None:
    while node.turn():
        pass


def test_a_second_one_is_refused_while_the_first_lives(
    store: Store, module: types.ModuleType
) -> None:
    clock = Clock()
    node = node_of(store, module, clock)
    first = node.submit(module.Order_v1, number="7", days=1)
    same_batch = node.submit(module.Order_v1, number="7", days=2)
    other = node.submit(module.Order_v1, number="8", days=1)
    settle(node)
    refusal = f"Order order-7 lives already: it is flow {first.id}"
    with pytest.raises(NotStartable, match=refusal):
        same_batch.result_now()
    later = node.submit(module.Order_v1, number="7", days=3)
    settle(node)
    with pytest.raises(NotStartable, match=refusal):
        later.result_now()
    with pytest.raises(StillRunning):
        other.result_now()
    found = node.find(module.Order_v1, "order-7")
    assert found is not None
    assert found.id == first.id
    assert [view.id for view in node.flows()] == [first.id, other.id]

    # It holds over a restart, and only as long as the flow lives.
    node._stop(RuntimeError("restart"))
    node = node_of(store, module, clock)
    again = node.submit(module.Order_v1, number="7", days=3)
    settle(node)
    with pytest.raises(NotStartable):
        again.result_now()
    clock.now_us += DAY_US
    settle(node)
    assert node.find(module.Order_v1, "order-7") is None
    assert node.handle(first.id).result_now() == 1
    anew = node.submit(module.Order_v1, number="7", days=3)
    settle(node)
    assert node.find(module.Order_v1, "order-7") is not None
    assert anew.outcome is None


def test_a_flow_that_starts_a_second_one_hears_of_it(
    store: Store, module: types.ModuleType
) -> None:
    node = node_of(store, module, Clock())
    twice = node.submit(module.Two_v1, first="1", second="1")
    settle(node)
    assert "Order order-1 lives already: it is flow" in str(twice.result_now())
    both = node.submit(module.Two_v1, first="2", second="3")
    settle(node)
    assert both.result_now() == "both"
    against = node.submit(module.Two_v1, first="4", second="2")
    settle(node)
    assert "order-2 lives already" in str(against.result_now())


def test_who_waits_for_the_start_is_told(module: types.ModuleType) -> None:
    async def main() -> None:
        node = await Node.open(
            "alice", store=MemoryStore(), network=MemoryNetwork(), modules=[module]
        )
        starts = [node.start(module.Order_v1, number="7", days=1) for _ in range(5)]
        told = await asyncio.gather(*starts, return_exceptions=True)
        assert [isinstance(one, NotStartable) for one in told] == [False, True, True, True, True]
        await node.close()

    asyncio.run(main())


def test_a_flow_without_a_key_has_none(module: types.ModuleType) -> None:
    assert module.Two_v1.key(module.Two_v1.Start("a", "b")) == ""
    assert module.Order_v1.key(module.Order_v1.Start("7", 1)) == "order-7"
    assert issubclass(module.Order_v1, rt.Flow)
