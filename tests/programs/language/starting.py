"""Flows of their own: `start F(…)`, `start F(…) at t`. What comes of them is the business of
`pending`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from flowlang import syntax
from tests.programs.arithmetic import Moment, Value
from tests.programs.choices import chance, pick
from tests.programs.entries import Maker, RightSide
from tests.programs.expressions import Where
from tests.programs.kinds import DURATION, SHOWN, Kind, list_of
from tests.programs.names import NOT_READ, Variable
from tests.programs.world import Begun, Effect, Frame, Run, Wait, World, built_in

if TYPE_CHECKING:
    from tests.programs.flows import Flows
    from tests.programs.plans import Plan
    from tests.programs.reference import Interpreter

STARTED = "Started"
"""The kind of ids of flows, with what these give: no expression reads one."""

_IDS = ("job", "child", "id_2", "errand", "chore")


# --- written ---


def _starts(flow: Flows) -> Iterable[tuple[int, Maker]]:
    if flow.room_for_flow() or _known(flow):
        yield 5, lambda: _start(flow)
        yield 2, lambda: _several(flow)
        yield 1, lambda: flow.line(f"start {_called(flow, _plan(flow))}{_moment(flow)}")


def _known(flow: Flows) -> list[Plan]:
    return [
        plan
        for plan in flow.book.plans
        if plan.name.startswith(("Child", "Part"))
        and plan.index > flow.plan.index
        and plan.talk is None
        and not plan.untrusted
    ]


def _plan(flow: Flows) -> Plan:
    known = _known(flow)
    if known and (chance(flow.choices, 50) or not flow.room_for_flow()):
        return pick(flow.choices, known)
    return flow.book.subflow(may_throw=chance(flow.choices, 60), stem="Child")


def _called(flow: Flows, plan: Plan) -> str:
    return f"{plan.name}({flow.arguments(plan)})"


def _moment(flow: Flows) -> str:
    if not chance(flow.choices, 30):
        return ""
    return f" at now + ({flow.make.of(DURATION, 1, Where(calls=0)).text})"


def _start(flow: Flows) -> None:
    """One, and often what comes of it, after something else."""
    plan = _plan(flow)
    name = flow.names.fresh(_IDS)
    flow.line(f"let {name} = start {_called(flow, plan)}{_moment(flow)}")
    items = () if plan.result is None else (plan.result,)
    variable = flow.names.declare(Variable(name, Kind(STARTED, items), fixed=True))
    if chance(flow.choices, 60):
        flow.statements(flow.choices.below(2))
        await_one(flow, variable)


def _several(flow: Flows) -> None:
    """Some in a list, which a loop may make longer, and what comes of all."""
    plan = _plan(flow)
    name = flow.names.fresh(("ids", "jobs", "chores"))
    kind = "" if plan.result is None else f"[{plan.result}]"
    if chance(flow.choices, 50):
        flow.line(f"var {name}: List[FlowId{kind}] = []")
        flow.names.declare(Variable(name, NOT_READ, fixed=True))
        one, each = flow.names.fresh(_IDS), flow.name()
        flow.line(f"for {each} in [1, 2]:")
        flow.line(f"    let {one} = start {_called(flow, plan)}")
        flow.line(f"    {name} = {name} + [{one}]")
    else:
        ids = []
        for _ in range(2):
            one = flow.names.fresh(_IDS)
            ids.append(one)
            flow.line(f"let {one} = start {_called(flow, plan)}{_moment(flow)}")
            flow.names.declare(Variable(one, Kind(STARTED), fixed=True))
        flow.line(f"let {name} = [{', '.join(ids)}]")
        flow.names.declare(Variable(name, NOT_READ, fixed=True))
    _gather(flow, name, plan)


def _gather(flow: Flows, ids: str, plan: Plan) -> None:
    result = plan.result

    def body() -> None:
        if result is None:
            flow.line(f"await each {ids}")
            return
        found = flow.name()
        flow.line(f"let {found} = await each {ids}")
        # A list of optionals written out has no type of its own, so nothing is compared with this.
        kind = NOT_READ if result.name == "Optional" else list_of(result)
        flow.names.declare(Variable(found, kind))
        flow.line(f'Desk.note("{{{found}.size}}")')
        if result in SHOWN and chance(flow.choices, 70):
            one = flow.name()
            flow.line(f"for {one} in {found}:")
            flow.line(f'    Desk.note("{{{one}}}")')

    flow.caught("FlowFailed", body)


def waiting_for(flow: Flows) -> list[Variable]:
    """The flows that were started and whose ids are in scope."""
    return [v for v in flow.names.variables() if v.kind.name == STARTED and v.name in _IDS]


def await_one(flow: Flows, variable: Variable) -> None:
    kind = variable.kind.items[0] if variable.kind.items else None

    def body() -> None:
        flow.bind(f"await {variable.name}", kind)
        if kind is not None and chance(flow.choices, 50):
            flow.note()

    flow.caught("FlowFailed", body)


# --- run ---


def _begin(
    interpreter: Interpreter, frame: Frame, node: syntax.Start
) -> Generator[Wait, None, Value]:
    world = interpreter.world
    assert isinstance(node.call.callee, syntax.Name)
    flow = world.declared[node.call.callee.name]
    assert isinstance(flow, syntax.Flow)
    arguments = interpreter.given(frame, node.call, flow.parameters)
    run = Run(interpreter.run.party, flow)
    if node.at is not None:
        moment = interpreter.value(frame, node.at)
        assert isinstance(moment, Moment)
        run.waiting = Wait(due=moment.microseconds)

    def act(world: World, _: Run) -> None:
        run.steps = world.begin(world, run, arguments, None)
        world.runs.append(run)

    interpreter.run.pending.append(Effect("start", act=act))
    return run
    yield


def followed(world: World, run: Run) -> Begun:
    """The end of a flow that was started."""

    def done() -> bool:
        return run.ending is not None and run.ending.how in ("returned", "failed")

    def end() -> Value:
        assert run.ending is not None
        if run.ending.how == "failed":
            world.counts["a flow that was started failed"] += 1
            raise built_in("FlowFailed")
        return run.result

    return Begun(done, end)


# --- known ---

ENTRIES = (
    RightSide(
        syntax.Start,
        offers=_starts,
        runs=_begin,
        counted=lambda node: ["start" if node.at is None else "start at"],
        wanted=("start", "start at", "a flow that was started failed"),
    ),
)
