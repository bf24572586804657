"""A machine as a list of instructions that follow each other. Knows nothing of sessions.

A state's actions, the blocks within them and the ways between states become one flat graph, so that
whoever walks it needs no recursion and can stand at any place of a flow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeAlias, assert_never

from flowlang import machine, walk

# --- instructions -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Go:
    """Nothing but the way to the next."""


@dataclasses.dataclass(frozen=True)
class Test:
    """Goes on at `next` where the condition holds, else at `otherwise`."""

    condition: machine.Expr
    otherwise: int
    place: machine.Place


@dataclasses.dataclass(frozen=True)
class Each:
    """The head of a loop without waits: `name` takes the next value, the loop's body begins at
    `next`; after the last value the way goes on at `otherwise`."""

    name: str
    values: machine.Expr
    otherwise: int
    place: machine.Place


@dataclasses.dataclass(frozen=True)
class Rest:
    """Waits. What is thrown instead is caught where the state that goes on says so."""

    wait: machine.Wait
    place: machine.Place


@dataclasses.dataclass(frozen=True)
class Pick:
    """Goes on where the arm that happened leads: `ways` has a place for each."""

    arms: tuple[machine.Arm, ...]
    ways: tuple[int, ...]
    place: machine.Place


@dataclasses.dataclass(frozen=True)
class Stop:
    """The end of the flow."""


Operation: TypeAlias = (
    Go
    | Test
    | Each
    | Rest
    | Pick
    | Stop
    | machine.Assign
    | machine.Open
    | machine.Send
    | machine.Close
    | machine.Leave
    | machine.Do
    | machine.Require
    | machine.Throw
    | machine.Return
)


@dataclasses.dataclass(frozen=True)
class Catch:
    """Where an error goes: to `target`, in the variable `name`."""

    errors: tuple[str, ...]
    name: str | None
    target: int


@dataclasses.dataclass(slots=True)
class Instruction:
    """What is done, what comes then, and who catches what it throws, innermost first.

    `calls` is true where it asks the author's Python, which may throw a declared error; `state` is
    the name of the state that it belongs to."""

    does: Operation
    next: int
    catches: tuple[Catch, ...]
    calls: bool
    state: str


@dataclasses.dataclass(frozen=True)
class Code:
    """A flow's instructions; it begins at 0. `keeps` has, by state, what lives over its wait."""

    flow: machine.Machine
    module: machine.Module
    instructions: list[Instruction]
    keeps: dict[str, frozenset[str]]


def flatten(flow: machine.Machine, module: machine.Module) -> Code:
    """The instructions of a flow."""
    return _Flattener(flow, module).code()


CALLS = (machine.CallFunction, machine.CallOperation)


def _asks(expressions: Iterable[machine.Expr]) -> bool:
    return any(isinstance(part, CALLS) for one in expressions for part in walk.within(one))


class _Flattener:
    def __init__(self, flow: machine.Machine, module: machine.Module) -> None:
        self._flow = flow
        self._module = module
        self._made: list[Instruction] = []
        self._starts: dict[str, int] = {}
        self._state = ""

    def code(self) -> Code:
        # The ways between states are known only when all have their numbers: a state begins with
        # an instruction that does nothing.
        for state in self._flow.states:
            self._state = state.name
            self._starts[state.name] = self._add(Go(), ())
        for state in self._flow.states:
            self._build(state)
        keeps = {state.name: frozenset(state.keeps) for state in self._flow.states}
        return Code(self._flow, self._module, self._made, keeps)

    def _add(self, does: Operation, catches: tuple[Catch, ...], following: int = -1) -> int:
        calls = not isinstance(does, Go | Stop | Pick | Each) and _asks(expressions_of(does))
        self._made.append(Instruction(does, following, catches, calls, self._state))
        return len(self._made) - 1

    def _build(self, state: machine.State) -> None:
        self._state = state.name
        catches = tuple(
            Catch(one.errors, one.name, self._starts[one.target]) for one in state.handlers
        )
        start = self._made[self._starts[state.name]]
        start.catches = catches
        start.next = self._block(state.actions, self._ending(state.next, catches), catches, None)

    def _ending(self, following: machine.Next, catches: tuple[Catch, ...]) -> int:
        starts = self._starts
        match following:
            case machine.Goto(target=target):
                return starts[target]
            case machine.Branch(condition=condition, then=then, otherwise=otherwise, place=place):
                return self._add(Test(condition, starts[otherwise], place), catches, starts[then])
            case machine.Choose(arms=arms, targets=targets, place=place):
                ways = tuple(starts[target] for target in targets)
                return self._add(Pick(arms, ways, place), catches)
            case machine.Suspend(wait=wait, target=target, place=place):
                return self._add(Rest(wait, place), catches, starts[target])
            case machine.End():
                return self._add(Stop(), catches)
            case _:
                assert_never(following)

    def _block(
        self,
        actions: Sequence[machine.Action],
        then: int,
        catches: tuple[Catch, ...],
        loop: tuple[int, int] | None,
    ) -> int:
        """Where a block begins that goes on at `then`. `loop` is where `continue` and `break` of
        the loop around it lead."""
        for action in reversed(actions):
            then = self._action(action, then, catches, loop)
        return then

    def _action(
        self,
        action: machine.Action,
        then: int,
        catches: tuple[Catch, ...],
        loop: tuple[int, int] | None,
    ) -> int:
        match action:
            case machine.Progress() | machine.Log():
                return then
            case machine.If(branches=branches, otherwise=otherwise, place=place):
                way = self._block(otherwise, then, catches, loop)
                for condition, body in reversed(branches):
                    inside = self._block(body, then, catches, loop)
                    way = self._add(Test(condition, way, place), catches, inside)
                return way
            case machine.While(condition=condition, body=body, place=place):
                head = self._add(Test(condition, then, place), catches)
                self._made[head].next = self._block(body, head, catches, (head, then))
                return head
            case machine.For(name=name, values=values, body=body, place=place):
                head = self._add(Each(name, values, then, place), catches)
                self._made[head].next = self._block(body, head, catches, (head, then))
                return head
            case machine.Break() | machine.Continue():
                assert loop is not None  # The checker refuses one outside of a loop.
                return loop[isinstance(action, machine.Break)]
            case machine.Try(body=body, catches=handlers, block=block):
                inner = []
                for handler in handlers:
                    start = self._block(handler.body, then, catches, loop)
                    start = self._add(machine.Leave(block), catches, start)
                    inner.append(Catch(handler.errors, handler.name, start))
                return self._block(body, then, (*inner, *catches), loop)
            case machine.Check(body=body):
                return self._block(body, then, catches, loop)
            case machine.Return() | machine.Throw():
                return self._add(action, catches)
            case (
                machine.Assign()
                | machine.Open()
                | machine.Send()
                | machine.Close()
                | machine.Leave()
                | machine.Do()
                | machine.Require()
            ):
                return self._add(action, catches, then)
            case _:
                assert_never(action)


def expressions_of(does: Operation) -> tuple[machine.Expr, ...]:
    """What an operation computes."""
    match does:
        case Test(condition=condition):
            return (condition,)
        case Rest(wait=wait):
            return walk.wait_expressions(wait)
        case Go() | Stop() | Pick() | Each():
            return ()
        case _:
            return walk.expressions(does)
