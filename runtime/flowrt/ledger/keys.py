"""Public keys, the keys that belong to them, and signatures. Knows bytes; no transaction, no party.

A key has one encoding: a byte that names its scheme, and the key itself.

- 1, Ed25519 (RFC 8032): 32 bytes; a signature has 64.
- 2, ECDSA on P-256 with SHA-256: 33 bytes, the compressed point (SEC 1); a signature is r and s, 32
  bytes each, s in the lower half.
- 3, composite: MessagePack [threshold, [[weight, key], …]], the keys in rising order; leaves sign.

Each signature has one form too: an Ed25519 one whose s is not reduced is refused by the library, an
ECDSA one with the higher s here, and so are Ed25519 keys of small order, under which one signature
can be good for many contents (Chalkias, Garillot, Nikolaenko: Taming the many EdDSAs, 2020).

Whether bytes of a key are a point of its curve is seen when a signature is checked, not before:
that costs half as much as the check itself, and a peer could have it done for each key that it
names. Under bytes that are no point no signature is good, so nobody gains by naming them.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flowrt.ledger.problems import BadKey, BadSignature

ED25519: Final = 1
ECDSA_P256: Final = 2
COMPOSITE: Final = 3

MAX_LEAVES = 64
"""The most leaves of a composite key, of all its levels."""

MAX_DEPTH = 4
"""The most levels of a composite key."""

MAX_WEIGHT = 1_000_000
"""The most that one member of a composite key weighs."""

MAX_KEY_BYTES = 4096

SIGNATURE_BYTES: Final = 64
"""How long a signature of either scheme is."""

_LENGTHS = {ED25519: 32, ECDSA_P256: 33}
_P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ED25519_PRIME = 2**255 - 19
# The eight points of small order have these y: 0, 1, -1, and two that add up to 0. The sign bit of
# x does not matter; encodings that are not reduced (y + p) are refused for themselves.
_ORDER_8_Y = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER_Y = frozenset({0, 1, _ED25519_PRIME - 1, _ORDER_8_Y, _ED25519_PRIME - _ORDER_8_Y})


# Deterministic (RFC 6979): the same content has the same signature, and nothing hangs on a
# generator of random numbers, whose faults have given away keys.
_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class PublicKey:
    """A public key, as its one encoding. Compared, ordered and hashed by that."""

    __slots__ = ("encoded",)
    flow_never_changes: Final = True

    def __init__(self, encoded: bytes) -> None:
        """Raises BadKey unless `encoded` is a key in its one encoding."""
        if type(encoded) is not bytes:
            raise BadKey("a public key is given as bytes")
        _check(encoded)
        self.encoded = encoded

    @property
    def scheme(self) -> int:
        """ED25519, ECDSA_P256 or COMPOSITE."""
        return self.encoded[0]

    @property
    def text(self) -> str:
        """A short name for people and logs: the scheme and ten bytes, in hex, of the key itself or,
        as composite keys can begin alike, of the SHA-256 of such a one."""
        if self.scheme != COMPOSITE:
            return self.encoded[:11].hex()
        return f"{COMPOSITE:02x}{hashlib.sha256(self.encoded).hexdigest()[:20]}"

    @property
    def leaves(self) -> frozenset[PublicKey]:
        """The keys that can sign: itself, or those of a composite key."""
        if self.scheme != COMPOSITE:
            return frozenset({self})
        _, members = _members(self.encoded)
        return frozenset().union(*(key.leaves for _, key in members))

    def is_fulfilled_by(self, signers: Collection[PublicKey]) -> bool:
        """Whether signatures of these keys count as one of this key."""
        # Each leaf is there once, so no signature counts twice.
        if self.scheme != COMPOSITE:
            return self in signers
        threshold, members = _members(self.encoded)
        return sum(weight for weight, key in members if key.is_fulfilled_by(signers)) >= threshold

    def verify(self, signature: bytes, content: bytes) -> None:
        """Raises BadSignature unless the key made `signature` over `content`."""
        if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
            raise BadSignature(f"a signature has {SIGNATURE_BYTES} bytes")
        try:
            if self.scheme == ED25519:
                _loaded(self.encoded).verify(signature, content)
            elif self.scheme == ECDSA_P256:
                _loaded(self.encoded).verify(_der(signature), content, _ECDSA)
            else:
                raise BadSignature("a composite key signs by its leaves")
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            # Bytes that are no point of the curve end here as well, as a ValueError.
            raise BadSignature(f"not a signature of {self.text} over this content") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.encoded == other.encoded

    def __lt__(self, other: PublicKey) -> bool:
        return self.encoded < other.encoded

    def __hash__(self) -> int:
        return hash(self.encoded)

    def __repr__(self) -> str:
        return f"PublicKey({self.text})"

    def __str__(self) -> str:
        return self.text

    def to_flow(self) -> bytes:
        """Its bytes as a value of the language."""
        return self.encoded

    @classmethod
    def from_flow(cls, data: bytes) -> PublicKey:
        """The key again. Raises BadKey."""
        return _read(data) if type(data) is bytes else cls(data)


class SigningKey:
    """A private key. Made from 32 secret bytes, so that whoever has these has the key again."""

    __slots__ = ("_private", "public")

    def __init__(self, scheme: int, secret: bytes) -> None:
        """`secret` is 32 bytes. Raises BadKey for another length or a scheme that cannot sign."""
        if type(secret) is not bytes or len(secret) != 32:
            raise BadKey("a secret has 32 bytes")
        self._private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey
        if scheme == ED25519:
            private = Ed25519PrivateKey.from_private_bytes(secret)
            self._private = private
            encoded = private.public_key().public_bytes_raw()
        elif scheme == ECDSA_P256:
            # Few secrets (one of 2^32) are above the order; reduced, they are hardly likelier.
            number = int.from_bytes(secret, "big") % (_P256_ORDER - 1) + 1
            on_curve = ec.derive_private_key(number, ec.SECP256R1())
            self._private = on_curve
            encoded = on_curve.public_key().public_bytes(
                Encoding.X962, PublicFormat.CompressedPoint
            )
        else:
            raise BadKey(f"no key of scheme {scheme} can sign")
        self.public = PublicKey(bytes([scheme]) + encoded)

    @property
    def private(self) -> Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
        """The key as the library has it, to sign certificates with."""
        return self._private

    def sign(self, content: bytes) -> bytes:
        """The signature over `content`."""
        if isinstance(self._private, Ed25519PrivateKey):
            return self._private.sign(content)
        r, s = decode_dss_signature(self._private.sign(content, _ECDSA))
        s = min(s, _P256_ORDER - s)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def composite(members: Iterable[tuple[int, PublicKey]], threshold: int) -> PublicKey:
    """The key that stands for `members`, as (weight, key), where the weights of those who signed
    reach `threshold`. Raises BadKey where that is nobody, everybody twice, or too much."""
    ordered = sorted(members, key=lambda member: member[1])
    plain = [threshold, [[weight, key.encoded] for weight, key in ordered]]
    try:
        return PublicKey(bytes([COMPOSITE]) + msgspec.msgpack.encode(plain))
    except OverflowError:
        raise BadKey("weights and threshold of a composite key are numbers of 64 bits") from None


def all_of(keys: Iterable[PublicKey]) -> PublicKey:
    """The key for which all of `keys` must sign; of one key that key. Raises BadKey for none, or
    too many."""
    members = [(1, key) for key in dict.fromkeys(keys)]
    return members[0][1] if len(members) == 1 else composite(members, len(members))


# --- encodings --------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2048)
def _read(encoded: bytes) -> PublicKey:
    # The same few keys are in most transactions. 2048 of the largest are 8 MiB.
    return PublicKey(encoded)


def _check(encoded: bytes) -> None:
    """Looks at bytes only. Raises BadKey."""
    if not 2 <= len(encoded) <= MAX_KEY_BYTES:
        raise BadKey("not the bytes of a public key")
    scheme = encoded[0]
    if scheme == COMPOSITE:
        _check_composite(encoded)
        return
    wanted = _LENGTHS.get(scheme)
    if wanted is None:
        raise BadKey(f"no scheme {scheme} of public keys is known")
    if len(encoded) != wanted + 1:
        raise BadKey(f"a key of scheme {scheme} has {wanted} bytes, not {len(encoded) - 1}")
    if scheme == ED25519:
        y = int.from_bytes(encoded[1:], "little") & (2**255 - 1)
        if y >= _ED25519_PRIME or y in _SMALL_ORDER_Y:
            raise BadKey("an Ed25519 key of small order, or not in its one encoding")
    elif encoded[1] not in (2, 3) or int.from_bytes(encoded[2:], "big") >= _P256_PRIME:
        raise BadKey("a key on P-256 that is not a compressed point in its one encoding")


@functools.lru_cache(maxsize=4096)
def _loaded(encoded: bytes) -> Any:
    """The key as the library has it."""
    if encoded[0] == ED25519:
        return Ed25519PublicKey.from_public_bytes(encoded[1:])
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded[1:])


_PLAIN = msgspec.msgpack.Decoder(tuple[int, tuple[tuple[int, bytes], ...]])


@functools.lru_cache(maxsize=256)
def _members(encoded: bytes) -> tuple[int, tuple[tuple[int, PublicKey], ...]]:
    """Threshold and members of a composite key."""
    threshold, members = _members_plain(encoded)
    return threshold, tuple((weight, PublicKey(key)) for weight, key in members)


@functools.lru_cache(maxsize=256)
def _check_composite(encoded: bytes) -> None:
    """All levels of a composite key. Raises BadKey."""
    leaves = list(_all_leaves(encoded))
    if len(leaves) > MAX_LEAVES or len(set(leaves)) < len(leaves):
        raise BadKey(f"a composite key has at most {MAX_LEAVES} leaves, each of them once")
    for leaf in leaves:
        _check(leaf)


def _members_plain(encoded: bytes) -> tuple[int, tuple[tuple[int, bytes], ...]]:
    """Threshold and members of one level, which is in its one encoding. Raises BadKey."""
    try:
        threshold, members = _PLAIN.decode(encoded[1:])
    except (msgspec.MsgspecError, RecursionError):
        raise BadKey("not a composite key: a threshold, and pairs of weight and key") from None
    keys = [key for _, key in members]
    if len(keys) < 2 or any(low >= high for low, high in itertools.pairwise(keys)):
        raise BadKey("a composite key has two keys or more, each once, in rising order")
    weights = [weight for weight, _ in members]
    if any(not 0 < weight <= MAX_WEIGHT for weight in weights) or not (
        0 < threshold <= sum(weights)
    ):
        raise BadKey("weights and threshold of a composite key are positive, and can be reached")
    if not all(keys):
        raise BadKey("not the bytes of a public key")
    if msgspec.msgpack.encode([threshold, members]) != encoded[1:]:
        raise BadKey("a composite key that is not in its one encoding")
    return threshold, members


def _all_leaves(encoded: bytes, depth: int = 0) -> Iterator[bytes]:
    if encoded[0] != COMPOSITE:
        yield encoded
        return
    if depth == MAX_DEPTH:
        raise BadKey(f"a composite key has at most {MAX_DEPTH} levels")
    for _, key in _members_plain(encoded)[1]:
        yield from _all_leaves(key, depth + 1)


def _der(signature: bytes) -> bytes:
    """r and s as the library wants them. Raises BadSignature unless they are in their one form."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not 0 < r < _P256_ORDER or not 0 < s <= _P256_ORDER // 2:
        raise BadSignature("a signature on P-256 that is not in its one form")
    return encode_dss_signature(r, s)
