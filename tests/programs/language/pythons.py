"""A type that Python brings along: `type Weight = python "program_types:Weight"`, with a codec."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tests.programs.arithmetic import Made, Value
from tests.programs.choices import chance
from tests.programs.entries import Called, Declarations
from tests.programs.expressions import COMPARISON, Expr, Expressions, Where
from tests.programs.kinds import BOOL, INT, TEXT, TYPES, Field, Kind, Shape

if TYPE_CHECKING:
    from tests.programs.evaluate import Evaluator
    from tests.programs.plans import Book

WEIGHT = Shape("python", "Weight", (Field("grams", INT), Field("unit", TEXT)))


@dataclasses.dataclass(frozen=True, order=True)
class Weight:
    """Not what its bytes are: they say grams, and the unit is worked out."""

    grams: int

    @property
    def unit(self) -> str:
        return "kg" if self.grams % 1000 == 0 else "g"

    def to_flow(self) -> bytes:
        return f"{self.grams} g".encode()

    @classmethod
    def from_flow(cls, data: bytes) -> Weight:
        return cls(int(data.decode().removesuffix(" g")))


sys.modules[TYPES] = ModuleType(TYPES)
vars(sys.modules[TYPES])["Weight"] = Weight


# --- written ---

Ways = Iterable[tuple[int, Callable[[], Expr]]]


def _prepare(book: Book) -> None:
    book.shapes[WEIGHT.name] = WEIGHT
    if chance(book.choices, 60):
        book.plain.append(WEIGHT.kind)


def _literal(make: Expressions, depth: int, where: Where) -> Expr:
    plain = dataclasses.replace(where, untrusted=False)
    number = make.of(INT, min(depth, 1), plain) if where.quotes else Expr("1_000")
    return Expr(f"weigh({number.text})")


def _compared(make: Expressions, kind: Kind, depth: int, where: Where) -> Ways:
    if kind == BOOL and make.readable(WEIGHT.kind, where):
        yield 3, lambda: _comparison(make, depth, where)


def _comparison(make: Expressions, depth: int, where: Where) -> Expr:
    left = make.moving(WEIGHT.kind, where)
    right = make.of(WEIGHT.kind, min(depth, 1), where)
    text = f"{left.text} {('<', '>=', '!=')[make.choices.below(3)]} {right.text}"
    return Expr(text, COMPARISON, left.untrusted or right.untrusted)


# --- worked out ---


def _on_nodes(functions: object, n: int) -> Any:
    return Weight(n)


def _meant(evaluator: Evaluator, values: list[Value]) -> Value:
    [n] = values
    assert isinstance(n, int)
    unit = "kg" if n == n // 1000 * 1000 else "g"
    return Made("Weight", (("grams", n), ("unit", unit)))


ENTRIES = (
    Declarations(_prepare, literals={WEIGHT.kind: _literal}),
    Called(
        'function weigh(n: Int) -> Weight = python "program_functions:weigh"',
        offers=_compared,
        on_nodes=_on_nodes,
        meant=_meant,
    ),
)
