"""What people send who mean harm, or err: refused with a status of 400 or more, nothing changed,
nothing of it told back. The names are those of the list of inputs (docs/reliability.md)."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any

import pytest

from flowrt.api import app as api
from flowrt.api.access import Access, AccessWrong, Role, User, digest_of
from flowrt.api.app import OPERATIONS, Offer
from tests.api.scene import Scene, play, token_of
from tests.api.test_flows import ORDER, events_of

CHANGES = [one for one in OPERATIONS if one.method == "POST"]


def path_of(path: str) -> str:
    """An operation's path, of objects that are there."""
    return path.replace("{id}", "1").replace("{flow}", "2").replace("{number}", "0")


async def furnished(on: Scene) -> None:
    """Flow 1 has an owner, flow 2 a task."""
    await on.start("ann", "Counts")
    await on.start("ann", "Asks")


def committed(on: Scene) -> int:
    """How much was ever written."""
    found: int = on.node.commits
    return found


@pytest.mark.parametrize(
    ("case", "headers"),
    [
        ("R01 no token", {}),
        ("R01 an empty one", {"Authorization": ""}),
        ("R01 another scheme", {"Authorization": f"Basic {token_of('ann')}"}),
        ("R01 no scheme", {"Authorization": token_of("ann")}),
        ("R01 a guess", {"Authorization": f"Bearer {token_of('ann')[:-1]}"}),
        ("R01 its digest", {"Authorization": f"Bearer {digest_of(token_of('ann'))}"}),
        ("R01 a user's name", {"Authorization": "Bearer ann"}),
        ("R02 expired", {"Authorization": f"Bearer {token_of('vic')}"}),
        ("R04 of a disabled user", {"Authorization": f"Bearer {token_of('nil')}"}),
    ],
)
def test_r01_r02_r04_who_is_not_known_is_told_nothing(
    case: str, headers: Mapping[str, str]
) -> None:
    async def story(on: Scene) -> None:
        today, before = datetime.date(2026, 11, 22), committed(on)
        known = on.app.access._users
        known["vic"] = dataclasses.replace(on.users["vic"], expires=today)
        known["nil"] = dataclasses.replace(on.users["nil"], disabled=True)
        known["bob"] = dataclasses.replace(
            on.users["bob"], expires=today + datetime.timedelta(days=1)
        )
        assert (await on.ask("bob", "GET", "/v1/node")).status_code == 200
        told = set()
        for one in OPERATIONS:
            if not one.needs:
                continue
            answer = await on.ask(None, one.method, path_of(one.path), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            told.add(answer.text)
        assert len(told) == 1
        assert committed(on) == before

    play(story)


def test_r05_a_token_in_the_address_is_none() -> None:
    async def story(on: Scene) -> None:
        for name in ("token", "access_token", "authorization", "api_key"):
            answer = await on.ask(None, "GET", f"/v1/flows?{name}={token_of('ann')}")
            assert answer.status_code == 401
            known = await on.ask("ann", "GET", f"/v1/flows?{name}={token_of('ann')}")
            assert known.status_code == 400
            assert token_of("ann") not in known.text

    play(story)


@pytest.mark.parametrize(
    "name",
    ["", "a\nb", "*", "a/b", "\x00", "../ann", "ann ", "x" * 65, "x" * 10**6, "ＡＮＮ", "-a"],
)
def test_r07_names_of_users_have_one_shape(name: str) -> None:
    with pytest.raises(AccessWrong, match="is no user's name; take letters, digits and") as wrong:
        Access({name: User(["viewer"], digest_of("x"))}, {}, datetime.date.today)
    assert len(str(wrong.value)) < 800
    assert str(wrong.value).isprintable()


@pytest.mark.parametrize(
    ("roles", "user", "message"),
    [
        (["strat trade.*"], {}, "role r: `strat trade.*` begins with no word for something to be "),
        (["strat trade.*"], {}, "did you mean `start`?"),
        (
            ["start"],
            {},
            "role r: `start` does not say about what; write a flow's name, `own` or `*`",
        ),
        (["start "], {}, "does not say about what"),
        (["start a\nb"], {}, r"role r: `start a\nb` does not say about what"),
        (["start 'x'"], {}, "does not say about what"),
        (["drain everything"], {}, "role r: `drain everything` says too much; write `drain` alone"),
        ([""], {}, "begins with no word"),
        (["*"], {}, "begins with no word"),
        (["answer"], {}, "write a role or `*` after it"),
        (["schedule"], {}, "write a schedule's name or `*` after it"),
        ([], {"roles": ["viwer"]}, "user u: there is no role `viwer`; did you mean `viewer`?"),
        ([], {"roles": ["zzz"]}, "there are: viewer, operator, admin, r"),
        ([], {"token": "secret"}, 'user u: a token is written as "sha256:" and 64 hex digits'),
        ([], {"token": None}, "user u has neither a token nor a certificate; give one of them"),
    ],
)
def test_r10_permissions_that_make_no_sense_are_refused_when_they_are_read(
    roles: list[str], user: dict[str, Any], message: str
) -> None:
    made = User(**{"roles": [], "token": digest_of("x"), **user})
    with pytest.raises(AccessWrong) as wrong:
        Access({"u": made}, {"r": Role(roles)}, datetime.date.today)
    assert message in str(wrong.value)


def test_r10_two_users_do_not_have_one_token_and_roles_do_not_take_names() -> None:
    one = User(["viewer"], digest_of("x"), "CN=one")
    with pytest.raises(AccessWrong, match="users a and b have one token; give each its own"):
        Access({"a": one, "b": dataclasses.replace(one, certificate=None)}, {}, datetime.date.today)
    with pytest.raises(AccessWrong, match="users a and b have one certificate"):
        Access({"a": one, "b": dataclasses.replace(one, token=None)}, {}, datetime.date.today)
    with pytest.raises(AccessWrong, match="every node has a role admin"):
        Access({}, {"admin": Role([])}, datetime.date.today)


@pytest.mark.parametrize("field", ["user", "by", "owner", "party", "tenant", "roles", "role"])
def test_r13_nobody_says_in_a_body_who_he_is(field: str) -> None:
    async def story(on: Scene) -> None:
        await furnished(on)
        before = committed(on)
        for one in CHANGES:
            fitting = {
                "start_flow": {"flow": f"{on.name}.Counts"},
                "send_message": {"message": "More", "fields": {"amount": 1}},
                "answer_task": {"answer": {"yes": True}},
                "delegate_task": {"to": "bob"},
                "throw_error": {"error": "TooMuch", "fields": {"amount": 1}, "reason": "x"},
                "repair_flow": {"changes": {}, "reason": "x"},
                "backup": {"path": "x"},
            }.get(one.name, {"reason": "x"})
            path = path_of(one.path).replace("{name}", f"{on.name}.Hourly")
            for body in (fitting | {field: "tom"}, *_nested(fitting, field)):
                answer = await on.ask("ann", "POST", path, body)
                assert 400 <= answer.status_code < 500, (one.name, answer.text)
        assert committed(on) == before

    play(story)


def _nested(body: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """The body with that field in each of its objects."""
    return [
        body | {name: value | {field: "tom"}}
        for name, value in body.items()
        if isinstance(value, dict) and name != "changes"
    ]


def test_r14_a_batch_of_a_million_is_too_large() -> None:
    async def story(on: Scene) -> None:
        lines = b",".join([b'{"sku":"x","count":1,"price":null}'] * 10**6)
        text = b'{"flow":"Orders","arguments":{"lines":[%s]}}' % lines
        answer = await on.ask(
            "ann",
            "POST",
            "/v1/flows",
            content=text,
            headers={"Content-Type": "application/json"},
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")

        async def without_end() -> Any:
            while True:
                yield b"[" * 65_536

        answer = await on.ask(
            "ann",
            "POST",
            "/v1/flows",
            content=without_end(),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 413
        assert on.node.begun == 0

    play(story)


BODIES: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"1",
    b'"x"',
    b"{}{}",
    b'{"flow":"a","flow":"b"}',
    b'{"reason":"a","reason":"b"}',
    b'{"reason":NaN}',
    b'{"reason":1e999}',
    b'{"reason":"\xff\xfe"}',
    b"\xef\xbb\xbf{}",
    b'{"reason":"\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"reason":' + b"9" * 5000 + b"}",
    b'{"reason":"' + b"x" * 100_000 + b'"}',
    b'{"flow":null,"arguments":null}',
    b'{"flow":{"a":1},"arguments":[1]}',
    b'{"message":null,"fields":null,"number":null}',
    b'{"answer":{"yes":{"yes":true}}}',
    b'{"to":null}',
    b'{"changes":{"total":"x"},"reason":"x"}',
    b'{"error":"../../x","fields":{},"reason":"x"}',
    b'{"path":"../x"}',
    b'{"path":"a\\u0000b"}',
]


@pytest.mark.parametrize("operation", CHANGES, ids=lambda one: str(one.name))
def test_r16_bodies_that_do_not_fit_change_nothing(operation: Any) -> None:
    may_be_empty = operation.body_optional
    if operation.name in ("drain", "undrain"):
        harmless = [b""]
    else:
        harmless = [b""] if may_be_empty else []

    async def story(on: Scene) -> None:
        await furnished(on)
        path = path_of(operation.path).replace("{name}", f"{on.name}.Hourly")
        before = committed(on)
        for body in BODIES:
            if body in harmless:
                continue
            answer = await on.ask(
                "ann",
                "POST",
                path,
                content=body,
                headers={"Content-Type": "application/json"},
            )
            assert 400 <= answer.status_code < 500, (body[:60], answer.text)
            error = answer.json()["error"]
            assert len(answer.content) < 1000
            assert "Traceback" not in answer.text
            assert error["message"].isprintable()
        assert committed(on) == before

    play(story)


@pytest.mark.parametrize(
    "name",
    [
        "../desk",
        "%2e%2e/desk",
        "..\\desk",
        "file:///etc/passwd",
        "os.system",
        "x" * 10**5,
        "",
        "\x00",
        "Inner",
        "flowrt.core.flow.Flow",
    ],
)
def test_r08_r17_a_flow_that_may_not_be_started_is_one_that_is_not_there(name: str) -> None:
    async def story(on: Scene) -> None:
        unknown = await on.ask("ann", "POST", "/v1/flows", {"flow": name})
        for who, flow in (("ann", f"{on.name}.Inner"), ("tom", f"{on.name}.Waits")):
            answer = await on.ask(who, "POST", "/v1/flows", {"flow": flow})
            assert (answer.status_code, answer.content) == (403, unknown.content)
        assert on.node.begun == 0

    play(story)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/flows/../../etc/passwd",
        "/v1/flows/%2e%2e/x",
        "/v1/flows/1%00",
        "/v1/flows/-1",
        "/v1/flows/1e3",
        "/v1/flows/1.0",
        "/v1/flows/٣",
        "/v1/flows/" + "9" * 30,
        "/v1/flows/1/",
        "/v1/flows/",
        "//evil.example/v1/flows",
        "/\\evil.example",
        "/v1/tasks/1/x",
        "/v1/schedules/..%2f/none",
        "/",
    ],
)
def test_r17_r43_paths_that_are_none_lead_nowhere(path: str) -> None:
    async def story(on: Scene) -> None:
        await furnished(on)
        answer = await on.ask("ann", "GET", f"http://localhost{path}")
        assert answer.status_code in (404, 405)
        assert "location" not in answer.headers
        assert "evil" not in answer.text
        assert "passwd" not in answer.text

    play(story)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Long": "x" * 9000},
        {f"X-{number}": "x" for number in range(1000)},
    ],
    ids=["9 kB", "1,000"],
)
def test_r20_headers_have_limits(headers: dict[str, str]) -> None:
    async def story(on: Scene) -> None:
        answer = await on.ask("ann", "GET", "/v1/node", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (431, "headers_too_large")

    play(story)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/xml",
        "",
    ],
)
def test_r22_a_body_that_a_form_could_send_is_refused(kind: str) -> None:
    async def story(on: Scene) -> None:
        body = json.dumps({"flow": f"{on.name}.Counts"}).encode()
        headers = {"Content-Type": kind} if kind else {}
        answer = await on.ask("ann", "POST", "/v1/flows", content=body, headers=headers)
        assert answer.status_code == 415
        assert on.node.begun == 0

    play(story)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_r23_pages_of_others_are_refused(headers: dict[str, str]) -> None:
    async def story(on: Scene) -> None:
        body = {"flow": f"{on.name}.Counts"}
        answer = await on.ask("ann", "POST", "/v1/flows", body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await on.ask("ann", "GET", "/v1/flows", headers=headers)).status_code == 403
        assert on.node.begun == 0
        own = {"Origin": "https://desk.example"}
        assert (await on.ask("ann", "POST", "/v1/flows", body, headers=own)).status_code == 201

    play(story, offer=Offer(origins=("https://desk.example",)))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"],
)
def test_t30_a_name_that_leads_here_and_is_not_ours_is_refused(host: str) -> None:
    async def story(on: Scene) -> None:
        answer = await on.ask("ann", "GET", "/v1/flows", headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (421, "wrong_host")
        for good in ("localhost", "LOCALHOST:8400", "127.0.0.1:1", "[::1]:8400", "desk.example"):
            told = await on.ask("ann", "GET", "/v1/flows", headers={"Host": good})
            assert told.status_code == 200

    play(story, offer=Offer(hosts=("desk.example",)))


def test_r25_no_web_socket_is_opened() -> None:
    async def story(on: Scene) -> None:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"origin", b"https://evil.example")]
        scope = {"type": "websocket", "path": "/v1/flows/1/progress", "headers": headers}
        await on.app(scope, receive, send)
        assert sent == [{"type": "websocket.close", "code": 1008}]

    play(story)


def test_r26_what_is_read_changes_nothing() -> None:
    async def story(on: Scene) -> None:
        await furnished(on)
        ended = await on.start("ann", "Orders", **ORDER)
        before = committed(on)
        for one in OPERATIONS:
            if one.method == "GET":
                path = one.path.replace("{id}", str(ended))
                answer = await on.ask("ann", "GET", path_of(path))
                assert answer.status_code in (200, 409), one.name
        assert committed(on) == before
        for method in ("PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"):
            for one in CHANGES:
                answer = await on.ask("ann", method, path_of(one.path))
                assert answer.status_code in (404, 405)
        assert committed(on) == before

    play(story)


def test_r29_two_operators_at_once_are_one_after_the_other() -> None:
    async def story(on: Scene) -> None:
        flow = await on.start("ann", "Fails", text="bad tea")
        at = f"/v1/flows/{flow}"
        error = {"error": "TooMuch", "fields": {"amount": 7}, "reason": "skip it"}
        answers = await asyncio.gather(
            on.ask("olga", "POST", f"{at}/throw", error),
            on.ask("ann", "POST", f"{at}/retry"),
            on.ask("ann", "POST", f"{at}/throw", error),
        )
        assert answers[0].status_code == 200
        assert answers[2].status_code == 409
        ended = (await on.ask("ann", "GET", f"{at}/result?wait_s=5")).json()
        assert ended["result"] == -1

    play(story)


@pytest.mark.parametrize(
    "query",
    [
        "sort=id",
        "order_by=secret",
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=1e3",
        "limit=" + "9" * 40,
        "after=x",
        "after=-1",
        "state=%27%20OR%201=1--",
        "state=",
        "waiting_longer=-1",
        "waiting_longer=1000000000000000000000",
        "waiting_longer=0000-00-00",
        "limit=1&limit=2",
        "key=" + "x" * 501,
        "party=%00",
        pytest.param("&".join(["key=x"] * 10_000), id="10,000 filters"),
    ],
)
def test_r31_r32_r34_queries_that_make_no_sense_are_refused(query: str) -> None:
    async def story(on: Scene) -> None:
        await furnished(on)
        answer = await on.ask("ann", "GET", f"/v1/flows?{query}")
        assert answer.status_code == 400
        assert "OR 1" not in answer.text

    play(story)


def test_r31_filters_compare_and_are_no_sql() -> None:
    async def story(on: Scene) -> None:
        await furnished(on)
        for text in ("' OR 1=1 --", "%", "_", "*", "\\", "x" * 500, '"', "😀"):
            for name in ("flow", "party", "key"):
                answer = await on.ask("ann", "GET", "/v1/flows", params={name: text})
                assert (answer.status_code, answer.json()["flows"]) == (200, [])
        on.now_us += 61_000_000
        for seconds, count in ((60, 2), (62, 0)):
            answer = await on.ask("ann", "GET", f"/v1/flows?waiting_longer={seconds}")
            assert len(answer.json()["flows"]) == count

    play(story)


def test_r35_r37_r40_what_users_write_stays_data() -> None:
    async def story(on: Scene) -> None:
        texts = ["<script>alert(1)</script>", "javascript:alert(1)", "{{constructor('x')()}}"]
        for number, text in enumerate(texts):
            body = {"flow": f"{on.name}.Counts", "arguments": {"most": number + 1}, "client": text}
            assert (await on.ask("ann", "POST", "/v1/flows", body)).status_code == 201
            because = {"reason": text}
            at = f"/v1/flows/{number + 1}"
            assert (await on.ask("ann", "POST", f"{at}/kill", because)).status_code == 200
        for path in ("/v1/flows?state=ended", "/v1/flows/1/result", "/v1/flows/1", "/v1/audit"):
            answer = await on.ask("ann", "GET", path)
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
        stream = await on.ask("ann", "GET", "/v1/flows/1/progress")
        assert stream.headers["x-content-type-options"] == "nosniff"
        assert events_of(stream.text)

    play(story)


def test_r38_r41_what_is_given_out_is_no_page_no_file_and_no_sheet() -> None:
    """Nothing that a browser or a spreadsheet would run: JSON, a stream of it, lines of figures."""
    kinds = {"application/json", "text/event-stream", "text/plain"}

    async def story(on: Scene) -> None:
        for name in ("<svg onload=x>.svg", "=cmd|' /C calc'!A0", "+1", "@x", "-1"):
            body = {"flow": f"{on.name}.Asks", "arguments": {"text": name}, "client": name}
            assert (await on.ask("ann", "POST", "/v1/flows", body)).status_code == 201
        ended = await on.start("ann", "Ticks")
        told = set()
        for one in OPERATIONS:
            if one.method == "GET":
                flow = str(ended) if one.name in ("flow_progress", "flow_result") else "1"
                path = one.path.replace("{id}", flow).replace("{flow}", "1")
                answer = await on.ask("ann", "GET", path.replace("{number}", "0"))
                assert answer.status_code in (200, 409), one.name
                assert "content-disposition" not in answer.headers
                assert answer.headers["x-content-type-options"] == "nosniff"
                told.add(answer.headers["content-type"].partition(";")[0])
        assert told == kinds

    play(story)


def test_our_own_mistakes_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(on: Scene) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("a secret of /etc/passwd")

        monkeypatch.setattr(on.node, "flow", fail)
        answer = await on.ask("ann", "GET", "/v1/flows/1")
        assert answer.status_code == 500
        assert answer.json() == {
            "error": {
                "code": "internal_error",
                "message": "something went wrong here; the node's log has more",
                "remedy": "",
            }
        }

    play(story)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "BODY_S", 0.01)

    async def story(on: Scene) -> None:
        answer = await on.ask(
            "ann",
            "POST",
            "/v1/flows",
            content=_Slow(),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 408

    play(story)


class _Slow:
    """A body that begins and never ends."""

    def __aiter__(self) -> _Slow:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.Event().wait()
        raise StopAsyncIteration
