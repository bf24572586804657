"""Scenarios of sessions and messages: CS-001 to CS-034, C24, C51, C62, C63, C66, C71."""

from __future__ import annotations

import pytest

from flowrt.core.flow import (
    SessionEnded,
    SessionRejected,
)
from flowrt.core.values import Reject
from tests.conformance.conftest import Play
from tests.conformance.scene import BOB, CAROL, mistakes, program

PROGRAM = """
message Number:
    n: Int

message Words:
    text: Text

message Later:
    nap: Duration

error Wrong(why: Text): "wrong: {why}"

flow Both(other: Party) -> List[Int]:
    startable by rpc
    open BothToo with other as talk
    send Number(10) to talk then receive first: Number from talk unchecked
    send Number(11) to talk then receive second: Number from talk unchecked
    return [first.n, second.n]

flow BothToo():
    responds to Both as talk
    send Number(20) to talk then receive first: Number from talk unchecked
    require first.n == 10 else Wrong("{first.n}")
    send Number(21) to talk then receive second: Number from talk unchecked
    require second.n == 11 else Wrong("{second.n}")

flow Waits(other: Party) -> Int:
    startable by rpc
    open EndsAtOnce with other as talk
    receive first: Number from talk unchecked
    return first.n

flow EndsAtOnce():
    responds to Waits as talk
    log info "{talk.peer} is not answered"

flow Shallow(other: Party) -> Text:
    startable by rpc
    open DeepOne with other as talk
    send Words("Hello") to talk
    let half = subflow Half(talk)
    let rest = subflow Nested(talk)
    return half + rest

flow Nested(talk: Session) -> Text:
    return subflow Half(talk)

flow Half(talk: Session) -> Text:
    receive word: Words from talk unchecked
    return word.text

flow DeepOne():
    responds to Shallow as talk
    receive first: Words from talk unchecked
    subflow Say(talk, first.text)
    subflow SayDeeper(talk, first.text)

flow SayDeeper(talk: Session, text: Text):
    subflow Say(talk, text)

flow Say(talk: Session, text: Text):
    send Words(text) to talk

flow Several(others: List[Party]):
    startable by rpc
    open Listening with each others as talks
    send Words("Hello World") to each talks

flow Listening():
    responds to Several as talk
    receive word: Words from talk unchecked
    hold word.text

flow FromEach(others: List[Party]) -> List[Text]:
    startable by rpc
    var texts: List[Text] = []
    open Speaking with each others as talks
    for talk in talks:
        receive word: Words from talk unchecked
        texts = texts + [word.text]
    return texts

flow Speaking():
    responds to FromEach as talk
    send Words("from {me.name}") to talk

flow Parallel(others: List[Party]) -> List[Text]:
    startable by rpc
    open Pong with each others as talks
    send Words("ping") to each talks then receive words: Words from each talks unchecked
    var texts: List[Text] = []
    for word in words:
        texts = texts + [word.text]
    return texts

flow Pong():
    responds to Parallel as talk
    receive word: Words from talk unchecked
    require word.text != "fail" else Wrong("told to")
    send Words("pong of {me.name}") to talk

flow ClosesEarly(other: Party) -> Text:
    startable by rpc
    open NeverHeard with other as talk
    close talk
    return "closed"

flow NeverHeard():
    responds to ClosesEarly as talk
    receive word: Words from talk unchecked
    log info word.text

flow UsesAfter(other: Party, how: Text) -> Text:
    startable by rpc
    open Closing with other as talk
    receive word: Words from talk unchecked
    checkpoint
    sleep 1m
    if how == "receive":
        receive more: Words from talk unchecked
    elif how == "send":
        send Words("too late") to talk
    elif how == "both":
        send Words("too late") to talk then receive more: Words from talk unchecked
    elif how == "version":
        return "version {talk.version}"
    close talk
    return "closed by both"

flow Closing():
    responds to UsesAfter as talk
    send Words("last") to talk
    close talk

flow ManyRounds(other: Party, rounds: Int) -> Int:
    startable by rpc
    var sum = 0
    for i in [1, 2, 3]:
        open Fifth with each [other, other, other, other, other] as talks
        receive numbers: Number from each talks unchecked
        sum = sum + numbers.size
    return sum

flow Fifth():
    responds to ManyRounds as talk
    send Number(1) to talk

flow Loops(other: Party, rounds: Int) -> Int:
    startable by rpc
    var done = 0
    while done < rounds:
        open Loop with other as talk
        send Number(done) to talk then receive number: Number from talk unchecked
        if number.n % 2 == 0:
            close talk
        done = done + 1
    return done

flow Loop():
    responds to Loops as talk
    receive number: Number from talk unchecked
    send Number(number.n) to talk

flow Customised(other: Party, text: Text) -> Int:
    startable by rpc
    let size = subflow Sends(other, text + "lo")
    return size

flow Sends(other: Party, text: Text) -> Int:
    open Taking with other as talk
    send Words(text) to talk then receive number: Number from talk unchecked
    return number.n

flow Taking():
    responds to Sends as talk
    receive word: Words from talk unchecked
    require word.text == "Hello" else Wrong(word.text)
    send Number(word.text.size) to talk

flow Anything(other: Party) -> Int:
    startable by rpc
    open Nothing with other as talk
    send Number(1) to talk
    return 1

flow Nothing():
    responds to Anything as talk
    receive number: Number from talk unchecked
    log info "{number.n}"

flow InOrder(other: Party, n: Int) -> List[Int]:
    startable by rpc
    open Ordered with other as talk
    var i = 0
    while i < n:
        send Number(i) to talk
        if i % 3 == 0:
            send Words("answer") to talk then receive got: Words from talk unchecked
            log info got.text
        i = i + 1
    send Words("end") to talk
    var all: List[Int] = []
    while all.size < n:
        receive number: Number from talk unchecked
        all = all + [number.n]
    return all

flow Ordered():
    responds to InOrder as talk
    var all: List[Int] = []
    while true:
        receive from talk:
            case Number as number unchecked:
                all = all + [number.n]
            case Words as word unchecked:
                if word.text == "end":
                    break
                send word to talk
    for n in all:
        send Number(n) to talk

flow OtherType(other: Party) -> Int:
    startable by rpc
    open Wordy with other as talk
    receive number: Number from talk unchecked
    return number.n

flow Wordy():
    responds to OtherType as talk
    receive word: Words from talk unchecked
    log info word.text

flow OwnNode(rounds: Int) -> Int:
    startable by rpc
    open OwnOther with me as talk
    send Number(rounds) to talk then receive number: Number from talk unchecked
    return number.n

flow OwnOther():
    responds to OwnNode as talk
    receive number: Number from talk unchecked
    send Number(number.n * 2) to talk

flow Large(other: Party, size: Int) -> Int:
    startable by rpc
    open TakesLarge with other as talk
    var text = "x"
    while text.size < size:
        text = text + text
    send Words(text.slice(0, size)) to talk then receive number: Number from talk unchecked
    return number.n

flow TakesLarge():
    responds to Large as talk
    receive word: Words from talk unchecked
    send Number(word.text.size) to talk

service Clerk:
    external decide(n: Int) -> Int

flow Decides(other: Party, fails: Bool) -> Text:
    startable by rpc
    open Failing with other as talk
    send Number(1) to talk
    let decided = pending await Clerk.decide(1)
    receive:
        case result decided as n:
            return "decided {n}"
        case Number from talk as number unchecked:
            return "told {number.n}"

flow Failing():
    responds to Decides as talk
    receive number: Number from talk unchecked
    throw Wrong("number {number.n}")

flow Finishing(other: Party) -> Int:
    startable by rpc
    open Unasked with other as talk
    send Number(1) to talk then receive number: Number from talk unchecked
    return number.n

flow Unasked():
    responds to Finishing as talk
    receive number: Number from talk unchecked
    send Number(number.n) to talk
    send Words("and one more") to talk
    send Words("and another") to talk
"""


def services() -> dict[str, object]:
    return {"Clerk": Clerk()}


class Clerk:
    def decide(self, key: str, n: int) -> int:
        raise ConnectionError("nobody there")


PLAY = program(PROGRAM)


def test_cs_001_both_sides_send_first(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.Both_v1, other=BOB) == (20, 21)
    scene.nothing_is_left()
    assert scene.said() == [
        "alice invites with Number(10)",
        "bob confirms",
        "bob sends Number(20)",
        "bob sends Number(21)",
        "alice sends Number(11)",
        "alice ends",
        "bob ends",
    ]


def test_cs_002_the_other_side_ends_before_it_sends(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    with pytest.raises(SessionEnded):
        scene.run_flow("alice", PLAY.Waits_v1, other=BOB)
    scene.nothing_is_left()


def test_cs_004_who_waits_for_whom_can_be_seen(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    waiting = scene.start("alice", PLAY.OtherType_v1, other=BOB)
    scene.until(lambda: scene.waits("bob") == ["a message"])
    for party, peer in (("alice", "bob"), ("bob", "alice")):
        [flow] = scene.flows(party)
        assert (flow.waits, flow.peer) == ("a message", peer)
    assert not scene.has_ended(waiting)


def test_cs_008_whoever_runs_the_flow_that_opens_reaches_its_responder(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.Customised_v1, other=BOB, text="Hel") == 5
    scene.nothing_is_left()


VERSIONS = """
message Word:
    text: Text

flow Initiator(other: Party) -> Int:
    version {theirs}
    startable by rpc
    open Responder with other as talk
    receive word: Word from talk unchecked
    if word.text == "{theirs}":
        return talk.version
    return -1

flow Responder():
    version {ours}
    responds to Initiator as talk
    send Word("{{talk.version}}") to talk
"""


@pytest.mark.parametrize(("theirs", "ours"), [(1, 2), (2, 1)])
def test_cs_011_each_side_knows_the_others_version(play: Play, theirs: int, ours: int) -> None:
    """Also W47: there is nothing but the version that says which schema a side has."""
    alice = VERSIONS.format(theirs=theirs, ours=theirs)
    scene = play({"alice": alice, "bob": VERSIONS.format(theirs=ours, ours=ours)})
    initiator = getattr(program(alice), f"Initiator_v{theirs}")
    assert scene.run_flow("alice", initiator, other=BOB) == ours
    scene.nothing_is_left()


def test_cs_012_a_flow_that_nobody_there_responds_to(play: Play) -> None:
    nobody = """
flow Lonely():
    startable by rpc
    sleep 1s
"""
    scene = play({"alice": PROGRAM, "bob": nobody}, services=services)
    scene_alice = scene.start("alice", PLAY.Waits_v1, other=BOB)
    with pytest.raises(SessionRejected, match=r"there is no flow play\.EndsAtOnce here") as caught:
        scene.result(scene_alice)
    [reject] = scene.contents("bob", "alice")
    assert isinstance(reject, Reject)
    assert caught.value.error_id == reject.error_id != ""
    # One that only sends notices it too, before it ends.
    with pytest.raises(SessionRejected):
        scene.run_flow("alice", PLAY.Anything_v1, other=BOB)
    scene.nothing_is_left()


def test_cs_015_subflows_share_their_callers_session(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.Shallow_v1, other=BOB) == "HelloHello"
    scene.nothing_is_left()
    assert [line for line in scene.said() if "invites" in line] == [
        "alice invites with Words(Hello)"
    ]


def test_cs_016_a_session_with_oneself(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    assert scene.run_flow("alice", PLAY.OwnNode_v1, rounds=21) == 42
    scene.nothing_is_left()


def test_cs_017_sending_to_several_who_never_end(play: Play) -> None:
    scene = play(PROGRAM, "alice bob carol", services)
    assert scene.run_flow("alice", PLAY.Several_v1, others=(BOB, CAROL)) is None
    for party in ("bob", "carol"):
        assert scene.said("alice", party) == [
            "alice invites with Words(Hello World)",
            f"{party} confirms",
            "alice ends",
        ]
        assert [patient.cause for patient in scene.hospital(party)] == ["hold: Hello World"]
    assert scene.flows("alice") == []


def test_cs_018_receiving_from_several_one_after_the_other(play: Play) -> None:
    scene = play(PROGRAM, "alice bob carol", services)
    texts = scene.run_flow("alice", PLAY.FromEach_v1, others=(BOB, CAROL))
    assert texts == ("from bob", "from carol")
    scene.nothing_is_left()
    for party in ("bob", "carol"):
        said = scene.said("alice", party)
        assert said[:3] == [
            "alice invites",
            f"{party} confirms",
            f"{party} sends Words(from {party})",
        ]
        assert sorted(said[3:]) == ["alice ends", f"{party} ends"]


def test_cs_019_to_each_and_from_each_at_once(play: Play) -> None:
    scene = play(PROGRAM, "alice bob carol", services)
    texts = scene.run_flow("alice", PLAY.Parallel_v1, others=(CAROL, BOB))
    assert texts == ("pong of carol", "pong of bob")
    scene.nothing_is_left()
    # Both invitations left together, before anybody answered.
    assert scene.said()[:2] == ["alice invites with Words(ping)"] * 2


TWICE = """
message Number:
    n: Int

flow Twice(others: List[Party]) -> Int:
    startable by rpc
    open Counting with each others as talks
    let first = talks.size - 1
    let sum = subflow Each({group})
    return sum + first

flow Each(talks: List[Session]) -> Int:
    receive numbers: Number from each talks unchecked
    return numbers[0].n * 10 + numbers[1].n

flow Counting():
    responds to Twice as talk
    send Number(1) to talk
    send Number(2) to talk
"""


def test_cs_024_one_session_twice_in_a_group(play: Play) -> None:
    flow = TWICE.replace("open Counting with each others as talks", "open Counting with me as talk")
    flow = flow.replace("talks.size - 1", "others.size").format(group="[talk, talk]")
    assert mistakes(flow) == {"F619": "`talk` is in this list already"}
    # Which item of a list is meant may be known only when the flow runs.
    text = TWICE.format(group="[talks[first], talks[0]]")
    scene = play(text)
    scene.start("alice", program(text).Twice_v1, others=(BOB,))
    scene.run()
    [patient] = scene.hospital("alice")
    assert patient.cause == "Fault: one session stands twice in the group to receive from"
    assert scene.run_flow("bob", program(text).Twice_v1, others=(BOB, BOB)) == 12


def test_cs_026_closing_before_anybody_answered(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.ClosesEarly_v1, other=BOB) == "closed"
    scene.nothing_is_left()
    assert scene.said() == ["alice invites", "bob confirms", "alice ends"]


@pytest.mark.parametrize("how", ["receive", "send", "both"])
def test_cs_027_using_a_session_that_its_peer_has_closed(play: Play, how: str) -> None:
    scene = play(PROGRAM, services=services)
    with pytest.raises(SessionEnded):
        scene.run_flow("alice", PLAY.UsesAfter_v1, other=BOB, how=how)
    scene.nothing_is_left()


@pytest.mark.parametrize(("how", "end"), [("close", "closed by both"), ("version", "version 1")])
def test_cs_027_what_is_no_harm_after_the_peer_has_closed(play: Play, how: str, end: str) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.UsesAfter_v1, other=BOB, how=how) == end
    scene.nothing_is_left()


def test_cs_027_what_one_has_closed_oneself_is_refused_by_the_compiler() -> None:
    closed = """
message Word:
    text: Text

flow Closes(other: Party):
    startable by rpc
    open Closed with other as talk
    close talk
    {use}

flow Closed():
    responds to Closes as talk
    receive word: Word from talk unchecked
    log info word.text
"""
    for use in ('send Word("") to talk', "receive w: Word from talk unchecked", "close talk"):
        assert "F617" in mistakes(closed.format(use=use)), use


def test_cs_029_groups_that_are_closed_round_by_round(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.ManyRounds_v1, other=BOB, rounds=3) == 15
    scene.nothing_is_left()
    assert scene.said().count("alice invites") == 15


def test_cs_030_a_loop_over_sessions_does_not_grow(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    looping = scene.start("alice", PLAY.Loops_v1, other=BOB, rounds=1_000)
    sizes: list[int] = []
    while not (sizes and scene.has_ended(looping)):
        sizes += [flow.checkpoint_bytes for flow in scene.flows("alice")]
        for _ in range(97):
            scene.step()
    assert scene.result(looping) == 1_000
    scene.nothing_is_left()
    assert len(sizes) > 20
    assert max(sizes) < 400


def test_cs_032_a_message_as_large_as_one_may_be_and_a_larger_one(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    size = (1 << 20) - 2_000
    assert scene.run_flow("alice", PLAY.Large_v1, other=BOB, size=size) == size
    scene.start("alice", PLAY.Large_v1, other=BOB, size=1 << 20)
    scene.run()
    [patient] = scene.hospital("alice")
    assert "larger than" in patient.cause
    assert scene.flows("bob") == []


def test_cs_034_a_peers_error_ends_a_wait_for_something_else(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    with pytest.raises(PLAY.Wrong, match="wrong: number 1"):
        scene.run_flow("alice", PLAY.Decides_v1, other=BOB, fails=True)
    scene.nothing_is_left()


def test_c24_what_is_sent_arrives_in_the_order_of_the_program(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.InOrder_v1, other=BOB, n=20) == tuple(range(20))
    scene.nothing_is_left()


def test_c51_what_comes_while_a_flow_finishes_harms_nobody(play: Play) -> None:
    scene = play(PROGRAM, services=services)
    assert scene.run_flow("alice", PLAY.Finishing_v1, other=BOB) == 1
    scene.nothing_is_left()
