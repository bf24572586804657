"""Whether a peer may have more of what it asks for. Counts; reads no flow's state, sends nothing.

What is durable (open sessions, unread messages) is counted in the peer's row, in the transaction
of the step that changes it; how fast invitations come is of this process alone.
"""

from __future__ import annotations

import logging
import math
from collections import Counter

from flowrt.core.hospital import one_line
from flowrt.core.session import OPEN, Peer, Standing, head, is_for, size_of
from flowrt.core.values import (
    ANY,
    Checkpoint,
    Data,
    Failure,
    Invite,
    Letter,
    OnAny,
    OnMessage,
)
from flowrt.core.waiting import find, is_ready
from flowrt.limits import Limits

_LOG = logging.getLogger("flowrt.node")


class Quotas:
    """What the peers of one node have used up of what they may."""

    def __init__(self, party: str, limits: Limits) -> None:
        self.limits = limits
        self._party = party
        self._buckets: dict[str, tuple[float, int]] = {}
        self._refused: Counter[tuple[str, str]] = Counter()

    # --- invitations ---

    def may_invite(self, peer: str, now_us: int) -> bool:
        """Whether the peer's next invitation is looked at: a token bucket."""
        limits = self.limits
        held = self._buckets.get(peer)
        if held is None:
            return True
        tokens, at_us = held
        tokens += max(0, now_us - at_us) / 1_000_000 * limits.invitations_per_s
        if tokens >= limits.invitations_at_once:
            del self._buckets[peer]
            return True
        self._buckets[peer] = (tokens, now_us)
        return tokens >= 1

    def invited(self, peer: str, now_us: int) -> None:
        """An invitation that may be looked at was a new one."""
        tokens, at_us = self._buckets.get(peer, (float(self.limits.invitations_at_once), now_us))
        self._buckets[peer] = (tokens - 1, at_us)

    def invitations(self, peer: str, now_us: int) -> int:
        """How many of its invitations at once the peer has used up, and not regained since."""
        tokens, at_us = self._buckets.get(peer, (float(self.limits.invitations_at_once), now_us))
        tokens += max(0, now_us - at_us) / 1_000_000 * self.limits.invitations_per_s
        return max(0, math.ceil(self.limits.invitations_at_once - tokens))

    def has_room(self, known: Peer, invitation: Invite) -> bool:
        """Whether what comes with an invitation may be kept."""
        if invitation.first is None:
            return True
        return self._may_keep(known, size_of(invitation.first))

    def is_crowded(self, known: Peer) -> bool:
        """Whether the peer has as many sessions open here as it may."""
        return known.sessions >= self.limits.sessions

    # --- what flows keep unread ---

    def takes(self, known: Peer, checkpoint: Checkpoint, letter: Letter, runs: bool) -> bool:
        """Whether a letter is taken: its peer may have more kept unread, or its flow, if it `runs`,
        reads it at once. Ends and confirmations always are: they make room."""
        content = letter.content
        if not isinstance(content, Data | Failure) or self._may_keep(known, size_of(content)):
            return True
        session = find(checkpoint, letter.to_session)
        if session is None or not is_for(session, session.peer, letter.secret):
            return True  # It is nobody's: refusing it would tell who guesses that there is one.
        if letter.seq < session.expected:
            return True  # It is there already.
        if not runs or checkpoint.admitted or session.status != OPEN:
            return False
        is_next = letter.seq == session.expected and head(session) is None
        return is_next and _goes_on_with(checkpoint, session.id)

    def _may_keep(self, known: Peer, size: int) -> bool:
        limits = self.limits
        return known.unread < limits.unread and known.unread_bytes + size <= limits.unread_bytes

    # --- said, not too often ---

    def refuse(self, peer: str, why: str, text: str = "") -> None:
        """Log that something of a peer is not taken: the first time, the second, the fourth …"""
        key = (peer, why)
        self._refused[key] += 1
        count = self._refused[key]
        if count & (count - 1) == 0:
            detail = f": {one_line(text)}" if text else ""
            times = f" ({count} times)" if count > 1 else ""
            said = (self._party, why, one_line(peer), detail, times)
            about = {"party": self._party, "peer": peer}
            _LOG.warning("%s: %s from %s%s%s", *said, extra=about)

    def rejected(self, peer: str) -> None:
        """An invitation was rejected, because too many sessions of the peer are open."""
        self._refused[peer, "too many sessions: invitations are rejected"] += 1

    def refused(self) -> dict[str, dict[str, int]]:
        """What was refused since the process began: by peer and reason, how often."""
        found: dict[str, dict[str, int]] = {}
        for (peer, why), count in self._refused.items():
            found.setdefault(peer, {})[why] = count
        return found


def _goes_on_with(checkpoint: Checkpoint, number: int) -> bool:
    """Whether the flow goes on as soon as something of this session is there."""
    waiting = checkpoint.waiting
    if type(waiting) is OnMessage:
        return waiting.session == number
    if type(waiting) is not OnAny or number not in waiting.sessions:
        return False
    others = [other for other in waiting.sessions if other != number]
    return waiting.kind == ANY or all(is_ready(find(checkpoint, other)) for other in others)


def moved(before: Standing, after: Standing) -> dict[str, tuple[int, int, int]]:
    """What a step changes in the peers' rows: by peer, sessions, messages, bytes."""
    changes: dict[str, list[int]] = {}
    for sign, one in ((-1, before), (1, after)):
        if one.inviter:
            changes.setdefault(one.inviter, [0, 0, 0])[0] += sign
        for peer, (count, size) in one.unread.items():
            change = changes.setdefault(peer, [0, 0, 0])
            change[1] += sign * count
            change[2] += sign * size
    return {peer: (n, m, b) for peer, (n, m, b) in changes.items() if n or m or b}
