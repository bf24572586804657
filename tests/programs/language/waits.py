"""Waits that concern nobody else: `checkpoint`, `sleep`, `hold`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flowlang import syntax
from tests.programs.arithmetic import Span
from tests.programs.choices import chance, weighted
from tests.programs.entries import Maker, Statement
from tests.programs.expressions import Where
from tests.programs.kinds import DURATION
from tests.programs.world import COMMITTED, Frame, Steps, Wait

if TYPE_CHECKING:
    from tests.programs.blocks import Blocks
    from tests.programs.reference import Interpreter


def pause(flow: Blocks) -> None:
    """Any wait that goes on by itself."""
    makers: list[tuple[int, Maker]] = [
        (2, lambda: flow.line("checkpoint")),
        (1, lambda: sleep(flow)),
    ]
    weighted(flow.choices, makers)()


# --- written ---


def sleep(flow: Blocks) -> None:
    span = flow.make.of(DURATION, 1, Where(calls=0))
    flow.line(f"sleep {span.text}")


def hold(flow: Blocks) -> None:
    flow.line('hold "look at this"' if chance(flow.choices, 45) else "checkpoint")


def _checkpoints(flow: Blocks) -> Iterable[tuple[int, Maker]]:
    yield 14, lambda: flow.line("checkpoint")


def _sleeps(flow: Blocks) -> Iterable[tuple[int, Maker]]:
    yield 5, lambda: sleep(flow)


def _holds(flow: Blocks) -> Iterable[tuple[int, Maker]]:
    yield 1, lambda: hold(flow)


# --- run ---


def _checkpoint(interpreter: Interpreter, frame: Frame, node: syntax.Checkpoint) -> Steps:
    yield COMMITTED
    return None


def _sleep(interpreter: Interpreter, frame: Frame, node: syntax.Sleep) -> Steps:
    span = interpreter.value(frame, node.duration)
    assert isinstance(span, Span)
    yield Wait(due=interpreter.world.now + max(0, span.microseconds))
    return None


def _hold(interpreter: Interpreter, frame: Frame, node: syntax.Hold) -> Steps:
    interpreter.value(frame, node.reason)
    yield Wait(person=True)
    return None


# --- known ---

ENTRIES = (
    Statement(
        syntax.Checkpoint,
        offers=_checkpoints,
        runs=_checkpoint,
        counted=lambda _: ["checkpoint"],
        wanted=("checkpoint",),
        waits=True,
    ),
    Statement(
        syntax.Sleep,
        offers=_sleeps,
        runs=_sleep,
        counted=lambda _: ["sleep"],
        wanted=("sleep",),
        waits=True,
    ),
    Statement(
        syntax.Hold,
        offers=_holds,
        runs=_hold,
        counted=lambda _: ["hold"],
        wanted=("hold",),
        waits=True,
    ),
)
