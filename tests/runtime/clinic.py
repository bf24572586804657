"""Two parties that run one program whose services fail as they are told, in one thread.

Every step's flow is read from its bytes again; `crash` ends a process. Knows no program.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.policies import Policy
from flowrt.store import Store
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork

START_US = 1_800_000_000_000_000
BOB = Party("bob")


class Clinic:
    """Alice and bob. `folder` has their databases; without one they are in memory."""

    def __init__(
        self,
        program: ModuleType,
        services: dict[str, object],
        folder: Path | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.now_us = START_US
        self.network = MemoryNetwork()
        self.nodes: dict[str, Node] = {}
        self.disks = {name: MemoryDisk() for name in ("alice", "bob")}
        self._program, self._services = program, services
        self._folder, self.policy = folder, policy
        self.stores: dict[str, Store] = {}
        for name in self.disks:
            self.open(name)

    def open(self, name: str) -> None:
        store: Store = (
            SqliteStore(str(self._folder / f"{name}.db"))
            if self._folder is not None
            else MemoryStore(self.disks[name])
        )
        self.stores[name] = store
        self.nodes[name] = Node.create(
            name,
            store=store,
            network=self.network,
            modules=[self._program],
            services=self._services,
            clock=lambda: self.now_us,
            key=name.encode().ljust(32, b"."),
            reload=True,
            policy=self.policy,
        )

    @property
    def alice(self) -> Node:
        return self.nodes["alice"]

    @property
    def bob(self) -> Node:
        return self.nodes["bob"]

    def crash(self, name: str) -> None:
        """End a process now; the next one opens on its store."""
        self.nodes[name]._transport.close()
        self.stores[name].close()
        self.open(name)

    def close(self) -> None:
        for store in self.stores.values():
            store.close()

    def __enter__(self) -> Clinic:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, flow: Any, /, **arguments: Any) -> int:
        """Start a flow of alice's, and go on until all rest; its id."""
        flow_id = self.alice.submit(flow, **arguments).id
        self.rest()
        return flow_id

    def rest(self) -> None:
        """Go on until nothing moves that does not wait for time."""
        for _ in range(10_000):
            moved = [self._turn(node) for node in self.nodes.values()]
            if not any([*moved, self.network.pump()]):
                return
        raise AssertionError("the nodes never rest")

    def _turn(self, node: Node) -> bool:
        due_us = node.next_due()
        return due_us is not None and due_us <= self.now_us and node.turn()

    def pass_time(self, **given: float) -> None:
        """Let so much time pass, and everything happen in it."""
        end_us = self.now_us + datetime.timedelta(**given) // datetime.timedelta(microseconds=1)
        while True:
            self.rest()
            due = [node.next_due() for node in self.nodes.values()]
            times = [time for time in due if time is not None and time <= end_us]
            if not times:
                break
            self.now_us = max(self.now_us, min(times))
        self.now_us = end_us

    def result(self, flow_id: int, party: str = "alice") -> Any:
        """A flow's result, or the error that ended it, raised."""
        return self.nodes[party].handle(flow_id).result_now()
