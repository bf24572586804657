"""`flowc sim` and `flowc test --exhaustive`: what is printed, which codes they end with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flowrt.store.memory import MemoryStore
from tests.cli.conftest import Flowc
from tests.simulation.order import COUNTER

GREET = """\
message Hello:
    name: Text

message Answer:
    text: Text

error Unfriendly: "not today"

flow Greet(whom: Party, name: Text) -> Text:
    startable by rpc
    open Reply with whom as talk
    send Hello(name) to talk then receive answer: Answer from talk:
        require answer.text.size > 0 else Unfriendly()
    return answer.text

flow Reply():
    responds to Greet as talk
    receive hello: Hello from talk unchecked
    send Answer("good day, {hello.name}") to talk
"""


@pytest.fixture(autouse=True)
def files(flowc: Flowc) -> None:
    Path("greet.flow").write_text(GREET)
    Path("counter.flow").write_text(COUNTER)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores forget what they had not sent when they are opened again."""
    plant(monkeypatch)


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = MemoryStore.open

    def forget(store: MemoryStore, party: str) -> Any:
        store.disk.outbox.clear()
        return opened(store, party)

    monkeypatch.setattr(MemoryStore, "open", forget)


def steady(text: str) -> str:
    """Without what another computer does in another time."""
    text = re.sub(r"\d+\.\d s \([\d,]+ worlds/s, [\d,]+ events/s\)", "T s (N worlds/s)", text)
    return re.sub(r"\d+\.\d s\b(?!  )", "T s", text)


def test_worlds_in_which_all_is_well(flowc: Flowc) -> None:
    code, out, err = flowc("sim", "run", "greet.flow", "--worlds", "12", "--seed", "5")
    assert (code, err) == (0, "")
    lines = steady(out).splitlines()
    assert re.fullmatch(
        r"12 worlds, [\d,]+ events, [\d.]+ days of virtual time in T s \(N worlds/s\)", lines[0]
    )
    assert lines[1] == "flows that ended:"
    assert re.fullmatch(r"  greet\.Greet_v1  returned +\d+", lines[2])
    assert "what went wrong on the way:" in lines
    assert lines[-1] == "All invariants held."
    assert not list(Path().glob("*.flowtrace"))


def test_the_same_seeds_are_the_same_worlds(flowc: Flowc) -> None:
    answers = [flowc("sim", "run", "greet.flow", "--worlds", "5", "--json")[1] for _ in range(2)]
    first, second = [json.loads(answer) for answer in answers]
    assert first.pop("seconds") >= 0
    second.pop("seconds")
    assert first == second
    assert first["ok"] is True
    assert first["worlds"] == 5
    assert first["troubles"]


def test_more_processes_play_the_same_worlds(flowc: Flowc) -> None:
    options = ("--worlds", "120", "--json", "--jobs")
    told = [flowc("sim", "run", "greet.flow", *options, jobs) for jobs in "12"]
    assert [(code, err) for code, _, err in told] == [(0, ""), (0, "")]
    one, two = [json.loads(out) for _, out, _ in told]
    assert one | {"seconds": 0} == two | {"seconds": 0}
    assert one["worlds"] == 120


def test_a_violation_is_told_written_and_played_again(flowc: Flowc, forgetful: None) -> None:
    code, out, err = flowc(
        "sim", "run", "greet.flow", "--flow", "Greet", "--worlds", "20", "-o", "found"
    )
    assert (code, err) == (1, "")
    told, _, sums = out.partition("\n\n")
    lines = steady(told).splitlines()
    assert re.fullmatch(
        r"world of seed \d+, made small: \d+ choices became \d+ \(\d+ worlds?, T s\)", lines[0]
    )
    assert any(re.fullmatch(r" +[\d.]+ s  \w+: flow 1 begins: greet\.Greet_v1", x) for x in lines)
    assert "because of:" in lines
    wrong = next(line for line in lines if line.startswith("violated: "))
    found = sorted(Path("found").glob("*.flowtrace"))
    assert lines[-1].startswith("again: flowc sim replay found/greet-")
    assert str(found[0]) in told or len(found) > 1
    assert "violation" in sums

    file = lines[-1].rpartition(" ")[2]
    code, out, err = flowc("sim", "replay", file)
    assert (code, err) == (1, "")
    again = out.splitlines()
    assert again[:-1] == told.splitlines()[1:-1]
    assert wrong in again
    assert again[-1] == "This is exactly the world of the file."


def small(flowc: Flowc) -> str:
    """The name of a replay file of a world that went wrong."""
    flowc("sim", "run", "greet.flow", "--flow", "Greet", "--worlds", "20")
    return str(min(Path().glob("*.flowtrace")))


def test_a_replay_says_that_it_is_repaired(flowc: Flowc, monkeypatch: pytest.MonkeyPatch) -> None:
    """R47: the file is played by another version of the code than wrote it."""
    with monkeypatch.context() as planted:
        plant(planted)
        file = small(flowc)
    code, out, err = flowc("sim", "replay", file)
    assert (code, err) == (0, "")
    verdict = out.splitlines()[-1]
    assert re.fullmatch(
        r"This is not the world of the file: \w+ is not violated any more; "
        r"it first differs at event \d+ of \d+\.",
        verdict,
    )
    Path("greet.flow").write_text(GREET.replace("good day", "hello"))
    verdict = flowc("sim", "replay", file)[1].splitlines()[-1]
    assert verdict.startswith("This is not the world of the file (greet.flow changed since): ")


def test_a_replay_shows_steps_and_stops(flowc: Flowc, forgetful: None) -> None:
    file = small(flowc)
    plain = flowc("sim", "replay", file)[1].splitlines()
    verbose = flowc("sim", "replay", file, "--verbose")[1].splitlines()
    assert len(verbose) > len(plain)
    assert any("flow 1 rests in greet.Greet_v1.AwaitAnswer" in line for line in verbose)
    code, out, _ = flowc("sim", "replay", file, "--until", "2")
    told = out.splitlines()
    assert (code, told[:2]) == (1, plain[:2])
    assert re.fullmatch(r"… \d+ lines more", told[2])
    assert told[3:] == plain[plain.index("because of:") :]  # What is wrong is never cut off.


def test_a_replay_as_data(flowc: Flowc, forgetful: None) -> None:
    file = small(flowc)
    code, out, _ = flowc("sim", "replay", file, "--json")
    found = json.loads(out)
    assert code == 1
    assert found["ok"] is False
    assert (found["same"], found["difference"], found["changed"]) == (True, None, [])
    assert found["digest"] == json.loads(Path(file).read_text())["digest"]
    assert (
        found["violation"]["invariant"]
        == json.loads(Path(file).read_text())["violation"]["invariant"]
    )


def test_a_scenario_of_ones_own(flowc: Flowc, tmp_path: Path) -> None:
    Path("mine.py").write_text(
        "import greet_flow\n"
        "from flowrt.core.flow import Party\n"
        "from flowrt.sim import Violation\n"
        "class Mine:\n"
        "    name = 'mine'\n"
        "    def build(self, world):\n"
        "        for party in ('ann', 'ben'):\n"
        "            world.add(party, [greet_flow])\n"
        "        self.one = world.start('ann', greet_flow.Greet_v1, whom=Party('ben'), name='x')\n"
        "    def judge(self, world):\n"
        "        if world.tape.choices.get('packet ann-ben'):\n"
        "            raise Violation('mine', 'a packet was not left alone')\n"
    )
    code, out, err = flowc("sim", "run", "greet.flow", "--scenario", "mine:Mine", "--worlds", "20")
    assert (code, err) == (1, "")
    assert "1 (" in out.splitlines()[0]
    assert re.search(r"  packet number 1 from ann to ben is \w+", out)
    (file,) = Path().glob("*.flowtrace")
    code, out, err = flowc("sim", "replay", str(file))
    assert (code, err) == (1, "")
    assert out.splitlines()[-1] == "This is exactly the world of the file."


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["sim", "run"], 2, "Error: Name the .flow files to play, or a --scenario of your own."),
        (
            ["sim", "run", "greet.flow", "--flow", "Gret"],
            2,
            "error: there is no flow `Gret` in this file; did you mean `Greet`?; "
            "flows that can be started: Greet",
        ),
        (
            ["sim", "run", "greet.flow", "--flow", "Reply"],
            2,
            "error: Reply_v1 is not `startable by rpc`",
        ),
        (
            ["sim", "run", "greet.flow", "--arg", "name=x"],
            2,
            "error: arguments are those of one flow; name it with --flow",
        ),
        (
            ["sim", "run", "greet.flow", "--flow", "Greet", "--arg", "nam=x"],
            2,
            "error: Greet_v1 has no parameter `nam`; it has: whom, name",
        ),
        (
            ["sim", "run", "greet.flow", "--services", "nothing:here"],
            2,
            "error: --services nothing:here: No module named 'nothing'",
        ),
        (
            ["sim", "run", "greet.flow", "--services", "json"],
            2,
            "error: --services json: write MODULE:FUNCTION",
        ),
        (["sim", "run", "--scenario", "json"], 2, "error: --scenario json: write MODULE:OBJECT"),
        (["test", "greet.flow", "--parties", "2"], 2, "Error: --parties needs --exhaustive."),
        (["test", "-o", "x", "greet.flow"], 2, "Error: --output needs --exhaustive."),
        (
            ["test", "greet.flow", "--exhaustive", "Greet", "--coverage"],
            2,
            "Error: --coverage does not go with --exhaustive.",
        ),
        (
            ["sim", "run", "--scenario", "json:loads"],
            2,
            "error: --scenario json:loads: this is no scenario: it has no `name`",
        ),
        (["sim", "replay", "no.flowtrace"], 1, "error: cannot read no.flowtrace: No such file"),
        (["sim", "replay", "greet.flow"], 1, "error: greet.flow is not a replay file: it is not"),
        (["test", "greet.flow", "--exhaustive", "Gret"], 2, "error: there is no flow `Gret`"),
        (["test", "none.flow", "--exhaustive", "Greet"], 1, ""),
    ],
)
def test_what_cannot_be_played_is_said(
    flowc: Flowc, arguments: list[str], code: int, says: str
) -> None:
    found, out, err = flowc(*arguments)
    assert found == code
    assert says in err
    assert "Traceback" not in out + err


def test_a_replay_needs_its_files(flowc: Flowc, forgetful: None) -> None:
    file = small(flowc)
    Path("greet.flow").unlink()
    code, _, err = flowc("sim", "replay", file)
    assert code == 1
    assert err == (
        f"error: {file} needs greet.flow, which is not here; "
        "replay it in the folder in which it was written\n"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "other"}, "cannot be played: it was played by a scenario `other`, which is"),
        ({"parameters": {"parties": "x"}}, "cannot be played: its parameters are damaged: "),
    ],
)
def test_a_story_that_is_unknown_is_said(
    flowc: Flowc, forgetful: None, change: dict[str, Any], says: str
) -> None:
    path = Path(small(flowc))
    plain = json.loads(path.read_text())
    plain["story"] |= change
    path.write_text(json.dumps(plain))
    code, _, err = flowc("sim", "replay", str(path))
    assert code == 1
    assert says in err


def test_nothing_is_written_where_it_cannot_be(flowc: Flowc, forgetful: None) -> None:
    Path("found").write_text("a file")
    code, _, err = flowc("sim", "run", "greet.flow", "-o", "found")
    assert code in (1, 2)
    assert "found" in err


def test_flows_that_only_come_to_the_hospital_are_told(flowc: Flowc) -> None:
    Path("spin.flow").write_text(
        "flow Spin() -> Int:\n    startable by rpc\n    let zero = [1].size - 1\n"
        "    return 1 // zero\n"
    )
    command = ("sim", "run", "spin.flow", "--worlds", "3", "--seed", "1")
    code, out, _ = flowc(*command)
    assert code == 0
    assert "no flow ended\nflows in the hospital, by a mistake in them or in their Python:\n" in out
    assert re.search(r"^  spin\.Spin_v1  spin\.flow:\d+: .+  \d+$", out, re.MULTILINE)
    told = json.loads(flowc(*command, "--json")[1])
    assert [one["flow"] for one in told["hospital"]] == ["spin.Spin_v1"]


def test_every_small_world(flowc: Flowc) -> None:
    code, out, err = flowc("test", "greet.flow", "--exhaustive", "Greet", "--limit", "40")
    assert (code, err) == (0, "")
    lines = steady(out).splitlines()
    head = re.fullmatch(
        r"Greet: (\d) courses? without trouble, with (\d+) commits and (\d+) packets", lines[0]
    )
    assert head is not None
    assert re.fullmatch(rf"  undisturbed +{head[1]}", lines[1])
    assert re.fullmatch(r"  one crash +\d+", lines[2])
    assert "40 worlds in T s" in lines
    assert "left out because of --limit 40, with all that would follow from them:" in lines
    assert lines[-1] == "All invariants held, and every world ended as undisturbed."


def test_a_crash_that_is_not_survived_is_found(flowc: Flowc, forgetful: None) -> None:
    code, out, err = flowc("test", "greet.flow", "--exhaustive", "Greet", "--limit", "40")
    assert (code, err) == (1, "")
    assert "a world that is wrong, made small: " in out
    assert re.search(r"  commit number \d+ of \w+: crash (before|after)", out)
    assert re.search(r"\d+ worlds? went wrong\.", out)
    file = re.search(r"again: flowc sim replay (\S+)", out)
    assert file is not None
    code, out, _ = flowc("sim", "replay", file[1])
    assert code == 1
    assert out.splitlines()[-1] == "This is exactly the world of the file."


def test_every_small_world_as_data(flowc: Flowc) -> None:
    code, out, _ = flowc("test", "greet.flow", "--exhaustive", "Greet", "--limit", "20", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["ok"] is True
    assert sum(found["worlds"].values()) == 20
    assert found["left_out"]
    assert found["violations"] == []


SLOPPY = """\
class Book:
    taken = 0

    def take(self, tx):
        Book.taken += 1
        return Book.taken

def services(party):
    return {"Book": Book()}
"""


def test_another_end_is_a_violation_that_plays_again(flowc: Flowc) -> None:
    """Each process of a party shares the counter, which no crash takes back."""
    Path("sloppy.py").write_text(SLOPPY)
    arguments = ["--arg", "rounds=1", "--arg", "whom=bob", "--services", "sloppy:services"]
    code, out, err = flowc(
        "test", "counter.flow", "--exhaustive", "Ask", *arguments, "--limit", "30"
    )
    assert (code, err) == (1, "")
    assert "violated: I7: undisturbed, counter.Ask_v1 of alice returns " in out


@pytest.mark.parametrize("command", [["sim"], ["sim", "run"], ["sim", "replay"], ["test"]])
def test_help(flowc: Flowc, command: list[str]) -> None:
    code, out, _ = flowc(*command, "--help")
    assert code == 0
    assert out.startswith("Usage: flowc")
