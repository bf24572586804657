"""`flowc demo`: that it kills and ends right, and that its verification can say no."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowlang import demo
from flowlang.demo import Work, audited, hold, run_demo
from flowlang.demo.report import Check
from flowlang.demo.tally import Tally
from flowlang.demo.views import Silence, Trees

TRADES = 12
SEED = 3


@pytest.fixture(scope="module", autouse=True)
def _in_memory() -> Iterator[None]:
    """Databases in memory where the system has a place for that: a killed process is what is
    tested, not a disk, and much of the time would go into waiting for `fsync`."""
    with pytest.MonkeyPatch.context() as patch:
        if Path("/dev/shm").is_dir():
            patch.setattr(tempfile, "tempdir", "/dev/shm")
        yield


@pytest.fixture(scope="module")
def held() -> Iterator[tuple[Path, Tally]]:
    """A day with two kills, as it was left, to be looked at and tampered with."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        demo.prepare(folder)
        yield folder, hold(Work(folder, SEED, TRADES), 2, Silence())


def checks(work: Work, day: Tally) -> list[Check]:
    """What the audit looks at, and what it found wrong."""
    return audited(work, day).checks


def test_a_day_with_kills_ends_right(held: tuple[Path, Tally]) -> None:
    folder, day = held
    assert [check for check in checks(Work(folder, SEED, TRADES), day) if check.wrong] == []
    assert day.killed == 2
    assert len(day.ends) == TRADES
    assert 0 < day.settled < TRADES, "some are refused as planned"
    assert {"settled", "AssetMismatch", "Declined"} == set(day.ends.values())
    assert max(day.resting) < 3_000


def test_who_owns_what_is_told(held: tuple[Path, Tally]) -> None:
    folder, day = held
    found = audited(Work(folder, SEED, TRADES), day)
    assert [one.party for one in found.now] == ["seller", "buyer"]
    for what in ("cash", "papers", "bonds"):
        before, now = ([getattr(one, what) for one in o] for o in (found.morning, found.now))
        assert sum(before) == sum(now) > 0, what
    assert found.now[1].papers == day.settled
    assert found.now[0].cash > found.morning[0].cash == 0


def test_the_report_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo(trades=4, kills=1, seed=SEED, keep=None, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert (report["seed"], report["trades"], report["killed"]) == (SEED, 4, 1)
    assert report["settled"] + report["refused"] == 4
    assert sum(report["refusals"].values()) == report["refused"]
    assert [kill.keys() for kill in report["kills"]] == [{"ended", "in_flight"}]
    assert report["median_checkpoint"] <= report["largest_checkpoint"] < 3_000
    assert all(check["wrong"] == [] for check in report["checks"])


def test_people_get_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = tmp_path / "kept"
    assert run_demo(trades=4, kills=1, seed=SEED, keep=keep, as_json=False) == 0
    text = capsys.readouterr().out
    assert "killed the worker (kill -9, number 1)" in text
    assert "yes  cash is conserved" in text
    assert "who owns what now" in text
    assert str(keep) in text
    assert "\x1b" not in text
    assert (keep / "seller.db").exists()


def test_a_folder_that_holds_something_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("precious")
    assert run_demo(trades=1, kills=0, seed=SEED, keep=tmp_path, as_json=True) == 2
    assert "is not empty" in capsys.readouterr().err


# --- the verification can say no --------------------------------------------------------------

FORGE = """
import sqlite3, sys
from pathlib import Path
from market import BUYER, NOTARY, SELLER, network
from flowrt.ledger.transactions import OUTPUTS, SignedTransaction, Transaction, sign
folder, seed, sold = Path(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3])
local = network(seed)
keys = {}
for party in (SELLER, BUYER):
    db = sqlite3.connect(folder / f"{party.name}.db")
    store = local.keys[party.name]
    for number, kind in db.execute("SELECT number, kind FROM ledger_keys WHERE number NOT NULL"):
        key = store.fresh(number) if kind else store.identity(number)
        keys[key.public] = key
notary = local.keys[NOTARY.name].identity()
keys[notary.public] = notary
[(data,)] = db.execute("SELECT signed FROM ledger_transaction WHERE id = ?", (sold,))
was = SignedTransaction.from_flow(data).transaction
groups = {**was.groups, OUTPUTS: was.groups[OUTPUTS][::-1]}
again = Transaction(groups, bytes(32))
signed = SignedTransaction(again, [sign(again.id, keys[key]) for key in again.required_keys])
signed.check_signatures()
with db:
    db.execute(
        "INSERT INTO ledger_transaction SELECT max(number) + 1, ?, 1, 0, ? "
        "FROM ledger_transaction", (again.id, signed.to_flow()))
"""
"""A second transaction on the same inputs, with good signatures of everybody."""

BOTH = ("seller", "buyer")
COINS = "SELECT max(ref) FROM ledger_state WHERE spendable AND relevant AND consumed IS NOT NULL"


@pytest.mark.parametrize(
    ("databases", "change", "check", "wrong"),
    [
        (
            ["buyer"],
            f"UPDATE ledger_state SET consumed = NULL WHERE ref = ({COINS})",
            "cash is conserved",
            "are in the vaults",
        ),
        (
            ["seller"],
            "DELETE FROM ledger_transaction WHERE id = {sold}",
            "the same transactions on both sides",
            "is not the same at",
        ),
        (
            BOTH,
            "UPDATE ledger_transaction SET id = zeroblob(32) WHERE id = {sold}",
            "every id and signature is good",
            "is not the id of what is kept under it",
        ),
        (
            ["notary.book"],
            "DELETE FROM used WHERE by = (SELECT max(by) FROM used)",
            "nothing was used up twice, and the notary's book agrees",
            "is not what was recorded",
        ),
        (["buyer"], FORGE, "nothing was used up twice, and the notary's book agrees", "2 times"),
        (
            ["buyer"],
            "UPDATE ledger_state SET lock = 1 WHERE consumed IS NULL",
            "nothing is left reserved or in flight",
            "are reserved",
        ),
        (
            ["seller"],
            "UPDATE ledger_transaction SET status = 0 WHERE id = {sold}",
            "nothing is left reserved or in flight",
            "1 are in flight",
        ),
        (
            ["seller"],
            "DELETE FROM desk_orders WHERE name = 'order-0001'",
            "every trade settled once, or was refused as it had to be",
            "order-0001 was never begun",
        ),
        (
            BOTH,
            "DELETE FROM ledger_transaction WHERE id = {sold}",
            "the flows returned what the databases say",
            "that nothing was sold",
        ),
        (
            ["seller"],
            "UPDATE ledger_transaction SET signed = substr(signed, 2)",
            "the databases can be read",
            "",
        ),
    ],
)
def test_what_was_tampered_with_is_found(
    held: tuple[Path, Tally],
    tmp_path: Path,
    databases: Sequence[str],
    change: str,
    check: str,
    wrong: str,
) -> None:
    folder, day = held
    work = Work(tmp_path / "copy", SEED, TRADES)
    shutil.copytree(folder, work.folder)
    # The last one: nothing rests on it.
    sold = max(day.transactions.items())[1]
    if change == FORGE:
        command = [sys.executable, "-c", FORGE, str(work.folder), str(SEED), sold]
        subprocess.run(command, env=work.environment(), check=True)
    else:
        for name in databases:
            with contextlib.closing(sqlite3.connect(work.folder / f"{name}.db")) as db, db:
                assert db.execute(change.replace("{sold}", f"x'{sold}'")).rowcount > 0
    found = {finding.check: finding.wrong for finding in checks(work, day)}
    assert any(wrong in text for text in found[check]), found


def test_a_trade_that_the_flows_and_the_databases_tell_differently_is_found(
    held: tuple[Path, Tally],
) -> None:
    folder, day = held
    told = Tally(TRADES, 0)
    told.ends = {**day.ends, "order-0001": "AssetMismatch"}
    told.transactions = {k: v for k, v in day.transactions.items() if k != "order-0001"}
    *_, last = checks(Work(folder, SEED, TRADES), told)
    assert len(last.wrong) == 1
    assert last.wrong[0].startswith("order-0001: the flow ended with AssetMismatch")


def test_a_worker_that_fails_by_itself_is_reported_with_its_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = demo.prepare

    def broken(folder: Path) -> None:
        prepare(folder)
        (folder / "app" / "day.py").write_text("raise SystemExit('out of coffee')")

    monkeypatch.setattr(demo, "prepare", broken)
    assert run_demo(trades=1, kills=0, seed=SEED, keep=None, as_json=True) == 1
    assert "out of coffee" in capsys.readouterr().err


def test_a_worker_that_says_nothing_is_given_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = demo.prepare

    def deaf(folder: Path) -> None:
        prepare(folder)
        (folder / "app" / "day.py").write_text("import signal; signal.pause()")

    monkeypatch.setattr(demo, "prepare", deaf)
    monkeypatch.setattr(demo, "PATIENCE_S", 0.2)
    assert run_demo(trades=1, kills=0, seed=SEED, keep=None, as_json=True) == 1
    assert "said nothing for 0.2 s" in capsys.readouterr().err


# --- what people see --------------------------------------------------------------------------


def test_the_trees_show_each_party_and_flow() -> None:
    from rich.console import Console

    pictures: list[object] = []
    view = Trees(pictures.append)
    day = Tally(5, 1)
    for fact in (
        {
            "tell": "opened",
            "in_flight": 0,
            "flows": 1,
            "begun": 0,
            "moves": {"seller": [], "notary": [(7, 0, "Checking the request", None)]},
        },
        _moved("seller", 1, 0, "Offering P-1 for 950 EUR"),
        _moved("seller", 1, 1, "Waiting for the buyer's proposal"),
        _moved("buyer", 1, 0, "Settling P-1"),
        _moved("buyer", 1, 1, "Having it sealed"),
        _moved("buyer", 1, 2, "Waiting for the notary"),
        _moved("notary", 1, 0, "Entering it"),
        _moved("notary", 1, 0, "", "done"),
        _moved("seller", 2, 0, "wanted a CommercialPaper, was offered a Bond", "failed"),
    ):
        day.take(fact)
        view.fact(day, fact)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(pictures[-1])
    text = console.export_text()
    assert "1 of 5 trades ended" in text
    for label in (
        "Offering P-1",
        "Waiting for the buyer's",
        "Settling P-1",
        "Waiting for the notary",
        "Checking the request",
    ):
        assert label in text
    assert "Entering it" not in text, "a flow that ended is gone from the picture"


def _moved(
    party: str, flow_id: int, depth: int, label: str, outcome: str | None = None
) -> dict[str, Any]:
    moves = [(flow_id, depth, label, outcome)]
    return {"tell": "commit", "party": party, "moves": moves, "resting": []}
