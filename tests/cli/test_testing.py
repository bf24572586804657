"""`flowc test`: what it runs, prints and answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Flowc

GREETING = (
    Path(__file__).parent.parent.parent / "flowlang" / "templates" / "new" / "greeting.flow"
).read_text()
WRONG = GREETING.replace("this is bob", "this is rob").replace("a greeting is", "another is")


@pytest.fixture
def files(tmp_path: Path) -> None:
    (tmp_path / "greeting.flow").write_text(GREETING)
    (tmp_path / "plain.flow").write_text("flow Idle():\n    pass\n")


def untimed(text: str) -> str:
    return re.sub(r" in [0-9.]+ s", " in 0.1 s", text)


@pytest.mark.usefixtures("files")
def test_what_holds(flowc: Flowc) -> None:
    code, printed, talk = flowc("test")
    assert (code, talk) == (0, "")
    assert (
        untimed(printed)
        == "greeting.flow\n  ok      a greeting is answered\n\n1 test passed in 0.1 s.\n"
    )


@pytest.mark.usefixtures("files")
def test_what_fails(flowc: Flowc) -> None:
    Path("wrong.flow").write_text(WRONG)
    code, printed, _ = flowc("test", "greeting.flow", "wrong.flow")
    assert code == 1
    assert (
        untimed(printed)
        == """\
greeting.flow
  ok      a greeting is answered
wrong.flow
  FAILED  another is answered

test "another is answered" failed at wrong.flow:41:5

    expect greeting returns "Hello World, this is rob."

expected: greeting returns "Hello World, this is rob."
happened: greeting returned "Hello World, this is bob."

    alice                                        bob
      │          Greeting(name="World")           │
      │──────────────────────────────────────────▶│
      │ Reply(words="Hello World, this is bob.")  │
      │◀──────────────────────────────────────────│

flows:
    alice  Greet   returned "Hello World, this is bob."
    bob    Answer  returned

1 of 2 tests failed in 0.1 s.
"""
    )


@pytest.mark.usefixtures("files")
def test_coverage_and_its_least(flowc: Flowc) -> None:
    Path("greeting.flow").write_text(
        GREETING.replace("    version 1\n    responds", "    responds")
    )
    code, printed, _ = flowc("test", "--coverage", "--min", "100")
    assert code == 0
    assert (
        untimed(printed).partition("\n\n1 test passed in 0.1 s.\n\n")[2]
        == """\
flow       states       ways   messages  where
Greet         2/2        2/2        2/2  greeting.flow:13
Answer        2/2        2/2        2/2  greeting.flow:29
100 % of states, ways and messages were seen
"""
    )
    Path("more.flow").write_text(GREETING.replace("        bob -> alice: Reply\n", "").replace(
        "expect messages:", "expect Answer at bob throws NobodyNamed").replace(
        'alice -> bob: Greeting("World")', "").replace('name="World"', 'name=""').replace(
        'returns "Hello World, this is bob."', "throws NobodyNamed"))  # fmt: skip
    code, printed, _ = flowc("test", "more.flow", "--min", "95.5")
    assert code == 1
    assert (
        untimed(printed).partition("\n\n1 test passed in 0.1 s.\n\n")[2]
        == """\
flow       states       ways   messages  where
Greet         2/2        2/2        1/2  more.flow:13
Answer        2/2        2/2        1/2  more.flow:29
more.flow:13: Greet never receives Reply in AwaitReply
more.flow:29: Answer never sends Reply in AwaitGreeting
83.3 % of states, ways and messages were seen
That is less than the 95.5 % that are wanted.
"""
    )


@pytest.mark.usefixtures("files")
def test_data(flowc: Flowc) -> None:
    Path("wrong.flow").write_text(WRONG)
    code, printed, _ = flowc("test", "--json", "--coverage")
    data = json.loads(printed)
    assert (code, data["ok"]) == (1, False)
    assert [(one["name"], one["ok"]) for one in data["tests"]] == [
        ("a greeting is answered", True),
        ("another is answered", False),
    ]
    assert data["tests"][1]["expected"] == 'greeting returns "Hello World, this is rob."'
    assert data["percent"] == 100.0
    assert data["flows"][0] == {
        "flow": "Greet", "place": "greeting.flow:13", "states": [2, 2], "ways": [2, 2],
        "messages": [2, 2], "missing": [],
    }  # fmt: skip


@pytest.mark.usefixtures("files")
def test_nothing_to_run(flowc: Flowc) -> None:
    assert flowc("test", "-k", "farewell") == (
        1, "", "error: no test in 2 files has 'farewell' in its name\n",
    )  # fmt: skip
    code, printed, talk = flowc("test", "plain.flow")
    assert (code, printed) == (1, "")
    assert talk == 'error: there is no test in 1 file; one begins with `test "what is shown":`\n'
    code, printed, _ = flowc("test", "plain.flow", "--json")
    assert json.loads(printed)["ok"] is False


@pytest.mark.usefixtures("files")
def test_a_mistake_comes_first(flowc: Flowc) -> None:
    Path("greeting.flow").write_text(GREETING.replace('"World")', "3)"))
    code, printed, _ = flowc("test")
    assert code == 1
    assert printed.startswith("error[F301]: this is Int, but Text is wanted\n")
    assert "ok" not in printed
    code, printed, _ = flowc("test", "--json")
    assert [one["code"] for one in json.loads(printed)["diagnostics"]] == ["F301"] * 2


@pytest.mark.usefixtures("files")
def test_python_that_cannot_be_imported(flowc: Flowc) -> None:
    Path("prices.flow").write_text(
        'function price() -> Int = python "nowhere:price"\n\n'
        "flow Ask() -> Int:\n    startable by rpc\n    return price()\n\n"
        'test "a price":\n    parties ann\n    start asking = Ask() at ann\n'
        "    expect asking returns 1\n"
    )
    code, printed, _ = flowc("test", "prices.flow")
    assert code == 1
    assert "calls the Python function nowhere:price: No module named 'nowhere'" in printed
    assert "Traceback" not in printed
