"""What a peer does not hold yet: sent, sent again, settled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowrt.core.values import Ack, decode_frame
from flowrt.outbox import RESEND_US, WINDOW_BYTES, Outbox, packed_ack, unpack


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
    outbox, wire = Outbox(), Wire()
    outbox.send(300, "bob", b"frame", wire, 0)
    assert wire.take() == [("bob", 300, b"frame")]
    assert len(outbox) == 1


def test_it_is_sent_again_after_longer_and_longer_times() -> None:
    outbox, wire = Outbox(), Wire()
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
    outbox, wire = Outbox(), Wire()
    outbox.send(1, "bob", b"x", wire, 10**15)
    wire.take()
    outbox.send_again(wire, 10**15 - 1)
    assert wire.take() == [("bob", 1, b"x")], "a year back, or a microsecond"
    outbox.send_again(wire, 10**15 - 1)
    assert wire.take() == [], "once"
    outbox.send_again(wire, 10**15 - 1 + RESEND_US[1])
    assert wire.take() == [("bob", 1, b"x")]


def test_what_is_acknowledged_is_not_sent_again_and_is_to_be_deleted_once() -> None:
    outbox, wire = Outbox(), Wire()
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
    outbox, wire = Outbox(), Wire()
    outbox.send(1, "bob", b"x", wire, 0)
    outbox.acknowledged("mallory", (1,))
    assert (len(outbox), outbox.take_settled()) == (1, [])


def test_a_restart_sends_everything_at_once() -> None:
    rows = {"bob": [(2, b"two")], "carol": [(3, b"three")]}
    outbox, wire = Outbox(lambda peer, after: rows[peer]), Wire()
    outbox.send(1, "bob", b"old", wire, 0)
    outbox.acknowledged("bob", (1,))
    outbox.load(rows)
    assert (len(outbox), outbox.take_settled(), outbox.next_due()) == (0, [], None)
    wire.take()
    outbox.fill(wire, 5)
    assert wire.take() == [("bob", 2, b"two"), ("carol", 3, b"three")]
    assert len(outbox) == 2
    assert outbox.next_due() == 5 + RESEND_US[0]


def test_a_busy_peer_is_not_sent_again_what_it_has_before_it() -> None:
    """It works through what it was sent, however slowly: only what it passed over was lost, and
    what was sent since it last took something may be."""
    outbox, wire = Outbox(), Wire()
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


def test_what_finds_no_room_waits_in_the_store_and_keeps_its_order() -> None:
    stored: list[tuple[int, bytes]] = []
    read = []

    def unsent(peer: str, after: int) -> Iterator[tuple[int, bytes]]:
        assert peer == "bob"
        for row in stored:
            if row[0] > after:
                read.append(row[0])
                yield row

    outbox, wire = Outbox(unsent, rows=4), Wire()
    for number in range(1, 11):
        stored.append((number, b"%d" % number))
        outbox.send(number, "bob", b"%d" % number, wire, 0)
        outbox.fill(wire, 0)
    outbox.send(11, "carol", b"other", wire, 0)
    assert [number for _, number, _ in wire.take()] == [1, 2, 3, 4, 11]
    assert len(outbox) == 5
    outbox.acknowledged("bob", (2,))
    outbox.fill(wire, 0)
    assert (wire.take(), read) == ([], []), "half of the window is empty before it is filled"
    outbox.acknowledged("bob", (1, 7, 11))
    outbox.fill(wire, 0)
    assert [number for _, number, _ in wire.take()] == [5, 6]
    outbox.acknowledged("bob", (3, 4, 5, 6))
    outbox.fill(wire, 0)
    assert [number for _, number, _ in wire.take()] == [7, 8, 9, 10]
    outbox.acknowledged("bob", (7, 8, 9, 10))
    outbox.fill(wire, 0)
    outbox.send(12, "bob", b"12", wire, 0)
    assert [number for _, number, _ in wire.take()] == [12], "nothing waits before it any more"
    assert outbox.take_settled() == [2, 1, 3, 4, 5, 6, 7, 8, 9, 10]
    assert read == [5, 6, 7, 7, 8, 9, 10]


def test_a_window_is_full_of_bytes_too() -> None:
    frame = bytes(WINDOW_BYTES // 4)
    stored = [(number, frame) for number in range(1, 10)]
    outbox, wire = Outbox(lambda peer, after: [row for row in stored if row[0] > after]), Wire()
    outbox.load(["bob"])
    outbox.fill(wire, 0)
    assert [number for _, number, _ in wire.take()] == [1, 2, 3, 4]
    outbox.acknowledged("bob", (1, 2))
    outbox.fill(wire, 0)
    assert [number for _, number, _ in wire.take()] == [5, 6]


def test_packets_of_acknowledgement_want_none() -> None:
    packet = unpack(packed_ack([1, 2**40]))
    assert packet is not None
    assert packet[0] == 0
    assert decode_frame(packet[1]) == Ack((1, 2**40))


@pytest.mark.parametrize("data", [b"", b"\x00" * 7])
def test_what_is_too_short_is_no_packet(data: bytes) -> None:
    assert unpack(data) is None
    assert unpack(data + b"\x00" * 8) is not None
