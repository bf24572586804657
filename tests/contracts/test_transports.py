"""What every transport promises, and what it may do to a packet. One suite for all of them."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.transport import Network
from flowrt.transport.memory import MemoryNetwork

Mail = list[tuple[str, bytes]]


class Post:
    """A network under test, and how to let it deliver: each transport has its own way."""

    def __init__(self, network: Network, deliver: Callable[[], bool]) -> None:
        self.network = network
        self.deliver = deliver

    def join(self, party: str) -> tuple[Mail, Callable[[str, bytes], None], Callable[[], None]]:
        mail: Mail = []
        place = self.network.join(party, lambda sender, data: mail.append((sender, data)))
        return mail, place.send, place.close

    def settle(self) -> None:
        while self.deliver():
            pass


@pytest.fixture(params=["memory"])
def post(request: pytest.FixtureRequest) -> Post:
    network = MemoryNetwork()
    return Post(network, network.pump)


def test_what_is_sent_arrives_with_its_senders_name(post: Post) -> None:
    _, send, _ = post.join("alice")
    mail, _, _ = post.join("bob")
    send("bob", b"one")
    send("bob", b"two")
    assert mail == []
    post.settle()
    assert mail == [("alice", b"one"), ("alice", b"two")]


def test_every_byte_arrives_as_it_was(post: Post) -> None:
    _, send, _ = post.join("alice")
    mail, _, _ = post.join("bob")
    packets = [b"", bytes(range(256)), b"x" * (1 << 20)]
    for packet in packets:
        send("bob", packet)
    post.settle()
    assert [data for _, data in mail] == packets


def test_a_party_may_write_to_itself(post: Post) -> None:
    mail, send, _ = post.join("alice")
    send("alice", b"note")
    post.settle()
    assert mail == [("alice", b"note")]


def test_nobody_else_hears_it(post: Post) -> None:
    _, send, _ = post.join("alice")
    bob, _, _ = post.join("bob")
    carol, _, _ = post.join("carol")
    send("bob", b"secret")
    post.settle()
    assert (len(bob), carol) == (1, [])


def test_sending_to_nobody_is_no_error_and_is_lost(post: Post) -> None:
    _, send, _ = post.join("alice")
    send("nobody", b"hello?")
    post.settle()
    mail, _, _ = post.join("nobody")
    post.settle()
    assert mail == []


def test_who_left_hears_nothing_and_who_came_back_hears_again(post: Post) -> None:
    _, send, _ = post.join("alice")
    mail, _, leave = post.join("bob")
    leave()
    leave()
    send("bob", b"lost")
    post.settle()
    assert mail == []
    again, _, _ = post.join("bob")
    send("bob", b"heard")
    post.settle()
    assert (mail, again) == ([], [("alice", b"heard")])


def test_who_joins_again_takes_the_place_over(post: Post) -> None:
    """A crashed process never left; its end must not shut its successor out either."""
    _, send, _ = post.join("alice")
    old, _, leave_old = post.join("bob")
    new, _, _ = post.join("bob")
    leave_old()
    send("bob", b"x")
    post.settle()
    assert (old, new) == ([], [("alice", b"x")])


def test_receiving_may_send(post: Post) -> None:
    heard: list[bytes] = []
    alice = post.network.join("alice", lambda sender, data: heard.append(data))
    bob = post.network.join("bob", lambda sender, data: bob.send(sender, data + b"!"))
    alice.send("bob", b"hi")
    post.settle()
    assert heard == [b"hi!"]


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
