"""A world from a seed: whole conversations in one thread, in virtual time, with everything that may
go wrong drawn from one tape, and what must hold looked at after every event."""

from flowrt.sim.faults import Faults
from flowrt.sim.host import Host, Started
from flowrt.sim.scenario import Played, Scenario, play
from flowrt.sim.tape import Tape
from flowrt.sim.violation import Violation
from flowrt.sim.world import World

__all__ = ["Faults", "Host", "Played", "Scenario", "Started", "Tape", "Violation", "World", "play"]
