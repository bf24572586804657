"""Many lives of two parties: each dies at a point, the next goes on; then the ends are looked at.

An agenda says who meets which point; orders come all the while. What a campaign gives is a table:
for each point how often a process died there, how many orders were under way then, and how many of
those were found lost or doubled.
"""

from __future__ import annotations

import collections
import dataclasses
import random
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from tests.processes import ends, points, syscalls
from tests.processes.ends import Finding
from tests.processes.supervisor import (
    PARTIES,
    Death,
    Process,
    Supervisor,
    Unexpected,
    stopped_by_itself,
)

UNDER_WAY = 24
"""So many orders are under way all the while."""

LATEST = 12
"""A process meets its point the first to this time that it comes by."""

PATIENCE_S = 20.0
"""How long a process may live without coming to its point."""

FENCED_S = 3.0
"""How long a process may take to notice that its store has another owner."""

FENCED = "was opened by another process; this one stops"

KEEP = (0.0, 0.5, 0.9, 1.0)
REPEAT = (0.0, 0.1)
"""How likely a world keeps what is sent to a party that is down, and says it twice else."""

ORDINARY = tuple(
    point for point in (*points.NAMED, points.RANDOM, points.PAUSED) if point not in points.CREATING
)
EVERY = (*ORDINARY, *points.STOPPED)


@dataclasses.dataclass
class Row:
    """What came of one point."""

    kills: int = 0
    orders: int = 0
    lost: int = 0
    doubled: int = 0


@dataclasses.dataclass
class Report:
    """How a campaign went. `fenced` counts the processes that stood still, were taken over, went on
    and stopped as they must; `effects` what was accepted outside, in so many `tries`; `answered`
    what a person decided in the hospital; `at_calls` who was ended at a system call."""

    rows: dict[str, Row]
    findings: list[Finding]
    orders: int
    seconds: float
    fenced: int
    effects: int
    tries: int
    answered: int
    at_calls: int
    table: str = ""


def agenda(times: int, seed: int, among: Sequence[str] = ORDINARY) -> list[str]:
    """Every point so many times, in any order."""
    found = [point for point in among for _ in range(times)]
    random.Random(seed).shuffle(found)
    return found


class Campaign:
    """One world: both parties are born through the deaths of `born`, and then die as is due."""

    def __init__(
        self,
        folder: Path,
        module: ModuleType,
        due: Iterable[str],
        *,
        seed: int,
        born: Sequence[str] = points.CREATING,
        plant: str = "",
    ) -> None:
        self._random = random.Random(seed + 1)
        self.world = Supervisor(
            folder,
            module,
            seed=seed,
            plant=plant,
            keep=self._random.choice(KEEP),
            repeat=self._random.choice(REPEAT),
        )
        self.fenced = 0
        self.unfenced: list[Finding] = []
        self._due = collections.deque(due)
        self._births = {party: collections.deque(born) for party in PARTIES}
        self._acts: dict[int, tuple[float, signal.Signals]] = {}
        self._frozen: dict[int, Process] = {}

    def hold(self, patience_s: float = 15.0) -> list[Finding]:
        """Go through the agenda, then let everybody live, and say what is wrong in the end.

        Raises:
            Unexpected: a process ended as none should.
        """
        try:
            for party in PARTIES:
                self._next(party)
            while any(self._is_dying(party) for party in PARTIES):
                self._turn()
            settled = self.world.rest(ends.is_quiet, patience_s)
            if settled:
                self.world.stop()
        finally:
            self.world.close()
        return [*self.unfenced, *ends.look(self.world)]

    def _is_dying(self, party: str) -> bool:
        process = self.world.processes[party]
        return (process.ended is None and bool(process.life.point)) or bool(self._frozen)

    def _next(self, party: str) -> None:
        """The party's next process, and what it is to meet."""
        births = self._births[party]
        if births:
            self.world.start(party, births.popleft())
        elif self._due:
            point = self._due.popleft()
            count = 1 if point in points.OPENING else self._random.randint(1, LATEST)
            self._begin(self.world.start(party, point, count))
        else:
            self.world.start(party)

    def _begin(self, process: Process) -> None:
        """Some points are the supervisor's to bring about."""
        moment = process.begun + self._random.random() * 0.08
        if process.life.point == points.RANDOM:
            self._acts[process.pid] = moment, signal.SIGKILL
        elif process.life.point == points.PAUSED:
            self._acts[process.pid] = moment, signal.SIGSTOP

    def _turn(self) -> None:
        world = self.world
        while world.under_way() < UNDER_WAY:
            world.order(self._random.choice(PARTIES))
        world.turn()
        now = time.monotonic()
        for process in world.reap():
            self._died(process)
        for zombie in self._frozen.values():
            if now > zombie.must_stop:
                raise Unexpected(
                    f"{zombie.life.party} goes on though its store has another owner\n"
                    f"{world.log(zombie)}"
                )
        for party in PARTIES:
            process = world.processes[party]
            if process.ended is not None:
                continue
            act = self._acts.get(process.pid)
            if act is not None and act[0] <= now:
                self._act(process, act[1], now)
            elif process.is_stopped and process.life.point in points.STOPPED:
                self._take_over(process)
            elif process.life.point and now - process.begun > PATIENCE_S and not self._frozen:
                raise Unexpected(
                    f"{party} did not come to: {process.life.point}\n{world.log(process)}"
                )
        for successor, zombie in self._successions():
            self._wake(successor, zombie)

    def _act(self, process: Process, what: signal.Signals, now: float) -> None:
        process.kill(what)
        del self._acts[process.pid]
        if what == signal.SIGSTOP:
            self._acts[process.pid] = now + self._random.random() * 0.1, signal.SIGCONT
        elif what == signal.SIGCONT:
            # It went on; and then it is killed as any other.
            self._acts[process.pid] = now + 0.02, signal.SIGKILL

    def _died(self, process: Process) -> None:
        world, party = self.world, process.life.party
        zombie = process.pid in self._frozen
        if process.ended in syscalls.DEATHS and not zombie:
            self._next(party)
        elif zombie and stopped_by_itself(process) and FENCED in world.log(process):
            del self._frozen[process.pid]
            self.fenced += 1
            # Its successor lives on, until it is killed in its turn.
            self._acts[world.processes[party].pid] = time.monotonic(), signal.SIGKILL
        else:
            raise Unexpected(
                f"{party} ended at {process.life.point!r} with {process.ended}\n"
                f"{world.log(process)}"
            )

    # --- who stood still while another took its store ---

    def _take_over(self, zombie: Process) -> None:
        self._frozen[zombie.pid] = zombie
        successor = self.world.start(zombie.life.party, points.RANDOM)
        zombie.taken_over_by = successor

    def _successions(self) -> Iterator[tuple[Process, Process]]:
        for zombie in list(self._frozen.values()):
            successor = zombie.taken_over_by
            if zombie.is_stopped and successor is not None and successor.is_open:
                yield successor, zombie

    def _wake(self, successor: Process, zombie: Process) -> None:
        """The store has another owner. Now the first one goes on, and a client asks it for
        something, which it must not promise. (The other one is not asked for it yet: else the first
        might find it in the store, and would have nothing to write.)"""
        self.world.order(zombie.life.party, process=zombie)
        zombie.kill(signal.SIGCONT)
        zombie.is_stopped = False
        zombie.must_stop = time.monotonic() + FENCED_S


def report(worlds: Sequence[Campaign], findings: list[list[Finding]], seconds: float) -> Report:
    """The table of some campaigns."""
    rows = {point: Row() for point in (*points.NAMED, points.RANDOM, points.PAUSED)}
    for campaign, found in zip(worlds, findings, strict=True):
        world = campaign.world
        for death in world.deaths:
            if death.by in syscalls.DEATHS and death.point:
                _count(rows.setdefault(death.point, Row()), death)
        wrong = {kind: {f.order for f in found if f.kind == kind} for kind in ("lost", "doubled")}
        for order in world.orders.values():
            for point in order.points & rows.keys():
                rows[point].lost += order.name in wrong["lost"]
                rows[point].doubled += order.name in wrong["doubled"]
    effects = [effect for campaign in worlds for effect in campaign.world.effects.values()]
    deaths = [death for campaign in worlds for death in campaign.world.deaths]
    return Report(
        rows,
        [finding for found in findings for finding in found],
        sum(len(campaign.world.orders) for campaign in worlds),
        seconds,
        sum(campaign.fenced for campaign in worlds),
        sum(len(effect.accepted) for effect in effects),
        sum(effect.tries for effect in effects),
        sum(effect.retries for effect in effects),
        sum(death.by == signal.SIGSYS for death in deaths),
    )


def _count(row: Row, death: Death) -> None:
    row.kills += 1
    row.orders += death.orders


def as_table(found: Report) -> str:
    """A report as Markdown."""
    lines = ["| point | kills | flows | lost | doubled |", "| --- | --: | --: | --: | --: |"]
    lines += [
        f"| {point} | {row.kills} | {row.orders} | {row.lost} | {row.doubled} |"
        for point, row in found.rows.items()
    ]
    return "\n".join(lines)
