"""What is known of variables and their parts at one point of a flow, as the point moves.

A fact is a path (`order`, `order.note`) of which one thing holds; what that thing is, the caller
says: "is not none", "was examined". Knows no statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flowlang.types import Variable


class Path(NamedTuple):
    """`order.note.size`: a variable, or a part of one."""

    root: Variable
    parts: tuple[str, ...] = ()


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

    def undo(self, mark: int) -> None:
        """Back to that point."""
        while len(self._trail) > mark:
            path, learnt = self._trail.pop()
            self._put(path, not learnt)

    def lose(self, paths: Iterable[Path]) -> None:
        """The fact may no longer hold of these paths."""
        for path in paths:
            if path in self._known:
                self._put(path, False)
                self._trail.append((path, False))

    def changed(self, start: int, end: int | None = None) -> dict[Path, bool]:
        """The paths that were learnt (True) or forgotten (False) between two points: of each, what
        happened to it first."""
        first: dict[Path, bool] = {}
        for path, learnt in self._trail[start:end]:
            first.setdefault(path, learnt)
        return first

    def _put(self, path: Path, known: bool) -> None:
        roots = self._by_root.setdefault(path.root, set())
        if known:
            self._known.add(path)
            roots.add(path)
        else:
            self._known.discard(path)
            roots.discard(path)


class Meeting:
    """The point where ways meet that part here: after an `if`, after a `try`.

    Each way is followed in turn and undone; what it did is kept only as far as the others agree, so
    that a long chain of branches costs no more than the branches themselves.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._start = facts.mark()
        self._before: list[Path] = []
        self._shared: set[Path] | None = None
        self._gone: set[Path] = set()
        self._interrupted: set[Path] = set()

    def reach(self, mark: int) -> None:
        """The way that began at `mark` ends here and goes on to the meeting point. What was learnt
        between the parting and `mark` holds on this way and on all that follow."""
        facts = self._facts
        changed = facts.changed(mark)
        self._gone.update(path for path in changed if path not in facts)
        self._gone.update(path for path in self._interrupted if path not in facts)
        if self._shared is None:
            self._before = [p for p, learnt in facts.changed(self._start, mark).items() if learnt]
            self._shared = {path for path in changed if path in facts}
        else:
            self._shared = {path for path in self._shared if path in facts}

    def interrupt(self, variables: Iterable[Variable]) -> None:
        """Back to the parting, for ways that begin when the first was left at any point of it;
        these variables may have got other values by then."""
        facts = self._facts
        facts.undo(self._start)
        mark = facts.mark()
        facts.forget(variables)
        self._interrupted = set(facts.changed(mark))

    def meet(self) -> None:
        """From here on holds what held at the end of every way."""
        self._facts.undo(self._start)
        if self._shared is not None:
            self._facts.lose(self._gone)
            self._facts.learn(self._shared.union(self._before) - self._gone)
