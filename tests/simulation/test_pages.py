"""What docs/testing.md shows of worlds is what the commands print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowlang.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
FENCES = FENCE.findall(PAGE[PAGE.index("## Worlds from a seed") :])


@pytest.mark.parametrize("command", ["sim run tickets.flow", "test tickets.flow"])
def test_the_page_shows_what_is_printed(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for kind, text in FENCES:
        if kind == "flow":
            Path("tickets.flow").write_text(text)
        elif kind == "python":
            Path(text.splitlines()[0].removeprefix("# ")).write_text(text)
    shown = next(
        text for kind, text in FENCES if kind == "console" and f"$ flowc {command}" in text
    )
    first, *lines = shown.splitlines()
    assert lines.pop() == "…"
    with pytest.raises(SystemExit) as ended:
        main(first.removeprefix("$ flowc ").split())
    assert ended.value.code == 1
    printed = capsys.readouterr().out.splitlines()[: len(lines)]
    assert _timeless(printed) == _timeless(lines)


def _timeless(lines: list[str]) -> list[str]:
    """Without how long it took, and in how many worlds."""
    return [re.sub(r"\(\d+ worlds?, [\d.]+ s\)", "(…)", line) for line in lines]
