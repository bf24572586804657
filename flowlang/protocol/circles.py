"""Flows that come back to where they began, by opening sessions. Legal, and without end.

A flow leads to those that it runs, starts, or opens a session with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowlang import machine, walk
from flowlang.checker.circles import circles
from flowlang.protocol.check import Session
from flowlang.protocol.code import Code, Rest
from flowlang.protocol.frames import Program


def endless(
    program: Program, sessions: Sequence[Session]
) -> Iterator[tuple[Session, tuple[str, ...]]]:
    """Each session whose responder leads back to the flow that opens it, with the flows on a
    shortest way round."""
    graph = {name: list(_leads_to(code, program)) for name, code in program.codes.items()}
    groups = {
        name: number
        for number, group in enumerate(circles({name: list(to) for name, to in graph.items()}))
        for name in group
    }
    for session in sessions:
        group = groups.get(session.flow)
        if group is not None and groups.get(session.responder) == group:
            way = _way(graph, session.responder, session.flow)
            yield session, (session.flow, *way)


def _leads_to(code: Code, program: Program) -> Iterator[str]:
    for instruction in code.instructions:
        does = instruction.does
        if isinstance(does, machine.Open) and does.flow in program.codes:
            yield does.flow
        if isinstance(does, Rest) and isinstance(does.wait, machine.AwaitSubflow):
            yield does.wait.flow
        for expression in _expressions(does):
            for part in walk.within(expression):
                if isinstance(part, machine.StartFlow):
                    yield part.flow


def _expressions(does: object) -> tuple[machine.Expr, ...]:
    match does:
        case machine.Assign(value=value) | machine.Do(value=value):
            return (value,)
        case _:
            return ()


def _way(graph: dict[str, list[str]], start: str, goal: str) -> tuple[str, ...]:
    parent: dict[str, str | None] = {start: None}
    order = [start]
    for name in order:
        if name == goal:
            break
        for other in graph.get(name, ()):
            if other not in parent:
                parent[other] = name
                order.append(other)
    way, at = [], goal if goal in parent else None
    while at is not None:
        way.append(at)
        at = parent[at]
    return tuple(reversed(way))
