"""What is kept how long, and the audit trail's chain: every bit that was changed is found."""

from __future__ import annotations

import datetime
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flowrt import audit
from flowrt.core.values import encode
from flowrt.node import Node
from flowrt.retention import AT_ONCE, Retention
from flowrt.store import Batch, CommitFailed, Store
from flowrt.store.chain import Broken, Link, digest_of, verify
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.clinic import START_US
from tests.runtime.written import compiled

PROGRAM = compiled("""
flow Done(n: Int) -> Int:
    startable by rpc
    steps:
        ONE "one"
    step ONE
    return n

flow Lives():
    startable by rpc
    sleep 1000d
""")
DAY_US = 86_400_000_000


class House:
    """A node whose time somebody sets."""

    def __init__(self, store: Store, retention: Retention | None) -> None:
        self.now_us = START_US
        self.store = store
        self.node = Node.create(
            "alice",
            store=store,
            network=MemoryNetwork(),
            modules=[PROGRAM],
            clock=lambda: self.now_us,
            retention=retention,
        )

    def rest(self) -> None:
        for _ in range(1000):
            due_us = self.node.next_due()
            if due_us is None or due_us > self.now_us + 10_000_000:
                return
            self.now_us = max(self.now_us, due_us)
            self.node.turn()
        raise AssertionError("the node never rests")

    def done(self, count: int) -> list[int]:
        ids = [self.node.submit(PROGRAM.Done_v1, n=n).id for n in range(count)]
        self.rest()
        return ids


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    found: Store = MemoryStore()
    if request.param == "sqlite":
        found = SqliteStore(tmp_path / "alice.db")
    yield found
    found.close()


def test_what_is_over_is_forgotten_when_it_is_too_old_and_what_lives_is_not(store: Store) -> None:
    keep = Retention(results=datetime.timedelta(days=2), audit=datetime.timedelta(days=5))
    house = House(store, keep)
    lives = house.node.submit(PROGRAM.Lives_v1).id
    ids = house.done(2 * AT_ONCE + 10)
    audit_rows = len(list(store.audit()))
    house.now_us += DAY_US
    house.rest()
    assert all(store.outcome(flow_id) is not None for flow_id in ids)
    house.now_us += DAY_US + 1_000_000
    house.rest()
    assert not any(store.outcome(flow_id) for flow_id in ids), "in pieces, all of them"
    assert not any(store.moves(flow_id) for flow_id in ids)
    assert len(list(store.audit())) == audit_rows, "the audit trail is kept longer"
    house.now_us += 4 * DAY_US
    house.rest()
    assert list(store.audit()) == []
    assert [view.id for view in house.node.flows()] == [lives]
    house.done(1)
    assert house.node.verify_audit().rows == len(list(store.audit())), "the chain goes on"


def test_nothing_is_forgotten_unless_somebody_says_so(store: Store) -> None:
    house = House(store, None)
    (flow_id,) = house.done(1)
    house.now_us += 10_000 * DAY_US
    house.rest()
    assert store.outcome(flow_id) is not None
    assert house.node.next_due() is None


def test_each_has_its_own_age(store: Store) -> None:
    house = House(store, Retention(audit=datetime.timedelta(days=1)))
    (flow_id,) = house.done(1)
    house.now_us += 3 * DAY_US
    house.rest()
    assert list(store.audit()) == []
    assert store.outcome(flow_id) is not None
    with pytest.raises(ValueError, match="results are kept for -1 day"):
        Retention(results=datetime.timedelta(days=-1))


def test_a_purge_by_hand_may_keep_the_audit_trail(store: Store) -> None:
    house = House(store, None)
    house.done(3)
    rows = len(list(store.audit()))
    later = datetime.datetime.fromtimestamp(START_US / 1e6 + 60, datetime.UTC)
    purged = house.node.purge(later, audit_before=later - datetime.timedelta(days=1))
    assert (purged.flows, purged.entries) == (3, 0)
    assert len(list(store.audit())) == rows


# --- the chain -----------------------------------------------------------------------------------


def chained(store: Store, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        store.commit(Batch(number, 1, 1, audit=encode([("entry", number)])))


def test_the_chain_goes_on_over_processes_refusals_and_purges(tmp_path: Path) -> None:
    for disk in (MemoryDisk(), tmp_path / "alice.db"):

        def opened(disk: Any = disk) -> Store:
            made: Store = MemoryStore(disk) if isinstance(disk, MemoryDisk) else SqliteStore(disk)
            made.open("alice")
            return made

        store = opened()
        chained(store, 5)
        store.close()
        store = opened()
        store.commit(Batch(5, 1, 1, outcomes=[(1, "F", None, b"")]))
        with pytest.raises(CommitFailed):
            store.commit(Batch(6, 1, 1, outcomes=[(1, "F", None, b"")], audit=b"refused"))
        store.open("alice")
        chained(store, 5, 10)
        whole = verify(*store.chain())
        assert whole.rows == 10
        assert store.purge(0, 100, 4) == (0, 4)
        assert verify(*store.chain()) == whole._replace(rows=6)
        assert store.purge(0, 100, 99) == (0, 6)
        assert verify(*store.chain()) == whole._replace(rows=0), "what begins follows what ended"
        chained(store, 1, 50)
        assert verify(*store.chain()).rows == 1
        store.close()


def test_every_changed_bit_is_found() -> None:
    links: list[Link] = []
    for number in range(1, 6):
        digest = digest_of(links[-1].digest if links else b"", number, b"e%d" % number)
        links.append(Link(number, number, b"e%d" % number, digest))
    assert verify(b"", links).head == links[-1].digest
    for at, link in enumerate(links):
        for field in ("at_us", "entries", "digest"):
            for bit in range(8 * (1 if field == "at_us" else len(getattr(link, field)))):
                value = getattr(link, field)
                changed: Any = (
                    value ^ (1 << bit)
                    if isinstance(value, int)
                    else (int.from_bytes(value) ^ (1 << bit)).to_bytes(len(value))
                )
                spoiled = [*links[:at], link._replace(**{field: changed}), *links[at + 1 :]]
                with pytest.raises(Broken):
                    verify(b"", spoiled)
        for spoiled in (
            [*links[:at], *links[at + 1 :]] if link is not links[-1] else [*links, link],
            [*links[:at], link, link._replace(number=99), *links[at + 1 :]],
            [*links[:at], *links[at + 1 : at + 2], link, *links[at + 2 :]]
            if link is not links[-1]
            else [link, *links[:-1]],
        ):
            with pytest.raises(Broken):
                verify(b"", spoiled)
    with pytest.raises(Broken):
        verify(b"another start", links)


def test_a_store_is_verified_from_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "alice.db"
    store = SqliteStore(path)
    store.open("alice")
    chained(store, 3)
    head = verify(*store.chain()).head.hex()
    assert audit.main([str(path)]) == 0, "while its node runs"
    assert capsys.readouterr().out == (
        f"3 rows are as they were written; the last digest: {head}\n"
    )
    store.close()
    db = sqlite3.connect(path)
    db.execute("UPDATE engine_audit SET entries = x'00' WHERE id = 2")
    db.commit()
    db.close()
    assert audit.main([str(path)]) == 1
    assert capsys.readouterr().err == (
        f"{path}: row 2 of the audit trail is not what was written: it was changed, or a row "
        "before it was changed, removed or inserted; compare with a backup\n"
    )
    assert audit.main([str(tmp_path / "none.db")]) == 1
    assert capsys.readouterr().err.endswith("none.db: there is no such file\n")
    (tmp_path / "text.db").write_text("hello, this is not a database at all" * 100)
    assert audit.main([str(tmp_path / "text.db")]) == 1
    assert "it cannot be read as a store" in capsys.readouterr().err
