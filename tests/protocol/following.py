"""A run that the check shows, followed in the generator's tree: what the services must answer for
it, and in which order things must happen.

A value that was asked for is a cell, which is filled when something is decided by it, perhaps by
the other side. What the service says where nothing was decided does not matter.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Generator, Sequence
from typing import TypeAlias

from flowlang.protocol.automaton import Kind
from flowlang.protocol.pairs import Misfit
from tests.protocol.tree import (
    FRESH,
    Body,
    Call,
    Choose,
    Close,
    Each,
    If,
    Let,
    Pair,
    Receive,
    Send,
    Stmt,
    Try,
    While,
    Within,
    Word,
)
from tests.protocol.writing import condition

LATE = "the time is over"
CAUGHT = "an error is caught"
THROWS = "throws"
ANOTHER = "throws an error that no flow names"


class NotPlayable(Exception):
    """The run has another session do something, or an error of which a service is not known."""


class Spurious(AssertionError):
    """No run of these flows looks like this."""


@dataclasses.dataclass(eq=False)
class Cell:
    """What a service answers: a flag, or that it throws."""

    value: bool | str | None = None

    def decide(self, value: bool) -> None:
        if self.value not in (None, value):
            raise Spurious("a value is true here and false there")
        self.value = value


@dataclasses.dataclass(frozen=True)
class Event:
    """What one side does: `told`, `send`, `take`, `ended`. `cell` is what a message says."""

    what: str
    text: str = ""
    line: int = 0
    cell: Cell | None = None


@dataclasses.dataclass
class Play:
    """What has to be done, in order, as (side, what), and what the services answer, by side."""

    acts: list[tuple[int, str]]
    answers: tuple[list[tuple[int, Cell]], list[tuple[int, Cell]]]


Steps: TypeAlias = Generator[None, Event, None]


class _Thrown(Exception):
    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class _Left(Exception):
    """`break`, `return`."""


class _Stopped(Exception):
    """What this side does from here on is not looked at."""


def follow(pair: Pair, misfit: Misfit) -> Play:
    """How to play the run of a misfit. Raises Spurious, NotPlayable."""
    play = Play([], ([], []))
    wire: tuple[deque[Cell], deque[Cell]] = (deque(), deque())
    sides = [_Side(pair, pair.flows[side], play.answers[side]) for side in (0, 1)]
    for move in misfit.way:
        for side, edge in ((move.side, move.edge), (1 - move.side, move.taken)):
            if edge is None:
                continue
            for step in edge.steps:
                if step.told == LATE:
                    play.acts.append((side, "late"))
                sides[side].do(Event("told", step.told, step.spot.place.line))
            if edge.kind is Kind.SEND:
                cell = Cell()
                sides[side].do(Event("send", _short(edge.message), cell=cell))
                wire[1 - side].append(sides[side].sent)
            elif edge.kind is Kind.RECEIVE:
                play.acts.append((side, "take"))
                taken = wire[side].popleft()
                sides[side].do(Event("take", _short(edge.message), cell=taken))
            elif edge.kind is Kind.ENDED:
                play.acts.append((side, "take"))
                sides[side].do(Event("ended"))
        if move.is_dropped:
            dropper = move.side if move.edge is None else 1 - move.side
            play.acts.append((dropper, "take"))
            wire[dropper].popleft()
    return play


def _condition(stmt: If | While) -> str:
    if isinstance(stmt, While):
        return f"Desk.says({stmt.site})"
    return f"match {stmt.test}.face" if stmt.message == "Mood" else condition(stmt)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


class _Side:
    """One flow, going along with what it is told that it does."""

    def __init__(self, pair: Pair, body: Body, answers: list[tuple[int, Cell]]) -> None:
        self._pair = pair
        self._answers = answers
        self._cells: dict[str, Cell] = {}
        self._pending: list[Event] = []
        self._around: list[tuple[str, ...]] = []
        self.sent = Cell()
        self._steps: Steps | None = self._flow(body)
        next(self._steps)

    def do(self, event: Event) -> None:
        """The next thing that happens here."""
        if self._steps is None:
            return
        try:
            self._steps.send(event)
        except StopIteration:
            self._steps = None

    def _flow(self, body: Body) -> Steps:
        self._pending.append((yield))
        with contextlib.suppress(_Thrown, _Left, _Stopped):
            yield from self._body(body)

    def _next(self) -> Generator[None, Event, Event]:
        if self._pending:
            return self._pending.pop()
        return (yield)

    def _body(self, body: Sequence[Stmt]) -> Steps:
        for stmt in body:
            yield from self._stmt(stmt)

    def _ask(self, site: int, line: int) -> Generator[None, Event, Cell]:
        cell = Cell()
        self._answers.append((site, cell))
        event = yield from self._next()
        if event.what == "told" and event.text == CAUGHT and event.line == line:
            cell.value = THROWS
            if sum("Oops" in errors or "FlowError" in errors for errors in self._around) > 1:
                raise NotPlayable("which error it was that was caught")
            raise _Thrown("Oops")
        self._pending.append(event)
        return cell

    def _holds(self, cell: Cell, stmt: If | While, negated: bool) -> Generator[None, Event, bool]:
        event = yield from self._next()
        wanted = f"`{_condition(stmt)}`"
        if event.what == "told" and event.line == stmt.line and event.text.startswith(wanted):
            cell.decide(event.text.endswith(" holds") is not negated)
        else:
            self._pending.append(event)
        if cell.value is None:
            raise Spurious(f"line {stmt.line} decides, and nobody knows how")
        return cell.value is not negated

    def _stmt(self, stmt: Stmt) -> Steps:
        match stmt:
            case Send():
                yield from self._send(stmt)
            case Receive():
                yield from self._receive(stmt)
            case Choose():
                yield from self._choose(stmt)
            case Let(name=name, site=site):
                self._cells[name] = yield from self._ask(site, stmt.line)
            case If():
                if stmt.test == FRESH:
                    cell = yield from self._ask(stmt.site, stmt.line)
                else:
                    cell = self._cells[stmt.test]
                held = yield from self._holds(cell, stmt, stmt.negated)
                yield from self._body(stmt.then if held else stmt.otherwise)
            case While():
                yield from self._while(stmt)
            case Word(text=text):
                yield from self._word(text)
            case Close():
                raise _Stopped
            case Try(body=body, errors=errors, handler=handler):
                try:
                    self._around.append(errors)
                    try:
                        yield from self._body(body)
                    finally:
                        self._around.pop()
                except _Thrown as thrown:
                    if thrown.error not in errors and "FlowError" not in errors:
                        raise
                    yield from self._body(handler)
            case Within(body=body):
                yield from self._body(body)
            case Call(flow=flow, is_last=is_last):
                try:
                    yield from self._body(self._pair.subflows[flow])
                except _Left as left:
                    if left.args != ("return",):
                        raise
                if is_last:
                    raise _Left("return")
            case Each(body=body):
                try:
                    yield from self._body(body)
                except _Left as left:
                    if left.args != ("break",):
                        raise
            case _:
                raise AssertionError(stmt)

    def _while(self, stmt: While) -> Steps:
        while True:
            if stmt.site:
                cell = yield from self._ask(stmt.site, stmt.line)
                held = yield from self._holds(cell, stmt, False)
                if not held:
                    return
            try:
                yield from self._body(stmt.body)
            except _Left as left:
                if left.args != ("break",):
                    raise
                return

    def _word(self, text: str) -> Steps:
        if text == "throw Oops()":
            raise _Thrown("Oops")
        if text in ("break", "return"):
            raise _Left(text)
        event = yield from self._next()
        if event.what == "told" and event.text == LATE:
            raise NotPlayable("the time is over while it sleeps")
        self._pending.append(event)

    def _send(self, stmt: Send) -> Steps:
        cell = Cell(stmt.value == "true")
        if stmt.value == FRESH and stmt.message == "Flag":
            cell = yield from self._ask(stmt.site, stmt.line)
        elif stmt.value and stmt.value not in ("true", "false", FRESH):
            cell = self._cells[stmt.value]
        event = yield from self._next()
        if event.what == "told" and event.text.endswith((" is true", " is false")):
            cell.decide(event.text.endswith(" is true"))
            event = yield from self._next()
        if event.what == "ended":
            raise _Thrown("SessionEnded")
        if event.what != "send":
            raise NotPlayable(event.text)
        if event.text != stmt.message:
            raise Spurious(f"line {stmt.line} sends {stmt.message}, not {event.text}")
        self.sent = cell

    def _receive(self, stmt: Receive) -> Steps:
        event = yield from self._next()
        self._thrown(event)
        if event.text != stmt.message:
            raise Spurious(f"line {stmt.line} takes {stmt.message}, not {event.text}")
        assert event.cell is not None
        self._cells[stmt.name] = event.cell

    def _choose(self, stmt: Choose) -> Steps:
        event = yield from self._next()
        if event.what == "ended" and stmt.ended is not None:
            yield from self._body(stmt.ended)
            return
        if event.what == "told" and event.text == LATE and stmt.late is not None:
            yield from self._body(stmt.late)
            return
        self._thrown(event)
        for case in stmt.cases:
            if case.message == event.text:
                assert event.cell is not None
                self._cells[case.name] = event.cell
                yield from self._body(case.body)
                return
        raise Spurious(f"line {stmt.line} does not take {event.text}")

    @staticmethod
    def _thrown(event: Event) -> None:
        if event.what == "ended":
            raise _Thrown("SessionEnded")
        if event.what == "told" and event.text == LATE:
            raise _Thrown("Timeout")
        if event.what != "take":
            raise NotPlayable(event.text or event.what)
