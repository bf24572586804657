"""The keys of `node.toml`: their names, types and defaults. Plain data; reads no file."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from flowrt.limits import Limits
from flowrt.transport.limits import WireLimits


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """What a value must be beyond its type: `find` says what is wrong with it, or nothing."""

    find: Callable[[str], str]


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        return 'an address is "host:port", such as "127.0.0.1:7401"'
    return ""


def is_loopback(address: str) -> bool:
    """Whether who listens at this address is reached from its own machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TOKEN = re.compile(r"sha256:[0-9a-f]{64}")
_AGE = re.compile(r"([1-9][0-9]*)(s|min|h|d)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}


def _target(text: str) -> str:
    if not _TARGET.fullmatch(text):
        return 'it names Python as "package.module:name"'
    return ""


def _token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        return 'a token is "sha256:" and 64 digits, as `flowctl user add` writes it'
    return ""


def _age(text: str) -> str:
    return "" if _AGE.fullmatch(text) else 'an age is a number and s, min, h or d, such as "90d"'


def _filled(text: str) -> str:
    return "" if text.strip() else "a text with something in it is wanted"


def age(text: str) -> datetime.timedelta:
    """How long `90d` is. The text was found good."""
    found = _AGE.fullmatch(text)
    assert found is not None
    return datetime.timedelta(**{_UNITS[found[2]]: int(found[1])})


Address = Annotated[str, Check(_address)]
Target = Annotated[str, Check(_target)]
Age = Annotated[str, Check(_age)]
Token = Annotated[str, Check(_token)]
File = Annotated[str, Check(_filled)]


@dataclasses.dataclass(frozen=True, slots=True)
class Listen:
    """Where other parties reach this one."""

    address: Address = "127.0.0.1:7400"


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """Who we are on the wire: the chain, its key, and the network's root."""

    certificate: File = "tls.pem"
    key: File = "tls.key"
    root: File = "root.pem"


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """With it the node is one of a ledger."""

    keys: File = "party.keys"
    map: File = "network.map"
    notary: Literal["validating", "non-validating"] | None = None
    book: File = "book.db"


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """Where a party is reached that no map tells of."""

    address: Address


@dataclasses.dataclass(frozen=True, slots=True)
class HttpTls:
    """What the HTTP interface shows, and by whom its clients are certified."""

    certificate: File
    key: File
    client_ca: File | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Http:
    """The interface for people and programs of this party."""

    listen: Address = "127.0.0.1:8400"
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    tls: HttpTls | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """What makes a service. The other keys of its table are given to it by name."""

    use: Target | None = None
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict, metadata={"rest": True})


@dataclasses.dataclass(frozen=True, slots=True)
class Role:
    """What those may do who have it."""

    may: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """Who may come in by HTTP, and by what it is recognised."""

    roles: tuple[str, ...]
    token: Token | None = None
    certificate: str | None = None
    expires: datetime.date | None = None
    disabled: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Retention:
    """How long what is over is kept; without a key for good."""

    results: Age | None = None
    audit: Age | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Hospital:
    """What is done with a flow whose step fails."""

    policy: Target | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Tracing:
    """With it spans are told to OpenTelemetry: what gives a provider of them, instead of the one of
    the process; with whom traces are shared."""

    provider: Target | None = None
    peers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """All of `node.toml`. Files are relative to it."""

    name: Annotated[str, Check(_filled)]
    store: File = "node.db"
    apps: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    passphrase_file: File | None = None
    listen: Listen = Listen()
    tls: Tls = Tls()
    ledger: Ledger | None = None
    peers: Mapping[str, Peer] = dataclasses.field(default_factory=dict)
    http: Http | None = None
    services: Mapping[str, Service] = dataclasses.field(default_factory=dict)
    notices: Mapping[str, Service] = dataclasses.field(default_factory=dict)
    responders: Mapping[str, Target] = dataclasses.field(default_factory=dict)
    accepts: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    limits: Limits = dataclasses.field(default_factory=Limits)
    wire: WireLimits = dataclasses.field(default_factory=WireLimits)
    retention: Retention = Retention()
    hospital: Hospital = Hospital()
    tracing: Tracing | None = None
    roles: Mapping[str, Role] = dataclasses.field(default_factory=dict)
    users: Mapping[str, User] = dataclasses.field(default_factory=dict)
