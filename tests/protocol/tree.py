"""A pair of flows as the generator holds it: statements, in lists. Plain data.

Sessions are numbers: 0, and 1 where the first flow has two. Every statement has a `line` once it is
written. `site` is the number under which a flow asks its service, another for each place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeAlias

MESSAGES = ("A", "B", "C", "Stop", "Flag", "Mood")
"""`Flag` has a Bool, `Mood` an enum of two cases: a receiver may decide by either."""

DECIDING = ("Flag", "Mood")
FRESH = "?"
"""A value that is asked of the service there and then."""


@dataclasses.dataclass(eq=False)
class Stmt:
    line: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass(eq=False)
class Send(Stmt):
    """`value` is what a deciding message has: "true", "false", a variable, or FRESH."""

    message: str
    value: str = ""
    site: int = 0
    session: int = 0


@dataclasses.dataclass(eq=False)
class Receive(Stmt):
    message: str
    name: str
    within: bool = False
    discard: bool = False
    session: int = 0


@dataclasses.dataclass(eq=False)
class Case(Stmt):
    message: str
    name: str
    body: list[Stmt]
    session: int = 0


@dataclasses.dataclass(eq=False)
class Choose(Stmt):
    """A choice by message; with `across` over both sessions. `ended` and `late` are bodies."""

    cases: list[Case]
    ended: list[Stmt] | None = None
    late: list[Stmt] | None = None
    session: int = 0
    across: bool = False


@dataclasses.dataclass(eq=False)
class Let(Stmt):
    """A flag, asked once."""

    name: str
    site: int


@dataclasses.dataclass(eq=False)
class If(Stmt):
    """`test` is FRESH, a flag, or the name of a deciding message that was received."""

    test: str
    site: int
    then: list[Stmt]
    otherwise: list[Stmt]
    negated: bool = False
    message: str = ""
    """Which deciding message `test` is, if it is one."""


@dataclasses.dataclass(eq=False)
class While(Stmt):
    """As long as the service says so; for ever where there is no site."""

    site: int
    body: list[Stmt]


@dataclasses.dataclass(eq=False)
class Word(Stmt):
    """`break`, `return`, `sleep 1s`, `throw Oops()`."""

    text: str


@dataclasses.dataclass(eq=False)
class Close(Stmt):
    session: int = 0


@dataclasses.dataclass(eq=False)
class Try(Stmt):
    body: list[Stmt]
    errors: tuple[str, ...]
    handler: list[Stmt]


@dataclasses.dataclass(eq=False)
class Within(Stmt):
    body: list[Stmt]


@dataclasses.dataclass(eq=False)
class Call(Stmt):
    """A subflow with the session; `is_last` is `return subflow …`."""

    flow: str
    is_last: bool = False
    session: int = 0


@dataclasses.dataclass(eq=False)
class Each(Stmt):
    """Once for every session of the group."""

    body: list[Stmt]


Body: TypeAlias = list[Stmt]


@dataclasses.dataclass(eq=False)
class Pair:
    """`flows` are the one that opens and those that respond; with `group` the session is one of
    many. `subflows` by name."""

    flows: list[Body]
    subflows: dict[str, Body]
    group: bool = False

    @property
    def sessions(self) -> range:
        return range(len(self.flows) - 1)


def bodies(stmt: Stmt) -> list[Body]:
    """The bodies in a statement; the lists themselves."""
    match stmt:
        case Choose(cases=cases, ended=ended, late=late):
            more = [body for body in (ended, late) if body is not None]
            return [*(case.body for case in cases), *more]
        case If(then=then, otherwise=otherwise):
            return [then, otherwise]
        case While(body=body) | Within(body=body) | Each(body=body):
            return [body]
        case Try(body=body, handler=handler):
            return [body, handler]
        case _:
            return []


def within(body: Body) -> Iterator[Body]:
    """A body and all that are in it."""
    yield body
    for stmt in body:
        for inner in bodies(stmt):
            yield from within(inner)
