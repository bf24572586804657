"""Real processes: killed at every named point and at random, stopped, behind a full disk.

Nothing may be lost or doubled. `make kill` holds the long campaign, of `FLOW_KILLS` kills or more,
and prints its table.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import planted, points, syscalls
from tests.processes.campaign import EVERY
from tests.processes.flood import KEPT, RESULTS

ROOT = Path(__file__).parent.parent
KILLS = int(os.environ.get("FLOW_KILLS", "300"))
SEED = int(os.environ.get("FLOW_KILLS_SEED", "1"))
TIMES = 6
"""How often a world of the long campaign meets each point; births apart, which are six."""

FULL = "database or disk is full"
TOO_LARGE = "disk I/O error"
"""What SQLite says where a file may not grow, though the disk has room."""


def story(name: str, folder: Path, *, timeout_s: float = 120, **settings: Any) -> Any:
    """What came of a story, told in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.processes", name, str(folder), json.dumps(settings)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hold(folder: Path, *, worlds: int, times: int, **settings: Any) -> Any:
    """A campaign in which nothing may be wrong, and every point was met."""
    found = story("campaign", folder, worlds=worlds, times=times, seed=SEED, **settings)
    assert found["findings"] == []
    kills = {point: row["kills"] for point, row in found["rows"].items()}
    wanted = {point: worlds * times for point in EVERY if point not in points.STOPPED}
    wanted |= dict.fromkeys(points.CREATING, 2 * worlds)
    assert [point for point in wanted if kills[point] < wanted[point]] == []
    assert found["fenced"] == len(points.STOPPED) * times * worlds
    return found


def test_nothing_is_lost_or_doubled_wherever_a_process_dies(tmp_path: Path) -> None:
    found = hold(tmp_path, worlds=1, times=1)
    assert sum(row["kills"] for row in found["rows"].values()) >= 24


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_a_long_campaign_of_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_a_world = TIMES * len(EVERY) + 2 * len(points.CREATING)
    # A third world, however few kills are wanted, so that the births come to six of each.
    worlds = max(3, math.ceil(KILLS / in_a_world))
    found = hold(tmp_path, worlds=worlds, times=TIMES, timeout_s=3600)
    kills = sum(row["kills"] for row in found["rows"].values())
    with capsys.disabled():
        print(f"\n{found['table']}\n")
        print(
            f"{kills} kills in {worlds} worlds of two parties, {found['orders']} orders, "
            f"{found['fenced']} processes fenced, {found['answered']} interrupted operations "
            f"decided by a person, {found['tries']} tries for {found['effects']} effects, "
            f"{found['at_calls']} kills by the kernel at a system call, {found['seconds']:.0f} s "
            f"({kills / found['seconds']:.1f} kills a second)"
        )
    assert kills >= KILLS
    assert all(row["kills"] >= 5 for row in found["rows"].values())


# --- many conversations, and kills by chance ------------------------------------------------------


def swept(found: Any, *, orders: int, kills: int) -> None:
    """Nothing is lost or doubled, and nothing is left in any table but what is to be kept."""
    assert found["findings"] == []
    assert (found["kills"], found["flows"]) == (kills, 2 * orders)
    assert found["effects"] == found["keys"], "each effect was accepted under one key"
    outcomes = 0
    for party, left in found["left"].items():
        assert set(left) == KEPT | RESULTS
        assert set(found["purged"][party]) == KEPT
        assert (left["engine_node"], left["engine_peer"]) == (1, 1)
        outcomes += left["engine_outcome"]
    assert outcomes == 2 * orders


def test_conversations_through_kills_at_random_leave_results_and_nothing_else(
    tmp_path: Path,
) -> None:
    swept(story("flood", tmp_path, orders=100, kills=6, seed=SEED), orders=100, kills=6)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_ten_thousand_conversations_through_two_hundred_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = story("flood", tmp_path, timeout_s=3600, orders=10_000, kills=200, seed=SEED)
    with capsys.disabled():
        print(f"\n{found}")
    swept(found, orders=10_000, kills=200)


# --- that it can fail -------------------------------------------------------------------------

BEFORE = [points.COMMITTING[0]]
PLANTS: dict[str, tuple[list[str], str]] = {
    "acknowledges before the commit": (BEFORE, "lost"),
    "sends before the commit": (BEFORE, "lost"),
    "tells before the commit": (BEFORE, "lost"),
    "new keys in each process": ([points.WORKING[2]], "doubled"),
    "services commit by themselves": (BEFORE, "doubled"),
    "runs again what may run once": ([points.WORKING[2]], "doubled"),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_defect_is_seen(plant: str, tmp_path: Path) -> None:
    among, kind = PLANTS[plant]
    # Each world sees it with some luck; together they must.
    settings = {"among": among, "born": False, "patience_s": 4.0, "enough": kind}
    found = story("campaign", tmp_path, worlds=20, times=12, seed=SEED, plant=plant, **settings)
    assert kind in {finding[0] for finding in found["findings"]}
    row = found["rows"][among[0]]
    assert row[kind] > 0, "the table must tell at which point"


def test_a_store_without_a_fence_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"Unexpected: (anna|bert)"):
        story("campaign", tmp_path, among=list(points.STOPPED), born=False, plant="no fence")


def test_every_plant_is_tried() -> None:
    assert {"", "no fence", *PLANTS} == set(planted.NODES)


# --- stopped, and taken over ------------------------------------------------------------------


def test_who_stands_still_in_a_transaction_is_named_to_who_would_take_over(tmp_path: Path) -> None:
    found = story("held", tmp_path)
    code, said = found["said"]
    assert code == -4
    assert said == (
        f"anna cannot open: {tmp_path.resolve()}/anna.db cannot be opened as a store: "
        "database is locked; another process is in the middle of a commit and does not go on: "
        "end that one\n"
    )
    assert found["findings"] == []


# --- a full disk ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tmpfs", "limit"])
def test_a_full_disk_stops_a_process_and_loses_nothing(kind: str, tmp_path: Path) -> None:
    found = story("full_disk", tmp_path, kind=kind)
    cause = FULL if found["kind"] == "tmpfs" else TOO_LARGE
    (first, last_words), *again = found["said"]
    assert first == -3
    assert "anna stops: anna: the store cannot be written: " in last_words
    assert "nothing that was acknowledged is lost" in last_words
    assert again, "it was opened again while the disk was full"
    for code, said in found["said"]:
        assert code in (-3, -4)
        assert cause in said
        assert "Traceback" not in said
    assert found["under_way"] > 0
    assert found["findings"] == []


def test_no_store_is_created_on_a_full_disk(tmp_path: Path) -> None:
    found = story("no_room_to_create", tmp_path)
    code, said = found["said"]
    assert code == -4
    assert "anna cannot open: " in said
    assert "cannot be opened as a store" in said
    if found["kind"] == "tmpfs":
        assert said.endswith(f"{FULL}; make room there and open it again\n")
    assert found["findings"] == []


# --- the kernel's part ------------------------------------------------------------------------

WRITER = """
import os, sys
from pathlib import Path
from tests.processes import syscalls
path = Path(sys.argv[1])
file = os.open(path, os.O_CREAT | os.O_WRONLY)
os.pwrite(file, b"a", 0)
syscalls.die_at_write(path, size=2)
os.pwrite(file, b"b", 1)
os.pwrite(file, b"cc", 2)
print("lived")
"""
WITHOUT = """
import threading
from tests.processes import syscalls
syscalls.machine = lambda: None
syscalls.die_at_sync()
threading.Event().wait(60)
"""


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_process_dies_between_two_writes(tmp_path: Path) -> None:
    path = tmp_path.resolve() / "file"
    done = _run(WRITER, str(path))
    assert -done.returncode in syscalls.DEATHS
    if -done.returncode == syscalls.DEATHS[1]:
        assert path.read_bytes() == b"ab"


def test_where_there_are_no_filters_it_is_killed_a_moment_later() -> None:
    assert -_run(WITHOUT).returncode == syscalls.DEATHS[0]
