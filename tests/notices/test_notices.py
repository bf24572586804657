"""Tasks are told of at least once, over restarts; a webhook is signed, and goes nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import http.server
import re
import socket
import sqlite3
import ssl
import threading
import time
import types
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flowrt.core import tasklog
from flowrt.core.engine import RESUME, CallEnded
from flowrt.core.values import Ending, decode, encode
from flowrt.notices import telling
from flowrt.notices.given import NotTaken, Wrong
from flowrt.notices.telling import Teller
from flowrt.notices.webhook import Webhook, is_public, signature, verified
from flowrt.serving.apps import Place, make
from flowrt.store.copies import copy
from flowrt.store.noticebook import Notice
from flowrt.store.sqlite import SqliteStore
from tests.api.certified import Authority
from tests.api.scene import Scene, play
from tests.notices.post import answering

KEY = b"k" * 40
PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
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


def test_tasks_are_found_among_much_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page; and what was read without a task is not read again by the next process."""
    monkeypatch.setattr(telling, "PAGE", 3)
    monkeypatch.setattr(telling, "KEEP", 7)
    path = tmp_path / "desk.notices.db"

    async def story(on: Scene) -> None:
        ear = Ear()
        async with listening(on, path, ear):
            pass
        for _ in range(10):
            await on.start("ann", "Ticks")
        flow = await on.start("tom", "Asks")
        for _ in range(10):
            await on.start("ann", "Ticks")
        rows = len(on.node._store.disk.audit)
        async with listening(on, path, ear):
            await until(lambda: ear.heard and (_place(path) or 0) > rows - 7)
        assert ear.told == [("new", flow, None)]

    play(story)


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


def test_who_takes_too_long_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No flow waits for that; and what comes meanwhile is counted."""
    monkeypatch.setattr(telling, "TELL_S", 0.02)

    class Slow(Ear):
        async def tell(self, notice: Notice) -> None:
            if self.refuses:
                await asyncio.sleep(3600)
            await super().tell(notice)

    async def story(on: Scene) -> None:
        ear = Slow(refuses=1)
        async with listening(on, tmp_path / "slow.db", ear) as teller:
            one = await on.start("tom", "Asks")
            await until(lambda: teller.figures.failed)
            await _done(on, "bob", f"{one}/0", "answer", YES)
            await until(lambda: teller.figures.waiting == 2)
            ear.refuses = 0
            await until(lambda: len(ear.heard) == 2)
            assert teller.figures.told == 2

    play(story)
    assert "-1 is not taken within 0.02 s" in caplog.text


def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "desk.notices.db"
    path.mkdir()

    async def story(on: Scene) -> None:
        ear = Ear()
        teller = Teller("desk", on.node, ear, path)
        teller.start()
        await until(lambda: teller.figures.failed)
        path.rmdir()
        await on.start("tom", "Asks")
        await until(lambda: ear.heard)
        await on.node.close()  # It has stopped: there is nothing to be told any more.
        await until(lambda: teller._running is not None and teller._running.done())
        await teller.close()

    play(story)


def test_the_class_of_the_page_can_be_told(tmp_path: Path) -> None:
    found = re.search(r"^```python\n(from flowrt.store.noticebook.*?)^```$", PAGE, re.M | re.S)
    assert found is not None
    page: dict[str, Any] = {}
    exec(compile(found[1], "board.py", "exec"), page)
    board: Any = make(page["Board"], Place("alice", tmp_path), {"lines": 3})
    asyncio.run(board.tell(NOTICE))


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
        on.now_us += 1_000_000
        if forgets != "nothing":
            assert on.node._store.purge(0, 100, on.now_us).entries > 0
        if forgets == "some":
            two = await on.start("tom", "Asks")
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


def test_of_several_tasks_one_is_answered() -> None:
    answered = CallEnded(0, Ending(b"", by="bob"))
    expired = CallEnded(1, Ending(b"", "TaskExpired", by="ann"))
    tasks = {0: None, 1: None}
    assert tasklog.of_step(tasks, answered) == [("answered", 0, "bob"), ("closed", 1, "")]
    assert tasklog.of_step(tasks, expired) == [("closed", 0, ""), ("expired", 1, "ann")]
    assert tasklog.of_step({0: None}, RESUME) == [("closed", 0, "")]
    # What is over is told once, though a later step drops it too; and rubbish tells nothing.
    known = {(7, 0): tasklog.Open("boss", "Asks", 1, 5)}
    entry = (7, 1, 5, [], None, [("answered", 0, "bob"), ("closed", 0, "")])
    [(kind, _, _, by)] = tasklog.changes_in(encode([entry, (7, 2, 1)]), 9, known)
    assert (kind, by) == ("answered", "bob")
    assert list(tasklog.changes_in(b"rubbish", 9, known)) == []


def test_a_step_without_tasks_writes_nothing_of_them() -> None:
    async def story(on: Scene) -> None:
        await on.start("ann", "Waits")
        await on.start("ann", "Asks")
        rows = [row for _, data in on.node._store.audit() for row in decode(list[Any], data)]
        assert [len(row) for row in rows] == [5, 6], "with who began it, and what it asks"

    play(story)


# --- the webhook ------------------------------------------------------------------------------


def _hook(folder: Path, url: str, **how: object) -> Webhook:
    key = folder / "desk.key"
    key.write_bytes(KEY + b"\n")
    key.chmod(0o600)
    given = {"hosts": ["127.0.0.1"], "allow": ["127.0.0.1"]} | how
    place = types.SimpleNamespace(party="alice", folder=folder)
    return Webhook(place, url, "desk.key", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 204 x\r\n\r\n", b"HTTP/1.1 302 x\r\nLocation: /again\r\n\r\n",
     b"HTTP/1.1 500 x\r\n\r\n", b"hello\r\n", b"", b"x" * 100_000],
    ids=["taken", "moved", "failed", "other", "nothing", "endless"],
)  # fmt: skip
def test_r44_a_webhook_follows_nothing(tmp_path: Path, answer: bytes) -> None:
    async def story() -> None:
        async with answering(answer) as (port, asked):
            hook = _hook(tmp_path, f"http://127.0.0.1:{port}/in")
            if b"204" in answer:
                await hook.tell(NOTICE)
            else:
                with pytest.raises(NotTaken, match=r"answers \d+$|no HTTP"):
                    await hook.tell(NOTICE)
            [(header, body)] = asked
            assert verified(KEY, header, body)
            assert msgspec.json.decode(body, type=Notice) == NOTICE

    asyncio.run(story())


def test_a_webhook_goes_to_who_is_certified_for_its_name(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).certify("desk"))
    Authority(tmp_path, "other")

    async def story() -> None:
        async with answering(b"HTTP/1.1 200 x\r\n\r\n", context) as (port, asked):
            how = {"hosts": ["localhost"], "allow": ["127.0.0.1", "::1"]}
            url = f"https://localhost:{port}/in?a=b"
            await _hook(tmp_path, url, ca="root.pem", **how).tell(NOTICE)
            for ca in ("other.pem", None):
                with pytest.raises(ssl.SSLCertVerificationError):
                    await _hook(tmp_path, url, ca=ca, **how).tell(NOTICE)
            assert len(asked) == 1

    asyncio.run(story())


def test_a_receiver_that_does_not_part_has_taken_it(tmp_path: Path) -> None:
    """By TLS one says goodbye and waits for the other: who never says it has answered all the
    same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).certify("desk"))

    async def story() -> None:
        gone = asyncio.Event()

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"HTTP/1.1 200 x\r\n\r\n")
            await gone.wait()
            writer.transport.abort()

        server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            how = {"hosts": ["localhost"], "allow": ["127.0.0.1", "::1"], "ca": "root.pem"}
            hook = _hook(tmp_path, f"https://localhost:{port}/in", **how)
            async with asyncio.timeout(20):
                await hook.tell(NOTICE)
            gone.set()

    asyncio.run(story())


def test_the_receiver_of_the_page_verifies_what_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = re.search(r"^```python\n(# desk.py.*?)^```$", PAGE, re.M | re.S)
    assert found is not None
    _hook(tmp_path, "http://127.0.0.1/")
    monkeypatch.chdir(tmp_path)
    desk: dict[str, Any] = {"__name__": "desk"}
    exec(compile(found[1], "desk.py", "exec"), desk)
    shown: list[dict[str, Any]] = []
    kind = type("Quiet", (desk["Desk"],), {
        "log_message": lambda *_: None, "show": lambda _, notice: shown.append(notice),
    })  # fmt: skip
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/"
            hook = _hook(tmp_path, url)
            for _ in range(2):  # The same again: taken, and shown once.
                asyncio.run(hook.tell(NOTICE))
            hook._key = b"x" * 40
            with pytest.raises(NotTaken, match="403"):
                asyncio.run(hook.tell(NOTICE))
        finally:
            server.shutdown()
            thread.join()
    assert [one["id"] for one in shown] == ["a-1"]
    now = int(time.time())
    cases = [(signature(KEY, now + age, b"x"), b"x") for age in (-290, 290, -310, 310)]
    cases += [(signature(KEY, now, b"x"), b"y"), (signature(b"y" * 40, now, b"x"), b"x")]
    cases += [(header, b"x") for header in ("", "t=", "t=²,v1=x", f"t={now},v1=é", f"t={now}")]
    for header, body in cases:
        theirs, ours = desk["is_genuine"](header, body), verified(KEY, header, body)
        assert theirs == ours
        assert ours == (header in (cases[0][0], cases[1][0]) and body == b"x")


def test_a_signature_ages() -> None:
    header = signature(KEY, 1000, b"x")
    assert verified(KEY, header, b"x", 1300)
    assert not verified(KEY, header, b"x", 1301)
    assert not verified(KEY, header, b"x", 699)
    for bad in ("", "t=", "t=1000", "t=1000,v1=é", "v1=1,t=1000", f" {header}", header.upper()):
        assert not verified(KEY, bad, b"x", 1000)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "127.0.0.1", "10.0.0.1", "::1", "fe80::1%lo", "::ffff:8.8.8.8",
     "64:ff9b::a00:1", "64:ff9b:1::a00:1", "0.0.0.0", "100.64.0.1", "224.0.0.1", "2002:7f00:1::",
     "fc00::1", "192.0.2.1", "198.18.0.1", "::", "255.255.255.255", "ff02::1",
     "fec0::1", "::7f00:1", "::ffff:0:7f00:1", "::5efe:a00:1", "4000::1"],
)  # fmt: skip
def test_r44_addresses_that_are_not_public_are_not_asked(tmp_path: Path, address: str) -> None:
    assert not is_public(address)
    assert is_public("8.8.8.8")
    assert is_public("2a00:1450::1")


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("url", {"url": "file:///etc/passwd"}),
        ("url", {"url": "ftp://127.0.0.1/"}),
        ("url", {"url": "http://a@127.0.0.1/"}),
        ("url", {"url": "https://127.0.0.1/\r\nX: y"}),
        ("url", {"url": "https://[::1/"}),
        ("url", {"url": "https://127.0.0.1:99999/"}),
        ("url", {"url": "//127.0.0.1/"}),
        ("url", {"url": 7}),
        ("hosts", {"url": "https://other/"}),
        ("hosts", {"url": "https://127.0.0.1.evil.example/"}),
        ("hosts", {"hosts": "127.0.0.1"}),
        ("allow", {"allow": ["10.0.0.1/8"]}),
        ("allow", {"allow": "127.0.0.1"}),
        ("ca", {"url": "https://127.0.0.1/", "ca": "desk.key"}),
        ("ca", {"url": "https://127.0.0.1/", "ca": "none.pem"}),
    ],
)
def test_r44_what_cannot_be_is_refused(tmp_path: Path, key: str, given: dict[str, Any]) -> None:
    with pytest.raises(Wrong) as refused:
        _hook(tmp_path, **({"url": "http://127.0.0.1/"} | given))
    assert refused.value.key == key


@pytest.mark.parametrize("spoil", ["gone", "open", "short", "folder"])
def test_a_key_that_others_may_have_is_refused(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "other.key"
    if spoil == "folder":
        path.mkdir()
    elif spoil != "gone":
        path.write_bytes(KEY if spoil == "open" else KEY[:31] + b" ")
        path.chmod(0o604 if spoil == "open" else 0o600)
    place: Any = types.SimpleNamespace(party="alice", folder=tmp_path)
    with pytest.raises(Wrong, match=r"^key_file: .*other\.key.*chmod 600 ") as refused:
        Webhook(place, "https://x/", "other.key", ["x"])
    assert KEY[:31].decode() not in str(refused.value)


def test_r44_names_that_lead_inside_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of several that is private; a name that leads elsewhere when it is asked again;
    plain http to others than an allowed loopback."""
    asked: list[str] = []

    async def connect(host: str, port: int, **how: Any) -> Any:
        asked.append(host)
        assert how["server_hostname"] == "desk.example"
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", connect)

    async def tell(url: str, *answers: list[str], allow: tuple[str, ...] = ()) -> None:
        left = list(answers)

        async def look(host: str, port: int, **how: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in left.pop(0)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look)
        hook = _hook(tmp_path, url, hosts=["desk.example"], allow=list(allow))
        try:
            await hook.tell(NOTICE)
        finally:
            assert len(left) == len(answers) - 1, "looked up once"

    async def story() -> None:
        https, plain = "https://desk.example/", "http://desk.example/"
        with pytest.raises(ConnectionRefusedError):
            await tell(https, ["8.8.8.8", "2a00:1450::1"], ["127.0.0.1"])
        assert asked == ["8.8.8.8", "2a00:1450::1"]
        with pytest.raises(ConnectionRefusedError):
            await tell(https, ["10.1.2.3"], allow=("10.1.2.0/24",))
        assert asked.pop() == "10.1.2.3"
        for url, found, allow in (
            (https, ["8.8.8.8", "127.0.0.1"], ()),
            (https, ["169.254.169.254"], ("10.0.0.0/8",)),
            (https, [], ()),
            (plain, ["8.8.8.8"], ("8.8.8.8",)),
            (plain, ["127.0.0.1"], ()),
            (plain, ["127.0.0.1", "10.0.0.1"], ("127.0.0.1", "10.0.0.1")),
        ):
            with pytest.raises(NotTaken, match=r"see `allow`|http goes to|no address"):
                await tell(url, found, allow=allow)
        assert len(asked) == 2

    asyncio.run(story())
