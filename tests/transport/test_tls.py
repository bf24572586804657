"""What a network over TLS does when connections come, go, break and stand still."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from flowrt.transport import Transport
from flowrt.transport.credentials import BadCredentials
from flowrt.transport.framing import BYE, PACKET, PING, PONG, framed
from flowrt.transport.limits import WireLimits
from flowrt.transport.tls import ListenFailed, TlsNetwork
from flowrt.transport.tunnel import Refusal
from tests.transport.certified import QUICK, Cable, Raw, Town, until

LIFE = b"mallory's life.."


class Party:
    """Somebody who has joined: what came, and who is back."""

    def __init__(self, network: TlsNetwork) -> None:
        self.network = network
        self.mail: list[tuple[str, bytes]] = []
        self.back: list[str] = []
        self.takes = True
        self.place: Transport = network.join(network.party, self._receive)
        self.place.up = self.back.append
        self.send = self.place.send

    def _receive(self, peer: str, data: bytes) -> bool:
        if self.takes:
            self.mail.append((peer, data))
        return self.takes

    @property
    def connections(self) -> int:
        return len(self.network._all)


def play(test: Callable[[Town], Coroutine[Any, Any, None]], folder: Path) -> None:
    asyncio.run(test(Town(folder)))
    gc.collect()  # A socket that nobody has closed complains now.


def test_two_who_dial_at_once_end_with_one_connection(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice", "bob") as networks:
            alice, bob = map(Party, networks)
            alice.send("bob", b"1")
            bob.send("alice", b"2")
            await until(lambda: alice.mail and bob.mail)
            await until(lambda: (alice.connections, bob.connections) == (1, 1))
            [kept], [same] = alice.network._all, bob.network._all
            assert (kept.dialed, same.dialed) == (True, False), "the smaller name's"
            assert not alice.network.figures().refused
            alice.send("bob", b"3")
            bob.send("alice", b"4")
            await until(lambda: len(alice.mail) + len(bob.mail) == 4)
            assert (alice.back, bob.back) == ([], []), "nothing was lost"

    play(test, tmp_path)


def test_a_peer_that_was_restarted_is_reached_and_told_of(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice", "bob") as networks:
            alice, bob = map(Party, networks)
            alice.send("bob", b"1")
            await until(lambda: bob.mail)
            await bob.network.close(0)
            alice.send("bob", b"2")
            await until(lambda: alice.network.figures().dials_failed > 1)
            alice.send("bob", b"3")
            assert alice.network.figures().packets_dropped >= 1
            [view] = alice.network.peers()
            assert not view.connected
            assert view.trouble.startswith(town.known["bob"][0])
            async with town.open("bob") as [again]:
                newer = Party(again)
                await until(lambda: alice.back == ["bob"])
                alice.send("bob", b"4")
                await until(lambda: newer.mail[-1:] == [("alice", b"4")])
                assert alice.back == ["bob"]

    play(test, tmp_path)


def test_who_comes_again_takes_over_from_a_connection_that_hangs(tmp_path: Path) -> None:
    """The process at the other end is gone, and nobody has said so to our socket."""

    async def test(town: Town) -> None:
        async with town.open("alice", "bob") as networks, Cable(networks[1]).laid() as cable:
            alice, bob = map(Party, networks)
            town.known["bob"] = [cable.address]
            alice.send("bob", b"1")
            await until(lambda: bob.mail)
            cable.is_still = True
            alice.send("bob", b"lost")
            async with town.open("bob") as [again]:
                newer = Party(again)
                newer.send("alice", b"hello")
                await until(lambda: alice.mail)
                assert alice.back == ["bob"]
                alice.send("bob", b"2")
                await until(lambda: newer.mail)
            assert newer.mail == [("alice", b"2")]
            assert alice.network.figures().refused[Refusal.SUPERSEDED.value] == 1

    play(test, tmp_path)


@pytest.mark.parametrize("bytes_", [1, 700, 5_000, 300_000, 1_000_000])
def test_a_connection_that_is_cut_in_the_middle_of_a_frame(tmp_path: Path, bytes_: int) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice", "bob") as networks, Cable(networks[1]).laid() as cable:
            alice, bob = map(Party, networks)
            town.known["bob"] = [cable.address]
            cable.left = bytes_
            large = bytes(range(256)) * 4096
            alice.send("bob", large)
            await until(lambda: cable.left == -1)
            await until(lambda: alice.back)
            assert bob.mail == []
            alice.send("bob", large)
            await until(lambda: bob.mail)
            assert bob.mail == [("alice", large)]

    play(test, tmp_path)


def test_what_a_party_does_not_take_stays_with_who_sends_it(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        limits = dataclasses.replace(QUICK, waiting_bytes=64 << 20)
        async with town.open("alice", "bob", limits=limits) as networks:
            alice, bob = map(Party, networks)
            bob.takes = False
            packets = [bytes([number]) * (1 << 20) for number in range(40)]
            for packet in packets:
                alice.send("bob", packet)
            await until(lambda: bob.network.figures().held_back > 5)
            waiting = alice.network.figures().waiting_bytes
            assert waiting > 20 << 20, "sockets hold little; nothing is read beyond one packet"
            [connection] = bob.network._all
            assert connection._transport is not None
            assert not connection._transport.is_reading()
            assert bob.network.figures().packets_received == 0
            bob.takes = True
            await until(lambda: len(bob.mail) == 40)
            assert [data for _, data in bob.mail] == packets
            assert alice.network.figures().packets_dropped == 0

    play(test, tmp_path)


def test_what_waits_for_a_peer_is_bounded(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        limits = dataclasses.replace(QUICK, waiting_bytes=100_000, waiting=10)
        async with town.open("alice", "bob", limits=limits) as networks:
            alice, bob = map(Party, networks)
            for _ in range(30):
                alice.send("bob", b"x")
            for _ in range(30):
                alice.send("carol", b"nobody knows her")
            figures = alice.network.figures()
            assert (figures.waiting_bytes, figures.packets_dropped) == (10, 50)
            await until(lambda: len(bob.mail) == 10)
            for _ in range(30):
                alice.send("bob", b"x" * 30_000)
            figures = alice.network.figures()
            assert (figures.waiting_bytes, figures.packets_dropped) == (90_000, 77)
            alice.send("bob", b"x" * (2 << 20))
            assert alice.network.figures().packets_dropped == 78, "larger than any may be"

    play(test, tmp_path)


def test_a_stop_lets_out_what_was_written(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice", "bob") as networks:
            alice, bob = map(Party, networks)
            packets = [bytes([number]) * (1 << 20) for number in range(10)]
            alice.send("bob", b"first")
            await until(lambda: bob.mail)
            for packet in packets:
                alice.send("bob", packet)
            await alice.network.close(20)
            await alice.network.close(20)
            assert [data for _, data in bob.mail[1:]] == packets
            await until(lambda: not bob.connections)
            alice.send("bob", b"too late")
            assert alice.network.figures().packets_dropped == 1

    play(test, tmp_path)


def test_a_stop_does_not_wait_for_who_does_not_answer(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice", "bob") as networks, Cable(networks[1]).laid() as cable:
            alice, bob = map(Party, networks)
            town.known["bob"] = [cable.address]
            alice.send("bob", b"1")
            await until(lambda: bob.mail)
            cable.is_still = True
            await alice.network.close(0.01)
            assert alice.connections == 0

    play(test, tmp_path)


def test_who_is_no_longer_known_is_disconnected(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        limits = dataclasses.replace(QUICK, silence_s=0.02)
        async with town.open("alice", "bob", limits=limits) as networks:
            alice, bob = map(Party, networks)
            alice.send("bob", b"1")
            await until(lambda: bob.mail)
            address = town.known.pop("bob")
            await until(lambda: not alice.connections)
            assert alice.network.figures().refused == {Refusal.UNKNOWN_PARTY.value: 1}
            alice.send("bob", b"2")
            bob.send("alice", b"3")
            await until(lambda: alice.network.figures().refused[Refusal.UNKNOWN_PARTY.value] > 1)
            assert alice.mail == []
            assert alice.network.peers() == [], "nothing is kept of who is not known"
            town.known["bob"] = address
            await until(lambda: bob.back)
            alice.send("bob", b"4")
            await until(lambda: len(bob.mail) == 2)

    play(test, tmp_path)


def test_a_peer_that_gives_no_sign_of_life_is_asked_and_then_cut(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        town.known["mallory"] = []
        context = town.issue("mallory").load().dialing
        limits = dataclasses.replace(QUICK, silence_s=0.01, dead_s=0.5)
        async with town.open("alice", limits=limits) as [network]:
            Party(network)
            async with Raw.dial(network, context, life=LIFE) as raw:
                loop = asyncio.get_running_loop()
                end = loop.time() + 0.8  # Longer than who is dead may be silent.
                while loop.time() < end:
                    assert await raw.frame() == (PING, b"")
                    raw.writer.write(framed(PONG))
                raw.writer.write(framed(PING) * 1000)
                kinds = {(await raw.frame())[0]}
                assert kinds <= {PONG, PING}
                await raw.rest()
            assert network.figures().refused == {Refusal.SILENT.value: 1}

    play(test, tmp_path)


def test_a_peer_that_reads_nothing_is_cut(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        town.known["mallory"] = []
        context = town.issue("mallory").load().dialing
        limits = dataclasses.replace(QUICK, stall_s=0.05, silence_s=0.1)
        async with town.open("alice", limits=limits) as [network]:
            alice = Party(network)
            async with Raw.dial(network, context, life=LIFE) as raw:
                raw.writer.transport.pause_reading()
                for _ in range(15):
                    alice.send("mallory", b"x" * (1 << 20))
                await until(lambda: network.figures().refused == {Refusal.STALLED.value: 1})
            await until(lambda: network.figures().waiting_bytes == 0)

    play(test, tmp_path)


def test_a_peer_has_few_connections(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        town.known["mallory"] = []
        context = town.issue("mallory").load().dialing
        async with town.open("alice") as [network]:
            alice = Party(network)
            async with contextlib.AsyncExitStack() as stack:
                for number in range(12):
                    raw = await stack.enter_async_context(Raw.dial(network, context, life=LIFE))
                    await until(lambda: alice.connections <= 5)
                    if number % 2:
                        # It says goodbye, and reads nothing of what there is for it.
                        raw.writer.transport.pause_reading()
                        for _ in range(14):
                            alice.send("mallory", b"x" * (1 << 20))
                        raw.writer.write(framed(BYE))
                        await until(lambda: network.figures().connections == 0)

    play(test, tmp_path)


def test_a_second_address_is_tried_when_the_first_is_dead(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice", "bob", "carol") as networks:
            alice, bob, carol = map(Party, networks)
            await carol.network.close(0)
            # Nobody is at the first, at the second is somebody else.
            town.known["bob"] = [*town.known["carol"], *town.known["alice"], *town.known["bob"]]
            alice.send("bob", b"1")
            await until(lambda: bob.mail)

    play(test, tmp_path)


def test_who_only_dials_is_reached_by_the_connection_that_it_dialed(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        town.known["guest"] = []
        guest_network = town.network("guest", None)
        await guest_network.listen()
        assert guest_network.address is None
        async with town.open("alice") as [network]:
            alice, guest = Party(network), Party(guest_network)
            alice.send("guest", b"0")
            await until(lambda: network.figures().packets_dropped == 1)
            assert "must come to us" in network.peers()[0].trouble
            guest.send("alice", b"1")
            await until(lambda: alice.back == ["guest"])
            alice.send("guest", b"2")
            await until(lambda: guest.mail)
            await guest_network.close(1)

    play(test, tmp_path)


def test_a_new_certificate_is_shown_from_then_on(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice", "bob") as networks:
            alice, bob = map(Party, networks)
            until_ = alice.network.until.replace(year=2100)
            with pytest.raises(BadCredentials, match="this node is alice"):
                alice.network.renew(town.issue("carol"))
            alice.network.renew(town.issue("alice", until=until_))
            alice.send("bob", b"1")
            await until(lambda: bob.mail)
            [connection] = bob.network._all
            assert connection.until == until_ == alice.network.until

    play(test, tmp_path)


def test_a_connection_ends_with_the_certificate_that_opened_it(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        limits = dataclasses.replace(QUICK, silence_s=0.02)
        async with town.open("alice", "bob", limits=limits) as networks:
            alice, bob = map(Party, networks)
            alice.send("bob", b"1")
            await until(lambda: bob.mail)
            [connection] = bob.network._all
            connection.until = connection.until.replace(year=2021)
            await until(lambda: bob.network.figures().refused == {Refusal.EXPIRED.value: 1})

    play(test, tmp_path)


def test_the_name_is_the_certificates(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice") as [network]:
            with pytest.raises(ValueError, match="certificate is alice's, so bob cannot"):
                network.join("bob", lambda peer, data: None)

    play(test, tmp_path)


def test_a_door_that_cannot_be_opened(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice") as [network]:
            for listen, text in (
                (network.address, "is taken by another process: stop it, or listen elsewhere"),
                ("192.0.2.1:0", "is no address of this machine"),
                ("nobody.invalid:0", "its host is not known"),
            ):
                other = town.network("bob", listen)
                with pytest.raises(ListenFailed) as found:
                    await other.listen()
                assert str(found.value).startswith(str(listen))
                assert text in str(found.value)
                await other.close()
        for listen in ("7401", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "::1:7401", "a b:1"):
            with pytest.raises(ListenFailed, match=r"address such as|port is a number"):
                town.network("bob", listen)

    play(test, tmp_path)


@pytest.mark.parametrize("limit", ["handshake_s", "waiting", "retry_s"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5"])
def test_limits_are_numbers(limit: str, value: Any) -> None:
    with pytest.raises(ValueError, match=limit):
        WireLimits(**{limit: value})


def test_a_packet_may_be_empty_and_comes_with_others(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        town.known["mallory"] = []
        context = town.issue("mallory").load().dialing
        async with town.open("alice") as [network]:
            alice = Party(network)
            async with Raw.dial(network, context, life=LIFE) as raw:
                raw.writer.write(b"".join(framed(PACKET, b"x" * size) for size in range(300)))
                await until(lambda: len(alice.mail) == 300)
            assert [len(data) for _, data in alice.mail] == list(range(300))

    play(test, tmp_path)
