"""Who has claimed a task alone answers it; schedules rest when they are told to; what is sent under
a name is sent once. All of that is in the store, and says who did it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowrt.core.values import decode
from flowrt.handle import NotAccepted, NotStartable
from flowrt.node import Node
from flowrt.store import SENT, Store
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import START_US, compiled

PROGRAM = """
record Question:
    text: Text

record Verdict:
    yes: Bool

message More:
    amount: Int

message Total:
    amount: Int

flow Asks() -> Text:
    startable by rpc
    try:
        let said = ask "boss": Question("may we?") -> Verdict within 1h
        return "{said.by} said {said.value.yes}"
    catch TaskExpired:
        return "nobody"

flow Counts() -> Int:
    startable by rpc as owner
    var total = 0
    while total < 10:
        receive more: More from owner unchecked
        total = total + more.amount
        send Total(total) to owner
    return total

flow Ticks() -> Text:
    startable by rpc, schedule
    return "ticked"

schedule Hourly = Ticks() every "0 * * * *" in "UTC"
"""


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return compiled(PROGRAM)


class Place:
    """One party's node, which may be opened again."""

    def __init__(self, program: ModuleType, store: Callable[[], Store]) -> None:
        self.program = program
        self._store = store
        self.now_us = START_US
        self.node: Any = None

    async def open(self) -> Node:
        if self.node is not None:
            await self.node.close()
        self.node = await Node.open(
            "alice",
            store=self._store(),
            network=MemoryNetwork(),
            modules=[self.program],
            clock=lambda: self.now_us,
        )
        return self.node

    def said(self) -> list[tuple[str, str, str]]:
        """What the audit trail says of persons: who, why, what."""
        rows = [decode(list[Any], entries) for _, entries in self.node._store.audit()]
        return [tuple(entry[4]) for row in rows for entry in row if len(entry) > 4 and entry[4]]


@contextlib.asynccontextmanager
async def on(place: Place) -> AsyncIterator[Node]:
    yield await place.open()
    await place.node.close()


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path, program: ModuleType) -> Place:
    disk = MemoryDisk()
    is_memory = request.param == "memory"
    return Place(
        program, lambda: MemoryStore(disk) if is_memory else SqliteStore(tmp_path / "alice.db")
    )


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_who_has_claimed_a_task_alone_answers_it(place: Place) -> None:
    async def work() -> None:
        async with on(place) as node:
            yes = place.program.Verdict(True)
            handle = await node.start(place.program.Asks_v1)
            (task,) = node.tasks()
            assert (task.claimed, task.claimed_since) == (None, None)
            of = (task.flow_id, task.number)
            await node.claim(*of, by="ann")
            await node.claim(*of, by="ann")
            with pytest.raises(NotAccepted, match="ann has claimed question 0 of flow 1"):
                await node.claim(*of, by="bea")
            node = await place.open()
            assert node.task(*of).claimed == "ann"
            with pytest.raises(NotAccepted, match="ann has claimed"):
                await node.answer(*of, yes, by="bea")
            with pytest.raises(NotAccepted, match="ann has claimed"):
                await node.release(*of, by="bea")
            with pytest.raises(NotAccepted, match="ann has claimed"):
                await node.delegate(*of, "bea", by="bea")
            await node.delegate(*of, "bea", by="ann")
            with pytest.raises(NotAccepted, match="bea has claimed"):
                await node.answer(*of, yes, by="ann")
            await node.release(*of, by="the boss", force=True)
            await node.answer(*of, yes, by="ann")
            assert await node.handle(handle.id).result() == "ann said true"
            with pytest.raises(NotAccepted, match="no open question"):
                await node.claim(*of, by="ann")
            assert place.said() == [
                ("ann", "", "question 0 is claimed by ann"),
                ("ann", "", "question 0 is claimed by bea"),
                ("the boss", "", "question 0 is free"),
                ("ann", "", ""),
            ]

    run(work())


def test_what_is_claimed_and_answered_at_once_is_decided_in_its_order(place: Place) -> None:
    async def work() -> None:
        async with on(place) as node:
            yes = place.program.Verdict(True)
            await node.start(place.program.Asks_v1)
            done = await asyncio.gather(
                node.claim(1, 0, by="ann"),
                node.claim(1, 0, by="bea"),
                node.answer(1, 0, yes, by="bea"),
                node.answer(1, 0, yes, by="ann"),
                node.answer(1, 0, yes, by="ann"),
                return_exceptions=True,
            )
            assert [isinstance(one, NotAccepted) for one in done] == [
                False,
                True,
                True,
                False,
                True,
            ]
            assert await node.handle(1).result() == "ann said true"

    run(work())


def test_who_may_not_any_more_when_the_answer_commits_is_refused(place: Place) -> None:
    async def work() -> None:
        async with on(place) as node:
            await node.start(place.program.Asks_v1)
            roles = {"ann"}

            def entitled() -> str | None:
                return None if "ann" in roles else "ann is no boss any more"

            yes = place.program.Verdict(True)
            answering = asyncio.ensure_future(node.answer(1, 0, yes, by="ann", entitled=entitled))
            await asyncio.sleep(0)  # It waits for its turn.
            roles.clear()
            with pytest.raises(NotAccepted, match="no boss any more"):
                await answering
            with pytest.raises(NotAccepted, match="no boss any more"):
                await node.claim(1, 0, by="ann", entitled=entitled)
            assert node.task(1, 0).claimed is None

    run(work())


def test_a_person_ends_the_time_of_a_task(place: Place) -> None:
    async def work() -> None:
        async with on(place) as node:
            handle = await node.start(place.program.Asks_v1)
            await node.expire(1, 0, by="ann", reason="nobody is there")
            assert await handle.result() == "nobody"
            with pytest.raises(NotAccepted, match="no open question"):
                await node.expire(1, 0, by="ann", reason="again")

    run(work())


def test_a_message_under_a_name_is_sent_once(place: Place) -> None:
    async def work() -> None:
        more = place.program.More
        async with on(place) as node:
            await node.start_named("ann/7", place.program.Counts_v1, {}, by="ann")
            sent = [node.command_once(1, more(4), name="ann/1", by="ann") for _ in range(3)]
            assert await asyncio.gather(*sent) == [True, False, False]
            node = await place.open()
            assert not await node.command_once(1, more(4), name="ann/1", by="ann")
            with pytest.raises(
                NotAccepted, match="'ann/1' is the name of another message to flow 1"
            ):
                await node.command_once(1, more(5), name="ann/1", by="ann")
            assert await node.command_once(1, more(6), name="ann/2", by="ann")
            assert await node.handle(1).result() == 10
            with pytest.raises(NotAccepted, match="has ended"):
                await node.command_once(1, more(6), name="ann/3", by="ann")
            with pytest.raises(NotAccepted, match="has ended"):
                await node.command_once(1, more(7), name="ann/3", by="ann")
            assert place.said() == [("ann", "", "")] * 3
            store = node._store
            assert (store.client_of(1), store.client_of(2)) == ("ann/7", None)
            assert (store.flows_of("ann/", 0, 9), store.flows_of("ann/", 1, 9)) == ([1], [])
            assert store.flows_of("an/", 0, 9) == []
            (ended,) = store.outcomes(0, 9)
            assert ended == (1, place.program.Counts_v1.versioned(), None, START_US)
            assert store.count() == (0, 1)
            first, second = store.links(0, 2)
            assert store.links(first.number, 1) == [second]
            with pytest.raises(NotStartable, match="control character"):
                await node.start_once(f"{SENT}1/ann/1", place.program.Asks_v1)

    run(work())


def test_a_schedule_that_is_paused_starts_nothing_over_restarts(place: Place) -> None:
    async def work() -> None:
        async with on(place) as node:
            (hourly,) = node.schedules()
            assert (hourly.name, hourly.paused) == (hourly.name, None)
            assert hourly.due is not None
            name = hourly.name
            await node.pause_schedule(name, by="ann", reason="stocktaking")
            for _ in range(2):
                place.now_us += 2 * 3_600_000_000
                assert node.schedule(name).paused == "ann"
                assert node.schedule(name).due is None
                assert node.next_due() is None
                node = await place.open()
                node.turn()
                assert node._store.count() == (0, 0)
            handle = await node.run_schedule(name, by="ann")
            assert await handle.result() == "ticked"
            await node.resume_schedule(name, by="bea")
            await node.resume_schedule(name, by="bea")
            due = node.schedule(name).due
            assert due is not None
            assert 0 < due.timestamp() * 1e6 - place.now_us <= 3_600_000_000
            place.now_us += 3_600_000_000
            node.turn()
            assert node._store.count() == (0, 2)
            await node.drain(by="ann")
            with pytest.raises(NotStartable, match="draining"):
                await node.run_schedule(name, by="ann")
            with pytest.raises(KeyError):
                await node.run_schedule("nothing", by="ann")
            assert place.said() == [
                ("ann", "stocktaking", f"schedule {name} is paused"),
                ("ann", "", ""),
                ("bea", "", f"schedule {name} goes on"),
            ]

    run(work())


def test_a_paused_schedule_remembers_what_it_started_last(place: Place) -> None:
    async def work() -> None:
        async with on(place) as node:
            name = node.schedules()[0].name
            place.now_us += 3_600_000_000
            node.turn()
            assert node.schedule(name).last == 1
            await node.pause_schedule(name, by="ann")
            await node.resume_schedule(name, by="ann")
            node = await place.open()
            seen = node.schedule(name)
            assert (seen.last, seen.ended, seen.paused) == (1, "well", None)

    run(work())
