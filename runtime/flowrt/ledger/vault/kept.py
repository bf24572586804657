"""What a flow has downloaded and nobody has verified yet: bounded, and gone when the flow ends.

Of each transaction is kept how many of its dependencies are not recorded yet, so that those that
can be verified next are found without looking at the others, however long a chain is.
"""

from __future__ import annotations

from typing import Any

from flowrt.core.flow import Tx
from flowrt.ledger.memory import Holders, holders
from flowrt.ledger.transactions import SignedTransaction
from flowrt.ledger.vault.records import find
from flowrt.ledger.vault.tables import VERIFIED
from flowrt.stdlib.ledger.core_flow import TooLarge

MOST = 100_000
"""How many transactions are kept for one flow, at most."""

MOST_BYTES = 512 * 1024 * 1024
"""How many bytes of them."""

_RECORDED = (
    f"EXISTS (SELECT 1 FROM ledger_transaction t WHERE t.id = need AND t.status = {VERIFIED})"
)


def keep(tx: Tx, transaction: SignedTransaction) -> None:
    """Keep a transaction for the running flow, once. Raises TooLarge."""
    flow, id = tx.flow_id, transaction.id
    if has(tx, id):
        return
    signed = transaction.to_flow()
    rows = tx.execute("SELECT count, bytes FROM ledger_keeping WHERE flow = ?", (flow,))
    count, size = rows[0] if rows else (0, 0)
    if count >= MOST or size + len(signed) > MOST_BYTES:
        raise TooLarge(f"{count} transactions of {size} bytes were downloaded, and there are more")
    waits = 0
    for need in transaction.transaction.dependencies:
        if _is_recorded(tx, need):
            continue
        waits += 1
        tx.execute("INSERT INTO ledger_need VALUES (?, ?, ?, ?)", (flow, need, id, has(tx, need)))
    tx.execute("UPDATE ledger_need SET here = 1 WHERE flow = ? AND need = ?", (flow, id))
    tx.execute("INSERT INTO ledger_kept VALUES (?, ?, ?, ?)", (flow, id, waits, signed))
    tx.execute(
        "INSERT OR REPLACE INTO ledger_keeping VALUES (?, ?, ?)",
        (flow, count + 1, size + len(signed)),
    )
    _keeping(tx).add(flow)


def has(tx: Tx, id: bytes) -> bool:
    """Whether the running flow keeps it."""
    if tx.flow_id not in _keeping(tx):
        return False
    return bool(tx.execute("SELECT 1 FROM ledger_kept WHERE flow = ? AND id = ?", (tx.flow_id, id)))


def wanted(tx: Tx, most: int) -> list[bytes]:
    """Ids that kept ones depend on and that are neither kept nor recorded, in order."""
    rows = tx.execute(
        "SELECT DISTINCT need FROM ledger_need WHERE flow = ? AND here = 0 "
        f"AND NOT {_RECORDED} ORDER BY need LIMIT ?",
        (tx.flow_id, max(most, 0)),
    )
    return [need for (need,) in rows]


def ready(tx: Tx, most: int) -> list[tuple[bytes, bytes]]:
    """(id, bytes) of kept ones whose dependencies are all recorded, at most so many."""
    rows = tx.execute(
        "SELECT id, signed FROM ledger_kept WHERE flow = ? AND waits = 0 ORDER BY id LIMIT ?",
        (tx.flow_id, most),
    )
    return [(id, signed) for id, signed in rows]


def left(tx: Tx) -> int:
    """How many the running flow keeps."""
    if tx.flow_id not in _keeping(tx):
        return 0
    rows: list[tuple[Any, ...]] = tx.execute(
        "SELECT count FROM ledger_keeping WHERE flow = ?", (tx.flow_id,)
    )
    return rows[0][0] if rows else 0


def recorded(tx: Tx, id: bytes, size: int) -> None:
    """One of the running flow is recorded now: what waits for it waits for one less."""
    flow = tx.flow_id
    _arrived(tx, id)
    tx.execute("DELETE FROM ledger_kept WHERE flow = ? AND id = ?", (flow, id))
    tx.execute(
        "UPDATE ledger_keeping SET count = count - 1, bytes = bytes - ? WHERE flow = ?",
        (size, flow),
    )


def recorded_elsewhere(tx: Tx) -> bool:
    """Take note of dependencies that other flows have recorded meanwhile; whether there were."""
    rows = tx.execute(
        f"SELECT DISTINCT need FROM ledger_need WHERE flow = ? AND {_RECORDED}",
        (tx.flow_id,),
    )
    for (need,) in rows:
        _arrived(tx, need)
    return bool(rows)


def forget(tx: Tx, flow_id: int) -> None:
    """A flow has ended."""
    if flow_id not in _keeping(tx):
        return
    _keeping(tx).discard(flow_id)
    if tx.execute("DELETE FROM ledger_keeping WHERE flow = ? RETURNING flow", (flow_id,)):
        tx.execute("DELETE FROM ledger_kept WHERE flow = ?", (flow_id,))
        tx.execute("DELETE FROM ledger_need WHERE flow = ?", (flow_id,))


def _keeping(tx: Tx) -> Holders:
    """The flows that may keep something."""
    return holders(tx, "ledger_keeping", "SELECT max(flow) FROM ledger_keeping")


def flows(tx: Tx) -> list[int]:
    """The flows that keep something."""
    return [flow for (flow,) in tx.execute("SELECT flow FROM ledger_keeping ORDER BY flow")]


def _arrived(tx: Tx, need: bytes) -> None:
    tx.execute(
        "UPDATE ledger_kept SET waits = waits - 1 WHERE flow = ? AND id IN "
        "(SELECT id FROM ledger_need WHERE flow = ? AND need = ?)",
        (tx.flow_id, tx.flow_id, need),
    )
    tx.execute("DELETE FROM ledger_need WHERE flow = ? AND need = ?", (tx.flow_id, need))


def _is_recorded(tx: Tx, id: bytes) -> bool:
    found = find(tx, id)
    return found is not None and found.status == VERIFIED
