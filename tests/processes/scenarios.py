"""Single stories of processes: on a disk that is full, behind somebody who stands still.

Each gives what happened, as plain data, for a test to judge.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.processes import ends, points
from tests.processes.supervisor import PARTIES, Process, Supervisor

ANNA, BERT = PARTIES

DISK_BYTES = 4 << 20
SMALLEST_FILE = 64 << 10
"""A file that may not grow may be so large already: SQLite's shared memory is one, too."""


class Mounted:
    """A file system of its own, in memory, filled by somebody else's file."""

    kind = "tmpfs"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, world: Supervisor) -> None:
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self, world: Supervisor) -> None:
        self._ballast.unlink()

    def start(self, world: Supervisor) -> Process:
        return world.start(ANNA)


class Limited:
    """No file of a process may become larger. Needs no privilege; SQLite is told that the file is
    too large where a full disk would have no space."""

    kind = "limit"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._limit = 0

    def fill(self, world: Supervisor) -> None:
        log = Path(f"{world.paths[ANNA]}-wal")
        size = log.stat().st_size if log.exists() else 0
        self._limit = max(SMALLEST_FILE, size)
        process = world.processes.get(ANNA)
        if process is not None and process.ended is None:
            _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (self._limit, most))

    def free(self, world: Supervisor) -> None:
        self._limit = 0

    def start(self, world: Supervisor) -> Process:
        return world.start(ANNA, bytes_of_a_file=self._limit)


@contextlib.contextmanager
def small_disk(folder: Path, kind: str) -> Iterator[Mounted | Limited]:
    """A place for a store that can be full: a file system of its own, or, if this process may not
    mount one or `kind` is "limit", a limit on files."""
    folder.mkdir()
    if kind == "limit" or not _mount(folder):
        yield Limited(folder)
        return
    try:
        yield Mounted(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True)


def _mount(folder: Path) -> bool:
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs"]
    try:
        return not subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM):
            return False
        raise


def full_disk(folder: Path, module: ModuleType, kind: str) -> dict[str, Any]:
    """Anna's disk runs full while orders are under way, and stays so through some restarts; then
    there is room again."""
    with small_disk(folder / "small", kind) as disk:
        world = Supervisor(folder, module)
        world.paths[ANNA] = disk.folder / "anna.db"
        try:
            for party in PARTIES:
                world.start(party)
            world.until(lambda: all(map(world.living, PARTIES)), "opening")
            for number in range(20):
                world.order(PARTIES[number % 2], number % 8 + 1)
            world.until(lambda: world.under_way() < 15, "the first ends")
            disk.fill(world)
            said = [_ending(world, world.processes[ANNA])]
            for _ in range(3):
                said.append(_ending(world, disk.start(world)))
            acknowledged = sum(bool(order.started) for order in world.orders.values())
            assert world.processes[BERT].ended is None
            under_way = world.under_way()
            disk.free(world)
            begun = time.monotonic()
            # Bert has lived on; only anna is opened again.
            disk.start(world)
            world.until(lambda: not world.under_way(), "the end of all orders")
            seconds = time.monotonic() - begun
            world.rest(ends.is_quiet)
            world.stop()
        finally:
            world.close()
        return {
            "kind": disk.kind,
            "said": said,
            "acknowledged": acknowledged,
            "under_way": under_way,
            "recovered_s": round(seconds, 2),
            "orders": len(world.orders),
            "findings": ends.look(world),
        }


def _ending(world: Supervisor, process: Process) -> tuple[int | None, str]:
    """How a process ends by itself on a full disk, while clients go on asking; and what it says."""
    give_up = time.monotonic() + 20.0
    while process.ended is None and time.monotonic() < give_up:
        if process.is_open and world.under_way() < 60:
            world.order(ANNA, 5)
        world.turn()
        world.reap()
    return process.ended, world.log(process)


def no_room_to_create(folder: Path, module: ModuleType) -> dict[str, Any]:
    """A store is to be created on a disk that is full already; then there is room."""
    with small_disk(folder / "small", "tmpfs") as disk:
        world = Supervisor(folder, module)
        world.paths[ANNA] = disk.folder / "anna.db"
        try:
            disk.fill(world)
            if disk.kind == "limit":
                process = world.start(ANNA, bytes_of_a_file=8192)
            else:
                process = disk.start(world)
            said = _ending(world, process)
            disk.free(world)
            world.start(BERT)
            disk.start(world)
            world.until(lambda: all(map(world.living, PARTIES)), "opening")
            world.order(ANNA, 3)
            world.until(lambda: not world.under_way(), "the end of the order")
            world.rest(ends.is_quiet)
            world.stop()
        finally:
            world.close()
        return {"kind": disk.kind, "said": said, "findings": ends.look(world)}


def held(folder: Path, module: ModuleType) -> dict[str, Any]:
    """Anna stands still in the middle of a transaction. Who would take over is told why that does
    not go, and what to do; when the first is ended, it goes."""
    world = Supervisor(folder, module)
    try:
        world.start(BERT)
        first = world.start(ANNA, points.HELD)
        world.order(ANNA, 3)
        world.until(lambda: first.is_stopped, "standing still")
        second = world.start(ANNA, "any")
        world.wait(second)
        first.kill(signal.SIGKILL)
        world.wait(first)
        world.start(ANNA)
        world.until(lambda: not world.under_way(), "the end of the order")
        world.rest(ends.is_quiet)
        world.stop()
    finally:
        world.close()
    said = (second.ended, world.log(second))
    return {"said": said, "findings": ends.look(world)}


def folder_of(path: str) -> Path:
    """A folder for a story, created if it is missing; real, so that descriptors name it so."""
    os.makedirs(path, exist_ok=True)
    return Path(path).resolve()
