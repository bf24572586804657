"""Looking through the tree whatever its nodes are. Knows no construct of the language."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from flowlang.source import Span

_KNOWN: dict[type[object], tuple[str, ...]] = {}


def fields(value: object) -> tuple[str, ...]:
    """The names of a node's fields; () of what is none."""
    kind = type(value)
    found = _KNOWN.get(kind)
    if found is None:
        declared = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        found = _KNOWN[kind] = tuple(field.name for field in declared if field.name != "doc")
    return found


def below(value: object) -> Iterator[object]:
    """The nodes directly in a node or a tuple of such."""
    if isinstance(value, tuple) and not isinstance(value, Span):
        for one in value:
            if fields(one):
                yield one
            else:
                yield from below(one)
    for name in fields(value):
        found = getattr(value, name)
        if fields(found):
            yield found
        else:
            yield from below(found)


def everything(value: object) -> Iterator[object]:
    """All nodes in a node, outermost first, in the order of the text."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += reversed(list(below(found)))


def words(declaration: object) -> Iterator[str]:
    """Every word of a declaration but its own name: more than what it uses, and never less."""
    waiting: list[object] = [
        getattr(declaration, name) for name in fields(declaration) if name != "name"
    ]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple) and not isinstance(value, Span):
            waiting += value
        else:
            waiting += [getattr(value, name) for name in fields(value)]
