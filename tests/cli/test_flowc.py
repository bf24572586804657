"""flowc as an author meets it: what it prints, what it writes, how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Flowc = Callable[..., tuple[int, str, str]]

GOOD = """\
message Ping:
    n: Int

error TooMuch(n: Int): "{n} is too much"

flow Ask(whom: Party, n: Int) -> Int:
    startable by rpc
    steps:
        ASKING "Asking"

    step ASKING
    open Reply with whom as talk
    send Ping(n) to talk then receive back: Ping from talk:
        require back.n > n else TooMuch(back.n)
    return back.n

flow Reply():
    responds to Ask as talk

    receive ping: Ping from talk:
        require ping.n < 100 else TooMuch(ping.n)
    send Ping(ping.n + 1) to talk
"""

BAD = """\
flow Sum(a: Int, whom: Party) -> Int:
    let total = a + whom
    retrun total

flow Other() -> Int:
    return 1 + "x"
"""


def test_check_says_that_all_is_well(flowc: Flowc) -> None:
    Path("a.flow").write_text(GOOD)
    assert flowc("check", "a.flow") == (0, "No problems in 1 file.\n", "")
    assert flowc("check", ".") == (0, "No problems in 1 file.\n", "")


def test_check_shows_every_mistake_once(flowc: Flowc) -> None:
    Path("a.flow").write_text(BAD)
    code, out, err = flowc("check", "a.flow")
    assert (code, err) == (1, "")
    assert out.count("error[") == 3
    assert "  --> a.flow:2:17" in out
    assert " 2 |     let total = a + whom\n   |                 ^^^^^^^^" in out
    assert "did you mean `return`?" in out
    assert out.splitlines()[-1].startswith("3 problems in 1 file. More about one: flowc explain F")
    again = flowc("check", "a.flow")
    assert again == (code, out, err), "from the cache, the same to the letter"


def test_check_as_data(flowc: Flowc) -> None:
    Path("a.flow").write_text(BAD)
    code, out, _ = flowc("check", "a.flow", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["ok"] is False
    assert found["files"] == ["a.flow"]
    assert [(d["line"], d["severity"]) for d in found["diagnostics"]] == [
        (2, "error"),
        (3, "error"),
        (6, "error"),
    ]


def test_an_unchanged_check_needs_no_parser(flowc: Flowc, tmp_path: Path) -> None:
    Path("a.flow").write_text(GOOD)
    flowc("check", "a.flow")
    code = (
        "import sys\nfrom flowlang.cli import main\ntry: main(['check', 'a.flow'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "No problems" in done.stdout
    assert not {"lark", "jinja2", "flowlang.parser", "msgspec"} & set(done.stdout.split())
    Path("a.flow").write_text(GOOD.replace("back.n > n", "back.m > n"))
    assert flowc("check", "a.flow")[0] == 1, "and a change is seen"


def test_compile_writes_modules_that_run(flowc: Flowc) -> None:
    Path("shop").mkdir()
    Path("pyproject.toml").write_text("[tool.flowlang]\n")
    Path("shop/orders.flow").write_text("record Order:\n    sku: Text\n")
    Path("a.flow").write_text("use shop.orders: Order\n\nmessage Buy:\n    order: Order\n")
    code, out, _ = flowc("compile", "a.flow", "-o", "built")
    assert code == 0
    assert out.splitlines() == [
        "wrote built/a_flow.py",
        "wrote built/shop/orders_flow.py",
        "2 modules compiled, 2 changed.",
    ]
    assert flowc("compile", "a.flow", "-o", "built")[1] == "2 modules compiled, 0 changed.\n"
    check = "import a_flow; print(a_flow.Buy(a_flow.Order('x')).order.sku)"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd="built", check=True, capture_output=True, text=True
    )
    assert done.stdout == "x\n"


def test_compile_writes_nothing_when_there_is_a_mistake(flowc: Flowc) -> None:
    Path("a.flow").write_text(BAD)
    assert flowc("compile", "a.flow")[0] == 1
    assert flowc("compile", "a.flow", "--json")[0] == 1
    assert not Path("a_flow.py").exists()


def test_compile_leaves_foreign_files_alone(flowc: Flowc) -> None:
    Path("a.flow").write_text(GOOD)
    Path("a_flow.py").write_text("mine = 1\n")
    code, out, _ = flowc("compile", "a.flow")
    assert code == 1
    assert "error[F707]: this file was not made by flowc, so it is not overwritten" in out
    assert Path("a_flow.py").read_text() == "mine = 1\n"


def test_compile_shows_the_machines(flowc: Flowc) -> None:
    Path("a.flow").write_text(GOOD)
    code, out, _ = flowc("compile", "a.flow", "--emit", "json")
    module = json.loads(out)
    assert code == 0
    [ask, _] = module["machines"]
    keeps = {state["name"]: state["keeps"] for state in ask["states"]}
    assert keeps == {"Start": ["whom", "n"], "AwaitPing": ["n"]}
    assert not Path("a_flow.py").exists()


TALK = """
message Ping:
    n: Int

flow Ask(whom: Party):
    open Answer with whom as talk
    send Ping(1) to talk then receive back: Ping from talk unchecked

flow Answer():
    responds to Ask as talk
    receive ping: Ping from talk unchecked
    subflow Within(talk.peer, 3)
    send Ping(2) to talk

flow Within(whom: Party, n: Int):
    for round in [1, 2, n]:
        open Deeper with whom as line
        send Ping(round) to line then receive back: Ping from line unchecked

flow Deeper():
    responds to Within as line
    receive ping: Ping from line unchecked
    send Ping(3) to line
"""


def test_graph_draws(flowc: Flowc) -> None:
    Path("a.flow").write_text(GOOD)
    assert "AwaitPing" in flowc("graph", "a.flow")[1]
    assert "stateDiagram-v2" in flowc("graph", "a.flow", "Ask", "--format", "mermaid")[1]
    code, _, err = flowc("graph", "a.flow", "Asks")
    assert code == 2
    assert "Did you mean `Ask`?" in err


def test_graph_draws_svg(flowc: Flowc) -> None:
    Path("a.flow").write_text(GOOD)
    assert flowc("graph", "a.flow", "Ask", "--format", "svg")[1].startswith("<svg ")
    assert flowc("graph", "a.flow", "Ask", "-o", "pictures/ask.svg") == (
        0,
        "",
        "wrote pictures/ask.svg\n",
    )
    assert Path("pictures/ask.svg").read_text().startswith("<svg ")
    code, _, err = flowc("graph", "a.flow", "--format", "svg")
    assert code == 2
    assert "An SVG shows one flow, so name one of Ask, " in err
    code, _, err = flowc("graph", "a.flow", "-o", "a.flow")
    assert code == 2
    assert "a.flow is the name of a source, not of a picture" in err
    assert Path("a.flow").read_text() == GOOD
    code, out, _ = flowc("graph", "a.flow", "Ask", "-o", "a.flow/x.svg")
    assert code == 1
    assert "cannot write here" in out


def test_graph_draws_conversations(flowc: Flowc) -> None:
    Path("a.flow").write_text(TALK)
    code, drawn, _ = flowc("graph", "a.flow", "--conversation", "Ask", "Answer", "Deeper")
    assert code == 0
    assert drawn.startswith("Ask, Answer and Deeper\n")
    assert "subflow Within" in drawn
    assert flowc("graph", "a.flow", "--conversation", "Ask")[1] == drawn
    assert "loop" not in flowc("graph", "a.flow", "--conversation", "Ask", "--no-inline")[1]
    mermaid = flowc("graph", "a.flow", "--conversation", "Ask", "--format", "mermaid")[1]
    assert "sequenceDiagram" in mermaid
    assert flowc("graph", "a.flow", "--conversation", "Ask", "-o", "t.svg")[0] == 0
    assert Path("t.svg").read_text().startswith("<svg ")


def test_graph_says_who_talks_with_whom(flowc: Flowc) -> None:
    Path("a.flow").write_text(TALK)
    for names, said in [
        ((), "Name the flow that begins the conversation."),
        (("Answer", "Ask"), "`Answer` never opens a session with `Ask`; it talks with Deeper."),
        (("Deeper", "Ask"), "`Deeper` opens no session: it only answers."),
        (("Ask", "Deeper"), "`Deeper` is opened by another flow than these"),
        (("Ask", "Anser"), "Did you mean `Answer`?"),
    ]:
        code, _, err = flowc("graph", "a.flow", "--conversation", *names)
        assert code == 2
        assert said in err


def test_explain_tells_more(flowc: Flowc) -> None:
    code, out, _ = flowc("explain", "F301")
    assert code == 0
    assert out.startswith("# F301")
    assert json.loads(flowc("explain", "f301", "--json")[1])["code"] == "F301"
    code, _, err = flowc("explain", "F3O1")
    assert code == 2
    assert "There is no diagnostic F3O1. Did you mean F3" in err


def test_run_to_a_result(flowc: Flowc) -> None:
    Path("a.flow").write_text(GOOD)
    code, out, err = flowc("run", "a.flow", "Ask", "--as", "alice", "whom=bob", "n=5")
    assert (code, out) == (0, "Ask_v1 returned 6\n".replace("Ask_v1", "a.Ask_v1"))
    assert err == "alice #1 ASKING Asking\nalice #1 done\n"
    code, out, _ = flowc("run", "a.flow", "Ask", "--as", "alice", "whom=bob", "n=5", "--json")
    assert json.loads(out) == {"flow": "a.Ask_v1", "id": 1, "result": 6}


def test_run_to_an_error(flowc: Flowc) -> None:
    Path("a.flow").write_text(GOOD)
    code, out, _ = flowc("run", "a.flow", "Ask", "--as", "alice", "whom=bob", "n=100", "--json")
    error = json.loads(out)["error"]
    assert code == 1
    assert (error["name"], error["text"], error["peer"], error["fields"]) == (
        "a.TooMuch",
        "100 is too much",
        "bob",
        {"n": 100},
    )


PEOPLE = """\
message Pay:
    units: Int

message Paid:
    total: Int
    by: Duration

record Question:
    total: Int

enum Verdict:
    Enough
    More(units: Decimal, why: List[Text])

flow Pot(most: Int = 10, by: Duration = 1h, at: Timestamp? = none) -> Int:
    startable by rpc as owner

    var total = 0
    while total < most:
        receive pay: Pay from owner:
            require pay.units > 0 else TooLittle(pay.units)
        total = total + pay.units
        send Paid(total, by) to owner
    let verdict = ask "boss": Question(total) -> Verdict
    match verdict.value:
        case Enough:
            return total
        case More(units, why):
            throw TooLittle(why.size)

error TooLittle(units: Int): "only {units}"
"""


def test_run_with_an_owner_and_people(flowc: Flowc) -> None:
    Path("pot.flow").write_text(PEOPLE)
    run = ["run", "pot.flow", "Pot", "--as", "alice", "most=7", "by=2h", "at=2026-01-31T12:00:00Z"]
    paid = ["--send", "Pay(3)", "--send", "Pay(units=4)"]
    code, out, told = flowc(*run, *paid, "--answer", "boss=Enough")
    assert (code, out) == (0, "pot.Pot_v1 returned 7\n")
    assert "alice #1 says Paid(total=3, by=2h)\n" in told
    code, out, _ = flowc(*run, *paid, "--answer", 'boss=Verdict.More(1.5, why=["a", "b"])')
    assert (code, out) == (1, "pot.Pot_v1 failed: only 2\n")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "flow 1 of alice asks boss: Question(total=7); answer with --answer 'boss=…'"),
        (["--answer", "boss=Enuf"], "--answer boss=Enuf: there is no `Enuf` here"),
        (["--answer", "boss=More(1)"], "--answer boss=More(1): Verdict_More: "),
        (["--answer", "boss"], "--answer boss: write role=value"),
        (["--answer", "boss=1 +"], "--answer boss=1 +: `1 +` is not a value: "),
        (["--send", "Poy(1)"], "--send Poy(1): Pot_v1 takes from its owner: Pay"),
        (["--send", 'Pay("x")'], '--send Pay("x"): `Pay("x")` does not fit: '),
    ],
)
def test_run_says_what_people_and_owners_lack(flowc: Flowc, given: list[str], says: str) -> None:
    Path("pot.flow").write_text(PEOPLE)
    first = [] if "--send" in given else ["--send", "Pay(7)"]
    code, _, told = flowc("run", "pot.flow", "Pot", "--as", "alice", "most=7", *first, *given)
    known_before = "--send" in given or given == ["--answer", "boss"]
    assert code == (2 if known_before else 1)
    assert says in told


ENUM = """\
enum Result:
    Sold(price: Decimal, to: Party)
    Open

flow Try(whom: Party, sold: Bool) -> Result:
    startable by rpc
    if sold:
        return Result.Sold(1.50, whom)
    return Result.Open
"""


def test_run_shows_which_case_an_enum_is(flowc: Flowc) -> None:
    Path("e.flow").write_text(ENUM)
    run = ["run", "e.flow", "Try", "--as", "alice", "whom=Bank A"]
    assert flowc(*run, "sold=true")[1] == (
        'e.Try_v1 returned {"Sold": {"price": "1.5", "to": "Bank A"}}\n'
    )
    assert flowc(*run, "sold=false")[1] == 'e.Try_v1 returned "Open"\n'


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".x", "a\nb", "\x1b[31m", "x" * 101])
def test_run_refuses_names_that_are_no_names(flowc: Flowc, name: str) -> None:
    Path("e.flow").write_text(ENUM)
    run = ["run", "e.flow", "Try", "whom=bob", "sold=true", "--store", "stores"]
    code, _, told = flowc(*run, "--as", name)
    assert (code, "a party's name " in told) == (2, True)
    code, _, told = flowc(*run, "--as", "alice", "--party", name)
    assert (code, "a party's name " in told) == (2, True)
    assert not list(Path().glob("**/*.db"))


def test_run_leaves_what_earlier_runs_have_left(flowc: Flowc) -> None:
    """An answer is for the flow that this command starts, not for one that still waits."""
    Path("pot.flow").write_text(PEOPLE)
    run = ["run", "pot.flow", "Pot", "--as", "alice", "--store", "s", "most=7", "--send", "Pay(7)"]
    code, _, told = flowc(*run)
    assert (code, "flow 1 of alice asks boss" in told) == (1, True)
    code, out, _ = flowc(*run, "--answer", "boss=Enough")
    assert (code, out) == (0, "pot.Pot_v1 returned 7\n")
    code, _, told = flowc(*run)
    assert (code, "flow 3 of alice asks boss" in told) == (1, True)


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (["--services", "json:loads"], 1, "the function of --services fails for alice: "),
        (["--store", "/proc/x"], 1, "--store /proc/x: "),
        (["sold=false"], 2, "sold=… is given twice"),
    ],
)
def test_run_at_its_edges(flowc: Flowc, given: list[str], code: int, says: str) -> None:
    Path("e.flow").write_text(ENUM)
    run = ["run", "e.flow", "Try", "--as", "alice", "whom=bob", "sold=true"]
    found = flowc(*run, *given)
    assert (found[0], says in found[2]) == (code, True)


def test_run_keeps_databases_where_it_is_told(flowc: Flowc) -> None:
    Path("a.flow").write_text(GOOD)
    run = ("run", "a.flow", "Ask", "--as", "alice", "whom=bob", "n=5", "--store", "stores")
    assert flowc(*run)[0] == 0
    assert sorted(path.name for path in Path("stores").glob("*.db")) == ["alice.db", "bob.db"]
    assert json.loads(flowc(*run, "--json")[1])["id"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Ask", "whom=bob", "n=x"], "n=x: "),
        (["Ask", "whom=bob"], "missing: n=…"),
        (["Ask", "whom=bob", "n=1", "m=2"], "has no parameter `m`; it has: whom, n"),
        (["Ask", "bob"], "`bob` is not an argument; write key=value"),
        (
            ["Asq", "whom=bob"],
            "there is no flow `Asq` in this file; flows that can be started: Ask",
        ),
        (["Reply"], "Reply_v1 is not `startable by rpc`"),
        (["Ask", "whom=bob", "n=1", "--services", "nowhere:at"], "No module named 'nowhere'"),
    ],
)
def test_run_says_what_does_not_fit(flowc: Flowc, arguments: list[str], says: str) -> None:
    Path("a.flow").write_text(GOOD)
    code, _, err = flowc("run", "a.flow", *arguments, "--as", "alice")
    assert code in (1, 2)
    assert says in err


def test_new_makes_a_project_that_passes_its_test(flowc: Flowc) -> None:
    code, out, _ = flowc("new", "hello")
    assert code == 0
    assert "  greeting.flow\n" in out
    assert not list(Path("hello").rglob("__pycache__"))
    assert flowc("check", "hello")[0] == 0
    for command in (
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        [sys.executable, "-m", "flowlang", "run", "greeting.flow", "Greet", "--as", "alice",
         "whom=bob", "name=World"],
    ):  # fmt: skip
        done = subprocess.run(command, cwd="hello", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        if "pytest" in command:
            assert "3 passed" in done.stdout  # Also the test in greeting.flow.
    assert "Hello World, this is bob." in done.stdout


@pytest.mark.parametrize("name", ["hello", "9lives", "a b", "x" * 100, "a/../b!"])
def test_new_refuses_names_and_existing_folders(flowc: Flowc, name: str) -> None:
    Path("hello").mkdir()
    before = sorted(Path.cwd().rglob("*"))
    code, out, _ = flowc("new", name)
    assert code == 1
    assert "error[F709]" in out
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize(
    "arguments", [["chekc", "a.flow"], ["check"], ["compile", "--emit", "xml", "a.flow"], ["run"]]
)
def test_wrong_usage_is_2(flowc: Flowc, arguments: list[str]) -> None:
    code, out, err = flowc(*arguments)
    assert (code, out) == (2, "")
    assert err
    if arguments[0] == "chekc":
        assert "Did you mean `check`?" in err


def test_help_of_every_command(flowc: Flowc) -> None:
    _, out, _ = flowc("--help")
    for command in ("check", "compile", "graph", "explain", "run", "new", "demo"):
        assert f"  {command} " in out
        assert flowc(command, "--help")[0] == 0


def test_a_bug_of_ours_is_70(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of paper")

    Path("a.flow").write_text(GOOD)
    monkeypatch.setattr("flowlang.cli.checking.build", broken)
    code, _, err = flowc("check", "a.flow")
    assert code == 70
    assert "this is a bug of flowc" in err


def test_colours_only_where_wanted(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.flow").write_text(BAD)
    assert "\x1b" not in flowc("check", "a.flow")[1]
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror[" in flowc("check", "a.flow")[1]
