"""What is in scope while a flow is being written: variables, what is narrowed, what is untrusted.

Follows the language's rules, so that a generated program is accepted; writes nothing itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from tests.programs.kinds import BYTES, INT, PARTY, TEXT, Kind, Shape

POOL = (
    "a",
    "b",
    "c",
    "x",
    "x_2",
    "n",
    "total",
    "words",
    "str",
    "label",
    "run",
    "cls",
    "items",
    "none_2",
    "x_3",
)
"""Names of variables: few, so that sibling blocks use them again, and some that mean something in
Python or look like what a compiler makes up."""

UNREADABLE = frozenset(
    (
        "Stranger",
        "SessionEnded",
        "UnexpectedFlowEnd",
        "Malformed",
        "UnexpectedMessage",
        "SessionRejected",
        "Timeout",
        "TaskExpired",
        "FlowFailed",
        "FlowError",
        "Started",
        "NotRead",
    )
)
"""Kinds of variables that no expression reads."""

NOT_READ = Kind("NotRead")
"""The kind of what only its name is known of here."""

SESSIONS = ("deal", "talk", "line", "s", "t_2", "other", "chat", "peer", "s_2")


@dataclasses.dataclass(eq=False)
class Variable:
    """`fixed` is a variable that the generator never assigns again, such as a loop's counter."""

    name: str
    kind: Kind
    mutable: bool = False
    untrusted: bool = False
    fixed: bool = False


@dataclasses.dataclass
class Scope:
    variables: list[Variable] = dataclasses.field(default_factory=list)
    narrowed: dict[str, Kind] = dataclasses.field(default_factory=dict)
    trusted: set[str] = dataclasses.field(default_factory=set)


class Readable(NamedTuple):
    """Something that can be read: a variable, or a field of one."""

    text: str
    kind: Kind
    untrusted: bool
    root: Variable


class Names:
    """The scopes of one flow, innermost last."""

    def __init__(self, shapes: dict[str, Shape]) -> None:
        self.shapes = shapes
        self.scopes: list[Scope] = [Scope()]

    def push(self) -> None:
        self.scopes.append(Scope())

    def pop(self) -> None:
        self.scopes.pop()

    def variables(self) -> Iterator[Variable]:
        for scope in self.scopes:
            yield from scope.variables

    def declare(self, variable: Variable) -> Variable:
        self.scopes[-1].variables.append(variable)
        return variable

    def fresh(self, pool: tuple[str, ...], at: int = 0) -> str:
        """A name that nothing in scope has; the search begins at number `at` of the pool."""
        taken = {variable.name for variable in self.variables()}
        for name in pool[at:] + pool[:at]:
            if name not in taken:
                return name
        number = len(taken)
        while f"{pool[0]}{number}" in taken:
            number += 1
        return f"{pool[0]}{number}"

    def narrow(self, path: str, kind: Kind) -> None:
        """From here to the end of the block `path` has this kind."""
        self.scopes[-1].narrowed[path] = kind

    def trust(self, path: str) -> None:
        """From here to the end of the block `path` was checked."""
        self.scopes[-1].trusted.add(path)

    def is_narrowed(self, variable: Variable) -> bool:
        start = f"{variable.name}."
        return any(
            path == variable.name or path.startswith(start)
            for scope in self.scopes
            for path in scope.narrowed
        )

    def assignable(self) -> list[Variable]:
        """What an `=` may set."""
        return [
            variable
            for variable in self.variables()
            if variable.mutable and not variable.fixed and not self.is_narrowed(variable)
        ]

    def readables(self) -> list[Readable]:
        """Everything that can be read here, in order of declaration."""
        found: list[Readable] = []
        for variable in self.variables():
            self._add(found, variable, variable.name, variable.kind, variable.untrusted, 0)
        return found

    def _add(
        self, found: list[Readable], root: Variable, path: str, kind: Kind, dirty: bool, depth: int
    ) -> None:
        for scope in self.scopes:
            kind = scope.narrowed.get(path, kind)
            dirty = dirty and path not in scope.trusted
        if kind.name in UNREADABLE:
            return
        shape = self.shapes.get(kind.name)
        if shape is None or shape.sort not in ("error", "answer"):
            found.append(Readable(path, kind, dirty, root))
        if kind.name in ("List", "Map") or kind in (TEXT, BYTES):
            found.append(Readable(f"{path}.size", INT, dirty, root))
        elif kind == PARTY:
            found.append(Readable(f"{path}.name", TEXT, dirty, root))
        elif kind.name == "Session":
            found.append(Readable(f"{path}.peer", PARTY, dirty, root))
            found.append(Readable(f"{path}.peer.name", TEXT, dirty, root))
        elif shape is not None and depth < 4:
            for field in shape.fields:
                self._add(found, root, f"{path}.{field.name}", field.kind, dirty, depth + 1)
