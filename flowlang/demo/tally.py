"""What the workers of a demo have told so far: which trades have ended, which are under way.

Knows the worker's lines of JSON, and nothing of processes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

SELLER = "seller"
PARTIES = (SELLER, "buyer", "notary")


@dataclasses.dataclass(frozen=True)
class Kill:
    """One SIGKILL: how many trades had ended before it, and how many were in flight."""

    ended: int
    in_flight: int


class Tally:
    """What the workers have told so far."""

    def __init__(self, trades: int, kills: int) -> None:
        self.trades = trades
        self.kills_due = kills
        self.ends: dict[str, str] = {}
        self.transactions: dict[str, str] = {}
        self.kills: list[Kill] = []
        self.unseen = 0  # kills since the databases were last opened
        self.over = 0  # trades whose flow has ended; `ends` has those that a worker told of
        self.flying: set[int] = set()  # flows of the trades under way
        self.flows_resumed = 0
        self.resting: list[int] = []
        self.opened = False
        self.closed = False

    def take(self, fact: dict[str, Any]) -> None:
        """Note one line of a worker."""
        match fact["tell"]:
            case "opened":
                # Nothing has run since the kill, so what lives now was in flight then.
                self.over = fact["begun"] - fact["in_flight"]
                self.flying = {flow_id for flow_id, *_ in fact["moves"][SELLER]}
                self.kills += [Kill(self.over, fact["in_flight"])] * self.unseen
                self.flows_resumed += fact["flows"] if self.unseen else 0
                self.unseen = 0
                self.opened = True
            case "commit":
                self.resting += fact["resting"]
                if fact["party"] == SELLER:
                    self._fly(fact["moves"])
            case "ended":
                self.ends[fact["order"]] = fact["end"]
                if fact["transaction"] is not None:
                    self.transactions[fact["order"]] = fact["transaction"]
            case "closed":
                self.closed = True

    def _fly(self, moves: list[Any]) -> None:
        for flow_id, *_, outcome in moves:
            if outcome is None:
                self.flying.add(flow_id)
            else:
                self.flying.discard(flow_id)
                self.over += 1

    @property
    def killed(self) -> int:
        return len(self.kills) + self.unseen

    @property
    def settled(self) -> int:
        return len(self.transactions)
