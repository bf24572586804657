"""`flowc demo --processes`: trades between three nodes that are processes of their own, each killed
alone at random moments, and an audit of what all three have on disk.

It uses nodes as anybody would: `flowctl` makes and serves them, a client asks over HTTP. It looks
into no database; that is the example's audit, a process too.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import importlib
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from flowlang.demo.board import Kill, Quiet, Rows, View, live
from flowlang.demo.report import Check, Holding, holdings, verified
from flowlang.demo.tally import PARTIES
from flowlang.demo.town import Town, TownFailed, ran
from flowlang.demo.trading import UNASKED, Day, Plan, TradingFailed
from flowlang.demo.views import of

APP = "two_party_trade"
TRADES = 60
KILLS = 9
"""So many take about fifteen seconds."""


class DemoFailed(Exception):
    """Something other than what is shown here went wrong; the message says what."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How it went. Times are wall-clock; `median_trade_s` is from the order to its result."""

    ok: bool
    seed: int
    trades: int
    settled: int
    kills_wanted: int
    kills: list[Kill]
    seconds: float
    median_trade_s: float
    morning: list[Holding]
    now: list[Holding]
    checks: list[Check]


# --- the audit --------------------------------------------------------------------------------


async def audited(day: Day, plan: Plan, town: Town, example: Path) -> dict[str, Any]:
    """What the example's audit finds in the databases of parties that nobody serves any more.

    Raises:
        DemoFailed: the auditor itself failed.
    """
    orders = [
        {
            "order": one.order,
            "serial": one.serial,
            "price": one.price,
            "transaction": day.transactions.get(one.order, ""),
        }
        for one in plan.orders
    ]
    given = json.dumps({"issued": day.issued, "orders": orders}).encode()
    paths = [str(example), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "settled", str(town.folder)]
    _, out, err = await ran(command, given, environment)
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError:
        raise DemoFailed(f"the audit failed\n{err}") from None
    return answer


# --- the demo ---------------------------------------------------------------------------------


async def run(trades: int, kills: int, seed: int, folder: Path, view: View) -> Outcome:
    """Found a network in `folder`, trade, kill, and audit it. No process is left behind.

    Raises:
        DemoFailed, TownFailed, TradingFailed: something other than what is shown here went wrong.
    """
    began = time.monotonic()
    example = await asyncio.to_thread(_compiled)
    chance = random.Random(f"{seed}/{trades}/{kills}")
    plan = Plan.drawn(chance, trades, kills)
    town = await Town.founded(folder / "town", PARTIES, APP)
    try:
        # As a person would write it: up to which price the buyer's treasury is not asked.
        with (town.places["buyer"].folder / "node.toml").open("a") as file:
            file.write(f'\n[services."finance.cash.Treasury"]\nlimits = {{ EUR = {UNASKED} }}\n')
        day = Day(town, plan, chance, view)
        try:
            await day.hold()
        finally:
            await day.close()
        ended = Check("each process ended well when it was told to", await town.stop())
        found = await audited(day, plan, town, example)
    finally:
        town.close()
    findings = [Check(one["check"], one["wrong"]) for one in found["findings"]]
    checks = [*findings, *day.checks, ended]
    return Outcome(
        ok=not any(check.wrong for check in checks),
        seed=seed,
        trades=trades,
        settled=day.board.settled,
        kills_wanted=kills,
        kills=day.board.kills,
        seconds=round(time.monotonic() - began, 2),
        median_trade_s=round(statistics.median(day.took), 3),
        morning=[Holding(**one) for one in found["morning"]],
        now=[Holding(**one) for one in found["now"]],
        checks=checks,
    )


def _compiled() -> Path:
    """The folder of the example, compiled: once, before three nodes want it at the same time."""
    examples = importlib.import_module("flowlang.examples")
    try:
        folder: Path = examples.compiled(APP)
    except examples.NotCompiled as error:
        raise DemoFailed(str(error)) from None
    return folder


def run_processes(trades: int, kills: int, seed: int, keep: Path | None, as_json: bool) -> int:
    """What `flowc demo --processes` does; returns its exit code: 0 only if everything holds."""
    folder = (keep or Path(tempfile.mkdtemp(prefix="flowc-demo-"))).resolve()
    left = False
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        left = keep is not None
        with _view(as_json, trades, kills, seed) as view:
            outcome = asyncio.run(_until_told(run(trades, kills, seed, folder, view)))
        if as_json:
            print(json.dumps(dataclasses.asdict(outcome), indent=2))
        else:
            print(summary(outcome))
        left = left or not outcome.ok
        return 0 if outcome.ok else 1
    except (DemoFailed, TownFailed, TradingFailed) as error:
        print(f"error: the demo failed (seed {seed}): {error}", file=sys.stderr)
        left = True
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"error: {error.filename or folder}: {error.strerror}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("error: the demo was interrupted; no process is left", file=sys.stderr)
        return 1
    finally:
        if left:
            what = f"the network is in {folder / 'town'}, the logs of its parties beside it"
            print(what, file=sys.stderr if as_json else sys.stdout)
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _until_told(work: Any) -> Outcome:
    """Ended in good order by a terminal that is closed, and by `kill`, as by Ctrl-C."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(RuntimeError, ValueError):  # Not in the main thread.
            loop.add_signal_handler(number, task.cancel)
    outcome: Outcome = await work
    return outcome


@contextlib.contextmanager
def _view(as_json: bool, trades: int, kills: int, seed: int) -> Any:
    if as_json:
        yield Quiet()
        return
    print(
        f"{of(trades, 'trade')} between seller, buyer and notary, each a process of its own; "
        f"{of(kills, 'kill')}; seed {seed}",
        flush=True,
    )
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not sys.stdout.isatty():
        yield Rows(sys.stdout)
        return
    with live() as view:
        yield view


def summary(outcome: Outcome) -> str:
    """The outcome for people."""
    lines = [
        f"{of(outcome.settled, 'trade')} settled in {outcome.seconds:.1f} s, a trade in "
        f"{outcome.median_trade_s:.2f} s (median; kills included)"
    ]
    if outcome.kills:
        times = collections.Counter(kill.party for kill in outcome.kills)
        told = ", ".join(f"{name} {of(times[name], 'time')}" for name in PARTIES if times[name])
        flows = sum(kill.resumed for kill in outcome.kills)
        lines.append(f"killed with SIGKILL: {told}; {of(flows, 'flow')} went on afterwards")
    if len(outcome.kills) < outcome.kills_wanted:
        lines.append(
            f"  {outcome.kills_wanted} kills were wanted, but the trades were done by then"
        )
    lines += holdings(outcome.morning, outcome.now)
    lines.append("verified at the three nodes, in their databases and in the notary's book:")
    lines += verified(outcome.checks)
    if not outcome.ok:
        lines.append(f"FAILED; again with: flowc demo --processes --seed {outcome.seed}")
    return "\n".join(lines)
