"""A network's root and its parties' TLS files, and networks that are open for the time of a test."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from flowrt.ledger.identity.certificates import Authority, Usage
from flowrt.ledger.keys import ECDSA_P256, ED25519, SigningKey
from flowrt.transport import Receiver, Transport
from flowrt.transport.credentials import Credentials
from flowrt.transport.limits import WireLimits
from flowrt.transport.tls import TlsNetwork

SINCE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)


def key(text: str, scheme: int = ED25519) -> SigningKey:
    """A key that is the same in every run."""
    return SigningKey(scheme, text.encode().ljust(32, b".")[:32])


def pem(chain: Iterable[bytes]) -> str:
    return "".join(ssl.DER_cert_to_PEM_cert(certificate) for certificate in chain)


class Town:
    """A root, and a folder with what it certifies. It is its own directory: of names to addresses."""

    def __init__(self, folder: Path, root: str = "O=Town, C=GB") -> None:
        self.folder = folder
        self.authority = Authority.root(root, key(root), SINCE, UNTIL)
        self.root = folder / "root.pem"
        self.root.write_text(pem([self.authority.certificate]))
        self.known: dict[str, list[str]] = {}
        self._numbers = itertools.count()

    def knows(self, name: str) -> bool:
        return name in self.known

    def addresses(self, name: str) -> Sequence[str]:
        return self.known[name]

    def issue(
        self,
        name: str,
        *,
        since: datetime.datetime = SINCE,
        until: datetime.datetime = UNTIL,
        usage: Usage = Usage.TLS,
        authority: Authority | None = None,
        scheme: int = ED25519,
        passphrase: bytes | None = None,
    ) -> Credentials:
        """The files of a party."""
        by = authority or self.authority
        own = key(f"tls {name}", scheme)
        chain = by.certify(name, own.public, since, until, usage)
        at = self.folder / f"{next(self._numbers)}"
        encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        secret = own.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        at.with_suffix(".pem").write_text(pem(chain))
        at.with_suffix(".key").write_bytes(secret)
        return Credentials(at.with_suffix(".pem"), at.with_suffix(".key"), self.root, passphrase)

    def network(
        self,
        name: str,
        listen: str | None = "127.0.0.1:0",
        limits: WireLimits | None = None,
        **wrong: object,
    ) -> TlsNetwork:
        """A party's network, which nobody knows yet."""
        return TlsNetwork(self.issue(name, **wrong), self, listen, limits or QUICK)  # type: ignore[arg-type]

    @contextlib.asynccontextmanager
    async def open(
        self, *names: str, limits: WireLimits | None = None
    ) -> AsyncIterator[list[TlsNetwork]]:
        """Networks of parties that know each other; closed in the end."""
        networks = [self.network(name, limits=limits) for name in names]
        try:
            for network in networks:
                await network.listen()
                assert network.address is not None
                self.known[network.party] = [network.address]
            yield networks
        finally:
            for network in networks:
                await network.close(0.5)


class Doors:
    """One network for the nodes of one process: each party has its own, with its own door."""

    def __init__(self, networks: Iterable[TlsNetwork]) -> None:
        self._networks = {network.party: network for network in networks}

    def join(self, party: str, receive: Receiver) -> Transport:
        return self._networks[party].join(party, receive)


QUICK = WireLimits(retry_s=0.005, retry_most_s=0.05, resend_s=0.01)
"""Who is away is tried again at once: tests do not wait."""


async def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Let the loop run until something is so. It fails by name if that takes too long."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.001)


__all__ = ["ECDSA_P256", "QUICK", "SINCE", "UNTIL", "Doors", "Town", "key", "pem", "until"]
