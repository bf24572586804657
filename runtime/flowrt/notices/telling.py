"""Telling of tasks, after they are committed, at least once: what changed, and what still waits.

Compares the open tasks of a node with those that it knew, and keeps both what it knew and what is
not told yet in a file of its own. Takes part in no step; knows no receiver.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import logging
import random
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from flowrt.store.noticebook import Book, Change, Key, Kind, Notice, Open

if TYPE_CHECKING:
    from flowrt.node import Node

LOOK_S: Final = 0.5
"""So often it looks whether the node has committed anything."""

TELL_S: Final = 30.0
"""So long a receiver may take for one notice."""

FIRST_S: Final = 1.0
LONGEST_S: Final = 300.0
"""How long it waits after a failure: twice as long each time, from the first to the longest."""

PAGE: Final = 500
"""So many rows of the audit trail are read at once."""


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


def changes(
    before: Mapping[Key, Open],
    now: Mapping[Key, Open],
    ended: Mapping[int, tuple[str, str]],
    at: datetime.datetime,
) -> list[Change]:
    """What became of the tasks. `ended` has by whom, and why, a question of a flow was ended since
    (a reason is there where its time was ended)."""
    found: list[Change] = []
    gone = Counter(flow for flow, number in before if (flow, number) not in now)
    for key, task in before.items():
        if key in now:
            continue
        by, reason = ended.get(key[0], ("", "")) if gone[key[0]] == 1 else ("", "")
        kind: Kind = "closed"
        if by:
            kind = "expired" if reason else "answered"
        elif task.due is not None and task.due <= at:
            kind = "expired"
        found.append((kind, key, task, by or None))
    for key, task in now.items():
        old = before.get(key)
        if old is None:
            found.append(("new", key, task, None))
        if task.claimed is not None and (old is None or old.claimed != task.claimed):
            found.append(("claimed", key, task, task.claimed))
        elif old is not None and old.claimed is not None and task.claimed is None:
            found.append(("released", key, task, None))
    return found


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
        while True:
            try:
                book = await finished(asyncio.to_thread(Book, self._path))
            except Exception as error:
                wait_s = await self._failure(error, wait_s)
                continue
            try:
                async with asyncio.TaskGroup() as group:
                    lock = asyncio.Lock()
                    more = asyncio.Event()
                    group.create_task(self._look(book, lock, more))
                    group.create_task(self._tell(book, lock, more))
            except* Exception as errors:
                wait_s = await self._failure(errors.exceptions[0], wait_s)
            finally:
                book.close()

    async def _look(self, book: Book, lock: asyncio.Lock, more: asyncio.Event) -> None:
        known = await finished(asyncio.to_thread(book.known))
        seen = -1
        while True:
            at = datetime.datetime.now(datetime.UTC)
            is_due = any(task.due is not None and task.due <= at for task in known.values())
            if seen != self._node.commits or is_due:
                seen = self._node.commits
                now = {
                    (v.flow_id, v.number): Open(v.role, v.flow, v.since, v.due, v.claimed)
                    for v in self._node.tasks()
                }
                ended, audit = self._ended(book.audit)
                found = changes(known, now, ended, at)
                if found:
                    async with lock:
                        await finished(
                            asyncio.to_thread(book.note, self._node.party.name, found, audit)
                        )
                    more.set()
                else:
                    book.audit = audit
                known = now
            await asyncio.sleep(LOOK_S)

    def _ended(self, after: int) -> tuple[dict[int, tuple[str, str]], int]:
        """By whom and why questions were ended since that row of the audit trail."""
        found: dict[int, tuple[str, str]] = {}
        while rows := self._node.audited(after, PAGE):
            for entry in (entry for row in rows for entry in row.entries):
                if entry.event == "CallEnded" and entry.by:
                    found[entry.flow] = (entry.by, entry.reason or "")
            after = rows[-1].number
        return found, after

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
            try:
                async with asyncio.timeout(TELL_S):
                    await self._notifier.tell(notice)
            except Exception as error:
                wait_s = await self._failure(error, wait_s)
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


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """Wait for a thread to its end, even if we are cancelled: its file is closed after that."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await task
        raise
