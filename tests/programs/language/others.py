"""A moment that is waited for, and what leaves the node: `wait until`, `await Desk.fetch(n)`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from flowlang import syntax
from tests.programs import arithmetic
from tests.programs.arithmetic import Value
from tests.programs.entries import Called, Maker, RightSide, Statement
from tests.programs.expressions import Where
from tests.programs.kinds import DURATION, INT
from tests.programs.world import COMMITTED, Frame, Steps, Wait

if TYPE_CHECKING:
    from tests.programs.blocks import Blocks
    from tests.programs.evaluate import Evaluator
    from tests.programs.flows import Flows
    from tests.programs.reference import Interpreter


# --- written ---


def _waits(flow: Blocks) -> Iterable[tuple[int, Maker]]:
    yield 4, lambda: _wait_until(flow)


def _wait_until(flow: Blocks) -> None:
    span = flow.make.of(DURATION, 1, Where(calls=0))
    flow.line(f"wait until now + ({span.text})")


def _fetches(flow: Flows) -> Iterable[tuple[int, Maker]]:
    yield 4, lambda: _fetch(flow)


def _fetch(flow: Flows) -> None:
    number = flow.make.of(INT, 1)
    flow.bind(f"await Desk.fetch({number.text})", INT)


# --- run ---


def _wait(interpreter: Interpreter, frame: Frame, node: syntax.WaitUntil) -> Steps:
    moment = interpreter.value(frame, node.time)
    assert isinstance(moment, arithmetic.Moment)
    yield Wait(due=max(interpreter.world.now, moment.microseconds))
    return None


def _await(
    interpreter: Interpreter, frame: Frame, node: syntax.Await
) -> Generator[Wait, None, Value]:
    """What is asked for is known when the step is over, and comes after it."""
    given = interpreter.value(frame, node.value)
    yield COMMITTED
    return given


def _on_nodes(desk: object, key: str, n: int) -> int:
    assert key
    return 9 - n % 7


def _meant(evaluator: Evaluator, values: list[Value]) -> Value:
    (number,) = values
    assert isinstance(number, int)
    # What is left over has the sign of the divisor, so it is never below zero.
    return 9 - (number - number // 7 * 7)


# --- known ---

ENTRIES = (
    Statement(
        syntax.WaitUntil,
        offers=_waits,
        runs=_wait,
        counted=lambda _: ["wait until"],
        wanted=("wait until",),
        waits=True,
    ),
    RightSide(
        syntax.Await,
        offers=_fetches,
        runs=_await,
        counted=lambda _: ["await"],
        wanted=("await",),
    ),
    Called("external fetch(n: Int) -> Int", on_nodes=_on_nodes, meant=_meant),
)
