"""Moments that are waited for: `wait until`. What leaves the node: `Desk.fetch`, `Desk.ship`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowlang import syntax
from tests.programs import arithmetic
from tests.programs.arithmetic import Made, Value
from tests.programs.entries import Called, Maker, Statement
from tests.programs.expressions import Where
from tests.programs.kinds import DURATION, TEXT, Field, Shape
from tests.programs.world import Frame, Steps, Thrown, Wait

if TYPE_CHECKING:
    from tests.programs.blocks import Blocks
    from tests.programs.evaluate import Evaluator
    from tests.programs.reference import Interpreter


# --- written ---


def _waits(flow: Blocks) -> Iterable[tuple[int, Maker]]:
    yield 4, lambda: _wait_until(flow)


def _wait_until(flow: Blocks) -> None:
    span = flow.make.of(DURATION, 1, Where(calls=0))
    flow.line(f"wait until now + ({span.text})")


# --- run ---


def _wait(interpreter: Interpreter, frame: Frame, node: syntax.WaitUntil) -> Steps:
    moment = interpreter.value(frame, node.time)
    assert isinstance(moment, arithmetic.Moment)
    yield Wait(due=max(interpreter.world.now, moment.microseconds))
    return None


def _on_nodes(desk: object, key: str, n: int) -> int:
    assert key
    return 9 - n % 7


def _meant(evaluator: Evaluator, values: list[Value]) -> Value:
    (number,) = values
    assert isinstance(number, int)
    # What is left over has the sign of the divisor, so it is never below zero.
    return 9 - (number - number // 7 * 7)


LOST = Shape("error", "Lost", (Field("what", TEXT),))


def _ship_on_nodes(desk: Any, key: str, words: str, n: int) -> None:
    if n % 3 == 1:
        raise desk.generated["Lost"](words)


def _ship(evaluator: Evaluator, values: list[Value]) -> Value:
    words, number = values
    assert isinstance(number, int)
    if (number - 1) % 3 == 0:
        raise Thrown(Made("Lost", (("what", words),)))
    return None


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
    Called("external fetch(n: Int) -> Int", on_nodes=_on_nodes, meant=_meant),
    Called(
        "external ship(words: Text, n: Int)",
        on_nodes=_ship_on_nodes,
        meant=_ship,
        throws=(LOST,),
    ),
)
