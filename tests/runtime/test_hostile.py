"""An authenticated stranger who sends whatever he likes: nothing breaks, honest sessions go on."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.core import flow as rt
from flowrt.core.values import (
    MAX_FRAME_BYTES,
    Ack,
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Frame,
    Invite,
    Letter,
    Reject,
    decode,
    decode_frame,
    encode,
)
from flowrt.peers.outbox import frame_of, unpack
from tests.runtime import hand_flow as hand
from tests.runtime.book import services, written
from tests.runtime.crashes import World

BOB = rt.Party("bob")
SECRET = bytes(16)
INCARNATION = b"malloryy"

Packet = tuple[str, str, bytes]


class Stage:
    """Alice and bob in the middle of a conversation, mallory beside them, every packet recorded."""

    def __init__(self, folder: Path | None = None, ticks: int = 4) -> None:
        self.world = World(folder=folder)
        for party in ("alice", "bob"):
            self.world.add(party, [hand], services)
        self.packets: list[Packet] = []
        self.mail: list[bytes] = []
        self._send = self.world.network._send
        self.world.network._send = self._listen  # type: ignore[method-assign]
        self.mallory = self.world.network.join("mallory", lambda _, data: self.mail.append(data))
        self.starts = [
            self.world.start("alice", hand.Asker_v1, to=BOB, rounds=6),
            self.world.start("bob", hand.Bidder_v1, to=rt.Party("alice"), price=12),
        ]
        for _ in range(ticks):
            self.world.tick()

    def _listen(self, sender: str, receiver: str, data: bytes) -> None:
        self.packets.append((sender, receiver, data))
        self._send(sender, receiver, data)

    def send(self, frame: Frame | bytes, to: str = "alice", row: int = 1) -> None:
        """A packet of mallory's, and time to read it."""
        data = frame if isinstance(frame, bytes) else struct.pack(">Q", row) + encode(frame)
        self._send("mallory", to, data)
        self.world.tick()
        self.world.tick()

    def frames(self) -> list[tuple[str, Frame]]:
        """Who was sent which frame so far."""
        return [(receiver, decode_frame(frame_of(data))) for _, receiver, data in self.packets]

    def ends_well(self, guests: bool = False) -> None:
        """The honest conversations come to their end, and nothing is left; `guests` says that
        mallory was let in with invitations of his own, as anybody is."""
        self.world.run()
        with self.world as world:
            assert [world.result(start) for start in self.starts] == [42, 10]
            if guests:
                return
            assert written(world, "bob") == [f"asked {n}" for n in range(6, 0, -1)]
            assert written(world, "alice") == ["offered 12", "offered 10"]
            for party in ("alice", "bob"):
                node = world.node(party)
                assert (node.flows(), node.hospital()) == ([], [])


@pytest.fixture(params=["memory", "sqlite"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    return Stage(tmp_path if request.param == "sqlite" else None)


# --- bytes ---------------------------------------------------------------------------------------


def test_every_cut_of_every_packet(stage: Stage) -> None:
    for _, receiver, data in list(stage.packets):
        for length in range(len(data)):
            stage._send("mallory", receiver, data[:length])
        stage.world.tick()
    stage.ends_well()


def test_every_flipped_bit_of_every_packet(stage: Stage) -> None:
    seen = set()
    for _, receiver, data in list(stage.packets):
        kind = type(decode_frame(frame_of(data))).__name__
        if (kind, receiver) in seen:
            continue
        seen.add((kind, receiver))
        for place in range(len(data)):
            for bit in range(8):
                flipped = bytearray(data)
                flipped[place] ^= 1 << bit
                stage._send("mallory", receiver, bytes(flipped))
        stage.world.tick()
    assert len(seen) > 4
    stage.ends_well(guests=True)


BYTES = {
    "nothing": b"",
    "too short": b"\x00" * 7,
    "no frame": b"\x00" * 8,
    "not UTF-8": struct.pack(">Q", 1)
    + encode(Letter(1, 0, SECRET, 1, Data("aaa", b""))).replace(b"aaa", b"\xff\xfe\xfd"),
    "too large": struct.pack(">Q", 1)
    + encode(Letter(1, 0, SECRET, 1, Data("a", b"x" * MAX_FRAME_BYTES))),
    "deep": struct.pack(">Q", 1) + b"\x91" * 900_000,
    "wide": struct.pack(">Q", 1) + b"\x92\x02\xdd\x00\x0d\xbb\xa0" + b"\x90" * 900_000,
    "a huge list": struct.pack(">Q", 1) + b"\x92\x02\xdd\xff\xff\xff\xff",
    "a row of 2^64 - 1": b"\xff" * 8 + encode(Ack((2**64 - 1,))),
    "a flow of 2^63": struct.pack(">Q", 1) + msgspec.msgpack.encode([1, 2**63, 0, SECRET, 0, [2]]),
    "a flow of 2^64 - 1": struct.pack(">Q", 1)
    + msgspec.msgpack.encode([1, 2**64 - 1, 2**64 - 1, SECRET, 2**64 - 1, [2]]),
    "a flow of -1": struct.pack(">Q", 1) + msgspec.msgpack.encode([1, -1, 0, SECRET, 0, [2]]),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_frame(stage: Stage, name: str) -> None:
    for to in ("alice", "bob"):
        stage.send(BYTES[name], to)
    stage.ends_well()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes(packets: list[bytes]) -> None:
    stage = Stage()
    for packet in packets:
        stage._send("mallory", "alice", struct.pack(">Q", 9) + packet)
        stage._send("mallory", "alice", packet)
    stage.ends_well()


def test_what_cannot_be_read_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    with caplog.at_level(logging.INFO, "flowrt.node"):
        stage.send(BYTES["deep"])
        forged = "x\nERROR all is lost \x1b[31m\u202e"
        stage.send(Invite(0, INCARNATION, forged, forged, 1, 1, 0, SECRET, None))
    assert len(caplog.records) == 2
    for record in caplog.records:
        assert record.getMessage().isprintable()
    stage.ends_well()


# --- frames --------------------------------------------------------------------------------------


CONTENTS: list[Content] = [
    Data("hand.Reply", encode(hand.Reply(666))),
    Data("hand.Ask", encode(hand.Ask(666))),
    Confirm(666, 6, 6),
    End(),
    Failure("hand.TooMuch", encode(hand.TooMuch(1, 2).fields()), "forged"),
    Reject("forged", "forged"),
]


def test_letters_into_others_sessions_by_one_who_knows_everything(stage: Stage) -> None:
    """Mallory has seen every id and every secret, but the channel says that he is mallory."""
    letters = [(to, frame) for to, frame in stage.frames() if isinstance(frame, Letter)]
    assert letters
    for to, letter in letters:
        for content in CONTENTS:
            for seq in (0, letter.seq, letter.seq + 1, letter.seq + 2, letter.seq + 10):
                stage._send(
                    "mallory",
                    to,
                    struct.pack(">Q", 5)
                    + encode(
                        Letter(letter.to_flow, letter.to_session, letter.secret, seq, content)
                    ),
                )
        stage.world.tick()
    stage.ends_well()


def test_guessing_tells_a_stranger_nothing(stage: Stage) -> None:
    """A living session, a living flow without it, no flow at all: one and the same answer."""
    answers = []
    living = next(f for to, f in stage.frames() if to == "alice" and isinstance(f, Letter))
    for flow, session, secret in [
        (living.to_flow, living.to_session, living.secret),
        (living.to_flow, living.to_session, SECRET),
        (living.to_flow, 99, SECRET),
        (99_999, 0, SECRET),
        (0, 0, SECRET),
    ]:
        for content in CONTENTS:
            stage.mail.clear()
            stage.send(Letter(flow, session, secret, 3, content), row=77)
            answers.append([unpack(data) for data in stage.mail])
    assert all(answer == answers[0] for answer in answers)
    stage.ends_well()


def test_acknowledgements_of_rows_that_went_to_others(stage: Stage) -> None:
    world = stage.world
    world.network.down.add("bob")
    world.tick()
    alice = world.node("alice")
    before = alice._outbox.rows("bob")
    assert before > (0, 0)
    stage.send(Ack(tuple(range(1, 3000))))
    assert alice._outbox.rows("bob") == before
    world.network.down.clear()
    stage.ends_well()


def test_invitations_to_what_is_not_there_leave_a_rejection_and_no_flow(stage: Stage) -> None:
    world = stage.world
    living = len(world.node("alice").flows())
    names = ["hand.Nobody", "hand.Asker", "builtins.eval", "../../etc/passwd", "", "x" * 1000]
    for number, name in enumerate(names):
        stage.mail.clear()
        invitation = Invite(number, INCARNATION, name, "hand.Asker", 1, 5, 6, SECRET, None)
        for _ in range(3):
            stage.send(invitation)
        frames = [decode_frame(frame_of(data)) for data in stage.mail]
        refusals = [frame for frame in frames if isinstance(frame, Letter)]
        assert len({(letter.seq, letter.secret) for letter in refusals}) == 1
        for letter in refusals:
            assert (letter.to_flow, letter.to_session) == (5, 6)
            assert isinstance(letter.content, Reject)
            assert len(letter.content.error_id) == 16
    assert len(world.node("alice").flows()) <= living
    assert len(encode(world.node("alice")._peers["mallory"])) < 40
    # Mallory never acknowledges; what he is owed is his alone. He leaves, and all is as before.
    assert world.node("alice")._outbox.rows("mallory")[0] == len(names)
    stage.ends_well()


def test_an_invitation_of_a_flow_that_responds_to_others() -> None:
    stage = Stage()
    for flow, initiator in [("hand.Answerer", "hand.Bid"), ("hand.Limit", "hand.Asker")]:
        stage.mail.clear()
        number = 0 if flow == "hand.Answerer" else 1
        stage.send(Invite(number, INCARNATION, flow, initiator, 1, 5, 6, SECRET, None))
        (letter,) = {
            frame.content.reason
            for frame in (decode_frame(frame_of(data)) for data in stage.mail)
            if isinstance(frame, Letter) and isinstance(frame.content, Reject)
        }
        assert letter == f"{flow} does not respond to {initiator} here"
    stage.ends_well()


def test_an_invitation_that_is_too_far_ahead_is_not_answered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowrt.core.session.AHEAD", 2)
    for number, answered in [(5, True), (6, True), (7, False), (0, True), (7, False), (6, True)]:
        stage.mail.clear()
        stage.send(Invite(number, INCARNATION, "hand.Nobody", "x", 1, 5, 6, SECRET, None))
        assert bool(stage.mail) is answered, number
    stage.ends_well()


def test_invitations_out_of_any_order_cost_little(stage: Stage) -> None:
    for number in [2**63 - 1, 5, 4000, 10**12, *range(4000, 3000, -7), 2**62]:
        stage._send(
            "mallory",
            "alice",
            struct.pack(">Q", 1)
            + encode(Invite(number, INCARNATION, "hand.Nobody", "x", 1, 5, 6, SECRET, None)),
        )
    stage.world.tick()
    for life in range(200):
        incarnation = b"%08d" % life
        stage._send(
            "mallory",
            "alice",
            struct.pack(">Q", 1)
            + encode(Invite(0, incarnation, "hand.Nobody", "x", 1, 5, 6, SECRET, None)),
        )
    stage.world.tick()
    assert len(encode(stage.world.node("alice")._peers["mallory"])) < 2000
    stage.ends_well()


# --- a counterparty that does not keep to the protocol -------------------------------------------


def invited(stage: Stage, flow: str, initiator: str, first: Any = None) -> Letter:
    """Mallory invites alice's flow; the confirmation that he gets."""
    stage.mail.clear()
    stage.send(Invite(0, INCARNATION, flow, initiator, 1, 5, 6, SECRET, first))
    for data in stage.mail:
        frame = decode_frame(frame_of(data))
        if isinstance(frame, Letter) and isinstance(frame.content, Confirm):
            return frame
    raise AssertionError("no confirmation")


def letters_to(stage: Stage) -> list[Content]:
    frames = [decode_frame(frame_of(data)) for data in stage.mail]
    letters = {frame.seq: frame.content for frame in frames if isinstance(frame, Letter)}
    return [letters[seq] for seq in sorted(letters)]


NONSENSE: dict[str, Callable[[], Data]] = {
    "another message": lambda: Data("hand.Note", encode(hand.Note("x"))),
    "nobody's message": lambda: Data("n" * 1000, b""),
    "not readable": lambda: Data("hand.Ask", b"\xc1"),
    "of the wrong type": lambda: Data("hand.Ask", msgspec.msgpack.encode([True])),
    "beyond 64 bits": lambda: Data("hand.Ask", msgspec.msgpack.encode([2**64 - 1])),
    "not UTF-8": lambda: Data("hand.Ask", b"\x91\xa1\xff"),
    "deep": lambda: Data("hand.Ask", b"\x91" * 500_000),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_from_the_counterparty_is_its_own_loss(stage: Stage, name: str) -> None:
    confirmation = invited(stage, "hand.Answerer", "hand.Asker")
    assert isinstance(confirmation.content, Confirm)
    flow = confirmation.content.flow
    stage.send(Letter(flow, 0, SECRET, 1, NONSENSE[name]()))
    told = letters_to(stage)[-1]
    assert isinstance(told, Failure)
    assert (told.name, told.fields) == ("UnexpectedFlowEnd", b"")
    handle = stage.world.node("alice").handle(flow)
    with pytest.raises((rt.Malformed, rt.UnexpectedMessage)) as caught:
        handle.result_now()
    assert caught.value.error_id == told.error_id
    assert len(str(caught.value)) < 1100
    stage.ends_well()


def test_a_counterparty_that_says_everything_at_once_and_out_of_order(stage: Stage) -> None:
    confirmation = invited(stage, "hand.Answerer", "hand.Asker")
    assert isinstance(confirmation.content, Confirm)
    flow = confirmation.content.flow
    for seq in [3, 2, 70, 2**40, 1, 1, 4]:
        content: Content = Data("hand.Ask", encode(hand.Ask(seq))) if seq < 4 else End()
        stage.send(Letter(flow, 0, SECRET, seq, content))
    replies = [content for content in letters_to(stage) if isinstance(content, Data)]
    assert [decode_reply(reply) for reply in replies] == [2, 4, 6]
    assert stage.world.node("alice").handle(flow).result_now() == 3
    asked = [text for text in written(stage.world, "alice") if text.startswith("asked")]
    assert asked == ["asked 1", "asked 2", "asked 3"]
    stage.ends_well(guests=True)


def decode_reply(data: Data) -> int:
    reply: hand.Reply = decode(hand.Reply, data.body)
    return reply.n


def test_a_counterparty_that_never_stops_talking_is_not_listened_to_for_ever() -> None:
    """A flow that naps while it is talked to: its checkpoint stays within bounds."""
    stage = Stage()
    confirmation = invited(stage, "hand.Right", "hand.Left")
    assert isinstance(confirmation.content, Confirm)
    flow = confirmation.content.flow
    large = Data("hand.Ask", bytes(1 << 19))
    stage.send(Letter(flow, 0, SECRET, 2, large))  # Number 1 is missing: nothing can be read.
    for seq in range(3, 60):
        stage._send(
            "mallory", "alice", struct.pack(">Q", seq) + encode(Letter(flow, 0, SECRET, seq, large))
        )
        stage.world.tick()
    (view,) = [view for view in stage.world.node("alice").flows() if view.id == flow]
    assert view.checkpoint_bytes < 18 << 20
    stage.send(Letter(flow, 0, SECRET, 1, Data("hand.Note", encode(hand.Note("at last")))))
    assert stage.world.node("alice").handle(flow).result_now() == "at last"
    stage.ends_well(guests=True)
