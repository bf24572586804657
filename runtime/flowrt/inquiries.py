"""What is asked of a node from outside beside its steps: one flow, who asked for it, what has
ended, the audit trail, peers. Changes nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from flowrt.core.commit import Task
from flowrt.core.flow import FlowError
from flowrt.core.session import INVITED, NEW, OPEN, OVER
from flowrt.core.values import BadBytes, SessionState, decode, decode_checkpoint
from flowrt.events import CLAIMED, CODE, DRAINED, SCHEDULED
from flowrt.hospital import treatment
from flowrt.people import People
from flowrt.store import Ended
from flowrt.store.chain import Link
from flowrt.views import FlowView, time_of, view


class SessionView(msgspec.Struct, frozen=True):
    """One of a flow's conversations. `status` is "opening", "open" or "over"; the owner's has the
    peer ""."""

    number: int
    peer: str
    status: str
    sent: int
    received: int
    unread: int


class AuditedEntry(NamedTuple):
    """One thing that happened: to which flow (0: none), at which of its steps, of what kind, what
    it logged; and where a person is behind it, who, why and what."""

    flow: int
    step: int
    event: str
    logs: tuple[str, ...] = ()
    by: str | None = None
    reason: str | None = None
    said: str | None = None


class Audited(NamedTuple):
    """What was committed together: its number in the trail, when, the chain's digest after it."""

    number: int
    at: datetime.datetime
    digest: bytes
    entries: list[AuditedEntry]


_EVENTS = {code: kind.__name__ for kind, code in CODE.items()} | {
    DRAINED: "Drained",
    CLAIMED: "Claimed",
    SCHEDULED: "Scheduled",
}

_STATUS = {NEW: "opening", INVITED: "opening", OPEN: "open", OVER: "over"}


class Inquiries(People):
    """What can be looked at."""

    def flow(self, flow_id: int) -> FlowView:
        """One living flow. KeyError if it is none."""
        self.refuse_if_stopped()
        row = next(self._store.flows(flow_id - 1), None)
        if row is None or row.flow_id != flow_id:
            raise KeyError(flow_id)
        return view(row, self.registry)

    def each_flow(self, after: int = 0) -> Iterator[FlowView]:
        """The living flows with larger ids, by id, read as they are asked for."""
        self.refuse_if_stopped()
        return (view(row, self.registry) for row in self._store.flows(after))

    def ended(self, flow_id: int) -> Ended | None:
        """How and when a flow ended; None if it lives, is forgotten or never was."""
        self.refuse_if_stopped()
        found = self._store.outcomes(flow_id - 1, 1)
        return found[0] if found and found[0].flow_id == flow_id else None

    def outcomes(self, after: int, limit: int) -> list[Ended]:
        """Flows that ended and are not purged, with larger ids than `after`, at most `limit`."""
        self.refuse_if_stopped()
        return self._store.outcomes(after, limit)

    def client_of(self, flow_id: int) -> str | None:
        """Under which name somebody asked for a flow; None if nobody named it."""
        self.refuse_if_stopped()
        return self._store.client_of(flow_id)

    def flows_of(self, prefix: str, after: int, limit: int) -> list[int]:
        """The ids, above `after`, of flows asked for under names that begin so, at most `limit`."""
        self.refuse_if_stopped()
        return self._store.flows_of(prefix, after, limit)

    def known_client(self, client: str) -> bool:
        """Whether a flow was asked for under that name."""
        self.refuse_if_stopped()
        return client in self._asked or self._store.client(client) is not None

    def holder(self, name: str, key: str) -> int | None:
        """The living flow of that name (without its version) and business key."""
        self.refuse_if_stopped()
        return self._store.holder(name, key)

    def count(self) -> tuple[int, int]:
        """How many flows live, and of how many that ended the outcome is kept."""
        self.refuse_if_stopped()
        return self._store.count()

    def sessions(self, flow_id: int) -> list[SessionView]:
        """A living flow's conversations. None of a flow that cannot be read."""
        self.refuse_if_stopped()
        data = self._store.load(flow_id)
        try:
            checkpoint = decode_checkpoint(data, lambda name: Any) if data is not None else None
        except BadBytes:
            checkpoint = None
        return [_session(one) for one in checkpoint.sessions] if checkpoint is not None else []

    def variables(self, flow_id: int) -> Mapping[str, Any]:
        """The types of the variables of a patient that can be changed, by name. KeyError if the
        flow is not in the hospital. Raises NotAccepted if it cannot be read."""
        self._must_be_patient(flow_id)
        return treatment.variables(flow_id, self._store.load(flow_id), self.registry)

    def throwable(self, flow_id: int) -> Mapping[str, type[FlowError]]:
        """The declared errors that can be thrown into a patient, by name. Raises as `variables`."""
        self._must_be_patient(flow_id)
        return treatment.errors(flow_id, self._store.load(flow_id), self.registry)

    @property
    def now(self) -> datetime.datetime:
        """What the node's clock says, in UTC."""
        return time_of(self._clock())

    @property
    def begun(self) -> int:
        """How many flows were ever begun here."""
        return self._next_flow - 1

    @property
    def commits(self) -> int:
        """How many batches the store has written."""
        return self._commits

    @property
    def in_hospital(self) -> int:
        """How many flows are in the hospital."""
        return len(self._ward)

    def audited(self, after: int, limit: int) -> list[Audited]:
        """Rows of the audit trail with larger numbers than `after`, at most `limit`."""
        self.refuse_if_stopped()
        return [
            Audited(link.number, time_of(link.at_us), link.digest, _entries(link.entries))
            for link in self._store.links(after, limit)
        ]

    def links(self, after: int, limit: int) -> list[Link]:
        """The same as it is written."""
        self.refuse_if_stopped()
        return self._store.links(after, limit)

    def open_tasks(self) -> dict[tuple[int, int], Task]:
        """Every question that nobody has answered, by flow and number; those that are overdue, or
        whose flow is not installed, too."""
        self.refuse_if_stopped()
        found = (decode(Task, data) for data in self._store.tasks())
        return {(task.flow_id, task.number): task for task in found}


def _session(session: SessionState) -> SessionView:
    status = "over" if session.closed else _STATUS.get(session.status, "over")
    return SessionView(
        session.id, session.peer, status, session.sent, session.expected, len(session.inbox)
    )


def _entries(data: bytes) -> list[AuditedEntry]:
    try:
        rows = decode(list[Any], data)
    except BadBytes:
        return []
    found = []
    for flow, step, code, *rest in rows:
        logs = tuple(f"{level}: {text}" for level, text in rest[0]) if rest else ()
        note = (rest[1] if len(rest) > 1 else None) or (None, None, None)
        found.append(AuditedEntry(flow, step, _EVENTS.get(code, str(code)), logs, *note))
    return found
