"""The conversation of corpus/fair.flow among three parties, as all targets begin with it."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import functools
import importlib
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.source import Source
from flowrt.core.flow import Party
from tests.runtime.crashes import World

CORPUS = Path(__file__).parent / "corpus"


class Notes:
    """Counts what it was told in the store, so that a lost or repeated step would show."""

    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS notes (flow INTEGER, text TEXT)")

    def note(self, tx: Any, text: str) -> None:
        tx.execute("INSERT INTO notes VALUES (?, ?)", (tx.flow_id, text))

    def judge(self, key: str, text: str) -> int:
        return len(text)


@functools.cache
def module() -> ModuleType:
    """What became of corpus/fair.flow, imported."""
    text = (CORPUS / "fair.flow").read_text("utf-8")
    source = Source("fair.flow", "fair", text)
    made = compile_modules(["fair"], {"fair": source}.get, lambda: ["fair"])
    assert not made.diagnostics
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fair_flow.py"
        path.write_text(generate(made.modules["fair"]), "utf-8")
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("fair_flow")
        finally:
            sys.path.remove(folder)


def about(**changes: Any) -> Any:
    """A message with a value of every type."""
    fair = module()
    fields: dict[str, Any] = {
        "flag": True,
        "count": 7,
        "text": "grüße",
        "price": decimal.Decimal("12.5"),
        "data": b"\x91\x01\x02",
        "moment": datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC),
        "span": datetime.timedelta(hours=2),
        "who": Party("dora"),
        "mood": fair.Mood_Loud(3),
        "items": (
            fair.Item("tea", decimal.Decimal(3), None),
            fair.Item("salt", decimal.Decimal("1.25"), "x"),
        ),
        "by_name": {"a": 1, "b": 2},
        "by_number": {1: "x", -2: "y"},
        "maybe": decimal.Decimal("-0.5"),
    }
    return fair.All(**{**fields, **changes})


class Fair(World):
    """Alice visits bob, carol visits bob, bob visits carol; every packet is recorded. `packets` are
    (sender, receiver, bytes)."""

    def __init__(self, rounds: int = 3, **options: Any) -> None:
        super().__init__(**options)
        fair = module()
        self.packets: list[tuple[str, str, bytes]] = []
        self.post = self.network._send
        self.network._send = self._listen  # type: ignore[method-assign]
        for party in ("alice", "bob", "carol"):
            self.add(party, [fair], lambda: {"Notes": Notes()})
        self.network.join("mallory", lambda *_: None)
        for guest, host in (("alice", "bob"), ("carol", "bob"), ("bob", "carol")):
            self.start(guest, fair.Visit_v1, host=Party(host), rounds=rounds, about=about())

    def _listen(self, sender: str, receiver: str, data: bytes) -> None:
        self.packets.append((sender, receiver, data))
        self.post(sender, receiver, data)

    def finish(self) -> None:
        """Whoever is asked says yes, until all is quiet."""
        fair = module()
        for _ in range(20):
            self.run()
            asked = False
            for party in self.members:
                for task in self.node(party).tasks():
                    self.node(party).submit_answer(
                        task.flow_id, task.number, fair.Answer(True), by="ann"
                    )
                    asked = True
            if not asked:
                return
        raise AssertionError("there is always somebody asked")

    def at_rest(self, party: str) -> dict[int, bytes]:
        """The bytes of a party's living flows."""
        return {row.flow_id: row.checkpoint for row in self.node(party)._store.flows()}


@contextlib.contextmanager
def quiet() -> Any:
    """Without the log lines that hostile bytes make."""
    import logging

    log = logging.getLogger("flowrt")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)
