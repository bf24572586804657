"""A network's root, its parties' TLS files, and networks that are open for the time of a test."""

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
from flowrt.transport.framing import HELLO, framed
from flowrt.transport.limits import WireLimits
from flowrt.transport.peers import parse_address
from flowrt.transport.tls import TlsNetwork

SINCE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)


def key(text: str, scheme: int = ED25519) -> SigningKey:
    """A key that is the same in every run."""
    return SigningKey(scheme, text.encode().ljust(32, b".")[:32])


def pem(chain: Iterable[bytes]) -> str:
    return "".join(ssl.DER_cert_to_PEM_cert(certificate) for certificate in chain)


class Town:
    """A root, and a folder with what it certifies. It is the directory of all its networks, too."""

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
            # Not a task is left, but for those of the test's own servers, which end with this.
            await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


class Raw:
    """The other end of a connection, by hand: it says what no network would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def dial(
        cls, network: TlsNetwork, context: ssl.SSLContext | None, *, life: bytes = b""
    ) -> AsyncIterator[Raw]:
        """A connection to a network, over TLS if there is a context; with a `life`, after both
        have said hello."""
        assert network.address is not None
        reader, writer = await asyncio.open_connection(
            *parse_address(network.address),
            ssl=context,
            server_hostname="" if context is not None else None,
        )
        raw = cls(reader, writer)
        try:
            if life:
                writer.write(framed(HELLO, life))
                assert (await raw.frame())[0] == HELLO
            yield raw
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await writer.wait_closed()

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the other end."""
        length = int.from_bytes(await self.reader.readexactly(4), "big")
        body = await self.reader.readexactly(length)
        return body[0], body[1:]

    async def rest(self) -> bytes:
        """What the other end sends until it closes the connection."""
        found = b""
        with contextlib.suppress(OSError):
            while data := await self.reader.read(1 << 16):
                found += data
        return found


class Cable:
    """Something between a network and those who dial it, that can be cut, or stand still."""

    def __init__(self, network: TlsNetwork) -> None:
        assert network.address is not None
        self._target = parse_address(network.address)
        self._ends: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.left = -1
        """So many bytes pass towards the network, then the cable is cut; -1: all."""
        self.is_still = False
        self.address = ""

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[Cable]:
        server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._tasks)
            await server.wait_closed()

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._ends += [writer, back]
        for pair in ((reader, back, True), (there, writer, False)):
            task = asyncio.create_task(self._carry(*pair))
            self._tasks.add(task)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, towards: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 14):
                if self.is_still:
                    continue
                if towards and self.left >= 0:
                    writer.write(data[: self.left])
                    self.left -= len(data[: self.left])
                    if not self.left:
                        self.left = -1
                        self.cut()
                        return
                else:
                    writer.write(data)
        writer.close()


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


__all__ = [
    "ECDSA_P256", "QUICK", "SINCE", "UNTIL", "Cable", "Doors", "Raw", "Town", "key", "pem", "until",
]  # fmt: skip
