"""Random programs in worlds where everything goes wrong: they must do what the reference says.

A world cannot keep virtual time from passing: what is lost is sent again a second later, and a
clock may jump by a year. So a program is rewritten until time cannot matter to it: it sleeps never,
its deadlines are a hundred years away, and `now` is a day in 2001. If the reference interpreter
then needs no time at all for it, then whatever befalls it in a world must not change its outcome,
and all that can be seen of it is compared. Of the others only the invariants are judged, in the
form in which they were generated.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from flowrt.core.values import decode_checkpoint
from flowrt.core.waiting import runs_outside
from flowrt.sim import Host, Violation, World
from flowrt.store import Batch
from tests.programs import trial
from tests.programs.desk import FUNCTIONS, Desk, Functions
from tests.programs.generator import LIBRARY, Program, seeded
from tests.programs.language import owner, people
from tests.programs.machine import HOSTS, MAIN, STRANGER, Nodes
from tests.programs.seen import Seen, differences
from tests.programs.world import START, TooLong

DAY = 'timestamp("2001-01-01T00:00:00Z")'
CENTURY = "36000d"
_SLEEP = re.compile(r"^(\s*)sleep .*$", re.M)
_NOW = re.compile(r"\bnow\b")
_DURATION = re.compile(r"(?<![\w.\"])\d+(?:ms|s|m|h|d|w)\b")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")


def timeless(program: Program) -> Program:
    """The program, rewritten so that the time of day matters as little as can be."""

    def rewritten(text: str) -> str:
        text = _SLEEP.sub(r"\1checkpoint", text)
        return _DURATION.sub(CENTURY, _NOW.sub(DAY, text))

    library = program.library
    return dataclasses.replace(
        program, text=rewritten(program.text), library=library and rewritten(library)
    )


def named(program: Program, number: int) -> Program:
    """The program, its declarations in a module that no other program uses: many are in one
    process, and what travels is known by the names of modules."""
    if program.library is None:
        return program
    text = program.text.replace(f"use {LIBRARY}:", f"use parts_{number}.shapes:", 1)
    return dataclasses.replace(program, text=text)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A program ready for worlds. `expected` is None if its outcome depends on time."""

    program: Program
    modules: Sequence[ModuleType]
    generated: dict[str, Any]
    functions: ModuleType
    has_desk: bool
    expected: Seen | None


@functools.cache
def prepared(number: int) -> Prepared | None:
    """The program of a seed, compiled, rewritten if that makes it one to be compared; None if it is
    too long, or if even the reference says that its outcome is a matter of timing."""
    whole = named(seeded(number), number)
    for program in (timeless(whole), whole):
        try:
            files, machines = trial.understood(
                program, f"program_{number}", f"parts_{number}.shapes"
            )
            found = trial.expected(program, files)
        except (trial.Refused, TooLong, AssertionError):
            continue
        compared = found.sure and found.now == START and program is not whole
        if program is not whole and not compared:
            continue
        modules = trial.compiled(machines)
        generated = {name: kind for module in modules for name, kind in vars(module).items()}
        return Prepared(
            program,
            modules,
            generated,
            Functions(generated),
            any(kind.services for kind in generated.values() if hasattr(kind, "services")),
            without_times(found.seen) if compared else None,
        )
    return None


class ProgramStory:
    """One random program, started by alice; bob and carol have its flows too, zed has none."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = f"program {number}"
        found = prepared(number)
        assert found is not None
        self.made = found

    def build(self, world: World) -> None:
        made = self.made
        sys.modules[FUNCTIONS] = made.functions
        observer = Observer(made, world)
        world.witnesses.append(observer.committed)
        world.people.append(observer.act)
        self.observer = observer
        for party in (*HOSTS, STRANGER):
            desk = party != STRANGER and made.has_desk
            world.add(
                party,
                made.modules[-1:] if party != STRANGER else [],
                {"Desk": Desk(made.generated)} if desk else {},
            )
        observer.main = world.start(
            "alice", made.generated["Main_v1"], **trial.arguments_of(made.program)
        )

    def judge(self, world: World) -> None:
        if self.made.expected is None or not is_comparable(world):
            return
        actual = without_times(self.observer.look())
        different = differences(self.made.expected, actual)
        if different:
            raise Violation("I7", f"{self.name} does something else\n{different}")


def is_comparable(world: World) -> bool:
    """Whether nothing went wrong that the program itself is told of."""
    return not any(kind == "operation fails" for kind, _ in world.cells)


class Observer(Nodes):
    """Sees of a world what `Nodes` see of theirs, and does there what people do."""

    def __init__(self, made: Prepared, world: World) -> None:
        self.world = world
        self.generated = made.generated
        self.lines = made.program.text.splitlines()
        self.frames = []
        self.main: Any = None
        self.is_owned = made.generated["Main_v1"].owner

    def committed(self, host: Host, batch: Batch) -> None:
        self.frames += [(host.name, peer, frame) for _, peer, frame in batch.outbox]

    def act(self, world: World) -> bool:
        """Once nothing goes on by itself."""
        self.nodes = {name: world.node(name) for name in world.hosts}
        self.disks = {name: host.disk for name, host in world.hosts.items()}
        told = [self.answer(), self.is_owned and self.command()]
        if any(told):
            return True
        return any(disk.patients for disk in self.disks.values()) and self.release()

    def answer(self) -> bool:
        found = False
        for name, disk in self.disks.items():
            for task in self.world.tasks(name) if disk.tasks else ():
                given = people.answer(task)
                if given is not None and not self.runs_outside(name, task.flow_id):
                    self.world.answer(name, task, given, by=people.CLERK)
                    found = True
        return found

    def runs_outside(self, party: str, flow_id: int) -> bool:
        """Whether an operation of the flow is under way, or is to be tried again: the reference has
        its result before people answer."""
        registry = self.nodes[party].registry
        return runs_outside(
            decode_checkpoint(self.disks[party].flows[flow_id][0], registry.states_of)
        )

    def command(self) -> bool:
        for view in self.nodes["alice"].flows():
            if view.id == MAIN and not view.in_hospital and view.waits == "a message":
                line = self.lines[int(view.place.rpartition(":")[2]) - 1]
                written = len(self.journal(self.disks["alice"], MAIN))
                given = owner.command(line, written, self.generated)
                if given is not None:
                    self.world.command(self.main, given)
                    return True
        return False

    def look(self) -> Seen:
        self.nodes = {name: self.world.node(name) for name in self.world.hosts}
        self.disks = {name: host.disk for name, host in self.world.hosts.items()}
        return self.seen()


def without_times(found: Seen) -> Seen:
    """All that was seen, with every moment the same."""
    return Seen(tuple(sorted(map(_same, found.flows), key=repr)))


def _same(value: Any) -> Any:
    if isinstance(value, str):
        return _MOMENT.sub("then", value)
    if isinstance(value, tuple):
        if len(value) == 2 and value[0] in ("Timestamp", "Duration"):
            return (value[0], "then") if value[0] == "Timestamp" else value
        parts = [_same(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def stories(first: int = 0) -> Iterator[ProgramStory]:
    """Stories of the programs from the seed `first` on. At least every second one is compared."""
    surplus = 0
    for number in itertools.count(first):
        made = prepared(number)
        if made is not None and (made.expected is not None or surplus > 0):
            surplus += 1 if made.expected is not None else -1
            yield ProgramStory(number)


def quiet() -> None:
    """Programs log much, and fail on purpose."""
    logging.disable()
