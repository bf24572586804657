"""Services hear of a flow's end, however it ends, in the transaction in which it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.node import Node, NodeStopped
from flowrt.policies import End
from flowrt.services import ServiceMissing
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import START_US, compiled

FLOWS = compiled("""
message Hello:
    text: Text

error Wrong: "wrong"

service Locks:
    write lock(name: Text)
    write break_down()

service Others:
    read other() -> Int

flow Lock(name: Text, how: Text):
    startable by rpc
    Locks.lock(name)
    checkpoint
    match how:
        case "throw":
            throw Wrong()
        case "fail":
            Locks.break_down()
        case "sleep":
            sleep 1h
        case _:
            pass

flow Within(name: Text):
    startable by rpc
    subflow Hold(name)

flow Hold(name: Text):
    Locks.lock(name)

flow Elsewhere() -> Int:
    startable by rpc
    return Others.other()

flow Invite(whom: Party):
    startable by rpc
    open Answer with whom as talk
    send Hello("there") to talk

flow Answer():
    responds to Invite as talk
    Locks.lock("responder")
    receive hello: Hello from talk unchecked
""")


class Locks:
    """Locks by the flow that has them; `told` are the ends that it heard of."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.fails: Exception | None = None

    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS lock (name TEXT PRIMARY KEY, flow INTEGER)")

    def lock(self, tx: Any, name: str) -> None:
        tx.execute("INSERT INTO lock VALUES (?, ?)", (name, tx.flow_id))

    def break_down(self, tx: Any) -> None:
        raise ValueError("broken")

    def flow_ended(self, tx: Any, flow_id: int) -> None:
        assert tx.flow_id == flow_id
        self.told.append(flow_id)
        tx.execute("DELETE FROM lock WHERE flow = ?", (flow_id,))
        if self.fails is not None:
            raise self.fails


class Others:
    def other(self, tx: Any) -> int:
        return 1


class Place:
    """A node that is opened again and again on one store."""

    def __init__(self, store: Callable[[], Any]) -> None:
        self.locks = Locks()
        self._store = store
        self.network = MemoryNetwork()
        self.node: Any = None
        self.now_us = START_US
        self.open()

    def open(self, **options: Any) -> None:
        self.close()
        self.node = Node.create(
            "alice",
            store=self._store(),
            network=self.network,
            modules=[FLOWS],
            services={"Locks": self.locks, "Others": Others()},
            clock=lambda: self.now_us,
            key=b"." * 32,
            **options,
        )

    def close(self) -> None:
        if self.node is not None:
            self.node._stop(NodeStopped("for a test"))
            self.node = None

    def start(self, flow: Any, **arguments: Any) -> int:
        flow_id: int = self.node.submit(flow, **arguments).id
        self.rest()
        return flow_id

    def rest(self) -> None:
        while self.node.turn() or self.network.pump():
            pass

    def locked(self) -> list[tuple[str, int]]:
        store = self.node._store
        store.savepoint()
        found = store.execute("SELECT name, flow FROM lock ORDER BY name", (), read_only=True)
        store.rollback()
        store.abandon()
        return list(found)


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    disk = MemoryDisk()
    stores = {
        "memory": lambda: MemoryStore(disk),
        "sqlite": lambda: SqliteStore(tmp_path / "alice.db"),
    }
    found = Place(stores[request.param])
    yield found
    found.close()


@pytest.mark.parametrize("how", ["return", "throw"])
def test_a_flow_that_ends_by_itself(place: Place, how: str) -> None:
    flow_id = place.start(FLOWS.Lock_v1, name="a", how=how)
    assert place.locks.told == [flow_id]
    assert place.locked() == []


def test_a_flow_that_rests_keeps_its_locks_until_it_is_killed(place: Place) -> None:
    flow_id = place.start(FLOWS.Lock_v1, name="a", how="sleep")
    assert (place.locks.told, place.locked()) == ([], [("a", flow_id)])
    place.node.submit_kill(flow_id, by="ann", reason="no need")
    place.rest()
    assert (place.locks.told, place.locked()) == ([flow_id], [])


def test_a_patient_that_its_policy_or_a_person_ends(place: Place) -> None:
    flow_id = place.start(FLOWS.Lock_v1, name="a", how="fail")
    assert (place.locks.told, place.locked()) == ([], [("a", flow_id)])
    place.node.submit_kill(flow_id, by="ann", reason="no need")
    place.rest()
    place.open(policy=lambda failure: End())
    other = place.start(FLOWS.Lock_v1, name="b", how="fail")
    place.rest()
    assert (place.locks.told, place.locked()) == ([flow_id, other], [])


def test_a_responder_and_who_uses_it_in_a_subflow(place: Place) -> None:
    first = place.start(FLOWS.Within_v1, name="a")
    place.start(FLOWS.Invite_v1, whom=Party("alice"))
    assert place.locks.told == [first, first + 2]
    assert place.locked() == []


def test_of_flows_that_could_not_use_it_nothing_is_told(place: Place) -> None:
    place.start(FLOWS.Elsewhere_v1)
    assert place.locks.told == []


def test_an_end_stands_whatever_a_service_makes_of_it(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.locks.fails = ValueError("the locks are stuck")
    flow_id = place.start(FLOWS.Lock_v1, name="a", how="return")
    assert place.node.handle(flow_id).outcome is not None
    assert place.locked() == [("a", flow_id)]  # What it wrote before it failed is undone.
    assert "Locks.flow_ended failed for flow 1: ValueError: the locks are stuck" in caplog.text
    place.open()
    assert place.locked() == [("a", flow_id)]
    place.locks.fails = None
    place.open()
    assert place.locked() == []
    told = len(place.locks.told)
    place.open()
    assert len(place.locks.told) == told


def test_one_that_does_not_fit_is_told_when_the_node_opens(place: Place) -> None:
    place.locks.flow_ended = lambda tx: None  # type: ignore[method-assign, misc, assignment]
    with pytest.raises(
        ServiceMissing, match=r"Locks.flow_ended should be flow_ended\(tx, flow_id\)"
    ):
        place.open()
    place.node = None
