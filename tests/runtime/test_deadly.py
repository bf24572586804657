"""Steps that end their process whenever they run: after three processes their flow is a patient."""

from __future__ import annotations

import asyncio
import os
import signal
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.core.flow import Operation, Party
from flowrt.core.values import encode
from flowrt.node import Node
from flowrt.operations import Operations, Wanted
from flowrt.reports import Reports
from flowrt.services import External
from flowrt.store.marks import DEADLY, SIZE, Marks
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.clinic import START_US, Clinic
from tests.runtime.crashes import Crash
from tests.runtime.written import compiled

PROGRAM = compiled("""
service Native:
    write call(what: Text) -> Int
    external work(what: Text) -> Int

flow Works(what: Text) -> Int:
    startable by rpc
    let n = await Native.work(what)
    return n

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
        self.works: list[str] = []

    def call(self, tx: Any, what: str) -> int:
        self.calls.append(what)
        if what in self.fatal:
            self.die()
        return len(what)

    def work(self, key: str, what: str) -> int:
        self.works.append(what)
        if what in self.fatal:
            self.die()
        return len(what)


EMPTY = Operation("run", "external", (), int, ())


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


# --- external operations ---


def opened_calls(clinic: Any) -> dict[Any, int]:
    """What the next process of alice's will be told of calls."""
    clinic.crash("alice")
    return clinic.alice._operations.deaths  # type: ignore[no-any-return]


def test_c43_an_operation_that_ends_its_process_is_not_begun_for_ever(clinic: Any) -> None:
    deadly = clinic.alice.submit(PROGRAM.Works_v1, what="fatal")
    other = clinic.alice.submit(PROGRAM.Works_v1, what="harmless")
    assert lives(clinic) == DEADLY
    assert clinic.native.works.count("fatal") == DEADLY
    (patient,) = clinic.alice.patients()
    assert (patient.flow_id, patient.kind) == (deadly.id, "lost")
    assert patient.cause.startswith("EndsItsProcess: 3 processes in a row have ended while ")
    assert "Native.work ran: killed" in patient.cause
    assert clinic.result(other.id) == len("harmless"), "the others are served"
    # It stays so, whoever opens the store. A person may try, each time once.
    clinic.crash("alice")
    assert lives(clinic) == 0
    clinic.alice.submit_retry(deadly.id)
    assert lives(clinic) == 1
    assert clinic.native.works.count("fatal") == DEADLY + 1
    (patient,) = clinic.alice.patients()
    assert patient.cause.startswith("EndsItsProcess: 4 processes in a row")
    clinic.native.fatal.clear()
    clinic.alice.submit_retry(deadly.id)
    assert lives(clinic) == 0
    assert clinic.result(deadly.id) == len("fatal")
    assert clinic.alice.patients() == []
    assert opened_calls(clinic) == {}


def test_an_operation_that_a_process_outlives_counts_no_more(clinic: Any) -> None:
    flow = clinic.alice.submit(PROGRAM.Works_v1, what="fatal")
    for _ in range(DEADLY - 1):
        with pytest.raises(Crash):
            clinic.rest()
        clinic.crash("alice")
    clinic.native.die = lambda: 1 / 0  # It fails, and the process lives.
    assert lives(clinic) == 0
    clinic.native.die = _crash
    with pytest.raises(Crash):
        clinic.pass_time(minutes=1)  # It is tried again.
    found = opened_calls(clinic)
    assert [(flow_id, count) for (flow_id, _), count in found.items()] == [(flow.id, 1)]


def test_a_deadly_operation_is_forgotten_with_its_flow(clinic: Any) -> None:
    flow = clinic.alice.submit(PROGRAM.Works_v1, what="fatal")
    assert lives(clinic) == DEADLY
    clinic.alice.submit_kill(flow.id, by="ann", reason="it is fatal")
    assert lives(clinic) == 0
    assert clinic.alice.flows() == clinic.alice.patients() == []
    assert clinic.native.works == ["fatal"] * DEADLY
    assert opened_calls(clinic) == {}


def test_who_ran_beside_a_deadly_operation_is_not_blamed_for_it(tmp_path: Path) -> None:
    """Many run at once, and all are under way when the process ends. After the second time those
    under suspicion run one at a time."""
    lost: list[int] = []
    running: dict[int, Callable[[Any, Exception | None], None]] = {}
    left = {n: Wanted(n, 1, "a.S.run", encode([])) for n in range(1, 21)}

    def perform(work: Any, arguments: tuple[Any, ...], done: Any) -> None:
        running[int(arguments[0].split("-")[1])] = done

    def ended(flow_id: int, number: int, ending: Any) -> None:
        del left[flow_id]

    deaths = 0
    while True:
        store = SqliteStore(tmp_path / "alice.db")
        running.clear()
        operations = Operations(
            {"a.S": types.SimpleNamespace(run=External("a.S.run", EMPTY, lambda key: 1))},
            ended,
            lambda flow_id, number, cause: lost.append(flow_id),
            perform,
            lambda: 0,
            Reports(lambda *news: None),
            store,
        )
        operations.deaths = dict(store.open("alice").calls)
        for one in list(left.values()):
            operations.see_to(one)
        while running and 13 not in running:
            running.pop(next(iter(running)))(1, None)
        if 13 not in running:
            break
        deaths += 1  # The thirteenth ends the process.
    assert lost == [13]
    assert list(left) == [13], "all others have ended"
    assert deaths == DEADLY


def test_who_closes_a_node_in_good_order_blames_no_operation(tmp_path: Path) -> None:
    async def life() -> None:
        native = Native(_crash)
        begun, never = asyncio.Event(), asyncio.Event()

        async def work(key: str, what: str) -> int:
            begun.set()
            await never.wait()
            return 1

        native.work = work  # type: ignore[assignment, method-assign]
        store = SqliteStore(tmp_path / "alice.db")
        node = await Node.open(
            "alice",
            store=store,
            network=MemoryNetwork(),
            modules=[PROGRAM],
            services={"Native": native},
        )
        if not node.flows():
            await node.start(PROGRAM.Works_v1, what="slow")
        while not begun.is_set() and not node.patients():
            await asyncio.sleep(0)
        await node.close()

    for _ in range(DEADLY + 1):
        asyncio.run(life())
    assert SqliteStore(tmp_path / "alice.db").open("alice").calls == {}


def test_real_processes_that_are_killed_in_an_operation(tmp_path: Path) -> None:
    """Each is forked, and ends by SIGKILL while a thread runs the operation."""

    async def life() -> int:
        node = await Node.open(
            "alice",
            store=SqliteStore(tmp_path / "alice.db"),
            network=MemoryNetwork(),
            modules=[PROGRAM],
            services={"Native": Native(lambda: os.kill(os.getpid(), signal.SIGKILL))},
        )
        if not node.flows():
            await node.start(PROGRAM.Works_v1, what="fatal")
        while not node.patients():
            await asyncio.sleep(0)
        other = await node.start(PROGRAM.Works_v1, what="harmless")
        return await other.result() != len("harmless")

    assert [forked(life) for _ in range(DEADLY + 1)] == [signal.SIGKILL] * DEADLY + [0]


def forked(life: Callable[[], Any]) -> int:
    """A process's life; the signal that ended it, or 0."""
    child = os.fork()
    if child:
        return os.WTERMSIG(os.waitpid(child, 0)[1])
    code = 1
    try:
        code = asyncio.run(life())
    finally:
        os._exit(code)


def test_calls_leave_marks_while_there_is_room() -> None:
    marks = Marks(bytearray(SIZE))
    assert marks.calls(is_new=True) == {}
    for number in range(1000):
        marks.begin_call((7, number))
    found = marks.calls(is_new=True)
    assert len(found) == 480
    assert set(found.values()) == {1}
    assert marks.calls(is_new=True) == found, "nothing was under way"
    marks.begin_call((7, 0))
    assert marks.calls(is_new=False) == dict.fromkeys(found, 1), "the same process looks again"
    assert marks.calls(is_new=True)[7, 0] == 2
    # One that is new takes the place of the least deadly, and never that of what is under way.
    marks.begin_call((8, 1))
    found = marks.calls(is_new=True)
    assert (found[7, 0], found[8, 1], len(found)) == (2, 1, 480)
    for one in found:
        marks.end_call(one, outlived=True)
    assert not any(marks.page)


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
