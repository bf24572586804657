"""A world of nodes in one thread that can lose its power at any commit, and is driven to its end.

A `World` has parties, each with a store that outlives its node, one network and one clock that
jumps. `Power` counts the commits of all stores and raises `Crash` before or after those that it was
told; the world then drops the node that was committing, as the end of its process would, and opens
a new one on the same store. A commit may also be refused, or end unknown. `every_crash` enumerates:
the same world once for each commit, crashing before it and after it, and what it looks like in the
end.

    def build(power: Power) -> World:
        world = World(power=power)
        world.add("alice", [hand_flow], lambda: {"Journal": Journal()})
        world.add("bob", [hand_flow], lambda: {"Journal": Journal()})
        world.start("alice", hand_flow.Asker_v1, to=Party("bob"), rounds=2)
        return world

    for power, seen in every_crash(build, observe):
        assert seen == expected, power
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from flowrt.core.engine import Outcome
from flowrt.core.values import decode
from flowrt.node import Handle, Node
from flowrt.store import Batch, Opened, OutcomeUnknown, Store, StoreError, Unwritable
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork

T = TypeVar("T")

START_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000


class Crash(BaseException):
    """The process is gone. No handler of the product catches it."""


CRASHES = ("before", "after")
FAULTS = ("refused", "unknown, done", "unknown, not done")


class Power:
    """Counts the commits of a whole world, and lets some of them go wrong.

    `fail` are pairs of a commit's number, from 1, and what befalls it: one of `CRASHES` or
    `FAULTS`. With `for_good` every commit after the first of them goes the same way.
    """

    def __init__(self, *fail: tuple[int, str], for_good: bool = False) -> None:
        self.fail = dict(fail)
        self.for_good = for_good
        self.commits = 0
        self.failures = 0

    def __repr__(self) -> str:
        return f"Power({', '.join(map(str, sorted(self.fail.items())))})"

    def heal(self) -> None:
        """From now on everything works."""
        self.fail.clear()

    def commit(self, write: Callable[[], None], abandon: Callable[[], None]) -> None:
        """One commit, with whatever befalls it."""
        self.commits += 1
        fate = self.fail.get(self.commits)
        if fate is None and self.for_good and self.fail and self.commits > min(self.fail):
            fate = self.fail[min(self.fail)]
        if fate is not None:
            self.failures += 1
        if fate == "before":
            raise Crash
        if fate in ("refused", "unknown, not done"):
            abandon()
        else:
            write()
        if fate == "after":
            raise Crash
        if fate == "refused":
            raise Unwritable("the store was busy")
        if fate is not None:
            raise OutcomeUnknown("nobody knows")


class CrashingStore:
    """A store whose commits need power. `batches` are those that were written."""

    def __init__(self, store: Store, power: Power) -> None:
        self._store = store
        self._power = power
        self.batches: list[Batch] = []

    def open(self, party: str) -> Opened:
        return self._store.open(party)

    def commit(self, batch: Batch) -> None:
        def write() -> None:
            self._store.commit(batch)
            self.batches.append(batch)

        self._power.commit(write, self._store.abandon)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclasses.dataclass
class Member:
    """A party of the world: how its node is opened, and the node while it lives."""

    name: str
    modules: Sequence[ModuleType]
    services: Callable[[], Mapping[str, object]]
    disk: MemoryDisk | Path
    options: Mapping[str, Any]
    node: Node | None = None
    store: CrashingStore | None = None
    crashes: int = 0


@dataclasses.dataclass
class Start:
    """A flow that somebody outside wants started once, however often he must ask."""

    party: str
    flow: Any
    arguments: dict[str, Any]
    id: int = 0
    first: Handle[Any] | None = None
    is_committed: bool = False


class World:
    """Parties in one thread, driven by hand.

    Args:
        power: fails as told; a sound one if absent.
        network: a lossless one if absent.
        folder: where SQLite files go; None keeps everything in memory.
        batch: how many events one commit takes.
        reload: whether nodes forget each flow after its step.
        wire_dies: whether a crash loses what is on the wire.
        stores: makes a party's store anew for each process; instead of `folder`.
    """

    def __init__(
        self,
        *,
        power: Power | None = None,
        network: MemoryNetwork | None = None,
        folder: Path | None = None,
        batch: int = 512,
        reload: bool = False,
        wire_dies: bool = False,
        stores: Callable[[str], Store] | None = None,
    ) -> None:
        self.power = power or Power()
        self.network = network or MemoryNetwork()
        self.now_us = START_US
        self.members: dict[str, Member] = {}
        self.starts: list[Start] = []
        self._folder = folder
        self._batch = batch
        self._reload = reload
        self._wire_dies = wire_dies
        self._stores = stores

    def add(
        self,
        party: str,
        modules: Sequence[ModuleType],
        services: Callable[[], Mapping[str, object]] | None = None,
        **options: Any,
    ) -> None:
        """A party; its node opens now. `services` makes its services anew for every node; `options`
        are what else each is opened with."""
        disk: MemoryDisk | Path = MemoryDisk()
        if self._folder is not None:
            disk = self._folder / f"{party}.db"
        self.members[party] = Member(party, modules, services or dict, disk, options)
        self.node(party)

    def start(self, party: str, flow: Any, /, **arguments: Any) -> Start:
        """Have `party` start a flow, exactly once through all crashes."""
        start = Start(party, flow, arguments)
        self.starts.append(start)
        self._submit(start)
        return start

    def node(self, party: str) -> Node:
        """The party's node; opened, as often as it takes, if it has none."""
        member = self.members[party]
        for _ in range(10):
            if member.node is not None:
                return member.node
            try:
                self._open(member)
            except (Crash, StoreError) as error:
                if isinstance(error, StoreError) and not self.power.fail:
                    raise
                self._crashed(member)
        raise AssertionError(f"{party} cannot open its store")

    def handle(self, start: Start) -> Handle[Any]:
        """The handle of a flow that was started."""
        return self.node(start.party).handle(start.id)

    def outcome(self, start: Start) -> Outcome | None:
        """How a flow ended; None while it runs."""
        return self.handle(start).outcome

    def result(self, start: Start) -> Any:
        """A flow's result; raises what ended it."""
        return self.handle(start).result_now()

    def run(self, horizon_us: int = HOUR_US, limit: int = 100_000) -> None:
        """Drive the world until nobody has anything to do before `horizon_us` from now."""
        end_us = self.now_us + horizon_us
        for _ in range(limit):
            if self.tick():
                continue
            due = [node.next_due() for node in map(self.node, self.members)]
            times = [time for time in due if time is not None]
            if not times or min(times) > end_us:
                return
            self.now_us = max(self.now_us, min(times))
        raise AssertionError(f"the world never rests: {self.starts}")

    def tick(self) -> bool:
        """One batch of every node, then what is on the wire. False if nothing happened."""
        moved = False
        for party in self.members:
            moved |= self._guarded(party, lambda node: node.turn())
        return self.network.pump() or moved

    def crash(self, party: str) -> None:
        """End the party's process now; the next one opens on its store."""
        self._crashed(self.members[party])
        self.node(party)

    def close(self) -> None:
        """Let go of the stores."""
        for member in self.members.values():
            if member.store is not None:
                member.store.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what is left behind ---

    def residue(self) -> dict[str, tuple[int, int, int]]:
        """By party: living flows, outbox rows and patients in its store. All 0 when all went
        well."""
        left = {}
        for party, member in self.members.items():
            node = self.node(party)
            patients = len(node.hospital())
            living = len(node.flows())
            assert member.store is not None
            left[party] = (living, len(node._outbox), patients)
        return left

    def rows(self, party: str, sql: str) -> list[tuple[Any, ...]]:
        """What a service of the party would read."""
        self.node(party)
        store = self.members[party].store
        assert store is not None
        store.savepoint()
        rows: list[tuple[Any, ...]] = store.execute(sql, (), read_only=True)
        store.release()
        store.abandon()
        return rows

    def audit(self, party: str) -> list[tuple[int, int]]:
        """(flow, step) of every committed step of the party, in order."""
        member = self.members[party]
        self.node(party)
        assert member.store is not None
        rows = [decode(list[Any], entries) for _, entries in member.store.audit()]
        return [(row[0], row[1]) for row in itertools.chain.from_iterable(rows)]

    # --- one node's life ---

    def _open(self, member: Member) -> None:
        inner: Store
        if self._stores is not None:
            inner = self._stores(member.name)
        elif isinstance(member.disk, MemoryDisk):
            inner = MemoryStore(member.disk)
        else:
            inner = SqliteStore(member.disk)
        member.store = CrashingStore(inner, self.power)
        member.node = Node.create(
            member.name,
            store=member.store,
            network=self.network,
            modules=member.modules,
            services=member.services(),
            clock=lambda: self.now_us,
            batch=self._batch,
            reload=self._reload,
            **member.options,
        )
        # Nothing has run yet, so a flow with a promised id is one of ours, or was never written.
        for start in self.starts:
            if start.party == member.name and not start.is_committed:
                self._submit(start)

    def _submit(self, start: Start) -> None:
        node = self.node(start.party)
        if start.id:
            try:
                node.handle(start.id)
            except KeyError:
                pass
            else:
                start.is_committed = True
                return
        start.first = node.submit(start.flow, **start.arguments)
        start.id = start.first.id

    def _guarded(self, party: str, act: Callable[[Node], bool]) -> bool:
        member = self.members[party]
        node = self.node(party)
        try:
            moved = act(node)
        except Crash:
            self._crashed(member)
            self.node(party)
            return True
        if moved:
            for start in self.starts:
                if start.party == party and not start.is_committed:
                    start.is_committed = self._is_stored(node, start.id)
        return moved

    def _is_stored(self, node: Node, flow_id: int) -> bool:
        store = self.members[node.party.name].store
        assert store is not None
        return store.load(flow_id) is not None or store.outcome(flow_id) is not None

    def _crashed(self, member: Member) -> None:
        """What the end of the process does: nothing of memory stays, no lock either."""
        member.crashes += 1
        if member.store is not None:
            member.store.close()
        member.node = member.store = None
        if self._wire_dies:
            self.network.clear()


def every_crash(
    build: Callable[[Power], World],
    observe: Callable[[World], T],
    *,
    kinds: Sequence[str] = CRASHES,
    twice: bool = False,
) -> Iterator[tuple[Power, T]]:
    """What the world looks like in the end, for every commit that can go wrong, in every way of
    `kinds`: a crash before or after it, if nothing else is said.

    First with a sound world; with `twice` also for every pair of a commit and the next one.
    """
    sound = Power()
    yield sound, _end_of(build, sound, observe)
    for number in range(1, sound.commits + 1):
        for kind in kinds:
            failing = [Power((number, kind))]
            if twice:
                failing += [Power((number, kind), (number + 1, also)) for also in kinds]
            for power in failing:
                yield power, _end_of(build, power, observe)


def _end_of(build: Callable[[Power], World], power: Power, observe: Callable[[World], T]) -> T:
    with build(power) as world:
        world.run()
        return observe(world)
