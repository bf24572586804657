"""The file of a node's links: each lets one person answer one question, once.

Has digests of their tokens alone. Knows neither mail nor the interface.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from pathlib import Path
from typing import NamedTuple

from flowrt.store.aside import opened


class Link(NamedTuple):
    """What a link is good for: the task and its version, who answers by it, until when
    (microseconds since 1970), and whether he says besides who he is."""

    flow_id: int
    number: int
    version: bytes
    user: str
    until_us: int
    identify: bool


class Links:
    """The links that were given and not used: a SQLite file, for any thread. Raises
    sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = opened(path)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS link (digest PRIMARY KEY, flow, number, version, user, "
            "until, identify)"
        )

    def give(self, link: Link, now_us: int) -> str:
        """A new link's token, of 256 bits that nobody can guess. Those that are too old go."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._db.execute("DELETE FROM link WHERE until <= ?", (now_us,))
        self.put_back(token, link)
        return token

    def find(self, token: str, now_us: int) -> Link | None:
        """What a token is good for; None if it never was, or is not any more. Changes nothing."""
        with self._lock:
            row = self._db.execute(
                "SELECT flow, number, version, user, until, identify FROM link "
                "WHERE digest = ? AND until > ?",
                (_digest(token), now_us),
            ).fetchone()
        if row is None:
            return None
        flow_id, number, version, user, until_us, identify = row
        return Link(flow_id, number, version, user, until_us, bool(identify))

    def take(self, token: str) -> bool:
        """Use a token up; False if somebody has, so that of two who come at once one does."""
        with self._lock:
            found = self._db.execute("DELETE FROM link WHERE digest = ?", (_digest(token),))
            return found.rowcount == 1

    def put_back(self, token: str, link: Link) -> None:
        """Let a token be good again that was used for nothing."""
        with self._lock:
            row = (_digest(token), *link)
            self._db.execute("INSERT OR REPLACE INTO link VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def drop(self, flow_id: int, number: int) -> None:
        """Forget the links to a task that is over."""
        with self._lock:
            self._db.execute("DELETE FROM link WHERE flow = ? AND number = ?", (flow_id, number))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
