"""When flows wake by themselves: one time for each, however often it rests anew. Wakes nobody."""

from __future__ import annotations

import heapq

SLACK = 64
"""So many entries that are good for nothing are never too many."""


class Timers:
    """The earliest time at which each flow must be looked at.

    A flow that rests until later than it did is looked at in vain once, and set anew then: so a
    flow that takes a message a second, each with a deadline in a year, costs one entry.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._set: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._heap)

    def clear(self) -> None:
        self._heap.clear()
        self._set.clear()

    def set(self, due_us: int, flow_id: int) -> None:
        """Look at the flow at that time, or before."""
        known = self._set.get(flow_id)
        if known is not None and known <= due_us:
            return
        self._set[flow_id] = due_us
        heapq.heappush(self._heap, (due_us, flow_id))
        if len(self._heap) > 2 * len(self._set) + SLACK:
            self._heap = [(due, flow) for flow, due in self._set.items()]
            heapq.heapify(self._heap)

    def forget(self, flow_id: int) -> None:
        """The flow is gone."""
        self._set.pop(flow_id, None)

    def next_due(self) -> int | None:
        """When the first one is due (microseconds)."""
        heap = self._heap
        while heap and self._set.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def take_due(self, now_us: int) -> list[int]:
        """The flows to look at now."""
        taken = []
        while (due_us := self.next_due()) is not None and due_us <= now_us:
            flow_id = heapq.heappop(self._heap)[1]
            del self._set[flow_id]
            taken.append(flow_id)
        return taken
