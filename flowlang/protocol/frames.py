"""Where a flow is while one of its sessions is followed. Values, and what a program has.

Decides nothing about what comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from flowlang import machine, walk
from flowlang.protocol import facts as knowledge
from flowlang.protocol.automaton import Arm, Final, Kind, Spot, Step, Values
from flowlang.protocol.code import Code, Instruction, Test, expressions_of
from flowlang.protocol.counting import Credit, counters
from flowlang.protocol.facts import Declared, Facts, Interest
from flowlang.protocol.throwing import Throwing
from flowlang.types import Builtin, ListType


class Chosen(NamedTuple):
    """Which arm of a choice happened, whether it was this session's, what came with it."""

    number: int
    is_ours: bool
    values: Values


class Frame(NamedTuple):
    """A flow under way: at which instruction, and which of its variables are the session, or are
    lists in which it is. `loops` has the loops over such a list that are under way: whether they
    have come to the session. `asked` is true once the instruction's Python has answered. `gone` are
    variables with other sessions that are over, `sure` lists and variables with such as nothing can
    be heard from before the flow rests again."""

    code: str
    at: int
    ours: frozenset[str]
    lists: frozenset[str]
    loops: frozenset[tuple[str, bool]]
    facts: Facts
    chosen: Chosen | None = None
    asked: bool = False
    gone: frozenset[str] = frozenset()
    sure: frozenset[str] = frozenset()
    counts: frozenset[tuple[str, bool]] = frozenset()
    """Numbers that count a group, and whether they have counted the session."""

    credit: Credit | None = None
    mixed: frozenset[str] = frozenset()
    """Lists that are not one group: several that were opened apart."""


class State(NamedTuple):
    """A flow and those that it runs, the innermost last. `heard` is true once it was told that the
    other side has ended: whatever it sends then throws. `troubled` is true once an error of another
    session was heard, which is over then: whatever is sent or waited for there throws its end."""

    frames: tuple[Frame, ...]
    opened: bool
    owes: int
    heard: bool = False
    troubled: bool = False


Way: TypeAlias = tuple[Kind, str, Values, State, tuple[Step, ...], Arm | None]
"""One thing that can happen: what it is, and what then is."""


class Ways(NamedTuple):
    """What can happen at a place."""

    found: list[Way]
    spot: Spot
    is_wait: bool = False
    refused: Arm | None = None


class Over(NamedTuple):
    """Nothing happens any more but that so many messages are dropped when they come."""

    final: Final
    spot: Spot
    owes: int = 0


class Program:
    """All flows of a program, as code, and what its messages are made of."""

    def __init__(self, codes: Mapping[str, Code], declared: Declared) -> None:
        self.codes = codes
        self.declared = declared
        self.asked = knowledge.asked_fields(codes)
        self.throwing = Throwing(codes)
        self._interests: dict[tuple[str, int], Interest] = {}
        self._names: dict[str, Names] = {}

    def interest(self, flow: str, most: int) -> Interest:
        key = flow, most
        if key not in self._interests:
            self._interests[key] = knowledge.interest(self.codes[flow], self.asked, most)
        return self._interests[key]

    def names(self, flow: str) -> Names:
        if flow not in self._names:
            self._names[flow] = Names(self.codes[flow])
        return self._names[flow]


class Names:
    """Which variables of a flow may be sessions, lists of them, numbers of loops over these."""

    def __init__(self, code: Code) -> None:
        variables = (*code.flow.variables, *code.flow.parameters)
        self.sessions = {one.name for one in variables if one.type == SESSION}
        self.lists = {one.name for one in variables if one.type == ListType(SESSION)}
        self.indexes = {
            test.left.name
            for instruction in code.instructions
            if isinstance(instruction.does, Test)
            and isinstance(test := instruction.does.condition, machine.Compare)
            and isinstance(test.left, machine.Var)
            and isinstance(test.right, machine.Size)
            and isinstance(test.right.value, machine.Var)
            and test.right.value.name in self.lists
        } & _indexes(code)
        self.kinds = {one.name: one.type for one in variables}
        counted = counters(code, self.lists)
        self.counters = {one: counted[one] for one in counted if one not in self.indexes}


def _indexes(code: Code) -> set[str]:
    """The variables by which something of a list is taken."""
    return {
        part.index.name
        for instruction in code.instructions
        for value in expressions_of(instruction.does)
        for part in walk.within(value)
        if isinstance(part, machine.Item) and isinstance(part.index, machine.Var)
    }


SESSION = Builtin("Session")


TIME_OVER = "the time is over"
ERROR_CAUGHT = "an error is caught"
END_CAUGHT = "the end is caught"
GROUP_FAILS = "another session of the group fails"
OTHER_ENDED = "another session has ended"
REFUSES = "refuses:"
SETBACKS = frozenset({TIME_OVER, ERROR_CAUGHT, END_CAUGHT, GROUP_FAILS})
"""What is told of ways on which something did not come as hoped."""

# --- words --------------------------------------------------------------------------------------


def place_of(instruction: Instruction) -> machine.Place | None:
    """Where an instruction stands, if it is a statement."""
    return getattr(instruction.does, "place", None)


def condition(place: machine.Place) -> str:
    """A condition as it stands in the source, without the words around it."""
    text = place.text.split("#")[0].strip().removesuffix(":")
    word, _, rest = text.partition(" ")
    if word in ("if", "elif", "while", "require", "for"):
        return rest.rsplit(" else ", 1)[0].strip() if word == "require" else rest.strip()
    return text


def told(does: Test, outcome: bool) -> str:
    if does.place.text.startswith("for "):
        return f"`{condition(does.place)}` has {'another' if outcome else 'no more'}"
    return f"`{condition(does.place)}` {'holds' if outcome else 'does not hold'}"


def other(arm: machine.Arm) -> str:
    match arm:
        case machine.Came(type=name):
            return f"`{name.rpartition('.')[2]}` comes from another session"
        case machine.Ended():
            return "another session ends"
        case machine.Done():
            return "what was pending is done"
        case _:
            return TIME_OVER
