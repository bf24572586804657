"""A stranger on the network who knows every id and secret, and may only not be somebody else.

What it sends comes with its own name, as the channel sees to it. It overhears every packet and
reads every disk. Nothing that it does may change a conversation of others.
"""

from __future__ import annotations

import itertools
import typing
from collections.abc import Callable, Sequence

from flowrt.core.session import WINDOW
from flowrt.core.values import (
    Ack,
    BadBytes,
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Invite,
    Letter,
    Recall,
    Recalled,
    Reject,
    SessionState,
    decode_checkpoint,
    decode_frame,
    encode,
)
from flowrt.peers.outbox import frame_of, packed_ack, packed_word, unpack
from flowrt.sim.network import LATENCY_US

if typing.TYPE_CHECKING:
    from flowrt.sim.world import World

NAME = "a stranger"
"""The name that the channel gives it."""

FLOOD = 40
"""How much at once is a flood."""

LONGEST_US = 30 * 86_400_000_000
"""How long at most a crowd waits before it says again what was not acknowledged."""

Stranger: typing.TypeAlias = "Callable[[World], None]"


_MARK = b"\x00\x00\x01st" + b"ranger" + b"\x01"
"""The life of the stranger's store, a tag, and one commit."""


def _send(world: World, receiver: str, data: bytes) -> None:
    world.network.carry(NAME, receiver, data, LATENCY_US)


def join(world: World) -> None:
    """Give the stranger its place: it acknowledges whatever somebody says to it, and says of every
    mark that nothing of it is left, so that nobody speaks to it for ever."""

    def hear(sender: str, data: bytes) -> None:
        packet = unpack(data)
        if packet is None:
            return
        if packet[0]:
            _send(world, sender, packed_ack([packet[0]], _MARK))
            return
        try:
            frame = decode_frame(packet[-1])
        except BadBytes:
            return
        if isinstance(frame, Recall):
            _send(world, sender, packed_word(Recalled(frame.mark, True, False), _MARK))

    world.network.join(NAME, hear)


def _packet(frame: object, row: int = 1) -> bytes:
    return row.to_bytes(8, "big") + encode(frame)


def _someone(world: World) -> str:
    names = sorted(world.hosts)
    return names[world.tape.uniform("stranger to", len(names))]


def _sessions(world: World, party: str) -> list[tuple[int, SessionState]]:
    """Every living session of a party, with its flow: the stranger has read the disk."""
    found = []
    states_of = world.registries[party].states_of
    for flow_id, (data, _) in world.hosts[party].disk.flows.items():
        try:
            checkpoint = decode_checkpoint(data, states_of)
        except (BadBytes, KeyError):
            continue
        found += [(flow_id, session) for session in checkpoint.sessions if session.secret]
    return found


def forges_a_letter(world: World) -> None:
    """A letter with all that the true peer would write: the flow, the session, its secret, the
    next number."""
    party = _someone(world)
    sessions = _sessions(world, party)
    if not sessions:
        return
    flow_id, session = sessions[world.tape.uniform("stranger session", len(sessions))]
    names = sorted(world.registries[party].messages) or [""]
    name = names[world.tape.uniform("stranger message", len(names))]
    contents: tuple[Content, ...] = (
        End(),
        Data(name, b"\x90"),
        Failure("flow.UnexpectedFlowEnd", b"", "00"),
        Confirm(flow_id, session.id, 1),
        Reject("go away", "00"),
    )
    content = contents[world.tape.uniform("stranger content", len(contents))]
    seq = session.expected + world.tape.uniform("stranger number", WINDOW)
    _send(world, party, _packet(Letter(flow_id, session.id, session.secret, seq, content)))


def acknowledges_for_others(world: World) -> None:
    """Rows of the outbox that went to others."""
    party = _someone(world)
    rows = list(world.hosts[party].disk.outbox)
    _send(world, party, packed_ack(rows or [1]))


def repeats_as_itself(world: World) -> None:
    """A packet that it overheard, to the same receiver or to another."""
    heard = world.network.heard
    if not heard:
        return
    receiver, data = heard[world.tape.uniform("stranger packet", len(heard))]
    if world.tape.uniform("stranger reroutes", 2):
        receiver = _someone(world)
    if receiver in world.hosts and not _invites(data):
        _send(world, receiver, data)


def garbles(world: World) -> None:
    """A packet that it overheard, with one byte changed or cut short, or bytes of its own."""
    party = _someone(world)
    heard = world.network.heard
    data = heard[world.tape.uniform("stranger packet", len(heard))][1] if heard else b""
    spoiled = bytearray(data)
    place = world.tape.uniform("stranger place", 1 + len(spoiled))
    if place < len(spoiled):
        spoiled[place] ^= 1 + world.tape.uniform("stranger bit", 255)
    else:
        del spoiled[len(spoiled) // 2 :]
    if not _invites(bytes(spoiled)):
        _send(world, party, bytes(spoiled))


def invites_to_nothing(world: World) -> None:
    """An invitation to what no party runs, or of somebody who is not who it says."""
    party = _someone(world)
    number = world.tape.uniform("stranger invitation", 5000)
    secret = bytes(16)
    invitation = Invite(number, b"stranger", "no.Such", "no.One", 1, 1, 0, secret, None)
    _send(world, party, _packet(invitation))


def floods(world: World) -> None:
    """More than anybody may: invitations one after the other, to what is not there and to what does
    not respond to it, letters of guessed sessions, and bytes."""
    party = _someone(world)
    flows = [*sorted(world.registries[party].step_names), "no.Such"]
    first = world.tape.uniform_apart("flood", 3) * FLOOD
    for number in range(first, first + FLOOD):
        name = flows[number % len(flows)].rpartition("_v")[0] or "no.Such"
        secret = number.to_bytes(16, "big")
        _send(
            world,
            party,
            _packet(Invite(number, b"a-flood!", name, "no.One", 1, 1, 0, secret, None)),
        )
        _send(world, party, _packet(Letter(number, 0, secret, 1, End())))
        _send(world, party, secret * 20)


class Crowd:
    """A peer who is let in, wants more sessions than it may have, and says more than is read.

    It keeps to the protocol otherwise: it sends again what is not acknowledged, and in the end it
    closes whatever was opened. `invitation` makes the invitation of a number, of this peer's flow
    of that number; `letters` is what it says in each session before its end.
    """

    def __init__(
        self,
        world: World,
        name: str,
        party: str,
        invitation: Callable[[int], Invite],
        count: int,
        letters: Sequence[Content],
        every_us: int = 1_000_000,
    ) -> None:
        self.rejected = 0
        self.admitted = 0
        self._world = world
        self._name = name
        self._party = party
        self._letters = [*letters, End()]
        self._every_us = every_us
        self._rows: dict[int, bytes] = {}
        self._numbers = itertools.count(1)
        self._invited = {number: invitation(number) for number in range(count)}
        self._answered: set[int] = set()
        world.network.join(name, self._hear)
        for frame in self._invited.values():
            self._put(frame)
        self._say()

    @property
    def is_done(self) -> bool:
        """Whether all that it has to say was taken."""
        return not self._rows and len(self._answered) == len(self._invited)

    def _put(self, frame: object) -> None:
        row = next(self._numbers)
        self._rows[row] = _packet(frame, row)

    def _say(self) -> None:
        for data in self._rows.values():
            self._world.network.carry(self._name, self._party, data, LATENCY_US)
        if not self.is_done:
            self._world.promise(self._every_us, self._say)
            self._every_us = min(2 * self._every_us, LONGEST_US)

    def _hear(self, sender: str, data: bytes) -> None:
        packet = unpack(data)
        if packet is None:
            return
        row, content = packet
        frame = decode_frame(content)
        if type(frame) is Ack:
            for number in frame.ids:
                self._rows.pop(number, None)
            return
        self._world.network.carry(self._name, sender, packed_ack([row]), LATENCY_US)
        if type(frame) is Letter and frame.to_flow not in self._answered:
            if type(frame.content) is Reject:
                self._answered.add(frame.to_flow)
                self.rejected += 1
            elif type(frame.content) is Confirm:
                self._answered.add(frame.to_flow)
                self.admitted += 1
                secret, at = self._invited[frame.to_flow].secret, frame.content
                for seq, one in enumerate(self._letters, 1):
                    self._put(Letter(at.flow, at.session, secret, seq, one))


def _invites(data: bytes) -> bool:
    """Whether a packet would begin a conversation, to which a stranger has every right."""
    try:
        return type(decode_frame(frame_of(data))) is Invite
    except BadBytes:
        return False


STRANGERS: tuple[Stranger, ...] = (
    forges_a_letter,
    acknowledges_for_others,
    repeats_as_itself,
    garbles,
    invites_to_nothing,
)
"""What a stranger does. None of it may be noticed by anybody else."""
