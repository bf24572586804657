"""What has come and is not taken up yet: of each peer so much, and taken up in turns.

Knows neither frames nor flows.
"""

from __future__ import annotations

from collections import Counter

from flowrt.core.values import MAX_FRAME_BYTES
from flowrt.fair import FairQueue
from flowrt.limits import Limits

LARGEST = MAX_FRAME_BYTES + 8
"""A packet is a frame and the number of a row."""


class Inbound:
    """Packets by peer. A peer who sends without end fills its own queue and nobody else's."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._packets: FairQueue[str, bytes] = FairQueue()
        self._bytes: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._packets)

    def append(self, packet: tuple[str, bytes]) -> bool:
        """Keep a packet, or drop it: it is larger than any may be, or its peer has too many here.
        False if it is dropped."""
        peer, data = packet
        size = len(data)
        count = self._packets.count(peer)
        if size > LARGEST or count >= self._limits.inbound:
            return False
        if count and self._bytes[peer] + size > self._limits.inbound_bytes:
            return False
        self._packets.append(peer, data)
        self._bytes[peer] += size
        return True

    def popleft(self) -> tuple[str, bytes]:
        """The oldest packet of the peer whose turn it is. IndexError if there is none."""
        peer, data = self._packets.popleft()
        if self._packets.count(peer):
            self._bytes[peer] -= len(data)
        else:
            del self._bytes[peer]
        return peer, data
