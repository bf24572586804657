"""Frames on a byte stream: four bytes of length, one byte that says what it is, then that. Pure.

A length is judged before anything of it is kept, so nobody makes us hold more than one frame. What
is in a packet it never knows.
"""

from __future__ import annotations

import struct

from flowrt.core.lineage import MOST_MARK_BYTES
from flowrt.core.values import MAX_FRAME_BYTES

PROTOCOL = "flowrt/1"
"""What both ends of a connection must want to speak (ALPN, RFC 7301)."""

MOST_PACKET = MAX_FRAME_BYTES + 9 + MOST_MARK_BYTES
"""The largest packet: a session's frame, and the number and mark before it."""

LIFE_BYTES = 16

HELLO, PACKET, PING, PONG, BYE = range(5)
"""What a frame is: the first of each end, with the name of its life, which is new for each process;
something for the party; a question whether the other end is there; the answer; the last."""

_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(">IB")
_SIZES = {
    HELLO: (LIFE_BYTES, LIFE_BYTES),
    PACKET: (0, MOST_PACKET),
    PING: (0, 0),
    PONG: (0, 0),
    BYE: (0, 0),
}
_COMPACTED = 1 << 16


class BadFrame(Exception):
    """Bytes that are no frame, or one that may not be there."""


def framed(kind: int, body: bytes = b"") -> bytes:
    """The bytes of a frame."""
    return _HEAD.pack(len(body) + 1, kind) + body


class Splitter:
    """Cuts a stream into frames: `feed` it bytes as they come, and ask for the `next` frame."""

    __slots__ = ("_at", "_held")

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = 0

    def feed(self, data: bytes) -> None:
        """Take some more bytes of the stream."""
        if self._at == len(self._held):
            self._held.clear()
            self._at = 0
        elif self._at > _COMPACTED:
            del self._held[: self._at]
            self._at = 0
        self._held += data

    @property
    def is_partial(self) -> bool:
        """Whether some bytes are held that are not in a frame yet."""
        return self._at < len(self._held)

    def next(self) -> tuple[int, bytes] | None:
        """The next frame: what it is, and its body; None if it is not there yet. Raises BadFrame,
        as soon as the first bytes tell."""
        held, at = self._held, self._at
        there = len(held) - at
        if there < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(held, at)
        if not 0 < length <= MOST_PACKET + 1:
            raise BadFrame(f"a frame of {length} bytes")
        if there == _LENGTH.size:
            return None
        kind = held[at + _LENGTH.size]
        least, most = _SIZES.get(kind, (0, -1))
        if not least <= length - 1 <= most:
            raise BadFrame(f"a frame of kind {kind} with {length - 1} bytes")
        end = at + _LENGTH.size + length
        if end > len(held):
            return None
        self._at = end
        with memoryview(held) as view:
            return kind, bytes(view[at + _HEAD.size : end])
