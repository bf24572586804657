"""Ways through a tree that several checks need: what is inside, what a loop assigns, what leaves.

Looks at the tree alone and knows neither names nor types.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from flowlang import syntax


def inside(node: syntax.Expr) -> tuple[syntax.Expr, ...]:
    """The expressions directly inside; of what a call calls, only what stands before its dot."""
    match node:
        case syntax.Constant() | syntax.Name():
            return ()
        case syntax.Interpolation(parts=parts):
            return tuple(part for part in parts if not isinstance(part, str))
        case syntax.Attribute(value=value) | syntax.Formatted(value=value):
            return (value,)
        case syntax.Update(value=value, changes=changes):
            return (value, *[change.value for change in changes])
        case syntax.Index(value=value, index=index):
            return (value, index)
        case syntax.Call(callee=callee, arguments=arguments):
            values = tuple(argument.value for argument in arguments)
            return (callee.value, *values) if isinstance(callee, syntax.Attribute) else values
        case syntax.Unary(operand=operand):
            return (operand,)
        case syntax.Binary(left=left, right=right):
            return (left, right)
        case syntax.ListLiteral(items=items):
            return items
        case syntax.MapLiteral(entries=entries):
            return tuple(side for entry in entries for side in entry)
        case _:
            assert_never(node)


def everything(node: syntax.Expr) -> Iterator[syntax.Expr]:
    """The expression and all that is inside it, outermost first, in the order of the text."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += reversed(inside(found))


def number(node: syntax.Expr) -> int | None:
    """The whole number that is written out, if one is."""
    match node:
        case syntax.Constant(kind="Int", value=int(value)):
            return value
        case syntax.Unary(operator="-", operand=syntax.Constant(kind="Int", value=int(value))):
            return -value
        case _:
            return None


def blocks(statement: syntax.Statement) -> tuple[syntax.Block, ...]:
    """The blocks directly below a statement."""
    match statement:
        case syntax.If(branches=branches, otherwise=otherwise):
            return (*[body for _, body in branches], otherwise or ())
        case syntax.Match(cases=cases):
            return tuple(case.body for case in cases)
        case (
            syntax.While(body=body)
            | syntax.For(body=body)
            | syntax.Within(body=body)
            | syntax.Broken(body=body)
        ):
            return (body,)
        case syntax.Receive(checks=checks):
            return (checks or (),)
        case syntax.Choice(cases=cases):
            return tuple(case.body for case in cases)
        case syntax.Try(body=body, catches=catches):
            return (body, *[catch.body for catch in catches])
        case (
            syntax.Let()
            | syntax.Assign()
            | syntax.Break()
            | syntax.Continue()
            | syntax.Return()
            | syntax.Pass()
            | syntax.Open()
            | syntax.Send()
            | syntax.Close()
            | syntax.EffectStatement()
            | syntax.Throw()
            | syntax.Require()
            | syntax.StepTo()
            | syntax.Sleep()
            | syntax.WaitUntil()
            | syntax.Checkpoint()
            | syntax.Log()
            | syntax.Hold()
            | syntax.CallStatement()
        ):
            return ()
        case _:
            assert_never(statement)


def statements(block: syntax.Block) -> Iterator[syntax.Statement]:
    """All statements of a block and of the blocks below it, in the order of the text."""
    waiting = list(reversed(block))
    while waiting:
        found = waiting.pop()
        yield found
        for below in reversed(blocks(found)):
            waiting += reversed(below)


def assigned(block: syntax.Block) -> frozenset[str]:
    """The names that get a new value somewhere in a block."""
    return frozenset(s.name for s in statements(block) if isinstance(s, syntax.Assign))


def breaks(body: syntax.Block) -> bool:
    """Whether a loop with this body can be left by `break` (a gap in it may hide one)."""
    waiting = list(body)
    while waiting:
        found = waiting.pop()
        if isinstance(found, syntax.Break | syntax.Broken):
            return True
        if not isinstance(found, syntax.While | syntax.For):
            for below in blocks(found):
                waiting += below
    return False


def leaves(block: syntax.Block) -> bool:
    """Whether the end of a block is never reached."""
    return any(_leaves(statement) for statement in block)


def _leaves(statement: syntax.Statement) -> bool:
    match statement:
        case syntax.Return() | syntax.Throw() | syntax.Break() | syntax.Continue():
            return True
        case syntax.If(branches=branches, otherwise=otherwise):
            return (
                otherwise is not None
                and leaves(otherwise)
                and all(leaves(body) for _, body in branches)
            )
        case syntax.Match(cases=cases):
            # What is missing from it is reported; then it has a case for everything.
            return bool(cases) and all(leaves(case.body) for case in cases)
        case syntax.While(condition=syntax.Constant(value=True), body=body):
            return not breaks(body)
        case syntax.Try(body=body, catches=catches):
            return leaves(body) and all(leaves(catch.body) for catch in catches)
        case syntax.Within(body=body):
            return leaves(body)
        case syntax.Choice(cases=cases):
            return bool(cases) and all(leaves(case.body) for case in cases)
        case syntax.Receive(checks=checks):
            return checks is not None and leaves(checks) and not _jumps(checks)
        case (
            syntax.Let()
            | syntax.Assign()
            | syntax.While()
            | syntax.For()
            | syntax.Pass()
            | syntax.Open()
            | syntax.Send()
            | syntax.Close()
            | syntax.EffectStatement()
            | syntax.Require()
            | syntax.StepTo()
            | syntax.Sleep()
            | syntax.WaitUntil()
            | syntax.Checkpoint()
            | syntax.Log()
            | syntax.Hold()
            | syntax.CallStatement()
            | syntax.Broken()
        ):
            return False
        case _:
            assert_never(statement)


def limited(block: syntax.Block) -> bool:
    """Whether something in a block waits in such a way that a deadline can end it (a gap in it may
    hide what does)."""
    for statement in statements(block):
        match statement:
            case (
                syntax.Receive()
                | syntax.Choice()
                | syntax.Sleep()
                | syntax.WaitUntil()
                | syntax.Broken()
            ):
                return True
            case (
                syntax.Let(value=value)
                | syntax.Assign(value=value)
                | syntax.Return(value=value)
                | syntax.EffectStatement(effect=value)
            ):
                if isinstance(value, syntax.Waiting):
                    return True
            case _:
                pass  # The others do not wait, or only for this node.
    return False


def _jumps(checks: syntax.Block) -> bool:
    """Whether checks leave in a way that checks may not: a mistake, and not the end of the flow."""
    jumps = syntax.Return | syntax.Break | syntax.Continue
    return any(isinstance(statement, jumps) for statement in statements(checks))


def first_leaving(block: syntax.Block) -> int | None:
    """The index of the statement after which the rest of a block never runs."""
    for index, statement in enumerate(block):
        if _leaves(statement):
            return index
    return None
