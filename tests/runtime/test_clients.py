"""Flows under the names that clients have for them: one flow, however often it is asked for."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from flowrt import events
from flowrt.handle import NotStartable
from flowrt.node import Node
from flowrt.store import Store
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import compiled

PROGRAM = compiled("""
record Deal:
    of: Text

flow Slow(deal: Deal, nap: Duration = 1h) -> Text:
    startable by rpc
    key deal.of
    sleep nap
    return deal.of

flow Quick(n: Int) -> Int:
    startable by rpc
    return n + 1

flow Fails() -> Int:
    startable by rpc
    require me.name == "nobody" else Refused()
    return 1

error Refused
""")
NEVER = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


class Clock:
    now_us = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.now_us


class Desk:
    """One party's node after the other, on one store."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.clock = Clock()
        self._disk = MemoryDisk()
        self._path = folder / "alice.db" if kind == "sqlite" else None
        self.node = self._open()

    def _open(self) -> Node:
        store: Store = SqliteStore(self._path) if self._path else MemoryStore(self._disk)
        return Node.create(
            "alice",
            store=store,
            network=MemoryNetwork(),
            modules=[PROGRAM],
            clock=self.clock,
            key=bytes(32),
        )

    def restart(self) -> Node:
        self.node._store.close()
        self.node = self._open()
        return self.node

    def run(self) -> None:
        while self.node.turn():
            pass


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    return Desk(request.param, tmp_path)


def test_the_same_name_is_the_same_flow_and_result(desk: Desk) -> None:
    first = desk.node.submit_once("order 17", PROGRAM.Quick_v1, n=1)
    again = desk.node.submit_once("order 17", PROGRAM.Quick_v1, n=1)
    assert first is again
    desk.run()
    for again in (False, True):
        node = desk.restart() if again else desk.node
        handle = node.submit_once("order 17", PROGRAM.Quick_v1, n=1)
        assert (handle.id, handle.result_now()) == (first.id, 2)
        assert not node.turn()
    other = desk.node.submit_once("order 18", PROGRAM.Quick_v1, n=1)
    desk.run()
    assert other.id != first.id


def test_other_arguments_are_refused_and_change_nothing(desk: Desk) -> None:
    desk.node.submit_once("order 17", PROGRAM.Quick_v1, n=1)
    for _ in range(2):
        for flow, arguments in ((PROGRAM.Quick_v1, {"n": 2}), (PROGRAM.Fails_v1, {})):
            with pytest.raises(NotStartable, match="'order 17' is the name of flow 1, which was"):
                desk.node.submit_once("order 17", flow, **arguments)
        desk.run()
    assert desk.node.flows() == []


def test_arguments_that_are_equal_are_the_same(desk: Desk) -> None:
    hour = datetime.timedelta(hours=1)
    first = desk.node.submit_once("a", PROGRAM.Slow_v1, deal=PROGRAM.Deal("x"))
    same = desk.node.submit_once("a", PROGRAM.Slow_v1, deal=PROGRAM.Deal("x"), nap=hour)
    assert first is same


def test_failures_are_kept_as_results_are(desk: Desk) -> None:
    desk.node.submit_once("f", PROGRAM.Fails_v1)
    desk.run()
    with pytest.raises(PROGRAM.Refused):
        desk.restart().submit_once("f", PROGRAM.Fails_v1).result_now()


@pytest.mark.parametrize("name", ["", "x" * 513])
def test_names_have_a_length(desk: Desk, name: str) -> None:
    with pytest.raises(NotStartable, match="1 to 512 characters"):
        desk.node.submit_once(name, PROGRAM.Quick_v1, n=1)


def test_who_was_refused_by_a_business_key_may_use_the_name_again(desk: Desk) -> None:
    desk.node.submit(PROGRAM.Slow_v1, deal=PROGRAM.Deal("x"))
    desk.run()
    refused = desk.node.submit_once("a", PROGRAM.Slow_v1, deal=PROGRAM.Deal("x"))
    desk.run()
    with pytest.raises(NotStartable, match="lives already"):
        refused.result_now()
    desk.clock.now_us += 7_200_000_000
    desk.run()
    taken = desk.node.submit_once("a", PROGRAM.Slow_v1, deal=PROGRAM.Deal("x"))
    desk.run()
    assert [flow.id for flow in desk.node.flows()] == [taken.id]


def test_what_a_dead_process_had_not_written_was_not_started(desk: Desk) -> None:
    desk.node.submit_once("a", PROGRAM.Quick_v1, n=1)
    handle = desk.restart().submit_once("a", PROGRAM.Quick_v1, n=7)
    desk.run()
    assert handle.result_now() == 8


def test_a_name_is_free_when_its_flow_is_forgotten(desk: Desk) -> None:
    desk.node.submit_once("a", PROGRAM.Quick_v1, n=1)
    desk.run()
    assert desk.node.purge(NEVER).flows == 1
    desk.restart()
    again = desk.node.submit_once("a", PROGRAM.Quick_v1, n=2)
    desk.run()
    assert again.result_now() == 3


def test_many_that_ask_at_once_start_one() -> None:
    async def ask() -> None:
        node = await Node.open(
            "alice", store=MemoryStore(), network=MemoryNetwork(), modules=[PROGRAM]
        )
        handles = await asyncio.gather(
            *[node.start_once("a", PROGRAM.Quick_v1, n=4) for _ in range(50)]
        )
        assert {handle.id for handle in handles} == {1}
        assert await handles[7].result() == 5
        first = asyncio.create_task(node.start_once("b", PROGRAM.Quick_v1, n=4))
        second = asyncio.create_task(node.start_once("b", PROGRAM.Quick_v1, n=4))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).id == 2
        await node.close()

    asyncio.run(ask())


# --- draining and forgetting ----------------------------------------------------------------------


def test_a_draining_node_takes_nothing_new_and_finishes_the_rest(desk: Desk) -> None:
    living = desk.node.submit_once("a", PROGRAM.Slow_v1, deal=PROGRAM.Deal("x"))
    desk.node.submit_draining(True, by="ann")
    desk.run()
    for again in (False, True):
        node = desk.restart() if again else desk.node
        assert node.is_draining
        with pytest.raises(NotStartable, match="alice is draining: it takes no new flows"):
            node.submit(PROGRAM.Quick_v1, n=1)
        same = node.submit_once("a", PROGRAM.Slow_v1, deal=PROGRAM.Deal("x"))
        assert same.id == living.id
        assert [flow.id for flow in node.flows()] == [living.id]
    desk.clock.now_us += 7_200_000_000
    desk.run()
    assert desk.node.flows() == []
    desk.node.submit_draining(False, by="ann")
    desk.run()
    quick = desk.restart().submit(PROGRAM.Quick_v1, n=1)
    desk.run()
    assert quick.result_now() == 2


def test_what_lives_is_never_forgotten(desk: Desk) -> None:
    desk.node.submit(PROGRAM.Slow_v1, deal=PROGRAM.Deal("x"))
    quick = desk.node.submit(PROGRAM.Quick_v1, n=1)
    desk.run()
    assert desk.node.purge(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)) == (0, 0)
    purged = desk.node.purge(NEVER)
    assert purged.flows == 1
    assert purged.entries > 0
    assert len(desk.node.flows()) == 1
    with pytest.raises(KeyError):
        desk.restart().handle(quick.id)


def test_what_a_node_does_is_not_what_a_flow_does() -> None:
    """In the audit trail each kind of entry has a number of its own."""
    codes = list(events.CODE.values())
    assert len(set(codes)) == len(codes)
    assert max(codes) < 100 <= min(events.DRAINED, events.CLAIMED, events.SCHEDULED)
