"""Python whose result is an optional: the function `first` and the operation `Desk.limit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tests.programs.arithmetic import Value
from tests.programs.entries import Called
from tests.programs.expressions import Expr, Expressions, Where
from tests.programs.kinds import INT, Kind, list_of, optional

if TYPE_CHECKING:
    from tests.programs.evaluate import Evaluator

Ways = Iterable[tuple[int, Callable[[], Expr]]]


def _firsts(make: Expressions, kind: Kind, depth: int, where: Where) -> Ways:
    if kind == optional(INT) and where.quotes:
        yield 2, lambda: make.call("first", list_of(INT), depth, where)


def _first_on_nodes(functions: object, numbers: tuple[int, ...]) -> int | None:
    return numbers[0] if numbers else None


def _first(evaluator: Evaluator, values: list[Value]) -> Value:
    [numbers] = values
    assert isinstance(numbers, tuple)
    return next(iter(numbers), None)


def _limits(make: Expressions, kind: Kind, depth: int, where: Where) -> Ways:
    if kind == optional(INT) and where.quotes and where.calls >= 1:
        reads = dataclasses.replace(where, calls=1)
        yield 2, lambda: make.call("Desk.limit", INT, depth, reads, any_=True)


def _limit_on_nodes(desk: object, tx: Any, n: int) -> int | None:
    return None if n % 2 else n // 2


def _limit(evaluator: Evaluator, values: list[Value]) -> Value:
    [n] = values
    assert isinstance(n, int)
    half, rest = divmod(n, 2)
    return half if rest == 0 else None


ENTRIES = (
    Called(
        'function first(numbers: List[Int]) -> Int? = python "program_functions:first"',
        offers=_firsts,
        on_nodes=_first_on_nodes,
        meant=_first,
    ),
    Called(
        "read limit(n: untrusted Int) -> Int?",
        offers=_limits,
        on_nodes=_limit_on_nodes,
        meant=_limit,
    ),
)
