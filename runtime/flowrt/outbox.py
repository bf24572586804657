"""What has been committed to leave and is not acknowledged: sent, and sent again. Knows no flow."""

from __future__ import annotations

import collections
import struct
from collections.abc import Iterable

from flowrt.core.values import Ack, encode
from flowrt.transport import Transport

RESEND_US = tuple(1_000_000 * seconds for seconds in (1, 2, 4, 8, 16, 32, 60))
"""How long a peer may take to acknowledge before a frame is sent again, for each further time."""

_HEADER = struct.Struct(">Q")


class Outbox:
    """The rows of the outbox that a peer's store does not hold yet.

    A packet is the row's id (8 bytes, big endian; 0 for what wants no acknowledgement) and a frame.
    """

    def __init__(self) -> None:
        self._unacked: dict[int, tuple[str, bytes]] = {}
        # One queue for each number of times sent: within a queue all wait equally long, so the
        # first is always due first.
        self._again: list[collections.deque[tuple[int, int]]] = []
        self._settled: list[int] = []

    def __len__(self) -> int:
        return len(self._unacked)

    def load(self, rows: Iterable[tuple[int, str, bytes]]) -> None:
        """Begin anew with the store's rows."""
        self._unacked = {number: (peer, frame) for number, peer, frame in rows}
        self._again.clear()
        self._settled.clear()

    def send_all(self, transport: Transport, now_us: int) -> None:
        """Send every row, as after a restart."""
        for number in list(self._unacked):
            self._send(number, transport, now_us, 0)

    def send(self, number: int, peer: str, frame: bytes, transport: Transport, now_us: int) -> None:
        """Send a row that was just committed."""
        self._unacked[number] = (peer, frame)
        self._send(number, transport, now_us, 0)

    def send_again(self, transport: Transport, now_us: int) -> None:
        """Send the rows whose acknowledgement is overdue. What seems due later than it was ever set
        is due too: the clock was set back since."""
        for times, queue in enumerate(self._again):
            latest_us = now_us + RESEND_US[times]
            while queue and not now_us < queue[0][0] <= latest_us:
                _, number = queue.popleft()
                if number in self._unacked:
                    self._send(number, transport, now_us, times + 1)

    def _send(self, number: int, transport: Transport, now_us: int, times: int) -> None:
        peer, frame = self._unacked[number]
        times = min(times, len(RESEND_US) - 1)
        while len(self._again) <= times:
            self._again.append(collections.deque())
        self._again[times].append((now_us + RESEND_US[times], number))
        transport.send(peer, _HEADER.pack(number) + frame)

    def acknowledged(self, peer: str, numbers: Iterable[int]) -> None:
        """The peer's store holds these rows. It has no say about rows that went to others."""
        for number in numbers:
            held = self._unacked.get(number)
            if held is not None and held[0] == peer:
                del self._unacked[number]
                self._settled.append(number)

    @property
    def has_settled(self) -> bool:
        """Whether rows wait to be deleted from the store."""
        return bool(self._settled)

    def take_settled(self) -> list[int]:
        """The rows to delete with the next commit."""
        settled, self._settled = self._settled, []
        return settled

    def next_due(self) -> int | None:
        """When a row is to be sent again (microseconds)."""
        return min((queue[0][0] for queue in self._again if queue), default=None)


def packed_ack(numbers: Iterable[int]) -> bytes:
    """The packet that acknowledges rows of the peer's outbox, at most MAX_ACKS of them."""
    return _HEADER.pack(0) + encode(Ack(tuple(numbers)))


def unpack(packet: bytes) -> tuple[int, bytes] | None:
    """(row id, frame bytes) of a packet; None if it is too short to be one."""
    if len(packet) < _HEADER.size:
        return None
    return _HEADER.unpack_from(packet)[0], packet[_HEADER.size :]
