"""Soft locks: which flow has reserved which states, and which wait for a notary. Moves no money.

A flow reserves states for itself; its reservations end with it. A state in a transaction in flight
waits for what the notary says, whatever becomes of the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flowrt.core.flow import Tx
from flowrt.ledger.vault.states import named, reserving
from flowrt.stdlib.ledger.core_flow import StatesUnavailable, TooLarge
from flowrt.stdlib.ledger.parts_flow import StateRef

MOST_REFS = 10_000
"""How many states are reserved at once, at most."""


def reserve(tx: Tx, refs: Sequence[StateRef]) -> None:
    """Reserve states for the running flow: all or none. Those that it has already stay its own.

    Raises:
        StatesUnavailable: names those that are used up, unknown or somebody else's.
        TooLarge: more than MOST_REFS.
    """
    if len(refs) > MOST_REFS:
        raise TooLarge(f"{len(refs)} states; {MOST_REFS} are reserved at once, at most")
    rows, refused = [], []
    for ref in dict.fromkeys(refs):
        row = _free(tx, ref)
        if row is None:
            refused.append(ref)
        elif row:
            rows.append(row)
    if refused:
        raise StatesUnavailable(tuple(refused))
    for row in rows:
        tx.execute("UPDATE ledger_state SET lock = ? WHERE ref = ?", (tx.flow_id, row))
    reserving(tx).add(tx.flow_id)


def _free(tx: Tx, ref: StateRef) -> int | None:
    """The row of a state that can be reserved; 0 if this flow has it, None if it cannot."""
    found = named(tx, ref)
    if found is None or found.output is None or found.consumed is not None:
        return None
    [(lock, pending)] = tx.execute(
        "SELECT lock, pending FROM ledger_state WHERE ref = ?", (found.row,)
    )
    if pending is not None:
        return None
    if lock is None:
        return found.row
    return 0 if abs(lock) == tx.flow_id else None


def pick(tx: Tx, rows: Sequence[int]) -> None:
    """The running flow puts these into a transaction: no later selection of it takes them again."""
    for row in rows:
        tx.execute("UPDATE ledger_state SET lock = ? WHERE ref = ?", (-tx.flow_id, row))
    reserving(tx).add(tx.flow_id)


def release(tx: Tx, flow_id: int) -> None:
    """A flow lets go of all that it has reserved."""
    if flow_id not in reserving(tx):
        return
    tx.execute("UPDATE ledger_state SET lock = NULL WHERE lock IN (?, ?)", (flow_id, -flow_id))
    reserving(tx).discard(flow_id)


def release_some(tx: Tx, refs: Sequence[StateRef]) -> None:
    """The running flow lets go of these; of what it has not reserved, nothing becomes."""
    for ref in refs:
        found = named(tx, ref)
        if found is not None:
            tx.execute(
                "UPDATE ledger_state SET lock = NULL WHERE ref = ? AND lock IN (?, ?)",
                (found.row, tx.flow_id, -tx.flow_id),
            )


_FEW = 8
"""How many rows one statement changes: so many texts of it there are at most."""


def await_notary(tx: Tx, rows: Sequence[int], number: int) -> None:
    """States are used up by the transaction in flight of that number, if the notary agrees. Of two
    such transactions the first one counts."""
    for start in range(0, len(rows), _FEW):
        some = rows[start : start + _FEW]
        tx.execute(
            f"UPDATE ledger_state SET pending = ? WHERE ref IN ({', '.join('?' * len(some))}) "
            "AND consumed IS NULL AND pending IS NULL",
            (number, *some),
        )


def no_longer_await(tx: Tx, number: int) -> list[int]:
    """The transaction in flight of that number is none any more; the rows that waited for it."""
    rows = tx.execute(
        "UPDATE ledger_state SET pending = NULL WHERE pending = ? RETURNING ref", (number,)
    )
    return sorted(row for (row,) in rows)


def repair(tx: Tx, lives: Callable[[int], bool]) -> int:
    """Release what flows have reserved that are no more; how many flows those were."""
    gone = {
        abs(lock)
        for (lock,) in tx.execute(
            "SELECT DISTINCT lock FROM ledger_state WHERE lock IS NOT NULL ORDER BY lock"
        )
        if not lives(abs(lock))
    }
    for flow_id in sorted(gone):
        release(tx, flow_id)
    return len(gone)
