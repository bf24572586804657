"""The constructs of the language, each told once: written, run and counted in the same module.

**Adding a construct is adding a module here**, with `ENTRIES`: a `Statement`, a `RightSide` that
waits, an `Expression`, `Declarations`, Python that is `Called` (see `entries`; `waits`, `telling`,
`decimals` and `optionals` are short examples). It is found by itself: no list is to be changed.
What an earlier construct needs (`blocks`, `flows`, `reference`, `constructs`) moves here when it is
changed.

1. `offers`: write it with `flow.line(…)` and `flow.block(…)`; what it declares goes to
   `flow.names.declare(…)`, so that what follows reads it. Offer it only where the checker accepts
   it *and* where the outcome does not depend on timing: a flow fails, ends a session or leaves a
   block only where `can_throw`, `can_return`, … allow it (`scripts` says why). Values come from
   `flow.make.of(kind)`, decisions from `flow.choices`.
2. `runs` or `worth`: what the language's page says, from the tree alone. Use nothing of flowrt and
   nothing of the compiler but `flowlang.syntax`. A wait is a `yield` of a `Wait`: for a time, for
   whatever its `ready` asks, or for both, whichever is first. Whatever touches the world is an
   `Effect` in `run.pending`, so that a step that fails has done nothing; `act` is for new ones.
3. `counted` and `wanted`: each form that a compiler may treat differently has a name of its own.
   (That a node of the tree comes up at all is looked at anyway; see `constructs.NOT_GENERATED`.)

Time is the same everywhere, and passes only when nothing goes on by itself and nobody has anything
to say: first the owner speaks and the clerk answers (`owner`, `people`), then operators let go of
what holds, then the clock goes on to whatever is due next. So a flow may depend on who was late
(`late`), as long as no two things are due at the same moment.

Only what a program is seen to do can tell two runs apart: let the construct end in a variable that
`Desk.note` can show, in a message, or in a result. What outsiders see in a new way goes to `seen`,
`World.seen` and `machine` (the nodes); what two flows say to each other, to `scripts` and `flows`.

Then `pytest tests/test_programs.py`, and a campaign: `FLOW_PROGRAMS=3000 pytest -m campaign -n 2
tests/test_programs.py`. What fails is made smaller by itself; `python -m tests.programs 17` shows
the program of a seed. Last, show that the tests would notice: break your part of the compiler.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from tests.programs.entries import (
    Called,
    Declarations,
    Entry,
    Expression,
    Maker,
    RightSide,
    Statement,
)

if TYPE_CHECKING:
    from tests.programs.expressions import Expr, Expressions, Where
    from tests.programs.flows import Flows
    from tests.programs.kinds import Kind

T = TypeVar("T")


@functools.cache
def _entries() -> tuple[Entry, ...]:
    """Those of every module here. Loaded late: they need what needs this registry."""
    modules = sorted(found.name for found in pkgutil.iter_modules(__path__))
    loaded = [importlib.import_module(f"{__name__}.{name}") for name in modules]
    return tuple(entry for module in loaded for entry in module.ENTRIES)


@functools.cache
def _all(sort: type[T]) -> tuple[T, ...]:
    return tuple(entry for entry in _entries() if isinstance(entry, sort))


@functools.cache
def statements() -> Mapping[type, Statement]:
    return {entry.node: entry for entry in _all(Statement)}


def offers(flow: Flows) -> list[tuple[int, Maker]]:
    """What of all this may be written where the flow is now."""
    entries = (*_all(Statement), *_all(RightSide))
    return [offer for entry in entries for offer in entry.offers(flow)]


@functools.cache
def right_sides() -> Mapping[type, RightSide]:
    return {entry.node: entry for entry in _all(RightSide)}


@functools.cache
def expressions() -> Mapping[type, tuple[Expression, ...]]:
    found: dict[type, tuple[Expression, ...]] = {}
    for entry in _all(Expression):
        found[entry.node] = (*found.get(entry.node, ()), entry)
    return found


def expression(node: object) -> Expression | None:
    """The entry that this very expression is, if it is one."""
    for entry in expressions().get(type(node), ()):
        if entry.fits(node):
            return entry
    return None


def ways(
    make: Expressions, kind: Kind, depth: int, where: Where
) -> list[tuple[int, Callable[[], Expr]]]:
    """How an expression of this kind may be made, besides what `Expressions` makes by itself."""
    entries = (*_all(Expression), *_all(Called))
    return [way for entry in entries for way in entry.offers(make, kind, depth, where)]


@functools.cache
def called() -> Mapping[str, Called]:
    """By name; those of the service are named like `Desk.coin`."""
    return {e.name if e.is_function else f"Desk.{e.name}": e for e in _all(Called)}


@functools.cache
def literals() -> Mapping[Kind, Callable[[Expressions, int, Where], Expr]]:
    return {kind: write for entry in declarations() for kind, write in entry.literals.items()}


def declarations() -> tuple[Declarations, ...]:
    return _all(Declarations)


@functools.cache
def waiting() -> tuple[type, ...]:
    """The nodes that wait."""
    statements = [entry.node for entry in _all(Statement) if entry.waits]
    return (*statements, *right_sides())


@functools.cache
def wanted() -> tuple[str, ...]:
    counted = (Statement, RightSide, Expression)
    return tuple(
        name for entry in _entries() if isinstance(entry, counted) for name in entry.wanted
    )
