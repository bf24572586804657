"""What states want done by the clock, as the vault's diary: which of them, when. Starts nothing.

A state that is recorded and is ours puts its next activity in, in the transaction that records it;
who uses the state up takes it out. There is one for each state, as its own code says; what it says
is asked again when it is due. (Corda: SchedulableState, NodeSchedulerService.)
"""

from __future__ import annotations

import logging

from flowrt.agenda import Appointment
from flowrt.core.flow import Tx
from flowrt.core.hospital import one_line, text_of
from flowrt.core.values import decode
from flowrt.ledger.states import Rulebook, ScheduledActivity, State
from flowrt.ledger.transactions import Output
from flowrt.ledger.vault.records import Records, time_us
from flowrt.ledger.vault.tables import ref_parts
from flowrt.stdlib.ledger.parts_flow import StateRef
from flowrt.stdlib.ledger.vault_flow import Overdue

MAX_ARGUMENTS = 32
"""How many arguments an activity may have."""

MAX_WHY = 500
"""How much is kept of why something was not started."""

_ANY = "ledger_scheduled"

_LOG = logging.getLogger("flowrt.ledger")


class Scheduled:
    """The diary of one vault. An entry has the number of its state's row."""

    def __init__(self, rules: Rulebook, records: Records) -> None:
        self._rules = rules
        self._records = records
        self._next_us: int | None = None
        self._is_known = False
        """Whether `_next_us` is what the table says: it is asked once after it changed."""

    # --- what the vault does ---

    def set_up(self, tx: Tx) -> None:
        """What was refused is tried again: the node may have other flows now."""
        tx.execute("UPDATE ledger_scheduled SET refused = NULL WHERE refused IS NOT NULL")
        self._is_known = False

    def add(self, tx: Tx, row: int, state: State, ref: StateRef) -> None:
        """A state of ours is recorded."""
        found = _activity(state, ref, tx)
        if found is not None:
            self._put(tx, row, time_us(found.at))

    def remove(self, tx: Tx, row: int) -> None:
        """A state is used up."""
        if self._has_any(tx):
            tx.execute("DELETE FROM ledger_scheduled WHERE ref = ?", (row,))
            self._is_known = False

    @staticmethod
    def _has_any(tx: Tx) -> bool:
        """Whether anything is scheduled at all, as far as is known."""
        found: bool | None = tx.known.get(_ANY)
        if found is None:
            found = bool(tx.execute("SELECT 1 FROM ledger_scheduled LIMIT 1"))
            tx.known[_ANY] = found
        return found

    # --- what the node asks ---

    def next_due(self, tx: Tx) -> int | None:
        if not self._is_known:
            [(self._next_us,)] = tx.execute(
                "SELECT min(due_us) FROM ledger_scheduled WHERE refused IS NULL"
            )
            self._is_known = True
        return self._next_us

    def due(self, tx: Tx, now_us: int, most: int) -> list[int]:
        rows = tx.execute(
            "SELECT ref FROM ledger_scheduled WHERE refused IS NULL AND due_us <= ? "
            "ORDER BY due_us, ref LIMIT ?",
            (now_us, most),
        )
        return [row for (row,) in rows]

    def take(self, tx: Tx, entry: int) -> Appointment | None:
        rows = tx.execute(
            "SELECT s.output, d.due_us FROM ledger_scheduled d "
            "JOIN ledger_state s ON s.ref = d.ref WHERE d.ref = ? "
            "AND d.refused IS NULL AND s.consumed IS NULL",
            (entry,),
        )
        self.remove(tx, entry)
        if not rows:
            return None
        [(data, due_us)] = rows
        ref, found = self._wanted(tx, entry, data)
        if found is None:
            return None
        # A newer version of the state may want it at another time.
        if time_us(found.at) > time_us(tx.now) or due_us > time_us(tx.now):
            self._put(tx, entry, max(time_us(found.at), due_us))
            return None
        return Appointment(found.flow, {**found.arguments, "ref": ref})

    def put_off(self, tx: Tx, entry: int, until_us: int) -> None:
        self._put(tx, entry, until_us)

    def refuse(self, tx: Tx, entry: int, why: str) -> None:
        self._put(tx, entry, time_us(tx.now), why[:MAX_WHY])

    # --- what people ask ---

    def overdue(self, tx: Tx, most: int) -> tuple[Overdue, ...]:
        """States of ours that are still there, after their time, and have no entry that is due."""
        found: list[Overdue] = []
        rows = tx.execute(
            "SELECT s.ref, s.output, d.refused FROM ledger_state s "
            "LEFT JOIN ledger_scheduled d ON d.ref = s.ref "
            "WHERE s.consumed IS NULL AND s.relevant = 1 "
            "AND (d.ref IS NULL OR d.refused IS NOT NULL) ORDER BY s.ref"
        )
        for row, data, refused in rows:
            if len(found) >= most:
                break
            ref, wanted = self._wanted(tx, row, data)
            if wanted is not None and wanted.at <= tx.now:
                found.append(Overdue(ref, wanted.flow, wanted.at, refused))
        return tuple(found)

    def again(self, tx: Tx, row: int, ref: StateRef) -> bool:
        """Start the flow that a state of ours wants now, or when it wants that; False if there is
        no such state any more, or it wants nothing."""
        rows = tx.execute(
            "SELECT output FROM ledger_state WHERE ref = ? AND consumed IS NULL AND relevant = 1",
            (row,),
        )
        wanted = self._wanted(tx, row, rows[0][0])[1] if rows else None
        if wanted is None:
            return False
        self._put(tx, row, max(time_us(wanted.at), time_us(tx.now)))
        return True

    def _wanted(self, tx: Tx, row: int, data: bytes) -> tuple[StateRef, ScheduledActivity | None]:
        output: Output = decode(Output, data)
        state = self._rules.read_state(output.schema, output.version, output.data)
        number, index = ref_parts(row)
        if getattr(state, "next_activity", None) is None:
            return StateRef(b"", index), None  # Most states: nothing else is read for them.
        ref = StateRef(self._records.ids(tx, [number])[number], index)
        return ref, _activity(state, ref, tx)

    def _put(self, tx: Tx, row: int, due_us: int, refused: str | None = None) -> None:
        tx.execute(
            "INSERT INTO ledger_scheduled VALUES (?, ?, ?) "
            "ON CONFLICT (ref) DO UPDATE SET due_us = excluded.due_us, refused = excluded.refused",
            (row, due_us, refused),
        )
        tx.known[_ANY] = True
        self._is_known = False


def _activity(state: State, ref: StateRef, tx: Tx) -> ScheduledActivity | None:
    """What a state wants done. Its code is somebody's: what it cannot say, or says as no activity,
    is nothing, and keeps nobody from recording it."""
    asked = getattr(state, "next_activity", None)
    if asked is None:
        return None
    try:
        found = asked(ref, tx.me)
        if found is None:
            return None
        if type(found) is not ScheduledActivity or found.at.utcoffset() is None:
            raise TypeError("it gives a ScheduledActivity with a time in UTC")
        if not isinstance(found.flow, str) or len(found.arguments) > MAX_ARGUMENTS:
            raise TypeError(f"an activity names a flow and has at most {MAX_ARGUMENTS} arguments")
    except Exception as error:
        text = one_line(text_of(error))
        _LOG.warning("%s: %s.next_activity: %s", tx.me.name, type(state).__name__, text)
        return None
    return found
