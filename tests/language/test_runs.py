"""Every program of `runs` does what its text says, undisturbed and through a crash at each commit.

`UPDATE_EXPECT=1` writes the texts anew, to be read in the diff.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flowlang import standard
from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.source import Source
from tests.language.running import told
from tests.programs import python
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


def test_what_is_generated_is_as_clean_as_written(tmp_path: Path) -> None:
    """What mypy --strict and ruff say of it, and of the library: nothing."""
    texts = {**{name: (RUNS / f"{name}.flow").read_text() for name in NAMES}, **LIBRARIES}
    sources = {
        name: Source(f"{name.replace('.', '/')}.flow", name, text) for name, text in texts.items()
    }
    for name, module in compile_modules(sources, sources.get).modules.items():
        python.write(tmp_path / "runs", name, generate(module))
    library = standard.python_folder()
    shutil.copytree(library, tmp_path / "library", ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path / "runs" / "tests" / "language" / "invoices.py"
    target.parent.mkdir(parents=True)
    target.write_text((RUNS.parent / "invoices.py").read_text())
    assert python.complaints(tmp_path) == ""


def test_every_text_and_script_belongs_to_a_program() -> None:
    found = {path.stem for path in RUNS.iterdir() if path.is_file()}
    assert found == set(NAMES)
