"""Every small world of a story: each crash at each commit, before and after it, one and two of
them, and each order in which packets arrive. Enumerated, not drawn.

Only packets to one party are put in other orders: how deliveries to different parties interleave is
nobody's to see. Each world is judged by the invariants, and by the end of the undisturbed world
wherever that does not depend on when things happen.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from flowrt.core.values import (
    BadBytes,
    Checkpoint,
    OnAcceptance,
    OnAny,
    OnTime,
    decode,
    decode_checkpoint,
)
from flowrt.sim.faults import CRASH_AFTER, CRASH_BEFORE, LATE, Faults
from flowrt.sim.generic import STORY
from flowrt.sim.history import Ended, Rested
from flowrt.sim.host import Host
from flowrt.sim.network import LATENCY_US
from flowrt.sim.notation import shown
from flowrt.sim.scenario import Played, Scenario, play, play_tape
from flowrt.sim.shrink import smallest
from flowrt.sim.tape import Choices, Tape
from flowrt.sim.violation import Violation
from flowrt.sim.watch import path_of
from flowrt.sim.world import World
from flowrt.store import Batch

IN_FLIGHT = 4
"""So many packets that are under way together are put in all orders."""

CRASHES = 2
LIMIT = 5_000
TRIED = 150
"""How many undisturbed worlds are looked at for different courses of the story."""

COURSE_S = 5.0
"""How long one course may be made smaller."""

End = Counter[tuple[str, ...]]
"""How all flows of a world ended, or where they rest."""


class Compared:
    """A story that must also end as it does when nothing goes wrong (I7), where that is defined.

    `others` counts the worlds that ended otherwise and may, by why they may.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.name = scenario.name
        self.horizon = getattr(scenario, "horizon", None)
        self.others: Counter[str] = Counter()
        self.scenario = scenario
        self._ends: dict[str, tuple[End, set[str]]] = {}
        self._rows: list[tuple[Host, bytes]] = []

    def build(self, world: World) -> None:
        self._rows = rows = []
        self.scenario.build(world)

        def note(host: Host, batch: Batch) -> None:
            rows.extend([(host, row[0]) for row in batch.flows.values() if row is not None])

        world.witnesses.append(note)

    def judge(self, world: World) -> None:
        rows = self._rows
        self.scenario.judge(world)
        if world.is_busy:
            return
        story = story_of(world.tape.choices)
        if len(story) == len(world.tape.choices):
            self._ends.setdefault(repr(sorted(story.items())), (end_of(world), _why(world, rows)))
            return
        wanted, why = self._undisturbed(story)
        found = end_of(world)
        if found == wanted:
            return
        why = why | _why(world, rows)
        if not why:
            lacks, has = (_in_words(world, end) for end in (wanted - found, found - wanted))
            raise Violation("I7", f"undisturbed, {lacks}; here, {has}")
        self.others[", ".join(sorted(why))] += 1

    def _undisturbed(self, story: Choices) -> tuple[End, set[str]]:
        key = repr(sorted(story.items()))
        if key not in self._ends:
            play(self, choices=story)
            # A story that does not come to rest by itself has no end to compare with.
            self._ends.setdefault(key, (Counter(), {"undisturbed, it never ends"}))
        return self._ends[key]


def story_of(choices: Choices) -> Choices:
    """The choices that say what is played, without what goes wrong."""
    return {label: some for label, some in choices.items() if label.partition(" ")[0] in STORY}


def end_of(world: World) -> End:
    """How its flows ended; of those that did not, where they rest."""
    found: End = Counter()
    for name, host in world.hosts.items():
        for flow, error, value in host.disk.outcomes.values():
            # An error's bytes name this one failure, so they differ.
            found[name, flow, error or "", "" if error else value.hex()] += 1
        for flow_id, (data, _) in host.disk.flows.items():
            path = [".".join(part) for part in path_of(_checkpoint(host, data).frames)]
            what = "in the hospital" if flow_id in host.disk.patients else "resting"
            found[name, path[0].partition(".Await")[0] if path else "", what, *path] += 1
    return found


def _in_words(world: World, ends: End) -> str:
    return " and ".join([_one(world, end) for end in sorted(ends.elements())]) or "nothing"


def _one(world: World, end: tuple[str, ...]) -> str:
    party, flow, what, *rest = end
    if what in ("in the hospital", "resting"):
        return f"a flow of {party} is {what} in {', '.join(rest)}"
    if what:
        return f"{flow} of {party} ends with {what}"
    result = world.registries[party].classes[flow].Result
    return f"{flow} of {party} returns {shown(decode(result, bytes.fromhex(rest[0])))}"


def _checkpoint(host: Host, data: bytes) -> Checkpoint:
    return decode_checkpoint(data, host.world.registries[host.name].states_of)


def _why(world: World, rows: Sequence[tuple[Host, bytes]]) -> set[str]:
    """Why a world may end otherwise: what its flows saw that depends on when things happen."""
    found = set(world.notes)
    for registry in world.registries.values():
        if any(one.kind == "once" for key in registry.services() for one in key.operations):
            found.add("an operation may run only once")
    for host, data in rows:
        try:
            waiting = _checkpoint(host, data).waiting
        except (BadBytes, KeyError):
            continue
        if type(waiting) is OnTime:
            found.add("a flow waits for a time")
        elif type(waiting) is OnAcceptance and waiting.until_us:
            found.add("a wait has a deadline")
        elif type(waiting) is OnAny:
            if waiting.due_us or waiting.until_us:
                found.add("a wait has a deadline")
            if len(waiting.sessions) + len(waiting.calls) > 1:
                found.add("a flow waits for several things")
    return found


# --- one disturbed world after the other --------------------------------------------------------


class _Log(Tape):
    """A tape that keeps which commits and packets there were, in order, and when."""

    def __init__(self, seed: int | None = None, choices: Choices | None = None) -> None:
        super().__init__(seed, choices)
        self.now: Callable[[], int] = int
        self.log: list[tuple[int, str, int]] = []

    def pick(self, label: str, allowed: range | tuple[int, ...], rate: float = 1.0) -> int:
        if label.startswith(("commit ", "packet ")):
            self.log.append((self.now(), label, self.drawn(label)))
        return super().pick(label, allowed, rate)


class _Logged:
    """The story, told to a log."""

    def __init__(self, scenario: Scenario, log: _Log) -> None:
        self.name = scenario.name
        self.horizon = getattr(scenario, "horizon", None)
        self.scenario = scenario
        self._log = log
        self.judge = scenario.judge

    def build(self, world: World) -> None:
        self._log.now = lambda: world.now_us
        self.scenario.build(world)


@dataclasses.dataclass(frozen=True)
class _World:
    """A world to play: what is disturbed in it, and after which entry of the log more may be."""

    choices: Choices
    crashes: int = 0
    orders: int = 0
    after: int = -1

    @property
    def kind(self) -> str:
        parts = []
        if self.crashes:
            parts.append("one crash" if self.crashes == 1 else "two crashes")
        if self.orders:
            parts.append("another order")
        return " and ".join(parts) or "undisturbed"


@dataclasses.dataclass
class Exhausted:
    """What came of it. `played` and `left_out` count worlds by kind; the worlds that would follow
    from those left out are not counted. `points` are the commits of the undisturbed courses.
    `violations` are the first of each kind; `others` worlds that ended otherwise and may."""

    courses: int = 0
    points: int = 0
    packets: int = 0
    played: Counter[str] = dataclasses.field(default_factory=Counter)
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    others: Counter[str] = dataclasses.field(default_factory=Counter)
    violations: list[Played] = dataclasses.field(default_factory=list)
    violated: int = 0
    seconds: float = 0.0


def exhaust(
    scenario: Scenario,
    *,
    limit: int = LIMIT,
    courses: int = 3,
    tell: Callable[[int], None] = lambda count: None,
) -> Exhausted:
    """Play every small world of a story, at most `limit` of them; of each of at most `courses`
    different courses that it takes when nothing goes wrong. `tell` hears how many were played."""
    began = time.monotonic()
    compared = scenario if isinstance(scenario, Compared) else Compared(scenario)
    found = Exhausted()
    queue = _Queue()
    for course, choices in enumerate(courses_of(compared.scenario, courses)):
        queue.add(course, [_World(choices)])
        found.courses += 1
    kinds: set[str] = set()
    while queue.rest:
        course, one = queue.take()
        if found.played.total() >= limit:
            found.left_out[one.kind] += 1
            continue
        log = _Log(choices=one.choices)
        played = play_tape(_Logged(compared, log), log, Faults.replayed(log))
        found.played[one.kind] += 1
        tell(found.played.total())
        if one.after < 0:
            found.points += sum(label.startswith("commit ") for _, label, _ in log.log)
            found.packets += sum(label.startswith("packet ") for _, label, _ in log.log)
        if played.violation is None:
            queue.add(course, _next(one, log))
            continue
        found.violated += 1
        if played.violation.invariant not in kinds:
            kinds.add(played.violation.invariant)
            found.violations.append(played)
    found.others = compared.others
    found.seconds = time.monotonic() - began
    return found


class _Queue:
    """Worlds to play: those with fewer disturbances first, and the courses in turns, so that a
    limit cuts all of them short."""

    def __init__(self) -> None:
        self.rest: list[tuple[int, int, int, _World]] = []
        self._counts: Counter[tuple[int, int]] = Counter()

    def add(self, course: int, worlds: Iterable[_World]) -> None:
        for one in worlds:
            level = one.crashes + one.orders
            self._counts[course, level] += 1
            heapq.heappush(self.rest, (level, self._counts[course, level], course, one))

    def take(self) -> tuple[int, _World]:
        _, _, course, one = heapq.heappop(self.rest)
        return course, one


def _next(one: _World, log: _Log) -> Iterator[_World]:
    """The worlds with one disturbance more, later in this one."""
    for place, (_, label, index) in enumerate(log.log):
        if place <= one.after or not label.startswith("commit ") or one.crashes >= CRASHES:
            continue
        for fate in (CRASH_BEFORE, CRASH_AFTER):
            more = _with(one.choices, {label: {index: fate}})
            yield _World(more, one.crashes + 1, one.orders, place)
    if not one.orders:
        for place, more in _orders(log, one.after):
            yield _World(_with(one.choices, more), one.crashes, 1, place)


def _orders(log: _Log, after: int) -> Iterator[tuple[int, Choices]]:
    """Every other order of the packets that are under way to one party together; a packet that is
    alone is held back until what follows has overtaken it."""
    packets: dict[str, list[tuple[int, int, str, int]]] = {}
    for place, (at_us, label, index) in enumerate(log.log):
        if label.startswith("packet "):
            receiver = label.rpartition("-")[2]
            packets.setdefault(receiver, []).append((place, at_us, label, index))
    for sent in packets.values():
        while sent:
            until_us = sent[0][1] + LATENCY_US
            group = [one for one in sent[:IN_FLIGHT] if one[1] < until_us]
            sent = sent[len(group) :]
            if group[0][0] <= after:
                continue
            orders = list(itertools.permutations(range(len(group))))[1:]
            for order in orders or [(1,)]:
                yield group[0][0], _late([one[2:] for one in group], order)


def _late(packets: Sequence[tuple[str, int]], order: Sequence[int]) -> Choices:
    """Packets delayed so that number n arrives as number `order[n]`."""
    found: dict[str, dict[int, int]] = {}
    for (label, index), rank in zip(packets, order, strict=True):
        if rank:
            found.setdefault(label, {})[index] = LATE
            if rank > 1:
                found[f"delay of {label} {index + 1}"] = {0: rank - 1}
    return found


def _with(choices: Choices, more: Choices) -> Choices:
    found = {label: dict(some) for label, some in choices.items()}
    for label, some in more.items():
        found.setdefault(label, {}).update(some)
    return found


# --- the courses of a story -----------------------------------------------------------------------


def courses_of(scenario: Scenario, most: int) -> list[Choices]:
    """Choices of undisturbed worlds in which the flows go different ways: those that see most
    states and endings first, each as small as it can be."""
    found: dict[tuple[object, ...], Played] = {}
    for seed in range(TRIED):
        drawn = play_tape(scenario, Tape(seed), Faults.none())
        played = play(scenario, choices=story_of(drawn.choices))
        found.setdefault(_course(played), played)
    chosen: list[Choices] = []
    seen: set[tuple[str, str]] = set()
    while found and len(chosen) < most:
        best = max(found, key=lambda one: len(_sights(found[one]) - seen))
        played = found.pop(best)
        if chosen and not _sights(played) - seen:
            break
        seen |= _sights(played)
        chosen.append(_small(scenario, played, best))
    return chosen


def _small(scenario: Scenario, played: Played, course: tuple[object, ...]) -> Choices:
    found = smallest(scenario, played, lambda one: _course(one) == course, COURSE_S)
    return found.played.choices


def _course(played: Played) -> tuple[object, ...]:
    """Which ways the flows of a world went, without values."""
    found: list[tuple[object, ...]] = []
    for event in played.world.history:
        if type(event) is Rested:
            found.extend(event.places)
        elif type(event) is Ended:
            found.append((event.flow, event.error))
    return tuple(found)


def _sights(played: Played) -> set[tuple[str, str]]:
    """The states and the endings that a world has."""
    history = played.world.history
    rested = [event for event in history if type(event) is Rested]
    states = {part for event in rested for place in event.places for part in place}
    return states | {(e.flow, f"ends {e.error}") for e in history if type(e) is Ended}
