"""Mails with links that answer a question once: who gets them, and what a link is good for."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import re
import types
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from flowrt.api.app import Offer
from flowrt.notices import mail as mailing
from flowrt.notices import telling
from flowrt.notices.given import NotTaken, Wrong
from flowrt.notices.links import Desk
from flowrt.notices.mail import Mail
from flowrt.notices.telling import Teller
from flowrt.store.linkbook import Links
from tests.api.scene import Scene, scene, token_of
from tests.notices.post import Office, link_in, office

TO = {"bob": "bob@town.example", "bea": "bea@town.example", "tom": "tom@town.example"}
YES = {"f.yes": "true", "f.mood": ""}
PAGE = {"Host": "node.example"}
GONE = "This link is good no more"
PASSWORD = "the-password-of-the-post"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "LOOK_S", 0.002)
    monkeypatch.setattr(telling, "FIRST_S", 0.002)


def _mail(folder: Path, post: Office | None, **how: Any) -> Mail:
    given = {
        "server": f"127.0.0.1:{post.port if post else 1}",
        "sender": "alice@node.example",
        "to": TO,
        "url": "https://node.example",
        "security": post.security if post else "starttls",
        "ca": "root.pem" if post is None or post.security != "none" else None,
    }
    place = types.SimpleNamespace(party="alice", folder=folder)
    return Mail(place, **(given | how))  # type: ignore[arg-type]


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.001)


class Street:
    """A node, its interface, a mail server between them and people."""

    def __init__(self, on: Scene, post: Office, links: Links, teller: Teller) -> None:
        self.on = on
        self.post = post
        self.links = links
        self.teller = teller

    async def asks(self) -> tuple[int, str]:
        """A flow that asks the boss; its id, and the link that bob has got."""
        before = len(self.post.mails)
        flow = await self.on.start("tom", "Asks", text="may <b>tom</b>\u202e?")
        await until(lambda: len(self.post.mails) == before + 2)
        return flow, link_in(self.post.mails[before])

    async def get(self, path: str, user: str | None = None, **headers: str) -> tuple[int, str]:
        answer = await self.on.ask(user, "GET", path, headers=PAGE | headers)
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        return answer.status_code, answer.text

    async def post_form(
        self, path: str, form: dict[str, str], user: str | None = None, **headers: str
    ) -> tuple[int, str]:
        answer = await self.on.ask(user, "POST", path, data=form, headers=PAGE | headers)
        return answer.status_code, answer.text

    async def result(self, flow: int) -> str:
        answer = await self.on.ask("tom", "GET", f"/v1/flows/{flow}/result?wait_s=5")
        found: str = answer.json()["result"]
        return found

    def is_open(self, flow: int) -> bool:
        return (flow, 0) in self.on.node.open_tasks()


@contextlib.asynccontextmanager
async def street(
    folder: Path, identify: bool = False, good_for: str = "1d", **how: Any
) -> AsyncIterator[Street]:
    links = Links(folder / "links.db")
    offer = Offer(hosts=["node.example"], links=links)
    async with office(folder, **how) as post, scene(offer=offer) as on:
        writer = _mail(folder, post, identify=identify, good_for=good_for)
        writer.attach(Desk(on.node, on.app.access, links))
        teller = Teller("mail", on.node, writer, folder / "mail.notices.db")
        teller.start()
        try:
            yield Street(on, post, links, teller)
        finally:
            await teller.close()
            links.close()


def played(story: Callable[[Street], Any], folder: Path, **how: Any) -> None:
    async def whole() -> None:
        async with street(folder, **how) as at:
            await story(at)

    asyncio.run(whole())


# --- mails ------------------------------------------------------------------------------------


def test_who_may_answer_is_written_to(tmp_path: Path) -> None:
    async def story(at: Street) -> None:
        flow, _ = await at.asks()
        found = at.post.mails
        assert [mail["To"] for mail in found] == [TO["bob"], TO["bea"]], "tom may not answer"
        assert found[0]["Subject"] == "alice: a question for boss"
        assert found[0]["Auto-Submitted"] == "auto-generated"
        assert f"Asks_v1 of alice asks boss: flow {flow}, question 0." in found[0].get_content()
        assert "tom" not in found[0].get_content(), "what is asked is not in the mail"
        assert link_in(found[0]) != link_in(found[1])
        assert found[0]["Message-ID"] != found[1]["Message-ID"]
        assert at.post.secure == [True, True]
        token = link_in(found[0]).rpartition("/")[2].encode()
        files = b"".join(path.read_bytes() for path in tmp_path.glob("*.db*"))
        assert token not in files, "digests alone"
        assert (tmp_path / "links.db").stat().st_mode & 0o077 == 0

    played(story, tmp_path)


@pytest.mark.parametrize("security", ["tls", "none"])
def test_the_server_is_spoken_to_as_wanted(tmp_path: Path, security: str) -> None:
    async def story(at: Street) -> None:
        flow, link = await at.asks()
        assert at.post.secure == [security == "tls"] * 2
        assert (await at.post_form(link, YES))[0] == 200
        assert await at.result(flow) == "bob said true"

    played(story, tmp_path, security=security)


def test_nothing_is_said_without_tls_where_it_is_wanted(tmp_path: Path) -> None:
    """A server that does not offer it, as where somebody between takes the offer away; and one
    that another authority certifies."""

    async def story() -> None:
        (tmp_path / "secret").write_text(PASSWORD)
        (tmp_path / "secret").chmod(0o600)
        for security, wanted in (("none", "starttls"), ("starttls", "starttls"), ("tls", "tls")):
            folder = tmp_path / f"{security}-{wanted}"
            folder.mkdir()
            async with office(folder, security) as post:
                (tmp_path / "root.pem").write_bytes((folder / "root.pem").read_bytes())
                if security != "none":
                    other = tmp_path / f"other-{security}"
                    other.mkdir()
                    async with office(other):
                        (tmp_path / "root.pem").write_bytes((other / "root.pem").read_bytes())
                given = {"security": wanted, "ca": "root.pem"}
                login = {"user": "alice", "password_file": "secret"}
                writer = _mail(tmp_path, post, **given, **login)
                with pytest.raises((mailing.smtplib.SMTPNotSupportedError, OSError)):
                    await asyncio.to_thread(writer._connected)
                assert [one.partition(" ")[0] for one in post.commands] in (
                    [],
                    ["ehlo"],
                    ["ehlo", "STARTTLS"],
                )

    asyncio.run(story())


def test_a_server_that_refuses_is_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was reached is not written to again; an address that is refused for good keeps
    nobody from anything; and what the server repeats is told to nobody."""
    caplog.set_level(logging.DEBUG, "flowrt")

    async def story(at: Street) -> None:
        (tmp_path / "secret").write_text(f"{PASSWORD}\n")
        (tmp_path / "secret").chmod(0o600)
        at.post.answers[f"rcpt TO:<{TO['bea']}>"] = 451
        await at.on.start("tom", "Asks")
        await until(lambda: at.teller.figures.failed > 1)
        assert [mail["To"] for mail in at.post.mails] == [TO["bob"]]
        at.post.answers.clear()
        await until(lambda: len(at.post.mails) == 2)
        assert at.post.mails[1]["To"] == TO["bea"]
        at.post.answers[f"rcpt TO:<{TO['bob']}>"] = 550
        await at.on.start("tom", "Asks")
        await until(lambda: len(at.post.mails) == 3)
        assert at.post.mails[2]["To"] == TO["bea"]
        await until(lambda: at.teller.figures.waiting == 0)
        writer = _mail(tmp_path, at.post, user="alice", password_file="secret")
        writer.attach(Desk(at.on.node, at.on.app.access, at.links))
        at.post.answers["AUTH"] = 535
        flow = await at.on.start("tom", "Asks")
        notice = mailing.Notice("x-1", "alice", "new", flow, 0, "boss", "Asks", at.on.node.now)
        for _ in range(2):
            with pytest.raises(NotTaken, match=r"^127\.0\.0\.1 answers 535$"):
                await writer.tell(notice)
        at.post.answers.clear()
        await writer.tell(notice)
        assert at.post.logins[-1] == f"\0alice\0{PASSWORD}"

    played(story, tmp_path)
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "127.0.0.1 takes no mail for bob: 550" in said
    assert "127.0.0.1 answers 451 of the address of bea" in said
    assert PASSWORD not in said
    assert "/answer/" not in said


def test_a_server_that_says_nothing_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailing, "SERVER_S", 3600.0)

    async def story(at: Street) -> None:
        at.post.silent = True
        flow = await at.on.start("tom", "Asks")
        await until(lambda: at.post.commands)
        answer = await at.on.ask(
            "bob", "POST", f"/v1/tasks/{flow}/0/answer", {"answer": {"yes": True}}
        )
        assert answer.status_code == 200
        await at.teller.close()

    played(story, tmp_path, security="none")


# --- links ------------------------------------------------------------------------------------


def test_t33_a_link_answers_once(tmp_path: Path) -> None:
    async def story(at: Street) -> None:
        flow, link = await at.asks()
        before = (at.on.node.commits, (tmp_path / "links.db-wal").read_bytes())
        for _ in range(3):  # A scanner looks, and so does bob, from a mail that he reads in a page.
            status, text = await at.get(link, **{"Sec-Fetch-Site": "cross-site"})
            assert (status, "Answer as bob" in text) == (200, True)
        assert "may &lt;b&gt;tom&lt;/b&gt;\\u202e?" in text
        assert (at.on.node.commits, (tmp_path / "links.db-wal").read_bytes()) == before
        head = await at.on.ask(None, "HEAD", link, headers=PAGE)
        assert head.status_code == 405
        clicks = [at.post_form(link, YES, Origin="http://node.example") for _ in range(5)]
        said = sorted([status for status, _ in await asyncio.gather(*clicks)])
        assert said == [200, 404, 404, 404, 404]
        assert await at.result(flow) == "bob said true"
        for method in (at.get(link), at.post_form(link, YES)):
            status, text = await method
            assert (status, GONE in text) == (404, True)
        rows = (await at.on.ask("olga", "GET", "/v1/audit?changes=1")).json()["rows"]
        assert [e["by"] for r in rows for e in r["entries"] if e["event"] == "CallEnded"] == ["bob"]

    played(story, tmp_path)


def test_t33_a_link_that_is_not_good_answers_nothing(tmp_path: Path) -> None:
    """Each for another reason, all told alike."""

    async def story(at: Street) -> None:
        pages = set()

        async def refused(flow: int, link: str) -> None:
            for method in (at.get(link), at.post_form(link, YES)):
                status, text = await method
                assert status == 404
                pages.add(text)
            assert flow == 0 or at.is_open(flow)

        flow, link = await at.asks()
        await refused(0, "/answer/" + "x" * 43)
        await refused(0, "/answer/%00%ff")
        await refused(flow, link[:-1] + ("A" if link[-1] != "A" else "B"))
        known = at.on.app.access._users
        bob = known["bob"]
        known["bob"] = dataclasses.replace(bob, disabled=True)
        await refused(flow, link)
        known["bob"] = bob
        may = at.on.app.access._may
        mine, may["bob"] = may["bob"], {"answer": ("clerk",)}
        await refused(flow, link)
        may["bob"] = mine
        # As where a store went back, and asks something else under the same number.
        store = at.on.node._store.disk.tasks
        task = store[flow, 0]
        store[flow, 0] = task.replace(b"may ", b"May ")
        await refused(flow, link)
        store[flow, 0] = task
        assert (await at.get(link))[0] == 200
        ended, other = await at.asks()
        await at.on.ask("bea", "POST", f"/v1/tasks/{ended}/0/answer", {"answer": {"yes": False}})
        await refused(0, other)
        at.on.now_us += 3_600_000_000  # The task's time, and so the link's.
        await refused(0, link)
        assert len(pages) == 1

    played(story, tmp_path)


def test_t33_a_link_is_good_for_a_while(tmp_path: Path) -> None:
    """Less long than its task, if it is said so; and those that are too old are forgotten."""

    async def story(at: Street) -> None:
        flow, link = await at.asks()
        at.on.now_us += 60_000_000 - 1
        assert (await at.get(link))[0] == 200
        at.on.now_us += 1
        for method in (at.get(link), at.post_form(link, YES)):
            status, text = await method
            assert (status, GONE in text) == (404, True)
        assert at.is_open(flow)
        assert at.links._db.execute("SELECT count(*) FROM link").fetchone() == (2,)
        other, _ = await at.asks()
        found = at.links._db.execute("SELECT flow FROM link").fetchall()
        assert found == [(other,), (other,)]
        # What is over, however that came, needs no link.
        await at.on.ask("bob", "POST", f"/v1/tasks/{other}/0/answer", {"answer": {"yes": True}})
        await until(lambda: not at.links._db.execute("SELECT * FROM link").fetchall())

    played(story, tmp_path, good_for="1min")


def test_t33_an_account_that_is_closed_meanwhile_answers_nothing_by_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(at: Street) -> None:
        flow, link = await at.asks()
        taken = at.links.take

        def close_too(token: str) -> bool:
            found = taken(token)
            known = at.on.app.access._users
            known["bob"] = dataclasses.replace(known["bob"], disabled=True)
            return found

        monkeypatch.setattr(at.links, "take", close_too)
        status, text = await at.post_form(link, YES)
        assert (status, "bob may not answer it" in text) == (409, True)
        assert at.is_open(flow)

    played(story, tmp_path)


def test_t33_a_link_is_its_users_own(tmp_path: Path) -> None:
    """Somebody else who is known, whatever he may, is refused; so is a page of another origin."""

    async def story(at: Street) -> None:
        flow, link = await at.asks()
        for who in ("bea", "tom", "ann"):
            for method in (at.get(link, who), at.post_form(link, YES, who)):
                status, text = await method
                assert (status, "not yours" in text, "may" in text) == (403, True, True)
                assert "tom" not in text
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert (await at.post_form(link, YES, **headers))[0] == 403
        other = await at.on.ask(None, "POST", link, {"answer": {"yes": True}}, headers=PAGE)
        assert other.status_code == 415
        assert at.is_open(flow)
        assert (await at.post_form(link, YES, "bob"))[0] == 200

    played(story, tmp_path)


def test_t33_a_link_may_want_to_know_who_opens_it(tmp_path: Path) -> None:
    async def story(at: Street) -> None:
        flow, link = await at.asks()
        status, text = await at.get(link)
        assert (status, "tom" in text, "Your token" in text) == (200, False, True)
        for form in (YES, YES | {"token": ""}, YES | {"token": token_of("bea")}):
            status, text = await at.post_form(link, form)
            assert (status, "not a token of bob" in text) == (403, True)
            assert token_of("bea") not in text
        assert at.is_open(flow)
        assert "tom" in (await at.get(link, "bob"))[1]
        assert (await at.post_form(link, YES | {"token": token_of("bob")}))[0] == 200
        assert await at.result(flow) == "bob said true"
        assert "who you are" in at.post.mails[0].get_content()

    played(story, tmp_path, identify=True)


def test_what_does_not_fit_leaves_the_link_good(tmp_path: Path) -> None:
    async def story(at: Street) -> None:
        flow, link = await at.asks()
        for form in (
            {},
            {"f.yes": "maybe"},
            YES | {"f.no": "1"},
            YES | {"f.mood": "not json"},
            YES | {"f.mood": '"<i>"'},
            YES | {"f.mood": "[" * 100_000},
        ):
            status, text = await at.post_form(link, form)
            assert (status, 'role="alert"' in text, "<i>" in text) == (400, True, False)
        for body in ("f.yes=%ff", "f.yes=true&f.yes=true", "&".join("ab")):
            answer = await at.on.ask(
                None,
                "POST",
                link,
                content=body,
                headers=PAGE | {"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert answer.status_code == 400
        await at.on.ask("bea", "POST", f"/v1/tasks/{flow}/0/claim")
        assert "bea has claimed this question" in (await at.get(link))[1]
        status, text = await at.post_form(link, YES)
        assert (status, "bea has claimed question 0" in text) == (409, True)
        await at.on.ask("bea", "POST", f"/v1/tasks/{flow}/0/release")
        sad = YES | {"f.mood": '{"Sad": {"why": "rain"}}'}
        assert (await at.post_form(link, sad))[0] == 200
        assert await at.result(flow) == "bob said true"

    played(story, tmp_path)


# --- configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("server", {"server": "mail.example"}),
        ("security", {"security": "plain"}),
        ("security", {"security": "none", "server": "mail.example:25"}),
        ("sender", {"sender": "alice@x\r\nBcc: eve@x"}),
        ("to", {"to": {}}),
        ("to", {"to": {"bob": "Bob <bob@x>"}}),
        ("url", {"url": "http://node.example"}),
        ("url", {"url": "https://node.example/there"}),
        ("user", {"user": "alice"}),
        ("password_file", {"user": "alice", "password_file": "no such"}),
        ("password_file", {"user": "alice", "password_file": "open"}),
        ("password_file", {"user": "alice", "password_file": "empty"}),
        ("good_for", {"good_for": "0d"}),
        ("identify", {"identify": "yes"}),
        ("ca", {"ca": "open"}),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, key: str, given: dict[str, Any]) -> None:
    (tmp_path / "open").write_text(PASSWORD)
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "empty").write_text("")
    (tmp_path / "empty").chmod(0o600)
    with pytest.raises(Wrong) as refused:
        _mail(tmp_path, None, **({"ca": None} | given))
    assert refused.value.key == key
    assert PASSWORD not in str(refused.value)
    assert re.fullmatch(r"[ -~…]+", str(refused.value))
