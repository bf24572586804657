"""Runs a program straight from its syntax tree: the plain reading of what the language means.

No machine, no states, no bytes: a flow is a Python generator that yields where it waits, and a
session is two queues. A step's effects are kept until it waits, so that a fault undoes the step.
It runs what the checker accepted; it knows no types.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Generator, Iterable
from fractions import Fraction
from typing import NamedTuple

from flowlang import syntax
from tests.programs import arithmetic
from tests.programs.arithmetic import (
    Faulted,
    Made,
    Map,
    Moment,
    Party,
    Span,
    Value,
    negated,
    plain,
    shown,
    whole,
)
from tests.programs.seen import Conversation, Ending, Flown, Seen, seen

BUILT_IN = frozenset(
    ("SessionRejected", "SessionEnded", "UnexpectedFlowEnd", "UnexpectedMessage", "Malformed")
)
START = 1_700_000_000_000_000
"""The time at which every world begins, in microseconds."""

MOST_STEPS = 3000
MOST_STATEMENTS = 50_000


class TooLong(Exception):
    """A program that takes too many steps to be run many times."""


class Race(Exception):
    """A program whose outcome depends on timing: a mistake of whoever wrote it."""


class Thrown(Exception):
    """An error of the language on its way. `peer` is who sent it, if it came from outside."""

    def __init__(self, error: Made, peer: str | None = None) -> None:
        super().__init__(error.name)
        self.error = error
        self.peer = peer

    @property
    def built_in(self) -> bool:
        return self.error.name in BUILT_IN


def built_in(name: str, peer: str | None = None) -> Thrown:
    return Thrown(Made(name, ()), peer)


# --- sessions ---------------------------------------------------------------------------------


class Letter(NamedTuple):
    """`kind` is message, end, failure or rejection."""

    kind: str
    value: Made | None = None


@dataclasses.dataclass(eq=False)
class Session:
    """One end of a session. `sent` are the messages that were really sent; `rejected` says that a
    rejection came which nobody has read."""

    owner: Run
    peer: str
    responder: str
    opened: bool = False
    other: Session | None = None
    inbox: collections.deque[Letter] = dataclasses.field(default_factory=collections.deque)
    sent: list[Made] = dataclasses.field(default_factory=list)
    heard: bool = False
    closed: bool = False
    rejected: bool = False


# --- flows under way --------------------------------------------------------------------------


class Wait(NamedTuple):
    """What a flow waits for: a session, a time, a person, or (nothing of these) its commit."""

    session: Session | None = None
    due: int | None = None
    person: bool = False


COMMITTED = Wait()


class Leaving(NamedTuple):
    """That a block is being left: by break, continue or return."""

    how: str
    value: Value = None


Steps = Generator[Wait, None, "Leaving | None"]


@dataclasses.dataclass(eq=False)
class Frame:
    """A flow or subflow under way. `open` are the sessions that it must end, `invited` all that it
    ever opened."""

    flow: syntax.Flow
    values: dict[str, Value]
    open: list[Session] = dataclasses.field(default_factory=list)
    invited: list[Session] = dataclasses.field(default_factory=list)
    step: str | None = None
    around: list[str] = dataclasses.field(default_factory=list)


class Effect(NamedTuple):
    """What a step does to the world when it is committed."""

    kind: str
    session: Session | None = None
    what: object = None


@dataclasses.dataclass(eq=False)
class Run:
    """A flow of a party, with its subflows."""

    party: str
    flow: syntax.Flow
    frames: list[Frame] = dataclasses.field(default_factory=list)
    pending: list[Effect] = dataclasses.field(default_factory=list)
    journal: list[str] = dataclasses.field(default_factory=list)
    logs: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    moves: list[tuple[str, tuple[str, ...], str]] = dataclasses.field(default_factory=list)
    sessions: list[Session] = dataclasses.field(default_factory=list)
    steps: Generator[Wait, None, None] | None = None
    waiting: Wait = COMMITTED
    ending: Ending | None = None
    waits: int = 0
    unsure: bool = False
    """Whether an acceptance may or may not have ended a step since the last certain commit."""

    def rows(self) -> int:
        """How many lines the flow has in the journal, those of the running step included."""
        return len(self.journal) + sum(effect.kind == "journal" for effect in self.pending)


class World:
    """Parties, their flows, and time. `newest_first` runs the same program in another order."""

    def __init__(
        self, files: Iterable[syntax.File], hosts: Iterable[str], *, newest_first: bool
    ) -> None:
        declarations = [declaration for file in files for declaration in file.declarations]
        self.declared = {declaration.name: declaration for declaration in declarations}
        self.hosts = frozenset(hosts)
        self.newest_first = newest_first
        self.runs: list[Run] = []
        self.now = START
        self.steps = 0
        self.statements = 0
        self.unsure = False
        self.counts: collections.Counter[str] = collections.Counter()

    # --- the loop ---

    def start(self, party: str, name: str, arguments: dict[str, Value]) -> Run:
        flow = self.declared[name]
        assert isinstance(flow, syntax.Flow)
        run = Run(party, flow)
        run.steps = Interpreter(self, run).whole_flow(flow, arguments, None)
        self.runs.append(run)
        return run

    def go(self) -> None:
        """Until nothing moves any more."""
        while True:
            run = self._next()
            if run is not None:
                self._step(run)
            elif not self._advance_clock() and not self._call_operators():
                return

    def _next(self) -> Run | None:
        runs = reversed(self.runs) if self.newest_first else self.runs
        for run in runs:
            if run.ending is None and self._ready(run.waiting):
                return run
        return None

    def _ready(self, wait: Wait) -> bool:
        if wait.session is not None:
            return bool(wait.session.inbox)
        if wait.due is not None:
            return wait.due <= self.now
        return not wait.person

    def _advance_clock(self) -> bool:
        due = [
            run.waiting.due
            for run in self.runs
            if run.ending is None and run.waiting.due is not None
        ]
        if due:
            self.now = min(due)
        return bool(due)

    def _call_operators(self) -> bool:
        held = [run for run in self.runs if run.ending is None and run.waiting.person]
        for run in held:
            run.waiting = COMMITTED
        return bool(held)

    def _step(self, run: Run) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooLong
        assert run.steps is not None
        try:
            run.waiting = next(run.steps)
        except StopIteration:
            pass
        except Faulted:
            self.counts["ended in the hospital"] += 1
            self.unsure = self.unsure or run.unsure
            run.pending.clear()
            run.ending = Ending("hospital")
            return
        self._commit(run)
        if run.ending is None:
            run.waits += 1
            self.counts.update(_places(run))

    def _commit(self, run: Run) -> None:
        for effect in run.pending:
            session = effect.session
            match effect.kind:
                case "journal":
                    run.journal.append(str(effect.what))
                case "log":
                    run.logs.append(effect.what)  # type: ignore[arg-type]
                case "move":
                    run.moves.append(effect.what)  # type: ignore[arg-type]
                case "open":
                    assert session is not None
                    self._invite(session)
                case _:
                    assert session is not None
                    assert isinstance(effect.what, Letter)
                    if effect.what.value is not None and effect.kind == "message":
                        session.sent.append(effect.what.value)
                    if session.other is not None:
                        session.other.inbox.append(effect.what)
        run.pending.clear()
        run.unsure = False

    def _invite(self, session: Session) -> None:
        session.opened = True
        session.owner.sessions.append(session)
        if session.peer not in self.hosts:
            session.rejected = True
            session.inbox.append(Letter("rejection"))
            return
        flow = self.declared[session.responder]
        assert isinstance(flow, syntax.Flow)
        run = Run(session.peer, flow)
        answer = Session(run, session.owner.party, session.responder, True, session)
        session.other = answer
        run.steps = Interpreter(self, run).whole_flow(flow, {}, answer)
        self.runs.append(run)

    # --- what was seen ---

    def seen(self) -> Seen:
        return seen([self._flown(run) for run in self.runs])

    def _flown(self, run: Run) -> Flown:
        talks = [
            Conversation(
                session.peer,
                session.responder,
                tuple(plain(message) for message in session.sent),
                tuple(plain(m) for m in session.other.sent) if session.other else (),
            )
            for session in run.sessions
        ]
        return Flown(
            run.party,
            run.flow.name,
            run.ending or Ending("waiting"),
            tuple(run.journal),
            tuple(run.logs),
            tuple(run.moves),
            tuple(talks),
        )


def _places(run: Run) -> set[str]:
    """Where a flow waits, for the count of what happened."""
    around = {f"waited in {place}" for frame in run.frames for place in frame.around}
    if len(run.frames) > 1:
        around.add("waited in subflow")
    if run.frames and run.frames[0].flow.responds is not None:
        around.add("waited in responder")
    return around


# --- statements -------------------------------------------------------------------------------


class Interpreter:
    """Executes the flows of one run."""

    def __init__(self, world: World, run: Run) -> None:
        self.world = world
        self.run = run

    def whole_flow(
        self, flow: syntax.Flow, arguments: dict[str, Value], session: Session | None
    ) -> Generator[Wait, None, None]:
        """A flow of its own: its outcome is the run's."""
        try:
            value = yield from self.call(flow, arguments, session)
        except Thrown as thrown:
            fields = None if thrown.built_in else plain(thrown.error)
            ending = Ending("failed", fields or thrown.error.name)
            self.world.counts[f"failed: {self._source(thrown)}"] += 1
        else:
            ending = Ending("returned", plain(value))
        # The outcome counts when the step that reached it is committed, which nothing can stop now.
        self.run.ending = ending

    def _source(self, thrown: Thrown) -> str:
        if thrown.built_in:
            return thrown.error.name
        return "error from the peer" if thrown.peer is not None else "error thrown here"

    def call(
        self, flow: syntax.Flow, arguments: dict[str, Value], session: Session | None
    ) -> Generator[Wait, None, Value]:
        """A flow or subflow, to its result."""
        frame = Frame(flow, dict(arguments))
        if session is not None:
            assert flow.responds is not None
            frame.values[flow.responds.name] = session
            frame.open.append(session)
        self.run.frames.append(frame)
        try:
            leaving = yield from self.block(frame, flow.body)
            yield from self.acceptance(frame)
        except Thrown as thrown:
            self.end(frame, 0, Letter("failure", _disclosed(thrown)))
            self.run.frames.pop()
            raise
        self.end(frame, 0, Letter("end"))
        self.run.frames.pop()
        return leaving.value if leaving is not None else None

    def acceptance(self, frame: Frame) -> Generator[Wait, None, None]:
        """A flow ends well only when its invitations were accepted."""
        if any(not session.opened for session in frame.invited):
            self.world.counts["waited for acceptance"] += 1
            yield COMMITTED
        elif any(not session.heard for session in frame.invited):
            self.run.unsure = True
        for session in frame.invited:
            if session.rejected:
                raise built_in("SessionRejected", session.peer)

    def end(self, frame: Frame, mark: int, farewell: Letter) -> None:
        """End the sessions opened since `mark`, unless they were."""
        for session in frame.open[mark:]:
            if not session.closed:
                session.closed = True
                self.run.pending.append(Effect("farewell", session, farewell))
        del frame.open[mark:]

    def inner(self, frame: Frame, place: str, body: syntax.Block) -> Steps:
        """The block of a statement, such as "if"."""
        frame.around.append(place)
        try:
            return (yield from self.block(frame, body))
        finally:
            frame.around.pop()

    def block(self, frame: Frame, body: syntax.Block) -> Steps:
        """Its sessions end when it is left, except by an error: who catches that ends them."""
        mark = len(frame.open)
        leaving: Leaving | None = None
        for statement in body:
            leaving = yield from self.statement(frame, statement)
            if leaving is not None:
                break
        if leaving is None or leaving.how != "return":
            self.end(frame, mark, Letter("end"))
        return leaving

    def statement(self, frame: Frame, statement: syntax.Statement) -> Steps:
        self.world.statements += 1
        if self.world.statements > MOST_STATEMENTS:
            raise TooLong
        match statement:
            case syntax.If():
                return (yield from self.if_(frame, statement))
            case syntax.While():
                return (yield from self.while_(frame, statement))
            case syntax.For():
                return (yield from self.for_(frame, statement))
            case syntax.Try():
                return (yield from self.try_(frame, statement))
            case syntax.Break():
                return Leaving("break")
            case syntax.Continue():
                return Leaving("continue")
            case syntax.Return(value=value):
                result = None if value is None else (yield from self.right_side(frame, value))
                return Leaving("return", result)
            case syntax.Let() | syntax.Assign():
                frame.values[statement.name] = yield from self.right_side(frame, statement.value)
            case syntax.SubflowStatement(subflow=subflow):
                yield from self.right_side(frame, subflow)
            case syntax.Receive():
                yield from self.receive(frame, statement)
            case syntax.Sleep(duration=duration):
                span = self.value(frame, duration)
                assert isinstance(span, Span)
                yield Wait(due=self.world.now + max(0, span.microseconds))
            case syntax.Checkpoint():
                yield COMMITTED
            case syntax.Hold(reason=reason):
                self.value(frame, reason)
                yield Wait(person=True)
            case _:
                self.simple(frame, statement)
        return None

    def right_side(
        self, frame: Frame, value: syntax.Expr | syntax.Subflow
    ) -> Generator[Wait, None, Value]:
        if not isinstance(value, syntax.Subflow):
            return self.value(frame, value)
        assert isinstance(value.call.callee, syntax.Name)
        flow = self.world.declared[value.call.callee.name]
        assert isinstance(flow, syntax.Flow)
        names = [parameter.name for parameter in flow.parameters]
        arguments = self.arguments(frame, value.call, names)
        if flow is frame.flow:
            self.world.counts["subflow called itself"] += 1
        return (yield from self.call(flow, arguments, None))

    def simple(self, frame: Frame, statement: syntax.Statement) -> None:
        """A statement that never waits."""
        match statement:
            case syntax.Pass():
                pass
            case syntax.Open():
                self.open(frame, statement)
            case syntax.Send():
                self.send(frame, statement)
            case syntax.Throw(error=error):
                raise self.error(frame, error)
            case syntax.Require(condition=condition, error=error):
                if self.value(frame, condition) is not True:
                    raise self.error(frame, error)
            case syntax.StepTo():
                self.step(frame, statement)
            case syntax.Log(level=level, text=text):
                line = self.value(frame, text)
                self.run.pending.append(Effect("log", what=(level, line)))
            case syntax.CallStatement(call=call):
                self.value(frame, call)
            case _:
                raise AssertionError(statement)

    def if_(self, frame: Frame, statement: syntax.If) -> Steps:
        for condition, body in statement.branches:
            if self.value(frame, condition) is True:
                return (yield from self.inner(frame, "if", body))
        if statement.otherwise is not None:
            return (yield from self.inner(frame, "if", statement.otherwise))
        return None

    def while_(self, frame: Frame, statement: syntax.While) -> Steps:
        while self.value(frame, statement.condition) is True:
            leaving = yield from self.inner(frame, "while", statement.body)
            if leaving is not None and leaving.how == "break":
                break
            if leaving is not None and leaving.how == "return":
                return leaving
        return None

    def for_(self, frame: Frame, statement: syntax.For) -> Steps:
        values = self.value(frame, statement.values)
        assert isinstance(values, tuple | Map)
        for value in sorted(values) if isinstance(values, Map) else values:  # type: ignore[type-var]
            frame.values[statement.name] = value
            leaving = yield from self.inner(frame, "for", statement.body)
            if leaving is not None and leaving.how == "break":
                break
            if leaving is not None and leaving.how == "return":
                return leaving
        return None

    def try_(self, frame: Frame, statement: syntax.Try) -> Steps:
        mark = len(frame.open)
        waits = self.run.waits
        try:
            return (yield from self.inner(frame, "try", statement.body))
        except Thrown as caught:
            thrown = caught
        for catch in statement.catches:
            if thrown.error.name in [error.name for error in catch.errors]:
                break
        else:
            raise thrown
        self.world.counts[f"caught: {self._source(thrown)}"] += 1
        self.world.counts[
            "caught after waiting" if self.run.waits > waits else "caught at once"
        ] += 1
        self.end(frame, mark, Letter("end"))
        if catch.name is not None:
            frame.values[catch.name] = thrown
        return (yield from self.inner(frame, "catch", catch.body))

    # --- sessions ---

    def open(self, frame: Frame, statement: syntax.Open) -> None:
        party = self.value(frame, statement.party)
        assert isinstance(party, Party)
        session = Session(self.run, party.name, statement.flow.name)
        frame.values[statement.name] = session
        frame.open.append(session)
        frame.invited.append(session)
        self.run.pending.append(Effect("open", session))

    def send(self, frame: Frame, statement: syntax.Send) -> None:
        message = self.value(frame, statement.value)
        session = self.value(frame, statement.session)
        assert isinstance(session, Session)
        assert isinstance(message, Made)
        if session.closed or session.inbox:
            # What has arrived, or will, would decide whether this send throws.
            raise Race(f"line {statement.span.line} sends while the peer may have ended")
        self.run.pending.append(Effect("message", session, Letter("message", message)))

    def receive(self, frame: Frame, statement: syntax.Receive) -> Generator[Wait, None, None]:
        if statement.send is not None:
            self.send(frame, statement.send)
        session = self.value(frame, statement.session)
        assert isinstance(session, Session)
        yield Wait(session=session)
        frame.values[statement.name] = self.heard(session, statement.type.name)
        if statement.checks is None:
            return
        try:
            for check in statement.checks:
                self.check(frame, check)
        except Faulted:
            # What is wrong with a message that is being checked is its sender's fault.
            raise built_in("Malformed") from None

    def heard(self, session: Session, wanted: str) -> Made:
        letter = session.inbox.popleft()
        session.heard = True
        match letter.kind:
            case "message":
                assert letter.value is not None
                if letter.value.name != wanted:
                    raise built_in("UnexpectedMessage")
                return letter.value
            case "rejection":
                session.rejected = False
                raise built_in("SessionRejected", session.peer)
            case "end":
                raise built_in("SessionEnded", session.peer)
        assert letter.value is not None
        raise Thrown(letter.value, session.peer)

    def check(self, frame: Frame, statement: syntax.Statement) -> None:
        """A statement of a block of checks: none of them waits."""
        for _ in self.statement(frame, statement):
            raise AssertionError("a block of checks waits")

    # --- the rest ---

    def error(self, frame: Frame, expression: syntax.Expr) -> Thrown:
        value = self.value(frame, expression)
        if isinstance(value, Thrown):
            self.world.counts["thrown again"] += 1
            return value
        assert isinstance(value, Made)
        return Thrown(value)

    def step(self, frame: Frame, statement: syntax.StepTo) -> None:
        if frame.step == statement.name and statement.label is None:
            return
        frame.step = statement.name
        labels = {step.name: step.label for step in frame.flow.steps}
        label = labels[statement.name]
        if statement.label is not None:
            label = str(self.value(frame, statement.label))
        path = tuple(f.step for f in self.run.frames if f.step is not None)
        self.run.pending.append(Effect("move", what=(frame.flow.name, path, label)))

    # --- expressions ---

    def value(self, frame: Frame, expression: syntax.Expr) -> Value:
        match expression:
            case syntax.Constant(kind=kind, value=value):
                return _constant(kind, value)
            case syntax.Interpolation(parts=parts):
                return "".join(
                    [p if isinstance(p, str) else shown(self.value(frame, p)) for p in parts]
                )
            case syntax.Name(name=name):
                return self.name(frame, name)
            case syntax.Attribute(value=inner, name=name):
                return _attribute(self.value(frame, inner), name)
            case syntax.Index(value=inner, index=index):
                values = self.value(frame, inner)
                return arithmetic.item(values, self.value(frame, index))
            case syntax.Unary(operator="not", operand=operand):
                return self.value(frame, operand) is not True
            case syntax.Unary(operand=operand):
                return negated(self.value(frame, operand))
            case syntax.Binary():
                return self.binary(frame, expression)
            case syntax.ListLiteral(items=items):
                return tuple([self.value(frame, item) for item in items])
            case syntax.MapLiteral(entries=entries):
                return Map([(self.value(frame, k), self.value(frame, v)) for k, v in entries])
            case syntax.Call():
                return self.called(frame, expression)
        raise AssertionError(expression)

    def name(self, frame: Frame, name: str) -> Value:
        match name:
            case "me":
                return Party(self.run.party)
            case "now":
                return Moment(self.world.now)
            case "flow_id":
                return self.world.runs.index(self.run)
        return frame.values[name]

    def binary(self, frame: Frame, expression: syntax.Binary) -> Value:
        left = self.value(frame, expression.left)
        match expression.operator:
            case "and":
                return left is True and self.value(frame, expression.right)
            case "or":
                return left is True or self.value(frame, expression.right)
        return arithmetic.binary(expression.operator, left, self.value(frame, expression.right))

    def arguments(self, frame: Frame, call: syntax.Call, names: list[str]) -> dict[str, Value]:
        """By parameter, worked out in the order in which they are written."""
        return {
            argument.name or names[at]: self.value(frame, argument.value)
            for at, argument in enumerate(call.arguments)
        }

    def called(self, frame: Frame, call: syntax.Call) -> Value:
        callee = call.callee
        if isinstance(callee, syntax.Attribute):
            values = [self.value(frame, argument.value) for argument in call.arguments]
            return self.operation(callee.name, values)
        if callee.name == "divide":
            *numbers, rounding = call.arguments
            left, right, places = [self.value(frame, argument.value) for argument in numbers]
            assert isinstance(rounding.value, syntax.Name)
            assert isinstance(left, Fraction)
            assert isinstance(right, Fraction)
            assert isinstance(places, int)
            return arithmetic.divided(left, right, places, rounding.value.name)
        if callee.name == "decimal":
            number = self.value(frame, call.arguments[0].value)
            assert isinstance(number, int)
            return Fraction(number)
        declaration = self.world.declared[callee.name]
        match declaration:
            case syntax.Record(name=name, fields=fields):
                given = self.arguments(frame, call, [field.name for field in fields])
                for field in fields:
                    if field.name not in given:
                        assert field.default is not None
                        given[field.name] = self.value(frame, field.default)
                return Made(name, tuple((field.name, given[field.name]) for field in fields))
            case syntax.Error(name=name, parameters=parameters):
                given = self.arguments(frame, call, [p.name for p in parameters])
                return Made(name, tuple((p.name, given[p.name]) for p in parameters))
            case syntax.Function(name=name):
                return _function(name, *[self.value(frame, a.value) for a in call.arguments])
        raise AssertionError(declaration)

    # --- the scripted service ---

    def operation(self, name: str, values: list[Value]) -> Value:
        """What the service of every node answers; see also the same in Python for nodes."""
        run = self.run
        match name, values:
            case "count", []:
                return run.rows()
            case "coin", [int(n)]:
                return (n + run.rows()) % 2 == 0
            case "label_of", [int(n)]:
                return f"n{n}"
            case "limit", [int(n)]:
                return None if n % 2 else n // 2
            case "note", [str(line)]:
                run.pending.append(Effect("journal", what=line))
                return None
            case "take", [int(n)]:
                run.pending.append(Effect("journal", what=f"take {n}"))
                return run.rows()
            case "claim", [int(n)]:
                if n % 3 == 2:
                    raise Thrown(Made("Taken", (("number", n),)))
                run.pending.append(Effect("journal", what=f"claim {n}"))
                return Made("Pair", (("left", run.rows()), ("right", n)))
        raise AssertionError((name, values))


def _disclosed(thrown: Thrown) -> Made:
    """Details travel one hop, and only those of declared errors."""
    if thrown.built_in or thrown.peer is not None:
        return Made("UnexpectedFlowEnd", ())
    return thrown.error


def _constant(kind: str, value: object) -> Value:
    if kind == "Decimal":
        return Fraction(str(value))
    if kind == "Duration":
        days, seconds, micros = value.days, value.seconds, value.microseconds  # type: ignore[attr-defined]
        return Span((days * 86_400 + seconds) * 1_000_000 + micros)
    return value


def _attribute(value: Value, name: str) -> Value:
    match value:
        case Made():
            return value.field(name)
        case Thrown():
            return value.error.field(name)
        case Party() if name == "name":
            return value.name
        case Session() if name == "peer":
            return Party(value.peer)
        case str() | bytes() | tuple() | Map() if name == "size":
            return len(value)
    raise AssertionError((value, name))


def _function(name: str, value: Value) -> Value:
    """What the Python functions do; see also the same in Python for nodes."""
    match name, value:
        case "half", int():
            return value // 2
        case "shout", str():
            return value.upper()
        case "fits", int():
            return value % 3 != 2
        case "picky", int():
            if value % 4 == 3:
                raise Thrown(Made("Picky", (("given", value),)))
            return whole(value)
        case "first", tuple():
            numbers: tuple[Value, ...] = value
            return numbers[0] if numbers else None
        case "swap", Made(fields=((_, left), (_, right))):
            return Made("Pair", (("left", right), ("right", left)))
    raise AssertionError((name, value))


def run(
    files: Iterable[syntax.File], arguments: dict[str, Value], *, newest_first: bool = False
) -> tuple[Seen, World]:
    """What is seen when alice runs `Main` with these arguments. Raises TooLong and Race."""
    world = World(files, ("alice", "bob", "carol"), newest_first=newest_first)
    world.start("alice", "Main", arguments)
    world.go()
    return world.seen(), world
