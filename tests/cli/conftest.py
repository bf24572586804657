"""flowc, run in a folder of its own: what the tests of its commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flowlang.cli import main

Flowc = Callable[..., tuple[int, str, str]]


@pytest.fixture
def flowc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Flowc:
    """Run flowc in a folder of its own; gives (exit code, output, talk)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, printed.out, printed.err

    return run
