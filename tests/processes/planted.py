"""Nodes and stores with a defect planted in them: each must be seen by who looks at the ends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flowrt.node import Handle, Node
from flowrt.peers.outbox import packed, packed_ack
from flowrt.store import Batch
from flowrt.turn import Turn
from tests.processes.points import StagedStore


class Acknowledges(Node):
    """Acknowledges a message before the commit that takes it."""

    def _commit(self, turn: Turn) -> None:
        for key, ids in turn.acks.items():
            packet = packed_ack(ids, self._outbox.mark, turn.held[key])
            self._transport.send(key[0], packet)
        super()._commit(turn)


class Sends(Node):
    """Sends a message before the commit that it belongs to."""

    def _commit(self, turn: Turn) -> None:
        for outbox_id, peer, frame in turn.batch.outbox:
            self._transport.send(peer, packed(outbox_id, self._outbox.mark, frame))
        super()._commit(turn)


class Tells(Node):
    """Tells a client that its flow is started before the commit that starts it."""

    async def start(self, flow: Any, /, *arguments: Any, **named: Any) -> Handle[Any]:
        return self.submit(flow, *arguments, **named)


class NewKeys(Node):
    """Runs external operations under keys that are new in each process."""

    def _open_store(self) -> None:
        super()._open_store()
        self._operations.incarnation = os.urandom(8)


class RunsAgain(Node):
    """Runs operations again that may run only once."""

    def _open_store(self) -> None:
        super()._open_store()
        self._operations._allowed = _Everything()


class _Everything(set[Any]):
    def __contains__(self, key: object) -> bool:
        return True


class Unfenced(StagedStore):
    """Commits though another process has claimed the store since."""

    def commit(self, batch: Batch) -> None:
        [(self._epoch,)] = self._open_db.execute("SELECT epoch FROM engine_node")
        super().commit(batch)


class InTwo(StagedStore):
    """Commits what services wrote by itself, before the step that it belongs to."""

    def commit(self, batch: Batch) -> None:
        if self._work is not None and self._open_db.in_transaction:
            self._open_db.execute("COMMIT")
            self._work.ended()
        super().commit(batch)


NODES: Mapping[str, type[Node]] = {
    "": Node,
    "acknowledges before the commit": Acknowledges,
    "sends before the commit": Sends,
    "tells before the commit": Tells,
    "new keys in each process": NewKeys,
    "runs again what may run once": RunsAgain,
    "no fence": Node,
    "services commit by themselves": Node,
}
STORES: Mapping[str, type[StagedStore]] = {
    **dict.fromkeys(NODES, StagedStore),
    "no fence": Unfenced,
    "services commit by themselves": InTwo,
}
