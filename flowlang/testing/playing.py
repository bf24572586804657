"""Plays one test in a world of its own, and says what did not come as expected.

The world is one thread in virtual time in which nothing goes wrong but what the test says. After
each line that does something the world goes on until it is still; time passes with `after` alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, assert_never

from flowlang.testing import plan
from flowlang.testing.mocks import Mocks
from flowlang.testing.values import Unmade, class_of, fits, made
from flowrt.core.engine import Outcome
from flowrt.core.flow import FlowError
from flowrt.core.registry import NotRegistrable, Registry
from flowrt.handle import NotAccepted, NotStartable, StillRunning
from flowrt.services import ServiceMissing
from flowrt.sim import Started, Tape, Violation, World
from flowrt.sim.diagram import Row, diagram
from flowrt.sim.history import Began, Called, Event, Sent
from flowrt.sim.notation import brief, shown
from flowrt.store import StoreError
from flowrt.views import TaskView

MOMENT = datetime.timedelta(milliseconds=25)
"""A world in which nothing happened for so long is still. Longer than a restart takes."""

MOMENTS = 400
"""A world that is not still after so many moments goes on by itself."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """`expected` and `happened` in a few words; `place` is the line of the test."""

    place: plan.Place
    expected: str
    happened: str


@dataclasses.dataclass(frozen=True)
class Played:
    """What came of a test: its failure, if it failed, and what happened in its world. `flows` says
    of each flow how it ended or where it rests."""

    plan: plan.Plan
    failure: Failure | None
    history: Sequence[Event]
    flows: Sequence[tuple[str, str, str]]

    def text(self, *, ascii_only: bool = False) -> str:
        """What a person reads of a test that failed. `ascii_only` draws with letters."""
        failure = self.failure
        assert failure is not None
        place = f"{self.plan.file}:{failure.place.line}:{failure.place.column}"
        parts = [f'test "{self.plan.name}" failed at {place}', _block(failure.place.text)]
        parts.append(f"expected: {_below(failure.expected)}\nhappened: {_below(failure.happened)}")
        rows = messages(self.history)
        if rows:
            said = [Row(one.party, one.peer, brief(one.message)) for one in rows]
            lines = diagram(self.plan.parties, said, ascii_only=ascii_only)
            parts.append(_block("\n".join(lines)))
        elif self.flows:
            parts.append("    no message was sent")
        if self.flows:
            wide = [max(len(row[column]) for row in self.flows) for column in (0, 1)]
            listed = [f"{a:{wide[0]}}  {b:{wide[1]}}  {c}" for a, b, c in self.flows]
            parts.append("flows:\n" + _block("\n".join(listed)))
        return "\n\n".join(parts) + "\n"


def messages(history: Sequence[Event]) -> list[Sent]:
    """The messages that were sent, in order; not the ends of sessions."""
    return [one for one in history if isinstance(one, Sent) and one.message is not None]


def play(test: plan.Plan, modules: Sequence[ModuleType], *, seed: int | None = None) -> Played:
    """Run a test. The modules are those of its file and of all that it uses, imported."""
    mocks = Mocks(test.mocks)
    world = World(Tape(seed), reload=False, batch=512)
    playing = _Playing(test, world, mocks)
    failure: Failure | None = None
    try:
        with quiet():
            failure = playing.run(modules)
        return Played(test, failure, tuple(world.history), playing.flows())
    finally:
        world.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What nodes log is not printed where nobody has set up logging: the report says it."""
    logger, handler = logging.getLogger("flowrt"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Stop(Exception):
    """The test has failed."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class _Playing:
    """One test under way. `_heard` is how much of each flow's mail was expected so far."""

    def __init__(self, test: plan.Plan, world: World, mocks: Mocks) -> None:
        self._test = test
        self._world = world
        self._mocks = mocks
        self._started: dict[str, Started] = {}
        self._heard: dict[str, int] = {}

    def run(self, modules: Sequence[ModuleType]) -> Failure | None:
        """Every line in order, until one fails."""
        try:
            self._open(modules)
            for step in self._test.steps:
                self._step(step)
        except _Stop as stop:
            return stop.failure
        return None

    def _open(self, modules: Sequence[ModuleType]) -> None:
        place = self._test.place
        try:
            flows = list(Registry(modules).classes.values())
            for party in self._test.parties:
                services = self._mocks.services(party, flows)
                self._world.add(party, modules, services)
        except (NotRegistrable, ServiceMissing, StoreError) as error:
            raise _Stop(Failure(place, "the parties open", str(error))) from None

    def _step(self, step: plan.Step) -> None:
        place = step.place
        try:
            match step:
                case plan.Start():
                    self._start(step)
                case plan.Answer():
                    self._answer(step)
                case plan.Command():
                    self._command(step)
                case plan.After(time=time):
                    self._world.sleep(made(time))
                    # Nobody says what has happened, so who waits for an event asks once more.
                    for party in self._test.parties:
                        self._world.node(party).submit_asking_again()
                    self._settle(place)
                case plan.Restart(party=party):
                    self._world.crash(party)
                    self._settle(place)
                case plan.ExpectOutcome():
                    started = self._started[step.started]
                    given = _Found(started.party, started.id)
                    self._outcome(place, step.started, given, step.outcome)
                case plan.ExpectFlow():
                    self._expect_flow(step)
                case plan.ExpectMail():
                    self._expect_mail(step)
                case plan.ExpectCalls():
                    self._expect_calls(step)
                case plan.ExpectMessages():
                    self._expect_messages(step)
                case _:
                    assert_never(step)
        except Unmade as error:
            raise _Stop(Failure(place, "the values of this line are made", str(error))) from None
        except Violation as violation:
            if violation.invariant == "L":
                happened = "they go on and on, so that this line never ends"
                raise _Stop(Failure(place, "the flows come to rest", happened)) from None
            text = f"the engine broke its own law {violation.invariant}: {violation}"
            raise _Stop(Failure(place, "the engine keeps its promises", text)) from None

    def _settle(self, place: plan.Place) -> None:
        """Let everything happen that takes no time to speak of."""
        world = self._world
        for _ in range(MOMENTS):
            before = world.events
            world.sleep(MOMENT)
            if self._mocks.unanswered or world.events == before:
                break
        if self._mocks.unanswered:
            happened = "\n".join(self._mocks.unanswered)
            raise _Stop(Failure(place, "every service that is called has an answer", happened))
        for party in self._test.parties:
            for patient in world.node(party).hospital():
                if patient.trace:
                    happened = (
                        f"{_flow(patient.flow)} at {party} is in the hospital, at "
                        f"{patient.place}: {patient.cause}"
                    )
                    raise _Stop(Failure(place, "no flow fails by a bug", happened))

    # --- what is done -------------------------------------------------------------------------

    def _start(self, step: plan.Start) -> None:
        kind = class_of(step.flow.module, step.flow.name)
        arguments = {name: made(value) for name, value in step.arguments}
        try:
            started = self._world.start(step.party, kind, **arguments)
        except (NotStartable, TypeError) as error:
            raise _Stop(Failure(step.place, f"{step.flow.shown} starts", str(error))) from None
        if step.name is not None:
            self._started[step.name] = started
        self._settle(step.place)
        if not started.is_done and started.handle is not None:
            # It was refused when its first step was to be committed: its key is another's.
            with contextlib.suppress(StillRunning, FlowError):
                try:
                    started.handle.result_now()
                except NotStartable as error:
                    expected = f"{step.flow.shown} starts"
                    raise _Stop(Failure(step.place, expected, str(error))) from None

    def _answer(self, step: plan.Answer) -> None:
        tasks = self._world.tasks(step.party)
        task = next((one for one in tasks if one.role == step.role), None)
        if task is None:
            asked = ", ".join(sorted({f'"{one.role}"' for one in tasks})) or "nobody"
            expected = f'a flow of {step.party} asks "{step.role}"'
            raise _Stop(Failure(step.place, expected, f"{asked} is asked at {step.party}"))
        value = made(step.value)
        try:
            self._world.answer(step.party, task, value, step.by)
        except (TypeError, NotAccepted) as error:
            expected = f"an answer to {_question(task)}"
            raise _Stop(Failure(step.place, expected, str(error))) from None
        self._settle(step.place)

    def _command(self, step: plan.Command) -> None:
        expected = f"{step.started} takes the message"
        try:
            told = self._world.command(self._started[step.started], made(step.message))
        except (TypeError, NotAccepted) as error:
            raise _Stop(Failure(step.place, expected, str(error))) from None
        self._settle(step.place)
        if told.refused is not None:
            raise _Stop(Failure(step.place, expected, told.refused))

    # --- what is expected ---------------------------------------------------------------------

    def _expect_flow(self, step: plan.ExpectFlow) -> None:
        name = f"{step.flow.module}.{step.flow.name}"
        ids = [
            one.flow_id
            for one in self._world.history
            if isinstance(one, Began) and one.party == step.party and one.flow == name
        ]
        what = f"{step.flow.shown} at {step.party}"
        if not ids:
            happened = f"no flow {step.flow.shown} ran at {step.party}"
            raise _Stop(Failure(step.place, _said(what, step.outcome, step.place), happened))
        for flow_id in ids:
            self._outcome(step.place, what, _Found(step.party, flow_id), step.outcome)

    def _outcome(self, place: plan.Place, what: str, given: _Found, wanted: plan.Outcome) -> None:
        came = given.outcome(self._world)
        if came is None:
            if wanted.kind == "waits":
                return
            happened = f"{what} {self._where(given)}"
        elif isinstance(came, FlowError):
            if wanted.kind == "throws" and wanted.value is not None and fits(wanted.value, came):
                return
            happened = f"{what} threw {shown(came)}: {came}"
        else:
            if wanted.kind == "returns" and (wanted.value is None or fits(wanted.value, came[0])):
                return
            happened = f"{what} returned {shown(came[0])}"
        raise _Stop(Failure(place, _said(what, wanted, place), happened))

    def _expect_mail(self, step: plan.ExpectMail) -> None:
        said = self._world.mail(self._started[step.started])
        number = self._heard.get(step.started, 0)
        if number >= len(said):
            happened = f"{step.started} has said nothing{' more' if number else ''} to its owner"
        elif fits(step.message, said[number]):
            self._heard[step.started] = number + 1
            return
        else:
            happened = f"{step.started} says {shown(said[number])}"
        raise _Stop(Failure(step.place, step.place.text.removeprefix("expect "), happened))

    def _expect_calls(self, step: plan.ExpectCalls) -> None:
        wanted = step.operation
        name = f"{wanted.service}.{wanted.name}"
        calls = [
            one.arguments
            for one in self._world.history
            if isinstance(one, Called) and (one.party, one.operation) == (step.party, name)
        ]
        calls += [
            given
            for party, service, operation, given in self._mocks.called
            if (party, service, operation) == (step.party, wanted.service, wanted.name)
        ]
        count = sum(
            wanted.arguments is None or all(map(fits, wanted.arguments, given)) for given in calls
        )
        if count == step.count:
            return
        called = f"{_short(wanted.service)}.{wanted.name}"
        happened = f"it was {_times(count)}"
        if len(calls) > count or (calls and wanted.arguments is None):
            listed = [f"{called}({', '.join(map(shown, given))})" for given in calls]
            happened += "; these calls were made:\n" + "\n".join(listed)
        text = step.place.text.removeprefix("expect ").removeprefix("no ")
        text = text.lstrip("0123456789_ ") if step.count != 1 else text
        expected = f"{text} is {_times(step.count)}"
        raise _Stop(Failure(step.place, expected, happened))

    def _expect_messages(self, step: plan.ExpectMessages) -> None:
        sent = messages(self._world.history)
        for number, wanted in enumerate(step.messages):
            if number >= len(sent):
                raise _Stop(Failure(wanted.place, wanted.place.text, "no further message was sent"))
            one = sent[number]
            same = (one.party, one.peer) == (wanted.sender, wanted.receiver)
            if not (same and fits(wanted.message, one.message)):
                text = f"{one.party} -> {one.peer}: {shown(one.message)}"
                raise _Stop(Failure(wanted.place, wanted.place.text, text))
        if len(sent) > len(step.messages):
            one = sent[len(step.messages)]
            text = f"{one.party} -> {one.peer}: {shown(one.message)}"
            further = "no further message" if step.messages else "no message"
            raise _Stop(Failure(step.place, further, text))

    # --- how flows stand ----------------------------------------------------------------------

    def flows(self) -> list[tuple[str, str, str]]:
        """Each flow's party, name and how it stands, in order of their beginnings."""
        found = []
        for one in self._world.history:
            if isinstance(one, Began):
                given = _Found(one.party, one.flow_id)
                came = given.outcome(self._world)
                if came is None:
                    stands = self._where(given)
                elif isinstance(came, FlowError):
                    stands = f"threw {brief(came)}"
                else:
                    stands = f"returned {brief(came[0])}" if came[0] is not None else "returned"
                found.append((one.party, _flow(one.flow), stands))
        return found

    def _where(self, given: _Found) -> str:
        """How a flow that has not ended stands."""
        node = self._world.node(given.party)
        for patient in node.hospital():
            if patient.flow_id == given.flow_id:
                return f"is in the hospital, at {patient.place}: {patient.cause}"
        for view in node.flows():
            if view.id == given.flow_id:
                return f"waits at {view.place} for {view.waits}"
        return "has not begun"


@dataclasses.dataclass(frozen=True)
class _Found:
    """A flow, by its party and number."""

    party: str
    flow_id: int

    def outcome(self, world: World) -> FlowError | tuple[Any] | None:
        """What it threw, or returned; None while it lives."""
        found = world.hosts[self.party].disk.outcomes.get(self.flow_id)
        if found is None:
            return None
        try:
            return (world.node(self.party).unpack(Outcome(found[0], found[2], found[1])),)
        except FlowError as error:
            return error


def _said(what: str, wanted: plan.Outcome, place: plan.Place) -> str:
    """What an `expect` line wants, in its own words."""
    _, word, rest = place.text.partition(f" {wanted.kind}")
    return f"{what}{word}{rest}"


def _question(task: TaskView) -> str:
    return shown(task.question)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _flow(versioned: str) -> str:
    """A flow's name as its author calls it."""
    return _short(versioned).rpartition("_v")[0]


def _times(count: int) -> str:
    said = {0: "never called", 1: "called once", 2: "called twice"}
    return said.get(count, f"called {count} times")


def _block(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


def _below(text: str) -> str:
    """Further lines of a text stand below its first."""
    return text.replace("\n", "\n          ")
