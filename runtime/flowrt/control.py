"""What an operator does with flows and a node: retry, kill, pause, resume, drain, purge.

Runs nothing itself: it puts an event before the loop.
"""

from __future__ import annotations

import asyncio
import datetime

from flowrt.core.engine import RETRY, Event, Kill, Pause
from flowrt.core.hospital import PAUSED, Patient
from flowrt.core.values import decode
from flowrt.starting import Starting
from flowrt.store import Purged
from flowrt.turn import Draining, Job, Waiter

PURGED_AT_ONCE = 1000
"""How many flows one call of `purge` forgets, if nothing else is said."""


class Control(Starting):
    """What operators can reach into. `by` is who does it, `reason` why: both are kept."""

    def hospital(self) -> list[Patient]:
        """The flows that failed and wait for an operator, by id."""
        self.refuse_if_stopped()
        return [decode(Patient, patient) for patient in self._store.patients()]

    async def retry(self, flow_id: int) -> None:
        """Let a flow of the hospital try again; returns when that step is committed. It is
        discharged only if the step passed. KeyError if it is not in the hospital."""
        waiter = asyncio.get_running_loop().create_future()
        self.submit_retry(flow_id, waiter)
        await waiter

    def submit_retry(self, flow_id: int, waiter: Waiter | None = None) -> None:
        """Like `retry`, but does not wait: `turn` does it."""
        self._patient(flow_id)
        self._unloadable.discard(flow_id)
        self._put(flow_id, RETRY, waiter)

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
        pass meanwhile, and are seen when it goes on. No more than that for one in the hospital.

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

    async def resume(self, flow_id: int) -> None:
        """Let a paused flow go on. KeyError if it is not paused: one that failed is retried."""
        waiter = asyncio.get_running_loop().create_future()
        self.submit_resume(flow_id, waiter)
        await waiter

    def submit_resume(self, flow_id: int, waiter: Waiter | None = None) -> None:
        """Like `resume`, but does not wait: `turn` does it."""
        if self._patient(flow_id).kind != PAUSED:
            raise KeyError(flow_id)
        self._put(flow_id, RETRY, waiter)

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
        self._ready.append(Draining(on, by, waiter))
        self._wake()

    def purge(self, before: datetime.datetime, limit: int = PURGED_AT_ONCE) -> Purged:
        """Forget flows that ended before that time: results, progress, what was said to owners, the
        clients' names for them; and the audit trail of that time. At most `limit` of each, so that
        nobody waits long: call again as long as it says that there was something.

        Raises:
            NodeStopped: the node does nothing any more.
            StoreError: the store cannot do it now; nothing was forgotten.
        """
        self.refuse_if_stopped()
        return self._store.purge(int(before.timestamp() * 1_000_000), limit)

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
