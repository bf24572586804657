"""What a world is for: who is there, what is started, what must have come of it."""

from __future__ import annotations

import dataclasses
import typing

from flowrt.sim.faults import Faults
from flowrt.sim.tape import Choices, Tape
from flowrt.sim.violation import Violation
from flowrt.sim.world import World


class Scenario(typing.Protocol):
    """One story that is played in many worlds. `name` says which, in replay files and reports.

    A scenario whose flows may go on for ever has a `horizon`, a timedelta after which it is left.
    """

    name: str

    def build(self, world: World) -> None:
        """Add parties and start flows. What is by chance comes from `world.tape`."""
        ...

    def judge(self, world: World) -> None:
        """Look at what came of it, when nothing more happens. Raises Violation."""
        ...


@dataclasses.dataclass(frozen=True)
class Played:
    """One world that was played. `choices` say all of it; `violation` is None if all went well."""

    scenario: str
    seed: int | None
    choices: Choices
    violation: Violation | None
    world: World


def play(scenario: Scenario, seed: int | None = None, choices: Choices | None = None) -> Played:
    """Play a story in the world of a seed, or in the one that `choices` describe."""
    tape = Tape(seed, choices)
    faults = Faults.replayed(tape) if tape.is_replay() else Faults.swarm(tape)
    return play_tape(scenario, tape, faults)


def play_tape(scenario: Scenario, tape: Tape, faults: Faults) -> Played:
    """Play a story in the world of this tape, in which these things may go wrong."""
    world = World(tape, faults)
    violation = None
    try:
        scenario.build(world)
        world.run(getattr(scenario, "horizon", None))
        scenario.judge(world)
    except Violation as found:
        violation = found
    except Exception as error:
        violation = Violation("crash", f"{type(error).__name__}: {error}")
        violation.__cause__ = error
    finally:
        world.close()
    return Played(scenario.name, tape.seed, tape.choices, violation, world)
