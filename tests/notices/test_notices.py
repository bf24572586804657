"""Tasks are told of at least once, over restarts; a webhook is signed, and goes nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import sqlite3
import types
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.core.values import decode
from flowrt.notices import telling
from flowrt.notices.telling import Teller
from flowrt.notices.webhook import NotTaken, Webhook, is_public, signature, verified
from flowrt.store.copies import copy
from flowrt.store.noticebook import Notice
from flowrt.store.sqlite import SqliteStore
from tests.api.scene import Scene, play

KEY = b"k" * 40
YES = {"answer": {"yes": True}}
NOTICE = Notice("a-1", "alice", "new", 1, 0, "boss", "Asks", datetime.datetime.now(datetime.UTC))


class Ear:
    """Who is told, and does not take what comes first."""

    def __init__(self, refuses: int = 0) -> None:
        self.heard: list[Notice] = []
        self.refused: list[Notice] = []
        self.refuses = refuses

    async def tell(self, notice: Notice) -> None:
        if self.refuses:
            self.refuses -= 1
            self.refused.append(notice)
            raise OSError("closed")
        self.heard.append(notice)

    @property
    def told(self) -> list[tuple[str, int, str | None]]:
        return [(one.kind, one.flow_id, one.by) for one in self.heard]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "LOOK_S", 0.002)
    monkeypatch.setattr(telling, "FIRST_S", 0.002)


@contextlib.asynccontextmanager
async def listening(on: Scene, path: Path, ear: Ear) -> AsyncIterator[Teller]:
    teller = Teller("desk", on.node, ear, path)
    teller.start()
    try:
        await until(lambda: path.exists() and _place(path) is not None)
        yield teller
    finally:
        await teller.close()


def _place(path: Path) -> int | None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        try:
            row: int | None = db.execute("SELECT row FROM place").fetchone()[0]
        except (sqlite3.OperationalError, TypeError):
            return None
        return row


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.001)


async def _done(on: Scene, user: str, task: str, what: str, body: object = None) -> None:
    answer = await on.ask(user, "POST", f"/v1/tasks/{task}/{what}", body)
    assert answer.status_code == 200, answer.text
    await on.rest()


def test_what_becomes_of_tasks_is_told_in_order_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "desk.notices.db"

    async def story(on: Scene) -> None:
        ear = Ear(refuses=1)
        async with listening(on, path, ear):
            one = await on.start("tom", "Asks")
            await until(lambda: ear.heard)
        assert path.stat().st_mode & 0o077 == 0
        [new] = ear.heard
        assert ear.refused == [new], "what is not taken comes again as the same notice"
        assert (new.kind, new.party, new.number, new.role) == ("new", "alice", 0, "boss")
        assert new.flow == f"{on.name}.Asks_v1"
        assert new.due == new.since + datetime.timedelta(hours=1)
        # Nobody looks now: nothing of this is to be seen in the open tasks later.
        await _done(on, "bob", f"{one}/0", "claim")
        await _done(on, "bob", f"{one}/0", "delegate", {"to": "bea"})
        await _done(on, "olga", f"{one}/0", "release")
        await _done(on, "bea", f"{one}/0", "answer", YES)
        two = await on.start("tom", "Asks")
        await _done(on, "bob", f"{two}/0", "answer", YES)
        three = await on.start("tom", "Asks")
        await _done(on, "olga", f"{three}/0", "expire", {"reason": "too late"})
        four = await on.start("tom", "Asks")
        await on.ask("ann", "POST", f"/v1/flows/{four}/kill", {"reason": "not wanted"})
        five = await on.start("tom", "Asks")
        on.now_us += 3_600_000_000
        await on.rest()
        six = await on.start("tom", "Asks")
        expected = [
            ("claimed", one, "bob"),
            ("claimed", one, "bea"),
            ("released", one, "olga"),
            ("answered", one, "bea"),
            ("new", two, None),
            ("answered", two, "bob"),
            ("new", three, None),
            ("expired", three, "olga"),
            ("new", four, None),
            ("closed", four, None),
            ("new", five, None),
            ("new", six, None),
            ("expired", five, None),
        ]
        deaf, later = Ear(refuses=1 << 30), Ear()
        async with listening(on, path, deaf) as teller:
            await until(lambda: teller.figures.failed > 1)
            assert teller.figures.waiting == len(expected)
        async with listening(on, path, later):
            await until(lambda: len(later.heard) == len(expected))
        assert later.told == expected
        assert len({one.id for one in [new, *later.heard]}) == 14
        assert set(deaf.refused) == {later.heard[0]}

    play(story, store=SqliteStore(tmp_path / "alice.db"))


def test_who_comes_later_is_told_of_what_is_open(tmp_path: Path) -> None:
    async def story(on: Scene) -> None:
        one = await on.start("tom", "Asks")
        await _done(on, "bob", f"{one}/0", "claim")
        ended = await on.start("tom", "Asks")
        await _done(on, "bob", f"{ended}/0", "answer", YES)
        ear = Ear()
        async with listening(on, tmp_path / "late.db", ear):
            await until(lambda: len(ear.heard) == 2)
        assert ear.told == [("new", one, None), ("claimed", one, "bob")]

    play(story)


@pytest.mark.parametrize("forgets", ["all", "some", "nothing"])
def test_a_trail_that_has_forgotten_rows_goes_on(tmp_path: Path, forgets: str) -> None:
    """What was told before is not told again, and nothing that comes is left out."""
    path = tmp_path / "desk.notices.db"

    async def story(on: Scene) -> None:
        ear = Ear()
        async with listening(on, path, ear):
            one = await on.start("tom", "Asks")
            await until(lambda: ear.heard)
        if forgets == "some":
            # Of rows that nobody has read, too.
            await _done(on, "bob", f"{one}/0", "answer", YES)
            two = await on.start("tom", "Asks")
        on.now_us += 1_000_000
        if forgets != "nothing":
            assert on.node._store.purge(0, 100, on.now_us).entries > 0
        if forgets == "some":
            expected = [("closed", one, None), ("new", two, None)]
        else:
            await _done(on, "bob", f"{one}/0", "answer", YES)
            expected = [("answered", one, "bob")]
        later = Ear()
        async with listening(on, path, later):
            await until(lambda: len(later.heard) == len(expected))
            three = await on.start("tom", "Asks")
            await until(lambda: later.told == [*expected, ("new", three, None)])

    play(story)


def test_a_store_that_went_back_is_told_as_it_is(tmp_path: Path) -> None:
    path, old = tmp_path / "desk.notices.db", tmp_path / "old.db"

    async def before(on: Scene) -> None:
        async with listening(on, path, ear := Ear()):
            await on.start("tom", "Asks")
            await until(lambda: ear.heard)
            copy(tmp_path / "alice.db", old)
            await _done(on, "bob", "1/0", "answer", YES)
            await on.start("tom", "Asks")
            await on.start("tom", "Asks")
            await until(lambda: len(ear.heard) == 4)
            assert ear.told[1:] == [("answered", 1, "bob"), ("new", 2, None), ("new", 3, None)]

    async def after(on: Scene) -> None:
        on.now_us += 5_000_000
        async with listening(on, path, ear := Ear()):
            # Number 1 is open again, and nobody ever asked 2 and 3.
            await until(lambda: len(ear.heard) == 3)
            expected = [("closed", 2, None), ("closed", 3, None), ("new", 1, None)]
            assert ear.told == expected
            await _done(on, "bob", "1/0", "answer", YES)
            await until(lambda: ear.told == [*expected, ("answered", 1, "bob")])

    play(before, store=SqliteStore(tmp_path / "alice.db"))
    store = SqliteStore(old)
    store.accept_restore("alice")
    play(after, store=store)


def test_a_step_without_tasks_writes_nothing_of_them() -> None:
    async def story(on: Scene) -> None:
        await on.start("ann", "Waits")
        await on.start("ann", "Asks")
        rows = [row for _, data in on.node._store.audit() for row in decode(list[Any], data)]
        assert [len(row) for row in rows] == [5, 6], "with who began it, and what it asks"

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
