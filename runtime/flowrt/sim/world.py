"""A world in one thread and in virtual time: parties, their computers, a network, trouble.

Everything that happens is an event in one queue; everything that is by chance is on the tape. Two
phases: while there are faults, whatever the tape says goes wrong; then all of it is healed, and
every flow must come to an end, to the hospital, or to wait for somebody who may still speak.
(After TigerBeetle's simulator and FoundationDB's.)
"""

from __future__ import annotations

import datetime
import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from flowrt.core.flow import Message
from flowrt.core.registry import Registry
from flowrt.core.values import Ack, BadBytes, Invite, Letter, decode_frame
from flowrt.handle import StillRunning
from flowrt.limits import Limits
from flowrt.node import Node
from flowrt.peers.outbox import unpack
from flowrt.sim import faults as kinds
from flowrt.sim import strangers
from flowrt.sim.faults import Faults
from flowrt.sim.history import Began, Called, Ended, Event, Received, Rested, Sent, Trouble
from flowrt.sim.host import Answered, Commanded, Host, Services, Started
from flowrt.sim.invariants import Invariants
from flowrt.sim.network import SimNetwork
from flowrt.sim.strangers import STRANGERS, Stranger
from flowrt.sim.tape import Tape
from flowrt.sim.violation import Violation
from flowrt.sim.watch import Record, Watch
from flowrt.store import Batch
from flowrt.timers import NEAREST
from flowrt.views import TaskView

START_US = 1_800_000_000_000_000
"""When a world begins, unless it is told otherwise: January 2027."""

TROUBLES = 40
"""How often at most a world is in trouble besides commits and packets."""

STILL_US = 600_000_000
"""If nothing was committed for so long and no flow has a time of its own, nothing more will be."""

QUIET_US = 100_000
"""If nothing is to happen for so long, people look whether there is something for them to do."""

EVENTS = 20_000
"""A world that has more events than that never rests."""

HOUR_US = 3_600_000_000
"""A world with a horizon that has gone on for so long since it was healed is busy, not stuck."""

BATCHES = (512, 1, 3, 16)

SMALL = Limits(
    invitations_per_s=1,
    invitations_at_once=2,
    unread=24,
    inbound=3,
    window=2,
    operations=1,
)
"""So little that it is felt, and so that all goes on in the end: nothing of it fails a flow."""

LIMITS = (Limits(), Limits(), Limits(), SMALL)

WINDOW = 2
"""How many times are read at once by nodes that forget their flows, in worlds of trouble: so
little that every world needs more."""

watchers: list[Callable[[World], None]] = []
"""Told of each world when it closes: who counts what all worlds have seen."""


class World:
    """Parties that talk, in trouble.

    Args:
        tape: where choices come from; `Tape()` is a world in which nothing goes wrong.
        faults: what may go wrong, and how often.
        start_us: the time at the beginning, in microseconds since 1970.
        reload: nodes forget each flow after its step; None lets the tape say.
        batch: how many events one commit takes; None lets the tape say.
        fault_events: after so many events everything is healed.
        limits: how much each peer may cost a node; None lets the tape say.

    `history` is what happened, `cells` how often which fault fell in which situation.
    """

    def __init__(
        self,
        tape: Tape | None = None,
        faults: Faults | None = None,
        *,
        start_us: int = START_US,
        reload: bool | None = None,
        batch: int | None = None,
        fault_events: int = 400,
        limits: Limits | None = None,
    ) -> None:
        self.tape = tape if tape is not None else Tape()
        self.faults = faults if faults is not None else Faults.none()
        self.now_us = start_us
        self.start_us = start_us
        self.reload = self.tape.uniform("reload", 2) > 0 if reload is None else reload
        self.batch = BATCHES[self.tape.uniform("batch", 4)] if batch is None else batch
        self.limits = limits or LIMITS[self.tape.uniform_apart("limits", len(LIMITS))]
        self.is_faulty = self.faults != Faults.none() or self.tape.is_replay()
        self.was_faulty = self.is_faulty
        self.window = WINDOW if self.reload and self.is_faulty else NEAREST
        """How much of what waits a node reads from its store at once."""
        self.hosts: dict[str, Host] = {}
        self.network = SimNetwork(self.tape, self.faults, self)
        self.network.kind_of = kind_of
        self.history: list[Event] = []
        self.cells: Counter[tuple[str, str]] = Counter()
        self.events = 0
        self.starts: list[Started] = []
        self.notes: set[str] = set()
        """Why its end may depend on when things happen, as far as it was seen."""
        self.is_busy = False
        """Whether it was left while its flows still had things to do."""
        self.strangers: list[Stranger] = list(STRANGERS)
        """What a stranger does when the tape says that it does something."""
        self.flows_begun = 0
        self.most_in_flight = 0
        """How many frames at most were committed to be sent, and not yet taken."""
        self.people: list[Callable[[World], bool]] = []
        """What people do once nothing goes on by itself; each tells whether it did anything."""
        if self.faults.service:
            self.people.append(_mend)
        self.witnesses: list[Callable[[Host, Batch], None]] = []
        """Who is shown every batch that is on a disk, and may raise Violation."""
        self.registries: dict[str, Registry] = {}
        self._invariants = Invariants(self.hosts, self.registries)
        self.network.sent = self._invariants.sent
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._number = 0
        self._promises = 0
        self.most_events = EVENTS
        """How many events may follow after all was healed."""
        self._fault_events = fault_events
        self._roots: set[tuple[str, int]] = set()
        self._healed_us: int | None = None if self.is_faulty else start_us
        self._moved_us = start_us
        strangers.join(self)
        if self.faults.every_us:
            self._expect_trouble(TROUBLES)

    # --- who is there and what is wanted ---

    def add(
        self,
        party: str,
        modules: Sequence[ModuleType],
        services: Mapping[str, object] | Services | None = None,
    ) -> Host:
        """A party and its computer, whose first process opens now. `services` by name, or what
        makes them anew for each process."""
        make: Services = services if callable(services) else (lambda: services or {})
        host = Host(self, party, modules, make)
        self.hosts[party] = host
        self.registries[party] = host.registry
        if self.faults.skew:
            host.skew_us = _SKEWS[self.tape.uniform(f"skew {party}", len(_SKEWS))]
        host.open()
        return host

    def start(self, party: str, flow: Any, /, **arguments: Any) -> Started:
        """Have a party start a flow, exactly once, however often it must ask."""
        started = Started(party, flow, arguments)
        host = started.host = self.hosts[party]
        self.starts.append(started)
        host.want(started)
        return started

    def command(self, started: Started, message: Message) -> Commanded:
        """Send to a flow from its owner, exactly once."""
        commanded = Commanded(started, message)
        self.hosts[started.party].want(commanded)
        return commanded

    def answer(self, party: str, task: TaskView, value: object, by: str) -> Answered:
        """Answer a question; if somebody else did before, that counts."""
        answered = Answered(task.flow_id, task.number, value, by)
        self.hosts[party].want(answered)
        return answered

    def node(self, party: str) -> Node:
        """The party's process, opened if it has none."""
        host = self.hosts[party]
        while host.node is None:
            if not self._step():
                host.open()
        return host.node

    def tasks(self, party: str) -> list[TaskView]:
        """The questions that are open at a party."""
        return self.node(party).tasks()

    def result(self, started: Started) -> Any:
        """A flow's result; raises the error that ended it, or StillRunning, which names who is in a
        hospital anywhere: somebody may wait for that."""
        try:
            return self.node(started.party).handle(started.id).result_now()
        except StillRunning as error:
            ill = [
                f"{name}: {one.flow} ({one.line or one.place}): {one.cause}"
                for name, host in self.hosts.items()
                if host.node is not None
                for one in host.node.hospital()
            ]
            raise StillRunning("; in the hospital: ".join([str(error), *ill])) from None

    def mail(self, started: Started) -> list[Any]:
        """All that a flow has said to its owner."""
        node = self.node(started.party)
        found: list[Any] = []
        number = 0
        while True:
            number, letter = node.mail(started.id, number)
            if letter is None or isinstance(letter, Exception):
                return found
            found.append(letter)
            number += 1

    def rows(self, party: str, sql: str) -> list[tuple[Any, ...]]:
        """What a service of the party would read."""
        store = self.node(party)._store
        store.savepoint()
        rows = store.execute(sql, (), read_only=True)
        store.release()
        store.abandon()
        return rows

    @property
    def now(self) -> datetime.datetime:
        """The world's time, in UTC."""
        since = datetime.timedelta(microseconds=self.now_us)
        return datetime.datetime.fromtimestamp(0, datetime.UTC) + since

    # --- time ---

    def later(self, delay_us: int, act: Callable[[], object]) -> None:
        """Have something happen after a while."""
        self._number += 1
        heapq.heappush(self._queue, (self.now_us + delay_us, self._number, act))

    def promise(self, delay_us: int, act: Callable[[], object]) -> None:
        """Have somebody outside do something after a while; until then the world does not rest."""
        self._promises += 1

        def keep() -> None:
            self._promises -= 1
            act()

        self.later(delay_us, keep)

    def run(self, horizon: datetime.timedelta | None = None) -> None:
        """Go on until nobody has anything to do, or the world is `horizon` further: flows that
        never end are left then. Raises Violation."""
        end_us = None if horizon is None else self.now_us + horizon // _MICROSECOND
        while self._step(end_us):
            pass
        self._check_watches()
        self.is_busy = end_us is not None and bool(self._queue) and not self._rests()
        if not self.is_busy:
            self._invariants.at_rest(self.starts, self._roots)

    def sleep(self, duration: datetime.timedelta) -> None:
        """Let time pass, and everything happen in it that would."""
        end_us = self.now_us + duration // _MICROSECOND
        while self._step(end_us):
            pass
        self.now_us = max(self.now_us, end_us)

    def crash(self, party: str) -> None:
        """End the party's process; another opens."""
        self.hosts[party].end()

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        if self._healed_us is not None:
            return
        self.is_faulty = False
        self._healed_us = self.now_us
        self.network.heal()
        for host in self.hosts.values():
            host.full = False
            host.paused_until = 0
            host.open()

    def _step(self, end_us: int | None = None) -> bool:
        """The next event. False if there is none, or it is after `end_us`."""
        if self.people and self._is_quiet() and sum(act(self) for act in self.people):
            return True
        if not self._queue or (end_us is None and self._rests()):
            if self._healed_us is None:
                self.heal()
                return True
            # A patient that reads nothing may have filled its inbox: then it is never quiet.
            return _mend(self, operations=True)
        at_us = self._queue[0][0]
        if end_us is not None and at_us > end_us:
            return False
        _, _, act = heapq.heappop(self._queue)
        self.now_us = max(self.now_us, at_us)
        self.events += 1
        act()
        if self.events > self._fault_events:
            self.heal()
            if self.events > self._fault_events + self.most_events:
                if end_us is not None and self.now_us > (self._healed_us or 0) + HOUR_US:
                    return False
                raise Violation("L", "the world never rests")
        return True

    def _is_quiet(self) -> bool:
        """Whether, for a while at least, nothing will happen by itself: all that was said has been
        heard, all that was begun has ended, and every process is there."""
        if self._queue and self._queue[0][0] < self.now_us + QUIET_US:
            return False
        for host in self.hosts.values():
            node = host.node
            if host.refused:
                continue
            if node is None or node._has_work() or host.wishes or self._may_arrive(host):
                return False
            if len(node._operations):
                return False
        return True

    def _may_arrive(self, host: Host) -> bool:
        """Whether something of a party's is on its way to who takes it. A stranger need not."""
        takers = {name for name, other in self.hosts.items() if not other.refused}
        return any(peer in takers for peer, _ in host.disk.outbox.values())

    def _rests(self) -> bool:
        """Whether only repeated attempts to reach somebody who is not there are under way."""
        since_us = self._moved_us if self._healed_us is None else self._healed_us
        if self._promises or self._queue[0][0] < max(since_us, self._moved_us) + STILL_US:
            return False
        for host in self.hosts.values():
            node = host.node
            if host.refused:
                continue
            if node is None or node._has_work() or host.wishes:
                return False
            visits = node._ward.visits
            due = (node._timers.next_due(), node._operations.next_due(), visits.next_due())
            if any(time is not None for time in due):
                return False
        return True

    # --- what goes wrong besides ---

    def _expect_trouble(self, left: int) -> None:
        def come() -> None:
            if self.is_faulty:
                self._trouble()
                if left > 1:
                    self._expect_trouble(left - 1)

        self.later(self.faults.every_us, come)

    def _trouble(self) -> None:
        tape, faults = self.tape, self.faults
        kind = tape.pick("trouble", faults.troubles, faults.trouble)
        if not kind or not self.hosts:
            return
        # Under labels of its own, so that the others stay as they are when this one is left out.
        number = f"of trouble {tape.drawn('trouble')}"
        names = sorted(self.hosts)
        host = self.hosts[names[tape.uniform(f"place {number}", len(names))]]
        other = names[tape.uniform(f"other {number}", len(names))]
        long_us = faults.every_us * (1 + tape.uniform(f"length {number}", 8))
        if kind == kinds.CRASH:
            host.end()
        elif kind == kinds.PAUSE:
            self.trouble(host.name, "pause", host._doing())
            host.paused_until = self.now_us + long_us
        elif kind == kinds.TAKEOVER:
            host.usurp()
        elif kind in (kinds.CUT, kinds.CUT_ONE_WAY):
            pairs = {(host.name, other)}
            if kind == kinds.CUT:
                pairs.add((other, host.name))
            self.trouble(host.name, kinds.TROUBLE[kind], other)
            self.network.cut |= pairs
            self.later(long_us, lambda: self.network.cut.difference_update(pairs))
        elif kind == kinds.CLOG:
            self.trouble(host.name, "clog", host._doing())
            self.network.clogged.setdefault(host.name, [])
            self.later(long_us, lambda: self.network.open(host.name))
        elif kind == kinds.FULL:
            self.trouble(host.name, "disk full", host._doing())
            host.full = True
            self.later(long_us, lambda: setattr(host, "full", False))
        elif kind in (kinds.FORWARD, kinds.BACK):
            jump_us = _JUMPS[tape.uniform(f"jump {number}", len(_JUMPS))]
            self.trouble(host.name, kinds.TROUBLE[kind], host._doing())
            host.set_clock(host.skew_us + (jump_us if kind == kinds.FORWARD else -jump_us))
        elif kind == kinds.STRANGER and self.strangers:
            who = self.strangers[tape.uniform(f"stranger {number}", len(self.strangers))]
            self.trouble(host.name, f"stranger {who.__name__.replace('_', ' ')}", host._doing())
            who(self)
            if self.strangers[0] is STRANGERS[0] and self.tape.uniform_apart("floods", 4) == 3:
                strangers.floods(self)

    def trouble(self, party: str, kind: str, during: str = "") -> None:
        """Note that something goes wrong."""
        self.cells[kind, during] += 1
        self.history.append(Trouble(self.now_us, party, kind, during))

    # --- what is committed ---

    def committed(self, host: Host, watch: Watch, batch: Batch) -> None:
        """A batch is on a disk: what its steps did has happened."""
        self._moved_us = self.now_us
        if host.must_refuse:
            text = f"{host.name} goes on from a backup, and could know that it is one"
            watch.violations.append(Violation("B2", text))
        if batch.outbox:
            waiting = sum([len(other.disk.outbox) for other in self.hosts.values()])
            self.most_in_flight = max(self.most_in_flight, waiting)
        records = self._records_of(watch, batch)
        if watch.violations:
            raise watch.violations[0]
        for record in records:
            self._note(host.name, record)
        for flow_id, flow, error, value in batch.outcomes:
            self.history.append(Ended(self.now_us, host.name, flow_id, flow, error, value))
        try:
            self._invariants.written(host, batch)
            self._invariants.committed(host, records, batch)
            for see in self.witnesses:
                see(host, batch)
        except Violation as violation:
            # A step may not catch it: it is told when the event is over.
            watch.violations.append(violation)
            raise

    def turned(self, host: Host) -> None:
        """A process has done what was ready."""
        if host.node is not None and not host.node._has_work():
            self._invariants.turned(host)

    def backed_up(self, host: Host) -> None:
        """A disk is copied."""
        self._invariants.remember(host.name)

    def went_back(self, host: Host) -> None:
        """A disk is what it was when it was copied."""
        self._moved_us = self.now_us
        self._invariants.go_back(host.name)

    def accepted(self) -> None:
        """Somebody has accepted that."""
        self._moved_us = self.now_us

    def told(self, host: Host) -> None:
        """A process has ended: what its clients heard must be written."""
        self._invariants.told(host, self.starts)

    def begins(self, host: Host, key: str, is_running: bool) -> None:
        """An operation begins outside of a step."""
        if is_running:
            raise Violation("I3", f"{host.name} begins {key} a second time while it runs")
        self._invariants.begins(host, key)

    def _records_of(self, watch: Watch, batch: Batch) -> list[Record]:
        """What the steps of this batch did. Who failed after all did nothing."""
        found = [
            record
            for flow_id, record in watch.records.items()
            if flow_id in batch.flows and (batch.patients.get(flow_id) is None or record.held)
        ]
        watch.records.clear()
        return found

    def _note(self, party: str, record: Record) -> None:
        at_us, flow_id = self.now_us, record.flow_id
        if record.began:
            self.flows_begun += 1
            self.history.append(Began(at_us, party, flow_id, record.flow, record.parent))
            kind = self.registries[party].classes[record.flow]
            if kind.responds_to is None and not record.parent and "schedule" not in kind.startable:
                self._roots.add((party, flow_id))
        for sent, flow, place, secret, peer, content, message in record.said:
            event = Sent if sent else Received
            self.history.append(
                event(at_us, party, flow_id, flow, place, secret, peer, content, message)
            )
        for operation, arguments in record.calls:
            self.history.append(Called(at_us, party, flow_id, operation, arguments))
        passed = tuple(record.passed)
        self.history.append(Rested(at_us, party, flow_id, record.before, record.path, passed))

    def _check_watches(self) -> None:
        for host in self.hosts.values():
            if host.watch.violations:
                raise host.watch.violations[0]

    @property
    def digest(self) -> str:
        """What happened, in 16 hex digits: the same for the same choices."""
        text = "\n".join(map(repr, self.history))
        text += f"\n{self.events} {self.now_us} {self.network.carried}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def kinds_of(self, batch: Batch) -> str:
        """What leaves with a batch, in a word each."""
        found = {_frame_kind(frame) for _, _, frame in batch.outbox[:8]}
        if batch.outcomes:
            found.add("outcome")
        return " ".join(sorted(found)) or "nothing"

    def close(self) -> None:
        """Let go of everything."""
        for tell in watchers:
            tell(self)
        for host in self.hosts.values():
            if host.disk.tables is not None:
                host.disk.tables.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kind_of(data: bytes) -> str:
    """What a packet is, in a word."""
    packet = unpack(data)
    return _frame_kind(packet[1]) if packet is not None else "bytes"


def _frame_kind(frame: bytes) -> str:
    try:
        found = decode_frame(frame)
    except BadBytes:
        return "bytes"
    if type(found) is Letter:
        return type(found.content).__name__
    return "Invite" if type(found) is Invite else type(found).__name__ if type(found) is Ack else ""


def _mend(world: World, operations: bool = False) -> bool:
    return sum(host.mend(operations) for host in world.hosts.values()) > 0


_MICROSECOND = datetime.timedelta(microseconds=1)
_SKEWS = (0, 1_000_000, -1_000_000, 900_000_000, -900_000_000, 3_600_000_000, -3_600_000_000)
_JUMPS = (1_000_000, 60_000_000, 3_600_000_000, 365 * 86_400_000_000)
