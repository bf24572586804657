"""A flow under way, and where errors go that are thrown in it. Knows no waits.

Of other sessions it may hear at any time that they failed, since everybody may be killed; then they
are over. An end is heard only where it may come, and a declared error only if a peer throws it. A
step is taken as a whole: who was sent to in it without an error is not heard of in it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from flowlang import machine, walk
from flowlang.protocol import facts as knowledge
from flowlang.protocol.automaton import (
    ITS_END,
    NOTHING,
    REFUSED,
    Arm,
    Final,
    Kind,
    Spot,
    Step,
    Values,
)
from flowlang.protocol.code import Catch, Instruction, Rest
from flowlang.protocol.facts import NO_FACTS, Interest
from flowlang.protocol.frames import (
    END_CAUGHT,
    TIME_OVER,
    Frame,
    Over,
    Program,
    State,
    Way,
    Ways,
    place_of,
)

OURS, AMONG, OTHER = 2, 1, 0
FAILS = -1
"""The number of the instruction at which a flow has failed."""


MOST_OWED = 3
"""Messages that are late together and are counted. A way on which there are more is not followed:
a number that is wrong would tell of messages that nobody expects, or hide them."""


class Catching:
    """Follows one flow; `followed` is how many finite values are, `opened` the instruction at which
    the session is opened, None where it is a responder's."""

    def __init__(
        self,
        program: Program,
        flow: str,
        opened: int | None,
        variants: Mapping[str, frozenset[Values]],
        dead: frozenset[Arm],
        followed: int,
    ) -> None:
        self._program = program
        self._codes = program.codes
        self._flow = flow
        self._root = opened
        self._variants = variants
        self._dead = dead
        self._followed = followed
        self.counting = False
        # A place in this flow itself: what it calls may stand in another file.
        self._last: machine.Place = self._codes[flow].flow.place
        self._thrown_by_peers = program.throwing.by_peers(flow)
        self._interests: dict[str, Interest] = {}

    # --- places -----------------------------------------------------------------------------

    def _spot(self, state: State, place: machine.Place | None = None) -> Spot:
        top = state.frames[-1]
        code = self._codes[top.code]
        at = place or place_of(code.instructions[top.at])
        first = at or self._last
        if len(state.frames) > 1:
            root = state.frames[0]
            first = place_of(self._codes[root.code].instructions[root.at]) or first
        self._last = first
        if at is None:
            top = state.frames[0]
            return Spot(self._codes[top.code].module.module, top.code, first, first)
        return Spot(code.module.module, top.code, at, first)

    def _to(self, state: State, frame: Frame, at: int) -> State:
        """Goes on at an instruction, with what is still of use there."""
        known = frame.facts
        if known:
            known = self._interest(frame.code).kept(known, at)
        return self._top(state, frame._replace(at=at, facts=known, asked=False))

    def _interest(self, code: str) -> Interest:
        found = self._interests.get(code)
        if found is None:
            found = self._interests[code] = self._program.interest(code, self._followed)
        return found

    @staticmethod
    def _top(state: State, frame: Frame) -> State:
        return state._replace(frames=(*state.frames[:-1], frame))

    def _silent(self, state: State, *steps: Step) -> Way:
        return (Kind.SILENT, "", NOTHING, state, steps, None)

    def _holds(self, frame: Frame, value: machine.Expr) -> bool:
        """Whether a list has the session in it."""
        return any(
            isinstance(part, machine.Var) and (part.name in frame.ours or part.name in frame.lists)
            for part in walk.within(value)
        )

    def _which(self, frame: Frame, value: machine.Expr) -> int:
        """Whether an expression is the session, one of several of which it is one, or another."""
        if isinstance(value, machine.Var):
            if value.name in frame.ours:
                return OURS
            return AMONG if value.name in frame.lists else OTHER
        if isinstance(value, machine.Items) and value.items:
            # A list with nothing else in it, such as `any [talk]`.
            if all(self._which(frame, part) == OURS for part in value.items):
                return OURS
        return AMONG if self._holds(frame, value) else OTHER

    def _time_over(
        self, state: State, frame: Frame, is_limited: bool, discard: bool
    ) -> Iterator[Way]:
        """A deadline passes, of the wait or of a call that leads here."""
        calls = [self._codes[one.code].instructions[one.at].does for one in state.frames[:-1]]
        if not is_limited and not any(
            isinstance(call, Rest) and getattr(call.wait, "until", None) is not None
            for call in calls
        ):
            return
        told = Step(TIME_OVER, self._spot(state))
        if discard and state.owes == MOST_OWED:
            yield self._silent(self._failing(state), told)
            return
        late = state._replace(owes=state.owes + 1) if discard else state
        at = self._codes[frame.code].instructions[frame.at].next
        found = list(self._caught(late, at, is_timeout, TIME_OVER))
        yield from found
        if not found and state.opened:
            yield self._silent(self._failing(late), told)

    def _failing(self, state: State) -> State:
        """A state in which the flow fails: at an instruction that there is not."""
        frame = state.frames[0]._replace(
            at=FAILS, ours=frozenset(), lists=frozenset(), loops=frozenset(), facts=NO_FACTS
        )
        return State((frame,), state.opened, 0)

    # --- errors -----------------------------------------------------------------------------

    def _code_at(self, frame: Frame) -> Instruction:
        return self._codes[frame.code].instructions[frame.at]

    def _caught(
        self, state: State, at: int, may_be: Callable[[str], bool], told: str
    ) -> Iterator[Way]:
        """Where an error may be caught that is thrown at an instruction of the innermost flow.
        Where it can only be this one, whoever catches it first is the one who does."""
        spot = self._spot(state)
        for depth, catch in self._catches(state, at):
            errors = [error for error in catch.errors if may_be(error)]
            if errors:
                after = self._catch(state, depth, catch)
                yield self._silent(after, Step(told, spot))
                if "FlowError" in catch.errors or may_be in (is_timeout, is_end):
                    return

    def _ended(self, state: State, at: int, thrown_at: int) -> Iterator[Way]:
        """Where the end of the session is caught."""
        its = Arm(state.frames[-1].code, at, ITS_END)
        for way in self._caught(state, thrown_at, is_end, END_CAUGHT):
            yield (Kind.ENDED, *way[1:5], its)

    def _others_fail(
        self, state: State, at: int, thrown_at: int, told: str, waited: str | None = None
    ) -> Iterator[Way]:
        """Where an error of other sessions may be caught that is heard of at instruction `at` of
        the innermost flow and thrown at `thrown_at`. Anybody may be killed, or refuse; but an end
        that never comes there, or an error that no peer throws, is not heard. `waited` is the
        variable with the only session that is waited for there: once it has failed it is over."""
        frame = state.frames[-1]
        ends = state.troubled or Arm(frame.code, at, ITS_END) not in self._dead
        declared = self._thrown_by_peers

        def may_be(error: str) -> bool:
            if error == "SessionEnded":
                return ends
            if "." in error:
                return declared is None or error in declared
            return error != "Timeout"

        is_taken = Arm(frame.code, at, REFUSED) in self._dead
        for depth, catch in self._catches(state, thrown_at):
            errors = {error for error in catch.errors if may_be(error)}
            if not errors:
                continue
            after = self._catch(state, depth, catch)
            if errors != {"SessionEnded"}:
                after = after._replace(troubled=True)
            top = after.frames[-1]
            lives = errors & {"UnexpectedMessage", "Malformed"} or (
                "FlowError" in errors and not is_taken
            )
            if waited is not None and depth == len(state.frames) - 1 and not lives:
                after = self._top(after, top._replace(gone=top.gone | {waited}))
            yield self._silent(after, Step(told, self._spot(state)))
            if "FlowError" in errors:
                return

    def _catches(self, state: State, at: int) -> Iterator[tuple[int, Catch]]:
        """All that catch something, innermost first, with the flow that they are in."""
        for depth in range(len(state.frames) - 1, -1, -1):
            frame = state.frames[depth]
            code = self._codes[frame.code].instructions
            number = at if depth == len(state.frames) - 1 else code[frame.at].next
            for catch in code[number].catches:
                yield depth, catch

    def _catch(self, state: State, depth: int, catch: Catch) -> State:
        frame = state.frames[depth]
        known = knowledge.forget(frame.facts, catch.name)
        below = state._replace(frames=state.frames[: depth + 1])
        return self._to(below, frame._replace(facts=known, chosen=None), catch.target)

    def _throw(self, state: State, frame: Frame, error: machine.Expr) -> State | Ways | Over:
        code = self._codes[frame.code]
        if isinstance(error, machine.New):
            names = {error.type, *code.flow.families.get(error.type, ()), "FlowError"}
            for depth, catch in self._catches(state, frame.at):
                if names & set(catch.errors):
                    return self._catch(state, depth, catch)
            return self._over(state)
        # A caught error is thrown again: it is one of those that were caught there.
        caught = [
            name
            for instruction in code.instructions
            for catch in instruction.catches
            if isinstance(error, machine.Var) and catch.name == error.name
            for name in catch.errors
        ]
        found = []
        for depth, catch in self._catches(state, frame.at):
            if "FlowError" in catch.errors:
                found.append(self._silent(self._catch(state, depth, catch)))
                return Ways(found, self._spot(state))
            if not caught or "FlowError" in caught or set(catch.errors) & set(caught):
                found.append(self._silent(self._catch(state, depth, catch)))
        if not found:
            return self._over(state)
        return Ways([*found, self._silent(self._failing(state))], self._spot(state))

    def _over(self, state: State) -> Over:
        return Over(Final.FAILED if state.opened else Final.NEVER, self._spot(state))


# --- which errors -------------------------------------------------------------------------------


def is_declared(error: str) -> bool:
    return "." in error or error == "FlowError"


def is_timeout(error: str) -> bool:
    return error in ("Timeout", "FlowError")


def is_end(error: str) -> bool:
    return error in ("SessionEnded", "FlowError")


def is_others(error: str) -> bool:
    return error != "Timeout"


def is_refused(error: str) -> bool:
    return error in ("UnexpectedMessage", "FlowError")


def possible(wait: machine.Wait) -> Callable[[str], bool]:
    """Which errors a wait that has nothing to do with the session may throw, time apart."""
    match wait:
        case (
            machine.AwaitCheckpoint()
            | machine.AwaitTime()
            | machine.AwaitMoment()
            | machine.AwaitOperator()
        ):
            return lambda error: False
        case machine.AwaitSubflow():
            return lambda error: True
        case _:
            return is_others
