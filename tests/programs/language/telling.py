"""What a flow tells about itself without waiting: `log` and `step`, and `pass`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flowlang import syntax
from tests.programs.choices import chance, pick
from tests.programs.entries import Maker, Statement
from tests.programs.expressions import Where
from tests.programs.kinds import INT, TEXT
from tests.programs.world import Effect, Frame

if TYPE_CHECKING:
    from tests.programs.blocks import Blocks
    from tests.programs.reference import Interpreter

STEPS = ("STARTING", "WORKING", "CLOSING")
VALUES = ("seen_so_far", "seen_last")
"""What the step WORKING shows; no variable of a program has such a name."""
DECLARED = {
    "STARTING": 'STARTING "starting"',
    "WORKING": 'WORKING(seen_so_far: Int, seen_last: Text?) "{seen_so_far}, then {seen_last}"',
    "CLOSING": 'CLOSING "closing"',
}
"""How each is declared."""


# --- written ---


def log(flow: Blocks) -> None:
    level = pick(flow.choices, ("info", "debug", "warn"))
    text = flow.make.interpolation(Where(untrusted=True, calls=1))
    flow.line(f"log {level} {text.text}")


def step(flow: Blocks) -> None:
    name = pick(flow.choices, STEPS)
    if flow.steps and chance(flow.choices, 50):
        name = flow.steps[-1]
    if name not in flow.steps:
        flow.steps.append(name)
    if name == "WORKING":
        flow.line(f"step WORKING({_values(flow)})")
        return
    label = ""
    if chance(flow.choices, 50):
        label = f": {flow.make.interpolation(Where(calls=1)).text}"
    flow.line(f"step {name}{label}")


def _values(flow: Blocks) -> str:
    count = flow.make.of(INT, where=Where(calls=1)).text
    last = "none" if chance(flow.choices, 30) else flow.make.of(TEXT, where=Where(calls=1)).text
    if chance(flow.choices, 30):
        return f"seen_last={last}, seen_so_far={count}"
    return f"{count}, {last}"


def _logs(flow: Blocks) -> Iterable[tuple[int, Maker]]:
    yield 2, lambda: log(flow)


def _steps(flow: Blocks) -> Iterable[tuple[int, Maker]]:
    yield 5, lambda: step(flow)


def _passes(flow: Blocks) -> Iterable[tuple[int, Maker]]:
    yield 1, lambda: flow.line("pass")


# --- run ---


def _log(interpreter: Interpreter, frame: Frame, node: syntax.Log) -> None:
    line = interpreter.value(frame, node.text)
    interpreter.run.pending.append(Effect("log", what=(node.level, line)))


def _step(interpreter: Interpreter, frame: Frame, node: syntax.StepTo) -> None:
    run = interpreter.run
    if node.arguments:
        _step_with_values(interpreter, frame, node)
        return
    if frame.step == node.name and node.label is None:
        interpreter.world.counts["step that changes nothing"] += 1
        return
    frame.step = node.name
    labels = {step.name: step.label for step in frame.flow.steps}
    label = str(interpreter.value(frame, node.label or labels[node.name]))
    path = tuple(f.step for f in run.frames if f.step is not None)
    run.pending.append(Effect("move", what=(frame.flow.name, path, label)))


def _step_with_values(interpreter: Interpreter, frame: Frame, node: syntax.StepTo) -> None:
    named = {argument.name or VALUES[at]: argument for at, argument in enumerate(node.arguments)}
    shown = {name: interpreter.value(frame, named[name].value) for name in VALUES}
    if frame.step == node.name and frame.shown == shown:
        interpreter.world.counts["step that changes nothing"] += 1
        return
    frame.step, frame.shown = node.name, shown
    (label,) = [step.label for step in frame.flow.steps if step.name == node.name]
    frame.values.update(shown)
    told = str(interpreter.value(frame, label))
    for name in VALUES:
        del frame.values[name]
    path = tuple(f.step for f in interpreter.run.frames if f.step is not None)
    interpreter.run.pending.append(Effect("move", what=(frame.flow.name, path, told)))


def _pass(interpreter: Interpreter, frame: Frame, node: syntax.Pass) -> None:
    pass


# --- known ---

ENTRIES = (
    Statement(
        syntax.Log,
        offers=_logs,
        runs=_log,
        counted=lambda node: [f"log {node.level}"],
        wanted=("log debug", "log info", "log warn"),
    ),
    Statement(
        syntax.StepTo,
        offers=_steps,
        runs=_step,
        counted=lambda node: [
            "step values" if node.arguments else "step" if node.label is None else "step label"
        ],
        wanted=("step", "step label", "step values", "step that changes nothing"),
    ),
    Statement(
        syntax.Pass,
        offers=_passes,
        runs=_pass,
        counted=lambda _: ["pass"],
        wanted=("pass",),
    ),
)
