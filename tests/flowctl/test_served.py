"""Parties as processes: they trade over TLS, each is killed in turn, and everything settles."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from flowlang.demo.town import free_ports
from flowrt.serving import door, network, party, process, rotation
from flowrt.serving.config import Config, read
from tests.flowctl.conftest import Flowctl

PATIENCE_S = 120.0
NAMES = ("alice", "bob", "notary")


class Nodes:
    """The processes of a network's parties."""

    def __init__(self, town: Path) -> None:
        self.town = town
        self.running: dict[str, subprocess.Popen[str]] = {}

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        """`flowctl` as a process."""
        command = [sys.executable, "-m", "flowrt.cli", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def begin(self, *names: str) -> None:
        """Start these; they may serve only a while later."""
        for name in names:
            self.running[name] = self.run("up", str(self.town / name))

    def serving(self, name: str) -> str:
        """Wait until it serves; the line that says so."""
        out: IO[str] | None = self.running[name].stdout
        assert out is not None
        line = out.readline()
        assert line, self.running[name].communicate()[1]
        return line

    def kill(self, name: str) -> None:
        """`kill -9`."""
        running = self.running.pop(name)
        running.kill()
        running.communicate()

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    found = Nodes(tmp_path / "town")
    try:
        yield found
    finally:
        found.close()


def test_trades_between_processes_settle_though_each_is_killed(
    nodes: Nodes, flowctl: Flowctl
) -> None:
    """The first chapter of docs/nodes.md, by `flowctl` alone."""

    def told(*arguments: str) -> str:
        code, out, err = flowctl(*arguments)
        assert (code, err) == (0, "")
        return out

    def start(node: str, flow: str, client: str, *arguments: str) -> str:
        given = (flow, *arguments, "--client", client, "--node", f"town/{node}", "--json")
        return str(json.loads(told("start", *given))["id"])

    def result(node: str, flow: str) -> Any:
        return json.loads(told("result", flow, "--node", f"town/{node}", "--json"))

    def sell(number: int, price: str) -> str:
        sale = (f"order=A-{number}", "buyer=bob", f"serial=CP-{number}", f"prices={price}")
        return start("alice", "trade.Seller", f"A-{number}", *sale)

    port = free_ports(6)
    ports = ("--port", str(port), "--http-port", str(port + 3))
    told("network", "new", "town", "--parties", *NAMES, "--app", "two_party_trade", *ports)
    with (nodes.town / "bob/node.toml").open("a") as file:
        file.write('\n[services."finance.cash.Treasury"]\nlimits = { EUR = 1_000_000 }\n')
    nodes.begin(*NAMES)
    lines = [nodes.serving(name) for name in NAMES]
    where = f"127.0.0.1:{port}, http://127.0.0.1:{port + 3}"
    assert lines[0] == f"alice serves {where}, 1 app, 0 flows resumed\n"

    coins = ",".join(["20000.00 EUR"] * 4)
    cash = ("sums=" + coins, "reference=01", "notary=notary")
    assert result("bob", start("bob", "CashIssue", "cash", *cash))["outcome"] == "done"
    for number in (1, 2, 3):
        paper = (f"serial=CP-{number}", "face=15000.00 EUR", "notary=notary")
        issued = start("alice", "IssuePaper", f"CP-{number}", *paper)
        assert result("alice", issued)["outcome"] == "done"

    # The second trade is dear: bob's people are asked, and he is killed while they think. What
    # alice shows of it goes on meanwhile.
    dear = sell(2, "14000.00 EUR")
    watching = nodes.running["watch"] = nodes.run("watch", dear, "--node", "town/alice")
    question: list[Any] = []
    until = time.monotonic() + PATIENCE_S
    while not question and time.monotonic() < until:
        question = json.loads(told("tasks", "--node", "town/bob", "--json"))
    nodes.kill("bob")
    nodes.begin("bob")
    assert nodes.serving("bob").endswith(" 1 flow resumed\n")
    told("answer", f"{question[0]['flow_id']}/0", "Approve", "--node", "town/bob")
    out, err = watching.communicate(timeout=PATIENCE_S)
    assert (watching.returncode, err) == (0, "")
    assert out.startswith(f"{dear}  trade.Seller: Finding the asset\n")
    assert f"{dear}  trade.Seller: Offering CP-2 for 14000.00 EUR\n" in out
    assert out.endswith(f"{dear}  trade.Seller: done\n")
    del nodes.running["watch"]
    # The others are killed as soon as a trade has begun, wherever it is then.
    trades = [dear]
    for number, victim in ((1, "alice"), (3, "notary")):
        trades.append(sell(number, "9500.00 EUR"))
        nodes.kill(victim)
        nodes.begin(victim)
        nodes.serving(victim)
        assert sell(number, "9500.00 EUR") == trades[-1]

    shown = told("watch", *trades, "--node", "town/alice")
    for trade in trades:
        assert f"{trade}  trade.Seller: done\n" in shown
        assert result("alice", trade)["outcome"] == "done"
    bought = json.loads(
        told("list", "--state", "done", "--flow", "trade.Buyer", "--node", "town/bob", "--json")
    )
    assert len(bought) == len(trades), "each was bought once"

    # SIGTERM: the flows rest, and the process ends well.
    for running in nodes.running.values():
        running.send_signal(signal.SIGTERM)
    for name, running in nodes.running.items():
        _, err = running.communicate(timeout=PATIENCE_S)
        assert (running.returncode, err) == (0, ""), name
    nodes.running.clear()


def test_a_newcomer_is_taken_by_a_node_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer map and other users are taken while the node runs; without a door of peers."""
    port = free_ports(2)
    http = port + 1
    town = tmp_path / "town"
    network.create(town, ["alice"], ports=[port], http_ports=[http])
    token = (town / "alice/admin.token").read_text().strip()

    async def live() -> None:
        parts, troubles = process.inspected(read(town / "alice", {}))
        assert parts is not None, troubles
        served = await process.Served.open(parts)
        try:
            directory = served.network.directory
            assert not directory.knows("carol")
            assert await served.take_map() is None
            await asyncio.to_thread(_admit, town, tmp_path / "carol")
            assert await served.take_map() == 2
            assert directory.knows("carol")
            assert directory.addresses("carol") == ("127.0.0.1:7409",)
            assert await served.take_map() is None
            assert not await served.take_certificate()
            until = served.network.until
            await asyncio.to_thread(_renew, town)
            assert await served.take_certificate()
            assert served.network.until >= until
            assert not await served.take_certificate()
            assert await served.take_map() == 3
            (town / "alice/network.map").write_bytes(b"spoilt")
            with pytest.raises(process.Refused, match="not a network map"):
                await served.take_map()
            assert served.door is not None
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=served.http, headers=headers) as client:
                assert (await client.get("/v1/node")).status_code == 200
                answer = await client.post("/v1/backup", json={"path": "first.db"})
                assert answer.status_code < 300, answer.text
                assert (town / "alice/backups/first.db").stat().st_mode & 0o077 == 0
                # Of several who ask for one copy at once, one makes it, and none beside another.
                under_way: list[str] = []
                copied = door._copied

                def copied_alone(config: Config, name: str) -> None:
                    assert not under_way
                    under_way.append(name)
                    try:
                        copied(config, name)
                    finally:
                        under_way.pop()

                monkeypatch.setattr(door, "_copied", copied_alone)
                copies = [client.post("/v1/backup", json={"path": "second.db"}) for _ in range(5)]
                codes = [answer.status_code for answer in await asyncio.gather(*copies)]
                assert sorted(codes) == [200, 409, 409, 409, 409]
                with contextlib.closing(sqlite3.connect(town / "alice/backups/second.db")) as copy:
                    assert copy.execute("pragma integrity_check").fetchall() == [("ok",)]
                assert (await client.post("/v1/backup", json={"path": "../x"})).status_code >= 400
                path = town / "alice/node.toml"
                text = path.read_text()
                path.write_text(text.replace("[users.admin]", "[users.admin]\ndisabled = true"))
                served.door.take_users(read(path, {}))
                assert (await client.get("/v1/node")).status_code == 401
        finally:
            await served.close()

    asyncio.run(live())


def _admit(town: Path, folder: Path) -> None:
    secret = party.new_passphrase()
    party.create(folder, party.Party("carol", "127.0.0.1:7409"), secret, keep_passphrase=True)
    operator = network.Operator(town, network.passphrase_in(town))
    operator.admit(party.read_request(folder / party.REQUEST))
    assert network.distribute(town, operator.map.data) == [town / "alice"]


def _renew(town: Path) -> None:
    config = read(town / "alice", {})
    secret = party.passphrase_of(config, {})
    operator = network.Operator(town, network.passphrase_in(town))
    asked = party.read_request(rotation.rotate_tls(config, secret))
    place = network.lay_out(town, operator.admit(asked))
    assert "tls.pem" in rotation.install(config, place, secret)


def test_a_taken_port_disturbs_nobody(tmp_path: Path) -> None:
    port = free_ports(2)
    http = port + 1
    network.create(tmp_path / "town", ["alice"], ports=[port], http_ports=[http])
    folder = tmp_path / "town" / "alice"

    async def live() -> None:
        parts, _ = process.inspected(read(folder, {}))
        assert parts is not None
        served = await process.Served.open(parts)
        try:
            again, _ = process.inspected(read(folder, {}))
            assert again is not None
            with pytest.raises(process.Refused, match="is taken by another process"):
                await process.Served.open(again)
            assert served.node.flows() == []
        finally:
            await served.close()

    asyncio.run(live())
