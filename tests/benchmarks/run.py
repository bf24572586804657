"""`make bench`: the workloads, with raw SQLite beside them; a table, and build/bench.json.

Every figure is the median of its runs within this one run. Times are never an assertion.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workloads import (
    HALF_LOAD,
    LATENCY,
    SHARED,
    STEP_ALONE,
    W1,
    W2,
    W3_MAKE,
    W3_OPEN,
    W3_RESUME,
    W4,
)

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

sys.path.insert(0, str(ROOT))

from tests.benchmarks.flood import FLOOD  # noqa: E402  # this is a script, in no package
from tests.benchmarks.interface import interface  # noqa: E402

FLOWS = 200_000
"""How many flows rest in W3 if nothing else is said."""

GOALS: dict[str, str] = {
    "w1_flows_per_s": "10,000 or more",
    "w1_p50_ms": "under 2",
    "hostile_p99_ms": "twice honest_p99_ms at most",
    "w2_messages_per_s": "20,000 or more",
    "step_p50_ms": "three times commit_p50_ms",
    "step_idle_p50_ms": "three times commit_p50_ms",
    "step_p99_ms": "three times commit_p99_ms",
    "w3_bytes_per_flow": "under 200 (bare rows: 77)",
    "w3_start_s": "under 5",
    "w3_rss_mib": "under 400",
    "w3_resumed_per_s": "5,000 or more",
    "w4_first_flow_s": "under 0.25",
    "serve_s": "under 0.5",
    "check_unchanged_cpu_s": "under 0.2",
    "check_cold_s": "under 6, with compile_cold_s",
    "check_one_changed_s": "under 0.6",
    "project_check_unchanged_cpu_s": "under 0.2",
    "compile_cold_s": "under 6",
    "compile_one_changed_s": "under 0.6",
    "project_compile_unchanged_cpu_s": "under 0.2",
    "cost_per_line_growth": "about 1",
    "protocol_2000_states_s": "under 1",
    "protocol_hub_20_s": "under 1",
    "protocol_200_flows_cpu_s": "under 3",
    "protocol_cost_per_session_growth": "about 1",
    "sim_worlds_per_s": "50 or more",
    "sim_events_per_s": "15,000 or more",
    "wire_dribbled_p99_us": "as wire_alone_p99_us, but for the processor that it takes",
}

SIM = """
import itertools
from flowrt.sim import campaign
from tests.simulation import programs, stories
programs.quiet()
made = [*stories.examples(), *itertools.islice(programs.stories(), 36)]
campaign.run(made, 200, first=1_000, processes=1)
figures = campaign.run(made, 1_200, processes=1)
assert not figures.violated, figures.as_text()
print(figures.worlds_per_s, figures.events_per_s)
"""


def simulation(figures: dict[str, float]) -> None:
    """Worlds of the examples and of random programs, in one process: what `make sim` plays."""
    done = subprocess.run(
        [sys.executable, "-c", SIM], check=True, capture_output=True, text=True, cwd=ROOT
    )
    worlds, events = done.stdout.split()
    figures["sim_worlds_per_s"], figures["sim_events_per_s"] = float(worlds), float(events)


def child(code: str, generated: Path, *arguments: object) -> list[str]:
    """Run one workload in a process of its own; what it printed, as words."""
    command = [sys.executable, "-c", SHARED + code, str(generated), *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.split()


def median_of(runs: int, once: Callable[[Path], float]) -> float:
    """The median of several runs, each in a new folder."""
    figures = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            figures.append(once(Path(folder)))
    return statistics.median(figures)


def raw_rows(group: int, rows: int) -> Callable[[Path], float]:
    """Bare SQLite at the same setting: rows per second, `group` to a commit."""

    def once(folder: Path) -> float:
        db = sqlite3.connect(folder / "raw.db", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, due INTEGER, data BLOB)")
        begun = time.perf_counter()
        for start in range(0, rows, group):
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "INSERT INTO row VALUES (?, 0, ?)",
                [(n, b"x" * 60) for n in range(start, start + group)],
            )
            db.execute("COMMIT")
        seconds = time.perf_counter() - begun
        db.close()
        return rows / seconds

    return once


def raw_bytes(rows: int) -> Callable[[Path], float]:
    """Bytes of a bare row with the same five variables."""

    def once(folder: Path) -> float:
        path = folder / "raw.db"
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, a, b, c, d, e)")
        db.executemany(
            "INSERT INTO row VALUES (?, ?, 'EUR and USD', ?, ?, ?)",
            [(n, f"customer {n:05}", n, 100 * n, n.to_bytes(32, "big")) for n in range(rows)],
        )
        db.commit()
        db.close()
        return path.stat().st_size / rows

    return once


def workload_3(generated: Path, flows: int, figures: dict[str, float]) -> None:
    """Flows at rest: bytes on disk and in memory, start, resumption."""
    figures["w3_flows"] = flows
    with tempfile.TemporaryDirectory() as folder:
        made, each = child(W3_MAKE, generated, folder, flows)
        figures["w3_made_per_s"] = float(made)
        figures["bytes_per_idle_session"] = float(each)
        for party, name in (("alice", "w3_bytes_per_flow"), ("bob", "w3_responder_bytes_per_flow")):
            path = Path(folder, f"{party}.db")
            db = sqlite3.connect(path)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.close()
            figures[name] = path.stat().st_size / flows
        figures["w3_rss_mib"] = float(child(W3_OPEN, generated, folder, flows)[0])
        begun = time.time()
        first, rate, most = child(W3_RESUME, generated, folder, flows)
        figures["w3_start_s"] = float(first) - begun
        figures["w3_resumed_per_s"] = float(rate)
        figures["w3_resuming_peak_mib"] = float(most)
    figures["raw_bytes_per_row"] = median_of(1, raw_bytes(flows))


def flooded(generated: Path, figures: dict[str, float]) -> None:
    """A conversation's time beside a peer that floods, and without it."""
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            found.append([float(word) for word in child(FLOOD, generated, folder, 300)])
    names = ("honest_p50_ms", "honest_p99_ms", "hostile_p50_ms", "hostile_p99_ms")
    for name, values in zip(names, zip(*found, strict=True), strict=True):
        figures[name] = statistics.median(values)


def half_load(generated: Path, flows_per_s: float, figures: dict[str, float]) -> None:
    """How long one step takes while others come at half of the rate that is possible, and a bare
    commit on the same disk."""
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            words = child(HALF_LOAD, generated, folder, flows_per_s / 2, 3)
        found.append([float(word) for word in words])
    names = ("step_p50_ms", "step_p99_ms", "commit_p50_ms", "commit_p99_ms")
    for name, times in zip(names, zip(*found, strict=True), strict=True):
        figures[name] = statistics.median(times)


def workload_4(generated: Path) -> Callable[[Path], float]:
    """From process start to the first flow's result, on an existing database."""

    def once(folder: Path) -> float:
        child(W4, generated, folder)
        begun = time.time()
        return float(child(W4, generated, folder)[0]) - begun

    return once


def compiling(figures: dict[str, float]) -> None:
    """Lines compiled per second, and an unchanged check."""
    from flowlang.codegen import generate
    from flowlang.compiler import compile_modules
    from flowlang.source import Source

    text = (HERE / "bench.flow").read_text()
    copies = {f"copy{n}": text for n in range(50)}
    lines = sum(copy.count("\n") for copy in copies.values())
    compile_modules(["copy0"], lambda name: Source(name, name, copies[name]), list)
    begun = time.perf_counter()
    done = compile_modules(
        list(copies), lambda name: Source(f"{name}.flow", name, copies[name]), list
    )
    checked = time.perf_counter()
    for module in done.modules.values():
        generate(module)
    seconds = time.perf_counter() - begun
    assert not done.diagnostics
    figures["compile_lines_per_s"] = lines / seconds
    figures["check_lines_per_s"] = lines / (checked - begun)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bench.flow").write_text(text)
        command = [sys.executable, "-m", "flowlang", "check", folder]
        environment = {"XDG_CACHE_HOME": folder, "PATH": ""}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        costs = []
        for _ in range(5):
            before = _children_cpu()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            costs.append(_children_cpu() - before)
        figures["check_unchanged_cpu_s"] = statistics.median(costs)


def whole_project(figures: dict[str, float]) -> None:
    """A project of 50 files: all of it, one file changed, nothing changed; and how cost grows."""
    import project

    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        environment = {"XDG_CACHE_HOME": str(folder / "cache"), "PATH": ""}
        figures["project_lines"] = lines = project.make(folder)

        def flowc(command: str) -> tuple[float, float]:
            begun, before = time.perf_counter(), _children_cpu()
            arguments = [sys.executable, "-m", "flowlang", command, "flows"]
            subprocess.run(arguments, check=True, capture_output=True, env=environment, cwd=folder)
            return time.perf_counter() - begun, _children_cpu() - before

        changing = folder / "flows" / "part2" / "flows25.flow"
        flowc("check")  # Once on a machine, the parser's table is made.
        for command in ("check", "compile"):
            shutil.rmtree(folder / "cache" / "flowlang", ignore_errors=True)
            shutil.rmtree(folder / "out", ignore_errors=True)
            flowc_table(environment)
            figures[f"{command}_cold_s"], cold_cpu = flowc(command)
            figures[f"{command}_cold_cpu_s"] = cold_cpu
            if command == "check":
                figures["check_cold_cpu_us_per_line"] = cold_cpu / lines * 1e6
            changed = []
            for number in range(5):
                changing.write_text(f"{changing.read_text()}# {number}\n")
                changed.append(flowc(command))
            figures[f"{command}_one_changed_s"] = statistics.median(wall for wall, _ in changed)
            figures[f"{command}_one_changed_cpu_s"] = statistics.median(cpu for _, cpu in changed)
            cpu = statistics.median(flowc(command)[1] for _ in range(5))
            figures[f"project_{command}_unchanged_cpu_s"] = cpu
        figures["compile_peak_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    figures["cost_per_line_growth"] = _cost_per_line(150) / _cost_per_line(30)


def agreement(figures: dict[str, float]) -> None:
    """Whether the two sides of sessions fit, for large flows and many of them."""
    import protocols

    protocols.measure(figures)


def ledger(figures: dict[str, float]) -> dict[str, float]:
    """What the ledger costs."""
    from tests.benchmarks import ledger as of_ledger

    of_ledger.measure(figures)
    return figures


def serving(figures: dict[str, float]) -> None:
    """From a node's start until it serves, and its memory when it is idle."""
    from tests.benchmarks import serving as of_serving

    of_serving.served(figures)


def town(figures: dict[str, float]) -> None:
    """Trades between three processes."""
    from tests.benchmarks import town as of_town

    of_town.traded(figures)


def wire(figures: dict[str, float]) -> dict[str, float]:
    """What connections between processes cost."""
    from tests.benchmarks import wire as of_wire

    of_wire.measure(figures)
    return figures


def flowc_table(environment: dict[str, str]) -> None:
    """Make the parser's table, which is there once and for all after a first run on a machine."""
    code = "from flowlang.parser.table import load_table; load_table()"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def _cost_per_line(files: int) -> float:
    """Seconds that checking a line takes in a project of so many files."""
    import project

    from flowlang.compiler import compile_modules
    from flowlang.source import Source

    texts = project.texts(files)
    sources = {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}
    gc.collect()
    gc.disable()  # As the command does.
    begun = time.process_time()
    assert not compile_modules(list(sources), sources.get).diagnostics
    seconds = time.process_time() - begun
    gc.enable()
    return seconds / sum(text.count("\n") for text in texts.values())


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=int, default=FLOWS, help="how many flows rest in W3")
    parser.add_argument("--runtime", action="store_true", help="leave the compiler's figures out")
    parser.add_argument("--ledger", action="store_true", help="the ledger's figures alone")
    parser.add_argument("--wire", action="store_true", help="the figures of connections alone")
    options = parser.parse_args()
    if options.wire:
        _report(wire({}))
        return
    if options.ledger:
        _report(ledger({}))
        return
    flows = options.flows
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as work:
        command = [
            sys.executable,
            "-m",
            "flowlang",
            "compile",
            str(HERE / "bench.flow"),
            "-o",
            work,
        ]
        subprocess.run(command, check=True, capture_output=True)
        generated = Path(work)
        figures["raw_sqlite_rows_per_s"] = median_of(3, raw_rows(256, 51_200))
        figures["raw_sqlite_commits_per_s"] = median_of(3, raw_rows(1, 1_000))
        by_concurrency = {
            n: median_of(
                3, lambda folder, n=n, count=count: float(child(W1, generated, folder, count, n)[0])
            )
            for n, count in ((1, 1_000), (16, 8_000), (256, 20_000), (4_096, 20_000))
        }
        for n, rate in by_concurrency.items():
            figures[f"w1_flows_per_s_at_{n}"] = rate
        figures["w1_flows_per_s"] = max(by_concurrency.values())
        half_load(generated, figures["w1_flows_per_s"], figures)
        for code, name in ((LATENCY, "w1"), (STEP_ALONE, "step_idle")):
            alone: list[Any] = []
            for _ in range(3):
                with tempfile.TemporaryDirectory() as folder:
                    alone.append([float(word) for word in child(code, generated, folder, 500)])
            figures[f"{name}_p50_ms"] = statistics.median(p50 for p50, _ in alone)
            figures[f"{name}_p99_ms"] = statistics.median(p99 for _, p99 in alone)
        figures["w2_messages_per_s"] = median_of(
            3, lambda folder: float(child(W2, generated, folder, 1_000)[0])
        )
        flooded(generated, figures)
        workload_3(generated, flows, figures)
        figures["w4_first_flow_s"] = median_of(5, workload_4(generated))
    if not options.runtime:
        compiling(figures)
        whole_project(figures)
        agreement(figures)
        simulation(figures)
    ledger(figures)
    serving(figures)
    interface(figures)
    town(figures)
    wire(figures)
    figures["w1_flows_per_raw_row"] = figures["w1_flows_per_s"] / figures["raw_sqlite_rows_per_s"]
    _report(figures)


def _report(figures: dict[str, float]) -> None:
    _print(figures)
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_text(json.dumps(figures, indent=2) + "\n")


def _print(figures: dict[str, float]) -> None:
    print(f"{'figure':32} {'measured':>12}  goal")
    for name, value in figures.items():
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        print(f"{name:32} {shown:>12}  {GOALS.get(name, '')}".rstrip())


if __name__ == "__main__":
    main()
