"""A scripted peer on the wire: it speaks invitations, letters and acknowledgements by itself.

It says what it is told to say, in order and as often as it takes; it runs no flow and has no store.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from flowrt.core import flow as rt
from flowrt.core import session as sessions
from flowrt.core.values import (
    Ack,
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Invite,
    Letter,
    Reject,
    SessionState,
    decode_frame,
    encode,
)
from flowrt.peers.outbox import packed_ack, unpack
from flowrt.transport import Network

_HEADER = struct.Struct(">Q")


class BrokenPeer(AssertionError):
    """The node under test has broken the protocol of sessions; says how."""


class Line:
    """One session, as the scripted peer sees it.

    `heard` is what the flow said: messages as `Data`, and its last word. `flow` is the responder's
    qualified name where the flow under test was the one to invite, or "".
    """

    def __init__(self, owner: Counterparty, state: SessionState, flow: str = "") -> None:
        self.owner = owner
        self.state = state
        self.flow = flow
        self.is_pending = bool(flow)
        self.heard: list[Content] = []
        self.said: list[Content] = []

    @property
    def is_open(self) -> bool:
        """Whether the peer may still speak: it has not said its last word."""
        last = self.said[-1] if self.said else None
        refused = bool(self.heard) and isinstance(self.heard[-1], Reject)
        return not self.is_pending and not refused and not isinstance(last, End | Failure | Reject)

    @property
    def is_over(self) -> bool:
        """Whether the flow has said its last word."""
        return bool(self.heard) and not isinstance(self.heard[-1], Data)

    def send(self, message: rt.Message) -> None:
        """Say a message."""
        self._say(Data(message.wire, encode(message)))

    def end(self) -> None:
        """Say that nothing more will come."""
        self._say(End())

    def throw(self, error: rt.FlowError) -> None:
        """Say that the peer's flow ended with this declared error."""
        families = tuple(
            kind.wire
            for kind in type(error).__mro__[1:]
            if issubclass(kind, rt.FlowError) and kind is not rt.FlowError
        )
        self._say(Failure(error.wire, encode(error.fields()), "peer", families))

    def accept(self) -> None:
        """Confirm the invitation that the flow sent."""
        self.is_pending = False
        self.state.status = sessions.OPEN
        self._say(Confirm(1000 + self.owner.number_of(self), self.state.id, 1))

    def refuse(self, reason: str = "not today") -> None:
        """Reject the invitation that the flow sent."""
        self.is_pending = False
        self.state.status = sessions.OPEN
        self._say(Reject(reason, "peer"))

    def _say(self, content: Content) -> None:
        self.said.append(content)
        letter = sessions.say(self.state, content)
        if letter is not None:
            self.owner.post(letter)


class Counterparty:
    """A peer without a flow. `inbox` of the node under test is reached through the network; what
    that node does not acknowledge is said again by `speak`."""

    def __init__(self, network: Network, name: str, host: str) -> None:
        self.name = name
        self.host = host
        self.lines: list[Line] = []
        self.is_hostile = False
        """Whether what it hears need not make sense, because what it says does not."""
        self._unacked: dict[int, bytes] = {}
        self._next_row = 1
        self._invited = 0
        self._place = network.join(name, self.hear)

    def number_of(self, line: Line) -> int:
        """Which of this peer's sessions it is."""
        return self.lines.index(line)

    def invite(self, flow: type[rt.Flow[object]], first: rt.Message | None = None) -> Line:
        """Open a session with a responder of the node under test."""
        number = len(self.lines)
        state = SessionState(
            id=number,
            peer=self.host,
            secret=f"{self.name[:8]:8}{number:08}".encode()[:16].ljust(16, b"."),
            status=sessions.NEW,
            sent=0,
            expected=0,
            frame=0,
            block=0,
            inbox=[],
            unsent=[],
        )
        line = Line(self, state)
        self.lines.append(line)
        if first is not None:
            content = Data(first.wire, encode(first))
            state.unsent.append(content)
            line.said.append(content)
        initiator = flow.responds_to or ""
        incarnation = f"{self.name[:8]:8}".encode()[:8].ljust(8, b".")
        self.post(
            sessions.invite(
                state, self._invited, incarnation, flow.name, initiator, 1, 1000 + number
            )
        )
        self._invited += 1
        return line

    def post(self, frame: Invite | Letter) -> int:
        """Have a frame said until it is acknowledged; its row."""
        row = self._next_row
        self._next_row += 1
        self._unacked[row] = encode(frame)
        return row

    def speak(self) -> bool:
        """Say what is not acknowledged, once. False if there is nothing."""
        for row, frame in list(self._unacked.items()):
            self.send_bytes(_HEADER.pack(row) + frame)
        return bool(self._unacked)

    def forget(self, rows: Iterable[int]) -> None:
        """Say these no more, acknowledged or not."""
        for row in rows:
            self._unacked.pop(row, None)

    def send_bytes(self, packet: bytes) -> None:
        """One packet to the node under test."""
        self._place.send(self.host, packet)

    # --- what comes ---

    def hear(self, sender: str, packet: bytes) -> None:
        """One packet. Raises BrokenPeer for what the node under test must not send."""
        if sender != self.host:
            return
        unpacked = unpack(packet)
        if unpacked is None:
            raise BrokenPeer("a packet that is too short")
        row, body = unpacked
        frame = decode_frame(body)
        if isinstance(frame, Ack):
            self.forget(frame.ids)
            return
        if isinstance(frame, Invite):
            self._invitation(frame)
        elif isinstance(frame, Letter):
            self._letter(frame)
        self.send_bytes(packed_ack([row]))

    def _invitation(self, invitation: Invite) -> None:
        if any(line.state.secret == invitation.secret for line in self.lines):
            return  # It is said until it is acknowledged.
        state = sessions.accept(invitation, self.host, len(self.lines))
        state.inbox.clear()
        line = Line(self, state, invitation.flow)
        if invitation.first is not None:
            line.heard.append(invitation.first)
        self.lines.append(line)

    def _letter(self, letter: Letter) -> None:
        for line in self.lines:
            if line.state.secret == letter.secret:
                break
        else:
            if self.is_hostile:
                return
            raise BrokenPeer(f"a letter in a session that {self.name} does not have: {letter}")
        state = line.state
        if letter.seq < state.expected:
            return
        _, freed = sessions.take(state, letter.seq, letter.content)
        for one in freed:
            self.post(one)
        while sessions.head(state) is not None:
            if line.is_over and not self.is_hostile:
                raise BrokenPeer(f"{self.host} spoke after its last word: {letter.content}")
            before = state.status
            line.heard.append(sessions.read(state))
            state.status = before  # The peer may speak still, though nobody reads it any more.
