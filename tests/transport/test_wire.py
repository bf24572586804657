"""Bad inputs by name, over real sockets, to a node that talks with somebody else meanwhile.

They come from a party that is let in. What is no frame ends its connection; what is a frame and no
packet of a session is counted by the node. Either way no flow begins, and nobody else notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flowrt.core.flow import Party
from flowrt.core.values import Ack, Data, Invite, Letter, encode
from flowrt.node import Node
from flowrt.peers.outbox import packed
from flowrt.store.memory import MemoryStore
from flowrt.transport.framing import BYE, HELLO, MOST_PACKET, PACKET, PING, framed
from flowrt.transport.limits import WireLimits
from flowrt.transport.tls import TlsNetwork
from flowrt.transport.tunnel import Refusal
from tests.contracts.test_transports import talk
from tests.runtime.test_bad_inputs import REFUSED
from tests.transport.certified import Raw, Town, until
from tests.transport.test_tls import LIFE

LIMITS = WireLimits(handshakes_per_s=100_000, handshakes_per_address=10_000, frame_s=0.3)


class Attacked:
    """A node, alice's, who is attacked by mallory while bob talks with her."""

    def __init__(self, town: Town, networks: list[TlsNetwork], alice: Node, bob: Node) -> None:
        self.town = town
        self.network = networks[0]
        self.alice, self.bob = alice, bob
        self.context = town.issue("mallory").load().dialing

    @classmethod
    @contextlib.asynccontextmanager
    async def by_mallory(cls, folder: Path, limits: WireLimits = LIMITS) -> AsyncIterator[Attacked]:
        town = Town(folder)
        town.known["mallory"] = []
        async with town.open("alice", "bob", limits=limits) as networks:
            alice, bob = [
                await Node.open(
                    network.party, store=MemoryStore(), network=network, modules=[talk()]
                )
                for network in networks
            ]
            attacked = cls(town, networks, alice, bob)
            await attacked.converse()
            before = alice._next_flow
            yield attacked
            assert alice._next_flow == before, "nothing was begun for mallory"
            await attacked.converse()
            assert not networks[1].figures().refused
            await alice.close()
            await bob.close()

    async def converse(self) -> None:
        """A whole conversation of others."""
        asker = talk().Asker_v1
        handle = await self.bob.start(asker, whom=Party("alice"), rounds=3, ballast=b"x")
        assert await handle.result() == (0, 1001, 2002)
        await until(lambda: not self.alice.flows())

    def dial(self) -> contextlib.AbstractAsyncContextManager[Raw]:
        return Raw.dial(self.network, self.context, life=LIFE)

    @property
    def cut(self) -> int:
        return self.network.figures().refused.get(Refusal.BAD_FRAME.value, 0)

    @property
    def received(self) -> int:
        return self.network.figures().packets_received


def hello(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


FRAMES: dict[str, bytes] = {
    "W01 a frame of no bytes": bytes(4),
    "W02 a length of 2^32 - 1, then silence": b"\xff\xff\xff\xff",
    "W02 a length of 2^31, then silence": b"\x80\x00\x00\x00",
    "W02 one more than may be": (MOST_PACKET + 2).to_bytes(4, "big"),
    "W04 bytes behind the end": framed(PING) + b"and more",
    "W04 a length that is one too short": hello(bytes([PACKET]) + b"12345678")[:3]
    + b"\x05"
    + bytes([PACKET])
    + b"\xff" * 40,
    "W11 a kind that nobody knows": framed(5),
    "W11 the last kind": framed(255, b"x" * 100),
    "a second hello": framed(HELLO, LIFE),
    "a hello with more in it": framed(HELLO, LIFE + b"x"),
    "a question with something in it": framed(PING, b"x"),
    "a packet behind goodbye": framed(BYE) + framed(PACKET, b"x"),
    "W10 HTTP": b"GET / HTTP/1.1\r\nHost: alice\r\n\r\n",
    "W10 TLS within TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160),
}


@pytest.mark.parametrize("name", FRAMES)
def test_what_is_no_frame_ends_the_connection(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            before = attacked.received
            async with attacked.dial() as raw:
                raw.writer.write(FRAMES[name])
                said = await raw.rest()
            assert said in (b"", framed(BYE))
            assert attacked.cut == 1
            assert attacked.received - before == name.startswith("W04 a length")
            assert attacked.network.peers()[-1].name == "mallory"

    asyncio.run(main())


def test_a_packet_before_hello(tmp_path: Path) -> None:
    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            before = attacked.received
            async with Raw.dial(attacked.network, attacked.context) as raw:
                raw.writer.write(framed(PACKET, b"x") + framed(HELLO, LIFE))
                await raw.rest()
            assert (attacked.cut, attacked.received) == (1, before)

    asyncio.run(main())


INVITE = Invite(0, b"8bytes!!", "play.Answerer", "play.Asker", 1, 1, 0, b"s" * 16, None)
LETTER = Letter(1, 0, b"s" * 16, 1, Data("play.Ask", b"\x92\x00\xc4\x01x"))


def test_w05_a_frame_in_writes_of_one_byte(tmp_path: Path) -> None:
    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            before = attacked.received
            async with attacked.dial() as raw:
                for byte in framed(PACKET, packed(1, b"", encode(LETTER))):
                    raw.writer.write(bytes([byte]))
                    await asyncio.sleep(0)
                await until(lambda: attacked.received == before + 1)
            assert attacked.cut == 0

    asyncio.run(main())


def test_w07_a_frame_that_ends_at_every_byte(tmp_path: Path) -> None:
    """The connection ends there. Nothing of the frame counts."""

    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            before = attacked.received
            frame = framed(PACKET, packed(1, b"", encode(LETTER)))
            for length in range(len(frame)):
                async with attacked.dial() as raw:
                    raw.writer.write(frame[:length] + b"" if length else b"")
                    await raw.writer.drain()
            await until(lambda: attacked.network.figures().connections == 1)
            assert (attacked.cut, attacked.received) == (0, before)

    asyncio.run(main())


def test_w07_a_frame_that_never_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            async with attacked.dial() as raw:
                raw.writer.write(framed(PACKET, b"x" * 1000)[:-1])
                await raw.rest()
            assert attacked.network.figures().refused == {Refusal.SLOW_FRAME.value: 1}

    asyncio.run(main())


def test_w07_a_record_that_never_ends(tmp_path: Path) -> None:
    """Bytes of TLS that never become a byte of a frame are no sign of life."""

    async def main() -> None:
        limits = dataclasses.replace(LIMITS, silence_s=0.1, dead_s=0.5)
        async with Attacked.by_mallory(tmp_path, limits) as attacked:
            async with attacked.dial() as raw:
                beneath = raw.writer.transport._ssl_protocol._transport
                beneath.write(b"\x17\x03\x03\x10\x00")
                dribbling = asyncio.create_task(dribble(beneath))
                await raw.rest()
                dribbling.cancel()
            assert attacked.network.figures().refused == {Refusal.SILENT.value: 1}

    asyncio.run(main())


async def dribble(writer: asyncio.WriteTransport) -> None:
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.01)


def test_w08_every_bit_of_a_frames_head(tmp_path: Path) -> None:
    """A flipped bit of the head makes another length or kind: cut at once, or as soon as what
    follows is no frame, or when the rest never comes."""

    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            frame = framed(PACKET, packed(1, b"", encode(Ack((1,)))))

            async def flip(bit: int) -> None:
                flipped = bytearray(frame)
                flipped[bit // 8] ^= 1 << bit % 8
                attacked.town.known[f"mallory {bit}"] = []
                context = attacked.town.issue(f"mallory {bit}").load().dialing
                async with Raw.dial(attacked.network, context, life=LIFE) as raw:
                    raw.writer.write(bytes(flipped) + framed(PACKET) * 4 + framed(BYE))
                    await raw.rest()

            await asyncio.gather(*[flip(bit) for bit in range(8 * 5)])
            figures = attacked.network.figures()
            assert sum(figures.refused.values()) >= 32

    asyncio.run(main())


def test_w08_every_bit_of_a_packet(tmp_path: Path) -> None:
    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            before, sent = attacked.received, 0
            async with attacked.dial() as raw:
                for frame in (LETTER, Ack((1,))):
                    packet = packed(1, b"", encode(frame))
                    for bit in range(8 * len(packet)):
                        flipped = bytearray(packet)
                        flipped[bit // 8] ^= 1 << bit % 8
                        raw.writer.write(framed(PACKET, bytes(flipped)))
                        sent += 1
                await until(lambda: attacked.received == before + sent)
                await until(lambda: not attacked.alice._inbound)
            assert attacked.cut == 0

    asyncio.run(main())


def test_each_frame_that_sessions_refuse(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The table of tests/runtime/test_bad_inputs.py, as packets."""
    caplog.set_level(logging.WARNING)

    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            before, sent = attacked.received, 0
            async with attacked.dial() as raw:
                for frame in REFUSED.values():
                    packet = packed(1, b"", frame)
                    if len(packet) <= MOST_PACKET:
                        raw.writer.write(framed(PACKET, packet))
                        sent += 1
                    await raw.writer.drain()
                await until(lambda: attacked.received == before + sent)
                await until(lambda: not attacked.alice._inbound)
            assert sent >= len(REFUSED) - 3
            assert attacked.cut == 0

    asyncio.run(main())
    assert "unreadable frame from mallory" in caplog.text


def test_a_packet_larger_than_any_may_be(tmp_path: Path) -> None:
    async def main() -> None:
        async with Attacked.by_mallory(tmp_path) as attacked:
            async with attacked.dial() as raw:
                raw.writer.write(framed(PACKET, b"x" * (MOST_PACKET + 1)))
                await raw.rest()
            assert attacked.cut == 1

    asyncio.run(main())
