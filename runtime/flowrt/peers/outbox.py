"""What has been committed to leave and is not acknowledged: sent, and sent again. Knows no flow.

Of the rows for each peer a window is in memory and under way; of those behind it only the numbers
are, so that a peer who is away for weeks costs a disk and no memory.

A packet is the row's number, the mark of the sender's store, and a frame. Row 0 wants no
acknowledgement. Its first byte says how long the first two are: 0x80, the bytes of the number (0 to
7) in bits 4 to 6, those of the mark's count in bits 0 to 3. Where its highest bit is not set, the
packet has no mark: 8 bytes of number (big endian), then the frame. No node sends such; peers in
tests do.
"""

from __future__ import annotations

import array
import collections
from collections.abc import Callable, Iterable, Iterator, Sequence

from flowrt.core.flow import invariant
from flowrt.core.lineage import MARK_BYTES, MOST_MARK_BYTES
from flowrt.core.values import Ack, Frame, encode
from flowrt.limits import Limits
from flowrt.transport import Transport

RESEND_US = tuple(1_000_000 * seconds for seconds in (1, 2, 4, 8, 16, 32, 60))
"""How long a peer may take to acknowledge before a frame is sent again, for each further time."""

_NUMBER_BYTES = 8
_MARKED = 0x80
HEAD_BYTES = 1 + _NUMBER_BYTES + MOST_MARK_BYTES
"""What stands before the frame in a packet, at most."""
FETCHED = 256
"""How many frames are read from the store at once."""


Fetch = Callable[[Sequence[int]], Iterator[tuple[int, bytes]]]
"""Reads rows of the outbox from the store: (number, frame) of these numbers, in their order."""


class _Lane:
    """The rows for one peer: all of them counted, the window in memory, `later` by number. So many
    were `taken` by the peer, and `latest` is the last of those."""

    __slots__ = (
        "answers",
        "bytes",
        "later",
        "latest",
        "peer",
        "rows",
        "taken",
        "under_way",
        "under_way_bytes",
    )

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.rows = 0
        self.bytes = 0
        self.under_way = 0
        self.under_way_bytes = 0
        self.taken = 0
        self.latest = 0
        self.answers: set[int] = set()
        self.later = array.array("q")


class Outbox:
    """The rows of the outbox that a peer's store does not hold yet. `mark` is the store's own, as
    of its last commit."""

    def __init__(self, fetch: Fetch, limits: Limits | None = None) -> None:
        self.mark = b""
        self._fetch = fetch
        self._limits = limits or Limits()
        self._lanes: dict[str, _Lane] = {}
        # When it is due again stands here and in a queue: what a queue has of another time is void.
        self._unacked: dict[int, tuple[_Lane, bytes, int]] = {}
        # One queue for each number of times sent: within a queue all wait equally long, so the
        # first is always due first.
        # (When, which row, how many the peer had taken when it was sent.)
        self._again: list[collections.deque[tuple[int, int, int]]] = []
        self._settled: list[int] = []
        self._newest = 0
        self._hungry: dict[str, _Lane] = {}

    def __len__(self) -> int:
        return sum([lane.rows for lane in self._lanes.values()])

    def rows(self, peer: str) -> tuple[int, int]:
        """How many rows, and bytes of frames, wait for a peer."""
        lane = self._lanes.get(peer)
        return (lane.rows, lane.bytes) if lane is not None else (0, 0)

    def waiting(self) -> dict[str, tuple[int, int]]:
        """The same of each peer for whom there are some."""
        return {peer: (lane.rows, lane.bytes) for peer, lane in self._lanes.items() if lane.rows}

    @property
    def under_way(self) -> int:
        """How many rows are in memory."""
        return len(self._unacked)

    def has_room(self, peer: str) -> bool:
        """Whether more may be said to a peer."""
        lane = self._lanes.get(peer)
        if lane is None:
            return True
        return lane.rows < self._limits.outbox and lane.bytes < self._limits.outbox_bytes

    def may_answer(self, peer: str) -> bool:
        """Whether an invitation of a peer may be answered: as long as it takes the answers. What
        flows say does not count, or two who invite each other much could wait for each other."""
        lane = self._lanes.get(peer)
        return lane is None or len(lane.answers) < self._limits.window

    def load(self, rows: Iterable[tuple[int, str, int]]) -> None:
        """Begin anew with the store's rows: number, peer, size of the frame."""
        self._lanes.clear()
        self._unacked.clear()
        self._again.clear()
        self._settled.clear()
        self._hungry.clear()
        self._newest = 0
        for number, peer, size in rows:
            lane = self._lane(peer)
            lane.rows += 1
            lane.bytes += size
            lane.later.append(number)
            self._hungry[peer] = lane
            self._newest = number

    def _lane(self, peer: str) -> _Lane:
        lane = self._lanes.get(peer)
        if lane is None:
            lane = self._lanes[peer] = _Lane(peer)
        return lane

    def send(
        self,
        number: int,
        peer: str,
        frame: bytes,
        transport: Transport,
        now_us: int,
        is_answer: bool = False,
    ) -> None:
        """Send a row that was just committed, or keep it for later. An answer to an invitation does
        not wait behind others in the window."""
        if number <= self._newest:
            return  # It was in the store already when a node went back to it.
        self._newest = number
        lane = self._lane(peer)
        lane.rows += 1
        lane.bytes += len(frame)
        if is_answer:
            lane.answers.add(number)
            self._send(number, lane, frame, transport, now_us, 0)
        elif lane.later or not self._fits(lane):
            lane.later.append(number)
        else:
            self._begin(lane, number, frame, transport, now_us)

    def refill(self, transport: Transport, now_us: int) -> None:
        """Send what waits for a place in its window, where there is one."""
        for lane in self._hungry.values():
            while lane.later and self._fits(lane):
                numbers = lane.later[: min(FETCHED, self._limits.window - lane.under_way)]
                frames = self._fetched(lane, numbers)
                del lane.later[: numbers.index(frames[-1][0]) + 1]
                for number, frame in frames:
                    self._begin(lane, number, frame, transport, now_us)
        self._hungry.clear()

    def _fetched(self, lane: _Lane, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        """The first of these rows that fill the window; at least one."""
        found: list[tuple[int, bytes]] = []
        room = self._limits.window_bytes - lane.under_way_bytes
        for number, frame in self._fetch(numbers):
            found.append((number, frame))
            room -= len(frame)
            if room <= 0:
                break
        invariant(len(found) > 0, "a row that waits is not in the store")
        return found

    def _fits(self, lane: _Lane) -> bool:
        limits = self._limits
        return lane.under_way < limits.window and lane.under_way_bytes < limits.window_bytes

    def _begin(
        self, lane: _Lane, number: int, frame: bytes, transport: Transport, now_us: int
    ) -> None:
        lane.under_way += 1
        lane.under_way_bytes += len(frame)
        self._send(number, lane, frame, transport, now_us, 0)

    def send_again(self, transport: Transport, now_us: int) -> None:
        """Send the rows whose acknowledgement is overdue, but not those that a peer has before it
        who is busy: it took others since, and none that was sent later. What seems due later than
        it was ever set is due too: the clock was set back since."""
        for times, queue in enumerate(self._again):
            latest_us = now_us + RESEND_US[times]
            while queue and not now_us < queue[0][0] <= latest_us:
                due_us, number, taken = queue.popleft()
                held = self._unacked.get(number)
                if held is None or held[2] != due_us:
                    continue
                lane, frame, _ = held
                if lane.taken > taken and number > lane.latest:
                    self._unacked[number] = (lane, frame, latest_us)
                    queue.append((latest_us, number, lane.taken))
                else:
                    self._send(number, lane, frame, transport, now_us, times + 1)

    def _send(
        self,
        number: int,
        lane: _Lane,
        frame: bytes,
        transport: Transport,
        now_us: int,
        times: int,
    ) -> None:
        times = min(times, len(RESEND_US) - 1)
        while len(self._again) <= times:
            self._again.append(collections.deque())
        due_us = now_us + RESEND_US[times]
        self._unacked[number] = (lane, frame, due_us)
        self._again[times].append((due_us, number, lane.taken))
        transport.send(lane.peer, packed(number, self.mark, frame))

    def rows_for(self, peer: str) -> list[tuple[int, bytes]]:
        """What a peer's store does not hold yet: (number, frame), in order."""
        found = [(number, row[1]) for number, row in self._unacked.items() if row[0].peer == peer]
        lane = self._lanes.get(peer)
        if lane is not None:
            for at in range(0, len(lane.later), FETCHED):
                found += self._fetch(lane.later[at : at + FETCHED])
        return found

    def send_to(self, peer: str, transport: Transport, now_us: int) -> None:
        """Send a peer now what is under way to it."""
        rows = [(number, row) for number, row in self._unacked.items() if row[0].peer == peer]
        for number, (lane, frame, _) in rows:
            self._send(number, lane, frame, transport, now_us, 0)

    def forget(self, peer: str, number: int) -> None:
        """Delete a row that a peer must not get any more, wherever it is."""
        lane = self._lanes[peer]
        if number in lane.later:
            [(_, frame)] = self._fetch([number])
            lane.later.remove(number)
            lane.rows -= 1
            lane.bytes -= len(frame)
            self._settled.append(number)
        else:
            self.acknowledged(peer, [number])

    def acknowledged(self, peer: str, numbers: Iterable[int]) -> None:
        """The peer's store holds these rows. It has no say about rows that went to others; what is
        behind the window is sent first all the same: only a process before this one has said it."""
        lane = self._lanes.get(peer)
        if lane is None:
            return
        for number in numbers:
            held = self._unacked.get(number)
            if held is not None and held[0] is lane:
                del self._unacked[number]
                self._settled.append(number)
                lane.taken += 1
                lane.latest = max(lane.latest, number)
                size = len(held[1])
                lane.rows -= 1
                lane.bytes -= size
                if number in lane.answers:
                    lane.answers.remove(number)
                    continue
                lane.under_way -= 1
                lane.under_way_bytes -= size
        if lane.later:
            self._hungry[peer] = lane

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


def packed_ack(numbers: Iterable[int], mark: bytes = b"", held: bytes = b"") -> bytes:
    """The packet that acknowledges rows of the peer's outbox, at most MAX_ACKS of them, which came
    with the peer's mark `held` or an earlier one of the same life."""
    return packed(0, mark, encode(Ack(tuple(numbers), held)))


def packed_word(frame: Frame, mark: bytes) -> bytes:
    """The packet of a frame that wants no acknowledgement."""
    return packed(0, mark, encode(frame))


def is_word(packet: bytes) -> bool:
    """Whether a packet wants no acknowledgement."""
    if not packet:
        return False
    if packet[0] < _MARKED:
        return not any(packet[:_NUMBER_BYTES])
    return not packet[0] >> 4 & 7


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
