"""What operators do with flows: kill and pause, in every kind of wait."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from flowrt.core.flow import FlowKilled, Party
from flowrt.core.hospital import PAUSED
from flowrt.sim import Faults, Started, Tape, World
from flowrt.sim.faults import BACK, FORWARD
from tests.runtime.written import compiled

HOUR = datetime.timedelta(hours=1)

PROGRAM = """
message Order:
    n: Int

message Answer:
    n: Int

record Question:
    text: Text

record Opinion:
    n: Int

service Shop:
    external judge(n: Int) -> Int
    write book(n: Int)

flow Buyer(seller: Party, how: Text) -> Int:
    startable by rpc
    open Seller with seller as line
    send Order(1) to line then receive first: Answer from line unchecked
    let n = first.n
    if how == "message":
        receive a: Answer from line unchecked
        return a.n + n
    if how == "time":
        sleep 1d
    if how == "choice":
        receive from line:
            case Answer:
                return 2
            case timeout 2d:
                return 3
    if how == "operation":
        let judged = await Shop.judge(1)
        return judged
    if how == "people":
        let asked = ask "clerk": Question("?") -> Opinion
        return asked.value.n
    if how == "subflow":
        let inner = subflow Inner(seller)
        return inner
    if how == "child":
        let child = start Inner(seller)
        let made = await child
        return made
    if how == "hospital":
        Shop.book(0)
    if how == "caught":
        try:
            let got = subflow Inner(seller)
            return got
        catch FlowError:
            return 99
    return 0

flow Inner(giver: Party) -> Int:
    open Giver with giver as talk
    receive a: Answer from talk unchecked
    return a.n

flow Giver():
    responds to Inner as line
    receive o: Order from line unchecked
    send Answer(o.n) to line

flow Seller():
    responds to Buyer as line
    receive o: Order from line unchecked
    send Answer(o.n) to line
    try:
        receive again: Order from line unchecked
        log info "{again.n}"
    catch UnexpectedFlowEnd as end:
        log info "it was killed: {end.text}"
"""
WAITS = [
    "message",
    "time",
    "choice",
    "operation",
    "people",
    "subflow",
    "child",
    "hospital",
    "caught",
]


class Shop:
    """A service whose operation never ends, and which fails in a step."""

    def judge(self, key: str, n: int) -> int:
        raise ConnectionError("nobody there")

    def book(self, tx: object, n: int) -> None:
        raise RuntimeError("out of order")


PROGRAM_ = compiled(PROGRAM)
BOB = Party("bob")


def begun(how: str, world: World) -> Started:
    """A flow that has come to the wait of that kind."""
    for party in ("alice", "bob"):
        world.add(party, [PROGRAM_], {"Shop": Shop()})
    started = world.start("alice", PROGRAM_.Buyer_v1, seller=BOB, how=how)
    world.sleep(HOUR)
    assert started.outcome is None
    return started


@pytest.mark.parametrize("seed", [None, *range(6)])
@pytest.mark.parametrize("how", WAITS)
def test_a_kill_ends_a_flow_wherever_it_is(how: str, seed: int | None) -> None:
    tape = Tape(seed)
    mix = Faults.none() if seed is None else Faults.swarm(tape)
    # Where a clock may leap, what waits for a time may end before somebody kills it.
    calm = dataclasses.replace(mix, troubles=tuple(set(mix.troubles) - {FORWARD, BACK}))
    with World(tape, calm) as world:
        started = begun(how, world)
        node = world.node("alice")
        for _ in range(2):
            node.submit_kill(started.id, by="ann", reason="the seller is bankrupt")
        world.heal()
        world.sleep(HOUR)
        if started.outcome is None:  # The process ended before the kill was written.
            world.node("alice").submit_kill(started.id, by="ann", reason="the seller is bankrupt")
            world.run()
        with pytest.raises(FlowKilled, match="killed by ann: the seller is bankrupt"):
            world.result(started)
        node = world.node("alice")
        assert node.hospital() == []
        assert node.tasks() == []
        assert node.flows() == [] or how == "child"


def test_killing_what_has_ended_changes_nothing() -> None:
    with World() as world:
        started = begun("message", world)
        node = world.node("alice")
        node.submit_kill(started.id, by="ann", reason="first")
        world.sleep(HOUR)
        node.submit_kill(started.id, by="bob", reason="second")
        node.submit_pause(started.id, by="bob", reason="third")
        world.run()
        with pytest.raises(FlowKilled, match="first"):
            world.result(started)
        with pytest.raises(KeyError):
            node.submit_kill(77, by="ann", reason="no such flow")


def test_a_paused_flow_keeps_what_comes_and_goes_on_later() -> None:
    with World(reload=True) as world:
        started = begun("time", world)
        node = world.node("alice")
        node.submit_pause(started.id, by="ann", reason="lunch")
        world.sleep(datetime.timedelta(days=3))
        assert started.outcome is None
        [patient] = node.hospital()
        assert (patient.kind, patient.cause) == (PAUSED, "paused by ann: lunch")
        world.crash("alice")
        world.sleep(HOUR)
        world.node("alice").submit_resume(started.id)
        world.run()
        assert world.result(started) == 0
        with pytest.raises(KeyError):
            world.node("alice").submit_resume(started.id)
