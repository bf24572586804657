"""A disk that fails while a store runs: what was acknowledged survives that and a loss of power."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator

import pytest

from flowrt.node import NodeStopped
from flowrt.store import Batch, OutcomeUnknown, StoreError
from tests.power import vfs
from tests.power.disk import Disk
from tests.power.judge import PARTY, Report, Watched, examine
from tests.power.plots import BOB, PoweredWorld
from tests.power.vfs import SimulatedFiles, kill
from tests.runtime import hand_flow as hand
from tests.runtime.book import written

pytestmark = vfs.NEEDED

BATCHES = 12


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What the flows log is of no interest."""
    with caplog.at_level("CRITICAL"):
        yield


class Faults:
    """Lets `many` operations of a kind fail, from the one with number `first` on."""

    def __init__(self, kind: str, code: int, first: int, many: int) -> None:
        self.kind, self.code, self.failing = kind, code, range(first, first + many)
        self.count = 0

    def __call__(self, kind: str, name: str) -> int | None:
        self.count += kind == self.kind
        return self.code if kind == self.kind and self.count in self.failing else None

    @property
    def is_over(self) -> bool:
        """Whether all of them have failed."""
        return self.count >= self.failing.stop - 1


def persevere(faults: Faults, files: type[SimulatedFiles] = SimulatedFiles) -> Disk:
    """Some batches, each until it is written, as a node does: back to the store when nobody knows,
    a new process when that fails."""
    disk = Disk()
    store = Watched(disk, files=files(disk))
    store.open(PARTY)
    disk.fault = faults
    for number in range(BATCHES):
        batch = Batch(1, 1, 1, flows={number: (bytes(3000), None)})
        while True:
            before = store.commits
            try:
                if store.is_closed and store.open(PARTY).commits > before:
                    break
                store.commit(batch)
                break
            except OutcomeUnknown:
                try:
                    if store.open(PARTY).commits > before:
                        break
                except StoreError:
                    kill(disk)
                    store.close()
            except StoreError:
                kill(disk)
                store.close()
    assert store.commits == BATCHES
    store.close()
    disk.unplug()
    return disk


def after(kind: str, code: int, many: int, files: type[SimulatedFiles] = SimulatedFiles) -> Report:
    """What a loss of power leaves, whichever sync or every fifth write is the first to fail."""
    report = Report()
    first = 1
    while True:
        faults = Faults(kind, code, first, many)
        disk = persevere(faults, files)
        if report.violations:
            return report
        if not faults.is_over:
            assert first > 10, "many operations have failed, one after the other"
            return report
        report += examine(disk, random.Random(first), every=30)
        first += 5 if kind == "write" else 1


@pytest.mark.parametrize("many", [1, 2, 3])
@pytest.mark.parametrize("kind", ["sync", "write"])
def test_a_failing_disk_loses_nothing_that_was_acknowledged(kind: str, many: int) -> None:
    report = after(kind, errno.EIO, many)
    assert not report.violations
    assert report.count > 300


def test_a_full_disk_loses_nothing_that_was_acknowledged() -> None:
    report = after("write", errno.ENOSPC, 2)
    assert not report.violations
    assert report.count > 300


def test_without_writing_the_log_once_more_a_failing_sync_loses_commits() -> None:
    """Why a store does it when it is opened."""

    class Trusting(SimulatedFiles):
        def rewrite(self, path: object) -> None:
            pass

    assert after("sync", errno.EIO, 2, Trusting).violations


def test_nothing_is_acknowledged_after_a_sync_that_failed_until_the_store_is_opened_again() -> None:
    disk = Disk()
    store = Watched(disk)
    store.open(PARTY)
    disk.fault = Faults("sync", errno.EIO, 1, 1)
    with pytest.raises(OutcomeUnknown, match="disk I/O error"):
        store.commit(Batch(1, 2, 2, flows={1: (b"x", None)}))
    assert store.open(PARTY).commits == 0
    store.commit(Batch(1, 2, 2, flows={1: (b"y", None)}))
    assert store.load(1) == b"y"
    store.close()
    disk.unplug()


@pytest.mark.parametrize("kind", ["sync", "write", "folder", "create", "rename", "truncate"])
def test_a_store_that_cannot_be_made_says_so_and_is_made_later(kind: str) -> None:
    for first in range(1, 60, 3 if kind == "write" else 1):
        disk = Disk()
        store = Watched(disk)
        disk.fault = faults = Faults(kind, errno.EIO, first, 1)
        try:
            store.open(PARTY)
        except StoreError:
            store.open(PARTY)
        disk.fault = None
        store.commit(Batch(1, 1, 1, flows={1: (b"x", None)}))
        store.close()
        disk.unplug()
        report = examine(disk, random.Random(first), every=30)
        assert not report.violations
        if not faults.is_over:
            break
    assert first > 1


# --- nodes on a disk that fails ------------------------------------------------------------------


TEXTS = ("one", "t" * 6000, "three")
BOOK = sorted([*TEXTS, "the end", "asked 1", "asked 2", "asked 3"])


def world_with(faults: Faults) -> tuple[PoweredWorld, list[object]]:
    """Bob's disk fails while alice's flows talk to him."""
    world = PoweredWorld(random.Random(1), batch=4)
    world.disks["bob"].fault = faults
    starts = [
        world.start("alice", hand.Asker_v1, to=BOB, rounds=3),
        world.start("alice", hand.Notifier_v1, to=BOB, texts=TEXTS, flow="hand.Listener"),
    ]
    return world, [*starts]


@pytest.mark.parametrize(
    ("kind", "code"), [("write", errno.ENOSPC), ("write", errno.EIO), ("sync", errno.EIO)]
)
def test_a_node_goes_on_by_itself_when_a_commit_failed_once(kind: str, code: int) -> None:
    first, failed = 1, 0
    while True:
        faults = Faults(kind, code, first, 1)
        world, starts = world_with(faults)
        with world:
            world.run()
            assert [world.result(start) for start in starts] == [12, 3]
            assert sorted(written(world, "bob")) == BOOK
            assert world.members["bob"].crashes == 0, "nobody had to start it again"
            assert set(world.residue().values()) == {(0, 0, 0)}
            if not faults.is_over:
                break
            report = examine(world.disks["bob"], random.Random(first), party="bob", every=200)
            assert not report.violations
        failed += 1
        first += 1 if kind == "sync" else 7
    assert failed > 6


def test_a_node_whose_disk_stays_full_stops_and_goes_on_when_there_is_space() -> None:
    world, starts = world_with(Faults("write", errno.ENOSPC, 20, 1_000_000))
    with world:
        with pytest.raises(NodeStopped, match=r"full|No space left"):
            world.run()
        told = len(world.node("alice")._outbox)
        assert told > 0, "what bob does not hold, alice keeps"
        world.disks["bob"].fault = None
        world.members["bob"].node = None
        world.run()
        assert [world.result(start) for start in starts] == [12, 3]
        assert sorted(written(world, "bob")) == BOOK
        report = examine(world.disks["bob"], random.Random(1), party="bob", every=4)
        assert not report.violations
