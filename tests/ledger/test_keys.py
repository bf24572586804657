"""Keys have one encoding, signatures one form, and composite keys count each signature once."""

from __future__ import annotations

import contextlib
import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrt.ledger import keys
from flowrt.ledger.keys import (
    COMPOSITE,
    ECDSA_P256,
    ED25519,
    PublicKey,
    SigningKey,
    all_of,
    composite,
)
from flowrt.ledger.problems import BadKey, BadSignature
from flowrt.ledger.transactions import GoodSignatures, sign
from tests.ledger.notes import ALICE, BOB, NOTARY

P25519 = 2**255 - 19
L25519 = 2**252 + 27742317777372353535851937790883648493
D25519 = -121665 * pow(121666, -1, P25519) % P25519
P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
N256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MANY = [SigningKey(ED25519, bytes([n]) * 32).public for n in range(70)]


def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Edwards addition, as in RFC 8032, 5.1.4, with affine coordinates."""
    (x1, y1), (x2, y2) = a, b
    k = D25519 * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + k, -1, P25519) % P25519,
        (y1 * y2 + x1 * x2) * pow(1 - k, -1, P25519) % P25519,
    )


def times(n: int, point: tuple[int, int]) -> tuple[int, int]:
    found = (0, 1)
    for bit in bin(n)[2:]:
        found = add(found, found)
        if bit == "1":
            found = add(found, point)
    return found


def small_order() -> set[tuple[int, int]]:
    """The eight points, from any point of which the large factor of the group's order is taken."""
    found: set[tuple[int, int]] = set()
    for y in itertools.count(2):
        square = (y * y - 1) * pow(D25519 * y * y + 1, -1, P25519) % P25519
        x = pow(square, (P25519 + 3) // 8, P25519)
        if (x * x - square) % P25519:
            x = x * pow(2, (P25519 - 1) // 4, P25519) % P25519
        if (x * x - square) % P25519 == 0:
            point = times(L25519, (x, y))
            found |= {times(n, point) for n in range(8)}
        if len(found) == 8:
            return found
    raise AssertionError


def test_no_point_of_small_order_is_a_key() -> None:
    """W55."""
    points = small_order()
    assert len(points) == 8
    for x, y in points:
        for sign_bit in (x & 1, 1 - (x & 1)):
            for number in (y, y + P25519):
                if number < 2**255:
                    encoded = (number | sign_bit << 255).to_bytes(32, "little")
                    with pytest.raises(BadKey):
                        PublicKey(b"\x01" + encoded)


@pytest.mark.parametrize(
    "encoded",
    [
        b"", b"\x01", b"\x00" + bytes(32), b"\x04" + bytes(32), b"\x01" + bytes(31) + b"\x02\x00",
        b"\x01" + (P25519 + 3).to_bytes(32, "little"), b"\x01" + b"\xff" * 32,
        b"\x02" + b"\x04" + bytes(64), b"\x02" + b"\x05" + bytes(32), b"\x02" + bytes(33),
        b"\x02\x02" + P256.to_bytes(32, "big"), b"\x02\x02" + (P256 + 5).to_bytes(32, "big"),
        b"\x03", b"\x03\x92\x01\x90", b"\x03" + b"\x91" * 500, b"\x03" + bytes(5000),
        bytearray(b"\x01" + bytes(32)), memoryview(b"\x01" + b"\x03" + bytes(31)), "text", None,
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_what_is_no_key(encoded: bytes) -> None:
    with pytest.raises(BadKey):
        PublicKey(encoded)


@pytest.mark.parametrize("scheme", [ED25519, ECDSA_P256])
def test_signatures_have_one_form(scheme: int) -> None:
    """W55: empty, of a wrong length, over other bytes, by another key, with another s."""
    key = SigningKey(scheme, b"k" * 32)
    data = key.sign(b"content")
    assert data == key.sign(b"content"), "signing again gives the same"
    key.public.verify(data, b"content")
    order, side = (L25519, "little") if scheme == ED25519 else (N256, "big")
    s = int.from_bytes(data[32:], side)
    forms = [(s + order) % 2**256, order - s, 0, order]
    bad = [data[:32] + form.to_bytes(32, side) for form in forms]
    bad += [b"", data[:63], data + b"\x00", bytes(64), b"\xff" * 64, bytes(32) + data[32:]]
    bad += [data[32:] + data[:32], bytes([data[0] ^ 1]) + data[1:]]
    for other in bad:
        with pytest.raises(BadSignature):
            key.public.verify(other, b"content")
    for content in (b"", b"content\x00", b"Content"):
        with pytest.raises(BadSignature):
            key.public.verify(data, content)
    with pytest.raises(BadSignature):
        MANY[1].verify(data, b"content")


@pytest.mark.parametrize("encoded", [b"\x01\x02" + bytes(31), b"\x02\x02" + bytes(31) + b"\x01"])
def test_under_bytes_that_are_no_point_no_signature_is_good(encoded: bytes) -> None:
    with pytest.raises(BadSignature):
        PublicKey(encoded).verify(ALICE.sign(b""), b"")


def test_an_unreduced_r_is_refused() -> None:
    """R = the neutral point, whose y = 1 can also be written 1 + p: only the reduced one counts."""
    data = ALICE.sign(b"content")
    for r in (1, 1 + P25519, (1 << 255) + 1):
        with pytest.raises(BadSignature):
            ALICE.public.verify(r.to_bytes(32, "little") + data[32:], b"content")


@given(st.binary(max_size=80) | st.binary(min_size=33, max_size=33).map(lambda b: b"\x03" + b))
def test_any_bytes_are_a_key_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadKey):
        assert PublicKey(data).encoded == data


# --- composite keys ---------------------------------------------------------------------------


@st.composite
def trees(draw: st.DrawFn, leaves: list[PublicKey] | None = None, depth: int = 3):
    """(threshold, [(weight, subtree)]) over leaves each of which is used once."""
    pool = leaves if leaves is not None else list(MANY[:12])
    members = []
    for _ in range(draw(st.integers(2, 4))):
        if not pool:
            break
        if depth > 1 and len(pool) > 4 and draw(st.booleans()):
            child = draw(trees(pool, depth - 1))
        else:
            child = pool.pop()
        members.append((draw(st.integers(1, 3)), child))
    if len(members) < 2:
        return members[0][1]
    return (draw(st.integers(1, sum(weight for weight, _ in members))), members)


def key_of(tree) -> PublicKey:
    if isinstance(tree, PublicKey):
        return tree
    return composite([(weight, key_of(child)) for weight, child in tree[1]], tree[0])


def enough(tree, signers: set[PublicKey]) -> bool:
    """Independent of the key's own bytes."""
    if isinstance(tree, PublicKey):
        return tree in signers
    return sum(weight for weight, child in tree[1] if enough(child, signers)) >= tree[0]


@settings(max_examples=60)
@given(trees(), st.sets(st.sampled_from(MANY[:12])))
def test_a_composite_key_is_fulfilled_by_the_weights_of_who_signed(tree, signers) -> None:
    key = key_of(tree)
    assert key.is_fulfilled_by(signers) == enough(tree, signers)
    assert PublicKey(key.encoded) == key
    assert key.is_fulfilled_by(key.leaves)
    assert not key.is_fulfilled_by(())


def raw(threshold: object, *members: object) -> bytes:
    return b"\x03" + msgspec.msgpack.encode([threshold, list(members)])


A, B = sorted(key.encoded for key in MANY[:2])
NESTED = all_of([ALICE.public, BOB.public])


@pytest.mark.parametrize(
    "encoded",
    [
        raw(1, [1, A]), raw(1), raw(1, [1, B], [1, A]), raw(2, [1, A], [1, A]),
        raw(0, [1, A], [1, B]), raw(3, [1, A], [1, B]), raw(-1, [1, A], [1, B]),
        raw(1, [0, A], [1, B]), raw(1, [-1, A], [2, B]), raw(1, [1_000_001, A], [1, B]),
        raw(2**63, [2**63, A], [2**63, B]), raw(1.0, [1, A], [1, B]), raw(True, [1, A], [1, B]),
        raw(1, [1, A], [1, B]) + b"\x00", raw(1, [1, A, 1], [1, B]), raw(1, [1, A], [1, b""]),
        raw(1, [1, A], [1, B[:-1]]), raw(1, [1, ALICE.public.encoded], [1, NESTED.encoded]),
        b"\x03\x92\xcc\x01" + raw(1, [1, A], [1, B])[3:],
    ],
)  # fmt: skip
def test_what_is_no_composite_key(encoded: bytes) -> None:
    with pytest.raises(BadKey):
        PublicKey(encoded)


def test_a_composite_key_is_bounded(monkeypatch) -> None:
    assert len(all_of(MANY[:64]).leaves) == 64
    with pytest.raises(BadKey, match="64 leaves"):
        all_of(MANY[:65])
    deep = MANY[0]
    for key in MANY[1:5]:
        deep = all_of([deep, key])
    assert len(deep.leaves) == 5
    with pytest.raises(BadKey, match="4 levels"):
        all_of([deep, MANY[6]])
    with pytest.raises(BadKey):
        composite([(2**64, MANY[0]), (1, MANY[1])], 1)
    looked = []
    monkeypatch.setattr(keys, "_check", looked.append)
    with pytest.raises(BadKey):
        keys._check_composite(
            b"\x03" + msgspec.msgpack.encode([1, [[1, k.encoded] for k in sorted(MANY)]])
        )
    assert looked == [], "leaves are counted before they are looked at"


def test_all_of_one_key_is_that_key() -> None:
    assert all_of([ALICE.public]) == ALICE.public
    assert all_of([ALICE.public, ALICE.public]) == ALICE.public
    with pytest.raises(BadKey):
        all_of([])


def test_a_composite_key_signs_by_its_leaves_alone() -> None:
    with pytest.raises(BadSignature):
        NESTED.verify(ALICE.sign(b""), b"")
    with pytest.raises(BadKey):
        SigningKey(COMPOSITE, bytes(32))
    with pytest.raises(BadKey):
        SigningKey(ED25519, bytes(31))


def test_composite_keys_that_begin_alike_have_different_short_names() -> None:
    one, other = (composite([(1, MANY[0]), (1, key)], 2) for key in MANY[2:4])
    assert one.text != other.text
    assert len(one.text) == len(ALICE.public.text) == 22


# --- what is known to be good ---------------------------------------------------------------------


def test_a_memory_checks_nothing_twice_and_remembers_nothing_bad(monkeypatch) -> None:
    memory = GoodSignatures(8)
    id = bytes(32)
    good = sign(id, ALICE)
    asked = []
    verify = PublicKey.verify
    monkeypatch.setattr(
        PublicKey, "verify", lambda self, *about: (asked.append(self), verify(self, *about))
    )
    for _ in range(3):
        good.check(id, memory)
    assert len(asked) == 1
    for _ in range(3):
        with pytest.raises(BadSignature):
            good.check(b"\x01" * 32, memory)
    assert len(asked) == 4
    mine = sign(id, NOTARY)
    memory.made(mine, id)
    mine.check(id, memory)
    assert len(asked) == 4
    cut = type(good)(good.by, good.data[:63])
    with pytest.raises(BadSignature):
        cut.check(id, memory)


def test_a_memory_is_bounded_and_keeps_the_latest() -> None:
    memory = GoodSignatures(8)
    made = [(bytes([n]) * 32, sign(bytes([n]) * 32, ALICE)) for n in range(40)]
    for id, signature in made:
        memory.made(signature, id)
        assert len(memory) <= 8
    assert len(memory) >= 4


def test_a_memory_does_not_take_a_content_cut_elsewhere_for_the_same() -> None:
    memory = GoodSignatures()
    data = ALICE.sign(b"content")
    memory.verify(ALICE.public, data, b"content")
    for cut in (1, 3):
        with pytest.raises(BadSignature):
            memory.verify(ALICE.public, data + b"content"[:cut], b"content"[cut:])
        with pytest.raises(BadSignature):
            memory.verify(ALICE.public, data[:-cut], data[-cut:] + b"content")
