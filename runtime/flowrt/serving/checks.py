"""Whether a configuration can be served: files, certificates, users, store, clock. Opens nothing.

What only loading apps can tell is found by `assembly`, what only a socket can, by `process`.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flowrt.api.access import BUILT_IN, AccessWrong, permission_of
from flowrt.ledger.problems import LedgerError
from flowrt.serving.config import Config
from flowrt.serving.files import exposed
from flowrt.serving.party import stretched
from flowrt.serving.settings import is_loopback
from flowrt.serving.troubles import Refused, Trouble, nearest
from flowrt.serving.users import standing
from flowrt.store import StoreError
from flowrt.store.copies import Look, look
from flowrt.transport.credentials import BadCredentials, Badge, Credentials
from flowrt.transport.peers import BadAddress, parse_address

SOON: Final = datetime.timedelta(days=30)
"""So long before its end a certificate is warned of."""

BACK: Final = datetime.timedelta(days=1)
"""A clock that is further back than this from the last commit is taken for wrong."""

_TIME: Final = "%Y-%m-%d %H:%MZ"

REMOTE: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "ceph",
        "glusterfs",
        "fuse.sshfs",
        "afs",
    }
)
"""File systems on which locks and shared memory of other machines do not hold."""


def files(config: Config) -> Iterator[Trouble]:
    """What is wrong with files that must be there, and be private."""
    settings = config.settings
    private = [("tls.key", settings.tls.key)]
    public = [("tls.certificate", settings.tls.certificate), ("tls.root", settings.tls.root)]
    if settings.ledger is not None:
        private.append(("ledger.keys", settings.ledger.keys))
        public.append(("ledger.map", settings.ledger.map))
    if settings.http is not None and settings.http.tls is not None:
        private.append(("http.tls.key", settings.http.tls.key))
        public.append(("http.tls.certificate", settings.http.tls.certificate))
        if settings.http.tls.client_ca is not None:
            public.append(("http.tls.client_ca", settings.http.tls.client_ca))
    uncertified = False
    for key, name in (*private, *public):
        path = config.file(name)
        try:
            with open(path, "rb"):
                pass
            bad = exposed(path) if (key, name) in private else ""
        except OSError as error:
            cause = f"{path} cannot be read: {error.strerror}"
            remedy = ""
            if isinstance(error, FileNotFoundError) and (key, name) in public[:3]:
                remedy, uncertified = _CERTIFY if not uncertified else "", True
            yield config.trouble(key, cause, remedy)
            continue
        if bad:
            yield config.trouble(key, f"{path}: {bad}", f"chmod 600 {path}")


_CERTIFY = (
    "send certificate.request to the network's operator (`flowctl network admit`), "
    "and install what comes back (`flowctl keys install`)"
)


def badge(config: Config, passphrase: str) -> tuple[Badge, Credentials]:
    """What we show on the wire, checked. Raises Refused."""
    settings = config.settings
    own = settings.tls
    credentials = Credentials(
        config.file(own.certificate),
        config.file(own.key),
        config.file(own.root),
        _password(config.file(own.key), passphrase, settings.name),
    )
    try:
        found = credentials.load()
    except BadCredentials as error:
        raise Refused([config.trouble("tls", str(error))]) from None
    if found.party != settings.name:
        cause = f"{credentials.certificate} is the certificate of {found.party}"
        remedy = f'write `name = "{found.party}"`, or take the certificate of {settings.name}'
        raise Refused([config.trouble("name", cause, remedy)])
    return found, credentials


def _password(path: Path, passphrase: str, name: str) -> bytes | str | None:
    """What a key's file is under. One of another maker may be under the passphrase itself."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = path.read_bytes()
    if b"ENCRYPTED" not in data:
        return None
    made = stretched(passphrase, name)
    try:
        load_pem_private_key(data, made)
    except ValueError:
        return passphrase
    return made


def times(config: Config, found: Badge) -> Iterator[Trouble]:
    """Certificates that will be over soon."""
    left = found.until - _now()
    if left < SOON:
        cause = f"the TLS certificate is good until {found.until:%Y-%m-%d %H:%M}Z"
        yield config.trouble("tls.certificate", cause, "`flowctl keys rotate`", warns=True)


def doors(config: Config) -> Iterator[Trouble]:
    """What is wrong with where the node listens, and with who may come in."""
    settings = config.settings
    for key, address in (
        ("listen.address", settings.listen.address),
        *((("http.listen", settings.http.listen),) if settings.http is not None else ()),
    ):
        try:
            parse_address(address, any_port=True)
        except BadAddress as error:
            yield config.trouble(key, str(error))
    for name, peer in settings.peers.items():
        try:
            parse_address(peer.address)
        except BadAddress as error:
            yield Trouble(config.place("peers", name), f"peers.{name}.address", str(error))
        if name == settings.name:
            yield Trouble(config.place("peers", name), f"peers.{name}", "this is ourselves")
    if settings.ledger is None and not settings.peers:
        cause = "no peers are listed, and there is no map: nobody can be reached"
        yield config.trouble("peers", cause, "write [peers.bob] with an address", warns=True)
    http = settings.http
    if http is None:
        return
    if http.tls is None and not is_loopback(http.listen):
        cause = f"{http.listen} is reached from elsewhere, and tokens would travel in the clear"
        remedy = "listen on 127.0.0.1, or write [http.tls] with certificate and key"
        yield config.trouble("http.listen", cause, remedy)
    yield from _users(config)


def _users(config: Config) -> Iterator[Trouble]:
    settings = config.settings
    roles = {*BUILT_IN, *settings.roles}
    for name, role in settings.roles.items():
        place = config.place("roles", name)
        if name in BUILT_IN:
            yield Trouble(place, f"roles.{name}", "every node has this role", "rename it")
        for text in role.may:
            try:
                permission_of(text)
            except AccessWrong as error:
                yield Trouble(place, f"roles.{name}.may", str(error))
    tokens: dict[str, str] = {}
    for name, user in settings.users.items():
        place = config.place("users", name)
        key = f"users.{name}"
        for one in user.roles:
            if one not in roles:
                yield Trouble(place, key, f"there is no role `{one}`", nearest(one, roles))
        if user.token is None and user.certificate is None:
            cause, remedy = "it has neither token nor certificate", "`flowctl user add` makes one"
            yield Trouble(place, key, cause, remedy)
        if user.token is not None and tokens.setdefault(user.token, name) != name:
            yield Trouble(place, key, f"it has the token of {tokens[user.token]}")
        if user.certificate is not None:
            tls = settings.http.tls if settings.http is not None else None
            if tls is None or tls.client_ca is None:
                cause = "clients show certificates only where [http.tls] has `client_ca`"
                yield Trouble(place, f"{key}.certificate", cause)
    today = _now().date()
    if not any(standing(user, today) == "active" for user in settings.users.values()):
        cause = "nobody may come in by HTTP"
        yield config.trouble("users", cause, "`flowctl user add NAME --role admin`", warns=True)


def store(
    config: Config, *, accept_clock: bool = False, new_store: bool = False
) -> tuple[list[Trouble], Look | None]:
    """What is wrong with the store, and what it says of itself. One that is not there is made with
    `new_store` alone: a party that has forgotten everything must not come back unseen. With
    `accept_clock` the machine's clock is right, though it is far behind the last commit."""
    settings = config.settings
    path = config.file(settings.store)
    if not path.parent.is_dir():
        cause, remedy = f"{path.parent} is no folder", "create it"
        return [config.trouble("store", cause, remedy)], None
    kind = _file_system(path)
    if kind in REMOTE:
        cause = f"{path} is on {kind}, where a commit is not known to be durable"
        return [config.trouble("store", cause, "keep it on a disk of this machine")], None
    if not os.access(path.parent, os.W_OK) or (path.is_file() and not os.access(path, os.W_OK)):
        return [_unwritable(config, path)], None
    try:
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return [_unwritable(config, path)], None
    except OSError as error:
        return [config.trouble("store", f"{path} cannot be looked at: {error.strerror}")], None
    book = _book(config)
    if book is not None and not new_store and not os.path.lexists(book):
        # An empty one would let everything be used up once more.
        cause = f"{book}, the notary's book, is not there"
        remedy = "bring it back; or begin anew with `flowctl up --new-store`"
        return [config.trouble("ledger.book", cause, remedy)], None
    if not os.path.lexists(path):
        left = [f"{path.name}{end}" for end in ("-mark", "-wal") if Path(f"{path}{end}").exists()]
        if left:
            cause = f"{path} is gone, and {left[0]} is there"
            remedy = "bring the file back (`flowctl restore`); or remove that one to begin anew"
            return [config.trouble("store", cause, remedy)], None
        if not new_store:
            cause = f"{path} is not there"
            remedy = (
                "bring it back (`flowctl restore`); or begin anew with `flowctl up --new-store`"
            )
            return [config.trouble("store", cause, remedy)], None
        return [], None
    try:
        found = look(path)
    except StoreError as error:
        return [config.trouble("store", str(error))], None
    troubles = []
    if found.party != settings.name:
        cause = f"{path} belongs to {found.party}, not to {settings.name}"
        remedy = f'name another file, or write `name = "{found.party}"`'
        troubles.append(config.trouble("store", cause, remedy))
    bad = exposed(path)
    if bad:
        troubles.append(config.trouble("store", f"{path}: {bad}", f"chmod 600 {path}", warns=True))
    last = datetime.datetime.fromtimestamp(found.last_us / 1e6, datetime.UTC)
    if time.time() * 1e6 < found.last_us - BACK / datetime.timedelta(microseconds=1):
        if not accept_clock:
            cause = f"the clock says {_now():{_TIME}}, and the last commit is of {last:{_TIME}}"
            remedy = "set the clock; if it is right now, `flowctl up --accept-clock`"
            troubles.append(config.trouble("store", cause, remedy))
    return troubles, found


def _book(config: Config) -> Path | None:
    own = config.settings.ledger
    return config.file(own.book) if own is not None and own.notary is not None else None


def _unwritable(config: Config, path: Path) -> Trouble:
    cause = f"{path} cannot be written: the disk is read-only, or not ours"
    return config.trouble("store", cause, "give this user a folder that it may write to")


def _file_system(path: Path) -> str:
    """The kind of file system that a path is on; empty where that is not known."""
    try:
        text = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    except OSError:
        return ""
    return file_system(path.absolute(), text)


def file_system(path: Path, mounts: str) -> str:
    """The kind of file system of an absolute path, given what Linux says of its mounts."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        place = fields[4].encode().decode("unicode_escape")
        if path.is_relative_to(place) and len(place) >= best:
            best, kind = len(place), right.split()[0]
    return kind


def map_fits(config: Config) -> Iterator[Trouble]:
    """What the map says of us that does not fit what is configured; warnings alone."""
    settings = config.settings
    if settings.ledger is None:
        return
    from flowrt.serving.ledgers import map_of

    found = map_of(config)
    entry = found.entries.get(settings.name)
    certified = found.certified(settings.name)
    if entry is None or certified is None:
        return
    if settings.listen.address not in entry.addresses and is_loopback(settings.listen.address):
        if not any(is_loopback(address) for address in entry.addresses):
            return
        told = ", ".join(entry.addresses) or "none"
        cause = f"we listen on {settings.listen.address}, and the map has {told}"
        yield config.trouble("listen.address", cause, "peers cannot reach us", warns=True)
    if certified.until - _now() < SOON:
        cause = f"{settings.name} is certified until {certified.until:%Y-%m-%d}"
        yield config.trouble("ledger.map", cause, "have it certified anew", warns=True)
    try:
        found.operator.check_time(_now())
    except LedgerError as error:
        remedy = "ask for a new map: this one is not replaced by its operator"
        yield config.trouble("ledger.map", str(error), remedy, warns=True)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
