"""Scenarios of errors and of the hospital: CS-070 to CS-094, C10, C32, C39, C43, C64."""

from __future__ import annotations

import pytest

from flowrt.core.flow import UnexpectedFlowEnd, UnexpectedMessage
from flowrt.core.hospital import FAILED, HELD
from flowrt.core.values import Failure
from flowrt.handle import NodeStopped
from tests.conformance.conftest import Play
from tests.conformance.scene import BOB, CAROL, Flow, Scene, program

PROGRAM = """
message Number:
    n: Int

message Words:
    text: Text

error Mine(why: Text): "mine: {why}"
error Special(code: Int) is Kind: "special {code}"
error Kind

service Desk:
    write note(text: Text)
    read check(n: Int) -> Int

flow Asks(other: Party) -> Int:
    startable by rpc
    steps:
        ASKING "Asking"
    step ASKING
    open Throws with other as talk
    receive number: Number from talk unchecked
    return number.n

flow Throws():
    responds to Asks as talk
    steps:
        THROWING "Throwing"
    step THROWING
    throw Mine("Nothing useful")

flow AsksABug(other: Party) -> Int:
    startable by rpc
    open Buggy with other as talk
    send Number(1) to talk then receive number: Number from talk unchecked
    return number.n

flow Buggy():
    responds to AsksABug as talk
    receive number: Number from talk unchecked
    Desk.note("evil")
    let checked = Desk.check(number.n)
    send Number(checked) to talk

flow Front(middle: Party) -> Int:
    startable by rpc
    open Middle with middle as talk
    send Number(2) to talk then receive number: Number from talk unchecked
    return number.n

flow Middle():
    responds to Front as talk
    receive number: Number from talk unchecked
    let further = subflow Further(number.n)
    send Number(further) to talk

flow Further(n: Int) -> Int:
    open Back with carol() as line
    send Number(n) to line then receive number: Number from line unchecked
    return number.n

function carol() -> Party = python "tests.conformance.test_errors:carol"

flow Back():
    responds to Further as line
    receive number: Number from line unchecked
    throw Mine("from the back of {number.n}")

flow Family(other: Party) -> Text:
    startable by rpc
    open Relative with other as talk
    try:
        receive number: Number from talk unchecked
        return "{number.n}"
    catch Kind as kind:
        log info kind.text
        return "a kind of error"

flow Relative():
    responds to Family as talk
    throw Special(3)

flow TwoLevels(fails: Bool) -> Text:
    startable by rpc
    var text = "done"
    try:
        subflow Deeper(fails)
    catch Mine as mine:
        require mine.why != "" else Mine("empty")
        text = "caught {mine.why}"
    checkpoint
    Desk.note(text)
    return text

flow Uncaught() -> Text:
    startable by rpc
    Desk.note("before")
    subflow Deeper(true)
    return "never"

flow Deeper(fails: Bool):
    checkpoint
    if fails:
        throw Mine("deep")

flow Parks(other: Party) -> Int:
    startable by rpc
    open Parked with other as talk
    send Number(1) to talk then receive number: Number from talk unchecked
    return number.n

flow Parked():
    responds to Parks as talk
    receive number: Number from talk unchecked
    Desk.note("before")
    hold "a person must look at {number.n}"
    Desk.note("after")
    send Number(number.n + 1) to talk

flow Spends(other: Party) -> Int:
    startable by rpc
    open Waits with other as talk
    send Number(1) to talk then receive number: Number from talk unchecked
    Desk.note("spent")
    throw Mine("spent already")

flow Waits():
    responds to Spends as talk
    receive number: Number from talk unchecked
    send Number(number.n) to talk then receive more: Number from talk unchecked
    log info "{more.n}"

flow OtherType(other: Party) -> Int:
    startable by rpc
    open Wordy with other as talk
    receive number: Number from talk unchecked
    return number.n

flow Wordy():
    responds to OtherType as talk
    send Words("not a number") to talk then receive word: Words from talk unchecked
    log info word.text

flow Fails(n: Int) -> Int:
    startable by rpc
    Desk.note("first {n}")
    checkpoint
    Desk.note("second {n}")
    let checked = Desk.check(n)
    return checked
"""

PLAY = program(PROGRAM)


def carol() -> object:
    return CAROL


class Desk:
    """Notes what it is told; its check has a bug until somebody repairs it."""

    broken = True

    def setup(self, tx: object) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")  # type: ignore[attr-defined]

    def note(self, tx: object, text: str) -> None:
        tx.execute("INSERT INTO notes VALUES (?)", (text,))  # type: ignore[attr-defined]

    def check(self, tx: object, n: int) -> int:
        if Desk.broken:
            raise ZeroDivisionError("evil bug!")
        return n * 10


def services() -> dict[str, object]:
    return {"Desk": Desk()}


@pytest.fixture(autouse=True)
def broken() -> None:
    Desk.broken = True


def notes(scene: Scene, party: str) -> list[str]:
    return [text for (text,) in scene.rows(party, "SELECT text FROM notes ORDER BY rowid")]


def error_of(scene: Scene, begun: object) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is the test's to say
        scene.result(begun)  # type: ignore[arg-type]
    return caught.value


# --- errors between parties -----------------------------------------------------------------------


def test_cs_070_a_declared_error_of_the_other_side(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    asks = scene.start("alice", PLAY.Asks_v1, other=BOB)
    error = error_of(scene, asks)
    assert type(error) is PLAY.Mine
    assert (str(error), error.why) == ("mine: Nothing useful", "Nothing useful")
    scene.nothing_is_left()
    assert scene.said() == ["alice invites", "bob confirms", "bob fails"]
    _, failure = scene.contents("bob", "alice")
    assert isinstance(failure, Failure)
    assert failure.error_id == error.error_id != ""
    assert b"Traceback" not in failure.fields
    assert b".py" not in failure.fields
    moves = scene.node("bob").progress(1)
    assert [(move.label, move.outcome) for move in moves] == [
        ("Throwing", None),
        ("mine: Nothing useful", "failed"),
    ]


def test_cs_071_a_bug_of_the_other_side_waits_for_a_person(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    asks = scene.start("alice", PLAY.AsksABug_v1, other=BOB)
    scene.run()
    [patient] = scene.hospital("bob")
    assert (patient.kind, patient.cause) == (FAILED, "ZeroDivisionError: evil bug!")
    assert patient.place == "play.flow:40"
    assert scene.said() == ["alice invites with Number(1)", "bob confirms"]
    assert not scene.has_ended(asks)
    assert notes(scene, "bob") == [], "what the step wrote is undone"
    Desk.broken = False
    scene.node("bob").submit_retry(patient.flow_id)
    assert scene.result(asks) == 10
    assert notes(scene, "bob") == ["evil"]
    scene.nothing_is_left()


def test_cs_071_a_bug_of_the_other_side_that_a_person_ends(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    asks = scene.start("alice", PLAY.AsksABug_v1, other=BOB)
    scene.run()
    [patient] = scene.hospital("bob")
    scene.node("bob").submit_kill(patient.flow_id, by="ann", reason="evil bug! says the log")
    error = error_of(scene, asks)
    assert type(error) is UnexpectedFlowEnd
    scene.nothing_is_left()
    _, failure = scene.contents("bob", "alice")
    assert isinstance(failure, Failure)
    assert "evil" not in f"{error} {failure}"
    assert failure.error_id == error.error_id != ""


def test_cs_072_details_of_an_error_cross_one_hop(play: Play) -> None:
    scene = play(PROGRAM, "alice bob carol", services)
    front = scene.start("alice", PLAY.Front_v1, middle=BOB)
    error = error_of(scene, front)
    assert type(error) is UnexpectedFlowEnd
    assert "from the back" not in str(error)
    scene.nothing_is_left()
    # The middle had all of it, and one id goes through all of their logs.
    middle = error_of(scene, Flow("bob", 1))
    assert type(middle) is PLAY.Mine
    [*_, whole] = scene.contents("carol", "bob")
    [*_, hidden] = scene.contents("bob", "alice")
    assert isinstance(whole, Failure)
    assert isinstance(hidden, Failure)
    assert whole.error_id == hidden.error_id == error.error_id
    assert b"from the back" in whole.fields
    assert b"from the back" not in hidden.fields


def test_c64_an_error_of_a_family_is_caught_as_one(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.Family_v1, other=BOB) == "a kind of error"
    scene.nothing_is_left()


def test_c64_a_message_of_another_type_is_named(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    with pytest.raises(UnexpectedMessage, match=r"Words arrived where .*Number was"):
        scene.run_flow("alice", PLAY.OtherType_v1, other=BOB)
    scene.nothing_is_left()
    # Who sent it learns that the conversation is over, and not why: built-in errors stay at home.
    assert type(error_of(scene, Flow("bob", 1))) is UnexpectedFlowEnd


def test_c10_an_error_of_a_subflow_is_its_callers_to_catch(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    assert scene.run_flow("alice", PLAY.TwoLevels_v1, fails=False) == "done"
    assert scene.run_flow("alice", PLAY.TwoLevels_v1, fails=True) == "caught deep"
    with pytest.raises(PLAY.Mine, match="mine: deep"):
        scene.run_flow("alice", PLAY.Uncaught_v1)
    scene.nothing_is_left()


def test_c32_what_was_written_before_an_error_stays_written(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    for _ in range(2):
        with pytest.raises(PLAY.Mine):
            scene.run_flow("alice", PLAY.Uncaught_v1)
    assert notes(scene, "alice") == ["before", "before"]


def test_cs_093_who_failed_elsewhere_takes_its_counterparty_along(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    with pytest.raises(PLAY.Mine, match="spent already"):
        scene.run_flow("alice", PLAY.Spends_v1, other=BOB)
    scene.nothing_is_left()
    assert type(error_of(scene, Flow("bob", 1))) is PLAY.Mine


# --- the hospital ---------------------------------------------------------------------------------


def test_cs_094_a_flow_that_admits_itself(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    parks = scene.start("alice", PLAY.Parks_v1, other=BOB)
    scene.run()
    [patient] = scene.hospital("bob")
    assert (patient.kind, patient.cause) == (HELD, "hold: a person must look at 1")
    assert notes(scene, "bob") == ["before"], "it did not fail: what it did stands"
    scene.crash("bob")
    scene.run()
    assert scene.hospital("bob") == [patient], "a restart is no cure"
    scene.node("bob").submit_retry(patient.flow_id)
    assert scene.result(parks) == 2
    assert notes(scene, "bob") == ["before", "after"]
    scene.nothing_is_left()


def test_cs_050_a_step_that_failed_runs_again_from_its_beginning(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    fails = scene.start("alice", PLAY.Fails_v1, n=4)
    scene.run()
    assert notes(scene, "alice") == ["first 4"]
    for _ in range(2):
        [patient] = scene.hospital("alice")
        scene.node("alice").submit_retry(patient.flow_id)
        scene.run()
    Desk.broken = False
    scene.node("alice").submit_retry(fails.id)
    assert scene.result(fails) == 40
    assert notes(scene, "alice") == ["first 4", "second 4"]
    scene.nothing_is_left()


def test_cs_057_what_is_known_of_a_patient_is_stored_and_seen(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    fails = scene.start("alice", PLAY.Fails_v1, n=4)
    scene.run()
    for _ in range(2):
        [patient] = scene.hospital("alice")
        assert (patient.flow_id, patient.flow) == (fails.id, "play.Fails_v1")
        assert patient.cause == "ZeroDivisionError: evil bug!"
        assert "in check" in patient.trace
        [flow] = scene.flows("alice")
        assert flow.in_hospital
        assert flow.place == patient.place
        scene.crash("alice")
        scene.run()


def test_c39_a_repaired_program_goes_on_at_the_step_that_failed(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    fails = scene.start("alice", PLAY.Fails_v1, n=4)
    scene.run()
    scene.crash("alice")
    Desk.broken = False
    scene.node("alice").submit_retry(fails.id)
    assert scene.result(fails) == 40
    assert notes(scene, "alice") == ["first 4", "second 4"]


def test_cs_080_a_first_commit_that_is_refused_three_times(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    Desk.broken = False
    fails = scene.start("alice", PLAY.Fails_v1, n=4)
    scene.refuse("alice", 3)
    assert scene.result(fails) == 40
    assert notes(scene, "alice") == ["first 4", "second 4"]
    scene.nothing_is_left()


def test_cs_081_a_store_that_takes_nothing_stops_its_node_and_loses_nothing(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    Desk.broken = False
    fails = scene.start("alice", PLAY.Fails_v1, n=4)
    node = scene.node("alice")
    scene.refuse("alice", 6)
    scene.run()
    with pytest.raises(NodeStopped):
        node.flows()
    assert scene.result(fails) == 40
    assert notes(scene, "alice") == ["first 4", "second 4"]
    scene.nothing_is_left()


@pytest.mark.parametrize("times", [1, 3, 9])
def test_cs_086_an_invitation_whose_commit_is_refused(play: Play, times: int) -> None:
    scene = play(PROGRAM, services=services)
    Desk.broken = False
    asks = scene.start("alice", PLAY.AsksABug_v1, other=BOB)
    scene.refuse("alice", times)
    assert scene.result(asks) == 10
    assert scene.said().count("alice invites with Number(1)") == 1
    assert notes(scene, "bob") == ["evil"]
    scene.nothing_is_left()
