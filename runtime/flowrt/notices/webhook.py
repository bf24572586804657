"""A notifier that posts each notice, signed, to a web server; and how that one verifies it.

Goes only to a host that is listed, at an address that it has looked at itself; follows nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import socket
import ssl
import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from flowrt.store.noticebook import Notice

SIGNATURE: Final = "Flowrt-Signature"
MIN_KEY: Final = 32
MAX_AGE_S: Final = 300
_MAX_LINE: Final = 8192

_TUNNELS: Final = [
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "2002::/16", "2001::/32")
]
"""IPv6 in which an IPv4 address hides."""


class Place(Protocol):
    """Where the files are that are named."""

    @property
    def folder(self) -> Path: ...


class NotTaken(Exception):
    """The receiver did not take a notice, or may not be asked."""


def signature(key: bytes, timestamp: int, body: bytes) -> str:
    """What the header says: `t=SECONDS,v1=HEX`, HMAC-SHA256 of `SECONDS.` and the body, as
    Stripe signs webhooks."""
    digest = hmac.new(key, b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def verified(key: bytes, header: str, body: bytes, now: float | None = None) -> bool:
    """For receivers: whether a body comes from who has the key, and is no older (nor newer) than
    `MAX_AGE_S`. Keep the ids of the notices of that time: one may come twice."""
    first = header.partition(",")[0].removeprefix("t=")
    if not (first.isascii() and first.isdigit() and len(first) <= 12):
        return False
    if abs((time.time() if now is None else now) - int(first)) > MAX_AGE_S:
        return False
    return hmac.compare_digest(signature(key, int(first), body).encode(), header.encode())


def is_public(address: str) -> bool:
    """Whether an address is one of the public network."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None or any(found in net for net in _TUNNELS):
            return False
    return found.is_global and not found.is_multicast


class Webhook:
    """Posts notices to `url`, whose host is one of `hosts`. `allow` lists addresses and networks
    that are not public and may be asked all the same. Plain http goes to loopback alone, if it is
    allowed. `ca` is the file of another root of certificates.

    Raises:
        ValueError: the URL, the key or a list cannot be.
        OSError: a file cannot be read.
    """

    def __init__(
        self,
        place: Place,
        url: str,
        key_file: str,
        hosts: Sequence[str],
        allow: Sequence[str] = (),
        ca: str | None = None,
    ) -> None:
        if isinstance(hosts, str) or isinstance(allow, str):
            raise ValueError("hosts and allow are lists")
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("url is https://HOST/PATH")
        if parts.username or parts.password or any(not 32 < ord(c) < 127 for c in url):
            raise ValueError("url has no user, no blanks, and ASCII alone")
        folder = place.folder
        self._host = parts.hostname
        if self._host not in hosts:
            raise ValueError(f"{self._host} is not one of hosts; list it there")
        self._allow = [ipaddress.ip_network(text) for text in allow]
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=str(folder / ca) if ca else None)
        self._port = parts.port or (443 if self._tls else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._authority = parts.netloc
        path = folder / key_file
        if path.stat().st_mode & 0o077:
            raise ValueError(f"others may use {path}; chmod 600 {path}")
        self._key = path.read_bytes().strip()
        if len(self._key) < MIN_KEY:
            raise ValueError(f"{path} has fewer than {MIN_KEY} bytes; `openssl rand -hex 32`")

    async def address(self) -> str:
        """The address to connect to, looked up now. Raises NotTaken if any of the host's is one
        that may not be asked, and OSError."""
        loop = asyncio.get_running_loop()
        rows = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        found = [str(row[4][0]) for row in rows]
        for one in found:
            plain = ipaddress.ip_address(one.partition("%")[0])
            is_allowed = any(plain in net for net in self._allow)
            if not is_allowed and not is_public(one):
                raise NotTaken(f"{self._host} is {one}, which is not public; see `allow`")
            if self._tls is None and not (plain.is_loopback and is_allowed):
                raise NotTaken(f"{self._host} is {one}: http goes to an allowed loopback alone")
        if not found:
            raise NotTaken(f"{self._host} has no address")
        return found[0]

    async def tell(self, notice: Notice) -> None:
        """Post it. Raises NotTaken, OSError."""
        body = msgspec.json.encode(notice)
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._authority}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"{SIGNATURE}: {signature(self._key, int(time.time()), body)}\r\n\r\n"
        )
        # Connected to the address that was looked at: the name is not looked up again.
        reader, writer = await asyncio.open_connection(
            await self.address(),
            self._port,
            limit=_MAX_LINE,
            ssl=self._tls,
            server_hostname=self._host if self._tls else None,
        )
        try:
            writer.write(head.encode("ascii") + body)
            await writer.drain()
            try:
                line = await reader.readline()
            except ValueError:
                raise NotTaken("the answer is no HTTP") from None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        words = line.split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise NotTaken("the answer is no HTTP")
        if not words[1].startswith(b"2"):
            raise NotTaken(f"{self._host} answers {int(words[1][:3])}")
