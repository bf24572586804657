"""What goes on when the power goes: real nodes with flows and services, and batches of all kinds.

Each plot runs to its end on sound disks; their logs have every write. In between processes end with
and without closing their store, and others open it while somebody still has it.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from flowrt.core.flow import Party
from flowrt.store import Batch, CommitFailed, Fenced, Opened, StoreError
from tests.power.disk import Disk
from tests.power.judge import PARTY, Watched
from tests.power.loss import left
from tests.power.vfs import kill
from tests.runtime import hand_flow as hand
from tests.runtime.book import services
from tests.runtime.crashes import Crash, Member, World

T = TypeVar("T")
ALICE, BOB, CAROL = Party("alice"), Party("bob"), Party("carol")
NAP = datetime.timedelta(seconds=90)


class Mortal(Watched):
    """A store whose process ends when its disk loses the power."""

    def open(self, party: str) -> Opened:
        return self._with_power(lambda: super(Mortal, self).open(party))

    def commit(self, batch: Batch) -> None:
        self._with_power(lambda: super(Mortal, self).commit(batch))

    def savepoint(self) -> None:
        self._with_power(super().savepoint)

    def _with_power(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (StoreError, sqlite3.Error):
            if not self.disk.has_power:
                raise Crash from None
            raise


class PoweredWorld(World):
    """Nodes on simulated disks. A process that ends has no time to close its store, or has it, as
    `draw` will. A disk that lost its power has what `draw` leaves it, when the next process opens.
    """

    def __init__(self, draw: random.Random, **how: Any) -> None:
        self.disks = {party: Disk() for party in ("alice", "bob", "carol")}
        self._draw = draw
        self._zombies: list[Watched] = []
        super().__init__(stores=lambda party: Mortal(self.disks[party], party), **how)
        for party in self.disks:
            self.add(party, [hand], services)

    def leave(self, party: str) -> None:
        """Another process opens the store while this one still has it, and wants to write."""
        member = self.members[party]
        assert member.store is not None
        self._zombies.append(member.store._store)
        member.node = member.store = None
        self.node(party)

    def bury(self) -> None:
        """Those that were left try to write, and end."""
        for zombie in self._zombies:
            try:
                zombie.commit(Batch(1, 1, 1, flows={1: (b"zombie", None)}))
            except Fenced:
                zombie.disk.mark("refused")
            else:
                raise AssertionError("a fenced process has written")
            zombie.close()
        self._zombies.clear()

    def close(self) -> None:
        self.bury()
        super().close()
        for disk in self.disks.values():
            disk.unplug()

    def _crashed(self, member: Member) -> None:
        disk = self.disks[member.name]
        if not disk.has_power or self._draw.random() < 0.5:
            kill(disk)
            self._zombies = [one for one in self._zombies if one.disk is not disk]
        super()._crashed(member)
        if not disk.has_power:
            disk.unplug()
            self.disks[member.name] = Disk(left(disk, self._draw).images)


def begin_all(world: World, size: int) -> None:
    """Flows of every kind, some with texts of `size` characters, which fill pages of their own."""
    world.start("alice", hand.Asker_v1, to=BOB, rounds=3)
    texts = ("one", "t" * size, "three")
    world.start("alice", hand.Notifier_v1, to=BOB, texts=texts, flow="hand.Listener")
    world.start("alice", hand.Bidder_v1, to=BOB, price=12)
    world.start("alice", hand.Teller_v1, first="a" * size, second="b" * (size // 3))
    world.start("alice", hand.Napper_v1, naps=2, length=NAP)
    world.start("alice", hand.Pair_v1, first=BOB, second=CAROL)
    world.start("alice", hand.Front_v1, middle=BOB, back=CAROL, n=10)
    world.start("alice", hand.Stubborn_v1, to=BOB)
    world.start("bob", hand.Asker_v1, to=ALICE, rounds=2)
    world.start("carol", hand.Deep_v1, n=12)


def trades(draw: random.Random) -> dict[str, Disk]:
    """Flows of three parties to their end; their disks."""
    with PoweredWorld(draw, batch=draw.choice((1, 4, 512))) as world:
        begin_all(world, draw.choice((10, 3_000, 12_000)))
        for _ in range(draw.randrange(10, 30)):
            world.tick()
            party = draw.choice(("alice", "bob", "carol"))
            match draw.randrange(8):
                case 0:
                    world.crash(party)
                case 1:
                    world.leave(party)
                case 2:
                    world.bury()
        world.run()
        for start in world.starts:
            assert world.outcome(start) is not None, start
        return world.disks


def batches(draw: random.Random) -> dict[str, Disk]:
    """Batches with rows in every table, small and large, and deletions, by one process after
    another."""
    disk = Disk()
    store = Watched(disk)
    store.open(PARTY)
    for number in range(1, 41):
        size = draw.choice((0, 40, 600, 5_000, 20_000))
        with contextlib.suppress(CommitFailed):
            _serve(store, draw, number, size)
        store.commit(_batch(draw, number, size))
        match draw.randrange(12):
            case 0:
                store.close()
                store = Watched(disk)
                store.open(PARTY)
            case 1:
                kill(disk)
                store.close()
                store = Watched(disk)
                store.open(PARTY)
    store.close()
    disk.unplug()
    return {PARTY: disk}


def _serve(store: Watched, draw: random.Random, number: int, size: int) -> None:
    store.savepoint()
    run: Callable[..., Any] = store.execute
    run("CREATE TABLE IF NOT EXISTS ware (id INTEGER PRIMARY KEY, text)", (), read_only=False)
    run("INSERT INTO ware (text) VALUES (?)", (draw.randbytes(size),), read_only=False)
    if draw.randrange(2):
        run("DELETE FROM ware WHERE id % 3 = ?", (number % 3,), read_only=False)
    if draw.randrange(3) == 0:
        store.rollback()
    else:
        store.release()


def _batch(draw: random.Random, number: int, size: int) -> Batch:
    def some() -> bytes:
        return draw.randbytes(draw.choice((10, 100, size)))

    batch = Batch(number, number + 1, 3 * number, audit=some(), settled=[3 * number - 8])
    batch.flows = {draw.randrange(1, 9): draw.choice(((some(), 5), (some(), None), None))}
    batch.outbox = [(3 * number - n, "bob", some()) for n in range(3)]
    batch.peers = {"bob": some(), f"peer {number % 5}": some()}
    batch.outcomes = [(number, "flow", None, some())]
    batch.moves = [(number, n, some()) for n in range(2)]
    batch.patients = {draw.randrange(5): draw.choice((some(), None))}
    batch.mail = [(number, 1, some())]
    batch.tasks = {(draw.randrange(5), 1): draw.choice((some(), None))}
    batch.schedules = {f"schedule {draw.randrange(3)}": draw.choice((some(), None))}
    batch.keys = {("flow", f"key {draw.randrange(4)}"): draw.choice((number, None))}
    batch.clients = {f"client {number}": (number, some())}
    batch.draining = draw.choice((True, False, None))
    return batch


PLOTS: dict[str, Callable[[random.Random], dict[str, Disk]]] = {
    "trades": trades,
    "batches": batches,
}
