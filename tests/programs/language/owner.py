"""The session with whoever started `Main`: `startable by rpc as owner`.

The owner waits until nothing goes on by itself; then, if the flow waits for him, he says what it
waits for. What he says depends on how much the flow has written into its journal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.programs.arithmetic import Made
from tests.programs.choices import chance, pick
from tests.programs.entries import Declarations, Maker, RightSide, Statement
from tests.programs.kinds import BOOL, INT, SESSION, TEXT, Field, Kind, Shape
from tests.programs.names import Variable
from tests.programs.world import Letter, Run, Session, World

if TYPE_CHECKING:
    from tests.programs.flows import Flows
    from tests.programs.plans import Book

NAME = "owner"
ORDER = Shape("message", "Order", (Field("number", INT), Field("words", TEXT)))
HALT = Shape("message", "Halt", (Field("quiet", BOOL),))


# --- written ---


def _prepare(book: Book) -> None:
    for shape in (ORDER, HALT):
        book.shapes[shape.name] = shape


def offers(flow: Flows) -> Iterable[tuple[int, Maker]]:
    if any(variable.name == NAME for variable in flow.names.variables()):
        yield 9, lambda: _hear(flow)
        yield 5, lambda: _choose(flow)
        yield 5, lambda: _tell(flow)
        if flow.room_for_flow():
            yield 3, lambda: _pass_on(flow)


def _hear(flow: Flows) -> None:
    shape = pick(flow.choices, (ORDER, ORDER, HALT))
    variable = Variable(flow.name(), shape.kind)
    name = variable.name
    if chance(flow.choices, 60):
        flow.line(f"receive {name}: {shape.name} from {NAME} unchecked")
    else:
        flow.line(f"receive {name}: {shape.name} from {NAME}:")
        flow.checks(variable, may_fail=flow.can_throw_any())
    flow.names.declare(variable)
    _show(flow, variable)


def _show(flow: Flows, variable: Variable) -> None:
    part = "number" if variable.kind == ORDER.kind else "quiet"
    flow.line(f'Desk.note("{{{variable.name}.{part}}}")')


def _choose(flow: Flows) -> None:
    flow.line(f"receive from {NAME}:")
    flow.indent += 1
    for shape in (HALT, ORDER) if chance(flow.choices, 50) else (ORDER,):
        variable = Variable(flow.name(), Kind(shape.name))
        flow.line(f"case {shape.name} as {variable.name} unchecked:")

        def first(variable: Variable = variable) -> None:
            flow.names.declare(variable)
            _show(flow, variable)

        flow.block(flow.choices.below(2), first=first)
    flow.indent -= 1


def _tell(flow: Flows) -> None:
    kind = pick(flow.choices, (Kind("Ask"), Kind("Reply"), ORDER.kind))
    flow.line(f"send {flow.make.of(kind, 2).text} to {NAME}")


def _pass_on(flow: Flows) -> None:
    plan = flow.book.plan("Clerk", may_throw=flow.can_throw_any(), size=2)
    plan.parameters.append((NAME, SESSION))
    flow.line(f"subflow {plan.name}({NAME})")


# --- said ---


_WAITS = re.compile(rf"(?:: (\w+))? from {NAME}\b")


def command(line: str, written: int, generated: dict[str, Any]) -> Any | None:
    """What is said on a node to a flow that rests at this line of its source."""
    found = _WAITS.search(line)
    if found is None:
        return None
    if found.group(1) == HALT.name:
        return generated[HALT.name](written % 2 == 0)
    return generated[ORDER.name](written, f"order {written}")


def attend(world: World, run: Run) -> Session:
    """The owner's session in the reference interpreter."""
    session = Session(run, run.party, NAME, opened=True)

    def speak() -> bool:
        if run.ending is not None or not session.wanted or session.inbox:
            return False
        written = len(run.journal)
        if ORDER.name in session.wanted:
            words = f"order {written}"
            message = Made(ORDER.name, (("number", written), ("words", words)))
        else:
            message = Made(HALT.name, (("quiet", written in range(0, written + 1, 2)),))
        session.inbox.append(Letter("message", message))
        world.counts["the owner spoke"] += 1
        return True

    world.outside.append(speak)
    return session


ENTRIES: tuple[Statement | RightSide | Declarations, ...] = (Declarations(_prepare),)
