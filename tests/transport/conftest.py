"""Where the tests of connections keep their files: in memory, as the runtime's do."""

from __future__ import annotations

from tests.runtime.conftest import tmp_path

__all__ = ["tmp_path"]
