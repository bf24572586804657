"""What has been committed to leave and is not acknowledged: sent, and sent again. Knows no flow.

Keeps a window of rows for each peer; those behind it wait in the store until there is room.
"""

from __future__ import annotations

import collections
import contextlib
import struct
from collections.abc import Callable, Generator, Iterable

from flowrt.core.values import Ack, encode
from flowrt.transport import Transport

RESEND_US = tuple(1_000_000 * seconds for seconds in (1, 2, 4, 8, 16, 32, 60))
"""How long a peer may take to acknowledge before a frame is sent again, for each further time."""

WINDOW_ROWS = 8192
WINDOW_BYTES = 16 << 20
"""How much for one peer is kept in memory and sent ahead of its acknowledgements."""

_HEADER = struct.Struct(">Q")


class _Window:
    """What of one peer's rows is in memory: those up to `last` that it has not acknowledged. With
    `has_more` the store has others behind them. So many were `taken` by the peer, and `latest` is
    the last of those."""

    __slots__ = ("bytes", "has_more", "last", "latest", "rows", "taken")

    def __init__(self, has_more: bool) -> None:
        self.rows = 0
        self.taken = 0
        self.latest = 0
        self.bytes = 0
        self.last = 0
        self.has_more = has_more


class Outbox:
    """The rows of the outbox that a peer's store does not hold yet.

    A packet is the row's id (8 bytes, big endian; 0 for what wants no acknowledgement) and a frame.
    `unsent` gives the store's rows for a peer that follow one of them.
    """

    def __init__(
        self,
        unsent: Callable[[str, int], Iterable[tuple[int, bytes]]] | None = None,
        rows: int = WINDOW_ROWS,
    ) -> None:
        self._unsent = unsent
        self._rows = rows
        self._windows: dict[str, _Window] = {}
        self._low: dict[str, None] = {}
        """The peers whose window has room for what is behind it."""
        self._unacked: dict[int, tuple[str, bytes]] = {}
        # One queue for each number of times sent: within a queue all wait equally long, so the
        # first is always due first.
        # (When, which row, how many the peer had taken when it was sent.)
        self._again: list[collections.deque[tuple[int, int, int]]] = []
        self._settled: list[int] = []

    def __len__(self) -> int:
        """How many rows are in memory; none only if the store has none either."""
        return len(self._unacked)

    def load(self, receivers: Iterable[str]) -> None:
        """Begin anew: the store has rows for these peers."""
        self._windows = {peer: _Window(has_more=True) for peer in receivers}
        self._low = dict.fromkeys(self._windows)
        self._unacked.clear()
        self._again.clear()
        self._settled.clear()

    def fill(self, transport: Transport, now_us: int) -> None:
        """Send what has waited in the store until there was room, as after a restart."""
        low, self._low = self._low, {}
        for peer in low:
            window = self._windows[peer]
            assert self._unsent is not None
            with contextlib.closing(_generated(self._unsent(peer, window.last))) as rows:
                for number, frame in rows:
                    if self._is_full(window):
                        break
                    self._take(window, number, peer, frame)
                    self._send(number, transport, now_us, 0)
                else:
                    window.has_more = False

    def send(self, number: int, peer: str, frame: bytes, transport: Transport, now_us: int) -> None:
        """Send a row that was just committed, or later if there is no room."""
        window = self._windows.get(peer)
        if window is None:
            window = self._windows[peer] = _Window(has_more=False)
        if window.has_more or self._is_full(window):
            window.has_more = self._unsent is not None
            return
        self._take(window, number, peer, frame)
        self._send(number, transport, now_us, 0)

    def _is_full(self, window: _Window) -> bool:
        return window.rows >= self._rows or window.bytes >= WINDOW_BYTES

    def _take(self, window: _Window, number: int, peer: str, frame: bytes) -> None:
        window.rows += 1
        window.bytes += len(frame)
        window.last = number
        self._unacked[number] = (peer, frame)

    def send_again(self, transport: Transport, now_us: int) -> None:
        """Send the rows whose acknowledgement is overdue, but not those that a peer has before it
        who is busy: it took others since, and none that was sent later. What seems due later than
        it was ever set is due too: the clock was set back since."""
        for times, queue in enumerate(self._again):
            latest_us = now_us + RESEND_US[times]
            while queue and not now_us < queue[0][0] <= latest_us:
                _, number, taken = queue.popleft()
                held = self._unacked.get(number)
                if held is None:
                    continue
                window = self._windows[held[0]]
                if window.taken > taken and number > window.latest:
                    queue.append((latest_us, number, window.taken))
                else:
                    self._send(number, transport, now_us, times + 1)

    def _send(self, number: int, transport: Transport, now_us: int, times: int) -> None:
        peer, frame = self._unacked[number]
        times = min(times, len(RESEND_US) - 1)
        while len(self._again) <= times:
            self._again.append(collections.deque())
        taken = self._windows[peer].taken
        self._again[times].append((now_us + RESEND_US[times], number, taken))
        transport.send(peer, _HEADER.pack(number) + frame)

    def acknowledged(self, peer: str, numbers: Iterable[int]) -> None:
        """The peer's store holds these rows. It has no say about rows that went to others."""
        window = self._windows.get(peer)
        if window is None:
            return
        unacked = self._unacked
        for number in numbers:
            held = unacked.get(number)
            if held is not None and held[0] == peer:
                del unacked[number]
                window.rows -= 1
                window.bytes -= len(held[1])
                window.taken += 1
                if number > window.latest:
                    window.latest = number
                self._settled.append(number)
        if window.has_more and 2 * window.rows <= self._rows and 2 * window.bytes <= WINDOW_BYTES:
            self._low[peer] = None

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


def _generated(rows: Iterable[tuple[int, bytes]]) -> Generator[tuple[int, bytes]]:
    """Rows that can be closed before their end."""
    yield from rows


def packed_ack(numbers: Iterable[int]) -> bytes:
    """The packet that acknowledges rows of the peer's outbox, at most MAX_ACKS of them."""
    return _HEADER.pack(0) + encode(Ack(tuple(numbers)))


def unpack(packet: bytes) -> tuple[int, bytes] | None:
    """(row id, frame bytes) of a packet; None if it is too short to be one."""
    if len(packet) < _HEADER.size:
        return None
    return _HEADER.unpack_from(packet)[0], packet[_HEADER.size :]
