"""Every program of `runs` does what its text says, undisturbed and through a crash at each commit.

`UPDATE_EXPECT=1` writes the texts anew, to be read in the diff.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.language.running import told
from tests.runtime.written import compiled

RUNS = Path(__file__).parent / "runs"
UPDATE = bool(os.environ.get("UPDATE_EXPECT"))
LIBRARIES = {
    ".".join(path.relative_to(RUNS).with_suffix("").parts): path.read_text()
    for path in sorted(RUNS.glob("*/*.flow"))
}
"""Files that programs use, by module."""
NAMES = sorted(path.stem for path in RUNS.glob("*.flow"))


def script_of(name: str) -> Mapping[str, Any]:
    """What the script beside a program has; nothing if there is none."""
    path = RUNS / f"{name}.py"
    if not path.exists():
        return {}
    spec = importlib.util.spec_from_file_location(f"script_of_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@pytest.mark.parametrize("name", NAMES)
def test_a_program_does_what_its_text_says(name: str) -> None:
    program = compiled((RUNS / f"{name}.flow").read_text(), **LIBRARIES)
    script = script_of(name)
    text = told(program, script, crashes=False)
    path = RUNS / f"{name}.txt"
    if UPDATE:
        path.write_text(text)
    assert text == path.read_text()
    assert told(program, script, crashes=True) == text


def test_every_text_and_script_belongs_to_a_program() -> None:
    found = {path.stem for path in RUNS.iterdir() if path.is_file()}
    assert found == set(NAMES)
