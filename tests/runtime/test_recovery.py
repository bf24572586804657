"""The power fails before and after every commit: the same outcomes, every message exactly once."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrt.core import flow as rt
from flowrt.transport.memory import MemoryNetwork
from tests.runtime import hand_flow as hand
from tests.runtime.book import services, written
from tests.runtime.crashes import HOUR_US, Power, World, every_crash

ALICE, BOB, CAROL = (rt.Party(name) for name in ("alice", "bob", "carol"))
NAP = datetime.timedelta(seconds=90)

Plot = Callable[[World], None]


def asks(world: World) -> None:
    world.start("alice", hand.Asker_v1, to=BOB, rounds=3)


def notifies(world: World) -> None:
    texts = ("one", "two", "three")
    world.start("alice", hand.Notifier_v1, to=BOB, texts=texts, flow="hand.Listener")


def says_nothing_at_all(world: World) -> None:
    world.start("alice", hand.Notifier_v1, to=BOB, texts=(), flow="hand.Listener")


def is_rejected(world: World) -> None:
    world.start("alice", hand.Notifier_v1, to=BOB, texts=("x", "y"), flow="hand.Nobody")


def both_send_first(world: World) -> None:
    world.start("alice", hand.Left_v1, to=BOB)


def two_sessions(world: World) -> None:
    world.start("alice", hand.Pair_v1, first=BOB, second=CAROL)


def haggles(world: World) -> None:
    world.start("alice", hand.Bidder_v1, to=BOB, price=12)


def chain(n: int) -> Plot:
    def plot(world: World) -> None:
        world.start("alice", hand.Front_v1, middle=BOB, back=CAROL, n=n)

    return plot


def is_hasty(words: int) -> Plot:
    def plot(world: World) -> None:
        world.start("alice", hand.Hasty_v1, to=BOB, words=words)

    return plot


def goes_round(listen: bool) -> Plot:
    def plot(world: World) -> None:
        world.start("alice", hand.Rounds_v1, to=BOB, flow="hand.Rounded", count=3, listen=listen)

    return plot


def is_stubborn(world: World) -> None:
    world.start("alice", hand.Stubborn_v1, to=BOB)


def naps(world: World) -> None:
    world.start("alice", hand.Napper_v1, naps=2, length=NAP)


def writes(world: World) -> None:
    world.start("alice", hand.Teller_v1, first="a", second="b")


def goes_deep(world: World) -> None:
    world.start("alice", hand.Deep_v1, n=40)


def everything_at_once(world: World) -> None:
    for plot in (asks, notifies, haggles, naps, writes):
        plot(world)
    world.start("bob", hand.Asker_v1, to=ALICE, rounds=2)
    world.start("bob", hand.Hasty_v1, to=ALICE, words=2)


ENDS: dict[str, tuple[Plot, list[Any], dict[str, list[str]]]] = {
    "asks": (asks, [12], {"bob": ["asked 3", "asked 2", "asked 1"]}),
    "notifies": (notifies, [3], {"bob": ["one", "two", "three", "the end"]}),
    "says nothing at all": (says_nothing_at_all, [0], {"bob": ["the end"]}),
    "is rejected": (is_rejected, ["SessionRejected: there is no flow hand.Nobody here"], {}),
    "both send first": (both_send_first, ["from right"], {"bob": ["from left"]}),
    "two sessions": (two_sessions, [[1, 2]], {}),
    "haggles": (haggles, [10], {"bob": ["offered 12", "offered 10"]}),
    "chain": (chain(10), [100], {}),
    "chain that breaks": (
        chain(101),
        ["UnexpectedFlowEnd: " + str(rt.UnexpectedFlowEnd.__doc__)],
        {},
    ),
    "hasty and silent": (is_hasty(0), ["TooMuch: 2 is over 1"], {"bob": ["caught 2 is over 1"]}),
    "hasty": (is_hasty(1), ["TooMuch: 2 is over 1"], {"bob": ["word 0", "caught 2 is over 1"]}),
    "hasty and wordy": (
        is_hasty(3),
        ["TooMuch: 2 is over 1"],
        {"bob": ["word 0", "word 1", "word 2", "caught 2 is over 1"]},
    ),
    "rounds": (goes_round(True), [0], {"bob": ["round 3", "round 2", "round 1"]}),
    "rounds, unheard": (goes_round(False), [0], {"bob": ["round 1", "round 2", "round 3"]}),
    "stubborn": (is_stubborn, ["ended;ended;cannot send"], {}),
    "naps": (naps, [2], {"alice": ["nap 1", "nap 2"]}),
    "goes deep": (goes_deep, [820], {}),
    "writes": (writes, [2], {"alice": ["a", "b"]}),
}
"""Each plot with its results and its parties' books; the books of `rounds, unheard` are sorted."""


def built(plot: Plot, **how: Any) -> Callable[[Power], World]:
    def build(power: Power) -> World:
        world = World(power=power, **how)
        for party in ("alice", "bob", "carol"):
            world.add(party, [hand], services)
        plot(world)
        return world

    return build


def result(world: World, start: Any) -> Any:
    try:
        found = world.result(start)
    except rt.FlowError as error:
        return f"{type(error).__name__}: {error}"
    return list(found) if isinstance(found, tuple) else found


def observe(world: World) -> dict[str, Any]:
    """Everything that a crash may not change, and that nothing is left behind."""
    for party in world.members:
        audit = world.audit(party)
        assert len(set(audit)) == len(audit), "no step was committed twice"
        for start in world.starts:
            if start.party == party:
                numbers = [event.number for event in world.node(party).moves(start.id, 0, -1)]
                assert numbers == list(range(len(numbers)))
        for peer in world.node(party)._peers.values():
            assert all(seen.above == [] for seen in peer.seen), "no number was lost"
    assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))
    return {
        "results": [result(world, start) for start in world.starts],
        **{party: [text[:18] for text in written(world, party)] for party in world.members},
        "steps": {
            start.id: max(step for flow, step in world.audit(start.party) if flow == start.id)
            for start in world.starts
        },
    }


def matches(seen: dict[str, Any], name: str) -> None:
    _, results, books = ENDS[name]
    assert seen["results"] == results
    for party in ("alice", "bob", "carol"):
        expected, found = books.get(party, []), seen[party]
        if name == "rounds, unheard":  # Three independent sessions: any of them may be first.
            expected, found = sorted(expected), sorted(found)
        assert found == expected


@pytest.mark.parametrize("batch", [1, 512], ids=["one by one", "batches"])
@pytest.mark.parametrize("name", ENDS)
def test_a_crash_at_any_commit_changes_nothing(name: str, batch: int) -> None:
    runs = 0
    for _, seen in every_crash(built(ENDS[name][0], batch=batch), observe):
        matches(seen, name)
        runs += 1
    assert runs > 8


@pytest.mark.parametrize("name", ["asks", "notifies", "haggles", "hasty and wordy"])
def test_two_crashes_in_a_row_change_nothing(name: str) -> None:
    for power, seen in every_crash(built(ENDS[name][0]), observe, twice=True):
        matches(seen, name)
        assert power.failures >= len(power.fail) - 1


@pytest.mark.parametrize("name", ["asks", "notifies", "haggles", "hasty and wordy", "chain"])
def test_a_crash_that_loses_the_wire_changes_nothing(name: str) -> None:
    for _, seen in every_crash(built(ENDS[name][0], wire_dies=True, reload=True), observe):
        matches(seen, name)


@pytest.mark.parametrize("name", ["asks", "haggles", "hasty", "writes"])
def test_a_crash_at_any_commit_changes_nothing_on_disk(name: str, tmp_path: Path) -> None:
    count = iter(range(10_000))

    def build(power: Power) -> World:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        world = World(power=power, folder=folder)
        for party in ("alice", "bob"):
            world.add(party, [hand], services)
        ENDS[name][0](world)
        return world

    for _, seen in every_crash(build, observe):
        matches({"carol": [], **seen}, name)


ALICES_BOOK = sorted(
    ["a", "b", "asked 1", "asked 2", "caught 2 is over 1", "nap 1", "nap 2", "word 0", "word 1"]
)
BOBS_BOOK = sorted(
    ["asked 1", "asked 2", "asked 3", "offered 10", "offered 12", "one", "three", "two", "the end"]
)


@pytest.mark.parametrize("batch", [1, 3, 512])
def test_a_crash_in_a_busy_world_changes_nothing(batch: int) -> None:
    for power, seen in every_crash(built(everything_at_once, batch=batch), observe):
        assert seen["results"] == [12, 3, 10, 2, 2, 6, "TooMuch: 2 is over 1"], power
        assert sorted(seen["alice"]) == ALICES_BOOK
        assert sorted(seen["bob"]) == BOBS_BOOK


def test_a_recovered_run_takes_the_steps_of_an_undisturbed_one() -> None:
    """Flows that only react to messages, one event a commit: the crash adds no step of its own."""
    runs = [seen["steps"] for _, seen in every_crash(built(writes, batch=1), observe)]
    assert all(steps == runs[0] for steps in runs)


# --- time across crashes -------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_nap_over_a_crash_is_as_long_as_it_was(when: str) -> None:
    with built(naps)(Power()) as world:
        world.run(horizon_us=0)
        due = world.node("alice").next_due()
        assert due is not None
        world.now_us = due - 1 if when == "before" else due + HOUR_US
        world.crash("alice")
        while world.tick():
            pass
        napped = written(world, "alice")
        assert napped == ([] if when == "before" else ["nap 1"])
        world.run()
        assert world.result(world.starts[0]) == 2
        assert written(world, "alice") == ["nap 1", "nap 2"]


def test_a_nap_rings_once_however_often_the_node_opens() -> None:
    with built(naps)(Power()) as world:
        for _ in range(40):
            world.tick()
            world.crash("alice")
            world.now_us += 10_000_000
        world.run()
        assert world.result(world.starts[0]) == 2
        assert written(world, "alice") == ["nap 1", "nap 2"]


# --- a network that loses, repeats and reorders --------------------------------------------------


def stormy(seed: int, plot: Plot, batch: int, crashes: tuple[int, ...]) -> None:
    network = MemoryNetwork(seed=seed, lose=0.3, repeat=0.3, reorder=0.5)
    power = Power(*((number, "after" if number % 2 else "before") for number in crashes))
    with built(plot, network=network, batch=batch)(power) as world:
        world.run(horizon_us=24 * HOUR_US)
        seen = observe(world)
        assert seen["results"] == [12, 3, 10, 2, 2, 6, "TooMuch: 2 is over 1"]
        assert sorted(seen["alice"]) == ALICES_BOOK
        assert sorted(seen["bob"]) == BOBS_BOOK
        bob = [text for text in seen["bob"] if text in ("one", "two", "three", "the end")]
        assert bob == ["one", "two", "three", "the end"], "in order, whatever the wire does"
        assert [text for text in seen["bob"] if text.startswith("asked")] == [
            "asked 3",
            "asked 2",
            "asked 1",
        ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 512]), st.sets(st.integers(1, 60), max_size=3))
def test_every_conversation_ends_right_in_any_storm(
    seed: int, batch: int, crashes: set[int]
) -> None:
    stormy(seed, everything_at_once, batch, tuple(sorted(crashes)))


def test_a_partition_only_delays() -> None:
    with built(everything_at_once)(Power()) as world:
        world.network.down.add("bob")
        world.run(horizon_us=HOUR_US)
        assert world.outcome(world.starts[0]) is None
        assert len(world.node("alice")._outbox) > 0
        world.network.down.clear()
        world.run(horizon_us=HOUR_US)
        assert observe(world)["results"] == [12, 3, 10, 2, 2, 6, "TooMuch: 2 is over 1"]


def test_what_nobody_acknowledges_is_sent_again_more_and_more_rarely() -> None:
    with built(asks)(Power()) as world:
        sent: list[int] = []
        world.network.down.add("bob")
        send = world.network._send

        def listen(sender: str, receiver: str, data: bytes) -> None:
            sent.append(world.now_us)
            send(sender, receiver, data)

        world.network._send = listen  # type: ignore[method-assign]
        world.run(horizon_us=HOUR_US)
        gaps = [(b - a) // 1_000_000 for a, b in itertools.pairwise(sent)]
        assert gaps[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert len(sent) < 80


# --- two crashes of a world of recorded packets: replaying any of them changes nothing -----------


def test_replaying_every_packet_at_the_end_changes_nothing() -> None:
    with built(everything_at_once)(Power()) as world:
        packets: list[tuple[str, str, bytes]] = []
        send = world.network._send

        def listen(sender: str, receiver: str, data: bytes) -> None:
            packets.append((sender, receiver, data))
            send(sender, receiver, data)

        world.network._send = listen  # type: ignore[method-assign]
        world.run()
        before = observe(world)
        for _ in range(2):
            for packet in list(packets):
                send(*packet)
            world.run()
            world.crash("bob")
            world.run()
        after = observe(world)
        assert after == before


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_replaying_any_packet_at_any_time_changes_nothing(data: st.DataObject) -> None:
    with built(everything_at_once)(Power()) as world:
        packets: list[tuple[str, str, bytes]] = []
        send = world.network._send

        def listen(sender: str, receiver: str, packet: bytes) -> None:
            packets.append((sender, receiver, packet))
            send(sender, receiver, packet)

        world.network._send = listen  # type: ignore[method-assign]
        while world.tick():
            if packets and data.draw(st.booleans()):
                send(*data.draw(st.sampled_from(packets)))
            if len(packets) > 400:
                break
        world.run()
        assert observe(world)["results"] == [12, 3, 10, 2, 2, 6, "TooMuch: 2 is over 1"]
