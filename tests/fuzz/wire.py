"""Hostile packets: what an authenticated peer may send, decoded, and read by a living node.

A stranger must change nothing at all; a counterparty only what is its own conversation.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Iterator

from flowrt.core.flow import Malformed
from flowrt.core.values import BadBytes, Data, Invite, Letter, decode_frame, decode_message, encode
from flowrt.peers.outbox import frame_of, packed, unpack, unpack_marked
from tests.fuzz import fair
from tests.fuzz.findings import Findings, described
from tests.fuzz.packed import spoiled

SLOW_S = 0.25
"""For one input of less than a MiB."""

IN_STAGE = 120
"""How many packets one node is sent before its honest conversations must end well."""


@functools.cache
def packets() -> list[tuple[str, str, bytes]]:
    """Every packet of the whole conversation: sender, receiver, bytes."""
    world = fair.Fair()
    world.finish()
    return list(dict.fromkeys(world.packets))


@functools.cache
def frames() -> list[bytes]:
    return list({frame_of(data): None for _, _, data in packets()})


def one(number: int) -> bytes:
    """A spoiled frame, the same for the same number."""
    choose = random.Random(f"frame {number}")
    return spoiled(choose.choice(frames()), choose, frames())


def judge(data: bytes) -> str | None:
    """What is wrong with how a frame is decoded; None if nothing is."""
    begun = time.process_time()
    try:
        packet = unpack(bytes(8) + data)
        assert packet is not None
        frame = decode_frame(packet[1])
    except BadBytes:
        return _slow(begun)
    except BaseException as error:
        return described(error)
    try:
        assert decode_frame(encode(frame)) == frame, "it is another frame when written again"
        content = frame.content if isinstance(frame, Letter) else None
        content = frame.first if isinstance(frame, Invite) else content
        if isinstance(content, Data):
            return _message(content) or _slow(begun)
    except BaseException as error:
        return described(error)
    return _slow(begun)


def _message(content: Data) -> str | None:
    """What a flow that reads it does, whatever it is named."""
    module = fair.module()
    for kind in (module.All, module.Said, module.Bye):
        try:
            message = decode_message(kind, content.body)
        except Malformed:
            continue
        again = decode_message(kind, encode(message))
        if again != message:
            return f"{kind.__name__} is another when written again: {content.body!r}"
    return None


def _slow(begun: float) -> str | None:
    seconds = time.process_time() - begun
    return f"takes {seconds * 1000:.0f} ms" if seconds > SLOW_S else None


def decoding(first: int, count: int) -> Findings:
    """So many frames, decoded only."""
    found = Findings("frames decoded")
    for number in range(first, first + count):
        data = one(number)
        trouble = judge(data)
        if trouble is not None and trouble.startswith("takes "):
            trouble = judge(data)  # Others use the processor as well.
        found.add(number, trouble, data)
    return found.done()


# --- a living node ---


class Attack:
    """Bob's node in the middle of its conversations, and one who sends him what he likes."""

    def __init__(self, number: int) -> None:
        self.choose = random.Random(f"attack {number}")
        self.world = fair.Fair(reload=self.choose.random() < 0.5)
        for _ in range(self.choose.randrange(1, 9)):
            self.world.tick()
        self.node = self.world.node("bob")
        while self.node.turn():
            pass
        self.hostile = self.choose.choice(("mallory", "alice"))
        self.sent = [
            data for sender, receiver, data in self.world.packets
            if receiver == "bob" or sender == "bob"
        ]  # fmt: skip
        self.others = self._others()

    def _others(self) -> dict[int, bytes]:
        """The flows in which the hostile party has no part."""
        from flowrt.core.values import decode_checkpoint

        found = {}
        for flow_id, data in self.world.at_rest("bob").items():
            checkpoint = decode_checkpoint(data, self.node.registry.states_of)
            if all(session.peer != self.hostile for session in checkpoint.sessions):
                found[flow_id] = data
        return found

    def packets(self, count: int) -> Iterator[bytes]:
        every = frames()
        for _ in range(count):
            # Mostly what belongs here: ids and secrets are right, and the spoilt part is read.
            near = self.sent if self.sent and self.choose.random() < 0.8 else None
            data = frame_of(self.choose.choice(near)) if near else self.choose.choice(every)
            row = self.choose.choice((0, 1, 5, 2**55, 2**56 - 1))
            # The node reads nothing of a peer that it knows under another mark than that one's.
            last = unpack_marked(self.sent[-1]) if self.sent else None
            yield packed(
                row, last[1] if last is not None else b"", spoiled(data, self.choose, every)
            )

    def send(self, data: bytes) -> str | None:
        """One packet, and what is wrong afterwards."""
        try:
            self.node._received(self.hostile, data)
            for _ in range(20):
                if not self.node.turn():
                    break
        except BaseException as error:
            return described(error)
        now = self.world.at_rest("bob")
        for flow_id, before in self.others.items():
            if now.get(flow_id) != before:
                return f"{self.hostile} changed flow {flow_id}, in which it has no part"
        patients = self.node.hospital()
        if patients:
            return f"{self.hostile} sent a flow to the hospital: {patients[0].cause}"
        return None

    def end(self) -> str | None:
        """What is wrong with how the honest conversations end."""
        try:
            self.world.finish()
            for start in self.world.starts:
                if self.hostile == "alice" and start.party == "alice":
                    continue
                if self.world.result(start) != 6:
                    return f"a visit of {start.party} ended with {self.world.result(start)}"
        except BaseException as error:
            return f"honest conversations after {self.hostile}: {type(error).__name__}: {error}"
        return None


def reading(first: int, count: int) -> Findings:
    """So many packets, read by living nodes."""
    found = Findings("packets read by a node")
    number = first
    while number < first + count:
        attack = Attack(number)
        size = min(IN_STAGE, first + count - number)
        for at, data in enumerate(attack.packets(size)):
            trouble = attack.send(data)
            found.add(number + at, trouble, data)
            if trouble is not None:
                break
        else:
            found.add(number, attack.end(), b"", counts=False)
        number += size
    return found.done()
