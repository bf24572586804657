"""Sockets that dribble: many who begin a handshake and never end it. They are cut, cost little
memory, and those who talk notice nothing. `make bench` has the figures, with 2,000 of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from pathlib import Path

import pytest

from flowrt.transport.limits import WireLimits
from flowrt.transport.tunnel import Refusal
from tests.transport.certified import Raw, Town, until
from tests.transport.test_tls import LIFE, Party, play

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
"""The beginning of a long greeting of TLS."""


async def dribble(town: Town, alice: Party, bob: Party, sockets: int) -> None:
    async def one() -> int:
        async with Raw.dial(alice.network, None) as raw:
            with contextlib.suppress(OSError):
                for byte in HELLO:
                    raw.writer.write(bytes([byte]))
                    if raw.reader.at_eof() or raw.writer.is_closing():
                        break
                    await asyncio.sleep(0.005)
            return len(await raw.rest())

    async def talk() -> None:
        while True:
            heard = len(alice.mail)
            bob.send("alice", b"still there?")
            await until(lambda heard=heard: len(alice.mail) > heard)  # type: ignore[misc]

    talking = asyncio.create_task(talk())
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, alice.network.figures().handshakes)
            await asyncio.sleep(0.001)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(*[one() for _ in range(sockets)], return_exceptions=True)
    talking.cancel()
    watching.cancel()
    assert not [answer for answer in answers if isinstance(answer, int) and answer > 7]
    assert 0 < most <= alice.network.limits.handshakes
    figures = alice.network.figures()
    assert figures.refused[Refusal.SLOW_HANDSHAKE.value] > 0
    assert sum(figures.refused.values()) == figures.accepted - 1
    assert len(alice.mail) > 10
    assert alice.network.figures().handshakes == 0
    assert not alice.network._from
    # Whoever is honest is let in again.
    async with town.open("carol") as [network]:
        carol = Party(network)
        carol.send("alice", b"good day")
        await until(lambda: ("carol", b"good day") in alice.mail)


@pytest.mark.parametrize("sockets", [200, pytest.param(2000, marks=pytest.mark.campaign)])
def test_sockets_that_dribble_are_cut(tmp_path: Path, sockets: int) -> None:
    limits = WireLimits(handshake_s=0.4, handshakes=100, handshakes_per_s=1000)

    async def test(town: Town) -> None:
        async with town.open("alice", "bob", limits=limits) as networks:
            alice, bob = map(Party, networks)
            bob.send("alice", b"first")
            await until(lambda: alice.mail)
            await dribble(town, alice, bob, sockets)

    play(test, tmp_path)


def test_the_oldest_handshake_makes_room(tmp_path: Path) -> None:
    """From many addresses at once: each has few, all together too many."""

    async def test(town: Town) -> None:
        limits = WireLimits(handshakes=5)
        async with town.open("alice", limits=limits) as [network]:
            alice = Party(network)
            async with contextlib.AsyncExitStack() as stack:
                raws = [await stack.enter_async_context(Raw.dial(network, None)) for _ in range(8)]
                await until(lambda: network.figures().refused == {Refusal.CROWDED.value: 3})
                for raw in raws[:3]:
                    assert await raw.rest() == b""
                town.known["mallory"] = []
                context = town.issue("mallory").load().dialing
                async with Raw.dial(network, context, life=LIFE):
                    assert network.figures().connections == 1
            await until(lambda: alice.connections == 0)

    play(test, tmp_path)


def test_an_address_may_begin_so_many_and_then_so_many_a_second(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        limits = WireLimits(handshakes_per_address=10, handshakes_per_s=0.001)
        async with town.open("alice", limits=limits) as [network]:
            Party(network)
            for _ in range(15):
                async with Raw.dial(network, None):
                    pass
            await until(lambda: network.figures().refused == {Refusal.CROWDED.value: 5})
            assert network.figures().accepted == 15

    play(test, tmp_path)


def test_a_connection_costs_little_memory(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice") as [network]:
            alice = Party(network)
            async with contextlib.AsyncExitStack() as stack:
                gc.collect()
                tracemalloc.start()
                for _ in range(40):
                    raw = await stack.enter_async_context(Raw.dial(network, None))
                    raw.writer.write(HELLO)
                await until(lambda: network.figures().handshakes == 40)
                kept = tracemalloc.get_traced_memory()[0]
                tracemalloc.stop()
            await until(lambda: alice.connections == 0)
            # Measured: 11 KiB each, with the far end's, which is in this process too. asyncio's own
            # TLS would keep 256 KiB.
            assert kept < 40 * 32 * 1024

    play(test, tmp_path)
