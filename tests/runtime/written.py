"""Programs of the language on nodes: compiled here, driven in one thread, with or without crashes.

With `crashes` every node is a new process after each of its commits; what is not in its store is
gone. Knows no program.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.source import Source
from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.transport.memory import MemoryNetwork

ALICE, BOB, CAROL = Party("alice"), Party("bob"), Party("carol")
START_US = 1_800_000_000_000_000
MOST_TURNS = 5_000
MOST_PAUSES = 200

_numbers = itertools.count(1)


def compiled(text: str, **libraries: str) -> ModuleType:
    """The module that a program becomes. `libraries` are the files that it uses, by module."""
    name = f"written_{next(_numbers)}"
    texts = {name: text, **libraries}
    sources = {
        one: Source(f"{one.replace('.', '/')}.flow", one, program) for one, program in texts.items()
    }
    made = compile_modules([name], sources.get, lambda: sources)
    wrong = [found for found in made.diagnostics if found.severity == "error"]
    assert not wrong, "\n".join(as_text(found, made.sources) for found in wrong)
    for path, module in made.modules.items():
        package = path.rpartition(".")[0]
        if package:
            sys.modules.setdefault(package, ModuleType(package)).__path__ = []
        loaded = ModuleType(f"{path}_flow")
        sys.modules[loaded.__name__] = loaded
        exec(compile(generate(module), f"{path}_flow.py", "exec"), loaded.__dict__)
    return sys.modules[f"{name}_flow"]


class Stage:
    """Some parties that all run one program."""

    def __init__(
        self,
        program: ModuleType,
        *parties: Party,
        services: Mapping[str, object] | None = None,
        crashes: bool = False,
    ) -> None:
        self.now_us = START_US
        self.network = MemoryNetwork()
        self.disks = {party.name: MemoryDisk() for party in parties or (ALICE, BOB, CAROL)}
        self.nodes: dict[str, Node] = {}
        self._program = program
        self._services = services or {}
        self._crashes = crashes
        for party in self.disks:
            self.open(party)

    def open(self, party: str) -> None:
        """A new process for this party."""
        self.nodes[party] = Node.create(
            party,
            store=MemoryStore(self.disks[party]),
            network=self.network,
            modules=[self._program],
            services=self._services,
            clock=lambda: self.now_us,
            key=party.encode().ljust(32, b"."),
            reload=self._crashes,
        )

    def start(self, flow: Any, /, party: Party = ALICE, **arguments: Any) -> int:
        """Start a flow, and let its first step be committed; its id."""
        flow_id = self.nodes[party.name].submit(flow, **arguments).id
        self.turn(party.name)
        return flow_id

    def turn(self, party: str) -> bool:
        """One batch of a party, if something is due."""
        due = self.nodes[party].next_due()
        commits = self.disks[party].commits
        if due is None or due > self.now_us or not self.nodes[party].turn():
            return False
        if self._crashes and self.disks[party].commits != commits:
            self.open(party)
        return True

    def rest(self) -> None:
        """Go on until nothing moves that does not wait for time."""
        for _ in range(MOST_TURNS):
            moved = [self.turn(party) for party in self.disks]
            if not any([*moved, self.network.pump()]):
                return
        raise AssertionError("the nodes do not come to rest")

    def pass_time(self) -> bool:
        """Let time pass until something is due. False if nothing ever is."""
        due = [time for node in self.nodes.values() if (time := node.next_due()) is not None]
        self.now_us = max(self.now_us, min(due, default=0))
        return bool(due)

    def result(self, flow_id: int, party: Party = ALICE) -> Any:
        """Go on until a flow ends, however long that takes; its result, or its error, raised."""
        for _ in range(MOST_PAUSES):
            self.rest()
            handle = self.nodes[party.name].handle(flow_id)
            if handle.outcome is not None:
                return handle.result_now()
            patients = [(one.flow_id, one.cause) for one in self.nodes[party.name].hospital()]
            assert not patients, patients
            if not self.pass_time():
                break
        raise AssertionError("the flow waits for ever")

    def run(self, flow: Any, /, party: Party = ALICE, **arguments: Any) -> Any:
        """Start a flow and go on to its end."""
        return self.result(self.start(flow, party, **arguments), party)
