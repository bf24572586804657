"""Many worlds: plays stories in the worlds of many seeds, in all processors, and adds up what came
of it. Knows no story and judges none.
"""

from __future__ import annotations

import dataclasses
import gc
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from flowrt.core.hospital import FAILED, Patient, one_line
from flowrt.core.values import decode
from flowrt.sim.faults import FATES, OPERATIONS, PACKETS, SERVICES, TROUBLE
from flowrt.sim.history import Ended
from flowrt.sim.scenario import Scenario, play

YEAR_US = 365 * 86_400_000_000
CHUNK = 100
"""How many worlds a process plays before it tells what came of them."""

MOST_VIOLATIONS = 100
"""So many violations are kept in words; all are counted."""

Cell = tuple[str, str]
"""A kind of trouble, and what was under way; "" is anything."""


class Found(msgspec.Struct, frozen=True):
    """A world in which something did not hold: `flowrt.sim.play` of the scenario with that seed
    shows it again."""

    scenario: str
    seed: int
    invariant: str
    text: str


@dataclasses.dataclass
class Figures:
    """What came of many worlds. `seconds` are of processors; `simulated_us` are of worlds,
    `node_us` of every computer in them; `most_in_flight` is how many messages at once were said
    and not yet heard."""

    worlds: int = 0
    events: int = 0
    flows: int = 0
    seconds: float = 0.0
    simulated_us: int = 0
    node_us: int = 0
    most_in_flight: int = 0
    troubles: Counter[str] = dataclasses.field(default_factory=Counter)
    cells: Counter[Cell] = dataclasses.field(default_factory=Counter)
    by_scenario: Counter[str] = dataclasses.field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    """By flow, and the name of what ended it; "" if it returned."""
    hospital: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    """Flows that a mistake of their author brought there, by flow, and place and cause."""
    violated: int = 0
    violations: list[Found] = dataclasses.field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Put another's figures to these."""
        self.worlds += other.worlds
        self.events += other.events
        self.flows += other.flows
        self.seconds += other.seconds
        self.simulated_us += other.simulated_us
        self.node_us += other.node_us
        self.most_in_flight = max(self.most_in_flight, other.most_in_flight)
        self.troubles.update(other.troubles)
        self.cells.update(other.cells)
        self.by_scenario.update(other.by_scenario)
        self.outcomes.update(other.outcomes)
        self.hospital.update(other.hospital)
        self.violated += other.violated
        self.violations += other.violations[: MOST_VIOLATIONS - len(self.violations)]

    @property
    def worlds_per_s(self) -> float:
        """Worlds in a second of one processor."""
        return self.worlds / self.seconds if self.seconds else 0.0

    @property
    def events_per_s(self) -> float:
        """Events in a second of one processor."""
        return self.events / self.seconds if self.seconds else 0.0

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the cells that never happened."""
        return [cell for cell in cells if not self.cells[cell]]

    def as_text(self, wanted: Sequence[Cell] = ()) -> str:
        """All figures, for people."""
        lines = [
            f"worlds               {self.worlds:>14,}",
            f"  a second and core  {self.worlds_per_s:>14,.0f}",
            f"events               {self.events:>14,}",
            f"  a second and core  {self.events_per_s:>14,.0f}",
            f"flows                {self.flows:>14,}",
            f"simulated years      {self.simulated_us / YEAR_US:>14,.1f}",
            f"  of all nodes       {self.node_us / YEAR_US:>14,.1f}",
            f"most in flight       {self.most_in_flight:>14,}",
            f"troubles             {sum(self.troubles.values()):>14,}",
        ]
        lines += [f"  {kind:<36}{count:>12,}" for kind, count in sorted(self.troubles.items())]
        if wanted:
            missing = self.missing(wanted)
            hits = len(wanted) - len(missing)
            lines.append(f"cells                {hits:>14,} of {len(wanted)}")
            lines += [f"  never: {kind}, {during or 'ever'}" for kind, during in missing]
        lines.append(f"violations           {self.violated:>14,}")
        lines += [
            f"  {one.scenario}, seed {one.seed}: {one.invariant}: {one.text}"
            for one in self.violations
        ]
        return "\n".join(lines)

    def as_json(self, wanted: Sequence[Cell] = ()) -> bytes:
        """The same for other programs."""
        told = {
            **vars(self),
            "troubles": dict(sorted(self.troubles.items())),
            "by_scenario": dict(sorted(self.by_scenario.items())),
            "outcomes": [[flow, end, n] for (flow, end), n in sorted(self.outcomes.items())],
            "hospital": [[flow, why, n] for (flow, why), n in sorted(self.hospital.items())],
            "worlds_per_s": round(self.worlds_per_s, 1),
            "events_per_s": round(self.events_per_s, 1),
            "cells": [[kind, during, n] for (kind, during), n in sorted(self.cells.items())],
            "missing": self.missing(wanted),
        }
        return msgspec.json.format(msgspec.json.encode(told), indent=2)


def sometimes() -> list[Cell]:
    """What a long campaign must have seen at least once: every fate of a commit for everything that
    leaves with one, of a packet for every kind of frame, and every trouble of a computer while its
    flows wait for each kind of thing."""
    frames = ("Invite", "Confirm", "Reject", "Data", "End", "Failure")
    waits = ("OnMessage", "OnAny", "OnTime", "OnOperator", "OnAcceptance", "idle")
    computer = ("crash", "pause", "takeover", "clog", "disk full", "clock forward", "clock back")
    cells = [
        (f"commit {fate}", what) for fate in FATES[1:] for what in (*frames, "outcome", "nothing")
    ]
    cells += [(f"packet {fate}", frame) for fate in PACKETS[1:] for frame in (*frames, "Ack")]
    cells += [(kind, what) for kind in (*computer, "crash while telling") for what in waits]
    cells += [(kind, "") for kind in TROUBLE[1:] if kind not in (*computer, "stranger")]
    cells += [(f"operation {fate}", "") for fate in OPERATIONS[1:]]
    cells += [(f"service {fate}", "") for fate in SERVICES[1:]]
    cells += [("crash while opening", ""), ("stranger", "")]
    return cells


def one(scenario: Scenario, seed: int) -> Figures:
    """The figures of one world."""
    begun = time.process_time()
    played = play(scenario, seed)
    world = played.world
    figures = Figures(1, world.events, seconds=time.process_time() - begun)
    figures.flows = world.flows_begun
    figures.simulated_us = world.now_us - world.start_us
    figures.node_us = figures.simulated_us * len(world.hosts)
    figures.most_in_flight = world.most_in_flight
    figures.by_scenario[scenario.name] = 1
    for event in world.history:
        if type(event) is Ended:
            figures.outcomes[event.flow, event.error or ""] += 1
    for host in world.hosts.values():
        for data in host.disk.patients.values():
            patient = decode(Patient, data)
            if patient.kind == FAILED:
                figures.hospital[patient.flow, f"{patient.place}: {one_line(patient.cause)}"] += 1
    for (kind, during), count in world.cells.items():
        figures.troubles[_general(kind)] += count
        name = "stranger" if kind.startswith("stranger ") else kind
        figures.cells[name, ""] += count
        for word in set(during.split()):
            figures.cells[name, word] += count
    if played.violation is not None:
        figures.violated = 1
        text = played.violation.text
        figures.violations.append(Found(scenario.name, seed, played.violation.invariant, text))
    return figures


def _general(kind: str) -> str:
    """A kind of trouble without whose it is."""
    return "stopped: the store cannot be written" if kind.startswith("stopped: ") else kind


def run(
    scenarios: Sequence[Scenario],
    worlds: int,
    *,
    first: int = 0,
    processes: int | None = None,
    told: Callable[[Figures], None] | None = None,
) -> Figures:
    """Play so many worlds, from the seed `first` on, of each scenario in turn.

    `processes` are as many as there are processors, if nothing else is said; with one, or where
    the system cannot fork, all is played in this one. `told` hears the figures as they grow.
    """
    total = Figures()
    for part in _parts(scenarios, first, worlds, processes or os.cpu_count() or 1):
        total.add(part)
        if told is not None:
            told(total)
    return total


_playing: Sequence[Scenario] = ()
"""What this campaign's processes play: they are forked, so nothing must be sent to them."""


def _parts(
    scenarios: Sequence[Scenario], first: int, worlds: int, processes: int
) -> Iterator[Figures]:
    global _playing
    _playing = scenarios
    end = first + worlds
    chunks = [(start, min(start + CHUNK, end)) for start in range(first, end, CHUNK)]
    if processes == 1 or "fork" not in multiprocessing.get_all_start_methods():
        yield from map(_chunk, chunks)
        return
    with multiprocessing.get_context("fork").Pool(processes, _settle) as pool:
        yield from pool.imap_unordered(_chunk, chunks)


def _settle() -> None:
    """What a process inherits lives as long as it: the collector need not look at it again, and a
    world's rubbish is collected with its chunk."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)


def _chunk(seeds: tuple[int, int]) -> Figures:
    figures = Figures()
    for seed in range(*seeds):
        figures.add(one(_playing[seed % len(_playing)], seed))
    gc.collect()
    return figures
