"""docs/session-format.md is enough to follow: what it says is implemented here once more, from the
page and without the runtime, and recomputes its values. UPDATE_EXPECT=1 writes the values anew."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import values
from flowrt.core.values import decode_frame, encode
from flowrt.peers.outbox import RESEND_US, unpack_marked
from flowrt.transport import framing, tunnel
from flowrt.transport.framing import Splitter
from flowrt.transport.limits import WireLimits
from tests.transport.session_vectors import FRAMES, vectors

PAGE = Path(__file__).parent.parent.parent / "docs" / "session-format.md"
FENCE = re.compile(r"(?<=^```json\n)\{.*?\n\}(?=\n```$)", re.M | re.S)


def shown() -> dict[str, Any]:
    if "UPDATE_EXPECT" in os.environ:
        made = json.dumps(vectors(), indent=1, ensure_ascii=False)
        PAGE.write_text(FENCE.sub(lambda _: made, PAGE.read_text()))
    [text] = FENCE.findall(PAGE.read_text())
    found: dict[str, Any] = json.loads(text)
    return found


V = shown()


def test_the_page_shows_what_the_runtime_makes() -> None:
    assert vectors() == V


# --- the page, implemented ------------------------------------------------------------------------


def pack(value: Any) -> bytes:
    """The page's MessagePack: the shortest form of each."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int() if value < 128:
            return bytes([value])
        case int():
            for code, size in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
                if value < 1 << 8 * size:
                    return bytes([code]) + value.to_bytes(size, "big")
        case {"hex": text}:
            data = bytes.fromhex(text)
            assert len(data) < 256
            return b"\xc4" + bytes([len(data)]) + data
        case str():
            data = value.encode()
            if len(data) < 32:
                return bytes([0xA0 | len(data)]) + data
            assert len(data) < 256
            return b"\xd9" + bytes([len(data)]) + data
        case list():
            assert len(value) < 16
            return bytes([0x90 | len(value)]) + b"".join(map(pack, value))
    raise AssertionError(value)


@pytest.mark.parametrize("name", V["frames"])
def test_a_frame(name: str) -> None:
    shown = V["frames"][name]
    assert pack(shown["fields"]).hex() == shown["bytes"]
    assert decode_frame(bytes.fromhex(shown["bytes"])) == FRAMES[name]


def test_every_kind_of_frame_and_content_is_shown() -> None:
    kinds = {fields["fields"][0] for fields in V["frames"].values()}
    contents = {
        fields["fields"][5][0] for fields in V["frames"].values() if fields["fields"][0] == 1
    }
    assert kinds == {kind.__struct_config__.tag for kind in values.Frame.__args__}
    assert contents == {kind.__struct_config__.tag for kind in values.Content.__args__}


def test_the_mark() -> None:
    shown = V["mark"]
    life = shown["epoch"].to_bytes(3, "big") + bytes.fromhex(shown["chance"])
    assert life.hex() == shown["life"]
    count = b"\x03\xe8"
    tag = hashlib.blake2b(life + count, key=bytes.fromhex(shown["secret"]), digest_size=6).digest()
    assert (life + tag + count).hex() == shown["mark"]


@pytest.mark.parametrize("name", V["packets"])
def test_a_packet(name: str) -> None:
    shown = V["packets"][name]
    mark, frame = bytes.fromhex(shown["mark"]), bytes.fromhex(V["frames"][shown["frame"]]["bytes"])
    row = shown["row"].to_bytes(8, "big").lstrip(b"\x00")
    lengths = 0x80 | len(row) << 4 | len(mark) - 11
    assert (bytes([lengths]) + row + mark + frame).hex() == shown["bytes"]
    assert unpack_marked(bytes.fromhex(shown["bytes"])) == (shown["row"], mark, frame)


@pytest.mark.parametrize(
    ("name", "kind", "body"),
    [
        ("hello", 0, bytes(range(16, 32))),
        ("packet", 1, bytes.fromhex(V["packets"]["of row 300"]["bytes"])),
        ("are you there", 2, b""),
        ("I am", 3, b""),
        ("goodbye", 4, b""),
    ],
)
def test_what_is_on_a_connection(name: str, kind: int, body: bytes) -> None:
    data = bytes.fromhex(V["connection"][name])
    assert data == (len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body
    splitter = Splitter()
    splitter.feed(data)
    assert splitter.next() == (kind, body)


# --- what the page says in words ------------------------------------------------------------------


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading."""
    text = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = re.findall(r"^\|(.*)\|$", text, re.M)
    return [[cell.strip() for cell in row.split("|")] for row in table[2:]]


@pytest.mark.parametrize("heading", ["Frames", "Contents"])
def test_the_tables_have_every_field_in_its_order(heading: str) -> None:
    kinds = values.Frame if heading == "Frames" else values.Content
    told = {}
    for name, tag, fields in rows(heading):
        told[name] = int(tag), [field.strip("` ") for field in re.findall(r"`\w+`", fields)]
    made = {
        kind.__name__: (kind.__struct_config__.tag, list(kind.__struct_fields__))
        for kind in kinds.__args__
    }
    assert told == made


def test_the_limits_are_those_of_the_code() -> None:
    told = {name: number for name, number, *_ in rows("Limits")}
    limits = WireLimits()
    assert told == {
        "a session's frame": f"{values.MAX_FRAME_BYTES:,} bytes",
        "a packet": f"{framing.MOST_PACKET:,} bytes",
        "rows in an acknowledgement": f"{values.MAX_ACKS:,}",
        "names of flows, messages, errors": "1,000 characters",
        "a reason": "4,000 characters",
        "`messages`": "100,000 characters",
        "families of an error": f"{values.MAX_FAMILIES}",
        "versions in a rejection": f"{values.MAX_VERSIONS}",
        "from the first packet of TCP to hello": f"{limits.handshake_s:g} s",
        "a frame, from its first byte to its last": f"{limits.frame_s:g} s",
        "silence, until the other end is asked": f"{limits.silence_s:g} s",
        "silence, until the connection is cut": f"{limits.dead_s:g} s",
        "taking nothing of what is written": f"{limits.stall_s:g} s",
        "goodbye": f"{limits.farewell_s:g} s",
    }
    page = PAGE.read_text()
    assert f"`{framing.PROTOCOL}`" in page
    assert ", ".join(str(us // 1_000_000) for us in RESEND_US) in page
    assert tunnel.RECORD == 1 << 14


def test_a_reader_takes_fields_that_it_does_not_know_and_longer_numbers() -> None:
    assert decode_frame(pack([2, [1], {"hex": ""}, "later"])) == values.Ack((1,))
    assert decode_frame(b"\x92\x02\x91\xcd\x00\x01") == values.Ack((1,))
    assert decode_frame(pack([2, [1]])) == values.Ack((1,)), "without a mark, as it was before"
    assert encode(values.Ack((1,))) == pack([2, [1], {"hex": ""}])
