"""The pytest plugin, in a pytest of its own: what it collects, shows and counts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

GREETING = (
    Path(__file__).parent.parent.parent / "flowlang" / "templates" / "new" / "greeting.flow"
).read_text()
WRONG = GREETING.replace("this is bob", "this is rob").replace("a greeting is", "another is")
IN_PYTHON = """\
import datetime

import pytest
import greeting_flow
from flowrt.core.flow import Party


def test_in_a_world(world, node):
    alice = node("alice", [greeting_flow])
    node("bob", [greeting_flow])
    handle = alice.submit(greeting_flow.Greet_v1, whom=Party("bob"), name="World")
    world.sleep(datetime.timedelta(seconds=1))
    assert handle.result_now() == "Hello World, this is bob."


def test_a_network(network):
    assert type(network).__name__ == "MemoryNetwork"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "greeting.flow").write_text(GREETING)
    return tmp_path


def run(project: Path, *arguments: str) -> tuple[int, str]:
    """pytest in a folder; its exit code and what it prints, without what differs each time."""
    command = [sys.executable, "-m", "pytest"]
    # hypothesis takes a second to load, and nothing here needs it.
    for plugin in ("cacheprovider", "randomly", "hypothesispytest"):
        command += ["-p", f"no:{plugin}"]
    done = subprocess.run(
        [*command, "--rootdir", str(project), *arguments],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, re.sub(r" in [0-9.]+s", "", done.stdout + done.stderr)


def test_a_test_block_is_an_item(project: Path) -> None:
    (project / "plain.flow").write_text("flow Idle():\n    pass\n")
    code, printed = run(project, "--collect-only", "-q")
    assert (code, printed.split("\n")[0]) == (0, "greeting.flow::a greeting is answered")
    assert "plain.flow" not in printed


def test_what_fails_is_shown_without_a_traceback(project: Path) -> None:
    (project / "wrong.flow").write_text(WRONG)
    code, printed = run(project, "-q")
    assert code == 1
    assert "1 failed, 1 passed" in printed
    assert 'test "another is answered" failed at wrong.flow:' in printed
    assert 'happened: greeting returned "Hello World, this is bob."' in printed
    assert "Traceback" not in printed
    assert "playing.py" not in printed


def test_a_file_with_a_mistake_is_an_error_of_collection(project: Path) -> None:
    (project / "greeting.flow").write_text(GREETING.replace('"World")', "3)"))
    code, printed = run(project, "-q")
    assert code == 2
    assert "error[F301]: this is Int, but Text is wanted" in printed
    assert "Traceback" not in printed


def test_coverage_counts_all_worlds(project: Path) -> None:
    (project / "test_greeting.py").write_text(IN_PYTHON)
    subprocess.run([sys.executable, "-m", "flowlang", "compile", "greeting.flow"], cwd=project)
    code, printed = run(project, "-q", "--flow-coverage-min=100", "test_greeting.py")
    assert code == 0, printed
    assert re.search(r"^Greet +2/2 +2/2 +2/2  greeting.flow:13$", printed, re.M)
    assert re.search(r"^Answer +2/2 +2/2 +2/2  greeting.flow:29$", printed, re.M)


def test_too_little_coverage_fails_and_says_what_is_missing(project: Path) -> None:
    text = (project / "greeting.flow").read_text()
    (project / "greeting.flow").write_text(text.replace('name="World"', 'name=""').replace(
        '    expect greeting returns "Hello World, this is bob."\n    expect messages:\n'
        '        alice -> bob: Greeting("World")\n        bob -> alice: Reply\n',
        "    expect greeting throws NobodyNamed\n",
    ))  # fmt: skip
    code, printed = run(project, "-q", "--flow-coverage-min=90.5", "-n2")
    assert code == 1, printed
    assert "1 passed" in printed
    assert "greeting.flow:13: Greet never receives Reply in AwaitReply" in printed
    assert "greeting.flow:29: Answer never sends Reply in AwaitGreeting" in printed
    assert re.search(r"FAILED: [0-9.]+ % of states, ways and messages were seen, 90.5 %", printed)
    code, printed = run(project, "-q", "--flow-coverage")
    assert code == 0
    assert "FAILED" not in printed


def test_a_percentage_is_one(project: Path) -> None:
    code, printed = run(project, "--flow-coverage-min=120")
    assert code == 4
    assert "--flow-coverage-min" in printed


def test_who_tests_no_flow_loads_nothing() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import flowlang.testing.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == {
        "flowlang",
        "flowlang.testing",
        "flowlang.testing.plugin",
    }
