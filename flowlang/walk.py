"""Looking through a machine: what expressions, actions and waits are made of. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

import msgspec

from flowlang import machine

# --- expressions --------------------------------------------------------------------------------


def parts(expression: machine.Expr) -> tuple[machine.Expr, ...]:
    """The expressions directly within one, in the order in which they are computed."""
    match expression:
        case (
            machine.Const()
            | machine.Var()
            | machine.Builtin()
            | machine.Received()
            | machine.Outcome()
            | machine.Reply()
            | machine.Sender()
        ):
            return ()
        case (
            machine.Get(value=value)
            | machine.Some(value=value)
            | machine.IsCase(value=value)
            | machine.Cased(value=value)
            | machine.Not(value=value)
            | machine.Negate(value=value)
            | machine.Keys(value=value)
            | machine.Size(value=value)
            | machine.About(value=value)
            | machine.Shared(value=value)
            | machine.ToDecimal(value=value)
            | machine.Answered(value=value)
            | machine.Follow(id=value)
            | machine.FollowEach(ids=value)
        ):
            return (value,)
        case (
            machine.New(arguments=arguments)
            | machine.Compute(arguments=arguments)
            | machine.CallFunction(arguments=arguments)
            | machine.CallOperation(arguments=arguments)
            | machine.Request(arguments=arguments)
        ):
            return arguments
        case machine.StartFlow(arguments=arguments, at=at):
            return arguments if at is None else (*arguments, at)
        case machine.AskFor(role=role, question=question, within=limit):
            return (role, question) if limit is None else (role, question, limit)
        case (
            machine.Arithmetic(left=left, right=right)
            | machine.Compare(left=left, right=right)
            | machine.Logic(left=left, right=right)
            | machine.Earlier(left=left, right=right)
        ):
            return (left, right)
        case machine.Item(values=values, index=index):
            return (values, index)
        case machine.Update(value=value, changes=changes):
            return (value, *[change for _, change in changes])
        case machine.Items(items=items):
            return items
        case machine.Entries(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case machine.Text(parts=texts):
            return texts
        case machine.Peer(session=session) | machine.Version(session=session):
            return (session,)
        case machine.Divide(left=left, right=right, places=places):
            return (left, right, places)
        case _:
            assert_never(expression)


def within(expression: machine.Expr) -> Iterator[machine.Expr]:
    """The expression and all within it."""
    todo = [expression]
    while todo:
        at = todo.pop()
        yield at
        todo.extend(parts(at))


def reads(expression: machine.Expr) -> frozenset[str]:
    """The variables that the expression reads."""
    return frozenset(at.name for at in within(expression) if isinstance(at, machine.Var))


# --- actions ------------------------------------------------------------------------------------


def bodies(action: machine.Action) -> tuple[tuple[machine.Action, ...], ...]:
    """The actions directly within one."""
    match action:
        case machine.If(branches=branches, otherwise=otherwise):
            return (*[body for _, body in branches], otherwise)
        case machine.While(body=body) | machine.For(body=body) | machine.Check(body=body):
            return (body,)
        case machine.Try(body=body, catches=catches):
            return (body, *[catch.body for catch in catches])
        case (
            machine.Assign()
            | machine.Open()
            | machine.Send()
            | machine.Close()
            | machine.Leave()
            | machine.Progress()
            | machine.Log()
            | machine.Do()
            | machine.Require()
            | machine.Throw()
            | machine.Return()
            | machine.Break()
            | machine.Continue()
        ):
            return ()
        case _:
            assert_never(action)


def each(actions: Iterable[machine.Action]) -> Iterator[machine.Action]:
    """The actions and all within them, in the order of the source."""
    for action in actions:
        yield action
        for body in bodies(action):
            yield from each(body)


def expressions(action: machine.Action) -> tuple[machine.Expr, ...]:
    """What the action itself computes; not what actions within it do."""
    match action:
        case (
            machine.Assign(value=value)
            | machine.Do(value=value)
            | machine.Open(party=value)
            | machine.Close(session=value)
            | machine.Log(text=value)
            | machine.Throw(error=value)
            | machine.While(condition=value)
            | machine.For(values=value)
        ):
            return (value,)
        case machine.Send(session=session, value=value):
            return (session, value)
        case machine.Require(condition=condition, error=error):
            return (condition, error)
        case machine.Progress(label=label, values=values):
            shown = tuple(value for _, value in values)
            return shown if label is None else (*shown, label)
        case machine.Return(value=optional):
            return () if optional is None else (optional,)
        case machine.If(branches=branches):
            return tuple(condition for condition, _ in branches)
        case (
            machine.Leave() | machine.Break() | machine.Continue() | machine.Try() | machine.Check()
        ):
            return ()
        case _:
            assert_never(action)


# --- waits --------------------------------------------------------------------------------------


def delivered(wait: machine.Wait) -> str | None:
    """The variable that takes what the wait brings."""
    match wait:
        case (
            machine.AwaitMessage(name=name)
            | machine.AwaitEach(name=name)
            | machine.AwaitSubflow(name=name)
            | machine.AwaitResult(name=name)
            | machine.AwaitResults(name=name)
            | machine.AwaitAnswer(name=name)
        ):
            return name
        case (
            machine.AwaitChoice()
            | machine.AwaitCheckpoint()
            | machine.AwaitTime()
            | machine.AwaitMoment()
            | machine.AwaitOperator()
        ):
            return None
        case _:
            assert_never(wait)


def wait_expressions(wait: machine.Wait) -> tuple[machine.Expr, ...]:
    """What is computed to begin the wait."""
    match wait:
        case (
            machine.AwaitMessage(session=value, until=until)
            | machine.AwaitEach(sessions=value, until=until)
        ):
            return (value, *_given(until))
        case machine.AwaitChoice(arms=arms, timeout=timeout, until=until):
            return (*arm_expressions(arms), *_given(timeout), *_given(until))
        case machine.AwaitTime(duration=value, until=until):
            return (value, *_given(until))
        case machine.AwaitOperator(reason=value):
            return (value,)
        case (
            machine.AwaitMoment(time=value, until=until)
            | machine.AwaitResult(call=value, until=until)
            | machine.AwaitResults(calls=value, until=until)
            | machine.AwaitAnswer(call=value, until=until)
        ):
            return (value, *_given(until))
        case machine.AwaitSubflow(arguments=arguments, until=until):
            return (*arguments, *_given(until))
        case machine.AwaitCheckpoint():
            return ()
        case _:
            assert_never(wait)


def arm_expressions(arms: Iterable[machine.Arm]) -> Iterator[machine.Expr]:
    """What tells the arms of a choice apart: needed to begin it, and again when it is over."""
    for arm in arms:
        match arm:
            case (
                machine.Came(session=value)
                | machine.Ended(session=value)
                | machine.Done(call=value)
            ):
                yield value
            case machine.Late():
                pass
            case _:
                assert_never(arm)


def _given(value: machine.Expr | None) -> tuple[machine.Expr, ...]:
    return () if value is None else (value,)


def effective(handlers: Iterable[machine.Handler]) -> tuple[machine.Handler, ...]:
    """The handlers, innermost first, without the errors that one further in already takes."""
    taken: set[str] = set()
    found = []
    for handler in handlers:
        left = tuple(error for error in handler.errors if error not in taken)
        taken.update(left)
        if left:
            found.append(msgspec.structs.replace(handler, errors=left))
    return tuple(found)


def state_expressions(state: machine.State) -> Iterator[machine.Expr]:
    """All that a state computes, in its actions and at its end."""
    for action in each(state.actions):
        yield from expressions(action)
    yield from ending_expressions(state)


def ending_expressions(state: machine.State) -> tuple[machine.Expr, ...]:
    """What a state computes at its end."""
    match state.next:
        case machine.Branch(condition=condition):
            return (condition,)
        case machine.Choose(arms=arms):
            return tuple(arm_expressions(arms))
        case machine.Suspend(wait=wait):
            return wait_expressions(wait)
        case machine.Goto() | machine.End():
            return ()
        case _:
            assert_never(state.next)
