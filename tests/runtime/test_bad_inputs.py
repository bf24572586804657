"""Bad inputs by name, as frames and as messages in them: each with what must come of it, in bounded
memory. Measured were at most 50 ms for a MiB; what is caught here is only what takes seconds, as
these attacks do where they succeed."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from flowrt.core.flow import FlowError, Malformed, Party
from flowrt.core.values import (
    MAX_FRAME_BYTES,
    Ack,
    BadBytes,
    Confirm,
    Data,
    End,
    Failure,
    Invite,
    Letter,
    Reject,
    decode_frame,
    decode_message,
    encode,
)
from flowrt.peers.outbox import frame_of
from tests.fuzz import fair, wire
from tests.runtime import hand_flow as hand
from tests.runtime.test_hostile import SECRET, Stage, invited, letters_to

pack = msgspec.msgpack.encode
SECONDS_A_MIB = 2.0
FRAME_FACTOR = 2
SLACK = 64 << 10


def text(data: bytes) -> bytes:
    return b"\xdb" + struct.pack(">I", len(data)) + data


def letter(content: bytes) -> bytes:
    """A letter's bytes with this as its content."""
    return b"\x95\x01\x01\x00" + pack(SECRET) + b"\x01" + content


def measured(act: Callable[[], Any]) -> tuple[float, int]:
    """Seconds at best of three, and bytes at most."""
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        act()
        seconds.append(time.process_time() - begun)
    tracemalloc.start()
    try:
        act()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return min(seconds), peak


# --- frames ---------------------------------------------------------------------------------------

MIB = 1 << 20
REFUSED: dict[str, bytes] = {
    "W01 nothing": b"",
    "W02 a length of 2^32 - 1, then silence": b"\xc6\xff\xff\xff\xff",
    "W02 a text of 2^32 - 1, then silence": letter(b"\x93\x00\xdb\xff\xff\xff\xff"),
    "W04 bytes behind the end": encode(Ack((1,))) + b"\x00",
    "W04 a second frame behind the first": encode(Ack((1,))) * 2,
    "W10 HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "W10 TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160),
    "W11 a type that nobody knows": pack([99, 1, 2]),
    "W11 a type by name": pack(["Ack", []]),
    "W11 content that nobody knows": letter(pack([99])),
    "W13 a map instead of fields": pack({"type": 2, "ids": [1]}),
    "W17 true for a number": pack([2, [True]]),
    "W17 1.0 for a number": b"\x92\x02\x91\xcb" + struct.pack(">d", 1.5),
    "W17 a text for a number": pack([2, ["1"]]),
    "W20 a float that is no number": b"\x92\x02\x91\xcb" + struct.pack(">d", float("nan")),
    "W26 UTF-8 in too many bytes": letter(b"\x93\x00" + text(b"\xc0\x80") + pack(b"")),
    "W26 UTF-8 in five bytes": letter(b"\x93\x00" + text(b"\xf8\x88\x80\x80\x80") + pack(b"")),
    "W26 half of a pair": letter(b"\x93\x00" + text(b"\xed\xa0\x80") + pack(b"")),
    "W28 JSON behind a mark of order": b'\xef\xbb\xbf{"a": 1}',
    "W29 33 deep": b"\x91" * 33,
    "W29 400 deep": b"\x91" * 400,
    "W29 100,000 deep": b"\x91" * 100_000,
    "W29 a million deep where nobody looks": b"\x9f\x02\x90" + b"\x91" * 1_000_000,
    "W31 900 kB of empty lists": b"\x92\x02\xdd" + struct.pack(">I", 900_000) + b"\x90" * 900_000,
    "W31 a MiB of small numbers": b"\x92\x02\xdd"
    + struct.pack(">I", MIB - 9)
    + b"\x01" * (MIB - 9),
    "W32 a list of 2^32 - 1": b"\x92\x02\xdd\xff\xff\xff\xff",
    "W32 a map of 2^32 - 1": b"\xdf\xff\xff\xff\xff",
    "W40 an extension of kind 99": b"\x92\x02\x91\xd4\x63\x00",
    "W40 a moment for a number": b"\x92\x02\x91\xd6\xff\x00\x00\x00\x00",
    "W43 zstd": b"\x28\xb5\x2f\xfd" + bytes(6000),
    "W44 zlib": b"\x78\x9c" + bytes(97_000),
    "W46 a name of 1 MB": letter(b"\x93\x00" + text(b"x" * 1_000_000) + pack(b"")),
    "W50 number -1": pack([1, 1, 0, SECRET, -1, [2]]),
    "W50 number 2^64 - 1": pack([1, 1, 0, SECRET, 2**64 - 1, [2]]),
    "W52 a version as a text": pack([0, 0, b"8bytes!!", "a", "b", "1", 1, 0, SECRET, None]),
    "W52 a version of -1": pack([0, 0, b"8bytes!!", "a", "b", -1, 1, 0, SECRET, None]),
    "W55 a secret of nothing": pack([1, 1, 0, b"", 1, [2]]),
    "W55 a secret of 15 bytes": pack([1, 1, 0, SECRET[:15], 1, [2]]),
    "W55 a secret as a text": pack([1, 1, 0, "x" * 16, 1, [2]]),
    "W56 a reason of 1 MB": letter(b"\x93\x04" + text(b"x" * 1_000_000) + pack("")),
    "W56 100,000 families": letter(pack([3, "x", b"", "", ["a"] * 100_000])),
    "more than a MiB": encode(Letter(1, 0, SECRET, 1, Data("a", bytes(MAX_FRAME_BYTES)))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_frame_that_is_refused(name: str) -> None:
    data = REFUSED[name]

    def act() -> None:
        with pytest.raises(BadBytes):
            decode_frame(data)

    seconds, peak = measured(act)
    assert seconds <= SECONDS_A_MIB
    assert peak <= FRAME_FACTOR * len(data) + SLACK


def test_w07_every_cut_and_w08_every_flipped_bit() -> None:
    """Refused, or another frame; never anything else."""
    for frame in wire.frames():
        for length in range(len(frame)):
            with pytest.raises(BadBytes):
                decode_frame(frame[:length])
        for place in range(len(frame)):
            for bit in range(8):
                flipped = bytearray(frame)
                flipped[place] ^= 1 << bit
                assert wire.judge(bytes(flipped)) in (None, *SLOWLY), flipped


SLOWLY = tuple(f"takes {ms} ms" for ms in range(50, 2000))
"""Somebody else had the processor."""


def test_the_largest_frame_that_is_taken_costs_twice_its_size() -> None:
    largest = encode(Letter(1, 0, SECRET, 1, Data("a" * 1000, bytes(MAX_FRAME_BYTES - 2000))))
    seconds, peak = measured(lambda: decode_frame(largest))
    assert seconds <= SECONDS_A_MIB
    assert peak <= FRAME_FACTOR * len(largest) + SLACK


# --- messages -------------------------------------------------------------------------------------

FLAG, COUNT, TEXT, PRICE, DATA, MOMENT, SPAN, WHO, MOOD, ITEMS, BY_NAME, BY_NUMBER, MAYBE = range(
    13
)


def about(place: int, raw: bytes) -> bytes:
    """The message with a value of every type, one of its fields being these bytes."""
    fields = msgspec.msgpack.decode(encode(fair.about()), type=list[msgspec.Raw])
    parts = [bytes(one) for one in fields]
    parts[place] = raw
    return b"\x9d" + b"".join(parts)


MALFORMED: dict[str, tuple[int, bytes]] = {
    "W13 a key twice": (BY_NAME, b"\x82\xa1a\x01\xa1a\xcd\x03\xe8"),
    "W13 a key twice, once in a longer form": (BY_NAME, b"\x82\xa1a\x01\xd9\x01a\x02"),
    "W13 a number twice, in two forms": (BY_NUMBER, b"\x82\x01\xa1a\xd3" + bytes(7) + b"\x01\xa1b"),
    "W13 a key twice, the last of many": (
        BY_NAME,
        b"\xde\x00\x65" + b"".join(pack(f"{n}") + b"\x01" for n in range(100)) + b"\xa17\x02",
    ),
    "W17 true for 1": (COUNT, b"\xc3"),
    "W17 1.5 for an Int": (COUNT, b"\xcb" + struct.pack(">d", 1.5)),
    "W17 1.0 for 1": (COUNT, b"\xcb" + struct.pack(">d", 1.0)),
    "W17 a text for 1": (COUNT, pack("1")),
    "W17 1 for true": (FLAG, b"\x01"),
    "W19 2^63": (COUNT, pack(2**63)),
    "W22 no number": (PRICE, pack("NaN")),
    "W20 2^53 + 1 as a float": (COUNT, b"\xcb" + struct.pack(">d", 2.0**53 + 1)),
    "W22 sNaN": (PRICE, pack("sNaN")),
    "W22 infinity": (PRICE, pack("-Infinity")),
    "W19 5,000 digits": (PRICE, pack("9" * 5000)),
    "W23 39 digits": (PRICE, pack("9" * 39)),
    "W23 an exponent of 999,999": (PRICE, pack("1e999999")),
    "W26 UTF-8 in too many bytes": (TEXT, text(b"\xc0\x80")),
    "W29 deep": (ITEMS, b"\x91" * 100_000),
    "W31 900 kB of nothing": (ITEMS, b"\xdd" + struct.pack(">I", 900_000) + b"\xc0" * 900_000),
    "W32 a list of 2^32 - 1": (ITEMS, b"\xdd\xff\xff\xff\xff"),
    "W37 a moment in 10^18 seconds": (MOMENT, b"\xc7\x0c\xff" + bytes(4) + pack(10**18)[1:]),
    "W37 a moment that UTC does not have": (MOMENT, pack("0001-01-01T00:00:00+23:59")),
    "W37 a moment without a zone": (MOMENT, pack("2026-01-31T12:00:00")),
    "W37 a span of 10^18 days": (SPAN, pack("P1000000000000000000D")),
    "W38 a number of 1 MB": (PRICE, text(b"9" * 1_000_000)),
    "W40 an extension of kind 99": (TEXT, b"\xd4\x63\x00"),
    "W40 a moment for a text": (TEXT, b"\xd6\xff\x00\x00\x00\x00"),
    "W46 a case that is not there": (MOOD, pack(["os.system", 1])),
    "W46 a case of nothing": (MOOD, pack([])),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_message_that_is_malformed(name: str) -> None:
    body = about(*MALFORMED[name])

    def act() -> None:
        with pytest.raises(Malformed) as caught:
            decode_message(fair.module().All, body)
        assert len(str(caught.value)) <= 600

    seconds, peak = measured(act)
    assert seconds <= SECONDS_A_MIB
    assert peak <= 4 * len(body) + SLACK


TAKEN: dict[str, tuple[int, bytes, Callable[[Any], bool]]] = {
    "a map in a longer form": (BY_NAME, b"\xdf" + struct.pack(">I", 2) + b"\xa1a\x01\xd9\x01b\x01",
                               lambda m: m.by_name == {"a": 1, "b": 1}),
    "W14 keys that NFKC makes equal are two": (BY_NAME, pack({"ﬁ": 1, "fi": 2}),
                                               lambda m: len(m.by_name) == 2),
    "W16 minus nothing is nothing": (PRICE, pack("-0.0"), lambda m: m.price == 0),
    "W23 nothing, and less, are for the flow to check": (PRICE, pack("-5"), lambda m: m.price < 0),
    "W25 a NUL in a text": (TEXT, pack("a\x00b"), lambda m: m.text == "a\x00b"),
    "W41 keys that share their lowest bits": (
        BY_NUMBER, pack({number << 45: "" for number in range(20_000)}),
        lambda m: len(m.by_number) == 20_000),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_message_that_is_odd_and_taken(name: str) -> None:
    place, raw, is_right = TAKEN[name]
    message = decode_message(fair.module().All, about(place, raw))
    assert is_right(message)
    assert type(message.count) is int
    assert decode_message(fair.module().All, encode(message)) == message
    seconds, _ = measured(lambda: decode_message(fair.module().All, about(place, raw)))
    assert seconds <= 2 * SECONDS_A_MIB  # It holds moments: it is decoded twice.


# --- a living node --------------------------------------------------------------------------------


def test_w05_a_frame_in_pieces_is_no_frame() -> None:
    """Packets are whole or not at all; pieces are as many unreadable ones."""
    stage = Stage()
    for at in range(1, 9):
        stage.send(bytes([at]), "bob")
    stage.ends_well()


NAMES = ["builtins.eval", "os.system", "../../x", "", "Answerer", "hand.Ask", "hand.Answerer_v1"]


@pytest.mark.parametrize("name", NAMES)
def test_w46_and_w53_an_invitation_of_what_is_no_flow_is_rejected(name: str) -> None:
    stage = Stage()
    stage.send(Invite(0, b"malloryy", name, "hand.Asker", 1, 5, 6, SECRET, None))
    assert [type(content) for content in letters_to(stage)] == [Reject]
    stage.ends_well()


@pytest.mark.parametrize("version", [0, 2**31, 2**63 - 1])
def test_w47_and_w52_any_version_of_the_inviting_flow_is_only_told(version: int) -> None:
    stage = Stage()
    stage.send(Invite(0, b"malloryy", "hand.Answerer", "hand.Asker", version, 5, 6, SECRET, None))
    assert [type(content) for content in letters_to(stage)] == [Confirm]
    stage.ends_well(guests=True)


def test_w52_an_invitation_that_comes_again_and_one_of_his_own_name() -> None:
    stage = Stage()
    for secret in (SECRET, bytes(range(16))):
        stage.send(Invite(0, b"malloryy", "hand.Answerer", "hand.Asker", 1, 5, 6, secret, None))
    assert len(letters_to(stage)) == 1
    stage.ends_well(guests=True)


CONTENTS: dict[str, list[tuple[int, Any]]] = {
    "W49 a confirmation of a responder": [(1, Confirm(1, 1, 1))],
    "W49 data after the end": [(1, End()), (2, Data("hand.Ask", b"\x91\x01"))],
    "W49 data after a rejection": [(1, Reject("no", "")), (2, Data("hand.Ask", b"\x91\x01"))],
    "W50 the number before": [(0, End())],
    "W50 a million ahead": [(1_000_000, End())],
    "W50 2^63 - 1": [(2**63 - 1, End())],
    "W56 an error named as Python's": [(1, Failure("SystemExit", b"", "id"))],
    "W56 another": [(1, Failure("KeyboardInterrupt", b"\x90", "id", ("BaseException",)))],
    "W56 an error of a declared name with other fields": [
        (1, Failure("hand.TooMuch", b"\xc1", ""))
    ],
}


@pytest.mark.parametrize("name", CONTENTS)
def test_content_where_it_does_not_belong(name: str) -> None:
    stage = Stage()
    confirmation = invited(stage, "hand.Answerer", "hand.Asker")
    assert isinstance(confirmation.content, Confirm)
    for seq, content in CONTENTS[name]:
        stage.send(Letter(confirmation.content.flow, 0, SECRET, seq, content))
    assert stage.world.node("alice").hospital() == []
    stage.ends_well(guests=True)


def test_w49_data_before_the_confirmation() -> None:
    """Whom alice has invited speaks before he has said where he is reached: that session is over.
    Others say the same, and she herself: they are in no session of hers."""
    stage = Stage()
    stage.world.start("alice", hand.Asker_v1, to=Party("mallory"), rounds=1)
    stage.world.tick()
    [invite] = [one for one in map(decode_frame, map(frame_of, stage.mail)) if type(one) is Invite]
    node = stage.world.node("alice")
    data = Data("hand.Reply", encode(hand.Reply(1)))
    for seq in (1, 2, 0):
        frame = Letter(invite.from_flow, invite.from_session, invite.secret, seq, data)
        for sender in ("bob", "alice"):
            stage._send(sender, "alice", struct.pack(">Q", 9) + encode(frame))
        stage.world.tick()
    assert invite.from_flow in [flow.id for flow in node.flows()]
    for seq in (1, 2, 0):
        stage.send(Letter(invite.from_flow, invite.from_session, invite.secret, seq, data))
    with pytest.raises(FlowError, match="began with neither a confirmation nor a rejection"):
        node.handle(invite.from_flow).result_now()
    assert node.hospital() == []
    stage.ends_well(guests=True)
