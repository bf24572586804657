"""Defects of the session automaton: order, repeats, who may speak, invitations."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "session"
_AT = "flowrt.core.session"

DEFECTS = (
    defect(
        "repeat is news",
        _ROOM,
        "a letter that was read before is taken again",
        "I1",
        (f"{_AT}:take", "seq < session.expected or ", ""),
    ),
    defect(
        "repeat in a gap is news",
        _ROOM,
        "a letter that waits behind a gap is kept twice when it comes twice",
        "I1",
        (f"{_AT}:take", "inbox[place - 1][0] == seq", "inbox[place - 1][0] == seq and place > 99"),
    ),
    defect(
        "gap is read over",
        _ROOM,
        "what is at the head of the inbox is read, though a number before it is missing",
        "I1",
        (
            f"{_AT}:head",
            "session.inbox and session.inbox[0][0] < session.expected",
            "session.inbox",
        ),
    ),
    defect(
        "order of arrival",
        _ROOM,
        "letters are kept in the order in which they arrive",
        "I1",
        (f"{_AT}:take", "inbox[place - 1][0] > seq", "inbox[place - 1][0] > seq + 2"),
    ),
    defect(
        "anybody may speak",
        _ROOM,
        "who knows the secret may speak, whoever the channel says it is",
        "I1",
        (f"{_AT}:is_for", "session.peer == peer and ", ""),
    ),
    defect(
        "beyond the window is acknowledged",
        _ROOM,
        "a letter too far ahead is not kept, but acknowledged",
        "I6",
        (
            f"{_AT}:take",
            "        return False, []\n",
            "        return True, []\n",
        ),
    ),
    defect(
        "full inbox blocks the gap",
        _ROOM,
        "an inbox that is full does not take what its gap waits for",
        "L",
        (f"{_AT}:_is_too_much", "seq == session.expected and head(session) is None", "False"),
    ),
    defect(
        "waiting letters are lost",
        _ROOM,
        "what was said before the confirmation is forgotten when it comes",
        "L",
        (
            f"{_AT}:_confirmed",
            "letters = [letter(session, waiting) for waiting in session.unsent]",
            "letters: list[Letter] = []",
        ),
    ),
    defect(
        "waiting letters turn round",
        _ROOM,
        "what was said before the confirmation leaves in the wrong order",
        "I1",
        (f"{_AT}:_confirmed", "in session.unsent]", "in reversed(session.unsent)]"),
    ),
    defect(
        "confirmation counts twice",
        _ROOM,
        "what was said before the confirmation leaves, and stays to leave again",
        "I1",
        (f"{_AT}:_confirmed", "    session.unsent.clear()\n", ""),
        (f"{_AT}:say", "session.status == OPEN", "session.status == OPEN and not session.unsent"),
    ),
    defect(
        "first message is lost",
        _ROOM,
        "the message that comes with an invitation is not put into the inbox",
        "I1",
        (f"{_AT}:accept", "if invitation.first else []", "if False else []"),
    ),
    defect(
        "wrong address",
        _ROOM,
        "a responder answers to the first session of its initiator",
        "L, I8",
        (f"{_AT}:accept", "peer_session=invitation.from_session", "peer_session=0"),
    ),
    defect(
        "number stands still",
        _ROOM,
        "a letter's number is used again for every fifth one",
        "I1, L",
        (f"{_AT}:letter", "session.sent = seq + 1", "session.sent = seq + (seq % 5 != 4)"),
    ),
    defect(
        "invitation counts twice",
        _ROOM,
        "a repeated invitation begins another responder",
        "I22",
        (f"{_AT}:Peer.welcome", "        return False\n", "        return True\n"),
    ),
    defect(
        "low water too high",
        _ROOM,
        "invitations that fill a gap raise the low-water mark by one too many",
        "L, I6",
        (
            f"{_AT}:Seen.add",
            "        self.low += 1\n    self.above",
            "        self.low += 1 + (self.low + 1 not in held)\n    self.above",
        ),
    ),
    defect(
        "late invitation is old",
        _ROOM,
        "an invitation below the highest number is taken for a repeated one",
        "L, I6",
        (
            f"{_AT}:Seen.has",
            "number < self.low or number in self.above",
            "number < self.low or number <= max(self.above, default=-1)",
        ),
    ),
    defect(
        "invitation number again",
        _ROOM,
        "two invitations to one peer have the same number",
        "L",
        (f"{_AT}:Peer.next_number", "number + 1", "max(number, 1)"),
    ),
    defect(
        "rejection is no end",
        _ROOM,
        "a session whose invitation was rejected is not over when that is read",
        "L, I8",
        (f"{_AT}:read", "type(content) is not Data", "type(content) not in (Data, Reject)"),
    ),
    defect(
        "end is no end",
        _ROOM,
        "a session whose end was read is not over",
        "L",
        (f"{_AT}:read", "type(content) is not Data", "type(content) is Failure"),
    ),
)
