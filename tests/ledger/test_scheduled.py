"""What states want done by the clock: once, when it is due, and as long as they are there."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from flowrt.stdlib.ledger.parts_flow import StateRef
from tests.examples.ledgered import LedgerWorld
from tests.ledger import alarms
from tests.ledger.market import program
from tests.runtime.crashes import HOUR_US, START_US, Power, every_crash

FLOW = program(alarms.PROGRAM, "alarms")
OLDER = program(alarms.PROGRAM.replace("flow Ring(", "flow Rang("), "alarms")
MINUTE_US = 60_000_000


def at(minutes: int) -> datetime.datetime:
    start = datetime.datetime.fromtimestamp(START_US // 1_000_000, datetime.UTC)
    return start + datetime.timedelta(minutes=minutes)


class House(LedgerWorld):
    """One who has alarms."""

    def __init__(self, flow: Any = FLOW, **options: Any) -> None:
        def own(local: Any, ledger: Any) -> dict[str, object]:
            return {"Alarms": alarms.Alarms(ledger, local.notary), "Mood": self.mood}

        self.flow = flow
        self.mood = alarms.Mood()
        super().__init__(("alice",), [alarms.RULES], flow, own, **options)

    def set(self, *minutes: int, flow: str = "alarms.Ring", value: int = 7) -> bytes:
        arguments = {"times": tuple(map(at, minutes)), "flow_name": flow, "value": value}
        start = self.start("alice", self.flow.Make_v1, **arguments)
        self.run(0)
        made: bytes = self.result(start)
        return made

    def rung(self) -> list[tuple[int, int]]:
        return self.rows("alice", "SELECT number, value FROM rung ORDER BY rowid")

    def table(self) -> list[tuple[Any, ...]]:
        sql = "SELECT ref & 1023, refused FROM ledger_scheduled ORDER BY ref"
        return self.rows("alice", sql)


def test_each_alarm_rings_once_whatever_crashes() -> None:
    def build(power: Power) -> House:
        world = House(power=power)
        arguments = {"times": (at(2), at(1), at(2)), "flow_name": "alarms.Ring", "value": 7}
        world.start("alice", FLOW.Make_v1, **arguments)
        return world

    for power, seen in every_crash(build, lambda w: (w.rung(), w.table(), w.residue()["alice"])):
        assert seen == ([(1, 7), (0, 7), (2, 7)], [], (0, 0, 0)), power


@pytest.mark.parametrize("kind", ["refused", "unknown, done", "unknown, not done"])
def test_nor_whatever_the_store_does(kind: str) -> None:
    def build(power: Power) -> House:
        world = House(power=power)
        world.set(1, 2)
        return world

    seen = every_crash(build, House.rung, kinds=(kind,))
    assert all(rung == [(0, 7), (1, 7)] for _, rung in seen)


def test_not_before_it_is_due_and_late_if_nobody_is_there() -> None:
    with House() as world:
        world.set(30, 90)
        world.run(29 * MINUTE_US)
        assert world.rung() == []
        gone = world.leave("alice")
        world.now_us += 5 * HOUR_US
        world.back(gone)
        assert world.rung() == [(0, 7), (1, 7)]


def test_what_is_used_up_does_not_ring() -> None:
    with House() as world:
        made = world.set(30, 31)
        world.start("alice", FLOW.Stop_v1, ref=StateRef(made, 0))
        world.run()
        assert world.rung() == [(1, 7)]
        assert world.table() == []


def test_what_cannot_be_started_is_kept_until_it_can() -> None:
    with House(OLDER) as world:
        world.set(1)
        world.set(1, flow="alarms.Silent")
        world.set(1, value=-1, flow="alarms.Rang")
        world.set(1, flow="nobody.Knows")
        world.run()
        why = [refused for _, refused in world.table()]
        assert "alarms.Ring is not a flow of this node" in why[0]
        assert "Silent_v1 is not `startable by schedule`" in why[1]
        assert "valeu" in why[2]
        assert "nobody.Knows is not a flow of this node" in why[3]
        assert world.rung() == []
        # The next process has the flow.
        world.members["alice"].modules = [
            FLOW if module is OLDER else module for module in world.members["alice"].modules
        ]
        world.crash("alice")
        world.run()
        assert world.rung() == [(0, 7)]
        assert len(world.table()) == 3


@pytest.mark.parametrize("flow", ["nothing", "an error", "a text", "no zone"])
def test_a_state_that_says_no_activity_is_recorded_and_wants_none(flow: str) -> None:
    with House() as world:
        made = world.set(1, flow=flow)
        world.run()
        assert world.vault("alice", "has", made)
        assert (world.rung(), world.table()) == ([], [])


def test_who_lives_under_a_key_puts_the_others_off() -> None:
    with House() as world:
        world.set(1, 1, flow="alarms.Alone")
        world.run(5 * MINUTE_US)
        assert world.rung() == [(0, 7)]
        world.run(20 * MINUTE_US)
        assert world.rung() == [(0, 7), (1, 7)]
        assert world.table() == []


def test_a_node_that_drains_starts_none() -> None:
    with House() as world:
        world.set(1)
        world.node("alice").submit_draining(True, by="kim")
        world.run()
        assert world.rung() == []
        world.node("alice").submit_draining(False, by="kim")
        world.run()
        assert world.rung() == [(0, 7)]


def test_what_its_flow_could_not_do_is_seen_and_started_again() -> None:
    """A flow that the clock has started ends with an error. Its state is still there, people see
    that, over restarts, and have it started again."""
    with House() as world:
        made = world.set(1, 3, flow="alarms.Rattle")
        ref = StateRef(made, 0)

        def ask(flow: Any, **arguments: Any) -> Any:
            start = world.start("alice", flow, **arguments)
            world.run(0)
            return world.result(start)

        assert ask(FLOW.Late_v1, most=9) == ()
        world.run(2 * MINUTE_US)
        assert (world.rung(), world.table()) == ([], [(1, None)])
        [late] = ask(FLOW.Late_v1, most=9)
        assert (late.ref, late.wants, late.due, late.refused) == (ref, "alarms.Rattle", at(1), None)
        world.crash("alice")
        world.run(0)
        assert ask(FLOW.Late_v1, most=9) == (late,)
        assert world.rung() == []
        world.mood.is_it = False
        assert ask(FLOW.Again_v1, ref=ref) is True
        world.run(0)
        assert world.rung() == [(0, 7)]
        world.run(9 * MINUTE_US)
        assert world.rung() == [(0, 7), (1, 7)]
        # Those whose flows have ended well and left them there are seen, too: nobody knows better.
        assert [one.ref.index for one in ask(FLOW.Late_v1, most=9)] == [0, 1]
        assert len(ask(FLOW.Late_v1, most=1)) == 1
        world.start("alice", FLOW.Stop_v1, ref=ref)
        world.run()
        assert ask(FLOW.Again_v1, ref=ref) is False
        assert ask(FLOW.Again_v1, ref=StateRef(bytes(32), 0)) is False
