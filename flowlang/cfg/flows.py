"""One flow's statements as blocks, cut where it must wait. Knows neither what lives across a cut
nor how a state is named.

A statement that never waits stays one action. The others are taken apart: a loop becomes blocks
that go in a circle, a `try` becomes blocks that know their handlers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from flowlang import machine, syntax, types
from flowlang.cfg.actions import Actions
from flowlang.cfg.declarations import parameters, place
from flowlang.cfg.expressions import Expressions
from flowlang.cfg.graph import Block, Cfg, Kind, tidied
from flowlang.cfg.liveness import with_keeps
from flowlang.cfg.shape import MAX_FRAMES, MAX_INDENTATION, Shape, Shapes, always
from flowlang.cfg.variables import Variables

BODY = 0
"""The nesting depth of a flow's own statements."""


def build(flow: syntax.Flow, checked: types.Checked, project: Mapping[str, types.Checked]) -> Cfg:
    """The blocks of one flow of a file without mistakes; `project` has the checked files by
    module."""
    info = checked.infos[flow.name]
    if not isinstance(info, types.FlowInfo):
        raise ValueError(f"{flow.name} is no flow")
    variables = Variables(checked)
    declared = parameters(info.parameters, Expressions(checked, project, variables.name_of))
    for node in flow.parameters:
        variables.bind(node)
    if flow.responds is not None:
        variables.bind(flow.responds)
        declared += (machine.Variable(flow.responds.name, types.SESSION),)
    blocks = tidied(_Lowering(flow, info, checked, project, variables).blocks())
    order = [variable.name for variable in variables.all()]
    return Cfg(
        name=info.name,
        version=info.version,
        doc=flow.doc,
        parameters=declared,
        result=info.result,
        responds_to=info.responds_to,
        startable=flow.startable,
        steps=tuple(_step(step, checked) for step in flow.steps),
        variables=variables.all(),
        blocks=with_keeps(blocks, order),
        place=place(checked.source, flow.span),
    )


def _step(step: syntax.ProgressStep, checked: types.Checked) -> machine.ProgressStep:
    tracked = None if step.tracks is None else checked.meaning_of[step.tracks].name
    label = step.label.value if isinstance(step.label, syntax.Constant) else ""
    return machine.ProgressStep(step.name, str(label), tracked)


@dataclasses.dataclass(frozen=True)
class _Region:
    """What holds for a stretch of source: who catches, and whether a fault is the peer's."""

    handlers: tuple[machine.Handler, ...] = ()
    checks: bool = False


@dataclasses.dataclass
class _Draft:
    """A block while it is being written. Others may lead to it before it is begun."""

    id: str
    kind: Kind
    region: _Region
    place: machine.Place | None = None
    awaits: machine.Wait | None = None
    given: str | None = None
    next: machine.Next | None = None
    actions: list[machine.Action] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Loop:
    """Where `continue` and `break` go, and the nesting depth that the loop itself stands at."""

    head: _Draft
    exit: _Draft
    depth: int


class _Lowering:
    """Writes the blocks of one flow, from its first statement to its last."""

    def __init__(
        self,
        flow: syntax.Flow,
        info: types.FlowInfo,
        checked: types.Checked,
        project: Mapping[str, types.Checked],
        variables: Variables,
    ) -> None:
        self._flow = flow
        self._info = info
        self._checked = checked
        self._variables = variables
        self._expressions = Expressions(checked, project, variables.name_of)
        self._shapes = Shapes()
        self._actions = Actions(checked, self._expressions, variables, self._shapes)
        self._begun: list[_Draft] = []
        self._count = 0
        self._loops: list[_Loop] = []
        self._place = place(checked.source, flow.span)
        self._region = _Region()
        self._at = self._draft("start", self._place)

    def blocks(self) -> list[Block]:
        """All blocks, in the order of the source; some may lead nowhere and be led to by none."""
        self._begin(self._at)
        self._block(self._flow.body, BODY)
        if self._at.next is None:
            self._do([machine.Return(None, self._place)])
            self._end(machine.End())
        return [_finished(draft, self._place) for draft in self._begun]

    # --- writing blocks ---------------------------------------------------------------------

    def _draft(
        self, kind: Kind, at: machine.Place | None = None, region: _Region | None = None
    ) -> _Draft:
        """A new block; without a place it gets that of the first statement in it."""
        self._count += 1
        return _Draft(str(self._count), kind, region or self._region, at)

    def _begin(self, draft: _Draft) -> None:
        """Write into this block from here on."""
        self._begun.append(draft)
        self._region = draft.region
        self._at = draft

    def _do(self, actions: list[machine.Action]) -> None:
        if self._at.next is None:
            self._at.actions += actions

    def _end(self, following: machine.Next) -> None:
        """Say where the block goes, unless it has gone somewhere already."""
        if self._at.place is None:
            self._at.place = self._place
        if self._at.next is None:
            self._at.next = following

    def _goto(self, draft: _Draft) -> None:
        self._end(machine.Goto(draft.id))

    def _branch(self, condition: machine.Expr, then: _Draft, otherwise: _Draft) -> None:
        self._end(machine.Branch(condition, then.id, otherwise.id, self._place))

    def _suspend(self, wait: machine.Wait, given: str | None = None) -> None:
        after = self._draft("wait", self._place)
        after.awaits = wait
        after.given = given
        self._end(machine.Suspend(wait, after.id, self._place))
        self._begin(after)

    # --- statements -------------------------------------------------------------------------

    def _block(self, block: syntax.Block, depth: int) -> None:
        """A block of the source at this nesting depth; where its end is reached, its sessions
        end."""
        self._actions.enter()
        for statement in block:
            self._statement(statement, depth)
        self._do(self._actions.leave(depth - 1))
        self._actions.exit()

    def _statement(self, statement: syntax.Statement, depth: int) -> None:
        self._place = place(self._checked.source, statement.span)
        if self._at.place is None:
            self._at.place = self._place
        shape = self._shapes.of(statement)
        if shape.waits or shape.breaks or _too_deep(shape):
            self._in_blocks(statement, depth)
            return
        self._do(self._actions.of(statement, depth))
        if not shape.goes_on:
            self._end(machine.End())

    def _in_blocks(self, statement: syntax.Statement, depth: int) -> None:
        match statement:
            case syntax.Let(value=syntax.Subflow() as subflow):
                # The name is not yet known to the arguments.
                wait = self._subflow(subflow)
                name = self._variables.bind(statement)
                self._suspend(machine.AwaitSubflow(wait.flow, wait.version, wait.arguments, name))
            case syntax.Assign(value=syntax.Subflow() as subflow):
                wait = self._subflow(subflow)
                name = self._variables.bind(statement)
                self._suspend(machine.AwaitSubflow(wait.flow, wait.version, wait.arguments, name))
            case syntax.Return(value=syntax.Subflow() as subflow):
                self._return_subflow(subflow)
            case syntax.EffectStatement(effect=subflow):
                self._suspend(self._subflow(subflow))
            case syntax.Receive():
                self._receive(statement, depth)
            case syntax.Sleep(duration=duration):
                self._suspend(machine.AwaitTime(self._expressions.of(duration)))
            case syntax.Checkpoint():
                self._suspend(machine.AwaitCheckpoint())
            case syntax.Hold(reason=reason):
                self._suspend(machine.AwaitOperator(self._expressions.of(reason)))
            case syntax.Break():
                self._do(self._actions.leave(self._loops[-1].depth))
                self._goto(self._loops[-1].exit)
            case syntax.Continue():
                self._do(self._actions.leave(self._loops[-1].depth))
                self._goto(self._loops[-1].head)
            case syntax.If():
                self._if(statement, depth)
            case syntax.Match():
                self._match(statement, depth)
            case syntax.While():
                self._while(statement, depth)
            case syntax.For():
                self._for(statement, depth)
            case syntax.Try():
                self._try(statement, depth)
            case _:
                raise ValueError(f"{type(statement).__name__} never needs blocks of its own")

    def _subflow(self, subflow: syntax.Subflow) -> machine.AwaitSubflow:
        info = self._checked.meaning_of[subflow.call.callee]
        if not isinstance(info, types.FlowInfo):
            raise ValueError(f"{info.name} is no flow")
        arguments = self._expressions.given(subflow.call, info.name, info.parameters)
        return machine.AwaitSubflow(info.name, info.version, arguments, None)

    def _return_subflow(self, subflow: syntax.Subflow) -> None:
        wait = self._subflow(subflow)
        value: machine.Expr | None = None
        if self._info.result is not None:
            name = self._variables.hidden("result", self._info.result)
            wait = machine.AwaitSubflow(wait.flow, wait.version, wait.arguments, name)
            value = machine.Var(name)
        self._suspend(wait)
        self._do([machine.Return(value, self._place)])
        self._end(machine.End())

    def _receive(self, node: syntax.Receive, depth: int) -> None:
        if node.send is not None:
            self._do(self._actions.of(node.send, depth))
        session = self._expressions.of(node.session)
        kind = self._checked.type_refs[node.type]
        if not isinstance(kind, types.Named):
            raise ValueError("only a message is received")
        name = self._variables.bind(node)
        self._suspend(machine.AwaitMessage(session, kind.name, name), node.state)
        if node.checks is None:
            return
        if not _too_deep(self._shapes.of(node)):
            self._do([machine.Check(self._actions.block(node.checks, depth + 1), self._place)])
            return
        region = dataclasses.replace(self._region, checks=True)
        after = self._draft("join")
        checks = self._draft("check", None, region)
        self._goto(checks)
        self._begin(checks)
        self._block(node.checks, depth + 1)
        self._goto(after)
        self._begin(after)

    def _if(self, node: syntax.If, depth: int) -> None:
        after = self._draft("join")
        for condition, body in node.branches:
            self._place = place(self._checked.source, condition.span)
            then, otherwise = self._draft("then"), self._draft("else")
            self._branch(self._expressions.of(condition), then, otherwise)
            self._begin(then)
            self._block(body, depth + 1)
            self._goto(after)
            self._begin(otherwise)
        self._block(node.otherwise or (), depth + 1)
        self._goto(after)
        self._begin(after)

    def _match(self, node: syntax.Match, depth: int) -> None:
        """Like an `if`; the last case takes all that is left."""
        after = self._draft("join")
        before, subject = self._actions.matched(node, self._place)
        self._do(before)
        *first, last = node.cases
        for case in first:
            self._place = place(self._checked.source, case.span)
            then, otherwise = self._draft("then"), self._draft("else")
            self._branch(self._expressions.matches(case, subject, node.value), then, otherwise)
            self._begin(then)
            self._do(self._actions.parts(case, subject))
            self._block(case.body, depth + 1)
            self._goto(after)
            self._begin(otherwise)
        self._place = place(self._checked.source, last.span)
        self._do(self._actions.parts(last, subject))
        self._block(last.body, depth + 1)
        self._goto(after)
        self._begin(after)

    def _while(self, node: syntax.While, depth: int) -> None:
        loop = _Loop(self._draft("loop", self._place), self._draft("join"), depth)
        self._goto(loop.head)
        self._begin(loop.head)
        if not always(node.condition):
            body = self._draft("body")
            self._branch(self._expressions.of(node.condition), body, loop.exit)
            self._begin(body)
        self._round(loop, node.body)

    def _round(self, loop: _Loop, body: syntax.Block) -> None:
        self._loops.append(loop)
        self._block(body, loop.depth + 1)
        self._loops.pop()
        self._goto(loop.head)
        self._begin(loop.exit)

    def _for(self, node: syntax.For, depth: int) -> None:
        """A loop that waits cannot be Python's own: a list and an index live across the waits."""
        at = self._place
        items = self._items(node)
        index = self._variables.hidden(f"{node.name}_index", types.INT)
        self._do([machine.Assign(index, machine.Const("Int", 0), at)])
        loop = _Loop(self._draft("loop", at), self._draft("join"), depth)
        self._goto(loop.head)
        self._begin(loop.head)
        body = self._draft("body", at)
        more = machine.Compare("<", machine.Var(index), machine.Size(machine.Var(items)))
        self._branch(more, body, loop.exit)
        self._begin(body)
        item = machine.Item(machine.Var(items), machine.Var(index), False)
        following = machine.Arithmetic("+", "Int", machine.Var(index), machine.Const("Int", 1))
        name = self._variables.bind(node)
        self._do([machine.Assign(name, item, at), machine.Assign(index, following, at)])
        self._round(loop, node.body)

    def _items(self, node: syntax.For) -> str:
        """The variable with the items: the author's own where it is a list that cannot change."""
        kind = self._expressions.type_of(node.values)
        values = self._expressions.of(node.values)
        if isinstance(kind, types.MapType):
            values, kind = machine.Keys(values), types.ListType(kind.key)
        elif isinstance(values, machine.Var):
            if not self._checked.variable_of[node.values].mutable:
                return values.name
        name = self._variables.hidden(f"{node.name}_items", kind)
        self._do([machine.Assign(name, values, self._place)])
        return name

    def _try(self, node: syntax.Try, depth: int) -> None:
        after = self._draft("join")
        opens = self._shapes.of_block(node.body).opens
        drafts = []
        handlers = []
        for catch in node.catches:
            draft = self._draft("catch", place(self._checked.source, catch.span))
            caught, name = self._actions.caught(catch)
            handlers.append(machine.Handler(caught, name, draft.id))
            drafts.append((catch, draft))
        outer = self._region
        inner = dataclasses.replace(outer, handlers=(*handlers, *outer.handlers))
        body = self._draft("try", None, inner)
        self._goto(body)
        self._begin(body)
        self._block(node.body, depth + 1)
        self._goto(after)
        for catch, draft in drafts:
            self._begin(draft)
            if opens:
                self._do([machine.Leave(depth)])
            self._block(catch.body, depth + 1)
            self._goto(after)
        self._begin(after)


def _finished(draft: _Draft, last: machine.Place) -> Block:
    return Block(
        id=draft.id,
        kind=draft.kind,
        given=draft.given,
        awaits=draft.awaits,
        actions=tuple(draft.actions),
        next=draft.next or machine.End(),
        handlers=draft.region.handlers,
        checks=draft.region.checks,
        place=draft.place or last,
    )


def _too_deep(shape: Shape) -> bool:
    return shape.indentation > MAX_INDENTATION or shape.frames > MAX_FRAMES
