"""The audit trail's chain: each row carries a digest of itself and of the row before.

Whoever changes, removes or inserts a row has to make every later one anew; who has written down a
digest elsewhere sees that. Knows bytes alone, not what is in a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

NOTHING = b""
"""What the first row of all follows."""


class Link(NamedTuple):
    """One row: its number, its time, its entries, and the digest that it carries; "" in a row from
    before there were digests."""

    number: int
    at_us: int
    entries: bytes
    digest: bytes


class Broken(Exception):
    """A row that is not as it was written, or that does not follow the one before it."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"row {number} of the audit trail is not what was written: it was changed, or a row "
            "before it was changed, removed or inserted; compare with a backup"
        )
        self.number = number


class Verified(NamedTuple):
    """How many rows follow from each other, how many are older than the chain, and the digest of
    the last one: written down elsewhere it proves the whole trail before it."""

    rows: int
    unchained: int
    head: bytes


def digest_of(before: bytes, at_us: int, entries: bytes) -> bytes:
    """The digest of a row that follows one with the digest `before`."""
    made = hashlib.blake2b(before, digest_size=16)
    made.update(at_us.to_bytes(8, signed=True))
    made.update(entries)
    return made.digest()


def verify(start: bytes, links: Iterable[Link]) -> Verified:
    """See whether the rows are as they were written; `start` is the digest of the one before them.
    Raises Broken, which names the first that is not."""
    head, rows, unchained = start, 0, 0
    for link in _in_order(links):
        if not link.digest and not rows and head == NOTHING:
            unchained += 1
            continue
        head = digest_of(head, link.at_us, link.entries)
        if head != link.digest:
            raise Broken(link.number)
        rows += 1
    return Verified(rows, unchained, head)


def _in_order(links: Iterable[Link]) -> Iterator[Link]:
    last = None
    for link in links:
        if last is not None and link.number <= last:
            raise Broken(link.number)
        last = link.number
        yield link
