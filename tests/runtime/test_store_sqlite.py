"""The SQLite file: made whole or not at all, ours or left alone, durable."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.store import Batch, CommitFailed, OutcomeUnknown, StoreError, Unwritable, sqlite
from flowrt.store.files import CHUNK, Files
from flowrt.store.sqlite import SqliteStore
from flowrt.store.upgrades import FORMAT
from tests.runtime import hand_flow as hand
from tests.runtime.book import services
from tests.runtime.crashes import World


class Cut(BaseException):
    """The power, while the store is being made."""


def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    store.open("alice")
    return store


def refusal(path: Path, party: str = "alice") -> str:
    with pytest.raises(StoreError) as caught:
        SqliteStore(path).open(party)
    return str(caught.value)


# --- making it -----------------------------------------------------------------------------------


def nth(count: int, function: Callable[..., Any], after: bool) -> Callable[..., Any]:
    """`function`, with the power cut at its n-th call, before or after it."""
    calls = iter(range(1, 1000))

    def run(*arguments: Any, **named: Any) -> Any:
        if next(calls) != count:
            return function(*arguments, **named)
        if after:
            function(*arguments, **named)
        raise Cut

    return run


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("where", "name", "count"),
    [
        (sqlite.SqliteStore, "_connect", 1),
        (Files, "sync", 1),
        (os, "rename", 1),
        (Files, "sync", 2),
        (sqlite.SqliteStore, "_connect", 2),
        (sqlite.SqliteStore, "_connect", 3),
        (sqlite.SqliteStore, "_claim", 1),
    ],
)
def test_a_crash_while_it_is_made_leaves_nothing_or_a_whole_store(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    name: str,
    count: int,
    after: bool,
) -> None:
    path = tmp_path / "alice.db"
    with monkeypatch.context() as patch:
        patch.setattr(where, name, nth(count, getattr(where, name), after))
        with pytest.raises(Cut):
            SqliteStore(path).open("alice")
    if path.exists():
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT party FROM engine_node").fetchone() == ("alice",)
        db.close()
    store = opened(path)
    store.commit(Batch(1, 1, 1, flows={1: (b"x", None)}))
    store.close()
    assert not list(tmp_path.glob("*.creating*")), "nothing half made stays behind"


def test_it_is_synchronised_before_it_has_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = Files.sync, os.rename

    def syncs(files: Files, path: Path) -> None:
        done.append(f"sync {path.name}")
        sync(files, path)

    def renames(old: Path, new: Path) -> None:
        done.append(f"rename to {new.name}")
        rename(old, new)

    monkeypatch.setattr(Files, "sync", syncs)
    monkeypatch.setattr(os, "rename", renames)
    opened(tmp_path / "alice.db").close()
    folder = f"sync {tmp_path.name}"
    assert done == ["sync alice.db.creating", "rename to alice.db", folder, folder]
    done.clear()
    opened(tmp_path / "alice.db").close()
    assert done == [folder, folder], "its own name, and then that of its log"


def test_what_an_earlier_crash_left_is_swept_away(tmp_path: Path) -> None:
    for name in ("alice.db.creating", "alice.db.creating-wal", "alice.db.creating-shm"):
        (tmp_path / name).write_bytes(b"half")
    opened(tmp_path / "alice.db").close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["alice.db", "alice.db-mark"]


def test_a_log_without_its_database_is_not_taken_for_that_of_a_new_one(tmp_path: Path) -> None:
    path, log = tmp_path / "alice.db", tmp_path / "alice.db-wal"
    log.write_bytes(b"of another file")
    assert refusal(path) == (
        f"{path} is gone, and its log alice.db-wal is there: "
        "bring the file back, or remove its log to begin anew"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["alice.db-wal"]
    log.unlink()
    opened(path).close()


def test_who_looks_into_a_store_while_it_is_made_is_told_to_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Looking(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> Any:
            if "wal_checkpoint" in sql:
                looking.append(connect(tmp_path / "alice.db.creating", isolation_level=None))
                looking[0].execute("BEGIN")
                looking[0].execute("SELECT * FROM engine_node").fetchall()
            return super().execute(sql, *rest)

    connect = sqlite3.connect
    looking: list[sqlite3.Connection] = []
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Looking))
        text = refusal(tmp_path / "alice.db")
    assert text.endswith("another process has it open; let it end first")
    looking[0].close()
    opened(tmp_path / "alice.db").close()


def test_two_stores_have_two_names(tmp_path: Path) -> None:
    names = {SqliteStore(tmp_path / f"{n}.db").open("alice").incarnation for n in range(5)}
    assert len(names) == 5


# --- durable -------------------------------------------------------------------------------------


def test_it_runs_wal_with_full_synchronisation(tmp_path: Path) -> None:
    store = opened(tmp_path / "alice.db")
    for pragma, value in {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
    }.items():
        assert store._open_db.execute(f"PRAGMA {pragma}").fetchone()[0] == value
    store.close()
    assert (tmp_path / "alice.db").read_bytes()[18:20] == b"\x02\x02", "WAL is in the file itself"


def test_the_log_of_who_was_killed_is_written_once_more_before_it_is_used(tmp_path: Path) -> None:
    """After a sync that failed only that makes it durable."""
    log = tmp_path / "alice.db-wal"

    class Seen(Files):
        def rewrite(self, path: Path) -> None:
            before = path.read_bytes() if path.exists() else b""
            super().rewrite(path)
            rewritten.append((path, before, path.read_bytes() if path.exists() else b""))

    rewritten: list[tuple[Path, bytes, bytes]] = []
    first = opened(tmp_path / "alice.db")
    first.commit(Batch(1, 1, 1, flows={1: (bytes(3 * CHUNK), None)}))
    store = SqliteStore(tmp_path / "alice.db", Seen())
    store.open("alice")
    assert store.load(1) == bytes(3 * CHUNK)
    [(path, before, after)] = rewritten
    assert path == log
    assert len(before) > 3 * CHUNK
    assert before == after
    store.close()
    first.close()


def test_who_may_not_have_it_copies_no_log_into_it(tmp_path: Path) -> None:
    path = tmp_path / "alice.db"
    store = opened(path)
    store.commit(Batch(1, 1, 1, flows={1: (b"x", None)}))
    kept = {name: (tmp_path / name).read_bytes() for name in ("alice.db", "alice.db-wal")}
    store.close()
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)
    assert refusal(path, "bob").endswith("belongs to party alice, not bob")
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    store = opened(path)
    assert store.load(1) == b"x"
    store.close()


def test_where_wal_is_not_to_be_had_it_does_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoWal(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> Any:
            return super().execute(sql.replace("mode = WAL", "mode = DELETE"), *rest)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=NoWal))
    text = refusal(tmp_path / "alice.db")
    assert "does not support durable WAL (mode delete); keep the store on a local disk" in text


def test_a_commit_is_in_the_file_when_it_returns(tmp_path: Path) -> None:
    """Read by another connection, with the store still open and never closed."""
    store = opened(tmp_path / "alice.db")
    store.commit(Batch(1, 5, 6, flows={1: (b"x", 7)}))
    db = sqlite3.connect(tmp_path / "alice.db")
    assert db.execute("SELECT id, due, checkpoint FROM engine_flow").fetchall() == [(1, 7, b"x")]
    assert db.execute("SELECT next_flow, next_outbox, commits FROM engine_node").fetchone() == (
        5,
        6,
        1,
    )
    db.close()
    store.close()


# --- what is not ours ----------------------------------------------------------------------------


def test_another_partys_store(tmp_path: Path) -> None:
    opened(tmp_path / "alice.db").close()
    assert refusal(tmp_path / "alice.db", "bob").endswith("belongs to party alice, not bob")
    opened(tmp_path / "alice.db").close()


@pytest.mark.parametrize("form", [0, 1, 99])
def test_another_format(tmp_path: Path, form: int) -> None:
    opened(tmp_path / "alice.db").close()
    with sqlite3.connect(tmp_path / "alice.db") as db:
        db.execute("UPDATE engine_node SET format = ?", (form,))
    db.close()
    told = refusal(tmp_path / "alice.db")
    assert f"alice.db has format {form}, this version reads 2 to {FORMAT}; " in told
    assert told.endswith("it is not changed back" if form > FORMAT else "brings it forward")


def test_a_store_that_lost_its_owner(tmp_path: Path) -> None:
    opened(tmp_path / "alice.db").close()
    with sqlite3.connect(tmp_path / "alice.db") as db:
        db.execute("DELETE FROM engine_node")
    db.close()
    assert refusal(tmp_path / "alice.db").endswith("is not a store of flows: it has no owner")


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\x00" + b"\x00" * 90])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alice.db"
    path.write_bytes(content)
    assert "is not a store of flows" in refusal(path)
    assert path.read_bytes() == content, "it is left as it was"


def test_another_programs_database_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "alice.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = path.read_bytes()
    assert "is not a store of flows: no such table: engine_node" in refusal(path)
    assert path.read_bytes() == before, "not even its journal mode was changed"
    assert [file.name for file in tmp_path.iterdir()] == ["alice.db"]


def test_a_damaged_store_is_refused_or_its_damage_found(tmp_path: Path) -> None:
    path = tmp_path / "alice.db"
    opened(path).close()
    whole = path.read_bytes()
    for cut in (100, 1000, len(whole) // 2):
        path.write_bytes(whole[:cut])
        refusal(path)
        for leftover in tmp_path.glob("alice.db-*"):
            leftover.unlink()


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "alice.db"
    path.mkdir()
    assert "cannot be opened as a store" in refusal(path)


def test_no_folder_to_make_it_in(tmp_path: Path) -> None:
    text = refusal(tmp_path / "none" / "alice.db")
    assert text.endswith("none is not a folder; create it first")
    (tmp_path / "file").write_bytes(b"")
    assert "file is not a folder" in refusal(tmp_path / "file" / "alice.db")


def test_a_folder_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # To root no folder is read-only, so SQLite is made to say what it says to others.
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr("flowrt.store.sqlite.sqlite3.connect", refuse)
    assert "cannot be opened as a store" in refusal(tmp_path / "alice.db")


def test_a_folder_where_nothing_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    for where, name in ((os, "rename"), (Files, "sync"), (Path, "unlink")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, refuses)
            assert "cannot be opened as a store" in refusal(tmp_path / "alice.db")
        assert not (tmp_path / "alice.db").exists()


def test_a_database_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alice.db"
    opened(path).close()
    connect = sqlite3.connect

    def read_only(name: Path, **how: Any) -> sqlite3.Connection:
        return connect(f"file:{name}?mode=ro", uri=True, **how)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert "readonly" in refusal(path)


def test_a_database_that_somebody_has_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alice.db"
    opened(path).close()
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "database is locked" in refusal(path)
    other.close()
    opened(path).close()


def test_a_database_that_somebody_has_for_himself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alice.db"
    opened(path).close()
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("UPDATE engine_node SET epoch = epoch")
    found = refusal(path)
    assert "cannot be opened as a store: database is locked; " in found
    assert found.endswith("in the middle of a commit and does not go on: end that one")
    other.close()
    opened(path).close()


def test_what_was_just_made_and_cannot_be_read_back_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Damaged(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> Any:
            return super().execute(sql.replace("PRAGMA quick_check", "SELECT 'row 1'"), *rest)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Damaged))
    assert refusal(tmp_path / "alice.db").endswith("what was just written cannot be read back")


def test_what_is_not_open_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "alice.db")
    for act in (
        lambda: store.load(1),
        lambda: store.commit(Batch(1, 1, 1)),
        store.savepoint,
        store.patients,
    ):
        with pytest.raises(StoreError, match="is not open"):
            act()
    store.abandon()
    store.close()


# --- commits that fail in every way --------------------------------------------------------------


class Failing(sqlite3.Connection):
    """A connection whose next COMMIT goes wrong in the way that is told."""

    how = ""

    def execute(self, sql: str, *rest: Any) -> Any:
        if sql == "COMMIT" and Failing.how:
            how, Failing.how = Failing.how, ""
            if how == "done":
                super().execute(sql)
            if how == "lost":
                super().execute("ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *rest)


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteStore:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Failing))
    return opened(tmp_path / "alice.db")


@pytest.mark.parametrize(("how", "kept"), [("done", True), ("lost", False)])
def test_an_error_after_which_nobody_knows(failing: SqliteStore, how: str, kept: bool) -> None:
    Failing.how = how
    with pytest.raises(OutcomeUnknown):
        failing.commit(Batch(1, 2, 2, flows={1: (b"x", None)}))
    again = failing.open("alice")
    assert again.commits == int(kept)
    assert (failing.load(1) is not None) is kept
    failing.commit(Batch(1, 2, 2, flows={2: (b"y", None)}))
    failing.close()


def test_an_error_with_the_transaction_still_open_is_a_refusal(failing: SqliteStore) -> None:
    Failing.how = "open"
    with pytest.raises(CommitFailed):
        failing.commit(Batch(1, 2, 2, flows={1: (b"x", None)}))
    assert failing.load(1) is None
    failing.commit(Batch(1, 2, 2, flows={1: (b"y", None)}))
    assert failing.load(1) == b"y"
    failing.close()


def test_a_full_disk_is_the_stores_trouble(tmp_path: Path) -> None:
    store = opened(tmp_path / "alice.db")
    pages = store._open_db.execute("PRAGMA page_count").fetchone()[0]
    store._open_db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(Unwritable, match="full"):
        store.commit(Batch(1, 2, 2, flows={1: (bytes(100_000), None)}))
    assert store.load(1) is None
    store.savepoint()
    with pytest.raises(Unwritable, match="full"):
        store.execute("CREATE TABLE big AS SELECT zeroblob(100000)", (), read_only=False)
    store.abandon()
    store._open_db.execute("PRAGMA max_page_count = 100000")
    store.commit(Batch(1, 2, 2, flows={1: (bytes(100_000), None)}))
    store.close()


def test_somebodys_lock_is_the_stores_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    store = opened(tmp_path / "alice.db")
    other = sqlite3.connect(tmp_path / "alice.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unwritable, match="locked"):
        store.commit(Batch(1, 2, 2))
    with pytest.raises(Unwritable, match="locked"):
        store.savepoint()
    other.close()
    store.commit(Batch(1, 2, 2))
    store.close()


# --- little by little ----------------------------------------------------------------------------


def test_a_thousand_messages_leave_no_rows_but_the_trail(tmp_path: Path) -> None:
    with World(folder=tmp_path) as world:
        for party in ("alice", "bob"):
            world.add(party, [hand], services)
        bob = hand.rt.Party("bob")
        starts = [world.start("alice", hand.Asker_v1, to=bob, rounds=250) for _ in range(2)]
        starts += [
            world.start("alice", hand.Rounds_v1, to=bob, flow="hand.Rounded", count=250, listen=on)
            for on in (True, False)
        ]
        largest = 0
        while world.tick():
            for party in ("alice", "bob"):
                store = world.members[party].store
                assert store is not None
                sizes = [len(row[0]) for row in store.batches[-1].flows.values() if row]
                largest = max(largest, *sizes, 0)
        world.run()
        assert [world.result(start) for start in starts] == [250 * 251, 250 * 251, 0, 0]
        assert largest < 400, "no checkpoint grew with the number of rounds"
        for party in ("alice", "bob"):
            world.node(party)
            store = world.members[party].store
            assert store is not None
            db = sqlite3.connect(tmp_path / f"{party}.db")
            counts = {
                table: db.execute(f"SELECT count(*) FROM engine_{table}").fetchone()[0]
                for table in ("flow", "outbox", "peer", "hospital")
            }
            (known,) = db.execute("SELECT length(known) FROM engine_peer").fetchone()
            db.close()
            assert counts == {"flow": 0, "outbox": 0, "peer": 1, "hospital": 0}
            assert known < 50


# --- stores of older versions ---------------------------------------------------------------------

OF_FORMAT_2 = """
    CREATE TABLE engine_node (
        id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, party TEXT NOT NULL,
        incarnation BLOB NOT NULL, epoch INTEGER NOT NULL, commits INTEGER NOT NULL,
        next_flow INTEGER NOT NULL, next_outbox INTEGER NOT NULL
    );
    CREATE TABLE engine_flow (id INTEGER PRIMARY KEY, due INTEGER, checkpoint BLOB NOT NULL);
    CREATE TABLE engine_outbox (id INTEGER PRIMARY KEY, peer TEXT NOT NULL, frame BLOB NOT NULL);
    CREATE TABLE engine_peer (name TEXT PRIMARY KEY, known BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE engine_outcome (
        id INTEGER PRIMARY KEY, flow TEXT NOT NULL, error TEXT, value BLOB NOT NULL
    );
    CREATE TABLE engine_progress (
        flow INTEGER NOT NULL, number INTEGER NOT NULL, event BLOB NOT NULL,
        PRIMARY KEY (flow, number)
    ) WITHOUT ROWID;
    CREATE TABLE engine_hospital (id INTEGER PRIMARY KEY, patient BLOB NOT NULL);
    CREATE TABLE engine_mail (
        flow INTEGER NOT NULL, number INTEGER NOT NULL, content BLOB NOT NULL,
        PRIMARY KEY (flow, number)
    ) WITHOUT ROWID;
    CREATE TABLE engine_task (
        flow INTEGER NOT NULL, number INTEGER NOT NULL, task BLOB NOT NULL,
        PRIMARY KEY (flow, number)
    ) WITHOUT ROWID;
    CREATE TABLE engine_key (
        flow TEXT NOT NULL, key TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (flow, key)
    ) WITHOUT ROWID;
    CREATE TABLE engine_schedule (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE engine_audit (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, entries BLOB NOT NULL);
    INSERT INTO engine_node VALUES (1, 2, 'alice', x'0102030405060708', 4, 9, 12, 20);
    INSERT INTO engine_flow VALUES (3, 0, 'three'), (4, NULL, 'four');
    INSERT INTO engine_outcome VALUES (1, 'F', NULL, 'value');
"""


def test_a_store_of_format_2_goes_on_as_one_of_this(tmp_path: Path) -> None:
    path = tmp_path / "alice.db"
    db = sqlite3.connect(path)
    db.executescript(OF_FORMAT_2)
    db.close()
    for epoch in (5, 6):
        store = SqliteStore(path)
        found = store.open("alice")
        assert (found.epoch, found.commits, found.next_flow, found.draining) == (
            epoch,
            9,
            12,
            False,
        )
        assert [row.flow_id for row in store.flows()] == [3, 4]
        assert store.due((-1, -1), 9) == [(0, 3)]
        assert store.outcome(1) == ("F", None, "value")
        store.close()
    store = SqliteStore(path)
    store.open("alice")
    store.commit(Batch(7_000_000, 13, 21, clients={"c": (3, b"d")}, draining=True))
    assert store.client("c") == (3, b"d")
    store.close()
