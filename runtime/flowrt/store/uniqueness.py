"""What was used up, and by what: a notary's book, in a file that several processes may share.

It knows names, hashes and bytes. What may be entered, and why not, is said by who keeps the book.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from flowrt.store import StoreError
from flowrt.store.files import MACHINE, Files

FORMAT: Final = 1
"""The version of the tables; a file of a newer one is not opened."""

APPLICATION: Final = 0x464C4E42
"""What SQLite's header says the file is: FLNB."""

BUSY_SECONDS = 30.0
"""How long to wait for another worker's transaction."""

_PAUSE_SECONDS = 0.02

LOGGED = 1_000_000
"""How many requests the log keeps; the oldest are forgotten."""

PRUNED = 64
"""How often the log is cut, in batches."""

_SCHEMA = (
    "CREATE TABLE book (one INTEGER PRIMARY KEY CHECK (one = 1), owner TEXT NOT NULL) STRICT",
    # The name of a state is the key, so to look whether it is free and to take it is one way down
    # one tree. By what it was used is a hash: who reads the file learns no transaction's id.
    "CREATE TABLE used (name BLOB PRIMARY KEY, by BLOB NOT NULL) STRICT, WITHOUT ROWID",
    # Only what uses nothing up stands here; of the others `used` tells that they were accepted.
    "CREATE TABLE accepted (by BLOB PRIMARY KEY) STRICT, WITHOUT ROWID",
    "CREATE TABLE requests (number INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, "
    "requester TEXT NOT NULL, by BLOB NOT NULL, outcome TEXT NOT NULL, proof BLOB NOT NULL) STRICT",
)


class Request(NamedTuple):
    """A line of the log: when (microseconds), who asked, about which transaction (the hash of its
    id), what came of it, and the requester's signature."""

    at_us: int
    requester: str
    by: bytes
    outcome: str
    proof: bytes


class Entries(Protocol):
    """The book inside of one transaction. Names and hashes are bytes."""

    def user(self, name: bytes) -> bytes | None:
        """The hash of what used up the state of that name; None if it is free."""
        ...

    def use(self, names: Iterable[bytes], by: bytes) -> None:
        """Enter that these, which are free, are used up."""
        ...

    def is_accepted(self, by: bytes) -> bool:
        """Whether that was accepted which used nothing up."""
        ...

    def accept(self, by: bytes) -> None:
        """Enter that it was accepted."""
        ...

    def log(self, requests: Iterable[Request]) -> None:
        """Add to the log."""
        ...


class Book(Protocol):
    """Where a notary keeps what was used up."""

    waits: bool
    """Whether a transaction waits for a disk, so that it should not hold up an event loop."""

    def transaction(self) -> contextlib.AbstractContextManager[Entries]:
        """One transaction, alone: what is entered in it is there for good when it ends, and nothing
        of it if it ends by an exception."""
        ...

    def close(self) -> None: ...


class UniquenessFile:
    """The book `owner` keeps in the SQLite file `path`, made when it is not there.

    Workers in several threads and processes may have the same file open: one transaction comes
    after the other. Each is durable when it ends (WAL, synchronous=FULL).
    """

    waits = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        owner: str,
        *,
        files: Files = MACHINE,
        logged: int = LOGGED,
    ) -> None:
        """Raises StoreError: the file is another notary's, something else, of a newer format, or
        cannot be opened."""
        self.path = Path(path)
        self._files = files
        self._logged = logged
        self._batches = 0
        self._turn = threading.Lock()
        try:
            self._db = files.connect(self.path, BUSY_SECONDS, any_thread=True)
            try:
                self._open(owner)
            except BaseException:
                self._db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path} cannot be opened as a notary's book: {error}") from error

    def _open(self, owner: str) -> None:
        db = self._db
        db.execute("PRAGMA trusted_schema = OFF")
        [(application,)] = db.execute("PRAGMA application_id")
        [(tables,)] = db.execute("SELECT count(*) FROM sqlite_schema")
        if tables and application != APPLICATION:
            raise StoreError(f"{self.path} is a database, but not a notary's book")
        mode = self._set_mode(db)
        if mode != "wal":
            raise StoreError(f"{self.path} is not on a disk that can have a write-ahead log")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = -65536")
        db.execute(f"PRAGMA wal_autocheckpoint = {self._files.checkpoint_pages}")
        db.execute("BEGIN IMMEDIATE")
        try:
            if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute("INSERT INTO book VALUES (1, ?)", (owner,))
                db.execute(f"PRAGMA user_version = {FORMAT}")
                db.execute(f"PRAGMA application_id = {APPLICATION}")
            [(found,)] = db.execute("PRAGMA user_version")
            if found != FORMAT:
                raise StoreError(
                    f"{self.path} has format {found}, this program writes {FORMAT}: "
                    "open it with a newer one"
                )
            [(known,)] = db.execute("SELECT owner FROM book")
            if known != owner:
                raise StoreError(f"{self.path} is the book of {known}, not of {owner}")
            db.execute("COMMIT")
        except BaseException:
            _undo(db)
            raise
        self._files.sync(self.path.parent)

    @staticmethod
    def _set_mode(db: sqlite3.Connection) -> str:
        """Of several workers that make the file at one time, SQLite turns some away at once from
        this statement, and only from this one, however long they would wait."""
        for _ in range(int(BUSY_SECONDS / _PAUSE_SECONDS)):
            try:
                [(mode,)] = db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return str(mode)
        raise StoreError("other workers keep the notary's book locked")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Entries]:
        """See `Book`. Raises sqlite3.Error where the disk refuses: nothing is entered then."""
        with self._turn:
            # IMMEDIATE: who looks and then writes must be alone from the beginning on.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield _Rows(self._db)
                self._batches += 1
                if self._batches % PRUNED == 1:
                    self._db.execute(
                        "DELETE FROM requests WHERE number <= "
                        "(SELECT max(number) FROM requests) - ?",
                        (self._logged,),
                    )
                self._db.execute("COMMIT")
            except BaseException:
                _undo(self._db)
                raise

    def requests(self, count: int = 1_000) -> list[Request]:
        """The last requests, the newest first."""
        with self._turn:
            rows = self._db.execute(
                "SELECT at_us, requester, by, outcome, proof FROM requests "
                "ORDER BY number DESC LIMIT ?",
                (count,),
            ).fetchall()
        return [Request(*row) for row in rows]

    def load(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Enter many names, with what used them up, in rising order of the names, into a book that
        has none of them: how a book is moved here from elsewhere."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT INTO used VALUES (?, ?)", entries)
                self._db.execute("COMMIT")
            except BaseException:
                _undo(self._db)
                raise

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._db.close()


class _Rows:
    """The tables, inside of a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def user(self, name: bytes) -> bytes | None:
        row = self._db.execute("SELECT by FROM used WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def use(self, names: Iterable[bytes], by: bytes) -> None:
        self._db.executemany("INSERT INTO used VALUES (?, ?)", [(name, by) for name in names])

    def is_accepted(self, by: bytes) -> bool:
        found = self._db.execute("SELECT 1 FROM accepted WHERE by = ?", (by,)).fetchone()
        return found is not None

    def accept(self, by: bytes) -> None:
        self._db.execute("INSERT INTO accepted VALUES (?)", (by,))

    def log(self, requests: Iterable[Request]) -> None:
        self._db.executemany(
            "INSERT INTO requests (at_us, requester, by, outcome, proof) VALUES (?, ?, ?, ?, ?)",
            requests,
        )


class UniquenessMemory:
    """A book in memory, for tests and simulated worlds: what is entered outlives nodes that end,
    as long as the object lives."""

    waits = False

    def __init__(self) -> None:
        self.used: dict[bytes, bytes] = {}
        self.accepted: set[bytes] = set()
        self.requests: list[Request] = []
        self._turn = threading.Lock()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Entries]:
        """See `Book`."""
        with self._turn:
            new = _Changes(self)
            yield new
            self.used.update(new.used)
            self.accepted |= new.accepted
            self.requests += new.requests
            del self.requests[:-10_000]

    def close(self) -> None:
        """Nothing is to be let go of."""


class _Changes:
    """What one transaction adds to a book in memory."""

    def __init__(self, book: UniquenessMemory) -> None:
        self._book = book
        self.used: dict[bytes, bytes] = {}
        self.accepted: set[bytes] = set()
        self.requests: list[Request] = []

    def user(self, name: bytes) -> bytes | None:
        return self.used.get(name) or self._book.used.get(name)

    def use(self, names: Iterable[bytes], by: bytes) -> None:
        self.used.update(dict.fromkeys(names, by))

    def is_accepted(self, by: bytes) -> bool:
        return by in self.accepted or by in self._book.accepted

    def accept(self, by: bytes) -> None:
        self.accepted.add(by)

    def log(self, requests: Iterable[Request]) -> None:
        self.requests += requests


def _undo(db: sqlite3.Connection) -> None:
    """Roll back, if SQLite has not done it itself."""
    with contextlib.suppress(sqlite3.Error):
        if db.in_transaction:
            db.execute("ROLLBACK")
