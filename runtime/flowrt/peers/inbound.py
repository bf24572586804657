"""What has come and is not taken up yet: of each peer so much, and taken up in turns.

Knows neither frames nor flows.
"""

from __future__ import annotations

import collections

from flowrt.core.values import MAX_FRAME_BYTES
from flowrt.limits import Limits
from flowrt.peers.outbox import HEAD_BYTES, is_word

LARGEST = MAX_FRAME_BYTES + HEAD_BYTES
"""A packet is a frame and what stands before it."""


class _Queue:
    """One peer's packets, how many bytes they are, how many of them want no acknowledgement."""

    __slots__ = ("bytes", "packets", "words")

    def __init__(self) -> None:
        self.bytes = 0
        self.words = 0
        self.packets: collections.deque[bytes] = collections.deque()


class Inbound:
    """Packets by peer. A peer who sends without end fills its own queue and nobody else's. What
    wants no acknowledgement has as much room again: it comes behind frames that are sent until
    they are acknowledged, and says what they wait for."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.inbound
        self._most_bytes = limits.inbound_bytes
        self._queues: dict[str, _Queue] = {}
        self._turns: collections.deque[str] = collections.deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def held(self) -> dict[str, tuple[int, int]]:
        """How many packets, and bytes, of each peer wait here."""
        return {peer: (len(queue.packets), queue.bytes) for peer, queue in self._queues.items()}

    def append(self, packet: tuple[str, bytes]) -> bool:
        """Keep a packet, or drop it: it is larger than any may be, or its peer has too many here.
        False if it is dropped."""
        peer, data = packet
        size = len(data)
        if size > LARGEST:
            return False
        queue = self._queues.get(peer)
        if queue is None:
            queue = self._queues[peer] = _Queue()
            self._turns.append(peer)
        elif queue.bytes + size > self._most_bytes:
            return False
        word = is_word(data)
        if (queue.words if word else len(queue.packets) - queue.words) >= self._most:
            return False
        queue.words += word
        queue.packets.append(data)
        queue.bytes += size
        self._count += 1
        return True

    def popleft(self) -> tuple[str, bytes]:
        """The oldest packet of the peer whose turn it is. IndexError if there is none."""
        peer = self._turns[0]
        queue = self._queues[peer]
        data = queue.packets.popleft()
        queue.bytes -= len(data)
        queue.words -= is_word(data)
        self._count -= 1
        if not queue.packets:
            del self._queues[peer]
            self._turns.popleft()
        elif len(self._turns) > 1:
            self._turns.rotate(-1)
        return peer, data
