"""Scenarios of the hospital's policies: CS-048, CS-050, CS-071, C43."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from flowrt.core.flow import UnexpectedFlowEnd
from flowrt.core.values import Failure
from tests.conformance.conftest import Play
from tests.conformance.scene import BOB, Flow, Scene, program

PROGRAM = """
message Number:
    n: Int

service Desk:
    write check(n: Int) -> Int

flow Asks(other: Party) -> Int:
    startable by rpc
    open Ends with other as talk
    send Number(1) to talk then receive number: Number from talk unchecked
    return number.n

flow Ends():
    responds to Asks as talk
    on failure end
    receive number: Number from talk unchecked
    let checked = Desk.check(number.n)
    send Number(checked) to talk

flow Checks(n: Int) -> Int:
    startable by rpc
    checkpoint
    let checked = Desk.check(n)
    return checked
"""
PLAY = program(PROGRAM)


class Desk:
    """Checks; fails with `error` so often at first."""

    error: Exception = RuntimeError("evil bug!")
    failures = 0
    nested = False
    tried = 0

    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS checked (n INTEGER)")

    def check(self, tx: Any, n: int) -> int:
        Desk.tried += 1
        tx.execute("INSERT INTO checked VALUES (?)", (n,))
        if Desk.failures:
            Desk.failures -= 1
            if Desk.nested:
                raise RuntimeError("it does not work") from Desk.error
            raise Desk.error
        return n * 10


def services() -> dict[str, object]:
    return {"Desk": Desk()}


@pytest.fixture(autouse=True)
def fresh() -> None:
    Desk.failures = Desk.tried = 0
    Desk.nested = False


def checked(scene: Scene, party: str) -> int:
    return len(scene.rows(party, "SELECT n FROM checked"))


def test_cs_071_a_bug_of_the_other_side_that_ends_its_flow_at_once(play: Play) -> None:
    Desk.error, Desk.failures = RuntimeError("evil bug!"), 10**9
    scene = play(PROGRAM, services=services)
    asks = scene.start("alice", PLAY.Asks_v1, other=BOB)
    with pytest.raises(UnexpectedFlowEnd) as caught:
        scene.result(asks)
    scene.nothing_is_left()
    [*_, failure] = scene.contents("bob", "alice")
    assert isinstance(failure, Failure)
    assert "evil" not in f"{caught.value} {failure}"
    assert failure.error_id == caught.value.error_id != ""
    assert checked(scene, "bob") == 0, "what the step wrote is undone"
    with pytest.raises(Exception, match="evil bug!"):
        scene.result(Flow("bob", 1))


@pytest.mark.parametrize("nested", [False, True])
def test_cs_048_a_step_that_fails_for_a_passing_cause_for_ever(play: Play, nested: bool) -> None:
    Desk.error, Desk.failures, Desk.nested = ConnectionError("no line"), 10**9, nested
    scene = play(PROGRAM, "alice", services)
    checks = scene.start("alice", PLAY.Checks_v1, n=4)
    for _ in range(3):
        scene.run(datetime.timedelta(seconds=10))
        scene.crash("alice")
    scene.run(datetime.timedelta(days=1))
    assert Desk.tried == 1 + 5, "also over restarts"
    [patient] = scene.hospital("alice")
    assert patient.flow_id == checks.id
    assert checked(scene, "alice") == 0
    Desk.failures = 0
    scene.node("alice").submit_retry(checks.id)
    assert scene.result(checks) == 40
    assert checked(scene, "alice") == 1


def test_cs_050_a_step_that_fails_once_for_a_passing_cause(play: Play) -> None:
    Desk.error, Desk.failures = ConnectionError("no line"), 1
    scene = play(PROGRAM, "alice", services)
    checks = scene.start("alice", PLAY.Checks_v1, n=4)
    scene.run()
    assert scene.result(checks) == 40
    assert (Desk.tried, checked(scene, "alice")) == (2, 1)
    scene.nothing_is_left()


def test_cs_049_any_other_cause_waits_for_a_person(play: Play) -> None:
    Desk.error, Desk.failures = RuntimeError("evil bug!"), 1
    scene = play(PROGRAM, "alice", services)
    checks = scene.start("alice", PLAY.Checks_v1, n=4)
    scene.run(datetime.timedelta(days=1))
    assert Desk.tried == 1
    scene.node("alice").submit_retry(checks.id)
    assert scene.result(checks) == 40
