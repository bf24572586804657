"""Flows that the clock starts: by schedules, and by the diaries of services. Commits nothing.

A *diary* is a service's own list of what is to be started when, such as what states of a ledger
want done. What is in it is taken out in the transaction of the flow's first step: so it is started
once, whatever crashes.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import NamedTuple, Protocol, runtime_checkable

from flowrt.arguments import start_state
from flowrt.core import engine
from flowrt.core.engine import BEGIN
from flowrt.core.flow import Schedule, Tx
from flowrt.core.hospital import one_line, text_of
from flowrt.core.registry import Registry
from flowrt.core.values import Checkpoint
from flowrt.handle import NotStartable
from flowrt.limits import Limits
from flowrt.peers.recognition import Recognition
from flowrt.policies import Policy
from flowrt.schedules import Schedules
from flowrt.services import Reading
from flowrt.store import Store, StoreError
from flowrt.turn import Appointed, Firing, Job, Turn

PUT_OFF_US = 60_000_000
"""When what could not be started now, because another flow lives under its key, is tried again."""

_LOG = logging.getLogger("flowrt.node")


class Appointment(NamedTuple):
    """A flow that is to be started now: its name without a version, and its arguments."""

    flow: str
    arguments: Mapping[str, object]


@runtime_checkable
class Diary(Protocol):
    """What a service wants started, and when; the service has it as its attribute `diary`. Entries
    are numbers that the diary gives them."""

    def next_due(self, tx: Tx) -> int | None:
        """When the first one is due, in microseconds since 1970. Asked after every commit."""
        ...

    def due(self, tx: Tx, now_us: int, most: int) -> Sequence[int]:
        """At most so many of those that are due."""
        ...

    def take(self, tx: Tx, entry: int) -> Appointment | None:
        """Take one out: what is to be started; None if it is not there, or not due, any more."""
        ...

    def put_off(self, tx: Tx, entry: int, until_us: int) -> None:
        """Put back what was taken out: it is due then."""
        ...

    def refuse(self, tx: Tx, entry: int, why: str) -> None:
        """Put back what cannot be started here, because of what the node has installed."""
        ...


class Agenda(Recognition):
    """What the clock of one node starts."""

    def __init__(
        self,
        party: str,
        store: Store,
        modules: Iterable[ModuleType] | Registry,
        services: Mapping[str, object],
        clock: Callable[[], int],
        key: bytes,
        policy: Policy | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(party, store, modules, services, clock, key, policy, limits)
        self._schedules = Schedules(self.registry.schedules)
        kept = (getattr(service, "diary", None) for service in services.values())
        found = {
            id(diary): diary for diary in kept if diary is not None and isinstance(diary, Diary)
        }
        self._diaries: tuple[Diary, ...] = tuple(found.values())
        self._appointed: set[Appointed] = set()
        """Those that wait for their turn."""
        self._outside_steps = Reading(self.party, store, clock)

    def _next_start(self) -> int | None:
        """When the clock starts the next flow."""
        times = [diary.next_due(self._outside_steps) for diary in self._diaries]
        times.append(self._schedules.next_due())
        return min((time for time in times if time is not None), default=None)

    def _starts_due(self, now_us: int, room: int) -> list[Firing | Appointed]:
        """What is due now; of diaries at most so much."""
        found: list[Firing | Appointed] = [*map(Firing, self._schedules.take_due(now_us))]
        for number, diary in enumerate(self._diaries):
            first = diary.next_due(self._outside_steps)
            if first is None or first > now_us or room <= 0:
                continue
            for entry in diary.due(self._outside_steps, now_us, room):
                one = Appointed(number, entry)
                if one not in self._appointed:
                    self._appointed.add(one)
                    found.append(one)
                    room -= 1
        return found

    def _fire(self, schedule: Schedule, turn: Turn) -> None:
        """Start a schedule's flow, and remember when the next one is due."""
        if schedule.name in turn.batch.schedules:
            return  # The node went back to its store in between, and found it due there too.
        if not self._schedules.is_due(schedule, self._world.now_us):
            self._schedules.wait_again(schedule)
            return
        flow_id = self._new_flow()
        due_us, row = self._schedules.following(schedule, self._world.now_us, flow_id)
        turn.batch.schedules[schedule.name] = row
        turn.fired.append((schedule.name, due_us))
        name = self.registry.names[schedule.flow]
        start = schedule.start
        make = functools.partial(engine.begin, name, schedule.flow, start)
        asker = schedule.name.encode()
        self._step(Job(flow_id, BEGIN, make, asker=asker), turn)

    def _keep(self, item: Appointed, turn: Turn) -> None:
        """Start the flow that an entry of a diary wants, and take the entry out."""
        self._appointed.discard(item)
        turn.diaries = True
        diary, entry, tx = self._diaries[item.diary], item.entry, self._tx
        tx.flow_id = 0
        outer = tx.enter(read_only=False)
        try:
            wanted = diary.take(tx, entry)
            make = self._beginning(wanted) if wanted is not None else None
        except StoreError:
            raise
        except Exception as error:
            # The entry is put back, so that a node which has the flow can start it.
            why = engine.writable(text_of(error))
            _LOG.warning("%s: not started by the clock: %s", self.party.name, one_line(why))
            diary.refuse(tx, entry, why)
            make = None
        finally:
            tx.leave(outer)
        tx.finish(keep=True)
        if wanted is None or make is None:
            return
        job = Job(self._new_flow(), BEGIN, make, asker=wanted.flow.encode())
        self._step(job, turn)
        if any(flow_id == job.flow_id for flow_id, _ in turn.unstarted):
            outer = tx.enter(read_only=False)
            try:
                diary.put_off(tx, entry, self._world.now_us + PUT_OFF_US)
            finally:
                tx.leave(outer)
            tx.finish(keep=True)

    def _beginning(self, wanted: Appointment) -> Callable[[], Checkpoint]:
        """How the flow begins. Raises NotStartable: it is not one that the clock starts, or the
        arguments do not fit."""
        kind = self.registry.newest(wanted.flow)
        if kind is None:
            raise NotStartable(f"{one_line(wanted.flow)} is not a flow of this node")
        if "schedule" not in kind.startable:
            raise NotStartable(f"{kind.__name__} is not `startable by schedule`")
        start = start_state(kind, (), dict(wanted.arguments))
        return functools.partial(engine.begin, self.registry.names[kind], kind, start)
