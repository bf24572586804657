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
        case machine.AwaitEach(sessions=sessions, optional=optional, until=until, discard=discard):
            some = [("optional", Atom("True"))] if optional else []
            late = [("discard", Atom("True"))] if discard else []
            return _step(
                "rt.ReceiveEach", [state, of(sessions)], [*some, *_until(until, of), *late]
            )
        case machine.AwaitChoice(arms=arms, timeout=timeout, until=until):
            given = [("calls", _calls(arms, of))] if _pending(arms) else []
            given += [] if timeout is None else [("timeout", of(timeout))]
            return _step("rt.Choose", [state, _sessions(arms, of)], [*given, *_until(until, of)])
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


def _sessions(arms: tuple[machine.Arm, ...], of: Given) -> Tree:
    """All sessions that the arms are about, each once."""
    about: dict[tuple[machine.Expr, bool], None] = {}
    for arm in arms:
        if isinstance(arm, machine.Came | machine.Ended):
            about[arm.session, arm.any] = None
    if len(about) == 1 and next(iter(about))[1]:
        return of(next(iter(about))[0])
    if not about:
        return Atom("()")
    return Tuple(tuple(_all(of(session)) if any_ else of(session) for session, any_ in about))


def _pending(arms: tuple[machine.Arm, ...]) -> list[machine.Expr]:
    return [arm.call for arm in arms if isinstance(arm, machine.Done)]


def _calls(arms: tuple[machine.Arm, ...], of: Given) -> Tree:
    return Tuple(tuple(of(pending) for pending in _pending(arms)))


def _all(sessions: Tree) -> Tree:
    """Each of them, as an item of a tuple."""
    if isinstance(sessions, Atom):
        return Atom(f"*{sessions.text}")
    return call("*rt.frozen", sessions)


def chosen(arms: tuple[machine.Arm, ...], of: Given, scope: Scope) -> Tree:
    """The number of the arm that happened."""
    given = []
    for arm in arms:
        match arm:
            case machine.Came(session=session, type=message):
                given.append(call("rt.Came", of(session), Atom(scope.named(message))))
            case machine.Ended(session=session):
                given.append(call("rt.Ended", of(session)))
            case machine.Done(call=pending):
                given.append(call("rt.Done", of(pending)))
            case machine.Late():
                given.append(call("rt.Late"))
            case _:
                assert_never(arm)
    return call("run.chosen", *given)
