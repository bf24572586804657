"""Flows that start flows: one child for each committed start, and its end reaches who waits."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.flow import Await, Checkpoint, Return, Sleep
from flowrt.core.registry import NotRegistrable, Registry
from flowrt.store import CommitFailed
from tests.runtime.crashes import CRASHES, FAULTS, START_US, Power, World, every_crash
from tests.runtime.hand_flow import ERRORS, Refused
from tests.runtime.plays import At, at, play, plays

HOUR = datetime.timedelta(hours=1)


def child_of(result: Any = None, rests: bool = True) -> type[rt.Flow[Any]]:
    """Gives twice its count, or throws, or breaks."""

    def ends(run: Any, at_: At) -> Any:
        if at_.kept == "refuse":
            raise Refused("by the child")
        if at_.kept == "break":
            raise ZeroDivisionError
        return Return(at_.count * 2)

    def first(run: Any, at_: At) -> Any:
        return Checkpoint(at(1, kept=at_.kept, count=at_.count)) if rests else ends(run, at_)

    return play("t.Child", first, ends, errors=ERRORS)


def parent_of(child: type[rt.Flow[Any]], *kept: str, rests: bool = False) -> type[rt.Flow[Any]]:
    """Starts children, then waits for all of them; `rests` puts commits between."""

    def first(run: Any, at_: At) -> Any:
        ids = [run.start(child, at(0, kept=k, count=n)) for n, k in enumerate(kept, 1)]
        text = " ".join(map(str, ids))
        if rests:
            return Sleep(at(1, kept=text), HOUR / 2)
        return waits(run, at(1, kept=text))

    def waits(run: Any, at_: At) -> Any:
        if rests:
            run.woken()
        return Await(at(2), tuple(run.follow(int(n)) for n in at_.kept.split()))

    def ends(run: Any, at_: At) -> Any:
        try:
            return Return(str(run.outcomes(int)))
        except rt.FlowFailed as error:
            return Return(error.reason)

    return play("t.Parent", first, waits, ends)


def world(*flows: type[rt.Flow[Any]], power: Power | None = None, **how: Any) -> World:
    made = World(power=power, **how)
    made.add("alice", [plays(*flows)])
    return made


@pytest.mark.parametrize("kind", [*CRASHES, *FAULTS])
@pytest.mark.parametrize("rests", [False, True])
def test_one_child_for_each_start_and_its_end_comes_whatever_befalls(
    kind: str, rests: bool
) -> None:
    child = child_of()
    parent = parent_of(child, "", "", "", rests=rests)

    def build(power: Power) -> World:
        made = world(child, parent, power=power)
        made.start("alice", parent)
        return made

    def observe(on: World) -> Any:
        store = on.members["alice"].store
        assert store is not None
        on.node("alice")
        ended = [store.outcome(n) for n in range(1, 12)]
        return on.result(on.starts[0]), on.residue(), len([one for one in ended if one])

    for power, seen in every_crash(build, observe, kinds=(kind,), twice=True):
        assert seen == ("(2, 4, 6)", {"alice": (0, 0, 0)}, 4), power


def test_on_disk_too(tmp_path: Path) -> None:
    child = child_of()
    parent = parent_of(child, "", "", rests=True)
    for number in range(1, 6):
        folder = tmp_path / str(number)
        folder.mkdir()
        with world(child, parent, power=Power((number, "after")), folder=folder) as on:
            start = on.start("alice", parent)
            on.run()
            assert on.result(start) == "(2, 4)"


def test_a_childs_end_and_its_parents_step_are_one_transaction() -> None:
    child = child_of()
    parent = parent_of(child, "")
    with world(child, parent, reload=True) as on:
        on.start("alice", parent)
        on.run()
        store = on.members["alice"].store
        assert store is not None
        (last,) = [b for b in store.batches if b.outcomes]
        assert [flow for _, flow, _, _ in last.outcomes] == ["t.Child_v1", "t.Parent_v1"]


def test_a_child_that_ended_before_it_was_followed() -> None:
    child = child_of(rests=False)
    parent = parent_of(child, "", "refuse", rests=True)
    with world(child, parent, reload=True) as on:
        start = on.start("alice", parent)
        on.run()
        assert on.result(start) == "hand.Refused: refused: by the child"


def test_a_failed_child_fails_the_group_at_once() -> None:
    child = child_of()
    slow = play("t.Slow", lambda run, s: Sleep(at(1), HOUR * 9), lambda run, s: Return(1))

    def first(run: Any, at_: At) -> Any:
        ids = (run.start(slow, at(0)), run.start(child, at(0, kept="refuse")))
        return Await(at(2), tuple(map(run.follow, ids)))

    parent = play("t.P", first, first, lambda run, s: Return(catch(run)))

    def catch(run: Any) -> str:
        try:
            return str(run.outcomes(int))
        except rt.FlowFailed as error:
            return error.reason

    with world(child, slow, parent) as on:
        start = on.start("alice", parent)
        on.run(0)
        assert on.result(start).startswith("hand.Refused")
        on.run(20 * 3_600_000_000)
        assert on.residue() == {"alice": (0, 0, 0)}, "the other goes on by itself"


def test_a_child_in_the_hospital_is_waited_for() -> None:
    broken = [True]

    def breaks(run: Any, at_: At) -> Any:
        if broken:
            raise ZeroDivisionError
        return Return(5)

    child = play("t.Child", breaks)
    parent = parent_of(child, "")
    with world(child, parent) as on:
        start = on.start("alice", parent)
        on.run()
        (patient,) = on.node("alice").hospital()
        assert patient.flow == "t.Child_v1"
        broken.clear()
        on.node("alice").submit_retry(patient.flow_id)
        on.run()
        assert on.result(start) == "(5,)"


def test_a_step_that_fails_starts_nobody_and_burns_its_numbers() -> None:
    child = child_of()
    broken = [True]

    def first(run: Any, at_: At) -> Any:
        started = run.start(child, at(0, count=4))
        if broken:
            raise ZeroDivisionError
        return Return(started)

    parent = play("t.Parent", first)
    with world(child, parent) as on:
        start = on.start("alice", parent)
        on.run()
        assert [flow.id for flow in on.node("alice").flows()] == [start.id]
        broken.clear()
        on.node("alice").submit_retry(start.id)
        on.run()
        assert on.result(start) == start.id + 2
        assert on.node("alice").handle(start.id + 2).result_now() == 8
        with pytest.raises(KeyError):
            on.node("alice").handle(start.id + 1)


def test_a_parent_that_has_gone_is_no_trouble() -> None:
    child = play("t.Child", lambda run, s: Sleep(at(1), HOUR / 2), lambda run, s: Return(1))
    parent = play("t.Parent", lambda run, s: Return(run.start(child, at(0))))
    with world(child, parent) as on:
        start = on.start("alice", parent)
        on.run()
        assert on.node("alice").handle(on.result(start)).result_now() == 1
        assert on.residue() == {"alice": (0, 0, 0)}


@pytest.mark.parametrize("crash", [False, True])
def test_a_start_at_a_time(crash: bool) -> None:
    when: list[int] = []

    def first(run: Any, at_: At) -> Any:
        when.append(round(run.now.timestamp() * 1e6))
        return Return(at_.count)

    child = play("t.Child", first)

    def starts(run: Any, at_: At) -> Any:
        ids = [
            run.start(child, at(0, count=n), run.now + datetime.timedelta(seconds=60 * n))
            for n in (-1, 0, 1, 2)
        ]
        return Await(at(1), tuple(map(run.follow, ids)))

    parent = play("t.Parent", starts, lambda run, s: Return(str(run.outcomes(int))))
    with world(child, parent) as on:
        start = on.start("alice", parent)
        on.run(0)
        assert when == [START_US] * 2
        if crash:
            on.crash("alice")
        assert [flow.waits for flow in on.node("alice").flows()][1:] == ["time", "time"]
        on.run()
        assert when[2:] == [START_US + 60_000_000, START_US + 120_000_000]
        assert on.result(start) == "(-1, 0, 1, 2)"


def test_a_chain_of_two_thousand_ends_without_recursion() -> None:
    """Each starts the next one and waits for it; the last one's end goes through all of them."""

    def first(run: Any, at_: At) -> Any:
        if at_.count == 0:
            return Return(1)
        return Await(at(1), (run.follow(run.start(link, at(0, count=at_.count - 1))),))

    link = play("t.Link", first, lambda run, s: Return(run.outcome(int) + 1))
    with world(link) as on:
        start = on.start("alice", link, count=2000)
        on.run()
        assert on.result(start) == 2001
        assert on.residue() == {"alice": (0, 0, 0)}


def test_a_flow_that_somebody_else_started_may_be_followed_too() -> None:
    child = play("t.Child", lambda run, s: Sleep(at(1), HOUR / 2), lambda run, s: Return(7))

    def follows(run: Any, at_: At) -> Any:
        return Await(at(1), (run.follow(at_.count),))

    follower = play("t.Follower", follows, lambda run, s: Return(run.outcome(int)))

    def first(run: Any, at_: At) -> Any:
        started = run.start(child, at(0))
        ids = [run.start(follower, at(0, count=started)) for _ in range(2)]
        return Await(at(1), tuple(map(run.follow, ids)))

    parent = play("t.Parent", first, lambda run, s: Return(str(run.outcomes(int))))
    for crash in (False, True):
        with world(child, follower, parent) as on:
            start = on.start("alice", parent)
            on.run(0)
            if crash:
                on.crash("alice")
            on.run()
            assert on.result(start) == "(7, 7)"


def test_a_flow_that_is_not_there_is_not_waited_for_for_ever() -> None:
    def follows(run: Any, at_: At) -> Any:
        return Await(at(1), (run.follow(77),))

    def ends(run: Any, at_: At) -> Any:
        with pytest.raises(rt.FlowFailed, match="there is no flow 77"):
            run.outcome(int)
        return Return("told")

    flow = play("t.F", follows, ends)
    with world(flow) as on:
        start = on.start("alice", flow)
        on.run()
        assert on.result(start) == "told"


class Strict:
    """Writes a row that the database refuses only when the transaction is committed."""

    def __init__(self) -> None:
        self.spoils: set[str] = set()

    def setup(self, tx: rt.Tx) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS a (id INTEGER PRIMARY KEY)")
        tx.execute(
            "CREATE TABLE IF NOT EXISTS b (a INTEGER REFERENCES a DEFERRABLE INITIALLY DEFERRED)"
        )

    def put(self, tx: rt.Tx, who: str) -> None:
        if who in self.spoils:
            tx.execute("INSERT INTO b VALUES (99)")


@pytest.mark.parametrize("who", ["child", "parent", "grandparent"])
def test_a_refused_batch_is_the_fault_of_who_spoiled_it(who: str, tmp_path: Path) -> None:
    key: Any = rt.ServiceKey("t.Strict", rt.Operation("put", "write", ("who",), None))

    def ends(run: Any, name: str) -> None:
        run.service(key).put(run.tx, name)

    def child_ends(run: Any, at_: At) -> Any:
        ends(run, "child")
        return Return(1)

    child = play("t.Child", lambda run, s: Checkpoint(at(1)), child_ends, services=(key,))

    def waiting(name: str, below: Any) -> type[rt.Flow[Any]]:
        def first(run: Any, at_: At) -> Any:
            return Await(at(1), (run.follow(run.start(below, at(0))),))

        def then(run: Any, at_: At) -> Any:
            value = run.outcome(int)
            ends(run, name)
            return Return(value + 1)

        return play(f"t.{name.title()}", first, then, services=(key,))

    parent = waiting("parent", child)
    top = waiting("grandparent", parent)
    strict = Strict()
    strict.spoils.add(who)
    made = World(folder=tmp_path)
    made.add("alice", [plays(child, parent, top)], lambda: {"Strict": strict})
    with made as on:
        start = on.start("alice", top)
        on.run()
        ill = [patient.flow for patient in on.node("alice").hospital()]
        assert len(ill) == 1
        if who != "grandparent":
            assert ill == [f"t.{who.title()}_v1"]
        for _ in range(3):  # The one above is suspected only when it is alone with its batch.
            for patient in on.node("alice").hospital():
                assert "FOREIGN KEY" in patient.cause, CommitFailed
                if patient.flow == f"t.{who.title()}_v1":
                    strict.spoils.clear()
                on.node("alice").submit_retry(patient.flow_id)
            on.run()
        assert on.result(start) == 3
        assert on.residue() == {"alice": (0, 0, 0)}


def test_what_is_started_must_be_registered() -> None:
    flow = play("t.A", lambda run, s: Return(None), starts=("t.Missing_v1",))
    with pytest.raises(NotRegistrable, match=r"starts t\.Missing_v1, which is not registered"):
        Registry([plays(flow)])
