"""Walks all conversations that the flows of a project have, each with the real flow of either side.

The flows and what they say to each other come from the compiler; the runtime's test kit walks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from flowlang.compiler import conversations
from flowlang.conversation import Example
from flowlang.testing.gathering import Workshop
from flowlang.testing.playing import quiet
from flowrt.testing.walking import Walk, walk


@dataclasses.dataclass(frozen=True)
class Walked:
    """A conversation, which one of the two flows' it is, and what came of either side."""

    example: Example
    number: int
    walks: tuple[Walk, Walk]


def walked(workshop: Workshop, *, tries: int, seed: int) -> Iterator[Walked]:
    """Every conversation of a project without mistakes, in the order in which they are listed. What
    its Python raises when it is imported is raised."""
    numbers: dict[tuple[str, str], int] = {}
    for example in conversations(workshop.compilation):
        pair = example.left, example.right
        numbers[pair] = numbers.get(pair, 0) + 1
        data = dataclasses.asdict(example)
        with workshop.importable(), quiet():
            modules = workshop.python_of(workshop.machines)
            left, right = (
                walk(data, side, modules=modules, tries=tries, seed=seed) for side in (0, 1)
            )
        yield Walked(example, numbers[pair], (left, right))
