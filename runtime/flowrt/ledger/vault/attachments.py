"""Files that transactions name by their SHA-256. Knows only bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from flowrt.core.flow import Tx
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
