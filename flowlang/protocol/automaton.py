"""What one flow can do on one session: nodes, and edges between them. Plain data.

An edge sends a message, receives one, learns that the other side has ended, or does neither and is
silent: a decision, a time that is over, something about other sessions. Silent choices are kept
apart on purpose, since the other side does not know which was taken (protocols are about what is
seen).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from flowlang.machine import Place

Values: TypeAlias = frozenset[tuple[tuple[str, str], str | bool]]
"""What is known of a message: its field, what is known of that (see `facts.Key`), and the value."""

NOTHING: Values = frozenset()


class Spot(NamedTuple):
    """A statement: in which module and flow, where. `top` is the place in the flow that has the
    session, where that called what leads here; the same place where nothing was called."""

    module: str
    flow: str
    place: Place
    top: Place


class Kind(enum.IntEnum):
    """What an edge does."""

    SILENT = 0
    SEND = 1
    RECEIVE = 2
    ENDED = 3


class Final(enum.IntEnum):
    """How the session is over for one side."""

    NOT = 0
    ENDED = 1  # The flow, or the block that opened the session, came to its end.
    CLOSED = 2  # `close`: whatever still comes is not wanted.
    FAILED = 3  # An error, which the other side receives: always allowed.
    NEVER = 4  # The session was never opened on this way.
    MISCOUNTED = 5  # A member of a group was counted twice, which was taken not to happen.


class Step(NamedTuple):
    """Something silent that is worth telling, such as a condition that holds; where it stands."""

    told: str
    spot: Spot


class Edge(NamedTuple):
    """`message` is a qualified name, empty where none is meant; `spot` is the statement."""

    kind: Kind
    message: str
    values: Values
    target: int
    spot: Spot
    steps: tuple[Step, ...]
    arm: Arm | None = None


class Arm(NamedTuple):
    """A case of a choice: of which flow, at which instruction, the how many-th. A negative number
    is something else that may come there: `ITS_END`, `ITS_MESSAGE`, `REFUSED`."""

    flow: str
    at: int
    number: int


ITS_END = -1
"""The session's end, which is caught."""

ITS_MESSAGE = -2
"""The only message that is waited for."""

REFUSED = -3
"""A message that is not taken, which is caught."""


@dataclasses.dataclass(slots=True)
class Node:
    """`spot` is the statement at which the flow is. `owes` counts the messages that are dropped
    when they come, before anything else is read."""

    edges: list[Edge]
    spot: Spot
    final: Final = Final.NOT
    owes: int = 0
    minus: int = -1
    """The node with one message less to drop."""

    is_receiving: bool = False
    is_sending: bool = False
    refused: Arm | None = None
    """What it is where a message that is not taken is caught: the flow goes on then."""

    def of(self, kind: Kind) -> Iterator[Edge]:
        return (edge for edge in self.edges if edge.kind is kind)


@dataclasses.dataclass(frozen=True)
class Automaton:
    """One side of a session; it begins at node 0. `flow` is the flow that has the session,
    `session` what it is called there, `opened` where it was opened or, at a responder, the flow's
    first line."""

    flow: str
    session: str
    opened: Spot
    nodes: list[Node]
    is_whole: bool = True
    """False where correlated decisions were forgotten, because there were too many."""

    @functools.cached_property
    def arms(self) -> frozenset[Arm]:
        """The cases that are about this session."""
        return frozenset(arm for arm in self._all if arm.number >= 0)

    @functools.cached_property
    def events(self) -> frozenset[Arm]:
        """What else may come of this session."""
        refused = {node.refused for node in self.nodes if node.refused is not None}
        return frozenset(arm for arm in self._all if arm.number < 0) | refused

    @functools.cached_property
    def _all(self) -> frozenset[Arm]:
        return frozenset(
            edge.arm for node in self.nodes for edge in node.edges if edge.arm is not None
        )

    @functools.cached_property
    def receives(self) -> frozenset[Arm]:
        """The cases that take a message of this session."""
        return frozenset(
            edge.arm
            for node in self.nodes
            for edge in node.of(Kind.RECEIVE)
            if edge.arm is not None and edge.arm.number >= 0
        )

    @functools.cached_property
    def may_miscount(self) -> bool:
        """Whether a member of a group is counted twice somewhere."""
        return any(node.final is Final.MISCOUNTED for node in self.nodes)

    @functools.cached_property
    def flows(self) -> frozenset[str]:
        """The flows that were followed."""
        return frozenset(node.spot.flow for node in self.nodes) | {self.flow}
