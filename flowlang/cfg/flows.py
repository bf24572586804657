"""One flow's statements as blocks, cut where it must wait. Knows neither what lives across a cut nor
how a state is named.

A statement that never waits stays one action. The others are taken apart: a loop becomes blocks
that go in a circle, a `try` becomes blocks that know their handlers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import assert_never

from flowlang import machine, syntax, types
from flowlang.cfg.declarations import parameters, place
from flowlang.cfg.expressions import Expressions
from flowlang.cfg.graph import Block, Cfg, Kind, retargeted, tidied
from flowlang.cfg.liveness import with_keeps
from flowlang.cfg.shape import MAX_FRAMES, MAX_INDENTATION, Shapes, always
from flowlang.cfg.variables import Variables

BODY = 0
"""The nesting depth of a flow's own statements."""


def build(
    flow: syntax.Flow, checked: types.Checked, project: Mapping[str, types.Checked]
) -> Cfg:
    """The blocks of one flow of a file without mistakes. `project` has the checked files by module."""
    info = checked.infos[flow.name]
    if not isinstance(info, types.FlowInfo):
        raise ValueError(f"{flow.name} is no flow")
    variables = Variables(checked)
    declared = parameters(info.parameters)
    for node in flow.parameters:
        variables.bind(node)
    if flow.responds is not None:
        variables.bind(flow.responds)
        declared += (machine.Variable(flow.responds.name, types.SESSION),)
    expressions = Expressions(checked, project, variables.name_of)
    blocks = tidied(_Lowering(flow, info, checked, expressions, variables).blocks())
    used = set(variables.used_in(blocks)) | {parameter.name for parameter in declared}
    kept = tuple(variable for variable in variables.all() if variable.name in used)
    return Cfg(
        name=info.name,
        version=info.version,
        doc=flow.doc,
        parameters=declared,
        result=info.result,
        responds_to=info.responds_to,
        startable=flow.startable,
        steps=tuple(_step(step, checked) for step in flow.steps),
        variables=kept,
        blocks=with_keeps(blocks, [variable.name for variable in kept]),
        place=place(checked.source, flow.span),
    )


def _step(step: syntax.ProgressStep, checked: types.Checked) -> machine.ProgressStep:
    tracked = None if step.tracks is None else checked.meaning_of[step.tracks]
    return machine.ProgressStep(step.name, step.label, None if tracked is None else tracked.name)


@dataclasses.dataclass(frozen=True)
class _Region:
    """What holds for all blocks of a stretch of source: who catches, whom a fault is blamed on."""

    handlers: tuple[machine.Handler, ...] = ()
    checks: bool = False


@dataclasses.dataclass
class _Draft:
    """A block while it is being written; blocks that are never ended were never reached."""

    kind: Kind
    region: _Region
    place: machine.Place
    awaits: machine.Wait | None = None
    given: str | None = None
    placed: bool = False
    next: machine.Next | None = None
    actions: list[machine.Action] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Loop:
    """Where `continue` and `break` of a loop in blocks go, and the depth of the block it is in."""

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
        expressions: Expressions,
        variables: Variables,
    ) -> None:
        self._flow = flow
        self._info = info
        self._checked = checked
        self._expressions = expressions
        self._variables = variables
        self._shapes = Shapes()
        self._drafts: dict[int, _Draft] = {}
        self._numbers: dict[int, str] = {}
        self._region = _Region()
        self._loops: list[_Loop] = []
        # One entry for each block of the source around this point: was a session opened in it?
        self._opened: list[bool] = []
        self._place = place(checked.source, flow.span)
        self._at = self._draft("start")

    def blocks(self) -> list[Block]:
        """All blocks, in the order of the source."""
        self._begin(self._at)
        self._statements(self._flow.body, BODY)
        if self._shapes.of_block(self._flow.body).goes_on:
            self._do(machine.Return(None, self._place_of(self._flow)))
        self._end(machine.End())
        return [self._finished(draft) for draft in self._drafts.values()]

    # --- blocks -----------------------------------------------------------------------------

    def _draft(self, kind: Kind, region: _Region | None = None) -> _Draft:
        """A block that something may lead to; it gets its number when it is begun."""
        return _Draft(kind, self._region if region is None else region, self._place)

    def _begin(self, draft: _Draft) -> None:
        """Write into this block from here on."""
        self._drafts[id(draft)] = draft
        self._region = draft.region
        self._at = draft

    def _end(self, following: machine.Next) -> None:
        if self._at.next is None:
            self._at.next = following

    def _goto(self, draft: _Draft) -> None:
        self._end(machine.Goto(self._number(draft)))

    def _branch(self, condition: syntax.Expr | machine.Expr, then: _Draft, other: _Draft) -> None:
        if isinstance(condition, machine.Expr):
            found = condition
        else:
            found = self._expressions.of(condition)
        self._end(
            machine.Branch(found, self._number(then), self._number(other), self._place)
        )
        self._here()

    def _number(self, draft: _Draft) -> str:
        return str(self._numbers.setdefault(id(draft), len(self._numbers)))
