"""A store in memory whose commits go wrong as the tape says. Knows batches, no flows."""

from __future__ import annotations

from collections.abc import Callable

from flowrt.sim.faults import (
    CRASH_AFTER,
    CRASH_BEFORE,
    FATES,
    REFUSED,
    UNKNOWN_DONE,
    UNKNOWN_UNDONE,
)
from flowrt.sim.violation import Violation
from flowrt.store import Batch, Opened, OutcomeUnknown, StoreError, Unwritable
from flowrt.store.memory import MemoryDisk, MemoryStore


class Crash(BaseException):
    """The process is gone. No handler of the product catches it."""


class SimStore(MemoryStore):
    """One process's view of a party's disk.

    `fate` says what befalls the next commit, `may_open` whether the process lives through opening;
    `written` is told every batch that is on the disk, in the moment when it is; `refused` of each
    that is not.
    """

    def __init__(
        self,
        disk: MemoryDisk,
        fate: Callable[[Batch], int],
        opening: Callable[[], None],
        written: Callable[[Batch], None],
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(disk)
        self._fate = fate
        self._opening = opening
        self._written = written
        self._refused = refused

    def open(self, party: str) -> Opened:
        self._opening()
        return super().open(party)

    def commit(self, batch: Batch) -> None:
        fate = self._fate(batch) if self._epoch == self.disk.epoch else 0
        if fate == CRASH_BEFORE:
            raise Crash
        if fate in (REFUSED, UNKNOWN_UNDONE):
            self.abandon()
            self._refused()
        else:
            is_stale = self._epoch != self.disk.epoch
            try:
                super().commit(batch)
            except StoreError:
                self._refused()
                raise
            if is_stale:
                raise Violation("I12", "a process wrote whose store another had opened since")
            self._written(batch)
        if fate == CRASH_AFTER:
            raise Crash
        if fate == REFUSED:
            raise Unwritable("the disk is full, or busy")
        if fate in (UNKNOWN_DONE, UNKNOWN_UNDONE):
            raise OutcomeUnknown(FATES[fate])
