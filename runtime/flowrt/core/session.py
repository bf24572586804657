"""The session automaton: open, confirm, data, end, error; order, repeats. Knows no flow, no wire.

A session has two directions, each numbered from 0: the initiator's number 0 is the invitation, the
responder's is its confirmation or rejection. What arrives twice, late or too early is decided here.

          invite                confirm
    NEW ----------> INVITED --------------> OPEN ----- peer's end, error is read ----> OVER
                       |                                                                 ^
                       +------------------- rejection is read ----------------------------+

`closed` says that our own side has ended: nothing more is read. A closed session stays only until
its confirmation came, because before that there is no address for what it still has to say.
"""

from __future__ import annotations

import hmac

import msgspec

from flowrt.core.flow import invariant
from flowrt.core.values import (
    Confirm,
    Content,
    Data,
    Invite,
    Letter,
    Reject,
    SessionState,
)

NEW, INVITED, OPEN, OVER = range(4)

WINDOW = 64
"""How far ahead of the next expected number content is kept; what is further ahead is not taken
(nor acknowledged), so the peer sends it again."""


def is_for(session: SessionState, peer: str, secret: bytes) -> bool:
    """Whether this authenticated peer may speak in this session."""
    return session.peer == peer and hmac.compare_digest(session.secret, secret)


def take(session: SessionState, seq: int, content: Content) -> tuple[bool, list[Letter]]:
    """One arrival. Returns whether it is now held (or was before), so that it may be acknowledged,
    and the letters that its confirmation sets free."""
    if seq < session.expected:
        return True, []  # A peer repeats after a reconnect: look at the number before the state.
    if seq >= session.expected + WINDOW:
        return False, []
    place = 0
    for place, (held, _) in enumerate(session.inbox):  # noqa: B007
        if held == seq:
            return True, []
        if held > seq:
            break
    else:
        place = len(session.inbox)
    session.inbox.insert(place, (seq, content))
    return True, _catch_up(session)


def _catch_up(session: SessionState) -> list[Letter]:
    freed: list[Letter] = []
    index = _unread(session)
    while index < len(session.inbox) and session.inbox[index][0] == session.expected:
        _, content = session.inbox[index]
        session.expected += 1
        if type(content) is Confirm:
            del session.inbox[index]
            freed = _confirmed(session, content)
        elif type(content) is Reject:
            session.unsent.clear()
            index += 1
        else:
            index += 1
    return freed


def _unread(session: SessionState) -> int:
    """How many at the head of the inbox are in order, to be read."""
    count = 0
    for seq, _ in session.inbox:
        if seq >= session.expected:
            break
        count += 1
    return count


def _confirmed(session: SessionState, content: Confirm) -> list[Letter]:
    if session.status != INVITED:
        return []  # The peer breaks the protocol: only the first content may confirm.
    session.status = OPEN
    session.peer_flow = content.flow
    session.peer_session = content.session
    session.version = content.version
    letters = [letter(session, waiting) for waiting in session.unsent]
    session.unsent.clear()
    return letters


def head(session: SessionState) -> Content | None:
    """What would be read next, if it is there."""
    if session.inbox and session.inbox[0][0] < session.expected:
        return session.inbox[0][1]
    return None


def read(session: SessionState) -> Content:
    """Take the head; after an end, an error or a rejection the session is over."""
    invariant(head(session) is not None, "nothing to read")
    _, content = session.inbox.pop(0)
    if type(content) is not Data:
        session.status = OVER
        session.inbox.clear()
    return content


def invite(
    session: SessionState,
    number: int,
    incarnation: bytes,
    flow: str,
    initiator: str,
    version: int,
    flow_id: int,
) -> Invite:
    """The invitation of a new session, with its first message if there is one."""
    first = None
    if session.unsent and type(session.unsent[0]) is Data:
        first = session.unsent.pop(0)
        invariant(type(first) is Data, "only a message goes with the invitation")
    session.status = INVITED
    session.sent = 1
    return Invite(
        number,
        incarnation,
        flow,
        initiator,
        version,
        flow_id,
        session.id,
        session.secret,
        first if type(first) is Data else None,
    )


def accept(invitation: Invite, peer: str, number: int) -> SessionState:
    """The responder's end of a session; its own number in its flow is `number`."""
    first: list[tuple[int, Content]] = [(0, invitation.first)] if invitation.first else []
    return SessionState(
        id=number,
        peer=peer,
        secret=invitation.secret,
        status=OPEN,
        sent=0,
        expected=1,
        frame=0,
        block=0,
        peer_flow=invitation.from_flow,
        peer_session=invitation.from_session,
        version=invitation.version,
        inbox=first,
        unsent=[],
    )


def letter(session: SessionState, content: Content) -> Letter:
    """The next content of our direction, addressed and numbered."""
    seq = session.sent
    session.sent = seq + 1
    return Letter(session.peer_flow, session.peer_session, session.secret, seq, content)


def say(session: SessionState, content: Content) -> Letter | None:
    """Send `content`: as a letter now, or later when the peer has confirmed."""
    if session.status == OPEN:
        return letter(session, content)
    if session.status != OVER:
        session.unsent.append(content)
    return None


class Seen(msgspec.Struct, array_like=True):
    """Which invitations of one incarnation of a peer were taken: all below `low`, and `above`."""

    incarnation: bytes
    low: int = 0
    above: list[int] = []

    def has(self, number: int) -> bool:
        return number < self.low or number in self.above

    def add(self, number: int) -> None:
        self.above.append(number)
        while self.low in self.above:
            self.above.remove(self.low)
            self.low += 1


class Peer(msgspec.Struct, array_like=True):
    """What a node remembers of a peer: how many invitations it sent, and which it received.

    A peer whose store was made anew begins a new incarnation; the last few are remembered, so that
    a late invitation of an older one cannot start anything twice.
    """

    invited: int = 0
    seen: list[Seen] = []

    def next_number(self) -> int:
        """The number of the next invitation to this peer."""
        number = self.invited
        self.invited = number + 1
        return number

    def welcome(self, invitation: Invite) -> bool | None:
        """True for a new invitation (now remembered), False for a repeated one, None for one that
        is too far ahead or of a forgotten incarnation: not taken, not acknowledged."""
        for seen in self.seen:
            if hmac.compare_digest(seen.incarnation, invitation.incarnation):
                break
        else:
            if len(self.seen) >= INCARNATIONS:
                return None
            seen = Seen(invitation.incarnation, 0, [])
            self.seen.append(seen)
        if seen.has(invitation.number):
            return False
        if invitation.number < 0 or len(seen.above) >= AHEAD:
            return None
        seen.add(invitation.number)
        return True


INCARNATIONS = 16
AHEAD = 4096
"""How many invitations may have overtaken a missing one."""
