"""Generated Python in files, looked over by the tools that its readers use. Knows no flow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import flowrt

FUNCTIONS = """\
from typing import NoReturn, TypeVar

from program_types import Weight

T = TypeVar("T")


def half(n: int) -> int:
    return n


def shout(words: str) -> str:
    return words


def fits(n: int) -> bool:
    return n > 0


def picky(n: int) -> int:
    return n


def first(numbers: tuple[int, ...]) -> int | None:
    return numbers[0]


def swap(pair: T) -> T:
    return pair


def plus(n: int, by: int) -> int:
    return n + by


def weigh(n: int) -> Weight:
    return Weight(n)


def decide(n: int) -> NoReturn:
    raise ValueError(n)
"""


TYPES = """\
from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, order=True)
class Weight:
    grams: int
    unit: str = "g"

    def to_flow(self) -> bytes:
        return b""

    @classmethod
    def from_flow(cls, data: bytes) -> Weight:
        return cls(0)
"""


def write(folder: Path, module: str, text: str) -> None:
    """A generated module as a file of the package `folder`."""
    path = folder.joinpath(*module.split("."))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}_flow.py").write_text(text)
    (folder / "program_functions.py").write_text(FUNCTIONS)
    (folder / "program_types.py").write_text(TYPES)


def complaints(folder: Path) -> str:
    """All that is found in the projects below this folder; empty if that is nothing."""
    return "".join([_ruff(folder, "check"), _ruff(folder, "format", "--check"), _mypy(folder)])


def _ruff(folder: Path, *command: str) -> str:
    return _run(folder, "ruff", *command, "--isolated", "--no-cache", "--quiet", ".")


def _mypy(folder: Path) -> str:
    options = ("--strict", "--no-error-summary", "--explicit-package-bases")
    cache = ("--cache-dir", str(folder / ".mypy"))
    projects = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    return "".join([_run(project, "mypy", *options, *cache, ".") for project in projects])


def _run(folder: Path, tool: str, *arguments: str) -> str:
    sources = Path(flowrt.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(sources)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""
