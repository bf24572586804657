"""Who is in the hospital of a node, and when each is looked at by itself. Few bytes for each.

Keeps what the store's rows say, and reads no flow; the loop looks at whom it names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from flowrt.core.hospital import ENDS, FAILED, Patient
from flowrt.core.values import MAX_TEXT
from flowrt.timers import Timers

BEDS = 1000
"""Of the flows that one peer invited so many may wait here for a person; the next one that fails
ends, so that nobody can fill the hospital from outside."""


class Known(NamedTuple):
    """What is remembered of a patient: see `Patient`; `cause` only of one that is to be ended."""

    kind: str = FAILED
    tries: int = 0
    next_us: int = 0
    next: str = ""
    peer: str = ""
    cause: str = ""


class Ward:
    """The patients of one node, by flow id."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._beds: Counter[str] = Counter()
        self.visits = Timers()

    def __contains__(self, flow_id: object) -> bool:
        return flow_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def get(self, flow_id: int) -> Known | None:
        """What is known of a patient; None if the flow is none."""
        return self._known.get(flow_id)

    def load(self, patients: Iterable[Patient]) -> None:
        """Begin anew with these."""
        self._known.clear()
        self._beds.clear()
        self.visits.clear()
        for patient in patients:
            self.admit(patient)
            if patient.next:
                self.visits.set(patient.next_us, patient.flow_id)

    def admit(self, patient: Patient) -> None:
        """A flow comes, or what is known of it changes. It is looked at only when the loop has
        written that, and sets `visits`."""
        self.discharge(patient.flow_id)
        cause = patient.cause[:MAX_TEXT] if patient.next == ENDS else ""
        self._known[patient.flow_id] = Known(
            patient.kind, patient.tries, patient.next_us, patient.next, patient.peer, cause
        )
        if patient.peer:
            self._beds[patient.peer] += 1

    def visited(self, flow_id: int) -> None:
        """A patient's time has come, and is used."""
        known = self._known[flow_id]
        self._known[flow_id] = known._replace(next="", next_us=0)

    def begin_anew(self, flow_id: int) -> None:
        """A person tries: what was tried before without one does not count any more."""
        known = self._known.get(flow_id)
        if known is not None:
            self._known[flow_id] = known._replace(tries=0, next="", next_us=0)

    def discharge(self, flow_id: int) -> None:
        """A flow leaves, if it was here."""
        known = self._known.pop(flow_id, None)
        if known is not None and known.peer:
            self._beds[known.peer] -= 1
            if not self._beds[known.peer]:
                del self._beds[known.peer]

    def is_full(self, peer: str, flow_id: int) -> bool:
        """Whether another flow that this peer invited finds no bed."""
        return bool(peer) and flow_id not in self._known and self._beds[peer] >= BEDS
