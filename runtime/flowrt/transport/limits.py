"""How much a connection may cost, and how long each part of it may take. Numbers only."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True, slots=True)
class WireLimits:
    """What a network of TLS connections grants; the defaults are more than honest peers need.

    Attributes:
        handshake_s: how long a connection may take until both ends have said hello.
        frame_s: how long a frame may take, from its first byte to its last.
        silence_s, dead_s: after how long without a byte the peer is asked for a sign of life, and
            is taken for dead.
        stall_s: how long a peer may take nothing of what is written to it.
        farewell_s: how long saying goodbye may take.
        handshakes, handshakes_per_address: how many connections may be between the first packet
            and hello, from everywhere and from one address. Beyond the first the oldest is cut,
            beyond the second the new one.
        handshakes_per_s: how many connections one address may begin, in the long run; at once it
            may begin `handshakes_per_address`.
        connections: how many connections one peer may have.
        waiting, waiting_bytes: how many packets for one peer wait to be written; what comes beyond
            is dropped, as a network may do.
        retry_s, retry_most_s: how long until a peer is dialed again, at first and at last.
        interest_s: for how long after something was sent to a peer it is dialed again.
        resend_s: how often a peer that comes back is reported, at most.
    """

    handshake_s: float = 5.0
    frame_s: float = 30.0
    silence_s: float = 15.0
    dead_s: float = 45.0
    stall_s: float = 60.0
    farewell_s: float = 5.0
    handshakes: int = 256
    handshakes_per_address: int = 64
    handshakes_per_s: float = 50.0
    connections: int = 4
    waiting: int = 100_000
    waiting_bytes: int = 16 << 20
    retry_s: float = 0.1
    retry_most_s: float = 15.0
    interest_s: float = 600.0
    resend_s: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, int | float) and value > 0 and math.isfinite(value)):
                raise ValueError(f"the limit {field.name} must be a number above 0, not {value!r}")

    @property
    def tick_s(self) -> float:
        """How often connections are looked at."""
        return min(self.handshake_s, self.frame_s, self.silence_s, self.farewell_s, 4.0) / 4
