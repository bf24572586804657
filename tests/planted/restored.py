"""A party's disk is replaced by an older copy while flows talk: the story, and its judge.

A flow gives what was foretold, or it ended because a store has lost its session; the latter only
where somebody has accepted that. All else the invariants of the world say, B1 to B3 among them.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from flowrt.core.flow import FlowError, Party, SessionRejected, UnexpectedFlowEnd
from flowrt.handle import StillRunning
from flowrt.sim import Violation, World
from flowrt.sim.backup import expect
from flowrt.sim.host import Started
from tests.runtime.written import compiled

TEXT = """
message Question:
    number: Int
    left: Int
message Reply:
    number: Int

error Unfair: "this was not agreed"

flow Asks(other: Party, times: Int) -> Int:
    startable by rpc
    var sum = 0
    var asked = 0
    open Answers with other as line
    while asked < times:
        send Question(asked, times - asked - 1) to line then receive reply: Reply from line:
            require reply.number == asked else Unfair()
        sum = sum + reply.number
        asked = asked + 1
        sleep 100ms
    return sum

flow Answers() -> Int:
    responds to Asks as line
    var sum = 0
    var left = 1
    while left > 0:
        receive asked: Question from line:
            require asked.number >= 0 else Unfair()
            require asked.left >= 0 else Unfair()
        left = asked.left
        sum = sum + asked.number
        send Reply(asked.number) to line
    return sum
"""

PARTIES = ("alice", "bob", "carol")
TIMES = (9, 1, 4)
MEANT = (UnexpectedFlowEnd, SessionRejected)

_made: list[ModuleType] = []


class Restored:
    """Three parties talk, each with the two others; the first of them goes back."""

    name = "restored"

    def __init__(self) -> None:
        if not _made:
            _made.append(compiled(TEXT))
        self.flows = _made[0]
        self.wanted: list[tuple[Started, int]] = []

    def build(self, world: World) -> None:
        # One that repeats marks of others, and has no store, is greeted for ever: while a clock
        # that was set back a year catches up, that is more than a world may do.
        world.strangers.clear()
        for party in PARTIES:
            world.add(party, [self.flows])
        for party in PARTIES:
            for number, other in enumerate(PARTIES):
                if other != party:
                    times = TIMES[(number + len(party)) % len(TIMES)]
                    self._start(world, party, other, times)
        # And some who meet for the first time later.
        late_us = 50_000 * world.tape.uniform("late", 40)
        world.promise(late_us, lambda: self._start(world, "bob", "alice", 2))
        world.promise(late_us, lambda: self._start(world, "alice", "carol", 2))
        expect(world, "alice")

    def _start(self, world: World, party: str, other: str, times: int) -> None:
        started = world.start(party, self.flows.Asks_v1, other=Party(other), times=times)
        self.wanted.append((started, times * (times - 1) // 2))

    def judge(self, world: World) -> None:
        accepted = any(host.accepted for host in world.hosts.values())
        for started, wanted in self.wanted:
            if started.is_lost:
                continue
            found: Any
            try:
                found = world.result(started)
            except (KeyError, StillRunning) as error:
                raise Violation("J3", f"{started} has not ended: {error}") from error
            except FlowError as error:
                found = error
            if found != wanted and not (accepted and isinstance(found, MEANT)):
                raise Violation("J4", f"{started} gave {found!r}, not {wanted}")
        for party, host in world.hosts.items():
            rows = [number for number, (peer, _) in host.disk.outbox.items() if peer in PARTIES]
            if host.disk.flows or host.disk.patients or rows:
                left = list(host.disk.flows), list(host.disk.patients), rows
                raise Violation("J3", f"{party} has flows, patients, rows left: {left}")
