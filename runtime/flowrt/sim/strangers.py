"""A stranger on the network who knows every id and secret, and may only not be somebody else.

What it sends comes with its own name, as the channel sees to it. It overhears every packet and
reads every disk. Nothing that it does may change a conversation of others.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

from flowrt.core.session import WINDOW
from flowrt.core.values import (
    BadBytes,
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Invite,
    Letter,
    Reject,
    SessionState,
    decode_checkpoint,
    decode_frame,
    encode,
)
from flowrt.outbox import frame_of, packed_ack, unpack
from flowrt.sim.network import LATENCY_US

if typing.TYPE_CHECKING:
    from flowrt.sim.world import World

NAME = "a stranger"
"""The name that the channel gives it."""

Stranger: typing.TypeAlias = "Callable[[World], None]"


def _send(world: World, receiver: str, data: bytes) -> None:
    world.network.carry(NAME, receiver, data, LATENCY_US)


def join(world: World) -> None:
    """Give the stranger its place: it acknowledges whatever somebody says to it, so that nobody
    says it for ever."""

    def hear(sender: str, data: bytes) -> None:
        packet = unpack(data)
        if packet is not None and packet[0]:
            _send(world, sender, packed_ack([packet[0]]))

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
