"""The file of one notifier: which tasks it was told of, and what it is still to be told.

Knows neither nodes nor receivers.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from flowrt.core.tasklog import Key, Kind, Open
from flowrt.store.aside import opened


class Notice(msgspec.Struct, frozen=True):
    """What became of a task. The same `id` may come twice: it is the same notice.

    `closed` is a task that is over though nobody answered it: its flow went on without it, or has
    ended. `by` is who has claimed it, who let it go, who answered it or ended its time, if that is
    known. The question itself is not told: who may see it asks the node.
    """

    id: str
    party: str
    kind: Kind
    flow_id: int
    number: int
    role: str
    flow: str
    since: datetime.datetime
    due: datetime.datetime | None = None
    by: str | None = None


OVER: Final = frozenset({"answered", "expired", "closed"})
"""After one of these nothing more is told of a task."""

Place: TypeAlias = tuple[int, bytes]
"""Up to where the audit trail was read: the number of a row, and its digest."""


class Book:
    """What one notifier was told, and is to be told: a SQLite file. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._db = opened(path)
        self._db.executescript(
            "CREATE TABLE IF NOT EXISTS known (flow, number, task, PRIMARY KEY (flow, number));"
            "CREATE TABLE IF NOT EXISTS waiting (id INTEGER PRIMARY KEY AUTOINCREMENT, notice);"
            "CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY, row, digest, name);"
            "INSERT OR IGNORE INTO place VALUES (1, NULL, NULL, lower(hex(randomblob(8))));"
        )
        columns = self._db.execute("SELECT name, row, digest FROM place").fetchone()
        self.name: str = columns[0]
        self.place: Place | None = (columns[1], columns[2]) if columns[1] is not None else None

    def known(self) -> dict[Key, Open]:
        """The tasks that it knows as open."""
        rows = self._db.execute("SELECT flow, number, task FROM known")
        return {(f, n): msgspec.json.decode(task, type=Open) for f, n, task in rows}

    def note(self, notices: Iterable[tuple[Notice, Open]], place: Place) -> None:
        """Write down what is to be told, each under an id of its own, with the tasks as they are
        then, and up to where the audit trail was read, in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for notice, task in notices:
                cursor = self._db.execute("INSERT INTO waiting (notice) VALUES ('')")
                named = msgspec.structs.replace(notice, id=f"{self.name}-{cursor.lastrowid}")
                row = (msgspec.json.encode(named), cursor.lastrowid)
                self._db.execute("UPDATE waiting SET notice = ? WHERE id = ?", row)
                flow, number = notice.flow_id, notice.number
                if notice.kind in OVER:
                    over = (flow, number)
                    self._db.execute("DELETE FROM known WHERE flow = ? AND number = ?", over)
                else:
                    known = (flow, number, msgspec.json.encode(task))
                    self._db.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", known)
            self._db.execute("UPDATE place SET row = ?, digest = ?", place)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self.place = place

    def first(self) -> tuple[int, Notice] | None:
        """The oldest notice that is not told."""
        row = self._db.execute("SELECT id, notice FROM waiting ORDER BY id LIMIT 1").fetchone()
        return (row[0], msgspec.json.decode(row[1], type=Notice)) if row else None

    def waiting(self) -> int:
        """How many are not told."""
        count: int = self._db.execute("SELECT count(*) FROM waiting").fetchone()[0]
        return count

    def told(self, number: int) -> None:
        """One was taken."""
        self._db.execute("DELETE FROM waiting WHERE id = ?", (number,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
