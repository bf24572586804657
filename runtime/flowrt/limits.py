"""How much one peer may cost a node. Numbers only: who counts them is elsewhere."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a node grants each of its peers; the defaults are more than honest peers need.

    Attributes:
        sessions: how many sessions that the peer has begun may be open here at once; its next
            invitation is rejected.
        invitations_per_s, invitations_at_once: how many invitations are looked at, in the long run
            and at once; the others are not acknowledged, so they come again later.
        unread, unread_bytes: how many messages of the peer flows may keep without having read
            them; what comes beyond is not acknowledged, unless its flow reads it at once.
        inbound, inbound_bytes: how many packets may wait to be taken up; what comes beyond is
            dropped, as a network may do.
        window, window_bytes: how many frames to the peer are kept in memory and under way, not
            acknowledged yet; the others wait in the store.
        outbox, outbox_bytes: how many frames may wait for the peer in the store; a step that
            would add to them then is put off (`Congested`). Its invitations are
            looked at as long as fewer than `window` answers to them are not acknowledged.
        operations: how many external operations of this node, whoever the peer, run at once.
    """

    sessions: int = 100_000
    invitations_per_s: float = 5_000.0
    invitations_at_once: int = 20_000
    unread: int = 100_000
    unread_bytes: int = 64 << 20
    inbound: int = 10_000
    inbound_bytes: int = 16 << 20
    window: int = 4_096
    window_bytes: int = 8 << 20
    outbox: int = 100_000
    outbox_bytes: int = 256 << 20
    operations: int = 64

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, int | float) and value > 0 and math.isfinite(value)):
                raise ValueError(f"the limit {field.name} must be a number above 0, not {value!r}")
