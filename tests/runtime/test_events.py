"""Waiting for what a service knows: asked at once, told in the transaction that makes it so, kept
over restarts, forgotten with what waited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.core.values import decode, encode
from flowrt.node import Node, NodeStopped
from flowrt.store import CommitFailed
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import START_US, compiled

PROGRAM = """
error Withdrawn(id: Text): "{id} was withdrawn"
error Broken: "broken"

service Vault:
    write record(id: Text, value: Int)
    event recorded(id: Text) -> Int
    event sealed(id: Text, at: Decimal)

flow Record(id: Text, value: Int):
    startable by rpc
    Vault.record(id, value)

flow RecordAndThrow(id: Text):
    startable by rpc
    Vault.record(id, 1)
    throw Broken()

flow Both(id: Text) -> Int:
    startable by rpc
    let told = pending await Vault.recorded(id)
    Vault.record(id, 5)
    receive:
        case result told as value:
            return value

flow Wait(id: Text) -> Int:
    startable by rpc
    return await Vault.recorded(id)

flow Sealed(id: Text) -> Text:
    startable by rpc
    await Vault.sealed(id, 1.50)
    return "sealed"

flow Catch(id: Text) -> Int:
    startable by rpc
    try:
        return await Vault.recorded(id)
    catch Withdrawn:
        return -1

flow Within(id: Text) -> Int:
    startable by rpc
    try:
        within 1h:
            return await Vault.recorded(id)
    catch Timeout:
        return -2

flow Inner(id: Text) -> Int:
    let told = pending await Vault.recorded(id)
    receive:
        case result told as value:
            return value
        case timeout 1h:
            return 0

flow Outer(id: Text) -> Int:
    startable by rpc
    let first = subflow Inner(id)
    let second = await Vault.recorded("{id}2")
    return first + second

flow Relay(id: Text) -> Int:
    startable by rpc
    let value = await Vault.recorded(id)
    Vault.record("{id}2", value + 1)
    return value
"""
FLOWS = compiled(PROGRAM)
ALICE = Party("alice")
HOUR_US = 3_600_000_000


class Vault:
    """What is recorded, in the node's tables; `asked` is what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told_at_setup: list[str] = []
        self.fails = ""

    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS vault (id TEXT PRIMARY KEY, value INTEGER)")
        for id in self.told_at_setup:
            tx.execute("INSERT OR IGNORE INTO vault VALUES (?, 7)", (id,))
            tx.happened("recorded", id)

    def record(self, tx: Any, id: str, value: int) -> None:
        tx.execute("INSERT OR REPLACE INTO vault VALUES (?, ?)", (id, value))
        tx.happened("recorded", id)

    def recorded(self, tx: Any, id: str) -> int | None:
        self.asked.append(id)
        if id == self.fails:
            raise ValueError("the vault is shut")
        rows = tx.execute("SELECT value FROM vault WHERE id = ?", (id,))
        if rows and rows[0][0] < 0:
            raise FLOWS.Withdrawn(id)
        return rows[0][0] if rows else None

    def sealed(self, tx: Any, id: str, at: Any) -> bool:
        return bool(tx.execute("SELECT 1 FROM vault WHERE id = ?", (id,)))


Opening = Callable[[], Node]


class Place:
    """A node that is opened again and again on one store."""

    def __init__(self, store: Callable[[], Any]) -> None:
        self.vault = Vault()
        self.now_us = START_US
        self._store = store
        self.node: Node | None = None
        self.open()

    def open(self) -> None:
        """A new process."""
        self.close()
        self.node = Node.create(
            "alice",
            store=self._store(),
            network=MemoryNetwork(),
            modules=[FLOWS],
            services={"Vault": self.vault},
            clock=lambda: self.now_us,
            key=b"." * 32,
        )

    def close(self) -> None:
        if self.node is not None:
            self.node._stop(NodeStopped("for a test"))
            self.node = None

    def start(self, flow: Any, *arguments: Any) -> int:
        assert self.node is not None
        names = flow.Start.__struct_fields__
        flow_id = self.node.submit(flow, **dict(zip(names, arguments, strict=False))).id
        self.rest()
        return flow_id

    def rest(self) -> None:
        assert self.node is not None
        while self.node.turn():
            pass

    def outcome(self, flow_id: int) -> Any:
        """What a flow gave; None while it lives."""
        assert self.node is not None
        handle = self.node.handle(flow_id)
        return None if handle.outcome is None else handle.result_now()


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


def rows(place: Place, event: str, *arguments: Any) -> list[tuple[int, int]]:
    """Who waits for it in the store."""
    from flowrt.core.waiting import wait_key

    assert place.node is not None
    name = f"{FLOWS.Vault_key.name}.{event}"
    return place.node._store.waiting(wait_key(name, encode(arguments)))


def test_what_is_so_is_not_waited_for(place: Place) -> None:
    place.start(FLOWS.Record_v1, "a", 3)
    assert place.outcome(place.start(FLOWS.Wait_v1, "a")) == 3
    assert rows(place, "recorded", "a") == []


def test_it_rests_in_the_store_until_it_is_told(place: Place) -> None:
    waiting = [place.start(FLOWS.Wait_v1, name) for name in "aab"]
    assert rows(place, "recorded", "a") == [(waiting[0], 0), (waiting[1], 0)]
    place.open()
    place.vault.asked.clear()
    place.rest()
    assert place.vault.asked == []  # Nobody is looked at when a node opens.
    assert place.node is not None
    assert [one.waits for one in place.node.flows()] == ["Vault.recorded(…)"] * 3
    place.start(FLOWS.Record_v1, "a", 3)
    assert place.vault.asked == ["a", "a"]
    assert [place.outcome(one) for one in waiting] == [3, 3, None]
    assert rows(place, "recorded", "a") == []
    assert rows(place, "recorded", "b") == [(waiting[2], 0)]


def test_all_who_wait_hear_of_it_in_the_transaction_that_makes_it_so(place: Place) -> None:
    waiting = [place.start(FLOWS.Wait_v1, "a") for _ in range(3)]
    assert place.node is not None
    place.node.submit(FLOWS.Record_v1, id_="a", value=4)
    assert place.node.turn(1)
    assert rows(place, "recorded", "a") == []
    place.open()
    place.rest()
    assert [place.outcome(one) for one in waiting] == [4] * 3


def test_a_step_that_is_undone_tells_nobody(place: Place) -> None:
    waiting = place.start(FLOWS.Wait_v1, "a")
    place.vault.asked.clear()
    place.vault.fails = "a"
    bad = place.start(FLOWS.Both_v1, "a")
    assert place.node is not None
    assert [one.flow_id for one in place.node.hospital()] == [bad]
    assert place.vault.asked == ["a"]  # By the one that failed.
    assert rows(place, "recorded", "a") == [(waiting, 0)]
    assert place.outcome(waiting) is None


def test_what_a_flow_makes_so_itself_it_hears(place: Place) -> None:
    assert place.outcome(place.start(FLOWS.Both_v1, "a")) == 5
    assert rows(place, "recorded", "a") == []


def test_an_event_without_a_value_and_canonical_arguments(place: Place) -> None:
    from decimal import Decimal

    waiting = place.start(FLOWS.Sealed_v1, "a")
    assert place.node is not None
    place.start(FLOWS.Record_v1, "a", 1)
    assert place.outcome(waiting) is None
    place.node.submit_happened("Vault.sealed", "a", Decimal("1.500"))
    place.rest()
    assert place.outcome(waiting) == "sealed"


def test_it_may_end_with_an_error(place: Place) -> None:
    waiting = place.start(FLOWS.Catch_v1, "a")
    place.start(FLOWS.Record_v1, "a", -1)
    assert place.outcome(waiting) == -1
    assert place.outcome(place.start(FLOWS.Catch_v1, "a")) == -1


def test_a_deadline_and_the_end_of_a_subflow_end_the_wait(place: Place) -> None:
    waiting = [place.start(FLOWS.Within_v1, "a"), place.start(FLOWS.Outer_v1, "a")]
    assert rows(place, "recorded", "a") == [(waiting[0], 0), (waiting[1], 0)]
    place.now_us += HOUR_US
    place.open()
    place.rest()
    assert place.outcome(waiting[0]) == -2
    assert rows(place, "recorded", "a") == []
    assert rows(place, "recorded", "a2") == [(waiting[1], 1)]
    assert place.node is not None
    place.node.submit_kill(waiting[1], by="ann", reason="no need")
    place.rest()
    assert rows(place, "recorded", "a2") == []


def test_who_goes_on_may_make_the_next_thing_so(place: Place) -> None:
    second = place.start(FLOWS.Wait_v1, "a2")
    first = place.start(FLOWS.Relay_v1, "a")
    place.start(FLOWS.Record_v1, "a", 8)
    assert (place.outcome(first), place.outcome(second)) == (8, 9)


def test_who_is_paused_keeps_it(place: Place) -> None:
    waiting = place.start(FLOWS.Wait_v1, "a")
    assert place.node is not None
    place.node.submit_pause(waiting, by="ann", reason="why not")
    place.rest()
    place.start(FLOWS.Record_v1, "a", 3)
    assert place.outcome(waiting) is None
    place.open()
    place.node.submit_resume(waiting)
    place.rest()
    assert place.outcome(waiting) == 3


def test_who_cannot_be_asked_is_in_the_hospital_and_asks_again(place: Place) -> None:
    waiting = place.start(FLOWS.Wait_v1, "a")
    place.vault.fails = "a"
    recording = place.start(FLOWS.Record_v1, "a", 3)
    assert place.node is not None
    assert [one.flow_id for one in place.node.hospital()] == [waiting]
    assert place.node.handle(recording).outcome is not None
    assert rows(place, "recorded", "a") == [(waiting, 0)]
    place.vault.fails = ""
    place.open()
    place.node.submit_retry(waiting)
    place.rest()
    assert place.outcome(waiting) == 3


def test_what_came_about_elsewhere_is_told_when_the_service_is_set_up(place: Place) -> None:
    waiting = place.start(FLOWS.Wait_v1, "a")
    place.vault.told_at_setup = ["a", "b"]
    place.open()
    place.open()  # Nobody had the time to look.
    place.rest()
    assert place.outcome(waiting) == 7
    assert rows(place, "recorded", "a") == []


def test_one_that_is_told_too_early_waits_on(place: Place) -> None:
    waiting = place.start(FLOWS.Wait_v1, "a")
    assert place.node is not None
    place.node.submit_happened("recorded", "a")
    place.rest()
    assert place.outcome(waiting) is None
    assert rows(place, "recorded", "a") == [(waiting, 0)]
    work: Any = place.node._store._work  # type: ignore[attr-defined]
    assert not work.db.in_transaction  # Nothing was written, and nobody is locked out.


def test_a_refused_batch_takes_what_it_told_with_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = place.start(FLOWS.Wait_v1, "a")
    assert place.node is not None
    store = place.node._store
    commit = store.commit
    refusals = [CommitFailed("not now")]

    def refuse(batch: Any) -> None:
        if refusals and batch.flows:
            store.abandon()
            raise refusals.pop()
        commit(batch)

    monkeypatch.setattr(store, "commit", refuse)
    place.start(FLOWS.Record_v1, "a", 3)
    for patient in place.node.hospital():
        place.node.submit_retry(patient.flow_id)
    place.rest()
    assert refusals == []
    assert place.outcome(waiting) == 3


def test_misuse_is_told(place: Place) -> None:
    assert place.node is not None
    for wrong, says in (
        (("recoded", "a"), "no service of this node has an event recoded"),
        (("recorded",), "takes 1 values"),
        (("recorded", 3), "who says that"),
    ):
        with pytest.raises(TypeError, match=says):
            place.node.submit_happened(*wrong)
    with pytest.raises(RuntimeError, match="only a `write` operation"):
        place.node._tx.happened("recorded", "a")


def test_bytes_that_wait_are_few(place: Place) -> None:
    """A wait is one row of a digest and two numbers, whatever its arguments are."""
    place.start(FLOWS.Wait_v1, "a" * 10_000)
    assert place.node is not None
    [row] = list(place.node._store.flows())
    assert decode(list[Any], row.checkpoint)
    assert rows(place, "recorded", "a" * 10_000) == [(1, 0)]
