"""Parties as processes: they trade over TLS, each is killed in turn, and everything settles."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from flowrt.serving import network, party, process, rotation
from flowrt.serving.config import read

PATIENCE_S = 120.0


class Nodes:
    """The processes of a network's parties."""

    def __init__(self, made: list[network.Made]) -> None:
        self.made = {one.name: one for one in made}
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.lines: dict[str, list[str]] = {name: [] for name in self.made}
        self._clients = {
            name: httpx.Client(
                base_url=f"http://{one.http}",
                headers={
                    "Authorization": f"Bearer {(one.folder / 'admin.token').read_text().strip()}"
                },
                timeout=60.0,
            )
            for name, one in self.made.items()
        }

    def begin(self, *names: str) -> None:
        """Start these; they may serve only a while later."""
        for name in names:
            command = [sys.executable, "-m", "flowrt.cli", "up", str(self.made[name].folder)]
            self.running[name] = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

    def serving(self, *names: str) -> None:
        """Wait until these serve."""
        for name in names:
            out: IO[str] | None = self.running[name].stdout
            assert out is not None
            line = out.readline()
            assert line, self.running[name].communicate()[1]
            self.lines[name].append(line)

    def kill(self, name: str) -> None:
        """`kill -9`."""
        running = self.running.pop(name)
        running.kill()
        running.communicate()

    def post(self, name: str, path: str, **body: Any) -> Any:
        found = self._clients[name].post(path, json=body)
        assert found.status_code < 300, found.text
        return found.json()

    def start(self, name: str, flow: str, client: str, **arguments: Any) -> int:
        body = {"flow": flow, "arguments": arguments, "client": client}
        return int(self.post(name, "/v1/flows", **body)["id"])

    def result(self, name: str, flow_id: int) -> Any:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = self._clients[name].get(f"/v1/flows/{flow_id}/result", params={"wait_s": 20})
            if found.status_code == 200:
                return found.json()
        raise AssertionError(f"flow {flow_id} of {name} does not end")

    def get(self, name: str, path: str) -> Any:
        return self._clients[name].get(path).json()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        for running in self.running.values():
            running.kill()
            running.communicate()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    names, ports = ["alice", "bob", "notary"], _free_ports(6)
    made = network.create(
        tmp_path / "town", names, notary="notary", apps=["two_party_trade"],
        ports=ports[:3], http_ports=ports[3:],
    )  # fmt: skip
    with open(tmp_path / "town" / "bob" / "node.toml", "a") as file:
        file.write('\n[services."finance.cash.Treasury"]\nlimits = { EUR = 1_000_000_000 }\n')
    found = Nodes(made)
    try:
        yield found
    finally:
        found.close()


def _euros(units: int) -> dict[str, object]:
    return {"units": units, "currency": "EUR"}


def test_trades_between_processes_settle_though_each_is_killed(nodes: Nodes) -> None:
    names = ("alice", "bob", "notary")
    nodes.begin(*names)
    nodes.serving(*names)
    one = nodes.made["alice"]
    line = f"alice serves {one.listen}, http://{one.http}, 1 app, 0 flows resumed\n"
    assert nodes.lines["alice"] == [line]
    cash = nodes.start(
        "bob",
        "finance.cash.CashIssue",
        "cash",
        sums=[_euros(1_000_000)] * 6,
        reference="01",
        notary="notary",
    )
    papers = [
        nodes.start(
            "alice", "papers.IssuePaper", s, serial=s, face=_euros(1_000_000), notary="notary"
        )
        for s in ("CP-1", "CP-2", "CP-3")
    ]
    assert nodes.result("bob", cash)["outcome"] == "done"
    for paper in papers:
        assert nodes.result("alice", paper)["outcome"] == "done"
    trades = []
    for number, victim in enumerate(names, 1):
        order = {"order": f"A-{number}", "buyer": "bob", "serial": f"CP-{number}"}
        flow = nodes.start("alice", "trade.Seller", str(number), **order, prices=[_euros(950_000)])
        trades.append(flow)
        nodes.kill(victim)
        nodes.begin(victim)
        nodes.serving(victim)
        assert (
            nodes.start("alice", "trade.Seller", str(number), **order, prices=[_euros(950_000)])
            == flow
        )
    for trade in trades:
        found = nodes.result("alice", trade)
        assert found["outcome"] == "done", found
        assert found["result"]["price"] == _euros(950_000)
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
    port, http = _free_ports(2)
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
    port, http = _free_ports(2)
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
