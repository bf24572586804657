"""The interface on a real socket: who is let in, what is cut off, how it closes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from flowrt.api import server
from flowrt.api.access import User, digest_of
from flowrt.api.server import CannotServe, Tls
from tests.api.certified import DAY, Authority
from tests.api.scene import token_of
from tests.api.serving import Served, served

AUTHORIZED = f"Authorization: Bearer {token_of('ann')}\r\n"


@pytest.fixture(scope="module")
def on() -> Iterator[Served]:
    with served() as made:
        yield made


def said(on: Served, data: bytes) -> bytes:
    """What is answered to these bytes, until the connection closes or says nothing more."""
    host, _, port = on.server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        with contextlib.suppress(OSError):
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(OSError):
            while part := line.recv(65_536):
                found += part
    return found


def request(head: str, body: bytes = b"", host: str = "localhost") -> bytes:
    return f"{head} HTTP/1.1\r\nHost: {host}\r\n{AUTHORIZED}".encode() + body


JSON = "Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("case", "data"),
    [
        (
            "R19 one byte too many",
            request("POST /v1/flows", f"{JSON}Content-Length: {2**20 + 1}\r\n\r\n".encode()),
        ),
        (
            "R19 chunks without end",
            request("POST /v1/flows", f"{JSON}Transfer-Encoding: chunked\r\n\r\n".encode())
            + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 17,
        ),
        ("R19 less than nothing", request("POST /v1/flows", b"Content-Length: -1\r\n\r\n")),
        ("R19 no number", request("POST /v1/flows", b"Content-Length: 0x10\r\n\r\n")),
        (
            "R19 two lengths",
            request("POST /v1/flows", b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        ),
        (
            "R19 a length and chunks",
            request(
                "POST /v1/flows",
                f"{JSON}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                + b"0\r\n\r\nGET /v1/node HTTP/1.1\r\n\r\n",
            ),
        ),
        (
            "R19 chunks twice",
            request("POST /v1/flows", b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("R20 a header of 9 kB", request("GET /v1/node", b"X: " + b"x" * 9000 + b"\r\n\r\n")),
        ("R20 a header of 100 kB", request("GET /v1/node", b"X: " + b"x" * 10**5 + b"\r\n\r\n")),
        ("R20 1,000 headers", request("GET /v1/node", b"X: y\r\n" * 1000 + b"\r\n")),
        ("R20 a path of 100 kB", request("GET /" + "x" * 10**5, b"\r\n")),
        ("two names", request("GET /v1/node", b"Host: localhost\r\n\r\n")),
        ("no name", b"GET /v1/node HTTP/1.1\r\n" + AUTHORIZED.encode() + b"\r\n"),
        ("a name that leads here", request("GET /v1/node", b"\r\n", host="evil.example")),
        ("another's address", request("GET http://evil.example/v1/node", b"\r\n", "evil.example")),
        ("a proxy", request("CONNECT evil.example:443", b"\r\n")),
        ("a line end in a header", request("GET /v1/node", b"X: a\r\n\x00b: c\r\n\r\n")),
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500),
        (
            "R25 a web socket",
            request("GET /v1/ws", b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_r19_r20_what_is_no_request_is_refused(on: Served, case: str, data: bytes) -> None:
    begun, commits = on.node.begun, on.node.commits
    answer = said(on, data)
    assert answer.startswith(b"HTTP/1.1 4"), (case, answer[:200])
    assert answer.count(b"HTTP/1.1 ") == 1, "nothing of its body is a second request"
    assert (on.node.begun, on.node.commits) == (begun, commits)
    assert httpx.get(f"{on.url}/v1/health").status_code == 200


def test_an_answer_in_two_parts_is_not_held_back(on: Served) -> None:
    """What asyncio looks at before it switches TCP's delaying off."""
    listening = on.server._server.servers[0].sockets[0]
    assert listening.proto == socket.IPPROTO_TCP


def test_two_requests_of_one_connection_are_both_answered(on: Served) -> None:
    one = request("GET /v1/health", b"\r\n")
    assert said(on, one + one).count(b"HTTP/1.1 200") == 2


def test_t20_who_dribbles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.3)
    with served() as on:
        host, _, port = on.server.address.rpartition(":")
        lines = [socket.create_connection((host, int(port)), timeout=10) for _ in range(200)]
        for number, line in enumerate(lines):
            line.sendall(b"GET /v1/health HT"[: number % 17])
        assert httpx.get(f"{on.url}/v1/health").status_code == 200, "others are served meanwhile"
        for line in lines:
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(1) == b""
            line.close()
        # One that has asked once may not dribble the next time either.
        with socket.create_connection((host, int(port)), timeout=10) as line:
            line.sendall(request("GET /v1/health", b"\r\n"))
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                answer += line.recv(65_536)
            line.sendall(b"GET /v1")
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(1) == b""


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
"""The beginning of a long greeting of TLS."""


@pytest.mark.parametrize("sockets", [200, pytest.param(2000, marks=pytest.mark.campaign)])
def test_t20_who_dribbles_at_the_door_of_tls_is_cut_off(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, sockets: int
) -> None:
    """In the middle of the handshake, before it, and behind it."""
    monkeypatch.setattr(server, "HANDSHAKE_S", 0.5)
    monkeypatch.setattr(server, "REQUEST_S", 0.5)
    certificate, key = authority.certify("server")
    with served(tls=Tls(certificate, key, authority.file)) as on, contextlib.ExitStack() as stack:
        host, _, port = on.server.address.rpartition(":")
        lines = []
        for number in range(sockets):
            line = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            line.sendall(HELLO[: number % 500])
            lines.append(line)
        through = asking(authority).wrap_socket(
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10)),
            server_hostname="localhost",
        )
        lines.append(stack.enter_context(through))
        through.sendall(b"GET /v1/health HT")
        assert ask(on, asking(authority)).status_code == 401, "others are served meanwhile"
        for line in lines:
            with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
                while line.recv(1000):
                    pass
        assert ask(on, asking(authority)).status_code == 401


def test_closing_lets_go_of_who_watches_and_waits() -> None:
    on = Served()
    headers = {"Authorization": f"Bearer {token_of('ann')}"}
    with httpx.Client(base_url=on.url, headers=headers, timeout=30) as client:
        name = client.get("/v1/types").json()["flows"][0]["flow"].partition(".")[0]
        started = client.post("/v1/flows", json={"flow": f"{name}.Waits"})
        assert started.status_code == 201
        answers: list[Any] = []

        def wait() -> None:
            answers.append(httpx.get(f"{on.url}/v1/flows/1/result?wait_s=60", headers=headers))

        waiting = threading.Thread(target=wait)
        with client.stream("GET", "/v1/flows/1/progress") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 1000"
            waiting.start()
            while len(on.server.app._waiting) < 2:
                pass
            on.close()
            assert [line for line in lines if line] == []
    waiting.join()
    assert answers[0].status_code == 202


def test_two_do_not_listen_at_one_address(on: Served) -> None:
    with pytest.raises(
        CannotServe, match=r"nothing can listen on 127\.0\.0\.1:.*choose another port"
    ):
        Served(listen=on.server.address)


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        ("0.0.0.0:0", "http is served on 0.0.0.0:0 without TLS: others could read tokens"),
        ("[::]:0", "without TLS"),
        ("10.1.2.3:80", "listen on 127.0.0.1, or give it a certificate in"),
        ("8400", "`8400` is no address; write"),
        ("localhost:http", "is no address"),
    ],
)
def test_g30_what_is_not_safe_is_not_served(listen: str, message: str) -> None:
    with pytest.raises(CannotServe, match=message.replace("[", r"\[")):
        Served(listen=listen)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def safe(authority: Authority) -> Iterator[Served]:
    certificate, key = authority.certify("server")
    users = {
        "ann": User(["admin"], digest_of(token_of("ann"))),
        "carl": User(["viewer"], certificate="CN=carl"),
        "cleo": User(["viewer"], certificate="CN=cleo", disabled=True),
    }
    with served(tls=Tls(certificate, key, authority.file), users=users) as made:
        yield made


def asking(authority: Authority, *, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    if client is not None:
        context.load_cert_chain(*client)
    return context


def ask(on: Served, context: ssl.SSLContext, **headers: str) -> httpx.Response:
    with httpx.Client(verify=context) as client:
        return client.get(f"{on.url}/v1/node", headers=headers)


def test_a_certificate_names_its_user(safe: Served, authority: Authority) -> None:
    assert safe.url.startswith("https://")
    answer = ask(safe, asking(authority, client=authority.certify("carl")))
    assert (answer.status_code, answer.json()["user"]) == (200, "carl")
    token = {"Authorization": f"Bearer {token_of('ann')}"}
    answer = ask(safe, asking(authority, client=authority.certify("carl")), **token)
    assert answer.json()["user"] == "ann", "a token comes first"
    assert ask(safe, asking(authority), **token).json()["user"] == "ann"


@pytest.mark.parametrize("name", ["cleo", "nobody", "CARL", None])
def test_a_certificate_of_nobody_is_none(
    safe: Served, authority: Authority, name: str | None
) -> None:
    client = authority.certify(name) if name is not None else None
    assert ask(safe, asking(authority, client=client)).status_code == 401


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Of an authority of his name, which is nobody's here."""
    other = Authority(folder, "carl")
    return other.file, other.key_file


BAD: dict[str, Callable[[Authority, Path], tuple[Path, Path]]] = {
    "of another authority": lambda ours, folder: Authority(folder, "other").certify("x"),
    "of a user, by another authority": lambda ours, folder: Authority(folder, "o").certify("carl"),
    "of an authority that is named as ours": lambda ours, folder: Authority(folder).certify("carl"),
    "self-signed": lambda ours, folder: self_signed(folder),
    "expired": lambda ours, folder: ours.certify("carl", -DAY),
    "not valid yet": lambda ours, folder: ours.certify("carl", 9 * DAY, since=DAY),
    "a server's": lambda ours, folder: ours.certify("carl", usage=ExtendedKeyUsageOID.SERVER_AUTH),
}


@pytest.mark.parametrize("name", BAD)
def test_a_certificate_that_is_not_good_is_refused(
    safe: Served, authority: Authority, tmp_path: Path, name: str
) -> None:
    client = BAD[name](authority, tmp_path)
    with pytest.raises(httpx.TransportError):
        ask(safe, asking(authority, client=client))
    assert ask(safe, asking(authority)).status_code == 401


def test_tls_1_2_is_refused(safe: Served, authority: Authority) -> None:
    old = asking(authority, client=authority.certify("carl"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx.TransportError):
        ask(safe, old)
    assert ask(safe, asking(authority)).status_code == 401


@pytest.mark.parametrize(
    "data",
    [request("GET /v1/health", b"\r\n"), b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n", bytes(5000)],
    ids=["W10 HTTP", "W10 HTTP by a proxy", "W10 zeros"],
)
def test_w10_plain_text_at_the_door_of_tls_is_refused(
    safe: Served, authority: Authority, data: bytes
) -> None:
    assert len(said(safe, data)) <= 7, "an alert at most"
    assert ask(safe, asking(authority)).status_code == 401


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(CannotServe, match=r"the certificate of \[http.tls\] cannot be used"):
        Served(tls=Tls(tmp_path / "empty.pem", tmp_path / "empty.pem"))


def test_the_day_on_which_an_account_ends() -> None:
    today = [datetime.date(2026, 11, 22)]
    user = User(["viewer"], digest_of(token_of("ann")), expires=datetime.date(2026, 11, 23))
    with served(users={"ann": user}, today=lambda: today[0]) as on:
        headers = {"Authorization": f"Bearer {token_of('ann')}"}
        assert httpx.get(f"{on.url}/v1/node", headers=headers).status_code == 200
        today[0] += DAY
        assert httpx.get(f"{on.url}/v1/node", headers=headers).status_code == 401


def test_it_can_be_closed_twice() -> None:
    with served() as on:
        closed = asyncio.run_coroutine_threadsafe(on.server.close(), on.loop)
        closed.result(10)
