"""Every session of a program: who talks to whom there, and whether they fit.

A session lives between the flow that opened it and one that responds, and is handed to nobody else;
so it is enough to look at each alone. What one session shows can never happen is left out of the
other sessions of the same flow, and these are looked at again, until nothing changes: a case, the
only message that is waited for, an end that is caught. That leaves out nothing that does happen:
until the first such thing happened all that did was looked at, and so it was, in its own session.
Where something is wrong with that session it is looked past: who fails there for certain does not
go on in others. A finding that only comes after another one is told once that one is repaired.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from flowlang import machine
from flowlang.protocol.automaton import Arm, Automaton, Kind, Values
from flowlang.protocol.code import Code, flatten
from flowlang.protocol.facts import Declared
from flowlang.protocol.following import TooMany, automaton
from flowlang.protocol.frames import Program
from flowlang.protocol.pairs import Verdict, check, happening
from flowlang.protocol.throwing import is_lent

ROUNDS = 12
"""How often at most what cannot happen is left out and all is looked at again."""


@dataclasses.dataclass(frozen=True)
class Session:
    """A session of a program: the flow that opens it, at which instruction, and who responds."""

    flow: str
    opened: int
    responder: str


@dataclasses.dataclass(frozen=True)
class Checked:
    """What is known of a session. `left` is the flow that opened it. Without a verdict one of the
    two was too large to be followed."""

    session: Session
    left: Automaton | None
    right: Automaton | None
    verdict: Verdict | None


@dataclasses.dataclass(frozen=True)
class Conversations:
    """All sessions, and the cases that nothing ever leads to."""

    sessions: tuple[Checked, ...]
    dead: frozenset[Arm]
    senders: Mapping[Arm, str]
    """Who never sends the message of a dead case; without those that wait for no message."""


_Side: TypeAlias = tuple[str, int | None]
"""A flow that is followed, and where it opens the session; None for who responds."""


def _sides(session: Session) -> tuple[_Side, _Side]:
    return (session.flow, session.opened), (session.responder, None)


def program_of(modules: Iterable[machine.Module]) -> Program:
    """The flows of some modules, ready to be followed."""
    found = list(modules)
    codes: dict[str, Code] = {}
    for module in found:
        for flow in module.machines:
            codes[flow.name] = flatten(flow, module)
    return Program(codes, Declared(found))


def sessions_of(program: Program, flows: Iterable[str], *, by_role: bool = False) -> list[Session]:
    """The sessions that these flows open; where `by_role` is true also those with whoever plays a
    role, as far as the program has flows that do. Each side of such is held against its role alone,
    so that both fit."""
    return [
        Session(flow, number, responder)
        for flow in flows
        for number, instruction in enumerate(program.codes[flow].instructions)
        if isinstance(instruction.does, machine.Open)
        for responder in _responders(program, instruction.does, by_role)
    ]


def _responders(program: Program, does: machine.Open, by_role: bool) -> list[str]:
    if not does.by_role:
        return [does.flow] if does.flow in program.codes else []
    if not by_role:
        return []
    return [name for name, code in program.codes.items() if code.flow.responds_to == does.plays]


def conversations(program: Program, sessions: Iterable[Session]) -> Conversations:
    """Look at all these sessions."""
    found = list(sessions)
    uncounted: frozenset[str] = frozenset()
    while True:
        look = _Look(program, found, uncounted)
        made = look.look()
        wrong = look.miscounting()
        if not wrong:
            return made
        # What was found of these took for granted that they count nobody twice.
        uncounted |= wrong


class _Look:
    """`uncounted` are flows of which no number is taken to count the members of a group."""

    def __init__(
        self, program: Program, sessions: list[Session], uncounted: frozenset[str]
    ) -> None:
        self._program = program
        self._uncounted = uncounted
        self._sessions = sessions
        self._sides = {side: None for session in sessions for side in _sides(session)}
        self._made: dict[_Side, Automaton | None] = {}
        self._variants: dict[str, frozenset[Values]] = {}
        self._dead: frozenset[Arm] = frozenset()
        self._verdicts: dict[Session, Verdict | None] = {}
        self._senders: dict[Arm, str] = {}
        self._wrong: set[_Side] = set()
        self._past: dict[int, frozenset[Arm] | None] = {}
        self._several = {flow for flow, _ in self._sides if self._has_several(flow)}

    def _has_several(self, flow: str) -> bool:
        """Whether a flow has several sessions at a time, all of which are looked at."""
        code = self._program.codes[flow]
        sides: list[_Side] = [*self._program.throwing.opens(flow)]
        if code.flow.responds_to is not None:
            sides.append((flow, None))
        if is_lent(code) or not all(side in self._sides for side in sides):
            return False
        return len(sides) > 1 or bool(self._program.names(flow).lists)

    def look(self) -> Conversations:
        self._follow(self._sides)
        for session in self._sessions:
            self._verdicts[session] = self._verdict(session)
        for _ in range(ROUNDS):
            dead = self._never()
            if dead <= self._dead:
                break
            new, self._dead = dead - self._dead, self._dead | dead
            self._note_senders(new)
            flows = {arm.flow for arm in new}
            again = [side for side in self._sides if self._concerns(side, flows)]
            before = {side: self._made[side] for side in again}
            self._follow(again)
            changed = {side for side in again if self._made[side] != before[side]}
            for session in self._sessions:
                if changed & set(_sides(session)):
                    self._verdicts[session] = self._verdict(session)
        checked = [
            Checked(
                session,
                self._made[session.flow, session.opened],
                self._made[session.responder, None],
                self._verdicts[session],
            )
            for session in self._sessions
        ]
        return Conversations(tuple(checked), self._dead, self._senders)

    def miscounting(self) -> frozenset[str]:
        """The flows that may count a member of a group twice."""
        found = set()
        for session in self._sessions:
            verdict = self._verdicts[session]
            for number, side in enumerate(_sides(session)):
                made = self._made[side]
                if verdict is None:
                    may_miscount = made is not None and made.may_miscount
                else:
                    may_miscount = number in verdict.miscounts
                if may_miscount:
                    found.add(side[0])
        return frozenset(found)

    def _note_senders(self, dead: frozenset[Arm]) -> None:
        for session in self._sessions:
            sides = _sides(session)
            for side, other in (sides, sides[::-1]):
                made = self._made[side]
                if made is None or side in self._wrong:
                    continue
                for arm in dead & made.receives:
                    self._senders.setdefault(arm, other[0].rpartition(".")[2])

    def _concerns(self, side: _Side, flows: set[str]) -> bool:
        made = self._made[side]
        return made is not None and bool(made.flows & flows)

    def _follow(self, sides: Iterable[_Side]) -> None:
        """Follow each side; again where the other sends values that it can tell apart."""
        todo = list(sides)
        for _ in range(ROUNDS):
            for side in todo:
                self._made[side] = self._automaton(*side)
            found = values_sent(self._made.values())
            changed = {name for name, values in found.items() if values != self._variants.get(name)}
            self._variants = found
            todo = [side for side in self._sides if _receives(self._made[side], changed)]
            if not todo:
                return

    def _automaton(self, flow: str, opened: int | None) -> Automaton | None:
        try:
            dead = self._dead - self._own((flow, opened))
            counting = flow not in self._uncounted
            return automaton(self._program, flow, opened, self._variants, dead, counting=counting)
        except TooMany:
            return None

    def _verdict(self, session: Session) -> Verdict | None:
        left = self._made[session.flow, session.opened]
        right = self._made[session.responder, None]
        return None if left is None or right is None else check(left, right)

    def _own(self, side: _Side) -> frozenset[Arm]:
        """The cases of a side that something is wrong with: it is told with all of them."""
        made = self._made.get(side)
        if made is None or side not in self._wrong:
            return frozenset()
        return made.arms

    def _never(self) -> frozenset[Arm]:
        """The cases about sessions that can never happen, as far as all was looked at."""
        arms: set[Arm] = set()
        used: set[Arm] = set()
        for session in self._sessions:
            verdict = self._verdicts[session]
            happening = self._happening(session, verdict)
            for side in _sides(session):
                made = self._made[side]
                if made is None:
                    continue
                arms |= made.arms
                if side[0] in self._several:
                    arms |= made.events
                if happening is None:
                    used |= made.arms | made.events
            if happening is not None:
                used |= happening
            if verdict is None or verdict.misfits:
                self._wrong |= set(_sides(session))
        return frozenset(arms - used)

    def _happening(self, session: Session, verdict: Verdict | None) -> frozenset[Arm] | None:
        """The cases of a session that can happen, None where that is not known."""
        if verdict is None or (verdict.longest and not verdict.misfits):
            return None
        if not verdict.misfits:
            return verdict.used
        # Other sessions go on only as far as this one does.
        if not {session.flow, session.responder} & self._several:
            return None
        left, right = (self._made[side] for side in _sides(session))
        if left is None or right is None:
            return None
        key = id(verdict)
        if key not in self._past:
            self._past[key] = happening(left, right)
        return self._past[key]


def values_sent(made: Iterable[Automaton | None]) -> dict[str, frozenset[Values]]:
    """What is known of the messages that these send."""
    found: dict[str, set[Values]] = {}
    for one in made:
        if one is not None:
            for node in one.nodes:
                for edge in node.of(Kind.SEND):
                    if edge.values:
                        found.setdefault(edge.message, set()).add(edge.values)
    return {name: frozenset(values) for name, values in found.items()}


def _receives(made: Automaton | None, messages: set[str]) -> bool:
    return made is not None and any(
        edge.message in messages for node in made.nodes for edge in node.of(Kind.RECEIVE)
    )
