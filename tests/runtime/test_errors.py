"""Failures between parties: who learns what, under which id, and what is never disclosed."""

from __future__ import annotations

import pytest

from flowrt.core import flow as rt
from flowrt.core.values import Failure, Letter, decode_frame
from flowrt.peers.outbox import frame_of
from tests.runtime import hand_flow as hand
from tests.runtime.book import services, written
from tests.runtime.crashes import Start, World

ALICE, BOB, CAROL = (rt.Party(name) for name in ("alice", "bob", "carol"))


class Overheard(World):
    """A world whose wire is listened to."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[tuple[str, str, bytes]] = []
        send = self.network._send

        def listen(sender: str, receiver: str, data: bytes) -> None:
            self.packets.append((sender, receiver, data))
            send(sender, receiver, data)

        self.network._send = listen  # type: ignore[method-assign]
        for party in ("alice", "bob", "carol"):
            self.add(party, [hand], services)

    def failures_to(self, party: str) -> list[Failure]:
        found = {}
        for _, receiver, data in self.packets:
            frame = decode_frame(frame_of(data))
            if receiver == party and isinstance(frame, Letter):
                if isinstance(frame.content, Failure):
                    found[frame.seq] = frame.content
        return list(found.values())

    def heard_by(self, party: str) -> bytes:
        return b"".join(data for _, receiver, data in self.packets if receiver == party)


@pytest.fixture
def world() -> Overheard:
    return Overheard()


def error_of(world: World, start: Start) -> rt.FlowError:
    with pytest.raises(rt.FlowError) as caught:
        world.result(start)
    return caught.value


def chain(world: World, n: int) -> Start:
    start = world.start("alice", hand.Front_v1, middle=BOB, back=CAROL, n=n)
    world.run()
    return start


def test_a_chain_that_holds(world: Overheard) -> None:
    assert world.result(chain(world, 10)) == 100


def test_details_go_one_hop_and_the_id_goes_all_the_way(world: Overheard) -> None:
    at_alice = error_of(world, chain(world, 101))
    at_bob = world.node("bob").handle(1)
    at_carol = world.node("carol").handle(1)
    with pytest.raises(hand.TooMuch) as middle:
        at_bob.result_now()
    with pytest.raises(hand.TooMuch) as back:
        at_carol.result_now()
    assert (back.value.given, back.value.peer) == (101, None)
    assert (middle.value.given, middle.value.peer) == (101, CAROL)
    assert type(at_alice) is rt.UnexpectedFlowEnd
    assert at_alice.peer == BOB
    assert at_alice.error_id == middle.value.error_id == back.value.error_id != ""
    assert b"TooMuch" in world.heard_by("bob")
    assert b"TooMuch" not in world.heard_by("alice")
    (failure,) = world.failures_to("alice")
    assert (failure.name, failure.fields) == ("UnexpectedFlowEnd", b"")


def test_each_side_logs_an_error_under_its_id(
    world: Overheard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "flowrt.node"):
        error = error_of(world, chain(world, 101))
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"carol: flow 1 (hand.Back_v1) ends with hand.TooMuch ({error.error_id})",
        f"bob: flow 1 hears of carol: ends with hand.TooMuch ({error.error_id})",
        f"bob: flow 1 (hand.Middle_v1) ends with hand.TooMuch ({error.error_id})",
        f"alice: flow 1 hears of bob: ends with UnexpectedFlowEnd ({error.error_id})",
        f"alice: flow 1 (hand.Front_v1) ends with UnexpectedFlowEnd ({error.error_id})",
    ]


def test_a_built_in_error_is_not_disclosed_even_one_hop(world: Overheard) -> None:
    chain(world, -1)
    (failure,) = world.failures_to("bob")
    assert (failure.name, failure.fields) == ("UnexpectedFlowEnd", b"")
    assert b"secret" not in world.heard_by("bob") + world.heard_by("alice")
    with pytest.raises(rt.Malformed, match="a secret of Back") as there:
        world.node("carol").handle(1).result_now()
    assert there.value.error_id == failure.error_id


def test_a_bug_is_told_to_nobody(world: Overheard) -> None:
    """Who waits for it goes on waiting: when the flow is repaired, it answers."""
    start = chain(world, 0)
    assert world.outcome(start) is None
    assert world.failures_to("bob") == world.failures_to("alice") == []
    assert b"division" not in world.heard_by("bob")
    (patient,) = world.node("carol").hospital()
    assert patient.cause == "Fault: division by zero"
    assert (patient.state, patient.place) == ("AwaitAsk", "hand.flow:90")
    assert [len(world.node(party).flows()) for party in ("alice", "bob")] == [1, 1]


@pytest.mark.parametrize("words", [0, 1, 4])
def test_an_error_thrown_before_anybody_answered_arrives(world: Overheard, words: int) -> None:
    """After everything that was said before it, and with the id that the thrower's log has."""
    start = world.start("alice", hand.Hasty_v1, to=BOB, words=words)
    world.run()
    error = error_of(world, start)
    said = [f"word {n}" for n in range(words)]
    assert written(world, "bob") == [*said, f"caught 2 is over 1 {error.error_id}"]
    assert world.node("bob").handle(1).result_now() == "2"
    assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))


def test_a_rejection_has_an_id_that_both_sides_log(
    world: Overheard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "flowrt.node"):
        start = world.start("alice", hand.Notifier_v1, to=BOB, texts=("x", "y"), flow="hand.Nobody")
        world.run()
    error = error_of(world, start)
    assert isinstance(error, rt.SessionRejected)
    assert (error.reason, error.peer) == ("there is no flow hand.Nobody here", BOB)
    why = f"there is no flow hand.Nobody here ({error.error_id})"
    assert [record.getMessage() for record in caplog.records] == [
        f"bob rejects alice: {why}",
        f"alice: flow 1 hears of bob: {why}",
        f"alice: flow 1 (hand.Notifier_v1) ends with SessionRejected ({error.error_id})",
    ]
    assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))


@pytest.mark.parametrize(
    ("flow", "why"),
    [
        ("hand.Nobody", "there is no flow hand.Nobody here"),
        ("hand.Asker", "hand.Asker does not respond to hand.Rounds here"),
        ("hand.Echo", "hand.Echo does not respond to hand.Rounds here"),
    ],
)
@pytest.mark.parametrize("listen", [True, False])
def test_a_thousand_rejections_leave_nothing(
    world: Overheard, flow: str, why: str, listen: bool
) -> None:
    """A loop that opens, sends and leaves is rejected each time; it learns it when it ends."""
    count = 1 if listen else 300
    start = world.start("alice", hand.Rounds_v1, to=BOB, flow=flow, count=count, listen=listen)
    world.run()
    error = error_of(world, start)
    assert isinstance(error, rt.SessionRejected)
    assert error.reason == why
    assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))
    store = world.members["alice"].store
    assert store is not None
    sizes = [len(row[0]) for batch in store.batches for row in batch.flows.values() if row]
    assert max(sizes) < 1000


def test_an_error_in_a_checkpoint_is_the_same_after_every_reload() -> None:
    """The bidder keeps what it caught over a wait, and goes on with its fields."""
    ends = []
    for reload in (False, True):
        with World(reload=reload) as world:
            world.add("alice", [hand], services)
            world.add("bob", [hand], services)
            start = world.start("alice", hand.Bidder_v1, to=BOB, price=12)
            world.run()
            ends.append((world.result(start), world.node("alice").progress(start.id)))
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("price", "books"), [(12, ["offered 12", "offered 10"]), (7, ["offered 7"])]
)
def test_a_caught_error_and_a_fresh_session(world: Overheard, price: int, books: list[str]) -> None:
    start = world.start("alice", hand.Bidder_v1, to=BOB, price=price)
    world.run()
    assert world.result(start) == min(price, 10)
    assert written(world, "bob") == books
    assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))


def test_both_send_first_and_nobody_waits_for_ever(world: Overheard) -> None:
    start = world.start("alice", hand.Left_v1, to=BOB)
    world.run()
    assert world.result(start) == "from right"
    assert world.node("bob").handle(1).result_now() == "from left"


def test_a_peer_that_ends_early_is_an_error_each_time_and_never_a_hang(world: Overheard) -> None:
    start = world.start("alice", hand.Stubborn_v1, to=BOB)
    world.run()
    assert world.result(start) == "ended;ended;cannot send"
    assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))
