"""What a release writes: alice and bob, each with flows that rest in every kind of wait.

It uses nothing of a runtime that its first releases did not have, so that it can be run with those:
`python tests/museum/write.py FOLDER`, with their packages on the path.
"""

from __future__ import annotations

import gzip
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.source import Source
from flowrt.core.flow import Party
from flowrt.node import Node
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork

START_US = 1_800_000_000_000_000
PROGRAM = Path(__file__).parent / "museum.flow"
BOB, CAROL = Party("bob"), Party("carol")

ALONE = ["Sleeps", "Holds", "Asks", "Fetches", "Pays", "Parent", "Outer", "Fails", "Owned", "Done"]
WITH_BOB = ["Message", "Within", "Several"]
WITH_CAROL = ["Tells", "Throws"]
"""Carol is not there yet."""


class Desk:
    """Nothing works at this desk."""

    def note(self, tx: Any, text: str) -> int:
        if text == "fails":
            raise ValueError("the desk is closed")
        return 1

    def fetch(self, key: str, text: str) -> str:
        raise ConnectionError("the line is down")

    def pay(self, key: str, text: str) -> str:
        raise ConnectionError("the line is down")


def generated(folder: Path) -> ModuleType:
    """The code in a piece, imported."""
    name = f"museum_{folder.name.replace('.', '_').replace('-', '_')}_flow"
    spec = importlib.util.spec_from_file_location(name, folder / "museum_flow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def compiled(program: Path) -> str:
    """What this release generates of the program."""
    made = compile_modules(
        ["museum"], {"museum": Source(str(program), "museum", program.read_text())}.get
    )
    assert not [one for one in made.diagnostics if one.severity == "error"], made.diagnostics
    return generate(made.modules["museum"])


def write(folder: Path) -> None:
    """Make a piece in a new folder."""
    folder.mkdir(parents=True)
    shutil.copy(PROGRAM, folder / PROGRAM.name)
    (folder / "museum_flow.py").write_text(compiled(PROGRAM))
    module = generated(folder)
    with tempfile.TemporaryDirectory() as scratch:
        _play(module, Path(scratch))
        for party in ("alice", "bob"):
            data = (Path(scratch) / f"{party}.db").read_bytes()
            (folder / f"{party}.db.gz").write_bytes(gzip.compress(data, 9, mtime=0))


def _play(module: ModuleType, scratch: Path) -> None:
    network = MemoryNetwork()
    stores = {party: SqliteStore(scratch / f"{party}.db") for party in ("alice", "bob")}
    nodes = {
        party: Node.create(
            party,
            store=store,
            network=network,
            modules=[module],
            services={"Desk": Desk()},
            clock=lambda: START_US,
            key=party.encode().ljust(32, b"."),
        )
        for party, store in stores.items()
    }
    alice = nodes["alice"]

    def rest() -> None:
        for _ in range(1000):
            moved = [
                node.turn()
                for node in nodes.values()
                if (due := node.next_due()) is not None and due <= START_US
            ]
            if not network.pump() and not any(moved):
                return

    for name in ALONE:
        alice.submit(getattr(module, f"{name}_v1"))
    for name in WITH_BOB:
        alice.submit(getattr(module, f"{name}_v1"), other=BOB)
    for name in WITH_CAROL:
        alice.submit(getattr(module, f"{name}_v1"), other=CAROL)
    rest()
    owned = next(view.id for view in alice.flows() if view.flow == "museum.Owned_v1")
    alice.submit_command(owned, module.Order(text="owned"))
    rest()
    if hasattr(alice, "submit_pause"):
        paused = alice.submit(module.Sleeps_v1)
        rest()
        alice.submit_pause(paused.id, by="ann", reason="for the museum")
        rest()
    alice.submit(module.Steps_v1)
    alice.turn()  # Its first step: it rests at a checkpoint, and would go on at once.
    for store in stores.values():
        store.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
