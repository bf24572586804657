"""Frames cut out of a stream: whatever the pieces, and whatever a peer makes of the lengths."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.peers.inbound import LARGEST
from flowrt.transport.framing import (
    BYE,
    HELLO,
    MOST_PACKET,
    PACKET,
    PING,
    PONG,
    BadFrame,
    Splitter,
    framed,
)

FRAMES = st.lists(
    st.one_of(
        st.tuples(st.just(HELLO), st.binary(min_size=16, max_size=16)),
        st.tuples(st.just(PACKET), st.binary(max_size=300)),
        st.tuples(st.sampled_from([PING, PONG, BYE]), st.just(b"")),
    ),
    max_size=20,
)


def split(*pieces: bytes) -> list[tuple[int, bytes]]:
    splitter, found = Splitter(), []
    for piece in pieces:
        splitter.feed(piece)
        while (frame := splitter.next()) is not None:
            found.append(frame)
    return found


def test_the_largest_packet_is_the_largest_that_a_node_takes() -> None:
    assert MOST_PACKET == LARGEST


@given(frames=FRAMES, cuts=st.lists(st.integers(0, 5_000)))
def test_pieces_do_not_matter(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(framed(*frame) for frame in frames)
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert split(*(stream[a:b] for a, b in itertools.pairwise(at))) == frames
    assert split(*(bytes([byte]) for byte in stream)) == frames


@given(frames=FRAMES, more=st.integers(1, 400))
def test_a_frame_that_is_not_whole_is_none(frames: list[tuple[int, bytes]], more: int) -> None:
    last = framed(PACKET, b"y" * 400)
    stream = b"".join(framed(*frame) for frame in frames)
    splitter = Splitter()
    splitter.feed(stream + last[:-more])
    found = []
    while (frame := splitter.next()) is not None:
        found.append(frame)
    assert found == frames
    assert splitter.is_partial


@given(data=st.binary(max_size=2000))
def test_garbage_is_frames_or_refused(data: bytes) -> None:
    try:
        found = split(data)
    except BadFrame:
        return
    stream = b"".join(framed(*frame) for frame in found)
    assert data.startswith(stream)


@pytest.mark.parametrize("length", [0, MOST_PACKET + 2, 1 << 24, 1 << 31, (1 << 32) - 1])
def test_a_length_is_judged_by_its_four_bytes(length: int) -> None:
    with pytest.raises(BadFrame, match=f"a frame of {length} bytes"):
        split(length.to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("kind", "size"), [(HELLO, 0), (HELLO, 15), (HELLO, 17), (PING, 1), (PONG, 8), (BYE, 1)]
)
def test_a_kind_is_judged_by_its_length_before_its_body(kind: int, size: int) -> None:
    with pytest.raises(BadFrame, match=f"a frame of kind {kind} with {size} bytes"):
        split(framed(kind, b"x" * size)[:5])


@pytest.mark.parametrize("kind", [5, 71, 127, 128, 255])
def test_an_unknown_kind_is_refused_by_its_byte(kind: int) -> None:
    with pytest.raises(BadFrame, match=f"kind {kind}"):
        split((1000).to_bytes(4, "big") + bytes([kind]))


def test_a_length_makes_nobody_keep_memory() -> None:
    """The largest length, and then bytes one by one: what is kept is what came."""
    splitter = Splitter()
    splitter.feed((MOST_PACKET + 1).to_bytes(4, "big") + bytes([PACKET]))
    tracemalloc.start()
    for _ in range(10_000):
        splitter.feed(b"x")
        assert splitter.next() is None
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * 10_000 + 65_536


def test_a_stream_leaves_nothing_behind() -> None:
    splitter = Splitter()
    tracemalloc.start()
    for _ in range(200):
        splitter.feed(framed(PACKET, b"x" * 10_000) * 2 + framed(PACKET, b"y" * 9_000)[:5_000])
        splitter.feed(framed(PACKET, b"y" * 9_000)[5_000:])
        while splitter.next() is not None:
            pass
        assert not splitter.is_partial
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 400_000
