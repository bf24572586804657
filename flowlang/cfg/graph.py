"""The blocks of one flow as values, and the tidying of them. Knows nothing of the source tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec

from flowlang import machine, types

Kind: TypeAlias = Literal[
    "start",
    "wait",
    "loop",
    "body",
    "join",
    "try",
    "catch",
    "then",
    "else",
    "check",
    "within",
    "case",
]
"""What a block is for; those where ways meet are named after it."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A stretch without a wait, except at its end.

    `id` is a number, as text, and what `next` and `handlers` mean by a target. `given` is the name
    that the author gave to the wait (`@name`). `keeps` are the variables that the rest of the flow
    needs when the block is entered, what its wait delivers not among them.
    """

    id: str
    kind: Kind
    given: str | None
    awaits: machine.Wait | None
    actions: tuple[machine.Action, ...]
    next: machine.Next
    handlers: tuple[machine.Handler, ...]
    checks: bool
    place: machine.Place
    keeps: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Cfg:
    """One flow as blocks, the first of which is its start."""

    name: str
    version: int
    doc: str | None
    parameters: tuple[machine.Variable, ...]
    result: types.Type | None
    responds_to: str | None
    startable: tuple[str, ...]
    steps: tuple[machine.ProgressStep, ...]
    variables: tuple[machine.Variable, ...]
    blocks: tuple[Block, ...]
    place: machine.Place
    families: dict[str, tuple[str, ...]]
    owner: str | None
    commands: tuple[str, ...]
    key: machine.Expr | None
    remedies: tuple[machine.Remedy, ...]
    plays: tuple[machine.Plays, ...]
    roles: tuple[machine.Role, ...]


def tidied(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The blocks that can be reached, straight stretches in one piece."""
    table = {block.id: block for block in blocks}
    start = next(iter(table))
    _thread(table)
    _keep_reachable(table, start)
    _join(table)
    return tuple(table.values())


def _thread(table: dict[str, Block]) -> None:
    """Let every way that leads to an empty block lead to where that block goes."""
    through: dict[str, str] = {}
    for block in table.values():
        if block.awaits is None and not block.actions and isinstance(block.next, machine.Goto):
            through[block.id] = block.next.target
    final: dict[str, str] = {}
    for first in through:
        passed = [first]
        # A loop around nothing must stay a loop: it ends at a block that it has passed already.
        while (at := through.get(passed[-1])) is not None and at not in passed:
            passed.append(at)
        if at is None:
            final[first] = passed[-1]
    for block in table.values():
        table[block.id] = dataclasses.replace(
            block,
            next=machine.retargeted(block.next, final),
            handlers=tuple(
                msgspec.structs.replace(handler, target=final.get(handler.target, handler.target))
                for handler in block.handlers
            ),
        )


def _keep_reachable(table: dict[str, Block], start: str) -> None:
    reached = {start}
    todo = [start]
    while todo:
        for target in leads_to(table[todo.pop()]):
            if target not in reached:
                reached.add(target)
                todo.append(target)
    for name in list(table):
        if name not in reached:
            del table[name]


def _join(table: dict[str, Block]) -> None:
    """Append each block to the only one that leads to it, where both have the same handlers."""
    entries: dict[str, int] = {}
    for block in table.values():
        for target in leads_to(block):
            entries[target] = entries.get(target, 0) + 1
    for name in list(table):
        while name in table:
            block = table[name]
            if not isinstance(block.next, machine.Goto) or block.next.target == name:
                break
            follower = table[block.next.target]
            if entries[follower.id] != 1 or not _same_region(block, follower):
                break
            table[name] = dataclasses.replace(
                block, actions=block.actions + follower.actions, next=follower.next
            )
            del table[follower.id]


def _same_region(one: Block, other: Block) -> bool:
    return one.handlers == other.handlers and one.checks == other.checks


def leads_to(block: Block) -> Iterator[str]:
    """Where the block can go: on, or to a handler."""
    yield from machine.targets(block.next)
    for handler in block.handlers:
        yield handler.target
