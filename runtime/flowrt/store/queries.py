"""What people ask of a SQLite store: who asked for which flow, what has ended, the audit trail in
parts. Reads only, and knows no flow.
"""

from __future__ import annotations

import abc
import sqlite3

from flowrt.store import SENT, Ended
from flowrt.store.chain import Link


class Queries(abc.ABC):
    """Questions that no step asks."""

    @property
    @abc.abstractmethod
    def _open_db(self) -> sqlite3.Connection:
        """The store's connection, while it is open."""

    def client_of(self, flow_id: int) -> str | None:
        rows = self._open_db.execute(
            "SELECT client FROM engine_client WHERE id = ? AND substr(client, 1, 1) <> ?",
            (flow_id, SENT),
        )
        found = rows.fetchone()
        return found[0] if found else None

    def flows_of(self, prefix: str, after: int, limit: int) -> list[int]:
        last = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = self._open_db.execute(
            "SELECT id FROM engine_client WHERE client >= ? AND client < ? AND id > ? "
            "ORDER BY id LIMIT ?",
            (prefix, last, after, limit),
        )
        return [flow_id for (flow_id,) in rows]

    def outcomes(self, after: int, limit: int) -> list[Ended]:
        rows = self._open_db.execute(
            "SELECT id, flow, error, at FROM engine_outcome WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [Ended(*row) for row in rows]

    def count(self) -> tuple[int, int]:
        found: tuple[int, int] = self._open_db.execute(
            "SELECT (SELECT count(*) FROM engine_flow), (SELECT count(*) FROM engine_outcome)"
        ).fetchone()
        return found

    def links(self, after: int, limit: int) -> list[Link]:
        rows = self._open_db.execute(
            "SELECT id, at, entries, digest FROM engine_audit WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [Link(*row) for row in rows]
