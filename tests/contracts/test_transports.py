"""What every transport promises, and what it may do to a packet. One suite for all of them.

A transport may lose, repeat and reorder. Whoever speaks over it says again what may be lost, when
he is told that a peer is reached: so do the parties of this suite, as nodes do.
"""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport import Network, Receiver, Transport
from flowrt.transport.memory import MemoryNetwork
from flowrt.transport.tls import TlsNetwork
from tests.conformance.scene import program
from tests.transport.certified import Town, until

Mail = list[tuple[str, bytes]]


class Place:
    """Somebody on a network, who says again what may be lost."""

    def __init__(self, post: Post, party: str, receive: Receiver | None = None) -> None:
        self.mail: Mail = []
        self._post = post
        self._said: list[tuple[str, bytes]] = []
        self._place = post.join(party, receive or (lambda who, data: self.mail.append((who, data))))
        self._place.up = self._again

    def send(self, peer: str, data: bytes) -> None:
        self._said.append((peer, data))
        self._post.run(lambda: self._place.send(peer, data))

    def _again(self, peer: str) -> None:
        for whom, data in self._said:
            if whom == peer:
                self._place.send(peer, data)

    def leave(self) -> None:
        self._post.run(self._place.close)

    @property
    def heard(self) -> set[tuple[str, bytes]]:
        """What came, however often and in whatever order."""
        return set(self.mail)


class Post:
    """A network under test: each transport has its own way to run."""

    def join(self, party: str, receive: Receiver) -> Transport:
        raise NotImplementedError

    def run(self, act: Callable[[], object]) -> None:
        """Do something where transports are used."""
        raise NotImplementedError

    def settle(self, come: Callable[[], object] = lambda: True) -> None:
        """Let it deliver until nothing is on its way, and something has come."""
        raise NotImplementedError

    async def network(self, party: str) -> Network:
        """What a node of this party is given, within a running loop."""
        raise NotImplementedError

    def trouble(self) -> None:
        """Lose what is on its way between any two."""
        raise NotImplementedError

    async def close(self) -> None:
        """In the end."""


class MemoryPost(Post):
    def __init__(self) -> None:
        self._network = MemoryNetwork()

    def join(self, party: str, receive: Receiver) -> Transport:
        return self._network.join(party, receive)

    def run(self, act: Callable[[], object]) -> None:
        act()

    def settle(self, come: Callable[[], object] = lambda: True) -> None:
        while self._network.pump():
            pass
        assert come()

    async def network(self, party: str) -> Network:
        return self._network

    def trouble(self) -> None:
        self._network.clear()


class TlsPost(Post):
    def __init__(self, folder: Path) -> None:
        self._town = Town(folder)
        self._networks: dict[str, TlsNetwork] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """For the tests that have no loop of their own."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop

    def join(self, party: str, receive: Receiver) -> Transport:
        async def main() -> Transport:
            return (await self.network(party)).join(party, receive)

        return self.loop.run_until_complete(main())

    def run(self, act: Callable[[], object]) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.loop.run_until_complete(_done(act))
        else:
            act()

    def settle(self, come: Callable[[], object] = lambda: True) -> None:
        self.loop.run_until_complete(until(lambda: self._is_quiet() and come()))

    def _is_quiet(self) -> bool:
        found = [network.figures() for network in self._networks.values()]
        over = sum(each.packets_received + each.packets_dropped for each in found)
        return sum(each.packets_sent for each in found) == over

    async def network(self, party: str) -> TlsNetwork:
        if party not in self._networks:
            made = self._networks[party] = self._town.network(party)
            await made.listen()
            self._town.known[party] = [made.address or ""]
        return self._networks[party]

    def trouble(self) -> None:
        for network in self._networks.values():
            for connection in list(network._all):
                connection.abort()

    async def close(self) -> None:
        for network in self._networks.values():
            await network.close(1)

    def end(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self.close())
            self._loop.close()


async def _done(act: Callable[[], object]) -> None:
    act()


@pytest.fixture(params=["memory", "tls"])
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Post]:
    if request.param == "memory":
        yield MemoryPost()
        return
    made = TlsPost(tmp_path)
    yield made
    made.end()


def test_what_is_sent_arrives_with_its_senders_name(post: Post) -> None:
    alice, bob = Place(post, "alice"), Place(post, "bob")
    alice.send("bob", b"one")
    alice.send("bob", b"two")
    assert bob.mail == [], "it is sent, and not called"
    post.settle()
    assert sorted(bob.mail) == [("alice", b"one"), ("alice", b"two")]


def test_every_byte_arrives_as_it_was(post: Post) -> None:
    alice, bob = Place(post, "alice"), Place(post, "bob")
    packets = [b"", bytes(range(256)), b"x" * (1 << 20)]
    for packet in packets:
        alice.send("bob", packet)
    post.settle()
    assert sorted(data for _, data in bob.mail) == sorted(packets)


def test_both_may_begin_at_once(post: Post) -> None:
    alice, bob = Place(post, "alice"), Place(post, "bob")
    for number in range(50):
        alice.send("bob", b"a%d" % number)
        bob.send("alice", b"b%d" % number)
    post.settle()
    assert sorted(bob.mail) == sorted(("alice", b"a%d" % number) for number in range(50))
    assert sorted(alice.mail) == sorted(("bob", b"b%d" % number) for number in range(50))


def test_many_large_packets_both_ways(post: Post) -> None:
    alice, bob = Place(post, "alice"), Place(post, "bob")
    large = [bytes([number]) * (1 << 20) for number in range(5)]
    for packet in large:
        alice.send("bob", packet)
        bob.send("alice", packet)
    post.settle()
    assert bob.heard == {("alice", packet) for packet in large}
    assert alice.heard == {("bob", packet) for packet in large}


def test_a_party_may_write_to_itself(post: Post) -> None:
    alice = Place(post, "alice")
    alice.send("alice", b"note")
    post.settle()
    assert alice.mail == [("alice", b"note")]


def test_nobody_else_hears_it(post: Post) -> None:
    alice, bob, carol = (Place(post, name) for name in ("alice", "bob", "carol"))
    alice.send("bob", b"secret")
    post.settle()
    assert (len(bob.mail), carol.mail) == (1, [])


def test_sending_to_nobody_is_no_error_and_is_lost(post: Post) -> None:
    alice = Place(post, "alice")
    alice.send("nobody", b"hello?")
    post.settle()
    nobody = Place(post, "nobody")
    post.settle()
    assert nobody.mail == []


def test_who_left_hears_nothing_and_who_came_back_hears_again(post: Post) -> None:
    alice, bob = Place(post, "alice"), Place(post, "bob")
    bob.leave()
    bob.leave()
    alice.send("bob", b"lost")
    post.settle()
    assert bob.mail == []
    again = Place(post, "bob")
    alice.send("bob", b"heard")
    post.settle(lambda: ("alice", b"heard") in again.heard)
    assert bob.mail == []


def test_who_joins_again_takes_the_place_over(post: Post) -> None:
    """A crashed process never left; its end must not shut its successor out either."""
    alice, old = Place(post, "alice"), Place(post, "bob")
    new = Place(post, "bob")
    old.leave()
    alice.send("bob", b"x")
    post.settle()
    assert (old.mail, new.mail) == ([], [("alice", b"x")])


def test_receiving_may_send(post: Post) -> None:
    alice = Place(post, "alice")
    bob = Place(post, "bob", lambda sender, data: bob.send(sender, data + b"!"))
    alice.send("bob", b"hi")
    post.settle(lambda: alice.mail)
    assert alice.mail == [("bob", b"hi!")]


# --- whole conversations --------------------------------------------------------------------------


TALK = """
message Ask:
    n: Int
    ballast: Bytes

message Answer:
    n: Int

flow Asker(whom: Party, rounds: Int, ballast: Bytes) -> List[Int]:
    startable by rpc
    open Answerer with whom as talk
    var heard: List[Int] = []
    while heard.size < rounds:
        send Ask(heard.size, ballast) to talk
        receive answer: Answer from talk unchecked
        heard = heard + [answer.n]
    return heard

flow Answerer():
    responds to Asker as talk
    var asked = 0
    try:
        while true:
            receive request: Ask from talk unchecked
            send Answer(request.n * 1000 + asked) to talk
            asked = asked + 1
    catch SessionEnded:
        pass
"""


@functools.cache
def talk() -> ModuleType:
    return program(TALK)


@pytest.mark.parametrize("size", [8, 300_000])
def test_conversations_go_through_whatever_is_lost(post: Post, size: int) -> None:
    """Each question is answered once: the answer counts them. Nothing is left that waits."""

    async def main() -> None:
        nodes = {}
        for name in ("alice", "bob"):
            nodes[name] = await Node.open(
                name, store=MemoryStore(), network=await post.network(name), modules=[talk()]
            )
        alice, bob = nodes.values()
        begun = [
            await node.start(talk().Asker_v1, whom=Party(whom), rounds=4, ballast=b"x" * size)
            for node, whom in ((alice, "bob"), (bob, "alice"), (alice, "bob"))
        ]
        for _ in range(3):
            post.trouble()
            before = alice._commits + bob._commits

            def has_moved(before: int = before) -> bool:
                moved = alice._commits + bob._commits > before + 3
                return moved or not (alice.flows() or bob.flows())

            await until(has_moved)
        for handle in begun:
            assert await handle.result() == tuple(round * 1001 for round in range(4))
        await until(lambda: not (len(alice._outbox) + len(bob._outbox)))
        await until(lambda: not (alice.flows() or bob.flows()))
        await alice.close()
        await bob.close()
        await post.close()

    asyncio.run(main())


# --- what the memory network does on demand ------------------------------------------------------


def deliveries(network: MemoryNetwork, count: int) -> list[int]:
    got: list[int] = []
    network.join("bob", lambda sender, data: got.append(int(data)))
    alice = network.join("alice", lambda sender, data: None)
    for number in range(count):
        alice.send("bob", b"%d" % number)
    while network.pump():
        pass
    return got


@given(
    seed=st.integers(0, 2**32),
    lose=st.floats(0, 1),
    repeat=st.floats(0, 1),
    reorder=st.floats(0, 1),
)
def test_it_loses_repeats_and_reorders_but_invents_nothing(
    seed: int, lose: float, repeat: float, reorder: float
) -> None:
    def run() -> list[int]:
        network = MemoryNetwork(seed=seed, lose=lose, repeat=repeat, reorder=reorder)
        return deliveries(network, 40)

    got = run()
    assert run() == got, "the same seed and sends give the same deliveries"
    counts = collections.Counter(got)
    assert set(counts) <= set(range(40))
    if lose == 0:
        assert len(counts) == 40
    if repeat == 0:
        assert set(counts.values()) <= {1}
    if reorder == 0:
        assert got == sorted(got)


def test_each_fault_really_happens() -> None:
    assert len(deliveries(MemoryNetwork(seed=1, lose=0.5), 100)) < 80
    assert len(deliveries(MemoryNetwork(seed=1, repeat=0.5), 100)) > 120
    got = deliveries(MemoryNetwork(seed=1, reorder=0.5), 100)
    assert got != sorted(got)
    assert sorted(got) == list(range(100))


def test_nothing_passes_to_or_from_who_is_down() -> None:
    network = MemoryNetwork()
    mail: Mail = []
    bob = network.join("bob", lambda sender, data: mail.append((sender, data)))
    alice = network.join("alice", lambda sender, data: mail.append((sender, data)))
    network.down.add("bob")
    alice.send("bob", b"1")
    bob.send("alice", b"2")
    network.pump()
    assert mail == []
    network.down.clear()
    alice.send("bob", b"3")
    network.pump()
    assert mail == [("alice", b"3")]


def test_pump_delivers_so_many_and_clear_loses_the_rest() -> None:
    network = MemoryNetwork()
    got: list[bytes] = []
    network.join("bob", lambda sender, data: got.append(data))
    alice = network.join("alice", lambda sender, data: None)
    for packet in (b"1", b"2", b"3"):
        alice.send("bob", packet)
    assert network.pump(limit=2)
    assert got == [b"1", b"2"]
    network.clear()
    assert not network.pump()
    assert got == [b"1", b"2"]


def test_with_an_event_loop_it_delivers_by_itself() -> None:
    network = MemoryNetwork()
    rally: list[bytes] = []

    def answer(sender: str, data: bytes) -> None:
        rally.append(data)
        if len(data) < 5:
            bob.send(sender, data + b"!")

    bob = network.join("bob", answer)

    async def main() -> None:
        bob.send("bob", b"x")
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert rally == [b"x", b"x!", b"x!!", b"x!!!", b"x!!!!"]
