"""Tasks are told of at least once, over restarts; a webhook is signed, and goes nowhere else."""

from __future__ import annotations

import asyncio
import datetime
import types
from pathlib import Path

import pytest

from flowrt.notices import telling
from flowrt.notices.telling import Teller
from flowrt.notices.webhook import NotTaken, Webhook, is_public, signature, verified
from flowrt.store.noticebook import Notice
from tests.api.scene import Scene, play

KEY = b"k" * 40
YES = {"answer": {"yes": True}}
NOTICE = Notice("a-1", "alice", "new", 1, 0, "boss", "Asks", datetime.datetime.now(datetime.UTC))


class Ear:
    """Who is told, and at first does not take it."""

    def __init__(self, refuses: int = 0) -> None:
        self.heard: list[Notice] = []
        self.refuses = refuses

    async def tell(self, notice: Notice) -> None:
        if self.refuses:
            self.refuses -= 1
            raise OSError("closed")
        self.heard.append(notice)


async def _until(ear: Ear, count: int) -> None:
    async with asyncio.timeout(60):
        while len(ear.heard) < count:
            await asyncio.sleep(0.005)


def test_tasks_are_told_of_over_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "LOOK_S", 0.005)
    monkeypatch.setattr(telling, "FIRST_S", 0.005)

    async def story(on: Scene) -> None:
        path = tmp_path / "desk.notices.db"
        deaf = Ear(refuses=1 << 30)
        teller = Teller("desk", on.node, deaf, path)
        teller.start()
        flow = await on.start("tom", "Asks")
        async with asyncio.timeout(60):
            while not teller.figures.failed:
                await asyncio.sleep(0.005)
        await teller.close()
        assert path.stat().st_mode & 0o077 == 0
        ear = Ear(refuses=1)
        teller = Teller("desk", on.node, ear, path)
        teller.start()
        await _until(ear, 1)
        await on.ask("bob", "POST", f"/v1/tasks/{flow}/0/claim")
        await _until(ear, 2)
        await teller.close()
        await on.ask("bob", "POST", f"/v1/tasks/{flow}/0/answer", YES)
        teller = Teller("desk", on.node, ear, path)
        teller.start()
        await _until(ear, 3)
        await teller.close()
        told = [(one.kind, one.flow_id, one.number, one.role, one.by) for one in ear.heard]
        assert told == [
            ("new", flow, 0, "boss", None),
            ("claimed", flow, 0, "boss", "bob"),
            ("answered", flow, 0, "boss", "bob"),
        ]
        assert len({one.id for one in ear.heard}) == 3

    play(story)


def _hook(folder: Path, url: str, **how: object) -> Webhook:
    key = folder / "key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    given = {"hosts": ["127.0.0.1"], "allow": ["127.0.0.1"]} | how
    return Webhook(types.SimpleNamespace(folder=folder), url, "key", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_webhook_is_signed_and_follows_nothing(tmp_path: Path, status: int) -> None:
    asked: list[tuple[str, bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(fields["Content-Length"]))
        asked.append((fields["Flowrt-Signature"], body))
        writer.write(b"HTTP/1.1 %d x\r\nLocation: /again\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            hook = _hook(tmp_path, f"http://127.0.0.1:{port}/in")
            if status == 200:
                await hook.tell(NOTICE)
            else:
                with pytest.raises(NotTaken, match=str(status)):
                    await hook.tell(NOTICE)

    asyncio.run(story())
    [(header, body)] = asked
    assert verified(KEY, header, body)
    assert not verified(KEY, header, body + b" ")
    assert not verified(b"x" * 40, header, body)


def test_a_signature_ages() -> None:
    header = signature(KEY, 1000, b"x")
    assert verified(KEY, header, b"x", 1300)
    assert not verified(KEY, header, b"x", 1301)
    assert not verified(KEY, header, b"x", 699)
    for bad in ("", "t=", "t=1000", "t=1000,v1=é", "v1=1,t=1000"):
        assert not verified(KEY, bad, b"x", 1000)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "127.0.0.1", "10.0.0.1", "::1", "fe80::1%lo", "::ffff:8.8.8.8",
     "64:ff9b::a00:1", "0.0.0.0", "100.64.0.1", "224.0.0.1", "2002:7f00:1::"],
)  # fmt: skip
def test_r44_private_addresses_are_refused(tmp_path: Path, address: str) -> None:
    assert not is_public(address)


def test_r44_what_is_not_allowed_is_not_asked(tmp_path: Path) -> None:
    for url in (
        "file:///etc/passwd",
        "https://other/",
        "http://a@127.0.0.1/",
        "https://127.0.0.1/\r\nX",
    ):
        with pytest.raises(ValueError, match=r"url|hosts"):
            _hook(tmp_path, url)
    for url, allow in (("https://127.0.0.1/", []), ("http://8.8.8.8/", ["8.8.8.8"])):
        hook = _hook(tmp_path, url, hosts=["127.0.0.1", "8.8.8.8"], allow=allow)
        with pytest.raises(NotTaken):
            asyncio.run(hook.address())
    assert is_public("8.8.8.8")
