"""Whole conversations as a strategy: each example is one that has been run, in a world of its own.

Arguments, what services and people say, and what goes wrong are drawn; the world does the rest.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from hypothesis import strategies as st
from hypothesis.control import cleanup
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from flowrt.core import flow as rt
from flowrt.core.hospital import Patient
from flowrt.core.registry import Registry
from flowrt.core.values import decode
from flowrt.node import Node
from flowrt.sim.faults import Faults
from flowrt.sim.history import Began, Called, Ended, Sent
from flowrt.sim.host import Host, Started
from flowrt.sim.tape import Tape
from flowrt.sim.violation import Violation
from flowrt.sim.watch import Watch
from flowrt.sim.world import World
from flowrt.store import Batch
from flowrt.testing.diagram import diagram, passed, shown
from flowrt.testing.mocks import Answer, Asked, Mocks
from flowrt.testing.schedule import MOST, DrawnTape, schedules, words
from flowrt.testing.strategies import arguments_of, starting_fields, values_of

AnyFlow = type[rt.Flow[Any]]

MOST_EVENTS = 20_000
"""A conversation that has more events than that never ends."""

MOST_RESTING = 12
"""So many flows that have not ended are listed."""

_MICROSECOND = datetime.timedelta(microseconds=1)
_DELAYS = st.sampled_from(
    [datetime.timedelta(0)]
    + [datetime.timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days")]
    + [datetime.timedelta(days=10)]
)


@dataclasses.dataclass(frozen=True)
class Message:
    """A message that was committed to leave: who sent it, to whom, when (microseconds)."""

    sender: str
    receiver: str
    message: rt.Message
    at_us: int


@dataclasses.dataclass(frozen=True)
class Effect:
    """A call of a service: by which party, with which arguments."""

    party: str
    operation: str
    arguments: tuple[Any, ...]


class FlowFailedInTest(AssertionError):
    """A flow came to the hospital by a mistake in the flow, its services or its functions."""


class Conversation:
    """A conversation that is over: what was said, what came of it, what went wrong.

    Shown as text it is a sequence diagram, what went wrong in words, and how each flow ended.
    """

    def __init__(self, world: World, parties: Mapping[str, AnyFlow], asked: list[Asked]) -> None:
        self.world = world
        self.parties = parties
        self._asked = asked

    # --- what came of it ---

    @property
    def result(self) -> Any:
        """What the flow that was started returned. Raises the error that ended it, or
        StillRunning."""
        return self.world.result(self.world.starts[0])

    def outcome(self, flow: AnyFlow) -> Any:
        """How the first flow of that class ended: its result, or the error itself. None while it
        runs, and where there was none."""
        return next(iter(self.outcomes(flow)), None)

    def outcomes(self, flow: AnyFlow) -> list[Any]:
        """How each flow of that class ended, in the order in which they began; None for those that
        still run."""
        name = flow.versioned()
        began = [
            (one.party, one.flow_id)
            for one in self.world.history
            if isinstance(one, Began) and one.flow == name
        ]
        return [self._outcome(party, flow_id) for party, flow_id in began]

    def _outcome(self, party: str, flow_id: int) -> Any:
        handle = self.world.node(party).handle(flow_id)
        if handle.outcome is None:
            return None
        try:
            return handle.result_now()
        except rt.FlowError as error:
            return error

    def running(self) -> list[tuple[str, str]]:
        """The flows that have not ended: (party, versioned name)."""
        return [
            (party, view.flow) for party in self.parties for view in self.world.node(party).flows()
        ]

    @property
    def messages(self) -> list[Message]:
        """All messages, in the order in which they were committed to leave."""
        return [
            Message(one.party, one.peer, message, one.at_us)
            for one in self.world.history
            if isinstance(one, Sent) and (message := one.message) is not None
        ]

    def effects(self, operation: str) -> list[Effect]:
        """The calls of an operation, such as `"Treasury.lend"`: those of committed steps, once
        each; of an external operation every time that it ran."""
        found = [
            Effect(one.party, one.operation, one.arguments)
            for one in self.world.history
            if isinstance(one, Called) and _is_named(one.operation, operation)
        ]
        found += [
            Effect(one.party, one.operation, one.arguments)
            for one in self._asked
            if one.is_external and _is_named(one.operation, operation)
        ]
        if not found and not self._is_declared(operation):
            raise InvalidArgument(f"no flow of this conversation calls an operation {operation}")
        return found

    def _is_declared(self, operation: str) -> bool:
        return any(
            _is_named(f"{key.name}.{one.name}", operation)
            for host in self.world.hosts.values()
            for key in Registry(host.modules).services()
            for one in key.operations
        )

    # --- what must have come of it ---

    def assert_ended(self) -> None:
        """Every flow has an outcome."""
        __tracebackhide__ = True
        running = self.running()
        assert not running, "these flows have not ended: " + ", ".join(
            f"{flow} of {party}" for party, flow in running
        )

    def assert_sent(
        self,
        kind: type[rt.Message] | rt.Message,
        *,
        frm: str | None = None,
        to: str | None = None,
        times: int | None = None,
    ) -> None:
        """A message of this class, or this very message, was sent; exactly so often, if `times`
        says how often."""
        __tracebackhide__ = True
        count = len(self._sent(kind, frm, to))
        what = _what(kind, frm, to)
        if times is None:
            assert count, f"{what} was never sent"
        else:
            assert count == times, f"{what} was sent {count} times, not {times}"

    def assert_not_sent(
        self, kind: type[rt.Message] | rt.Message, *, frm: str | None = None, to: str | None = None
    ) -> None:
        """No message of this class, or not this one, was sent."""
        __tracebackhide__ = True
        count = len(self._sent(kind, frm, to))
        assert not count, f"{_what(kind, frm, to)} was sent {count} times"

    def _sent(
        self, kind: type[rt.Message] | rt.Message, frm: str | None, to: str | None
    ) -> list[Message]:
        return [
            one
            for one in self.messages
            if (isinstance(one.message, kind) if isinstance(kind, type) else one.message == kind)
            and frm in (None, one.sender)
            and to in (None, one.receiver)
        ]

    def assert_effect(self, operation: str, *arguments: Any, times: int = 1) -> None:
        """An operation was called so often; with these arguments, if there are any."""
        __tracebackhide__ = True
        found = [
            one for one in self.effects(operation) if not arguments or one.arguments == arguments
        ]
        given = f"({', '.join(map(shown, arguments))})" if arguments else ""
        assert len(found) == times, f"{operation}{given} was called {len(found)} times, not {times}"

    # --- as text ---

    @property
    def choices(self) -> Mapping[str, Mapping[int, int]]:
        """What went wrong, as the tape keeps it."""
        return self.world.tape.choices

    def report(self) -> str:
        """The conversation as text."""
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        world = self.world
        lines = [f"{_started(one)}" for one in world.starts]
        lines += [""]
        lines += diagram(world.history, list(self.parties), world.start_us, self._told())
        lines += [""]
        wrong = words(self.choices)
        lines += ["what went wrong:"] if wrong else ["nothing went wrong on the way"]
        lines += [f"  {line}" for line in wrong]
        resting: list[str] = []
        for party, node in self._nodes():
            patients = {one.flow_id: one for one in node.hospital()}
            for view in node.flows():
                patient = patients.get(view.id)
                if patient is not None:
                    told = f"is in the hospital, at {patient.place}: {patient.cause}"
                else:
                    told = f"rests at {view.place} and waits for {view.waits}"
                resting.append(f"{party}: {view.flow} {told}")
        lines += resting[:MOST_RESTING]
        if len(resting) > MOST_RESTING:
            lines.append(f"… {len(resting) - MOST_RESTING} more flows have not ended")
        lines.append(f"it took {passed(world.start_us, world.now_us)[1:]}")
        return lines

    def _told(self) -> dict[Any, str]:
        told = {}
        living = dict(self._nodes())
        for one in self.world.history:
            if isinstance(one, Ended) and one.party in living:
                outcome = self._outcome(one.party, one.flow_id)
                verb = "throws" if isinstance(outcome, rt.FlowError) else "returns"
                told[one.party, one.flow_id] = f"{verb} {shown(outcome)}"
        return told

    def _nodes(self) -> list[tuple[str, Node]]:
        """The processes that live; a world that was left in the middle may lack some."""
        hosts = self.world.hosts.items()
        return [(party, host.node) for party, host in hosts if host.node is not None]

    def __repr__(self) -> str:
        return f"<conversation of {', '.join(self.parties)}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How hypothesis prints it in a failing example."""
        with printer.group(4, "Conversation:", ""):
            for line in filter(None, self._lines()):
                printer.break_()
                printer.text(line)


def _is_named(operation: str, name: str) -> bool:
    return operation == name or operation.endswith(f".{name}")


def _what(kind: type[rt.Message] | rt.Message, frm: str | None, to: str | None) -> str:
    name = kind.__name__ if isinstance(kind, type) else shown(kind)
    return name + (f" from {frm}" if frm else "") + (f" to {to}" if to else "")


def _started(one: Started) -> str:
    given = ", ".join(f"{name}={shown(value)}" for name, value in one.arguments.items())
    return f"{one.party} starts {one.flow.__name__}({given})"


# --- the strategy -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, repr=False)
class _Plan:
    """What was asked for; shown as the flows that take part."""

    parties: Mapping[str, AnyFlow]
    modules: tuple[ModuleType, ...]
    answers: Mapping[str, Answer]
    services: Mapping[str, object]
    arguments: Mapping[str, SearchStrategy[Any]]
    given: Mapping[Any, SearchStrategy[Any]]
    people: Mapping[str, SearchStrategy[Any]]
    commands: SearchStrategy[Sequence[Any]] | None
    faults: int
    allow_hospital: bool

    def __repr__(self) -> str:
        return ", ".join(flow.__name__ for flow in self.parties.values())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def conversations(
    *flows: AnyFlow,
    modules: Sequence[ModuleType] = (),
    parties: Sequence[str] = (),
    arguments: Mapping[str, SearchStrategy[Any]] | None = None,
    answers: Mapping[str, Answer] | None = None,
    services: Mapping[str, object] | None = None,
    people: Mapping[str, SearchStrategy[Any]] | None = None,
    commands: SearchStrategy[Sequence[Any]] | None = None,
    given: Mapping[Any, SearchStrategy[Any]] | None = None,
    faults: int = MOST,
    allow_hospital: bool = False,
) -> SearchStrategy[Conversation]:
    """Conversations between these flows, each a `Conversation` that has been run to its end.

    Every flow has a party of its own; each that is `startable by rpc` is started once.

    Args:
        flows: generated classes, such as `Buyer_v1, Seller_v1`.
        modules: generated modules besides those of the flows.
        parties: names of the flows' parties, in their order; "buyer" for `Buyer_v1` if absent.
        arguments: strategies for some parameters of the flows that are started; the others are
            drawn by type, a Party from the other parties.
        answers: what operations answer, by `"Service.operation"`: a strategy of values and declared
            errors, or a function of the arguments; any value of the declared type if nothing is
            said.
        services: objects that are bound as they are, by service; a class or function makes one for
            each party, and is called with its name.
        people: what people answer, by role: a strategy; any value of the wanted type if nothing is
            said. When they answer is drawn, and whether they do.
        commands: what the owner sends: a strategy of lists of messages.
        given: strategies for some types, wherever they occur.
        faults: how many things go wrong at most: crashes, lost packets, refused commits and the
            like; 0 for none.
        allow_hospital: whether a flow may come to the hospital other than by `hold`. If not, such
            an example fails.

    Raises:
        InvalidArgument: no flow is given, none of them can be started, or something is named that
            is not there.
    """
    if not any("rpc" in flow.startable for flow in flows):
        raise InvalidArgument(
            "none of these flows is `startable by rpc`: "
            + (", ".join(flow.__name__ for flow in flows) or "no flow is given")
        )
    names = _names(flows, parties)
    homes = dict.fromkeys(sys.modules[flow.__module__] for flow in flows)
    plan = _Plan(
        dict(zip(names, flows, strict=True)),
        (*homes, *modules),
        answers or {},
        services or {},
        arguments or {},
        given or {},
        people or {},
        commands,
        faults,
        allow_hospital,
    )
    known = {
        field.name for flow in flows if "rpc" in flow.startable for field in starting_fields(flow)
    }
    for name in plan.arguments.keys() - known:
        raise InvalidArgument(
            f"no flow that is started has a parameter {name}; they have: "
            + (", ".join(sorted(known)) or "none")
        )
    _mocks(plan, _nothing)  # Says now what does not fit.
    return _played(plan)


def _names(flows: Sequence[AnyFlow], parties: Sequence[str]) -> list[str]:
    if parties:
        if len(parties) != len(flows) or len(set(parties)) != len(flows):
            raise InvalidArgument(f"{len(flows)} flows want {len(flows)} different parties")
        return list(parties)
    names: list[str] = []
    for flow in flows:
        short = flow.name.rpartition(".")[2]
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", short).lower()
        count = 2
        while name in names:
            name = f"{name.rstrip('0123456789')}{count}"
            count += 1
        names.append(name)
    return names


def _mocks(plan: _Plan, draw: Callable[[SearchStrategy[Any]], Any]) -> Mocks:
    return Mocks(
        Registry(plan.modules),
        draw,
        answers=plan.answers,
        services=plan.services,
        parties=tuple(map(rt.Party, plan.parties)),
        given=plan.given,
    )


def _nothing(strategy: SearchStrategy[Any]) -> Any:
    raise AssertionError("nothing is drawn here")


@st.composite
def _played(draw: Any, plan: _Plan) -> Conversation:
    mocks = _mocks(plan, draw)
    tape: Tape
    if plan.faults:
        tape = DrawnTape(None, draw(schedules(list(plan.parties), plan.faults)))
        faults = Faults.replayed(tape)
    else:
        tape, faults = Tape(), Faults.none()
    arguments = {
        party: draw(_arguments(plan, party, flow))
        for party, flow in plan.parties.items()
        if "rpc" in flow.startable
    }
    world = _Theatre(tape, faults, plan, draw)
    cleanup(world.close)  # The test may still look at what services wrote.
    run = Conversation(world, plan.parties, mocks.asked)
    try:
        for party in plan.parties:
            world.add(party, plan.modules, mocks.of(party))
        for party, given in arguments.items():
            started = world.start(party, plan.parties[party], **given)
            world.expect_commands(started)
        world.play()
    except Exception as error:
        error.add_note(_report(run))
        raise
    return run


def _report(run: Conversation) -> str:
    try:
        return run.report()
    except Exception as error:
        return f"(no diagram: {error})"


def _arguments(plan: _Plan, party: str, flow: AnyFlow) -> SearchStrategy[dict[str, Any]]:
    others = [name for name in plan.parties if name != party] or [party]
    own = {field.name for field in starting_fields(flow)}
    named = {name: given for name, given in plan.arguments.items() if name in own}
    for field in starting_fields(flow):
        # A parameter that is called as a party means that one.
        if field.type is rt.Party and field.name in others:
            named.setdefault(field.name, st.just(rt.Party(field.name)))
    return arguments_of(flow, named, parties=tuple(map(rt.Party, others)), given=plan.given)


class _Theatre(World):
    """A world in which people answer questions, and owners say something, in their own time."""

    def __init__(self, tape: Tape, faults: Faults, plan: _Plan, draw: Any) -> None:
        super().__init__(tape, faults)
        self._plan = plan
        self._draw = draw
        self._planned: list[tuple[int, int, Callable[[], object]]] = []
        self._asked: set[tuple[str, int, int]] = set()
        self._failed: FlowFailedInTest | None = None

    def play(self) -> None:
        """Go on until nobody has anything to say any more."""
        while True:
            end_us = self._planned[0][0] if self._planned else None
            if self._step(end_us):
                if self._failed is not None:
                    raise self._failed
                if self.events > MOST_EVENTS:
                    raise Violation("L", "the conversation never rests")
                continue
            if not self._planned:
                break
            at_us, _, act = self._planned.pop(0)
            self.now_us = max(self.now_us, at_us)
            act()
        self.run()

    def _after(self, delay: datetime.timedelta, act: Callable[[], object]) -> None:
        self._planned.append((self.now_us + delay // _MICROSECOND, len(self._planned), act))
        self._planned.sort(key=lambda one: one[0])

    def expect_commands(self, started: Started) -> None:
        """Draw what a flow's owner says to it, and when."""
        kinds = started.flow.commands
        if not kinds:
            return
        parties = tuple(map(rt.Party, self._plan.parties))
        values = [values_of(kind, parties=parties, given=self._plan.given) for kind in kinds]
        commands = self._plan.commands
        if commands is None:
            commands = st.lists(st.one_of(values), max_size=4)
        at = datetime.timedelta(0)
        for command in self._draw(commands):
            at += self._draw(_DELAYS)
            self._after(at, lambda command=command: self.command(started, command))  # type: ignore[misc]

    def committed(self, host: Host, watch: Watch, batch: Batch) -> None:
        super().committed(host, watch, batch)
        for data in batch.patients.values():
            patient = decode(Patient, data) if data is not None else None
            if patient is None or self._plan.allow_hospital or patient.cause.startswith("hold: "):
                continue
            self._failed = FlowFailedInTest(
                f"{patient.flow} of {host.name} is in the hospital, at {patient.place}: "
                f"{patient.cause}"
            )
        for (flow_id, number), task in batch.tasks.items():
            key = (host.name, flow_id, number)
            if task is not None and key not in self._asked:
                self._asked.add(key)
                self.later(0, lambda key=key: self._ask(*key))  # type: ignore[misc]

    def _ask(self, party: str, flow_id: int, number: int) -> None:
        """Somebody sees a question: draw when it is answered, and what."""
        found = [one for one in self.tasks(party) if (one.flow_id, one.number) == (flow_id, number)]
        if not found:
            return
        task = found[0]
        delay = self._draw(st.one_of(_DELAYS, st.none()))
        if delay is None:
            return
        strategy = self._plan.people.get(task.role)
        if strategy is None:
            parties = tuple(map(rt.Party, self._plan.parties))
            strategy = values_of(task.answer, parties=parties, given=self._plan.given)
        value = self._draw(strategy)
        by = self._draw(st.sampled_from(["ann", "ben"]))
        self._after(delay, lambda: self.answer(party, task, value, by))
