"""Whether a disk that lost its power has kept what was promised, as a new process finds it.

A `Watched` store marks in its disk's log when it promises something: that it is open, that a batch
is committed, and what all its tables hold then. `judge` opens a new store on a state and compares:
every acknowledged batch is there, whole; the one that was under way is there whole or not at all;
the file is sound; the store goes on.
"""

from __future__ import annotations

import dataclasses
import random
import sqlite3
from pathlib import Path

from flowrt.store import Batch, Opened, StoreError
from flowrt.store.sqlite import SqliteStore
from tests.power.disk import Disk
from tests.power.loss import State, losses
from tests.power.vfs import SimulatedFiles, kill

PARTY = "alice"


def path_on(disk: Disk, party: str = PARTY) -> Path:
    """Where a party's store lies."""
    return disk.folder / f"{party}.db"


def content(store: SqliteStore) -> int:
    """A digest of every row of every table but the claim's number."""
    db = store._open_db
    db.execute("BEGIN")
    tables = db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    rows = [
        (sql, tuple(db.execute(f"SELECT * FROM {name}")))
        for name, sql in tables
        if sql is not None and sql.startswith("CREATE TABLE") and name != "engine_node"
    ]
    node = db.execute("SELECT incarnation, commits, next_flow, next_outbox FROM engine_node")
    digest = hash((tuple(node), tuple(rows)))
    db.execute("COMMIT")
    return digest


class Watched(SqliteStore):
    """A store that marks in the disk's log what it promises."""

    def __init__(self, disk: Disk, party: str = PARTY, files: SimulatedFiles | None = None) -> None:
        super().__init__(path_on(disk, party), files or SimulatedFiles(disk))
        self.disk = disk
        self.holds = 0
        self.commits = 0

    @property
    def is_closed(self) -> bool:
        return self._work is None

    def open(self, party: str) -> Opened:
        self.disk.mark("opening")
        opened = super().open(party)
        self.commits = opened.commits
        self.holds = content(self)
        self.disk.mark("opened", opened.incarnation, opened.epoch, opened.commits, self.holds)
        return opened

    def commit(self, batch: Batch) -> None:
        self.disk.mark("writing", self.commits + 1)
        super().commit(batch)
        self.commits += 1
        self.holds = content(self)
        self.disk.mark("written", self.commits, self.holds)


@dataclasses.dataclass(frozen=True)
class Promise:
    """What has been promised at some point of a log, and what is under way: `openings` that may or
    may not be in the store, and perhaps a batch. Digests are those of `content`."""

    incarnation: bytes = b""
    epoch: int = 0
    commits: int = 0
    holds: int | None = None
    openings: int = 0
    is_writing: bool = False
    will_hold: int | None = None


def promises(disk: Disk, base: Promise) -> list[Promise]:
    """What is promised after each number of the disk's marks, from none on."""
    marks = [entry[1:] for entry in disk.log if entry[0] == "mark"]
    found = [base]
    change = dataclasses.replace
    for number, (kind, *rest) in enumerate(marks, 1):
        now = found[-1]
        if kind == "opening":
            now = change(now, openings=now.openings + 1)
        elif kind == "opened":
            now = Promise(*rest)
        elif kind == "writing":
            following = marks[number] if number < len(marks) else ("",)
            will_hold = following[2] if following[0] == "written" else None
            now = change(now, is_writing=True, will_hold=will_hold)
        elif kind == "written":
            now = change(now, commits=rest[0], holds=rest[1], is_writing=False)
        elif kind == "refused":
            now = change(now, is_writing=False)
        found.append(now)
    return found


def judge(
    state: State, promise: Promise, party: str = PARTY, *, is_last: bool = False
) -> tuple[str | None, Disk]:
    """What is wrong with a state, None if nothing is; and the disk on which the store went on,
    which nobody looks at if it `is_last`."""
    disk = Disk(state.images)
    store = Watched(disk, party)
    try:
        return _wrong(store, promise, party, is_last), disk
    except (StoreError, sqlite3.Error) as error:
        return f"{type(error).__name__}: {error}", disk
    finally:
        kill(disk)
        store.close()
        disk.unplug()


def _wrong(store: Watched, promise: Promise, party: str, is_last: bool) -> str | None:
    opened = store.open(party)
    if promise.epoch:
        if opened.incarnation != promise.incarnation:
            return "the store is gone, and a new one was made"
        if not 0 <= opened.epoch - 1 - promise.epoch <= promise.openings:
            return f"epoch {opened.epoch - 1}, and {promise.epoch} was promised"
    if opened.commits - promise.commits not in (0, int(promise.is_writing)):
        return f"{opened.commits} commits, and {promise.commits} were acknowledged"
    holds = promise.holds if opened.commits == promise.commits else promise.will_hold
    if holds not in (None, store.holds):
        return f"the tables do not hold what they held after commit {opened.commits}"
    if (said := store._open_db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
        return f"integrity_check: {said}"
    outcome = (-1 - opened.commits, "flow", None, b"")
    batch = Batch(1, opened.next_flow + 1, opened.next_outbox, outcomes=[outcome])
    SqliteStore.commit(store, batch) if is_last else store.commit(batch)
    return None


@dataclasses.dataclass
class Report:
    """How many states there were, by kind, and which of them were wrong."""

    states: dict[str, int] = dataclasses.field(default_factory=dict)
    points: int = 0
    violations: list[str] = dataclasses.field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.states.values())

    def __iadd__(self, other: Report) -> Report:
        for kind, count in other.states.items():
            self.states[kind] = self.states.get(kind, 0) + count
        self.points += other.points
        self.violations += other.violations
        return self


def examine(
    disk: Disk,
    draw: random.Random,
    *,
    party: str = PARTY,
    promise: Promise | None = None,
    samples: int = 1,
    every: int = 1,
    again: float = 0.0,
    names_follow: bool = False,
    stop: bool = False,
    prefix: str = "",
) -> Report:
    """Every state after a loss of power at every point of a disk's log.

    After the share `again` of them the power is lost once more, while the store recovers or goes
    on. `stop` at the first violation.
    """
    report = Report(points=sum(entry[0] != "mark" for entry in disk.log))
    promised = promises(disk, promise or Promise())
    for marks, state in losses(disk, draw, samples=samples, every=every, names_follow=names_follow):
        now = promised[len(marks)]
        kind = prefix + state.kind
        report.states[kind] = report.states.get(kind, 0) + 1
        is_last = draw.random() >= again
        wrong, after = judge(state, now, party, is_last=is_last)
        if wrong is not None:
            report.violations.append(f"{party}, point {state.point}, {kind}: {wrong}")
            if stop:
                return report
        elif not is_last:
            report += examine(
                after,
                draw,
                party=party,
                promise=now,
                samples=samples,
                every=4,
                names_follow=names_follow,
                stop=stop,
                prefix="twice: ",
            )
    return report
