"""A network that loses, repeats, delays, cuts and remembers packets, as the tape says.

Who speaks is known: the name that a packet comes with is the place that sent it. Knows no frame.
"""

from __future__ import annotations

import collections
import typing
from collections.abc import Callable

from flowrt.sim.faults import LATE, LOST, OLD, PACKETS, REPEATED, VERY_LATE, Faults
from flowrt.sim.tape import Tape
from flowrt.transport import Receiver

LATENCY_US = 1_000
"""How long a packet takes if nothing delays it."""

LATE_US = 30_000
VERY_LATE_US = 5_000_000
OLD_US = 400_000_000
"""How long a packet is delayed at most; the last is far beyond every time to send again."""

STEPS = 8

HEARD = 64
"""How many packets somebody who listens remembers."""


class Clock(typing.Protocol):
    """What a network needs of its world."""

    def later(self, delay_us: int, act: Callable[[], None]) -> None: ...

    def trouble(self, party: str, kind: str, during: str = "") -> None: ...


class SimNetwork:
    """Places by name; a party that joins again has its place anew."""

    def __init__(self, tape: Tape, faults: Faults, clock: Clock) -> None:
        self.faults = faults
        self._tape = tape
        self._clock = clock
        self._places: dict[str, SimPlace] = {}
        self.cut: set[tuple[str, str]] = set()
        """(sender, receiver) between whom nothing passes."""
        self.clogged: dict[str, list[tuple[str, bytes]]] = {}
        """What waits at the doors of these parties until they are opened."""
        self.carried = 0
        self.heard: collections.deque[tuple[str, bytes]] = collections.deque(maxlen=HEARD)
        """The last packets, each with its receiver."""
        self.kind_of: Callable[[bytes], str] = _nothing
        self.sent: Callable[[str, str, bytes], None] = _nothing_sent

    def join(self, party: str, receive: Receiver) -> SimPlace:
        place = SimPlace(self, party, receive)
        self._places[party] = place
        return place

    def leave(self, place: SimPlace) -> None:
        if self._places.get(place.party) is place:
            del self._places[place.party]

    def heal(self) -> None:
        """From now on everything arrives at once; what was kept at a door goes through."""
        self.cut.clear()
        self.faults = Faults.none()
        for receiver in list(self.clogged):
            self.open(receiver)

    def open(self, receiver: str) -> None:
        """Let through what waits for this party."""
        for sender, data in self.clogged.pop(receiver, []):
            self.carry(sender, receiver, data, LATENCY_US)

    def send(self, sender: str, receiver: str, data: bytes) -> None:
        """One packet on its way, or several, or none."""
        self.sent(sender, receiver, data)
        self.heard.append((receiver, data))
        if (sender, receiver) in self.cut:
            return
        if receiver in self.clogged:
            self.clogged[receiver].append((sender, data))
            return
        faults = self.faults
        fate = 0
        label = f"packet {sender}-{receiver}"
        if faults.packet:
            fate = self._tape.pick(label, faults.packets, faults.packet)
        if fate:
            label = f"delay of {label} {self._tape.drawn(label)}"
            self._clock.trouble(receiver, f"packet {PACKETS[fate]}", self.kind_of(data))
        delay_us = LATENCY_US
        if fate == LOST:
            return
        if fate == LATE:
            delay_us += self._some(label, LATE_US)
        elif fate == VERY_LATE:
            delay_us += self._some(label, VERY_LATE_US)
        elif fate == REPEATED:
            self.carry(sender, receiver, data, LATENCY_US + self._some(label, LATE_US))
        elif fate == OLD:
            self.carry(sender, receiver, data, LATENCY_US + self._some(label, OLD_US))
        self.carry(sender, receiver, data, delay_us)

    def _some(self, label: str, most_us: int) -> int:
        return most_us // STEPS * (1 + self._tape.uniform(label, STEPS))

    def carry(self, sender: str, receiver: str, data: bytes, delay_us: int) -> None:
        """Deliver a packet after a while, to whoever is there then."""

        def arrive() -> None:
            place = self._places.get(receiver)
            if place is not None:
                self.carried += 1
                place.receive(sender, data)

        self._clock.later(delay_us, arrive)


class SimPlace:
    """One process's place in a network; `sending` may stop it in the middle of its packets."""

    __slots__ = ("network", "party", "receive", "sending", "up")

    def __init__(self, network: SimNetwork, party: str, receive: Receiver) -> None:
        self.network = network
        self.party = party
        self.receive = receive
        self.sending: Callable[[], None] | None = None
        self.up: Callable[[str], None] | None = None

    def send(self, peer: str, data: bytes) -> None:
        self.network.send(self.party, peer, data)
        if self.sending is not None:
            self.sending()

    def close(self) -> None:
        self.network.leave(self)


def _nothing(data: bytes) -> str:
    return ""


def _nothing_sent(sender: str, receiver: str, data: bytes) -> None:
    pass
