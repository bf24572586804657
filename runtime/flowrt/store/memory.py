"""The store that keeps bytes in memory: for tests, simulation and trying out. Knows no flow.

What is committed survives a crash of the node, as long as the object lives; the tables of services
are in an in-memory SQLite, so that services run unchanged.
"""

from __future__ import annotations

import bisect
import copy
import heapq
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from flowrt.core.lineage import LIVES, life_after
from flowrt.store import (
    APART,
    SENT,
    Batch,
    Beside,
    CommitFailed,
    Ended,
    Fenced,
    Opened,
    Purged,
    Row,
    StoreError,
    gone_back,
    is_behind,
)
from flowrt.store.chain import NOTHING, Link, digest_of
from flowrt.store.marks import SIZE, Call, Marks
from flowrt.store.transaction import Transaction, refusal

K = TypeVar("K")
V = TypeVar("V")


class MemoryDisk:
    """What a store has committed; two stores of one disk are two processes on one file."""

    def __init__(self) -> None:
        self.party: str | None = None
        self.incarnation = os.urandom(8)
        self.secret = os.urandom(16)
        self.lives: list[tuple[bytes, int]] = []
        self.refused: str | None = None
        self.former = b""
        self.severed: int | None = None
        self.beside: Beside | None = None
        """What is written beside the store after each commit: incarnation, life, commits."""
        self.chance: Callable[[], bytes] = lambda: os.urandom(2)
        """What lives are told apart by, and what new incarnations are made of."""
        self.epoch = 0
        self.commits = 0
        self.next_flow = 1
        self.next_outbox = 1
        self.flows: dict[int, tuple[bytes, int | None]] = {}
        self.outbox: dict[int, tuple[str, bytes]] = {}
        self.peers: dict[str, bytes] = {}
        self.outcomes: dict[int, tuple[str, str | None, bytes]] = {}
        self.moves: dict[int, list[bytes]] = {}
        self.patients: dict[int, bytes] = {}
        self.mail: dict[int, list[tuple[int, bytes]]] = {}
        self.tasks: dict[tuple[int, int], bytes] = {}
        self.schedules: dict[str, bytes] = {}
        self.keys: dict[tuple[str, str], int] = {}
        self.waits: dict[bytes, frozenset[tuple[int, int]]] = {}
        self.since: dict[int, int] = {}
        self.ended: dict[int, int] = {}
        self.clients: dict[str, tuple[int, bytes]] = {}
        self.draining = False
        self.marks = Marks(bytearray(SIZE))
        self.audit: list[tuple[int, bytes]] = []
        self.digests: list[bytes] = []
        self.forgotten = 0
        self.chain_start = NOTHING
        self.tables: sqlite3.Connection | None = None
        """Made when a service first works; closed when the disk is forgotten."""

    def backup(self) -> MemoryDisk:
        """A disk that holds what this one does now. What lies beside the store is no part of it."""
        made = MemoryDisk()
        for name, value in vars(self).items():
            made.__dict__[name] = copy.copy(value) if isinstance(value, dict | list) else value
        made.moves = {flow_id: list(moves) for flow_id, moves in self.moves.items()}
        made.mail = {flow_id: list(mail) for flow_id, mail in self.mail.items()}
        made.beside = None
        if self.tables is not None:
            made.tables = _no_tables()
            self.tables.backup(made.tables)  # Not `serialize`, which fails while it is empty.
        return made

    def __del__(self) -> None:
        if self.tables is not None:
            self.tables.close()


def _no_tables() -> sqlite3.Connection:
    """A database in memory, for what services keep. Only its node uses it, but whichever thread
    collects what is forgotten closes it."""
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    made.execute("PRAGMA foreign_keys = ON")
    return made


class MemoryStore:
    """One party's flows in dictionaries of bytes."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = disk if disk is not None else MemoryDisk()
        self._epoch = 0
        self._work: Transaction | None = None
        if self.disk.tables is not None:
            self._work = Transaction(self.disk.tables)

    def open(self, party: str) -> Opened:
        disk = self.disk
        if disk.party not in (None, party):
            raise StoreError(f"this store belongs to party {disk.party}, not {party}")
        self.abandon()
        if self._epoch not in (0, disk.epoch):
            raise Fenced("this store was opened again; who had it before stops")
        disk.party = party
        if disk.refused is not None:
            raise gone_back(f"the store of {party}", disk.refused)
        is_new = self._epoch == 0
        why = is_behind(disk.beside, self._as_opened(party, is_new))
        if why is not None:
            raise gone_back(f"the store of {party}", why)
        disk.epoch += 1
        self._epoch = disk.epoch
        if is_new or not disk.lives:
            life = life_after(disk.epoch, disk.chance())
            disk.lives = [*disk.lives, (life, disk.commits)][-LIVES:]
        disk.beside = disk.incarnation, disk.lives[-1][0], disk.commits
        return self._as_opened(party, is_new)

    def _as_opened(self, party: str, is_new: bool) -> Opened:
        disk = self.disk
        return Opened(
            party,
            disk.incarnation,
            disk.epoch,
            disk.commits,
            disk.next_flow,
            disk.next_outbox,
            dict(disk.peers),
            disk.draining,
            disk.marks.opened(),
            disk.secret,
            list(disk.lives),
            disk.former,
            disk.severed,
            disk.marks.calls(is_new),
        )

    def refuse(self, reason: str) -> None:
        if self._epoch != self.disk.epoch:
            raise Fenced("this store was opened again; who had it before stops")
        self.disk.refused = reason

    def accept_restore(self, party: str) -> None:
        disk = self.disk
        if disk.party not in (None, party):
            raise StoreError(f"this store belongs to party {disk.party}, not {party}")
        disk.former = disk.incarnation
        disk.incarnation = b"".join(disk.chance() for _ in range(4))
        disk.secret = b"".join(disk.chance() for _ in range(8))
        disk.refused, disk.severed, disk.lives = None, 0, []
        disk.epoch += 1
        disk.next_outbox += APART
        disk.outbox.clear()
        disk.beside = None

    def holding(self, part: bytes) -> list[int]:
        return sorted(flow_id for flow_id, row in self.disk.flows.items() if part in row[0])

    def load(self, flow_id: int) -> bytes | None:
        found = self.disk.flows.get(flow_id)
        return found[0] if found else None

    def due(self, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        rows = ((due, flow_id) for flow_id, (_, due) in self.disk.flows.items() if due is not None)
        return heapq.nsmallest(limit, (row for row in rows if row > after))

    def flows(self, after: int = -1) -> Iterator[Row]:
        for flow_id in sorted(self.disk.flows):
            if flow_id > after:
                yield Row(flow_id, *self.disk.flows[flow_id], self.disk.since.get(flow_id, 0))

    def outbox(self) -> Iterator[tuple[int, str, int]]:
        for number, (peer, frame) in sorted(self.disk.outbox.items()):
            yield number, peer, len(frame)

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        for number in numbers:
            if number in self.disk.outbox:
                yield number, self.disk.outbox[number][1]

    def outcome(self, flow_id: int) -> tuple[str, str | None, bytes] | None:
        return self.disk.outcomes.get(flow_id)

    def moves(self, flow_id: int, start: int = 0, limit: int = -1) -> list[bytes]:
        moves = self.disk.moves.get(flow_id, [])
        return moves[start:] if limit < 0 else moves[start : start + limit]

    def patients(self) -> list[bytes]:
        return [self.disk.patients[flow_id] for flow_id in sorted(self.disk.patients)]

    def mail(self, flow_id: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        mail = self.disk.mail.get(flow_id, [])
        first = bisect.bisect_left(mail, start, key=lambda one: one[0])
        return mail[first : first + limit]

    def tasks(self, after: tuple[int, int] = (-1, 0)) -> Iterator[bytes]:
        return (self.disk.tasks[key] for key in sorted(self.disk.tasks) if key > after)

    def task(self, flow_id: int, number: int) -> bytes | None:
        return self.disk.tasks.get((flow_id, number))

    def holder(self, name: str, key: str) -> int | None:
        return self.disk.keys.get((name, key))

    def waiting(self, key: bytes) -> list[tuple[int, int]]:
        return sorted(self.disk.waits.get(key, ()))

    def client(self, client: str) -> tuple[int, bytes] | None:
        return self.disk.clients.get(client)

    def client_of(self, flow_id: int) -> str | None:
        names = (name for name, one in self.disk.clients.items() if one[0] == flow_id)
        return next((name for name in names if not name.startswith(SENT)), None)

    def flows_of(self, prefix: str, after: int, limit: int) -> list[int]:
        clients = self.disk.clients.items()
        found = (one[0] for name, one in clients if name.startswith(prefix) and one[0] > after)
        return sorted(found)[:limit]

    def outcomes(self, after: int, limit: int) -> list[Ended]:
        disk = self.disk
        return [
            Ended(flow_id, *disk.outcomes[flow_id][:2], disk.ended[flow_id])
            for flow_id in heapq.nsmallest(limit, (one for one in disk.outcomes if one > after))
        ]

    def count(self) -> tuple[int, int]:
        return len(self.disk.flows), len(self.disk.outcomes)

    def links(self, after: int, limit: int) -> list[Link]:
        links = (link for link in self.chain()[1] if link.number > after)
        return list(itertools.islice(links, limit))

    def purge(self, before_us: int, limit: int, audit_us: int | None = None) -> Purged:
        disk = self.disk
        if self._epoch != disk.epoch:
            raise Fenced("this store was opened again; who had it before stops")
        old = [flow_id for flow_id, at_us in disk.ended.items() if at_us < before_us][:limit]
        for flow_id in old:
            for table in (disk.ended, disk.outcomes, disk.moves, disk.mail):
                table.pop(flow_id, None)
        gone = set(old)
        disk.clients = {name: one for name, one in disk.clients.items() if one[0] not in gone}
        until_us = before_us if audit_us is None else audit_us
        oldest = itertools.takewhile(lambda row: row[0] < until_us, disk.audit[: max(limit, 0)])
        entries = sum(1 for _ in oldest)
        if entries:
            disk.chain_start = disk.digests[entries - 1]
            disk.forgotten += entries
            del disk.audit[:entries], disk.digests[:entries]
        return Purged(len(old), entries)

    def schedules(self) -> dict[str, bytes]:
        return dict(self.disk.schedules)

    def audit(self) -> Iterator[tuple[int, bytes]]:
        yield from list(self.disk.audit)

    def chain(self) -> tuple[bytes, Iterator[Link]]:
        disk = self.disk
        rows = zip(disk.audit, disk.digests, strict=True)
        links = [
            Link(disk.forgotten + number, at_us, entries, digest)
            for number, ((at_us, entries), digest) in enumerate(rows, 1)
        ]
        return disk.chain_start, iter(links)

    # --- services ---

    def savepoint(self) -> None:
        self._working.savepoint()

    def release(self) -> None:
        self._working.release()

    def rollback(self) -> None:
        self._working.rollback()

    @property
    def _working(self) -> Transaction:
        if self._work is None:
            if self.disk.tables is None:
                self.disk.tables = _no_tables()
            self._work = Transaction(self.disk.tables)
        return self._work

    def execute(
        self, sql: str, parameters: Sequence[Any], *, read_only: bool
    ) -> list[tuple[Any, ...]]:
        return self._working.execute(sql, parameters, read_only=read_only)

    # --- writing ---

    def commit(self, batch: Batch) -> None:
        if self._epoch != self.disk.epoch:
            self.abandon()
            raise Fenced("this store was opened again; who had it before stops")
        try:
            self._check_new(batch)
            if self._work is not None:
                self._commit_tables(self._work)
        except CommitFailed:
            self.abandon()
            raise
        self.disk.commits += 1
        self.disk.next_flow = batch.next_flow
        self.disk.next_outbox = batch.next_outbox
        for flow_id, row in batch.flows.items():
            if row is None:
                self.disk.flows.pop(flow_id, None)
                self.disk.since.pop(flow_id, None)
            else:
                self.disk.flows[flow_id] = row
                self.disk.since[flow_id] = batch.now_us // 1_000_000
        for number, peer, frame in batch.outbox:
            self.disk.outbox[number] = (peer, frame)
        for number in batch.settled:
            self.disk.outbox.pop(number, None)
        self.disk.peers.update(batch.peers)
        for flow_id, flow, error_name, value in batch.outcomes:
            self.disk.outcomes[flow_id] = (flow, error_name, value)
            self.disk.ended[flow_id] = batch.now_us
        for flow_id, _, event in batch.moves:
            self.disk.moves.setdefault(flow_id, []).append(event)
        for flow_id, patient in batch.patients.items():
            if patient is None:
                self.disk.patients.pop(flow_id, None)
            else:
                self.disk.patients[flow_id] = patient
        for flow_id, number, content in batch.mail:
            bisect.insort(self.disk.mail.setdefault(flow_id, []), (number, content))
        _replace(self.disk.tasks, batch.tasks)
        _replace(self.disk.schedules, batch.schedules)
        _replace(self.disk.keys, batch.keys)
        for key, changes in batch.waits.items():
            kept = self.disk.waits.pop(key, frozenset()) - changes.keys()
            waiting = kept | {one for one, waits in changes.items() if waits}
            if waiting:
                self.disk.waits[key] = waiting
        self.disk.clients.update(batch.clients)
        if batch.draining is not None:
            self.disk.draining = batch.draining
        if batch.severed is not None:
            self.disk.severed = batch.severed or None
        self.disk.beside = self.disk.incarnation, self.disk.lives[-1][0], self.disk.commits
        if batch.audit:
            before = self.disk.digests[-1] if self.disk.digests else self.disk.chain_start
            self.disk.audit.append((batch.now_us, batch.audit))
            self.disk.digests.append(digest_of(before, batch.now_us, batch.audit))

    def _check_new(self, batch: Batch) -> None:
        """What a database refuses by its keys: a row that is there already."""
        disk = self.disk
        if any(number in disk.outbox for number, _, _ in batch.outbox):
            raise CommitFailed("an outbox row is there already")
        if any(flow_id in disk.outcomes for flow_id, _, _, _ in batch.outcomes):
            raise CommitFailed("the flow has an outcome already")
        if any(client in disk.clients for client in batch.clients):
            raise CommitFailed("the client's name for it is taken already")
        for flow_id, number, _ in batch.mail:
            if any(known == number for known, _ in self.mail(flow_id, number, 1)):
                raise CommitFailed("the owner's mail is there already")
        count = {flow_id: len(disk.moves.get(flow_id, ())) for flow_id, _, _ in batch.moves}
        for flow_id, number, _ in batch.moves:
            if number < count[flow_id]:
                raise CommitFailed("the progress event is there already")
            count[flow_id] += 1

    def _commit_tables(self, work: Transaction) -> None:
        if work.is_lost:
            text = f"a service's statement ended the transaction: {work.lost_by}"
            raise refusal(work.lost_by, text)
        try:
            if work.db.in_transaction:
                work.db.execute("COMMIT")
        except sqlite3.Error as error:
            raise refusal(error, str(error)) from error
        work.ended()

    def mark(self, number: int) -> None:
        self.disk.marks.begin(number)

    def forgive(self, number: int) -> None:
        self.disk.marks.forgive(number)

    def begin_call(self, call: Call) -> None:
        self.disk.marks.begin_call(call)

    def end_call(self, call: Call, outlived: bool) -> None:
        self.disk.marks.end_call(call, outlived)

    def abandon(self) -> None:
        if self._work is not None:
            self._work.abandon()

    def close(self) -> None:
        self.abandon()
        self._epoch = 0


def _replace(rows: dict[K, V], changes: Mapping[K, V | None]) -> None:
    for key, row in changes.items():
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = row
