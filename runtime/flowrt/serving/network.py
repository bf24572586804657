"""The operator of a network: its root, who is admitted, the map that is published; and whole local
networks, to play with.

Holds the keys that certify. What a party does for itself is in `party`.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from flowrt.ledger.identity.certificates import Authority, Usage
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.identity.names import skeleton
from flowrt.ledger.identity.networkmap import (
    Entry,
    MapRefused,
    NetworkMap,
    NotaryEntry,
    Parameters,
    entry,
    publish,
)
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import LedgerError
from flowrt.serving import users
from flowrt.serving.files import PUBLIC, fill, new_folder, write
from flowrt.serving.party import (
    PASSPHRASE_FILE,
    Party,
    Request,
    check_name,
    cost_of,
    fill_folder,
    folder_name,
    new_passphrase,
    open_keys,
    secret_in,
)
from flowrt.serving.troubles import Refused, Trouble, refused

OPERATOR: Final = "operator"
"""The folder of a network in which its operator's keys are."""

MAP: Final = "network.map"
ROOT: Final = "root.pem"

_DAY = datetime.timedelta(days=1)
ROOT_DAYS: Final = 20 * 365
OPERATOR_DAYS: Final = 5 * 365
IDENTITY_DAYS: Final = 5 * 365
TLS_DAYS: Final = 366
"""For how long certificates are made; none is good for longer than the root."""

EARLIER: Final = datetime.timedelta(hours=1)
"""Certificates are good from so long before now: clocks differ."""


class Admission(NamedTuple):
    """What a party is given when it is certified: files for its folder."""

    name: str
    files: dict[str, bytes]


class Operator:
    """Who certifies and publishes, with the keys of both."""

    def __init__(self, folder: Path, passphrase: str) -> None:
        """Open the operator's part of a network's folder. Raises Refused."""
        inner = folder / OPERATOR
        if not inner.is_dir():
            remedy = "name the folder that `flowctl network new` made"
            raise refused(folder, "it is no network's folder of which we have the keys", remedy)
        self.folder = folder
        root, operator = (open_keys(inner / f"{n}.keys", passphrase) for n in ("root", "operator"))
        try:
            certificate = _pem_to_der((inner / ROOT).read_bytes())
            self._root = Authority([certificate], root.identity())
            self._operator = operator.identity()
            self._chain = tuple(_chain((inner / "operator.pem").read_bytes()))
            self.map = NetworkMap((folder / MAP).read_bytes(), certificate)
        except OSError as error:
            raise refused(error.filename or inner, f"it cannot be read: {error.strerror}") from None
        except (LedgerError, ValueError) as error:
            raise refused(inner, str(error)) from None

    @property
    def root_pem(self) -> bytes:
        """The root's certificate."""
        return _pem(self._root.certificate)

    def admit(self, request: Request, *, notary: str | None = None) -> Admission:
        """Certify what a party asks for, and publish a map with it; `notary` is how it is one. Who
        takes part in no ledger, and asks for a TLS certificate alone, is not in the map.

        Raises:
            Refused: a name or key that the map does not take.
        """
        name = request.name
        known = dict(self.map.entries)
        for other in known:
            if other != name and skeleton(other) == skeleton(name):
                raise refused(name, f"it looks like {other}, which is in the network")
        files = {ROOT: self.root_pem}
        now = _now()
        if request.tls is not None:
            files["tls.pem"] = self._certified(name, request.tls, Usage.TLS, TLS_DAYS, now)
        if request.identity is None and name not in known:
            return Admission(name, files)
        chain: tuple[bytes, ...] = known[name].chain if name in known else ()
        if request.identity is not None:
            until = _until(now, IDENTITY_DAYS, self._root)
            chain = self._root.certify(name, request.identity, now - EARLIER, until)
        known[name] = entry(chain, request.addresses)
        parameters = self.map.parameters
        if notary is not None:
            others = tuple(one for one in parameters.notaries if one.name != name)
            mine = NotaryEntry(name, notary == "validating")
            parameters = Parameters(
                parameters.version,
                parameters.minimum_platform,
                parameters.max_transaction_bytes,
                (*others, mine),
            )
        self._publish(known.values(), parameters)
        return Admission(name, {**files, MAP: self.map.data})

    def vouches(self, request: Request) -> bool:
        """Whether a request is signed by the key that the map has for its party: then it is its
        own, and nobody needs to compare keys."""
        known = self.map.certified(request.name)
        return known is not None and request.voucher == known.key

    def remove(self, name: str) -> None:
        """Publish a map without a party. Raises Refused."""
        known = {other: one for other, one in self.map.entries.items() if other != name}
        if len(known) == len(self.map.entries):
            raise refused(name, "it is not in the network")
        self._publish(known.values(), self.map.parameters)

    def publish_again(self) -> None:
        """Publish a map with the same parties: after the operator was certified anew."""
        self._publish(self.map.entries.values(), self.map.parameters)

    def _publish(self, entries: Iterable[Entry], parameters: Parameters) -> None:
        try:
            self.map = publish(
                self._root.certificate,
                self._chain,
                self._operator,
                self.map.serial + 1,
                entries,
                parameters,
            )
        except MapRefused as error:
            raise refused(self.folder / MAP, str(error)) from None
        write(self.folder / MAP, self.map.data, PUBLIC)

    def _certified(
        self, name: str, key: PublicKey, usage: Usage, days: int, now: datetime.datetime
    ) -> bytes:
        until = _until(now, days, self._root)
        chain = self._root.certify(name, key, now - EARLIER, until, usage)
        return b"".join(map(_pem, chain))


def passphrase_in(folder: Path) -> str:
    """The operator's passphrase, from the environment or the file beside its keys. Raises
    Refused."""
    import os

    found = os.environ.get("FLOWRT_OPERATOR_PASSPHRASE")
    return found or secret_in(folder / OPERATOR / PASSPHRASE_FILE)


def lay_out(folder: Path, given: Admission) -> Path:
    """Put what a party is given into a folder of the network's; where."""
    place = folder / "admitted" / folder_name(given.name)
    place.mkdir(parents=True, exist_ok=True)
    for name, data in given.files.items():
        write(place / name, data, PUBLIC)
    return place


def distribute(folder: Path, data: bytes) -> list[Path]:
    """Put a map into the folders of the parties that lie in the network's own; those that took
    it."""
    found = []
    for config in sorted(folder.glob("*/node.toml")):
        place = config.parent / MAP
        if place.exists() and place.read_bytes() != data:
            write(place, data, PUBLIC)
            found.append(config.parent)
    return found


# --- a whole network --------------------------------------------------------------------------


class Made(NamedTuple):
    """A party of a new network: its folder, where it is reached, and its administrator's token."""

    name: str
    folder: Path
    listen: str
    http: str


def create(
    folder: Path,
    names: Sequence[str],
    *,
    notary: str | None = None,
    validating: bool = True,
    apps: Sequence[str] = (),
    ports: Sequence[int] = (),
    http_ports: Sequence[int] = (),
) -> list[Made]:
    """A network on this machine, whole or not at all: a folder for each party, one for the
    operator, and a map. `notary` is one of the parties. Passphrases are made by chance, and lie
    beside the keys.

    Raises:
        Refused: the folder is there, or names will not do.
    """
    names = list(names)
    troubles = [
        Trouble("--parties", "", f"{name} is there twice")
        for name in {n for n in names if names.count(n) > 1}
    ]
    if notary is not None and notary not in names:
        troubles.append(Trouble("--notary", "", f"{notary} is none of the parties"))
    slugs = [folder_name(name) for name in names]
    for one, slug in zip(names, slugs, strict=True):
        if (slugs.count(slug) > 1 and names.count(one) == 1) or slug == OPERATOR:
            troubles.append(
                Trouble(
                    "--parties", "", f"the folder of {one} would be {slug}", "take another name"
                )
            )
    if not names:
        troubles.append(Trouble("--parties", "", "a network has parties", "name them"))
    if troubles:
        raise Refused(troubles)
    for name in names:
        check_name(name)
    made = []
    with new_folder(folder) as aside:
        root, operator = KeyStore.new(), KeyStore.new()
        now = _now()
        authority = Authority.root(
            f"O={_plain(folder.name)} network",
            root.identity(),
            now - EARLIER,
            now + ROOT_DAYS * _DAY,
        )
        certified = authority.certify(
            f"CN=Operator, O={_plain(folder.name)} network",
            operator.identity().public,
            now - EARLIER,
            _until(now, OPERATOR_DAYS, authority),
            Usage.OPERATOR,
        )
        secret = new_passphrase()
        inner = aside / OPERATOR
        inner.mkdir(mode=0o700)
        fill(
            inner,
            {
                PASSPHRASE_FILE: f"{secret}\n".encode(),
                ROOT: _pem(authority.certificate),
                "operator.pem": b"".join(map(_pem, certified)),
            },
        )
        root.save(inner / "root.keys", secret, cost=cost_of(secret))
        operator.save(inner / "operator.keys", secret, cost=cost_of(secret))
        entries = []
        for number, (name, slug) in enumerate(zip(names, slugs, strict=True)):
            listen, http = f"127.0.0.1:{ports[number]}", f"127.0.0.1:{http_ports[number]}"
            kind = ("validating" if validating else "non-validating") if name == notary else None
            own = aside / slug
            own.mkdir(mode=0o700)
            passphrase = new_passphrase()
            token, table = users.new("admin", ["admin"])
            party = Party(name, listen, http, apps=tuple(apps), notary=kind)
            request = fill_folder(own, party, passphrase, table).request
            assert request.identity is not None
            assert request.tls is not None
            until = _until(now, IDENTITY_DAYS, authority)
            chain = authority.certify(name, request.identity, now - EARLIER, until)
            entries.append(entry(chain, request.addresses))
            until = _until(now, TLS_DAYS, authority)
            tls = authority.certify(name, request.tls, now - EARLIER, until, Usage.TLS)
            fill(
                own,
                {
                    PASSPHRASE_FILE: f"{passphrase}\n".encode(),
                    users.token_file("admin"): f"{token}\n".encode(),
                    ROOT: _pem(authority.certificate),
                    "tls.pem": b"".join(map(_pem, tls)),
                },
                frozenset({ROOT, "tls.pem"}),
            )
            made.append(Made(name, folder / slug, listen, http))
        listed = (NotaryEntry(notary, validating),) if notary is not None else ()
        try:
            found = publish(
                authority.certificate,
                certified,
                operator.identity(),
                1,
                entries,
                Parameters(notaries=listed),
            )
        except MapRefused as error:
            raise refused("--parties", str(error)) from None
        for place in (aside, *(aside / slug for slug in slugs)):
            fill(place, {MAP: found.data}, frozenset({MAP}))
    return made


def _plain(text: str) -> str:
    """A folder's name as part of a certificate's."""
    kept = "".join(sign if sign.isascii() and sign.isalnum() else " " for sign in text)
    return " ".join(kept.split())[:40] or "Local"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _until(now: datetime.datetime, days: int, above: Authority) -> datetime.datetime:
    end = x509.load_der_x509_certificate(above.certificate).not_valid_after_utc
    return min(now + days * _DAY, end)


def _pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()


def _chain(pem: bytes) -> list[bytes]:
    found = x509.load_pem_x509_certificates(pem)
    return [certificate.public_bytes(Encoding.DER) for certificate in found]


def _pem_to_der(pem: bytes) -> bytes:
    [found] = _chain(pem)
    return found
