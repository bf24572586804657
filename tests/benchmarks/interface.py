"""The HTTP interface: from start to result, flows a second, a thousand readers of one flow.

The node is in a process of its own, on SQLite with full synchronisation; the client is a few lines
on sockets, so that the figures are the node's. `python -m tests.benchmarks.interface` prints them.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STARTS = 600
AT_ONCE = 16
WATCHERS = 1_000
MOVES = 20
TOKEN = "the-token-of-ann-xxxxxxxxxxxxxxxxxxxx"


async def serve(folder: str) -> None:
    """Be the node, until the standard input ends."""
    from flowrt.api.server import ApiConfig
    from flowrt.api.server import serve as serve_http
    from flowrt.node import Node
    from flowrt.store.sqlite import SqliteStore
    from flowrt.transport.memory import MemoryNetwork
    from tests.api.scene import ROLES, Desk, program, users

    node = await Node.open(
        "alice",
        store=SqliteStore(Path(folder) / "alice.db"),
        network=MemoryNetwork(),
        modules=[program()],
        services={"Desk": Desk()},
    )
    server = await serve_http(node, ApiConfig("127.0.0.1:0", users=users(), roles=ROLES))
    print(server.address, program().__name__.removesuffix("_flow"), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        assert line
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_maxrss, used.ru_utime + used.ru_stime, flush=True)
    await server.close()
    await node.close()


class Line:
    """One connection of a client."""

    async def open(self, address: str) -> Line:
        host, _, port = address.rpartition(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port))
        return self

    def send(self, method: str, path: str, body: Any = None) -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        data = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + data)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        self.send(method, path, body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return json.loads(await self.reader.readexactly(length))


async def ask_all(address: str, module: str, usage: Any) -> dict[str, float]:
    """All figures of a node that serves there."""
    figures: dict[str, float] = {}
    line = await Line().open(address)
    await _starts(line, module, 50)
    alone = await _starts(line, module, STARTS)
    figures["http_start_result_p50_ms"] = statistics.median(alone)
    figures["http_start_result_p99_ms"] = statistics.quantiles(alone, n=100)[98]
    lines = [await Line().open(address) for _ in range(AT_ONCE)]
    begun, (_, before) = time.perf_counter(), usage()
    times = await asyncio.gather(*[_starts(one, module, STARTS // 4) for one in lines])
    together = [each for one in times for each in one]
    figures["http_flows_per_s_at_16"] = len(together) / (time.perf_counter() - begun)
    figures["http_start_result_at_16_p50_ms"] = statistics.median(together)
    figures["http_start_result_at_16_p99_ms"] = statistics.quantiles(together, n=100)[98]
    figures["http_flow_cpu_ms"] = (usage()[1] - before) / len(together) * 1000
    figures |= await _watched(line, address, module, usage)
    return figures


async def _starts(line: Line, module: str, count: int) -> list[float]:
    """Start flows one after the other and ask for the result of each; how long each took, in ms."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        flow = await line.ask("POST", "/v1/flows", {"flow": f"{module}.Ticks"})
        result = await line.ask("GET", f"/v1/flows/{flow['id']}/result?wait_s=30")
        assert result["result"] == "ticked"
        times.append((time.perf_counter() - begun) * 1000)
    return times


async def _watched(line: Line, address: str, module: str, usage: Any) -> dict[str, float]:
    """A thousand readers of one flow: how long until each has an event, and what that costs."""
    started = {"flow": f"{module}.Counts", "arguments": {"most": 10**6}}
    flow = (await line.ask("POST", "/v1/flows", started))["id"]
    at = f"/v1/flows/{flow}"
    rss, _ = usage()
    watchers = [await Line().open(address) for _ in range(WATCHERS)]
    for one in watchers:
        one.send("GET", f"{at}/progress")
    for one in watchers:
        await one.reader.readuntil(b"At 0")
    grown, before = usage()
    times = []
    for number in range(1, MOVES + 1):
        begun = time.perf_counter()
        await line.ask("POST", f"{at}/messages", {"message": "More", "fields": {"amount": 1}})
        for one in watchers:
            await one.reader.readuntil(b"At %d" % number)
        times.append((time.perf_counter() - begun) * 1000)
    _, after = usage()
    for one in watchers:
        one.writer.close()
    return {
        "http_watched_event_p50_ms": statistics.median(times),
        "http_watched_event_cpu_us": (after - before) / MOVES / WATCHERS * 1e6,
        "http_watcher_kib": (grown - rss) / WATCHERS,
    }


def interface(figures: dict[str, float]) -> dict[str, float]:
    """The figures of the interface, added to those that there are."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.benchmarks.interface", "serve", folder]
        node = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert node.stdin is not None
        assert node.stdout is not None
        stdin, stdout = node.stdin, node.stdout
        address, module = stdout.readline().split()

        def usage() -> tuple[float, float]:
            """(KiB of memory at most, seconds of processor) of the node."""
            print("?", file=stdin, flush=True)
            memory, seconds = stdout.readline().split()
            return float(memory), float(seconds)

        figures |= asyncio.run(ask_all(address, module, usage))
        stdin.close()
        node.wait(30)
        stdout.close()
    return figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(sys.argv[2]))
    else:
        for name, value in interface({}).items():
            print(f"{name:36} {value:10.3f}")
