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
from typing import Final

import msgspec

from flowrt.notices.given import NotTaken, Place, Wrong, listed, secret_of, shown, text_of
from flowrt.store.noticebook import Notice

SIGNATURE: Final = "Flowrt-Signature"
MIN_KEY: Final = 32
MAX_AGE_S: Final = 300
CONNECT_S: Final = 10.0
_MAX_LINE: Final = 8192

_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""All of IPv6 that was ever given out (RFC 4291, 2.4). What is beside it may lead inside: sites'
own addresses of old, and every form in which an IPv4 address hides but the next ones."""

_TUNNELS: Final = [ipaddress.ip_network(text) for text in ("2002::/16", "2001::/32")]
"""Public IPv6 in which an IPv4 address hides: 6to4, Teredo."""


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
        if found not in _UNICAST or any(found in net for net in _TUNNELS):
            return False
    return found.is_global and not found.is_multicast


class Webhook:
    """Posts notices to `url`, whose host is one of `hosts`. `allow` lists addresses and networks
    that are not public and may be asked all the same. Plain http goes to loopback alone, if it is
    allowed. `ca` is the file of another root of certificates.

    Raises Wrong: a key cannot be so.
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
        folder = place.folder
        try:
            parts = urllib.parse.urlsplit(text_of("url", url))
            self._host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise error if isinstance(error, Wrong) else Wrong("url", str(error)) from None
        if parts.scheme not in ("https", "http") or not self._host:
            raise Wrong("url", "it leads to no web server", 'write "https://HOST/PATH"')
        if "@" in parts.netloc:
            raise Wrong("url", "it has a user's name in it", "a notice is signed by `key_file`")
        if self._host not in listed("hosts", hosts):
            raise Wrong("hosts", f"{self._host} of `url` is not one of them", "list it there")
        try:
            self._allow = [ipaddress.ip_network(text) for text in listed("allow", allow)]
        except ValueError as error:
            cause = f"{error}, or has bits beyond its network"
            raise Wrong("allow", cause, 'write "10.1.2.0/24"') from None
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = trusting(folder, ca)
        self._port = port or (443 if self._tls else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._authority = parts.netloc
        path = folder / text_of("key_file", key_file)
        name = shown(path)
        remedy = f"openssl rand -hex 32 > {name}; chmod 600 {name}"
        self._key = secret_of("key_file", path, remedy)
        if len(self._key) < MIN_KEY:
            raise Wrong("key_file", f"{name} has fewer than {MIN_KEY} bytes", remedy)

    async def addresses(self) -> list[str]:
        """Where to connect to, looked up now. Raises NotTaken if any of the host's addresses is one
        that may not be asked, and OSError."""
        loop = asyncio.get_running_loop()
        rows = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(row[4][0]) for row in rows))
        for one in found:
            plain = ipaddress.ip_address(one.partition("%")[0])
            is_allowed = any(plain in net for net in self._allow)
            if not is_allowed and not is_public(one):
                raise NotTaken(f"{self._host} is {one}, which is not public; see `allow`")
            if self._tls is None and not (plain.is_loopback and is_allowed):
                raise NotTaken(f"{self._host} is {one}: http goes to an allowed loopback alone")
        if not found:
            raise NotTaken(f"{self._host} has no address")
        return found

    async def tell(self, notice: Notice) -> None:
        """Post it. Raises NotTaken, OSError."""
        body = msgspec.json.encode(notice)
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._authority}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"{SIGNATURE}: {signature(self._key, int(time.time()), body)}\r\n\r\n"
        )
        reader, writer = await self._connected()
        try:
            writer.write(head.encode("ascii") + body)
            await writer.drain()
            try:
                line = await reader.readline()
            except ValueError:
                raise NotTaken("the answer is no HTTP") from None
        finally:
            # Not `close`: by TLS that waits half a minute for a receiver that does not part, longer
            # than a notice may take, and one that was taken would come again for ever.
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        words = line.split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise NotTaken("the answer is no HTTP")
        if not words[1].startswith(b"2"):
            raise NotTaken(f"{self._host} answers {int(words[1][:3])}")

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the first address that answers, of those that were looked at: the name is not looked
        up again."""
        addresses = await self.addresses()
        for number, one in enumerate(addresses, 1):
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(
                        one,
                        self._port,
                        limit=_MAX_LINE,
                        ssl=self._tls,
                        server_hostname=self._host if self._tls else None,
                    )
            except OSError:
                if number == len(addresses):
                    raise
        raise AssertionError("there is an address")


def trusting(folder: Path, ca: str | None) -> ssl.SSLContext:
    """TLS to servers that public roots certify, or the one in the file `ca`. Raises Wrong."""
    try:
        return ssl.create_default_context(cafile=str(folder / text_of("ca", ca)) if ca else None)
    except (OSError, ssl.SSLError) as error:
        cause = f"{shown(folder / str(ca))} is no file of certificates: {error.strerror or error}"
        raise Wrong("ca", cause) from None
