"""Numbers that count the members of a group: how many have said what is waited for, or have not.

A flow that waits for one thing of each member, in any order, counts: `left = talks.size`, and one
less in the case that takes it. As long as the member that is followed was not counted, not all of
them were; so the loop goes on. That holds if no member is counted twice. Whoever looks at two sides
together has to see to that: where a member's second message would be counted its automaton ends in
`Final.MISCOUNTED`. Knows what a variable is given and compared with, and follows no flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flowlang import machine, walk
from flowlang.protocol.code import Code, Each, Rest, Test

ZERO = machine.Const("Int", 0)
ONE = machine.Const("Int", 1)


class Counter(NamedTuple):
    """What a variable counts. `down`: how many of the group are left; otherwise how many were
    there, as a number or as the size of a list."""

    group: str
    down: bool


class Credit(NamedTuple):
    """What came last from one of a group, and the variables that have counted it."""

    group: str
    is_ours: bool
    counted: frozenset[str] = frozenset()


def counters(code: Code, groups: Iterable[str]) -> dict[str, Counter]:
    """The variables of a flow that may count the members of these lists."""
    known = set(groups)
    found: dict[str, set[Counter]] = {}
    others: set[str] = set()
    if not known:
        return {}
    for instruction in code.instructions:
        match instruction.does:
            case machine.Assign(name=name, value=machine.Size(value=machine.Var(name=group))):
                if group in known:
                    found.setdefault(name, set()).add(Counter(group, True))
            case Test(condition=condition):
                for part in walk.within(condition):
                    if isinstance(part, machine.Compare):
                        name, group = _sizes(part, known)
                        if group:
                            found.setdefault(name, set()).add(Counter(group, False))
            case Each(name=name):
                others.add(name)
            case Rest(wait=wait):
                others.add(walk.delivered(wait) or "")
            case _:
                pass
    return {
        name: next(iter(counted))
        for name, counted in found.items()
        if len(counted) == 1 and name not in others
    }


def _sizes(compare: machine.Compare, groups: set[str]) -> tuple[str, str]:
    """The variable that is compared with the size of a group, and the group; empty if none is."""
    for one, other in ((compare.left, compare.right), (compare.right, compare.left)):
        if isinstance(other, machine.Size) and isinstance(other.value, machine.Var):
            value = one.value if isinstance(one, machine.Size) else one
            if other.value.name in groups and isinstance(value, machine.Var):
                if value.name not in groups:
                    return value.name, other.value.name
    return "", ""


def begins(counter: Counter, value: machine.Expr) -> bool:
    """Whether a variable with this value has counted nobody."""
    if counter.down:
        return value == machine.Size(machine.Var(counter.group))
    return value in (ZERO, machine.Items(()))


def counts(name: str, counter: Counter, value: machine.Expr) -> bool:
    """Whether the variable counts one more by getting this value."""
    if not isinstance(value, machine.Arithmetic):
        return False
    operator, left, right = value.operator, value.left, value.right
    if counter.down:
        return (operator, left, right) == ("-", machine.Var(name), ONE)
    if operator != "+" or machine.Var(name) not in (left, right):
        return False
    more = right if left == machine.Var(name) else left
    return more == ONE or (isinstance(more, machine.Items) and len(more.items) == 1)


def resolved(
    condition: machine.Expr, counting: Mapping[str, Counter], uncounted: set[str]
) -> machine.Expr:
    """A condition in which what is compared with a variable that has not counted the member that
    is followed is decided, where it can be."""
    match condition:
        case machine.Not(value=value):
            return machine.Not(resolved(value, counting, uncounted))
        case machine.Logic(operator=operator, left=left, right=right):
            return machine.Logic(
                operator,
                resolved(left, counting, uncounted),
                resolved(right, counting, uncounted),
            )
        case machine.Compare():
            for name in uncounted:
                outcome = _decided(condition, name, counting[name])
                if outcome is not None:
                    return machine.Const("Bool", outcome)
            return condition
        case _:
            return condition


_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}

_AT_LEAST_ONE = {(">", 0): True, (">=", 1): True, ("!=", 0): True}
_AT_LEAST_ONE |= {("<=", 0): False, ("<", 1): False, ("==", 0): False}
_LESS = {"<": True, "!=": True, "<=": True, "==": False, ">=": False, ">": False}


def _decided(compare: machine.Compare, name: str, counter: Counter) -> bool | None:
    """How it turns out while somebody is left."""
    operator, left, right = compare.operator, compare.left, compare.right
    mine = (machine.Var(name), machine.Size(machine.Var(name)))
    if right in mine:
        operator, left, right = _TURNED.get(operator, ""), right, left
    if left not in mine:
        return None
    if counter.down:
        if isinstance(right, machine.Const) and isinstance(right.value, int):
            return _AT_LEAST_ONE.get((operator, right.value))
        return None
    if right == machine.Size(machine.Var(counter.group)):
        return _LESS.get(operator)
    return None
