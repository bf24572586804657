"""Scenarios of restarts and of commits that fail: CS-040 to CS-044, CS-060, CS-061, C12, C27, C28,
C42, C46, C47, C59, C67, C70, C78."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.conformance.conftest import Play
from tests.conformance.scene import BOB, Scene, program

PROGRAM = """
message Number:
    n: Int

message Words:
    text: Text

error Wrong(n: Int): "wrong {n}"

service Desk:
    read point(place: Text)
    write count(by: Int) -> Int

flow Forever(other: Party) -> Int:
    startable by rpc
    open Silent with other as talk
    receive number: Number from talk unchecked
    return number.n

flow Silent():
    responds to Forever as talk
    receive number: Number from talk unchecked
    log info "{number.n}"

flow Pushes(other: Party) -> Text:
    startable by rpc
    open Pushed with other as talk
    send Words("Hello") to talk
    send Words("and more") to talk then receive word: Words from talk unchecked
    return word.text

flow Pushed():
    responds to Pushes as talk
    receive first: Words from talk unchecked
    receive more: Words from talk unchecked
    send Words(first.text + " " + more.text) to talk

flow Iterates(other: Party, sessions: Int, rounds: Int) -> Text:
    startable by rpc
    var i = 0
    var served = 0
    while i < sessions:
        Desk.point("begin {i}")
        open Serves with other as talk
        Desk.point("opened {i}")
        var k = 0
        while k < rounds:
            Desk.point("send {i} {k}")
            send Number(k) to talk then receive number: Number from talk:
                require number.n == k * 2 else Wrong(number.n)
            Desk.point("got {i} {k}")
            served = Desk.count(1)
            k = k + 1
        send Number(-1) to talk
        i = i + 1
    return "{i}:{served}"

flow Serves():
    responds to Iterates as talk
    while true:
        receive number: Number from talk unchecked
        Desk.point("serve {number.n}")
        if number.n < 0:
            break
        let ignored_sum = Desk.count(1)
        send Number(number.n * 2) to talk
        Desk.point("served {number.n}")

flow Ping(other: Party, depth: Int) -> Int:
    startable by rpc
    open Pong with other as talk
    send Number(depth) to talk then receive number: Number from talk unchecked
    return number.n

flow Pong():
    responds to Ping as talk
    receive number: Number from talk unchecked
    var deep = 0
    if number.n > 0:
        deep = subflow Ping(talk.peer, number.n - 1)
    send Number(deep + 1) to talk

flow Sleeps(naps: Int) -> Duration:
    startable by rpc
    let from_then = now
    var i = 0
    while i < naps:
        sleep 20m
        let ignored = Desk.count(1)
        i = i + 1
    return now - from_then

flow Ordered(other: Party, n: Int) -> List[Int]:
    startable by rpc
    open Ordering with other as talk
    var i = 0
    while i < n:
        send Number(i) to talk
        checkpoint
        i = i + 1
    var all: List[Int] = []
    while all.size < n:
        receive number: Number from talk unchecked
        all = all + [number.n]
    return all

flow Ordering():
    responds to Ordered as talk
    while true:
        receive from talk:
            case Number as number unchecked:
                send number to talk
            case ended:
                return

type Odd = python "tests.conformance.test_restarts:Odd":
    n: Int

function odd(n: Int) -> Odd = python "tests.conformance.test_restarts:odd"

flow Keeps(n: Int) -> Int:
    startable by rpc
    let kept = odd(n)
    sleep 1m
    return kept.n
"""


class Odd:
    """A value that cannot be written down from 10 on."""

    def __init__(self, n: int) -> None:
        self.n = n

    def to_flow(self) -> bytes:
        if self.n >= 10:
            raise RuntimeError("this holds a socket")
        return bytes([self.n])

    @classmethod
    def from_flow(cls, data: bytes) -> Odd:
        return cls(*data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd) and other.n == self.n

    __hash__ = None  # type: ignore[assignment]


def odd(n: int) -> Odd:
    return Odd(n)


PLAY = program(PROGRAM)


class Desk:
    """Counts in the node's store; has a bug once at each place, if somebody says so."""

    buggy = False
    seen: set[tuple[str, str]] = set()

    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS counted (n INTEGER)")

    def point(self, tx: Any, place: str) -> None:
        if self.buggy and (tx.me.name, place) not in self.seen:
            self.seen.add((tx.me.name, place))
            raise RuntimeError(f"a bug at {place}")

    def count(self, tx: Any, by: int) -> int:
        tx.execute("INSERT INTO counted VALUES (?)", (by,))
        [(found,)] = tx.execute("SELECT SUM(n) FROM counted")
        return int(found)


def services() -> dict[str, object]:
    return {"Desk": Desk()}


@pytest.fixture(autouse=True)
def fresh() -> None:
    Desk.buggy = False
    Desk.seen = set()


def counted(scene: Scene, party: str) -> int:
    return len(scene.rows(party, "SELECT n FROM counted"))


CRASHES = ("crash before", "crash after")
DOUBTS = ("refused", "unknown, done", "unknown, not done")


# --- a restart ------------------------------------------------------------------------------------


def test_cs_040_a_flow_that_waits_is_there_after_a_restart(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    forever = scene.start("alice", PLAY.Forever_v1, other=BOB)
    scene.run()
    before = [(flow.id, flow.waits, flow.peer) for flow in scene.flows("alice")]
    assert before == [(forever.id, "a message", "bob")]
    for _ in range(3):
        scene.crash("alice")
        scene.run()
        assert [(flow.id, flow.waits, flow.peer) for flow in scene.flows("alice")] == before
    assert len(scene.flows("bob")) == 1


def test_cs_041_a_restart_just_after_the_first_message(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    pushes = scene.start("alice", PLAY.Pushes_v1, other=BOB)
    scene.until(lambda: scene.flows("bob"))
    assert scene.waits("bob") == ["a message"]
    scene.crash("bob")
    assert scene.result(pushes) == "Hello and more"
    scene.nothing_is_left()


def test_cs_042_messages_from_before_the_restart_are_read(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    pushes = scene.start("alice", PLAY.Pushes_v1, other=BOB)
    scene.until(lambda: scene.node("bob")._inbound)
    scene.crash("bob")
    scene.until(lambda: scene.flows("bob"))
    scene.crash("bob")
    scene.crash("alice")
    assert scene.result(pushes) == "Hello and more"
    scene.nothing_is_left()
    assert scene.said().count("alice sends Words(and more)") == 1


def test_c12_timers_over_a_restart_ring_once_and_never_early(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    sleeps = scene.start("alice", PLAY.Sleeps_v1, naps=3)
    for _ in range(5):
        scene.run(datetime.timedelta(minutes=5))
        scene.crash("alice")
    assert scene.result(sleeps) >= datetime.timedelta(hours=1)
    assert counted(scene, "alice") == 3


def test_c28_a_sleep_whose_node_is_down_when_it_ends(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    sleeps = scene.start("alice", PLAY.Sleeps_v1, naps=1)
    scene.run(datetime.timedelta(minutes=7))
    scene.crash("alice")
    slept = scene.result(sleeps)
    assert datetime.timedelta(minutes=20) <= slept < datetime.timedelta(minutes=21)
    assert counted(scene, "alice") == 1


# --- a fault at every place -----------------------------------------------------------------------


def test_cs_044_a_bug_once_at_every_place(play: Play) -> None:
    """A person lets each flow try again, as often as it takes."""
    Desk.buggy = True
    scene = play(PROGRAM, services=services)
    iterates = scene.start("alice", PLAY.Iterates_v1, other=BOB, sessions=2, rounds=5)
    for _ in range(200):
        scene.run(datetime.timedelta(seconds=1))
        patients = [(p, one.flow_id) for p in ("alice", "bob") for one in scene.hospital(p)]
        for party, flow_id in patients:
            scene.node(party).submit_retry(flow_id)
        if not patients:
            break
    assert scene.result(iterates) == "2:10"
    assert (counted(scene, "alice"), counted(scene, "bob")) == (10, 10)
    assert len(Desk.seen) == 2 * (2 + 2 * 5) + 11
    scene.nothing_is_left()


@pytest.mark.parametrize("kinds", [CRASHES, DOUBTS, CRASHES + DOUBTS])
def test_cs_044_faults_at_many_commits(play: Play, kinds: tuple[str, ...]) -> None:
    scene = play(PROGRAM, services=services)
    iterates = scene.start("alice", PLAY.Iterates_v1, other=BOB, sessions=2, rounds=5)
    scene.spoil(*kinds)
    assert scene.result(iterates) == "2:10"
    assert (counted(scene, "alice"), counted(scene, "bob")) == (10, 10)
    assert scene.failures > 10
    scene.spoil("refused", rate=0.0)
    scene.nothing_is_left()


@pytest.mark.parametrize("kind", ["unknown, done", "unknown, not done", "refused"])
def test_c46_c47_a_commit_of_which_nobody_knows(play: Play, kind: str) -> None:
    scene = play(PROGRAM, services=services)
    pushes = scene.start("alice", PLAY.Pushes_v1, other=BOB)
    scene.spoil(kind)
    assert scene.result(pushes) == "Hello and more"
    assert scene.failures
    scene.spoil(kind, rate=0.0)
    scene.nothing_is_left()


def test_cs_060_a_hundred_rounds_with_processes_that_die(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    iterates = scene.start("alice", PLAY.Iterates_v1, other=BOB, sessions=1, rounds=100)
    scene.spoil(*CRASHES, rate=0.3)
    scene.shake()
    assert scene.result(iterates) == "1:100"
    assert (counted(scene, "alice"), counted(scene, "bob")) == (100, 100)
    assert scene.failures > 50


def test_cs_060_ten_flows_that_call_back_ten_deep(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    pings = [scene.start("alice", PLAY.Ping_v1, other=BOB, depth=10) for _ in range(10)]
    scene.spoil(*CRASHES, rate=0.4)
    assert [scene.result(ping) for ping in pings] == [11] * 10
    assert scene.failures > 8
    scene.spoil("refused", rate=0.0)
    scene.nothing_is_left()


def test_c59_an_order_that_the_network_shuffles(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    flows = [scene.start("alice", PLAY.Ordered_v1, other=BOB, n=10) for _ in range(5)]
    scene.shake()
    for flow in flows:
        assert scene.result(flow) == tuple(range(10))


def test_c42_many_requests_while_the_stores_process_ends_again_and_again(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    flows = [scene.start("alice", PLAY.Pushes_v1, other=BOB) for _ in range(100)]
    for _ in range(30):
        scene.step()
        scene.crash("bob")
        scene.step()
        scene.crash("alice")
    assert [scene.result(flow) for flow in flows] == ["Hello and more"] * 100
    scene.nothing_is_left()


# --- reloading ------------------------------------------------------------------------------------


def test_cs_061_every_wait_is_left_through_bytes(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    loads = {"alice": 0, "bob": 0}
    for party in loads:
        registry = scene.node(party).registry
        checkpoint = registry.checkpoint

        def load(data: bytes, party: str = party, read: Any = checkpoint) -> Any:
            loads[party] += 1
            return read(data)

        registry.checkpoint = load  # type: ignore[method-assign]
    iterates = scene.start("alice", PLAY.Iterates_v1, other=BOB, sessions=1, rounds=6)
    assert scene.result(iterates) == "1:6"
    assert loads["alice"] >= 6
    assert loads["bob"] >= 6


def test_cs_061_what_cannot_be_written_down_is_found_at_the_first_wait(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    assert scene.run_flow("alice", PLAY.Keeps_v1, n=9) == 9
    scene.start("alice", PLAY.Keeps_v1, n=10)
    scene.run()
    [patient] = scene.hospital("alice")
    assert "this holds a socket" in patient.cause
    assert patient.state == "Start"
