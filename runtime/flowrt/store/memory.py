"""The store that keeps bytes in memory: for tests, simulation and trying out. Knows no flow.

What is committed survives a crash of the node, as long as the object lives; the tables of services
are in an in-memory SQLite, so that services run unchanged.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from flowrt.store import Batch, CommitFailed, Fenced, Opened, StoreError
from flowrt.store.statements import Refused, check


class MemoryDisk:
    """What a store has committed; two stores of one disk are two processes on one file."""

    def __init__(self) -> None:
        self.party: str | None = None
        self.incarnation = os.urandom(8)
        self.epoch = 0
        self.next_flow = 1
        self.next_outbox = 1
        self.flows: dict[int, tuple[bytes, int | None]] = {}
        self.outbox: dict[int, tuple[str, bytes]] = {}
        self.peers: dict[str, bytes] = {}
        self.outcomes: dict[int, tuple[str, str | None, bytes]] = {}
        self.moves: dict[int, list[bytes]] = {}
        self.patients: dict[int, bytes] = {}
        self.audit: list[tuple[int, bytes]] = []
        self.tables: sqlite3.Connection | None = None


class MemoryStore:
    """One party's flows in dictionaries of bytes."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = disk if disk is not None else MemoryDisk()
        self._epoch = 0

    def open(self, party: str) -> Opened:
        disk = self.disk
        if disk.party not in (None, party):
            raise StoreError(f"this store belongs to party {disk.party}, not {party}")
        self.abandon()
        disk.party = party
        disk.epoch += 1
        self._epoch = disk.epoch
        return Opened(
            party,
            disk.incarnation,
            disk.epoch,
            disk.next_flow,
            disk.next_outbox,
            dict(disk.peers),
            [(number, peer, frame) for number, (peer, frame) in sorted(disk.outbox.items())],
            [(flow_id, due) for flow_id, (_, due) in disk.flows.items() if due is not None],
        )

    def load(self, flow_id: int) -> bytes | None:
        found = self.disk.flows.get(flow_id)
        return found[0] if found else None

    def flows(self) -> Iterator[tuple[int, bytes]]:
        for flow_id in sorted(self.disk.flows):
            yield flow_id, self.disk.flows[flow_id][0]

    def outcome(self, flow_id: int) -> tuple[str, str | None, bytes] | None:
        return self.disk.outcomes.get(flow_id)

    def moves(self, flow_id: int) -> list[bytes]:
        return list(self.disk.moves.get(flow_id, ()))

    def patients(self) -> list[bytes]:
        return [self.disk.patients[flow_id] for flow_id in sorted(self.disk.patients)]

    def audit(self) -> Iterator[tuple[int, bytes]]:
        yield from list(self.disk.audit)

    # --- services ---

    def savepoint(self) -> None:
        if self.disk.tables is None:
            self.disk.tables = sqlite3.connect(":memory:", isolation_level=None)
        if not self.disk.tables.in_transaction:
            self.disk.tables.execute("BEGIN")
        self.disk.tables.execute("SAVEPOINT step")

    def release(self) -> None:
        self._tables.execute("RELEASE step")

    def rollback(self) -> None:
        self._tables.execute("ROLLBACK TO step")
        self._tables.execute("RELEASE step")

    @property
    def _tables(self) -> sqlite3.Connection:
        if self.disk.tables is None:
            raise StoreError("no service has begun to work")
        return self.disk.tables

    def execute(
        self, sql: str, parameters: Sequence[Any], *, read_only: bool
    ) -> list[tuple[Any, ...]]:
        check(sql, read_only)
        db = self._tables
        before = db.total_changes
        rows = db.execute(sql, parameters).fetchall()
        if read_only and db.total_changes != before:
            raise Refused("a `read` operation wrote; declare it as `write`")
        return rows

    # --- writing ---

    def commit(self, batch: Batch) -> None:
        if self._epoch != self.disk.epoch:
            self.abandon()
            raise Fenced("this store was opened again; who had it before stops")
        if self.disk.tables is not None and self.disk.tables.in_transaction:
            try:
                self.disk.tables.execute("COMMIT")
            except sqlite3.Error as error:
                self.abandon()
                raise CommitFailed(str(error)) from error
        self.disk.next_flow = batch.next_flow
        self.disk.next_outbox = batch.next_outbox
        for flow_id, row in batch.flows.items():
            if row is None:
                self.disk.flows.pop(flow_id, None)
            else:
                self.disk.flows[flow_id] = row
        for number, peer, frame in batch.outbox:
            self.disk.outbox[number] = (peer, frame)
        for number in batch.settled:
            self.disk.outbox.pop(number, None)
        self.disk.peers.update(batch.peers)
        for flow_id, flow, error_name, value in batch.outcomes:
            self.disk.outcomes[flow_id] = (flow, error_name, value)
        for flow_id, _, event in batch.moves:
            self.disk.moves.setdefault(flow_id, []).append(event)
        for flow_id, patient in batch.patients.items():
            if patient is None:
                self.disk.patients.pop(flow_id, None)
            else:
                self.disk.patients[flow_id] = patient
        if batch.audit:
            self.disk.audit.append((batch.now_us, batch.audit))

    def abandon(self) -> None:
        if self.disk.tables is not None and self.disk.tables.in_transaction:
            self.disk.tables.execute("ROLLBACK")

    def close(self) -> None:
        self.abandon()
