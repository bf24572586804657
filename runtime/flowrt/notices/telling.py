"""Telling of tasks, after they are committed, at least once: what changed, and what still waits.

Reads the audit trail, in which a step says what it makes of tasks, and keeps up to where it has
read, and what is not told yet, in a file of its own. Takes part in no step; knows no receiver.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from flowrt.core.commit import Task
from flowrt.core.tasklog import Change, Key, Open, changes_in, differences
from flowrt.handle import NodeStopped
from flowrt.notices.given import NotTaken
from flowrt.notices.links import micros
from flowrt.store.chain import NOTHING, Link, digest_of
from flowrt.store.noticebook import OVER, Book, Notice, Place
from flowrt.views import time_of

if TYPE_CHECKING:
    from flowrt.node import Node

LOOK_S: Final = 0.5
"""So often it looks whether the node has committed anything."""

TELL_S: Final = 30.0
"""So long a receiver may take for one notice."""

FIRST_S: Final = 1.0
LONGEST_S: Final = 300.0
"""How long it waits after a failure: twice as long each time, from the first to the longest."""

PAGE: Final = 100
"""So many rows of the audit trail are read at once: flows go on between two pages."""

KEEP: Final = 2000
"""After so many rows without a task it is written down that they were read."""


T = TypeVar("T")

_LOG = logging.getLogger("flowrt.notices")


class Notifier(Protocol):
    """Who is told. `node.toml` names one in `[notices.NAME]`."""

    async def tell(self, notice: Notice) -> None:
        """Pass a notice on; return when it is taken. What this raises has it come again."""


@dataclasses.dataclass(frozen=True)
class Telling:
    """Figures of one notifier: what it took, how often it failed, what waits for it."""

    told: int
    failed: int
    waiting: int


class Teller:
    """Tells one notifier of a node's tasks until it is closed; `figures` say how that goes."""

    def __init__(self, name: str, node: Node, notifier: Notifier, path: Path) -> None:
        self.name = name
        self._node = node
        self._notifier = notifier
        self._path = path
        self._told = self._failed = self._waiting = 0
        self._running: asyncio.Task[None] | None = None

    @property
    def figures(self) -> Telling:
        """How it goes."""
        return Telling(self._told, self._failed, self._waiting)

    def start(self) -> None:
        """Begin to tell."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Tell nothing more; what is not told stays in the file."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        wait_s = FIRST_S
        is_over = False
        while not is_over:
            opening = asyncio.ensure_future(asyncio.to_thread(Book, self._path))
            try:
                book = await asyncio.shield(opening)
            except asyncio.CancelledError:
                with contextlib.suppress(Exception):
                    (await opening).close()
                raise
            except Exception as error:
                wait_s = await self._failure(error, wait_s)
                continue
            try:
                async with asyncio.TaskGroup() as group:
                    lock = asyncio.Lock()
                    more = asyncio.Event()
                    group.create_task(self._look(book, lock, more))
                    group.create_task(self._tell(book, lock, more))
            except* NodeStopped:
                is_over = True
            except* Exception as errors:
                wait_s = await self._failure(errors.exceptions[0], wait_s)
            finally:
                book.close()

    async def _look(self, book: Book, lock: asyncio.Lock, more: asyncio.Event) -> None:
        async with lock:
            known = await finished(asyncio.to_thread(book.known))
        kept = book.place
        seen = -1
        while True:
            self._node.refuse_if_stopped()
            commits = self._node.commits
            while seen != commits:
                found, place = self._read(known, book.place)
                if not found and place == book.place:
                    seen = commits
                elif found or kept is None or not kept[0] <= place[0] < kept[0] + KEEP:
                    notices = [(self._notice(change), change[2]) for change in found]
                    async with lock:
                        await finished(asyncio.to_thread(book.note, notices, place))
                    kept = place
                    self._waiting += len(found)
                    more.set()
                else:
                    book.place = place  # There is no task in that: it can be read again.
                    await asyncio.sleep(0)
            await asyncio.sleep(LOOK_S)

    def _read(self, known: dict[Key, Open], place: Place | None) -> tuple[list[Change], Place]:
        """What became of tasks since that place, and the place after it. `known` follows."""
        node = self._node
        links = node.links(place[0], PAGE) if place is not None else []
        if place is None or not self._goes_on(place, links):
            now = {key: _open(task) for key, task in node.open_tasks().items()}
            found = list(differences(known, now, micros(node.now)))
            known.clear()
            known.update(now)
            return found, self._end(place)
        found = []
        for link in links:
            rows = list(changes_in(link.entries, link.at_us, known))
            for kind, key, task, _ in rows:
                known[key] = task
                if kind in OVER:
                    del known[key]
            found += rows
            place = (link.number, link.digest)
        return found, place

    def _notice(self, change: Change) -> Notice:
        """What is to be told of a change; its id it gets in the book."""
        kind, key, task, by = change
        since, due = time_of(task.since_us), time_of(task.due_us) if task.due_us else None
        party = self._node.party.name
        return Notice("", party, kind, *key, task.role, task.flow, since, due, by or None)

    def _goes_on(self, place: Place, links: Sequence[Link]) -> bool:
        """Whether the trail is the one that was read up to there, and nothing is left out."""
        if links:
            first = links[0]
            return digest_of(place[1], first.at_us, first.entries) == first.digest
        last = self._node.links(place[0] - 1, 1)
        return place[0] == 0 or (bool(last) and last[0].digest == place[1])

    def _end(self, place: Place | None) -> Place:
        """The last row of the trail. Where there is none, a first one goes on from what was
        read, if all of that was forgotten."""
        low, high = 0, 1 << 62
        digest = place[1] if place is not None else NOTHING
        while low < high:
            middle = (low + high) // 2
            found = self._node.links(middle, 1)
            if found:
                low, digest = found[0].number, found[0].digest
            else:
                high = middle
        return low, digest

    async def _tell(self, book: Book, lock: asyncio.Lock, more: asyncio.Event) -> None:
        wait_s = FIRST_S
        while True:
            more.clear()
            async with lock:
                first = await finished(asyncio.to_thread(book.first))
                self._waiting = await finished(asyncio.to_thread(book.waiting))
            if first is None:
                await more.wait()
                continue
            number, notice = first
            most = asyncio.timeout(TELL_S)
            try:
                async with most:
                    await self._notifier.tell(notice)
            except Exception as error:
                late = NotTaken(f"{notice.id} is not taken within {TELL_S:g} s")
                wait_s = await self._failure(late if most.expired() else error, wait_s)
                continue
            wait_s = FIRST_S
            self._told += 1
            async with lock:
                await finished(asyncio.to_thread(book.told, number))

    async def _failure(self, error: BaseException, wait_s: float) -> float:
        """Wait a while after a failure; how long to wait after the next one."""
        self._failed += 1
        _LOG.warning("notices %s: %s: %s", self.name, type(error).__name__, error)
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
        return min(2 * wait_s, LONGEST_S)


def _open(task: Task) -> Open:
    return Open(task.role, task.flow, task.since_us, task.due_us, task.claimed)


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """Wait for a thread to its end, even if we are cancelled: its file is closed after that."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await task
        raise
