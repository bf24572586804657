"""What a flow's tracker tells: moves, subflows that begin and end, trouble, the end of the flow.

Each of it is an event, numbered within its flow; `tracker` makes the tree of them. Keeps nothing:
the position is in the checkpoint.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flowrt.core.values import StackFrame, StepWithValues

POSITION, LABEL, BEGUN, OVER, TROUBLE, WELL, END, REPORT = (
    "position",
    "label",
    "begun",
    "over",
    "trouble",
    "well",
    "end",
    "report",
)
"""What an event tells: another step; the same one under another label; a subflow's tracker hangs
under the step; that one is over; the flow's step failed, or it rests in the hospital; it has left
that; the flow has ended; an operation under way says how far it is."""

RETRYING, IN_HOSPITAL, HELD, PAUSED, ENDING = "retrying", "in hospital", "held", "paused", "ending"
"""What is done in trouble: it is tried again by itself, it waits for a person, it does so because
it said `hold`, or because an operator paused it, it is ended by its policy."""


class Detail(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an event tells that is no move to another step.

    `kind` is one of those above; `version` that of a subflow that begins. Of trouble: `state` is
    what is done, `cause` the error's type and text, `place` the `.flow` line as `file:line`,
    `tries` how often it was or will be tried again by itself, `next_us` when (microseconds since
    1970; 0: not by itself). Of a subflow that is over `state` is "done" or "failed", `cause` its
    error's text. Of a report `done` is how much of the operation is done, from 0 to 1, or None.
    """

    kind: str
    version: int = 0
    state: str = ""
    cause: str = ""
    place: str = ""
    tries: int = 0
    next_us: int = 0
    done: float | None = None
    call: int = 0


class ProgressEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event of a flow's tracker.

    `number` counts from 0 without gaps, those that tell of subflows included; a report, which is in
    no store, has -1 and its operation's name for `flow`. Else `flow` is the qualified name of the
    flow or subflow that it is about, `depth` its place in the call stack (0 is the flow itself);
    `path` are the current steps from the outermost flow inwards; `label` is the text of the last
    one, and `values` what it declares, as plain data (see `plain`). The last event of a stream has
    `outcome` "done" or "failed"; the events before it have none.
    """

    number: int
    flow: str
    depth: int
    path: tuple[str, ...]
    label: str
    outcome: str | None = None
    values: dict[str, Any] = {}
    detail: Detail | None = None

    def plain(self) -> dict[str, Any]:
        """The event as data for JSON: its fields, its kind, and what else it tells."""
        said = {
            "number": self.number,
            "kind": self.kind,
            "flow": self.flow,
            "depth": self.depth,
            "path": list(self.path),
            "label": self.label,
            "outcome": self.outcome,
            "values": self.values,
        }
        if self.detail is not None:
            for name in self.detail.__struct_fields__:
                value = getattr(self.detail, name)
                if value not in ("", 0, None):
                    said[name] = value
        return said

    @property
    def kind(self) -> str:
        """What it tells: see above."""
        if self.detail is not None:
            return self.detail.kind
        return POSITION if self.outcome is None else END

    @property
    def is_move(self) -> bool:
        """Whether the flow has gone to a step, or shows another label or values there."""
        return self.kind in (POSITION, LABEL)

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.outcome is not None

    @property
    def is_structure(self) -> bool:
        """Whether only the shape of the tree has changed: a subflow has begun, or is over."""
        return self.detail is not None and self.detail.kind in (BEGUN, OVER)


def path_of(frames: list[StackFrame], steps_of: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The current steps, outermost first; frames that are at no step show none, nor those of flows
    that are not installed."""
    path = []
    for frame in frames:
        at = frame.step if type(frame.step) is int else number_of(frame.step)
        if at >= 0:
            steps = steps_of.get(frame.flow)
            if steps is not None:
                path.append(steps[at])
    return tuple(path)


def number_of(step: int | StepWithValues) -> int:
    """The position of a frame's current step among those that its flow declares; -1 for none."""
    return step if isinstance(step, int) else step.number
