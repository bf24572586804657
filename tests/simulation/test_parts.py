"""A world's parts, each alone: the tape, the network, the disk, the clock and the crashes of a
computer."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.sim import Faults, Tape, World
from flowrt.sim import faults as kinds
from flowrt.sim.disk import Crash, SimStore
from flowrt.sim.history import Began, Called, Ended, Received, Rested, Sent, Trouble
from flowrt.sim.network import LATENCY_US, OLD_US, SimNetwork
from flowrt.sim.tape import count
from flowrt.store import Batch, OutcomeUnknown, Unwritable
from flowrt.store.memory import MemoryDisk
from tests.runtime import hand_flow
from tests.runtime.book import Book

# --- the tape -------------------------------------------------------------------------------------


def test_a_tape_without_a_seed_chooses_nothing() -> None:
    tape = Tape()
    assert [tape.draw("a", 9) for _ in range(5)] == [0] * 5
    assert tape.choices == {}
    assert tape.is_replay()


def test_a_seed_is_read_again_from_its_choices() -> None:
    first = Tape(7)
    drawn = [(first.draw("a", 5, 0.3), first.uniform("b", 3)) for _ in range(200)]
    again = Tape(choices=first.choices)
    assert [(again.draw("a", 5, 0.3), again.uniform("b", 3)) for _ in range(200)] == drawn
    assert 30 < sum(a > 0 for a, _ in drawn) < 100
    assert {b for _, b in drawn} == {0, 1, 2}
    assert count(first.choices) == sum((a > 0) + (b > 0) for a, b in drawn)


def test_a_choice_that_is_dropped_leaves_the_others_where_they_are() -> None:
    tape = Tape(choices={"a": {1: 2, 3: 1}, "b": {0: 1}})
    assert [tape.draw("a", 4) for _ in range(4)] == [0, 2, 0, 1]
    tape = Tape(choices={"a": {3: 1}, "b": {0: 1}})
    assert [tape.draw("a", 4) for _ in range(4)] == [0, 0, 0, 1]
    assert tape.chance("b", 0.0)


def test_what_a_tape_is_given_goes_before_its_seed() -> None:
    tape = Tape(3, {"a": {2: 1}})
    assert [tape.uniform("a", 2) for _ in range(4)] == [0, 0, 1, 0]
    assert sum(tape.uniform("b", 2) for _ in range(100)) > 20


def test_a_rate_is_kept() -> None:
    tape = Tape(11)
    assert abs(sum(tape.chance("seldom", 0.02) for _ in range(20_000)) - 400) < 80
    assert not any(tape.chance("never", 0.0) for _ in range(100))
    assert all(tape.chance("always", 1.0) for _ in range(100))


def test_a_swarm_leaves_out_half_of_the_kinds() -> None:
    mixes = [Faults.swarm(Tape(seed)) for seed in range(400)]
    for kind in range(1, len(kinds.FATES)):
        assert 150 < sum(kind in mix.commits for mix in mixes) < 250
    assert any(mix.packet == 0 for mix in mixes)
    assert Faults.swarm(Tape(5)) == Faults.swarm(Tape(5))


# --- the network ----------------------------------------------------------------------------------


class Clock:
    """Keeps what is to happen later, and what went wrong."""

    def __init__(self) -> None:
        self.acts: list[tuple[int, Any]] = []
        self.troubles: list[tuple[str, str, str]] = []

    def later(self, delay_us: int, act: Any) -> None:
        self.acts.append((delay_us, act))

    def trouble(self, party: str, kind: str, during: str = "") -> None:
        self.troubles.append((party, kind, during))

    def pass_by(self) -> list[int]:
        """Let all of it happen; when each did."""
        times = []
        while self.acts:
            self.acts.sort(key=lambda one: one[0])
            delay_us, act = self.acts.pop(0)
            times.append(delay_us)
            act()
        return times


def network(*fates: int) -> tuple[SimNetwork, Clock, list[tuple[str, bytes]]]:
    clock, heard = Clock(), []
    late = {f"delay of packet a-b {number}": {0: 7} for number in (1, 2)}
    tape = Tape(choices={"packet a-b": dict(enumerate(fates)), **late})
    made = SimNetwork(tape, Faults(packet=1.0, packets=(1, 2, 3, 4, 5)), clock)
    made.join("b", lambda sender, data: heard.append((sender, data)))
    return made, clock, heard


@pytest.mark.parametrize(
    ("fate", "times"),
    [
        (0, [LATENCY_US]),
        (kinds.LOST, []),
        (kinds.REPEATED, [LATENCY_US, LATENCY_US + 30_000]),
        (kinds.LATE, [LATENCY_US + 30_000]),
        (kinds.VERY_LATE, [LATENCY_US + 5_000_000]),
        (kinds.OLD, [LATENCY_US, LATENCY_US + OLD_US]),
    ],
)
def test_what_befalls_a_packet(fate: int, times: list[int]) -> None:
    made, clock, heard = network(fate)
    made.send("a", "b", b"one")
    assert clock.pass_by() == times
    assert heard == [("a", b"one")] * len(times)
    assert len(clock.troubles) == (fate > 0)


def test_a_cut_passes_nothing_and_a_clog_keeps_all_of_it() -> None:
    made, clock, heard = network()
    made.cut.add(("a", "b"))
    made.send("a", "b", b"lost")
    made.cut.clear()
    made.clogged["b"] = []
    made.send("a", "b", b"kept")
    assert clock.pass_by() == []
    made.heal()
    clock.pass_by()
    assert heard == [("a", b"kept")]


def test_who_has_left_hears_nothing_and_who_joined_again_does() -> None:
    made, clock, heard = network()
    place = made.join("c", lambda sender, data: heard.append(("old", data)))
    made.send("a", "c", b"one")
    again = made.join("c", lambda sender, data: heard.append(("new", data)))
    place.close()
    clock.pass_by()
    again.close()
    made.send("a", "c", b"two")
    clock.pass_by()
    assert heard == [("new", b"one")]


# --- the disk -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fate", "raised", "written"),
    [
        (0, None, True),
        (kinds.CRASH_BEFORE, Crash, False),
        (kinds.CRASH_AFTER, Crash, True),
        (kinds.REFUSED, Unwritable, False),
        (kinds.UNKNOWN_DONE, OutcomeUnknown, True),
        (kinds.UNKNOWN_UNDONE, OutcomeUnknown, False),
    ],
)
def test_what_befalls_a_commit(fate: int, raised: type[BaseException], written: bool) -> None:
    disk, told = MemoryDisk(), []
    store = SimStore(disk, lambda batch: fate, lambda: None, told.append)
    store.open("alice")
    batch = Batch(1, 2, 1, flows={1: (b"x", None)})
    if raised is None:
        store.commit(batch)
    else:
        with pytest.raises(raised):
            store.commit(batch)
    assert (1 in disk.flows) == written == (told == [batch])


# --- the computer and the world -------------------------------------------------------------------


def talk(world: World, rounds: int = 3) -> Any:
    for name in ("alice", "bob"):
        world.add(name, [hand_flow], lambda: {"Journal": Book()})
    return world.start("alice", hand_flow.Asker_v1, to=Party("bob"), rounds=rounds)


def test_a_sound_world_is_told_in_its_history() -> None:
    with World() as world:
        asked = talk(world)
        world.run()
        assert world.result(asked) == 12
        counts = Counter(type(event) for event in world.history)
        assert counts[Began] == counts[Ended] == 2
        assert (counts[Sent], counts[Received]) == (8, 7)
        assert counts[Called] == 3
        assert counts[Rested] == 8
        assert counts[Trouble] == 0
        names = [e.message for e in world.history if isinstance(e, Sent) and e.name != "End"]
        assert names[:2] == [hand_flow.Ask(3), hand_flow.Reply(6)]
        assert [e.at_us for e in world.history] == sorted(e.at_us for e in world.history)


def test_a_crash_is_lived_through() -> None:
    with World() as world:
        asked = talk(world, 50)
        for party in ("alice", "bob", "bob", "alice"):
            world.sleep(datetime.timedelta(microseconds=30_500))
            world.crash(party)
        world.run()
        assert world.result(asked) == 50 * 51
        assert [host.crashes for host in world.hosts.values()] == [2, 2]
        assert [e.kind for e in world.history if isinstance(e, Trouble)] == ["crash"] * 4


def test_a_clock_may_be_set_by_a_year() -> None:
    with World() as world:
        asked = talk(world, 5)
        world.sleep(datetime.timedelta(microseconds=1_500))
        world.hosts["alice"].set_clock(-365 * 86_400_000_000)
        world.run()
        assert world.result(asked) == 30


def test_who_was_taken_over_writes_nothing_any_more() -> None:
    with World() as world:
        asked = talk(world, 5)
        for _ in range(3):
            world.sleep(datetime.timedelta(microseconds=1_500))
            world.hosts["alice"].usurp()
        world.run()
        assert world.result(asked) == 30
        assert world.hosts["alice"].processes == 4


def test_time_passes_only_where_nothing_happens() -> None:
    with World(start_us=5_000_000) as world:
        talk(world)
        world.sleep(datetime.timedelta(hours=1))
        assert world.now_us == 3_605_000_000
        assert world.now == datetime.datetime(1970, 1, 1, 1, 0, 5, tzinfo=datetime.UTC)
