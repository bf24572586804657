"""A network over mutual TLS 1.3: who listens, who is dialed, which connection a packet takes.

The name of a peer is what its certificate says, under this network's root, and only if the
directory has that name. Between two parties there is one connection, whoever dialed; where both
did at once, the one that the smaller name dialed stays. A packet for somebody who is away is
dropped, as a network may do: who has something to say to him says it again when he is back.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import errno
import logging
import os
import socket
from collections.abc import Callable

from flowrt.ledger.identity.certificates import CertificateRefused, WrongUsage
from flowrt.transport import Receiver, Transport
from flowrt.transport.connection import Connection
from flowrt.transport.credentials import BadCredentials, Credentials, named_in
from flowrt.transport.framing import LIFE_BYTES, MOST_PACKET
from flowrt.transport.limits import WireLimits
from flowrt.transport.link import Link
from flowrt.transport.peers import BadAddress, Directory, parse_address
from flowrt.transport.tunnel import Refusal

BACKLOG = 128
"""How many connections wait to be accepted; so many are accepted at most before other work goes on.
"""

REMEMBERED = 4096
"""Of so many addresses it is known how many connections they have begun lately."""

_LOG = logging.getLogger("flowrt.transport")


class ListenFailed(Exception):
    """A door that cannot be opened. Its text says why, and what to do."""


@dataclasses.dataclass(slots=True)
class Figures:
    """What a network has counted since it was made; `connections`, `handshakes` and `waiting_bytes`
    are as of now. `refused` counts connections that were refused or cut, by `Refusal.value`."""

    connections: int = 0
    handshakes: int = 0
    waiting_bytes: int = 0
    accepted: int = 0
    dialed: int = 0
    dials_failed: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0
    packets_received: int = 0
    bytes_received: int = 0
    packets_dropped: int = 0
    held_back: int = 0
    refused: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class PeerView:
    """How it stands with a peer: `trouble` says why there is no connection, if that is known."""

    name: str
    connected: bool
    dialed: bool
    address: str
    waiting_bytes: int
    trouble: str


class TlsNetwork:
    """One party's connections to all of its peers. Everything happens in one event loop."""

    def __init__(
        self,
        credentials: Credentials,
        directory: Directory,
        listen: str | None = None,
        limits: WireLimits | None = None,
    ) -> None:
        """`listen` is `host:port` (port 0: any), or None for a party that only dials.

        Raises:
            BadCredentials: the files do not make a party's end of a connection.
            ListenFailed: `listen` is no address.
        """
        self.limits = limits or WireLimits()
        self.life = os.urandom(LIFE_BYTES)
        self.directory = directory
        self._badge = credentials.load()
        self._listen = listen
        try:
            self._door = parse_address(listen, any_port=True) if listen is not None else None
        except BadAddress as error:
            raise ListenFailed(str(error)) from None
        self._place: _Place | None = None
        self._links: dict[str, Link] = {}
        self._all: set[Connection] = set()
        # Those that came to us and have not said hello yet, the oldest first.
        self._shaking: dict[Connection, None] = {}
        self._from: collections.Counter[str] = collections.Counter()
        # How many more each address may begin, as of when; who began one last is the last.
        self._allowed: dict[str, tuple[float, float]] = {}
        self._figures = Figures()
        self._server: asyncio.Server | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._is_closing = False

    @property
    def party(self) -> str:
        """Whose network this is: the name in its certificate."""
        return self._badge.party

    @property
    def until(self) -> datetime.datetime:
        """When our certificate is over."""
        return self._badge.until

    @property
    def address(self) -> str | None:
        """Where we listen, with the port that was taken; None if we do not."""
        if self._server is None or not self._server.sockets:
            return None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop in which everything happens: the one that runs."""
        return asyncio.get_running_loop()

    # --- the door ---

    async def listen(self) -> None:
        """Begin to take connections; those who come before a party has joined are sent away. Raises
        ListenFailed."""
        if self._door is not None:
            host, port = self._door
            try:
                self._server = await self.loop.create_server(
                    self._came, host, port, backlog=BACKLOG, reuse_address=True
                )
            except (OSError, UnicodeError) as error:
                raise ListenFailed(_why_not(str(self._listen), error)) from None
        self._look()

    async def close(self, grace_s: float = 5.0) -> None:
        """Take no more connections, let out what is written, say goodbye; what is not closed after
        `grace_s` seconds is cut. Closing again changes nothing."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        for link in self._links.values():
            await link.rest()
        for connection in list(self._all):
            connection.leave()
        if self._all:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)
        while self._all:
            for connection in list(self._all):
                connection.abort()
            await self._empty.wait()
        if self._tick is not None:
            self._tick.cancel()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def renew(self, credentials: Credentials) -> None:
        """Show another certificate of the same party from now on; connections that are there stay.
        Raises BadCredentials, and then nothing changes."""
        badge = credentials.load()
        if badge.party != self.party:
            raise BadCredentials(
                f"{credentials.certificate} is {badge.party}'s certificate; this node is "
                f"{self.party}, and a node keeps its name"
            )
        self._badge = badge

    # --- the party ---

    def join(self, party: str, receive: Receiver) -> Transport:
        """The place of the party that our certificate names; there is no other here. Who joins
        again takes it over. Raises ValueError for another name."""
        if party != self.party:
            raise ValueError(f"the TLS certificate is {self.party}'s, so {party} cannot use it")
        self._place = _Place(self, receive)
        return self._place

    def send(self, peer: str, data: bytes) -> None:
        """Bring `data` to a peer, or drop it."""
        self._figures.packets_sent += 1
        self._figures.bytes_sent += len(data)
        if self._is_closing or len(data) > MOST_PACKET or not self._is_known(peer):
            self.count_dropped(1)
            return
        if peer == self.party:
            self.loop.call_soon(self._receive_own, data)
            return
        link = self._links.get(peer)
        if link is None:
            link = self._links[peer] = Link(self, peer)
        link.send(data)

    def _is_known(self, name: str) -> bool:
        return name == self.party or self.directory.knows(name)

    def _receive_own(self, data: bytes) -> None:
        if not self._receive(self.party, data):
            self.count_dropped(1)

    def _receive(self, peer: str, data: bytes) -> bool:
        place = self._place
        if place is None:
            self.count_dropped(1)
        elif place.receive(peer, data) is False:
            self._figures.held_back += 1
            return False
        else:
            self._figures.packets_received += 1
            self._figures.bytes_received += len(data)
        return True

    def leave(self, place: _Place) -> None:
        """Give a place up. Without a party nobody is let in."""
        if self._place is place:
            self._place = None
            for connection in list(self._all):
                connection.leave()

    # --- what links ask ---

    def wants(self) -> bool:
        return self._place is not None and not self._is_closing

    def connection(self, expected: str) -> Connection:
        return Connection(self, self._badge.dialing, self.loop, expected)

    def reached(self, peer: str) -> None:
        place = self._place
        if place is not None and place.up is not None:
            place.up(peer)

    def count_dial(self, failed: bool) -> None:
        if failed:
            self._figures.dials_failed += 1
        else:
            self._figures.dialed += 1

    def count_dropped(self, packets: int) -> None:
        self._figures.packets_dropped += packets

    # --- what connections ask and tell ---

    def _came(self) -> Connection:
        return Connection(self, self._badge.accepting, self.loop)

    def admit(self, connection: Connection) -> Refusal | None:
        self._all.add(connection)
        self._empty.clear()
        if not self.wants():
            return Refusal.NOT_HERE
        if connection.dialed:
            return None
        self._figures.accepted += 1
        if not self._may_begin(connection):
            return Refusal.CROWDED
        if len(self._shaking) >= self.limits.handshakes:
            # Honest peers are through in milliseconds: the oldest is the likeliest to be none.
            next(iter(self._shaking)).refuse(Refusal.CROWDED)
        self._shaking[connection] = None
        self._from[connection.address] += 1
        return None

    def _may_begin(self, connection: Connection) -> bool:
        """Whether this address has not too many connections that are no parties' yet, and has not
        begun too many lately: each costs us a signature."""
        address, limits = connection.address, self.limits
        most = limits.handshakes_per_address
        left, since = self._allowed.pop(address, (float(most), connection.began))
        left = min(most, left + (connection.began - since) * limits.handshakes_per_s)
        may = left >= 1 and self._from[address] < most
        self._allowed[address] = left - may, connection.began
        if len(self._allowed) > REMEMBERED:
            del self._allowed[next(iter(self._allowed))]
        return may

    def _shaken(self, connection: Connection) -> None:
        if connection in self._shaking:
            del self._shaking[connection]
            self._from[connection.address] -= 1
            if not self._from[connection.address]:
                del self._from[connection.address]

    def recognise(self, connection: Connection) -> Refusal | None:
        try:
            name, connection.until = named_in(connection.certificate)
        except WrongUsage:
            return Refusal.WRONG_USAGE
        except CertificateRefused:
            return Refusal.UNTRUSTED
        connection.peer = name
        if name == self.party or connection.expected not in (None, name):
            return Refusal.WRONG_NAME
        if not self.directory.knows(name):
            return Refusal.UNKNOWN_PARTY
        return None

    def opened(self, connection: Connection) -> None:
        self._shaken(connection)
        if not self.wants():
            connection.leave()
            return
        _LOG.info("%s: connected to %s at %s", self.party, connection.peer, connection.address)
        link = self._links.get(connection.peer)
        if link is None:
            link = self._links[connection.peer] = Link(self, connection.peer)
        link.opened(connection)

    def deliver(self, connection: Connection, packet: bytes) -> bool:
        return self._receive(connection.peer, packet)

    def refused(self, connection: Connection, why: Refusal, detail: str) -> None:
        self._shaken(connection)
        count = self._figures.refused.get(why.value, 0) + 1
        self._figures.refused[why.value] = count
        if count & (count - 1) == 0:  # The first time, the second, the fourth …
            _LOG.warning(
                "%s: connection %s %s: %s%s%s",
                self.party,
                "to" if connection.dialed else "from",
                connection.expected or connection.peer or connection.address,
                why.value,
                f" ({detail})" if detail else "",
                f" ({count} times)" if count > 1 else "",
            )

    def ended(self, connection: Connection) -> None:
        self._shaken(connection)
        link = self._links.get(connection.peer)
        if link is not None:
            link.ended(connection)
        self._all.discard(connection)
        if not self._all:
            self._empty.set()

    # --- time ---

    def _look(self) -> None:
        loop = self.loop
        now, wall = loop.time(), datetime.datetime.now(datetime.UTC)
        for connection in list(self._all):
            connection.look(now)
            if connection.life and not connection.is_over:
                if not self.directory.knows(connection.peer):
                    connection.refuse(Refusal.UNKNOWN_PARTY)
                elif wall >= connection.until:
                    connection.refuse(Refusal.EXPIRED)
        for name, link in list(self._links.items()):
            if link.is_idle and not self.directory.knows(name):
                del self._links[name]
        self._tick = loop.call_later(self.limits.tick_s, self._look)

    # --- figures ---

    def figures(self) -> Figures:
        """What was counted until now."""
        return dataclasses.replace(
            self._figures,
            connections=sum(connection.is_open for connection in self._all),
            handshakes=len(self._shaking),
            waiting_bytes=sum(link.waiting_bytes for link in self._links.values()),
            refused=dict(self._figures.refused),
        )

    def peers(self) -> list[PeerView]:
        """How it stands with each peer that was ever sent anything, or came, by name."""
        found = []
        for name, link in sorted(self._links.items()):
            best = link.best()
            found.append(
                PeerView(
                    name,
                    best is not None,
                    best is not None and best.dialed,
                    best.address if best is not None else "",
                    link.waiting_bytes,
                    link.trouble,
                )
            )
        return found


class _Place:
    """The party's place on a `TlsNetwork`."""

    def __init__(self, network: TlsNetwork, receive: Receiver) -> None:
        self.receive = receive
        self.up: Callable[[str], None] | None = None
        self._network = network

    def send(self, peer: str, data: bytes) -> None:
        if self._network._place is self:
            self._network.send(peer, data)

    def close(self) -> None:
        self._network.leave(self)


def _why_not(address: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"{address} is taken by another process: stop it, or listen elsewhere"
    if number == errno.EADDRNOTAVAIL:
        return f"{address} is no address of this machine: listen on 127.0.0.1, 0.0.0.0 or its own"
    if number in (errno.EACCES, errno.EPERM):
        return f"{address} may not be opened by this user: take a port above 1023"
    if isinstance(error, socket.gaierror):
        return f"{address}: its host is not known: {error.strerror}"
    return f"{address} cannot be opened: {getattr(error, 'strerror', None) or error}"
