"""One batch on its way: the events it took, what it will write, what is told once it is written."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import msgspec

from flowrt.core.engine import Event, Outcome
from flowrt.core.flow import Schedule
from flowrt.core.hospital import one_line
from flowrt.core.lineage import count_of, life_of
from flowrt.core.progress import ProgressEvent
from flowrt.core.values import Checkpoint, Failure, Reject, decode
from flowrt.operations import Wanted
from flowrt.store import Batch

_LOG = logging.getLogger("flowrt.node")

Client: TypeAlias = tuple[str, bytes]

Waiter: TypeAlias = "asyncio.Future[None] | concurrent.futures.Future[None]"


@functools.lru_cache(maxsize=256)
def mark_of(asker: bytes) -> int:
    """The number of who asks for a new flow: no flow has it for an id."""
    digest = hashlib.blake2b(asker, digest_size=8).digest()
    return int.from_bytes(digest) | 1 << 63


class Job:
    """One event for one flow. `make` builds the checkpoint of a flow that is not stored yet;
    `waiter` is told when the event is committed, or why it is not taken. `client` is the name under
    which somebody wants it, and a digest of what he wants. `mark` is what its step is known
    by to the next process: the flow's id, or for a new one a number of who asks for it. `by` is the
    person behind it, for the audit trail; `check` looks once more, in the batch that takes it,
    whether it may be, and says why not."""

    __slots__ = (
        "by",
        "check",
        "client",
        "event",
        "flow_id",
        "make",
        "mark",
        "outbox_id",
        "waiter",
    )

    def __init__(
        self,
        flow_id: int,
        event: Event,
        make: Callable[[], Checkpoint] | None = None,
        waiter: Waiter | None = None,
        outbox_id: int = 0,
        client: Client | None = None,
        asker: bytes = b"",
        by: str = "",
        check: Callable[[Turn], str | None] | None = None,
    ) -> None:
        self.flow_id = flow_id
        self.event = event
        self.make = make
        self.waiter = waiter
        self.outbox_id = outbox_id
        self.client = client
        self.by = by
        self.check = check
        self.mark = mark_of(asker) if asker else flow_id


class Firing:
    """A schedule that is due: to start its flow."""

    __slots__ = ("schedule",)

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule


@dataclasses.dataclass(frozen=True, slots=True)
class Appointed:
    """An entry of a service's diary that is due: to start its flow. `diary` is its number."""

    diary: int
    entry: int


class Deed:
    """What a person does that is no flow's step. `act` puts it into the batch, as often as that is
    tried, and raises NotAccepted if it cannot be done any more."""

    __slots__ = ("act", "waiter")

    def __init__(self, act: Callable[[Turn], None], waiter: Waiter | None) -> None:
        self.act = act
        self.waiter = waiter


class Severing:
    """That the store of `peer` has lost what it knew until its mark `last`, and begins anew with
    `mark`; or, where there is no peer, that our own store was a backup."""

    __slots__ = ("last", "mark", "peer")

    def __init__(self, peer: str, last: bytes, mark: bytes) -> None:
        self.peer = peer
        self.last = last
        self.mark = mark


ERRORS = (Failure, Reject)
"""What peers say that both sides log."""

Packet = tuple[str, bytes]
"""What a peer sent: its authenticated name and the bytes."""


class Turn:
    """What one batch will write, and what is told after it is written."""

    __slots__ = (
        "acks",
        "after",
        "allowed",
        "answers",
        "asked",
        "audit",
        "batch",
        "diaries",
        "discharged",
        "ended",
        "endings",
        "fired",
        "gone",
        "had_endings",
        "heard",
        "held",
        "later",
        "logs",
        "mark",
        "moves",
        "paused",
        "ran",
        "refused",
        "resumed",
        "settled",
        "taken",
        "timers",
        "unstarted",
        "visits",
        "waiters",
        "wanted",
    )

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.taken: list[Job | Firing | Appointed | Deed | Severing | Packet] = []
        self.mark = b""
        """With which mark of its sender's store the packet came that is read now."""
        self.acks: dict[tuple[str, bytes], list[int]] = {}
        """By peer and life of its store, for another life may number other rows the same."""
        self.held: dict[tuple[str, bytes], bytes] = {}
        """With which mark of that life the last of those came."""
        self.resumed: dict[int, None] = {}
        self.timers: list[tuple[int, int, bool]] = []
        self.ended: list[tuple[int, Outcome]] = []
        self.moves: list[tuple[int, ProgressEvent]] = []
        self.asked: list[str] = []
        self.logs: list[tuple[int, str, str]] = []
        self.audit: list[tuple[Any, ...]] = []
        self.waiters: list[Waiter] = []
        self.later: list[Job] = []
        self.endings: collections.deque[Job] = collections.deque()
        self.refused: list[tuple[Waiter, Exception]] = []
        self.wanted: list[Wanted] = []
        self.unstarted: list[tuple[int, Exception]] = []
        self.allowed: list[tuple[int, list[int]]] = []
        self.fired: list[tuple[str, int]] = []
        self.settled: list[tuple[int, int]] = []
        self.paused: set[int] = set()
        self.ran: set[int] = set()
        """The flows of which more is in the batch than what was put into their inbox."""
        self.gone: list[int] = []
        self.visits: list[tuple[int, int]] = []
        self.discharged: list[int] = []
        self.answers: set[int] = set()
        self.had_endings = False
        self.after: list[Callable[[], None]] = []
        """What is done in memory once the batch is written."""
        self.diaries = False
        """Whether a service's diary was written."""
        self.heard: list[tuple[int, str, int, Failure | Reject]] = []

    def acknowledge(self, peer: str, outbox_id: int) -> None:
        """Tell a peer, after the commit, that the row is here which is read now."""
        if not outbox_id:
            return
        mark = self.mark
        key = peer, life_of(mark)
        self.acks.setdefault(key, []).append(outbox_id)
        if count_of(mark) >= count_of(self.held.get(key, b"")):
            self.held[key] = mark


class Observer(Protocol):
    """Who sees what was done, after it is written and told; changes nothing and raises nothing."""

    def told(self, turn: Turn, incarnation: bytes) -> None:
        """This batch is written, in a store of that incarnation."""

    def close(self) -> None:
        """There are no more: the node stops."""


def log_errors(party: str, turn: Turn) -> None:
    """Both sides of a session log an error under its id."""
    for flow_id, peer, session, content in turn.heard:
        what = content.reason if isinstance(content, Reject) else f"ends with {content.name}"
        said = (party, flow_id, peer, one_line(what), one_line(content.error_id))
        about = {"party": party, "flow_id": flow_id, "peer": peer, "error_id": content.error_id}
        _LOG.info("%s: flow %d hears of %s: %s (%s)", *said, extra={**about, "session": session})
    for flow_id, outcome in turn.ended:
        if outcome.error is not None:
            error_id = decode(tuple[msgspec.Raw, str, str | None, str], outcome.value)[1]
            ended = (party, flow_id, outcome.flow, outcome.error, error_id)
            about = {"party": party, "flow_id": flow_id, "error_id": error_id}
            _LOG.info("%s: flow %d (%s) ends with %s (%s)", *ended, extra=about)
