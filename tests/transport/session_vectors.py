"""The values of docs/session-format.md, as this runtime makes them: frames, packets, and what is
around them on a connection."""

from __future__ import annotations

from typing import Any

from flowrt.core.lineage import Lineage, life_after
from flowrt.core.values import (
    Ack,
    Confirm,
    Data,
    End,
    Failure,
    Frame,
    Invite,
    Letter,
    Recall,
    Recalled,
    Reject,
    encode,
)
from flowrt.peers.outbox import packed
from flowrt.transport.framing import BYE, HELLO, PACKET, PING, PONG, framed

SECRET = bytes(range(16))
INCARNATION = bytes.fromhex("a1a2a3a4a5a6a7a8")
LINEAGE = Lineage(b"a store's secret", [(life_after(7, b"\xbe\xef"), 0)])
MARK = LINEAGE.mark(1000)
DATA = Data("shop.Offer", bytes.fromhex("92a94f757472616e676f0c"))

FRAMES: dict[str, Frame] = {
    "an invitation": Invite(
        3, INCARNATION, "shop.Seller", "shop.Buyer", 1, 12, 0, SECRET, None
    ),
    "an invitation with its first message, to a role of a protocol": Invite(
        4, INCARNATION, "haggle.seller", "haggle.buyer", 2, 300, 1, SECRET, DATA,
        ">shop.Offer:0a1b2c3d,4e5f6071? <shop.Deal:",
    ),
    "a message": Letter(70_000, 0, SECRET, 1, DATA),
    "a confirmation": Letter(12, 0, SECRET, 0, Confirm(70_000, 0, 5)),
    "an end": Letter(12, 0, SECRET, 128, End()),
    "a declared error": Letter(
        12, 0, SECRET, 2,
        Failure("shop.SoldOut", b"\x91\xa3tea", "c0ffee", ("shop.Refused", "shop.Trouble")),
    ),
    "an error that is not told": Letter(
        12, 0, SECRET, 2, Failure("UnexpectedFlowEnd", b"", "c0ffee")
    ),
    "a rejection": Letter(12, 0, SECRET, 0, Reject("bob has no flow shop.Seller", "beef", 1)),
    "a rejection that names versions": Letter(
        12, 0, SECRET, 0, Reject("shop.Buyer 1 is not answered", "beef", 3, (2, 3))
    ),
    "an acknowledgement": Ack((1, 2, 65_536, 2**40), MARK),
    "an acknowledgement of rows without a mark": Ack((1,)),
    "a recall": Recall(MARK),
    "a recall that was recognised": Recalled(MARK, False, True),
}  # fmt: skip


def vectors() -> dict[str, Any]:
    """All of them, as the page shows them: bytes in hex."""
    return {
        "mark": {
            "epoch": 7,
            "chance": "beef",
            "life": life_after(7, b"\xbe\xef").hex(),
            "secret": b"a store's secret".hex(),
            "count": 1000,
            "mark": MARK.hex(),
        },
        "frames": {
            name: {"fields": _plain(frame), "bytes": encode(frame).hex()}
            for name, frame in FRAMES.items()
        },
        "packets": {
            name: {
                "row": row,
                "mark": mark.hex(),
                "frame": frame,
                "bytes": packed(row, mark, encode(FRAMES[frame])).hex(),
            }
            for name, row, mark, frame in (
                ("of row 300", 300, MARK, "an end"),
                ("of row 2^40", 2**40, MARK, "a message"),
                ("of no row", 0, MARK, "an acknowledgement"),
                ("of a store without a commit", 1, LINEAGE.mark(0), "an invitation"),
            )
        },
        "connection": {
            "hello": framed(HELLO, bytes(range(16, 32))).hex(),
            "packet": framed(PACKET, packed(300, MARK, encode(FRAMES["an end"]))).hex(),
            "are you there": framed(PING).hex(),
            "I am": framed(PONG).hex(),
            "goodbye": framed(BYE).hex(),
        },
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if hasattr(value, "__struct_fields__"):
        fields = [_plain(getattr(value, name)) for name in value.__struct_fields__]
        return [value.__struct_config__.tag, *fields]
    return value
