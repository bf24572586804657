"""Walks syntax trees without a list of their nodes, so that a new one is walked as well."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import Any

from flowlang import syntax
from tests.programs import language

Right = syntax.Expr | syntax.Effect

_NOT_READ = frozenset(("span", "callee", "flow", "errors", "type", "name"))
"""Fields that hold no expression: places, and names of what is declared."""

_WAITS: tuple[type, ...] = (syntax.Receive, syntax.EffectStatement)


def waits(node: object) -> bool:
    """Whether this very statement waits."""
    value = getattr(node, "value", None)
    if isinstance(value or getattr(node, "effect", None), syntax.Start | syntax.Pending):
        return False
    return isinstance(node, (*_WAITS, *language.waiting())) or is_right_side(value)


def is_right_side(node: object) -> bool:
    return isinstance(node, syntax.Effect | syntax.Subflow) or type(node) in language.right_sides()


def blocks(node: object) -> list[syntax.Block]:
    """The blocks of a statement, those of its clauses included."""
    found: list[syntax.Block] = []
    for value in _values(node):
        found += _blocks(value)
    return found


def _blocks(value: object) -> Iterator[syntax.Block]:
    if isinstance(value, tuple):
        if value and all(isinstance(part, syntax.Statement) for part in value):
            yield value
        else:
            for part in value:
                yield from _blocks(part)
    elif _is_clause(value):
        yield from blocks(value)


def inside(body: syntax.Block) -> Iterator[object]:
    """All statements of a block, and what waits on their right sides."""
    for node in body:
        yield node
        for value in _values(node):
            if is_right_side(value):
                yield value
        for block in blocks(node):
            yield from inside(block)


def expressions(node: object) -> Iterator[Right]:
    """The expressions of a statement itself, those of its blocks left out."""
    for value in _values(node):
        yield from _expressions(value)


def _expressions(value: object) -> Iterator[Right]:
    if isinstance(value, syntax.Expr) or is_right_side(value):
        yield value  # type: ignore[misc]
    elif isinstance(value, tuple):
        if not any(isinstance(part, syntax.Statement) for part in value):
            for part in value:
                yield from _expressions(part)
    elif isinstance(value, syntax.Send) or _is_clause(value):
        yield from expressions(value)


def parts(node: Right) -> Iterator[Right]:
    """An expression and all within it."""
    yield node
    for inner in expressions(node):
        if is_right_side(node) and isinstance(inner, syntax.Call):
            # The flow that is called is not an expression.
            for argument in expressions(inner):
                yield from parts(argument)
        else:
            yield from parts(inner)
    if isinstance(node, syntax.Call) and isinstance(node.callee, syntax.Attribute):
        owner = node.callee.value
        if not (isinstance(owner, syntax.Name) and owner.name[0].isupper()):
            yield from parts(owner)


def read(nodes: Iterable[object]) -> set[str]:
    """The names that these statements read, those of the blocks in them left out."""
    return {
        part.name
        for node in nodes
        if not is_right_side(node)
        for expression in expressions(node)
        for part in parts(expression)
        if isinstance(part, syntax.Name)
    }


def bound(nodes: Iterable[object]) -> set[str | None]:
    """The names that these statements declare."""
    return {
        getattr(node, "name", None)
        for node in nodes
        if not isinstance(node, syntax.Assign | syntax.StepTo)
    }


def leaving(body: syntax.Block) -> Iterator[syntax.Statement]:
    """The statements that leave this loop, not one within it."""
    for node in body:
        if isinstance(node, syntax.Break | syntax.Continue | syntax.Return):
            yield node
        loop = isinstance(node, syntax.While | syntax.For)
        for block in blocks(node):
            for found in leaving(block):
                if not loop or isinstance(found, syntax.Return):
                    yield found


def _is_clause(value: object) -> bool:
    """Something that only groups: a `catch`, a `case`, an argument."""
    kind: type[Any] = type(value)
    return _groups(kind)


@functools.cache
def _groups(kind: type[Any]) -> bool:
    known = syntax.Expr | syntax.Statement | syntax.TypeRef
    return dataclasses.is_dataclass(kind) and not issubclass(kind, known)


def _values(node: Any) -> Iterator[object]:
    for name in _fields(node.__class__):
        yield getattr(node, name)


@functools.cache
def _fields(kind: type[Any]) -> tuple[str, ...]:
    names = [field.name for field in dataclasses.fields(kind)]
    return tuple(n for n in names if n not in _NOT_READ and not n.endswith("_span"))
