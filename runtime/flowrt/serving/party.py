"""A party's folder: its keys, its requests to be certified, its database, made safely.

Knows the network only by what it certifies: see `network`.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from flowrt.ledger.identity.keystore import COST, KeyStore, KeyStoreError
from flowrt.ledger.identity.names import BadName, canonical
from flowrt.ledger.keys import ED25519, PublicKey, SigningKey
from flowrt.ledger.problems import LedgerError
from flowrt.serving.config import Config
from flowrt.serving.files import exposed, fill, new_folder
from flowrt.serving.troubles import refused
from flowrt.store import StoreError
from flowrt.store.sqlite import SqliteStore
from flowrt.store.uniqueness import UniquenessFile

PASSPHRASE: Final = "FLOWRT_PASSPHRASE"
PASSPHRASE_FILE: Final = "passphrase"
REQUEST: Final = "certificate.request"
PUBLIC: Final = frozenset({"root.pem", "tls.pem", "network.map", REQUEST, "node.toml"})
"""What of a party's folder others may read."""

LEAST_PASSPHRASE: Final = 8

_CHEAP: Final = 2**4
"""scrypt's N where the passphrase is 256 bits of chance: nobody guesses that, however fast."""

_SIGNED = b"flowlang certificate request\x00"
_FORM = "flowlang certificate request 1"
_GENERATED = re.compile(r"[0-9a-f]{64}")


# --- passphrases ------------------------------------------------------------------------------


def new_passphrase() -> str:
    """256 bits of chance."""
    return secrets.token_hex(32)


def cost_of(passphrase: str) -> int:
    """scrypt's N for files under this passphrase."""
    return _CHEAP if _GENERATED.fullmatch(passphrase) else COST


def passphrase_of(config: Config, environment: dict[str, str] | None = None) -> str:
    """The passphrase of a party's keys, from the environment or from the file that the
    configuration names. Raises Refused."""
    found = (os.environ if environment is None else environment).get(PASSPHRASE)
    if found:
        return found
    name = config.settings.passphrase_file
    if name is None:
        raise refused(
            config.path,
            "its keys are under a passphrase, which is not given",
            f"set {PASSPHRASE}, or name a file in `passphrase_file`",
        )
    return secret_in(config.file(name))


def secret_in(path: Path) -> str:
    """What a private file holds, without the end of its line. Raises Refused."""
    try:
        bad = exposed(path)
        text = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not UTF-8"
        remedy = f"put the passphrase there, or into the environment: {PASSPHRASE}"
        raise refused(path, f"it cannot be read: {cause}", remedy) from None
    if bad:
        raise refused(path, bad, f"chmod 600 {path}")
    if not text:
        raise refused(path, "it is empty")
    return text


def stretched(passphrase: str, name: str) -> bytes:
    """What a TLS key's PEM file is encrypted under. PEM makes a guess of a passphrase cheap (2,048
    rounds of PBKDF2), and it is the passphrase of the ledger's keys too; so it is made dear first,
    as it is there."""
    salt = hmac.digest(b"flowlang tls key", name.encode(), "sha256")
    made = Scrypt(salt=salt, length=32, n=cost_of(passphrase), r=8, p=1)
    return made.derive(passphrase.encode("utf-8", "surrogatepass")).hex().encode()


# --- keys -------------------------------------------------------------------------------------


def new_tls_key() -> SigningKey:
    """A key for connections, made by chance."""
    return SigningKey(ED25519, secrets.token_bytes(32))


def tls_pem(key: SigningKey, passphrase: str, name: str) -> bytes:
    """The key as a file has it."""
    sealed = BestAvailableEncryption(stretched(passphrase, name))
    return key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)


def tls_key(data: bytes, passphrase: str, name: str, place: object) -> SigningKey:
    """The key that is in a file. Raises Refused."""
    try:
        found = load_pem_private_key(data, stretched(passphrase, name))
    except (ValueError, TypeError):
        raise refused(place, "it is no key, or is under another passphrase") from None
    if not isinstance(found, Ed25519PrivateKey):
        kind = "a P-256 key" if isinstance(found, ec.EllipticCurvePrivateKey) else "another key"
        raise refused(place, f"it is {kind}: a request is made for Ed25519 keys") from None
    return SigningKey(ED25519, found.private_bytes_raw())


def open_keys(path: Path, passphrase: str) -> KeyStore:
    """A party's keys. Raises Refused."""
    try:
        return KeyStore.open(path, passphrase)
    except KeyStoreError as error:
        raise refused(path, str(error).removeprefix(f"{path} ").removeprefix(f"{path}: ")) from None


# --- asking to be certified -------------------------------------------------------------------


class Request(NamedTuple):
    """What a party wants to have certified: that these keys, which it has shown to hold, are its
    own, and that it is reached there. A key may be left out where the other alone is new."""

    name: str
    identity: PublicKey | None
    tls: PublicKey | None
    addresses: tuple[str, ...]
    voucher: PublicKey | None = None
    """The key that has signed it besides, as somebody who is in the network already does."""

    def _signed(self) -> bytes:
        return _SIGNED + json.dumps(self._plain(), sort_keys=True).encode()

    def _plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "identity": self.identity.encoded.hex() if self.identity else None,
            "tls": self.tls.encoded.hex() if self.tls else None,
            "addresses": list(self.addresses),
        }

    def written(self, *keys: SigningKey, voucher: SigningKey | None = None) -> bytes:
        """It as a file, signed by each of its keys, and by the voucher."""
        held = {key.public: key.sign(self._signed()).hex() for key in keys}
        proofs = {
            what: held[key]
            for what, key in (("identity", self.identity), ("tls", self.tls))
            if key is not None
        }
        if voucher is not None:
            proofs["voucher"] = voucher.sign(self._signed()).hex()
        found = {"format": _FORM, **self._plain(), "proofs": proofs}
        if voucher is not None:
            found["voucher"] = voucher.public.encoded.hex()
        return (json.dumps(found, indent=1) + "\n").encode()


def read_request(path: Path) -> Request:
    """A request, whose signatures were found good. Raises Refused."""
    try:
        with open(path, "rb") as file:
            data = file.read(1 << 16)
        found = json.loads(data)
        if found["format"] != _FORM:
            raise ValueError(f"its format is {found['format']}")
        keys = {
            what: PublicKey(bytes.fromhex(found[what])) if found.get(what) is not None else None
            for what in ("identity", "tls", "voucher")
        }
        request = Request(
            canonical(found["name"]).text,
            keys["identity"],
            keys["tls"],
            tuple(found["addresses"]),
            keys["voucher"],
        )
        for what, key in keys.items():
            if key is not None:
                key.verify(bytes.fromhex(found["proofs"][what]), request._signed())
        if not (request.identity or request.tls):
            raise ValueError("it asks for nothing")
        if not all(isinstance(address, str) for address in request.addresses):
            raise ValueError("its addresses are texts")
    except OSError as error:
        raise refused(path, f"it cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, LedgerError) as error:
        cause = f"this is no certificate request that is good: {error}"
        raise refused(path, cause, "take the file that `flowctl init` wrote") from None
    return request


# --- a new party ------------------------------------------------------------------------------


class Party(NamedTuple):
    """A party whose folder is to be made."""

    name: str
    listen: str
    http: str | None = None
    reached: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    notary: str | None = None
    ledger: bool = True


def folder_name(name: str) -> str:
    """A party's name as a file may be called."""
    plain = name.partition(",")[0].rpartition("=")[2]
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "party"


class Made(NamedTuple):
    """What was made: the request, and the backup of the ledger's keys, to be written down."""

    request: Request
    backup: str


def check_name(name: str) -> None:
    """Raises Refused for what cannot be a party's name."""
    try:
        if canonical(name).text != name:
            raise refused("--name", f"{name!r} is spelt {canonical(name).text!r}")
    except BadName as error:
        raise refused("--name", str(error)) from None


def fill_folder(folder: Path, party: Party, passphrase: str, extra: str = "") -> Made:
    """Put all into a new folder that a party has by itself: keys, request, database, `node.toml`.
    `extra` is added to the last."""
    keys, tls = KeyStore.new(), new_tls_key()
    identity = keys.identity() if party.ledger else None
    request = Request(
        party.name,
        identity.public if identity else None,
        tls.public,
        party.reached or (party.listen,),
    )
    fill(
        folder,
        {
            "tls.key": tls_pem(tls, passphrase, party.name),
            REQUEST: request.written(tls, *([identity] if identity else [])),
            "node.toml": (node_toml(party) + extra).encode(),
        },
        PUBLIC,
    )
    if party.ledger:
        keys.save(folder / "party.keys", passphrase, cost=cost_of(passphrase))
    old = os.umask(0o077)
    try:
        store = SqliteStore(folder / f"{folder_name(party.name)}.db")
        store.open(party.name)
        store.close()
        if party.notary is not None:
            UniquenessFile(folder / "book.db", party.name).close()
    except StoreError as error:
        raise refused(folder, str(error)) from None
    finally:
        os.umask(old)
    return Made(request, keys.backup() if party.ledger else "")


def create(folder: Path, party: Party, passphrase: str, *, keep_passphrase: bool) -> Made:
    """A party's folder, whole or not at all. Raises Refused: it is there already, or the name or
    the passphrase will not do."""
    check_name(party.name)
    if len(passphrase) < LEAST_PASSPHRASE:
        raise refused(PASSPHRASE, f"a passphrase has {LEAST_PASSPHRASE} characters at least")
    with new_folder(folder) as aside:
        made = fill_folder(aside, party, passphrase)
        if keep_passphrase:
            fill(aside, {PASSPHRASE_FILE: f"{passphrase}\n".encode()})
    return made


def node_toml(party: Party) -> str:
    """The configuration of a new party."""
    quoted = json.dumps
    lines = [
        f"name = {quoted(party.name, ensure_ascii=False)}",
        f"store = {quoted(folder_name(party.name) + '.db')}",
        f"apps = {quoted(list(party.apps))}",
        f"passphrase_file = {quoted(PASSPHRASE_FILE)}  # or in the environment: {PASSPHRASE}",
        "",
        "[listen]",
        f"address = {quoted(party.listen)}",
        "",
        "[tls]",
        'certificate = "tls.pem"',
        'key = "tls.key"',
        'root = "root.pem"',
    ]
    if party.ledger:
        lines += ["", "[ledger]", 'keys = "party.keys"', 'map = "network.map"']
    if party.notary is not None:
        lines += [f"notary = {quoted(party.notary)}", 'book = "book.db"']
    if party.http is not None:
        lines += ["", "[http]", f"listen = {quoted(party.http)}"]
    return "\n".join(lines) + "\n"
