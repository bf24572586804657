"""A hospital that is full: bounded in memory and rows, whatever peers do."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.hospital import ward
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.clinic import START_US
from tests.runtime.written import compiled

FEW, MANY = 300, 10_000
PROGRAM = compiled("""
service Desk:
    write note(text: Text) -> Int

message Please:
    text: Text

flow Fails(text: Text) -> Int:
    startable by rpc
    let n = Desk.note(text)
    return n

flow Asks(other: Party, text: Text):
    startable by rpc
    open Answers with other as line
    send Please(text) to line

flow Answers():
    responds to Asks as line
    receive p: Please from line unchecked
    let n = Desk.note(p.text)
""")


class Desk:
    def __init__(self) -> None:
        self.works = False

    def note(self, tx: Any, text: str) -> int:
        if not self.works:
            raise ValueError("x" * 10_000)
        return 1


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def rest(*nodes: Node, network: MemoryNetwork) -> None:
    moved = True
    while moved:
        moved = any(node.turn() for node in nodes if node.next_due() == 0)
        moved |= network.pump()


@pytest.mark.parametrize("many", [FEW, pytest.param(MANY, marks=pytest.mark.campaign)])
def test_patients_cost_few_bytes_each_and_leave_nothing_behind(many: int) -> None:
    network, desk = MemoryNetwork(), Desk()
    store = MemoryStore()

    def opened() -> Node:
        return Node.create(
            "alice",
            store=store,
            network=network,
            modules=[PROGRAM],
            services={"Desk": desk},
            clock=lambda: START_US,
            reload=True,
        )

    node = opened()
    for _ in range(many):
        node.submit(PROGRAM.Fails_v1, text="a")
    rest(node, network=network)
    assert not node._live
    node._stop(RuntimeError("its process ends"))
    gc.collect()
    tracemalloc.start()
    try:
        node = opened()
        rest(node, network=network)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store.disk.patients) == len(node._ward) == len(store.disk.flows) == many
    assert max(map(len, store.disk.patients.values())) < 30_000, "its texts have limits"
    assert kept < many * 1_000 + 1_000_000, "what the node itself remembers"
    assert sum(map(len, store.disk.moves.values())) == many, "one event each"
    desk.works = True
    for flow_id in list(store.disk.patients):
        node.submit_retry(flow_id)
    rest(node, network=network)
    assert (store.disk.patients, store.disk.flows, len(node._ward)) == ({}, {}, 0)
    assert len(store.disk.outcomes) == many
    assert len(node._operations) == len(node._reports) == len(node._timers) == 0


def test_a_peer_cannot_fill_the_hospital(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ward, "BEDS", 50)
    network, desk = MemoryNetwork(), Desk()
    stores = {party: MemoryStore() for party in ("alice", "bob")}
    alice, bob = (
        Node.create(
            party,
            store=store,
            network=network,
            modules=[PROGRAM],
            services={"Desk": desk},
            clock=lambda: START_US,
            reload=True,
        )
        for party, store in stores.items()
    )
    for _ in range(500):
        alice.submit(PROGRAM.Asks_v1, other=Party("bob"), text="a")
    rest(alice, bob, network=network)
    for _ in range(10):
        bob.turn()
    rest(alice, bob, network=network)
    disk = stores["bob"].disk
    assert len(disk.patients) == len(disk.flows) == 50
    assert len(disk.outcomes) == 450, "the others ended, and their peers are told"
    assert disk.outbox == {}
