"""Which states of a machine become cases of their own, and which stand within others.

A place where ways meet is written where it is reached, if Python can get there without a jump:
below an `if`, inside a `try`, after either. What is left over becomes a case that is jumped to.
Knows states and where they lead, and nothing of what they do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TypeAlias, assert_never

from flowlang import machine, walk

MAX_NESTED = 6
"""Ifs and trys written within each other, before a jump reads better."""

MAX_CHAINED = 30
"""States written one below the other in one case."""


@dataclasses.dataclass(frozen=True)
class Jump:
    """Go to the case of this name."""

    label: str


@dataclasses.dataclass(frozen=True)
class Fall:
    """Go on with what is written below."""


@dataclasses.dataclass(frozen=True)
class Wait:
    """Rest; or nothing is left to do."""


@dataclasses.dataclass(frozen=True)
class Fork:
    """An `if` with two ways."""

    then: Way
    otherwise: Way


@dataclasses.dataclass(frozen=True)
class Spread:
    """A `match` with a way for each case."""

    ways: tuple[Way, ...]


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A state's actions, how it goes on, and what is written below that."""

    state: machine.State
    ending: Jump | Fall | Wait | Fork | Spread | Guarded | Stretch
    below: Stretch | Guarded | None


@dataclasses.dataclass(frozen=True)
class Guarded:
    """A `try` around a stretch. `checks` says that a fault within is the peer's."""

    catches: tuple[tuple[machine.Handler, Way], ...]
    checks: bool
    body: Stretch


Way: TypeAlias = Jump | Fall | Stretch | Guarded


@dataclasses.dataclass(frozen=True)
class Case:
    """One case of the `match`, for the state of its name."""

    state: machine.State
    body: Stretch | Guarded
    counts: bool
    """Going round through here may never wait, so turns are counted."""


def cases(machine_: machine.Machine) -> tuple[Case, ...]:
    """All cases, in the machine's order."""
    return _Nesting(machine_).cases()


@dataclasses.dataclass(frozen=True)
class _Inside:
    """Where something is written: in whose reach, what is written below, how deep."""

    handlers: tuple[machine.Handler, ...]
    checks: bool
    below: str | None
    nested: int = 0
    chained: int = 0


class _Nesting:
    def __init__(self, machine_: machine.Machine) -> None:
        self._states = {state.name: state for state in machine_.states}
        self._owner = _owners(self._states)
        # Whoever is owned by nobody is reached from several cases.
        self._labels = {name for name, owner in self._owner.items() if owner is None}
        self._written: set[str] = set()
        self._below = self._meetings()

    def cases(self) -> tuple[Case, ...]:
        """Nest, until nothing that was written inside turns out to be jumped to."""
        while True:
            before = set(self._labels)
            self._written = set()
            bodies = {name: self._case(state) for name, state in self._heads()}
            # What became a label in this pass may already have been written inside another case.
            if self._labels == before:
                round_ = _turns(self._states)
                return tuple(
                    Case(self._states[name], body, name in round_) for name, body in bodies.items()
                )

    def _heads(self) -> list[tuple[str, machine.State]]:
        return [
            (name, state)
            for name, state in self._states.items()
            if state.tag is not None or name in self._labels
        ]

    # --- what is written below what ---------------------------------------------------------

    def _meetings(self) -> dict[str, str]:
        """For a state, the one in which the ways from it meet again."""
        entries: dict[str, int] = {}
        for state in self._states.values():
            for target in _onward(state):
                entries[target] = entries.get(target, 0) + 1
        found: dict[str, str] = {}
        for name, state in self._states.items():
            owner = self._owner[name]
            if state.tag is not None or owner is None:
                continue
            place: str | None = owner
            while place is not None and not _within(state, self._states[place]):
                place = self._owner[place]
            count = entries.get(name, 0)
            if place is not None and (count > 1 or (count == 1 and place != owner)):
                found[place] = name
        return found

    # --- nesting ----------------------------------------------------------------------------

    def _case(self, state: machine.State) -> Stretch | Guarded:
        return self._enter(state, _Inside((), False, None))

    def _enter(self, state: machine.State, inside: _Inside) -> Stretch | Guarded:
        """Write a state here, in a `try` if errors are caught there and were not so far."""
        new = state.handlers[: len(state.handlers) - len(inside.handlers)]
        if not new and state.checks == inside.checks:
            return self._stretch(state, inside)
        reach = dataclasses.replace(
            inside, handlers=state.handlers, checks=state.checks, nested=inside.nested + 1
        )
        body = self._stretch(state, reach)
        outside = dataclasses.replace(inside, nested=inside.nested + 1)
        catches = tuple(
            (handler, self._way(handler.target, outside)) for handler in walk.effective(new)
        )
        return Guarded(catches, state.checks and not inside.checks, body)

    def _stretch(self, state: machine.State, inside: _Inside) -> Stretch:
        below = self._below.get(state.name)
        if below is not None and inside.chained > MAX_CHAINED:
            self._labels.add(below)
        if below is None or below in self._labels or below in self._written:
            return Stretch(state, self._ending(state, inside), None)
        self._written.add(below)
        ending = self._ending(state, dataclasses.replace(inside, below=below))
        further = dataclasses.replace(inside, chained=inside.chained + 1)
        return Stretch(state, ending, self._enter(self._states[below], further))

    def _ending(self, state: machine.State, inside: _Inside) -> Wait | Fork | Spread | Way:
        match state.next:
            case machine.Goto(target=target):
                return self._way(target, inside)
            case machine.Branch(then=then, otherwise=otherwise):
                deeper = dataclasses.replace(inside, nested=inside.nested + 1)
                one = self._way(then, deeper)
                # A way that does not come back lets the other one stand beside the `if`.
                beside = inside if not comes_back(one) else deeper
                beside = dataclasses.replace(beside, chained=beside.chained + 1)
                return Fork(one, self._way(otherwise, beside))
            case machine.Choose(targets=targets):
                deeper = dataclasses.replace(inside, nested=inside.nested + 1)
                return Spread(tuple(self._way(target, deeper) for target in targets))
            case machine.Suspend() | machine.End():
                return Wait()
            case _:
                assert_never(state.next)

    def _way(self, target: str, inside: _Inside) -> Way:
        if target in self._labels:
            return Jump(target)
        if target == inside.below:
            return Fall()
        state = self._states[target]
        reaches = state.handlers[len(state.handlers) - len(inside.handlers) :] == inside.handlers
        reaches = reaches and (state.checks or not inside.checks)
        deep = inside.nested > MAX_NESTED or inside.chained > MAX_CHAINED
        if target in self._written or deep or not reaches:
            self._labels.add(target)
            return Jump(target)
        self._written.add(target)
        return self._enter(state, dataclasses.replace(inside, chained=inside.chained + 1))


def comes_back(way: Way | Wait | Fork | Spread) -> bool:
    """Whether what is written below is reached."""
    match way:
        case Fall():
            return True
        case Jump() | Wait():
            return False
        case Fork(then=then, otherwise=otherwise):
            return comes_back(then) or comes_back(otherwise)
        case Spread(ways=ways):
            return any(map(comes_back, ways))
        case Guarded(catches=catches, body=body):
            return comes_back(body) or any(comes_back(caught) for _, caught in catches)
        case Stretch(ending=ending, below=below):
            return comes_back(below) if below is not None else comes_back(ending)
        case _:
            assert_never(way)


def _within(state: machine.State, outer: machine.State) -> bool:
    """Whether all that catches errors in `outer` does so in `state` too."""
    tail = state.handlers[len(state.handlers) - len(outer.handlers) :]
    return tail == outer.handlers and (state.checks or not outer.checks)


# --- graphs -------------------------------------------------------------------------------------


def _onward(state: machine.State) -> tuple[str, ...]:
    """Where the state goes without a wait, errors aside."""
    if isinstance(state.next, machine.Suspend):
        return ()
    return machine.targets(state.next)


def _without_wait(state: machine.State) -> Iterable[str]:
    yield from _onward(state)
    for handler in state.handlers:
        yield handler.target


def _owners(states: Mapping[str, machine.State]) -> dict[str, str | None]:
    """For each state the last one that every way from a wait to it comes through (its immediate
    dominator); None for what is begun by a wait, or reached from several."""
    order = _backwards(states)
    rank = {name: place for place, name in enumerate(order)}
    before: dict[str, list[str]] = {name: [] for name in states}
    for name, state in states.items():
        for target in _without_wait(state):
            before[target].append(name)
    heads = {name for name, state in states.items() if state.tag is not None}
    owner: dict[str, str | None] = dict.fromkeys(heads)
    changed = True
    while changed:
        changed = False
        for name in reversed(order):
            if name in heads:
                continue
            known = [one for one in before[name] if one in owner]
            found: str | None = known[0]
            for other in known[1:]:
                found = _common(found, other, owner, rank)
            if name not in owner or owner[name] != found:
                owner[name] = found
                changed = True
    return owner


def _common(
    one: str | None, other: str | None, owner: Mapping[str, str | None], rank: Mapping[str, int]
) -> str | None:
    while one != other:
        if one is None or other is None:
            return None
        if rank[one] < rank[other]:
            one = owner[one]
        else:
            other = owner[other]
    return one


def _backwards(states: Mapping[str, machine.State]) -> list[str]:
    """The states, each after all to which it leads, as far as circles allow."""
    done: list[str] = []
    seen: set[str] = set()
    for head, state in states.items():
        if state.tag is None or head in seen:
            continue
        seen.add(head)
        todo = [(head, iter(tuple(_without_wait(states[head]))))]
        while todo:
            name, rest = todo[-1]
            following = next((one for one in rest if one not in seen), None)
            if following is None:
                done.append(name)
                todo.pop()
            else:
                seen.add(following)
                todo.append((following, iter(tuple(_without_wait(states[following])))))
    return done


def _turns(states: Mapping[str, machine.State]) -> set[str]:
    """Where a way leads back to a state on it without a wait."""
    found: set[str] = set()
    entered: set[str] = set()
    left: set[str] = set()
    for head in states:
        if head in entered:
            continue
        entered.add(head)
        todo = [(head, iter(tuple(_without_wait(states[head]))))]
        while todo:
            name, rest = todo[-1]
            following = next(rest, None)
            if following is None:
                left.add(name)
                todo.pop()
            elif following not in entered:
                entered.add(following)
                todo.append((following, iter(tuple(_without_wait(states[following])))))
            elif following not in left:
                found.add(following)
    return found
