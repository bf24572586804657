"""The interface on a socket, in the event loop of its node: uvicorn, with limits, TLS if wanted.

Knows who listens, and nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import uvicorn
from cryptography import x509
from uvicorn.protocols.http.h11_impl import H11Protocol

from flowrt.api.access import Access, RoleLike, UserLike
from flowrt.api.app import MOST_HEADER_BYTES, App, Offer
from flowrt.node import Node

MOST_CONNECTIONS = 4096
IDLE_S = 30
"""How long a connection may say nothing between two requests."""

REQUEST_S = 10.0
"""How long the head of a request may take to come."""


HANDSHAKE_S = 5.0
"""How long TLS may take to be agreed on."""


class CannotServe(Exception):
    """The interface cannot be opened; says why, and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM: the server's chain and key, and who certifies clients. `passphrase` opens the
    key."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    passphrase: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class ApiConfig:
    """How a node's interface is served. `listen` is "host:port", port 0 for any."""

    listen: str = "127.0.0.1:8400"
    users: Mapping[str, UserLike] = dataclasses.field(default_factory=dict)
    roles: Mapping[str, RoleLike] = dataclasses.field(default_factory=dict)
    tls: Tls | None = None
    offer: Offer = dataclasses.field(default_factory=Offer)
    today: Callable[[], datetime.date] = datetime.date.today


class Server:
    """An interface that is being served. `address` is where."""

    def __init__(self, app: App, config: ApiConfig) -> None:
        self.app = app
        self._config = config
        self._server: _Uvicorn | None = None
        self._running: asyncio.Task[None] | None = None
        self.address = config.listen

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"{'https' if self._config.tls else 'http'}://{self.address}"

    async def start(self) -> None:
        """Listen. Raises CannotServe."""
        config = self._config
        host, port = _split(config.listen)
        if config.tls is None and not _is_loopback(host):
            raise CannotServe(
                f"http is served on {config.listen} without TLS: others could read tokens; "
                "listen on 127.0.0.1, or give it a certificate in [http.tls]"
            )
        context = _context(config.tls) if config.tls is not None else None
        listening = _listening(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{listening.getsockname()[1]}"
        self._server = _Uvicorn(
            uvicorn.Config(
                self.app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=2,
                h11_max_incomplete_event_size=2 * MOST_HEADER_BYTES,
                ssl_context_factory=None if context is None else lambda *_: context,
            )
        )
        self._running = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started and not self._running.done():
            await asyncio.sleep(0)
        if self._running.done():
            self._running.result()

    async def close(self) -> None:
        """Take no more requests, and end those under way."""
        if self._server is None or self._running is None:
            return
        self.app.close()
        self._server.should_exit = True
        await self._running
        self._server = None


async def serve(node: Node, config: ApiConfig) -> Server:
    """Serve a node's interface until `close`.

    Raises:
        AccessWrong: users or roles that cannot be.
        CannotServe: the address is taken or not safe, a certificate cannot be used.
    """
    app = App(node, Access(config.users, config.roles, config.today), config.offer)
    server = Server(app, config)
    await server.start()
    return server


class _Uvicorn(uvicorn.Server):
    """One that leaves signals to the process that it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, as uvicorn does, but for how long a handshake may take: it has no setting for
        that, and asyncio's is a minute."""
        config = self.config

        def meet() -> _Protocol:
            return _Protocol(
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        patience = HANDSHAKE_S if config.ssl is not None else None
        self.servers = [
            await loop.create_server(
                meet,
                sock=one,
                ssl=config.ssl,
                ssl_handshake_timeout=patience,
                backlog=config.backlog,
            )
            for one in sockets or ()
        ]
        self.started = True


class _Protocol(H11Protocol):
    """HTTP/1.1 that knows who is certified, and cuts off who does not go on."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn asks the logger, which others may have given a handler; lines of requests have
        # whatever people write into addresses, tokens too.
        self.access_log = False
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if certificate:
            self.app_state = {**self.app_state, "certificate": _subject(certificate)}
        self._patience = self.loop.call_later(REQUEST_S, self._cut_off)

    def _cut_off(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()

    def handle_events(self) -> None:
        cycle = self.cycle
        super().handle_events()
        if self.cycle is not cycle and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._patience is None and self.conn.trailing_data[0]:
            # The next one has begun, and may not be dribbled either.
            self._patience = self.loop.call_later(REQUEST_S, self._cut_off)

    def data_received(self, data: bytes) -> None:
        if self._patience is None and (self.cycle is None or self.cycle.response_complete):
            self._patience = self.loop.call_later(REQUEST_S, self._cut_off)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)


def _subject(certificate: bytes) -> str:
    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(tls.certificate, tls.key, tls.passphrase or "")
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise CannotServe(f"the certificate of [http.tls] cannot be used: {error}") from None
    return context


def _split(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise CannotServe(f'`{listen}` is no address; write "host:port", such as "127.0.0.1:8400"')
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its number: asyncio switches delaying off (TCP_NODELAY) only where it sees that it is TCP,
    # and an answer in two parts would take 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise CannotServe(
            f"nothing can listen on {host}:{port}: {error.strerror or error}; "
            "end what uses it, or choose another port"
        ) from None
    return made
