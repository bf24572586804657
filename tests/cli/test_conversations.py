"""What `flowc` says of conversations, in each of its forms: of wrong ones, and of right ones."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from flowlang.cli import conversing, printing
from flowlang.diagnostics import as_data, from_data
from tests.cli.conftest import Flowc

PROGRAMS = Path(__file__).parent.parent / "language"
WRONG = (PROGRAMS / "P201_swapped.flow").read_text()
ALONE = (PROGRAMS / "P203_forgotten_reply.flow").read_text()
LISTED = """\
Ask and Answer, conversation 1
    1  Ask: `fast` is true            line 14
    2  Ask    ── Request ───▶ Answer  line 14
    3  Answer ── Receipt ───▶ Ask     line 24

Ask and Answer, conversation 2
    1  Ask: `fast` is false           line 14
    2  Ask    ── Request ───▶ Answer  line 14
    3  Answer ── Refusal ───▶ Ask     line 26

2 conversations of 1 pair of flows.
"""
RIGHT = (PROGRAMS / "fits" / "choice_in_a_field.flow").read_text()


@pytest.fixture
def wrong(tmp_path: Path) -> None:
    (tmp_path / "shop.flow").write_text(WRONG)


@pytest.fixture
def right(tmp_path: Path) -> None:
    (tmp_path / "shop.flow").write_text(RIGHT)


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.usefixtures("wrong")
def test_a_run_as_data(flowc: Flowc) -> None:
    code, printed, _ = flowc("check", "--json", "shop.flow")
    answer = json.loads(printed)
    assert (code, answer["ok"]) == (1, False)
    (found,) = answer["diagnostics"]
    assert found["code"] == "P201"
    assert [note["line"] for note in found["notes"]] == [13]
    run = found["run"]
    assert (run["left"], run["right"], run["scope"]) == ("Sell", "Buy", 0)
    assert [(one["kind"], one["side"], one["text"], one["line"]) for one in run["steps"]] == [
        ("sends", 0, "Offer", 12),
        ("sends", 1, "Paid", 19),
    ]
    assert [(one["line"], one["text"]) for one in run["now"]] == [
        (13, "waits for `Order`"),
        (19, "sends `Paid`"),
    ]
    assert json.loads(json.dumps(as_data(from_data(found)))) == found


@pytest.mark.usefixtures("wrong")
def test_github_and_sarif(flowc: Flowc) -> None:
    code, printed, _ = flowc("check", "--format", "github", "shop.flow")
    assert code == 1
    assert printed == (
        "::error file=shop.flow,line=19,col=5,endLine=19,title=flowc P201,endColumn=34::"
        "`Buy` sends `Paid`, but `Sell` is waiting for `Order` (`Sell` takes `Paid` only later,"
        " in line 14: let both sides have the same order)\n"
    )
    code, printed, _ = flowc("check", "--format", "sarif", "shop.flow")
    (run,) = json.loads(printed)["runs"]
    (result,) = run["results"]
    assert (code, result["ruleId"], result["level"]) == (1, "P201", "error")
    (other,) = result["relatedLocations"]
    assert other["physicalLocation"]["region"]["startLine"] == 13
    assert other["message"]["text"] == "`Sell` takes only `Order` here"


@pytest.mark.usefixtures("wrong")
def test_in_ascii(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "can_draw", lambda: False)
    _, printed, _ = flowc("check", "shop.flow")
    assert printed.isascii()
    assert "    1    |--- Offer -->|    line 12\n    2    |x-- Paid ----|    line 19\n" in printed
    Path("shop.flow").write_text(ALONE)
    _, printed, _ = flowc("check", "shop.flow")
    assert printed.isascii()
    assert "     1  Sell -- Offer ---> Buy         line 9\n" in printed
    Path("shop.flow").write_text('flow A():\n    print("x")\n')
    _, printed, _ = flowc("check", "shop.flow")
    assert printed.isascii()
    assert ' help: write `log info "..."`\n' in printed


@pytest.mark.usefixtures("wrong")
def test_pictures_in_files(flowc: Flowc) -> None:
    code, printed, _ = flowc("check", "--svg", "pictures", "shop.flow")
    path = Path("pictures/P201-shop-19.svg")
    assert code == 1
    assert f"\ndrawn: {path}\n" in printed
    drawn = ET.fromstring(path.read_text())
    texts = "\n".join(one.text or "" for one in drawn.iter("{http://www.w3.org/2000/svg}text"))
    for wanted in ("Sell", "Buy", "Offer", "Paid", "waits for Order", "line 19"):
        assert wanted in texts
    code, printed, _ = flowc("check", "--json", "--svg", "pictures", "shop.flow")
    assert json.loads(printed)["pictures"] == [str(path)]


@pytest.mark.usefixtures("wrong")
def test_pictures_where_there_is_a_file(flowc: Flowc) -> None:
    Path("pictures").write_text("")
    code, printed, _ = flowc("check", "--svg", "pictures", "shop.flow")
    assert code == 1
    assert printed.startswith("error[F706]: cannot write here: ")


def test_a_page_for_a_code(flowc: Flowc) -> None:
    code, printed, _ = flowc("explain", "P203")
    assert code == 0
    assert printed.startswith("# P203: ")
    assert "case ended:" in printed


# --- what goes well -------------------------------------------------------------------------------


@pytest.mark.usefixtures("right")
def test_conversations_that_have_every_message(
    flowc: Flowc, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed, _ = flowc("check", "--tests", "shop.flow")
    assert code == 0
    assert printed == LISTED
    code, as_json, _ = flowc("check", "--tests", "--json", "shop.flow")
    answer = json.loads(as_json)
    assert (code, answer["ok"]) == (0, True)
    sent = [
        [one["text"] for one in talk["steps"] if one["kind"] == "sends"]
        for talk in answer["conversations"]
    ]
    assert sorted(sent) == [["Request", "Receipt"], ["Request", "Refusal"]]
    assert {(one["left"], one["right"]) for one in answer["conversations"]} == {
        ("shop.Ask", "shop.Answer")
    }
    monkeypatch.setattr(conversing, "can_draw", lambda: False)
    _, printed, _ = flowc("check", "--tests", "shop.flow")
    assert printed.isascii()


@pytest.mark.usefixtures("right")
def test_conversations_are_walked(flowc: Flowc) -> None:
    code, printed, _ = flowc("test", "--conversations", "--min", "100")
    assert (code, printed) == (
        0,
        """\
Ask and Answer, conversation 1
  walked      Ask
  walked      Answer

Ask and Answer, conversation 2
  walked      Ask
  walked      Answer

4 of 4 walks followed their conversation (100 %).
""",
    )


def test_a_conversation_that_is_not_walked(flowc: Flowc, tmp_path: Path) -> None:
    (tmp_path / "shop.flow").write_text(
        RIGHT.replace(
            "receive request: Request from talk unchecked",
            'receive request: Request from talk unchecked\n    let units = length("")',
        )
        .replace(
            "flow Ask", 'function length(what: Text) -> Int = python "sizes:length"\n\nflow Ask'
        )
        .replace("send Receipt(1)", "require units > 0 else Never()\n        send Receipt(1)")
        .replace("message Request", 'error Never(): "never"\n\nmessage Request')
    )
    (tmp_path / "sizes.py").write_text("def length(what: str) -> int:\n    return len(what)\n")
    code, printed, _ = flowc("test", "--conversations", "--tries", "5", "--min", "80")
    assert code == 1
    assert "  NOT WALKED  Answer: after 1 of 2 messages Answer_v1 " in printed
    assert printed.endswith(
        "3 of 4 walks followed their conversation (75 %).\n"
        "That is less than the 80 % that are wanted.\n"
    )
    code, printed, _ = flowc("test", "--conversations", "--tries", "5", "--json")
    answer = json.loads(printed)
    assert (code, answer["ok"], answer["percent"]) == (0, True, 75.0)
    assert [walk["walked"] for talk in answer["conversations"] for walk in talk["walks"]].count(
        False
    ) == 1


@pytest.mark.usefixtures("wrong")
def test_flows_that_do_not_fit_are_not_walked(flowc: Flowc) -> None:
    code, printed, _ = flowc("test", "--conversations")
    assert code == 1
    assert printed.startswith("error[P201]: ")


@pytest.mark.usefixtures("right")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_without_hypothesis(flowc: Flowc, monkeypatch: pytest.MonkeyPatch, form: list[str]) -> None:
    for name in [*sys.modules]:
        if name == "flowlang.testing.walking" or name.startswith("flowrt.testing."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    code, printed, talk = flowc("test", "--conversations", *form)
    says = 'hypothesis is not installed; `pip install "flowlang-dsl[test]"` brings it'
    assert code == 1
    if form:
        assert json.loads(printed) == {"ok": False, "message": says}
    else:
        assert (printed, talk) == ("", f"error: {says}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tries", "3"], "--tries needs --conversations."),
        (["--conversations", "-k", "x"], "-k does not go with --conversations."),
        (
            ["--conversations", "--exhaustive", "F"],
            "--conversations does not go with --exhaustive.",
        ),
    ],
)
def test_options_that_do_not_go_together(flowc: Flowc, arguments: list[str], says: str) -> None:
    code, _, talk = flowc("test", *arguments)
    assert code == 2
    assert says in talk
