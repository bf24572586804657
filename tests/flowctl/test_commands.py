"""What docs/nodes.md and docs/http.md show of `openssl` and `curl` at a node's doors: each command
is run by a shell, and prints that. Where a machine lacks these programs there is nothing to run."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from flowrt.api.access import User, digest_of
from flowrt.api.server import Tls
from flowrt.serving import process
from flowrt.serving.config import read
from tests.api.serving import Served

DOCS = Path(__file__).parents[2] / "docs"
PROGRAMS = [*filter(shutil.which, ["openssl", "curl"])]


def blocks(page: str, heading: str) -> list[tuple[str, str]]:
    """(command, what is shown under it) of a section."""
    text = (DOCS / page).read_text().split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in block.split("$ ")[1:] if block.startswith("$ ") else []:
            command, _, shown = part.partition("\n")
            found.append((command, shown))
    return found


def fits(shown: str, found: str) -> bool:
    """Whether that is what was shown; … stands for anything."""
    parts = [re.escape(part) for part in shown.split("…")]
    return re.fullmatch(".*".join(parts).rstrip("\\\n"), found.rstrip("\n"), re.DOTALL) is not None


async def shell(command: str, cwd: Path) -> str:
    made = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; {command}",
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await made.communicate()
    return said.decode(errors="replace")


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_one_types_at_the_door_of_parties(town: Path, program: str) -> None:
    wanted = blocks("nodes.md", "### Who is not let in")
    assert len([command for command, _ in wanted if "s_client" in command]) == 4
    toml = town / "alice" / "node.toml"
    text = toml.read_text().replace("127.0.0.1:7401", "127.0.0.1:0")
    toml.write_text(text.replace("127.0.0.1:8401", "127.0.0.1:0") + "[wire]\nhandshake_s = 0.3\n")

    async def live() -> None:
        parts, troubles = process.inspected(read(town / "alice", {}))
        assert parts is not None, troubles
        served = await process.Served.open(parts)
        wrong, told = [], ""
        try:
            for command, shown in wanted:
                if command.startswith("export "):
                    told = f"{command}; "
                if not command.startswith(program):
                    continue
                typed = told + command.replace("127.0.0.1:7401", served.network.address)
                found = await shell(typed, town / "bob")
                if not fits(shown, found):
                    wrong.append((command, shown, found))
            refused = served.network.figures().refused
        finally:
            await served.close()
        assert wrong == []
        reasons = {
            "openssl": {
                "handshake too slow": 1,
                "no certificate": 1,
                "certificate of another network": 1,
                "TLS older than 1.3": 1,
            },
            "curl": {"not TLS": 1},
        }
        assert refused == reasons[program]

    asyncio.run(live())


@pytest.mark.parametrize("program", PROGRAMS[1:])
def test_what_one_types_at_the_door_of_users(tmp_path: Path, program: str) -> None:
    """Certificates are made as the page says, the interface is served with them, and asked."""
    wanted = blocks("http.md", "## Over TLS")
    assert len([command for command, _ in wanted if command.startswith(program)]) == 6
    users = {
        "ann": User(["viewer"], certificate="CN=ann"),
        "mary": User(["viewer"], digest_of("mary's")),
    }
    served: Served | None = None
    wrong = []
    try:
        for command, shown in wanted:
            if served is None and command.startswith(program):
                files = Tls(*[tmp_path / name for name in ("http.pem", "http.key", "clients.pem")])
                served = Served(tls=files, users=users)
            port = served.server.address.rpartition(":")[2] if served is not None else ""
            typed = command.replace(":8401", f":{port}").replace("$TOKEN", "mary's")
            found = asyncio.run(shell(typed, tmp_path))
            if not fits(shown, found):
                wrong.append((command, shown, found))
    finally:
        if served is not None:
            served.close()
    assert wrong == []
