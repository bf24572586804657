"""One node under test, in virtual time, among scripted peers. Draws nothing.

The node is the real one; its store outlives its process, so a crash is a new node on the old store.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from flowrt.core import flow as rt
from flowrt.core.hospital import Patient
from flowrt.core.values import Checkpoint, Data, decode_checkpoint, decode_message
from flowrt.handle import Handle
from flowrt.node import Node
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.testing.counterparty import Counterparty, Line
from flowrt.testing.expected import Expected, expected
from flowrt.transport.memory import MemoryNetwork

START_US = 1_800_000_000_000_000
HOST = "host"
MOST_TURNS = 10_000


class Stage:
    """A node named "host", and peers by name. Everything happens when it is told to."""

    def __init__(
        self,
        modules: Iterable[ModuleType],
        services: Mapping[str, object],
        peers: Iterable[str],
    ) -> None:
        self.now_us = START_US
        self.crashes = 0
        self._network = MemoryNetwork()
        self._disk = MemoryDisk()
        self._disk.incarnation = HOST.encode().ljust(8, b".")
        self._modules = tuple(modules)
        self._services = services
        self.peers: dict[str, Counterparty] = {}
        for name in peers:
            self.join(name)
        self.node = self._opened()

    def join(self, name: str) -> Counterparty:
        """One more peer."""
        peer = self.peers[name] = Counterparty(self._network, name, HOST)
        return peer

    def _opened(self) -> Node:
        return Node.create(
            HOST,
            store=MemoryStore(self._disk),
            network=self._network,
            modules=self._modules,
            services=self._services,
            clock=lambda: self.now_us,
            key=HOST.encode().ljust(32, b"."),
            reload=True,
        )

    # --- what happens ---

    def start(self, flow: Any, arguments: Mapping[str, Any]) -> Handle[Any]:
        """Start a flow of the node, and let it go as far as it can."""
        handle: Handle[Any] = self.node.submit(flow, **arguments)
        self.rest()
        return handle

    def rest(self) -> None:
        """Go on until nothing moves that does not wait for time or for the peers to say more."""
        for peer in self.peers.values():
            peer.speak()
        for _ in range(MOST_TURNS):
            moved = self._turn()
            if not (self._network.pump() or moved):
                return
        raise AssertionError("the node does not come to rest")

    def _turn(self) -> bool:
        due = self.node.next_due()
        return due is not None and due <= self.now_us and self.node.turn()

    def sleep(self, time: datetime.timedelta) -> None:
        """Let time pass, with all that becomes due meanwhile."""
        end_us = self.now_us + time // datetime.timedelta(microseconds=1)
        for _ in range(MOST_TURNS):
            self.rest()
            due = self.node.next_due()
            if due is None or due > end_us:
                break
            self.now_us = max(self.now_us, due)
        else:
            raise AssertionError("the node never sleeps")
        self.now_us = end_us

    def crash(self) -> None:
        """End the node's process; what is on the wire is lost. The next one opens on its store."""
        self.crashes += 1
        self._network.clear()
        self.node = self._opened()
        self.rest()

    def close(self) -> None:
        """Let go of the store."""
        self.node._stop(RuntimeError("the test is over"))

    # --- what can be seen ---

    @property
    def lines(self) -> list[Line]:
        """All sessions of all peers."""
        return [line for peer in self.peers.values() for line in peer.lines]

    def checkpoints(self) -> dict[int, Checkpoint]:
        """The living flows, by id."""
        registry = self.node.registry
        return {
            flow_id: decode_checkpoint(data, registry.states_of)
            for flow_id, (data, _) in sorted(self._disk.flows.items())
        }

    def bytes_of(self, flow_id: int) -> bytes | None:
        """A flow as it is stored; None if it has ended."""
        found = self._disk.flows.get(flow_id)
        return found[0] if found is not None else None

    def messages(self) -> list[rt.Message]:
        """What the node's flows have said to the peers, by session."""
        kinds = self.node.registry.messages
        return [
            decode_message(kinds[content.name], content.body)
            for line in self.lines
            for content in line.heard
            if isinstance(content, Data)
        ]

    def expected(self) -> list[tuple[Line, Expected]]:
        """The messages that some flow waits for, with the peer's session in which they would come,
        if the peer may still speak there."""
        found = []
        lines = {line.state.secret: line for line in self.lines if line.is_open}
        for checkpoint in self.checkpoints().values():
            secrets = {one.id: one.secret for one in checkpoint.sessions}
            for one in expected(checkpoint, self.node.registry):
                line = lines.get(secrets.get(one.session, b""))
                if line is not None:
                    found.append((line, one))
        return found

    def outcomes(self) -> dict[int, Any]:
        """How flows ended, by id: a result, or the error."""
        found: dict[int, Any] = {}
        for flow_id in sorted(self._disk.outcomes):
            try:
                found[flow_id] = self.node.handle(flow_id).result_now()
            except rt.FlowError as error:
                found[flow_id] = error
        return found

    def failures(self) -> list[Patient]:
        """The flows in the hospital that did not go there by themselves."""
        return [one for one in self.node.hospital() if not one.cause.startswith("hold: ")]
