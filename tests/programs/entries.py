"""What one construct of the language is to these tests, said in one place: how a generator writes
it, what it means to the reference interpreter, what it is counted as.

Holds no construct; those are the modules of `language`, whose opening says how one is added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.programs.kinds import Kind

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
    rest stay what they are. `offers` are ways to make one of a kind, with weights (of about 10)."""

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


Entry: TypeAlias = Statement | RightSide | Expression | Declarations
