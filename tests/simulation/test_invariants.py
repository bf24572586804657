"""Each invariant is alive: a small history or a disk in which it is broken is told by its name."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from flowrt.core import engine
from flowrt.core.commit import Commit
from flowrt.core.flow import Party
from flowrt.core.progress import ProgressEvent
from flowrt.core.session import Peer
from flowrt.core.values import (
    TASK,
    CallState,
    Data,
    Extra,
    Failure,
    Letter,
    OnAny,
    OnTime,
    decode,
    decode_checkpoint,
    encode,
)
from flowrt.limits import Limits
from flowrt.peers.outbox import packed_ack
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


def test_what_a_refused_batch_did_is_forgotten_when_its_step_runs_again(world: World) -> None:
    host = world.hosts["alice"]
    host.watch.records[7] = record(world, "alice", (True, ONE))
    host.watch.records[7].held = True
    node = world.node("alice")
    kind = hand_flow.Teller_v1
    checkpoint = engine.begin("hand.Teller_v1", kind, kind.Start("a", "b"))
    WatchedRun(host.watch, checkpoint, 7, node._world, Commit())
    assert host.watch.records == {}


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


def test_i3_nothing_runs_that_no_flow_has_asked_for(midway: World) -> None:
    host = midway.hosts["alice"]
    broken("I3", lambda: midway._invariants.begins(host, "1f-1-7"))


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


def flow_of(made: World, party: str) -> tuple[int, bytes]:
    [(flow_id, (data, _))] = made.hosts[party].disk.flows.items()
    return flow_id, data


def test_i18_what_a_peer_has_is_counted_and_no_more_than_it_may(midway: World) -> None:
    host = midway.hosts["bob"]
    flow_id, data = flow_of(midway, "bob")
    known = decode(Peer, host.disk.peers["alice"])
    assert known.sessions == 1
    for wrong in ({"sessions": 0}, {"sessions": 2}, {"unread": 1}, {"unread_bytes": 7}):
        host.disk.peers["alice"] = encode(msgspec.structs.replace(known, **wrong))
        broken("I18", lambda: midway._invariants._granted["bob"].rests(host))
    host.disk.peers["alice"] = encode(known)
    midway._invariants._granted["bob"].rests(host)
    midway.limits = Limits(sessions=1)
    checkpoint = decode_checkpoint(data, midway.registries["bob"].states_of)
    midway._invariants._granted["bob"].holds(flow_id + 1, checkpoint)
    host.disk.peers["alice"] = encode(msgspec.structs.replace(known, sessions=2))
    broken("I18", lambda: midway._invariants._granted["bob"].rests(host))
    # One that is gone without being given back.
    host.disk.peers["alice"] = encode(known)
    midway._invariants._granted["bob"].holds(flow_id + 1, None)
    broken("I18", lambda: committed(midway, "bob", [], flows={flow_id: None}))


def test_i18_no_process_has_more_under_way_than_the_window(midway: World) -> None:
    host = midway.hosts["alice"]
    assert host.node is not None
    midway.limits = Limits(window=1)
    midway.network.sent = lambda *_: None
    outbox = host.node._outbox
    for number in (1001, 1002):
        outbox.send(number, "bob", b"", host.node._transport, 0)
    broken("I18", lambda: midway._invariants.turned(host))


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


def test_i15_what_a_flow_waits_for_people_are_asked(midway: World) -> None:
    for host in midway.hosts.values():
        host.disk.outbox.clear()
    midway.hosts["bob"].disk.flows.clear()
    disk = midway.hosts["alice"].disk
    data, _ = disk.flows[1]
    checkpoint = decode_checkpoint(data, midway.registries["alice"].states_of)
    checkpoint.waiting = OnAny((), (1,))
    checkpoint.extra = Extra([CallState(1, TASK, 0, "manager")])
    disk.flows[1] = (encode(checkpoint), None)
    disk.tasks[1, 1] = b""
    rests(midway)
    disk.tasks.clear()
    broken("I15", lambda: rests(midway))


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
