"""When flows wake by themselves: one time for each, however often it rests anew. Wakes nobody.

Keeps the nearest times; those beyond them are in the store, and are read when they are near.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

SLACK = 64
"""So many entries that are good for nothing are never too many."""

NEAREST = 8192
"""How many times are read from the store at once; at most twice as many are kept."""

Entry: TypeAlias = tuple[int, int]
"""When (microseconds), and which flow."""

_BEFORE_ALL: Entry = (-1, -1)


class Timers:
    """The earliest time at which each flow must be looked at.

    A flow that rests until later than it did is looked at in vain once, and set anew then: so a
    flow that takes a message a second, each with a deadline in a year, costs one entry.

    `later` gives the store's entries that follow one, in order and at most so many. What is in the
    store up to `_horizon` is here, or somebody looks at it now; the rest is there alone. A `pinned`
    time is not in the store, and is kept however far it is. Without `later` everything is here.
    """

    def __init__(
        self,
        later: Callable[[Entry, int], list[Entry]] | None = None,
        nearest: int = NEAREST,
    ) -> None:
        self._heap: list[Entry] = []
        self._set: dict[int, int] = {}
        self._pinned: set[int] = set()
        self._later = later
        self._nearest = nearest
        self._horizon: Entry | None = None
        """The last entry of the store that was read; None if all of them were."""

    def __len__(self) -> int:
        return len(self._heap)

    def clear(self) -> None:
        """Begin anew, with what the store has."""
        self._heap.clear()
        self._set.clear()
        self._pinned.clear()
        self._horizon = _BEFORE_ALL if self._later is not None else None

    def set(self, due_us: int, flow_id: int, pinned: bool = False) -> None:
        """Look at the flow at that time, or before."""
        if pinned:
            self._pinned.add(flow_id)
        elif self._horizon is not None and (due_us, flow_id) > self._horizon:
            return
        known = self._set.get(flow_id)
        if known is not None and known <= due_us:
            return
        self._set[flow_id] = due_us
        heapq.heappush(self._heap, (due_us, flow_id))
        if len(self._heap) > 2 * len(self._set) + SLACK:
            self._rebuild()
        if self._later is not None and len(self._set) - len(self._pinned) > 2 * self._nearest:
            self._shorten()

    def unpin(self, flow_id: int) -> None:
        """The flow's time is in the store, if it has one."""
        self._pinned.discard(flow_id)

    def _rebuild(self) -> None:
        self._heap = [(due_us, flow_id) for flow_id, due_us in self._set.items()]
        heapq.heapify(self._heap)

    def _shorten(self) -> None:
        """Keep the nearest; the store has the others, at these times or later ones."""
        kept = {flow_id: self._set[flow_id] for flow_id in self._pinned & self._set.keys()}
        free = [(due_us, flow_id) for flow_id, due_us in self._set.items() if flow_id not in kept]
        nearest = heapq.nsmallest(self._nearest, free)
        self._horizon = nearest[-1]
        kept.update((flow_id, due_us) for due_us, flow_id in nearest)
        self._set = kept
        self._rebuild()

    def forget(self, flow_id: int) -> None:
        """The flow is gone."""
        self._set.pop(flow_id, None)
        self._pinned.discard(flow_id)

    def next_due(self) -> int | None:
        """When the first one is due (microseconds)."""
        heap = self._heap
        while heap and self._set.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        while self._horizon is not None and not (heap and heap[0] <= self._horizon):
            self._read_on(self._horizon)
            heap = self._heap
        return heap[0][0] if heap else None

    def _read_on(self, after: Entry) -> None:
        assert self._later is not None
        rows = self._later(after, self._nearest)
        self._horizon = rows[-1] if len(rows) == self._nearest else None
        for due_us, flow_id in rows:
            self.set(due_us, flow_id)

    def take_due(self, now_us: int, limit: int | None = None) -> list[int]:
        """The flows to look at now, at most `limit` of them."""
        taken: dict[int, None] = {}
        while (due_us := self.next_due()) is not None and due_us <= now_us:
            if limit is not None and len(taken) >= limit:
                break
            flow_id = heapq.heappop(self._heap)[1]
            del self._set[flow_id]
            self._pinned.discard(flow_id)
            taken[flow_id] = None  # Perhaps again: it was looked at too early.
        return list(taken)
