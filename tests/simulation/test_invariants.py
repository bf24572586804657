"""Each invariant is alive: a small history or a disk in which it is broken is told by its name."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowrt.core.commit import Commit
from flowrt.core.flow import Party
from flowrt.core.progress import ProgressEvent
from flowrt.core.values import Data, Failure, Letter, OnTime, decode_checkpoint, encode
from flowrt.outbox import packed_ack
from flowrt.sim import Violation, World
from flowrt.sim.disk import SimStore
from flowrt.sim.watch import Record, WatchedRun
from flowrt.store import Batch
from flowrt.store.memory import MemoryDisk, MemoryStore
from tests.runtime import hand_flow
from tests.runtime.book import Book

SECRET = bytes(16)
ONE, TWO = Data("hand.Ask", b"\x91\x01"), Data("hand.Ask", b"\x91\x02")


@pytest.fixture
def world() -> Iterator[World]:
    """Alice asks bob, and all went well."""
    with World() as made:
        begin(made)
        made.run()
        yield made


@pytest.fixture
def midway() -> Iterator[World]:
    """The same, in the middle of it."""
    with World() as made:
        begin(made)
        made.sleep(datetime.timedelta(microseconds=2_500))
        yield made


def begin(made: World) -> None:
    for name in ("alice", "bob"):
        made.add(name, [hand_flow], {"Journal": Book()})
    made.start("alice", hand_flow.Asker_v1, to=Party("bob"), rounds=9)


def record(world: World, party: str, *said: tuple[bool, Any], flow_id: int = 7) -> Record:
    made = Record.__new__(Record)
    made.flow_id, made.flow, made.parent = flow_id, "hand.Asker_v1", 0
    made.began, made.held, made.before, made.path = False, False, (), ()
    made.calls, made.dropping = [], []
    peer = "bob" if party == "alice" else "alice"
    made.said = [(sent, "hand.Asker_v1", "hand.flow:1", SECRET, peer, c, None) for sent, c in said]
    return made


def committed(world: World, party: str, records: list[Record], **what: Any) -> None:
    world._invariants.committed(world.hosts[party], records, Batch(1, 2, 1, **what))


def broken(name: str, act: Callable[[], object]) -> None:
    with pytest.raises(Violation) as caught:
        act()
    assert caught.value.invariant == name, caught.value


# --- what is committed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ([], [ONE]),  # of nobody
        ([ONE], [TWO]),  # another
        ([ONE], [ONE, ONE]),  # twice
        ([ONE, TWO], [TWO]),  # one is lost
        ([ONE, TWO], [TWO, ONE]),  # in another order
    ],
)
def test_i1_what_is_read_is_what_was_said(world: World, said: list[Data], read: list[Data]) -> None:
    committed(world, "alice", [record(world, "alice", *[(True, one) for one in said])])
    heard = record(world, "bob", *[(False, one) for one in read])
    broken("I1", lambda: committed(world, "bob", [heard]))


def test_i1_who_said_that_it_drops_what_is_late_may(world: World) -> None:
    committed(world, "alice", [record(world, "alice", (True, ONE), (True, TWO))])
    silent = record(world, "bob")
    silent.dropping = [SECRET]
    committed(world, "bob", [silent])
    committed(world, "bob", [record(world, "bob", (False, TWO))])


def test_i2_steps_have_no_gap_and_come_once(world: World) -> None:
    committed(world, "alice", [], audit=encode([(9, 1, 0)]))
    broken("I2", lambda: committed(world, "alice", [], audit=encode([(9, 1, 0)])))
    broken("I2", lambda: committed(world, "alice", [], audit=encode([(9, 3, 0)])))
    begun = record(world, "alice", flow_id=9)
    begun.began = True
    committed(world, "alice", [begun])
    broken("I2", lambda: committed(world, "alice", [begun]))


def test_i4_a_flow_ends_once(world: World) -> None:
    ending = [(1, "hand.Asker_v1", None, b"")]
    broken("I4", lambda: committed(world, "alice", [], outcomes=ending))


def test_i6_a_row_is_kept_until_the_peer_has_it(world: World) -> None:
    broken("I6", lambda: committed(world, "alice", [], settled=[999]))


def test_i14_progress_is_counted_without_a_gap(world: World) -> None:
    move = ProgressEvent(3, "hand.Asker", 0, ("A",), "a")
    broken("I14", lambda: committed(world, "alice", [], moves=[(1, 3, encode(move))]))


def test_i19_undeclared_errors_tell_nothing(world: World) -> None:
    told = record(world, "alice", (True, Failure("hand.Unknown", b"\x91\xa1x", "id", ())))
    broken("I19", lambda: committed(world, "alice", [told]))


# --- what is sent ---------------------------------------------------------------------------------


def test_i5_nothing_leaves_that_is_not_committed(world: World) -> None:
    packet = (77).to_bytes(8, "big") + b"\x91\x00"
    broken("I5", lambda: world._invariants.sent("alice", "bob", packet))


def test_i6_nothing_is_acknowledged_that_is_not_written(midway: World) -> None:
    world = midway
    rows = [(name, row) for name, host in world.hosts.items() for row in host.disk.outbox]
    [(sender, row), *_] = rows
    receiver = "bob" if sender == "alice" else "alice"
    disk = world.hosts[receiver].disk
    broken("I6", lambda: world._invariants.sent(receiver, sender, packed_ack([row])))
    disk.flows.clear()
    world._invariants.sent(receiver, sender, packed_ack([row]))


# --- how it rests ---------------------------------------------------------------------------------


def rests(world: World) -> None:
    world._invariants.at_rest(world.starts, world._roots)


def test_all_is_well_where_nothing_was_touched(world: World) -> None:
    rests(world)


def test_i4_what_a_client_is_told_is_what_is_written(world: World) -> None:
    world.hosts["alice"].disk.outcomes[1] = ("hand.Asker_v1", None, b"\x00")
    broken("I4", lambda: rests(world))


def test_i22_no_flow_was_started_by_nobody(world: World) -> None:
    world._roots.add(("alice", 5))
    broken("I22", lambda: rests(world))


def test_i16_nothing_is_left_over(world: World) -> None:
    disk = world.hosts["alice"].disk
    disk.outbox[5] = ("bob", encode(Letter(1, 0, SECRET, 0, ONE)))
    broken("I16", lambda: rests(world))
    disk.outbox.clear()
    for table, key, value in (
        (disk.patients, 8, b""),
        (disk.tasks, (8, 1), b""),
        (disk.keys, ("hand.Asker", "a"), 8),
    ):
        table[key] = value  # type: ignore[index]
        broken("I16", lambda: rests(world))
        table.clear()  # type: ignore[attr-defined]


def test_l_who_could_go_on_does_not_rest(midway: World) -> None:
    disk = midway.hosts["alice"].disk
    data, _ = disk.flows[1]
    checkpoint = decode_checkpoint(data, midway.registries["alice"].states_of)
    checkpoint.waiting = OnTime(1)
    midway.hosts["alice"].disk.outbox.clear()
    midway.hosts["bob"].disk.outbox.clear()
    disk.flows[1] = (encode(checkpoint), 1)
    broken("L", lambda: rests(midway))


def test_i8_nobody_waits_for_who_has_ended(midway: World) -> None:
    for host in midway.hosts.values():
        host.disk.outbox.clear()
    midway.hosts["bob"].disk.flows.clear()
    broken("I8", lambda: rests(midway))


# --- what steps do --------------------------------------------------------------------------------


def test_i12_who_was_taken_over_does_not_write(monkeypatch: pytest.MonkeyPatch) -> None:
    real = MemoryStore.commit

    def unfenced(self: Any, batch: Batch) -> None:
        mine, self._epoch = self._epoch, self.disk.epoch
        try:
            real(self, batch)
        finally:
            self._epoch = mine

    monkeypatch.setattr(MemoryStore, "commit", unfenced)

    disk = MemoryDisk()
    first, second = [SimStore(disk, lambda _: 0, lambda: None, lambda _: None) for _ in range(2)]
    first.open("alice")
    second.open("alice")
    second.commit(Batch(1, 2, 1))
    broken("I12", lambda: first.commit(Batch(1, 2, 1)))


def test_i13_no_timer_rings_early(midway: World) -> None:
    host = midway.hosts["alice"]
    assert host.node is not None
    data, _ = host.disk.flows[1]
    checkpoint = decode_checkpoint(data, midway.registries["alice"].states_of)
    checkpoint.waiting = OnTime(midway.now_us + 5)
    host.node._world.now_us = midway.now_us
    run = WatchedRun(host.watch, checkpoint, 1, host.node._world, Commit())
    run._in_time()
    assert [one.invariant for one in host.watch.violations] == ["I13"]


def test_i17_a_state_is_run_by_its_own_class(midway: World) -> None:
    host = midway.hosts["alice"]
    assert host.node is not None
    data, _ = host.disk.flows[1]
    checkpoint = decode_checkpoint(data, midway.registries["alice"].states_of)
    checkpoint.frames[0].flow = "hand.Notifier_v1"
    run = WatchedRun(host.watch, checkpoint, 1, host.node._world, Commit())
    run._by_its_own_class()
    assert [one.invariant for one in host.watch.violations] == ["I17"]
