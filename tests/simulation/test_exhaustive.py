"""Every small world: none is left out unsaid, and what goes wrong in one of them is found."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.sim import play
from flowrt.sim.exhaustive import Compared, courses_of, exhaust, story_of
from flowrt.sim.generic import Generic
from flowrt.sim.history import Trouble
from flowrt.store.memory import MemoryStore
from tests.simulation.order import COUNTER, ORDER, compiled


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def counter() -> ModuleType:
    return compiled(COUNTER, "counter")


def asking(counter: ModuleType, rounds: int = 1, **more: Any) -> Generic:
    return Generic(
        [counter],
        flow=counter.Ask_v1,
        arguments={"whom": Party("bob"), "rounds": rounds},
        parties=("alice", "bob"),
        most=1,
        **more,
    )


def test_every_crash_point_once(counter: ModuleType) -> None:
    found = exhaust(asking(counter, rounds=0), courses=1)
    assert found.violated == 0
    assert not found.left_out
    assert not found.others
    assert found.played["undisturbed"] == found.courses == 1
    assert found.played["one crash"] == 2 * found.points
    # A second crash may also hit what the first one makes necessary.
    pairs = found.points * (found.points - 1) // 2
    assert found.played["two crashes"] >= 4 * pairs
    assert found.played["another order"] >= found.packets / 2
    assert found.played["two crashes and another order"] > found.played["two crashes"]


def test_what_a_limit_leaves_out_is_said(counter: ModuleType) -> None:
    found = exhaust(asking(counter), courses=1, limit=50)
    assert found.played.total() == 50
    assert found.left_out.total() > 100


class Sloppy:
    """Counts in Python what it should have written in its transaction."""

    taken = 0

    def take(self, tx: Any) -> int:
        Sloppy.taken += 1
        return 0 if Sloppy.taken <= 2 else 5


def test_a_service_that_is_no_transaction_is_found(
    counter: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = asking(counter, 2, services=lambda party: {"Book": made(party)})

    def made(party: str) -> Sloppy:
        if party == "alice":
            Sloppy.taken = 0
        return Sloppy()

    monkeypatch.setattr(Generic, "build", _anew(Generic.build))
    found = exhaust(scenario, courses=1, limit=60)
    (played,) = found.violations
    assert str(played.violation).startswith("I7: undisturbed, counter.Ask_v1 of alice returns")
    again = play(Compared(scenario), choices=played.choices)
    assert str(again.violation) == str(played.violation)


def _anew(build: Any) -> Any:
    def run(scenario: Generic, world: Any) -> None:
        Sloppy.taken = 0
        build(scenario, world)

    return run


def test_a_lost_outbox_is_found(counter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = MemoryStore.open

    def forget(store: MemoryStore, party: str) -> Any:
        store.disk.outbox.clear()
        return opened(store, party)

    monkeypatch.setattr(MemoryStore, "open", forget)
    found = exhaust(asking(counter), courses=1, limit=60)
    assert found.violated
    troubles = [e for e in found.violations[0].world.history if type(e) is Trouble]
    assert any(e.kind.startswith("commit crash") for e in troubles)


def test_packets_come_in_every_order() -> None:
    """Four that are under way together arrive in all 24 orders."""
    from flowrt.sim.exhaustive import _late
    from flowrt.sim.faults import Faults
    from flowrt.sim.tape import Tape
    from flowrt.sim.world import World

    packets = [("packet a-b", 0), ("packet c-b", 0), ("packet a-b", 1), ("packet a-b", 2)]
    seen = set()
    for order in itertools.permutations(range(4)):
        tape = Tape(choices=_late(packets, order))
        world = World(tape, Faults.replayed(tape))
        came: list[bytes] = []
        world.network.join("b", lambda sender, data, came=came: came.append(data))
        for number, sender in enumerate("acaa"):
            world.network.send(sender, "b", bytes([number]))
        world.run()
        assert [order.index(n) for n in range(4)] == [data[0] for data in came]
        seen.add(tuple(came))
    assert len(seen) == 24


def test_courses_go_different_ways() -> None:
    order = compiled(ORDER, "order")
    scenario = Generic([order], flow=order.Buy_v1, most=1)
    courses = courses_of(scenario, 4)
    assert 2 <= len(courses) <= 4
    ways = set()
    for choices in courses:
        played = play(scenario, choices=choices)
        assert played.violation is None
        assert story_of(played.choices) == played.choices
        ways.add(
            tuple(started.outcome and started.outcome.error for started in played.world.starts)
        )
    assert len(courses) > 1


def test_an_end_that_hangs_on_time_is_no_violation() -> None:
    """The owner's word comes after a second: whether before the flow's time is over, a crash that
    takes longer decides."""
    order = compiled(ORDER, "order")
    scenario = Compared(Generic([order], flow=order.Buy_v1, most=1))
    for seed in range(60):
        played = play(scenario, seed)
        assert played.violation is None, f"{seed}: {played.violation}"
    assert any("deadline" in why or "once" in why for why in scenario.others)
