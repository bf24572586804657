"""What `flowctl up` loads before it serves, what apps it has, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowrt.serving import process
from flowrt.serving.config import read
from tests.flowctl.conftest import Flowctl

SHOP = """
from flowrt.serving.apps import App

app = App(version="3.1")
"""


def _shop(town: Path, *names: str) -> None:
    (town / "python").mkdir()
    (town / "python" / "stall.py").write_text(SHOP)
    toml = town / "alice/node.toml"
    apps = json.dumps(list(names))
    toml.write_text(toml.read_text().replace("apps = []", f'path = ["../python"]\napps = {apps}'))


LOADED = """
import sys
from pathlib import Path
from flowrt.serving import process
from flowrt.serving.config import read
import flowrt.cli.parties, flowrt.serving.door, flowrt.api.server
parts, troubles = process.inspected(read(Path("town/alice")))
assert parts is not None, troubles
print(*sys.modules)
"""


def test_what_a_node_does_not_need_is_not_loaded(town: Path) -> None:
    _shop(town, "stall:app")
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "flowrt.ledger.vault.service" in loaded
    needless = loaded & {
        *("httpx", "rich", "jinja2", "lark", "hypothesis", "flowlang", "opentelemetry", "cronsim"),
        *("flowrt.client", "flowrt.sim", "flowrt.testing", "flowrt.transport.memory"),
        *("starlette.testclient", "starlette.applications", "importlib.metadata"),
    }
    assert not needless


def test_apps_of_a_party_are_listed_with_those_that_are_modules(
    town: Path, flowctl: Flowctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    _shop(town, "loan", "stall:app")
    code, out, _ = flowctl("apps", "town/alice")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert rows["APP"] == ["VERSION", "PACKAGE", "FROM", "RUNS"]
    assert rows["stall:app"] == ["3.1", "-", "stall:app", "yes"]
    assert rows["loan"][1:] == ["flowlang-dsl", "flowlang.examples.loan.app:app", "yes"]
    assert rows["purchase"][-1] == "-"
    assert "RUNS" not in flowctl("apps")[1]
    monkeypatch.chdir("town/alice")
    found = {one["name"]: one for one in json.loads(flowctl("apps", "--json")[1])}
    assert [found["stall:app"]["runs"], found["loan"]["runs"]] == [True, True]
    assert not found["purchase"]["runs"]


def test_an_app_that_is_a_module_has_the_version_of_the_package_that_brings_it(
    town: Path, flowctl: Flowctl
) -> None:
    _shop(town, "flowlang.examples.loan.app:app")
    rows = [line.split() for line in flowctl("apps", "town/alice")[1].splitlines()]
    versions = {row[3]: row[1:3] for row in rows}
    assert versions["flowlang.examples.loan.app:app"][1] == "flowlang-dsl"
    assert versions["flowlang.examples.loan.app:app"][0] != "-"


def test_an_app_that_is_not_there_is_told_by_apps_too(town: Path, flowctl: Flowctl) -> None:
    _shop(town, "no_stall:app")
    code, out, err = flowctl("apps", "town/alice")
    assert (code, out) == (1, "")
    assert "no_stall:app needs Python's `no_stall`, which is not there" in err


# --- the end ---


ENDLESS = """
import asyncio, sys
from flowrt.serving.process import Served

async def close(self, grace_s=0):
    print("closing", flush=True)
    await asyncio.sleep(3600)

Served.close = close
from flowrt.cli import main
main(["up", "town/alice"])
"""


def test_a_second_signal_ends_a_node_that_is_closing_at_once(town: Path) -> None:
    toml = town / "alice/node.toml"
    toml.write_text(re.sub(r":\d{4}\"", ':0"', toml.read_text()))
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert "serves" in running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        assert running.stdout.readline() == "closing\n"
        running.send_signal(signal.SIGINT)
    assert running.returncode == 143
    # What was committed is there: it is served again.
    assert process.inspected(read(town / "alice"))[0] is not None


# --- traces -------------------------------------------------------------------------------------

PROVIDER = """
from opentelemetry.trace import NoOpTracerProvider
from flowrt.serving.apps import App

app = App()
sep = "/"


def provider():
    return NoOpTracerProvider()


def broken():
    raise OSError("no collector")
"""


def _traced(town: Path, table: str, drop: str = "") -> tuple[process.Parts | None, list[str]]:
    toml = town / "alice/node.toml"
    text = toml.read_text()
    at = text.index("[users.admin]")
    toml.write_text(f'path = ["../python"]\n{text[:at]}{table}\n{text[at:]}'.replace(drop, ""))
    (town / "python").mkdir()
    (town / "python" / "tracers.py").write_text(PROVIDER)
    parts, troubles = process.inspected(read(town / "alice"))
    return parts, [trouble.text.partition("node.toml")[2] for trouble in troubles]


def test_a_node_is_traced_if_its_configuration_says_so(town: Path) -> None:
    parts, troubles = _traced(town, '[tracing]\nprovider = "tracers:provider"\npeers = ["bob"]')
    assert not troubles
    assert parts is not None
    assert parts.assembly.options(parts.config)["observer"] is not None


def test_nodes_are_not_traced_by_themselves(town: Path) -> None:
    parts, _ = _traced(town, "")
    assert parts is not None
    assert parts.assembly.options(parts.config)["observer"] is None


def test_traces_that_go_nowhere_are_warned_of(town: Path) -> None:
    parts, troubles = _traced(town, "[tracing]")
    assert parts is not None
    assert troubles == [
        ":22: tracing: no OpenTelemetry SDK is set up, so spans go nowhere; "
        "run it under `opentelemetry-instrument`, or name a `provider`"
    ]


@pytest.mark.parametrize(
    ("table", "drop", "trouble"),
    [
        (
            'provider = "tracers:broken"',
            "",
            "tracing.provider: tracers:broken gives no provider: OSError: no collector",
        ),
        (
            'provider = "tracers:App"',
            "",
            "tracing.provider: tracers:App gives App, no provider of tracers",
        ),
        (
            'provider = "tracers:providers"',
            "",
            "tracing.provider: tracers has no `providers`",
        ),
        (
            'peers = ["bop"]\n[peers.bob]\naddress = "127.0.0.1:1"',
            '[ledger]\nkeys = "party.keys"\nmap = "network.map"\n',
            "tracing.peers: there is no peer `bop`; did you mean `bob`?",
        ),
    ],
)
def test_traces_that_cannot_be(town: Path, table: str, drop: str, trouble: str) -> None:
    parts, troubles = _traced(town, f"[tracing]\n{table}", drop)
    assert parts is None
    assert [text.partition(": ")[2] for text in troubles if "SDK" not in text] == [trouble]


def test_traces_without_their_package(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    _, [trouble] = _traced(town, "[tracing]")
    assert trouble.endswith(
        ": tracing: traces need Python's `opentelemetry`, which is not there; "
        "pip install 'flowlang-dsl[otel]', or remove the table"
    )
