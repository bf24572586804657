"""A network of parties, each a process of its own that `flowctl up` serves: made, killed, served
again, ended.

Does what a person would do with `flowctl`, and knows nothing of what the parties run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

PATIENCE_S = 60.0
"""How long a party may take to serve, or to end."""

LAST_WORDS = 12
"""How many lines of a log are shown where a party has failed."""


class TownFailed(Exception):
    """A party cannot be served, or has ended by itself; the message has what it said last."""


class Place(NamedTuple):
    """Where a party lives: its folder, the URL of its HTTP interface, its administrator's token."""

    folder: Path
    url: str
    token: str


class Town:
    """The parties' processes. Whoever makes one closes it.

    Attributes:
        folder: the network's; beside it lie the logs, a file for each party.
        places: by the party's name.
    """

    def __init__(self, folder: Path, places: Mapping[str, Place]) -> None:
        self.folder = folder
        self.places = dict(places)
        self._running: dict[str, subprocess.Popen[str]] = {}

    @classmethod
    async def founded(cls, folder: Path, names: Sequence[str], app: str) -> Town:
        """A new network in `folder`, which must not be there; the last of the names is its notary.
        Raises TownFailed."""
        for left in reversed(range(5)):
            first = free_ports(2 * len(names))
            ports = ("--port", str(first), "--http-port", str(first + len(names)))
            parties = ("--parties", *names, "--notary", names[-1], "--app", app)
            code, _, err = await output("network", "new", str(folder), *parties, *ports)
            if code == 0:
                break
            # Somebody may have taken one of the ports in between.
            if not left or "port" not in err:
                raise TownFailed(f"flowctl network new failed\n{err.strip()}")
        places = {}
        for number, name in enumerate(names, first + len(names)):
            token = (folder / name / "admin.token").read_text("utf-8").strip()
            places[name] = Place(folder / name, f"http://127.0.0.1:{number}", token)
        return cls(folder, places)

    def log(self, name: str) -> Path:
        """What a party's processes have written."""
        return self.folder.parent / f"{name}.log"

    def process(self, name: str) -> int | None:
        """The number of a party's process; None if there is none."""
        running = self._running.get(name)
        return None if running is None else running.pid

    async def serve(self, name: str) -> str:
        """Start a party, and wait until it serves; the line that says so. Raises TownFailed."""
        with self.log(name).open("ab") as log:
            # A session of its own: Ctrl-C is for the demo, which then ends all of them.
            running = self._running[name] = subprocess.Popen(
                flowctl("up", str(self.places[name].folder), "--log-level", "info"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert running.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = await asyncio.to_thread(_serving, running.stdout)
        except TimeoutError:
            raise TownFailed(f"{name} does not serve after {PATIENCE_S:g} s") from None
        if not line:
            raise TownFailed(f"{name} cannot be served\n{self._last_words(name)}")
        return line

    def kill(self, name: str) -> None:
        """`kill -9`."""
        _end(self._running.pop(name))

    def check(self) -> None:
        """Raises TownFailed: a party's process has ended by itself."""
        for name, running in self._running.items():
            code = running.poll()
            if code is not None:
                how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
                words = self._last_words(name)
                raise TownFailed(f"{name} has ended by itself ({how})\n{words}")

    async def stop(self) -> list[str]:
        """End all of them by SIGTERM; what was wrong with how they ended."""
        wrong = []
        for running in self._running.values():
            running.terminate()
        for name in list(self._running):
            try:
                code = await asyncio.to_thread(self._running[name].wait, PATIENCE_S)
            except subprocess.TimeoutExpired:
                wrong.append(f"{name} does not end within {PATIENCE_S:g} s of SIGTERM")
            else:
                if code:
                    wrong.append(f"{name} ended with exit code {code}")
            self.kill(name)
        return wrong

    def close(self) -> None:
        """Leave no process behind."""
        for name in list(self._running):
            self.kill(name)

    def _last_words(self, name: str) -> str:
        text = self.log(name).read_text("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-LAST_WORDS:]) or "it said nothing"


def resumed(line: str) -> int:
    """How many flows go on, by the line that a party serves."""
    found = re.search(r"(\d+) flows? resumed", line)
    return int(found[1]) if found else 0


def flowctl(*arguments: str) -> list[str]:
    """The command `flowctl` of this Python, wherever its script lies."""
    return [sys.executable, "-m", "flowrt.cli", *arguments]


async def output(*arguments: str) -> tuple[int, str, str]:
    """Run `flowctl` to its end: its exit code, what it printed, what it said to stderr."""
    return await ran(flowctl(*arguments))


async def ran(
    command: Sequence[str], given: bytes = b"", environment: Mapping[str, str] = os.environ
) -> tuple[int, str, str]:
    """Run a command to its end; it is killed if we are to end before."""
    running = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = await asyncio.to_thread(running.communicate, given)
    finally:
        running.kill()
    return running.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def _serving(out: IO[str]) -> str:
    """The line that a party serves; "" if it ends without one."""
    for line in out:
        if " serves " in line:
            return line.strip()
    return ""


def _end(running: subprocess.Popen[str]) -> None:
    running.kill()
    running.wait()
    # Whoever still reads it has come to the end by now.
    assert running.stdout is not None
    with contextlib.suppress(ValueError):
        running.stdout.close()


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody has. Not of those that systems give to
    connections: while a party is killed, somebody's connection might get the party's."""
    chance = random.SystemRandom()
    while True:
        first = chance.randrange(12_000, 32_000 - count)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
