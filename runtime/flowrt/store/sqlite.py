"""The store in one SQLite file: WAL, synchronous=FULL, one transaction a batch. Knows no flow.

Faster is group commit, never a weaker setting: with `synchronous=NORMAL` a WAL database loses
acknowledged commits when power fails.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import mmap
import os
import sqlite3
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flowrt.core.lineage import LIFE_BYTES, LIVES, life_after
from flowrt.core.values import decode, encode
from flowrt.store import (
    APART,
    Batch,
    Beside,
    Fenced,
    Opened,
    OutcomeUnknown,
    Purged,
    Row,
    StoreError,
    gone_back,
    is_behind,
)
from flowrt.store.chain import NOTHING, Link, Verified, digest_of, verify
from flowrt.store.files import MACHINE, Files, Note
from flowrt.store.marks import SIZE, Call, Marks
from flowrt.store.queries import Queries
from flowrt.store.rows import delete, flat, insert
from flowrt.store.transaction import Transaction, refusal
from flowrt.store.upgrades import FORMAT, UPGRADES

BUSY_SECONDS = 10.0
"""How long to wait for another process's lock."""

BESIDE = "-mark"
"""The file beside a store that says how far that had come is named so, after the store's name."""

_BESIDE = struct.Struct(f">8s{LIFE_BYTES}sQI")
_CHECK = struct.Struct(">I")

_UPSERT = (
    " ON CONFLICT (id) DO UPDATE SET due = excluded.due, checkpoint = excluded.checkpoint, "
    "since = excluded.since"
)


class SqliteStore(Queries):
    """One party's flows in the file `path`, created when it is first opened.

    Created safely: written aside, synchronised with its folder, renamed, reopened and verified
    before any flow is accepted, so that no crash can leave half a store. `files` is the disk that
    the file is on.
    """

    def __init__(self, path: str | os.PathLike[str], files: Files = MACHINE) -> None:
        self.path = Path(path)
        self._files = files
        self._work: Transaction | None = None
        self._note: Note | None = None
        self._epoch = 0
        self._digest = self._written = NOTHING
        self._marks = Marks(bytearray(SIZE))
        self._life = b""
        self._incarnation = b""
        self._commits = 0
        self._awaited = True
        """Whether a flow may wait for an event: while none has since the store was opened, who
        waits for one needs no question."""

    # --- opening ---

    def open(self, party: str) -> Opened:
        self._let_go()
        try:
            if not self._files.exists(self.path):
                self._create(party)
            else:  # Who made it may have been killed before its name was durable.
                self._files.sync(self.path.parent)
            db = self._connect(self.path, party)
            try:
                opened = self._claim(db, party)
                # The log's name: SQLite does not look whether that worked, if it does it at all.
                self._files.sync(self.path.parent)
                self._write_beside()
                self._beside_file.sync()
            except BaseException:
                _drop(db)
                self._close_beside()
                raise
        except (sqlite3.Error, OSError) as error:
            text = f"{self.path} cannot be opened as a store: {error}{_remedy(error)}"
            raise StoreError(text) from error
        self._work = Transaction(db)
        self._epoch = opened.epoch
        return opened

    @property
    def _beside_file(self) -> Note:
        if self._note is None:
            self._note = self._files.note(Path(f"{self.path}{BESIDE}"))
        return self._note

    def _beside(self) -> Beside | None:
        """What was written beside the store last. A loss of power may have spoiled it: then it says
        nothing."""
        data = self._beside_file.read()
        if len(data) != _BESIDE.size:
            return None
        incarnation, life, commits, check = _BESIDE.unpack(data)
        return (incarnation, life, commits) if check == _check(data) else None

    def _write_beside(self) -> None:
        data = _BESIDE.pack(self._incarnation, self._life, self._commits, 0)
        self._beside_file.write(data[: -_CHECK.size] + _CHECK.pack(_check(data)))

    def _connect(self, path: Path, party: str | None) -> sqlite3.Connection:
        """A connection that keeps what it commits. Whose file it is, is looked at first: another
        program's database must stay as it is."""
        db = self._files.connect(path, BUSY_SECONDS)
        try:
            db.execute("PRAGMA trusted_schema = OFF")
            if party is not None:
                self._check_owner(db, party)
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute(f"PRAGMA wal_autocheckpoint = {self._files.checkpoint_pages}")
            db.execute("PRAGMA cache_size = -65536")
            level = db.execute("PRAGMA synchronous").fetchone()[0]
            if (mode, level) != ("wal", 2):
                raise StoreError(
                    f"{path}: the file system does not support durable WAL (mode {mode}); "
                    "keep the store on a local disk"
                )
        except BaseException:
            _drop(db)
            raise
        return db

    def _check_owner(self, db: sqlite3.Connection, party: str) -> None:
        try:
            row = db.execute("SELECT format, party FROM engine_node").fetchone()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB):
                raise
            raise StoreError(f"{self.path} is not a store of flows: {error}") from None
        if row is None:
            raise StoreError(f"{self.path} is not a store of flows: it has no owner")
        form, owner = row
        if form != FORMAT and form not in UPGRADES:
            raise StoreError(
                f"{self.path} has format {form}, this version reads "
                f"{min(UPGRADES, default=FORMAT)} to {FORMAT}; "
                f"{_remedy_of(form)}"
            )
        if owner != party:
            raise StoreError(f"{self.path} belongs to party {owner}, not {party}")

    def _create(self, party: str) -> None:
        files = self._files
        if not files.is_folder(self.path.parent):
            raise StoreError(f"{self.path.parent} is not a folder; create it first")
        if files.exists(log := Path(f"{self.path}-wal")):
            raise StoreError(
                f"{self.path} is gone, and its log {log.name} is there: "
                "bring the file back, or remove its log to begin anew"
            )
        if files.exists(mark := Path(f"{self.path}{BESIDE}")):
            raise StoreError(
                f"{self.path} is gone, and its mark {mark.name} is there: "
                "bring the file back, or remove its mark to begin anew"
            )
        aside = self.path.with_name(self.path.name + ".creating")
        for leftover in [aside, *(Path(f"{aside}-{end}") for end in ("journal", "wal", "shm"))]:
            files.remove(leftover)
        import importlib.resources  # Slow, and only a new store needs it.

        schema = importlib.resources.files("flowrt.store").joinpath("schema.sql").read_text()
        with contextlib.closing(self._connect(aside, None)) as db:
            db.executescript(f"BEGIN; {schema}")
            db.execute(
                "INSERT INTO engine_node (id, format, party, incarnation, epoch, commits, "
                "next_flow, next_outbox, secret) VALUES (1, ?, ?, ?, 0, 0, 1, 1, ?)",
                (FORMAT, party, os.urandom(8), os.urandom(16)),
            )
            db.execute("COMMIT")
            # Closing copies the log too, but does not say when that failed.
            if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() != (0, 0, 0):
                raise StoreError(f"{aside}: another process has it open; let it end first")
        files.sync(aside)
        files.rename(aside, self.path)
        files.sync(self.path.parent)
        with contextlib.closing(self._connect(self.path, party)) as db:
            if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise StoreError(f"{self.path}: what was just written cannot be read back")

    def _claim(self, db: sqlite3.Connection, party: str) -> Opened:
        db.execute("BEGIN IMMEDIATE")
        if not isinstance(self._marks.page, mmap.mmap):
            self._marks = Marks(self._files.page(Path(f"{self.path}-step"), SIZE))
        # A process whose sync failed leaves a log that can be read and may be on no disk.
        self._files.rewrite(Path(f"{self.path}-wal"))
        self._upgrade(db)
        incarnation, epoch, commits, next_flow, next_outbox, draining = db.execute(
            "SELECT incarnation, epoch, commits, next_flow, next_outbox, draining FROM engine_node"
        ).fetchone()
        secret, past, refused, former, severed = db.execute(
            "SELECT secret, lives, refused, former, severed FROM engine_node"
        ).fetchone()
        if self._epoch not in (0, epoch):
            raise Fenced(f"{self.path} was opened by another process; this one stops")
        self._digest = self._written = _last_digest(db)
        self._awaited = db.execute("SELECT 1 FROM engine_wait LIMIT 1").fetchone() is not None
        lives = decode(list[tuple[bytes, int]], past)
        opened = Opened(
            party,
            incarnation,
            epoch + 1,
            commits,
            next_flow,
            next_outbox,
            dict(db.execute("SELECT name, known FROM engine_peer")),
            bool(draining),
            self._marks.opened(),
            secret,
            lives,
            former,
            severed,
            self._marks.calls(is_new=self._epoch == 0),
        )
        why = refused or is_behind(self._beside(), opened)
        if why is not None:
            raise gone_back(str(self.path), why)
        if self._epoch == 0 or not lives:
            lives += [(life_after(epoch + 1, os.urandom(2)), commits)]
            del lives[:-LIVES]
        db.execute("UPDATE engine_node SET epoch = ?, lives = ?", (epoch + 1, encode(lives)))
        db.execute("COMMIT")
        self._incarnation, self._life, self._commits = incarnation, lives[-1][0], commits
        return opened

    def accept_restore(self, party: str) -> None:
        if self._work is not None:
            raise StoreError(f"{self.path} is open; close its node first")
        if not self._files.exists(self.path):
            raise StoreError(f"{self.path} is not there")
        try:
            with contextlib.closing(self._connect(self.path, party)) as db:
                db.execute("BEGIN IMMEDIATE")
                self._upgrade(db)
                db.execute(
                    "UPDATE engine_node SET former = incarnation, incarnation = ?, secret = ?, "
                    "lives = ?, refused = NULL, severed = 0, epoch = epoch + 1, "
                    "next_outbox = next_outbox + ?",
                    (os.urandom(8), os.urandom(16), encode([]), APART),
                )
                db.execute("DELETE FROM engine_outbox")
                db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            text = f"{self.path} cannot be opened as a store: {error}{_remedy(error)}"
            raise StoreError(text) from error

    def _upgrade(self, db: sqlite3.Connection) -> None:
        """Make a store of an older version one of this, if it is one."""
        form = db.execute("SELECT format FROM engine_node").fetchone()[0]
        for older in range(form, FORMAT):
            for statement in UPGRADES[older].split(";"):
                db.execute(statement)
        if form != FORMAT:
            db.execute("UPDATE engine_node SET format = ?", (FORMAT,))

    def close(self) -> None:
        self._let_go()
        self._epoch = 0
        page = self._marks.page
        if isinstance(page, mmap.mmap):
            if not page[:].strip(b"\0"):
                with contextlib.suppress(OSError):
                    self._files.remove(Path(f"{self.path}-step"))
            page.close()
            self._marks = Marks(bytearray(SIZE))
        self._close_beside()

    def _close_beside(self) -> None:
        if self._note is not None:
            self._note.close()
            self._note = None

    def refuse(self, reason: str) -> None:
        work = self._working
        work.abandon()
        try:
            changed = work.db.execute(
                "UPDATE engine_node SET refused = ? WHERE epoch = ?", (reason, self._epoch)
            ).rowcount
        except sqlite3.Error as error:
            raise refusal(error, f"{self.path}: {error}") from error
        if changed != 1:
            raise Fenced(f"{self.path} was opened by another process; this one stops")

    def _let_go(self) -> None:
        if self._work is not None:
            self._work.abandon()
            self._work.db.close()
            self._work = None

    @property
    def _working(self) -> Transaction:
        if self._work is None:
            raise StoreError(f"{self.path} is not open")
        return self._work

    @property
    def _open_db(self) -> sqlite3.Connection:
        return self._working.db

    # --- reading ---

    def load(self, flow_id: int) -> bytes | None:
        found = self._open_db.execute(
            "SELECT checkpoint FROM engine_flow WHERE id = ?", (flow_id,)
        ).fetchone()
        return found[0] if found else None

    def due(self, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        db = self._open_db
        found: list[tuple[int, int]] = []
        if after[0] <= 0:
            # No index has those that are ready, who change with every step: a flow costs 0.1 us
            # here, once, and an entry in an index would cost each step ten times as much.
            found = db.execute(
                "SELECT due, id FROM engine_flow WHERE due = 0 AND id > ? ORDER BY id LIMIT ?",
                (after[1] if after[0] == 0 else -1, limit),
            ).fetchall()
            after = (1, -1)
        found += db.execute(
            "SELECT due, id FROM engine_flow WHERE due > 0 AND (due, id) > (?, ?) "
            "ORDER BY due, id LIMIT ?",
            (*after, limit - len(found)),
        )
        return found

    def flows(self, after: int = -1) -> Iterator[Row]:
        rows = self._open_db.execute(
            "SELECT id, checkpoint, due, since FROM engine_flow WHERE id > ? ORDER BY id", (after,)
        )
        yield from map(Row._make, rows)

    def holding(self, part: bytes) -> list[int]:
        found = self._open_db.execute(
            "SELECT id FROM engine_flow WHERE instr(checkpoint, ?) ORDER BY id", (part,)
        )
        return [flow_id for (flow_id,) in found]

    def outbox(self) -> Iterator[tuple[int, str, int]]:
        yield from self._open_db.execute(
            "SELECT id, peer, length(frame) FROM engine_outbox ORDER BY id"
        )

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        marks = ", ".join("?" * len(numbers))
        yield from self._open_db.execute(
            f"SELECT id, frame FROM engine_outbox WHERE id IN ({marks}) ORDER BY id", tuple(numbers)
        )

    def outcome(self, flow_id: int) -> tuple[str, str | None, bytes] | None:
        found: tuple[str, str | None, bytes] | None = self._open_db.execute(
            "SELECT flow, error, value FROM engine_outcome WHERE id = ?", (flow_id,)
        ).fetchone()
        return found

    def moves(self, flow_id: int, start: int = 0, limit: int = -1) -> list[bytes]:
        rows = self._open_db.execute(
            "SELECT event FROM engine_progress WHERE flow = ? AND number >= ? "
            "ORDER BY number LIMIT ?",
            (flow_id, start, limit),
        )
        return [event for (event,) in rows]

    def patients(self) -> list[bytes]:
        rows = self._open_db.execute("SELECT patient FROM engine_hospital ORDER BY id")
        return [patient for (patient,) in rows]

    def mail(self, flow_id: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        return self._open_db.execute(
            "SELECT number, content FROM engine_mail WHERE flow = ? AND number >= ? "
            "ORDER BY number LIMIT ?",
            (flow_id, start, limit),
        ).fetchall()

    def tasks(self, after: tuple[int, int] = (-1, 0)) -> Iterator[bytes]:
        where = "WHERE (flow, number) > (?, ?) ORDER BY flow, number"
        rows = self._open_db.execute(f"SELECT task FROM engine_task {where}", after)
        return (task for (task,) in rows)

    def task(self, flow_id: int, number: int) -> bytes | None:
        found = self._open_db.execute(
            "SELECT task FROM engine_task WHERE flow = ? AND number = ?", (flow_id, number)
        ).fetchone()
        return found[0] if found else None

    def holder(self, name: str, key: str) -> int | None:
        found = self._open_db.execute(
            "SELECT id FROM engine_key WHERE flow = ? AND key = ?", (name, key)
        ).fetchone()
        return found[0] if found else None

    def waiting(self, key: bytes) -> list[tuple[int, int]]:
        if not self._awaited:
            return []
        return self._open_db.execute(
            "SELECT flow, number FROM engine_wait WHERE event = ? ORDER BY flow, number", (key,)
        ).fetchall()

    def client(self, client: str) -> tuple[int, bytes] | None:
        found: tuple[int, bytes] | None = self._open_db.execute(
            "SELECT id, digest FROM engine_client WHERE client = ?", (client,)
        ).fetchone()
        return found

    def schedules(self) -> dict[str, bytes]:
        return dict(self._open_db.execute("SELECT name, state FROM engine_schedule"))

    def audit(self) -> Iterator[tuple[int, bytes]]:
        yield from self._open_db.execute("SELECT at, entries FROM engine_audit ORDER BY id")

    def chain(self) -> tuple[bytes, Iterator[Link]]:
        return chain_of(self._open_db)

    # --- services ---

    def savepoint(self) -> None:
        self._working.savepoint()

    def release(self) -> None:
        self._working.release()

    def rollback(self) -> None:
        self._working.rollback()

    def execute(
        self, sql: str, parameters: Sequence[Any], *, read_only: bool
    ) -> list[tuple[Any, ...]]:
        return self._working.execute(sql, parameters, read_only=read_only)

    # --- writing ---

    def mark(self, number: int) -> None:
        self._marks.begin(number)

    def forgive(self, number: int) -> None:
        self._marks.forgive(number)

    def begin_call(self, call: Call) -> None:
        self._marks.begin_call(call)

    def end_call(self, call: Call, outlived: bool) -> None:
        self._marks.end_call(call, outlived)

    def abandon(self) -> None:
        if self._work is not None:
            self._work.abandon()

    def commit(self, batch: Batch) -> None:
        work = self._working
        db = work.db
        try:
            work.begin()
            if work.is_lost:
                text = f"a service's statement ended the transaction: {work.lost_by}"
                raise refusal(work.lost_by, text)
            claimed = db.execute(
                "UPDATE engine_node SET next_flow = ?, next_outbox = ?, commits = commits + 1 "
                "WHERE epoch = ?",
                (batch.next_flow, batch.next_outbox, self._epoch),
            )
            if claimed.rowcount != 1:
                raise Fenced(f"{self.path} was opened by another process; this one stops")
            self._write(db, batch)
        except sqlite3.Error as error:
            work.abandon()
            raise refusal(error, f"{self.path}: {error}") from error
        except StoreError:
            work.abandon()
            raise
        try:
            db.execute("COMMIT")
            self._digest = self._written
        except sqlite3.Error as error:
            # Deferred constraints are refused here with the transaction still open: then nothing
            # was written. Whatever else happens here is not known to have happened.
            still_open = db.in_transaction
            work.abandon()
            if still_open:
                raise refusal(error, f"{self.path}: {error}") from error
            raise OutcomeUnknown(f"{self.path}: {error}") from error
        finally:
            work.ended()
        self._commits += 1
        # It only helps to recognise a backup: the batch is written without it.
        with contextlib.suppress(OSError):
            self._write_beside()

    def purge(self, before_us: int, limit: int, audit_us: int | None = None) -> Purged:
        work = self._working
        db = work.db
        if db.in_transaction:
            raise StoreError(f"{self.path}: a batch is under way; purge between batches")
        try:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("SELECT epoch FROM engine_node").fetchone()[0] != self._epoch:
                raise Fenced(f"{self.path} was opened by another process; this one stops")
            old = db.execute(
                "SELECT id FROM engine_outcome WHERE at < ? ORDER BY id LIMIT ?", (before_us, limit)
            ).fetchall()
            for statement in _FORGET:
                db.executemany(statement, old)
            entries = self._forget_audit(db, before_us if audit_us is None else audit_us, limit)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            work.abandon()
            raise refusal(error, f"{self.path}: {error}") from error
        except StoreError:
            work.abandon()
            raise
        return Purged(len(old), entries)

    def _forget_audit(self, db: sqlite3.Connection, before_us: int, limit: int) -> int:
        """Forget the oldest rows: what is left is one chain, which begins where they end."""
        rows = db.execute("SELECT id, at, digest FROM engine_audit ORDER BY id LIMIT ?", (limit,))
        old = list(itertools.takewhile(lambda row: row[1] < before_us, rows))
        if old:
            last, _, digest = old[-1]
            db.execute("INSERT OR REPLACE INTO engine_chain VALUES (1, ?)", (digest,))
            db.execute("DELETE FROM engine_audit WHERE id <= ?", (last,))
        return len(old)

    def _write(self, db: sqlite3.Connection, batch: Batch) -> None:
        since_s = batch.now_us // 1_000_000
        changed = [
            value
            for flow_id, row in batch.flows.items()
            if row is not None
            for value in (flow_id, row[1], row[0], since_s)
        ]
        if changed:
            insert(db, "engine_flow (id, due, checkpoint, since)", 4, changed, _UPSERT)
        ended = [flow_id for flow_id, row in batch.flows.items() if row is None]
        if ended:
            delete(db, "engine_flow", ended)
        if batch.outbox:
            insert(db, "engine_outbox (id, peer, frame)", 3, flat(batch.outbox))
        if batch.settled:
            delete(db, "engine_outbox", batch.settled)
        if batch.peers:
            db.executemany(
                "INSERT INTO engine_peer VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET known = excluded.known",
                list(batch.peers.items()),
            )
        if batch.outcomes:
            outcomes = [(*outcome, batch.now_us) for outcome in batch.outcomes]
            insert(db, "engine_outcome (id, flow, error, value, at)", 5, flat(outcomes))
        if batch.moves:
            insert(db, "engine_progress (flow, number, event)", 3, flat(batch.moves))
        for flow_id, patient in batch.patients.items():
            db.execute("DELETE FROM engine_hospital WHERE id = ?", (flow_id,))
            if patient is not None:
                db.execute("INSERT INTO engine_hospital VALUES (?, ?)", (flow_id, patient))
        if batch.mail:
            insert(db, "engine_mail (flow, number, content)", 3, flat(batch.mail))
        for key, task in batch.tasks.items():
            db.execute("DELETE FROM engine_task WHERE flow = ? AND number = ?", key)
            if task is not None:
                db.execute("INSERT INTO engine_task VALUES (?, ?, ?)", (*key, task))
        for named, holder in batch.keys.items():
            db.execute("DELETE FROM engine_key WHERE flow = ? AND key = ?", named)
            if holder is not None:
                db.execute("INSERT INTO engine_key VALUES (?, ?, ?)", (*named, holder))
        for name, state in batch.schedules.items():
            db.execute("DELETE FROM engine_schedule WHERE name = ?", (name,))
            if state is not None:
                db.execute("INSERT INTO engine_schedule VALUES (?, ?)", (name, state))
        if batch.waits:
            self._awaited = True
        for event, changes in batch.waits.items():
            for wait, waits in changes.items():
                db.execute(_WAITS if waits else _WAITS_NO_MORE, (event, *wait))
        for client, (flow_id, digest) in batch.clients.items():
            db.execute("INSERT INTO engine_client VALUES (?, ?, ?)", (client, flow_id, digest))
        if batch.draining is not None:
            db.execute("UPDATE engine_node SET draining = ?", (batch.draining,))
        if batch.severed is not None:
            db.execute("UPDATE engine_node SET severed = ?", (batch.severed or None,))
        if batch.audit:
            digest = digest_of(self._digest, batch.now_us, batch.audit)
            row = (batch.now_us, batch.audit, digest)
            db.execute("INSERT INTO engine_audit (at, entries, digest) VALUES (?, ?, ?)", row)
            self._written = digest


def chain_of(db: sqlite3.Connection) -> tuple[bytes, Iterator[Link]]:
    """The audit trail in a store, with its digests, and the digest that it follows."""
    found = db.execute("SELECT start FROM engine_chain").fetchone()
    rows = db.execute("SELECT id, at, entries, digest FROM engine_audit ORDER BY id")
    return found[0] if found else NOTHING, map(Link._make, rows)


def verified(path: str | os.PathLike[str]) -> Verified:
    """See whether the audit trail of a store is as it was written; the store is only read.

    Raises:
        Broken: a row is not.
        StoreError: the file is no store of this format, or cannot be read.
    """
    found = Path(path)
    if not found.is_file():
        raise StoreError("there is no such file")
    try:
        with contextlib.closing(
            sqlite3.connect(f"{found.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            form = db.execute("SELECT format FROM engine_node").fetchone()[0]
            if form != FORMAT:
                raise StoreError(f"it has format {form}, this version verifies {FORMAT}")
            return verify(*chain_of(db))
    except (sqlite3.Error, TypeError) as error:
        raise StoreError(f"it cannot be read as a store: {error}") from error


def _check(data: bytes) -> int:
    return zlib.crc32(data[: -_CHECK.size])


_FORGET = (
    "DELETE FROM engine_outcome WHERE id = ?",
    "DELETE FROM engine_progress WHERE flow = ?",
    "DELETE FROM engine_mail WHERE flow = ?",
    "DELETE FROM engine_client WHERE id = ?",
)


_WAITS = "INSERT OR IGNORE INTO engine_wait VALUES (?, ?, ?)"
_WAITS_NO_MORE = "DELETE FROM engine_wait WHERE event = ? AND flow = ? AND number = ?"


def _last_digest(db: sqlite3.Connection) -> bytes:
    """The digest that the next row of the audit trail follows."""
    for query in (
        "SELECT digest FROM engine_audit ORDER BY id DESC LIMIT 1",
        "SELECT start FROM engine_chain",
    ):
        found: tuple[bytes] | None = db.execute(query).fetchone()
        if found is not None:
            return found[0]
    return NOTHING


def _remedy_of(form: int) -> str:
    """What to do about a store of another format."""
    if form > FORMAT:
        return "a newer version wrote it: install that one, it is not changed back"
    return "open it once with a version in between, which brings it forward"


def _remedy(error: sqlite3.Error | OSError) -> str:
    """What to do about what keeps a store shut, where that is known."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return "; another process is in the middle of a commit and does not go on: end that one"
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) == errno.ENOSPC:
        return "; make room there and open it again"
    return ""


def _drop(db: sqlite3.Connection) -> None:
    """Close a connection that may not be used, and leave its files as they are.

    SQLite's last connection copies the log into the database. If the log is not known to be
    durable, a loss of power meanwhile would leave a mixture; an interrupted copy begins nothing.
    """
    db.interrupt()
    db.close()
