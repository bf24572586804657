"""What a peer does not hold yet: sent, sent again, settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from flowrt.core.values import Ack, decode_frame
from flowrt.peers.outbox import RESEND_US, Outbox, packed_ack, unpack


def nothing(numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """A store that is never asked."""
    raise AssertionError(numbers)


class Wire:
    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def send(self, peer: str, data: bytes) -> None:
        self.sent.append((peer, data))

    def close(self) -> None: ...

    def take(self) -> list[tuple[str, int, bytes]]:
        """(peer, row, frame) of what was sent since."""
        found = []
        for peer, data in self.sent:
            packet = unpack(data)
            assert packet is not None
            found.append((peer, *packet))
        self.sent.clear()
        return found


def test_a_row_is_sent_with_its_number() -> None:
    outbox, wire = Outbox(nothing), Wire()
    outbox.send(300, "bob", b"frame", wire, 0)
    assert wire.take() == [("bob", 300, b"frame")]
    assert len(outbox) == 1


def test_it_is_sent_again_after_longer_and_longer_times() -> None:
    outbox, wire = Outbox(nothing), Wire()
    outbox.send(1, "bob", b"x", wire, 0)
    wire.take()
    now_us = 0
    for pause in (*RESEND_US, RESEND_US[-1], RESEND_US[-1]):
        assert outbox.next_due() == now_us + pause
        outbox.send_again(wire, now_us + pause - 1)
        assert wire.take() == []
        now_us += pause
        outbox.send_again(wire, now_us)
        assert wire.take() == [("bob", 1, b"x")]


def test_a_clock_that_is_set_back_does_not_stop_it() -> None:
    outbox, wire = Outbox(nothing), Wire()
    outbox.send(1, "bob", b"x", wire, 10**15)
    wire.take()
    outbox.send_again(wire, 10**15 - 1)
    assert wire.take() == [("bob", 1, b"x")], "a year back, or a microsecond"
    outbox.send_again(wire, 10**15 - 1)
    assert wire.take() == [], "once"
    outbox.send_again(wire, 10**15 - 1 + RESEND_US[1])
    assert wire.take() == [("bob", 1, b"x")]


def test_what_is_acknowledged_is_not_sent_again_and_is_to_be_deleted_once() -> None:
    outbox, wire = Outbox(nothing), Wire()
    for number in (1, 2, 3):
        outbox.send(number, "bob", b"x", wire, 0)
    outbox.acknowledged("bob", (1, 3, 3, 99))
    wire.take()
    outbox.send_again(wire, RESEND_US[0])
    assert [number for _, number, _ in wire.take()] == [2]
    assert outbox.has_settled
    assert outbox.take_settled() == [1, 3]
    assert outbox.take_settled() == []
    assert not outbox.has_settled
    assert len(outbox) == 1


def test_only_the_receiver_can_acknowledge() -> None:
    outbox, wire = Outbox(nothing), Wire()
    outbox.send(1, "bob", b"x", wire, 0)
    outbox.acknowledged("mallory", (1,))
    assert (len(outbox), outbox.take_settled()) == (1, [])


def test_a_restart_sends_everything_at_once() -> None:
    rows = {2: b"two", 3: b"three"}
    outbox, wire = Outbox(lambda numbers: ((n, rows[n]) for n in numbers)), Wire()
    outbox.send(1, "bob", b"old", wire, 0)
    outbox.acknowledged("bob", (1,))
    outbox.load([(2, "bob", 3), (3, "carol", 5)])
    assert (len(outbox), outbox.take_settled(), outbox.next_due()) == (2, [], None)
    wire.take()
    outbox.refill(wire, 5)
    assert wire.take() == [("bob", 2, b"two"), ("carol", 3, b"three")]
    assert outbox.next_due() == 5 + RESEND_US[0]


def test_a_busy_peer_is_not_sent_again_what_it_has_before_it() -> None:
    """It works through what it was sent, however slowly: only what it passed over was lost, and
    what was sent since it last took something may be."""
    outbox, wire = Outbox(nothing), Wire()
    for number in range(1, 6):
        outbox.send(number, "bob", b"x", wire, 0)
    outbox.send(6, "carol", b"x", wire, 0)
    wire.take()
    outbox.acknowledged("bob", (1, 3))
    now_us = RESEND_US[0]
    outbox.send_again(wire, now_us)
    assert [number for _, number, _ in wire.take()] == [2, 6], "2 was lost, and carol says nothing"
    outbox.acknowledged("bob", (2,))
    now_us += RESEND_US[0]
    outbox.send_again(wire, now_us)
    assert wire.take() == [], "it took one, and 4 and 5 come later"
    now_us += RESEND_US[0]
    outbox.send_again(wire, now_us)
    assert [number for _, number, _ in wire.take()] == [4, 5, 6], "it took nothing any more"


def test_who_comes_back_often_is_not_sent_more_for_it_later() -> None:
    """Each time all is said at once; what was due before is not due besides."""
    outbox, wire = Outbox(nothing), Wire()
    for number in (1, 2):
        outbox.send(number, "bob", b"x", wire, 0)
    outbox.send(3, "carol", b"x", wire, 0)
    wire.take()
    for times in range(1, 6):
        outbox.send_to("bob", wire, times * 100_000)
        assert [number for _, number, _ in wire.take()] == [1, 2]
    outbox.send_again(wire, RESEND_US[0])
    assert [number for _, number, _ in wire.take()] == [3]
    outbox.send_again(wire, RESEND_US[0] + 400_000)
    assert wire.take() == []
    outbox.send_again(wire, RESEND_US[0] + 500_000)
    assert [number for _, number, _ in wire.take()] == [1, 2]
    outbox.send_again(wire, RESEND_US[0] + RESEND_US[1])
    assert [number for _, number, _ in wire.take()] == [3]


def test_packets_of_acknowledgement_want_none() -> None:
    packet = unpack(packed_ack([1, 2**40]))
    assert packet is not None
    assert packet[0] == 0
    assert decode_frame(packet[1]) == Ack((1, 2**40))


@pytest.mark.parametrize("data", [b"", b"\x00" * 7])
def test_what_is_too_short_is_no_packet(data: bytes) -> None:
    assert unpack(data) is None
    assert unpack(data + b"\x00" * 8) is not None
