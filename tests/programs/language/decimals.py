"""What makes a Decimal by a call: `decimal(n)` and `divide(left, right, places, HALF_EVEN)`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from flowlang import syntax
from tests.programs import arithmetic
from tests.programs.arithmetic import Value
from tests.programs.choices import chance, pick
from tests.programs.entries import Expression
from tests.programs.expressions import ATOM, Expr, Expressions, Where
from tests.programs.kinds import DECIMAL, INT, Kind

if TYPE_CHECKING:
    from tests.programs.evaluate import Evaluator
    from tests.programs.world import Frame

ROUNDINGS = ("HALF_EVEN", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "CEILING", "FLOOR")


# --- written ---


def _offers(
    make: Expressions, kind: Kind, depth: int, where: Where
) -> Iterable[tuple[int, Callable[[], Expr]]]:
    if kind == DECIMAL:
        yield 2, lambda: make.call("decimal", INT, depth, where, any_=True)
        yield 2, lambda: _division(make, depth, where)


def _division(make: Expressions, depth: int, where: Where) -> Expr:
    left = make.of(DECIMAL, depth, where)
    right = pick(make.choices, ("2.0", "3.0", "0.7", "(-1.5)"))
    readable = make.readable(DECIMAL, dataclasses.replace(where, untrusted=False))
    if readable and chance(make.choices, where.risk * 2):
        right = pick(make.choices, readable).text
    places = pick(make.choices, ("2", "0", "1", "5"))
    text = f"divide({left.text}, {right}, {places}, {pick(make.choices, ROUNDINGS)})"
    return Expr(text, ATOM, left.untrusted)


# --- worked out ---


def _decimal(evaluator: Evaluator, frame: Frame, node: syntax.Call) -> Value:
    number = evaluator.value(frame, node.arguments[0].value)
    assert isinstance(number, int)
    return Fraction(number)


def _divide(evaluator: Evaluator, frame: Frame, node: syntax.Call) -> Value:
    *numbers, rounding = node.arguments
    left, right, places = [evaluator.value(frame, argument.value) for argument in numbers]
    assert isinstance(rounding.value, syntax.Name)
    assert isinstance(left, Fraction)
    assert isinstance(right, Fraction)
    assert isinstance(places, int)
    return arithmetic.divided(left, right, places, rounding.value.name)


# --- known ---


def _is_call(name: str) -> Callable[[syntax.Call], bool]:
    return lambda node: isinstance(node.callee, syntax.Name) and node.callee.name == name


ENTRIES = (
    Expression(
        syntax.Call,
        fits=_is_call("decimal"),
        offers=_offers,
        worth=_decimal,
        counted=lambda _: ["call of decimal"],
        wanted=("call of decimal",),
    ),
    Expression(
        syntax.Call,
        fits=_is_call("divide"),
        worth=_divide,
        counted=lambda _: ["call of divide"],
        wanted=("call of divide",),
    ),
)
