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

import functools
import hmac
from collections.abc import Mapping, Sequence

import msgspec

from flowrt.core.flow import UnexpectedFlowEnd, invariant
from flowrt.core.values import (
    GIVEN,
    Checkpoint,
    Confirm,
    Content,
    Data,
    Failure,
    Invite,
    Letter,
    Reject,
    SessionState,
)

NEW, INVITED, OPEN, OVER = range(4)

WINDOW = 64
"""How far ahead of the next expected number content is kept; what is further ahead is not taken
(nor acknowledged), so the peer sends it again."""

UNREAD = 1000
UNREAD_BYTES = 16 << 20
"""How much may wait in an inbox unread; the peer must send again what comes beyond."""

FEW = 16
"""So few are never too many: one frame is at most 1 MiB."""


def is_for(session: SessionState, peer: str, secret: bytes) -> bool:
    """Whether this authenticated peer may speak in this session."""
    return session.peer == peer and hmac.compare_digest(session.secret, secret)


def take(
    session: SessionState, seq: int, content: Content, came: int = 0
) -> tuple[bool, list[Letter]]:
    """One arrival. Returns whether it is now held (or was before, or will never be read), so that
    it may be acknowledged, and the letters that its confirmation sets free."""
    inbox = session.inbox
    place = len(inbox)
    if seq < session.expected or session.status == OVER or (place and _has_last_word(session)):
        return True, []  # A peer repeats after a reconnect: look at the number before the state.
    if seq >= session.expected + WINDOW or _is_too_much(session, seq, content):
        return False, []
    while place and inbox[place - 1][0] > seq:
        place -= 1
    if place and inbox[place - 1][0] == seq:
        return True, []
    inbox.insert(place, (seq, content, came))
    return True, _catch_up(session, place) if seq == session.expected else []


def _has_last_word(session: SessionState) -> bool:
    """Whether the peer's last word is held in its order: what still comes has no reader."""
    seq, content, _ = session.inbox[-1]
    return seq < session.expected and type(content) is not Data


def _is_too_much(session: SessionState, seq: int, content: Content) -> bool:
    """Whether the peer must wait. What a gap waits for is taken always, or nothing could be read
    any more."""
    if seq == session.expected and head(session) is None:
        return False
    return is_full(session, content)


def is_full(session: SessionState, content: Content) -> bool:
    """Whether so much was sent that was not read that who sends must wait."""
    if len(session.inbox) < FEW:
        return False
    if len(session.inbox) >= UNREAD:
        return True
    return size_of(content) + sum(size_of(held) for _, held, _ in session.inbox) > UNREAD_BYTES


def is_much(unsent: Sequence[Content]) -> bool:
    """Whether so much waits for a confirmation that who sends must wait."""
    return len(unsent) >= UNREAD or sum([size_of(one) for one in unsent]) > UNREAD_BYTES


def size_of(content: Content) -> int:
    """What is kept of a content, in bytes: what its sender chose of it."""
    if type(content) is Data:
        return len(content.body)
    return len(content.fields) if type(content) is Failure else 0


def _catch_up(session: SessionState, index: int) -> list[Letter]:
    """Count what is in order from `index` on; a confirmation among it is taken at once."""
    freed: list[Letter] = []
    inbox = session.inbox
    while index < len(inbox) and inbox[index][0] == session.expected:
        content = inbox[index][1]
        session.expected += 1
        if type(content) is Confirm:
            del inbox[index]
            freed += _confirmed(session, content)
            continue
        if session.status == INVITED and type(content) is not Reject:
            content = Reject("the peer began with neither a confirmation nor a rejection", "")
            inbox[index] = (session.expected - 1, content, inbox[index][2])
        index += 1
        if type(content) is not Data:
            del inbox[index:]
        if type(content) is Reject:
            session.unsent.clear()
    return freed


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


def sever(session: SessionState, came: int, text: str, error_id: str) -> bool:
    """The peer has lost what it knew of the session: what came in order is still read, then that
    error. False if nobody needs to hear it."""
    if session.status not in (INVITED, OPEN) or (session.closed and session.status == OPEN):
        return False
    inbox = session.inbox
    while inbox and inbox[-1][0] >= session.expected:
        inbox.pop()
    if inbox and _has_last_word(session):
        return False
    last: Content = Failure(UnexpectedFlowEnd.wire, b"", error_id)
    if session.status == INVITED:
        last = Reject(text, error_id)
        session.unsent.clear()
    inbox.append((session.expected, last, came))
    session.expected += 1
    return True


def head(session: SessionState) -> Content | None:
    """What would be read next, if it is there."""
    if session.inbox and session.inbox[0][0] < session.expected:
        return session.inbox[0][1]
    return None


def came(session: SessionState) -> int:
    """The flow's count of commits when the head came; for a session that is over, before all."""
    return session.inbox[0][2] if session.inbox else -1


def read(session: SessionState) -> Content:
    """Take the head; after an end, an error or a rejection the session is over."""
    invariant(head(session) is not None, "nothing to read")
    _, content, _ = session.inbox.pop(0)
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
    messages: str = "",
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
        messages,
    )


def accept(invitation: Invite, peer: str, number: int) -> SessionState:
    """The responder's end of a session; its own number in its flow is `number`."""
    first: list[tuple[int, Content, int]] = [(0, invitation.first, 0)] if invitation.first else []
    return SessionState(
        id=number,
        peer=peer,
        secret=invitation.secret,
        status=OPEN,
        sent=0,
        expected=1,
        frame=0,
        block=GIVEN,
        peer_flow=invitation.from_flow,
        peer_session=invitation.from_session,
        version=invitation.version,
        inbox=first,
        unsent=[],
    )


def owned(number: int) -> SessionState:
    """A flow's session with whoever started it: open from the beginning, without an address."""
    return SessionState(number, "", b"", OPEN, 0, 0, 0, 0, inbox=[], unsent=[])


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
        if number != self.low:
            self.above.append(number)
            return
        held = set(self.above)
        self.low += 1
        while self.low in held:
            self.low += 1
        self.above = [n for n in self.above if n > self.low]


class Standing(msgspec.Struct, frozen=True, gc=False):
    """What a flow at rest holds of its peers: who invited it, as long as that session is open, and
    of each the (messages, bytes) that it has not read."""

    inviter: str = ""
    unread: Mapping[str, tuple[int, int]] = {}


NOTHING = Standing()
"""Of a flow that holds nothing."""


@functools.lru_cache(maxsize=1024)
def _invited_by(inviter: str) -> Standing:
    """Of a flow that holds nothing but its session with who invited it: most are like this."""
    return Standing(inviter)


def standing(checkpoint: Checkpoint) -> Standing:
    """What a flow holds of its peers now."""
    sessions = checkpoint.sessions
    if not sessions:
        return NOTHING
    inviter = sessions[0].peer if sessions[0].block == GIVEN else ""
    unread: dict[str, tuple[int, int]] = {}
    for session in sessions:
        if session.inbox and session.secret:
            count, size = unread.get(session.peer, (0, 0))
            size += sum([size_of(content) for _, content, _ in session.inbox])
            unread[session.peer] = (count + len(session.inbox), size)
    if unread:
        return Standing(inviter, unread)
    return _invited_by(inviter) if inviter else NOTHING


class Peer(msgspec.Struct, array_like=True):
    """What a node remembers of a peer: how many invitations it sent, and which it received; how
    many sessions that it began are open, how many of its messages flows keep unread, and their
    bytes.

    A peer whose store was made anew begins a new incarnation; the last few are remembered, so that
    a late invitation of an older one cannot start anything twice. `mark` is the last of the peer's
    store on which anything here rests (flowrt.core.lineage). `era` counts how often that store has
    lost what it knew: each time our invitations are numbered anew. Where our own store has lost
    what it knew, it is `wary`: nothing is taken until the peer knows that, and then nothing of what
    the peer said before it had committed `floor` batches.
    """

    invited: int = 0
    seen: list[Seen] = []
    sessions: int = 0
    unread: int = 0
    unread_bytes: int = 0
    mark: bytes = b""
    era: int = 0
    wary: bool = False
    floor: int = 0

    def incarnation(self, own: bytes) -> bytes:
        """Under which name of our store (`own`) our invitations to this peer are numbered."""
        return (int.from_bytes(own, "big") ^ self.era).to_bytes(len(own), "big")

    def next_number(self) -> int:
        """The number of the next invitation to this peer."""
        number = self.invited
        self.invited = number + 1
        return number

    def welcome(self, invitation: Invite) -> bool | None:
        """True for a new invitation (now remembered), False for a repeated one, None for one that
        is too far ahead: not taken, not acknowledged."""
        for seen in self.seen:
            if seen.incarnation == invitation.incarnation:
                break
        else:
            seen = Seen(invitation.incarnation, 0, [])
        if seen.has(invitation.number):
            return False
        # The missing number is taken always, or its successors would wait for ever.
        if invitation.number != seen.low and len(seen.above) >= AHEAD:
            return None
        seen.add(invitation.number)
        if not self.seen or self.seen[-1] is not seen:
            # The one that was in use longest ago is forgotten.
            self.seen = [*[s for s in self.seen if s is not seen][1 - INCARNATIONS :], seen]
        return True


INCARNATIONS = 16
AHEAD = 4096
"""How many incarnations are remembered, and how many invitations may overtake a missing one."""
