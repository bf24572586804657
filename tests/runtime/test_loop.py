"""Group commit: many steps, one transaction, and what one of them may spoil: only itself."""

from __future__ import annotations

import datetime
import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.commit import READS_ON
from flowrt.core.engine import RESUME
from flowrt.core.values import (
    MAX_FRAME_BYTES,
    Ack,
    decode,
    decode_checkpoint,
    decode_frame,
    encode,
)
from flowrt.handle import NodeStopped
from flowrt.loop import ATTEMPTS
from flowrt.peers.outbox import unpack
from flowrt.store import Unwritable
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime import hand_flow as hand
from tests.runtime import plays
from tests.runtime.book import Book, services, written
from tests.runtime.crashes import FAULTS, HOUR_US, Power, Start, World, every_crash
from tests.runtime.plays import At, at, play

BOB = rt.Party("bob")
CAROL = rt.Party("carol")


@pytest.fixture(params=["memory", "sqlite"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "sqlite" else None


def alone(**how: Any) -> World:
    """Alice alone, with a book."""
    world = World(**how)
    world.add("alice", [hand], services)
    return world


def pair(**how: Any) -> World:
    """Alice and bob, each with a book."""
    world = alone(**how)
    world.add("bob", [hand], services)
    return world


def tellers(world: World, *firsts: str, second: str = "more") -> list[Start]:
    return [world.start("alice", hand.Teller_v1, first=first, second=second) for first in firsts]


def book_of(world: World, party: str = "alice") -> Book:
    """The book that the party's node has bound."""
    bound = world.node(party)._world.services["hand.Journal"]
    for cell in bound.put.__closure__:
        if hasattr(cell.cell_contents, "__self__"):
            book = cell.cell_contents.__self__
            assert isinstance(book, Book)
            return book
    raise AssertionError("no book")


# --- one batch -----------------------------------------------------------------------------------


def test_all_that_is_ready_is_one_commit(folder: Path | None) -> None:
    with alone(folder=folder) as world:
        starts = tellers(world, *(f"first {n}" for n in range(20)))
        before = world.power.commits
        world.node("alice").turn()
        assert world.power.commits == before + 1
        world.run()
        assert world.power.commits == before + 3
        assert [world.result(start) for start in starts] == [2] * 20


def test_a_flow_takes_one_step_in_a_commit() -> None:
    """What it did in this batch is not committed yet, so it goes on in the next one."""
    with pair() as world:
        start = world.start("alice", hand.Asker_v1, to=BOB, rounds=3)
        world.run()
        assert world.result(start) == 12
        for party in ("alice", "bob"):
            audit = world.audit(party)
            assert len(set(audit)) == len(audit)
            for flow_id in {flow_id for flow_id, _ in audit}:
                steps = [step for flow, step in audit if flow == flow_id]
                assert steps == list(range(1, len(steps) + 1)), "no step twice, none missing"


def test_letters_that_come_together_are_read_in_one_step_up_to_a_number() -> None:
    """So many that nothing else has to wait long for the flow that reads them."""

    def reads(run: Any, state: At) -> Any:
        try:
            return rt.Receive(at(1, state.s, state.kept + run.received(hand.Note).text), state.s)
        except rt.SessionEnded:
            return rt.Return(state.kept)

    first = lambda run, state: rt.Receive(at(1, state.s), state.s)  # noqa: E731
    flow = play("hand.Listener", first, reads, responds_to="hand.Notifier")
    with World() as world:
        world.add("alice", [hand], services)
        world.add("bob", [plays.plays(flow)])
        texts = tuple("abcdefghijklmnopqrstuvwxyz")
        world.start("alice", hand.Notifier_v1, to=BOB, texts=texts, flow="hand.Listener")
        bob = world.node("bob")
        lengths = [0]
        for _ in range(60):
            for party in ("alice", "bob"):
                world.node(party).turn()
                store = world.members["bob"].store
                assert store is not None
                for _, data, *_ in store.flows():
                    state = decode_checkpoint(data, bob.registry.states_of).frames[0].state
                    lengths.append(len(state.kept))
            world.network.pump()
        assert bob.handle(1).result_now() == "".join(texts)
        at_rest = sorted({*lengths, len(texts)})
        read = [after - before for before, after in itertools.pairwise(at_rest)]
        assert max(read) == 1 + READS_ON


def test_a_turn_takes_no_more_than_it_is_told() -> None:
    with alone(batch=3) as world:
        tellers(world, *"abcdefg")
        node = world.node("alice")
        sizes = []
        assert world.members["alice"].store is not None
        for _ in range(3):
            node.turn()
            sizes.append(len(world.members["alice"].store.batches[-1].flows))
        assert sizes == [3, 3, 3]
        node.turn(limit=1)
        assert len(world.members["alice"].store.batches[-1].flows) == 1


def test_nothing_ready_is_no_commit() -> None:
    with alone() as world:
        before = world.power.commits
        assert world.node("alice").turn() is False
        assert world.node("alice").next_due() is None
        assert world.power.commits == before


def test_more_flows_than_are_kept_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrt.loop.LIVE", 2)
    with pair() as world:
        starts = [world.start("alice", hand.Asker_v1, to=BOB, rounds=2) for _ in range(9)]
        world.run()
        assert [world.result(start) for start in starts] == [6] * 9
        assert len(world.node("alice")._live) <= 2


# --- one step that fails -------------------------------------------------------------------------


CAUSES = {
    "bug": "ZeroDivisionError: the author's",
    "commit": "may not run COMMIT statements",
    "pragma": "may not run PRAGMA statements",
    "engine": "belong to the engine",
    "swallow": "belong to the engine",
    "unique": "UNIQUE constraint failed",
    "syntax": "incomplete input",
    "rollback": "ended the transaction",
    "rollback!": "ended the transaction",
    "orphan": "FOREIGN KEY constraint failed",
}
SPOILS_ITS_BATCH = {"rollback", "rollback!", "orphan"}


@pytest.mark.parametrize("trick", CAUSES)
def test_a_failing_step_undoes_itself_alone(folder: Path | None, trick: str) -> None:
    with alone(folder=folder) as world:
        starts = tellers(world, "a", "b", f"{trick} here", "c", "d")
        before = world.power.commits
        world.node("alice").turn()
        if trick not in SPOILS_ITS_BATCH:
            assert world.power.commits == before + 1, "the rest of the batch is written at once"
        world.run()
        bad = starts.pop(2)
        assert [world.result(start) for start in starts] == [2] * 4
        assert sorted(written(world, "alice")) == sorted([*"abcd", *["more"] * 4])
        (patient,) = world.node("alice").hospital()
        assert patient.flow_id == bad.id
        assert CAUSES[trick] in patient.cause
        assert (patient.flow, patient.state, patient.place) == (
            "hand.Teller_v1",
            "Start",
            "hand.flow:230",
        )
        assert world.outcome(bad) is None
        moves = [event.is_move for event in world.node("alice").progress(bad.id)]
        assert moves == [False], "its tracker did not move either, and tells the failure"

        book_of(world).well.add(trick)
        world.node("alice").submit_retry(bad.id)
        world.run()
        assert world.result(bad) == 2
        assert world.node("alice").hospital() == []
        assert world.residue() == {"alice": (0, 0, 0)}


@pytest.mark.parametrize("trick", ["bug", "orphan", "rollback"])
def test_a_later_step_that_fails_keeps_what_is_committed(folder: Path | None, trick: str) -> None:
    with alone(folder=folder) as world:
        bad = world.start("alice", hand.Teller_v1, first="kept", second=f"{trick} here")
        good = world.start("alice", hand.Teller_v1, first="a", second="b")
        world.run()
        assert world.result(good) == 2
        assert sorted(written(world, "alice")) == ["a", "b", "kept"]
        (patient,) = world.node("alice").hospital()
        assert (patient.flow_id, patient.state) == (bad.id, "Checkpoint")
        world.crash("alice")
        assert world.node("alice").hospital() == [patient], "it is there after a restart too"
        world.run()
        assert sorted(written(world, "alice")) == ["a", "b", "kept"], "and stays there"


@pytest.mark.parametrize("cares", [True, False])
@pytest.mark.parametrize("sql", ["DELETE FROM book", "WITH x AS (SELECT 1) DELETE FROM book"])
def test_a_read_operation_that_writes_fails_its_step(
    folder: Path | None, sql: str, cares: bool
) -> None:
    class Sly(Book):
        def count(self, tx: rt.Tx) -> int:
            try:
                tx.execute(sql)
            except Exception:
                if cares:
                    raise
            return 1

    with World(folder=folder) as world:
        world.add("alice", [hand], lambda: {"Journal": Sly()})
        tellers(world, "a", "b")
        world.run()
        causes = [patient.cause for patient in world.node("alice").hospital()]
        assert len(causes) == 2
        assert all("declare" in cause and "`write`" in cause for cause in causes)
        assert sorted(written(world, "alice")) == ["a", "b", "more", "more"]


def test_a_declared_error_of_a_service_is_an_outcome_and_its_writes_count() -> None:
    with alone() as world:
        (start,) = tellers(world, "refuse this")
        world.run()
        with pytest.raises(hand.Refused, match="refused: by the service"):
            world.result(start)
        assert written(world, "alice") == ["refuse this"]
        assert world.residue() == {"alice": (0, 0, 0)}


def test_an_endless_crowd_does_not_hide_who_spoils_the_batch() -> None:
    """After a refused batch its events are taken one by one, before any others."""

    def loops(run: Any, state: At) -> Any:
        return rt.Checkpoint(at(0, count=state.count + 1)) if state.count < 60 else rt.Return(None)

    with World(batch=4) as world:
        world.add("alice", [plays.plays(play("t.Loops", loops)), hand], services)
        crowd = world.node("alice").registry.classes["t.Loops_v1"]
        loopers = [world.start("alice", crowd, count=0) for _ in range(12)]
        (bad,) = tellers(world, "fine", second="orphan here")
        for _ in range(80):
            world.tick()
        assert [patient.flow_id for patient in world.node("alice").hospital()] == [bad.id]
        world.run()
        assert all(world.result(looper) is None for looper in loopers)


class Spoilt:
    """Cannot be written into a checkpoint."""


@pytest.mark.parametrize("spoilt", [Spoilt(), "half \ud800", 2**70], ids=["object", "text", "int"])
def test_a_state_that_cannot_be_written_is_its_flows_trouble_alone(spoilt: Any) -> None:
    """And no invitation's number is used up, for the peer would wait for it for ever."""

    def part(run: Any, state: At) -> Any:
        run.send(run.open("hand.Listener", BOB, 0), hand.Note("lost"))
        return rt.Checkpoint(At(rt.Session(0), 0, spoilt))

    flow = play("hand.Notifier", part, version=9)
    with World() as world:
        world.add("alice", [plays.plays(flow), hand], services)
        world.add("bob", [hand], services)
        bad = world.start("alice", flow)
        good = world.start(
            "alice", hand.Notifier_v1, to=BOB, texts=("heard",), flow="hand.Listener"
        )
        world.run()
        assert world.result(good) == 1
        assert written(world, "bob") == ["heard", "the end"]
        assert [patient.flow_id for patient in world.node("alice").hospital()] == [bad.id]
        (seen,) = world.node("bob")._peers["alice"].seen
        assert (seen.low, seen.above) == (1, [])


def test_a_nap_without_an_end_does_not_stop_the_node(folder: Path | None) -> None:
    with alone(folder=folder) as world:
        forever = datetime.timedelta.max
        start = world.start("alice", hand.Napper_v1, naps=1, length=forever)
        (other,) = tellers(world, "a")
        world.run()
        assert world.result(other) == 2
        assert world.outcome(start) is None


# --- a commit that is refused, or nobody knows ---------------------------------------------------


def chat(**how: Any) -> Callable[[Power], World]:
    """Conversations of every kind between alice and bob, with books on both sides."""

    def build(power: Power) -> World:
        world = pair(power=power, **how)
        world.start("alice", hand.Asker_v1, to=BOB, rounds=2)
        world.start("alice", hand.Notifier_v1, to=BOB, texts=("x", "y"), flow="hand.Listener")
        tellers(world, "told")
        world.start("bob", hand.Bidder_v1, to=rt.Party("alice"), price=12)
        return world

    return build


def ending(world: World) -> dict[str, Any]:
    """What came of it, for everybody, in an order that timing cannot change."""
    return {
        "results": [world.result(start) for start in world.starts],
        "alice": sorted(written(world, "alice")),
        "bob": sorted(written(world, "bob")),
        "progress": [
            [(event.number, event.path, event.label, event.outcome) for event in history]
            for start in world.starts
            for history in [world.node(start.party).progress(start.id)]
        ],
        "residue": world.residue(),
    }


SOUND = {
    "results": [6, 2, 2, 10],
    "alice": ["more", "offered 10", "offered 12", "told"],
    "bob": ["asked 1", "asked 2", "the end", "x", "y"],
    "residue": {"alice": (0, 0, 0), "bob": (0, 0, 0)},
}


@pytest.mark.parametrize("batch", [1, 512])
@pytest.mark.parametrize("kind", FAULTS)
def test_one_commit_that_goes_wrong_changes_nothing(kind: str, batch: int) -> None:
    expected = None
    for power, seen in every_crash(chat(batch=batch), ending, kinds=[kind]):
        expected = expected or seen
        assert seen == expected, power
        assert {name: seen[name] for name in SOUND} == SOUND
        assert power.failures == len(power.fail)


@pytest.mark.parametrize("kind", FAULTS)
def test_one_commit_that_goes_wrong_changes_nothing_on_disk(kind: str, tmp_path: Path) -> None:
    count = iter(range(10_000))

    def build(power: Power) -> World:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        world = pair(power=power, folder=folder)
        world.start("alice", hand.Asker_v1, to=BOB, rounds=1)
        tellers(world, "told")
        return world

    for power, seen in every_crash(build, ending, kinds=[kind]):
        assert seen["results"] == [2, 2], power
        assert (seen["alice"], seen["bob"]) == (["more", "told"], ["asked 1"])
        assert seen["residue"] == {"alice": (0, 0, 0), "bob": (0, 0, 0)}


@pytest.mark.parametrize("kind", FAULTS)
def test_who_waits_is_told_though_nobody_knew(kind: str) -> None:
    """Handles, streams and log lines hear of a batch once, whenever it is known to be written."""
    for number in range(2, 6):
        with alone(power=Power((number, kind))) as world:
            (start,) = tellers(world, "a")
            assert start.first is not None
            world.run()
            assert start.first.outcome is not None, number
            assert start.first.result_now() == 2


@pytest.mark.parametrize("kind", FAULTS)
def test_log_lines_are_written_once(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(2, 6):
        caplog.clear()
        with alone(power=Power((number, kind))) as world, caplog.at_level("INFO", "flowrt.flow"):
            tellers(world, "a")
            world.run()
        lines = [record.message for record in caplog.records if record.name == "flowrt.flow"]
        assert lines == ["writing a", "writing more"]


@pytest.mark.parametrize("crowd", [1, 5])
@pytest.mark.parametrize("kind", FAULTS)
def test_a_store_in_trouble_for_a_while_brings_nobody_to_the_hospital(
    crowd: int, kind: str
) -> None:
    for number in range(2, 6):
        with alone(power=Power(*((number + n, kind) for n in range(ATTEMPTS - 1)))) as world:
            starts = tellers(world, *"abcde"[:crowd])
            world.run()
            assert [world.result(start) for start in starts] == [2] * crowd
            assert world.residue() == {"alice": (0, 0, 0)}


@pytest.mark.parametrize("kind", ["refused", "unknown, not done"])
def test_when_nothing_can_be_written_any_more_the_node_stops(kind: str) -> None:
    power = Power((2, kind), for_good=True)
    with pair(power=Power()) as world:
        world.run()
        power.commits = 0
        for member in world.members.values():
            assert member.store is not None
        world.members["bob"].store._power = power  # type: ignore[union-attr]
        starts = [
            world.start("alice", hand.Asker_v1, to=BOB, rounds=2),
            world.start("alice", hand.Notifier_v1, to=BOB, texts=("x", "y"), flow="hand.Listener"),
        ]
        with pytest.raises(NodeStopped):
            world.run()
        bob = world.node("bob")
        for act in (bob.turn, bob.flows, bob.hospital, lambda: bob.progress(1)):
            with pytest.raises(NodeStopped):
                act()
        with pytest.raises(NodeStopped):
            bob.submit(hand.Holder_v1, reason="")

        power.heal()
        world.members["bob"].node = None
        world.run()
        assert [world.result(start) for start in starts] == [6, 2]
        assert written(world, "bob").count("x") == 1
        assert world.residue() == {"alice": (0, 0, 0), "bob": (0, 0, 0)}


def test_nothing_is_acknowledged_that_is_not_written() -> None:
    """Every acknowledgement on the wire names rows whose content the acknowledging store has."""
    power = Power((3, "refused"), (5, "unknown, not done"), (8, "unknown, done"))
    with chat()(power) as world:
        wire: list[tuple[str, str, bytes]] = []
        send = world.network._send

        def listen(sender: str, receiver: str, packet: bytes) -> None:
            # At the moment it is sent, not later: the order is the law.
            found = unpack(packet)
            assert found is not None
            frame = decode_frame(found[1])
            if type(frame) is Ack:
                for number in frame.ids:
                    assert (receiver, number) in received_by(world, sender, wire)
            else:
                assert found[0] in outbox_of(world, sender), "only what is committed leaves"
            wire.append((sender, receiver, packet))
            send(sender, receiver, packet)

        world.network._send = listen  # type: ignore[method-assign]
        world.run()
        assert ending(world)["results"] == SOUND["results"]
        assert len(wire) > 20


def outbox_of(world: World, party: str) -> set[int]:
    """Every row that the party's store ever held."""
    store = world.members[party].store
    assert store is not None
    return {number for batch in store.batches for number, _, _ in batch.outbox} | set(
        world.members[party].disk.outbox  # type: ignore[union-attr]
    )


def received_by(world: World, party: str, wire: list[Any]) -> set[tuple[str, int]]:
    """(sender, row) of all that was ever sent to the party."""
    found = set()
    for sender, receiver, packet in wire:
        head = unpack(packet)
        if receiver == party and head is not None:
            found.add((sender, head[0]))
    return found


# --- a real disk that is full --------------------------------------------------------------------


def test_a_full_disk_stops_the_node_and_a_larger_one_lets_it_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = SqliteStore._connect
    full: list[int] = []

    def limited(self: SqliteStore, path: Path, party: str | None) -> Any:
        db = connect(self, path, party)
        if full and party == "bob":
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages + full[0]}")
        return db

    with pair(folder=tmp_path) as world:
        world.run()
        monkeypatch.setattr(SqliteStore, "_connect", limited)
        full.append(2)
        world.crash("bob")
        texts = tuple("x" * 9000 + str(n) for n in range(20))
        start = world.start("alice", hand.Notifier_v1, to=BOB, texts=texts, flow="hand.Listener")
        with pytest.raises(NodeStopped, match="full"):
            world.run()
        alices = len(world.node("alice")._outbox)
        assert alices > 0, "what bob does not hold, alice keeps"

        full.clear()
        world.members["bob"].node = None
        world.run()
        assert world.result(start) == 20
        assert written(world, "bob") == [*texts, "the end"]
        assert world.residue() == {"alice": (0, 0, 0), "bob": (0, 0, 0)}


def test_a_locked_store_is_not_the_flows_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's long transaction, such as a backup's: one that ends in time does no harm."""
    import sqlite3

    with alone(folder=tmp_path) as world:
        world.run()
        monkeypatch.setattr("flowrt.store.sqlite.BUSY_SECONDS", 0.01)
        world.crash("alice")
        starts = tellers(world, "a", "b")
        other = sqlite3.connect(tmp_path / "alice.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        opened = SqliteStore.open

        def unlocks(self: SqliteStore, party: str) -> Any:
            other.close()
            return opened(self, party)

        monkeypatch.setattr(SqliteStore, "open", unlocks)
        world.node("alice").turn()
        world.run()
        assert [world.result(start) for start in starts] == [2, 2]
        assert world.residue() == {"alice": (0, 0, 0)}


def test_a_store_that_a_service_cannot_reach_is_not_the_flows_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the store is well again before the batch is committed."""
    with alone() as world:
        world.run()
        store = world.members["alice"].store
        assert store is not None
        savepoint, tries = store._store.savepoint, iter(range(100))

        def busy() -> None:
            if next(tries) in (1, 2):
                raise Unwritable("database is locked")
            savepoint()

        monkeypatch.setattr(store._store, "savepoint", busy)
        starts = tellers(world, "a", "b", "c")
        world.run()
        assert [world.result(start) for start in starts] == [2, 2, 2]
        assert sorted(written(world, "alice")) == ["a", "b", "c", "more", "more", "more"]
        assert world.residue() == {"alice": (0, 0, 0)}


# --- two nodes on one store ----------------------------------------------------------------------


def test_a_second_node_on_the_store_stops_the_first(folder: Path | None) -> None:
    with pair(folder=folder) as world:
        start = world.start("alice", hand.Asker_v1, to=BOB, rounds=3)
        world.tick()
        first = world.node("alice")
        world.members["alice"].node = None
        second = world.node("alice")
        assert second is not first
        late = first.submit(hand.Holder_v1, reason="late")
        with pytest.raises(NodeStopped, match="opened"):
            first.turn()
        assert late.outcome is None
        world.run()
        assert world.result(start) == 12
        assert written(world, "bob") == ["asked 3", "asked 2", "asked 1"]
        assert world.residue() == {"alice": (0, 0, 0), "bob": (0, 0, 0)}


def test_a_node_that_lost_its_store_does_not_take_it_back_when_a_commit_fails() -> None:
    with alone() as world:
        first = world.node("alice")
        member = world.members["alice"]
        assert member.store is not None
        member.store._power = Power((1, "refused"))
        member.node = None
        second = world.node("alice")
        first.submit(hand.Holder_v1, reason="late")
        with pytest.raises(NodeStopped):
            first.turn()
        handle = second.submit(hand.Teller_v1, first="a", second="b")
        for _ in range(5):
            second.turn()
        assert handle.result_now() == 2


def test_a_peer_who_never_stops_sending_does_not_stop_our_own_flows() -> None:
    with alone(batch=4) as world:
        node = world.node("alice")
        starts = tellers(world, *"abcdef")
        for _ in range(60):
            for _ in range(20):
                node._received("mallory", bytes(30))
            node.turn()
        assert [world.result(start) for start in starts] == [2] * 6
        assert len(node._inbound) > 900


def test_a_thousand_rounds_leave_a_checkpoint_as_it_was() -> None:
    with pair() as world:
        rounds: dict[str, Any] = {"to": BOB, "flow": "hand.Rounded", "count": 1000}
        starts = [
            world.start("alice", hand.Asker_v1, to=BOB, rounds=1000),
            world.start("alice", hand.Rounds_v1, listen=True, **rounds),
            world.start("alice", hand.Rounds_v1, listen=False, **rounds),
        ]
        sizes: dict[int, list[int]] = {start.id: [] for start in starts}
        while world.tick():
            for view in world.node("alice").flows():
                sizes[view.id].append(view.checkpoint_bytes)
        world.run()
        assert [world.result(start) for start in starts] == [1000 * 1001, 0, 0]
        for history in sizes.values():
            assert len(history) > 500
            assert max(history) <= max(history[:30]) + 12, "only its numbers got longer"


# --- timers --------------------------------------------------------------------------------------


SECOND = datetime.timedelta(seconds=1)


def test_letters_during_a_nap_do_not_add_timers() -> None:
    def part(run: Any, state: At) -> Any:
        return rt.Sleep(at(1, state.s), datetime.timedelta(hours=2))

    flow = play("t.Napping", part, lambda run, state: rt.Return(None), responds_to="hand.Notifier")
    with World(network=MemoryNetwork(repeat=1.0)) as world:
        world.add("alice", [hand], services)
        world.add("bob", [plays.plays(flow)])
        texts = tuple(str(n) for n in range(50))
        world.start("alice", hand.Notifier_v1, to=BOB, texts=texts, flow="t.Napping")
        world.run(horizon_us=HOUR_US)
        bob = world.node("bob")
        assert len(bob._timers) == 1
        (view,) = bob.flows()
        assert view.waits == "time"
        world.run(horizon_us=2 * HOUR_US)
        assert bob.flows() == []


def test_a_clock_that_is_set_back_does_not_lose_a_timer() -> None:
    with alone(batch=1) as world:
        naps = [world.start("alice", hand.Napper_v1, naps=1, length=SECOND) for _ in range(3)]
        while world.tick():
            pass
        world.now_us += 1_000_000
        node = world.node("alice")
        node.turn()  # All three rang; one was taken.
        world.now_us -= 900_000
        while node.turn():
            pass
        assert [world.outcome(nap) is not None for nap in naps].count(True) <= 1
        world.run()
        assert [world.result(nap) for nap in naps] == [1, 1, 1]


# --- logs ----------------------------------------------------------------------------------------


def test_a_log_line_is_one_line_whatever_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    def part(run: Any, state: At) -> Any:
        for level in ("debug", "info", "warn"):
            run.log(level, "first\nERROR forged\r\x1b[31m\u202e\u2028 \ud800 ü")
        return rt.Return(None)

    flow = play("t.Logs", part)
    with World() as world, caplog.at_level(logging.DEBUG, "flowrt"):
        world.add("alice", [plays.plays(flow)])
        world.start("alice", flow)
        world.run()
    records = [record for record in caplog.records if record.name == "flowrt.flow"]
    assert [record.levelname for record in records] == ["DEBUG", "INFO", "WARNING"]
    for record in records:
        text = record.getMessage()
        assert text == "first\\x0aERROR forged\\x0d\\x1b[31m\\x202e\\x2028 \\ud800 ü"
        assert (record.party, record.flow_id) == ("alice", 1)  # type: ignore[attr-defined]


def test_log_lines_are_in_the_audit_too() -> None:
    with alone() as world:
        tellers(world, "a")
        world.run()
        store = world.members["alice"].store
        assert store is not None
        rows = [row for _, entries in store.audit() for row in decode(list[Any], entries)]
    assert [row[3] for row in rows if len(row) > 3] == [
        [["info", "writing a"]],
        [["warn", "writing more"]],
    ]
    assert [row[:3] for row in rows] == [[1, 1, 0], [1, 2, 1], [1, 3, 1]]


# --- what arrives --------------------------------------------------------------------------------


def test_the_largest_message_comes_through() -> None:
    text = "x" * (MAX_FRAME_BYTES - 2000)
    with pair() as world:
        start = world.start(
            "alice", hand.Notifier_v1, to=BOB, texts=(text, text), flow="hand.Listener"
        )
        world.run()
        assert world.result(start) == 2
        assert written(world, "bob") == [text, text, "the end"]


def test_a_party_may_talk_to_itself() -> None:
    with alone() as world:
        start = world.start("alice", hand.Asker_v1, to=rt.Party("alice"), rounds=3)
        world.run()
        assert world.result(start) == 12
        assert world.residue() == {"alice": (0, 0, 0)}


def test_resuming_a_flow_twice_is_resuming_it_once() -> None:
    with alone() as world:
        (start,) = tellers(world, "a")
        node = world.node("alice")
        from flowrt.turn import Job

        for _ in range(6):
            node._ready.append(Job(start.id, RESUME))
            node.turn()
        world.run()
        assert world.result(start) == 2
        assert written(world, "alice") == ["a", "more"]
        assert encode(world.residue()) == encode({"alice": (0, 0, 0)})
