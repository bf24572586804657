"""What people do with the questions that flows ask them, and with schedules: claim, answer, expire;
pause, let go on, run now.

Runs nothing itself: it puts what is done before the loop. Who may do what, its caller knows.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from flowrt.control import Control
from flowrt.core import engine, tasklog
from flowrt.core.commit import Task
from flowrt.core.engine import BEGIN, CallEnded
from flowrt.core.flow import Schedule, TaskExpired
from flowrt.core.values import Ending, decode, encode, writable
from flowrt.events import CLAIMED, SCHEDULED
from flowrt.handle import Handle, NotAccepted, NotStartable
from flowrt.hospital.treatment import as_declared
from flowrt.schedules import last_started, next_us
from flowrt.turn import Deed, Job, Turn, Waiter
from flowrt.views import ScheduleView, TaskView, time_of

Entitled: TypeAlias = Callable[[], str | None]
"""Looks whether who does something still may, in the transaction that does it; says why not."""


class People(Control):
    """What people can reach into."""

    # --- tasks ---

    def tasks(self, role: str | None = None, *, limit: int | None = None) -> list[TaskView]:
        """The questions that are open and not overdue, oldest flow first; of one role only, if
        given, and at most `limit`. Those of flows that are not installed are left out."""
        return list(itertools.islice(self.each_task(role), limit))

    def each_task(
        self, role: str | None = None, after: tuple[int, int] = (-1, 0)
    ) -> Iterator[TaskView]:
        """The same, read as they are asked for: those that come after that one of that flow."""
        self.refuse_if_stopped()
        now_us = self._clock()
        found = (decode(Task, task) for task in self._store.tasks(after))
        return (
            self._task_view(task)
            for task in found
            if role in (None, task.role) and self._is_open(task, now_us)
        )

    def task(self, flow_id: int, number: int) -> TaskView:
        """One of them. KeyError if it is none."""
        self.refuse_if_stopped()
        data = self._store.task(flow_id, number)
        task = decode(Task, data) if data is not None else None
        if task is None or not self._is_open(task, self._clock()):
            raise KeyError((flow_id, number))
        return self._task_view(task)

    def _is_open(self, task: Task, now_us: int) -> bool:
        return not 0 < task.due_us <= now_us and task.flow in self.registry.classes

    def _task_view(self, task: Task) -> TaskView:
        kinds = self.registry.classes[task.flow].tasks
        return TaskView(
            task.flow_id,
            task.number,
            task.role,
            task.flow,
            decode(kinds[task.asked], task.value),
            kinds[task.answer],
            time_of(task.since_us),
            time_of(task.due_us) if task.due_us else None,
            task.claimed or None,
            time_of(task.claimed_us) if task.claimed else None,
        )

    async def answer(
        self,
        flow_id: int,
        number: int,
        answer: object,
        by: str,
        *,
        entitled: Entitled | None = None,
    ) -> None:
        """Answer a question; returns when that is committed. Where somebody has claimed it, only he
        can. `entitled` looks again in the transaction that takes the answer.

        Raises:
            NotAccepted: it is answered already, or its time is over, or there is no such question;
                another has claimed it; who answers it may not any more.
            TypeError: the answer is not of the type that is wanted.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._answer(flow_id, number, answer, by, waiter, entitled)
        await waiter

    def submit_answer(
        self,
        flow_id: int,
        number: int,
        answer: object,
        by: str,
        *,
        entitled: Entitled | None = None,
    ) -> concurrent.futures.Future[None]:
        """Like `answer`, but does not wait: `turn` does it, and the future tells."""
        told: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._answer(flow_id, number, answer, by, told, entitled)
        return told

    def _answer(
        self,
        flow_id: int,
        number: int,
        answer: object,
        by: str,
        waiter: Waiter,
        entitled: Entitled | None = None,
    ) -> None:
        asked = self._open_task(flow_id, number)
        data = encode(as_declared(f"the answer to {asked.flow}", asked.answer, answer))
        by = writable(by)
        ending = Ending(data, by=by, at_us=self._clock())

        def check(turn: Turn) -> str | None:
            task = self._task_in(turn, flow_id, number)
            if task is not None and task.claimed not in ("", by):
                return f"{task.claimed} has claimed question {number} of flow {flow_id}"
            return entitled() if entitled is not None else None

        event = CallEnded(number, ending)
        self._ready.append(Job(flow_id, event, None, waiter, by=by, check=check))
        self._wake()

    def _open_task(self, flow_id: int, number: int) -> TaskView:
        try:
            return self.task(flow_id, number)
        except KeyError:
            text = f"there is no open question {number} of flow {flow_id}"
            raise NotAccepted(text) from None

    def _task_in(self, turn: Turn, flow_id: int, number: int) -> Task | None:
        """The question as it is in this batch, or was before; None if it is over."""
        key = (flow_id, number)
        tasks = turn.batch.tasks
        data = tasks[key] if key in tasks else self._store.task(*key)
        task: Task | None = decode(Task, data) if data is not None else None
        return task

    async def claim(
        self, flow_id: int, number: int, *, by: str, entitled: Entitled | None = None
    ) -> None:
        """Take a question for oneself: nobody else can answer it until it is released. Returns when
        that is committed; claiming it again changes nothing.

        Raises:
            NotAccepted: there is no such open question, another has claimed it, or who claims it
                may not any more.
        """
        await self._hand(flow_id, number, by, by, (by, ""), entitled)

    async def release(self, flow_id: int, number: int, *, by: str, force: bool = False) -> None:
        """Let a question go that one has claimed; with `force`, that another has.

        Raises:
            NotAccepted: there is no such open question, or another has claimed it.
        """
        await self._hand(flow_id, number, "", by, None if force else (by, ""), None)

    async def delegate(
        self,
        flow_id: int,
        number: int,
        to: str,
        *,
        by: str,
        force: bool = False,
        entitled: Entitled | None = None,
    ) -> None:
        """Hand a question to another: one that nobody has claimed, or only who hands it on; with
        `force`, whoever has. Raises as `claim`."""
        await self._hand(flow_id, number, to, by, None if force else (by, ""), entitled)

    async def _hand(
        self,
        flow_id: int,
        number: int,
        to: str,
        by: str,
        holders: tuple[str, ...] | None,
        entitled: Entitled | None,
    ) -> None:
        """Have a question claimed by `to` ("": nobody), if it is one of `holders` who has it."""
        self._open_task(flow_id, number)
        to, by = writable(to), writable(by)

        def act(turn: Turn) -> None:
            task = self._task_in(turn, flow_id, number)
            if task is None or not self._is_open(task, self._world.now_us):
                raise NotAccepted(f"there is no open question {number} of flow {flow_id}")
            if holders is not None and task.claimed not in holders:
                text = f"{task.claimed} has claimed question {number} of flow {flow_id}"
                raise NotAccepted(text)
            reason = entitled() if entitled is not None else None
            if reason is not None:
                raise NotAccepted(reason)
            if task.claimed == to:
                return
            now_us = self._world.now_us
            claimed = msgspec.structs.replace(task, claimed=to, claimed_us=now_us if to else 0)
            turn.batch.tasks[flow_id, number] = encode(claimed)
            said = f"question {number} is claimed by {to}" if to else f"question {number} is free"
            log = tasklog.of_claim(number, to, by)
            turn.audit.append((flow_id, 0, CLAIMED, [], (by, "", said), log))

        await self._have_done(act)

    async def expire(
        self, flow_id: int, number: int, *, by: str, reason: str, entitled: Entitled | None = None
    ) -> None:
        """End the time of a question: its flow goes on as if nobody had answered in time
        (`TaskExpired`). Returns when that is committed.

        Raises:
            NotAccepted: there is no such open question, or it was answered just now.
        """
        self._open_task(flow_id, number)
        waiter = asyncio.get_running_loop().create_future()
        fields = encode(TaskExpired.Fields(f"ended by {by}: {reason}"))
        ending = Ending(fields, TaskExpired.wire, writable(reason), writable(by), self._clock())

        def check(turn: Turn) -> str | None:
            return entitled() if entitled is not None else None

        event = CallEnded(number, ending)
        self._ready.append(Job(flow_id, event, None, waiter, by=writable(by), check=check))
        self._wake()
        await waiter

    async def _have_done(self, act: Callable[[Turn], None]) -> None:
        self.refuse_if_stopped()
        waiter = asyncio.get_running_loop().create_future()
        self._ready.append(Deed(act, waiter))
        self._wake()
        await waiter

    # --- schedules ---

    def schedules(self) -> list[ScheduleView]:
        """The node's schedules, by name, with what became of the flow that each started last."""
        self.refuse_if_stopped()
        rows = self._store.schedules()
        return [self._schedule(name, rows) for name in sorted(self._schedules.known)]

    def schedule(self, name: str) -> ScheduleView:
        """One of them. KeyError if there is none of that name."""
        self.refuse_if_stopped()
        return self._schedule(name, self._store.schedules())

    def _schedule(self, name: str, rows: Mapping[str, bytes]) -> ScheduleView:
        known = self._schedules.known[name]
        paused = self._schedules.paused.get(name)
        last = last_started(rows.get(name))
        outcome = self._store.outcome(last) if last else None
        lives = bool(last) and self._store.load(last) is not None
        return ScheduleView(
            name,
            self.registry.names[known.flow],
            known.cron,
            known.zone,
            None if paused else time_of(self._schedules.due_us(name)),
            last if lives or outcome is not None else None,
            "" if outcome is None else outcome[1] or "well",
            paused,
        )

    def _last_started(self, name: str, turn: Turn) -> int:
        """The flow that a schedule started last, in this batch or before."""
        row = turn.batch.schedules.get(name) or self._store.schedules().get(name)
        return last_started(row)

    async def pause_schedule(self, name: str, *, by: str, reason: str = "") -> None:
        """Start no flow by this schedule until it is resumed, over restarts. Returns when that is
        committed. KeyError if there is no such schedule."""
        schedule = self._schedules.known[name]
        by = writable(by) or "?"

        def act(turn: Turn) -> None:
            due_us = dict(turn.fired).get(name, self._schedules.due_us(name))
            last = self._last_started(name, turn)
            turn.batch.schedules[name] = self._schedules.row_of(schedule, due_us, last, by)
            turn.after.append(functools.partial(self._schedules.pause, name, by))
            note = (by, writable(reason), f"schedule {name} is paused")
            turn.audit.append((0, 0, SCHEDULED, [], note))

        await self._have_done(act)

    async def resume_schedule(self, name: str, *, by: str, reason: str = "") -> None:
        """Let a schedule go on: its next time is the first after now, and what passed meanwhile is
        left out. Returns when that is committed. KeyError if there is no such schedule."""
        schedule = self._schedules.known[name]

        def act(turn: Turn) -> None:
            if name not in self._schedules.paused:
                return
            due_us = next_us(schedule.cron, schedule.zone, self._world.now_us)
            last = self._last_started(name, turn)
            turn.batch.schedules[name] = self._schedules.row_of(schedule, due_us, last, "")
            turn.after.append(functools.partial(self._schedules.resume, name, due_us))
            note = (writable(by), writable(reason), f"schedule {name} goes on")
            turn.audit.append((0, 0, SCHEDULED, [], note))

        await self._have_done(act)

    async def run_schedule(self, name: str, *, by: str) -> Handle[Any]:
        """Start a schedule's flow now, one more than it starts by itself, be it paused or not.

        Raises:
            KeyError: there is no such schedule.
            NotStartable: the node drains, or another flow lives under the business key.
        """
        self.refuse_if_stopped()
        schedule = self._schedules.known[name]
        if self.is_draining:
            raise NotStartable(f"{self.party.name} is draining: it takes no new flows")
        waiter = asyncio.get_running_loop().create_future()
        handle = self._begin_by(schedule, waiter, writable(by))
        await waiter
        return handle

    def _begin_by(self, schedule: Schedule, waiter: Waiter, by: str) -> Handle[Any]:
        flow_id = self._new_flow()
        handle = self.made_handle(flow_id)
        flow_name = self.registry.names[schedule.flow]
        make = functools.partial(engine.begin, flow_name, schedule.flow, schedule.start)
        asker = schedule.name.encode()
        self._ready.append(Job(flow_id, BEGIN, make, waiter, asker=asker, by=by))
        self._wake()
        return handle
