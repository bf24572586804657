"""A flow at rest: what may come of the session, and what else may happen meanwhile."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from flowlang import machine, walk
from flowlang.protocol import facts as knowledge
from flowlang.protocol.automaton import (
    ITS_MESSAGE,
    NOTHING,
    REFUSED,
    Arm,
    Final,
    Kind,
    Step,
    Values,
)
from flowlang.protocol.catching import (
    AMONG,
    MOST_OWED,
    OTHER,
    OURS,
    Catching,
    is_refused,
    possible,
)
from flowlang.protocol.code import Code, Go, Instruction, Pick, Rest, Stop
from flowlang.protocol.counting import Credit
from flowlang.protocol.facts import NO_FACTS, Facts
from flowlang.protocol.frames import (
    ERROR_CAUGHT,
    GROUP_FAILS,
    SESSION,
    TIME_OVER,
    Chosen,
    Frame,
    Over,
    State,
    Way,
    Ways,
    other,
)
from flowlang.types import ListType

DEEPEST = 60
"""Flows that run inside each other."""


class Waiting(Catching):
    """Follows waits and calls."""

    # --- waits ------------------------------------------------------------------------------

    def _rest(
        self, state: State, frame: Frame, instruction: Instruction, does: Rest
    ) -> State | Ways | Over:
        wait = does.wait
        frame = frame._replace(chosen=None)
        state = self._top(state, frame)
        match wait:
            case machine.AwaitMessage(session=session):
                which = self._which(frame, session)
                if which != OTHER:
                    return self._message(state, frame, instruction, wait, which)
            case machine.AwaitEach(sessions=sessions):
                if self._holds(frame, sessions):
                    return self._message(state, frame, instruction, wait, OURS)
            case machine.AwaitChoice(arms=arms):
                if any(self._about(frame, arm) != OTHER for arm in arms):
                    return self._choice(state, frame, instruction, wait)
            case machine.AwaitSubflow(flow=flow, arguments=arguments):
                passed = any(self._holds(frame, argument) for argument in arguments)
                if passed and flow in self._codes and len(state.frames) < DEEPEST:
                    return self._call(state, frame, instruction, wait)
            case _:
                pass
        return self._elsewhere(state, frame, instruction, wait)

    def _elsewhere(
        self, state: State, frame: Frame, instruction: Instruction, wait: machine.Wait
    ) -> State | Ways:
        """A wait that has nothing to do with the session."""
        after = self._rested(state, frame, instruction, walk.delivered(wait))
        until = getattr(wait, "until", None)
        found = list(self._time_over(state, frame, until is not None, False))
        if _is_for_sessions(wait):
            found += self._others_fail(
                state, frame.at, instruction.next, ERROR_CAUGHT, _only_session(wait)
            )
        else:
            found += self._caught(state, instruction.next, possible(wait), ERROR_CAUGHT)
        if self._never_comes(frame, wait):
            # It waits for ever, or fails: that is told of the other session.
            return Ways(found, self._spot(state)) if found else self._failing(state)
        if not found:
            return after
        return Ways([self._silent(after), *found], self._spot(state))

    def _never_comes(self, frame: Frame, wait: machine.Wait) -> bool:
        """Whether the message of another session that is waited for is never said."""
        match wait:
            case machine.AwaitMessage(session=session):
                never = isinstance(session, machine.Var) and session.name in frame.gone
            case machine.AwaitEach(optional=False):
                never = False
            case _:
                return False
        return never or Arm(frame.code, frame.at, ITS_MESSAGE) in self._dead

    def _rested(
        self,
        state: State,
        frame: Frame,
        instruction: Instruction,
        name: str | None,
        made: Facts = NO_FACTS,
        chosen: Chosen | None = None,
    ) -> State:
        """After a wait: only what lives over it is left."""
        code = self._codes[frame.code]
        keeps = code.keeps[code.instructions[instruction.next].state]
        if name is not None:
            made = frozenset((*knowledge.forget(frame.facts, name), *made))
        else:
            made = frame.facts
        after = frame._replace(
            ours=frame.ours & keeps,
            lists=frame.lists & keeps,
            loops=frozenset(one for one in frame.loops if one[0] in keeps),
            facts=made,
            chosen=chosen,
            counts=frozenset(one for one in frame.counts if one[0] in keeps),
            mixed=frame.mixed & keeps,
            gone=frame.gone & keeps,
            sure=frozenset(),
        )
        return self._to(state, after, instruction.next)

    def _message(
        self,
        state: State,
        frame: Frame,
        instruction: Instruction,
        wait: machine.AwaitMessage | machine.AwaitEach,
        which: int,
    ) -> Ways:
        spot = self._spot(state)
        found: list[Way] = []
        for values in self._values_of(wait.type):
            made = NO_FACTS
            if isinstance(wait, machine.AwaitMessage):
                made = of_message(wait.name, values)
            after = self._rested(state, frame, instruction, wait.name, made)
            its = Arm(frame.code, frame.at, ITS_MESSAGE)
            found.append((Kind.RECEIVE, wait.type, values, after, (), its))
        optional = isinstance(wait, machine.AwaitEach) and wait.optional
        after = self._rested(state, frame, instruction, wait.name)
        if which == AMONG:
            found.append(self._silent(after))
        if optional:
            # That another has failed is no error here, but later on.
            found = [(*way[:3], way[3]._replace(troubled=True), *way[4:]) for way in found]
            after = after._replace(troubled=True)
        if optional:
            found.append((Kind.ENDED, "", NOTHING, after, (), None))
        else:
            found += self._ended(state, frame.at, instruction.next)
        if wait.until is not None and optional and wait.discard:
            owing = after._replace(owes=after.owes + 1)
            if state.owes == MOST_OWED:
                owing = self._failing(state)
            found.append(self._silent(owing, Step(TIME_OVER, spot)))
            found += self._time_over(state, frame, False, False)
        else:
            found += self._time_over(state, frame, wait.until is not None, wait.discard)
        if isinstance(wait, machine.AwaitEach) and not optional:
            found += self._others_fail(state, frame.at, instruction.next, GROUP_FAILS)
        return Ways(found, spot, True, self._refused(state, frame.at, instruction.next))

    def _refused(self, state: State, at: int, thrown_at: int) -> Arm | None:
        """Whether somebody catches that a message is not taken."""
        if any(self._caught(state, thrown_at, is_refused, ERROR_CAUGHT)):
            return Arm(state.frames[-1].code, at, REFUSED)
        return None

    def _values_of(self, message: str) -> Iterable[Values]:
        """The values that a message may come with, nothing known among them."""
        return {NOTHING: None, **dict.fromkeys(self._variants.get(message, ()))}

    def _about(self, frame: Frame, arm: machine.Arm) -> int:
        match arm:
            case machine.Came(session=session) | machine.Ended(session=session):
                return self._which(frame, session)
            case _:
                return OTHER

    def _choice(
        self, state: State, frame: Frame, instruction: Instruction, wait: machine.AwaitChoice
    ) -> Ways:
        spot = self._spot(state)
        found: list[Way] = []
        is_ended = False
        is_timed = wait.until is not None
        for number, arm in enumerate(wait.arms):
            named = Arm(frame.code, frame.at, number)
            if named in self._dead:
                continue
            which = self._about(frame, arm)
            if state.heard and which == AMONG and isinstance(arm, machine.Came | machine.Ended):
                # It is over, and was told once: from now on the others are waited for.
                told = other(arm)
                after = self._rested(
                    state, frame, instruction, None, chosen=Chosen(number, False, NOTHING)
                )
                found.append(self._silent(after, Step(told, spot)))
                continue
            if which == OTHER and _is_gone(frame, arm):
                continue

            def chosen(is_ours: bool, values: Values = NOTHING, number: int = number) -> State:
                what = Chosen(number, is_ours, values)
                return self._rested(state, frame, instruction, None, chosen=what)

            if which != OTHER and isinstance(arm, machine.Came):
                for values in self._values_of(arm.type):
                    after = chosen(True, values)
                    found.append((Kind.RECEIVE, arm.type, values, after, (), named))
            if which != OTHER and isinstance(arm, machine.Ended):
                is_ended = True
                found.append((Kind.ENDED, "", NOTHING, chosen(True), (), named))
            if which != OURS:
                told = TIME_OVER if isinstance(arm, machine.Late) else other(arm)
                found.append(self._silent(chosen(False), Step(told, spot)))
        if not is_ended:
            found += self._ended(state, frame.at, instruction.next)
        talking = [arm for arm in wait.arms if isinstance(arm, machine.Came | machine.Ended)]
        if any(self._about(frame, arm) != OURS for arm in talking):
            found += self._others_fail(state, frame.at, instruction.next, ERROR_CAUGHT)
        found += self._time_over(state, frame, is_timed, False)
        is_over = state.heard and all(self._about(frame, arm) != OURS for arm in wait.arms)
        refused = self._refused(state, frame.at, instruction.next)
        return Ways(found, spot, not is_over, refused)

    def _pick(self, state: State, frame: Frame, does: Pick) -> State | Ways:
        if frame.chosen is not None:
            number = frame.chosen.number
            credit = self._credit(frame, does.arms[number], frame.chosen.is_ours)
            return self._to(state, frame._replace(credit=credit), does.ways[number])
        # Where the choice began, cases were counted at the wait before this.
        waits = self._waits_before(frame)
        spot = self._spot(state)
        found = []
        for number, (arm, way) in enumerate(zip(does.arms, does.ways, strict=True)):
            if any(Arm(frame.code, at, number) in self._dead for at in waits):
                continue
            if _is_gone(frame, arm):
                continue
            told = TIME_OVER if isinstance(arm, machine.Late) else other(arm)
            found.append(self._silent(self._to(state, frame, way), Step(told, spot)))
        return Ways(found, spot) if found else self._failing(state)

    @staticmethod
    def _credit(frame: Frame, arm: machine.Arm, is_ours: bool) -> Credit | None:
        """What came from one of a group may be counted once."""
        if frame.counts and isinstance(arm, machine.Came | machine.Ended):
            group = arm.session
            if isinstance(group, machine.Var) and group.name in frame.lists:
                return Credit(group.name, is_ours)
        return None

    @functools.cached_property
    def _rests(self) -> dict[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = {}
        for name, code in self._codes.items():
            for number, instruction in enumerate(code.instructions):
                if isinstance(instruction.does, Rest):
                    state = code.instructions[instruction.next].state
                    found.setdefault((name, state), []).append(number)
        return found

    def _waits_before(self, frame: Frame) -> list[int]:
        state = self._codes[frame.code].instructions[frame.at].state
        return self._rests.get((frame.code, state), [])

    # --- calls ------------------------------------------------------------------------------

    def _call(
        self, state: State, frame: Frame, instruction: Instruction, wait: machine.AwaitSubflow
    ) -> State:
        code = self._codes[wait.flow]
        ours, lists = set(), set()
        known: Facts = NO_FACTS
        for parameter, argument in zip(code.flow.parameters, wait.arguments, strict=False):
            if parameter.type == SESSION:
                if self._which(frame, argument) == OURS:
                    ours.add(parameter.name)
            elif parameter.type == ListType(SESSION):
                if self._holds(frame, argument):
                    lists.add(parameter.name)
            else:
                known |= knowledge.bind(
                    (parameter.name,), argument, frame.facts, self._program.declared
                )
        known = self._interest(wait.flow).kept(known, 0)
        called = zip(code.flow.parameters, wait.arguments, strict=False)
        mixed, gone = set(), set()
        for parameter, argument in called:
            if parameter.name in lists and not self._is_group(frame, argument):
                mixed.add(parameter.name)
            if isinstance(argument, machine.Var) and argument.name in frame.gone:
                gone.add(parameter.name)
        inner = Frame(
            wait.flow,
            0,
            frozenset(ours),
            frozenset(lists),
            frozenset(),
            known,
            gone=frozenset(gone),
            mixed=frozenset(mixed),
        )
        if len(state.frames) > 1 and self._is_last(self._codes[frame.code], instruction, wait):
            return state._replace(frames=(*state.frames[:-1], inner))
        # While the other flow runs, only what lives over the call is left of this one.
        rested = self._rested(state, frame, instruction, wait.name).frames[-1]
        below = rested._replace(at=frame.at)
        return state._replace(frames=(*state.frames[:-1], below, inner))

    @staticmethod
    def _is_group(frame: Frame, value: machine.Expr) -> bool:
        """Whether all of a list were opened together."""
        if isinstance(value, machine.Items):
            return len(value.items) == 1
        return isinstance(value, machine.Var) and value.name not in frame.mixed

    @staticmethod
    def _is_last(code: Code, instruction: Instruction, wait: machine.AwaitSubflow) -> bool:
        """Whether nothing is left to do after a call."""
        if wait.until is not None:
            return False
        after = code.instructions[instruction.next]
        while isinstance(after.does, Go):
            if after.catches:
                return False
            after = code.instructions[after.next]
        if after.catches:
            return False
        if isinstance(after.does, Stop):
            return True
        return isinstance(after.does, machine.Return) and (
            after.does.value is None
            or (wait.name is not None and after.does.value == machine.Var(wait.name))
        )

    def _return(self, state: State, frame: Frame, value: machine.Expr | None) -> State | Over:
        if len(state.frames) == 1:
            final = Final.ENDED if state.opened else Final.NEVER
            return Over(final, self._spot(state, self._last), state.owes)
        caller = state.frames[-2]
        instruction = self._codes[caller.code].instructions[caller.at]
        assert isinstance(instruction.does, Rest)
        name = walk.delivered(instruction.does.wait)
        known = caller.facts
        if name is not None:
            known = knowledge.forget(known, name)
            if value is not None:
                known |= knowledge.bind((name,), value, frame.facts, self._program.declared)
        below = state._replace(frames=state.frames[:-1])
        return self._to(below, caller._replace(facts=known), instruction.next)


def of_message(name: str, values: Values) -> Facts:
    """What is known of a variable that takes a message with these values."""
    return frozenset((((name, field), about), value) for (field, about), value in values)


def _is_for_sessions(wait: machine.Wait) -> bool:
    match wait:
        case machine.AwaitMessage() | machine.AwaitEach():
            return True
        case machine.AwaitChoice(arms=arms):
            return all(isinstance(arm, machine.Came | machine.Ended | machine.Late) for arm in arms)
        case _:
            return False


def _only_session(wait: machine.Wait) -> str | None:
    """The variable with the only session that is waited for."""
    match wait:
        case machine.AwaitMessage(session=session):
            found = [session]
        case machine.AwaitChoice(arms=arms):
            found = [arm.session for arm in arms if isinstance(arm, machine.Came | machine.Ended)]
        case _:
            return None
    names = {one.name if isinstance(one, machine.Var) else "" for one in found}
    return next(iter(names)) or None if len(names) == 1 else None


def _is_gone(frame: Frame, arm: machine.Arm) -> bool:
    """Whether no message of that session can come any more."""
    match arm:
        case machine.Came(session=machine.Var(name=name)):
            return name in frame.gone
        case _:
            return False
