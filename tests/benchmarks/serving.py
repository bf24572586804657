"""How long a node takes from its start until it serves, with flows at rest, and its memory.

`python tests/benchmarks/serving.py [FLOWS]` prints the figures; `make bench` has them, too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLOWS = 10_000

_FLOW = """
flow Nap(number: Int, whom: Text):
    startable by rpc
    let woken = number + 1
    sleep 30d
    log info "{whom} {woken}"
"""

_APP = """
import nap_flow
from flowrt.serving.apps import App

app = App(modules=(nap_flow,))
"""


def served(figures: dict[str, float], flows: int = FLOWS) -> None:
    """Figures `serve_*`: seconds from the process's start to its line, of wall time and processor
    time, the least of several; MiB of memory when it has rested for a second; with flows at rest
    and without."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _made(folder)
        for name, count in (("serve_empty", 0), ("serve", flows)):
            if count:
                asyncio.run(_fill(folder, count))
            wall, cpu, memory = min(_once(folder) for _ in range(6))
            figures[f"{name}_s"], figures[f"{name}_cpu_s"] = wall, cpu
            figures[f"{name}_rss_mib"] = memory
    figures["serve_flows"] = flows


def _made(folder: Path) -> None:
    from flowrt.serving import network

    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    python = folder / "python"
    python.mkdir()
    (python / "nap.flow").write_text(_FLOW.lstrip())
    (python / "nap_app.py").write_text(_APP.lstrip())
    command = [str(Path(sys.executable).with_name("flowc")), "compile", "nap.flow"]
    subprocess.run(command, check=True, cwd=python, capture_output=True)
    made = network.create(
        folder / "town", ["alice"], apps=["nap_app:app"], ports=ports[:1], http_ports=ports[1:]
    )
    toml = made[0].folder / "node.toml"
    toml.write_text(toml.read_text().replace("apps =", 'path = ["../../python"]\napps =', 1))


async def _fill(folder: Path, flows: int) -> None:
    from flowrt.serving import process
    from flowrt.serving.config import read

    parts, troubles = process.inspected(read(folder / "town/alice"))
    assert parts is not None, troubles
    served = await process.Served.open(parts)
    import nap_flow

    try:
        started = [
            served.node.start(nap_flow.Nap_v1, number=number, whom=f"customer {number:05}")
            for number in range(flows)
        ]
        await asyncio.gather(*started)
    finally:
        await served.close()


def _once(folder: Path) -> tuple[float, float, float]:
    command = [sys.executable, "-m", "flowrt.cli", "up", str(folder / "town/alice")]
    # As it is installed: Python keeps what it has compiled. Some machines that build and test tell
    # it not to, and then every start compiles all again.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    begun = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert running.stdout is not None
    line = running.stdout.readline()
    wall = time.perf_counter() - begun
    assert "serves" in line
    cpu = _cpu_s(running.pid)
    time.sleep(1)
    status = Path(f"/proc/{running.pid}/status").read_text()
    [memory] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    running.send_signal(signal.SIGTERM)
    running.communicate()
    return wall, cpu, int(memory) / 1024


def _cpu_s(pid: int) -> float:
    """The processor time of all threads of a process until now."""
    spent = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in spent) / 1e9


if __name__ == "__main__":
    found: dict[str, float] = {}
    served(found, int(sys.argv[1]) if len(sys.argv) > 1 else FLOWS)
    for name, value in found.items():
        print(f"{name:24} {value:10.3f}")
