"""flowc fmt as an author meets it: which files it writes, what it shows, how it exits."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flowlang.cli import main

Flowc = Callable[..., tuple[int, str, str]]
UNTIDY = 'flow F( n:Int ):\n  log info "{n}"   # why\n'
TIDY = 'flow F(n: Int):\n    log info "{n}"  # why\n'


def test_files_are_written_once(flowc: Flowc) -> None:
    Path("a.flow").write_text(UNTIDY)
    Path("b.flow").write_text(TIDY)
    Path("a.flow").chmod(0o640)
    expected = "formatted a.flow\n1 file formatted, 1 file left as it was.\n"
    assert flowc("fmt", ".") == (0, expected, "")
    assert Path("a.flow").read_text() == TIDY
    assert stat.S_IMODE(Path("a.flow").stat().st_mode) == 0o640
    assert flowc("fmt", ".") == (0, "2 files left as they were.\n", "")


def test_check_and_diff_write_nothing(flowc: Flowc) -> None:
    Path("a.flow").write_text(UNTIDY)
    assert flowc("fmt", "--check", "a.flow") == (
        1,
        "would format a.flow\n1 file would be formatted.\n",
        "",
    )
    code, out, _ = flowc("fmt", "--diff", "a.flow")
    assert code == 1
    assert "--- a.flow\n+++ a.flow, formatted\n@@ -1,2 +1,2 @@\n-flow F( n:Int ):\n" in out
    assert '+    log info "{n}"  # why\n' in out
    assert Path("a.flow").read_text() == UNTIDY
    Path("a.flow").write_text(TIDY)
    assert flowc("fmt", "--check", "a.flow") == (0, "1 file left as it was.\n", "")
    assert flowc("fmt", "--diff", "a.flow") == (0, "1 file left as it was.\n", "")


def test_a_file_with_a_mistake_is_left_alone(flowc: Flowc) -> None:
    Path("a.flow").write_text("flow F(:\n    pass\n")
    Path("b.flow").write_text(UNTIDY)
    Path("c.flow").write_bytes(b"\xff")
    code, out, _ = flowc("fmt", "a.flow", "b.flow", "c.flow")
    assert code == 1
    assert "  --> a.flow:1:7" in out
    assert "error[F002]" in out
    assert out.endswith("1 file formatted, 2 files with mistakes.\n")
    assert Path("a.flow").read_text() == "flow F(:\n    pass\n"
    assert Path("b.flow").read_text() == TIDY


def test_a_link_stays_a_link(flowc: Flowc) -> None:
    Path("a.flow").write_text(UNTIDY)
    Path("b.flow").symlink_to("a.flow")
    assert flowc("fmt", "b.flow")[0] == 0
    assert Path("b.flow").is_symlink()
    assert Path("a.flow").read_text() == TIDY


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def test_standard_input(
    typed: Callable[[bytes], None], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    typed(UNTIDY.encode())
    with pytest.raises(SystemExit) as ended:
        main(["fmt", "-"])
    assert ended.value.code == 0
    assert capsysbinary.readouterr().out == TIDY.encode()
    for data, option, wanted in ((UNTIDY, "--check", 1), (TIDY, "--check", 0), (TIDY, "--diff", 0)):
        typed(data.encode())
        with pytest.raises(SystemExit) as ended:
            main(["fmt", option, "-"])
        assert (ended.value.code, capsysbinary.readouterr().out) == (wanted, b"")
    typed(b"flow F(:\n")
    with pytest.raises(SystemExit) as ended:
        main(["fmt", "-"])
    printed = capsysbinary.readouterr()
    assert (ended.value.code, printed.out) == (1, b"")
    assert b"<stdin>:1:7" in printed.err
    with pytest.raises(SystemExit) as ended:
        main(["fmt", "-", "a.flow"])
    assert ended.value.code == 2
