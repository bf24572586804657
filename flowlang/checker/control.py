"""Where a flow goes: what is never reached, what never returns, what may not stand where it does.

Looks at the tree alone; knows no names and no types.
"""

from __future__ import annotations

from typing import assert_never

from flowlang import syntax
from flowlang.checker import trees
from flowlang.checker.findings import Findings
from flowlang.diagnostics import Note, closest


class Control:
    """Checks the ways through one flow."""

    def __init__(self, findings: Findings, flow: syntax.Flow) -> None:
        self._findings = findings
        self._flow = flow

    def check(self) -> None:
        """All ways from the first statement."""
        flow = self._flow
        self._block(flow.body, loop=False, checked=None)
        if flow.result is None or flow.broken or trees.leaves(flow.body):
            return
        if not any(map(_misspelt, trees.statements(flow.body))):
            self._findings.report(
                "F403",
                flow.result.span,
                f"`{flow.name}` promises a result, but its end can be reached without `return`",
                "return a value on every way through the flow, or throw an error",
                self._end(flow.body),
            )

    def _end(self, block: syntax.Block) -> Note | None:
        """Where the flow can run out of statements."""
        last = block[-1] if block else None
        match last:
            case syntax.If(branches=branches, otherwise=otherwise):
                bodies = (*[body for _, body in branches], *([otherwise] if otherwise else []))
                open_ends = [body for body in bodies if not trees.leaves(body)]
                if open_ends:
                    return self._end(open_ends[0])
                condition = "this condition does not hold"
                if len(branches) > 1:
                    condition = "none of these conditions holds"
                message = f"when {condition}, nothing is returned"
            case syntax.Match(cases=cases) if cases:
                return self._end(next(c.body for c in cases if not trees.leaves(c.body)))
            case syntax.Try(body=body, catches=catches):
                bodies = (body, *[catch.body for catch in catches])
                return self._end(next(body for body in bodies if not trees.leaves(body)))
            case syntax.Within(body=body):
                return self._end(body)
            case syntax.Choice(cases=cases):
                return self._end(next(case.body for case in cases if not trees.leaves(case.body)))
            case syntax.While() | syntax.For():
                message = "after this loop, nothing is returned"
            case None:
                return None
            case _:
                message = "after this, nothing is returned"
        return self._findings.note(message, last.span)

    def _block(self, block: syntax.Block, *, loop: bool, checked: str | None) -> None:
        for statement in block:
            self._statement(statement, loop, checked)
        last = trees.first_leaving(block)
        if last is None or last + 1 == len(block) or self._flow.broken:
            return
        # A `break` without a loop is a mistake of its own, and goes nowhere.
        if loop or not isinstance(block[last], syntax.Break | syntax.Continue):
            self._findings.report(
                "F406",
                block[last + 1].span,
                "this is never reached",
                "remove it, or move it up",
                self._findings.note(_why(block[last]), block[last].span),
            )

    def _statement(self, statement: syntax.Statement, loop: bool, checked: str | None) -> None:
        if checked is not None and (what := not_in_checks(statement)):
            self._findings.report(
                "F504",
                statement.span,
                f"`{what}` cannot stand among the checks of `{checked}`",
                f"checks only look at `{checked}` and throw; move this below them",
            )
            return
        match statement:
            case syntax.Break() | syntax.Continue() if not loop:
                word = "break" if isinstance(statement, syntax.Break) else "continue"
                hint = "to end the flow, write `return`" if word == "break" else None
                self._findings.report(
                    "F407", statement.span, f"there is no loop here to `{word}`", hint
                )
            case syntax.Receive(name=name, checks=checks):
                self._block(checks or (), loop=False, checked=name)
            case syntax.While(body=body) | syntax.For(body=body):
                self._block(body, loop=True, checked=checked)
            case syntax.Broken(body=body):
                # What could not be read may have been a loop.
                self._block(body, loop=True, checked=checked)
            case _:
                for below in trees.blocks(statement):
                    self._block(below, loop=loop, checked=checked)


def _why(statement: syntax.Statement) -> str:
    match statement:
        case syntax.Return():
            return "the flow ends here"
        case syntax.Throw():
            return "an error is thrown here"
        case syntax.Break() | syntax.Continue():
            return "the loop goes on elsewhere from here"
        case syntax.While():
            return "this loop never ends"
        case _:
            return "every way through this leaves"


def checks_of(case: syntax.MessageCase) -> int:
    """How many of a case's first statements are its block of checks: what only looks, up to the
    last that may throw. What comes after that only works with what was checked."""
    found = 0
    for number, statement in enumerate(case.body):
        if trees.leaves((statement,)):
            break
        if any(not_in_checks(one) for one in trees.statements((statement,))):
            break
        if any(isinstance(one, _THROWING) for one in trees.statements((statement,))):
            found = number + 1
    return found


_THROWING = (syntax.Require, syntax.Throw)


def not_in_checks(statement: syntax.Statement) -> str | None:
    """The keyword of a statement that does more than to look; None for one that may stand there."""
    match statement:
        case syntax.Break():
            return "break"
        case syntax.Continue():
            return "continue"
        case syntax.Return():
            return "return"
        case syntax.Open():
            return "open"
        case syntax.Send():
            return "send"
        case syntax.Close():
            return "close"
        case syntax.Receive() | syntax.Choice():
            return "receive"
        case syntax.EffectStatement(effect=effect):
            return keyword(effect)
        case syntax.Let(value=value) | syntax.Assign(value=value) if isinstance(
            value, syntax.Effect
        ):
            return keyword(value)
        case syntax.Try():
            return "try"
        case syntax.StepTo():
            return "step"
        case syntax.Sleep():
            return "sleep"
        case syntax.WaitUntil():
            return "wait until"
        case syntax.Checkpoint():
            return "checkpoint"
        case syntax.Hold():
            return "hold"
        case syntax.Within():
            return "within"
        case (
            syntax.Let()
            | syntax.Assign()
            | syntax.If()
            | syntax.Match()
            | syntax.While()
            | syntax.For()
            | syntax.Pass()
            | syntax.Throw()
            | syntax.Require()
            | syntax.Log()
            | syntax.CallStatement()
            | syntax.Broken()
        ):
            return None
        case _:
            assert_never(statement)


def keyword(effect: syntax.Effect) -> str:
    """The word with which an effect begins."""
    match effect:
        case syntax.Subflow():
            return "subflow"
        case syntax.Start():
            return "start"
        case syntax.Await():
            return "await"
        case syntax.Ask():
            return "ask"
        case syntax.Pending():
            return "pending"
        case _:
            assert_never(effect)


def _misspelt(statement: syntax.Statement) -> bool:
    """Whether this is read as a call, and was meant to leave: `retrun (x)`. No variable and no
    function can stand there, so its name is reported."""
    if not isinstance(statement, syntax.CallStatement):
        return False
    first: syntax.Expr = statement.call
    while not isinstance(first, syntax.Name):
        below = trees.inside(first)
        if isinstance(first, syntax.Call):
            below = (first.callee,)
        if not below:
            return False
        first = below[0]
    return first.name[0].islower() and closest(first.name, ("return", "throw")) is not None
