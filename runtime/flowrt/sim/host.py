"""One party's computer in a world: its disk, the process on it, and the ends of processes.

Runs a node and opens another when one is gone. Knows no scenario and checks nothing.
"""

from __future__ import annotations

import abc
import asyncio
import functools
import hashlib
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from flowrt.core.engine import Outcome
from flowrt.core.flow import Message
from flowrt.core.hospital import LOST, Patient
from flowrt.core.registry import Registry
from flowrt.core.values import decode, decode_checkpoint
from flowrt.handle import Handle, NodeStopped, NotAccepted
from flowrt.node import Node
from flowrt.operations import ENDS_ITS_PROCESS
from flowrt.services import External
from flowrt.sim.disk import Crash, SimStore
from flowrt.sim.faults import (
    BACKUPS,
    DOWN,
    FAILS,
    FATES,
    MARK_KEPT,
    NOT_BEGUN,
    NOT_TOLD,
    OPERATIONS,
    REFUSED,
    SERVICES,
    SLOW,
    Faults,
    ServiceBroken,
    ServiceDown,
)
from flowrt.sim.network import SimPlace
from flowrt.sim.violation import Violation
from flowrt.sim.watch import Watch, WatchedRun
from flowrt.store import Batch, RestoredFromBackup, StoreError
from flowrt.store.memory import MemoryDisk

if typing.TYPE_CHECKING:
    from flowrt.sim.world import World

RESTART_US = 20_000
"""How long it takes until a new process runs."""

SLOW_US = 20_000_000
"""How long a slow operation takes."""

Services = Callable[[], Mapping[str, object]]


class Wish(abc.ABC):
    """Something that somebody outside wants from a party's flows, once, however often he must
    ask."""

    is_done = False

    @abc.abstractmethod
    def ask(self, host: Host) -> None:
        """Ask the process; it has just been opened, or is asked for the first time."""

    @abc.abstractmethod
    def look(self, host: Host) -> None:
        """After a commit: see whether it is done."""


class Started(Wish):
    """A flow that is started exactly once. `id` is its number at its party, once it has one."""

    def __init__(self, party: str, flow: Any, arguments: dict[str, Any]) -> None:
        self.party = party
        self.flow = flow
        self.arguments = arguments
        self.id = 0
        self.is_lost = False
        """Whether it was there, and went with a disk that was replaced by an older copy."""
        self.handle: Handle[Any] | None = None
        self.host: Host | None = None

    def __repr__(self) -> str:
        return f"<flow {self.id} {self.flow.__name__} of {self.party}>"

    def ask(self, host: Host) -> None:
        assert host.node is not None
        # Nothing has run yet in this process: a flow with the promised number is this one.
        if self.id and self._is_stored(host):
            self.is_done = True
            return
        self.handle = host.node.submit(self.flow, **self.arguments)
        self.id = self.handle.id

    def look(self, host: Host) -> None:
        self.is_done = self._is_stored(host)

    def _is_stored(self, host: Host) -> bool:
        return self.id in host.disk.flows or self.id in host.disk.outcomes

    @property
    def outcome(self) -> Outcome | None:
        """How the flow ended, from the disk; None while it lives."""
        found = self.host.disk.outcomes.get(self.id) if self.host is not None else None
        return Outcome(found[0], found[2], found[1]) if found is not None else None


class Commanded(Wish):
    """A message from a flow's owner. `refused` says why the flow did not take it."""

    def __init__(self, flow: Started, message: Message) -> None:
        self.flow = flow
        self.message = message
        self.refused: str | None = None
        self._number = 0
        self._told: Any = None

    def ask(self, host: Host) -> None:
        assert host.node is not None
        if not self.flow.is_done:
            return
        if not self._number:
            host.sent_commands[self.flow.id] = host.sent_commands.get(self.flow.id, 0) + 1
            self._number = host.sent_commands[self.flow.id]
        self._see(host)
        if not self.is_done:
            self._told = host.node.submit_command(self.flow.id, self.message)

    def look(self, host: Host) -> None:
        if self._told is not None:
            self._see(host)
        elif host.node is not None:
            self.ask(host)

    def _see(self, host: Host) -> None:
        told = self._told
        if host.commands.get(self.flow.id, 0) >= self._number:
            self.is_done = True
        elif told is not None and told.done():
            error = told.exception()
            if isinstance(error, NodeStopped):
                return
            self.is_done = True
            if error is not None:
                self._make_room(host)
                self.refused = str(error)

    def _make_room(self, host: Host) -> None:
        """It was refused, so those that were sent after it have smaller numbers."""
        host.sent_commands[self.flow.id] -= 1
        for other in host.wishes:
            if isinstance(other, Commanded) and other.flow.id == self.flow.id:
                other._number -= other._number > self._number


class Answered(Wish):
    """An answer to a question that a flow asks."""

    def __init__(self, flow_id: int, number: int, value: object, by: str) -> None:
        self.flow_id = flow_id
        self.number = number
        self.value = value
        self.by = by
        self._told: Any = None

    def ask(self, host: Host) -> None:
        assert host.node is not None
        try:
            self._told = host.node.submit_answer(self.flow_id, self.number, self.value, self.by)
        except NotAccepted:
            self.is_done = True

    def look(self, host: Host) -> None:
        told = self._told
        self.is_done = self.is_done or (told is not None and told.done() and not _is_gone(told))

    @property
    def is_accepted(self) -> bool:
        """Whether who answered was told that the answer counts."""
        told = self._told
        return told is not None and told.done() and told.exception() is None


def _is_gone(told: Any) -> bool:
    """Whether the process ended before it could say anything: who asked must ask the next one."""
    return isinstance(told.exception(), NodeStopped)


class SimNode(Node):
    """A node that tells its host when it has something to do."""

    host: Host | None = None
    home: Host | None = None
    """Where it runs; `host` only as long as it is the one that should."""

    def _wake(self) -> None:
        if self.host is not None:
            self.host.wake(self)

    def _perform(
        self,
        work: External,
        arguments: tuple[Any, ...],
        done: Callable[[Any, Exception | None], None],
    ) -> None:
        # One that has lost its store but does not know it yet calls what its flows call.
        assert self.home is not None
        self.home.perform(self, work, arguments, done)


class Host:
    """One party's computer.

    Args:
        world: where it stands: the clock, the tape, what is told.
        name: the party.
        modules: what its nodes run.
        services: makes its services anew for every process.
    """

    def __init__(
        self, world: World, name: str, modules: Sequence[ModuleType], services: Services
    ) -> None:
        self.world = world
        self.name = name
        self.modules = tuple(modules)
        self.registry = registry_of(self.modules)
        self.services = services
        self.disk = MemoryDisk()
        self.key = hashlib.blake2b(name.encode(), key=b"flowrt.sim", digest_size=32).digest()
        self.disk.incarnation = self.key[:8]
        self.disk.secret = self.key[8:24]
        self.disk.chance = self._chance
        self._chances = 0
        self.node: SimNode | None = None
        self.watch = Watch(world.notes)
        self.wishes: list[Wish] = []
        self.skew_us = 0
        self.full = False
        self.paused_until = 0
        self.crashes = 0
        self.processes = 0
        self.sent_commands: dict[int, int] = {}
        self.commands: dict[int, int] = {}
        """How many commands of its owner each flow has taken."""
        self.refused = ""
        """Why no process goes on from the disk: it is a backup, and that was recognised."""
        self.went_back = False
        """Whether the disk was replaced by a backup, and nobody has accepted that yet."""
        self.accepted = 0
        self.disk_lost = False
        """Whether that has ever been."""
        self._zombies: list[SimNode] = []
        self.must_refuse = False
        """Whether what lies beside the disk shows that it went back, or a peer has."""
        self.has_greeted = False
        self._backup: MemoryDisk | None = None
        self._store: SimStore | None = None
        self._running: set[str] = set()
        self._fatal: set[int] = set()
        """Flows whose operations have ended their process by themselves: no world mends them."""
        self._due_us = 0
        self._is_awake = False

    def _chance(self) -> bytes:
        """What the disk tells lives apart by: the same in the same world."""
        self._chances += 1
        return hashlib.blake2b(self._chances.to_bytes(8), key=self.key, digest_size=2).digest()

    def want(self, wish: Wish) -> None:
        """Ask the process for something, now or as soon as there is one, until it is done."""
        self.wishes.append(wish)
        if self.node is not None:
            wish.ask(self)

    # --- its process ---

    def open(self) -> None:
        """Start a process, if none runs; one that does not live through it is followed by
        another."""
        if self.node is not None or self.refused:
            return
        world = self.world
        self.processes += 1
        self.watch = Watch(world.notes)
        watch = self.watch
        if world.faults.service:
            watch.fails = self._service_fails
        store = SimStore(
            self.disk,
            self._fate,
            self._opening,
            lambda batch: world.committed(self, watch, batch),
            watch.records.clear,
        )
        try:
            node = SimNode.create(
                self.name,
                store=store,
                network=world.network,
                modules=self.registry,
                services=self.services(),
                clock=self.clock,
                key=self.key,
                batch=world.batch,
                limits=world.limits,
                reload=world.reload,
                window=world.window,
            )
        except Crash:
            store.close()
            self._restart("crash")
            return
        except RestoredFromBackup as refusal:
            self._refuse(refusal)
            return
        except StoreError as error:
            if not world.is_faulty and not self.full:
                raise
            self._restart(f"cannot open: {error}")
            return
        node._world.running = self._run_as(watch)
        node.host = node.home = self
        self.node, self._store = node, store
        place = node._transport
        assert isinstance(place, SimPlace)
        place.sending = self._sending
        for wish in self.wishes:
            if not wish.is_done:
                wish.ask(self)
        self.wishes = [wish for wish in self.wishes if not wish.is_done]
        self.wake(node)

    def _run_as(self, watch: Watch) -> Callable[..., WatchedRun]:
        def run(*arguments: Any) -> WatchedRun:
            return WatchedRun(watch, *arguments)

        return run

    def clock(self) -> int:
        """What this computer thinks the time is (microseconds)."""
        return self.world.now_us + self.skew_us

    def end(self, kind: str = "crash", during: str = "") -> None:
        """The process ends now: nothing of its memory stays, and no lock."""
        node, store = self.node, self._store
        if node is None or store is None:
            return
        self.world.trouble(self.name, kind, during or self._doing())
        self._gone(node, store)
        self._restart("")

    def _gone(self, node: SimNode, store: SimStore) -> None:
        self.crashes += 1
        self._running.clear()
        node.host = None
        node._stopped = NodeStopped(f"{self.name}: its process has ended")
        node._transport.close()
        store.close()
        self.node = self._store = None
        self._is_awake = False
        self._due_us = 0
        self.world.told(self)

    def _restart(self, why: str) -> None:
        if why:
            self.world.trouble(self.name, why)
        delay_us = RESTART_US
        if self.world.is_faulty:
            delay_us *= 10 ** self.world.tape.pick(f"restart {self.name}", (1, 2, 3), 0.3)
        self.world.later(delay_us, self.open)

    def usurp(self) -> None:
        """Another process opens the store; the one that had it does not know, and goes on later."""
        old, store = self.node, self._store
        if old is None or store is None:
            return
        self.world.trouble(self.name, "takeover", self._doing())
        self._zombies.append(old)
        old.host = None
        self.node = self._store = None
        self._running.clear()
        self._is_awake = False
        self._due_us = 0
        self.open()

        def go_on() -> None:
            try:
                while old.turn():
                    pass
            except (NodeStopped, Crash):
                pass

        self.world.later(RESTART_US // 2, go_on)
        self.world.later(RESTART_US * 50, go_on)

    # --- its disk, and an older one ---

    def back_up(self) -> None:
        """Copy the disk, as it is now."""
        self._backup = self.disk.backup()
        self.world.backed_up(self)

    def restore(self, kept: int) -> None:
        """The disk is lost, and a copy of it takes its place; what lies beside it is `kept`, or is
        lost too."""
        if self._backup is None:
            return
        if self.node is not None and self._store is not None:
            self._gone(self.node, self._store)
        self.world.trouble(self.name, BACKUPS[kept])
        lost = self.disk
        self.disk, self._backup = self._backup, None
        if kept == MARK_KEPT:
            self.disk.beside = lost.beside
            self.must_refuse = lost.commits > self.disk.commits
        self.has_greeted = False
        self.went_back = self.disk_lost = True
        for zombie in self._zombies:
            zombie._stopped = NodeStopped(f"{self.name}: its machine is gone")
        # Ids of sessions are by chance: what is said anew has others.
        self.key = hashlib.blake2b(b"restored", key=self.key, digest_size=32).digest()
        self.refused = ""
        for started in [one for one in self.world.starts if one.host is self]:
            started.is_lost = started.is_done and not started._is_stored(self)
            if not started.is_done:
                started.id = 0  # What was promised by the lost process, another may have now.
        self.world.went_back(self)
        self._restart("")

    def _refuse(self, refusal: RestoredFromBackup) -> None:
        self._must_have_gone_back(refusal)
        self.refused = str(refusal)
        self.world.trouble(self.name, "is not opened")

    def _must_have_gone_back(self, refusal: RestoredFromBackup) -> None:
        if not self.went_back:
            raise Violation("B1", f"{self.name} refuses to go on, and never went back: {refusal}")

    def accept(self) -> None:
        """Somebody accepts what is lost."""
        self.refused = ""
        self.went_back = self.must_refuse = self.has_greeted = False
        self.accepted += 1
        store = SimStore(self.disk, self._fate, self._opening, lambda _: None)
        store.accept_restore(self.name)
        self.world.accepted()
        self.open()

    def greet(self) -> None:
        """The process tells all others what it knows of them, and may end while it does."""
        node, store = self.node, self._store
        if node is None or store is None:
            return
        try:
            node.greet()
        except Crash:
            self._gone(node, store)
            self._restart("")

    def _doing(self) -> str:
        """What the flows of this party wait for, in a word each."""
        node = self.node
        if node is None:
            return "down"
        kinds = {type(checkpoint.waiting).__name__ for checkpoint in node._live.values()}
        return " ".join(sorted(kinds)) or "idle"

    # --- its turns ---

    def wake(self, node: SimNode) -> None:
        """The node has something to do."""
        if node is not self.node or self._is_awake:
            return
        self._is_awake = True
        delay_us = 0
        world = self.world
        if world.faults.turn and world.is_faulty:
            delay_us = 5_000 * world.tape.pick(f"turn {self.name}", _DELAYS, world.faults.turn)
        world.later(delay_us, lambda: self._turn(node))

    def _turn(self, node: SimNode) -> None:
        if node is not self.node:
            return
        world = self.world
        if world.now_us < self.paused_until:
            world.later(self.paused_until - world.now_us, lambda: self._turn(node))
            return
        self._is_awake = False
        try:
            node.turn()
        except Crash:
            assert self._store is not None
            self._gone(node, self._store)
            self._restart("")
            return
        except NodeStopped as stopped:
            if isinstance(stopped.__cause__, RestoredFromBackup):
                assert self._store is not None
                self._gone(node, self._store)
                self._must_have_gone_back(stopped.__cause__)
                self.must_refuse = True
                self._restart("refuses to go on")
                return
            if not world.is_faulty and not world.was_faulty:
                raise
            assert self._store is not None
            self._gone(node, self._store)
            self._restart(f"stopped: {stopped}"[:80])
            return
        if self.wishes:
            for wish in self.wishes:
                wish.look(self)
            self.wishes = [wish for wish in self.wishes if not wish.is_done]
        world.turned(self)
        self._set_alarm(node)

    def _set_alarm(self, node: SimNode) -> None:
        due_us = node.next_due()
        if due_us == 0:
            self.wake(node)
        elif due_us is not None:
            at_us = max(due_us - self.skew_us, self.world.now_us)
            if self._due_us != at_us:
                self._due_us = at_us
                self.world.later(at_us - self.world.now_us, lambda: self._ring(node, at_us))

    def _ring(self, node: SimNode, at_us: int) -> None:
        if node is self.node and self._due_us == at_us:
            self._due_us = 0
            self.wake(node)

    def set_clock(self, skew_us: int) -> None:
        """Set the clock; nobody tells the process."""
        self.skew_us = skew_us
        if self.node is not None:
            self.wake(self.node)

    # --- what goes wrong in it ---

    def _service_fails(self, what: str) -> None:
        """A step calls a service: perhaps that is down, or broken."""
        world = self.world
        if not world.is_faulty:
            return
        faults = world.faults
        fate = world.tape.pick(f"service {self.name}", faults.services, faults.service)
        if not fate:
            return
        world.trouble(self.name, f"service {SERVICES[fate]}", what)
        raise (ServiceDown if fate == DOWN else ServiceBroken)(what)

    def mend(self) -> bool:
        """Whoever mends services has those tried again that wait for that, and those whose
        operations the world has ended processes in. False if none does."""
        node = self.node
        if node is None:
            return False
        found = [decode(Patient, patient) for patient in self.disk.patients.values()]
        broken = [one for one in found if _is_broken(one) and not one.next]
        # Who has been let go on and waits, as for a clock that was set back, needs nobody.
        waiting = [
            one
            for one in broken
            if one.flow_id not in self._fatal and self._is_admitted(one.flow_id)
        ]
        for one in waiting:
            node.submit_retry(one.flow_id, by="the world", reason="mended")
        return bool(waiting)

    def _is_admitted(self, flow_id: int) -> bool:
        row = self.disk.flows.get(flow_id)
        return row is not None and decode_checkpoint(row[0], lambda _: Any).admitted

    def _fate(self, batch: Batch) -> int:
        world = self.world
        if self.full:
            return REFUSED
        faults = world.faults
        if not faults.commit or not world.is_faulty:
            return 0
        fate = world.tape.pick(f"commit {self.name}", faults.commits, faults.commit)
        if fate:
            world.trouble(self.name, f"commit {FATES[fate]}", world.kinds_of(batch))
        return fate

    def _opening(self) -> None:
        world = self.world
        if world.is_faulty and world.tape.chance(f"opening {self.name}", world.faults.opening):
            world.trouble(self.name, "crash while opening")
            raise Crash

    def _sending(self) -> None:
        world = self.world
        if not world.is_faulty or not world.faults.send:
            return
        if world.tape.chance(f"crash sending {self.name}", world.faults.send):
            world.trouble(self.name, "crash while telling", self._doing())
            raise Crash

    # --- what runs outside of steps ---

    def perform(
        self,
        node: SimNode,
        work: External,
        arguments: tuple[Any, ...],
        done: Callable[[Any, Exception | None], None],
    ) -> None:
        """Run an external operation as an event of its own."""
        world = self.world
        fate = 0
        key = arguments[0]
        fails_after = False
        if node is self.node:
            world.begins(self, key, is_running=key in self._running)
            self._running.add(key)
        faults: Faults = world.faults
        if world.is_faulty and faults.operation:
            fate = world.tape.pick(f"operation {self.name}", faults.operations, faults.operation)
            if fate:
                world.trouble(self.name, f"operation {OPERATIONS[fate]}", work.name)
            if fate == FAILS:
                fails_after = world.tape.uniform("operation fails after", 2) > 0

        def run() -> None:
            if node is not self.node and fate != SLOW:
                return
            if fate == NOT_BEGUN:
                self.end("crash", "an operation begins")
                return
            value, error = None, None
            if node is self.node:
                self._running.discard(key)
            try:
                if fate != FAILS or fails_after:
                    value = work.method(*arguments)
                    if inspect.isawaitable(value):
                        value = asyncio.run(_awaited(value))
                if fate == FAILS:
                    raise ConnectionError("the network is down")
            except Crash:
                self._fatal.add(int(key.split("-")[1]))
                self.end("crash", "an operation runs")
                return
            except Exception as failure:
                error = failure
            if fate == NOT_TOLD:
                self.end("crash", "an operation has run")
            elif node is self.node:
                done(value, error)
                self.wake(node)

        world.promise(SLOW_US if fate == SLOW else 1_000, run)


@functools.lru_cache(maxsize=1024)
def registry_of(modules: tuple[ModuleType, ...]) -> Registry:
    """What is found out about modules, once for all worlds of this process."""
    return Registry(modules)


_BROKEN = (ServiceDown.__name__, ServiceBroken.__name__)
"""How the causes of the patients begin whose services the world has broken."""


def _is_broken(patient: Patient) -> bool:
    """Whether the world's own faults brought it there. Processes that end while an operation runs
    are such a fault; those that end in a step are not."""
    if patient.cause.startswith(ENDS_ITS_PROCESS):
        return patient.kind == LOST
    return patient.cause.startswith(_BROKEN)


_DELAYS = (1, 2, 3)


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value
