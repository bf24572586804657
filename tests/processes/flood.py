"""So many conversations between two parties, and so many SIGKILLs at random moments among them.

No point is chosen: who dies and when is by chance, spread over the whole run. In the end every
table of both stores is read, whatever its name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import signal
import sqlite3
import time
from pathlib import Path
from types import ModuleType

from flowrt.store.sqlite import SqliteStore
from tests.processes import ends
from tests.processes.ends import Finding
from tests.processes.supervisor import PARTIES, Supervisor, Unexpected

UNDER_WAY = 64
"""So many conversations are under way all the while."""

LATEST_S = 0.05
"""How long after its turn has come a process may live."""

KEPT = frozenset({"engine_node", "engine_peer", "books"})
"""The tables that have rows in the end, when results are purged: the store itself, a row for each
peer, and what the service wrote."""

RESULTS = frozenset({"engine_outcome", "engine_progress", "engine_audit"})
"""What is kept of flows that have ended, until it is purged: results, where they were, the audit
trail."""


@dataclasses.dataclass
class Flood:
    """How it went. `left` are the rows of each table that has any, by party, `purged`
    the same without results; `under_way` how many
    conversations were, on the whole, when processes died; `tries` how often effects were asked for
    outside, `effects` how many were accepted, `keys` under how many keys."""

    kills: int
    flows: int
    under_way: int
    effects: int
    keys: int
    tries: int
    answered: int
    seconds: float
    left: dict[str, dict[str, int]]
    purged: dict[str, dict[str, int]]
    findings: list[Finding]


def flood(folder: Path, module: ModuleType, *, orders: int, kills: int, seed: int = 1) -> Flood:
    """Hold so many conversations through so many kills. Each is two flows, one at each party."""
    chance = random.Random(seed)
    world = Supervisor(folder, module, seed=seed, keep=0.5, repeat=0.05)
    # A kill comes when so many have ended; a process that opens is a fair victim too.
    due = sorted(chance.randrange(orders) for _ in range(kills))
    begun = time.monotonic()
    try:
        for party in PARTIES:
            world.start(party, "killed")
        killed = _through(world, chance, orders, due)
        if world.rest(ends.is_quiet, 60.0):
            world.stop()
    finally:
        world.close()
    findings = ends.look(world)
    left = {party: rows(path) for party, path in world.paths.items()}
    for party, path in world.paths.items():
        store = SqliteStore(path)
        store.open(party)
        store.purge(1 << 62, 1 << 40)
        store.close()
    effects = list(world.effects.values())
    return Flood(
        killed,
        2 * orders,
        sum(death.orders for death in world.deaths if death.by == signal.SIGKILL),
        sum(bool(effect.accepted) for effect in effects),
        sum(len(effect.accepted) for effect in effects),
        sum(effect.tries for effect in effects),
        sum(effect.retries for effect in effects),
        round(time.monotonic() - begun, 1),
        left,
        {party: rows(path) for party, path in world.paths.items()},
        findings,
    )


def _through(world: Supervisor, chance: random.Random, orders: int, due: list[int]) -> int:
    """Order until enough was ordered, kill when that is due, and start who died; gives the number
    of kills."""
    killed, moment, quiet_since = 0, 0.0, time.monotonic()
    ended = 0
    while killed < len(due) or len(world.orders) < orders:
        # Enough is kept back that the last kills meet somebody at work.
        while len(world.orders) < orders and world.under_way() < UNDER_WAY:
            world.order(chance.choice(PARTIES))
        world.turn()
        now = time.monotonic()
        before, ended = ended, len(world.orders) - world.under_way()
        if ended != before:
            quiet_since = now
        elif now - quiet_since > 30.0:
            raise Unexpected(f"nothing has ended for 30 s; {killed} kills so far")
        for process in world.reap():
            if process.ended != signal.SIGKILL:
                raise Unexpected(f"{process.life.party}: {process.ended}\n{world.log(process)}")
            world.start(process.life.party, "killed")
        if killed < len(due) and ended >= min(due[killed], orders - UNDER_WAY):
            moment = moment or now + chance.random() * LATEST_S
            if now >= moment:
                world.processes[chance.choice(PARTIES)].kill()
                killed, moment = killed + 1, 0.0
                for process in world.reap():
                    world.start(process.life.party, "killed")
    return killed


def rows(path: Path) -> dict[str, int]:
    """How many rows every table of a store has that has any."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        names = [
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        counts = {
            name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names
        }
    return {name: count for name, count in counts.items() if count}
