"""flowctl asks a node: flows, people, operators; and what is said where it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowrt.api import bodies
from flowrt.api.access import User
from flowrt.api.bodies import FlowInfo
from flowrt.api.server import Tls
from flowrt.cli import flows
from flowrt.cli.asking import flow_id
from flowrt.cli.people import read_answer
from flowrt.cli.typed import Reader, guessed
from flowrt.client import NotFound
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.serving.troubles import Refused
from tests.api.certified import Authority
from tests.api.scene import program, token_of
from tests.api.serving import Served, served
from tests.flowctl.conftest import Flowctl, expect


@pytest.fixture
def node(flowctl: Flowctl, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A node whose URL and token the environment has."""
    with served() as found:
        monkeypatch.setenv("FLOWCTL_NODE", found.url)
        monkeypatch.setenv("FLOWCTL_TOKEN", token_of("ann"))
        yield found


def _same(text: str, url: str) -> str:
    """What differs from run to run, made alike."""
    text = text.replace(program().__name__.removesuffix("_flow"), "desk").replace(url, "URL")
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "<time>", text)
    return re.sub(r"(?<=\S) {2,}", "  ", text)


async def _rest(node: Served) -> None:
    """Until the node has nothing to do at once."""
    while node.node.next_due() == 0:
        await asyncio.sleep(0)


SESSION = """
start Counts most=5 --client one
start Counts most=5 --client one
send 1 More amount=2
show 1
list
send 1 More amount=3 --number 7
result 1
send 1 More amount=3 --number 7
watch 1
list --state ended
start Asks
tasks
claim 2/0
tasks --mine
release 2
answer 2/0 yes=yes mood=Glad
result 2
start Fails text=bad
hospital
repair 3 text=good --reason=fixed
result 3
start Fails text=bad
throw 4 TooMuch amount=5 --reason=enough
result 4
start Waits
pause 5 --reason=lunch
resume 5
kill 5 --reason=over
result 5
schedule
schedule pause desk.Hourly --reason=stocktaking
schedule
schedule resume desk.Hourly
schedule run desk.Hourly
versions
peers
drain
start Ticks
drain --undo
audit --changes
start Count
start Counts mots=5
start Counts most=many
start Fails
send 1 Moar
answer 9/0 yes
answer x/y yes
show 99
show x
dump 1
kill 1
"""


def test_a_session(flowctl: Flowctl, node: Served) -> None:
    own = program().__name__.removesuffix("_flow")
    found = []
    for line in SESSION.strip().splitlines():
        code, out, err = flowctl(*line.replace("desk.", f"{own}.").split())
        asyncio.run_coroutine_threadsafe(_rest(node), node.loop).result()
        found.append(f"$ flowctl {line}\n{out}{err}" + (f"[{code}]\n" if code else ""))
    expect("session.txt", re.sub(" +\n", "\n", _same("".join(found), node.url)))


def test_json_is_for_scripts(flowctl: Flowctl, node: Served) -> None:
    started = json.loads(flowctl("start", "Counts", "most=1", "--json")[1])
    assert started["id"] == 1
    sent = json.loads(flowctl("send", "1", "More", "amount=1", "--json")[1])
    assert not sent["repeated"]
    assert json.loads(flowctl("result", "1", "--json")[1])["result"] == 1
    lines = flowctl("watch", "1", "--json")[1].splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(len(lines)))
    for words in ("list", "tasks", "hospital", "schedule", "versions", "peers", "audit", "show 1"):
        assert json.loads(flowctl(*words.split(), "--json")[1]) is not None
    code, out, _ = flowctl("show", "77", "--json")
    assert (code, json.loads(out)["ok"]) == (1, False)


class _Flows:
    """A client of a node that has flows of these ids."""

    def __init__(self, *ids: int) -> None:
        self.ids = ids
        self.own = 0

    def handle(self, own: int) -> _Flows:
        self.own = own
        return self

    async def show(self) -> None:
        if self.own not in self.ids:
            raise NotFound("not_found", "there is no such flow")

    async def flows(self, state: str) -> AsyncIterator[FlowInfo]:
        for own in self.ids if state == "living" else ():
            yield FlowInfo(own, "desk.Counts_v1", "running")


def test_a_unique_prefix_of_an_id_suffices() -> None:
    flows: Any = _Flows(12, 121, 345, 361)
    assert asyncio.run(flow_id(flows, "12")) == 12, "an exact id wins"
    assert asyncio.run(flow_id(flows, "34")) == 345
    with pytest.raises(Refused, match="2 flows begin so: 345, 361"):
        asyncio.run(flow_id(flows, "3"))
    with pytest.raises(Refused, match="no such flow"):
        asyncio.run(flow_id(flows, "9"))


def test_what_keeps_flowctl_from_asking(
    flowctl: Flowctl, node: Served, town: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def tell(*words: str) -> None:
        code, out, err = flowctl(*words)
        assert (code, out) == (1, "")
        found.append(err)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        tell("list", "--node", f"http://127.0.0.1:{port}")
        found[-1] = found[-1].replace(port, "PORT")
    tell("list", "--node", node.url.replace("http:", "https:"))
    found[-1] = re.sub(r"(with \S+): .*?;", r"\1: …;", found[-1].replace(node.url[5:], "URL"))
    tell("list", "--node", "ftp://127.0.0.1")
    monkeypatch.setenv("FLOWCTL_TOKEN", "wrong")
    tell("list")
    monkeypatch.setenv("FLOWCTL_TOKEN", token_of("nil"))
    tell("audit")
    monkeypatch.delenv("FLOWCTL_TOKEN")
    tell("list")
    tell("list", "--node", "nowhere")
    (town / "alice/admin.token").unlink()
    tell("list", "--node", "town/alice")
    monkeypatch.delenv("FLOWCTL_NODE")
    tell("list")
    expect("unasked.txt", _same("".join(found), node.url))


def test_a_folder_is_enough(flowctl: Flowctl, town: Path, node: Served) -> None:
    """The address and the token are taken from it: nobody serves there."""
    code, _, err = flowctl("list", "--node", "town/alice")
    assert (code, "nobody answers at http://127.0.0.1:8401" in err) == (1, True), err


def test_wrong_usage_is_2(flowctl: Flowctl, node: Served) -> None:
    assert flowctl("start", "Counts", "most")[0] == 2
    assert flowctl("start", "Counts", "most=1", "most=2")[0] == 2
    assert flowctl("lst")[0] == 2


def test_values_are_read_by_their_types() -> None:
    amount = {"properties": {"units": {}, "currency": {}}, "type": "object"}
    cases = {"oneOf": [{"const": "No"}, {"properties": {"Bid": {"properties": {"price": {}}}}}]}
    reader = Reader({"Amount": amount})

    def read(schema: dict[str, object], text: str) -> object:
        return reader.value(schema, text, "flow", "name")

    of = {"$ref": "#/definitions/Amount"}
    assert read(of, "1000.00 EUR") == {"units": 100_000, "currency": "EUR"}
    assert read({"type": "array", "items": of}, "1.00 EUR,2 EUR") == [
        {"units": 100, "currency": "EUR"},
        {"units": 200, "currency": "EUR"},
    ]
    assert read({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "none") is None
    assert read({"type": "string"}, "12.50") == "12.50"
    assert read({"type": "boolean"}, "Yes") is True
    assert read(cases, "No") == "No"
    assert read_answer(cases, ("Bid", "price=5"), "2/0") == {"Bid": {"price": 5}}
    for schema, text in (
        (of, "1000.001 EUR"), (of, "{"), ({"type": "integer"}, "5.0"), (cases, "Bid"),
        ({"type": "boolean"}, "maybe"), (cases, "Nope"), ({"type": "object"}, "a=5"),
    ):  # fmt: skip
        with pytest.raises(Refused):
            read(schema, text)
    assert [guessed(t) for t in ("5", '"5"', "5.0", "[1]", "x", "{")] == [
        5,
        "5",
        "5.0",
        [1],
        "x",
        "{",
    ]


def test_the_shell_completes(
    flowctl: Flowctl, node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = program().__name__.removesuffix("_flow")
    flowctl("start", "Waits")

    def completed(words: str, at: int) -> list[str]:
        monkeypatch.setenv("_FLOWCTL_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(at))
        lines = flowctl()[1].splitlines()
        return [line.partition(",")[2] for line in lines if line]

    assert completed(f"flowctl start {own}.C", 2) == [f"{own}.Counts"]
    assert completed("flowctl start Counts ", 3) == ["most="]
    assert completed("flowctl show ", 2) == ["1"]
    monkeypatch.setenv("FLOWCTL_NODE", "nowhere")
    assert completed("flowctl show ", 2) == []
    monkeypatch.delenv("_FLOWCTL_COMPLETE")
    for shell in ("bash", "zsh", "fish"):
        assert "_FLOWCTL_COMPLETE" in flowctl("completion", shell)[1]


def test_bash_completes() -> None:
    """The script as a shell runs it: commands, for which no node is asked."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = """
        eval "$(flowctl completion bash)"
        COMP_WORDS=(flowctl hos)
        COMP_CWORD=1
        _flowctl_completion flowctl
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("hospital\n", "")


@pytest.mark.parametrize("plain", [True, False])
def test_colours_are_for_terminals_that_want_them(
    flowctl: Flowctl, node: Served, plain: bool
) -> None:
    flowctl("start", "Counts", "most=0")
    terminal, screen = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", **({"NO_COLOR": "1"} if plain else {})}
    command = [sys.executable, "-m", "flowrt.cli", "watch", "1"]
    with subprocess.Popen(command, stdout=screen, stderr=screen, env=environment) as running:
        os.close(screen)
        found = b""
        with contextlib.suppress(OSError):  # So a terminal says that the other end is gone.
            while read := os.read(terminal, 1 << 16):
                found += read
    os.close(terminal)
    assert running.returncode == 0
    assert b"done" in found
    assert bool(re.search(rb"\x1b\[(\d;)*3\d", found)) is not plain


def test_a_result_of_a_python_class_says_what_it_is(
    flowctl: Flowctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = KeyStore.derive(b"alice").identity().public
    for shown in (None, f"PublicKey({key.text})", {"by": f"PublicKey({key.text})"}):
        found = bodies.Result(1, "x.Y_v1", "done", key.encoded.hex(), shown=shown)
        monkeypatch.setattr(flows, "ask", lambda *_, found=found: found)
        out = flowctl("result", "1")[1]
        assert ("PublicKey(" in out) == (shown is not None)
        assert (key.encoded.hex() in out) == (shown is None)
        assert json.loads(flowctl("result", "1", "--json")[1])["result"] == key.encoded.hex()


# --- HTTPS --------------------------------------------------------------------------------------


def test_a_client_certificate_is_shown(
    flowctl: Flowctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    users = {"carl": User(["admin"], certificate="CN=carl")}

    def shown(files: tuple[Path, Path]) -> str:
        both = files[0].with_suffix(".both")
        both.write_bytes(files[0].read_bytes() + files[1].read_bytes())
        return str(both)

    with served(tls=Tls(*authority.certify("server"), authority.file), users=users) as on:
        monkeypatch.setenv("FLOWCTL_NODE", on.url)
        monkeypatch.setenv("FLOWCTL_ROOT", str(authority.file))
        monkeypatch.setenv("FLOWCTL_CERTIFICATE", shown(authority.certify("carl")))
        code, out, err = flowctl("start", "Counts", "most=0", "--wait")
        assert (code, out, err) == (0, "0\n", "")
        assert "carl" in flowctl("list", "--state", "ended")[1]
        said = []
        for certificate, root in (
            (shown(authority.certify("nobody")), authority.file),
            (shown(authority.certify("carl")), other.file),
            (str(tmp_path / "none.pem"), authority.file),
        ):
            monkeypatch.setenv("FLOWCTL_CERTIFICATE", certificate)
            monkeypatch.setenv("FLOWCTL_ROOT", str(root))
            code, out, err = flowctl("list")
            assert (code, out) == (1, "")
            said.append(err.replace(on.url, "URL").replace(str(tmp_path), "."))
        # Of TLS 1.3: the client has done its part when the server looks at its certificate.
        monkeypatch.setenv("FLOWCTL_CERTIFICATE", shown(other.certify("carl")))
        monkeypatch.setenv("FLOWCTL_ROOT", str(authority.file))
        code, out, err = flowctl("list")
        assert (code, out) == (1, "")
        assert err.startswith(f"error: {on.url}: ")
        assert "certificate" in err
        expect("certificates.txt", "".join(said))


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys\nfrom flowrt.cli import main\ntry: main(['--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "click" in loaded
    assert not {"httpx", "rich", "starlette", "uvicorn", "cryptography", "msgspec"} & loaded
