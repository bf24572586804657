"""`flowc demo`: a day of trades whose worker is killed again and again, and an audit at the end.

It compiles the example, starts the worker, kills it at random moments and starts it again on the
same databases. It knows the worker's and the auditor's lines of JSON and nothing of their insides:
both are processes of the example's own code.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import IO

from flowlang.demo.report import Audit, Check, Holding, Report, summary
from flowlang.demo.tally import Tally
from flowlang.demo.views import Lines, Silence, Trees, View, of
from flowlang.diagnostics import Diagnostic, as_text
from flowlang.project import Project, write_all
from flowlang.source import Source

EXAMPLE = "two_party_trade"

PATIENCE_S = 30.0
"""How long a worker may say nothing before the demo gives up on it."""

BURST = 12
"""A worker is killed at most this many commits after the trade that was chosen for it."""

RESERVE = 5
"""With fewer trades left than this and a quarter of the kills that are due, a worker is killed at
its next commit, so that each kill finds trades under way."""

EARLY = 0.1
"""How often a worker is killed while it starts, before it has opened its databases."""


class DemoFailed(Exception):
    """The worker or the auditor could not do its work; the message has what it said last."""


# --- the worker and who kills it --------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Work:
    """Where a day is held: the compiled example and, beside it, the parties' databases."""

    folder: Path
    seed: int
    trades: int

    @property
    def app(self) -> Path:
        return self.folder / "app"

    def command(self, module: str) -> list[str]:
        """Runs a module of the example as a process of its own."""
        return [
            *(sys.executable, "-m", module, str(self.folder)),
            *("--seed", str(self.seed), "--trades", str(self.trades)),
        ]

    def environment(self) -> dict[str, str]:
        paths = [str(self.app), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def hold(work: Work, kills: int, view: View) -> Tally:
    """Hold the day: start a worker, kill it, start the next, until one comes to the end.

    Raises:
        DemoFailed: a worker failed by itself, or came to a stop.
    """
    day = Tally(work.trades, kills)
    chance = random.Random(work.seed)
    while not day.closed:
        with (work.folder / "worker.log").open("ab") as log, _started(work, log) as worker:
            if _watch(worker, day, view, kills - day.killed, chance):
                day.unseen += 1
                view.killed(day)
            elif worker.wait() != 0 or not day.closed:
                raise DemoFailed(f"the worker stopped by itself\n{_last_words(work)}")
    return day


@contextlib.contextmanager
def _started(work: Work, log: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    worker = subprocess.Popen(
        work.command("day"),
        env=work.environment(),
        cwd=work.folder,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()
        assert worker.stdout is not None
        worker.stdout.close()


def _watch(
    worker: subprocess.Popen[str], day: Tally, view: View, due: int, chance: random.Random
) -> bool:
    """Read what the worker tells until it ends, or, while kills are `due`, until its time to die
    has come (True)."""
    if due and day.opened and chance.random() < EARLY:
        time.sleep(chance.random() * 0.3)
        worker.kill()
        return True
    # The kills are spread over the trades that are left; then some commits more.
    share = (day.trades - day.over) / (due + 1)
    mark = day.over + chance.random() * share
    commits = chance.randint(1, max(1, min(BURST, round(2 * share))))
    pause = chance.random() * 0.01
    assert worker.stdout is not None
    with Guard(worker) as guard:
        for line in worker.stdout:
            guard.fed()
            if not line.endswith("\n"):
                break  # The process ended in the middle of a word.
            fact = json.loads(line)
            day.take(fact)
            view.fact(day, fact)
            if not due or not day.flying or fact["tell"] != "commit":
                continue
            left = day.trades - day.over
            commits -= day.over >= mark
            few = left <= RESERVE + due // 4
            if few or commits <= 0:
                # Somewhere between two commits, or in the middle of the next.
                time.sleep(0 if few else pause)
                worker.kill()
                return True
    if guard.tripped:
        raise DemoFailed(f"the worker said nothing for {PATIENCE_S:g} s")
    return False


class Guard:
    """Kills a worker that says nothing for too long, so that the demo ends in any case."""

    def __init__(self, worker: subprocess.Popen[str]) -> None:
        self.tripped = False
        self._worker = worker
        self._heard = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def __enter__(self) -> Guard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def fed(self) -> None:
        """The worker said something."""
        self._heard = time.monotonic()

    def _wait(self) -> None:
        while not self._over.wait(min(1.0, PATIENCE_S)):
            if time.monotonic() - self._heard > PATIENCE_S:
                self.tripped = True
                self._worker.kill()
                return


def _last_words(work: Work) -> str:
    text = (work.folder / "worker.log").read_text(errors="replace")
    return "\n".join(text.splitlines()[-20:])


# --- the audit --------------------------------------------------------------------------------


def audited(work: Work, day: Tally) -> Audit:
    """What the auditor finds in the databases, and whether the flows told the same.

    Raises:
        DemoFailed: the auditor itself failed.
    """
    run = subprocess.run(
        work.command("audit"),
        env=work.environment(),
        cwd=work.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(run.stdout)
    except ValueError:
        raise DemoFailed(f"the audit failed\n{run.stderr}") from None
    found = [Check(finding["check"], finding["wrong"]) for finding in answer["findings"]]
    settled: dict[str, str] = answer["settled"]
    wrong = []
    for order, end in sorted(day.ends.items()):
        due = "settled" if order in settled else answer["ends"].get(order, "nothing")
        if (settled.get(order), due) != (day.transactions.get(order), end):
            wrong.append(
                f"{order}: the flow ended with {end} {day.transactions.get(order, '')}, "
                f"the databases say {settled.get(order, 'that nothing was sold')}"
            )
    if len(day.ends) != work.trades:
        wrong.append(f"{len(day.ends)} trades ended, of {work.trades}")
    return Audit(
        [*found, Check("the flows returned what the databases say", wrong)],
        [Holding(**one) for one in answer["morning"]],
        [Holding(**one) for one in answer["now"]],
    )


# --- the demo ---------------------------------------------------------------------------------


def prepare(folder: Path) -> None:
    """Copy the example's sources into `folder`/app and compile them there.

    Raises:
        DemoFailed: the example does not compile; that is our own mistake.
    """
    app = folder / "app"
    app.mkdir(parents=True)
    for item in resources.files("flowlang.examples").joinpath(EXAMPLE).iterdir():
        if item.name.endswith((".flow", ".py")) and not item.name.endswith("_flow.py"):
            (app / item.name).write_bytes(item.read_bytes())
    _compile(Project(app, app))


def _compile(project: Project) -> None:
    # Imported late: whoever only reads this module's names need not wait for a compiler.
    from flowlang.build import all_python
    from flowlang.compiler import compile_modules
    from flowlang.parser import decode

    def load(module: str) -> Source | Diagnostic | None:
        data = project.read(module)
        return None if data is None else decode(f"{module}.flow", module, data)

    compilation = compile_modules(["trade"], load, project.modules)
    if compilation.diagnostics:
        raise DemoFailed(
            "".join(as_text(found, compilation.sources) for found in compilation.diagnostics)
        )
    write_all(all_python(compilation, project.output))


def run(trades: int, kills: int, seed: int, folder: Path, view: View) -> Report:
    """Hold the day in `folder`, which must not hold one already, and audit it.

    Raises:
        DemoFailed: something other than what is shown here went wrong.
    """
    began = time.monotonic()
    work = Work(folder, seed, trades)
    prepare(folder)
    day = hold(work, kills, view)
    found = audited(work, day)
    return Report(
        ok=not any(check.wrong for check in found.checks),
        seed=seed,
        trades=trades,
        settled=day.settled,
        refused=len(day.ends) - day.settled,
        refusals=dict(
            sorted(collections.Counter(e for e in day.ends.values() if e != "settled").items())
        ),
        kills_wanted=kills,
        killed=day.killed,
        kills=day.kills,
        flows_resumed=day.flows_resumed,
        checkpoints=len(day.resting),
        largest_checkpoint=max(day.resting),
        median_checkpoint=round(statistics.median(day.resting)),
        seconds=round(time.monotonic() - began, 2),
        morning=found.morning,
        now=found.now,
        checks=found.checks,
    )


TRADES = 50
KILLS = 5


def run_demo(
    trades: int | None,
    kills: int | None,
    seed: int | None,
    keep: Path | None,
    as_json: bool,
    *,
    processes: bool = False,
) -> int:
    """What `flowc demo` does; returns its exit code: 0 only if everything holds."""
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    if keep is not None and keep.exists() and any(keep.iterdir()):
        print(f"{keep} is not empty; name a new folder for --keep", file=sys.stderr)
        return 2
    if processes:
        from flowlang.demo import processes as own

        trades = own.TRADES if trades is None else trades
        kills = own.KILLS if kills is None else kills
        return own.run_processes(trades, kills, seed, keep, as_json)
    trades = TRADES if trades is None else trades
    kills = KILLS if kills is None else kills
    folder = keep or Path(tempfile.mkdtemp(prefix="flowc-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _view(as_json, trades, kills, seed) as view:
            report = run(trades, kills, seed, folder.resolve(), view)
    except DemoFailed as error:
        print(f"the demo failed (seed {seed}): {error}", file=sys.stderr)
        return 1
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print(json.dumps(dataclasses.asdict(report), indent=2))
    else:
        print(summary(report, keep))
    return 0 if report.ok else 1


@contextlib.contextmanager
def _view(as_json: bool, trades: int, kills: int, seed: int) -> Iterator[View]:
    if as_json:
        yield Silence()
        return
    who = f"{of(trades, 'trade')} on the ledger of seller, buyer and notary"
    print(f"{who}; {of(kills, 'kill')}; seed {seed}")
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not sys.stdout.isatty():
        yield Lines(sys.stdout)
        return
    from rich.live import Live

    with Live(refresh_per_second=12, transient=True) as live:
        yield Trees(live.update)
