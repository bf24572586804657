"""Looking at a store's file without opening it as a store, and copying it while it is in use.

Writes nothing to what it looks at. What is done with a copy is said elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from flowrt.store import StoreError
from flowrt.store.files import MACHINE, Files
from flowrt.store.uniqueness import APPLICATION
from flowrt.store.upgrades import FORMAT, UPGRADES

BUSY_SECONDS = 30.0

PAGES = 2_048
"""So many pages are copied at a time; the others may write in between."""


class Look(NamedTuple):
    """What a store's file says of itself: its format, whose it is, how many commits, how many flows
    live in it, and when the last entry of its audit trail was made (microseconds since 1970; 0 if
    there is none)."""

    format: int
    party: str
    commits: int
    flows: int
    last_us: int

    @property
    def is_old(self) -> bool:
        """Whether opening it makes another format of it."""
        return self.format != FORMAT


def look(path: Path) -> Look:
    """What is in a store's file.

    Raises:
        StoreError: it is none, or one that this version cannot open; with the remedy.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file in it")
    if not path.is_file():
        raise StoreError(f"{path} is not there")
    with _reading(path) as db:
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        if "engine_node" not in names:
            [(application,)] = db.execute("PRAGMA application_id")
            what = "a notary's book" if application == APPLICATION else "another program's database"
            raise StoreError(f"{path} is {what}; name another file, that one stays as it is")
        row = db.execute("SELECT format, party, commits FROM engine_node").fetchone()
        if row is None:
            raise StoreError(f"{path} is not a store of flows: it has no owner")
        form, party, commits = row
        if form > FORMAT:
            text = f"{path} has format {form}, and this version reads {min(UPGRADES)} to {FORMAT}"
            raise StoreError(f"{text}; a newer version wrote it: install that one")
        if form != FORMAT and form not in UPGRADES:
            text = f"{path} has format {form}, and this version reads {min(UPGRADES)} to {FORMAT}"
            raise StoreError(f"{text}; open it once with a version in between")
        [(flows,)] = db.execute("SELECT count(*) FROM engine_flow")
        last = db.execute("SELECT at FROM engine_audit ORDER BY id DESC LIMIT 1").fetchone()
        return Look(form, party, commits, flows, last[0] if last is not None else 0)


def check_book(path: Path, owner: str) -> None:
    """Raises StoreError unless a file is the notary's book of that owner."""
    with _reading(path) as db:
        [(application,)] = db.execute("PRAGMA application_id")
        if application != APPLICATION:
            raise StoreError(f"{path} is not a notary's book; name another file")
        [(found,)] = db.execute("SELECT owner FROM book")
        if found != owner:
            raise StoreError(f"{path} is the book of {found}, not of {owner}")


def copy(
    source: Path,
    to: Path,
    *,
    files: Files = MACHINE,
    between: Callable[[], None] = lambda: None,
) -> None:
    """A copy of a database as of one moment, though others write to it: written aside, looked
    through, synchronised, renamed. `between` is called between the parts of it.

    Raises:
        StoreError: there is a file already, or one of both cannot be used.
    """
    if files.exists(to):
        raise StoreError(f"{to} is there already; name another file")
    aside = to.with_name(f".{to.name}.copying")
    files.remove(aside)
    try:
        with _reading(source) as db:
            os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with contextlib.closing(sqlite3.connect(aside, isolation_level=None)) as made:
                # One transaction holds the moment: without it the copy begins again whenever
                # another process commits, and may never end.
                db.execute("BEGIN")
                db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                db.backup(made, pages=PAGES, progress=lambda *_: between(), sleep=0)
                db.execute("COMMIT")
                found = made.execute("PRAGMA integrity_check").fetchone()[0]
                if found != "ok":
                    raise StoreError(f"{source} is damaged: {found}; bring a backup back")
                # A copy lies alone: without a log, whose absence would be taken for a loss.
                made.execute("PRAGMA journal_mode = DELETE")
        files.sync(aside)
        files.rename(aside, to)
        files.sync(to.parent)
    except (sqlite3.Error, OSError) as error:
        text = f"{source} cannot be copied to {to}: {error}"
        raise StoreError(text) from error
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            files.remove(Path(f"{aside}{end}"))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, for reading alone; what is wrong with it is a StoreError."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(
            sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
        ) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            yield db
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
            raise StoreError(f"{path} is not a database; name another file") from None
        raise StoreError(f"{path} cannot be read as a store: {error}") from error
