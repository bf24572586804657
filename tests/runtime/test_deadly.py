"""Steps that end their process whenever they run: after three processes their flow is a patient."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.core.flow import Party
from flowrt.hospital.admission import DEADLY
from flowrt.node import Node
from flowrt.store.marks import SIZE, Marks
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.clinic import START_US, Clinic
from tests.runtime.crashes import Crash
from tests.runtime.written import compiled

PROGRAM = compiled("""
service Native:
    write call(what: Text) -> Int

flow Calls(what: Text) -> Int:
    startable by rpc
    steps:
        CALLING "Calling"
    step CALLING
    checkpoint
    let n = Native.call(what)
    return n

flow AtOnce(what: Text) -> Int:
    startable by rpc
    let n = Native.call(what)
    return n

message Please:
    n: Int

flow Asks(other: Party):
    startable by rpc
    open Answers with other as line
    send Please(1) to line
    receive p: Please from line unchecked

flow Answers():
    responds to Asks as line
    receive p: Please from line unchecked
    let n = Native.call("answer")
    send Please(n) to line
""")


class Native:
    """Code of another language, in which some things are fatal."""

    def __init__(self, die: Callable[[], Any]) -> None:
        self.die = die
        self.fatal = {"fatal", "answer"}
        self.calls: list[str] = []

    def call(self, tx: Any, what: str) -> int:
        self.calls.append(what)
        if what in self.fatal:
            self.die()
        return len(what)


def _crash() -> None:
    raise Crash


@pytest.fixture(params=["memory", "sqlite"])
def clinic(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    native = Native(_crash)
    folder = tmp_path if request.param == "sqlite" else None
    with Clinic(PROGRAM, {"Native": native}, folder) as found:
        found.native = native  # type: ignore[attr-defined]
        yield found


def lives(clinic: Clinic, party: str = "alice") -> int:
    """Let the nodes run, a new process for each that ends; how many ended."""
    for deaths in range(20):
        try:
            clinic.rest()
        except Crash:
            clinic.crash(party)
            clinic.now_us += 60_000_000  # What is on its way is sent again.
        else:
            return deaths
    raise AssertionError("one process after the other ends")


def test_c43_a_step_that_ends_its_process_is_not_begun_for_ever(clinic: Any) -> None:
    deadly = clinic.alice.submit(PROGRAM.Calls_v1, what="fatal")
    other = clinic.alice.submit(PROGRAM.Calls_v1, what="harmless")
    assert lives(clinic) == DEADLY
    (patient,) = clinic.alice.patients()
    assert (patient.flow_id, patient.kind) == (deadly.id, "failed")
    assert patient.cause.startswith("EndsItsProcess: 3 processes in a row have ended in this step")
    assert clinic.result(other.id) == len("harmless"), "the others are served"
    tree = clinic.alice.tracker(deadly.id)
    assert tree.trouble is not None
    assert tree.trouble.state == "in hospital"
    # Nothing counts any more: a person may try, and a person may repair it.
    clinic.alice.submit_retry(deadly.id)
    assert lives(clinic) == 1, "it dies once more, and rests in the hospital"
    clinic.native.fatal.clear()
    clinic.alice.submit_retry(deadly.id)
    assert lives(clinic) == 0
    assert clinic.result(deadly.id) == len("fatal")
    assert clinic.alice.patients() == []


def test_a_process_that_ends_in_a_step_that_passes_later_counts_no_more(clinic: Any) -> None:
    flow = clinic.alice.submit(PROGRAM.Calls_v1, what="fatal")
    with pytest.raises(Crash):
        clinic.rest()
    clinic.crash("alice")
    clinic.native.fatal.clear()
    assert lives(clinic) == 0
    assert clinic.result(flow.id) == len("fatal")
    assert clinic.stores["alice"].open("alice").ended == {}


def test_a_deadly_patient_can_be_killed(clinic: Any) -> None:
    flow = clinic.alice.submit(PROGRAM.Calls_v1, what="fatal")
    assert lives(clinic) == DEADLY
    calls = len(clinic.native.calls)
    clinic.alice.submit_kill(flow.id, by="ann", reason="it is fatal")
    assert lives(clinic) == 0
    assert clinic.alice.flows() == clinic.alice.patients() == []
    assert len(clinic.native.calls) == calls, "nothing of its own runs"


def test_an_invitation_whose_first_step_ends_the_process(clinic: Any) -> None:
    clinic.alice.submit(PROGRAM.Asks_v1, other=Party("bob"))
    assert lives(clinic, "bob") == DEADLY
    (patient,) = clinic.bob.patients()
    assert patient.flow.endswith("Answers_v1")


def test_a_kind_of_flow_whose_first_step_ends_the_process(clinic: Any) -> None:
    for _ in range(DEADLY):
        clinic.alice.submit(PROGRAM.AtOnce_v1, what="fatal")
        with pytest.raises(Crash):
            clinic.rest()
        clinic.crash("alice")
    clinic.alice.submit(PROGRAM.AtOnce_v1, what="fatal")
    assert lives(clinic) == 0
    assert [patient.event for patient in clinic.alice.patients()] == ["its beginning"]


def test_processes_that_end_while_they_commit_blame_no_step(
    clinic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = clinic.alice.submit(PROGRAM.Calls_v1, what="harmless")
    clinic.alice.turn()
    for _ in range(DEADLY + 1):
        monkeypatch.setattr(clinic.stores["alice"], "commit", lambda batch: _crash())
        with pytest.raises(Crash):
            clinic.rest()
        clinic.crash("alice")
    clinic.rest()
    assert clinic.alice.patients() == []
    assert clinic.result(flow.id) == len("harmless")


def test_who_closes_a_node_in_good_order_leaves_no_trace(tmp_path: Path) -> None:
    for _ in range(5):
        store = SqliteStore(tmp_path / "alice.db")
        assert store.open("alice").ended == {}
        store.mark(7)
        store.mark(0)
        store.close()


def test_real_processes_that_are_killed_in_a_step(tmp_path: Path) -> None:
    """Each is forked, and ends by SIGKILL in the flow's step; the store's page knows."""

    def one_process() -> int:
        """A process's life; the signal that ended it, or 0."""
        child = os.fork()
        if child:
            return os.WTERMSIG(os.waitpid(child, 0)[1])
        code = 1
        try:
            node = Node.create(
                "alice",
                store=SqliteStore(tmp_path / "alice.db"),
                network=MemoryNetwork(),
                modules=[PROGRAM],
                services={"Native": Native(lambda: os.kill(os.getpid(), signal.SIGKILL))},
                clock=lambda: START_US,
            )
            if not node.flows():
                node.submit(PROGRAM.Calls_v1, what="fatal")
            while node.turn():
                pass
            code = 0 if len(node.patients()) == 1 else 2
        finally:
            os._exit(code)

    assert [one_process() for _ in range(DEADLY + 2)] == [signal.SIGKILL] * DEADLY + [0, 0]


def test_marks_know_the_most_deadly_when_there_are_too_many() -> None:
    marks = Marks(bytearray(SIZE))
    for number in (1, 1, 1, *range(2, 100)):
        marks.begin(number)
        found = marks.opened()
    assert found[1] == 3
    assert len(found) <= SIZE // 16
    marks.forgive(1)
    assert 1 not in marks.opened()


def test_a_store_in_memory_keeps_its_marks_with_its_disk() -> None:
    store = MemoryStore()
    store.open("alice")
    store.mark(5)
    store.close()
    assert MemoryStore(store.disk).open("alice").ended == {5: 1}
    assert MemoryStore(store.disk).open("alice").ended == {5: 1}, "until it is forgiven"
