"""flowctl, run in a folder of its own, and a network that is copied for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flowrt.cli import main
from flowrt.serving import network
from flowrt.serving.party import PASSPHRASE

HERE = Path(__file__).parent

Flowctl = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of alice, bob and their notary, as `flowctl network new` makes it."""
    folder = tmp_path_factory.mktemp("made") / "town"
    ports, https = [7401, 7402, 7403], [8401, 8402, 8403]
    names = ["alice", "bob", "notary"]
    network.create(folder, names, notary="notary", ports=ports, http_ports=https)
    return folder


@pytest.fixture
def town(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it in the folder in which the test runs: `town`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "town")
    return Path("town")


@pytest.fixture
def flowctl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Flowctl:
    """Run flowctl in a folder of its own; gives (exit code, output, talk)."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("FLOWRT_", "FLOW_CRASH"))]:
        monkeypatch.delenv(name)
    assert PASSPHRASE not in os.environ

    def run(*arguments: object) -> tuple[int, str, str]:
        given = list(map(str, arguments))
        monkeypatch.setattr("sys.argv", ["flowctl", *given])
        with pytest.raises(SystemExit) as ended:
            main(given)
        printed = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert "Traceback" not in printed.err
        return code, printed.out, printed.err

    return run


def expect(name: str, found: str) -> None:
    """What is printed is as `expected/NAME` has it; UPDATE_EXPECT=1 writes it anew."""
    path = HERE / "expected" / name
    if "UPDATE_EXPECT" in os.environ:
        path.write_text(found, "utf-8")
    assert found == path.read_text("utf-8")
