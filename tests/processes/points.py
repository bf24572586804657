"""The named points: where a process of the tests dies or stands still, and how it is brought there.

They are laid around the product, in a store, a network and services that wrap its own; the product
has no such places in itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from flowrt.core.flow import Tx
from flowrt.core.values import Ack, decode_frame
from flowrt.peers.outbox import frame_of
from flowrt.store import Batch, Opened
from flowrt.store.sqlite import SqliteStore
from flowrt.transport import Receiver
from tests.processes import syscalls

CREATING = (
    "creating the store: written aside, not synchronised",
    "creating the store: complete, before it has its name",
    "creating the store: named, before it was read again",
)
"""They can be met only by a party that has no store, in this order."""

OPENING = (
    "opening: the store is claimed, nothing is read",
    "recovering: open, before the first turn",
)
COMMITTING = (
    "before a commit",
    "inside a commit: before its first page",
    "inside a commit: half a page written",
    "inside a commit: written, not synchronised",
    "after a commit, before anything is told",
)
TELLING = ("after sending some packets", "after sending an acknowledgement")
WORKING = (
    "in a service's operation, after it wrote",
    "in an external operation, before its effect",
    "in an external operation, after its effect",
)
CHECKPOINTING = (
    "while the log is moved into the file",
    "closing: while the log is moved into the file",
)
RANDOM = "at a random moment"
NAMED = (*CREATING, *OPENING, *COMMITTING, *TELLING, *WORKING, *CHECKPOINTING)

STOPPED = (
    "stopped before a commit, taken over",
    "stopped after a commit, taken over",
)
"""The process stands still, another opens its store, and then it goes on."""

HELD = "stopped in the middle of a transaction"
"""Nobody can take over then: it holds SQLite's lock."""

PAUSED = "stopped for a while"

LOG_PAGES = 24
"""After how many pages SQLite moves its log into the file, in these processes: often enough that
they are killed while it does."""


class Stage:
    """The one point that a process is to meet, and which of its occurrences, from 1."""

    def __init__(self, point: str, count: int) -> None:
        self.point = point
        self._left = count

    def reached(self, point: str) -> None:
        """Be ended, or stand still, if this is the point and it is its time."""
        if self.is_due(point):
            name = signal.SIGSTOP if point in (*STOPPED, HELD) else signal.SIGKILL
            os.kill(os.getpid(), name)

    def is_due(self, point: str) -> bool:
        """Whether this is the point and it is its time."""
        if point != self.point:
            return False
        self._left -= 1
        return self._left == 0

    def watch(self, path: Path) -> None:
        """Meet the points between which the store itself does not come by."""
        aside = str(path) + ".creating"
        named = str(path)

        def heard(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "os.rename" and str(arguments[0]) == aside:
                self.reached(CREATING[1])
            elif event == "sqlite3.connect" and str(arguments[0]) == named and self._creates:
                self.reached(CREATING[2])

        self._creates = not path.exists()
        sys.addaudithook(heard)

    _creates = False


class StagedStore(SqliteStore):
    """The store as it is, and the points around it."""

    def __init__(self, path: Path, stage: Stage) -> None:
        super().__init__(path)
        self._stage = stage
        self._lent = False

    def open(self, party: str) -> Opened:
        if not self.path.exists() and self._stage.is_due(CREATING[0]):
            syscalls.die_at_sync()
        opened = super().open(party)
        if self._stage.point != CHECKPOINTING[1]:  # It is to have something left to move.
            self._open_db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        self._stage.reached(OPENING[0])
        return opened

    def savepoint(self) -> None:
        self._lent = True
        super().savepoint()

    def commit(self, batch: Batch) -> None:
        stage, log = self._stage, Path(f"{self.path}-wal")
        stage.reached(COMMITTING[0])
        # Who stands still with the transaction open would hold SQLite's lock, so that nobody could
        # take over: that is another test.
        if not self._lent:
            stage.reached(STOPPED[0])
        self._lent = False
        if stage.is_due(COMMITTING[1]):
            syscalls.die_at_write(log)
        elif stage.is_due(COMMITTING[2]):
            # A page's header and the page are written one after the other: die between them.
            syscalls.die_at_write(log, size=4096)
        elif stage.is_due(COMMITTING[3]):
            syscalls.die_at_sync()
        elif stage.is_due(CHECKPOINTING[0]):
            syscalls.die_at_write(self.path)
        super().commit(batch)
        stage.reached(COMMITTING[4])
        stage.reached(STOPPED[1])

    def close(self) -> None:
        if self._stage.point == CHECKPOINTING[1] and self._work is not None:
            syscalls.die_at_write(self.path)
        super().close()


class StagedNetwork:
    """A place on the supervisor's network: `carry` takes what is sent."""

    def __init__(self, carry: Callable[[str, bytes], None], stage: Stage) -> None:
        self._carry = carry
        self._stage = stage
        self.receive: Receiver = lambda peer, data: None

    def join(self, party: str, receive: Receiver) -> StagedNetwork:
        self.receive = receive
        return self

    def send(self, peer: str, data: bytes) -> None:
        self._carry(peer, data)
        acknowledges = type(decode_frame(frame_of(data))) is Ack
        self._stage.reached(TELLING[1] if acknowledges else TELLING[0])

    def close(self) -> None:
        self.receive = lambda peer, data: None


class Books:
    """The service that notes. No constraint keeps a row from being there twice: that is to be seen
    in the end."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def setup(self, tx: Tx) -> None:
        tx.execute(
            "CREATE TABLE IF NOT EXISTS books (flow INTEGER, name TEXT, what TEXT, value INTEGER)"
        )
        tx.execute("CREATE INDEX IF NOT EXISTS books_by_name ON books (name)")

    def note(self, tx: Tx, order: str, what: str, value: int) -> None:
        tx.execute("INSERT INTO books VALUES (?, ?, ?, ?)", (tx.flow_id, order, what, value))
        self._stage.reached(WORKING[0])
        self._stage.reached(HELD)


class Outside:
    """The service whose effects are kept by the supervisor: `call` asks it for one."""

    def __init__(self, call: Callable[[str, str, str, int], Awaitable[str]], stage: Stage) -> None:
        self._call = call
        self._stage = stage

    async def pay(self, key: str, order: str, amount: int) -> str:
        return await self._do(key, "pay", order, amount)

    async def ship(self, key: str, order: str, count: int) -> str:
        return await self._do(key, "ship", order, count)

    async def stamp(self, key: str, order: str, count: int) -> str:
        return await self._do(key, "stamp", order, count)

    async def _do(self, key: str, operation: str, order: str, value: int) -> str:
        self._stage.reached(WORKING[1])
        answer = await self._call(key, operation, order, value)
        self._stage.reached(WORKING[2])
        return answer
