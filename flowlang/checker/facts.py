"""What is known of variables and their parts at one point of a flow, as the point moves.

A fact is a path (`order`, `order.note`) of which one thing holds; what that thing is, the caller
says: "is not none", "was examined". Knows no statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flowlang.types import Variable


class Path(NamedTuple):
    """`order.note.size`: a variable, or a part of one."""

    root: Variable
    parts: tuple[str, ...] = ()


class Change(NamedTuple):
    """What a stretch of the flow added to the facts, and what it took away."""

    learnt: frozenset[Path]
    forgotten: frozenset[Path]


class Facts:
    """The facts at the current point. Every change is kept in a trail, so that going back to a
    branching costs what the branch changed and not all that is known."""

    def __init__(self) -> None:
        self._known: set[Path] = set()
        self._by_root: dict[Variable, set[Path]] = {}
        self._trail: list[tuple[Path, bool]] = []

    def __contains__(self, path: Path) -> bool:
        return path in self._known

    def learn(self, paths: Iterable[Path]) -> None:
        """From here on the fact holds of these paths."""
        for path in paths:
            if path not in self._known:
                self._put(path, True)
                self._trail.append((path, True))

    def forget(self, variables: Iterable[Variable]) -> None:
        """These variables have a new value, or may have: nothing is known of them."""
        for variable in variables:
            for path in tuple(self._by_root.get(variable, ())):
                self._put(path, False)
                self._trail.append((path, False))

    def mark(self) -> int:
        """This point, to come back to."""
        return len(self._trail)

    def since(self, mark: int) -> Change:
        """What changed between that point and this one."""
        first: dict[Path, bool] = {}
        for path, added in self._trail[mark:]:
            first.setdefault(path, added)
        learnt = frozenset(p for p, added in first.items() if added and p in self._known)
        gone = frozenset(p for p, added in first.items() if not added and p not in self._known)
        return Change(learnt, gone)

    def undo(self, mark: int) -> None:
        """Back to that point."""
        while len(self._trail) > mark:
            path, learnt = self._trail.pop()
            self._put(path, not learnt)

    def settle(self, mark: int, ends: Sequence[Change]) -> None:
        """Where the ways that began at `mark` meet again: what holds at the end of each."""
        self.undo(mark)
        if not ends:
            return
        gone = frozenset[Path]().union(*[end.forgotten for end in ends])
        for path in gone:
            self._put(path, False)
            self._trail.append((path, False))
        self.learn(frozenset.intersection(*[end.learnt for end in ends]) - gone)

    def _put(self, path: Path, known: bool) -> None:
        roots = self._by_root.setdefault(path.root, set())
        if known:
            self._known.add(path)
            roots.add(path)
        else:
            self._known.discard(path)
            roots.discard(path)
