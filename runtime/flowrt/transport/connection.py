"""One connection between two parties: TLS, hello, packets both ways, goodbye. Never dials.

Both ends begin with a hello. It is the first that a peer hears after we have looked at its
certificate, so who has heard it knows that it was let in: TLS alone tells the end that dialed
nothing of that. Whoever ends a connection says goodbye after its last packet and waits for the
other's, so that nothing is lost that was under way.
"""

from __future__ import annotations

import asyncio
import collections
import datetime
import ssl
import typing

from flowrt.transport.framing import (
    BYE,
    HELLO,
    PACKET,
    PING,
    PONG,
    PROTOCOL,
    BadFrame,
    Splitter,
    framed,
)
from flowrt.transport.limits import WireLimits
from flowrt.transport.tunnel import Refusal, Tunnel, refusal_of

WRITTEN_AT_ONCE = 1 << 16
"""So many bytes of packets are encrypted together; what waits behind them is plain, and ours."""

OFFERED_AGAIN_S = 0.01
"""How soon a packet is offered again that the party could not take. Until then nothing is read."""


class Owner(typing.Protocol):
    """What a connection is told, and asked by: the network that it belongs to."""

    @property
    def life(self) -> bytes:
        """A name for this process, which its hellos tell."""
        ...

    @property
    def limits(self) -> WireLimits:
        """How long everything may take."""
        ...

    def admit(self, connection: Connection) -> Refusal | None:
        """Whether there is room for one more, before a byte of it was read; or why not."""
        ...

    def recognise(self, connection: Connection) -> Refusal | None:
        """Look at the certificate of who is there, and set `peer` and `until`; or why not."""
        ...

    def opened(self, connection: Connection) -> None:
        """Both have said hello."""
        ...

    def deliver(self, connection: Connection, packet: bytes) -> bool:
        """Hand a packet to the party. False if it cannot take it now."""
        ...

    def refused(self, connection: Connection, why: Refusal, detail: str) -> None:
        """It is cut, for this reason."""
        ...

    def ended(self, connection: Connection) -> None:
        """The socket is closed."""
        ...


class Connection(asyncio.Protocol):
    """Our end of one.

    Attributes:
        expected: whom we dialed; None if it came to us.
        peer: whom its certificate names, as soon as that is known.
        until: when that certificate is over.
        life: the name of the peer's life, from its hello.
        address: of the other end of the socket.
        is_open: both have said hello, and none goodbye.
        ready: done as soon as it is open or over.
    """

    def __init__(
        self,
        owner: Owner,
        context: ssl.SSLContext,
        loop: asyncio.AbstractEventLoop,
        expected: str | None = None,
    ) -> None:
        self.expected = expected
        self.peer = ""
        self.until = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        self.life = b""
        self.address = ""
        self.is_open = False
        self.is_over = False
        self.began = self._heard = loop.time()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.why: tuple[Refusal, str] | None = None
        self._owner = owner
        self._loop = loop
        self._context = context
        self._tunnel: Tunnel
        self._frames = Splitter()
        self._transport: asyncio.Transport | None = None
        self._queue: collections.deque[bytes] = collections.deque()
        self.waiting_bytes = 0
        self._is_scheduled = False
        self._partial_since: float | None = None
        self._stalled_since: float | None = None
        self._leaving_since: float | None = None
        self._asked: float | None = None
        self._owes_pong = False
        self._held: bytes | None = None
        self._offer: asyncio.TimerHandle | None = None
        self._wants_bye = self._said_bye = self._heard_bye = False

    @property
    def dialed(self) -> bool:
        """Whether it was us who dialed."""
        return self.expected is not None

    @property
    def waiting(self) -> int:
        """How many packets wait to be written."""
        return len(self._queue)

    @property
    def certificate(self) -> bytes:
        """The peer's certificate, as DER, once the handshake is done."""
        return self._tunnel.certificate

    @property
    def was_polite(self) -> bool:
        """Whether both have said goodbye."""
        return self._said_bye and self._heard_bye

    # --- what the socket tells ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        address = transport.get_extra_info("peername")
        self.address = address[0] if address else ""
        transport.set_write_buffer_limits(high=4 * WRITTEN_AT_ONCE)
        why = self._owner.admit(self)
        if why is not None:
            self.refuse(why)
            return
        # Not before: it is most of what a connection costs.
        self._tunnel = Tunnel(self._context, dials=self.dialed)
        if self.dialed:
            self._advance()

    def data_received(self, data: bytes) -> None:
        if self.is_over:
            return
        self._tunnel.feed(data)
        if self._held is None:
            self._advance()

    def eof_received(self) -> bool:
        return False  # The socket is closed then, by asyncio.

    def connection_lost(self, error: Exception | None) -> None:
        was_over, self.is_over, self.is_open = self.is_over, True, False
        self._held = None
        if self._offer is not None:
            self._offer.cancel()
        if not was_over and self.why is None and not self.peer:
            # Who leaves in the middle of a handshake does not trust us, or never wanted to talk.
            self.why = (Refusal.BY_PEER, "it closed the connection before hello")
        self._settle()
        self._owner.ended(self)

    def pause_writing(self) -> None:
        self._stalled_since = self._loop.time()

    def resume_writing(self) -> None:
        self._stalled_since = None
        self._schedule()

    # --- reading ---

    def _advance(self) -> None:
        """Go on with what has come."""
        tunnel = self._tunnel
        try:
            if not tunnel.is_established:
                is_done = tunnel.shake()
                self._write_out()
                if not is_done:
                    return
                if not self._greet():
                    return
            self._read_frames()
            self._write_out()
        except ssl.SSLError as error:
            self._write_out()  # The alert that tells the peer.
            why = Refusal.BROKEN_RECORD if tunnel.is_established else refusal_of(error)
            if refusal_of(error) is Refusal.BY_PEER:
                why = Refusal.BY_PEER
            self.refuse(why, str(error.reason or error), gently=True)
        except BadFrame as error:
            self.refuse(Refusal.BAD_FRAME, str(error))

    def _greet(self) -> bool:
        why: Refusal | None = Refusal.OTHER_PROTOCOL
        if self._tunnel.protocol == PROTOCOL:
            why = self._owner.recognise(self)
        if why is not None:
            self.refuse(why)
            return False
        self._tunnel.write(framed(HELLO, self._owner.life))
        return True

    def _read_frames(self) -> None:
        frames, tunnel = self._frames, self._tunnel
        while self._held is None and not self.is_over:
            frame = frames.next()
            if frame is not None:
                # Bytes that never make a frame are no sign of life.
                self._heard = self._loop.time()
                self._partial_since = None
                self._take(*frame)
                continue
            data = tunnel.read()
            if not data:
                break
            frames.feed(data)
        if tunnel.is_over and not self.is_over:
            self.abort()
        if not frames.is_partial:
            self._partial_since = None
        elif self._partial_since is None:
            self._partial_since = self._loop.time()

    def _take(self, kind: int, body: bytes) -> None:
        if kind == HELLO:
            if self.life:
                raise BadFrame("a second hello")
            self.life = body
            self.is_open = not self._wants_bye
            self._owner.opened(self)
            self._settle()
        elif not self.life:
            raise BadFrame("hello comes first")
        elif self._heard_bye:
            raise BadFrame("goodbye comes last")
        elif kind == PACKET:
            if not self._owner.deliver(self, body):
                self._hold(body)
        elif kind == PING:
            self._owes_pong = True
            self._schedule()
        elif kind == PONG:
            self._asked = None
        else:
            assert kind == BYE
            self._heard_bye = True
            self.leave()
            self._schedule()

    def _hold(self, packet: bytes) -> None:
        """The party cannot take it: read nothing more until it can, so that the peer cannot write
        more either."""
        assert self._transport is not None
        self._held = packet
        self._transport.pause_reading()
        self._offer = self._loop.call_later(OFFERED_AGAIN_S, self._offer_again)

    def _offer_again(self) -> None:
        packet, self._offer = self._held, None
        if packet is None or self._transport is None:
            return
        if not self._owner.deliver(self, packet):
            self._offer = self._loop.call_later(OFFERED_AGAIN_S, self._offer_again)
            return
        self._held = None
        self._heard = self._loop.time()
        self._partial_since = None
        self._advance()
        if self._held is None and not self.is_over:
            self._transport.resume_reading()

    # --- writing ---

    def send(self, packet: bytes) -> None:
        """Write a packet as soon as the socket takes it."""
        self._queue.append(packet)
        self.waiting_bytes += len(packet)
        self._schedule()

    def _schedule(self) -> None:
        # At the end of this turn of the loop: what is sent together is encrypted together.
        if not self._is_scheduled and not self.is_over:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_scheduled = False
        if self.is_over or not self.life:
            return
        queue = self._queue
        while self._stalled_since is None and (queue or self._owes_pong):
            parts = []
            size = 0
            if self._owes_pong:
                parts.append(framed(PONG))
                self._owes_pong = False
            while queue and size < WRITTEN_AT_ONCE:
                packet = queue.popleft()
                size += len(packet)
                parts.append(framed(PACKET, packet))
            self.waiting_bytes -= size
            self._tunnel.write(b"".join(parts))
            self._write_out()
            if self.is_over:
                return
        if self._wants_bye and not queue and not self._said_bye and self._stalled_since is None:
            self._said_bye = True
            self._tunnel.write(framed(BYE))
            self._write_out()
        if self._said_bye and self._heard_bye:
            self._end()

    def _write_out(self) -> None:
        data = self._tunnel.leaving()
        if data and self._transport is not None:
            self._transport.write(data)

    # --- ending ---

    def leave(self) -> None:
        """Send what waits, say goodbye, and end when the peer has said it too."""
        if self.is_over or self._wants_bye:
            return
        self._wants_bye, self.is_open = True, False
        self._leaving_since = self._loop.time()
        if not self.life:
            self.abort()
            return
        self._schedule()

    def _end(self) -> None:
        assert self._transport is not None
        self.is_over, self.is_open = True, False
        self._leaving_since = self._loop.time()
        self._tunnel.close()
        self._write_out()
        self._transport.close()

    def refuse(self, why: Refusal, detail: str = "", *, gently: bool = False) -> None:
        """Cut it, and say why to our side; `gently` lets out what is written to the peer."""
        if self.is_over:
            return
        self.why = (why, detail)
        self._owner.refused(self, why, detail)
        self.is_over, self.is_open = True, False
        self._leaving_since = self._loop.time()
        if self._transport is not None:
            if gently:
                self._transport.close()
            else:
                self._transport.abort()
        self._settle()

    def abort(self) -> None:
        """Close the socket at once."""
        self.is_over, self.is_open = True, False
        if self._transport is not None:
            self._transport.abort()
        self._settle()

    def _settle(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    # --- time ---

    def look(self, now: float) -> None:
        """Cut it if something takes too long; ask the peer for a sign of life if it is silent."""
        limits = self._owner.limits
        if self._leaving_since is not None:
            if now - self._leaving_since > limits.farewell_s:
                self.abort()
        elif not self.life:
            if now - self.began > limits.handshake_s:
                self.refuse(Refusal.SLOW_HANDSHAKE)
        elif self._stalled_since is not None and now - self._stalled_since > limits.stall_s:
            self.refuse(Refusal.STALLED)
        elif self._held is not None:
            return  # It is us who does not read.
        elif self._partial_since is not None and now - self._partial_since > limits.frame_s:
            self.refuse(Refusal.SLOW_FRAME)
        elif now - self._heard > limits.dead_s:
            self.refuse(Refusal.SILENT)
        elif now - self._heard > limits.silence_s and self._asked is None:
            if self._stalled_since is None:
                self._asked = now
                self._tunnel.write(framed(PING))
                self._write_out()
