"""Questions to people: shown, answered once, expired, gone with who asked."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.flow import Await, Call, Choose, Done, Late, Return, Sleep
from flowrt.node import Node, NotAccepted
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.crashes import CRASHES, FAULTS, START_US, Power, World, every_crash
from tests.runtime.plays import At, at, play, plays


class Question(rt.Value, frozen=True, array_like=True, gc=False):
    text: str
    limit: rt.Int


class Answer(rt.Value, frozen=True, array_like=True, gc=False):
    yes: bool
    amount: rt.Int = 0


TASKS = {"t.Question": Question, "t.Answer": Answer}
ASKED = Question("May we?", 7)


def asks(run: Any, at_: At, within: float | None = None, role: str = "boss") -> rt.Pending:
    time = None if within is None else datetime.timedelta(seconds=within)
    pending: rt.Pending = run.ask(role, "t.Question", ASKED, "t.Answer", time)
    return pending


def asker(within: float | None = None, role: str = "boss") -> type[rt.Flow[Any]]:
    def first(run: Any, at_: At) -> Any:
        return Await(at(1), (asks(run, at_, within, role),))

    def then(run: Any, at_: At) -> Any:
        try:
            answer = run.answer(Answer)
        except rt.TaskExpired:
            return Return("expired")
        return Return(f"{answer.value.yes} {answer.value.amount} {answer.by}")

    return play(f"t.Ask{role.title()}", first, then, tasks=TASKS)


def world(*flows: type[rt.Flow[Any]], power: Power | None = None, **how: Any) -> World:
    made = World(power=power, **how)
    made.add("alice", [plays(*flows)])
    return made


@pytest.fixture(params=["memory", "sqlite"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "sqlite" else None


def test_a_question_is_shown_and_answered(folder: Path | None) -> None:
    flow, other = asker(3600), asker(role="clerk")
    with world(flow, other, folder=folder, reload=True) as on:
        start = on.start("alice", flow)
        on.start("alice", other)
        on.run(0)
        for crash in (False, True):
            if crash:
                on.crash("alice")
            node = on.node("alice")
            (task,) = node.tasks("boss")
            assert (task.flow_id, task.number, task.role) == (start.id, 0, "boss")
            assert (task.question, task.answer, task.flow) == (ASKED, Answer, "t.AskBoss_v1")
            assert task.since.timestamp() * 1e6 == START_US
            assert task.due == task.since + datetime.timedelta(hours=1)
            assert [task.role for task in node.tasks()] == ["boss", "clerk"]
            assert node.tasks("nobody") == []
            assert [flow.waits for flow in node.flows()] == [
                "an answer by boss",
                "an answer by clerk",
            ]
        told = on.node("alice").submit_answer(start.id, 0, Answer(True, 5), "ann")
        assert not told.done()
        on.run(0)
        assert told.result(0) is None
        assert on.result(start) == "True 5 ann"
        assert [task.role for task in on.node("alice").tasks()] == ["clerk"]


def test_who_answers_second_is_told(folder: Path | None) -> None:
    flow = asker()
    with world(flow, folder=folder) as on:
        start = on.start("alice", flow)
        on.run()
        node = on.node("alice")
        both = [node.submit_answer(start.id, 0, Answer(yes), "ann") for yes in (True, False)]
        on.run()
        assert both[0].result(0) is None
        with pytest.raises(NotAccepted):
            both[1].result(0)
        assert on.result(start) == "True 0 ann"
        with pytest.raises(NotAccepted, match="no open question 0 of flow 1"):
            node.submit_answer(start.id, 0, Answer(True), "ann")


def test_an_answer_of_another_type_is_refused_and_the_flow_waits_on() -> None:
    flow = asker()
    with world(flow) as on:
        start = on.start("alice", flow)
        on.run()
        node = on.node("alice")
        wrong: list[Any] = [5, None, "yes", ASKED, Answer("yes"), Answer(True, 2**70)]  # type: ignore[arg-type]
        for answer in wrong:
            with pytest.raises(TypeError, match=r"the answer to .* is not what"):
                node.submit_answer(start.id, 0, answer, "ann")
        assert len(node.tasks()) == 1
        node.submit_answer(start.id, 0, Answer(True), "an \ud800 odd name")
        on.run()
        assert on.result(start) == "True 0 an \\ud800 odd name"


def test_what_nobody_answers_expires() -> None:
    flow = asker(60)
    with world(flow, reload=True) as on:
        start = on.start("alice", flow)
        on.run(0)
        node = on.node("alice")
        on.now_us += 60_000_000
        assert node.tasks() == [], "overdue, though the flow has not noticed yet"
        with pytest.raises(NotAccepted):
            node.submit_answer(start.id, 0, Answer(True), "ann")
        on.run(0)
        assert on.result(start) == "expired"
        assert list(on.members["alice"].store._store.tasks()) == []  # type: ignore[union-attr]


def test_an_answer_that_was_committed_first_wins_over_its_time() -> None:
    flow = asker(60)
    with world(flow) as on:
        start = on.start("alice", flow)
        on.run(0)
        told = on.node("alice").submit_answer(start.id, 0, Answer(True), "ann")
        on.now_us += 59_999_999
        on.run(0)
        assert told.result(0) is None
        assert on.result(start) == "True 0 ann"


def test_an_answer_that_is_taken_too_late_is_refused() -> None:
    flow = asker(60)
    with world(flow) as on:
        start = on.start("alice", flow)
        on.run(0)
        told = on.node("alice").submit_answer(start.id, 0, Answer(True), "ann")
        on.now_us += 60_000_000
        on.run(0)
        with pytest.raises(NotAccepted):
            told.result(0)
        assert on.result(start) == "expired"


@pytest.mark.parametrize("kind", [*CRASHES, *FAULTS])
def test_an_answer_counts_once_whatever_befalls(kind: str) -> None:
    flow = asker()

    def build(power: Power) -> World:
        made = world(flow, power=power)
        made.start("alice", flow)
        return made

    def observe(on: World) -> Any:
        start = on.starts[0]
        for _ in range(3):
            if on.node("alice").tasks():
                on.node("alice").submit_answer(start.id, 0, Answer(True), "ann")
                on.run()
        store: Any = on.members["alice"].store
        return on.outcome(start) is not None, on.residue(), list(store.tasks())

    for power, seen in every_crash(build, observe, kinds=(kind,), twice=True):
        assert seen == (True, {"alice": (0, 0, 0)}, []), power


def test_a_question_goes_with_its_subflow_and_its_flow() -> None:
    def inner_first(run: Any, at_: At) -> Any:
        call = asks(run, at_)
        wait = datetime.timedelta(seconds=1)
        return Choose(at(1, count=call), (), (call,), wait)

    def inner_then(run: Any, at_: At) -> Any:
        assert run.chosen(Done(rt.Pending(at_.count)), Late()) == 1
        return Return(1)

    inner = play("t.In", inner_first, inner_then, tasks=TASKS)

    def first(run: Any, at_: At) -> Any:
        asks(run, at_, role="clerk")
        return Call(at(1), inner, at(0))

    def then(run: Any, at_: At) -> Any:
        run.result(inner)
        return Sleep(at(2), datetime.timedelta(seconds=1))

    outer = play("t.Out", first, then, lambda run, s: Return(1), tasks=TASKS)
    with world(inner, outer, reload=True) as on:
        on.start("alice", outer)
        on.run(0)
        shown = [(task.role, task.flow) for task in on.node("alice").tasks()]
        assert shown == [("clerk", "t.Out_v1"), ("boss", "t.In_v1")]
        on.now_us += 1_000_000
        on.run(0)
        assert [task.role for task in on.node("alice").tasks()] == ["clerk"]
        on.run()
        assert on.node("alice").tasks() == []
        assert on.residue() == {"alice": (0, 0, 0)}


def test_a_flow_in_the_hospital_may_be_answered_and_goes_on_with_it() -> None:
    def first(run: Any, at_: At) -> Any:
        asks(run, at_)
        return rt.Hold(at(1), "wait")

    def waits(run: Any, at_: At) -> Any:
        return Await(at(2), (rt.Pending(0),))

    flow = play("t.F", first, waits, lambda run, s: Return(run.answer(Answer).by), tasks=TASKS)
    with world(flow, reload=True) as on:
        start = on.start("alice", flow)
        on.run()
        on.node("alice").submit_answer(start.id, 0, Answer(True), "ann")
        on.run()
        on.node("alice").submit_retry(start.id)
        on.run()
        assert on.result(start) == "ann"


def test_in_an_event_loop() -> None:
    flow = asker()

    async def test() -> None:
        node = await Node.open(
            "alice", store=MemoryStore(), network=MemoryNetwork(), modules=[plays(flow)]
        )
        handle = await node.start(flow)
        (task,) = node.tasks("boss")
        answers = [node.answer(task.flow_id, task.number, Answer(True), by) for by in "ab"]
        one, other = await asyncio.gather(*answers, return_exceptions=True)
        assert one is None
        assert isinstance(other, NotAccepted)
        assert await handle.result() == "True 0 a"
        await node.close()

    asyncio.run(asyncio.wait_for(test(), 20))
