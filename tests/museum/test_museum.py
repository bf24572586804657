"""Every store that a release has written is loaded and run to its end, or refused by name."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flowrt.core.flow import CONTRACT
from flowrt.core.registry import NotRegistrable
from flowrt.node import Node
from flowrt.store import StoreError
from flowrt.store.sqlite import SqliteStore
from flowrt.store.upgrades import FORMAT
from flowrt.transport.memory import MemoryNetwork
from tests.museum.look import PARTIES, PIECES, Desk, Look, play, unpacked
from tests.museum.write import compiled, generated

NAMES = sorted(path.name for path in PIECES.iterdir())

ENDS = {
    "Asks_v1": ["asks"],
    "Child_v1": ["parent"],
    "Done_v1": ["done"],
    "Fails_v1": ["fails 5"],
    "Fetches_v1": ["fetches by key 4-0"],
    "Holds_v1": ["holds"],
    "Message_v1": ["message"],
    "Outer_v1": ["outer"],
    "Owned_v1": ["owned"],
    "Parent_v1": ["parent"],
    "Pays_v1": ["pays by key 5-0"],
    "Several_v1": ["2 words"],
    "Sleeps_v1": ["sleeps"],
    "Steps_v1": ["steps 5"],
    "Tells_v1": ["tells"],
    "Throws_v1": ["Refused: Refused"],
    "Within_v1": ["within"],
}
"""What comes of each flow, whatever release wrote it down."""

WAITS = {
    "": "confirmations",
    "Asks_v1": "an answer by clerk",
    "Child_v1": "time",
    "Fails_v1": "nothing",
    "Fetches_v1": "museum.Desk.fetch",
    "Holds_v1": "an operator: look at it",
    "Message_v1": "a message",
    "Outer_v1": "time",
    "Owned_v1": "time",
    "Pays_v1": "museum.Desk.pay",
    "Several_v1": "messages of each",
    "Sleeps_v1": "time",
    "Steps_v1": "nothing",
    "Tells_v1": "acceptance of its invitations",
    "Within_v1": "a message",
}
PATIENTS = {"Holds_v1": "held", "Pays_v1": "lost", "Fails_v1": "failed"}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(params=NAMES)
def piece(request: pytest.FixtureRequest) -> Path:
    return PIECES / str(request.param)


def test_there_is_a_piece_of_every_format_that_can_be_brought_forward() -> None:
    formats = set()
    for name in NAMES:
        with unpacked(PIECES / name) as scratch:
            formats |= {_format(scratch / f"{party}.db") for party in PARTIES}
    assert set(range(2, FORMAT)) <= formats


@pytest.mark.parametrize("anew", [False, True], ids=["as generated then", "compiled anew"])
def test_c35_what_an_earlier_release_began_is_ended_by_this_one(piece: Path, anew: bool) -> None:
    with unpacked(piece) as scratch:
        module = _anew(piece) if anew else None
        if not anew and f"contract = {CONTRACT}" not in (piece / "museum_flow.py").read_text():
            with pytest.raises(NotRegistrable, match="compile it again with the flowc of this"):
                play(piece, scratch)
            return
        seen = play(piece, scratch, module)
        assert {name: seen.waits[name] for name in WAITS} == WAITS
        assert seen.waits["Parent_v1"].startswith("flow ")
        assert {name: seen.patients[name] for name in PATIENTS} == PATIENTS
        paused = seen.patients.get("Sleeps_v1") == "paused"
        ends = ENDS | {"Sleeps_v1": ["sleeps"] * (2 if paused else 1)}
        assert seen.results == ends
        assert seen.left == []
        assert _format(scratch / "alice.db") == FORMAT, "brought forward"


def test_where_its_flows_stand_is_seen(piece: Path) -> None:
    with unpacked(piece) as scratch:
        look = Look(_anew(piece), scratch)
        paths = {
            view.flow: look.alice.tracker(view.id).path for view in look.alice.flows() if view.path
        }
        sleeping = next(view.id for view in look.alice.flows() if view.flow == "museum.Sleeps_v1")
        assert look.alice.tracker(sleeping).values == {"of": "sleeps"}
        look.close()
        assert paths["museum.Outer_v1"] == ("CALLING", "INSIDE")
        assert paths["museum.Message_v1"] == ("ASKING",)


def test_c35_what_a_later_release_wrote_is_refused_before_it_is_touched(piece: Path) -> None:
    with unpacked(piece) as scratch:
        path = scratch / "alice.db"
        with sqlite3.connect(path) as db:
            db.execute("UPDATE engine_node SET format = ?", (FORMAT + 1,))
        db.close()
        before = path.read_bytes()
        with pytest.raises(StoreError, match="a newer version wrote it: install that one"):
            SqliteStore(path).open("alice")
        assert path.read_bytes() == before


def test_a_checkpoint_of_a_later_release_is_its_flows_trouble_alone(piece: Path) -> None:
    with unpacked(piece) as scratch:
        path = scratch / "bob.db"
        with sqlite3.connect(path) as db:
            flow_id, data = db.execute("SELECT id, checkpoint FROM engine_flow").fetchone()
            assert data[1] == 1, "its format"
            later = data[:1] + b"\x09" + data[2:]
            db.execute(
                "UPDATE engine_flow SET checkpoint = ?, due = 0 WHERE id = ?", (later, flow_id)
            )
        db.close()
        store = SqliteStore(path)
        node = Node.create(
            "bob",
            store=store,
            network=MemoryNetwork(),
            modules=[_anew(piece)],
            services={"Desk": Desk()},
            clock=lambda: 1,
        )
        node.turn()
        assert store.load(flow_id) == later
        cause = node.patient(flow_id).cause
        store.close()
        assert cause == (
            "cannot be loaded: the checkpoint has format 9, this is 1; "
            "open the store with the version that wrote it"
        )


def _anew(piece: Path) -> ModuleType:
    """The program, compiled by this release."""
    module = generated(piece)
    code = compiled(piece / "museum.flow")
    fresh = ModuleType(module.__name__)
    exec(compile(code, f"{piece.name}.py", "exec"), fresh.__dict__)
    return fresh


def _format(path: Path) -> int:
    db = sqlite3.connect(path)
    found: int = db.execute("SELECT format FROM engine_node").fetchone()[0]
    db.close()
    return found
