"""What a picture of a machine shows, in words: the states in which the flow rests, what it waits
for there, and the ways between them. Draws nothing.

The places where ways only meet are left out, and what happens on a way is told with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, assert_never

from flowlang import machine, walk
from flowlang.types import Named

END = "[*]"
MAX_TOLD = 4
"""Things told of one way; the rest is `…`."""


class Way(NamedTuple):
    """A way from one rest to the next, or to the end; `told` is what happens on it."""

    target: str
    told: tuple[str, ...]


def ways(flow: machine.Machine) -> dict[str, list[Way]]:
    """The ways from each state in which the flow rests: each target and each end once with the
    shortest way to it, in the order in which they are found."""
    states = {state.name: state for state in flow.states}
    return {state.name: _ways(flow, states, state) for state in resting(flow)}


def _ways(
    flow: machine.Machine, states: Mapping[str, machine.State], state: machine.State
) -> list[Way]:
    found: dict[str, Way] = {}
    seen = {state.name}
    todo: deque[tuple[machine.State, tuple[str, ...]]] = deque([(state, ())])
    while todo:
        at, before = todo.popleft()
        told = (*before, *_happens(flow, at.actions))
        caught = frozenset[str]().union(*[handler.errors for handler in at.handlers])
        for end, until in _ends(flow, at.actions, caught, before):
            found.setdefault(end, Way(END, (*until, end) if end == "return" else (end,)))
        match at.next:
            case machine.Suspend(target=target):
                found.setdefault(target, Way(target, told))
            case machine.Choose(arms=arms, targets=targets):
                chosen = [
                    (target, (*told, _arm(arm))) for arm, target in zip(arms, targets, strict=True)
                ]
                todo += _unseen(states, chosen, seen)
            case machine.Goto() | machine.Branch() | machine.End():
                steps = [(target, told) for target in machine.targets(at.next)]
                todo += _unseen(states, steps, seen)
            case _:
                assert_never(at.next)
        handled = [
            (handler.target, (*before, f"catch {', '.join(map(short, handler.errors))}"))
            for handler in walk.effective(at.handlers)
        ]
        todo += _unseen(states, handled, seen)
    return list(found.values())


def steps_at(flow: machine.Machine) -> dict[str, tuple[str, ...]]:
    """For each state the steps of the tracker at which the flow may be there, in declared order."""
    states = {state.name: state for state in flow.states}
    found: dict[str, frozenset[str]] = {"Start": frozenset()}
    todo = ["Start"]
    while todo:
        state = states[todo.pop()]
        left, passed = _stepped(state.actions, found[state.name])
        handlers = [(handler.target, passed) for handler in state.handlers]
        for target, steps in [*((name, left) for name in machine.targets(state.next)), *handlers]:
            before = found.get(target)
            if before is None or not steps <= before:
                found[target] = steps | (before or frozenset())
                todo.append(target)
    order = [step.name for step in flow.steps]
    return {name: tuple(step for step in order if step in steps) for name, steps in found.items()}


def _stepped(
    actions: Iterable[machine.Action], steps: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """At which steps the flow may be behind the actions, and at which somewhere within them."""
    passed = steps
    for action in actions:
        if isinstance(action, machine.Progress):
            steps = frozenset((action.step,))
        else:
            for body in walk.bodies(action):
                after, within = _stepped(body, steps)
                steps, passed = steps | after | within, passed | within
        passed |= steps
    return steps, passed


def _unseen(
    states: Mapping[str, machine.State],
    steps: Iterable[tuple[str, tuple[str, ...]]],
    seen: set[str],
) -> Iterator[tuple[machine.State, tuple[str, ...]]]:
    for target, told in steps:
        if target not in seen:
            seen.add(target)
            yield states[target], told


def _happens(flow: machine.Machine, actions: Iterable[machine.Action]) -> Iterator[str]:
    """What others see of the actions."""
    for action in walk.each(actions):
        match action:
            case machine.Open(flow=opened):
                yield f"open {short(opened)}"
            case machine.Send(value=value):
                yield f"send {short(_type_of(flow, value))}"
            case machine.Close(session=session):
                yield f"close {_path(session)}"
            case machine.Progress(step=step):
                yield f"step {step}"
            case machine.Assign(value=machine.StartFlow(flow=started)):
                yield f"start {short(started)}"
            case machine.Do(value=machine.StartFlow(flow=started)):
                yield f"start {short(started)}"
            case _:
                pass  # The rest is the flow's own affair.


def _ends(
    flow: machine.Machine,
    actions: Iterable[machine.Action],
    caught: frozenset[str],
    before: tuple[str, ...] = (),
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """How the flow may end in the actions, by a result or by an error that nobody catches, and what
    happened `before`."""
    for action in actions:
        match action:
            case machine.Return():
                yield "return", before
            case machine.Throw(error=error) | machine.Require(error=error):
                thrown = _type_of(flow, error)
                names = {thrown, "FlowError", *flow.families.get(thrown, ())}
                if caught.isdisjoint(names):
                    yield f"throw {short(thrown)}", before
            case machine.Try(body=body, catches=catches):
                inner = caught.union(*[catch.errors for catch in catches])
                yield from _ends(flow, body, inner, before)
                for catch in catches:
                    yield from _ends(flow, catch.body, caught, before)
            case _:
                for body in walk.bodies(action):
                    yield from _ends(flow, body, caught, before)
        before = (*before, *_happens(flow, (action,)))


def _type_of(flow: machine.Machine, value: machine.Expr) -> str:
    """The declared type of a value, where that can be seen; otherwise how it is written."""
    match value:
        case machine.New(type=name):
            return name
        case machine.Var(name=name):
            for variable in flow.variables:
                if variable.name == name and isinstance(variable.type, Named):
                    return variable.type.name
            return name
        case _:
            return _path(value)


def awaited(wait: machine.Wait) -> str:
    match wait:
        case machine.AwaitMessage(session=session, type=message):
            return f"{short(message)} from {_path(session)}"
        case machine.AwaitEach(sessions=sessions, type=message):
            return f"{short(message)} from each {_path(sessions)}"
        case machine.AwaitChoice(arms=arms, timeout=timeout):
            said = [_arm(arm) for arm in arms if not isinstance(arm, machine.Late)]
            return " or ".join(said if timeout is None else [*said, _path(timeout)])
        case machine.AwaitSubflow(flow=flow, version=version):
            return f"subflow {short(flow)}_v{version}"
        case machine.AwaitResult(call=call) | machine.AwaitResults(calls=call):
            return _begun(call)
        case machine.AwaitAnswer(call=call):
            return _begun(call)
        case machine.AwaitCheckpoint():
            return "nothing: a checkpoint"
        case machine.AwaitTime(duration=duration):
            return _path(duration)
        case machine.AwaitMoment(time=time):
            return f"the time {_path(time)}"
        case machine.AwaitOperator(reason=reason):
            return f"an operator: {_path(reason)}"
        case _:
            assert_never(wait)


def _begun(call: machine.Expr) -> str:
    """What is waited for, by what began it."""
    match call:
        case machine.Request(service=service, operation=operation):
            return f"{short(service)}.{operation}"
        case machine.Follow(id=flow):
            return f"the end of flow {_path(flow)}"
        case machine.FollowEach(ids=flows):
            return f"the end of each flow of {_path(flows)}"
        case machine.AskFor(role=role, answer=answer):
            return f"{short(answer)} of {_path(role)}"
        case _:
            return _path(call)


def _arm(arm: machine.Arm) -> str:
    match arm:
        case machine.Came(session=session, any=any_, type=message):
            return f"{short(message)} from {'any ' if any_ else ''}{_path(session)}"
        case machine.Ended(session=session, any=any_):
            return f"end of {'any ' if any_ else ''}{_path(session)}"
        case machine.Done(call=call):
            return _path(call)
        case machine.Late():
            return "timeout"
        case _:
            assert_never(arm)


def _path(value: machine.Expr) -> str:
    """An expression where it is short; otherwise the source line says more."""
    match value:
        case machine.Var(name=name):
            return name
        case machine.Get(value=inner, name=name):
            return f"{_path(inner)}.{name}"
        case machine.Some(value=inner):
            return _path(inner)
        case machine.Const(type="Duration", value=int() as milliseconds):
            return _duration(milliseconds)
        case machine.Const(value=constant):
            return str(constant)
        case _:
            return "…"


def _duration(milliseconds: int) -> str:
    """As an author writes it, in the largest unit that counts it whole."""
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    unit, size = next(unit for unit in units if milliseconds % unit[1] == 0)
    return f"{milliseconds // size}{unit}"


def title(flow: machine.Machine) -> str:
    return f"{flow.name}_v{flow.version}"


def resting(flow: machine.Machine) -> list[machine.State]:
    return [state for state in flow.states if state.tag is not None]


def told(way: Way) -> str:
    more = "" if len(way.told) <= MAX_TOLD else ", …"
    shown_ = way.told if not more else way.told[: MAX_TOLD - 1]
    last = "" if not more else f"{more}, {way.told[-1]}"
    return ", ".join(shown_) + last


def short(name: str) -> str:
    return name.rpartition(".")[2]
