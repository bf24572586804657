"""A queue in which everybody has a turn, however much one of them has put into it.

Knows nothing of what waits.
"""

from __future__ import annotations

import collections
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """Items by whose they are: of each in the order in which they came, and of all in turns."""

    def __init__(self) -> None:
        self._queues: dict[K, collections.deque[T]] = {}
        self._turns: collections.deque[K] = collections.deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def count(self, key: K) -> int:
        """How many items of one wait."""
        queue = self._queues.get(key)
        return len(queue) if queue is not None else 0

    def append(self, key: K, item: T) -> None:
        """Let an item wait behind those of the same one."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = collections.deque()
            self._turns.append(key)
        queue.append(item)
        self._count += 1

    def popleft(self) -> tuple[K, T]:
        """The first item of whose turn it is. IndexError if there is none."""
        key = self._turns[0]
        queue = self._queues[key]
        item = queue.popleft()
        self._count -= 1
        if queue:
            self._turns.rotate(-1)
        else:
            del self._queues[key]
            self._turns.popleft()
        return key, item
