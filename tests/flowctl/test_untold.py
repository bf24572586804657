"""T32: keys, passphrases, tokens and what sessions are known by are told by nothing: no command, no
answer, no log line, dump, error, traceback, backup, nor the text of an object."""

from __future__ import annotations

import asyncio
import base64
import datetime
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowrt.api.access import Access, User, digest_of
from flowrt.api.app import OPERATIONS, App
from flowrt.core.flow import Party
from flowrt.core.values import encode
from flowrt.logs import JsonLines, TextLines
from flowrt.node import Node
from flowrt.serving import network, process
from flowrt.serving.config import read
from flowrt.serving.party import open_keys, stretched, tls_key
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.contracts.test_transports import talk
from tests.flowctl.conftest import Flowctl

WRONG = "canary-of-a-wrong-passphrase"


class Told:
    """Everything that was told, to be searched."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.secrets: dict[str, bytes] = {}

    def say(self, *what: object) -> None:
        self.parts += [one if isinstance(one, bytes) else str(one).encode() for one in what]

    def records(self, records: list[logging.LogRecord]) -> None:
        """Log records in each of their forms; those of the client that asks are not ours."""
        for record in records:
            if not record.name.startswith("http"):
                self.say(JsonLines().format(record), TextLines().format(record))
                self.say(repr(vars(record)))

    def search(self) -> list[str]:
        """The names of secrets that were told, in any of the forms in which bytes are written."""
        whole = b"\n".join(self.parts)
        found = []
        for name, secret in self.secrets.items():
            assert len(secret) >= 16, name
            forms = {
                secret,
                secret.hex().encode(),
                secret.hex().upper().encode(),
                base64.b64encode(secret).rstrip(b"="),
                base64.urlsafe_b64encode(secret).rstrip(b"="),
                repr(secret)[2:-1].encode(),
                str(list(secret)).encode(),
            }
            if any(form in whole for form in forms):
                found.append(name)
        return found


class Living:
    """A party that is served in a thread, until `close`."""

    def __init__(self, folder: Path) -> None:
        self.parts, troubles = process.inspected(read(folder, {}))
        assert self.parts is not None, troubles
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.served = self.run(process.Served.open(self.parts))

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.run(self.served.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def living(town: Path) -> Iterator[Living]:
    toml = town / "alice" / "node.toml"
    text = toml.read_text().replace("127.0.0.1:7401", "127.0.0.1:0")
    toml.write_text(text.replace("127.0.0.1:8401", "127.0.0.1:0"))
    made = Living(town / "alice")
    yield made
    made.close()


def secrets_of(town: Path, living: Living) -> dict[str, bytes]:
    """What is secret of alice and of her network's operator."""
    alice, operator = town / "alice", town / "operator"
    passphrase = (alice / "passphrase").read_text().strip()
    keys = open_keys(alice / "party.keys", passphrase)
    key = tls_key((alice / "tls.key").read_bytes(), passphrase, "alice", "")
    token = (alice / "admin.token").read_bytes().strip()
    node = living.served.node
    found = {
        "passphrase": passphrase.encode(),
        "passphrase of the operator": (operator / "passphrase").read_bytes().strip(),
        "passphrase that is wrong": WRONG.encode(),
        "what the TLS key is under": stretched(passphrase, "alice"),
        "TLS key": key.private.private_bytes_raw(),
        "seed": keys._seed,
        "root of keys": keys._root,
        "seed on paper": keys.backup().encode(),
        "seed on paper, in one": keys.backup().replace(" ", "").encode(),
        "salt": keys.salt(1, 1),
        "token": token,
        "token's digest": digest_of(token.decode()).removeprefix("sha256:").encode(),
        "the node's key": node._world.key,
    }
    for number in range(4):
        found[f"identity {number}"] = keys.identity(number).private.private_bytes_raw()
        found[f"pseudonym {number}"] = keys.fresh(number + 1).private.private_bytes_raw()
    return found


async def trail(node: Node) -> bytes:
    """All of a node's audit trail."""
    return encode(list(node._store.audit()))


COMMANDS = """
list --state ended
list
show 1
dump 1
result 1
watch 1
hospital
tasks
schedule list
versions
peers
audit
start finance.cash.CashIssue sums=x
kill 99
config show
config show --json
config check
user list
keys show
apps
"""


def test_t32_keys_passphrases_and_tokens_are_told_by_nothing(
    town: Path,
    living: Living,
    flowctl: Flowctl,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    told = Told()
    told.secrets = secrets_of(town, living)
    alice, served = town / "alice", living.served
    token = (alice / "admin.token").read_text().strip()
    with httpx.Client(
        base_url=served.http, headers={"Authorization": f"Bearer {token}"}, timeout=60
    ) as client:

        def ask(method: str, path: str, **how: Any) -> httpx.Response:
            answer = client.request(method, path, **how)
            told.say(answer.content, repr(answer.headers))
            return answer

        sums = [{"units": 100, "currency": "EUR"}]
        arguments = {"sums": sums, "reference": "01", "notary": "notary"}
        started = ask(
            "POST", "/v1/flows", json={"flow": "finance.cash.CashIssue", "arguments": arguments}
        )
        assert started.status_code == 201, started.text
        ended = ask("GET", "/v1/flows/1/result?wait_s=30").json()
        assert ended["outcome"] == "done", ended
        asked = 0
        for one in OPERATIONS:
            path = re.sub(r"\{\w+\}", "1", one.path)
            for method in ("GET", "POST"):
                answer = ask(
                    method, path, json={"reason": "x", "path": "a.db"} if method == "POST" else None
                )
                asked += answer.status_code < 300
            ask("GET", f"{path}?token={token}")
        assert asked > 15
        ask("GET", f"/{token}", headers={"Authorization": f"Bearer {token}x"})

    monkeypatch.setenv("FLOWCTL_NODE", served.http)
    monkeypatch.setenv("FLOWCTL_TOKEN", token)
    done = 0
    for line in COMMANDS.split("\n")[1:-1]:
        words = line.split()
        if words[0] in ("config", "user", "keys"):
            words.insert(2, str(alice))
        for more in ([], ["--json"]):
            code, *texts = flowctl(*words, *more)
            told.say(*texts)
            done += code == 0
    assert done > 20
    backup = flowctl("backup", alice, town / "monday")
    assert backup[0] == 0, backup
    told.say(*backup)
    # In it are the keys' files, encrypted, and `node.toml`, with the digests of tokens.
    kept = {one.name: one for one in (town / "monday").rglob("*") if one.is_file()}
    assert {"node.toml", "party.keys", "tls.key", "alice.db", "backup.json"} <= kept.keys()
    told.say(*[one.read_bytes() for name, one in kept.items() if name != "node.toml"])
    told.say(*flowctl("network", "show", town))
    told.say(*flowctl("keys", "rotate", alice))
    told.say((alice / "certificate.request").read_bytes())
    told.say(repr(served), repr(vars(served)), repr(living.parts), repr(living.parts.config))
    told.say(repr(living.parts.assembly), repr(living.parts.credentials), repr(served.node))
    told.say(repr(network.Operator(town, network.passphrase_in(town))))
    told.say(living.run(trail(served.node)))
    # What goes wrong with secrets at hand.
    with monkeypatch.context() as wrong:
        wrong.setenv("FLOWRT_PASSPHRASE", WRONG)
        for command in (("up",), ("config", "check"), ("keys", "rotate")):
            code, *texts = flowctl(*command, town / "bob")
            assert code == 1
            told.say(*texts)

        def crash(*_: object) -> None:
            raise RuntimeError("a mistake of ours")

        wrong.delenv("FLOWRT_PASSPHRASE")
        wrong.setattr(process, "TlsNetwork", crash)
        config = read(town / "bob", {})
        parts, _ = process.inspected(config)
        assert parts is not None
        with pytest.raises(RuntimeError) as caught:
            living.run(process.Served.open(parts))
        told.say(caught.getrepr(style="native"))
    told.records(caplog.records)
    assert sum(map(len, told.parts)) > 100_000
    assert told.search() == []
    # The search would find them.
    told.say(repr(open_keys(alice / "party.keys", told.secrets["passphrase"].decode())._seed))
    assert told.search() == ["seed"]


def test_t32_what_a_session_is_known_by_is_told_by_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who knows it could speak in a session, were it not for the channel."""
    caplog.set_level(logging.DEBUG)
    told = Told()

    async def story() -> None:
        wire, packets = MemoryNetwork(), []
        send = wire._send

        def listen(sender: str, receiver: str, data: bytes) -> None:
            packets.append(data)
            send(sender, receiver, data)

        wire._send = listen  # type: ignore[method-assign]
        nodes = [
            await Node.open(name, store=MemoryStore(), network=wire, modules=[talk()])
            for name in ("alice", "bob")
        ]
        access = Access({"ann": User(["admin"], digest_of("x"))}, {}, datetime.date.today)
        app = App(nodes[0], access)
        whom = Party("bob")
        resting = await nodes[0].start(talk().Asker_v1, whom=Party("nobody"), rounds=1, ballast=b"")
        done = await nodes[0].start(talk().Asker_v1, whom=whom, rounds=3, ballast=b"x")
        await done.result()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://localhost",
            headers={"Authorization": "Bearer x"},
        ) as client:
            for one in OPERATIONS:
                if one.method == "GET" and one.name != "flow_progress":
                    path = re.sub(r"\{\w+\}", str(resting.id), one.path)
                    answer = await client.get(path)
                    told.say(answer.content)
            dump = await client.get(f"/v1/flows/{resting.id}/variables")
            assert dump.status_code == 200
        world = nodes[0]._world
        for flow, number in ((resting.id, 1), (resting.id, 0), (done.id, 1), (done.id, 0)):
            told.secrets[f"{flow} {number}"] = world.secret(flow, number)
        for node in nodes:
            told.say(repr(node), repr(node.flows()), repr(vars(node).keys()))
            told.say(encode(list(node._store.audit())))
        whole = b"".join(packets)
        assert any(secret in whole for secret in told.secrets.values()), "they are these"
        for node in nodes:
            await node.close()

    asyncio.run(story())
    told.records(caplog.records)
    assert told.search() == []
