"""Spoiled frames, packets, checkpoints and arguments: some seconds of each target;
`make fuzz` runs them for longer.
"""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlang.run import WrongUsage, arguments_of
from flowrt.core import values
from flowrt.core.flow import Malformed
from flowrt.core.values import Ack, BadBytes, Data, Failure, decode_frame, decode_message, encode
from tests.fuzz import fair, packed, rest, targets, wire, words

FEW = {"frames": 6_000, "packets": 4_000, "checkpoints": 3_000, "steps": 1_200, "arguments": 400}
FEW["transactions"] = 1_500


@pytest.mark.parametrize("name", FEW)
def test_what_is_spoiled_is_refused_or_run(name: str) -> None:
    with fair.quiet():
        found = targets.TARGETS[name][0](0, FEW[name])
    assert found.inputs == FEW[name]
    assert not found.text(), found.text()


def test_the_table_tells_of_every_target_and_of_what_was_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert targets.main(0.0005, 0)
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 1 + len(targets.TARGETS)

    def broken(*_: object) -> None:
        raise KeyError("a name")

    monkeypatch.setattr(wire, "decode_frame", broken)
    assert not targets.main(0.0005, 0)
    assert "KeyError at test_fuzz_bytes.py" in capsys.readouterr().out


# --- the targets find what they are there for -----------------------------------------------------


def test_a_session_that_takes_anybody_s_letters_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrt.core.session.is_for", lambda *_: True)
    with fair.quiet():
        assert "in which it has no part" in wire.reading(0, 2_000).text()


def test_a_node_that_dies_of_a_frame_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_DECODING", (msgspec.ValidationError,))
    with fair.quiet():
        assert "DecodeError" in wire.reading(0, 1_000).text()


def test_a_node_that_dies_of_a_checkpoint_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrt.core.registry.number_of", lambda _: 0)
    with fair.quiet():
        assert "IndexError" in rest.stepping(400, 100).text()


def test_an_argument_that_is_answered_with_a_traceback_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowlang.arguments._is_written", lambda _: True)
    assert "UnicodeEncodeError" in (words.judge("non\ud800e", str) or "")


@pytest.mark.parametrize("spoil", [wire.one, rest.one])
def test_many_of_the_spoiled_can_still_be_read(spoil: object) -> None:
    """Else only the decoder would ever see them."""
    judged = decode_frame if spoil is wire.one else rest._registry().states_of  # type: ignore[attr-defined]
    read = 0
    for number in range(1_000):
        try:
            if spoil is wire.one:
                judged(wire.one(number))
            else:
                values.decode_checkpoint(rest.one(number), judged)
        except (BadBytes, KeyError):
            continue
        read += 1
    assert read > 100


@given(st.randoms(use_true_random=False))
def test_what_is_taken_apart_is_put_together_again(choose: random.Random) -> None:
    data = choose.choice(wire.frames())
    tree = packed.parsed(data)
    assert msgspec.msgpack.decode(packed.written(tree)) == msgspec.msgpack.decode(data)


# --- found by these targets, and mended -----------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31T12:00:00", None),
    ],
)
def test_a_moment_is_in_utc_or_malformed(written: str, becomes: str | None) -> None:
    """Left in its zone it could not be written again, and its reader went to the hospital."""
    kind = fair.module().All
    fields = msgspec.msgpack.decode(encode(fair.about()))
    fields[5] = written
    body = msgspec.msgpack.encode(fields)
    if becomes is None:
        with pytest.raises(Malformed):
            decode_message(kind, body)
    else:
        assert decode_message(kind, body).moment.isoformat() == becomes


def test_an_acknowledgement_and_an_error_hold_only_so_much() -> None:
    assert decode_frame(encode(Ack((1,) * values.MAX_ACKS)))
    with pytest.raises(BadBytes):
        decode_frame(encode(Ack((1,) * (values.MAX_ACKS + 1))))
    letter = values.Letter(1, 0, bytes(16), 0, Failure("x", b"", "", ("y",) * 65))
    with pytest.raises(BadBytes):
        decode_frame(encode(letter))


SPOILED_RESTS = {
    "no states": lambda c: c.frames.clear(),
    "a step that is not there": lambda c: setattr(c.frames[0], "step", 7),
    "a step before the first": lambda c: setattr(c.frames[0], "step", -2),
}


@pytest.mark.parametrize("name", SPOILED_RESTS)
def test_a_damaged_flow_is_alone_in_the_hospital(name: str) -> None:
    world = fair.Fair(reload=True)
    for _ in range(4):
        world.tick()
    node = world.node("alice")
    (flow_id,) = world.at_rest("alice")
    checkpoint = node.registry.checkpoint(world.at_rest("alice")[flow_id])
    SPOILED_RESTS[name](checkpoint)  # type: ignore[no-untyped-call]
    world.members["alice"].disk.flows[flow_id] = (encode(checkpoint), 0)  # type: ignore[union-attr]
    world.crash("alice")
    with fair.quiet():
        world.run()
    (patient,) = world.node("alice").hospital()
    assert (patient.flow_id, patient.flow) == (flow_id, "?")
    assert patient.cause.startswith("cannot be loaded: ")
    (seen,) = world.node("alice").flows()
    assert seen.waits.startswith("unreadable: ")


def test_no_message_of_this_module_is_left_out() -> None:
    kinds = {type(values.decode_frame(data)).__name__ for data in wire.frames()}
    assert kinds == {"Invite", "Letter", "Ack"}
    names = {
        frame.content.name
        for frame in map(decode_frame, wire.frames())
        if isinstance(frame, values.Letter) and isinstance(frame.content, Data)
    }
    assert names == {"fair.All", "fair.Bye"}


ARGUMENTS = {
    "host=b\udcffb": r"host=b\udcffb: the text holds bytes that are not UTF-8",
    "rounds=non\udcffe": r"rounds=non\udcffe: the text holds bytes that are not UTF-8",
    "r\udcff=1": r"Visit_v1 has no parameter `r\udcff`; it has: host, rounds, about",
    "\udcff": r"`\udcff` is not an argument; write key=value",
    'rounds=-{"a": 1}': 'rounds=-{"a": 1}: only a number has a minus',
    "rounds=-true": "rounds=-true: only a number has a minus",
    "about=Item": "about=Item: Item: Missing required argument 'name'",
}


@pytest.mark.parametrize("word", ARGUMENTS)
def test_an_argument_that_is_refused_says_why(word: str) -> None:
    module = fair.module()
    with pytest.raises(WrongUsage) as caught:
        arguments_of(module.Visit_v1, [word], [module])
    assert str(caught.value) == ARGUMENTS[word]
