"""What people are asked: `ask "clerk": Query(…) -> Verdict within 2d`. One clerk answers for every
node, once nothing goes on by itself; some questions are beyond him."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

from flowlang import syntax
from tests.programs.arithmetic import Made, Moment, Span, Value
from tests.programs.choices import chance, pick
from tests.programs.entries import Declarations, Maker, RightSide
from tests.programs.kinds import BOOL, INT, TEXT, TIMESTAMP, Field, Shape, optional
from tests.programs.names import Variable
from tests.programs.world import Begun, Effect, Frame, Run, Wait, World, built_in

if TYPE_CHECKING:
    from tests.programs.flows import Flows
    from tests.programs.plans import Book
    from tests.programs.reference import Interpreter

CLERK = "dora"

QUERY = Shape("record", "Query", (Field("number", INT), Field("subject", TEXT, '"that"')))
VERDICT = Shape(
    "record",
    "Verdict",
    (Field("fine", BOOL), Field("rest", INT), Field("remark", optional(TEXT), "none")),
)
_FACTS = (Field("by", TEXT), Field("at", TIMESTAMP), Field("value", VERDICT.kind))
ANSWER = Shape("answer", "Verdict+", (*VERDICT.fields, *_FACTS))
"""An answer: the fields of the verdict, and what is known of it."""


# --- written ---


def _prepare(book: Book) -> None:
    for shape in (QUERY, VERDICT, ANSWER):
        book.shapes[shape.name] = shape


def _asks(flow: Flows) -> Iterable[tuple[int, Maker]]:
    yield 4, lambda: _ask(flow)


def question(flow: Flows) -> tuple[str, bool]:
    """An `ask`, and whether it has a deadline."""
    asked = flow.make.of(QUERY.kind, 2).text
    limited = chance(flow.choices, 60)
    limit = f" within {pick(flow.choices, ('2d', '11m', '7s'))}" if limited else ""
    return f'ask "{pick(flow.choices, ("clerk", "boss"))}": {asked} -> Verdict{limit}', limited


def _ask(flow: Flows) -> None:
    text, limited = question(flow)

    def body() -> None:
        if chance(flow.choices, 15):
            flow.line(text)
            return
        name = flow.name()
        flow.line(f"let {name} = {text}")
        told(flow, Variable(name, ANSWER.kind))

    if limited:
        flow.caught("TaskExpired", body)
    else:
        body()


def told(flow: Flows, variable: Variable) -> None:
    """What the answer was, from now on in scope."""
    name = variable.name
    flow.names.declare(variable)
    flow.line(f'Desk.note("{{{name}.fine}} {{{name}.rest}} {{{name}.by}} {{{name}.at}}")')


# --- answered ---


def answer(task: Any) -> object | None:
    """What the clerk says on a node, if anything."""
    number = task.question.number
    if number % 4 == 3 and task.due is not None:
        return None
    remark = task.question.subject if number % 2 else None
    made: object = task.answer(fine=number % 3 == 0, rest=number % 1000, remark=remark)
    return made


# --- run ---


def _asked(
    interpreter: Interpreter, frame: Frame, node: syntax.Ask
) -> Generator[Wait, None, Value]:
    begun = asked(interpreter, frame, node)
    yield begun.wait()
    return begun.end()


def asked(interpreter: Interpreter, frame: Frame, node: syntax.Ask) -> Begun:
    """A question that is open as soon as the step is committed."""
    world, run = interpreter.world, interpreter.run
    value = interpreter.value(frame, node.question)
    due = None
    if node.deadline is not None:
        span = interpreter.value(frame, node.deadline)
        assert isinstance(span, Span)
        due = world.now + span.microseconds
    assert isinstance(value, Made)
    answers: list[Value] = []

    def act(world: World, run: Run) -> None:
        world.outside.append(lambda: _reply(world, run, value, due, answers))

    def end() -> Value:
        if not answers:
            world.counts["nobody answered"] += 1
            raise built_in("TaskExpired")
        world.counts["somebody answered"] += 1
        return answers[0]

    run.pending.append(Effect("ask", act=act))
    return Begun(lambda: bool(answers), end, due)


def _reply(world: World, run: Run, asked: Made, due: int | None, answers: list[Value]) -> bool:
    number = asked.field("number")
    assert isinstance(number, int)
    late = due is not None and (due <= world.now or number - number // 4 * 4 == 3)
    if answers or late or run.ending is not None:
        return False
    odd = number // 2 * 2 != number
    verdict = Made(
        "Verdict",
        (
            ("fine", number // 3 * 3 == number),
            ("rest", number - number // 1000 * 1000),
            ("remark", asked.field("subject") if odd else None),
        ),
    )
    facts = (("by", CLERK), ("at", Moment(world.now)), ("value", verdict))
    answers.append(Made("Verdict+", (*verdict.fields, *facts)))
    return True


# --- known ---


ENTRIES = (
    Declarations(_prepare),
    RightSide(
        syntax.Ask,
        offers=_asks,
        runs=_asked,
        counted=lambda node: ["ask" if node.deadline is None else "ask within"],
        wanted=("ask", "ask within", "somebody answered", "nobody answered"),
    ),
)
