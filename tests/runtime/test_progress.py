"""Where a flow stands, as people see it: the tree of steps, its history, what late readers get."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.engine import BEGIN, RESUME, RETRY
from flowrt.core.progress import ProgressEvent, path_of
from flowrt.core.values import StackFrame, decode, decode_checkpoint, encode
from tests.runtime import hand_flow as hand
from tests.runtime.book import services
from tests.runtime.crashes import Power, World, every_crash
from tests.runtime.plays import Actor, At, at, play

BOB = rt.Party("bob")
STEPS = (
    rt.ProgressStep("ONE", "First"),
    rt.ProgressStep("TWO", "Second", "t.Inner"),
    rt.ProgressStep("THREE", "Third"),
)
INNER_STEPS = (rt.ProgressStep("A", "Alpha"), rt.ProgressStep("B", "Beta"))


def told(event: ProgressEvent) -> tuple[Any, ...]:
    return (event.path, event.label, event.outcome)


def moves_of(*parts: Any, steps: Any = STEPS) -> list[tuple[Any, ...]]:
    commit = Actor(play("t.A", *parts, steps=steps)).go(BEGIN)
    assert commit is not None
    return [told(move) for move in commit.moves]


def walks(*steps: Any) -> Any:
    def part(run: Any, state: At) -> Any:
        for step in steps:
            run.at(*step) if isinstance(step, tuple) else run.at(step)
        return rt.Return(None)

    return part


# --- moves ---------------------------------------------------------------------------------------


def test_every_move_and_the_end() -> None:
    assert moves_of(walks("ONE", "TWO", "THREE")) == [
        (("ONE",), "First", None),
        (("TWO",), "Second", None),
        (("THREE",), "Third", None),
        ((), "", "done"),
    ]


def test_a_flow_without_steps_has_an_end() -> None:
    assert moves_of(walks(), steps=()) == [((), "", "done")]


def test_forth_and_back_and_over() -> None:
    assert [move[0] for move in moves_of(walks("THREE", "ONE", "TWO"))] == [
        ("THREE",),
        ("ONE",),
        ("TWO",),
        (),
    ]


def test_the_same_step_again_is_no_move_unless_it_is_named_anew() -> None:
    assert moves_of(walks("ONE", "ONE", ("ONE", "one of 2"), ("ONE", "two of 2"), "TWO")) == [
        (("ONE",), "First", None),
        (("ONE",), "one of 2", None),
        (("ONE",), "two of 2", None),
        (("TWO",), "Second", None),
        ((), "", "done"),
    ]


def test_a_step_that_was_not_declared_is_the_generators_mistake() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        moves_of(walks("FOUR"))


def test_a_subflows_steps_hang_under_its_callers() -> None:
    inner = play("t.Inner", walks("A", "B"), steps=INNER_STEPS)
    after = walks("THREE")

    def calls(run: Any, state: At) -> Any:
        run.at("TWO")
        return rt.Call(at(1), inner, at(0))

    actor = Actor(play("t.A", calls, after, steps=STEPS), inner)
    commit = actor.go(BEGIN)
    assert commit is not None
    assert [(m.kind, m.flow, m.path) for m in commit.moves if m.is_structure] == [
        ("begun", "t.Inner", ("TWO",)),
        ("over", "t.Inner", ("TWO",)),
    ]
    assert [(told(m), m.flow, m.depth) for m in commit.moves if not m.is_structure] == [
        ((("TWO",), "Second", None), "t.A", 0),
        ((("TWO", "A"), "Alpha", None), "t.Inner", 1),
        ((("TWO", "B"), "Beta", None), "t.Inner", 1),
        ((("THREE",), "Third", None), "t.A", 0),
        (((), "", "done"), "t.A", 0),
    ]


def test_a_flow_without_a_step_of_its_own_shows_its_subflows() -> None:
    inner = play("t.Inner", walks("A"), steps=INNER_STEPS)
    outer = play("t.A", lambda run, state: rt.Call(at(1), inner, at(0)), walks(), steps=STEPS)
    commit = Actor(outer, inner).go(BEGIN)
    assert commit is not None
    assert [(move.kind, move.path) for move in commit.moves] == [
        ("begun", ()),
        ("position", ("A",)),
        ("over", ()),
        ("end", ()),
    ]
    assert commit.moves[1].depth == 1


def test_a_failure_is_the_last_event_and_says_why() -> None:
    def part(run: Any, state: At) -> Any:
        run.at("ONE")
        raise hand.TooMuch(1, 2)

    assert moves_of(part) == [(("ONE",), "First", None), ((), "2 is over 1", "failed")]


def test_the_position_outlives_a_step_and_its_numbers_go_on() -> None:
    def first(run: Any, state: At) -> Any:
        run.at("TWO")
        return rt.Checkpoint(at(1))

    def second(run: Any, state: At) -> Any:
        run.at("TWO")
        run.at("THREE")
        return rt.Return(None)

    actor = Actor(play("t.A", first, second, steps=STEPS))
    moves = []
    for event in (BEGIN, RESUME):
        commit = actor.go(event)
        assert commit is not None
        moves += commit.moves
    assert [move.number for move in moves] == [0, 1, 2]
    assert [move.path for move in moves] == [("TWO",), ("THREE",), ()]


def test_a_step_that_fails_moves_nothing() -> None:
    def fails(run: Any, state: At) -> Any:
        run.at("TWO")
        raise ZeroDivisionError

    def first(run: Any, state: At) -> Any:
        run.at("ONE")
        return rt.Hold(at(1), "")

    actor = Actor(play("t.A", first, fails, steps=STEPS))
    actor.go(BEGIN)
    before = encode(actor.checkpoint)
    with pytest.raises(ZeroDivisionError):
        actor.go(RETRY)
    actor.checkpoint = decode_checkpoint(before, actor.registry.states_of)
    assert actor.checkpoint.moves == 1
    assert actor.checkpoint.frames[0].step == 0


def test_events_come_back_from_bytes_and_know_the_last_one() -> None:
    event = ProgressEvent(3, "t.A", 1, ("TWO", "A"), "Alpha")
    assert decode(ProgressEvent, encode(event)) == event
    assert not event.done
    assert ProgressEvent(4, "t.A", 0, (), "", "failed").done


def test_the_path_is_of_those_who_are_at_a_step() -> None:
    frames = [StackFrame("a", None, 1), StackFrame("b", None), StackFrame("c", None, 0)]  # type: ignore[arg-type]
    names = {"a": ("ONE", "TWO"), "b": ("X",), "c": ("A",)}
    assert path_of(frames, names) == ("TWO", "A")


# --- the history in the store --------------------------------------------------------------------


def haggling(power: Power, folder: Path | None = None) -> World:
    world = World(power=power, folder=folder)
    for party in ("alice", "bob"):
        world.add(party, [hand], services)
    world.start("alice", hand.Bidder_v1, to=BOB, price=12)
    return world


HISTORY = [
    (0, "hand.Bidder", 0, ("FIRST",), "First offer", None),
    (2, "hand.Bid", 1, ("FIRST", "BIDDING"), "Offering 12", None),
    (4, "hand.Bidder", 0, ("AGAIN",), "after 12 is over 10", None),
    (6, "hand.Bid", 1, ("AGAIN", "BIDDING"), "Offering 10", None),
    (8, "hand.Bidder", 0, (), "", "done"),
]


def history(world: World) -> list[tuple[Any, ...]]:
    start = world.starts[0]
    return [
        (event.number, event.flow, event.depth, event.path, event.label, event.outcome)
        for event in world.node(start.party).progress(start.id)
    ]


def test_the_history_has_no_gap_and_no_repetition_whatever_crashes() -> None:
    for power, seen in every_crash(haggling, history):
        assert seen == HISTORY, power


def test_the_history_is_there_after_a_restart_and_grows_with_commits_only(tmp_path: Path) -> None:
    with haggling(Power(), tmp_path) as world:
        assert history(world) == []
        lengths = set()
        for _ in range(12):
            world.tick()
            lengths.add(len(history(world)))
            world.crash("alice")
        world.run()
        assert history(world) == HISTORY
        assert lengths <= {0, 2, 4, 5}


def test_a_flow_that_nobody_knows_has_no_history() -> None:
    with haggling(Power()) as world:
        assert world.node("alice").progress(99) == []


def test_a_view_shows_the_path_of_a_living_flow() -> None:
    with World() as world:
        world.add("alice", [hand], services)
        world.start("alice", hand.Napper_v1, naps=1, length=datetime.timedelta(hours=5))
        world.run()
        (view,) = world.node("alice").flows()
        assert (view.path, view.state, view.place) == (("NAPPING",), "Asleep", "hand.flow:203")
        assert (view.flow, view.waits, view.peer) == ("hand.Napper_v1", "time", None)
        assert not view.in_hospital
        assert 0 < view.checkpoint_bytes < 100
