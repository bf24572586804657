"""All that we have with one peer: its connections, the way to get one, what waits for the first.

Knows no certificate and no byte of what it carries.
"""

from __future__ import annotations

import asyncio
import collections
import random
import typing

from flowrt.transport.connection import Connection
from flowrt.transport.limits import WireLimits
from flowrt.transport.peers import BadAddress, Directory, parse_address
from flowrt.transport.tunnel import Refusal

LIVED_S = 1.0
"""A connection that lived so long was good: the next one is tried at once."""

_EVER = float("-inf")


class Home(typing.Protocol):
    """The network of a link."""

    directory: Directory
    limits: WireLimits

    @property
    def party(self) -> str:
        """Who we are."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where everything happens."""
        ...

    def wants(self) -> bool:
        """Whether somebody is there to talk: a party has joined, and the network is not closing."""
        ...

    def connection(self, expected: str) -> Connection:
        """A connection that dials this peer, to be given a socket."""
        ...

    def reached(self, peer: str) -> None:
        """What was sent to this peer before may be lost; what is sent now is not."""
        ...

    def count_dial(self, failed: bool) -> None:
        """A dial is begun, or has failed."""
        ...

    def count_dropped(self, packets: int) -> None:
        """So many packets were dropped."""
        ...


class Link:
    """One peer, as seen from a network.

    Attributes:
        trouble: why there is no connection, as far as that is known.
    """

    def __init__(self, home: Home, name: str) -> None:
        self.name = name
        self.trouble = ""
        self._home = home
        self._connections: dict[Connection, float] = {}
        # What waits for the first attempt to reach the peer. As soon as something was lost nothing
        # waits any more: the party is told when to say all of it again.
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._lost = False
        self._dialing: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._attempts = 0
        self._sent_at = _EVER
        self._told_at = _EVER

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait to be written."""
        return self._waiting_bytes + sum(one.waiting_bytes for one in self._connections)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to forget it for."""
        return not (self._connections or self._dialing or self._retry or self._waiting)

    @property
    def connections(self) -> list[Connection]:
        """Those that have said hello, the oldest first."""
        return list(self._connections)

    def best(self) -> Connection | None:
        """The connection to send on."""
        found = None
        for connection in self._connections:
            if connection.is_open and (found is None or self._is_first(connection)):
                found = connection
        return found

    def _is_first(self, connection: Connection) -> bool:
        """Whether the party of the smaller name has dialed it: of two that were dialed at once both
        ends choose this one."""
        return connection.dialed == (self._home.party < self.name)

    # --- sending ---

    def send(self, packet: bytes) -> None:
        """Write a packet, keep it until the peer is reached, or drop it."""
        self._sent_at = self._home.loop.time()
        limits, best = self._home.limits, self.best()
        if best is not None:
            if best.waiting < limits.waiting and (
                best.waiting_bytes + len(packet) <= limits.waiting_bytes
            ):
                best.send(packet)
            else:
                self._drop(1)
            return
        if self._lost or (
            len(self._waiting) >= limits.waiting
            or self._waiting_bytes + len(packet) > limits.waiting_bytes
        ):
            self._drop(1)
        else:
            self._waiting.append(packet)
            self._waiting_bytes += len(packet)
        if self._dialing is None and self._retry is None:
            self._dial()

    def _drop(self, packets: int) -> None:
        self._lost = True
        if packets:
            self._home.count_dropped(packets)

    def _drop_waiting(self) -> None:
        self._drop(len(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = 0

    # --- getting a connection ---

    def _dial(self) -> None:
        if self._home.wants():
            self._dialing = self._home.loop.create_task(self._dialed())
        else:
            self._drop_waiting()

    async def _dialed(self) -> None:
        self._home.count_dial(False)
        addresses = self._home.directory.addresses(self.name)
        self.trouble = "" if addresses else "no address of it is known: it must come to us"
        try:
            for address in addresses:
                if await self._attempt(address):
                    return
        finally:
            self._dialing = None
        self._home.count_dial(True)
        if self.best() is None:
            self._drop_waiting()
            if addresses:
                self._try_later()

    async def _attempt(self, address: str) -> bool:
        made: list[Connection] = []

        def connection() -> Connection:
            made.append(self._home.connection(self.name))
            return made[0]

        try:
            host, port = parse_address(address)
            async with asyncio.timeout(self._home.limits.handshake_s):
                await self._home.loop.create_connection(connection, host, port)
                await made[0].ready
        except TimeoutError:
            self.trouble = f"{address}: {Refusal.SLOW_HANDSHAKE.value}"
        except (OSError, UnicodeError, BadAddress) as error:
            self.trouble = f"{address}: {getattr(error, 'strerror', None) or error}"
        finally:
            if made and not made[0].life:
                made[0].abort()
        if not made or not made[0].life:
            if made and made[0].why is not None:
                why, detail = made[0].why
                self.trouble = f"{address}: {why.value}" + (f" ({detail})" if detail else "")
            return False
        return True

    def _try_later(self) -> None:
        home = self._home
        if self._retry is not None or self._dialing is not None or not home.wants():
            return
        limits = home.limits
        if home.loop.time() - self._sent_at > limits.interest_s:
            return
        wait_s = min(limits.retry_most_s, limits.retry_s * 2 ** min(self._attempts, 30))
        self._attempts += 1
        # Not all peers of one that comes back at the same moment.
        self._retry = home.loop.call_later(wait_s * random.uniform(0.5, 1), self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if self.best() is None and self._home.directory.knows(self.name):
            self._dial()

    # --- having one ---

    def opened(self, connection: Connection) -> None:
        """A connection has said hello."""
        home = self._home
        self._connections[connection] = home.loop.time()
        self.trouble = ""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._tidy(connection)
        best = self.best()
        if best is None:
            return
        while self._waiting:
            best.send(self._waiting.popleft())
        self._waiting_bytes = 0
        self._tell_soon()

    def _tidy(self, newest: Connection) -> None:
        """End what the newest connection makes superfluous."""
        for connection in list(self._connections):
            if connection is newest:
                continue
            if connection.life != newest.life or connection.dialed == newest.dialed:
                # The peer began anew, or does not know of it any more: who has a connection dials
                # no other.
                self._lost = True
                connection.refuse(Refusal.SUPERSEDED)
        best = self.best()
        for connection in list(self._connections):
            if connection is not best and connection.is_open and connection.dialed:
                connection.leave()
        # What is being closed counts too, as long as its socket is there.
        for connection in list(self._connections)[: -self._home.limits.connections]:
            connection.abort()

    def _tell_soon(self) -> None:
        if not self._lost or self._telling is not None or self.best() is None:
            return
        wait_s = self._told_at + self._home.limits.resend_s - self._home.loop.time()
        if wait_s <= 0:
            self._tell()
        else:
            self._telling = self._home.loop.call_later(wait_s, self._tell)

    def _tell(self) -> None:
        self._telling = None
        if self.best() is None:
            return
        self._lost = False
        self._told_at = self._home.loop.time()
        self._home.reached(self.name)

    def ended(self, connection: Connection) -> None:
        """A connection is closed."""
        since = self._connections.pop(connection, None)
        if since is None:
            return
        if connection.waiting:
            self._drop(connection.waiting)
        if self.best() is not None:
            # Who has said goodbye has read all that was sent, and goes on with another connection.
            if not connection.was_polite and connection.why != (Refusal.SUPERSEDED, ""):
                self._lost = True
                self._tell_soon()
            return
        self._lost = True
        if self._home.loop.time() - since > LIVED_S:
            self._attempts = 0
        if not self.trouble and connection.why is not None:
            self.trouble = connection.why[0].value
        self._try_later()

    async def rest(self) -> None:
        """Try nothing any more."""
        for timer in (self._retry, self._telling):
            if timer is not None:
                timer.cancel()
        self._retry = self._telling = None
        task = self._dialing
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
