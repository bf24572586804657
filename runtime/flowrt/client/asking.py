"""Requests to one node: sent, answered, sent again where that is safe. Knows bodies as structs and
no route.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec

from flowrt.api.trouble import Failed
from flowrt.client.errors import ClientError, Unreachable, Untrusted, of_status

T = TypeVar("T")

FIRST_S = 0.05
"""How long is waited before something is asked again; twice as long each time, at most `MOST_S`."""

MOST_S = 2.0
SILENT_S = 45.0
"""How long a stream may say nothing: three times its heartbeat."""

LASTING = 20
"""How often a stream that had begun is asked for again before it is given up: half a minute, in
which a node that has died is up again."""


class Event(NamedTuple):
    """A server-sent event: its name, its data, its id ("" without one)."""

    name: str
    data: bytes
    id: str


class Asking:
    """Connections to a node. `tries` is how often a request is sent at most, where it is safe to
    send it again: after a connection that was refused or lost."""

    def __init__(
        self,
        url: str,
        token: str | None,
        certificate: Path | None,
        root: Path | None,
        tries: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._tries = max(tries, 1)
        self._shows_certificate = certificate is not None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        trust = _trust(certificate, root) if self.url.startswith("https:") else False
        try:
            self._http = httpx.AsyncClient(
                base_url=self.url,
                headers=headers,
                timeout=httpx.Timeout(90.0, connect=10.0),
                verify=trust,
                transport=transport,
                trust_env=False,  # A token is shown to nobody but the node.
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise _no_address(url, error) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, kind: type[T], path: str, **query: Any) -> T:
        """Ask, again after a lost connection."""
        params = {name: _text(value) for name, value in query.items() if value is not None}
        return self._read(kind, await self._sent("GET", path, self._tries, params=params))

    async def post(
        self, kind: type[T], path: str, body: Mapping[str, Any], *, again: bool = False
    ) -> T:
        """Have something done; `again` where it counts once however often it is sent."""
        tries = self._tries if again else 1
        return self._read(kind, await self._sent("POST", path, tries, json=dict(body)))

    async def _sent(self, method: str, path: str, tries: int, **how: Any) -> httpx.Response:
        for number in range(tries):
            try:
                return await self._http.request(method, path, **how)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                found = self._lost(error)
                if number + 1 == tries or not isinstance(found, Unreachable):
                    raise found from None
            await pause(number)
        raise AssertionError

    def _read(self, kind: type[T], answer: httpx.Response) -> T:
        if answer.is_success:
            try:
                return msgspec.json.decode(answer.content, type=kind)
            except msgspec.DecodeError as error:
                raise self._stranger(answer.status_code, str(error)) from None
        raise self.refused(answer.status_code, answer.content)

    def refused(self, status: int, body: bytes) -> ClientError:
        """The error of an answer."""
        try:
            trouble = msgspec.json.decode(body, type=Failed).error
        except msgspec.DecodeError:
            return self._stranger(status, f"it answered with status {status}")
        return of_status(status, trouble.code, trouble.message, trouble.remedy)

    def _stranger(self, status: int, cause: str) -> ClientError:
        message = f"what answers at {self.url} is no node, or one of another version: {cause}"
        return ClientError("strange_answer", message, "look at the address", status)

    def _lost(self, error: Exception) -> ClientError:
        text = str(error) or type(error).__name__
        if "SSL" in text or "certificate" in text.lower() or "TLS" in text:
            remedy = "trust the root that certified it, and show it a certificate if it wants one"
            return Untrusted("untrusted", f"no TLS with {self.url}: {text}", remedy)
        if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return _no_address(self.url, error)
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            message = f"nobody answers at {self.url}"
            return Unreachable("unreachable", message, "is the node up? `flowctl up` serves it")
        message = f"the connection with {self.url} was lost: {text}"
        remedy = "ask again; what was asked may be done"
        if self._shows_certificate:
            # In TLS 1.3 the server looks at it when the client takes the connection for made.
            remedy += (
                "; if it is always so, the node does not trust the certificate that it is shown"
            )
        return Unreachable("connection_lost", message, remedy)

    async def events(self, path: str, last: str = "", **query: Any) -> AsyncIterator[Event]:
        """Server-sent events until the one that says that it is over. After a cut it goes on behind
        the last one that came."""
        failures, tries = 0, self._tries
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            params = {name: _text(value) for name, value in query.items() if value is not None}
            try:
                async with self._http.stream(
                    "GET", path, params=params, headers=headers, timeout=SILENT_S
                ) as answer:
                    if not answer.is_success:
                        raise self.refused(answer.status_code, await answer.aread())
                    failures, tries = 0, max(tries, LASTING)
                    async for event in _parsed(answer.aiter_lines()):
                        if event.name == "over":
                            return
                        last = event.id or last
                        yield event
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                found = self._lost(error)
                failures += 1
                if failures >= tries or not isinstance(found, Unreachable):
                    raise found from None
            await pause(max(failures, 2))


def _trust(certificate: Path | None, root: Path | None) -> ssl.SSLContext:
    """Whom we trust, and what we show."""
    try:
        trust = ssl.create_default_context(cafile=str(root) if root else None)
        if certificate is not None:
            trust.load_cert_chain(str(certificate))
    except (OSError, ssl.SSLError) as error:
        cause = f"{certificate or root}: it cannot be used: {error}"
        raise Untrusted("untrusted", cause, "it is PEM; a certificate has its key") from None
    return trust


async def _parsed(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """The events of a stream, as the HTML standard has them (9.2.6)."""
    name, data, own = "", "", ""
    async for line in lines:
        if not line:
            if data:
                yield Event(name, data.encode(), own)
            name, data, own = "", "", ""
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data = f"{data}\n{value}" if data else value
        elif field == "id":
            own = value


async def pause(number: int) -> None:
    """Wait before the next attempt; not all at the same time."""
    await asyncio.sleep(min(FIRST_S * 2**number, MOST_S) * random.uniform(0.5, 1.0))


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _no_address(url: str, error: Exception) -> ClientError:
    remedy = 'it is like "http://127.0.0.1:8401"'
    return ClientError("bad_address", f"{url!r} is no address of a node: {error}", remedy)
