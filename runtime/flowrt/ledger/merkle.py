"""Merkle trees: the root of a list of hashes, and proofs that some of them are in it.

The shape is that of RFC 6962, section 2.1 (no padding, leaves and nodes hashed with different
prefixes), so no two lists have one root. A proof is the list of the hashes that stand for what is
hidden, from left to right. Knows nothing of transactions.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence

from flowrt.ledger.problems import BadProof

HASH_BYTES = 32


def sha256(*parts: bytes) -> bytes:
    """SHA-256 of the parts, one behind the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(content: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + content).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The size of the left subtree: the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _any_within(numbers: Sequence[int], start: int, size: int) -> bool:
    """Whether one of the numbers, which are in rising order, lies in a subtree."""
    at = bisect.bisect_left(numbers, start)
    return at < len(numbers) and numbers[at] < start + size


_NOTHING = hashlib.sha256(b"").digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over hashes of entries; that of none is the hash of nothing."""
    if len(leaves) < 2:
        return leaves[0] if leaves else _NOTHING
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def _above(level: list[bytes]) -> list[bytes]:
    """Pairing from the left and carrying an odd last one up gives the shape of RFC 6962."""
    pairs = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        pairs.append(level[-1])
    return pairs


def paths(leaves: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """The proof of each leaf alone: `hidden(leaves, {i})` for all i, in time that grows with their
    length and not with the square of the leaves."""
    before: list[list[bytes]] = [[] for _ in leaves]
    behind: list[list[bytes]] = [[] for _ in leaves]
    level, width = list(leaves), 1
    while len(level) > 1:
        for index in range(len(leaves)):
            at = index // width
            if at % 2:
                before[index].append(level[at - 1])
            elif at + 1 < len(level):
                behind[index].append(level[at + 1])
        level = _above(level)
        width *= 2
    return [(*reversed(left), *right) for left, right in zip(before, behind, strict=True)]


def hidden(leaves: Sequence[bytes], shown: Collection[int]) -> tuple[bytes, ...]:
    """The proof that the leaves with the numbers `shown` are in the tree over `leaves`."""
    numbers = sorted(set(shown))
    if len(numbers) == len(leaves):
        return ()

    def walk(start: int, size: int) -> Iterator[bytes]:
        if not _any_within(numbers, start, size):
            yield root(leaves[start : start + size])
        elif size > 1:
            left = _split(size)
            yield from walk(start, left)
            yield from walk(start + left, size - left)

    return tuple(walk(0, len(leaves)))


def root_from(size: int, shown: Mapping[int, bytes], proof: Sequence[bytes]) -> bytes:
    """The root of a tree of `size` leaves, of which `shown` are known by number. Raises BadProof
    unless `proof` has exactly the hashes that are wanted."""
    if any(not 0 <= number < size for number in shown):
        raise BadProof("a proof shows a leaf that the tree does not have")
    if len(shown) == size and not proof:
        return root([shown[number] for number in range(size)])
    rest = iter(proof)
    numbers = sorted(shown)

    def walk(start: int, size: int) -> bytes:
        if not _any_within(numbers, start, size):
            found = next(rest, None)
            if found is None or len(found) != HASH_BYTES:
                raise BadProof("a proof with a hash missing, or of another length")
            return found
        if size == 1:
            return shown[start]
        left = _split(size)
        return _node(walk(start, left), walk(start + left, size - left))

    found = walk(0, size) if size else _NOTHING
    if next(rest, None) is not None:
        raise BadProof("a proof with more hashes than it needs")
    return found
