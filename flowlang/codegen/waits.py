"""How a flow asks the engine to wait, and whether that may end badly. Knows no page: only trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

from flowlang import machine
from flowlang.codegen.scope import Scope
from flowlang.codegen.trees import Atom, Call, Tree, Tuple, call

Given: TypeAlias = Callable[[machine.Expr], Tree]
"""How an expression is written at this point."""

Named: TypeAlias = tuple[str, Tree]


def asked(wait: machine.Wait, state: Tree, of: Given, scope: Scope) -> Tree:
    """The step that asks for the wait; afterwards the flow goes on in `state`."""
    match wait:
        case machine.AwaitMessage(session=session, until=until, discard=discard):
            late = [("discard", Atom("True"))] if discard else []
            return _step("rt.Receive", [state, of(session)], [*_until(until, of), *late])
        case machine.AwaitSubflow(flow=flow, version=version, arguments=arguments, until=until):
            called = scope.flow(flow, version)
            start = call(f"{called}.Start", *[of(argument) for argument in arguments])
            return _step("rt.Call", [state, Atom(called), start], _until(until, of))
        case machine.AwaitMoment(time=time, until=until):
            return _step("rt.WaitUntil", [state, of(time)], _until(until, of))
        case (
            machine.AwaitResult(call=begun, until=until)
            | machine.AwaitAnswer(call=begun, until=until)
        ):
            return _step("rt.Await", [state, Tuple((of(begun),))], _until(until, of))
        case machine.AwaitResults(calls=begun, until=until):
            return _step("rt.Await", [state, of(begun)], _until(until, of))
        case machine.AwaitCheckpoint():
            return call("rt.Checkpoint", state)
        case machine.AwaitTime(duration=duration, until=until):
            return _step("rt.Sleep", [state, of(duration)], _until(until, of))
        case machine.AwaitOperator(reason=reason):
            return call("rt.Hold", state, of(reason))
        case _:
            assert_never(wait)


def _step(head: str, parts: list[Tree], named: list[Named]) -> Call:
    return Call(head, (*[("", part) for part in parts], *named))


def _until(until: machine.Expr | None, of: Given) -> list[Named]:
    return [] if until is None else [("until", of(until))]


def may_throw(wait: machine.Wait) -> bool:
    """Whether going on after the wait may throw."""
    match wait:
        case machine.AwaitTime(until=until) | machine.AwaitMoment(until=until):
            return until is not None
        case machine.AwaitCheckpoint() | machine.AwaitOperator():
            return False
        case (
            machine.AwaitMessage()
            | machine.AwaitSubflow()
            | machine.AwaitResult()
            | machine.AwaitResults()
            | machine.AwaitAnswer()
        ):
            return True
        case _:
            assert_never(wait)
