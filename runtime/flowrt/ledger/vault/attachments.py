"""Files that transactions name by their SHA-256. Knows only bytes.

A file that a flow has fetched for something that nobody has verified yet is there as long as such a
flow lives; for good as soon as a transaction that names it is recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from flowrt.core.flow import Tx
from flowrt.ledger.memory import Holders, holders
from flowrt.stdlib.ledger.core_flow import TooLarge

MOST_BYTES = 512 * 1024
"""The largest file: it must fit into a message."""


MOST_OF_ALL = 64 * 1024 * 1024
"""How many bytes the files of one transaction have, at most."""


def put(tx: Tx, content: bytes) -> bytes:
    """Keep a file; its SHA-256. Raises TooLarge."""
    if len(content) > MOST_BYTES:
        raise TooLarge(f"an attachment of {len(content)} bytes; {MOST_BYTES} at most")
    digest = hashlib.sha256(content).digest()
    if not has(tx, digest):
        tx.execute("INSERT INTO ledger_attachment VALUES (?, ?)", (digest, content))
    return digest


def set_up(tx: Tx) -> None:
    """Make the table of what was fetched, and forget what was left by flows that are no more."""
    tx.execute(
        "CREATE TABLE IF NOT EXISTS ledger_attachment_fetched (flow INTEGER NOT NULL, "
        "hash BLOB NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (flow, hash)) WITHOUT ROWID"
    )
    for (flow,) in tx.execute("SELECT DISTINCT flow FROM ledger_attachment_fetched"):
        if not tx.lives(flow):
            forget(tx, flow)


def fetch(tx: Tx, content: bytes) -> bytes:
    """Keep a file for the running flow; its SHA-256. Raises TooLarge, also where the flow has
    fetched too much."""
    digest = hashlib.sha256(content).digest()
    if has(tx, digest):
        share(tx, digest)
        return digest
    [(size,)] = tx.execute(
        "SELECT coalesce(sum(size), 0) FROM ledger_attachment_fetched WHERE flow = ?", (tx.flow_id,)
    )
    if size + len(content) > MOST_OF_ALL:
        raise TooLarge(f"attachments of more than {MOST_OF_ALL} bytes")
    put(tx, content)
    _mark(tx, digest, len(content))
    return digest


def share(tx: Tx, digest: bytes) -> None:
    """The running flow needs it as well, if another one has fetched it."""
    rows = tx.execute(
        "SELECT size FROM ledger_attachment_fetched WHERE hash = ? LIMIT 1", (digest,)
    )
    for (size,) in rows:
        _mark(tx, digest, size)


def needed(tx: Tx, digests: Iterable[bytes]) -> None:
    """A transaction that names them is recorded: they stay."""
    for digest in digests:
        tx.execute("DELETE FROM ledger_attachment_fetched WHERE hash = ?", (digest,))


def forget(tx: Tx, flow_id: int) -> None:
    """A flow has ended: what it alone has fetched, and nothing needs, is dropped."""
    if flow_id not in _fetching(tx):
        return
    _fetching(tx).discard(flow_id)
    rows = tx.execute(
        "DELETE FROM ledger_attachment_fetched WHERE flow = ? RETURNING hash", (flow_id,)
    )
    for (digest,) in rows:
        tx.execute(
            "DELETE FROM ledger_attachment WHERE hash = ? AND NOT EXISTS "
            "(SELECT 1 FROM ledger_attachment_fetched WHERE hash = ?)",
            (digest, digest),
        )


def _mark(tx: Tx, digest: bytes, size: int) -> None:
    tx.execute(
        "INSERT INTO ledger_attachment_fetched VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (tx.flow_id, digest, size),
    )
    _fetching(tx).add(tx.flow_id)


def _fetching(tx: Tx) -> Holders:
    """The flows that may have fetched something."""
    last = "SELECT max(flow) FROM ledger_attachment_fetched"
    return holders(tx, "ledger_attachment_fetched", last)


def has(tx: Tx, digest: bytes) -> bool:
    """Whether there is such a file."""
    return bool(tx.execute("SELECT 1 FROM ledger_attachment WHERE hash = ?", (digest,)))


def read(tx: Tx, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """Those of the files that are here, by their SHA-256. Raises TooLarge."""
    found: dict[bytes, bytes] = {}
    size = 0
    for digest in digests:
        rows = tx.execute("SELECT content FROM ledger_attachment WHERE hash = ?", (digest,))
        for (content,) in rows:
            size += len(content)
            if size > MOST_OF_ALL:
                raise TooLarge(f"attachments of more than {MOST_OF_ALL} bytes")
            found[digest] = content
    return found
