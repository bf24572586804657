"""docs/wire-format.md is enough to follow: what it says is implemented here once more, from the
page and without the ledger, and recomputes its values. UPDATE_EXPECT=1 writes the values anew."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.ledger.vectors import vectors  # the values as the ledger makes them, to compare

PAGE = Path(__file__).parent.parent.parent / "docs" / "wire-format.md"
FENCE = re.compile(r"(?<=^```json\n)\{.*?\n\}(?=\n```$)", re.M | re.S)


def shown() -> dict:
    if "UPDATE_EXPECT" in os.environ:
        made = json.dumps(vectors(), indent=1, ensure_ascii=False)
        PAGE.write_text(FENCE.sub(lambda _: made, PAGE.read_text()))
    [text] = FENCE.findall(PAGE.read_text())
    return json.loads(text)


V = shown()


def test_the_page_shows_what_the_ledger_makes() -> None:
    assert vectors() == V


# --- the page, implemented ------------------------------------------------------------------------


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def pack(value: object) -> bytes:
    """The profile's MessagePack: the shortest form of each."""
    match value:
        case None:
            return b"\xc0"
        case int() if 0 <= value < 128:
            return bytes([value])
        case int() if value >= 0:
            for code, size in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
                if value < 1 << 8 * size:
                    return bytes([code]) + value.to_bytes(size, "big")
        case bytes():
            for code, size in ((0xC4, 1), (0xC5, 2), (0xC6, 4)):
                if len(value) < 1 << 8 * size:
                    return bytes([code]) + len(value).to_bytes(size, "big") + value
        case str():
            text = value.encode()
            head = bytes([0xA0 | len(text)]) if len(text) < 32 else bytes([0xD9, len(text)])
            return head + text
        case list():
            assert len(value) < 16
            return bytes([0x90 | len(value)]) + b"".join(pack(item) for item in value)
    raise AssertionError(value)


def tree(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha(b"\x01" + tree(leaves[:k]) + tree(leaves[k:]))


def leaf(data: bytes) -> bytes:
    return sha(b"\x00" + data)


SALT = bytes.fromhex(V["transaction"]["salt"])
COMPONENTS = {
    int(group): [bytes.fromhex(data) for data in components]
    for group, components in V["transaction"]["components"].items()
}
KEYS = {name: bytes.fromhex(entry["key"]) for name, entry in V["keys"].items()}
ID = bytes.fromhex(V["transaction"]["id"])


def nonce(group: int, index: int) -> bytes:
    return sha(b"\x04" + SALT + bytes([group]) + index.to_bytes(4, "big"))


def group_leaf(group: int) -> bytes:
    found = COMPONENTS.get(group, [])
    root = tree([leaf(nonce(group, i) + data) for i, data in enumerate(found)])
    return leaf(bytes([group]) + len(found).to_bytes(4, "big") + root)


def payload(root: bytes, size: int, scheme: int) -> bytes:
    return b"flowlang transaction signature\x00" + pack([root, size, 1, scheme])


def signature(name: str) -> bytes:
    return bytes.fromhex(V["signatures"][name])


def test_the_id_follows_from_components_and_salt() -> None:
    assert nonce(1, 0).hex() == V["transaction"]["nonce of the output"]
    groups = [group_leaf(group) for group in range(9)]
    assert [one.hex() for one in groups] == V["transaction"]["groups"]
    assert tree(groups) == ID


def test_the_bytes_of_a_transaction_follow() -> None:
    encoded = pack([1, SALT, [[group, found] for group, found in sorted(COMPONENTS.items())]])
    assert encoded.hex() == V["transaction"]["encoded"]
    proof = [V["batch"]["index"], 3, [bytes.fromhex(one) for one in V["batch"]["hashes"]]]
    signatures = {
        KEYS[name]: [KEYS[name], signature(name), 1, proof if name == "notary" else None]
        for name in KEYS
    }
    signed = pack([encoded, [signatures[key] for key in sorted(signatures)]])
    assert signed.hex() == V["signed"]


def test_components_are_written_as_the_page_says() -> None:
    notary = [["O=Notary, L=Zürich, C=CH"], KEYS["notary"]]
    both = bytes.fromhex(V["composite"]["key"])
    note = pack([KEYS["seller"], both, [120_000, "EUR"], "paper"])
    assert [pack([bytes(range(32)), 7])] == COMPONENTS[0]
    assert [pack(["notes.Note", 2, note, "notes.Note_v1", notary, None])] == COMPONENTS[1]
    assert [pack(["notes.Move", 1, b"\x90"])] == COMPONENTS[2]
    assert [pack(notary)] == COMPONENTS[4]
    assert [pack(sorted([KEYS["seller"], KEYS["buyer"]]))] == COMPONENTS[6]
    # 2026-03-04T05:06:07.000008Z, half a minute before and after, as timestamps of 64 bits.
    second = 1_772_600_767
    edges = [second - 30, second + 30]
    times = [b"\xd7\xff" + (8_000 << 34 | at).to_bytes(8, "big") for at in edges]
    assert [b"\x92" + b"".join(times)] == COMPONENTS[5]


def test_keys_follow_from_secrets() -> None:
    for name in ("seller", "notary"):
        secret = bytes.fromhex(V["keys"][name]["secret"])
        private = Ed25519PrivateKey.from_private_bytes(secret)
        assert KEYS[name] == b"\x01" + private.public_key().public_bytes_raw()
    members = sorted([[KEYS["seller"], 1], [KEYS["buyer"], 2]])
    plain = [2, [[weight, key] for key, weight in members]]
    assert V["composite"]["key"] == (b"\x03" + pack(plain)).hex()


def test_signatures_are_made_over_the_payload() -> None:
    seller = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    assert seller.sign(payload(ID, 1, 1)) == signature("seller")
    r, s = signature("buyer")[:32], signature("buyer")[32:]
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), KEYS["buyer"][1:])
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    point.verify(der, payload(ID, 1, 2), ec.ECDSA(hashes.SHA256()))
    assert int.from_bytes(s, "big") < 2**255
    ids = [bytes.fromhex(one) for one in V["batch"]["ids"]]
    root = tree([leaf(id) for id in ids])
    notary = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
    assert notary.sign(payload(root, 3, 1)) == signature("notary")
    left, right = (bytes.fromhex(one) for one in V["batch"]["hashes"])
    assert sha(b"\x01" + sha(b"\x01" + left + leaf(ID)) + right) == root


def test_what_a_notary_is_shown_follows() -> None:
    groups = [group_leaf(group) for group in range(9)]
    parts = []
    for group in (0, 3, 4, 5, 7, 8):
        found = COMPONENTS.get(group, [])
        shows = [[i, nonce(group, i), data] for i, data in enumerate(found)]
        parts.append([group, len(found), shows, []])
    # From left to right: 1; 2; 6. What is shown of the tree over nine needs no other hash.
    hidden = [groups[1], groups[2], groups[6]]
    assert pack([ID, parts, hidden]).hex() == V["filtered"]


def test_numbers_and_texts_are_as_short_as_they_can_be() -> None:
    assert pack(127) == b"\x7f"
    assert pack(128) == b"\xcc\x80"
    assert pack("a" * 32)[:2] == b"\xd9\x20"
