"""Scenarios of versions, of two processes and of a network that forgets: CS-145, C31, C34, C54,
C79, C80."""

from __future__ import annotations

import datetime

import pytest

from flowrt.core.hospital import PAUSED, UNLOADABLE
from flowrt.handle import NodeStopped
from tests.conformance.conftest import Play
from tests.conformance.scene import ALICE, BOB, program

PROGRAM = """
message Number:
    n: Int

message Words:
    text: Text

flow Talks(other: Party) -> Text:
    version {version}
    startable by rpc
    open Listens with other as talk
    send Number({version}) to talk
    sleep 1d
    send Number({version}) to talk then receive word: Words from talk unchecked
    return "initiated by {version}, {{word.text}}"

flow Listens():
    version {version}
    responds to Talks as talk
    receive first: Number from talk unchecked
    receive second: Number from talk unchecked
    send Words("answered by {version}: {{first.n}} {{second.n}}") to talk
"""
FIRST = program(PROGRAM.format(version=1))
SECOND = program(PROGRAM.format(version=2))

OTHER = program("""
flow Unrelated():
    startable by rpc
    sleep 1s
""")

EDITED = program(
    PROGRAM.format(version=1)
    .replace(
        "open Listens with other as talk",
        'let label = "{other}"\n    open Listens with other as talk',
    )
    .replace('return "', 'return label + "')
)
"""The first version with one variable more, though its number is the same."""

MINUTE = datetime.timedelta(minutes=1)


@pytest.mark.parametrize("paused", [False, True])
def test_cs_145_a_node_that_lacks_the_version_of_a_flow(play: Play, paused: bool) -> None:
    scene = play({"alice": [FIRST], "bob": [FIRST]})
    talks = scene.start("alice", FIRST.Talks_v1, other=BOB)
    scene.run(MINUTE)
    if paused:
        scene.node("alice").submit_pause(talks.id, by="ann", reason="an upgrade")
        scene.run(MINUTE)
        assert [patient.kind for patient in scene.hospital("alice")] == [PAUSED]
    scene.install("alice", SECOND)
    scene.run(datetime.timedelta(days=2))
    # The node is there, says what is missing, and runs other flows.
    [flow] = scene.flows("alice")
    assert (flow.in_hospital, flow.waits) == (True, "play.Talks_v1 to be installed")
    if not paused:
        [patient] = scene.hospital("alice")
        assert (patient.kind, patient.cause) == (
            UNLOADABLE,
            "cannot be loaded: play.Talks_v1 is not installed",
        )
    talks_of_bob = scene.run_flow("bob", FIRST.Talks_v1, other=ALICE)
    assert talks_of_bob == "initiated by 1, answered by 2: 1 1"
    # With both installed it goes on where it was.
    scene.install("alice", FIRST, SECOND)
    if paused:
        scene.node("alice").submit_resume(talks.id)
    else:
        scene.node("alice").submit_retry(talks.id)
    assert scene.result(talks) == "initiated by 1, answered by 1: 1 1"


def test_c34_what_began_under_one_version_ends_under_it(play: Play) -> None:
    scene = play({"alice": [FIRST], "bob": [FIRST]})
    old = scene.start("alice", FIRST.Talks_v1, other=BOB)
    scene.run(MINUTE)
    for party in ("alice", "bob"):
        scene.install(party, FIRST, SECOND)
    new = scene.start("alice", SECOND.Talks_v2, other=BOB)
    late = scene.start("alice", FIRST.Talks_v1, other=BOB)
    assert scene.result(old) == "initiated by 1, answered by 1: 1 1"
    assert scene.result(new) == "initiated by 2, answered by 2: 2 2"
    assert scene.result(late) == "initiated by 1, answered by 2: 1 1"
    scene.nothing_is_left()


def test_c31_a_program_that_was_edited_behind_its_flows(play: Play) -> None:
    scene = play({"alice": [FIRST], "bob": [FIRST]})
    talks = scene.start("alice", FIRST.Talks_v1, other=BOB)
    scene.run(MINUTE)
    scene.install("alice", EDITED)
    scene.run(datetime.timedelta(days=2))
    [patient] = scene.hospital("alice")
    assert patient.kind == UNLOADABLE
    assert len(scene.contents("alice", "bob")) == 0, "nothing was said in between"
    scene.install("alice", FIRST)
    scene.node("alice").submit_retry(talks.id)
    assert scene.result(talks) == "initiated by 1, answered by 1: 1 1"


def test_c79_what_the_network_forgets_is_sent_again(play: Play) -> None:
    scene = play({"alice": [FIRST], "bob": [FIRST]})
    scene.cut("bob")
    talks = scene.start("alice", FIRST.Talks_v1, other=BOB)
    scene.run(datetime.timedelta(days=2))
    assert scene.flows("bob") == []
    scene.cut()
    assert scene.result(talks) == "initiated by 1, answered by 1: 1 1"
    scene.nothing_is_left()


def test_c80_a_process_whose_store_another_has_opened_writes_no_more(play: Play) -> None:
    scene = play({"alice": [FIRST], "bob": [FIRST]})
    talks = scene.start("alice", FIRST.Talks_v1, other=BOB)
    scene.run(MINUTE)
    old = scene.usurp("alice")
    old.submit(FIRST.Talks_v1, other=BOB)
    with pytest.raises(NodeStopped):
        old.turn()
    assert scene.result(talks) == "initiated by 1, answered by 1: 1 1"
    assert scene.said().count("alice invites with Number(1)") == 1
    scene.nothing_is_left()
