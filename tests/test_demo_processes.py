"""`flowc demo --processes`: that it kills and ends right, that its audit can say no, and that no
process is left behind however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flowlang.demo import processes, run_demo, town
from flowlang.demo.board import Board, Drawn, Kill, drawn
from flowlang.demo.report import Check, Holding
from flowlang.demo.town import Town, TownFailed
from flowrt.serving.files import holder

SEED = 3
TRADES = 4


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], bytes]:
    """Four trades and a kill, as they were left: the folder, what was said about it, and what its
    audit was told."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    told: list[bytes] = []
    ran = town.ran

    async def listening(command: Sequence[str], given: bytes = b"", *rest: Any) -> Any:
        told.append(given)
        return await ran(command, given, *rest)

    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(processes, "ran", listening)
        code = run_demo(TRADES, 1, SEED, folder, as_json=True, processes=True)
    report = json.loads(printed.getvalue())
    assert code == 0, report
    return folder, report, told[-1]


def test_trades_settle_though_a_party_is_killed(held: tuple[Path, dict[str, Any], bytes]) -> None:
    folder, report, _ = held
    assert report["ok"] is True
    assert (report["trades"], report["settled"], report["seed"]) == (TRADES, TRADES, SEED)
    [kill] = report["kills"]
    assert kill["party"] in ("seller", "buyer", "notary")
    assert kill["flying"] > 0
    assert [check for check in report["checks"] if check["wrong"]] == []
    assert [one["papers"] for one in report["now"]] == [0, TRADES]
    assert sum(one["cash"] for one in report["now"]) == report["morning"][1]["cash"]
    for party in ("seller", "buyer", "notary"):
        assert holder(folder / "town" / party) is None
        assert "Started server" in (folder / f"{party}.log").read_text()


TAMPERED = {
    "an order was never begun": (
        "seller/seller.db",
        "DELETE FROM desk_orders WHERE name = 'order-0001'",
        "every trade settled once",
        "order-0001 was begun 0 times",
    ),
    "the buyer lost a transaction": (
        "buyer/buyer.db",
        "DELETE FROM ledger_transaction WHERE number = (SELECT max(number) FROM "
        "ledger_transaction WHERE status = 1)",
        "the same transactions on both sides",
        "is not the same at seller and buyer",
    ),
    "the notary forgot": (
        "notary/book.db",
        "DELETE FROM used WHERE by = (SELECT max(by) FROM used)",
        "nothing was used up twice, and the notary's book agrees",
        "is not what was recorded",
    ),
    "the buyer's vault is empty": (
        "buyer/buyer.db",
        "UPDATE ledger_state SET consumed = 1 WHERE relevant AND consumed IS NULL",
        "papers are conserved",
        "is held so often",
    ),
}
"""What is done to which database, which check finds it, and what it says."""

AUDITS = """
import json, msgspec, pathlib, settled, sys
asked = json.load(sys.stdin)
answers = []
for folder, told in asked:
    told = msgspec.convert(told, settled.Told)
    answers.append(msgspec.to_builtins(settled.settled(pathlib.Path(folder), told)))
json.dump(answers, sys.stdout)
"""


def test_the_audit_can_say_no(held: tuple[Path, dict[str, Any], bytes], tmp_path: Path) -> None:
    folder, _, given = held
    told = json.loads(given)
    asked = []
    for name, (database, change, _, _) in TAMPERED.items():
        shutil.copytree(folder / "town", tmp_path / name)
        with contextlib.closing(sqlite3.connect(tmp_path / name / database)) as db, db:
            assert db.execute(change).rowcount > 0
        asked.append((str(tmp_path / name), told))
    otherwise = json.loads(given)
    otherwise["orders"][0]["transaction"] = otherwise["orders"][1]["transaction"]
    otherwise["orders"][2]["price"] += 1
    otherwise["issued"] += 1
    asked.append((str(folder / "town"), otherwise))

    command = [sys.executable, "-c", AUDITS]
    run = subprocess.run(
        command,
        cwd=processes._compiled(),
        input=json.dumps(asked).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    *tampered, of_tales = (
        {one["check"]: one["wrong"] for one in answer["findings"]}
        for answer in json.loads(run.stdout)
    )
    for (_, _, check, wrong), found in zip(TAMPERED.values(), tampered, strict=True):
        assert any(wrong in text for text in found[check]), found
    assert {name for name, wrong in of_tales.items() if wrong} == {
        "every trade settled once",
        "cash is conserved",
        "every price is as agreed",
    }


# --- however it ends ------------------------------------------------------------------------------


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from flowlang.cli import main; main()", "demo"]
    command += ["--processes", "--trades", "10000", "--keep", str(tmp_path / "kept")]
    demo = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs tests in the background of a shell has Ctrl-C ignored, and so have all below.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert demo.stdout is not None
    for _ in range(2):
        demo.stdout.readline()
    holders = [holder(tmp_path / "kept/town" / name) for name in ("seller", "buyer", "notary")]
    assert any(holders)
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert err == "error: the demo was interrupted; no process is left\n"
    assert out.endswith(
        f"the network is in {tmp_path}/kept/town, the logs of its parties beside it\n"
    )
    for name in ("seller", "buyer", "notary"):
        assert holder(tmp_path / "kept/town" / name) is None


def test_who_cannot_be_served_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = town.flowctl
    broken = [sys.executable, "-c", "import sys; sys.exit('error: it is not its day')"]
    monkeypatch.setattr(town, "flowctl", lambda *a: broken if a[0] == "up" else real(*a))
    keep = tmp_path / "kept"
    assert run_demo(1, 0, SEED, keep, as_json=False, processes=True) == 1
    out, err = capsys.readouterr()
    assert "cannot be served\nerror: it is not its day\n" in err
    assert out.endswith(f"the network is in {keep}/town, the logs of its parties beside it\n")
    assert "it is not its day" in (keep / "seller.log").read_text()


GHOST = "import sys, time; print('ghost serves a port, 7 flows resumed', flush=True); "


@pytest.mark.parametrize(
    ("life", "trouble"),
    [
        ("sys.exit('out of coffee')", "ended by itself (exit code 1)\nout of coffee"),
        ("import os; os.kill(os.getpid(), 9)", "ended by itself (SIGKILL)\nit said nothing"),
    ],
)
def test_who_ends_by_itself_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, life: str, trouble: str
) -> None:
    ghosts = _ghost(tmp_path, monkeypatch, GHOST + life)

    async def live() -> None:
        line = await ghosts.serve("ghost")
        assert town.resumed(line) == 7
        await asyncio.to_thread(ghosts._running["ghost"].wait)
        with pytest.raises(TownFailed) as failed:
            ghosts.check()
        assert trouble in str(failed.value)

    try:
        asyncio.run(live())
    finally:
        ghosts.close()


def test_who_does_not_end_when_told_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    ghosts = _ghost(tmp_path, monkeypatch, deaf + GHOST + "signal.pause()")
    monkeypatch.setattr(town, "PATIENCE_S", 10.0)

    async def live() -> list[str]:
        await ghosts.serve("ghost")
        monkeypatch.setattr(town, "PATIENCE_S", 0.05)
        running = ghosts._running["ghost"]
        wrong = await ghosts.stop()
        assert running.returncode == -signal.SIGKILL
        return wrong

    assert asyncio.run(live()) == ["ghost does not end within 0.05 s of SIGTERM"]


@pytest.mark.parametrize(("code", "wrong"), [(0, []), (3, ["ghost ended with exit code 3"])])
def test_how_a_party_ends_when_told_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, wrong: list[str]
) -> None:
    polite = f"import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit({code})); "
    ghosts = _ghost(tmp_path, monkeypatch, polite + GHOST + "signal.pause()")
    monkeypatch.setattr(town, "PATIENCE_S", 10.0)

    async def live() -> list[str]:
        await ghosts.serve("ghost")
        return await ghosts.stop()

    assert asyncio.run(live()) == wrong


def test_who_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghosts = _ghost(tmp_path, monkeypatch, "import signal; signal.pause()")
    monkeypatch.setattr(town, "PATIENCE_S", 0.05)

    async def live() -> None:
        try:
            with pytest.raises(TownFailed, match=r"ghost does not serve after 0\.05 s"):
                await ghosts.serve("ghost")
        finally:
            ghosts.close()

    asyncio.run(live())


def _ghost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Town:
    """A town whose one party is that program."""
    monkeypatch.setattr(town, "flowctl", lambda *_: [sys.executable, "-c", code])
    place = town.Place(tmp_path / "town/ghost", "http://127.0.0.1:1", "token")
    return Town(tmp_path / "town", {"ghost": place})


# --- what people see ------------------------------------------------------------------------------


def test_the_outcome_for_people() -> None:
    kills = [Kill("buyer", 4, 8, 1.07, 7), Kill("notary", 11, 1, 0.94, 1)]
    outcome = processes.Outcome(
        ok=False,
        seed=SEED,
        trades=12,
        settled=12,
        kills_wanted=3,
        kills=kills,
        seconds=5.25,
        median_trade_s=0.318,
        morning=[Holding("seller", 0, 12, 0), Holding("buyer", 500_000, 0, 0)],
        now=[Holding("seller", 400_000, 0, 0), Holding("buyer", 100_000, 12, 0)],
        checks=[
            Check("cash is conserved", []),
            Check("nothing waits", ["buyer: 1 × flow is alive"]),
        ],
    )
    assert processes.summary(outcome).splitlines() == [
        "12 trades settled in 5.2 s, a trade in 0.32 s (median; kills included)",
        "killed with SIGKILL: buyer 1 time, notary 1 time; 8 flows went on afterwards",
        "  3 kills were wanted, but the trades were done by then",
        "who owns what now           cash in EUR   papers",
        "  seller               0.00 -> 4,000.00  12 -> 0",
        "  buyer            5,000.00 -> 1,000.00  0 -> 12",
        "  together                     5,000.00       12",
        "verified at the three nodes, in their databases and in the notary's book:",
        "  yes  cash is conserved",
        "  no   nothing waits",
        "         buyer: 1 × flow is alive",
        "FAILED; again with: flowc demo --processes --seed 3",
    ]


def test_a_terminal_shows_how_things_are_in_place() -> None:
    from rich.console import Console
    from rich.live import Live

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None)
    board = Board(60, 9)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        view = Drawn(console, live)
        board.states = {"seller": ("serving", 11), "buyer": ("killed", None)}
        board.killed["buyer"] += 1
        board.flying, board.settled = 8, 21
        view.changed(board)
        view.killed(Kill("buyer", 21, 8, 1.07, 7))
    shown = out.getvalue()
    assert "SETTLED  KILLED  UNDER WAY  BACK AFTER  FLOWS RESUMED" in shown
    assert "     21  buyer           8       1.1 s              7" in shown
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(drawn(board))
    assert console.export_text().split("\n")[1:4] == [
        "21 of 60 trades settled, 8 under way; 1 of 9 kills",
        "  seller  serving   process 11",
        "  buyer   killed    ",
    ]
