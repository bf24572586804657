"""Runs a program straight from its syntax tree: the plain reading of what the language means.

No machine, no states, no bytes: a flow is a Python generator that yields where it waits, and a
session is two queues. It runs what the checker accepted; it knows no types.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from flowlang import syntax
from tests.programs import language
from tests.programs.arithmetic import Faulted, Made, Map, Party, Span, Value, plain
from tests.programs.evaluate import Evaluator
from tests.programs.language import groups, owner
from tests.programs.seen import Ending, Seen
from tests.programs.world import (
    COMMITTED,
    MOST_STATEMENTS,
    Effect,
    Frame,
    Leaving,
    Letter,
    Race,
    Run,
    Session,
    Steps,
    Thrown,
    TooLong,
    Wait,
    World,
    built_in,
)

HOSTS = ("alice", "bob", "carol")
"""The parties that run every flow; others reject all invitations."""


class Interpreter(Evaluator):
    """Executes the flows of one run."""

    def whole_flow(
        self, flow: syntax.Flow, arguments: dict[str, Value], session: Session | None
    ) -> Generator[Wait, None, None]:
        """A flow of its own: its outcome is the run's."""
        try:
            value = yield from self.call(flow, arguments, session)
        except Thrown as thrown:
            fields = None if thrown.built_in else plain(thrown.error)
            ending = Ending("failed", fields or thrown.error.name, thrown.peer)
            self.world.counts[f"failed: {self._source(thrown)}"] += 1
        else:
            ending = Ending("returned", plain(value))
            self.run.result = value
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
            others = any(not session.over for session in frame.open)
            if others and thrown.peer is not None and not thrown.built_in:
                self.world.counts["kept a peer's error from others"] += 1
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
        entry = language.statements().get(type(statement))
        if entry is not None:
            running = entry.runs(self, frame, statement)
            return None if running is None else (yield from running)
        match statement:
            case syntax.If():
                return (yield from self.if_(frame, statement))
            case syntax.Match():
                return (yield from self.match(frame, statement))
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
            case syntax.EffectStatement(effect=subflow):
                yield from self.right_side(frame, subflow)
            case syntax.Receive():
                yield from self.receive(frame, statement)
            case _:
                self.simple(frame, statement)
        return None

    def right_side(
        self, frame: Frame, value: syntax.Expr | syntax.Effect
    ) -> Generator[Wait, None, Value]:
        entry = language.right_sides().get(type(value))
        if entry is not None:
            return (yield from entry.runs(self, frame, value))
        if not isinstance(value, syntax.Subflow):
            assert not isinstance(value, syntax.Effect)
            return self.value(frame, value)
        assert isinstance(value.call.callee, syntax.Name)
        flow = self.world.declared[value.call.callee.name]
        assert isinstance(flow, syntax.Flow)
        arguments = self.given(frame, value.call, flow.parameters)
        if flow is frame.flow:
            self.world.counts["subflow called itself"] += 1
        return (yield from self.call(flow, arguments, None))

    def simple(self, frame: Frame, statement: syntax.Statement) -> None:
        """A statement that never waits."""
        match statement:
            case syntax.Open():
                self.open(frame, statement)
            case syntax.Send():
                self.send(frame, statement)
            case syntax.Throw(error=error):
                raise self.error(frame, error)
            case syntax.Require(condition=condition, error=error):
                if self.value(frame, condition) is not True:
                    raise self.error(frame, error)
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

    def match(self, frame: Frame, statement: syntax.Match) -> Steps:
        value = self.value(frame, statement.value)
        for case in statement.cases:
            if any(self.matches(frame, pattern, value) for pattern in case.patterns):
                return (yield from self.inner(frame, "match", case.body))
        raise AssertionError((statement, value))

    def matches(self, frame: Frame, pattern: syntax.Pattern, value: Value) -> bool:
        """Whether it does; then what it names has its values."""
        match pattern:
            case syntax.AnyPattern():
                return True
            case syntax.ValuePattern(value=constant):
                wanted = self.value(frame, constant)
                return type(wanted) is type(value) and wanted == value
        if not isinstance(value, Made) or value.name != f"Decision.{pattern.name}":
            return False
        for binding, (_, part) in zip(pattern.bindings or (), value.fields, strict=False):
            if binding is not None:
                frame.values[binding.name] = part
        return True

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
            if any(self.is_a(thrown.error.name, error.name) for error in catch.errors):
                break
        else:
            raise thrown
        self.world.counts[f"caught: {self._source(thrown)}"] += 1
        self.world.counts[
            "caught after waiting" if self.run.waits > waits else "caught at once"
        ] += 1
        self.end(frame, mark, Letter("end"))
        thrown.waits = self.run.waits
        thrown.fields = frozenset.intersection(
            *[self.fields_of(error.name) for error in catch.errors]
        )
        if catch.name is not None:
            frame.values[catch.name] = thrown
        return (yield from self.inner(frame, "catch", catch.body))

    def fields_of(self, name: str) -> frozenset[str]:
        declared = self.world.declared.get(name)
        found = declared.parameters if isinstance(declared, syntax.Error) else ()
        return frozenset(parameter.name for parameter in found)

    def is_a(self, name: str, wanted: str) -> bool:
        """Whether the error is the wanted one, or of its family."""
        if wanted in (name, "FlowError"):
            return True
        declared = self.world.declared.get(name)
        if not isinstance(declared, syntax.Error) or declared.family is None:
            return False
        found = self.is_a(declared.family.name, wanted)
        self.world.counts["caught: by its family"] += found
        return found

    # --- sessions ---

    def open(self, frame: Frame, statement: syntax.Open) -> None:
        if statement.each:
            groups.open_each(self, frame, statement)
            return
        party = self.value(frame, statement.party)
        assert isinstance(party, Party)
        session = Session(self.run, party.name, statement.flow.name)
        frame.values[statement.name] = session
        frame.open.append(session)
        frame.invited.append(session)
        self.run.pending.append(Effect("open", session))

    def send(self, frame: Frame, statement: syntax.Send) -> None:
        message = self.value(frame, statement.value)
        told = self.value(frame, statement.session)
        assert isinstance(message, Made)
        for session in told if isinstance(told, tuple) else (told,):
            assert isinstance(session, Session)
            if session.closed or (session.inbox and session.inbox[0].kind != "message"):
                # What has arrived, or will, would decide whether this send throws.
                raise Race(f"line {statement.span.line} sends while the peer may have ended")
            self.run.pending.append(Effect("message", session, Letter("message", message)))

    def receive(self, frame: Frame, statement: syntax.Receive) -> Generator[Wait, None, None]:
        if statement.send is not None:
            self.send(frame, statement.send)
        if statement.each:
            yield from groups.receive_each(self, frame, statement)
            return
        session = self.value(frame, statement.session)
        assert isinstance(session, Session)
        session.wanted = frozenset((statement.type.name,))
        yield Wait(session=session, deadline=self.deadline(frame, statement.deadline))
        session.wanted = frozenset()
        if not session.inbox:
            self.late(session, statement.deadline)
            raise built_in("Timeout")
        frame.values[statement.name] = self.heard(session, statement.type.name)
        if statement.checks is None:
            return
        try:
            for check in statement.checks:
                self.check(frame, check)
        except Faulted:
            # What is wrong with a message that is being checked is its sender's fault.
            raise built_in("Malformed") from None

    def deadline(self, frame: Frame, written: syntax.Deadline | None) -> int | None:
        if written is None:
            return None
        span = self.value(frame, written.duration)
        assert isinstance(span, Span)
        return self.world.now + span.microseconds

    def late(self, session: Session, written: syntax.Deadline | None) -> None:
        """Nothing came in time; what comes then may be dropped."""
        self.world.counts["a message was late"] += 1
        if written is not None and written.discard:
            session.unwanted += 1

    def heard(self, session: Session, wanted: str) -> Made:
        letter = session.inbox.popleft()
        session.heard = True
        session.over = letter.kind != "message"
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
            place = "a peer's error" if value.peer is not None else "an error"
            late = " after a wait" if value.waits < self.run.waits else ""
            self.world.counts[f"{place} thrown again{late}"] += 1
            return value
        assert isinstance(value, Made)
        return Thrown(value)


def _disclosed(thrown: Thrown) -> Made:
    """Details travel one hop, and only those of declared errors."""
    if thrown.built_in or thrown.peer is not None:
        return Made("UnexpectedFlowEnd", ())
    return thrown.error


def _begin(
    world: World, run: Run, arguments: dict[str, Value], session: Session | None
) -> Generator[Wait, None, None]:
    return Interpreter(world, run).whole_flow(run.flow, arguments, session)


def run(
    files: Iterable[syntax.File], arguments: dict[str, Value], *, newest_first: bool = False
) -> tuple[Seen, World]:
    """What is seen when alice runs `Main` with these arguments. Raises TooLong and Race."""
    world = World(files, HOSTS, _begin, newest_first=newest_first)
    main = world.start("alice", "Main", dict(arguments))
    if main.flow.owner is not None:
        main.owner = owner.attend(world, main)
        main.steps = _begin(world, main, {**arguments, main.flow.owner.name: main.owner}, None)
    world.go()
    return world.seen(), world
