"""What has been committed to leave and is not acknowledged: sent, and sent again. Knows no flow.

A packet is the row's number, the mark of the sender's store, and a frame. Row 0 wants no
acknowledgement. Its first byte says how long the first two are: 0x80, the bytes of the number (0 to
7) in bits 4 to 6, those of the mark's count in bits 0 to 3. Where its highest bit is not set, the
packet has no mark: 8 bytes of number (big endian), then the frame. No node sends such; peers in
tests do.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

from flowrt.core.lineage import MARK_BYTES, MOST_MARK_BYTES
from flowrt.core.values import Ack, Frame, encode
from flowrt.transport import Transport

RESEND_US = tuple(1_000_000 * seconds for seconds in (1, 2, 4, 8, 16, 32, 60))
"""How long a peer may take to acknowledge before a frame is sent again, for each further time."""

_NUMBER_BYTES = 8
_MARKED = 0x80


class Outbox:
    """The rows of the outbox that a peer's store does not hold yet. `mark` is the store's own, as
    of its last commit."""

    def __init__(self) -> None:
        self.mark = b""
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
        transport.send(peer, packed(number, self.mark, frame))

    def rows_for(self, peer: str) -> list[tuple[int, bytes]]:
        """What a peer's store does not hold yet: (number, frame), in order."""
        return [(number, row[1]) for number, row in self._unacked.items() if row[0] == peer]

    def send_to(self, peer: str, transport: Transport, now_us: int) -> None:
        """Send a peer its rows now."""
        for number, _ in self.rows_for(peer):
            self._send(number, transport, now_us, 0)

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


def packed(number: int, mark: bytes, frame: bytes) -> bytes:
    """The packet of a row; without a mark, as peers in tests send it, if that is empty."""
    if not mark:
        return number.to_bytes(_NUMBER_BYTES, "big") + frame
    size = (number.bit_length() + 7) >> 3
    head = _MARKED | size << 4 | len(mark) - MARK_BYTES
    return b"%c%b%b%b" % (head, number.to_bytes(size, "big"), mark, frame)


def packed_ack(numbers: Iterable[int], mark: bytes = b"") -> bytes:
    """The packet that acknowledges rows of the peer's outbox, at most MAX_ACKS of them."""
    return packed(0, mark, encode(Ack(tuple(numbers))))


def packed_word(frame: Frame, mark: bytes) -> bytes:
    """The packet of a frame that wants no acknowledgement."""
    return packed(0, mark, encode(frame))


def unpack(packet: bytes) -> tuple[int, bytes] | None:
    """(row id, frame bytes) of a packet; None if it is too short to be one."""
    found = unpack_marked(packet)
    return (found[0], found[2]) if found is not None else None


def unpack_marked(packet: bytes) -> tuple[int, bytes, bytes] | None:
    """(row id, mark or b"", frame bytes) of a packet; None if it is too short to be one."""
    if not packet:
        return None
    head = packet[0]
    if head < _MARKED:
        if len(packet) < _NUMBER_BYTES:
            return None
        return int.from_bytes(packet[:_NUMBER_BYTES], "big"), b"", packet[_NUMBER_BYTES:]
    number = 1 + (head >> 4 & 7)
    mark = number + MARK_BYTES + (head & 15)
    if len(packet) < mark or mark - number > MOST_MARK_BYTES:
        return None
    return int.from_bytes(packet[1:number], "big"), packet[number:mark], packet[mark:]


def frame_of(packet: bytes) -> bytes:
    """The frame of a packet; b"" if it is none."""
    found = unpack_marked(packet)
    return found[2] if found is not None else b""
