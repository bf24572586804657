"""A party's private keys, all derived from one seed, and the file that keeps it. Knows no database.

Key number n for a purpose is HKDF (RFC 5869) of the seed, so whoever has the seed has every key
again. Which numbers are in use is not kept here: see `register`. The file is encrypted under a
passphrase with scrypt (RFC 7914) and ChaCha20-Poly1305 (RFC 8439). Nothing here shows the seed or a
private key, except `backup`, which is for that.
"""

from __future__ import annotations

import collections
import hashlib
import hmac
import json
import os
import secrets
import unicodedata
from pathlib import Path
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from flowrt.ledger.keys import ECDSA_P256, ED25519, SigningKey
from flowrt.ledger.problems import LedgerError

SEED_BYTES: Final = 32
MAX_NUMBER: Final = 2**48
REMEMBERED: Final = 1024
"""How many derived private keys are kept in memory."""

IDENTITY: Final = b"identity"
FRESH: Final = b"fresh"
_SALT: Final = b"salt"
_EXTRACT: Final = b"flowlang key store 1"

COST: Final = 2**17
"""scrypt's N for new files: 128 MiB and about half a second for each guess of a passphrase."""

_BLOCK, _PARALLEL = 8, 1
_MOST_COST: Final = 2**20
_MAX_FILE_BYTES: Final = 4096


class KeyStoreError(LedgerError):
    """A key store cannot be opened, made or restored: why, and what to do."""


class KeyStore:
    """A seed and the keys that come of it."""

    __slots__ = ("_recent", "_root", "_seed", "scheme")

    def __init__(self, seed: bytes, scheme: int = ED25519) -> None:
        """`seed` is 32 secret bytes; keys are of `scheme`, ED25519 or ECDSA_P256. Raises
        KeyStoreError."""
        if not isinstance(seed, bytes) or len(seed) != SEED_BYTES:
            raise KeyStoreError(f"a seed has {SEED_BYTES} bytes")
        if scheme not in (ED25519, ECDSA_P256):
            raise KeyStoreError("a key store has Ed25519 or P-256 keys")
        self._seed = seed
        self._root = hmac.digest(_EXTRACT, seed, "sha256")
        self._recent: collections.OrderedDict[tuple[bytes, int], SigningKey] = (
            collections.OrderedDict()
        )
        self.scheme = scheme

    @classmethod
    def derive(cls, seed: bytes, scheme: int = ED25519) -> KeyStore:
        """The key store of any secret bytes of sufficient entropy, such as a test's name."""
        return cls(hashlib.sha256(b"flowlang seed\x00" + seed).digest(), scheme)

    @classmethod
    def new(cls, scheme: int = ED25519) -> KeyStore:
        """A key store of a new seed, made by chance."""
        return cls(secrets.token_bytes(SEED_BYTES), scheme)

    def identity(self, number: int = 0) -> SigningKey:
        """The well-known key; `number` counts how often it was rotated."""
        return self._key(IDENTITY, number)

    def fresh(self, number: int) -> SigningKey:
        """The pseudonym of that number, from 1 on."""
        return self._key(FRESH, number)

    def salt(self, *of: int) -> bytes:
        """32 secret bytes, others for other numbers: for a transaction."""
        return self._expand(_SALT + b"".join(b"\x00" + str(number).encode() for number in of))

    def _key(self, purpose: bytes, number: int) -> SigningKey:
        found = self._recent.get((purpose, number))
        if found is None:
            if not 0 <= number < MAX_NUMBER:
                raise KeyStoreError(f"keys are numbered from 0 to {MAX_NUMBER}")
            info = purpose + bytes([0, self.scheme]) + number.to_bytes(8, "big")
            found = SigningKey(self.scheme, self._expand(info))
            self._recent[purpose, number] = found
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return found

    def _expand(self, info: bytes) -> bytes:
        """HKDF-Expand for one block of 32 bytes."""
        return hmac.digest(self._root, info + b"\x01", "sha256")

    # --- keeping it ---

    def backup(self) -> str:
        """The seed on paper: ten groups of eight signs, of which the last finds mistakes in the
        others. Whoever has it has every key."""
        text = bytes([self.scheme]) + self._seed
        checked = text + hashlib.sha256(b"flowlang backup\x00" + text).digest()[:7]
        plain = checked.hex()
        return " ".join(plain[at : at + 8] for at in range(0, len(plain), 8))

    @classmethod
    def restore(cls, backup: str) -> KeyStore:
        """The key store again. Raises KeyStoreError for a text with a mistake in it."""
        try:
            checked = bytes.fromhex("".join(backup.split()))
        except ValueError:
            raise KeyStoreError("a backup has the signs 0 to 9 and a to f, and spaces") from None
        text, check = checked[:-7], checked[-7:]
        good = hashlib.sha256(b"flowlang backup\x00" + text).digest()[:7]
        if len(text) != SEED_BYTES + 1 or not hmac.compare_digest(check, good):
            raise KeyStoreError("there is a mistake in the backup: compare it, group by group")
        return cls(text[1:], text[0])

    def save(self, path: Path, passphrase: str, *, cost: int = COST) -> None:
        """Write it to a file that only its owner may read, encrypted under the passphrase; written
        aside and renamed, so a file that was there is replaced whole or not at all. Raises
        KeyStoreError for an empty passphrase."""
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
        header = _header(cost, _BLOCK, _PARALLEL, salt, nonce)
        cipher = ChaCha20Poly1305(_stretched(passphrase, cost, _BLOCK, _PARALLEL, salt))
        sealed = cipher.encrypt(nonce, bytes([self.scheme]) + self._seed, _bound(header))
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                json.dump({**header, "sealed": sealed.hex()}, file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @classmethod
    def open(cls, path: Path, passphrase: str) -> KeyStore:
        """The key store in a file. Raises KeyStoreError: not a key store, readable by others, the
        wrong passphrase, or a changed file (the last two look the same)."""
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise KeyStoreError(f"{path} may be read by others: chmod 600 {path}")
                data = file.read(_MAX_FILE_BYTES + 1)
        except OSError as error:
            raise KeyStoreError(f"{path} cannot be read: {error.strerror}") from None
        header, cost, block, parallel, salt, nonce, sealed = _read(path, data)
        cipher = ChaCha20Poly1305(_stretched(passphrase, cost, block, parallel, salt))
        try:
            opened = cipher.decrypt(nonce, sealed, _bound(header))
        except InvalidTag:
            raise KeyStoreError(f"{path}: wrong passphrase, or the file was changed") from None
        return cls(opened[1:], opened[0])

    # --- never shown ---

    def __repr__(self) -> str:
        return f"KeyStore({self.identity().public.text})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key store is not pickled or copied: it has secrets")


def _header(cost: int, block: int, parallel: int, salt: bytes, nonce: bytes) -> dict[str, Any]:
    return {
        "format": "flowlang key store 1",
        "kdf": {"name": "scrypt", "n": cost, "r": block, "p": parallel, "salt": salt.hex()},
        "cipher": {"name": "chacha20-poly1305", "nonce": nonce.hex()},
    }


def _bound(header: dict[str, Any]) -> bytes:
    """What is authenticated beside the seed: everything else in the file."""
    return json.dumps(header, sort_keys=True).encode()


def _read(path: Path, data: bytes) -> tuple[dict[str, Any], int, int, int, bytes, bytes, bytes]:
    try:
        if len(data) > _MAX_FILE_BYTES:
            raise ValueError
        found = json.loads(data)
        kdf = found["kdf"]
        cost, block, parallel = kdf["n"], kdf["r"], kdf["p"]
        salt, nonce = bytes.fromhex(kdf["salt"]), bytes.fromhex(found["cipher"]["nonce"])
        sealed = bytes.fromhex(found["sealed"])
        header = _header(cost, block, parallel, salt, nonce)
        if {**header, "sealed": sealed.hex()} != found or not _is_affordable(cost, block, parallel):
            raise ValueError
        if len(nonce) != 12 or len(salt) != 16 or len(sealed) != SEED_BYTES + 1 + 16:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeyStoreError(f"{path} is no key store of this format") from None
    return header, cost, block, parallel, salt, nonce, sealed


def _is_affordable(cost: int, block: int, parallel: int) -> bool:
    """Whether a passphrase is tried with bounded memory and time: who wrote the file is unknown."""
    known = all(type(number) is int for number in (cost, block, parallel))
    if not known or not 2 <= cost <= _MOST_COST or cost & (cost - 1):
        return False
    return 1 <= block <= 8 and 1 <= parallel <= 4


def _stretched(passphrase: str, cost: int, block: int, parallel: int, salt: bytes) -> bytes:
    if not passphrase:
        raise KeyStoreError("a key store has a passphrase")
    plain = unicodedata.normalize("NFKC", passphrase).encode("utf-8", "surrogatepass")
    return Scrypt(salt=salt, length=32, n=cost, r=block, p=parallel).derive(plain)
