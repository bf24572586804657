"""The running transaction of a SQLite connection, lent to services: a savepoint for each step.

Both stores keep services' tables in SQLite and use this. It knows SQL, and nothing of a batch.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from flowrt.store import CommitFailed, Unwritable
from flowrt.store.statements import Refused, check

# Of each parameter that is no number and no text, SQLite's module asks who adapts it. Bytes and
# None stay as they are, and it costs a fraction to hear so from who is asked first.
_NONE: dict[None, None] = {}
sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(type(None), _NONE.get)

_STORES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}
"""SQLite's codes for what is the database's trouble, and not the statement's."""


def _is_the_stores(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _STORES


def refusal(error: sqlite3.Error, text: str) -> CommitFailed:
    """What refused a transaction, as the node must treat it."""
    return Unwritable(text) if _is_the_stores(error) else CommitFailed(text)


class Transaction:
    """At most one transaction at a time, begun when the first statement needs it.

    A statement can end it: `INSERT OR ROLLBACK`, a trigger's `RAISE(ROLLBACK, …)`, a full disk. All
    that was written since it began is lost then, of other steps too. So nothing more is written,
    and the commit is refused: the batch must be done again.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.lost_by = sqlite3.Error()
        """What the statement said that ended the transaction."""
        self._begun = False

    @property
    def is_lost(self) -> bool:
        """Whether a statement has ended the transaction."""
        return self._begun and not self.db.in_transaction

    def begin(self) -> None:
        """Begin, unless it has begun. Raises Unwritable if the store lets nobody write now."""
        if self._begun:
            return
        try:
            self.db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise refusal(error, str(error)) from error
        self._begun = True

    def savepoint(self) -> None:
        self.begin()
        if not self.is_lost:
            self.db.execute("SAVEPOINT step")

    def release(self) -> None:
        if not self.is_lost:
            self.db.execute("RELEASE step")

    def rollback(self) -> None:
        if not self.is_lost:
            self.db.execute("ROLLBACK TO step")
            self.db.execute("RELEASE step")

    def execute(
        self, sql: str, parameters: Sequence[Any], *, read_only: bool
    ) -> list[tuple[Any, ...]]:
        """One statement of a service. Raises Refused for what a service may not do, Unwritable
        when it is the store's trouble."""
        first = check(sql, read_only)
        if self.is_lost:
            raise Refused("an earlier statement has ended the transaction")
        try:
            if read_only and first == "WITH":
                return self._look(sql, parameters)
            return self.db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            if self.is_lost:
                self.lost_by = error
            if _is_the_stores(error):
                raise Unwritable(str(error)) from error
            if self.is_lost:
                raise Refused(
                    f"the statement has ended the transaction, which is the engine's: {error}"
                ) from error
            raise

    def _look(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """A `WITH`, of which only its changes tell whether it writes; they are undone."""
        before = self.db.total_changes
        self.db.execute("SAVEPOINT look")
        try:
            rows = self.db.execute(sql, parameters).fetchall()
            if self.db.total_changes != before:
                raise Refused("a `read` operation wrote; declare it as `write`")
            return rows
        finally:
            if not self.is_lost:
                self.db.execute("ROLLBACK TO look")
                self.db.execute("RELEASE look")

    def ended(self) -> None:
        """It was committed, or its end is not known."""
        self._begun = False

    def abandon(self) -> None:
        """Undo what was not committed."""
        if self._begun or self.db.in_transaction:
            self._begun = False
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
