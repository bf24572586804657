"""A store's own past, and how a peer proves to it that it went back. Knows no store and no wire.

Every packet carries a mark: which life of its sender's store it comes from (a life begins when a
process opens the store), how many batches the store had committed, and a tag that only the store
can make. A peer keeps the last mark on which its own state rests. What a store had told the world
and does not know any more, it reads from such a mark; nobody can make one up.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

LIFE_BYTES = 5
TAG_BYTES = 6
MARK_BYTES = LIFE_BYTES + TAG_BYTES
"""A mark is its life, its tag, and its count in as few bytes as that needs."""

MOST_MARK_BYTES = MARK_BYTES + 8

LIVES = 64
"""So many lives are remembered, with the count at which each began; of those before only that they
ended by then."""

OWN, LATER, STRANGE = range(3)
"""What a store makes of a mark: it was there; it is ahead of all that the store remembers; it is
no mark of this store."""


def life_after(epoch: int, chance: bytes) -> bytes:
    """The name of the life that begins with this opening of the store. Two copies of one store
    that are opened have other names, by `chance` (two bytes)."""
    return (epoch % (1 << 24)).to_bytes(3, "big") + chance


def life_of(mark: bytes) -> bytes:
    """The life that a mark is of; the marks of one life are ordered by `count_of`."""
    return mark[:LIFE_BYTES]


def count_of(mark: bytes) -> int:
    """How many batches were committed."""
    return int.from_bytes(mark[MARK_BYTES:], "big")


class Lineage:
    """The lives of one store: (name, count at its beginning), the present one last."""

    __slots__ = ("_life", "_lives", "_secret")

    def __init__(self, secret: bytes, lives: Iterable[tuple[bytes, int]]) -> None:
        self._secret = secret
        self._lives = list(lives)
        self._life = self._lives[-1][0]

    def mark(self, count: int) -> bytes:
        """The mark of this life at so many commits."""
        return self._made(self._life, count)

    def _made(self, life: bytes, count: int) -> bytes:
        data = count.to_bytes((count.bit_length() + 7) // 8, "big")
        tag = hashlib.blake2b(life + data, key=self._secret, digest_size=TAG_BYTES).digest()
        return life + tag + data

    def judge(self, mark: bytes, count: int) -> int:
        """Whose mark this is, when the store has committed `count` batches."""
        if not MARK_BYTES <= len(mark) <= MOST_MARK_BYTES:
            return STRANGE
        life, said = life_of(mark), count_of(mark)
        if not hmac.compare_digest(self._made(life, said), mark):
            return STRANGE
        ends = [began for _, began in self._lives[1:]] + [count]
        for (name, _), end in zip(self._lives, ends, strict=True):
            if name == life:
                return OWN if said <= end else LATER
        first, began = self._lives[0]
        # Of a life that is forgotten, as it seems: it had ended when the first known one began.
        is_old = len(self._lives) >= LIVES and life < first
        return OWN if is_old and said <= began else LATER
