"""The tutorials, done as a reader does them: every file written, every command run, in order.

`UPDATE_EXPECT=1` writes what the commands really print into the pages.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loaded import Flowc

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [DOCS / "tutorial.md", DOCS / "first_ledger.md"]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)
REMOVED = re.compile(r"^Take `(\w+)` and `(\w+)` out of the file\.", re.M)
DECLARED = re.compile(r"^(?:\w+ )*?(?:flow|message|record|error|function|service) (\w+)")


def declarations(text: str) -> dict[str, str]:
    """A file's declarations by name, what it uses by the line; its docstring by the name ``""``.
    They start at the margin."""
    found: dict[str, str] = {}
    for part in re.split(r"\n(?=\S)", text.strip("\n")):
        name = DECLARED.match(part)
        key = name[1] if name else part if part.startswith("use ") else ""
        assert key not in found, f"{part!r} is there twice"
        found[key] = part.strip("\n")
    return found


def joined(parts: dict[str, str]) -> str:
    return "\n\n".join(parts.values()) + "\n"


def printed(
    commands: str, folder: Path, environment: dict[str, str], flowc: Flowc
) -> tuple[Path, str]:
    """These commands with what each of them prints, and the folder in which they end."""
    said = []
    for line in re.findall(r"^\$ (.*)$", commands, re.M):
        said.append(f"$ {line}\n")
        if line.startswith("cd "):
            folder = folder / line.removeprefix("cd ")
            continue
        if line.startswith("flowc "):
            said.append(flowc.run(shlex.split(line)[1:], folder, environment).printed)
            continue
        done = subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        said.append(done.stdout)
    return folder, "".join(said)


@pytest.fixture
def flowc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flowc]:
    with Flowc(tmp_path_factory.mktemp("flowc")) as loaded:
        yield loaded


@pytest.mark.parametrize("where", PAGES, ids=[page.stem for page in PAGES])
def test_every_step_of_a_tutorial_does_what_the_page_says(
    tmp_path: Path, flowc: Flowc, where: Path
) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "-p no:schemathesis",  # it would have hypothesis print no examples
    }
    environment.pop("FORCE_COLOR", None)
    page = where.read_text()
    folder = tmp_path
    files: dict[str, dict[str, str]] = {}
    made, end = [], 0
    for fence in FENCE.finditer(page):
        between = page[end : fence.start()]
        kind, name, text = fence.groups()
        for gone in REMOVED.findall(between):
            for one in gone:
                del files["order.flow"][one]
            (folder / "order.flow").write_text(joined(files["order.flow"]))
        if kind == "flow":
            parts = files.setdefault(name, {})
            parts |= declarations(text)
            (folder / name).write_text(joined(parts))
        elif kind == "python":
            (folder / name).write_text(text)
        else:
            assert kind == "console", fence[0]
            folder, text = printed(text, folder, environment, flowc)
        made.append(f"{between}```{kind}{' ' + name if name else ''}\n{text}```")
        end = fence.end()
    real = "".join(made) + page[end:]
    # A rewritten page would agree with a test of its own that fails.
    assert not re.search(r"^\d+ failed", real, re.M), real
    if "UPDATE_EXPECT" in os.environ:
        where.write_text(real)
    else:
        assert real == page
