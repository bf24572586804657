"""T32: of what is secret in a party's folder and in what it sends, a node that is served tells
nothing: no answer, log, dump, figure, error or command's output has it."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowrt.api.app import OPERATIONS
from flowrt.core.values import encode
from flowrt.logs import JsonLines
from flowrt.notices import telling
from flowrt.serving import process
from flowrt.serving.config import read
from flowrt.serving.party import stretched
from tests.api.scene import program
from tests.flowctl.conftest import Flowctl
from tests.notices.post import answering, link_in, office

HOOK = "canary-of-the-webhook-" + "k" * 32
PASSWORD = "canary-of-the-mail-server"
WRONG = "canary-of-a-passphrase-that-is-wrong"
SHOP = """
from flowrt.serving.apps import App
from tests.api.scene import Desk, program

app = App(modules=(program(),), services={"Desk": Desk})
"""
NOTICES = """
[notices.desk]
use = "flowrt.notices.webhook:Webhook"
url = "http://127.0.0.1:{web}/"
hosts = ["127.0.0.1"]
allow = ["127.0.0.1"]
key_file = "desk.key"
[notices.mail]
use = "flowrt.notices.mail:Mail"
server = "127.0.0.1:{post}"
ca = "../root.pem"
sender = "alice@node.example"
user = "alice"
password_file = "mail.password"
url = "https://node.example"
to = {{ admin = "admin@town.example" }}
[users.admin]"""


async def _until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.005)


def _furnish(alice: Path) -> None:
    (alice.parent / "python").mkdir()
    (alice.parent / "python/t32_shop.py").write_text(SHOP)
    for name, text in (("desk.key", HOOK), ("mail.password", PASSWORD)):
        (alice / name).write_text(text)
        (alice / name).chmod(0o600)
    path = alice / "node.toml"
    text = path.read_text().replace("apps = []", 'path = ["../python"]\napps = ["t32_shop:app"]')
    text = text.replace(
        'listen = "127.0.0.1:8401"', 'listen = "127.0.0.1:0"\nhosts = ["node.example"]'
    )
    text = text.replace('address = "127.0.0.1:7401"', 'address = "127.0.0.1:0"')
    path.write_text(text)


def test_t32_a_node_that_is_served_tells_nothing_that_is_secret(
    town: Path,
    flowctl: Flowctl,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(telling, "LOOK_S", 0.005)
    monkeypatch.setattr(telling, "FIRST_S", 0.005)
    alice = town / "alice"
    _furnish(alice)
    told: list[bytes] = []
    passphrase = (alice / "passphrase").read_text().strip()
    token = (alice / "admin.token").read_text().strip()
    login = base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode()
    stretch = stretched(passphrase, "alice").hex()
    secrets = [passphrase, stretch, token, HOOK, PASSWORD, login, WRONG]
    key = (alice / "tls.key").read_text().splitlines()
    secrets.append(next(line for line in key if len(line) == 64))

    def say(*texts: object) -> None:
        told.extend(str(text).encode() for text in texts)

    async def ask(client: httpx.AsyncClient, method: str, path: str, **how: Any) -> httpx.Response:
        answer = await client.request(method, path, **how)
        told.append(answer.content + repr(answer.headers).encode())
        return answer

    async def live() -> None:
        async with (
            office(town) as post,
            answering(b"HTTP/1.1 500 x\r\n\r\n") as (web, asked),
        ):
            notices = NOTICES.format(web=web, post=post.port)
            path = alice / "node.toml"
            path.write_text(path.read_text().replace("\n[users.admin]", notices))
            post.answers["AUTH"] = 535
            parts, troubles = process.inspected(read(alice, {}))
            assert parts is not None, troubles
            say(parts, parts.assembly.notifiers, parts.config)
            served = await process.Served.open(parts)
            headers = {"Authorization": f"Bearer {token}"}
            try:
                name = program().__name__.removesuffix("_flow")
                async with httpx.AsyncClient(base_url=served.http, headers=headers) as client:
                    for flow in ("Asks", "Counts", "Asks"):
                        body = {"flow": f"{name}.{flow}", "arguments": {}}
                        assert (await ask(client, "POST", "/v1/flows", json=body)).is_success
                    both = served.tellers
                    await _until(lambda: all(one.figures.failed > 1 for one in both))
                    post.answers.clear()
                    await _until(lambda: len(post.mails) == 2)
                    links = [link_in(mail) for mail in post.mails]
                    secrets.extend(link.rpartition("/")[2] for link in links)
                    await ask(client, "POST", "/v1/flows/2/pause", json={"reason": "to look"})
                    for one in OPERATIONS:
                        where = {"id": 2, "flow": 1, "number": 0, "name": f"{name}.Hourly"}
                        path_ = re.sub(r"\{(\w+)\}", lambda m, to=where: str(to[m[1]]), one.path)
                        if one.method == "GET" and not path_.endswith("/progress"):
                            await ask(client, "GET", path_)
                    for path_ in (*links, f"/v1/{links[0]}", f"/v1/node?token={links[0]}"):
                        await ask(client, "GET", path_)
                        await ask(client, "POST", path_, data={"f.yes": "no"})
                async with httpx.AsyncClient(base_url=served.http) as client:
                    for _ in range(2):
                        form = {"f.yes": "true", "f.mood": ""}
                        answer = await ask(client, "POST", links[0], data=form)
                    assert answer.status_code == 404
                say(served, served.node, served.door, served.tellers, served.links, vars(served))
                say(encode(list(served.node._store.audit())))
                assert asked
            finally:
                await served.close()

    asyncio.run(live())
    say(*flowctl("config", "show", alice))
    monkeypatch.setenv("FLOWRT_PASSPHRASE", WRONG)
    say(*flowctl("config", "check", alice))
    monkeypatch.delenv("FLOWRT_PASSPHRASE")
    for name in ("desk.key", "mail.password"):
        (alice / name).chmod(0o644)
    code, *texts = flowctl("config", "check", alice)
    assert (code, texts[1].count("others may use it")) == (1, 2)
    say(*texts)
    (alice / "passphrase").chmod(0o644)
    say(*flowctl("config", "check", alice))
    form = JsonLines()
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    told += [form.format(record).encode() + repr(vars(record)).encode() for record in ours]
    kept = [path for path in alice.glob("*.db*") if path.is_file()]
    assert {"links.db", "mail.notices.db", "desk.notices.db"} <= {path.name for path in kept}
    told += [path.read_bytes() for path in kept]
    whole = b"\n".join(told)
    assert len(secrets) == 10
    assert b"answers 535" in whole
    assert b"answers 500" in whole
    for secret in secrets:
        assert len(secret) > 20
        assert secret.encode() not in whole, secret[:12]
