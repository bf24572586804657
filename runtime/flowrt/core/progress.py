"""Where a flow stands, as people see it: the tree of progress steps and its stream of events.

A flow has a current progress step; a subflow's hangs under the step its caller is at. Moving a
frame's step drops what its subflows showed. Keeps nothing: the position is in the checkpoint.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flowrt.core.values import StackFrame, StepWithValues


class ProgressEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One move of a flow's tracker.

    `number` counts from 0 without gaps; `flow` is the qualified name of the flow or subflow that
    moved, `depth` its place in the call stack (0 is the flow itself); `path` are the current steps
    from the outermost flow inwards; `label` is the text of the last one, and `values` what it
    declares, as plain data (see `plain`). The last event of a stream has `outcome` "done" or
    "failed"; the events before it have none.
    """

    number: int
    flow: str
    depth: int
    path: tuple[str, ...]
    label: str
    outcome: str | None = None
    values: dict[str, Any] = {}

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.outcome is not None


def path_of(frames: list[StackFrame], steps_of: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The current steps, outermost first; frames that are at no step show none."""
    return tuple([steps_of[f.flow][at] for f in frames if (at := number_of(f.step)) >= 0])


def number_of(step: int | StepWithValues) -> int:
    """The position of a frame's current step among those that its flow declares; -1 for none."""
    return step if isinstance(step, int) else step.number
