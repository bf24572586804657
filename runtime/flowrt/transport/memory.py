"""A network within one process that can lose, repeat and reorder on demand. Knows no frame.

With an event loop running it delivers by itself, in the loop's next turns; else `pump` does.
"""

from __future__ import annotations

import asyncio
import collections
import random
from collections.abc import Callable

from flowrt.transport import Receiver


class MemoryNetwork:
    """Parties in one process.

    `lose`, `repeat` and `reorder` are probabilities for each packet, drawn from `seed`: the same
    seed and the same sends give the same deliveries. `down` names parties that nothing reaches.
    """

    def __init__(
        self, *, seed: int = 0, lose: float = 0.0, repeat: float = 0.0, reorder: float = 0.0
    ) -> None:
        self.lose = lose
        self.repeat = repeat
        self.reorder = reorder
        self.down: set[str] = set()
        self._random = random.Random(seed)
        self._places: dict[str, _Place] = {}
        self._queue: collections.deque[tuple[str, str, bytes]] = collections.deque()
        self._scheduled = False

    def join(self, party: str, receive: Receiver) -> _Place:
        """Take a place; a party that joins again (after a crash) takes over its old one."""
        place = _Place(self, party, receive)
        self._places[party] = place
        return place

    def pump(self, limit: int | None = None) -> bool:
        """Deliver what is queued, or the first `limit` of it. False if there was nothing."""
        count = len(self._queue) if limit is None else min(limit, len(self._queue))
        for _ in range(count):
            sender, receiver, data = self._next()
            place = self._places.get(receiver)
            if place is not None and receiver not in self.down and sender not in self.down:
                place.receive(sender, data)
        return count > 0

    def clear(self) -> None:
        """Lose what is on its way."""
        self._queue.clear()

    def _next(self) -> tuple[str, str, bytes]:
        if self.reorder and len(self._queue) > 1 and self._random.random() < self.reorder:
            self._queue.rotate(-self._random.randrange(1, len(self._queue)))
        return self._queue.popleft()

    def _send(self, sender: str, receiver: str, data: bytes) -> None:
        if self.lose and self._random.random() < self.lose:
            return
        self._queue.append((sender, receiver, data))
        if self.repeat and self._random.random() < self.repeat:
            self._queue.append((sender, receiver, data))
        if not self._scheduled:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._scheduled = True
            loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        self.pump()

    def _leave(self, place: _Place) -> None:
        if self._places.get(place.party) is place:
            del self._places[place.party]


class _Place:
    """One party's end of a `MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, party: str, receive: Receiver) -> None:
        self.network = network
        self.party = party
        self.receive = receive
        self.up: Callable[[str], None] | None = None  # Nobody comes back unnoticed in one process.

    def send(self, peer: str, data: bytes) -> None:
        self.network._send(self.party, peer, data)

    def close(self) -> None:
        self.network._leave(self)
