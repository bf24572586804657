"""The tree of a flow's progress: its steps, what hangs under each, where in it the flow stands.

Made of the flow's declaration and its events alone, so that whoever has read the same events has
the same tree. Asks nobody and keeps no event.

The rows of a tree are its steps from top to bottom, the steps of a subflow below the one that it
was called at; before them all is the row "Starting", after them "Done". A tracker has one subflow
at each step, the latest. One that is declared (`step X … tracks F`) is there before it begins.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from flowrt.core.flow import Flow
from flowrt.core.hospital import AGAIN, Patient
from flowrt.core.progress import (
    BEGUN,
    END,
    ENDING,
    HELD,
    IN_HOSPITAL,
    OVER,
    PAUSED,
    REPORT,
    RETRYING,
    TROUBLE,
    WELL,
    ProgressEvent,
)
from flowrt.core.registry import unversioned

STARTING, DONE = "Starting", "Done"
"""The labels of the first and the last row."""

UNSTARTED, RUNNING = "unstarted", "running"
"""Where a tracker is before it is "done" or "failed"."""

PASSED, CURRENT, AHEAD = "passed", "current", "ahead"
"""How a row is seen from where the flow stands."""

DECLARED_DEPTH = 8
"""So deep hang subflows that are declared and have not begun; a tree of them may have many rows."""

Classes = Mapping[str, type[Flow[Any]]]


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: how deep it hangs, its text, the step's name ("" for the first and last row), the
    qualified name of its flow, and how it is seen: "passed", "current" or "ahead"."""

    depth: int
    label: str
    step: str
    flow: str
    seen: str


class Trouble(msgspec.Struct, frozen=True):
    """What keeps a flow from going on; see `Detail` for its fields."""

    state: str
    cause: str
    place: str
    tries: int
    next_us: int


class Report(msgspec.Struct, frozen=True):
    """How far an external operation is: its number in the flow, its name, what it says, how much of
    it is done (0 to 1, or None)."""

    number: int
    operation: str
    label: str
    done: float | None


class TreeView(msgspec.Struct, frozen=True):
    """A flow's progress at one moment; `msgspec.json.encode` takes it as it is.

    `number` is how many events made it; `index` the row where the flow stands, -1 before it begins;
    `path`, `label` and `values` are those of its latest step. `trouble` is None while all is well.
    `outcome` is "done" or "failed" once it has ended, and `error` then the error's text. `reports`
    are of operations under way, as far as they say anything.
    """

    flow: str
    number: int
    index: int
    rows: tuple[Row, ...]
    path: tuple[str, ...]
    label: str
    values: dict[str, Any]
    trouble: Trouble | None
    outcome: str | None
    error: str
    reports: tuple[Report, ...] = ()


class _Tracker:
    """The steps of one flow or subflow. `at` is the current one, -1 before the first; `children`
    the subflow at each, at -1 too."""

    __slots__ = ("at", "children", "declared", "flow", "labels", "names", "state")

    def __init__(self, flow: str, kind: type[Flow[Any]] | None) -> None:
        self.flow = flow
        self.names = [step.name for step in kind.steps] if kind is not None else []
        self.labels = [step.label for step in kind.steps] if kind is not None else []
        self.at = -1
        self.state = UNSTARTED
        self.children: dict[int, _Tracker] = {}
        self.declared: dict[int, str] = {}

    def move(self, name: str, label: str) -> tuple[int, int]:
        """Go to a step; which steps were passed on the way back: from, to (none if to < from)."""
        if name not in self.names:  # Its class is not installed any more.
            self.names.append(name)
            self.labels.append(label)
        before, self.at = self.at, self.names.index(name)
        self.labels[self.at] = label
        self.state = RUNNING
        return self.at, (before if self.at < before else -1)


class Tree:
    """A flow's progress, event by event. `flow` is its versioned name; `classes` are those that are
    installed: a step of one that is not has a row from when it is reached.

    `begun` says whether the flow has taken a step: one that waits for its time has not.
    """

    def __init__(self, flow: str, classes: Classes, begun: bool = True) -> None:
        self._classes = classes
        self.begun = begun
        self.number = 0
        self.trouble: Trouble | None = None
        self.outcome: str | None = None
        self.error = ""
        self._path: tuple[str, ...] = ()
        self._label = ""
        self._values: dict[str, Any] = {}
        self._reports: dict[int, Report] = {}
        self._root = self._declared(flow, frozenset())
        self._root.state = RUNNING
        self._stack = [(0, self._root)]

    def _declared(self, flow: str, above: frozenset[str]) -> _Tracker:
        """A tracker as the flow's declaration has it, with those of the subflows that it tracks."""
        kind = self._classes.get(flow)
        tracker = _Tracker(unversioned(flow), kind)
        if kind is None or flow in above or len(above) >= DECLARED_DEPTH:
            return tracker
        for at, step in enumerate(kind.steps):
            for other in kind.subflows if step.tracks is not None else ():
                if unversioned(other) == step.tracks:
                    tracker.declared[at] = other
                    tracker.children[at] = self._declared(other, above | {flow})
        return tracker

    # --- events ---

    def apply(self, event: ProgressEvent) -> None:
        """Take the next event. One that was taken before changes nothing."""
        kind = event.kind
        if kind == REPORT:
            self._report(event)
            return
        if event.number < self.number:
            return
        self.number = event.number + 1
        self.begun = True
        if kind == BEGUN:
            self._begin(event)
        elif kind == OVER:
            self._end_one(event)
        elif kind == TROUBLE:
            self._be_in_trouble(event)
        elif kind == WELL:
            self.trouble = None
        elif kind == END:
            self._end(event)
        else:
            self._move(event)

    def _below(self, depth: int) -> _Tracker:
        """The tracker under which one of that depth hangs; what was deeper has ended."""
        while len(self._stack) > 1 and self._stack[-1][0] >= depth:
            self._stack.pop()
        return self._stack[-1][1]

    def _hang(self, flow: str, versioned: str, depth: int) -> _Tracker:
        parent = self._below(depth)
        tracker = self._declared(versioned, frozenset())
        tracker.flow, tracker.state = flow, RUNNING
        parent.children[parent.at] = tracker
        self._stack.append((depth, tracker))
        return tracker

    def _begin(self, event: ProgressEvent) -> None:
        assert event.detail is not None
        self._hang(event.flow, f"{event.flow}_v{event.detail.version}", event.depth)
        self._path = event.path

    def _end_one(self, event: ProgressEvent) -> None:
        assert event.detail is not None
        for depth, tracker in self._stack[1:]:
            if depth == event.depth:
                tracker.state = event.detail.state
        self._below(event.depth)
        self._path = event.path

    def _be_in_trouble(self, event: ProgressEvent) -> None:
        detail = event.detail
        assert detail is not None
        self.trouble = Trouble(
            detail.state, detail.cause, detail.place, detail.tries, detail.next_us
        )
        self._reports.clear()

    def _end(self, event: ProgressEvent) -> None:
        self._below(1)
        self.trouble = None
        self.outcome = self._root.state = event.outcome or ""
        self.error = event.label
        self._reports.clear()

    def _move(self, event: ProgressEvent) -> None:
        self._path, self._label, self._values = event.path, event.label, event.values
        while len(self._stack) > 1 and self._stack[-1][0] > event.depth:
            self._stack.pop()
        depth, tracker = self._stack[-1]
        if depth != event.depth and event.depth:
            # A history from before subflows told that they begin.
            tracker = self._hang(event.flow, event.flow, event.depth)
        first, last = tracker.move(event.path[-1], event.label)
        for at in range(first, last + 1):
            tracker.children.pop(at, None)
            if at in tracker.declared:
                tracker.children[at] = self._declared(tracker.declared[at], frozenset())

    def _report(self, event: ProgressEvent) -> None:
        assert event.detail is not None
        number = event.detail.call
        if event.detail.state == OVER:
            self._reports.pop(number, None)
            return
        self._reports[number] = Report(number, event.flow, event.label, event.detail.done)

    # --- what is seen ---

    def view(self) -> TreeView:
        """The tree as it is now."""
        found: list[tuple[int, str, str, str]] = []
        place = self._write(self._root, 0, found)
        last = len(found)
        index = last if self.outcome == "done" else place if self.begun else -1
        found.append((0, DONE, "", self._root.flow))
        rows = [
            Row(*row, PASSED if at < index else CURRENT if at == index else AHEAD)
            for at, row in enumerate(found)
        ]
        return TreeView(
            self._root.flow,
            self.number,
            index,
            tuple(rows),
            self._path,
            self._label,
            self._values,
            self.trouble,
            self.outcome,
            self.error,
            tuple(self._reports.values()),
        )

    def _write(self, tracker: _Tracker, depth: int, rows: list[tuple[int, str, str, str]]) -> int:
        """Append a tracker's rows; the one where it stands, -1 if that is none of them."""
        place = -1
        if depth == 0:
            rows.append((0, STARTING, "", tracker.flow))
            place = 0
        for at in range(-1, len(tracker.names)):
            if at >= 0:
                rows.append((depth, tracker.labels[at], tracker.names[at], tracker.flow))
            own = len(rows) - 1
            child = tracker.children.get(at)
            below = self._write(child, depth + 1, rows) if child is not None else -1
            if at != tracker.at:
                continue
            place = own if at >= 0 else place
            if child is not None and child.state == "done":
                place = len(rows) - 1  # All of it is passed.
            elif child is not None and child.state != UNSTARTED and below >= 0:
                place = below
        return place


_STATES = {"held": HELD, "paused": PAUSED}


def trouble_of(patient: Patient) -> Trouble:
    """The same from a patient's row: of one that could not tell it, because it cannot be loaded."""
    state = _STATES.get(patient.kind, IN_HOSPITAL)
    if patient.next:
        state = RETRYING if patient.next == AGAIN else ENDING
    place = patient.line or patient.place
    return Trouble(state, patient.cause, place, patient.tries, patient.next_us)


def tree_of(
    flow: str, classes: Classes, events: typing.Iterable[ProgressEvent], begun: bool = True
) -> Tree:
    """The tree that these events make."""
    tree = Tree(flow, classes, begun)
    for event in events:
        tree.apply(event)
    return tree
