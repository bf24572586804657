"""Statements that never wait, as actions. Knows which sessions end where a block is left, and no
blocks of a graph."""

from __future__ import annotations

from collections.abc import Iterable

from flowlang import machine, syntax, types
from flowlang.cfg.declarations import place
from flowlang.cfg.expressions import Expressions
from flowlang.cfg.shape import Shapes
from flowlang.cfg.variables import Variables


class Actions:
    """Turns statements into actions, in the order of the source, and remembers at which nesting
    depths a session may be open at this point."""

    def __init__(
        self,
        flow: syntax.Flow,
        checked: types.Checked,
        expressions: Expressions,
        variables: Variables,
        shapes: Shapes,
    ) -> None:
        self._steps = {step.name: step for step in flow.steps}
        info = checked.infos[flow.name]
        said = info.plays if isinstance(info, types.FlowInfo) else ()
        self._plays = {one.session: f"{one.protocol}.{one.role}" for one in said}
        self._checked = checked
        self._expressions = expressions
        self._variables = variables
        self._shapes = shapes
        self._opened: list[bool] = []
        self._loops: list[int] = []

    # --- blocks and their sessions ----------------------------------------------------------

    def enter(self) -> None:
        """A block begins; the flow's own is at depth 0."""
        self._opened.append(False)

    def exit(self) -> None:
        """The block ends."""
        self._opened.pop()

    def leave(self, depth: int) -> list[machine.Action]:
        """What ends the sessions opened deeper than `depth`, if at this point there can be any."""
        if depth >= 0 and any(self._opened[depth + 1 :]):
            return [machine.Leave(depth)]
        return []

    def block(self, block: Iterable[syntax.Statement], depth: int) -> tuple[machine.Action, ...]:
        """A block of the source at this nesting depth."""
        statements = tuple(block)
        self.enter()
        found: list[machine.Action] = []
        for statement in statements:
            found += self.of(statement, depth)
        if self._shapes.of_block(statements).goes_on:
            found += self.leave(depth - 1)
        self.exit()
        return tuple(found)

    # --- statements -------------------------------------------------------------------------

    def of(self, statement: syntax.Statement, depth: int) -> list[machine.Action]:
        """One statement in a block at this nesting depth."""
        at = place(self._checked.source, statement.span)
        expression = self._expressions.of
        match statement:
            case syntax.Let(value=value) | syntax.Assign(value=value):
                found = self._expressions.given(value)
                return [machine.Assign(self._variables.bind(statement), found, at)]
            case syntax.If(branches=branches, otherwise=otherwise):
                ways = tuple(
                    (expression(condition), self.block(body, depth + 1))
                    for condition, body in branches
                )
                return [machine.If(ways, self.block(otherwise or (), depth + 1), at)]
            case syntax.Match():
                return self._match(statement, depth, at)
            case syntax.While(condition=condition, body=body):
                test = expression(condition)
                return [machine.While(test, self._round(body, depth), at)]
            case syntax.For():
                return [self._for(statement, depth, at)]
            case syntax.Break():
                return [*self.leave(self._loops[-1]), machine.Break(at)]
            case syntax.Continue():
                return [*self.leave(self._loops[-1]), machine.Continue(at)]
            case syntax.Try():
                return [self._try(statement, depth, at)]
            case _:
                return self._simple(statement, depth, at)

    # --- match ------------------------------------------------------------------------------

    def _match(self, node: syntax.Match, depth: int, at: machine.Place) -> list[machine.Action]:
        before, subject = self.matched(node, at)
        *first, last = node.cases
        ways = []
        for case in first:
            test = self._expressions.matches(case, subject, node.value)
            body = (*self.parts(case, subject), *self.block(case.body, depth + 1))
            ways.append((test, body))
        rest = (*self.parts(last, subject), *self.block(last.body, depth + 1))
        if not ways:
            return [*before, *rest]
        return [*before, machine.If(tuple(ways), rest, at)]

    def matched(
        self, node: syntax.Match, at: machine.Place
    ) -> tuple[list[machine.Action], machine.Expr]:
        """What is matched, in a variable of its own unless it can be asked for again and again."""
        subject = self._expressions.of(node.value)
        whole = subject
        while isinstance(whole, machine.Get | machine.Some):
            whole = whole.value
        if isinstance(whole, machine.Var):
            return [], subject
        name = self._variables.hidden("matched", self._expressions.type_of(node.value))
        return [machine.Assign(name, subject, at)], machine.Var(name)

    def parts(self, case: syntax.MatchCase, subject: machine.Expr) -> list[machine.Action]:
        """The parts of what is matched, under the names that the pattern gives them."""
        at = place(self._checked.source, case.span)
        found: list[machine.Action] = []
        for pattern in case.patterns:
            if not isinstance(pattern, syntax.CasePattern):
                continue
            info = self._checked.patterns[pattern]
            known = self._expressions.cased(info, subject)
            for binding, field in zip(pattern.bindings or (), info.fields, strict=False):
                if binding is not None:
                    name = self._variables.bind(binding)
                    found.append(machine.Assign(name, machine.Get(known, field.name), at))
        return found

    def _simple(
        self, statement: syntax.Statement, depth: int, at: machine.Place
    ) -> list[machine.Action]:
        expression = self._expressions.of
        match statement:
            case syntax.Return(value=value):
                given = None if value is None else self._expressions.given(value)
                return [machine.Return(given, at)]
            case syntax.EffectStatement(effect=effect):
                return [machine.Do(self._expressions.given(effect), at)]
            case syntax.Pass():
                return []
            case syntax.Open():
                return self._open(statement, depth, at)
            case syntax.Send():
                return self._send(statement, at)
            case syntax.Close(session=session, each=True):
                one = self._variables.hidden("session", types.SESSION)
                closing = machine.Close(machine.Var(one), at)
                return [machine.For(one, expression(session), False, (closing,), at)]
            case syntax.Close(session=session):
                return [machine.Close(expression(session), at)]
            case syntax.Throw(error=error):
                return [machine.Throw(expression(error), at)]
            case syntax.Require(condition=condition, error=error):
                return [machine.Require(expression(condition), expression(error), at)]
            case syntax.StepTo():
                return self._step(statement, at)
            case syntax.Log(level=level, text=text):
                return [machine.Log(level, expression(text), at)]
            case syntax.CallStatement(call=call):
                return [machine.Do(expression(call), at)]
            case _:
                raise ValueError(f"{type(statement).__name__} is no action")

    def _step(self, node: syntax.StepTo, at: machine.Place) -> list[machine.Action]:
        """A move to a step. What its declared label shows is computed first, and once."""
        expression = self._expressions.of
        label = None if node.label is None else expression(node.label)
        step = self._steps[node.name]
        said = self._checked.calls[node]
        filled = [
            parameter.default if value is None else value
            for parameter, value in zip(step.parameters, said, strict=True)
        ]
        given = [expression(value) for value in filled if value is not None]
        names = [parameter.name for parameter in step.parameters]
        if not isinstance(step.label, syntax.Interpolation):
            values = tuple(zip(names, given, strict=True))
            return [machine.Progress(node.name, label, values, at)]
        found: list[machine.Action] = []
        kept = []
        for parameter, value in zip(step.parameters, given, strict=True):
            variable = self._checked.variable_of[parameter]
            own = isinstance(value, machine.Var) and self._variables.type_of(value.name)
            name = value.name if isinstance(value, machine.Var) and own == variable.type else None
            kept.append(self._variables.stand_in(variable, name))
            if name is None:
                found.append(machine.Assign(kept[-1], value, at))
        values = tuple(zip(names, map(machine.Var, kept), strict=True))
        return [*found, machine.Progress(node.name, expression(step.label), values, at)]

    def _open(self, node: syntax.Open, depth: int, at: machine.Place) -> list[machine.Action]:
        party = self._expressions.of(node.party)
        info = self._checked.meaning_of[node.flow]
        flow, plays = info.name, self._plays.get(node.name)
        if node.role is not None and isinstance(info, types.ProtocolInfo):
            flow = f"{info.name}.{node.role.name}"
            plays = f"{info.name}.{info.other(node.role.name)}"
        by_role = node.role is not None
        self._opened[-1] = True
        name = self._variables.bind(node)
        if not node.each:
            return [machine.Open(name, flow, party, depth, at, plays, by_role)]
        one = self._variables.hidden("party", types.PARTY)
        session = self._variables.hidden("session", types.SESSION)
        more = machine.Items((machine.Var(session),))
        longer = machine.Arithmetic("+", "List", machine.Var(name), more)
        body = (
            machine.Open(session, flow, machine.Var(one), depth, at, plays, by_role),
            machine.Assign(name, longer, at),
        )
        return [
            machine.Assign(name, machine.Items(()), at),
            machine.For(one, party, False, body, at),
        ]

    def _send(self, node: syntax.Send, at: machine.Place) -> list[machine.Action]:
        session, value = self._expressions.of(node.session), self._expressions.of(node.value)
        kind = self._expressions.type_of(node.value)
        message = kind.name if isinstance(kind, types.Named) else ""
        if not node.each:
            return [machine.Send(session, value, message, at)]
        before: list[machine.Action] = []
        if not isinstance(value, machine.Var):
            # It is made once, however many get it.
            name = self._variables.hidden("message", kind)
            before = [machine.Assign(name, value, at)]
            value = machine.Var(name)
        one = self._variables.hidden("session", types.SESSION)
        sent = machine.Send(machine.Var(one), value, message, at)
        return [*before, machine.For(one, session, False, (sent,), at)]

    def _round(self, body: syntax.Block, depth: int) -> tuple[machine.Action, ...]:
        self._loops.append(depth)
        found = self.block(body, depth + 1)
        self._loops.pop()
        return found

    def _for(self, node: syntax.For, depth: int, at: machine.Place) -> machine.For:
        values = self._expressions.of(node.values)
        is_map = isinstance(self._expressions.type_of(node.values), types.MapType)
        name = self._variables.bind(node)
        return machine.For(name, values, is_map, self._round(node.body, depth), at)

    def _try(self, node: syntax.Try, depth: int, at: machine.Place) -> machine.Try:
        body = self.block(node.body, depth + 1)
        opens = self._shapes.of_block(node.body).opens
        catches = []
        for catch in node.catches:
            errors, name = self.caught(catch)
            inner = self.block(catch.body, depth + 1)
            if opens:
                inner = (machine.Leave(depth), *inner)
            where = place(self._checked.source, catch.span)
            catches.append(machine.CatchBlock(errors, name, inner, where))
        return machine.Try(body, tuple(catches), depth, at)

    def caught(self, catch: syntax.Catch) -> tuple[tuple[str, ...], str | None]:
        """The errors that a catch takes, and the variable that holds the one it took."""
        errors = tuple(self._checked.meaning_of[error].name for error in catch.errors)
        return errors, None if catch.name is None else self._variables.bind(catch)
