"""Scenarios of external operations, timers and people: CS-045, CS-048, CS-062 to CS-064,
C02 to C18, C30, C48."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest

from flowrt.core.flow import FlowError, FlowFailed, FlowKilled
from flowrt.core.hospital import LOST
from flowrt.handle import NotAccepted
from tests.conformance.conftest import Play
from tests.conformance.scene import Scene, program

PROGRAM = """
record Question:
    text: Text

record Opinion:
    yes: Bool

error Declined(code: Int): "declined: {code}"

service Bank:
    external pay(n: Int) -> Int
    external once charge(n: Int) -> Int
    write note(text: Text)

flow Pays(n: Int) -> Int:
    startable by rpc
    let paid = await Bank.pay(n)
    return paid

flow PaysAndCatches(n: Int) -> Text:
    startable by rpc
    var text = "paid"
    try:
        let ignored = await Bank.pay(n)
    catch Declined as error:
        require error.code > 0 else Declined(0)
        text = "declined: {error.code}"
    sleep 1h
    Bank.note(text)
    return text

flow PaysTwice(n: Int) -> Int:
    startable by rpc
    let first = await Bank.pay(n)
    let second = await Bank.pay(first)
    return second

flow PaysTogether(n: Int) -> Int:
    startable by rpc
    let first = pending await Bank.pay(n)
    let second = pending await Bank.pay(n + 1)
    var sum = 0
    var open_things = 2
    while open_things > 0:
        receive:
            case result first as paid:
                sum = sum + paid
            case result second as paid:
                sum = sum + paid
        open_things = open_things - 1
    return sum

flow Charges(n: Int) -> Int:
    startable by rpc
    let charged = await Bank.charge(n)
    return charged

flow Naps(nap: Duration) -> Duration:
    startable by rpc
    let from_then = now
    sleep nap
    sleep nap
    return now - from_then

flow AsksPeople(limit: Duration) -> Text:
    startable by rpc
    var text = "nobody"
    try:
        let answer = ask "clerk": Question("well?") -> Opinion within limit
        if answer.yes:
            text = "yes by {answer.by}"
        else:
            text = "no by {answer.by}"
    catch TaskExpired:
        text = "too late"
    sleep 1d
    Bank.note(text)
    return text

flow AsksMeanwhile(nap: Duration) -> Text:
    startable by rpc
    let asked = pending ask "clerk": Question("well?") -> Opinion within 1h
    sleep nap
    Bank.note("awake")
    try:
        receive:
            case answer asked as answer:
                return "answered by {answer.by}"
    catch TaskExpired:
        return "nobody answered"

flow Parent(n: Int) -> Int:
    startable by rpc
    let first = start Pays(n)
    let second = start Pays(n + 1)
    let sums = await each [first, second]
    return sums.sum()

flow ParentOfNobody() -> Int:
    startable by rpc
    let child = start Charges(-1)
    let sum = await child
    return sum
"""

PLAY = program(PROGRAM)


class Bank:
    """Pays; fails so often at first. `calls` are key, number and time of every attempt."""

    scene: Scene | None = None
    failures = 0
    dies = 0
    calls: list[tuple[str, int, int]] = []

    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")

    def note(self, tx: Any, text: str) -> None:
        tx.execute("INSERT INTO notes VALUES (?)", (text,))

    def pay(self, key: str, n: int) -> int:
        assert Bank.scene is not None
        Bank.calls.append((key, n, Bank.scene.now_us))
        if Bank.dies:
            Bank.dies -= 1
            Bank.scene.die("alice")
        if Bank.failures:
            Bank.failures -= 1
            raise ConnectionError("the line is down")
        if n < 0:
            raise PLAY.Declined(-n)
        return n * 2

    charge = pay


@pytest.fixture
def bank(play: Play) -> Scene:
    Bank.calls = []
    Bank.failures = Bank.dies = 0
    scene = play(PROGRAM, "alice", lambda: {"Bank": Bank()})
    Bank.scene = scene
    return scene


def notes(scene: Scene) -> list[str]:
    return [text for (text,) in scene.rows("alice", "SELECT text FROM notes")]


def keys() -> set[str]:
    return {key for key, _, _ in Bank.calls}


# --- external operations --------------------------------------------------------------------------


def test_cs_045_an_operation_that_runs_again_has_the_same_key(bank: Scene) -> None:
    Bank.failures = 1
    assert bank.run_flow("alice", PLAY.Pays_v1, n=4) == 8
    assert len(Bank.calls) == 2
    assert len(keys()) == 1


def test_cs_063_the_process_dies_in_an_operation(bank: Scene) -> None:
    Bank.dies = 2
    assert bank.run_flow("alice", PLAY.Pays_v1, n=4) == 8
    assert (len(Bank.calls), len(keys())) == (3, 1)
    bank.nothing_is_left()


def test_cs_063_operations_side_by_side_and_one_after_the_other(bank: Scene) -> None:
    assert bank.run_flow("alice", PLAY.PaysTogether_v1, n=4) == 18
    assert bank.run_flow("alice", PLAY.PaysTwice_v1, n=4) == 16
    assert (len(Bank.calls), len(keys())) == (4, 4)


def test_cs_063_a_declared_error_of_an_operation_can_be_caught(bank: Scene) -> None:
    with pytest.raises(PLAY.Declined, match="declined: 3"):
        bank.run_flow("alice", PLAY.Pays_v1, n=-3)
    assert bank.run_flow("alice", PLAY.PaysAndCatches_v1, n=-3) == "declined: 3"


def test_c02_a_caught_error_of_an_operation_stays_caught(bank: Scene) -> None:
    pays = bank.start("alice", PLAY.PaysAndCatches_v1, n=-3)
    bank.run(datetime.timedelta(minutes=30))
    bank.crash("alice")
    assert bank.result(pays) == "declined: 3"
    assert (len(Bank.calls), notes(bank)) == (1, ["declined: 3"])


def test_c03_an_operation_that_fails_twice(bank: Scene) -> None:
    Bank.failures = 2
    assert bank.run_flow("alice", PLAY.Pays_v1, n=4) == 8
    times = [time for _, _, time in Bank.calls]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(pauses) == 2
    for pause, seconds in zip(pauses, (1, 2), strict=True):
        assert seconds * 1_000_000 <= pause < seconds * 1_100_000


def test_cs_048_c04_an_operation_that_never_works(bank: Scene) -> None:
    Bank.failures = 10**9
    pays = bank.start("alice", PLAY.Pays_v1, n=4)
    bank.run()
    [patient] = bank.hospital("alice")
    assert patient.kind == LOST
    assert patient.cause == ("play.Bank.pay failed: ConnectionError: the line is down (10 times)")
    assert (len(Bank.calls), len(keys())) == (10, 1)
    bank.run(datetime.timedelta(days=30))
    assert len(Bank.calls) == 10, "nobody tries again but a person"
    Bank.failures = 0
    bank.node("alice").submit_retry(pays.id)
    assert bank.result(pays) == 8
    bank.nothing_is_left()


def test_c06_c07_an_operation_that_may_run_only_once(bank: Scene) -> None:
    Bank.dies = 1
    charges = bank.start("alice", PLAY.Charges_v1, n=4)
    bank.run()
    [patient] = bank.hospital("alice")
    assert patient.cause == (
        "it is not known whether play.Bank.charge has run, and it may run only once; "
        "a retry runs it again"
    )
    bank.crash("alice")
    bank.run(datetime.timedelta(days=30))
    assert len(Bank.calls) == 1
    # Only a person may have it run again; the key is the same, so the bank can tell.
    bank.node("alice").submit_retry(charges.id)
    assert bank.result(charges) == 8
    assert (len(Bank.calls), len(keys())) == (2, 1)


def test_c08_an_operation_that_may_run_again(bank: Scene) -> None:
    Bank.dies = 1
    assert bank.run_flow("alice", PLAY.Pays_v1, n=4) == 8
    assert (len(Bank.calls), len(keys())) == (2, 1)


def test_c30_the_second_begins_when_the_first_is_written(bank: Scene) -> None:
    pays = bank.start("alice", PLAY.PaysTwice_v1, n=4)
    bank.until(lambda: len(Bank.calls) == 1)
    bank.refuse("alice", 2)
    assert bank.result(pays) == 16
    assert [n for _, n, _ in Bank.calls] == [4, 8]


def test_c48_a_result_that_comes_after_the_flow_was_killed(bank: Scene) -> None:
    Bank.failures = 3
    pays = bank.start("alice", PLAY.Pays_v1, n=4)
    bank.until(lambda: len(Bank.calls) == 2)
    bank.node("alice").submit_kill(pays.id, by="ann", reason="too slow")
    bank.until(lambda: bank.has_ended(pays))
    tried = len(Bank.calls)
    bank.run(datetime.timedelta(days=1))
    with pytest.raises(FlowKilled, match="too slow"):
        bank.result(pays)
    assert len(Bank.calls) == tried < 4, "what failed is not tried again for a dead flow"
    bank.nothing_is_left()


def test_cs_062_a_flow_that_waits_for_others(bank: Scene) -> None:
    assert bank.run_flow("alice", PLAY.Parent_v1, n=4) == 18
    with pytest.raises(FlowFailed, match="declined: 1"):
        bank.run_flow("alice", PLAY.ParentOfNobody_v1)
    bank.nothing_is_left()


# --- time and people ------------------------------------------------------------------------------


def test_cs_064_a_sleep_is_never_too_short(bank: Scene) -> None:
    nap = datetime.timedelta(minutes=90)
    assert bank.run_flow("alice", PLAY.Naps_v1, nap=nap) >= 2 * nap


@pytest.mark.parametrize("yes", [True, False])
def test_c16_an_answer_is_asked_for_once(bank: Scene, yes: bool) -> None:
    asks = bank.start("alice", PLAY.AsksPeople_v1, limit=datetime.timedelta(days=2))
    bank.run()
    bank.crash("alice")
    [task] = bank.tasks("alice")
    answer = PLAY.Opinion(yes)
    told = bank.node("alice").submit_answer(task.flow_id, task.number, answer, by="ann")
    bank.tell(told)
    assert bank.tasks("alice") == []
    bank.crash("alice")
    assert bank.result(asks) == ("yes by ann" if yes else "no by ann")
    assert len(notes(bank)) == 1


def test_c16_a_question_that_nobody_answers(bank: Scene) -> None:
    asks = bank.start("alice", PLAY.AsksPeople_v1, limit=datetime.timedelta(hours=5))
    bank.run()
    [task] = bank.tasks("alice")
    bank.run(datetime.timedelta(hours=5))
    bank.crash("alice")
    assert bank.tasks("alice") == []
    with pytest.raises(NotAccepted):
        bank.node("alice").submit_answer(task.flow_id, task.number, PLAY.Opinion(True), by="ann")
    assert bank.result(asks) == "too late"


def test_c15_a_question_whose_time_is_over_while_the_flow_does_something_else(bank: Scene) -> None:
    asks = bank.start("alice", PLAY.AsksMeanwhile_v1, nap=datetime.timedelta(hours=3))
    bank.run(datetime.timedelta(hours=2))
    assert bank.tasks("alice") == []
    assert notes(bank) == [], "it is not disturbed in what it does"
    assert bank.result(asks) == "nobody answered"
    assert notes(bank) == ["awake"]


def test_c15_a_question_that_was_answered_while_the_flow_did_something_else(bank: Scene) -> None:
    asks = bank.start("alice", PLAY.AsksMeanwhile_v1, nap=datetime.timedelta(hours=3))
    bank.run(datetime.timedelta(minutes=30))
    [task] = bank.tasks("alice")
    told = bank.node("alice").submit_answer(task.flow_id, task.number, PLAY.Opinion(True), by="ann")
    bank.tell(told)
    assert bank.result(asks) == "answered by ann"


def test_c18_a_patient_that_is_ended_leaves_no_question_open(bank: Scene) -> None:
    asks = bank.start("alice", PLAY.AsksMeanwhile_v1, nap=datetime.timedelta(hours=3))
    bank.run(datetime.timedelta(minutes=30))
    assert len(bank.tasks("alice")) == 1
    bank.node("alice").submit_kill(asks.id, by="ann", reason="the desk is closed")
    bank.run()
    assert bank.tasks("alice") == []
    with pytest.raises(FlowError):
        bank.result(asks)
    bank.nothing_is_left()
