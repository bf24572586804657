"""A disk that is replaced by an older copy of itself: when that happens, as the tape says.

Only in worlds that ask for it: what a disk has lost, no runtime brings back, so such a world has
expectations of its own. Who went back must be recognised, by itself or by its peers; then somebody
accepts it, and all must end.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from flowrt.sim.world import World

STEP_US = 5_000
STEPS = 200
"""A copy is made within a second, and brought back within a second after that, if nobody says
otherwise."""


def expect(world: World, party: str, step_us: int = STEP_US) -> None:
    """Have the party's disk copied at some time, and replaced by that copy at a later one: each
    within `STEPS` steps of so long. In the end somebody accepts it, if the party has refused to go
    on."""
    tape = world.tape
    host = world.hosts[party]
    taken_us = step_us * (1 + tape.uniform(f"backup of {party}", STEPS))
    lost_us = step_us * (1 + tape.uniform(f"restore of {party}", STEPS))
    kept = tape.uniform(f"mark of {party}", 2)
    world.promise(taken_us, host.back_up)
    world.promise(taken_us + lost_us, lambda: host.restore(kept))
    world.people.append(accept)


def accept(world: World) -> bool:
    """Somebody lets all go on who have refused to. Where somebody went back, and has not refused or
    was let go on, all say once more what they know of each other, as nodes do now and then. False
    if there is nothing to do."""
    refused = [host for host in world.hosts.values() if host.refused]
    for host in refused:
        host.accept()
    if refused:
        return True
    silent = [host for host in world.hosts.values() if host.disk_lost and not host.has_greeted]
    for host in silent:
        host.has_greeted = True
    for host in world.hosts.values():
        if silent:
            host.greet()
    return bool(silent)
