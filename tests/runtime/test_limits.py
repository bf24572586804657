"""What one peer may cost: bounded whatever it does, and given back when its sessions end."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.core import flow as rt
from flowrt.core.session import Peer
from flowrt.core.values import (
    MAX_FRAME_BYTES,
    QUOTA,
    Ack,
    Confirm,
    Data,
    End,
    Frame,
    Invite,
    Letter,
    Reject,
    decode_frame,
    encode,
)
from flowrt.limits import Limits
from flowrt.operations import Operations, Wanted
from flowrt.peers.fair import FairQueue
from flowrt.peers.inbound import Inbound
from flowrt.peers.outbox import HEAD_BYTES, Outbox, packed, packed_ack, unpack_marked
from flowrt.peers.quotas import Quotas
from flowrt.reports import Reports
from flowrt.store.memory import MemoryStore
from flowrt.views import PeerView
from tests.runtime import hand_flow as hand
from tests.runtime.book import services
from tests.runtime.crashes import HOUR_US, World
from tests.runtime.test_outbox import Wire
from tests.runtime.written import compiled

ALICE, BOB = rt.Party("alice"), rt.Party("bob")
DAY_US = 24 * HOUR_US

PROGRAM = compiled("""
message Item:
    n: Int
    text: Text

flow Slow(peer: Party, nap: Duration) -> Int:
    startable by rpc
    open Naps with peer as s
    send Item(1, "") to s
    return 1

flow Naps() -> Int:
    responds to Slow as s
    receive first: Item from s unchecked
    log info first.text
    sleep 30d
    var got = 1
    try:
        while true:
            receive more: Item from s unchecked
            log info more.text
            got = got + 1
    catch SessionEnded:
        return got

flow Tells(peer: Party, count: Int) -> Int:
    startable by rpc
    open Hears with peer as s
    var n = 0
    while n < count:
        send Item(n, "news") to s
        n = n + 1
        checkpoint
    return n

flow Hears() -> Int:
    responds to Tells as s
    var got = 0
    try:
        while true:
            receive item: Item from s:
                require item.n == got else Wrong()
            got = got + 1
    catch SessionEnded:
        log info "{got}"
    return got

error Wrong
""")


def peer_of(world: World, party: str, name: str) -> Peer:
    return world.node(party)._peers.get(name, Peer())


# --- a peer who means harm -----------------------------------------------------------------------


class Mallory:
    """Speaks the protocol to bob, with more of everything than bob grants."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows = itertools.count(1)
        self.confirmed: dict[int, Confirm] = {}
        self.rejected: dict[int, Reject] = {}
        self.acked: set[int] = set()
        self.acknowledges = True
        world.network.join("mallory", self._hear)

    def _hear(self, sender: str, data: bytes) -> None:
        found = unpack_marked(data)
        assert found is not None
        row, _, content = found
        frame = decode_frame(content)
        if isinstance(frame, Ack):
            self.acked.update(frame.ids)
            return
        assert isinstance(frame, Letter)
        if self.acknowledges:
            self.world.network._send("mallory", "bob", packed_ack([row]))
        if isinstance(frame.content, Confirm):
            self.confirmed[frame.to_flow] = frame.content
        elif isinstance(frame.content, Reject):
            self.rejected[frame.to_flow] = frame.content

    def send(self, frame: Frame | bytes) -> int:
        row = next(self.rows)
        data = frame if isinstance(frame, bytes) else struct.pack(">Q", row) + encode(frame)
        self.world.node("bob")._received("mallory", data)
        return row

    def invite(self, number: int, text: str = "", *, tells: bool = False) -> int:
        item = PROGRAM.Item
        first = None if tells else Data(item.wire, encode(item(n=1, text=text)))
        names = PROGRAM.Naps_v1.name, PROGRAM.Slow_v1.name
        if tells:
            names = PROGRAM.Hears_v1.name, PROGRAM.Tells_v1.name
        secret = number.to_bytes(16, "big")
        return self.send(Invite(number, b"mallorys", *names, 1, number, 0, secret, first))

    def say(self, number: int, seq: int, content: Any) -> int:
        at = self.confirmed[number]
        secret = number.to_bytes(16, "big")
        return self.send(Letter(at.flow, at.session, secret, seq, content))


LIMITS = Limits(
    sessions=20,
    invitations_per_s=10,
    invitations_at_once=50,
    unread=60,
    unread_bytes=256 << 10,
    inbound=100,
    inbound_bytes=256 << 10,
    window=8,
    window_bytes=64 << 10,
    outbox=100,
    outbox_bytes=256 << 10,
)
QUOTA_BYTES = LIMITS.unread_bytes + LIMITS.inbound_bytes + LIMITS.window_bytes


def grant(folder: Path | None = None, **options: Any) -> World:
    world = World(folder=folder)
    for party in ("alice", "bob"):
        world.add(party, [PROGRAM], limits=LIMITS, **options)
    return world


def flood(world: World, mallory: Mallory) -> None:
    """Ten times what is granted: invitations, messages, garbage, replays, guesses."""
    text = "x" * 8192
    for number in range(10 * LIMITS.invitations_at_once):
        mallory.invite(number, text)
        if number % 50 == 49:
            world.tick()
    world.now_us += 1_000_000
    for rounds in range(10):
        for number in list(mallory.confirmed):
            for seq in range(1, 8):
                message = Data(PROGRAM.Item.wire, encode(PROGRAM.Item(n=seq, text=text)))
                mallory.say(number, seq + rounds, message)
        world.tick()
        for number in range(300):
            mallory.send(bytes([rounds]) * 20_000)
            mallory.send(Letter(number, 0, number.to_bytes(16, "big"), 1, End()))
        mallory.send(bytes(MAX_FRAME_BYTES + HEAD_BYTES + 1))
        world.tick()


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "sqlite"])
def test_a_peer_at_ten_times_its_quota(tmp_path: Path, on_disk: bool) -> None:
    with grant(tmp_path if on_disk else None) as world:
        mallory = Mallory(world)
        honest = [world.start("alice", PROGRAM.Tells_v1, peer=BOB, count=30) for _ in range(3)]
        for _ in range(4):
            world.tick()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        flood(world, mallory)
        grown = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        # A store in memory holds what is kept, and a flow that is at hand holds it again.
        assert grown < 4 * QUOTA_BYTES + (1 << 20), grown
        for _ in range(300):
            world.tick()
        assert [world.result(start) for start in honest] == [30] * 3
        held = peer_of(world, "bob", "mallory")
        assert held.sessions == len(mallory.confirmed) <= LIMITS.sessions
        assert held.unread <= LIMITS.unread
        assert held.unread_bytes <= LIMITS.unread_bytes
        assert {one.kind for one in mallory.rejected.values()} <= {QUOTA}
        bob = world.node("bob")
        assert len(bob.flows()) == held.sessions
        assert bob.hospital() == []
        views = {view.peer: view for view in bob.peers()}
        assert sorted(views) == ["alice", "mallory"]
        assert views["alice"].refused == {}
        assert views["mallory"].sessions == LIMITS.sessions
        assert sum(views["mallory"].refused.values()) > 1000
        # A new process knows what was granted.
        world.crash("bob")
        assert peer_of(world, "bob", "mallory") == held


def test_an_operator_sees_what_each_peer_uses() -> None:
    with grant() as world:
        mallory = Mallory(world)
        bob = world.node("bob")
        assert bob.peers() == []
        mallory.acknowledges = False
        for number in range(LIMITS.sessions + 3):
            mallory.invite(number)
        packet = b"waits"
        world.tick()
        item = PROGRAM.Item
        for seq in (1, 2):
            mallory.say(4, seq, Data(item.wire, encode(item(n=seq, text=""))))
        world.tick()
        bob._received("mallory", packet)
        bob._received("eve", bytes(MAX_FRAME_BYTES + HEAD_BYTES + 1))
        eve, found = bob.peers()
        peer = peer_of(world, "bob", "mallory")
        rows = bob._outbox.rows("mallory")
        assert rows[0] == LIMITS.sessions + 3, "an answer to each invitation"
        assert peer.unread == 2
        assert found == PeerView(
            "mallory",
            LIMITS.sessions,
            LIMITS.sessions + 3,
            2,
            peer.unread_bytes,
            1,
            len(packet),
            *rows,
            {"too many sessions: invitations are rejected": 3},
        )
        too_large = "more packets than may wait, or too large ones, are not taken"
        assert eve == PeerView("eve", 0, 0, 0, 0, 0, 0, 0, 0, {too_large: 1})
        # What comes back by time does so.
        world.now_us += 1_000_000
        assert bob.peers()[1].invitations == LIMITS.sessions + 3 - LIMITS.invitations_per_s
        world.now_us += 60_000_000
        assert bob.peers()[1].invitations == 0


def test_what_a_peer_has_had_is_given_back() -> None:
    with grant() as world:
        mallory = Mallory(world)
        for rounds in range(3):
            first = 100 * rounds
            for number in range(first, first + 30):
                world.now_us += 100_000
                mallory.invite(number)
                world.tick()
            admitted = [n for n in mallory.confirmed if n >= first]
            assert len(admitted) == LIMITS.sessions
            assert len(mallory.rejected) == 10 * (rounds + 1)
            for number in admitted:
                for seq in (1, 2):
                    mallory.say(number, seq, Data(PROGRAM.Item.wire, encode(PROGRAM.Item(2, ""))))
                world.tick()
            assert peer_of(world, "bob", "mallory").unread == 2 * LIMITS.sessions
            for number in admitted:
                mallory.say(number, 3, End())
            world.run(horizon_us=31 * DAY_US)
            held = peer_of(world, "bob", "mallory")
            assert (held.sessions, held.unread, held.unread_bytes) == (0, 0, 0)
            assert world.residue()["bob"] == (0, 0, 0)


def test_a_flow_that_waits_is_given_its_message_whatever_others_keep_unread() -> None:
    with World() as world:
        world.add("alice", [PROGRAM])
        world.add("bob", [PROGRAM], limits=Limits(unread=5))
        mallory = Mallory(world)
        mallory.invite(0)
        mallory.invite(1, tells=True)
        world.run(horizon_us=0)
        item = PROGRAM.Item
        rows = [mallory.say(0, n, Data(item.wire, encode(item(n, "")))) for n in range(1, 9)]
        world.run(horizon_us=0)
        assert [row in mallory.acked for row in rows] == [True] * 5 + [False] * 3
        # Of the session whose flow waits what is next is read, and what is ahead waits outside.
        ahead = mallory.say(1, 2, Data(item.wire, encode(item(1, ""))))
        world.run(horizon_us=0)
        assert ahead not in mallory.acked
        for n in range(6):
            row = mallory.say(1, n + 1, Data(item.wire, encode(item(n, ""))))
            world.run(horizon_us=0)
            assert row in mallory.acked
        end = mallory.say(1, 7, End())
        last = mallory.say(0, 6, End())
        world.run(horizon_us=0)
        assert {end, last} <= mallory.acked, "last words are always taken"
        assert world.node("bob").handle(2).result_now() == 6
        assert peer_of(world, "bob", "mallory").unread == 6


def test_what_is_over_the_quota_comes_again_and_nothing_is_lost() -> None:
    """Honest peers meet small limits: they wait, and that is all."""
    limits = Limits(
        invitations_per_s=2, invitations_at_once=2, unread=4, inbound=3, window=2, sessions=50
    )
    with World() as world:
        for party in ("alice", "bob"):
            world.add(party, [PROGRAM], limits=limits)
        starts = [world.start("alice", PROGRAM.Tells_v1, peer=BOB, count=20) for _ in range(12)]
        world.run(horizon_us=HOUR_US)
        assert [world.result(start) for start in starts] == [20] * 12
        heard = [world.node("bob").handle(n).result_now() for n in range(1, 13)]
        assert heard == [20] * 12
        assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))


def test_a_peer_who_floods_delays_nobody_elses_packets() -> None:
    with World(batch=4) as world:
        for party in ("alice", "bob"):
            world.add(party, [PROGRAM])
        node = world.node("bob")
        for _ in range(900):
            node._received("mallory", bytes(40))
        node._received("alice", bytes(40))
        taken = [node._inbound.popleft()[0] for _ in range(2)]
        assert sorted(taken) == ["alice", "mallory"]


# --- thousands of sessions -----------------------------------------------------------------------


def counted(world: World) -> dict[str, Any]:
    """All that a node may have kept of what is over."""
    found: dict[str, Any] = {}
    for party in world.members:
        node = world.node(party)
        found[party] = (
            len(node._outbox),
            node._outbox.under_way,
            sum(map(len, node._outbox._again)),
            len(node._inbound),
            len(node._live),
            len(node._timers),
            len(node._operations),
            len(node._ready),
            len(node._handles),
            [(p.sessions, p.unread, len(p.seen)) for p in node._peers.values()],
            world.residue()[party],
        )
    return found


def test_a_loop_over_thousands_of_sessions_leaves_nothing() -> None:
    with World() as world:
        for party in ("alice", "bob"):
            world.add(party, [hand], services)

        def some(count: int) -> dict[str, Any]:
            for _ in range(count):
                world.start("alice", hand.Asker_v1, to=BOB, rounds=1)
            world.run()
            world.starts.clear()
            world.now_us += 100_000_000
            world.tick()
            world.run()
            return counted(world)

        few = some(20)
        assert some(1000) == few
        assert few["bob"][:9] == (0,) * 9
        disk: Any = world.members["bob"].disk
        assert (len(disk.flows), len(disk.outbox), len(disk.patients)) == (0, 0, 0)
        assert len(disk.peers["alice"]) < 50


# --- a peer who is away --------------------------------------------------------------------------


AWAY = Limits(outbox=40, window=4)


def test_what_waits_for_a_peer_who_is_away_for_weeks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    with World() as world:
        for party in ("alice", "bob"):
            world.add(party, [PROGRAM], limits=AWAY)
        starts = [world.start("alice", PROGRAM.Tells_v1, peer=BOB, count=200) for _ in range(3)]
        for _ in range(4):
            world.tick()
        world.network.down.add("bob")
        for _ in range(300):
            world.tick()
        alice = world.node("alice")
        outbox = alice._outbox
        assert AWAY.outbox <= len(outbox) < AWAY.outbox + 6
        assert outbox.under_way == AWAY.window
        assert {patient.cause for patient in alice.hospital()} == {
            "Congested: too much waits for bob, who does not acknowledge it"
        }
        for _ in range(60):
            world.now_us += DAY_US // 2
            world.tick()
        assert len(outbox) < AWAY.outbox + 6, "they try again, and no more is written"
        # A new process reads as much as it sends.
        world.crash("alice")
        outbox = world.node("alice")._outbox
        assert outbox.under_way == AWAY.window
        assert len(outbox) >= AWAY.outbox
        world.network.down.clear()
        world.run(horizon_us=DAY_US)
        assert [world.result(start) for start in starts] == [200] * 3
        assert [world.node("bob").handle(n).result_now() for n in (1, 2, 3)] == [200] * 3
        assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))


def test_two_who_fill_their_outboxes_with_invitations_still_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL")
    with World() as world:
        for party in ("alice", "bob"):
            world.add(party, [PROGRAM], limits=Limits(outbox=10, window=3))
        starts = [
            world.start(party, PROGRAM.Tells_v1, peer=peer, count=2)
            for party, peer in (("alice", BOB), ("bob", ALICE))
            for _ in range(30)
        ]
        world.run(horizon_us=DAY_US)
        assert [world.result(start) for start in starts] == [2] * 60
        assert world.residue() == dict.fromkeys(world.members, (0, 0, 0))


def test_what_waits_for_a_confirmation_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrt.core.session.UNREAD", 30)
    with World() as world:
        for party in ("alice", "bob"):
            world.add(party, [PROGRAM])
        world.network.down.add("bob")
        start = world.start("alice", PROGRAM.Tells_v1, peer=BOB, count=100)
        for _ in range(200):
            world.tick()
        [patient] = world.node("alice").hospital()
        assert patient.cause == (
            "Congested: bob has not confirmed the session, and much waits for it"
        )
        [session] = (
            world.node("alice")
            .registry.checkpoint(world.members["alice"].disk.flows[1][0])
            .sessions
        )  # type: ignore[union-attr]
        assert len(session.unsent) == 30
        world.network.down.clear()
        world.run(horizon_us=DAY_US)
        assert world.result(start) == 100
        assert world.node("bob").handle(1).result_now() == 100


# --- the parts -----------------------------------------------------------------------------------


ROWS = {n: b"%04d" % n for n in range(1, 1001)}


def counting() -> tuple[Callable[[Sequence[int]], Any], Counter[str]]:
    seen: Counter[str] = Counter()

    def fetch(numbers: Sequence[int]) -> Any:
        seen["asked"] += 1
        for number in numbers:
            seen["read"] += 1
            yield number, ROWS[number]

    return fetch, seen


def test_a_new_process_reads_only_what_it_sends() -> None:
    fetch, seen = counting()
    outbox, wire = Outbox(fetch, Limits(window=10)), Wire()
    outbox.load((n, ("bob", "carol")[n % 2], 4) for n in ROWS)
    assert (len(outbox), seen["read"]) == (1000, 0)
    outbox.refill(wire, 0)
    assert (len(outbox), outbox.under_way, seen["read"]) == (1000, 20, 20)
    sent = [number for _, number, _ in wire.take()]
    assert sorted(sent) == list(range(1, 21))
    outbox.acknowledged("bob", [2, 4, 999])
    outbox.refill(wire, 1)
    assert [number for _, number, _ in wire.take()] == [22, 24]
    assert outbox.rows("bob") == (498, 4 * 498)


def test_every_row_is_sent_once_and_in_order_however_it_is_acknowledged() -> None:
    fetch, _ = counting()
    outbox, wire = Outbox(fetch, Limits(window=7, window_bytes=20)), Wire()
    outbox.load((n, "bob", 4) for n in range(1, 500))
    outbox.refill(wire, 0)
    for n in range(500, 1001):
        outbox.send(n, "bob", ROWS[n], wire, 0)
    order = []
    while len(outbox):
        assert outbox.under_way <= 5, "four bytes each, and 20 are granted"
        sent = [number for _, number, _ in wire.take()]
        order += sent
        outbox.acknowledged("bob", reversed(sent))
        outbox.refill(wire, 0)
    assert order == list(ROWS)
    assert sorted(outbox.take_settled()) == list(ROWS)


def test_what_is_in_the_store_already_is_not_counted_twice() -> None:
    fetch, _ = counting()
    outbox, wire = Outbox(fetch), Wire()
    outbox.load([(1, "bob", 4), (2, "bob", 4)])
    outbox.refill(wire, 0)
    outbox.send(2, "bob", ROWS[2], wire, 0)
    assert outbox.rows("bob") == (2, 8)


def test_a_packet_that_is_too_much_is_dropped_and_counted_for_its_peer_alone() -> None:
    inbound = Inbound(Limits(inbound=3, inbound_bytes=100))
    assert inbound.append(("bob", bytes(1000))), "a first one is always taken"
    assert not inbound.append(("bob", b"x"))
    assert [inbound.append(("carol", bytes(33))) for _ in range(4)] == [True, True, True, False]
    assert not inbound.append(("dave", bytes(MAX_FRAME_BYTES + HEAD_BYTES + 1)))
    assert [inbound.popleft()[0] for _ in range(4)] == ["bob", "carol", "carol", "carol"]
    assert len(inbound) == 0
    assert inbound._queues == {}
    with pytest.raises(IndexError):
        inbound.popleft()


def test_what_frames_wait_for_finds_room_behind_them() -> None:
    """Or a burst that is sent again and again would drop the same last packet each time."""
    inbound = Inbound(Limits(inbound=2))
    frames = [packed(number, b"", b"frame") for number in (1, 2, 3)]
    words = [packed_ack([number]) for number in (1, 2, 3)]
    assert [inbound.append(("bob", data)) for data in frames] == [True, True, False]
    assert [inbound.append(("bob", data)) for data in words] == [True, True, False]
    assert [inbound.popleft()[1] for _ in range(4)] == [*frames[:2], *words[:2]]
    assert inbound.append(("bob", words[2]))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_a_fair_queue_is_a_queue_for_each(acts: list[tuple[str, bool]]) -> None:
    queue: FairQueue[str, int] = FairQueue()
    model: dict[str, list[int]] = {}
    for number, (key, puts) in enumerate(acts):
        if puts or not len(queue):
            queue.append(key, number)
            model.setdefault(key, []).append(number)
        else:
            who, item = queue.popleft()
            assert model[who].pop(0) == item
        assert len(queue) == sum(map(len, model.values()))
        assert all(queue.count(key) == len(items) for key, items in model.items())
    turns = [queue.popleft()[0] for _ in range(len(queue))]
    while turns:
        some = turns[: len(set(turns))]
        assert len(set(some)) == len(some), "each has a turn before any has two"
        turns = turns[len(some) :]


@given(
    st.lists(st.integers(-3_000_000, 3_000_000), max_size=200),
    st.integers(1, 5),
    st.sampled_from([0.5, 1.0, 3.0]),
)
def test_invitations_are_as_many_as_the_bucket_says(
    steps: list[int], at_once: int, rate: float
) -> None:
    quotas = Quotas("bob", Limits(invitations_per_s=rate, invitations_at_once=at_once))
    now_us, latest_us, forward_us, taken = 10**15, 10**15, 0, 0
    for step in steps:
        now_us += step
        forward_us += max(0, step)
        latest_us = max(latest_us, now_us)
        if quotas.may_invite("eve", now_us):
            quotas.invited("eve", now_us)
            taken += 1
        assert taken <= at_once + rate * forward_us / 1_000_000 + 1e-6
    assert quotas.may_invite("alice", now_us), "nobody else pays for it"
    later_us = now_us + 10_000_000
    assert quotas.may_invite("eve", later_us)
    quotas.may_invite("eve", later_us + 3_600_000_000)
    assert quotas._buckets == {}, "who has all its tokens is not remembered"


def test_refusals_are_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    quotas = Quotas("bob", Limits())
    for _ in range(1000):
        quotas.refuse("eve\n", "unreadable frame", "bad\nbytes")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 10
    assert lines[0] == "bob: unreadable frame from eve\\x0a: bad\\x0abytes"
    assert lines[-1] == "bob: unreadable frame from eve\\x0a: bad\\x0abytes (512 times)"


class Work:
    """Operations that end when they are told."""

    def __init__(self, at_once: int) -> None:
        self.running: dict[str, Callable[[Any, Exception | None], None]] = {}
        self.order: list[int] = []
        self.most = 0
        self.ended: list[tuple[int, int]] = []
        self.operations = Operations(
            {"a.S": _Service()},
            lambda flow_id, number, ending: self.ended.append((flow_id, number)),
            lambda *lost: None,
            self._perform,
            lambda: 0,
            Reports(lambda *news: None),
            MemoryStore(),
            at_once,
        )

    def _perform(self, work: Any, arguments: tuple[Any, ...], done: Any) -> None:
        key = arguments[0]
        self.order.append(int(key.split("-")[1]))
        self.running[key] = done
        self.most = max(self.most, len(self.running))

    def end(self, error: Exception | None = None) -> None:
        key = next(iter(self.running))
        self.running.pop(key)(1, error)


class _Service:
    def __init__(self) -> None:
        self.run = _external()


def _external() -> Any:
    from flowrt.services import External

    made = External.__new__(External)
    made.once = False
    made.gathers = False
    made.method = lambda: None
    made.arguments = lambda detail: ()  # type: ignore[method-assign]
    made.result = lambda value: b"\x01"  # type: ignore[method-assign]
    return made


def test_so_many_operations_run_at_once_and_flows_take_turns() -> None:
    work = Work(2)
    for number in range(10):
        work.operations.see_to(Wanted(1, number, "a.S.run", b""))
    work.operations.see_to(Wanted(2, 0, "a.S.run", b""))
    work.operations.see_to(Wanted(3, 0, "a.S.run", b""))
    work.operations.settled(1, 9)
    while work.running:
        work.end()
    assert work.most == 2
    assert work.order[:5] == [1, 1, 1, 2, 3], "who came later waits for one, not for ten"
    assert len(work.ended) == 11, "what nobody waits for any more is not begun"


def test_an_operation_that_fails_makes_room_as_well() -> None:
    work = Work(1)
    for flow_id in (1, 2, 3):
        work.operations.see_to(Wanted(flow_id, 0, "a.S.run", b""))
    work.end(ValueError("no"))
    work.end()
    work.end()
    assert work.order == [1, 2, 3]
    work.operations.try_again(10**9)
    assert work.order == [1, 2, 3, 1]
