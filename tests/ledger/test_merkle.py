"""The tree and its proofs, against RFC 6962's own recursive definition, written out slowly."""

from __future__ import annotations

import contextlib
import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrt.ledger import merkle
from flowrt.ledger.problems import BadProof


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, over hashes of entries."""
    n = len(leaves)
    if n == 0:
        return hashlib.sha256(b"").digest()
    if n == 1:
        return leaves[0]
    k = max(2**i for i in range(n) if 2**i < n)
    return hashlib.sha256(b"\x01" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


def slow_hidden(leaves: list[bytes], start: int, shown: set[int]) -> list[bytes]:
    """The roots of the largest subtrees that show nothing, from left to right."""
    n = len(leaves)
    if not shown & set(range(start, start + n)):
        return [slow_root(leaves)]
    if n == 1:
        return []
    k = max(2**i for i in range(n) if 2**i < n)
    return slow_hidden(leaves[:k], start, shown) + slow_hidden(leaves[k:], start + k, shown)


def leaves_of(n: int) -> list[bytes]:
    return [hashlib.sha256(b"\x00" + bytes([i])).digest() for i in range(n)]


def test_every_subset_of_small_trees_is_proved() -> None:
    for n in range(1, 9):
        leaves = leaves_of(n)
        root = merkle.root(leaves)
        assert root == slow_root(leaves)
        assert merkle.paths(leaves) == [merkle.hidden(leaves, {i}) for i in range(n)]
        for size in range(n + 1):
            for shown in itertools.combinations(range(n), size):
                proof = merkle.hidden(leaves, shown)
                assert list(proof) == slow_hidden(leaves, 0, set(shown))
                known = {i: leaves[i] for i in shown}
                assert merkle.root_from(n, known, proof) == root


@pytest.mark.parametrize("n", [0, 1, 2, 3, 15, 16, 17, 100, 255, 256, 257])
def test_larger_trees(n: int) -> None:
    leaves = [hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(n)]
    assert merkle.root(leaves) == slow_root(leaves)
    assert merkle.paths(leaves) == [merkle.hidden(leaves, {i}) for i in range(n)]


@given(st.data())
def test_a_proof_with_anything_changed_proves_nothing(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    leaves = leaves_of(n)
    shown = data.draw(st.sets(st.integers(0, n - 1)))
    proof = list(merkle.hidden(leaves, shown))
    known = {i: leaves[i] for i in shown}
    change = data.draw(st.sampled_from(["drop", "add", "hash", "leaf", "number", "short", "swap"]))
    if change == "add":
        proof.insert(data.draw(st.integers(0, len(proof))), b"h" * 32)
    elif change == "leaf" and known:
        known[data.draw(st.sampled_from(sorted(known)))] = b"l" * 32
    elif change == "number" and known:
        known[data.draw(st.integers(n, n + 3) | st.integers(-3, -1))] = leaves[0]
    elif not proof:
        return
    elif change == "drop":
        proof.pop(data.draw(st.integers(0, len(proof) - 1)))
    elif change == "hash":
        proof[data.draw(st.integers(0, len(proof) - 1))] = b"h" * 32
    elif change == "short":
        at = data.draw(st.integers(0, len(proof) - 1))
        proof[at] = proof[at][:-1]
    elif change == "swap" and len(proof) > 1:
        proof[0], proof[-1] = proof[-1], proof[0]
    else:
        return
    with contextlib.suppress(BadProof):
        assert merkle.root_from(n, known, proof) != merkle.root(leaves)


def test_a_node_cannot_pass_for_an_entry_nor_an_entry_for_a_node() -> None:
    left, right = leaves_of(2)
    assert merkle.leaf(left + right) != merkle.root([left, right])
    assert merkle.leaf(b"\x01" + left + right) != merkle.root([left, right])


def test_no_two_lists_have_one_root() -> None:
    """Bitcoin's tree doubles an odd last leaf, so that [a, b, c] and [a, b, c, c] are one."""
    a, b, c = leaves_of(3)
    lists = [
        [],
        [a],
        [a, a],
        [a, b, c],
        [a, b, c, c],
        [a, b],
        [b, a],
        [a, a, a],
        [merkle.leaf(b"")],
    ]
    assert len({merkle.root(one) for one in lists}) == len(lists)


def test_a_batch_costs_no_square(monkeypatch) -> None:
    count = 0
    node = merkle._node

    def counted(left: bytes, right: bytes) -> bytes:
        nonlocal count
        count += 1
        return node(left, right)

    monkeypatch.setattr(merkle, "_node", counted)
    merkle.paths(leaves_of(200))
    assert count == 199
