"""What must hold in every hospital: retries in time and within limits, nobody discharged unhealed.

Looks at the rows of one party, batch by batch; knows no world.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowrt.core.flow import Flow
from flowrt.core.hospital import AGAIN, ENDS, FAILED, HELD, Patient
from flowrt.core.values import decode
from flowrt.policies import LIMIT
from flowrt.sim.violation import Violation
from flowrt.store import Batch

_AGAIN, _END = 11, 14
"""How the audit trail writes a retry by itself, and an end by a policy."""


class Treated:
    """The judge of one party's hospital (I23). Every method raises Violation."""

    def __init__(self, party: str, flows: Iterable[type[Flow[Any]]]) -> None:
        remedies = [remedy for flow in flows for remedy in flow.remedies.values()]
        self._party = party
        self._most = max([LIMIT, *[remedy.retries for remedy in remedies]])
        self._patients: dict[int, Patient] = {}

    def committed(self, batch: Batch, passed: set[int]) -> None:
        """A batch is on the disk; the steps of the flows in `passed` went through in it."""
        entries = decode(list[tuple[Any, ...]], batch.audit) if batch.audit else []
        for flow_id, _, code, *_ in entries:
            if code in (_AGAIN, _END):
                self._was_due(flow_id, AGAIN if code == _AGAIN else ENDS, batch.now_us)
        for flow_id, row in batch.patients.items():
            if row is None:
                self._is_well(flow_id, flow_id in passed or batch.flows.get(flow_id, 0) is None)
                self._patients.pop(flow_id, None)
                continue
            patient = decode(Patient, row)
            before = self._patients.get(flow_id)
            tries = before.tries if before is not None else 0
            retried = any(one[0] == flow_id and one[2] == _AGAIN for one in entries)
            least = (tries if retried else 0) + (patient.next == AGAIN)
            if not least <= patient.tries <= min(tries + 1, self._most):
                self._violates(flow_id, f"is tried number {patient.tries} after number {tries}")
            if patient.next and patient.next_us < batch.now_us:
                self._violates(flow_id, "is to be tried before it failed")
            self._patients[flow_id] = patient

    def rests(self) -> None:
        """Nothing more happens by itself."""
        for flow_id, patient in self._patients.items():
            if patient.next:
                raise Violation("L", f"{self._name(flow_id)} was to be looked at, and is not")

    def _was_due(self, flow_id: int, wanted: str, now_us: int) -> None:
        patient = self._patients.get(flow_id)
        if patient is None or patient.next != wanted:
            self._violates(flow_id, f"has a {wanted} that nobody ordered")
        elif now_us < patient.next_us:
            self._violates(flow_id, f"has its {wanted} {patient.next_us - now_us} us early")

    def _is_well(self, flow_id: int, has_passed: bool) -> None:
        patient = self._patients.get(flow_id)
        if patient is not None and patient.kind in (FAILED, HELD) and not has_passed:
            self._violates(flow_id, "is discharged, and its step has not passed")

    def _name(self, flow_id: int) -> str:
        return f"patient {flow_id} of {self._party}"

    def _violates(self, flow_id: int, text: str) -> None:
        raise Violation("I23", f"{self._name(flow_id)} {text}")
