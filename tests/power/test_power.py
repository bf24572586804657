"""Power lost at every write and sync of a store: what was acknowledged is there, nothing half."""

from __future__ import annotations

import contextlib
import errno
import importlib.resources
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowrt.store import Batch, Fenced, StoreError
from flowrt.store.upgrades import FORMAT
from tests.power import vfs
from tests.power.__main__ import campaign
from tests.power.disk import Disk
from tests.power.judge import PARTY, Watched, examine
from tests.power.loss import at_end
from tests.power.plots import BOB, PLOTS, PoweredWorld
from tests.power.vfs import SimulatedFiles, kill
from tests.runtime import hand_flow as hand
from tests.runtime.book import written

pytestmark = vfs.NEEDED


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What the flows log is of no interest."""
    with caplog.at_level("CRITICAL"):
        yield


@pytest.fixture(params=["SQLite syncs folders", "names follow files", "nothing is given"])
def names_follow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a file's sync makes its own name durable: three kinds of file systems and builds."""
    monkeypatch.setattr(vfs, "SYNCS_FOLDERS", request.param == "SQLite syncs folders")
    return bool(request.param == "names follow files")


def little(store: Watched, commits: int = 5) -> Disk:
    """A store that is made, opened, written to and closed."""
    store.open(PARTY)
    for number in range(1, commits + 1):
        store.commit(Batch(number, 1, 1, flows={number % 3: (bytes(3000), None)}))
    store.close()
    store.disk.unplug()
    return store.disk


# --- the product ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("plot", "every", "least"), [("trades", 4, 1200), ("batches", 14, 600)])
def test_what_was_acknowledged_is_there_and_nothing_is_half_there(
    plot: str, every: int, least: int
) -> None:
    draw = random.Random(1)
    count = 0
    for party, disk in PLOTS[plot](draw).items():
        report = examine(disk, draw, party=party, every=every, again=0.002)
        assert not report.violations
        count += report.count
    assert count > least


def test_a_store_is_made_whole_or_not_at_all(names_follow: bool) -> None:
    """Every point of making one and of its first commits, on every kind of disk."""
    disk = little(Watched(Disk()))
    report = examine(disk, random.Random(2), samples=2, again=0.002, names_follow=names_follow)
    assert not report.violations
    assert report.count > 450
    assert {"torn", "rubbish", "synced only", "subset, torn"} <= set(report.states)


def test_nobody_is_told_before_the_name_of_a_store_is_durable(names_follow: bool) -> None:
    """Who made the store was killed between giving it its name and making that durable."""

    class Killed(BaseException):
        pass

    class Dying(SimulatedFiles):
        def sync(self, path: Path) -> None:
            if path == self.disk.folder:
                raise Killed
            super().sync(path)

    disk = Disk()
    store = Watched(disk, files=Dying(disk))
    with pytest.raises(Killed):
        store.open(PARTY)
    kill(disk)
    assert list(disk.names) == ["alice.db"]
    report = examine(little(Watched(disk)), random.Random(3), names_follow=names_follow)
    assert not report.violations


@pytest.mark.parametrize("kind", ["write", "sync", "truncate", "unlink", "create", "folder"])
def test_flows_go_on_where_the_power_was_lost(kind: str) -> None:
    """Bob's disk loses its power in the middle of everything, again and again; the world ends as if
    nothing had been."""
    draw = random.Random(f"lost while {kind}")
    lost = 0
    for _ in range(6):
        with PoweredWorld(draw, batch=draw.choice((1, 512))) as world:
            asker = world.start("alice", hand.Asker_v1, to=BOB, rounds=3)
            texts = ("one", "t" * 6000, "three")
            teller = world.start(
                "alice", hand.Notifier_v1, to=BOB, texts=texts, flow="hand.Listener"
            )
            for _ in range(200):
                _lose(world.disks["bob"], kind, draw)
                moved = world.tick()
                lost += not world.disks["bob"].has_power
                if not moved:
                    break
            for disk in world.disks.values():
                disk.fault = None
            lost += world.members["bob"].crashes
            world.run()
            assert (world.result(asker), world.result(teller)) == (12, 3)
            book = ["asked 1", "asked 2", "asked 3", "one", "t" * 6000, "the end", "three"]
            assert sorted(written(world, "bob")) == sorted(book)
            assert set(world.residue().values()) == {(0, 0, 0)}
    if kind in ("write", "sync"):
        assert lost > 6


def _lose(disk: Disk, kind: str, draw: random.Random) -> None:
    """Let the disk lose its power at one of the next operations of this kind."""
    rest = draw.randrange(1, 12)

    def fault(what: str, name: str) -> int | None:
        nonlocal rest
        rest -= what == kind
        disk.has_power = rest > 0
        return None

    if disk.fault is None:
        disk.fault = fault


# --- the examination finds what is wrong ---------------------------------------------------------


class Less(SimulatedFiles):
    """A disk whose connections do not run one statement as it is written."""

    instead: dict[str, str] = {}

    def connect(
        self, path: Path, busy_seconds: float, any_thread: bool = False
    ) -> sqlite3.Connection:
        instead = self.instead

        class Other(sqlite3.Connection):
            def execute(self, sql: str, *rest: Any) -> Any:
                return super().execute(instead.get(sql, sql), *rest)

        return sqlite3.connect(
            f"file:{path}?vfs={vfs.NAME}", uri=True, isolation_level=None, factory=Other
        )


class Normal(Less):
    """`synchronous = NORMAL`, and nobody notices."""

    instead = {
        "PRAGMA synchronous = FULL": "PRAGMA synchronous = NORMAL",
        "PRAGMA synchronous": "SELECT 2",
    }


class Unsynced(Less):
    """The file that is made has never been synchronised when it gets its name."""

    instead = {
        "PRAGMA synchronous = FULL": "PRAGMA synchronous = OFF",
        "PRAGMA synchronous": "SELECT 2",
    }

    def connect(
        self, path: Path, busy_seconds: float, any_thread: bool = False
    ) -> sqlite3.Connection:
        if path.suffix != ".creating":
            return SimulatedFiles.connect(self, path, busy_seconds)
        return super().connect(path, busy_seconds)

    def sync(self, path: Path) -> None:
        if path == self.disk.folder:
            super().sync(path)


class NoFolder(SimulatedFiles):
    """The folder is never synchronised by the store."""

    def sync(self, path: Path) -> None:
        if path != self.disk.folder:
            super().sync(path)


class InPlace(Watched):
    """A store that is made under its own name at once."""

    def _create(self, party: str) -> None:
        schema = importlib.resources.files("flowrt.store").joinpath("schema.sql").read_text()
        with contextlib.closing(self._connect(self.path, None)) as db:
            db.executescript(f"BEGIN; {schema}")
            row = (FORMAT, party, os.urandom(8))
            db.execute(
                "INSERT INTO engine_node (id, format, party, incarnation, epoch, commits, "
                "next_flow, next_outbox) VALUES (1, ?, ?, ?, 0, 0, 1, 1)",
                row,
            )
            db.execute("COMMIT")


@pytest.mark.parametrize("files", [Normal, Unsynced, NoFolder])
def test_a_sync_that_is_left_out_is_found(
    files: type[SimulatedFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    follows = files is NoFolder
    monkeypatch.setattr(vfs, "SYNCS_FOLDERS", not follows)
    disk = Disk()
    little(Watched(disk, files=files(disk)))
    report = examine(disk, random.Random(4), samples=2, names_follow=follows, stop=True)
    assert report.violations


def test_a_store_made_in_place_is_found() -> None:
    report = examine(little(InPlace(Disk())), random.Random(4), stop=True)
    assert report.violations


def test_a_commit_that_is_lost_is_found() -> None:
    """Whatever the disk: who promises a commit that was not made is caught."""
    disk = little(Watched(Disk()), commits=2)
    disk.log += [("mark", "written", 3, 0), ("folder",)]
    report = examine(disk, random.Random(5), stop=True)
    assert report.violations == [
        f"alice, point {len(disk.log)}, all there: 2 commits, and 3 were acknowledged"
    ]


def test_a_commit_of_which_a_part_is_lost_is_found() -> None:
    disk = little(Watched(Disk()), commits=2)
    last = max(n for n, entry in enumerate(disk.log) if entry[:2] == ("mark", "written"))
    disk.log[last] = (*disk.log[last][:3], 12345)
    report = examine(disk, random.Random(5), stop=True)
    assert "the tables do not hold what they held after commit 2" in report.violations[0]


# --- the disk and SQLite on it -------------------------------------------------------------------


def test_what_is_synced_stays_and_what_is_not_may_be_anything() -> None:
    disk = Disk({"old": b"0"})
    file = disk.open("file", create=True)
    assert file is not None
    disk.write("file", file, 0, b"a" * 1024)
    disk.sync("file", file)
    disk.sync_folder()
    disk.write("file", file, 0, b"b" * 1024)
    disk.unlink("old")
    images = [image for _, image in at_end(disk).images(random.Random(1), 200)]
    seen = {(image["file"], "old" in image) for image in images}
    a, b = b"a" * 512, b"b" * 512
    assert seen == {(x + y, old) for x in (a, b) for y in (a, b) for old in (True, False)}


def test_a_sync_that_failed_is_made_good_by_no_later_one() -> None:
    disk = Disk({"file": b"a"})
    file = disk.names["file"]
    disk.write("file", file, 0, b"b")
    disk.fault = lambda kind, name: errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        disk.sync("file", file)
    disk.fault = None
    disk.sync("file", file)
    assert bytes(file.content) == b"b", "everyone can read it"
    assert [image for _, image in at_end(disk).images(random.Random(1), 9)] == [{"file": b"a"}] * 2


def test_two_processes_have_locks_and_the_second_fences_the_first() -> None:
    disk = Disk()
    first, second = Watched(disk), Watched(disk)
    first.open(PARTY)
    first.savepoint()
    with pytest.raises(StoreError, match="database is locked"):
        second.open(PARTY)
    first.abandon()
    second.open(PARTY)
    with pytest.raises(Fenced):
        first.commit(Batch(1, 1, 1))
    second.commit(Batch(1, 1, 1))
    first.close()
    assert "alice.db-wal" in disk.names, "somebody still uses it"
    second.close()
    assert list(disk.names) == ["alice.db", "alice.db-mark"]
    disk.unplug()


def test_a_killed_process_writes_nothing_any_more_and_has_no_lock() -> None:
    disk = Disk()
    first, second = Watched(disk), Watched(disk)
    first.open(PARTY)
    first.savepoint()
    kill(disk)
    entries = len(disk.log)
    first.close()
    assert len(disk.log) == entries
    second.open(PARTY)
    second.close()
    disk.unplug()


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_twenty_thousand_states() -> None:
    report = campaign(int(os.environ.get("FLOW_POWER", "20000")))
    assert not report.violations
