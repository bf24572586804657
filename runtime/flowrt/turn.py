"""One batch on its way: the events it took, what it will write, what is told once it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from flowrt.core.engine import Event, Outcome
from flowrt.core.progress import ProgressEvent
from flowrt.core.values import Checkpoint
from flowrt.store import Batch


class Job:
    """One event for one flow. `make` builds the checkpoint of a flow that is not stored yet."""

    __slots__ = ("event", "flow_id", "make", "outbox_id", "waiter")

    def __init__(
        self,
        flow_id: int,
        event: Event,
        make: Callable[[], Checkpoint] | None = None,
        waiter: asyncio.Future[None] | None = None,
        outbox_id: int = 0,
    ) -> None:
        self.flow_id = flow_id
        self.event = event
        self.make = make
        self.waiter = waiter
        self.outbox_id = outbox_id


Packet = tuple[str, bytes]
"""What a peer sent: its authenticated name and the bytes."""


class Turn:
    """What one batch will write, and what is told after it is written."""

    __slots__ = (
        "acks",
        "audit",
        "batch",
        "ended",
        "later",
        "logs",
        "moves",
        "resumed",
        "taken",
        "timers",
        "waiters",
    )

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.taken: list[Job | Packet] = []
        self.acks: dict[str, list[int]] = {}
        self.resumed: dict[int, None] = {}
        self.timers: list[tuple[int, int]] = []
        self.ended: list[tuple[int, Outcome]] = []
        self.moves: list[tuple[int, ProgressEvent]] = []
        self.logs: list[tuple[int, str, str]] = []
        self.audit: list[tuple[Any, ...]] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.later: list[Job] = []

    def acknowledge(self, peer: str, outbox_id: int) -> None:
        if outbox_id:
            self.acks.setdefault(peer, []).append(outbox_id)
