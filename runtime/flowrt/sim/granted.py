"""I18: no peer has more of a node than it may, and what it has had is given back.

Counts from the flows on the disk what the peers' rows should say. Changes nothing.
"""

from __future__ import annotations

from collections import Counter

from flowrt.core.session import NOTHING, Peer, Standing, standing
from flowrt.core.values import Checkpoint, decode
from flowrt.peers.quotas import moved
from flowrt.sim.host import Host
from flowrt.sim.violation import Violation


class Granted:
    """What the flows of one party hold of its peers."""

    def __init__(self) -> None:
        self._flows: dict[int, Standing] = {}
        self._sessions: Counter[str] = Counter()
        self._unread: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def holds(self, flow_id: int, checkpoint: Checkpoint | None) -> set[str]:
        """A flow is written, or gone (None). The peers of whom it holds something else now."""
        before = self._flows.get(flow_id, NOTHING)
        after = standing(checkpoint) if checkpoint is not None else NOTHING
        if after == before:
            return set()
        if after == NOTHING:
            self._flows.pop(flow_id, None)
        else:
            self._flows[flow_id] = after
        changes = moved(before, after)
        for peer, (sessions, messages, size) in changes.items():
            self._sessions[peer] += sessions
            self._unread[peer] += messages
            self._bytes[peer] += size
        return set(changes)

    def judge(self, peer: str, host: Host) -> None:
        """Whether a peer's row says what is so, and no more than may be."""
        row = host.disk.peers.get(peer)
        known = decode(Peer, row) if row is not None else Peer()
        held = (self._sessions[peer], self._unread[peer], self._bytes[peer])
        said = (known.sessions, known.unread, known.unread_bytes)
        if said != held:
            raise Violation("I18", f"{host.name} counts {said} of {peer}, and flows hold {held}")
        limits = host.world.limits
        # A step that fails keeps the message that it was given, whether there is room or not.
        patients = len(host.disk.patients)
        if held[0] > limits.sessions:
            raise Violation("I18", f"{peer} has {held[0]} sessions open at {host.name}")
        if held[1] > limits.unread + patients + LAST_WORDS * len(self._flows):
            raise Violation("I18", f"{held[1]} messages of {peer} wait unread at {host.name}")

    def in_memory(self, host: Host) -> None:
        """Whether a process keeps no more in its memory than it may."""
        assert host.node is not None
        limits, outbox = host.world.limits, host.node._outbox
        for lane in outbox._lanes.values():
            if lane.under_way > limits.window:
                text = f"{lane.under_way} frames for {lane.peer} are under way at {host.name}"
                raise Violation("I18", text)

    def rests(self, host: Host) -> None:
        """In the end every row says what is so, also of peers that hold nothing any more."""
        for peer in host.disk.peers:
            self.judge(peer, host)


LAST_WORDS = 2
"""Ends and confirmations are always taken: at most these of each session."""
