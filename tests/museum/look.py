"""Looking at a piece: its stores are opened by this release, and every flow is brought to its end.

Time passes, carol comes, a clerk answers, operators do what patients need. Changes no piece.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from flowrt.core.flow import FlowError
from flowrt.handle import StillRunning
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.memory import MemoryNetwork
from tests.museum.write import START_US, generated

PIECES = Path(__file__).parent / "pieces"
HOUR_US = 3_600_000_000
PARTIES = ("alice", "bob")


class Desk:
    """The desk is open again."""

    def note(self, tx: Any, text: str) -> int:
        return len(text)

    def fetch(self, key: str, text: str) -> str:
        return f"{text} by key {key.partition('-')[2]}"

    def pay(self, key: str, text: str) -> str:
        return self.fetch(key, text)


@dataclasses.dataclass
class Seen:
    """What was there when the stores were opened, and what came of it: by flow its results; the
    waits of alice's flows; what is left."""

    waits: dict[str, str]
    patients: dict[str, str]
    results: dict[str, list[str]]
    left: list[Any]


@contextlib.contextmanager
def unpacked(folder: Path) -> Iterator[Path]:
    """A piece's databases, in a folder that may be changed."""
    with tempfile.TemporaryDirectory() as scratch:
        for party in PARTIES:
            data = gzip.decompress((folder / f"{party}.db.gz").read_bytes())
            (Path(scratch) / f"{party}.db").write_bytes(data)
        yield Path(scratch)


class Look:
    """The parties of a piece, on this release."""

    def __init__(self, module: ModuleType, scratch: Path) -> None:
        self.module = module
        self.now_us = START_US
        self.network = MemoryNetwork()
        self.stores = [SqliteStore(scratch / f"{party}.db") for party in PARTIES]
        parties = zip((*PARTIES, "carol"), (*self.stores, MemoryStore()), strict=True)
        self.nodes = {
            party: Node.create(
                party,
                store=store,
                network=self.network,
                modules=[module],
                services={"Desk": Desk()},
                clock=lambda: self.now_us,
                key=party.encode().ljust(32, b"."),
                reload=True,
            )
            for party, store in parties
        }

    @property
    def alice(self) -> Node:
        return self.nodes["alice"]

    def rest(self) -> None:
        for _ in range(10_000):
            moved = [
                node.turn()
                for node in self.nodes.values()
                if (due := node.next_due()) is not None and due <= self.now_us
            ]
            if not self.network.pump() and not any(moved):
                return
        raise AssertionError("they never rest")

    def seen(self) -> Seen:
        views = {view.id: view for view in self.alice.flows()}
        waits = {view.flow.partition(".")[2]: view.waits for view in views.values()}
        patients = {p.flow.partition(".")[2]: p.kind for p in self.alice.patients()}
        ids = [view.id for view in views.values()]
        ids += [n for n in range(1, max(ids)) if n not in views]
        for _ in range(30):
            self.rest()
            for patient in self.alice.patients():
                self.alice.submit_retry(patient.flow_id)
            for task in self.alice.tasks():
                answer = self.module.Answer(text="asks")
                self.alice.submit_answer(task.flow_id, task.number, answer, by="cid")
            self.rest()
            self.now_us += HOUR_US
        self.rest()
        results: dict[str, list[str]] = {}
        for flow_id in sorted(ids):
            with contextlib.suppress(KeyError):
                name, text = self._result(flow_id)
                results.setdefault(name, []).append(text)
        left = [
            (party, view.flow, view.waits)
            for party, node in self.nodes.items()
            for view in node.flows()
        ]
        left += [(party, len(node._outbox)) for party, node in self.nodes.items() if node._outbox]
        return Seen(waits, patients, results, left)

    def _result(self, flow_id: int) -> tuple[str, str]:
        handle: Any = self.alice.handle(flow_id)
        assert handle.outcome is not None, f"flow {flow_id} has not ended"
        name = handle.outcome.flow.partition(".")[2]
        try:
            return name, str(handle.result_now())
        except StillRunning:
            return name, "still running"
        except FlowError as error:
            return name, f"{type(error).__name__}: {error}"

    def close(self) -> None:
        for store in self.stores:
            store.close()


def play(folder: Path, scratch: Path, module: ModuleType | None = None) -> Seen:
    """Open a piece's stores with the code that it was written with, or another, and bring all to an
    end."""
    look = Look(module or generated(folder), scratch)
    try:
        return look.seen()
    finally:
        look.close()
