"""Flows that failed and wait for a person: what is kept, who is told, how they leave."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.hospital import Patient
from flowrt.core.values import Data, Letter, decode, decode_checkpoint, encode
from flowrt.peers.outbox import packed
from flowrt.store import Batch
from tests.runtime import hand_flow as hand
from tests.runtime import plays
from tests.runtime.book import services, written
from tests.runtime.crashes import START_US, Start, World
from tests.runtime.plays import At, at, play

BOB = rt.Party("bob")
ILL: set[str] = set()


@pytest.fixture(autouse=True)
def healthy() -> None:
    ILL.clear()


def careful(run: Any, state: At) -> Any:
    return rt.Receive(at(1, state.s, count=state.count), state.s)


def fails_if_ill(run: Any, state: At) -> Any:
    try:
        n = run.received(hand.Ask).n
    except rt.SessionEnded:
        return rt.Return(state.count)
    run.log("info", f"read {n}")
    run.send(state.s, hand.Reply(n * 2))
    if "answerer" in ILL:
        raise ZeroDivisionError("the author's bug")
    return rt.Receive(at(1, state.s, count=state.count + 1), state.s)


ANSWERER = play("hand.Answerer", careful, fails_if_ill, version=2, responds_to="hand.Asker")


def begins_if_well(run: Any, state: At) -> Any:
    if "listener" in ILL:
        raise ValueError("ill")
    return careful(run, state)


def reads_all(run: Any, state: At) -> Any:
    try:
        text = run.received(hand.Note).text
    except rt.SessionEnded:
        return rt.Return(state.kept)
    return rt.Receive(at(1, state.s, state.kept + text), state.s)


LISTENER = play("hand.Listener", begins_if_well, reads_all, version=2, responds_to="hand.Notifier")


@pytest.fixture(params=["memory", "sqlite"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "sqlite" else None


def ward(folder: Path | None = None) -> tuple[World, Start]:
    """Alice asks bob three times; bob's flow is as healthy as `ILL` says."""
    world = World(folder=folder)
    world.add("alice", [hand], services)
    world.add("bob", [plays.plays(ANSWERER)])
    return world, world.start("alice", hand.Asker_v1, to=BOB, rounds=3)


def the_patient(world: World, party: str = "bob") -> Patient:
    (patient,) = world.node(party).hospital()
    return patient


def test_a_bug_keeps_the_message_and_the_flow_where_it_was(folder: Path | None) -> None:
    ILL.add("answerer")
    world, start = ward(folder)
    with world:
        world.run()
        patient = the_patient(world)
        assert (patient.flow, patient.state) == ("hand.Answerer_v2", "At")
        assert patient.cause == "ZeroDivisionError: the author's bug"
        assert "fails_if_ill" in patient.trace
        assert patient.since_us == START_US
        (view,) = world.node("bob").flows()
        assert (view.in_hospital, view.waits, view.peer) == (True, "a message", "alice")
        assert len(world.node("alice")._outbox) == 0, "its message is bob's now"
        assert world.outcome(start) is None, "and alice is told nothing"
        assert len(world.node("bob")._outbox) == 0

        ILL.clear()
        world.node("bob").submit_retry(patient.flow_id)
        world.run()
        assert world.result(start) == 12
        assert world.residue() == {"alice": (0, 0, 0), "bob": (0, 0, 0)}


def test_the_message_that_brought_it_there_is_kept_and_acknowledged(folder: Path | None) -> None:
    """The step fails as the letter arrives, not when the flow goes on by itself."""
    world, start = ward(folder)
    with world:
        while not world.node("alice")._inbound or len(world.audit("bob")) < 2:
            world.tick()
        ILL.add("answerer")
        world.run()
        patient = the_patient(world)
        (view,) = world.node("bob").flows()
        assert view.in_hospital
        assert len(world.node("alice")._outbox) == 0
        ILL.clear()
        world.node("bob").submit_retry(patient.flow_id)
        world.run()
        assert world.result(start) == 12


def test_a_retry_and_a_letter_in_one_batch(folder: Path | None) -> None:
    world, start = ward(folder)
    with world:
        ILL.add("answerer")
        world.run()
        patient = the_patient(world)
        ILL.clear()
        bob = world.node("bob")
        events = asyncio.new_event_loop()
        waiter = events.create_future()
        bob.submit_retry(patient.flow_id, waiter)
        bob._inbound.append(("alice", early(world, patient.flow_id)))
        bob.turn()
        assert not waiter.done(), "the retry is a step of the next batch"
        world.run()
        assert waiter.done()
        assert world.result(start) == 12
        events.close()


def early(world: World, flow_id: int) -> bytes:
    """A letter that comes before its turn: it is kept, so the flow is written."""
    store = world.members["bob"].store
    assert store is not None
    data = store.load(flow_id)
    session = decode_checkpoint(data, world.node("bob").registry.states_of).sessions[0]
    content = Data("hand.Ask", encode(hand.Ask(99)))
    letter = Letter(flow_id, session.id, session.secret, session.expected + 30, content)
    return packed(9, world.node("alice")._outbox.mark, encode(letter))


def test_what_a_confirmation_sets_free_leaves_though_the_step_fails(folder: Path | None) -> None:
    """The subflow that only sent has done its part; the bug is in its caller."""

    def sends(run: Any, state: At) -> Any:
        s = run.open("hand.Listener", BOB, 0)
        for word in "abc":
            run.send(s, hand.Note(word))
        return rt.Return(None)

    def fails(run: Any, state: At) -> Any:
        run.result(inner)
        if "caller" in ILL:
            raise ValueError("ill")
        return rt.Return("well")

    inner = play("hand.Notifier", sends, version=7)
    outer = play("t.Outer", lambda run, state: rt.Call(at(1), inner, at(0)), fails)
    ILL.add("caller")
    with World(folder=folder) as world:
        world.add("alice", [plays.plays(inner, outer)])
        world.add("bob", [hand], services)
        start = world.start("alice", outer)
        world.run()
        patient = the_patient(world, "alice")
        assert patient.cause == "ValueError: ill"
        assert written(world, "bob") == ["a", "b", "c"], "only the end is not said yet"
        ILL.clear()
        world.node("alice").submit_retry(patient.flow_id)
        world.run()
        assert world.result(start) == "well"
        assert written(world, "bob") == ["a", "b", "c", "the end"]
        assert world.residue() == {"alice": (0, 0, 0), "bob": (0, 0, 0)}


def test_a_retry_that_fails_again_stays_with_the_new_reason(folder: Path | None) -> None:
    ILL.add("answerer")
    world, start = ward(folder)
    with world:
        world.run()
        first = the_patient(world)
        world.now_us += 5_000_000
        world.node("bob").submit_retry(first.flow_id)
        world.run()
        again = the_patient(world)
        assert again.flow_id == first.flow_id
        assert again.since_us >= START_US + 5_000_000
        world.crash("bob")
        world.run()
        assert the_patient(world) == again, "a restart is not a cure"
        ILL.clear()
        world.crash("bob")
        world.run()
        assert the_patient(world) == again, "nor is it a retry"
        world.node("bob").submit_retry(first.flow_id)
        world.run()
        assert world.result(start) == 12


def test_a_patients_sessions_go_on_filling(folder: Path | None) -> None:
    ILL.add("listener")
    with World(folder=folder) as world:
        world.add("alice", [hand], services)
        world.add("bob", [plays.plays(LISTENER)])
        start = world.start(
            "alice", hand.Notifier_v1, to=BOB, texts=tuple("abcdef"), flow="hand.Listener"
        )
        world.run()
        assert world.result(start) == 6, "the invitation was accepted: the flow runs, only not now"
        assert len(world.node("alice")._outbox) == 0
        patient = the_patient(world)
        ILL.clear()
        world.node("bob").submit_retry(patient.flow_id)
        world.run()
        assert world.node("bob").handle(patient.flow_id).result_now() == "abcdef"


def test_two_patients_are_retried_one_by_one() -> None:
    with World() as world:
        world.add("alice", [hand], services)
        starts = [world.start("alice", hand.Holder_v1, reason=f"r{n}") for n in range(2)]
        world.run()
        causes = [patient.cause for patient in world.node("alice").hospital()]
        assert causes == ["hold: r0", "hold: r1"]
        world.node("alice").submit_retry(starts[1].id)
        world.run()
        assert world.result(starts[1]) == "went on"
        assert the_patient(world, "alice").flow_id == starts[0].id


def test_a_hold_waits_for_ever_and_goes_on_once(folder: Path | None) -> None:
    with World(folder=folder) as world:
        world.add("alice", [hand], services)
        start = world.start("alice", hand.Holder_v1, reason="check the\npapers")
        world.run()
        world.crash("alice")
        world.run()
        patient = the_patient(world, "alice")
        assert patient.cause == "hold: check the\npapers"
        assert (patient.state, patient.place) == ("Held", "hand.flow:220")
        (view,) = world.node("alice").flows()
        assert view.waits == "an operator: check the\npapers"
        world.node("alice").submit_retry(start.id)
        world.node("alice").submit_retry(start.id)
        world.run()
        assert world.result(start) == "went on"
        assert world.residue() == {"alice": (0, 0, 0)}


def test_a_flow_that_is_not_there_cannot_be_retried() -> None:
    with World() as world:
        world.add("alice", [hand], services)
        start = world.start("alice", hand.Teller_v1, first="a", second="b")
        for flow_id in (start.id, 99, -1):
            with pytest.raises(KeyError):
                world.node("alice").submit_retry(flow_id)


# --- what cannot be loaded -----------------------------------------------------------------------


def test_a_node_without_a_flows_class_opens_and_serves_the_others(folder: Path | None) -> None:
    with World(folder=folder) as world:
        world.add("alice", [hand], services)
        world.add("bob", [plays.plays(LISTENER)])
        world.start("alice", hand.Notifier_v1, to=BOB, texts=tuple("abc"), flow="hand.Listener")
        world.tick()
        world.tick()
        bob = world.members["bob"]
        bob.modules, bob.services = [hand], services
        world.crash("bob")
        other = world.start("bob", hand.Teller_v1, first="a", second="b")
        world.run()
        assert world.result(other) == 2
        patient = the_patient(world)
        assert (patient.flow, patient.state) == ("hand.Listener_v2", "?")
        assert patient.cause == "cannot be loaded: hand.Listener_v2 is not installed"
        (view,) = world.node("bob").flows()
        assert (view.flow, view.waits) == ("hand.Listener_v2", "hand.Listener_v2 to be installed")
        assert view.in_hospital
        assert len(world.node("alice")._outbox) > 0, "what it cannot take, it does not acknowledge"

        world.node("bob").submit_retry(patient.flow_id)
        world.run()
        assert the_patient(world).flow_id == patient.flow_id, "asking again does not help"

        bob.modules, bob.services = [plays.plays(LISTENER)], dict
        world.crash("bob")
        world.run()
        assert world.node("bob").handle(patient.flow_id).result_now() == "abc"
        assert world.node("bob").hospital() == [], "it left when it could be loaded again"
        assert len(world.node("alice")._outbox) == 0


def test_a_flow_that_needs_nothing_and_has_no_class_is_no_trouble() -> None:
    """Ended, and it only waits for its invitation to be confirmed: no class is needed for that."""
    with World() as world:
        world.add("alice", [hand], services)
        world.add("bob", [hand], services)
        world.network.down.add("bob")
        start = world.start("alice", hand.Hasty_v1, to=BOB, words=2)
        world.tick()
        world.members["alice"].modules = [plays.plays(play("t.Other"))]
        world.members["alice"].services = dict
        world.crash("alice")
        world.network.down.clear()
        world.run()
        assert written(world, "bob")[:2] == ["word 0", "word 1"]
        assert world.residue() == {"alice": (0, 0, 0), "bob": (0, 0, 0)}
        with pytest.raises(rt.UnexpectedFlowEnd, match=r"hand\.TooMuch: 2 is over 1"):
            world.result(start)


def test_a_result_whose_class_is_gone_says_so() -> None:
    with World() as world:
        world.add("alice", [hand], services)
        start = world.start("alice", hand.Teller_v1, first="a", second="b")
        world.run()
        world.members["alice"].modules = [plays.plays(play("t.Other"))]
        world.members["alice"].services = dict
        world.crash("alice")
        with pytest.raises(LookupError, match=r"hand\.Teller_v1 is not installed"):
            world.result(start)


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x91\x01", encode([9, [], [1], []])])
def test_a_damaged_checkpoint_is_one_patient(folder: Path | None, damage: bytes) -> None:
    world, start = ward(folder)
    with world:
        world.tick()
        world.tick()
        store = world.members["bob"].store
        assert store is not None
        ((flow_id, *_),) = store.flows()
        bob = world.node("bob")
        flows = {flow_id: (damage, 0)}
        store.commit(Batch(world.now_us, bob._next_flow, bob._next_outbox, flows=flows))
        world.crash("bob")
        teller = world.start("alice", hand.Teller_v1, first="a", second="b")
        world.run()
        assert world.result(teller) == 2
        patient = the_patient(world)
        assert patient.flow_id == flow_id
        assert patient.cause.startswith("cannot be loaded: ")
        (view,) = world.node("bob").flows()
        assert view.in_hospital
        assert view.waits.startswith("unreadable: ")
        assert world.outcome(start) is None
        with pytest.raises(KeyError):
            world.node("bob").submit_retry(flow_id + 1)


# --- the entry itself ----------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was() -> None:
    patient = Patient(7, "hand.Asker_v1", "Start", "hand.flow:1", "why", START_US, "trace")
    assert decode(Patient, encode(patient)) == patient


def test_a_cause_with_anything_in_it_is_kept_and_logged_as_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(run: Any, state: At) -> Any:
        raise ValueError("bad\nERROR forged \x1b[2J \ud800")

    flow = play("t.Fails", fails)
    with World() as world, caplog.at_level("ERROR", "flowrt.node"):
        world.add("alice", [plays.plays(flow)])
        world.start("alice", flow)
        world.run()
        assert "bad\nERROR forged" in the_patient(world, "alice").cause
    (record,) = caplog.records
    assert record.getMessage().isprintable()


def test_an_error_whose_text_cannot_even_be_made_is_a_patient_all_the_same() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def fails(run: Any, state: At) -> Any:
        raise Unspeakable

    flow = play("t.Fails", fails)
    with World() as world:
        world.add("alice", [plays.plays(flow)])
        world.start("alice", flow)
        world.run()
        assert "Unspeakable" in the_patient(world, "alice").cause
