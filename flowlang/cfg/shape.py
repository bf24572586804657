"""What a statement does to the flow of control: waits, breaks, opens. Knows no types, no names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import assert_never

from flowlang import syntax

MAX_INDENTATION = 10
"""A statement that nests deeper is cut into blocks: Python reads 100 levels, people far fewer."""

MAX_FRAMES = 12
"""Loops and handlers within each other. Python's limit is 20, and some surround the statement."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """`breaks`: a break or continue in it belongs to a loop around it. `goes_on`: its end can be
    reached. `opens`: a session may be opened in it. `indentation` and `frames` are how deep it
    nests: in Python's blocks, and in those of them that Python limits to 20."""

    waits: bool = False
    breaks: bool = False
    opens: bool = False
    goes_on: bool = True
    indentation: int = 0
    frames: int = 0


_PLAIN = Shape()
_END = Shape(goes_on=False)


class Shapes:
    """Finds the shape of statements, of each once."""

    def __init__(self) -> None:
        self._found: dict[syntax.Statement, Shape] = {}

    def of(self, statement: syntax.Statement) -> Shape:
        found = self._found.get(statement)
        if found is None:
            found = self._found[statement] = self._shape(statement)
        return found

    def of_block(self, block: Iterable[syntax.Statement]) -> Shape:
        """The shape of statements one after the other."""
        return _all([self.of(statement) for statement in block])

    def of_checks(self, block: Iterable[syntax.Statement]) -> Shape:
        """The shape of the same as a block of checks, in which a fault is caught."""
        return _nested([self.of_block(block)], frames=1)

    def _shape(self, statement: syntax.Statement) -> Shape:
        match statement:
            case syntax.Let(value=value) | syntax.Assign(value=value):
                return Shape(waits=isinstance(value, syntax.Waiting))
            case syntax.Return(value=value):
                return Shape(waits=isinstance(value, syntax.Waiting), goes_on=False)
            case syntax.EffectStatement(effect=effect):
                return Shape(waits=isinstance(effect, syntax.Waiting))
            case syntax.Receive(checks=checks):
                return dataclasses.replace(self.of_checks(checks or ()), waits=True)
            case syntax.Sleep() | syntax.WaitUntil() | syntax.Checkpoint() | syntax.Hold():
                return Shape(waits=True)
            case syntax.Choice(cases=cases):
                inner = _nested([self.of_block(case.body) for case in cases], frames=1)
                return dataclasses.replace(inner, waits=True)
            case syntax.Within(body=body):
                # Its deadline belongs to the waits in it, so it is taken apart even if none is.
                return dataclasses.replace(_nested([self.of_block(body)]), waits=True)
            case syntax.Open():
                return Shape(opens=True)
            case syntax.Break() | syntax.Continue():
                return Shape(breaks=True, goes_on=False)
            case syntax.Throw():
                return _END
            case syntax.If(branches=branches, otherwise=otherwise):
                return _nested(
                    [self.of_block(body) for _, body in branches] + [self.of_block(otherwise or ())]
                )
            case syntax.Match(cases=cases):
                return _nested([self.of_block(case.body) for case in cases])
            case syntax.While() | syntax.For():
                return self._loop(statement)
            case syntax.Try(body=body, catches=catches):
                tried = _nested([self.of_block(body)], frames=1)
                caught = _nested([self.of_block(catch.body) for catch in catches], frames=2)
                return _either([tried, caught])
            case (
                syntax.Pass()
                | syntax.Send()
                | syntax.Close()
                | syntax.Require()
                | syntax.StepTo()
                | syntax.Log()
                | syntax.CallStatement()
            ):
                return _PLAIN
            case syntax.Broken():
                raise ValueError("a statement that could not be read has no shape")
            case _:
                assert_never(statement)

    def _loop(self, loop: syntax.While | syntax.For) -> Shape:
        body = _nested([self.of_block(loop.body)], frames=1)
        ends = not (isinstance(loop, syntax.While) and always(loop.condition))
        return dataclasses.replace(body, breaks=False, goes_on=ends or _has_break(loop.body))


def always(condition: syntax.Expr) -> bool:
    """Whether the condition is `true` as written: a loop with it ends only by `break`."""
    return isinstance(condition, syntax.Constant) and condition.value is True


def _has_break(block: syntax.Block) -> bool:
    """Whether a `break` in it belongs to the loop whose body it is."""
    for statement in block:
        match statement:
            case syntax.Break():
                return True
            case syntax.If(branches=branches, otherwise=otherwise):
                bodies = [body for _, body in branches] + [otherwise or ()]
            case syntax.Match(cases=cases):
                bodies = [case.body for case in cases]
            case syntax.Try(body=body, catches=catches):
                bodies = [body] + [catch.body for catch in catches]
            case syntax.Within(body=body):
                bodies = [body]
            case syntax.Choice(cases=cases):
                bodies = [case.body for case in cases]
            case _:
                bodies = []
        if any(_has_break(body) for body in bodies):
            return True
    return False


def _all(shapes: list[Shape]) -> Shape:
    """One after the other."""
    return dataclasses.replace(_either(shapes), goes_on=all(shape.goes_on for shape in shapes))


def _either(shapes: list[Shape]) -> Shape:
    return Shape(
        waits=any(shape.waits for shape in shapes),
        breaks=any(shape.breaks for shape in shapes),
        opens=any(shape.opens for shape in shapes),
        goes_on=any(shape.goes_on for shape in shapes),
        indentation=max((shape.indentation for shape in shapes), default=0),
        frames=max((shape.frames for shape in shapes), default=0),
    )


def _nested(shapes: list[Shape], frames: int = 0) -> Shape:
    """One of them, one level deeper."""
    inner = _either(shapes)
    return dataclasses.replace(
        inner, indentation=inner.indentation + 1, frames=inner.frames + frames
    )
