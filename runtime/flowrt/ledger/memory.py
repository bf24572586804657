"""What is remembered, so that it is not done or asked for twice; bounded. Knows no tables.

What follows from content alone is remembered under that, and stays true when a step is rolled back.
What a table says is remembered in `tx.known`, which is emptied when anything is undone: who writes
the table says there what it wrote. No node believes another one's memory.
"""

from __future__ import annotations

import collections
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from flowrt.core.flow import Tx

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

    def drop(self, key: K) -> None:
        """Forget one."""
        before = self._kept.pop(key, None)
        if before is not None:
            self._weight -= before[1]


def of_table(tx: Tx, name: str, most: int = 16_384) -> Remembered[Any, Any]:
    """What is remembered of a table of the node's database, under a name of its own."""
    found: Remembered[Any, Any] | None = tx.known.get(name)
    if found is None:
        found = tx.known[name] = Remembered(most)
    return found


MOST_HOLDERS = 16_384
"""How many flows are remembered that have rows in a table; of more, all are asked for."""


class Holders:
    """Which flows may have rows in a table, so that not every flow's end looks there. Who is not
    among them has none."""

    __slots__ = ("_flows", "_last")

    def __init__(self, last: int) -> None:
        """No flow after `last` has rows."""
        self._last = last
        self._flows: set[int] = set()

    def add(self, flow_id: int) -> None:
        if flow_id <= self._last:
            return
        self._flows.add(flow_id)
        if len(self._flows) > MOST_HOLDERS:
            self._last = max(self._flows)
            self._flows.clear()

    def discard(self, flow_id: int) -> None:
        """Its rows are gone."""
        self._flows.discard(flow_id)

    def __contains__(self, flow_id: int) -> bool:
        return flow_id <= self._last or flow_id in self._flows


def holders(tx: Tx, name: str, last: str) -> Holders:
    """The flows with rows in a table; `last` is the statement that gives the highest of them."""
    found: Holders | None = tx.known.get(name)
    if found is None:
        [(highest,)] = tx.execute(last)
        found = tx.known[name] = Holders(highest or 0)
    return found
