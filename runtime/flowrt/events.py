"""What the loop must know of each kind of event: whose turn it waits for, who wants to know.

Steps nothing and decides nothing.
"""

from __future__ import annotations

from flowrt.core.engine import (
    Again,
    Arrival,
    Begin,
    CallEnded,
    Change,
    Command,
    End,
    FlowEnded,
    Followed,
    Happened,
    Kill,
    Lost,
    Pause,
    Resume,
    Retry,
    Severed,
    Throw,
)

WAITS_FOR_ITS_TURN = frozenset({Retry, Again, Change, Throw, End, Kill})
"""What is to be done when the flow's step in this batch is over."""

BY_A_PERSON = frozenset({Retry, Change, Throw})
"""How a person lets a patient go on."""

BY_SOMEBODY = frozenset({Retry, Change, Throw, Kill, Pause})
"""Events that say who did it and why, for the audit trail."""

STALE = {
    CallEnded: "this question is answered already, or its time is over",
    Change: "the flow is not where it was: look at it again",
    Throw: "the flow is not in the hospital any more",
}
"""Why an event was not taken, where somebody wants to know."""

ENDS_A_CALL = frozenset({CallEnded, Lost})
"""Events that say what came of an operation."""

DRAINED, CLAIMED, SCHEDULED = 100, 101, 102
"""Deeds as the audit trail writes them: a node begins or ends to drain; a task is claimed, or let
go; a schedule is paused, or goes on. Events of flows have numbers below 100."""

CODE: dict[type, int] = {
    Begin: 0,
    Resume: 1,
    Arrival: 2,
    Retry: 3,
    Command: 4,
    CallEnded: 5,
    FlowEnded: 6,
    Lost: 7,
    Followed: 8,
    Kill: 9,
    Pause: 10,
    Again: 11,
    Change: 12,
    Throw: 13,
    End: 14,
    Severed: 15,
    Happened: 16,
}
"""Events as the audit trail writes them."""
