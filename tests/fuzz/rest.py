"""Spoiled checkpoints: decoded, and stepped by a living node with every sort of event.

Refused or run: the flow may go to the hospital or end as it likes, but the node lives and other
flows are untouched.
"""

from __future__ import annotations

import functools
import random
import time

from flowrt.core.engine import RESUME, RETRY, Arrival, CallEnded, Command, FlowEnded, Lost, Outcome
from flowrt.core.values import (
    BadBytes,
    Data,
    End,
    Ending,
    Letter,
    decode_checkpoint,
    encode,
)
from flowrt.turn import Job
from tests.fuzz import fair
from tests.fuzz.findings import Findings, described
from tests.fuzz.packed import spoiled

SLOW_S = 0.25

IN_STAGE = 60


@functools.cache
def checkpoints() -> list[bytes]:
    """Every flow at rest of the whole conversation, after each tick."""
    world = fair.Fair(rounds=2)
    found: dict[bytes, None] = {}
    for _ in range(60):
        for party in world.members:
            found.update(dict.fromkeys(world.at_rest(party).values()))
        world.tick()
        for task in world.node("alice").tasks():
            found.update(dict.fromkeys(world.at_rest("alice").values()))
            yes = fair.module().Answer(True)
            world.node("alice").submit_answer(task.flow_id, task.number, yes, by="ann")
    return list(found)


def one(number: int) -> bytes:
    choose = random.Random(f"checkpoint {number}")
    return spoiled(choose.choice(checkpoints()), choose, checkpoints())


@functools.cache
def _registry() -> object:
    return fair.Fair().node("alice").registry


def judge(data: bytes) -> str | None:
    """What is wrong with how a checkpoint is decoded."""
    begun = time.process_time()
    states_of = _registry().states_of  # type: ignore[attr-defined]
    try:
        checkpoint = decode_checkpoint(data, states_of)
    except (BadBytes, KeyError):
        return _slow(begun)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    trouble = _slow(begun)
    try:
        again = decode_checkpoint(encode(checkpoint), states_of)
        assert encode(again) == encode(checkpoint), "it is another when written again"
    except OverflowError:
        pass  # A moment that UTC's calendar does not have: its flow goes to the hospital.
    except BaseException as error:
        return f"written again: {type(error).__name__}: {error}"
    return trouble


def _slow(begun: float) -> str | None:
    seconds = time.process_time() - begun
    return f"takes {seconds * 1000:.0f} ms" if seconds > SLOW_S else None


def decoding(first: int, count: int) -> Findings:
    """So many checkpoints, decoded only."""
    found = Findings("checkpoints decoded")
    for number in range(first, first + count):
        data = one(number)
        trouble = judge(data)
        if trouble is not None and trouble.startswith("takes "):
            trouble = judge(data)
        found.add(number, trouble, data)
    return found.done()


# --- a living node ---


class Ward:
    """Alice's node, whose first flow's bytes are spoiled, again and again."""

    def __init__(self, number: int) -> None:
        self.choose = random.Random(f"ward {number}")
        self.world = fair.Fair(reload=True)
        self.world.start("alice", fair.module().Visit_v1, host=fair.Party("carol"), rounds=2,
                         about=fair.about())  # fmt: skip
        for _ in range(self.choose.randrange(2, 30)):
            self.world.tick()
        self.node = self.world.node("alice")
        while self.node.turn():
            pass
        living = self.world.at_rest("alice")
        self.victim = min(living) if living else 0
        self.others = {id: data for id, data in living.items() if id != self.victim}

    def spoil(self) -> tuple[bytes, str | None]:
        """Spoil it, let everything happen to it; what is wrong afterwards."""
        choose, node = self.choose, self.node
        data = spoiled(
            self.world.at_rest("alice").get(self.victim) or choose.choice(checkpoints())
            if choose.random() < 0.3
            else choose.choice(checkpoints()),
            choose,
            checkpoints(),
        )
        disk = self.world.members["alice"].disk
        before = disk.flows.get(self.victim)  # type: ignore[union-attr]
        disk.flows[self.victim] = (data, None)  # type: ignore[union-attr]
        node._live.clear()
        node._unloadable.discard(self.victim)
        try:
            node.flows()
            for event in self._events(data):
                node._ready.append(Job(self.victim, event))
                for _ in range(10):
                    if not node.turn():
                        break
                node.flows()
                node.hospital()
                node.tasks()
        except BaseException as error:
            return data, described(error)
        now = self.world.at_rest("alice")
        for flow_id, was in self.others.items():
            if now.get(flow_id) != was:
                return data, f"flow {flow_id} is another"
        if before is not None:
            disk.flows[self.victim] = before  # type: ignore[union-attr]
        else:
            disk.flows.pop(self.victim, None)  # type: ignore[union-attr]
        return data, None

    def _events(self, data: bytes) -> list[object]:
        """What may come to a flow at rest, in any order; letters that fit its own sessions."""
        letters: list[object] = []
        try:
            found = decode_checkpoint(data, self.node.registry.states_of)
        except (BadBytes, KeyError):
            pass
        else:
            about = Data("fair.All", encode(fair.about()))
            for session in found.sessions[:3]:
                for content in (about, End()):
                    seq = min(max(session.expected, 0), 2**63 - 1)
                    letter = Letter(self.victim, session.id, session.secret, seq, content)
                    letters.append(Arrival(session.peer, letter))
        said = Data("fair.Said", encode(fair.module().Said("x")))
        events: list[object] = [
            RESUME, RETRY, Command(said), Lost(0, "nobody knows"), *letters,
            CallEnded(0, Ending(encode(5))),
            CallEnded(1, Ending(encode(fair.module().Answer(True)))),
            FlowEnded(3, Outcome("fair.Visit_v1", encode(5))),
        ]  # fmt: skip
        self.choose.shuffle(events)
        return events[: self.choose.randrange(1, len(events) + 1)]


def stepping(first: int, count: int) -> Findings:
    """So many checkpoints, stepped by living nodes."""
    found = Findings("checkpoints stepped by a node")
    number = first
    while number < first + count:
        ward = Ward(number)
        size = min(IN_STAGE, first + count - number)
        for at in range(size):
            data, trouble = ward.spoil()
            found.add(number + at, trouble, data)
            if trouble is not None:
                break
        number += size
    return found.done()
