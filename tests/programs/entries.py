"""What one construct of the language is to these tests, said in one place: how a generator writes
it, what it means to the reference interpreter, what it is counted as.

Holds no construct; those are the modules of `language`, whose opening says how one is added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.programs.kinds import Kind, Shape

if TYPE_CHECKING:
    from tests.programs.arithmetic import Value
    from tests.programs.evaluate import Evaluator
    from tests.programs.expressions import Expr, Expressions, Where
    from tests.programs.flows import Flows
    from tests.programs.plans import Book
    from tests.programs.reference import Interpreter
    from tests.programs.world import Frame, Steps, Wait

Maker: TypeAlias = Callable[[], None]
"""Writes one or more lines of a flow."""


Ways: TypeAlias = (
    "Callable[[Expressions, Kind, int, Where], Iterable[tuple[int, Callable[[], Expr]]]]"
)
"""How an expression of a kind, so deep at most, may be made in such a place; with weights."""


def _nothing(*_: object) -> Iterable[Any]:
    return ()


@dataclasses.dataclass(frozen=True)
class Statement:
    """`node` is its class in the tree. `offers` are ways to write it where the flow is now, each
    with a weight (most statements have 2 to 14; none where it would be wrong here). `runs` does
    what it means; where it waits it is a generator of waits, which returns how a block is left.
    `counted` are the names under which one is counted, `wanted` those that must come up."""

    node: type
    runs: Callable[[Interpreter, Frame, Any], Steps | None]
    counted: Callable[[Any], Iterable[str]]
    wanted: tuple[str, ...]
    offers: Callable[[Flows], Iterable[tuple[int, Maker]]] = _nothing
    waits: bool = False


@dataclasses.dataclass(frozen=True)
class RightSide:
    """Waits and has a value, like `subflow F()`: on the right of `let`, `var`, `=` and `return`, as
    a statement of its own also a `Statement`. `Flows.bind` writes it in any of these places."""

    node: type
    runs: Callable[[Interpreter, Frame, Any], Generator[Wait, None, Value]]
    counted: Callable[[Any], Iterable[str]]
    wanted: tuple[str, ...]
    offers: Callable[[Flows], Iterable[tuple[int, Maker]]] = _nothing


@dataclasses.dataclass(frozen=True)
class Expression:
    """Of the nodes of its class those that `fits` accepts, such as the calls of one method; the
    rest stay what they are. `offers` are ways to make one; weights are 1 to 6 as a rule."""

    node: type
    worth: Callable[[Evaluator, Frame, Any], Value]
    counted: Callable[[Any], Iterable[str]]
    wanted: tuple[str, ...]
    offers: Callable[[Expressions, Kind, int, Where], Iterable[tuple[int, Callable[[], Expr]]]] = (
        _nothing
    )
    fits: Callable[[Any], bool] = lambda _: True


@dataclasses.dataclass(frozen=True)
class Declarations:
    """`prepare` adds to a program before its records are made up: a text to `Book.declared` (only
    those that flows mention are written down), kinds of fields and variables to `Book.plain`.
    `literals` writes a value of such a kind, from nothing; what else makes one, an `Expression`
    offers."""

    prepare: Callable[[Book], None]
    literals: Mapping[Kind, Callable[[Expressions, int, Where], Expr]] = dataclasses.field(
        default_factory=dict
    )


@dataclasses.dataclass(frozen=True)
class Called:
    """Python that programs call. `line` declares it: `function half(n: Int) -> Int = python …`, or
    an operation of the service `Desk`, such as `read coin(n: Int) -> Bool`. `on_nodes` is that
    Python: a method of `desk.Functions` or `desk.Desk`. `meant` says the same for the reference
    interpreter, in words of its own. What either throws is declared in `throws`."""

    line: str
    on_nodes: Callable[..., Any]
    meant: Callable[[Evaluator, list[Value]], Value]
    offers: Ways = _nothing
    throws: tuple[Shape, ...] = ()

    @property
    def name(self) -> str:
        return self.line.split()[1].partition("(")[0]

    @property
    def is_function(self) -> bool:
        return self.line.startswith("function ")


Entry: TypeAlias = Statement | RightSide | Expression | Declarations | Called
