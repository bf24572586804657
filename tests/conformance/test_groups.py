"""Scenarios of several at once: CS-021, CS-025, C19, C20, C22, C38."""

from __future__ import annotations

import pytest

from tests.conformance.conftest import Play
from tests.conformance.scene import BOB, CAROL, Scene, program

PROGRAM = """
message Ask:
    n: Int

message Number:
    n: Int

message Words:
    text: Text

error Refused(n: Int): "refused {n}"

service Desk:
    read check(n: Int) -> Int

flow AsksEach(others: List[Party], ns: List[Int]) -> List[Int]:
    startable by rpc
    open Answers with each others as talks
    var i = 0
    for talk in talks:
        send Ask(ns[i]) to talk
        i = i + 1
    receive numbers: Number from each talks unchecked
    var all: List[Int] = []
    for number in numbers:
        all = all + [number.n]
    return all

flow Answers():
    responds to AsksEach as talk
    subflow Answer(talk)

flow Answer(talk: Session):
    receive asked: Ask from talk unchecked
    require asked.n != 0 else Refused(asked.n)
    let checked = Desk.check(asked.n)
    sleep 1s * checked
    send Number(checked) to talk

flow Tolerates(others: List[Party], ns: List[Int], most: Int) -> Int:
    startable by rpc
    open Tolerated with each others as talks
    var i = 0
    for talk in talks:
        send Ask(ns[i]) to talk
        i = i + 1
    receive numbers: Number? from each talks within 1m then discard unchecked
    var failed = 0
    for number in numbers:
        if number == none:
            failed = failed + 1
    require failed <= most else Refused(failed)
    return talks.size - failed

flow Tolerated():
    responds to Tolerates as talk
    subflow Answer(talk)

flow FirstOf(others: List[Party], ns: List[Int], wanted: Int) -> List[Int]:
    startable by rpc
    open Racing with each others as talks
    var i = 0
    for talk in talks:
        send Ask(ns[i]) to talk
        i = i + 1
    var all: List[Int] = []
    while all.size < wanted:
        receive:
            case Number from any talks as number unchecked:
                all = all + [number.n]
            case ended from any talks:
                continue
            case timeout 1m:
                throw Refused(all.size)
    return all

flow Racing():
    responds to FirstOf as talk
    subflow Answer(talk)

flow TwoKinds(others: List[Party]) -> Text:
    startable by rpc
    open Numeric with others[0] as left
    open Wordy with others[1] as right
    receive number: Number from left unchecked
    receive word: Words from right unchecked
    return word.text + "{number.n}"

flow Numeric():
    responds to TwoKinds as talk
    send Number(7) to talk

flow Wordy():
    responds to TwoKinds as talk
    send Words("seven: ") to talk

flow Keeps(text: Text) -> Int:
    startable by rpc
    sleep 1h
    return text.size
"""

PLAY = program(PROGRAM)


class Desk:
    def check(self, tx: object, n: int) -> int:
        if n == 13:
            raise ArithmeticError("a bug")
        return n


@pytest.fixture
def scene(play: Play) -> Scene:
    return play(PROGRAM, "alice bob carol", lambda: {"Desk": Desk()})


THREE = (BOB, CAROL, BOB)


def test_cs_021_one_of_several_has_a_bug(scene: Scene) -> None:
    asks = scene.start("alice", PLAY.AsksEach_v1, others=THREE, ns=(1, 13, 2))
    scene.run()
    assert not scene.has_ended(asks), "a bug is told to nobody: whoever repairs it lets it go on"
    [patient] = scene.hospital("carol")
    assert patient.cause == "ArithmeticError: a bug"
    assert scene.hospital("alice") == scene.hospital("bob") == []


def test_cs_021_one_of_several_throws(scene: Scene) -> None:
    with pytest.raises(PLAY.Refused, match="refused 0"):
        scene.run_flow("alice", PLAY.AsksEach_v1, others=THREE, ns=(40, 0, 50))
    scene.nothing_is_left()


def test_cs_025_answers_come_in_the_order_of_the_list(scene: Scene) -> None:
    numbers = scene.run_flow("alice", PLAY.AsksEach_v1, others=THREE, ns=(30, 5, 10))
    assert numbers == (30, 5, 10)
    text = scene.run_flow("alice", PLAY.TwoKinds_v1, others=THREE)
    assert text == "seven: 7"
    scene.nothing_is_left()


@pytest.mark.parametrize(("most", "ns"), [(1, (1, 0, 2)), (2, (0, 90, 2)), (0, (1, 2, 3))])
def test_c19_so_many_may_fail(scene: Scene, most: int, ns: tuple[int, ...]) -> None:
    got = scene.run_flow("alice", PLAY.Tolerates_v1, others=THREE, ns=ns, most=most)
    assert got == 3 - most
    with pytest.raises(PLAY.Refused):
        scene.run_flow("alice", PLAY.Tolerates_v1, others=THREE, ns=(0, 0, 0), most=most)
    scene.nothing_is_left()


def test_c20_the_first_two_of_three(scene: Scene) -> None:
    assert scene.run_flow("alice", PLAY.FirstOf_v1, others=THREE, ns=(30, 5, 10), wanted=2) == (
        5,
        10,
    )
    with pytest.raises(PLAY.Refused, match="refused 2"):
        scene.run_flow("alice", PLAY.FirstOf_v1, others=THREE, ns=(90, 5, 10), wanted=3)
    scene.nothing_is_left()


def test_c22_nobody_to_ask_is_an_empty_answer(scene: Scene) -> None:
    assert scene.run_flow("alice", PLAY.AsksEach_v1, others=(), ns=()) == ()
    assert scene.run_flow("alice", PLAY.Tolerates_v1, others=(), ns=(), most=0) == 0
    with pytest.raises(PLAY.Refused, match="refused 0"):
        scene.run_flow("alice", PLAY.FirstOf_v1, others=(), ns=(), wanted=1)


def test_c38_what_rests_is_in_the_store_and_not_in_memory(scene: Scene) -> None:
    text = "x" * 100_000
    flows = [scene.start("alice", PLAY.Keeps_v1, text=text) for _ in range(50)]
    scene.until(lambda: len(scene.flows("alice")) == 50)
    assert scene.node("alice")._live == {}
    assert {scene.result(flow) for flow in flows} == {100_000}
