"""The page about testing is true: its program compiles, and its tests pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
FENCE = re.compile(r"^```(?:flow|python) (\S+)\n(.*?)^```$", re.M | re.S)

FEWER = """
from hypothesis import settings

settings.register_profile("fewer", max_examples=15)
settings.load_profile("fewer")
"""


def test_what_the_page_shows_runs(tmp_path: Path) -> None:
    names = []
    for name, text in FENCE.findall(PAGE.read_text()):
        (tmp_path / name).write_text(text)
        names.append(name)
    assert "test_conversations.py" in names
    (tmp_path / "conftest.py").write_text(FEWER)
    flowc = [sys.executable, "-m", "flowlang"]
    subprocess.run([*flowc, "compile", "shop.flow"], cwd=tmp_path, check=True, timeout=60)
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(
        pytest,
        cwd=tmp_path,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout
