"""One flow's statements as blocks, cut where it must wait. Knows neither what lives across a cut
nor how a state is named.

A statement that never waits stays one action. The others are taken apart: a loop becomes blocks
that go in a circle, a `try` becomes blocks that know their handlers.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from typing import TypeAlias, assert_never

import msgspec

from flowlang import machine, syntax, types
from flowlang.cfg.actions import Actions
from flowlang.cfg.commands import commands
from flowlang.cfg.declarations import parameters, place
from flowlang.cfg.expressions import Expressions
from flowlang.cfg.graph import Block, Cfg, Kind, tidied
from flowlang.cfg.liveness import with_keeps
from flowlang.cfg.shape import MAX_FRAMES, MAX_INDENTATION, Shape, Shapes, always
from flowlang.cfg.variables import Variables
from flowlang.checker import trees
from flowlang.source import Span

_MICROSECOND = datetime.timedelta(microseconds=1)

_Awaited: TypeAlias = (
    machine.AwaitSubflow | machine.AwaitResult | machine.AwaitResults | machine.AwaitAnswer
)

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
    if flow.owner is not None:
        variables.bind(flow.owner)
        # Its number is always the first; with a default it may stand behind others that have one.
        number = machine.Const("Session", 0)
        declared += (machine.Variable(flow.owner.name, types.SESSION, number),)
    expressions = Expressions(checked, project, variables.name_of)
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
        families={
            name: one.families
            for name, one in checked.named.items()
            if isinstance(one, types.ErrorInfo) and one.families
        },
        owner=None if flow.owner is None else flow.owner.name,
        commands=commands(flow, checked, project),
        key=None if flow.key is None else expressions.of(flow.key),
        remedies=tuple(
            machine.Remedy(one.cause, one.retries, one.every // _MICROSECOND, one.ends)
            for one in flow.remedies
        ),
        plays=tuple(_plays(flow, info, checked)),
        roles=tuple(dict.fromkeys(_roles(flow, checked))),
    )


def _roles(flow: syntax.Flow, checked: types.Checked) -> Iterator[machine.Role]:
    """The roles that the flow has in sessions with another role, whoever that is."""
    opened = [one for one in trees.statements(flow.body) if isinstance(one, syntax.Open)]
    named: list[syntax.Responds | syntax.Open] = [*opened]
    if flow.responds is not None:
        named.insert(0, flow.responds)
    for one in named:
        protocol = checked.meaning_of[one.flow]
        if one.role is None or not isinstance(protocol, types.ProtocolInfo):
            continue
        role = protocol.other(one.role.name)
        sent: dict[str, None] = {}
        received: dict[str, None] = {}
        for turn in protocol.turns:
            known = sent if turn.sender == role else received
            known.update(dict.fromkeys(said.message for said in turn.said))
        yield machine.Role(f"{protocol.name}.{role}", tuple(sent), tuple(received))


def _plays(
    flow: syntax.Flow, info: types.FlowInfo, checked: types.Checked
) -> Iterator[machine.Plays]:
    """What the flow plays on the sessions that it is given. A parameter's name is its own."""
    given = {node.name for node in flow.parameters}
    if flow.responds is not None:
        given.add(flow.responds.name)
        if flow.responds.role is not None:
            protocol = checked.meaning_of[flow.responds.flow]
            assert isinstance(protocol, types.ProtocolInfo)
            role = f"{protocol.name}.{protocol.other(flow.responds.role.name)}"
            at = place(checked.source, flow.responds.span)
            yield machine.Plays(flow.responds.name, role, at)
    for one in info.plays:
        if one.session in given:
            at = place(checked.source, one.span)
            yield machine.Plays(one.session, f"{one.protocol}.{one.role}", at)


def _step(step: syntax.ProgressStep, checked: types.Checked) -> machine.ProgressStep:
    tracked = None if step.tracks is None else checked.meaning_of[step.tracks].name
    values = tuple(
        machine.Variable(parameter.name, checked.type_refs[parameter.type])
        for parameter in step.parameters
    )
    return machine.ProgressStep(step.name, _label(step.label, checked), tracked, values)


def _label(label: syntax.Expr, checked: types.Checked) -> str:
    """A label with what it shows in braces."""
    match label:
        case syntax.Constant(value=str(text)):
            return text
        case syntax.Interpolation(parts=parts):
            return "".join(
                part if isinstance(part, str) else f"{{{_written(part.span, checked)}}}"
                for part in parts
            )
        case _:
            raise ValueError("a label is a text")


def _written(span: Span, checked: types.Checked) -> str:
    return checked.source.line(span.line)[span.column - 1 : span.end_column - 1]


@dataclasses.dataclass(frozen=True)
class _Region:
    """What holds for a stretch of source: who catches, whether a fault is the peer's, and when
    what waits in it has to be over."""

    handlers: tuple[machine.Handler, ...] = ()
    checks: bool = False
    until: machine.Expr | None = None


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
        self._actions = Actions(flow, checked, self._expressions, variables, self._shapes)
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
            case syntax.Let(value=value) | syntax.Assign(value=value) if isinstance(
                value, syntax.Waiting
            ):
                # The name is not yet known to the arguments.
                wait = self._awaited(value)
                name = self._variables.bind(statement)
                self._suspend(msgspec.structs.replace(wait, name=name))
            case syntax.Return(value=value) if isinstance(value, syntax.Waiting):
                self._return_awaited(value)
            case syntax.EffectStatement(effect=effect) if isinstance(effect, syntax.Waiting):
                self._suspend(self._awaited(effect))
            case syntax.Receive():
                self._receive(statement, depth)
            case syntax.Choice():
                self._choice(statement, depth)
            case syntax.Sleep(duration=duration):
                self._suspend(machine.AwaitTime(self._expressions.of(duration), self._region.until))
            case syntax.WaitUntil(time=time):
                self._suspend(machine.AwaitMoment(self._expressions.of(time), self._region.until))
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
            case syntax.Within():
                self._within(statement, depth)
            case _:
                raise ValueError(f"{type(statement).__name__} never needs blocks of its own")

    def _awaited(self, effect: syntax.Waiting) -> _Awaited:
        """The wait for what an effect gives, which nothing takes yet."""
        until = self._region.until
        match effect:
            case syntax.Subflow(call=call):
                info = self._expressions.flow(call)
                arguments = self._expressions.arguments(call)
                return machine.AwaitSubflow(info.name, info.version, arguments, None, until)
            case syntax.Await():
                return self._await(effect)
            case syntax.Ask():
                asked = self._expressions.asked(effect)
                return machine.AwaitAnswer(asked, asked.answer, None, until)
            case _:
                assert_never(effect)

    def _await(self, node: syntax.Await) -> machine.AwaitResult | machine.AwaitResults:
        until = self._region.until
        call = self._expressions.begun(node)
        operation = self._expressions.operation(node)
        if operation is not None:
            return machine.AwaitResult(call, operation.result, None, until)
        match self._expressions.type_of(node.value):
            case types.ListType(item=types.FlowIdType(result=result)):
                return machine.AwaitResults(call, result, None, until)
            case types.ListType():
                return machine.AwaitResults(call, None, None, until)
            case types.FlowIdType(result=result):
                return machine.AwaitResult(call, result, None, until)
            case _:
                return machine.AwaitResult(call, None, None, until)

    def _return_awaited(self, effect: syntax.Waiting) -> None:
        wait = self._awaited(effect)
        value: machine.Expr | None = None
        if self._info.result is not None:
            name = self._variables.hidden("result", self._info.result)
            wait = msgspec.structs.replace(wait, name=name)
            value = machine.Var(name)
        self._suspend(wait)
        self._do([machine.Return(value, self._place)])
        self._end(machine.End())

    def _receive(self, node: syntax.Receive, depth: int) -> None:
        if node.send is not None:
            self._do(self._actions.of(node.send, depth))
        session = self._expressions.of(node.session)
        until, discard = self._region.until, False
        if node.deadline is not None:
            until, discard = self._until(node.deadline.duration), node.deadline.discard
        name = self._variables.bind(node)
        kind = self._checked.type_refs[node.type]
        message = self._message(node.type)
        wait: machine.Wait = machine.AwaitMessage(session, message, name, until, discard)
        if node.each:
            optional = isinstance(kind, types.OptionalType)
            wait = machine.AwaitEach(session, message, name, optional, until, discard)
        self._suspend(wait, node.state)
        self._actions.enter()
        self._check(node.checks or (), depth + 1)
        self._actions.exit()

    def _check(self, checks: syntax.Block, depth: int) -> None:
        """The statements of a block of checks, which is open already."""
        if not checks:
            return
        if not _too_deep(self._shapes.of_checks(checks)):
            found = [action for one in checks for action in self._actions.of(one, depth)]
            self._do([machine.Check(tuple(found), self._place)])
            return
        after = self._draft("join")
        draft = self._draft("check", None, dataclasses.replace(self._region, checks=True))
        self._goto(draft)
        self._begin(draft)
        for statement in checks:
            self._statement(statement, depth)
        self._goto(after)
        self._begin(after)

    def _choice(self, node: syntax.Choice, depth: int) -> None:
        """A wait whose end tells which way to go on."""
        if node.send is not None:
            self._do(self._actions.of(node.send, depth))
        arms = tuple(self._arm(case, node) for case in node.cases)
        late = [case for case in node.cases if isinstance(case, syntax.TimeoutCase)]
        timeout = self._expressions.of(late[0].duration) if late else None
        self._suspend(machine.AwaitChoice(arms, timeout, self._region.until), node.state)
        places = [place(self._checked.source, case.span) for case in node.cases]
        drafts = [self._draft("case", at) for at in places]
        after = self._draft("join")
        self._end(machine.Choose(arms, tuple(draft.id for draft in drafts), self._place))
        for case, draft, at in zip(node.cases, drafts, places, strict=True):
            self._begin(draft)
            self._place = at
            self._case(case, depth + 1)
            self._goto(after)
        self._begin(after)

    def _arm(self, case: syntax.Case, node: syntax.Choice) -> machine.Arm:
        match case:
            case syntax.MessageCase(type=type_, session=session, any=any_):
                return machine.Came(self._session(session, node), any_, self._message(type_))
            case syntax.EndedCase(session=session, any=any_):
                return machine.Ended(self._session(session, node), any_)
            case syntax.TimeoutCase():
                return machine.Late()
            case syntax.DoneCase(pending=pending):
                return machine.Done(self._pending(pending))
            case syntax.BrokenCase():
                raise ValueError("a file with this case is not correct")
            case _:
                assert_never(case)

    def _pending(self, name: syntax.Name) -> machine.Var:
        return machine.Var(self._variables.name_of(self._checked.variable_of[name]))

    def _outcome(self, name: syntax.Name) -> machine.Outcome | machine.Reply:
        match self._checked.variable_of[name].type:
            case types.PendingType(result=types.AnswerType(value=types.Named(name=answer))):
                return machine.Reply(answer)
            case types.PendingType(result=types.NoneType()):
                return machine.Outcome(None)
            case types.PendingType(result=result):
                return machine.Outcome(result)
            case _:
                raise ValueError(f"{name.name} is not pending")

    def _give(self, taker: syntax.Bound | None, value: machine.Expr) -> None:
        """What came, to its name if it has one."""
        if taker is None:
            self._do([machine.Do(value, self._place)])
        else:
            self._do([machine.Assign(self._variables.bind(taker), value, self._place)])

    def _session(self, session: syntax.Expr | None, node: syntax.Choice) -> machine.Expr:
        found = session or node.session
        if found is None:
            raise ValueError("a case is about a session")
        return self._expressions.of(found)

    def _message(self, type_: syntax.TypeRef) -> str:
        kind = self._checked.type_refs[type_]
        if isinstance(kind, types.OptionalType):
            kind = kind.item
        if not isinstance(kind, types.Named):
            raise ValueError("only a message is received")
        return kind.name

    def _case(self, case: syntax.Case, depth: int) -> None:
        """What came gets its names, then what is done about it."""
        checks = 0
        if isinstance(case, syntax.DoneCase):
            self._give(case.value, self._outcome(case.pending))
        if isinstance(case, syntax.MessageCase):
            self._give(case.value, machine.Received(self._message(case.type)))
            checks = self._checked.checks_of.get(case, 0)
        if isinstance(case, syntax.MessageCase | syntax.EndedCase) and case.sender is not None:
            name = self._variables.bind(case.sender)
            self._do([machine.Assign(name, machine.Sender(), self._place)])
        self._actions.enter()
        self._check(case.body[:checks], depth)
        for statement in case.body[checks:]:
            self._statement(statement, depth)
        self._do(self._actions.leave(depth - 1))
        self._actions.exit()

    def _until(self, duration: syntax.Expr) -> machine.Expr:
        """When this much time will have passed, or what is around has to be over."""
        now = machine.Builtin("now")
        end = machine.Arithmetic("+", "Timestamp", now, self._expressions.of(duration))
        outer = self._region.until
        return end if outer is None else machine.Earlier(outer, end)

    def _within(self, node: syntax.Within, depth: int) -> None:
        """The moment at which the block has to be over is fixed when it is entered."""
        until = self._until(node.duration)
        name = self._variables.hidden("deadline", types.TIMESTAMP)
        self._do([machine.Assign(name, until, self._place)])
        after = self._draft("join")
        inner = dataclasses.replace(self._region, until=machine.Var(name))
        body = self._draft("within", None, inner)
        self._goto(body)
        self._begin(body)
        self._block(node.body, depth + 1)
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
