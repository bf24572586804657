"""What a node reads of flows at rest: what it needs now, however many there are."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.core.registry import Registry
from flowrt.limits import Limits
from flowrt.node import Node
from flowrt.store import Row, Store
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.timers import SLACK
from flowrt.transport.memory import MemoryNetwork
from tests.runtime import hand_flow as hand

FLOWS = 5_000
FEWER = 800
SECOND_US = 1_000_000
START_US = 1_000_000 * SECOND_US


class Counting:
    """A store that counts the rows that are read of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.loaded: list[int] = []
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def load(self, flow_id: int) -> bytes | None:
        self.loaded.append(flow_id)
        return self.store.load(flow_id)

    def due(self, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        found = self.store.due(after, limit)
        self.rows += len(found)
        return found

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        for row in self.store.frames(numbers):
            self.rows += 1
            yield row

    def flows(self, after: int = -1) -> Iterator[Row]:
        for row in self.store.flows(after):
            self.rows += 1
            yield row


class Clock:
    def __init__(self) -> None:
        self.now_us = START_US

    def __call__(self) -> int:
        return self.now_us


class Place:
    """Where nodes of alice are opened, one after the other, on one store."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.disk = MemoryDisk()
        self.make = {
            "memory": lambda: MemoryStore(self.disk),
            "sqlite": lambda: SqliteStore(folder / "alice.db"),
        }[kind]
        self.clock = Clock()
        self.registry = Registry([hand])
        self.network = MemoryNetwork()
        self.nodes: list[Node] = []

    def open(self, party: str = "alice", **options: Any) -> tuple[Node, Counting]:
        store = Counting(self.make() if party == "alice" else MemoryStore())
        services = {"Journal": Journal()}
        node = Node.create(
            party,
            store=store,
            network=self.network,
            modules=self.registry,
            services=services,
            clock=self.clock,
            **options,
        )
        self.nodes.append(node)
        return node, store

    def end(self, node: Node) -> None:
        node._stop(RuntimeError("its process has ended"))

    def run(self) -> None:
        while any(node.turn() for node in self.nodes if node._stopped is None) or (
            self.network.pump()
        ):
            pass


class Journal:
    def put(self, tx: Any, text: str) -> None:
        pass

    def count(self, tx: Any) -> int:
        return 0


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = Place(request.param, tmp_path)
    yield made
    for node in made.nodes:
        node._stop(RuntimeError("over"))


def _nap(node: Node, seconds: int) -> int:
    length = datetime.timedelta(seconds=seconds)
    return node.submit(hand.Napper_v1, naps=1, length=length).id


def _decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The checkpoints that are decoded from now on."""
    decoded: list[bytes] = []
    sound = Registry.checkpoint

    def checkpoint(self: Registry, data: bytes) -> Any:
        decoded.append(data)
        return sound(self, data)

    monkeypatch.setattr(Registry, "checkpoint", checkpoint)
    return decoded


def test_a_node_that_opens_reads_the_nearest_times_and_no_flow(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, _ = place.open()
    ids = [_nap(node, seconds=60 + n // 10) for n in range(FLOWS)]
    place.run()
    place.end(node)
    decoded = _decoded(monkeypatch)
    node, store = place.open(window=100)
    assert (store.loaded, store.rows) == ([], 0)
    place.run()
    assert (store.loaded, store.rows, decoded) == ([], 100, [])
    assert node.next_due() == START_US + 60 * SECOND_US
    place.clock.now_us += 64 * SECOND_US
    place.run()
    assert store.loaded == ids[:50], "the flows whose time has come, and no others"
    assert (len(decoded), store.rows) == (50, 100)
    assert len(node._timers) <= 200 + SLACK
    assert node.next_due() == START_US + 65 * SECOND_US
    place.clock.now_us += 10**4 * SECOND_US
    place.run()
    assert sorted(store.loaded) == ids, "each once"
    assert all(node._store.outcome(flow_id) for flow_id in ids)
    assert store.rows <= FLOWS + 100


def test_a_running_node_forgets_what_rests_long(place: Place) -> None:
    node, store = place.open(window=50)
    for n in range(FEWER):
        _nap(node, seconds=10**4 - n)
    place.run()
    assert len(node._timers) <= 100 + SLACK
    place.clock.now_us += 2 * 10**4 * SECOND_US
    place.run()
    assert next(node._store.flows(), None) is None
    assert store.rows <= FEWER + 100


def test_what_waits_for_a_peer_who_is_away_is_read_when_he_takes_it(place: Place) -> None:
    node, _ = place.open()
    for _ in range(FEWER):
        node.submit(hand.Hasty_v1, to=Party("bob"), words=0)
    while node.turn():
        pass
    waiting = len(node._outbox)
    assert waiting >= FEWER
    place.end(node)
    window = Limits(window=64)
    node, store = place.open(window=64, limits=window)
    assert (node._outbox.under_way, len(node._outbox), store.rows) == (64, waiting, 64)
    node.turn()
    assert (node._outbox.under_way, store.rows) == (64, 64)
    place.network.clear()
    bob, _ = place.open("bob")
    place.clock.now_us += 2 * SECOND_US
    most = 0
    for _ in range(10 * FEWER):
        for one in (node, bob):
            one.turn()
        most = max(most, node._outbox.under_way)
        if not place.network.pump() and not node._has_work() and not bob._has_work():
            break
    assert most == 64
    assert len(node._outbox) == 0
    assert list(node._store.outbox()) == []
    assert store.rows <= 2.2 * waiting + 65, "each flow says that it failed, too"


def test_a_flow_of_many_bytes_is_not_kept(place: Place) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowrt.stepping.LARGE", 60)
        node, _ = place.open()
        small, large = _nap(node, 1), node.submit(hand.Left_v1, to=Party("b" * 100)).id
        place.run()
    assert small in node._live
    assert large not in node._live


def test_pages_of_flows(place: Place) -> None:
    node, store = place.open()
    ids = [_nap(node, 60) for _ in range(25)]
    place.run()
    seen: list[int] = []
    while page := node.flows(limit=10, after=seen[-1] if seen else 0):
        assert len(page) <= 10
        seen += [view.id for view in page]
    assert seen == ids
    assert store.rows <= 25 + 3, "what follows a page is not read with it"
