"""What an operator does with flows and a node: retry, retry with changes, throw an error in, kill,
pause, resume, drain, purge.

Runs nothing itself: it puts an event before the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Mapping

from flowrt.core import engine
from flowrt.core.engine import RESUME, Event, Kill, Pause, Retry, Told
from flowrt.core.flow import FlowError
from flowrt.core.hospital import PAUSED, Patient
from flowrt.core.values import BadBytes, decode
from flowrt.core.waiting import open_events
from flowrt.events import DRAINED
from flowrt.hospital.treatment import PatientView, change, throw, view
from flowrt.starting import Starting
from flowrt.store import Purged
from flowrt.store.chain import Verified, verify
from flowrt.turn import Deed, Job, Turn, Waiter

PURGED_AT_ONCE = 1000
"""How many flows one call of `purge` forgets, if nothing else is said."""


class Control(Starting):
    """What operators can reach into. `by` is who does it, `reason` why: both are kept."""

    def hospital(self) -> list[Patient]:
        """The flows that failed and wait for an operator, by id."""
        self.refuse_if_stopped()
        return [decode(Patient, patient) for patient in self._store.patients()]

    def patients(self) -> list[PatientView]:
        """The flows in the hospital, by id, for people: with their variables, the source line, what
        happens by itself and what can be done."""
        return [self._view(patient) for patient in self.hospital()]

    def patient(self, flow_id: int) -> PatientView:
        """One flow in the hospital. KeyError if it is not there."""
        return self._view(self._patient(flow_id))

    def _view(self, patient: Patient) -> PatientView:
        return view(patient, self._store.load(patient.flow_id), self.registry)

    async def retry(self, flow_id: int, *, by: str = "", reason: str = "") -> None:
        """Let a flow of the hospital try again; returns when that step is committed. It is
        discharged only if the step passed. KeyError if it is not in the hospital."""
        waiter = asyncio.get_running_loop().create_future()
        self.submit_retry(flow_id, waiter, by=by, reason=reason)
        await waiter

    def submit_retry(
        self, flow_id: int, waiter: Waiter | None = None, *, by: str = "", reason: str = ""
    ) -> None:
        """Like `retry`, but does not wait: `turn` does it."""
        self._must_be_patient(flow_id)
        self._unloadable.discard(flow_id)
        self._put(flow_id, Retry(by, reason), waiter)

    async def retry_with(
        self,
        flow_id: int,
        changes: Mapping[str, object] | None = None,
        /,
        *,
        by: str,
        reason: str,
        **variables: object,
    ) -> None:
        """Change variables of a flow of the hospital, and let it try again; returns when that is
        committed. They are those of the state in which it rests (`patient(…).frames[-1]`); what a
        flow calls `by` or `reason` stands in `changes`. The change stays, though the step fails
        again; the audit trail keeps it.

        Raises:
            KeyError: the flow is not in the hospital.
            TypeError: it has no such variable there, or that is of another type.
            NotAccepted: it has moved on in between, or cannot be loaded.
            NodeStopped: the node stops first.
        """
        waiter = asyncio.get_running_loop().create_future()
        values = {**(changes or {}), **variables}
        self.submit_change(flow_id, values, waiter, by=by, reason=reason)
        await waiter

    def submit_change(
        self,
        flow_id: int,
        values: Mapping[str, object],
        waiter: Waiter | None = None,
        *,
        by: str,
        reason: str,
    ) -> None:
        """Like `retry_with`, but does not wait: `turn` does it."""
        self._must_be_patient(flow_id)
        data = self._store.load(flow_id)
        self._put(flow_id, change(flow_id, data, self.registry, values, by, reason), waiter)

    async def throw(self, flow_id: int, error: FlowError, *, by: str, reason: str) -> None:
        """Throw a declared error where a flow of the hospital rests, so that what catches it there
        goes on; returns when that step is committed. What the flow would have gone on with, such
        as the message that its step failed with, is passed over. If nothing catches the error, the
        flow ends with it, and its peers learn of it.

        Raises:
            KeyError: the flow is not in the hospital.
            TypeError: no flow under way there can name the error, or a field is of another type.
            NotAccepted: it has left the hospital in between, or cannot be loaded.
            NodeStopped: the node stops first.
        """
        waiter = asyncio.get_running_loop().create_future()
        self.submit_throw(flow_id, error, waiter, by=by, reason=reason)
        await waiter

    def submit_throw(
        self, flow_id: int, error: FlowError, waiter: Waiter | None = None, *, by: str, reason: str
    ) -> None:
        """Like `throw`, but does not wait: `turn` does it."""
        self._must_be_patient(flow_id)
        data = self._store.load(flow_id)
        self._put(flow_id, throw(flow_id, data, self.registry, error, by, reason), waiter)

    async def kill(self, flow_id: int, *, by: str, reason: str) -> None:
        """End a flow, whatever it waits for, running or in the hospital, installed or not.

        Nothing of its own code runs, so nothing catches it. Its result is the error FlowKilled; its
        peers, and the flow that started it, learn that it ended; its business key is free; what it
        asked people is closed; an external operation under way goes on, and nobody hears of its
        end. Flows that it started live on. A flow that has ended already stays as it ended.

        Raises:
            KeyError: there never was such a flow here, or it is forgotten.
            NodeStopped: the node stops first.
        """
        waiter = asyncio.get_running_loop().create_future()
        self.submit_kill(flow_id, waiter, by=by, reason=reason)
        await waiter

    def submit_kill(
        self, flow_id: int, waiter: Waiter | None = None, *, by: str, reason: str
    ) -> None:
        """Like `kill`, but does not wait: `turn` does it."""
        self._must_be_known(flow_id)
        self._put(flow_id, Kill(by, reason), waiter)

    async def pause(self, flow_id: int, *, by: str, reason: str) -> None:
        """Let a flow rest until `resume`: it keeps what comes, and does not go on. Its deadlines
        pass meanwhile, and are seen when it goes on. One in the hospital is not tried again by
        itself any more, and else stays as it is.

        Raises as `kill` does."""
        waiter = asyncio.get_running_loop().create_future()
        self.submit_pause(flow_id, waiter, by=by, reason=reason)
        await waiter

    def submit_pause(
        self, flow_id: int, waiter: Waiter | None = None, *, by: str, reason: str
    ) -> None:
        """Like `pause`, but does not wait: `turn` does it."""
        self._must_be_known(flow_id)
        self._put(flow_id, Pause(by, reason), waiter)

    async def resume(self, flow_id: int, *, by: str = "", reason: str = "") -> None:
        """Let a paused flow go on. KeyError if it is not paused: one that failed is retried."""
        waiter = asyncio.get_running_loop().create_future()
        self.submit_resume(flow_id, waiter, by=by, reason=reason)
        await waiter

    def submit_resume(
        self, flow_id: int, waiter: Waiter | None = None, *, by: str = "", reason: str = ""
    ) -> None:
        """Like `resume`, but does not wait: `turn` does it."""
        if self._patient(flow_id).kind != PAUSED:
            raise KeyError(flow_id)
        self._put(flow_id, Retry(by, reason), waiter)

    async def happened(self, event: str, *arguments: object) -> None:
        """Say that what an event of a service asks for with these arguments is so, where that came
        about outside of the node's steps: who waits for it asks again. Returns when those who go on
        have done so, and that is committed.

        Raises:
            TypeError: no service of this node has such an event, or it takes other arguments.
            NodeStopped: the node stops first.
        """
        waiter = asyncio.get_running_loop().create_future()
        self.submit_happened(event, *arguments, waiter=waiter)
        await waiter

    def submit_happened(self, event: str, *arguments: object, waiter: Waiter | None = None) -> None:
        """Like `happened`, but does not wait: `turn` does it."""
        self.refuse_if_stopped()
        found = self._tx.events.notice(event, arguments)
        if found is not None:
            self._put(0, Told(*found), waiter)
        elif waiter is not None:
            waiter.set_result(None)

    def submit_asking_again(self) -> None:
        """Have every flow ask again for the events that it waits for, where nobody says what has
        happened: in tests, or after a repair. It looks at every living flow."""
        self.refuse_if_stopped()
        for row in self._store.flows():
            with contextlib.suppress(BadBytes, KeyError):
                if open_events(self.registry.checkpoint(row.checkpoint)):
                    self._put(row.flow_id, RESUME, None)

    def _must_be_patient(self, flow_id: int) -> None:
        self.refuse_if_stopped()
        if flow_id not in self._ward:
            raise KeyError(flow_id)

    # --- the node ---

    @property
    def is_draining(self) -> bool:
        """Whether the node takes nothing new."""
        return self._draining

    async def drain(self, *, by: str) -> None:
        """Take nothing new: no flow starts, no invitation is accepted, no schedule fires; what
        lives goes on to its end. It stays so over restarts, until `undrain`. What it still waits
        for are its `flows`. Returns when that is committed."""
        await self._set_draining(True, by)

    async def undrain(self, *, by: str) -> None:
        """Take new flows again; schedules that came due meanwhile fire once."""
        await self._set_draining(False, by)

    async def _set_draining(self, on: bool, by: str) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self.submit_draining(on, waiter, by=by)
        await waiter

    def submit_draining(self, on: bool, waiter: Waiter | None = None, *, by: str) -> None:
        """Like `drain` and `undrain`, but does not wait: `turn` does it."""
        self.refuse_if_stopped()

        def act(turn: Turn) -> None:
            turn.batch.draining = on
            what = "takes nothing new" if on else "takes new flows again"
            turn.audit.append((0, 0, DRAINED, [("warn", f"{what}: {engine.writable(by)}")]))
            turn.after.append(done)

        def done() -> None:
            self._draining = on

        self._ready.append(Deed(act, waiter))
        self._wake()

    def purge(
        self,
        before: datetime.datetime,
        limit: int = PURGED_AT_ONCE,
        *,
        audit_before: datetime.datetime | None = None,
    ) -> Purged:
        """Forget flows that ended before that time: results, progress, what was said to owners, the
        clients' names for them; and the audit trail of that time, or of before `audit_before`. At
        most `limit` of each, so that nobody waits long: call again as long as it says that there
        was something. `retention` does it by itself.

        Raises:
            NodeStopped: the node does nothing any more.
            StoreError: the store cannot do it now; nothing was forgotten.
        """
        self.refuse_if_stopped()
        audit_us = None if audit_before is None else int(audit_before.timestamp() * 1_000_000)
        return self._store.purge(int(before.timestamp() * 1_000_000), limit, audit_us)

    def verify_audit(self) -> Verified:
        """See whether the audit trail is as it was written. The digest of its last row, written
        down elsewhere, proves later that nothing before it was changed.

        Raises:
            Broken: a row is not as it was written; says which.
            NodeStopped: the node does nothing any more.
        """
        self.refuse_if_stopped()
        return verify(*self._store.chain())

    def _patient(self, flow_id: int) -> Patient:
        for patient in self.hospital():
            if patient.flow_id == flow_id:
                return patient
        raise KeyError(flow_id)

    def _must_be_known(self, flow_id: int) -> None:
        self.refuse_if_stopped()
        if self._store.load(flow_id) is None and self._store.outcome(flow_id) is None:
            raise KeyError(flow_id)

    def _put(self, flow_id: int, event: Event, waiter: Waiter | None) -> None:
        self._ready.append(Job(flow_id, event, None, waiter))
        self._wake()
