"""Where the contracts' tests keep their files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
"""Files in memory, on systems that have them: `fsync` costs nothing there, and no test of ours cuts
the power of the whole machine."""


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """As everywhere, but in memory if possible: these tests write hundreds of databases."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield folder
    shutil.rmtree(folder)
