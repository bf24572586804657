"""Bytes: what is encoded comes back, and what a peer made up does not come in."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import struct
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.core import flow as rt
from flowrt.core import values
from flowrt.core.doubles import has_a_key_twice
from flowrt.core.values import (
    MAX_FRAME_BYTES,
    Ack,
    BadBytes,
    Checkpoint,
    Confirm,
    Data,
    End,
    Failure,
    Invite,
    Letter,
    OnAcceptance,
    OnCommit,
    OnMessage,
    OnOperator,
    OnSettling,
    OnTime,
    Reject,
    SessionState,
    StackFrame,
    decode,
    decode_checkpoint,
    decode_frame,
    decode_message,
    encode,
)
from tests.runtime import hand_flow as hand

SECRET = bytes(range(16))
INCARNATION = b"12345678"

FRAMES = {
    "invitation": Invite(0, INCARNATION, "a.B", "a.A", 1, 1, 0, SECRET, Data("a.M", b"\x91\x01")),
    "bare invitation": Invite(300, INCARNATION, "a.B", "a.A", 1, 70000, 3, SECRET, None),
    "data": Letter(1, 0, SECRET, 1, Data("a.M", b"\x91\x01")),
    "confirmation": Letter(1, 0, SECRET, 0, Confirm(5, 0, 2)),
    "end": Letter(1, 0, SECRET, 2, End()),
    "failure": Letter(1, 0, SECRET, 2, Failure("a.E", b"\x91\x01", "00ff00ff00ff00ff")),
    "rejection": Letter(1, 0, SECRET, 0, Reject("there is no flow a.B here", "00ff")),
    "acknowledgement": Ack((1, 2, 300, 70000)),
}


# --- frames: what came in whole goes on, anything else is refused by one exception ---------------


@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back(name: str) -> None:
    frame = FRAMES[name]
    assert decode_frame(encode(frame)) == frame
    assert type(decode_frame(encode(frame))) is type(frame)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_cut_anywhere_is_refused(name: str) -> None:
    data = encode(FRAMES[name])
    for length in range(len(data)):
        with pytest.raises(BadBytes):
            decode_frame(data[:length])


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_with_something_behind_it_is_refused(name: str) -> None:
    with pytest.raises(BadBytes):
        decode_frame(encode(FRAMES[name]) + b"\x00")


@pytest.mark.parametrize("name", FRAMES)
def test_a_flipped_bit_gives_a_frame_or_is_refused(name: str) -> None:
    data = bytearray(encode(FRAMES[name]))
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            try:
                frame = decode_frame(bytes(data))
            except BadBytes:
                pass
            else:
                # What is read can be written again, by us and by our store.
                assert decode_frame(encode(frame)) == frame
            data[place] ^= 1 << bit


@given(st.binary(max_size=200))
def test_made_up_bytes_give_a_frame_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(BadBytes):
        decode_frame(data)


HUGE = 2**63


@pytest.mark.parametrize(
    "plain",
    [
        [1, HUGE, 0, SECRET, 0, [2]],
        [1, -1, 0, SECRET, 0, [2]],
        [1, 0, HUGE, SECRET, 0, [2]],
        [1, 0, 0, SECRET, HUGE, [2]],
        [1, 0, 0, SECRET, -1, [2]],
        [1, 0, 0, SECRET, True, [2]],
        [1, 0, 0, SECRET, 1.0, [2]],
        [1, 0, 0, "text instead of bytes", 0, [2]],
        [1, 0, 0, SECRET[:15], 0, [2]],
        [1, 0, 0, SECRET + b"x", 0, [2]],
        [1, 0, 0, b"", 0, [2]],
        [1, 0, 0, SECRET, 0, [1, HUGE, 0, 1]],
        [1, 0, 0, SECRET, 0, [1, 0, -1, 1]],
        [1, 0, 0, SECRET, 0, [9]],
        [1, 0, 0, SECRET, 0, []],
        [1, 0, 0, SECRET, 0, None],
        [1, 0, 0, SECRET, 0, [0, "n" * 1001, b""]],
        [1, 0, 0, SECRET, 0, [3, "E", b"", "i" * 65]],
        [1, 0, 0, SECRET, 0, [4, "r" * 4001, ""]],
        [0, -1, INCARNATION, "F", "G", 1, 1, 0, SECRET, None],
        [0, HUGE, INCARNATION, "F", "G", 1, 1, 0, SECRET, None],
        [0, 0, b"x" * 100_000, "F", "G", 1, 1, 0, SECRET, None],
        [0, 0, INCARNATION, "F" * 1001, "G", 1, 1, 0, SECRET, None],
        [0, 0, INCARNATION, "F", "G" * 1001, 1, 1, 0, SECRET, None],
        [0, 0, INCARNATION, "F", "G", 1, 1, 0, SECRET, [1, 1, 0, 1]],
        [0, 0, INCARNATION, "F", "G", "1", 1, 0, SECRET, None],
        [2, ["1"]],
        [2, None],
        [2],
        [3],
        [],
        {},
        {"tag": 1},
        None,
        7,
        "x",
    ],
)
def test_fields_of_the_wrong_kind_or_size_are_refused(plain: object) -> None:
    with pytest.raises(BadBytes):
        decode_frame(msgspec.msgpack.encode(plain))


@pytest.mark.parametrize(
    "data",
    [
        b"\x92\x02\xdd\xff\xff\xff\xff",  # an array said to have 2^32 - 1 items
        b"\x96\x01\x01\x01\xc6\xff\xff\xff\xff",  # bytes said to be 4 GiB
        b"\x91" * 100_000,  # 100,000 arrays, one in the other
        b"\x92\x02" + b"\x91" * 100_000 + b"\x01",
        b"\x81\xa0" * 100_000,
        b"\xc1",  # never used
        b"\xd4\x63\x00",  # an extension nobody knows
        encode(FRAMES["data"]).replace(b"a.M", b"\xff\xfe\xfd"),  # not UTF-8
        encode(FRAMES["data"]).replace(b"a.M", b"\xed\xa0\x80"),  # a lone surrogate
        encode(FRAMES["data"]).replace(b"a.M", b"a\xc0\x80"),  # an overlong zero
        b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b'{"type": "letter"}',
    ],
)
def test_hostile_bytes_are_refused_like_all_others(data: bytes) -> None:
    with pytest.raises(BadBytes):
        decode_frame(data)


def test_a_frame_has_a_largest_size() -> None:
    room = (
        MAX_FRAME_BYTES - len(encode(Letter(1, 0, SECRET, 1, Data("a.M", b"x" * 70_000)))) + 70_000
    )
    fits = Letter(1, 0, SECRET, 1, Data("a.M", b"x" * room))
    assert len(encode(fits)) == MAX_FRAME_BYTES
    assert decode_frame(encode(fits)) == fits
    too_large = Letter(1, 0, SECRET, 1, Data("a.M", b"x" * (room + 1)))
    with pytest.raises(BadBytes, match="1048577 bytes is larger"):
        decode_frame(encode(too_large))


# --- values of the language ----------------------------------------------------------------------


class Quote(rt.Value, frozen=True, array_like=True, gc=False):
    symbol: str
    bid: decimal.Decimal
    note: str | None = None

    def __post_init__(self) -> None:
        rt.finite(self.bid)


class Offer(rt.Message, frozen=True, array_like=True, gc=False):
    wire: typing.ClassVar[str] = "values.Offer"
    quote: Quote
    lines: tuple[Quote, ...]
    stock: typing.Mapping[str, rt.Int]
    by_number: typing.Mapping[rt.Int, str]
    valid: datetime.timedelta
    since: typing.Annotated[datetime.datetime, msgspec.Meta(tz=True)]
    seller: rt.Party
    proof: bytes
    firm: bool
    count: rt.Int


class Broken(rt.FlowError):
    wire = "values.Broken"

    class Fields(rt.Value, frozen=True, array_like=True, gc=False):
        offer: Offer
        price: decimal.Decimal
        when: datetime.datetime
        took: datetime.timedelta
        who: rt.Party | None

    def __init__(
        self,
        offer: Offer,
        price: decimal.Decimal,
        when: datetime.datetime,
        took: datetime.timedelta,
        who: rt.Party | None,
    ) -> None:
        self.offer = offer
        self.price = price
        self.when = when
        self.took = took
        self.who = who
        super().__init__(rt.text("broken at ", price))


ints = st.integers(rt.INT_MIN, rt.INT_MAX)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
decimals = st.builds(
    lambda whole, places: decimal.Decimal(whole).scaleb(-places),
    st.integers(-(10**37), 10**37),
    st.integers(0, 37),
)
durations = st.timedeltas(datetime.timedelta(days=-9999), datetime.timedelta(days=9999))
moments = st.datetimes(
    datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(datetime.UTC)
)
parties = st.builds(rt.Party, texts)
quotes = st.builds(Quote, texts, decimals, st.none() | texts)
offers = st.builds(
    Offer,
    quote=quotes,
    lines=st.lists(quotes, max_size=3).map(tuple),
    stock=st.dictionaries(texts, ints, max_size=3),
    by_number=st.dictionaries(ints, texts, max_size=3),
    valid=durations,
    since=moments,
    seller=parties,
    proof=st.binary(max_size=9),
    firm=st.booleans(),
    count=ints,
)


@given(offers)
def test_a_message_comes_back_as_it_was(offer: Offer) -> None:
    assert decode_message(Offer, encode(offer)) == offer


@given(offers)
def test_equal_values_have_equal_bytes(offer: Offer) -> None:
    turned = msgspec.structs.replace(
        offer,
        stock=dict(reversed(list(offer.stock.items()))),
        by_number=dict(reversed(list(offer.by_number.items()))),
    )
    assert encode(turned) == encode(offer)


@given(offers)
def test_a_map_with_int_keys_changes_nothing_of_what_is_beside_it(offer: Offer) -> None:
    """Such a map takes the encoder another way; the bytes must not show it."""
    plain = msgspec.structs.replace(offer, by_number={})
    assert encode((plain, {1: "x"})) == b"\x92" + encode(plain) + b"\x81\x01\xa1x"


@given(offers, decimals, moments, durations, st.none() | parties, st.none() | parties)
def test_a_caught_error_lies_in_a_checkpoint_and_is_itself_again(
    offer: Offer,
    price: decimal.Decimal,
    when: datetime.datetime,
    took: datetime.timedelta,
    who: rt.Party | None,
    peer: rt.Party | None,
) -> None:
    error = Broken(offer, price, when, took, who)
    error.error_id = "0123456789abcdef"
    error.peer = peer
    again = decode(tuple[Broken, int], encode((error, 7)))[0]
    assert type(again) is Broken
    assert again.fields() == error.fields()
    assert (again.error_id, again.peer) == (error.error_id, peer)
    assert str(again) == str(error)


def test_a_built_in_error_lies_in_a_checkpoint_too() -> None:
    error = rt.UnexpectedFlowEnd("gone")
    again = decode(rt.UnexpectedFlowEnd, encode(error))
    assert (again.reason, again.error_id, again.peer) == ("gone", "", None)


FOOLISH = {
    "a bool for an Int": [True],
    "a float for an Int": [1.0],
    "a text for an Int": ["1"],
    "none for an Int": [None],
    "more than 64 bits": [2**63],
    "too few fields": [],
    "a map for a list": {"n": 1},
    "not a list": 1,
}


@pytest.mark.parametrize("how", FOOLISH)
def test_what_is_not_a_message_is_malformed(how: str) -> None:
    with pytest.raises(rt.Malformed, match=r"hand\.Ask could not be read"):
        decode_message(hand.Ask, msgspec.msgpack.encode(FOOLISH[how]))


@pytest.mark.parametrize(
    "bid",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1E+39",
        "1E-39",
        "9" * 39,
        "1e999999999",
        "",
        "x",
        1e99,
    ],
)
def test_what_is_not_a_decimal_of_ours_is_malformed(bid: object) -> None:
    class Priced(rt.Message, frozen=True, array_like=True, gc=False):
        wire: typing.ClassVar[str] = "values.Priced"
        quote: Quote

    with pytest.raises(rt.Malformed):
        decode_message(Priced, msgspec.msgpack.encode([["ABC", bid]]))


def test_a_time_without_a_zone_cannot_be_compared_and_is_malformed() -> None:
    class Dated(rt.Message, frozen=True, array_like=True, gc=False):
        wire: typing.ClassVar[str] = "values.Dated"
        at: rt.Timestamp

    with pytest.raises(rt.Malformed):
        decode_message(Dated, msgspec.msgpack.encode(["2026-01-01T00:00:00"]))
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert decode_message(Dated, encode(Dated(moment))).at == moment


@pytest.mark.parametrize(
    "data",
    [
        msgspec.msgpack.encode(msgspec.msgpack.Ext(-1, struct.pack(">IQ", 0, 2**60))),
        msgspec.msgpack.encode(msgspec.msgpack.Ext(-1, b"xx")),
        msgspec.msgpack.encode("P99999999999999D"),
        msgspec.msgpack.encode(2**62),
    ],
)
def test_times_beyond_the_calendar_are_refused(data: bytes) -> None:
    for kind in (datetime.datetime, datetime.timedelta):
        with pytest.raises(BadBytes):
            decode(kind, data)


def test_what_a_peer_wrote_is_cut_to_size() -> None:
    class Picky(rt.Message, frozen=True, array_like=True, gc=False):
        wire: typing.ClassVar[str] = "values.Picky"
        text: str

        def __post_init__(self) -> None:
            raise ValueError(self.text)

    with pytest.raises(rt.Malformed) as caught:
        decode_message(Picky, msgspec.msgpack.encode(["x" * 100_000]))
    assert len(caught.value.reason) <= values.MAX_TEXT


def test_what_is_no_value_cannot_be_written() -> None:
    for value in (object(), hand, len, ValueError("x")):
        with pytest.raises(TypeError):
            encode([value])


# --- checkpoints ---------------------------------------------------------------------------------


def states_of(name: str) -> object:
    return {"hand.Asker_v1": hand.Asker_v1.States, "hand.Bidder_v1": hand.Bidder_v1.States}[name]


def a_checkpoint(waiting: values.Waiting | None = None) -> Checkpoint:
    session = SessionState(
        id=3,
        peer="bob",
        secret=SECRET,
        status=2,
        sent=4,
        expected=5,
        frame=1,
        block=0,
        peer_flow=7,
        peer_session=0,
        version=1,
        inbox=[(4, Data("hand.Ask", b"\x91\x01"), 3), (6, End(), 4)],
        unsent=[Data("hand.Ask", b"\x91\x02"), Failure("E", b"", "ab")],
    )
    caught = hand.TooMuch(10, 12)
    caught.error_id = "00ff"
    caught.peer = rt.Party("bob")
    return Checkpoint(
        1,
        [
            StackFrame(
                "hand.Bidder_v1", hand.Bidder_v1.Checkpoint(to=rt.Party("bob"), e=caught), 1
            ),
            StackFrame(
                "hand.Asker_v1",
                hand.Asker_v1.AwaitReply(s=rt.Session(3), rounds=2, total=-9),
            ),
        ],
        waiting or OnMessage(3),
        [session],
        next_session=4,
        steps=9,
        moves=2,
        admitted=True,
    )


@pytest.mark.parametrize(
    "waiting",
    [OnMessage(3), OnCommit(), OnTime(5), OnOperator("why"), OnAcceptance(b"\x01"), OnSettling()],
    ids=lambda waiting: type(waiting).__name__,
)
def test_a_checkpoint_comes_back_and_its_bytes_are_stable(waiting: values.Waiting) -> None:
    data = encode(a_checkpoint(waiting))
    again = decode_checkpoint(data, states_of)
    assert encode(again) == data
    assert again.waiting == waiting
    assert again.sessions == a_checkpoint().sessions
    assert again.frames[1] == a_checkpoint().frames[1]
    caught = again.frames[0].state.e
    assert (caught.limit, caught.error_id, caught.peer) == (10, "00ff", rt.Party("bob"))
    assert (again.next_session, again.steps, again.moves, again.admitted) == (4, 9, 2, True)


def test_lists_of_a_session_are_its_own() -> None:
    first = SessionState(1, "bob", SECRET, 0, 0, 0, 0, 0)
    second = SessionState(2, "bob", SECRET, 0, 0, 0, 0, 0)
    first.inbox.append((0, End(), 0))
    assert second.inbox == []


def test_a_damaged_checkpoint_is_told_from_a_missing_class() -> None:
    data = bytearray(encode(a_checkpoint()))
    with pytest.raises(KeyError, match=r"hand\.Bidder_v1"):
        decode_checkpoint(bytes(data), {}.__getitem__)
    for place in range(len(data)):
        data[place] ^= 0xFF
        with contextlib.suppress(BadBytes, KeyError):
            decode_checkpoint(bytes(data), states_of)
        data[place] ^= 0xFF
    for length in range(len(data)):
        with pytest.raises(BadBytes):
            decode_checkpoint(bytes(data[:length]), states_of)


def test_another_format_is_refused_by_its_number() -> None:
    checkpoint = a_checkpoint()
    checkpoint.format = 2
    with pytest.raises(BadBytes, match="format 2, this is 1"):
        decode_checkpoint(encode(checkpoint), states_of)


def test_a_state_of_another_shape_is_refused() -> None:
    checkpoint = a_checkpoint()
    checkpoint.frames = [StackFrame("hand.Asker_v1", hand.Teller_v1.Checkpoint(second="x"))]
    with pytest.raises(BadBytes):
        decode_checkpoint(encode(checkpoint), states_of)


KEYS = st.one_of(st.text(max_size=40), st.integers(-(2**63), 2**63 - 1))
ITEMS = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(),
        st.binary(max_size=300), st.just("x" * 70_000), st.just(bytes(70_000)),
        st.builds(msgspec.msgpack.Ext, st.integers(0, 99), st.binary(max_size=20)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=20),
        st.dictionaries(KEYS, inner, max_size=20),
    ),
    max_leaves=30,
)  # fmt: skip


@settings(max_examples=30)
@given(st.lists(ITEMS, max_size=3), st.sampled_from(["a", 7, "x" * 40, -(2**40)]))
def test_w13_a_key_that_comes_twice_is_found_wherever_it_is(items: list[Any], key: Any) -> None:
    pack = msgspec.msgpack.encode
    assert not has_a_key_twice(pack(items))
    entry = pack(key) + pack(items)
    assert has_a_key_twice(b"\x93" + pack(items) + b"\x82" + entry * 2 + pack(items))
    assert not has_a_key_twice(b"\x93" + pack(items) + b"\x81" + entry + b"\x81" + entry)
