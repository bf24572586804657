"""A scenario for any modules: flows are started, people answer, owners speak, all as the tape says.

It is judged by the invariants alone: it does not know what the flows are for.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import msgspec

from flowrt.core.flow import Party, Session
from flowrt.core.registry import AnyFlow, Registry
from flowrt.sim import values
from flowrt.sim.host import Host, Started
from flowrt.sim.mocks import Mocks
from flowrt.sim.tape import Tape
from flowrt.sim.values import Draw, Unknown
from flowrt.sim.world import World
from flowrt.store import Batch

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace")
"""Who takes part, where nobody says."""

HORIZON = datetime.timedelta(days=400)
"""After so long, flows that never end are left."""

MOST_EVENTS = 20_000
"""After so many events, too, if they have had an hour."""

AFTER_US = (0, 10_000, 1_000_000, 3_600_000_000)
"""When a flow is started, after the world began."""

THINK_US = (1_000_000, 20_000, 3_600_000_000, 100_000_000_000, -1)
"""How long people think before they answer, and owners before they speak; -1: for ever."""

COMMANDS = 4
"""What an owner says at most."""

STORY = frozenset(
    {"flows", "flow", "party", "arguments", "time", "commands", "answer", "throw", "person"}
)
"""The first words of the labels under which a world's story is drawn; whatever else is on its tape
is what goes wrong in it."""

Services = Callable[[str], Mapping[str, object]]
"""Gives a party's services, from its name."""


class NotPlayable(Exception):
    """The modules cannot be played so; says why, and what to do."""


class Generic:
    """Any flows of some modules among some parties.

    Args:
        modules: what every party runs.
        flow: start only this one; None for each that is startable by rpc.
        arguments: of `flow`; what is not given is drawn by its type.
        parties: who takes part.
        most: how many flows are started at most; a single one starts at the first party.
        services: the real ones; made up where absent.

    Raises:
        NotPlayable: no flow can be started, or values of some type cannot be made up.
    """

    name = "generic"
    horizon = HORIZON

    def __init__(
        self,
        modules: Sequence[ModuleType],
        *,
        flow: AnyFlow | None = None,
        arguments: Mapping[str, Any] | None = None,
        parties: Sequence[str] = NAMES[:3],
        most: int = 3,
        services: Services | None = None,
    ) -> None:
        self._modules = modules
        self._arguments = arguments or {}
        self._parties = tuple(parties)
        self._most = most
        self._services = services
        self._registry = Registry(modules)
        self._starters = [
            one
            for one in self._registry.classes.values()
            if "rpc" in one.startable and flow in (None, one)
        ]
        self._mocks: Mocks | None = None
        if not self._starters:
            what = f"{flow.__name__} is not" if flow is not None else "no flow here is"
            raise NotPlayable(f"{what} `startable by rpc`, so nobody can start it")
        self._must_be_drawable()

    def _must_be_drawable(self) -> None:
        draw = Draw(Tape(), "", [Party(name) for name in self._parties])
        try:
            for starter in self._starters:
                for field in fields_of(starter):
                    if field.name not in self._arguments:
                        draw.value(field.type)
            for asked in self._registry.classes.values():
                for kind in asked.tasks.values():
                    draw.value(kind)
            for key in self._registry.services() if self._services is None else ():
                for operation in key.operations:
                    draw.value(operation.result)
        except Unknown as unknown:
            raise NotPlayable(str(unknown)) from None

    def build(self, world: World) -> None:
        """Add the parties, and have flows started."""
        world.most_events = MOST_EVENTS
        make = self._services
        if make is None:
            self._mocks = Mocks(world, self._registry)
            make = self._mocks.services
        for party in self._parties:
            world.add(party, self._modules, functools.partial(make, party))
        world.witnesses.append(lambda host, batch: self._ask_people(world, host, batch))
        taken: set[tuple[str, str, str]] = set()
        count = 1 + world.tape.draw("flows", self._most, 0.7) if self._most > 1 else 1
        for number in range(1, count + 1):
            self._start(world, number, taken)

    def judge(self, world: World) -> None:
        """I3. What else must hold was looked at all the time."""
        if self._mocks is not None:
            self._mocks.judge()

    # --- who starts what ---

    def _start(self, world: World, number: int, taken: set[tuple[str, str, str]]) -> None:
        tape = world.tape
        flow = self._starters[tape.uniform(f"flow {number}", len(self._starters))]
        own = tape.uniform(f"party of start {number}", len(self._parties)) if self._most > 1 else 0
        party = self._parties[own]
        others = (*self._parties[own + 1 :], *self._parties[: own + 1])
        draw = Draw(tape, f"arguments of start {number}", list(map(Party, others)), world.start_us)
        left = [field for field in fields_of(flow) if field.name not in self._arguments]
        arguments = {**self._arguments, **draw.arguments(left)}
        delay_us = 0
        if number > 1:
            delay_us = AFTER_US[tape.draw(f"time of start {number}", len(AFTER_US), 0.3)]
        key = (party, flow.name, key_of(flow, arguments))
        if key[2] and key in taken:
            return  # A second one under a business key is not accepted while the first lives.
        taken.add(key)
        if not delay_us:
            self._speak(world, number, world.start(party, flow, **arguments))
            return

        def begin() -> None:
            self._speak(world, number, world.start(party, flow, **arguments))

        world.promise(delay_us, begin)

    def _speak(self, world: World, number: int, started: Started) -> None:
        """What the owner of a flow says to it."""
        kinds = started.flow.commands
        if not kinds:
            return
        draw = Draw(
            world.tape,
            f"commands to start {number}",
            [Party(name) for name in self._parties],
            world.start_us,
        )
        at_us = 0
        for _ in range(draw.some(COMMANDS + 1)):
            message = draw.value(kinds[draw.some(len(kinds))])
            delay_us = THINK_US[draw.some(len(THINK_US))]
            if delay_us < 0:
                return
            at_us += delay_us
            world.promise(at_us, functools.partial(world.command, started, message))

    # --- people ---

    def _ask_people(self, world: World, host: Host, batch: Batch) -> None:
        for (flow_id, number), task in batch.tasks.items():
            if task is None:
                continue
            label = f"person at {host.name} {flow_id}.{number}"
            delay_us = THINK_US[world.tape.draw(label, len(THINK_US), 0.5)]
            if delay_us >= 0:
                answer = functools.partial(self._answer, world, host.name, flow_id, number)
                world.promise(delay_us, answer)

    def _answer(self, world: World, party: str, flow_id: int, number: int) -> None:
        if world.hosts[party].node is None:
            world.promise(1_000_000, lambda: self._answer(world, party, flow_id, number))
            return
        for task in world.tasks(party):
            if (task.flow_id, task.number) == (flow_id, number):
                label = f"answer of a person at {party} {flow_id}.{number}"
                parties = [Party(name) for name in self._parties]
                value = Draw(world.tape, label, parties, world.start_us).value(task.answer)
                world.answer(party, task, value, by="ann")


def fields_of(flow: AnyFlow) -> list[msgspec.structs.FieldInfo]:
    """The parameters of a flow, but for sessions: those its node opens."""
    fields = list(values.fields_of(flow.Start))
    if flow.owner:
        fields = fields[:-1]
    return [field for field in fields if field.type is not Session]


def key_of(flow: AnyFlow, arguments: Mapping[str, Any]) -> str:
    """The business key under which a flow would live; "" if it has none."""
    owner = {flow.Start.__struct_fields__[-1]: 0} if flow.owner else {}
    return flow.key(flow.Start(**arguments, **owner))
