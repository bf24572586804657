"""flowc meets what it cannot read, write or understand: one clear answer, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowlang import project

Flowc = Callable[..., tuple[int, str, str]]

GOOD = """\
flow Seller(n: Int) -> Int:
    startable by rpc

    checkpoint
    return n
"""
LONG = "a" * 300
COMMANDS = ["check", "compile", "fmt", "size", "stats", "graph"]
WITH_JSON = ["check", "compile", "size", "stats"]


def _told_once(answer: tuple[int, str, str], code: str) -> None:
    assert (answer[0], answer[2]) == (1, "")
    assert answer[1].count("error[") == 1
    assert f"error[{code}]" in answer[1]


# --- what cannot be read ------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("asked", [".", "loop.flow"])
def test_a_link_to_itself(flowc: Flowc, command: str, asked: str) -> None:
    Path("loop.flow").symlink_to("loop.flow")
    answer = flowc(command, asked)
    _told_once(answer, "F701")
    assert "Too many levels of symbolic links" in answer[1]
    assert "loop.flow" in answer[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_is_too_long(flowc: Flowc, command: str) -> None:
    _told_once(flowc(command, f"{LONG}.flow"), "F701")


def test_a_module_whose_name_is_too_long(flowc: Flowc) -> None:
    Path("a.flow").write_text(f"use {LONG}: X\n{GOOD}")
    code, out, _ = flowc("check", "a.flow")
    assert code == 1
    assert "Traceback" not in out


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("asked", [".", "pipe.flow"])
def test_a_pipe_is_never_opened(flowc: Flowc, command: str, asked: str) -> None:
    os.mkfifo("pipe.flow")
    answer = flowc(command, asked)
    _told_once(answer, "F701")
    assert "it is a pipe, a socket or a device, not a file" in answer[1]


def test_a_device_is_never_opened(flowc: Flowc) -> None:
    Path("zero.flow").symlink_to("/dev/zero")
    _told_once(flowc("check", "zero.flow"), "F701")
    with pytest.raises(project.FileTrouble):
        project.read(Path("/dev/zero"))


def test_pipes_beside_the_sources_are_never_opened(flowc: Flowc) -> None:
    Path("a.flow").write_text(f"use pipe: X\n{GOOD}")
    os.mkfifo("pipe.flow")
    os.mkfifo("pyproject.toml")
    code, out, _ = flowc("check", "a.flow")
    assert code == 1
    assert "error[F711]" in out
    Path("a.flow").write_text(GOOD)
    os.mkfifo("a_flow.py")
    _told_once(flowc("compile", "a.flow"), "F706")


# --- what cannot be written ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["size", "a.flow"], ["check", "a.flow"], ["check", "no.flow"], ["--help"]]
)
def test_a_full_output(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "a.flow").write_text(GOOD)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flowlang", *arguments],
            cwd=tmp_path,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.stderr == "error: cannot write: No space left on device\n"
    assert done.returncode == 1


def test_a_reader_that_went_away_hears_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.flow").write_text(GOOD)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "flowlang", "size", "a.flow"],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_output_folder_whose_name_is_too_long(flowc: Flowc) -> None:
    Path("kept.flow").write_text(GOOD)
    _told_once(flowc("compile", "kept.flow", "-o", LONG), "F706")
    run = ("run", "kept.flow", "Seller", "--as", "alice", "n=1", "--store", f"stores/{LONG}")
    code, out, err = flowc(*run)
    assert (code, out) == (1, "")
    assert err.endswith(f"{LONG}: File name too long\n")


# --- the form of an answer ----------------------------------------------------------------------


@pytest.mark.parametrize("command", WITH_JSON)
@pytest.mark.parametrize(("asked", "code"), [("no.flow", "F701"), (".", "F703")])
def test_trouble_with_files_is_data(flowc: Flowc, command: str, asked: str, code: str) -> None:
    Path("Bad-Name.flow").write_text(GOOD)
    ended, out, err = flowc(command, "--json", asked)
    said = json.loads(out)
    assert (ended, err, said["ok"]) == (1, "", False)
    assert [one["code"] for one in said["diagnostics"]] == [code]
    assert said == json.loads(flowc("check", "--json", asked)[1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["explain", "--json", "F999"], "There is no diagnostic F999."),
        (["explain", "F999", "--json"], "There is no diagnostic F999."),
        (["size", "a.flow", "Sellr", "--json"], "Did you mean `Seller`?"),
        (["stats", "--json"], "Missing argument 'PATHS...'."),
        (["check", "", "--json"], "This name of a file is empty."),
    ],
)
def test_wrong_usage_is_data(flowc: Flowc, arguments: list[str], says: str) -> None:
    Path("a.flow").write_text(GOOD)
    code, out, err = flowc(*arguments)
    said = json.loads(out)
    assert (code, err, said["ok"]) == (2, "", False)
    assert says in said["message"]


@pytest.mark.parametrize(
    "given",
    [
        ["Sellr", "n=1"],
        ["Seller"],
        ["Seller", "m=1"],
        ["Seller", "n=1", "--services", "nothing"],
        ["Seller", "n=1", "--send", "Pay("],
        ["Seller", "n=1", "--answer", "boss"],
    ],
)
def test_wrong_usage_of_run(flowc: Flowc, given: list[str]) -> None:
    Path("used.flow").write_text(GOOD)
    code, out, err = flowc("run", "used.flow", *given, "--as", "alice")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    code, out, err = flowc("run", "used.flow", *given, "--as", "alice", "--json")
    assert (code, err) == (2, "")
    assert json.loads(out).keys() == {"ok", "message"}


@pytest.mark.parametrize("command", ["graph", "size"])
def test_a_misspelt_flow(flowc: Flowc, command: str) -> None:
    Path("a.flow").write_text(GOOD)
    code, out, err = flowc(command, "a.flow", "seler")
    assert (code, out) == (2, "")
    assert "There is no flow `seler` in a.flow. Did you mean `Seller`?" in err


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "code"),
    [("a.txt", "F702"), ("Bad.flow", "F703"), ("class.flow", "F710"), ("if/a.flow", "F710")],
)
def test_every_command_refuses_the_same_names(
    flowc: Flowc, command: str, name: str, code: str
) -> None:
    Path("pyproject.toml").write_text("[tool.flowlang]\n")
    Path(name).parent.mkdir(exist_ok=True)
    untidy = GOOD.replace("n: Int", "n:Int")
    for path in ("a.flow", name):
        Path(path).write_text(untidy)
    _told_once(flowc(command, name), code)
    if command == "fmt":
        _told_once(flowc(command, "a.flow", name), code)
        assert Path("a.flow").read_text() == untidy


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_name_is_wrong_usage(flowc: Flowc, command: str) -> None:
    Path("a.flow").write_text(GOOD)
    code, out, err = flowc(command, "")
    assert (code, out) == (2, "")
    assert "This name of a file is empty." in err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("json", "`json` is a module that comes with Python"),
        ("test", "`test` is a module that comes with Python"),
        ("JSON", "`json` is a module that comes with Python"),
        ("class", "`class` is a word of Python"),
        ("none", "`none` is a word of Python"),
        ("flowrt", "`flowrt` is a module that flows need"),
        ("../x", "the project is made in this folder"),
        ("/tmp/x", "the project is made in this folder"),
        ("a/b", "the project is made in this folder"),
        (".", "the project is made in this folder"),
        ("", "the project is made in this folder"),
    ],
)
def test_new_refuses_what_hides_a_module_or_leaves_the_folder(
    flowc: Flowc, name: str, says: str
) -> None:
    before = sorted(Path.cwd().parent.rglob("*"))
    answer = flowc("new", name)
    _told_once(answer, "F709")
    assert says in answer[1]
    assert sorted(Path.cwd().parent.rglob("*")) == before


def test_new_suggests_names_that_it_takes(flowc: Flowc) -> None:
    assert "such as `my_json`" in flowc("new", "json")[1]
    assert flowc("new", "my_json")[0] == 0
