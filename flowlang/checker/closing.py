"""Whether a session is used where it is certain to be closed. Knows no types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from flowlang import syntax
from flowlang.checker import trees
from flowlang.checker.findings import Findings
from flowlang.types import Variable

Closed: TypeAlias = Mapping[Variable, syntax.Close]
"""The sessions that are closed on every way to this point, and where."""

NONE: Closed = {}


class Closing:
    """Follows one flow; what is not certain is left to the run."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def check(self, body: syntax.Block) -> None:
        """The whole flow."""
        if any(isinstance(statement, syntax.Close) for statement in trees.statements(body)):
            self._block(body, NONE)

    def _block(self, block: syntax.Block, closed: Closed) -> Closed:
        for statement in block:
            closed = self._statement(statement, closed)
        return closed

    def _statement(self, statement: syntax.Statement, closed: Closed) -> Closed:
        if closed:
            for node in _heads(statement):
                self._look(node, closed)
        match statement:
            case syntax.Close(session=session):
                variable = self._findings.variable_of.get(session)
                return closed if variable is None else {**closed, variable: statement}
            case syntax.While(body=body) | syntax.For(body=body):
                self._block(body, closed)
                return closed
            case syntax.Within(body=body) | syntax.Broken(body=body):
                return self._block(body, closed)
            case syntax.If(branches=branches, otherwise=otherwise):
                return self._ways([*[body for _, body in branches], otherwise or ()], closed)
            case syntax.Choice(cases=cases):
                return self._ways([case.body for case in cases], closed)
            case syntax.Try(body=body, catches=catches):
                after = self._ways([body], closed)
                others = self._ways([catch.body for catch in catches], closed)
                if all(trees.leaves(catch.body) for catch in catches):
                    return after
                return others if trees.leaves(body) else _both(after, others)
            case _:
                return closed

    def _ways(self, bodies: list[syntax.Block], closed: Closed) -> Closed:
        """What is closed where those ways meet that do not leave."""
        ends = [(self._block(body, closed), trees.leaves(body)) for body in bodies]
        left = [end for end, leaves in ends if not leaves]
        found = left[0] if left else closed
        for end in left[1:]:
            found = _both(found, end)
        return found

    def _look(self, node: syntax.Expr, closed: Closed) -> None:
        for inner in _used(node):
            variable = self._findings.variable_of.get(inner)
            if variable is not None and variable in closed:
                self._findings.report(
                    "F617",
                    inner.span,
                    f"`{variable.name}` is closed already",
                    "move this above `close`, or remove `close`: a session ends with its block",
                    self._findings.note("it is closed here", closed[variable].span),
                )


def _both(one: Closed, other: Closed) -> Closed:
    return {variable: place for variable, place in one.items() if variable in other}


def _used(node: syntax.Expr) -> Iterator[syntax.Expr]:
    """What an expression uses; who a session's peer is stays known."""
    if isinstance(node, syntax.Attribute) and isinstance(node.value, syntax.Name):
        return
    yield node
    for inner in trees.inside(node):
        yield from _used(inner)


def _heads(statement: syntax.Statement) -> Iterator[syntax.Expr]:
    """The expressions in which a statement itself, not one in its blocks, can use a session."""
    match statement:
        case syntax.Close(session=session):
            yield session
        case syntax.Send(session=session):
            yield session
        case syntax.Receive(session=session, send=send):
            yield from () if send is None else (send.session,)
            yield session
        case syntax.Choice(session=common, cases=cases, send=send):
            yield from () if send is None else (send.session,)
            yield from () if common is None else (common,)
            for case in cases:
                if isinstance(case, syntax.MessageCase | syntax.EndedCase):
                    yield from () if case.session is None else (case.session,)
        case syntax.For(values=values):
            yield values
        case syntax.EffectStatement(effect=syntax.Subflow(call=call)):
            yield call
        case (
            syntax.Let(value=syntax.Subflow(call=call))
            | syntax.Assign(value=syntax.Subflow(call=call))
            | syntax.Return(value=syntax.Subflow(call=call))
        ):
            yield call
        case _:
            pass  # Nothing else takes a session.
