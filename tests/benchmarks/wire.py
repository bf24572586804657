"""What connections cost: two processes on one machine, over mutual TLS 1.3 on the loopback, and a
third that dribbles."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from flowrt.core.flow import Party
from flowrt.limits import Limits
from flowrt.node import Node
from flowrt.store.sqlite import SqliteStore
from flowrt.transport.credentials import Credentials
from flowrt.transport.limits import WireLimits
from flowrt.transport.peers import FixedDirectory, parse_address
from flowrt.transport.tls import TlsNetwork
from tests.transport.certified import Town, until

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = 200
"""Bytes of a small packet."""

ROUNDS = 3_000
PACKETS = 60_000
LARGE = 200
CONVERSATIONS = 1_000
DRIBBLING = 2_000
SECONDS = 12.0

MANY = Limits(sessions=10**6, invitations_per_s=1e6, invitations_at_once=10**6)


def credentials(folder: Path, name: str) -> Credentials:
    return Credentials(folder / f"{name}.pem", folder / f"{name}.key", folder / "root.pem")


def prepare(folder: Path) -> None:
    """The files of two parties, and the compiled flows of the workloads."""
    town = Town(folder)
    for name in ("alice", "bob"):
        made = town.issue(name)
        made.certificate.rename(folder / f"{name}.pem")
        made.key.rename(folder / f"{name}.key")
    command = [sys.executable, "-m", "flowlang", "compile", "tests/benchmarks/bench.flow", "-o"]
    subprocess.run([*command, str(folder)], check=True, capture_output=True, cwd=ROOT)


async def node(name: str, network: TlsNetwork, folder: Path) -> Node:
    sys.path.insert(0, str(folder))
    import bench_flow

    store = SqliteStore(folder / f"{name}.db")
    return await Node.open(name, store=store, network=network, modules=[bench_flow], limits=MANY)


# --- the other process ----------------------------------------------------------------------------


async def echo(folder: Path) -> None:
    """Alice: she answers what ends with a question mark, and counts the rest; until her standard
    input ends."""
    network = TlsNetwork(credentials(folder, "alice"), FixedDirectory({"bob": []}), "127.0.0.1:0")
    heard = 0

    def receive(peer: str, packet: bytes) -> None:
        nonlocal heard
        heard += 1
        if packet.endswith(b"?"):
            place.send(peer, b"%d" % heard)

    place = network.join("alice", receive)
    await served(network)


async def serve(folder: Path) -> None:
    """Alice's node."""
    network = TlsNetwork(credentials(folder, "alice"), FixedDirectory({"bob": []}), "127.0.0.1:0")
    await network.listen()
    alice = await node("alice", network, folder)
    await served(network)
    await alice.close()


async def served(network: TlsNetwork) -> None:
    if network.address is None:
        await network.listen()
    print(network.address, flush=True)
    while command := await asyncio.to_thread(sys.stdin.readline):
        used = resource.getrusage(resource.RUSAGE_SELF)
        figures = network.figures()
        said = {"cpu_s": used.ru_utime + used.ru_stime, "rss_mib": resident_mib()}
        said |= {"refused": sum(figures.refused.values()), "handshakes": figures.handshakes}
        print(json.dumps({**said, "command": command.strip()}), flush=True)
    await network.close(1)


def resident_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


async def dribble(address: str, count: int) -> None:
    """So many sockets, each writing a byte of a greeting every tenth of a second; one that is cut
    comes back after a second."""
    host, port = parse_address(address)

    async def one(number: int) -> None:
        await asyncio.sleep(number / count)
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400):
                        if reader.at_eof() or writer.is_closing():
                            break
                        writer.write(bytes([byte]))
                        await asyncio.sleep(0.1)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))


# --- this process ---------------------------------------------------------------------------------


class Other:
    """The process at the other end."""

    def __init__(self, role: str, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.wire", role, str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self.address = self._out.readline().strip()

    def ask(self) -> dict[str, Any]:
        print("figures", file=self._in, flush=True)
        found: dict[str, Any] = json.loads(self._out.readline())
        return found

    def end(self) -> None:
        self._in.close()
        self._process.wait()
        self._out.close()


@contextlib.asynccontextmanager
async def bob(folder: Path, other: Other) -> AsyncIterator[TlsNetwork]:
    listed = FixedDirectory({"alice": [other.address]})
    network = TlsNetwork(credentials(folder, "bob"), listed, None, WireLimits(waiting=10**6))
    await network.listen()
    yield network
    await network.close(1)


async def packets(folder: Path, figures: dict[str, float]) -> None:
    """Round trips, and one way as fast as it goes."""
    other = Other("echo", folder)
    async with bob(folder, other) as network:
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        place = network.join("bob", lambda peer, packet: answers.put_nowait(packet))

        async def asked(packet: bytes) -> float:
            begun = time.perf_counter()
            place.send("alice", packet)
            await answers.get()
            return time.perf_counter() - begun

        question = b"x" * (SIZE - 1) + b"?"
        figures["wire_first_packet_ms"] = await asked(question) * 1000
        times = sorted([await asked(question) for _ in range(ROUNDS)])
        figures["wire_round_trip_p50_us"] = times[ROUNDS // 2] * 1e6
        figures["wire_round_trip_p99_us"] = times[ROUNDS * 99 // 100] * 1e6

        async def one_way(count: int, packet: bytes) -> tuple[float, float]:
            cpu = time.process_time() + other.ask()["cpu_s"]
            begun = time.perf_counter()
            for number in range(count):
                place.send("alice", packet)
                if number % 50 == 0 or len(packet) > SIZE:
                    while network.figures().waiting_bytes > 4 << 20:
                        await asyncio.sleep(0)
            await asked(question)
            taken = time.perf_counter() - begun
            return count / taken, count / (time.process_time() + other.ask()["cpu_s"] - cpu)

        each, work = await one_way(PACKETS, b"x" * SIZE)
        figures["wire_packets_per_s"] = each
        figures["wire_packets_per_cpu_s"] = work
        each, _ = await one_way(LARGE, bytes(1 << 20))
        figures["wire_mib_per_s"] = each
    other.end()


async def conversations(folder: Path, figures: dict[str, float]) -> None:
    """W2 between two processes: requests and replies, durable at each receive."""
    other = Other("node", folder)
    async with bob(folder, other) as network:
        mine = await node("bob", network, folder)
        import bench_flow

        cpu = time.process_time() + other.ask()["cpu_s"]
        begun = time.perf_counter()
        ask = {"whom": Party("alice"), "rounds": 10}

        async def one() -> None:
            handle = await mine.start(bench_flow.Asker_v1, **ask)
            assert await handle.result() == 90

        await asyncio.gather(*[one() for _ in range(CONVERSATIONS)])
        await until(lambda: not len(mine._outbox))
        messages = CONVERSATIONS * 20
        figures["tls_messages_per_s"] = messages / (time.perf_counter() - begun)
        spent = time.process_time() + other.ask()["cpu_s"] - cpu
        figures["tls_messages_per_cpu_s"] = messages / spent
        times = []
        for _ in range(200):
            begun = time.perf_counter()
            handle = await mine.start(bench_flow.Asker_v1, whom=Party("alice"), rounds=1)
            await handle.result()
            times.append(time.perf_counter() - begun)
        figures["tls_conversation_p50_ms"] = statistics.median(times) * 1000
        await mine.close()
    other.end()


async def dribbling(folder: Path, figures: dict[str, float]) -> None:
    """Round trips of an honest peer, alone, and beside sockets that dribble."""
    other = Other("echo", folder)
    async with bob(folder, other) as network:
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        place = network.join("bob", lambda peer, packet: answers.put_nowait(packet))

        async def trips() -> list[float]:
            times, end = [], time.perf_counter() + SECONDS
            while time.perf_counter() < end:
                begun = time.perf_counter()
                place.send("alice", b"x" * SIZE + b"?")
                await answers.get()
                times.append(time.perf_counter() - begun)
                await asyncio.sleep(0.002)
            return sorted(times)

        await trips()
        alone, before = await trips(), other.ask()
        arguments = ["dribble", other.address, str(DRIBBLING)]
        attack = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.wire", *arguments], cwd=ROOT
        )
        await until(lambda: other.ask()["refused"] > DRIBBLING, 60)
        beside, after = await trips(), other.ask()
        attack.kill()
        attack.wait()
        for name, times in (("alone", alone), ("dribbled", beside)):
            figures[f"wire_{name}_p50_us"] = times[len(times) // 2] * 1e6
            figures[f"wire_{name}_p99_us"] = times[len(times) * 99 // 100] * 1e6
        figures["dribbling_refused"] = after["refused"]
        figures["dribbling_handshakes"] = after["handshakes"]
        figures["dribbling_rss_growth_mib"] = after["rss_mib"] - before["rss_mib"]
    other.end()


def measure(figures: dict[str, float]) -> None:
    """All figures of connections, into `figures`."""
    for workload in (packets, conversations, dribbling):
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder))
            asyncio.run(workload(Path(folder), figures))


if __name__ == "__main__":
    role, *rest = sys.argv[1:]
    if role == "dribble":
        asyncio.run(dribble(rest[0], int(rest[1])))
    else:
        asyncio.run({"echo": echo, "node": serve}[role](Path(rest[0])))
