"""Counterparties that mean harm: well-typed surprises, and bytes. `hostile_machine(Seller_v1)`.

They are authenticated peers like any other, know every address and secret, and keep to no order.
What they may never reach: the hospital, the node, and other flows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from hypothesis.strategies import DataObject, SearchStrategy

from flowrt.core import flow as rt
from flowrt.core.values import (
    Ack,
    Confirm,
    Content,
    Data,
    End,
    Failure,
    Frame,
    Invite,
    Letter,
    Reject,
    encode,
)
from flowrt.testing.counterparty import Counterparty, Line
from flowrt.testing.machine import AnyFlow, ProtocolMachine, protocol_machine
from flowrt.testing.strategies import EXTREMES, values_of

WITNESS = "witness"
_HEADER = struct.Struct(">Q")
_NUMBERS = st.integers(0, 5) | st.sampled_from([63, 64, 65, 1000, 1001, 2**31, rt.INT_MAX])


class HostileMachine(ProtocolMachine):
    """A protocol machine whose peers also do what no honest peer would.

    Another flow of the same kind talks with a peer named "witness", who is silent; nothing that is
    done to the flow under test may change it.
    """

    witness_id = 0
    _any_content: ClassVar[SearchStrategy[Content] | None] = None

    @initialize(data=st.data())
    def begins(self, data: DataObject) -> None:
        """The flow under test starts, and then its twin, whose peer is the witness."""
        for peer in self.stage.peers.values():
            peer.is_hostile = True
        self._act(data, lambda: self._begin(data))
        self._act(data, lambda: self._begin_witness(data))

    def _begin_witness(self, data: DataObject) -> None:
        peer = self.stage.join(WITNESS)
        before = self.stage.checkpoints().keys()
        if self.flow.responds_to is not None:
            peer.invite(self.flow)
            self.stage.rest()
        else:
            arguments = data.draw(self.starting((rt.Party(WITNESS),)), label="the twin's arguments")
            self.stage.start(self.flow, arguments)
        self.witness_id = max(self.stage.checkpoints().keys() - before, default=0)

    def _attack(self, data: DataObject, attack: Callable[[], object]) -> None:
        """Do harm; who has nothing to do with it must not notice."""
        twin = self.stage.bytes_of(self.witness_id)

        def act() -> None:
            attack()
            self.stage.rest()

        self._act(data, act)
        assert self.stage.bytes_of(self.witness_id) == twin, (
            f"flow {self.witness_id}, which talks with somebody else, was changed"
        )

    # --- well-typed surprises ---

    def has_line(self) -> bool:
        """Whether a peer ever had a session with the flow."""
        return any(line.owner.name != WITNESS for line in self.stage.lines)

    def _line(self, data: DataObject) -> Line:
        lines = [line for line in self.stage.lines if line.owner.name != WITNESS]
        return data.draw(st.sampled_from(lines).map(_Hidden), label="session").value

    def _content(self, data: DataObject) -> Content:
        kind = type(self)
        if kind._any_content is None:  # It is large, and the same for all examples.
            kind._any_content = self._contents()
        return data.draw(kind._any_content, label="content")

    def _contents(self) -> SearchStrategy[Content]:
        """Anything that a letter can carry, most of it of the right types."""
        kinds = sorted(self.stage.node.registry.messages.items())
        errors = sorted(self.stage.node.registry.errors.items())
        extreme = {**EXTREMES, **self.given}
        typed: list[SearchStrategy[Content]] = [st.just(End())]
        spoiled: list[SearchStrategy[Content]] = [
            st.builds(Confirm, _NUMBERS, _NUMBERS, _NUMBERS),
            st.builds(Reject, st.text(max_size=20), st.text(max_size=8)),
            st.builds(Data, st.text(max_size=20), st.binary(max_size=40)),
            st.builds(Failure, st.text(max_size=20), st.binary(max_size=20), st.just("")),
        ]
        for wire, message in kinds:
            typed.append(values_of(message, parties=self._parties, given=extreme).map(_data))
            spoiled.append(st.builds(Data, st.just(wire), st.binary(max_size=40)))
        for wire, error in errors:
            typed.append(values_of(error, parties=self._parties, given=extreme).map(_failure))
            bytes_ = st.binary(max_size=20)
            spoiled.append(st.builds(Failure, st.just(wire), bytes_, st.just("peer")))
        return st.integers(0, 3).flatmap(lambda one: st.one_of(spoiled if one == 3 else typed))

    @precondition(has_line)
    @rule(data=st.data())
    def peer_says_something_else(self, data: DataObject) -> None:
        """The next letter of a session, in order, with a content that nobody asked for: also after
        the end."""
        line, content = self._line(data), self._content(data)
        seq = line.state.sent
        line.state.sent += 1
        letter = self._letter(line, seq, content)
        self._attack(data, lambda: self._send(line.owner, letter))

    @precondition(has_line)
    @rule(data=st.data(), seq=_NUMBERS)
    def peer_repeats_or_runs_ahead(self, data: DataObject, seq: int) -> None:
        """A letter with a number that it has no right to."""
        line, content = self._line(data), self._content(data)
        letter = self._letter(line, seq, content)
        self._attack(data, lambda: self._send(line.owner, letter))

    @precondition(has_line)
    @rule(data=st.data(), knows=st.booleans())
    def peer_writes_to_another_flow(self, data: DataObject, knows: bool) -> None:
        """A letter to somebody else's session, even with that session's own secret."""
        line, content = self._line(data), self._content(data)
        known = [
            (flow_id, session.id, session.secret, session.expected)
            for flow_id, checkpoint in self.stage.checkpoints().items()
            for session in checkpoint.sessions
            if session.secret
        ]
        guessed = st.tuples(_NUMBERS, _NUMBERS, st.just(line.state.secret), _NUMBERS)
        address = st.sampled_from(known) | guessed if known else guessed
        flow_id, session, secret, seq = data.draw(address, label="address")
        secret = secret if knows else line.state.secret
        letter = Letter(flow_id, session, secret, seq, content)
        self._attack(data, lambda: self._send(line.owner, letter))

    @rule(data=st.data(), number=_NUMBERS, version=_NUMBERS)
    def peer_invites_strangely(self, data: DataObject, number: int, version: int) -> None:
        """An invitation of a flow that is not there, by a flow that may not, or once more."""
        flows = [flow.name for flow in self.stage.node.registry.classes.values()]
        names = st.sampled_from([*flows, "", "no.Such"])
        flow = data.draw(names, label="flow")
        initiator = data.draw(names, label="initiator")
        peer = self._peer(data)
        incarnation = data.draw(
            st.sampled_from([f"{peer.name[:8]:8}".encode()[:8], b"another!"]), label="incarnation"
        )
        invitation = Invite(
            number, incarnation, flow, initiator, version, number, 0, b"strange secret..", None
        )
        self._attack(data, lambda: self._send(peer, invitation))

    @rule(data=st.data(), ids=st.lists(st.integers(-1, rt.INT_MAX) | _NUMBERS, max_size=4))
    def peer_acknowledges_what_it_never_got(self, data: DataObject, ids: list[int]) -> None:
        """Rows of the outbox that are for others, or do not exist."""
        peer = self._peer(data)
        self._attack(data, lambda: self._send(peer, Ack(tuple(ids))))

    # --- bytes ---

    @rule(data=st.data(), packet=st.binary(max_size=200))
    def peer_sends_bytes(self, data: DataObject, packet: bytes) -> None:
        """A packet without any sense."""
        peer = self._peer(data)
        self._attack(data, lambda: peer.send_bytes(packet))

    @precondition(has_line)
    @rule(data=st.data(), at=st.integers(0, 400), value=st.integers(0, 255), cut=st.booleans())
    def peer_damages_a_packet(self, data: DataObject, at: int, value: int, cut: bool) -> None:
        """A packet as it should be, but for one byte, or cut short."""
        line, content = self._line(data), self._content(data)
        packet = bytearray(_packet(7, self._letter(line, line.state.sent, content)))
        at %= len(packet)
        if cut:
            del packet[at:]
        else:
            packet[at] = value
        self._attack(data, lambda: line.owner.send_bytes(bytes(packet)))

    def _peer(self, data: DataObject) -> Counterparty:
        peers = [peer for name, peer in self.stage.peers.items() if name != WITNESS]
        number = data.draw(st.integers(0, len(peers) - 1), label="peer") if peers[1:] else 0
        return peers[number]

    def _letter(self, line: Line, seq: int, content: Content) -> Letter:
        """A letter in that session. Before it is confirmed, its address is a guess."""
        state = line.state
        address = state.peer_flow or self.flow_id
        return Letter(address, state.peer_session, state.secret, seq, content)

    def _send(self, peer: Counterparty, frame: Frame) -> None:
        peer.send_bytes(_packet(rt.INT_MAX - len(peer.lines), frame))


def _packet(row: int, frame: Frame) -> bytes:
    return _HEADER.pack(row) + encode(frame)


def _data(message: rt.Message) -> Data:
    return Data(message.wire, encode(message))


def _failure(error: rt.FlowError) -> Failure:
    return Failure(error.wire, encode(error.fields()), "peer")


class _Hidden:
    """A session, as a failing example prints it."""

    def __init__(self, value: Line) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"{self.value.owner.name}'s session {self.value.state.id}"


def hostile_machine(flow: AnyFlow, **options: Any) -> type[HostileMachine]:
    """A state machine of hypothesis in which the counterparties of `flow` mean harm.

    Takes what `protocol_machine` takes. It fails if the flow comes to the hospital, if another flow
    notices, or if the node breaks the protocol of sessions itself.
    """
    made = protocol_machine(flow, base=HostileMachine, **options)
    assert issubclass(made, HostileMachine)
    return made
