"""What is remembered of work that was done, so that it is not done twice; bounded. Knows no tables.

Everything here follows from the content alone that it is remembered under, so it stays true when a
step is rolled back, and no node believes another one's memory.
"""

from __future__ import annotations

import collections
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, of which the latest used are kept, up to a sum of their weights."""

    __slots__ = ("_kept", "_most", "_weight")

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._kept: collections.OrderedDict[K, tuple[V, int]] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value, if it is still there."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value; what was not used for longest makes room for it."""
        before = self._kept.pop(key, None)
        if before is not None:
            self._weight -= before[1]
        self._kept[key] = value, weight
        self._weight += weight
        while self._weight > self._most:
            _, (_, gone) = self._kept.popitem(last=False)
            self._weight -= gone
