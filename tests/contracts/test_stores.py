"""What every store promises: the suite that the memory store and the SQLite store both pass."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowrt.store import Batch, CommitFailed, Fenced, Store, StoreError
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.rows import ROWS
from flowrt.store.sqlite import SqliteStore
from flowrt.store.statements import Refused

Opener = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Makes store objects of one and the same disk."""
    disk = MemoryDisk()
    made: list[Store] = []

    def make() -> Store:
        memory = request.param == "memory"
        made.append(MemoryStore(disk) if memory else SqliteStore(tmp_path / "alice.db"))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(another: Opener) -> Store:
    """A new store of alice's, open."""
    store = another()
    store.open("alice")
    return store


def batch(**parts: object) -> Batch:
    return Batch(**{"now_us": 7, "next_flow": 1, "next_outbox": 1, **parts})  # type: ignore[arg-type]


def left(store: Store) -> list[tuple[int, str, bytes]]:
    """The rows of the outbox."""
    rows = list(store.outbox())
    frames = dict(store.frames([number for number, _, _ in rows][:256]))
    frames.update(store.frames([number for number, _, _ in rows][256:]))
    assert [(number, len(frames[number])) for number, _, _ in rows] == [
        (number, size) for number, _, size in rows
    ]
    return [(number, peer, frames[number]) for number, peer, _ in rows]


def living(store: Store) -> list[tuple[int, bytes]]:
    return [(row.flow_id, row.checkpoint) for row in store.flows()]


def waiting(store: Store) -> list[tuple[int, int]]:
    """The flows that go on by themselves, all of them, read two at a time."""
    found: list[tuple[int, int]] = []
    while page := store.due(found[-1] if found else (-1, -1), 2):
        found += page
    return found


def reopened(store: Store, another: Opener) -> Store:
    store.close()
    again = another()
    again.open("alice")
    return again


# --- opening -------------------------------------------------------------------------------------


def test_a_new_store_is_empty_and_has_a_name_of_its_own(another: Opener) -> None:
    store = another()
    opened = store.open("alice")
    assert opened.party == "alice"
    assert len(opened.incarnation) == 8
    assert (opened.epoch, opened.commits, opened.next_flow, opened.next_outbox) == (1, 0, 1, 1)
    assert (opened.peers, left(store), waiting(store)) == ({}, [], [])


def test_it_is_the_same_incarnation_for_ever_and_a_new_epoch_each_time(another: Opener) -> None:
    first = another()
    before = first.open("alice")
    first.close()
    after = another().open("alice")
    assert after.incarnation == before.incarnation
    assert after.epoch == before.epoch + 1


def test_another_partys_store_is_refused_by_name(another: Opener) -> None:
    another().open("alice")
    with pytest.raises(StoreError, match="belongs to party alice, not bob"):
        another().open("bob")


def test_a_refused_store_is_unharmed(store: Store, another: Opener) -> None:
    with pytest.raises(StoreError):
        another().open("bob")
    store.commit(batch(flows={1: (b"x", None)}))
    assert store.load(1) == b"x"


# --- one batch, whole ----------------------------------------------------------------------------


def test_what_was_committed_is_read_back_by_the_next_process(store: Store, another: Opener) -> None:
    store.commit(
        batch(
            next_flow=9,
            next_outbox=12,
            flows={3: (b"three", 0), 1: (b"one", None), 2: (b"two", 5_000)},
            outbox=[(10, "bob", b"to bob"), (11, "carol", b"to carol")],
            peers={"bob": b"known"},
            outcomes=[(7, "hand.Asker_v1", None, b"42"), (8, "hand.Asker_v1", "E", b"no")],
            moves=[(7, 0, b"first"), (7, 1, b"second"), (8, 0, b"other")],
            patients={5: b"five", 4: b"four"},
            audit=b"entries",
        )
    )
    for is_new in (False, True):
        seen = reopened(store, another) if is_new else store
        assert seen.load(1) == b"one"
        assert seen.load(99) is None
        assert living(seen) == [(1, b"one"), (2, b"two"), (3, b"three")]
        assert seen.outcome(7) == ("hand.Asker_v1", None, b"42")
        assert seen.outcome(8) == ("hand.Asker_v1", "E", b"no")
        assert seen.outcome(1) is None
        assert seen.moves(7) == [b"first", b"second"]
        assert seen.moves(1) == []
        assert seen.patients() == [b"four", b"five"]
        assert list(seen.audit()) == [(7, b"entries")]
    again = reopened(seen, another)
    opened = again.open("alice")
    assert (opened.next_flow, opened.next_outbox) == (9, 12)
    assert left(again) == [(10, "bob", b"to bob"), (11, "carol", b"to carol")]
    assert opened.peers == {"bob": b"known"}
    assert waiting(again) == [(0, 3), (5_000, 2)]


def test_the_last_word_counts(store: Store, another: Opener) -> None:
    store.commit(
        batch(
            flows={1: (b"old", 0), 2: (b"gone soon", 0)},
            outbox=[(1, "bob", b"a"), (2, "bob", b"b"), (3, "bob", b"c")],
            peers={"bob": b"old"},
            patients={1: b"ill", 2: b"ill"},
            moves=[(1, 0, b"m0")],
            audit=b"first",
        )
    )
    store.commit(
        batch(
            now_us=8,
            flows={1: (b"new", None), 2: None, 77: None},
            settled=[1, 3, 99],
            peers={"bob": b"new", "carol": b"met"},
            patients={1: None, 2: b"worse", 3: None},
            moves=[(1, 1, b"m1")],
            audit=b"second",
        )
    )
    assert living(store) == [(1, b"new")]
    assert store.patients() == [b"worse"]
    assert store.moves(1) == [b"m0", b"m1"]
    assert list(store.audit()) == [(7, b"first"), (8, b"second")]
    again = reopened(store, another)
    assert left(again) == [(2, "bob", b"b")]
    assert again.open("alice").peers == {"bob": b"new", "carol": b"met"}
    assert waiting(again) == []


def test_times_are_read_a_part_at_a_time(store: Store) -> None:
    """Two flows of one time come one after the other; who waits for somebody has no time."""
    flows = {n: (b"x", None if n % 5 == 0 else 100 * (n % 3)) for n in range(1, 30)}
    store.commit(batch(flows=flows))
    expected = sorted((100 * (n % 3), n) for n in range(1, 30) if n % 5)
    assert waiting(store) == expected
    assert store.due((100, 7), 3) == [(100, 13), (100, 16), (100, 19)]
    assert store.due((200, 29), 3) == []
    store.commit(batch(flows={13: (b"y", 300), 16: None, 19: (b"y", None)}))
    assert store.due((100, 7), 2) == [(100, 22), (100, 28)]
    assert store.due((200, 29), 3) == [(300, 13)]


def test_a_row_may_come_and_be_settled_in_one_batch(store: Store, another: Opener) -> None:
    store.commit(batch(outbox=[(1, "bob", b"a"), (2, "bob", b"b")], settled=[1]))
    assert left(reopened(store, another)) == [(2, "bob", b"b")]


@pytest.mark.parametrize("count", [1, 3, 7, ROWS[0] - 1, ROWS[0], 3 * ROWS[0] + 1])
def test_many_rows_of_everything(store: Store, another: Opener, count: int) -> None:
    store.commit(
        batch(
            flows={n: (b"c%d" % n, n % 3 or None) for n in range(count)},
            outbox=[(n, "bob", b"f%d" % n) for n in range(1, count)],
            outcomes=[(n, "F", None, b"v%d" % n) for n in range(count)],
            moves=[(1, n, b"m%d" % n) for n in range(count)],
        )
    )
    store.commit(batch(flows={n: (b"d%d" % n, None) for n in range(count)}))
    assert living(store) == [(n, b"d%d" % n) for n in range(count)]
    assert store.outcome(count - 1) == ("F", None, b"v%d" % (count - 1))
    assert store.moves(1) == [b"m%d" % n for n in range(count)]
    store = reopened(store, another)
    assert left(store) == [(n, "bob", b"f%d" % n) for n in range(1, count)]
    gone = range(1, count, 2), range(2, count)
    store.commit(batch(flows=dict.fromkeys(gone[0]), settled=[*gone[1]]))
    assert [n for n, _ in living(store)] == [n for n in range(count) if n not in gone[0]]
    assert left(store) == [(n, "bob", b"f%d" % n) for n in range(1, count) if n not in gone[1]]


def test_commits_are_counted_whatever_they_hold(store: Store, another: Opener) -> None:
    store.commit(batch())
    store.commit(batch(audit=b"x"))
    assert reopened(store, another).open("alice").commits == 2


@pytest.mark.parametrize(
    "twice",
    [
        {"outbox": [(1, "bob", b"x")]},
        {"outcomes": [(1, "F", None, b"x")]},
        {"moves": [(1, 0, b"x")]},
    ],
    ids=["outbox row", "outcome", "progress event"],
)
def test_what_may_happen_only_once_spoils_its_batch(store: Store, twice: dict[str, object]) -> None:
    store.commit(batch(**twice))
    with pytest.raises(CommitFailed):
        store.commit(batch(**twice, flows={5: (b"x", None)}, audit=b"y"))
    assert store.load(5) is None
    assert list(store.audit()) == []
    store.commit(batch(flows={5: (b"x", None)}))
    assert store.load(5) == b"x"


# --- who may write -------------------------------------------------------------------------------


def test_who_opens_it_takes_it_over(store: Store, another: Opener) -> None:
    store.commit(batch(flows={1: (b"x", None)}))
    second = another()
    second.open("alice")
    with pytest.raises(Fenced):
        store.commit(batch(flows={1: (b"from the grave", None), 2: (b"too", None)}))
    assert living(second) == [(1, b"x")]
    second.commit(batch(flows={1: (b"y", None)}))
    assert living(second) == [(1, b"y")]


def test_who_was_taken_over_cannot_take_it_back(store: Store, another: Opener) -> None:
    second = another()
    second.open("alice")
    with pytest.raises(Fenced):
        store.open("alice")
    second.commit(batch(flows={1: (b"x", None)}))


def test_who_was_not_may_go_back_to_what_is_committed(store: Store) -> None:
    store.commit(batch(flows={1: (b"x", 0)}, next_flow=2))
    opened = store.open("alice")
    assert (opened.commits, opened.next_flow, waiting(store)) == (1, 2, [(0, 1)])
    store.commit(batch(flows={1: None}))


def test_who_has_closed_it_may_open_it_like_anybody(store: Store, another: Opener) -> None:
    second = another()
    second.open("alice")
    second.close()
    store.close()
    store.open("alice")
    store.commit(batch(flows={1: (b"x", None)}))


def test_fenced_work_of_services_is_lost(store: Store, another: Opener) -> None:
    table(store)
    second = another()
    second.open("alice")
    put(store, "ghost")
    with pytest.raises(Fenced):
        store.commit(batch())
    assert notes(second) == []


# --- services in a step's transaction ------------------------------------------------------------


def table(store: Store) -> None:
    store.savepoint()
    store.execute("CREATE TABLE note (text TEXT UNIQUE)", (), read_only=False)
    store.release()
    store.commit(batch())


def put(store: Store, text: str, keep: bool = True) -> None:
    store.savepoint()
    store.execute("INSERT INTO note VALUES (?)", (text,), read_only=False)
    if keep:
        store.release()
    else:
        store.rollback()


def notes(store: Store) -> list[str]:
    store.savepoint()
    rows = store.execute("SELECT text FROM note ORDER BY rowid", (), read_only=True)
    store.release()
    return [text for (text,) in rows]


def test_a_step_sees_what_it_wrote_and_its_batch_keeps_it(store: Store, another: Opener) -> None:
    table(store)
    put(store, "a")
    put(store, "b")
    assert notes(store) == ["a", "b"]
    store.commit(batch(flows={1: (b"x", None)}))
    again = reopened(store, another)
    assert notes(again) == ["a", "b"]
    assert again.load(1) == b"x"


def test_a_failed_step_undoes_itself_alone(store: Store, another: Opener) -> None:
    table(store)
    put(store, "before")
    put(store, "failed", keep=False)
    put(store, "after")
    store.commit(batch())
    assert notes(reopened(store, another)) == ["before", "after"]


def test_what_was_not_committed_is_gone(store: Store, another: Opener) -> None:
    table(store)
    put(store, "a")
    assert notes(reopened(store, another)) == []


def test_what_is_abandoned_is_gone_and_the_store_goes_on(store: Store) -> None:
    table(store)
    put(store, "a")
    store.abandon()
    store.abandon()
    put(store, "b")
    store.commit(batch())
    assert notes(store) == ["b"]


def test_opening_it_again_forgets_what_services_wrote(store: Store) -> None:
    table(store)
    put(store, "a")
    store.open("alice")
    assert notes(store) == []


def test_a_refused_batch_takes_services_work_with_it(store: Store) -> None:
    table(store)
    store.commit(batch(outcomes=[(1, "F", None, b"x")]))
    put(store, "a")
    with pytest.raises(CommitFailed):
        store.commit(batch(outcomes=[(1, "F", None, b"x")]))
    assert notes(store) == []


REFUSED = [
    "COMMIT",
    "commit",
    "  -- a comment\n COMMIT",
    "/* another */ ; ROLLBACK",
    "BEGIN",
    "SAVEPOINT mine",
    "RELEASE step",
    "ROLLBACK TO step",
    "END TRANSACTION",
    "PRAGMA synchronous = OFF",
    "PRAGMA journal_mode",
    "ATTACH 'other.db' AS other",
    "DETACH other",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "REINDEX",
    "ANALYZE",
    "EXPLAIN SELECT 1",
    "SELECT * FROM engine_flow",
    'SELECT * FROM "Engine_Flow"',
    "INSERT INTO main.engine_outbox VALUES (1, 'bob', x'00')",
    "DELETE FROM [engine_audit]",
    "UPDATE engine_node SET epoch = 0",
    "DROP TABLE engine_peer",
    "CREATE TRIGGER t AFTER INSERT ON note BEGIN DELETE FROM engine_outbox; END",
    "CREATE VIEW v AS SELECT * FROM engine_node",
    "ALTER TABLE note RENAME TO engine_note",
    "WITH x AS (SELECT * FROM engine_peer) SELECT * FROM x",
    "",
    "   ;  ",
    "42",
]


def test_what_a_service_may_not_run(store: Store) -> None:
    table(store)
    for number, sql in enumerate(REFUSED):
        put(store, f"before {number}")
        store.savepoint()
        with pytest.raises(Refused):
            store.execute(sql, (), read_only=False)
        store.rollback()
        assert len(notes(store)) == number + 1, sql
    store.commit(batch(flows={1: (b"x", None)}))
    assert len(notes(store)) == len(REFUSED)


def test_one_statement_at_a_time(store: Store) -> None:
    table(store)
    store.savepoint()
    with pytest.raises((sqlite3.Warning, sqlite3.ProgrammingError)):
        store.execute("SELECT 1; COMMIT", (), read_only=False)
    store.rollback()


WRITING = [
    "INSERT INTO note VALUES ('sly')",
    "UPDATE note SET text = 'sly'",
    "DELETE FROM note",
    "REPLACE INTO note VALUES ('sly')",
    "CREATE TABLE other (x)",
    "DROP TABLE note",
    "WITH x AS (SELECT 'sly' AS t) INSERT INTO note SELECT t FROM x",
    "WITH x AS (SELECT 1) DELETE FROM note",
]


def test_a_read_writes_nothing_even_if_its_service_does_not_care(store: Store) -> None:
    table(store)
    put(store, "a")
    for sql in WRITING:
        store.savepoint()
        with pytest.raises(Refused, match="write"):
            store.execute(sql, (), read_only=True)
        store.release()
    store.commit(batch())
    assert notes(store) == ["a"]


def test_a_read_may_look_with_with(store: Store) -> None:
    store.savepoint()
    rows = store.execute("WITH x AS (SELECT 1 AS n) SELECT n FROM x", (), read_only=True)
    assert rows == [(1,)]
    assert store.execute("VALUES (1, 2)", (), read_only=True) == [(1, 2)]
    store.release()


# --- statements that end the transaction ---------------------------------------------------------


ENDINGS = {
    "or rollback": ([], "INSERT OR ROLLBACK INTO note VALUES ('a')"),
    "on conflict rollback": (
        ["CREATE TABLE strict_note (text TEXT UNIQUE ON CONFLICT ROLLBACK)"],
        "INSERT INTO strict_note VALUES ('a'), ('a')",
    ),
    "trigger": (
        [
            "CREATE TRIGGER t BEFORE INSERT ON note WHEN NEW.text = 'boom' "
            "BEGIN SELECT RAISE(ROLLBACK, 'boom'); END"
        ],
        "INSERT INTO note VALUES ('boom')",
    ),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_statement_that_ends_the_transaction_costs_the_batch(store: Store, how: str) -> None:
    before, sql = ENDINGS[how]
    table(store)
    store.savepoint()
    for statement in before:
        store.execute(statement, (), read_only=False)
    store.release()
    put(store, "a")
    store.commit(batch())

    put(store, "of another step")
    store.savepoint()
    with pytest.raises(Refused, match="ended the transaction"):
        store.execute(sql, (), read_only=False)
    # The service does not care and goes on; nothing of that may be written by itself.
    with pytest.raises(Refused):
        store.execute("INSERT INTO note VALUES ('alone')", (), read_only=False)
    store.rollback()
    store.savepoint()
    with pytest.raises(Refused):
        store.execute("INSERT INTO note VALUES ('later step')", (), read_only=False)
    store.release()
    with pytest.raises(CommitFailed, match="transaction"):
        store.commit(batch(flows={1: (b"x", None)}))
    assert store.load(1) is None
    assert notes(store) == ["a"]
    put(store, "again")
    store.commit(batch(flows={1: (b"x", None)}))
    assert notes(store) == ["a", "again"]


def test_a_deferred_constraint_is_refused_with_its_batch(store: Store) -> None:
    table(store)
    store.savepoint()
    store.execute(
        "CREATE TABLE child (text TEXT REFERENCES note (text) DEFERRABLE INITIALLY DEFERRED)",
        (),
        read_only=False,
    )
    store.release()
    store.commit(batch())
    put(store, "a")
    store.savepoint()
    store.execute("INSERT INTO child VALUES ('orphan')", (), read_only=False)
    store.release()
    with pytest.raises(CommitFailed):
        store.commit(batch(flows={1: (b"x", None)}))
    assert store.load(1) is None
    assert notes(store) == []
    put(store, "orphan")
    store.savepoint()
    store.execute("INSERT INTO child VALUES ('orphan')", (), read_only=False)
    store.release()
    store.commit(batch(flows={1: (b"x", None)}))
    assert notes(store) == ["orphan"]


def test_foreign_keys_are_kept(store: Store) -> None:
    table(store)
    store.savepoint()
    store.execute("CREATE TABLE child (text TEXT REFERENCES note (text))", (), read_only=False)
    with pytest.raises(sqlite3.IntegrityError):
        store.execute("INSERT INTO child VALUES ('orphan')", (), read_only=False)
    store.rollback()


# --- owners, people, schedules -------------------------------------------------------------------


def test_mail_is_read_in_order_from_any_number_and_some_at_a_time(
    store: Store, another: Opener
) -> None:
    store.commit(batch(mail=[(2, 0, b"other"), (1, 0, b"a"), (1, 1, b"b")]))
    store.commit(batch(mail=[(1, 2, b"c"), (1, 300, b"z")]))
    for is_new in (False, True):
        seen = reopened(store, another) if is_new else store
        assert seen.mail(1, 0, 10) == [(0, b"a"), (1, b"b"), (2, b"c"), (300, b"z")]
        assert seen.mail(1, 1, 2) == [(1, b"b"), (2, b"c")]
        assert seen.mail(1, 3, 10) == [(300, b"z")]
        assert seen.mail(1, 301, 10) == []
        assert seen.mail(2, 0, 1) == [(0, b"other")]
        assert seen.mail(3, 0, 1) == []


def test_mail_is_said_once(store: Store) -> None:
    store.commit(batch(mail=[(1, 0, b"a")]))
    with pytest.raises(CommitFailed):
        store.commit(batch(mail=[(1, 1, b"b"), (1, 0, b"again")], tasks={(1, 0): b"lost too"}))
    assert store.mail(1, 0, 10) == [(0, b"a")]
    assert list(store.tasks()) == []


def test_mail_outlives_its_flow(store: Store) -> None:
    store.commit(batch(flows={1: (b"x", None)}, mail=[(1, 0, b"a")]))
    store.commit(batch(flows={1: None}, mail=[(1, 1, b"end")]))
    assert store.mail(1, 0, 10) == [(0, b"a"), (1, b"end")]


def test_tasks_by_flow_and_number_until_they_are_over(store: Store, another: Opener) -> None:
    store.commit(batch(tasks={(2, 0): b"2.0", (1, 10): b"1.10", (1, 9): b"1.9", (3, 0): None}))
    assert list(store.tasks()) == [b"1.9", b"1.10", b"2.0"]
    assert list(store.tasks((1, 9))) == [b"1.10", b"2.0"]
    assert list(store.tasks((1, 99))) == [b"2.0"]
    assert list(store.tasks((2, 0))) == []
    assert (store.task(1, 10), store.task(1, 11), store.task(10, 1)) == (b"1.10", None, None)
    store.commit(batch(tasks={(1, 10): b"changed", (1, 9): None, (7, 7): None}))
    assert list(reopened(store, another).tasks()) == [b"changed", b"2.0"]


def test_schedules_by_name(store: Store, another: Opener) -> None:
    store.commit(batch(schedules={"a.B": b"one", "ü": b"two", "c": None}))
    assert store.schedules() == {"a.B": b"one", "ü": b"two"}
    store.commit(batch(schedules={"a.B": b"later", "ü": None}))
    assert reopened(store, another).schedules() == {"a.B": b"later"}


def test_what_is_read_is_not_the_stores_own(store: Store) -> None:
    store.commit(batch(schedules={"a": b"one"}, mail=[(1, 0, b"a")], tasks={(1, 0): b"t"}))
    store.schedules().clear()
    store.mail(1, 0, 10).clear()
    assert (store.schedules(), list(store.tasks())) == ({"a": b"one"}, [b"t"])
    assert store.mail(1, 0, 1) == [(0, b"a")]


# --- clients, draining, forgetting ----------------------------------------------------------------


def test_a_clients_name_for_a_flow_is_taken_once(store: Store, another: Opener) -> None:
    store.commit(batch(clients={"order 17": (3, b"digest")}))
    with pytest.raises(CommitFailed):
        store.commit(batch(clients={"order 17": (4, b"other")}, flows={4: (b"x", None)}))
    again = reopened(store, another)
    assert again.client("order 17") == (3, b"digest")
    assert again.client("order 18") is None
    assert again.load(4) is None


def test_draining_is_remembered(store: Store, another: Opener) -> None:
    assert not another().open("alice").draining
    store = reopened(store, another)
    store.commit(batch(draining=True))
    store.commit(batch())
    assert reopened(store, another).open("alice").draining


def test_rows_tell_when_they_were_written(store: Store) -> None:
    store.commit(batch(now_us=5_000_000, flows={1: (b"a", 9), 2: (b"b", None)}))
    store.commit(batch(now_us=7_999_999, flows={2: (b"c", 0)}))
    assert list(store.flows()) == [(1, b"a", 9, 5), (2, b"c", 0, 7)]
    assert [row.flow_id for row in store.flows(1)] == [2]


def test_what_ended_long_ago_is_forgotten_whole(store: Store, another: Opener) -> None:
    for number, at_us in ((1, 10), (2, 20), (3, 30)):
        store.commit(
            batch(
                now_us=at_us,
                outcomes=[(number, "F", None, b"v")],
                moves=[(number, 0, b"m")],
                mail=[(number, 0, b"l")],
                clients={f"c{number}": (number, b"d")},
                flows={9: (b"living", None)},
                audit=b"e%d" % number,
            )
        )
    assert store.purge(10, 100) == (0, 0)
    assert store.purge(30, 1) == (1, 1)
    assert store.purge(30, 100) == (1, 1)
    for again in (False, True):
        kept = reopened(store, another) if again else store
        assert [kept.outcome(n) is None for n in (1, 2, 3)] == [True, True, False]
        assert [kept.moves(n) for n in (1, 2, 3)] == [[], [], [b"m"]]
        assert [kept.mail(n, 0, 9) for n in (1, 2, 3)] == [[], [], [(0, b"l")]]
        assert [kept.client(f"c{n}") is None for n in (1, 2, 3)] == [True, True, False]
        assert list(kept.audit()) == [(30, b"e3")]
        assert living(kept) == [(9, b"living")]


def test_who_was_fenced_forgets_nothing(store: Store, another: Opener) -> None:
    store.commit(batch(outcomes=[(1, "F", None, b"v")]))
    another().open("alice")
    with pytest.raises(Fenced):
        store.purge(100, 100)


# --- waits for events ----------------------------------------------------------------------------


def test_waits_are_found_by_their_event_in_order_and_go_one_by_one(store: Store) -> None:
    store.commit(
        batch(waits={b"a": {(2, 0): True, (1, 3): True, (1, 1): True}, b"b": {(1, 2): True}})
    )
    assert store.waiting(b"a") == [(1, 1), (1, 3), (2, 0)]
    store.commit(batch(waits={b"a": {(1, 3): False, (9, 9): False, (2, 0): True, (3, 0): True}}))
    assert store.waiting(b"a") == [(1, 1), (2, 0), (3, 0)]
    assert store.waiting(b"b") == [(1, 2)]
    assert store.waiting(b"c") == []
    store.open("alice")
    assert store.waiting(b"a") == [(1, 1), (2, 0), (3, 0)]
