"""The parties of one scenario on one kind of store: what happens, what was said, what is left.

A scenario's test says who is there, what is started and what is expected; this says how. Flows are
read from their bytes for every step, as if they had been asleep. Knows no scenario.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import random
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from flowrt.core.flow import Party
from flowrt.core.hospital import Patient
from flowrt.core.registry import Registry
from flowrt.core.values import (
    Ack,
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Frame,
    Invite,
    Recall,
    Recalled,
    Reject,
    decode_frame,
    decode_message,
)
from flowrt.handle import NodeStopped, StillRunning
from flowrt.node import Node
from flowrt.peers.outbox import unpack
from flowrt.sim import Faults, Tape, faults
from flowrt.sim import World as Simulated
from flowrt.sim.faults import REFUSED
from flowrt.store import Batch, Store
from flowrt.views import FlowView, TaskView
from tests.runtime.crashes import Crash
from tests.runtime.crashes import World as OnFiles

ALICE, BOB, CAROL = Party("alice"), Party("bob"), Party("carol")
HOUR = datetime.timedelta(hours=1)
STEPS = 100_000
"""A scenario that takes more steps than that never rests."""

ROUNDS = 1_000
"""How often time passes at most until a flow that is waited for has ended."""

_numbers = itertools.count(1)

Services = Callable[[], Mapping[str, object]]


@functools.cache
def program(text: str, name: str = "play") -> ModuleType:
    """The module that a program becomes; flows in it are called `name`.…, so that two programs
    may hold two versions of one flow."""
    made = compile_modules([name], {name: Source(f"{name}.flow", name, text)}.get)
    wrong = [found for found in made.diagnostics if found.severity == "error"]
    assert not wrong, "\n".join(as_text(found, made.sources) for found in wrong)
    module = ModuleType(f"conformance_{next(_numbers)}_flow")
    sys.modules[module.__name__] = module
    code = generate(made.modules[name])
    exec(compile(code, f"{module.__name__}.py", "exec"), module.__dict__)
    return module


def mistakes(text: str) -> dict[str, str]:
    """What the compiler says of a program that it refuses: code and text of each error."""
    made = compile_modules(["play"], {"play": Source("play.flow", "play", text)}.get)
    return {found.code: found.message for found in made.diagnostics if found.severity == "error"}


class Begun(typing.Protocol):
    """A flow of a party."""

    @property
    def party(self) -> str: ...

    @property
    def id(self) -> int: ...


class Flow(typing.NamedTuple):
    """A flow that nobody started from outside, such as a responder."""

    party: str
    id: int


class Scene:
    """Some parties, each with a program, a store and services; driven by hand.

    Args:
        programs: each party's modules.
        services: makes a party's services anew for every process.
    """

    def __init__(
        self, programs: Mapping[str, Sequence[ModuleType]], services: Services | None
    ) -> None:
        self.programs = programs
        self.frames: list[tuple[str, str, Frame]] = []
        """What was said: sender, receiver, frame; without acknowledgements and repetitions."""
        self._heard: set[tuple[str, int]] = set()
        self._listen()
        for party, modules in programs.items():
            used = {key.name.rpartition(".")[2] for key in Registry(modules).services()}
            self._add(party, functools.partial(_some_of, services or dict, used))

    # --- what a kind of store does its own way ---

    def _listen(self) -> None:
        raise NotImplementedError

    def _add(self, party: str, services: Services) -> None:
        raise NotImplementedError

    def step(self) -> bool:
        """The least that can happen. False if nothing does before time passes."""
        raise NotImplementedError

    def run(self, duration: datetime.timedelta = HOUR) -> None:
        """Let everything happen that happens in that time."""
        raise NotImplementedError

    def node(self, party: str) -> Node:
        """The party's process."""
        raise NotImplementedError

    def start(self, party: str, flow: Any, /, **arguments: Any) -> Begun:
        """Have a party start a flow."""
        raise NotImplementedError

    def crash(self, party: str) -> None:
        """End the party's process without a word; another opens on its store."""
        raise NotImplementedError

    def die(self, party: str) -> None:
        """End the party's process in the middle of what a service of it does outside of steps."""
        raise NotImplementedError

    def refuse(self, party: str, times: int) -> None:
        """Have the party's store refuse its next commits."""
        raise NotImplementedError

    def spoil(self, *kinds: str, rate: float = 0.4) -> None:
        """From now on many commits of all parties go wrong, each in one of these ways: "crash
        before", "crash after", "refused", "unknown, done", "unknown, not done"."""
        raise NotImplementedError

    def shake(self) -> None:
        """From now on the network loses, repeats and reorders."""
        raise NotImplementedError

    def cut(self, *parties: str) -> None:
        """From now on nothing passes to or from these parties; to nobody else any more."""
        raise NotImplementedError

    def install(self, party: str, *modules: ModuleType) -> None:
        """Start the party's process anew, with these modules."""
        raise NotImplementedError

    def usurp(self, party: str) -> Node:
        """Open a second process on the party's store; the first, which does not know, is
        returned."""
        raise NotImplementedError

    @property
    def failures(self) -> int:
        """How many commits went wrong."""
        raise NotImplementedError

    @property
    def now_us(self) -> int:
        """The time, in microseconds."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    # --- the same for all ---

    def until(self, holds: Callable[[], Any]) -> None:
        """Go on in the least steps until something holds."""
        for _ in range(STEPS):
            if holds():
                return
            assert self.step(), "nothing more happens, and it never came true"
        raise AssertionError("it never comes true")

    def result(self, begun: Begun) -> Any:
        """Go on until a flow has ended, however long that takes; its result, or its error,
        raised."""
        for _ in range(ROUNDS):
            self.run()
            try:
                return self.node(begun.party).handle(begun.id).result_now()
            except StillRunning:
                assert not self.hospital(begun.party), self.hospital(begun.party)
        raise AssertionError("the flow waits for ever")

    def run_flow(self, party: str, flow: Any, /, **arguments: Any) -> Any:
        """Start a flow and go on until it has ended."""
        return self.result(self.start(party, flow, **arguments))

    def has_ended(self, begun: Begun) -> bool:
        """Whether a flow has ended, in whatever way."""
        return self.node(begun.party).handle(begun.id).outcome is not None

    def tell(self, future: Any) -> Any:
        """Go on until somebody who asked is told; what is told, or why not, raised."""
        self.run()
        assert future.done(), "nobody is told"
        return future.result()

    def tell_soon(self, future: Any) -> Any:
        """Go on in the least steps until somebody who asked is told."""
        self.until(future.done)
        return future.result()

    def hospital(self, party: str) -> list[Patient]:
        return self.node(party).hospital()

    def flows(self, party: str) -> list[FlowView]:
        return self.node(party).flows()

    def tasks(self, party: str) -> list[TaskView]:
        return self.node(party).tasks()

    def waits(self, party: str) -> list[str]:
        """What each living flow of a party waits for."""
        return [flow.waits for flow in self.flows(party)]

    def rows(self, party: str, sql: str) -> list[tuple[Any, ...]]:
        """What a service of the party would read."""
        store: Store = self.node(party)._store
        store.savepoint()
        rows = store.execute(sql, (), read_only=True)
        store.release()
        store.abandon()
        return rows

    def labels(self, begun: Begun) -> list[str]:
        """The labels of a flow's progress, in order."""
        return [event.label for event in self.node(begun.party).progress(begun.id)]

    def steps(self, begun: Begun) -> list[tuple[str, ...]]:
        """Where a flow's progress was, in order: the steps from the outermost flow inwards."""
        return [event.path for event in self.node(begun.party).progress(begun.id)]

    def nothing_is_left(self) -> None:
        """Assert that every flow has ended, everything was delivered, and nobody needs help."""
        self.run()
        for party in self.programs:
            node = self.node(party)
            left = (self.flows(party), self.hospital(party), self.tasks(party), len(node._outbox))
            assert left == ([], [], [], 0), (party, left)

    # --- what is said ---

    def _hear(self, sender: str, receiver: str, data: bytes) -> None:
        packet = unpack(data)
        assert packet is not None
        number, content = packet
        frame = decode_frame(content)
        if isinstance(frame, Ack | Recall | Recalled) or (sender, number) in self._heard:
            return
        self._heard.add((sender, number))
        self.frames.append((sender, receiver, frame))

    def said(self, *between: str) -> list[str]:
        """What was said, a line each, of all parties or between two."""
        return [
            f"{sender} {self._words(sender, frame)}"
            for sender, receiver, frame in self.frames
            if not between or {sender, receiver} == set(between)
        ]

    def contents(self, sender: str, receiver: str) -> list[Content]:
        """What one party's flows said to another's, invitations apart."""
        return [
            frame.content
            for who, whom, frame in self.frames
            if (who, whom) == (sender, receiver) and not isinstance(frame, Invite | Ack)
        ]

    def _words(self, sender: str, frame: Frame) -> str:
        if isinstance(frame, Invite):
            first = f" with {self._message(sender, frame.first)}" if frame.first else ""
            return f"invites{first}"
        assert not isinstance(frame, Ack)
        content = frame.content
        if isinstance(content, Data):
            return f"sends {self._message(sender, content)}"
        return _WORDS[type(content)]

    def _message(self, sender: str, data: Data) -> str:
        kind = self.node(sender).registry.messages[data.name]
        message = decode_message(kind, data.body)
        fields = ", ".join(str(getattr(message, name)) for name in kind.__struct_fields__)
        return f"{kind.__name__}({fields})"


_WORDS = {Confirm: "confirms", Reject: "rejects", Failure: "fails", End: "ends"}


def _some_of(services: Services, used: set[str]) -> Mapping[str, object]:
    """The services that a party's program uses."""
    return {name: found for name, found in services().items() if name in used}


class InMemory(Scene):
    """In the simulated world, which looks after every event whether its invariants hold."""

    def _listen(self) -> None:
        self.world = Simulated(Tape(1), Faults.none(), reload=True, batch=512)
        self._failures = 0
        self.world.was_faulty = True  # A process that stops is started again.
        look = self.world.network.sent

        def listen(sender: str, receiver: str, data: bytes) -> None:
            look(sender, receiver, data)
            self._hear(sender, receiver, data)

        self.world.network.sent = listen

    def _add(self, party: str, services: Services) -> None:
        self.world.add(party, self.programs[party], services)

    def step(self) -> bool:
        return self.world._step(self.world.now_us + HOUR // datetime.timedelta(microseconds=1))

    def run(self, duration: datetime.timedelta = HOUR) -> None:
        self.world.sleep(duration)

    def node(self, party: str) -> Node:
        return self.world.node(party)

    def start(self, party: str, flow: Any, /, **arguments: Any) -> Begun:
        return self.world.start(party, flow, **arguments)

    def crash(self, party: str) -> None:
        self.world.crash(party)
        self.world.node(party)

    def die(self, party: str) -> None:
        self.world.crash(party)

    def refuse(self, party: str, times: int) -> None:
        host = self.world.hosts[party]
        left = iter(range(times))

        def fate(batch: Batch) -> int:
            if next(left, None) is None:
                return 0
            self._failures += 1
            return REFUSED

        self.world.node(party)
        assert host._store is not None
        host._store._fate = fate

    def spoil(self, *kinds: str, rate: float = 0.4) -> None:
        chance = random.Random(1)
        self.world.is_faulty = True

        def fate(batch: Batch) -> int:
            if chance.random() >= rate:
                return 0
            self._failures += 1
            return faults.FATES.index(chance.choice(kinds))

        for host in self.world.hosts.values():
            host._fate = fate  # type: ignore[method-assign]
            if host._store is not None:
                host._store._fate = fate

    def shake(self) -> None:
        some = (faults.LOST, faults.REPEATED, faults.LATE)
        self.world.network.faults = Faults(packet=0.5, packets=some)

    def cut(self, *parties: str) -> None:
        names = self.programs.keys()
        self.world.network.cut = {(a, b) for a in names for b in names if {a, b} & set(parties)}
        self.world._moved_us = self.world.now_us  # Attempts to reach somebody may succeed again.

    def install(self, party: str, *modules: ModuleType) -> None:
        host = self.world.hosts[party]
        host.registry = self.world.registries[party] = Registry(modules)
        self.crash(party)

    def usurp(self, party: str) -> Node:
        old = self.world.node(party)
        host = self.world.hosts[party]
        assert host.node is not None
        host.node.host = None
        host.node = host._store = None
        host._is_awake = False
        host._due_us = 0
        host.open()
        return old

    @property
    def failures(self) -> int:
        return self._failures

    @property
    def now_us(self) -> int:
        return self.world.now_us

    def close(self) -> None:
        self.world.close()


class Restarted(OnFiles):
    """A world whose processes are started again when they stop."""

    def _guarded(self, party: str, act: Callable[[Node], bool]) -> bool:
        try:
            return super()._guarded(party, act)
        except NodeStopped:
            self.crash(party)
            return True


class OnDisk(Scene):
    """With a SQLite file for each party in `folder`."""

    def __init__(
        self,
        programs: Mapping[str, Sequence[ModuleType]],
        services: Services | None,
        folder: Path,
    ) -> None:
        self._folder = folder
        super().__init__(programs, services)

    def _listen(self) -> None:
        self.world = Restarted(folder=self._folder, reload=True)
        send = self.world.network._send

        def listen(sender: str, receiver: str, data: bytes) -> None:
            self._hear(sender, receiver, data)
            send(sender, receiver, data)

        self.world.network._send = listen  # type: ignore[method-assign]

    def _add(self, party: str, services: Services) -> None:
        self.world.add(party, self.programs[party], services)

    def step(self) -> bool:
        if self.world.network.pump(1):
            return True
        for party in self.programs:
            if self.world._guarded(party, lambda node: node.turn()):
                return True
        return self._pass_time()

    def _pass_time(self) -> bool:
        due = [self.world.node(party).next_due() for party in self.programs]
        times = [time for time in due if time is not None]
        if not times:
            return False
        self.world.now_us = max(self.world.now_us, min(times))
        return True

    def run(self, duration: datetime.timedelta = HOUR) -> None:
        horizon_us = duration // datetime.timedelta(microseconds=1)
        end_us = self.world.now_us + horizon_us
        self.world.run(horizon_us)
        self.world.now_us = max(self.world.now_us, end_us)

    def node(self, party: str) -> Node:
        return self.world.node(party)

    def start(self, party: str, flow: Any, /, **arguments: Any) -> Begun:
        return self.world.start(party, flow, **arguments)

    def crash(self, party: str) -> None:
        self.world.crash(party)

    def die(self, party: str) -> None:
        raise Crash

    def refuse(self, party: str, times: int) -> None:
        power = self.world.power
        next_one = power.commits + 1
        power.fail = dict.fromkeys(range(next_one, next_one + times), "refused")

    def spoil(self, *kinds: str, rate: float = 0.4) -> None:
        chance = random.Random(1)
        power = self.world.power
        power.fail = {
            power.commits + number: chance.choice(kinds).removeprefix("crash ")
            for number in range(1, STEPS)
            if chance.random() < rate
        }

    def shake(self) -> None:
        network = self.world.network
        network.lose = network.repeat = 0.25
        network.reorder = 0.5

    def cut(self, *parties: str) -> None:
        self.world.network.down = set(parties)

    def install(self, party: str, *modules: ModuleType) -> None:
        self.world.members[party].modules = modules
        self.crash(party)

    def usurp(self, party: str) -> Node:
        member = self.world.members[party]
        old, member.node, member.store = self.node(party), None, None
        self.node(party)
        return old

    @property
    def failures(self) -> int:
        return self.world.power.failures

    @property
    def now_us(self) -> int:
        return self.world.now_us

    def close(self) -> None:
        self.world.close()
