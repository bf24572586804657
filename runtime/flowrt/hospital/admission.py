"""How flows come to the hospital of a node and leave it: the verdict, the patient's row, what the
flow's tracker says of it.

Writes nothing itself: it puts rows into the batch. When a patient is looked at again, the ward
knows and the loop does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from flowrt.core.commit import Commit, World
from flowrt.core.engine import Event, Pause, writable
from flowrt.core.flow import Remedy
from flowrt.core.hospital import (
    AGAIN,
    ENDS,
    FAILED,
    HELD,
    LOST,
    Patient,
    event_of,
    inviter_of,
    one_line,
)
from flowrt.core.progress import (
    ENDING,
    IN_HOSPITAL,
    RETRYING,
    TROUBLE,
    WELL,
    Detail,
    ProgressEvent,
    path_of,
)
from flowrt.core.progress import HELD as IS_HELD
from flowrt.core.progress import PAUSED as IS_PAUSED
from flowrt.core.registry import unversioned
from flowrt.core.values import MAX_TEXT, Checkpoint, encode
from flowrt.core.waiting import runs_outside
from flowrt.hospital.source_lines import place_of
from flowrt.hospital.ward import Ward
from flowrt.policies import SOONEST_US, Failure, Policy, Verdict, Wait, decided
from flowrt.policies import End as Ends
from flowrt.policies import Retry as TryAgain
from flowrt.turn import Turn

TOLD = 10
"""So many retries in a row the tracker tells one by one; then those whose number is a power of two,
so that what fails for ever leaves few events."""

_LOG = logging.getLogger("flowrt.node")


class EndsItsProcess(Exception):
    """A step that ends its process whenever it runs."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} processes in a row have ended in this step: killed, out of memory, or by a "
            "fault in native code. It runs again only when a person says so"
        )


class Admission:
    """The hospital's door: `ward` is who is inside, `world` what a batch is lent."""

    def __init__(self, party: str, world: World, ward: Ward, policy: Policy | None) -> None:
        self._party = party
        self._world = world
        self._registry = world.registry
        self._ward = ward
        self._policy = policy

    def admit(
        self,
        flow_id: int,
        checkpoint: Checkpoint,
        commit: Commit,
        cause: str,
        trace: str,
        turn: Turn,
        kind: str = FAILED,
        *,
        error: Exception | None = None,
        once: bool = False,
        remedies: Mapping[str, Remedy] | None = None,
    ) -> None:
        """A flow comes, or has failed again. What its tracker says is added to the commit; one that
        holds itself or is paused has said that already (`tells`)."""
        frame = checkpoint.frames[-1]
        state = type(frame.state)
        known = self._ward.get(flow_id)
        tries = known.tries if known is not None else 0
        responds = self._registry.classes[checkpoint.frames[0].flow].responds_to is not None
        peer = inviter_of(checkpoint, responds)
        now_us = self._world.now_us
        verdict: Verdict = Wait()
        if kind in (FAILED, LOST):
            chance = self._world.secret(flow_id, checkpoint.steps, b"retry")
            failure = Failure(
                flow_id,
                frame.flow,
                state.__name__,
                state.place,
                kind,
                cause,
                error,
                once,
                tries,
                peer,
                self.remedies(checkpoint) if remedies is None else remedies,
                int.from_bytes(chance[:4]) / 2**32,
            )
            verdict = decided(self._policy, failure)
        doing, next_us, told = "", 0, IN_HOSPITAL
        if type(verdict) is TryAgain:
            doing, tries, told = AGAIN, tries + 1, RETRYING
            next_us = now_us + max(SOONEST_US, math.ceil(verdict.after_s * 1e6))
            said = f"failed, and is tried again (number {tries})"
        elif type(verdict) is Ends or self._ward.is_full(peer, flow_id):
            doing, next_us, told = ENDS, now_us, ENDING
            said = "failed, and is ended"
        else:
            said = "is in the hospital"
        line = place_of(error) if error is not None else ""
        patient = Patient(
            flow_id,
            frame.flow,
            state.__name__,
            state.place,
            cause,
            now_us,
            trace,
            kind,
            tries,
            next_us,
            doing,
            event_of(checkpoint),
            peer,
            line,
        )
        self._ward.admit(patient)
        if doing:
            turn.visits.append((next_us, flow_id))
        turn.paused.add(flow_id)
        turn.batch.patients[flow_id] = encode(patient)
        if kind in (FAILED, LOST) and not (told == RETRYING and _is_too_often(tries)):
            self.tell(checkpoint, commit, told, said, patient)
        _LOG.log(
            logging.WARNING if doing == AGAIN else logging.ERROR,
            "%s: flow %d (%s at %s) %s: %s",
            self._party,
            flow_id,
            frame.flow,
            line or state.place,
            said,
            one_line(cause),
            extra={"party": self._party, "flow_id": flow_id},
        )

    def remedies(self, checkpoint: Checkpoint) -> Mapping[str, Remedy]:
        """What the flows under way say of a failure: of each cause the innermost that says
        something."""
        said: dict[str, Remedy] = {}
        for frame in checkpoint.frames:
            said.update(self._registry.classes[frame.flow].remedies)
        return said

    # --- leaving ---

    def is_cured(self, flow_id: int, checkpoint: Checkpoint, commit: Commit) -> bool:
        """Whether the flow is a patient and has passed what it was admitted for."""
        known = self._ward.get(flow_id)
        if known is None or checkpoint.admitted:
            return False
        if known.kind == LOST:
            return not runs_outside(checkpoint)
        return commit.ran or not checkpoint.frames or known.kind not in (FAILED, HELD)

    def discharge(self, flow_id: int, turn: Turn) -> None:
        """It leaves."""
        self._ward.discharge(flow_id)
        turn.batch.patients[flow_id] = None
        turn.discharged.append(flow_id)

    def is_due(self, flow_id: int, turn: Turn) -> bool:
        """Whether a patient is to be tried again, or ended, now: much may have happened since its
        time was set."""
        known = self._ward.get(flow_id)
        if known is None or not known.next:
            return False
        if known.next_us > self._world.now_us:
            turn.visits.append((known.next_us, flow_id))
            return False
        return True

    # --- what the tracker says ---

    def tells(self, event: Event, checkpoint: Checkpoint, commit: Commit, is_cured: bool) -> None:
        """What the tracker says when a step has passed: that the flow holds itself, or is well
        again; or that somebody pauses it."""
        if commit.held is not None:
            self._tell(checkpoint, commit, "is held", Detail(TROUBLE, 0, IS_HELD, commit.held))
        elif type(event) is Pause:
            detail = Detail(TROUBLE, 0, IS_PAUSED, writable(event.reason)[:MAX_TEXT])
            self._tell(checkpoint, commit, f"is paused by {writable(event.by)}"[:MAX_TEXT], detail)
        elif is_cured and commit.outcome is None:
            self._tell(checkpoint, commit, "", Detail(WELL))

    def tell(
        self, checkpoint: Checkpoint, commit: Commit, state: str, said: str, patient: Patient
    ) -> None:
        """What it says of a failure."""
        cause = patient.cause[:MAX_TEXT]
        tries, next_us = patient.tries, patient.next_us
        detail = Detail(TROUBLE, 0, state, cause, patient.line, tries, next_us)
        self._tell(checkpoint, commit, said, detail)

    def _tell(self, checkpoint: Checkpoint, commit: Commit, said: str, detail: Detail) -> None:
        frames = checkpoint.frames
        if not frames:
            return
        if detail.kind == TROUBLE and not detail.place:
            detail = _placed(detail, frames[-1].state.place)
        path = path_of(frames, self._registry.step_names)
        flow, depth = unversioned(frames[-1].flow), len(frames) - 1
        commit.moves.append(ProgressEvent(checkpoint.moves, flow, depth, path, said, detail=detail))
        checkpoint.moves += 1


def _placed(detail: Detail, place: str) -> Detail:
    return Detail(detail.kind, 0, detail.state, detail.cause, place, detail.tries, detail.next_us)


def _is_too_often(tries: int) -> bool:
    return tries > TOLD and tries & (tries - 1) != 0
