"""What goes on beside a flow: `await`, and `pending` of what is awaited or asked."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from flowlang import syntax
from tests.programs.arithmetic import Value
from tests.programs.choices import chance, pick
from tests.programs.entries import Maker, RightSide
from tests.programs.kinds import INT, SHOWN, TEXT, Kind
from tests.programs.language import events, people, starting
from tests.programs.names import NOT_READ, Variable
from tests.programs.world import Begun, Effect, Frame, Run, Thrown, Wait, World

if TYPE_CHECKING:
    from tests.programs.flows import Flows
    from tests.programs.reference import Interpreter

_BEGUN = ("call", "ticket", "matter")


# --- written ---


def _awaits(flow: Flows) -> Iterable[tuple[int, Maker]]:
    yield 4, lambda: flow.bind(_fetch(flow), INT)
    yield 3, lambda: flow.caught("Lost", lambda: flow.line(_ship(flow)))
    for variable in starting.waiting_for(flow):
        yield 6, lambda v=variable: starting.await_one(flow, v)  # type: ignore[misc]


def _fetch(flow: Flows) -> str:
    return f"await Desk.fetch({flow.make.of(INT, 1).text})"


def _ship(flow: Flows) -> str:
    words, number = flow.make.of(TEXT, 1).text, flow.make.of(INT, 1).text
    return f"await Desk.ship({words}, {number})"


def _begins(flow: Flows) -> Iterable[tuple[int, Maker]]:
    if flow.indent < 6:
        yield 5, lambda: _one(flow)
        yield 2, lambda: _race(flow)
        yield 3, lambda: events.told(flow)


def _one(flow: Flows) -> None:
    """Begun, then something else, then taken, maybe after it was too early for that."""
    sorts = ["fetch", "ship", "ask"]
    ids = starting.waiting_for(flow)
    if ids:
        sorts += ["id", "id"]
    sort = pick(flow.choices, sorts)
    name = flow.names.fresh(_BEGUN)
    kind: Kind | None = None
    throws = ""
    if sort == "fetch":
        text, kind = _fetch(flow), INT
    elif sort == "ship":
        text, throws = _ship(flow), "Lost"
    elif sort == "ask":
        (text, limited), kind = people.question(flow), people.ANSWER.kind
        throws = "TaskExpired" if limited else ""
    else:
        found = pick(flow.choices, ids)
        text, throws = f"await {found.name}", "FlowFailed"
        kind = found.kind.items[0] if found.kind.items else None
    flow.line(f"let {name} = pending {text}")
    flow.names.declare(Variable(name, NOT_READ, fixed=True))
    flow.statements(flow.choices.below(3))

    def body() -> None:
        flow.line(f"receive{_state(flow)}:")
        flow.indent += 1
        taken(flow, name, kind, sort)
        if chance(flow.choices, 30):
            flow.line("case timeout 36000d:")
            flow.line('    Desk.note("never")')
        flow.indent -= 1

    if throws:
        flow.caught(throws, body)
    else:
        body()


def _state(flow: Flows) -> str:
    flow.states += 1
    return pick(flow.choices, ("", f" @taken_{flow.states}"))


def taken(flow: Flows, name: str, kind: Kind | None, sort: str) -> None:
    """The case of what was begun, with a block of its own."""
    word = "answer" if sort == "ask" else "result"
    named = kind is not None and chance(flow.choices, 80)
    value = Variable(flow.name(), kind) if kind is not None else None
    flow.line(f"case {word} {name}{f' as {value.name}' if named and value else ''}:")

    def first() -> None:
        if not named or value is None:
            return
        if sort == "ask":
            people.told(flow, value)
            return
        flow.names.declare(value)
        if value.kind in SHOWN:
            flow.line(f'Desk.note("{{{value.name}}}")')

    flow.block(1 + flow.choices.below(2), first=first)


def _race(flow: Flows) -> None:
    """A person, who is always slower than a machine and faster than time, and both in a loop."""
    call = flow.names.fresh(_BEGUN)
    flow.line(f"let {call} = pending {_fetch(flow)}")
    flow.names.declare(Variable(call, NOT_READ, fixed=True))
    ticket = flow.names.fresh(_BEGUN)
    asked = flow.make.of(people.QUERY.kind, 1).text
    flow.line(f'let {ticket} = pending ask "clerk": {asked} -> Verdict')
    flow.names.declare(Variable(ticket, NOT_READ, fixed=True))
    each = flow.name()
    flow.line(f"for {each} in [1, 2]:")
    flow.indent += 1
    flow.names.push()
    flow.names.declare(Variable(each, INT))
    flow.line("receive:")
    flow.indent += 1
    flow.line(f"case result {call} as done:")
    flow.line(f'    Desk.note("{{{each}}} {{done}}")')
    flow.line(f"case answer {ticket} as reply:")
    flow.line(f'    Desk.note("{{{each}}} {{reply.rest}}")')
    flow.line("case timeout 36000d:")
    flow.line("    break")
    flow.indent -= 1
    flow.names.pop()
    flow.indent -= 1


# --- run ---


def _await(
    interpreter: Interpreter, frame: Frame, node: syntax.Await
) -> Generator[Wait, None, Value]:
    if node.each:
        ids = interpreter.value(frame, node.value)
        assert isinstance(ids, tuple)
        each = [starting.followed(interpreter.world, run) for run in ids]
        yield Wait(ready=lambda: _over(ids))
        interpreter.world.counts["awaited each"] += 1
        for begun, run in zip(each, ids, strict=True):
            if run.ending is not None and run.ending.how == "failed":
                begun.end()
        return tuple([begun.end() for begun in each])
    begun = _awaited(interpreter, frame, node)
    yield begun.wait()
    return begun.end()


def _over(ids: tuple[Value, ...]) -> bool:
    ends = []
    for run in ids:
        assert isinstance(run, Run)
        ends.append(None if run.ending is None else run.ending.how)
    return "failed" in ends or all(end == "returned" for end in ends)


def _awaited(interpreter: Interpreter, frame: Frame, node: syntax.Await) -> Begun:
    """An operation comes to its end after the step that asks for it; or a flow."""
    if not isinstance(node.value, syntax.Call):
        run = interpreter.value(frame, node.value)
        assert isinstance(run, Run)
        return starting.followed(interpreter.world, run)
    thrown: Thrown | None = None
    value: Value = None
    try:
        value = interpreter.value(frame, node.value)
    except Thrown as error:
        thrown = error
    ran: list[bool] = []

    def act(world: World, run: Run) -> None:
        ran.append(True)

    def end() -> Value:
        if thrown is not None:
            raise thrown
        return value

    interpreter.run.pending.append(Effect("call", act=act))
    return Begun(lambda: bool(ran), end)


def _pend(
    interpreter: Interpreter, frame: Frame, node: syntax.Pending
) -> Generator[Wait, None, Value]:
    if isinstance(node.effect, syntax.Ask):
        return people.asked(interpreter, frame, node.effect)
    return _awaited(interpreter, frame, node.effect)
    yield


def _counted(node: syntax.Await) -> Iterable[str]:
    if node.each:
        yield "await each"
    elif isinstance(node.value, syntax.Call):
        yield "await an operation"
    else:
        yield "await a flow"


# --- known ---

ENTRIES = (
    RightSide(
        syntax.Await,
        offers=_awaits,
        runs=_await,
        counted=_counted,
        wanted=("await each", "await an operation", "await a flow", "awaited each"),
    ),
    RightSide(
        syntax.Pending,
        offers=_begins,
        runs=_pend,
        counted=lambda node: [f"pending {type(node.effect).__name__.lower()}"],
        wanted=("pending ask", "pending await"),
    ),
)
