"""One event in, one commit out: what a step may do, and what it leaves behind."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from flowrt.core import engine, step
from flowrt.core import flow as rt
from flowrt.core import session as sessions
from flowrt.core.engine import BEGIN, RESUME, RETRY, Arrival, NotTaken, Opened
from flowrt.core.flow import Call, Fault, Hold, Receive, Return, Sleep
from flowrt.core.flow import Checkpoint as Pause
from flowrt.core.step import MAX_FRAMES
from flowrt.core.values import (
    MAX_FRAME_BYTES,
    MAX_TEXT,
    BadBytes,
    Confirm,
    Data,
    End,
    Failure,
    Letter,
    OnAcceptance,
    OnCommit,
    OnMessage,
    OnOperator,
    OnSettling,
    OnTime,
    Reject,
    StackFrame,
    decode,
    decode_checkpoint,
    encode,
)
from tests.runtime.hand_flow import ERRORS, Ask, Note, Refused, Reply, TooMuch
from tests.runtime.plays import NOW_US, Actor, At, at, play, sent

CONFIRM = Confirm(70, 0, 1)
BOB = rt.Party("bob")


def data(message: rt.Message) -> Data:
    return Data(message.wire, encode(message))


def opens(*words: rt.Message, then: Any = None, party: str = "bob") -> Any:
    """A first part: open a session, say something, go on to part 1."""

    def part(run: Any, state: At) -> Any:
        s = run.open("t.R", rt.Party(party), 0)
        for word in words:
            run.send(s, word)
        return then(s) if then is not None else Receive(at(1, s), s)

    return part


def takes(kind: type[rt.Message], then: Any = lambda value: Return(str(value))) -> Any:
    """A part that receives and goes on with what it got."""
    return lambda run, state: then(run.received(kind))


def outcome(commit: engine.Commit | None) -> engine.Outcome:
    assert commit is not None
    assert commit.outcome is not None
    return commit.outcome


def failure(commit: engine.Commit | None) -> rt.FlowError:
    return engine.error_from_outcome(outcome(commit), ERRORS)


# --- a flow alone --------------------------------------------------------------------------------


def test_a_flow_that_only_returns_is_gone_at_once() -> None:
    commit = Actor(play("t.A", lambda run, state: Return(7))).go(BEGIN)
    assert outcome(commit) == engine.Outcome("t.A_v1", encode(7))
    assert commit is not None
    assert commit.gone
    assert commit.due_us is None
    assert [(move.number, move.outcome, move.done) for move in commit.moves] == [(0, "done", True)]


def test_a_checkpoint_goes_on_by_itself() -> None:
    actor = Actor(
        play(
            "t.A", lambda run, state: Pause(at(1, kept="k")), lambda run, state: Return(state.kept)
        )
    )
    commit = actor.go(BEGIN)
    assert commit is not None
    assert (commit.due_us, commit.gone, commit.ran) == (0, False, True)
    assert outcome(actor.go()).value == encode("k")


def test_steps_are_counted() -> None:
    actor = Actor(play("t.A", lambda run, state: Pause(at(0))))
    for number in range(1, 4):
        actor.go()
        assert actor.checkpoint.steps == number


def test_a_thrown_error_is_an_outcome_and_what_was_said_before_it_counts() -> None:
    def part(run: Any, state: At) -> Any:
        run.log("info", "about to")
        raise TooMuch(3, 4)

    commit = Actor(play("t.A", part)).go(BEGIN)
    error = failure(commit)
    assert isinstance(error, TooMuch)
    assert (error.limit, error.given, error.peer) == (3, 4, None)
    assert len(error.error_id) == 16
    assert str(error) == "4 is over 3"
    assert commit is not None
    assert commit.logs == [("info", "about to")]
    assert [(move.outcome, move.label) for move in commit.moves] == [("failed", "4 is over 3")]
    assert commit.gone


def test_what_is_not_a_declared_error_is_nobodys_outcome() -> None:
    for wrong in (ZeroDivisionError("a bug"), Fault("overflow"), rt.InvariantBroken("ours")):

        def part(run: Any, state: At, wrong: Exception = wrong) -> Any:
            raise wrong

        with pytest.raises(type(wrong)):
            Actor(play("t.A", part)).go(BEGIN)


def test_what_is_not_a_step_is_refused() -> None:
    with pytest.raises(rt.InvariantBroken, match="StackFrame is not a step"):
        Actor(play("t.A", lambda run, state: StackFrame("t.A_v1", state))).go(BEGIN)


# --- time ----------------------------------------------------------------------------------------


def test_a_nap_is_never_too_short_and_ends_once() -> None:
    nap = datetime.timedelta(milliseconds=250)
    actor = Actor(
        play("t.A", lambda run, state: Sleep(at(1), nap), lambda run, state: Pause(at(1, count=1)))
    )
    commit = actor.go(BEGIN)
    assert commit is not None
    assert commit.due_us == NOW_US + 250_000
    actor.world.now_us = NOW_US + 249_999
    assert actor.go() is None
    actor.world.now_us += 1
    commit = actor.go()
    assert commit is not None
    assert type(actor.checkpoint.waiting) is OnCommit


@pytest.mark.parametrize(
    ("nap", "due_us"),
    [
        (datetime.timedelta(0), 0),
        (datetime.timedelta(days=-5), 0),
        (datetime.timedelta(microseconds=1), NOW_US + 1),
        (datetime.timedelta.max, 2**63 - 1),
    ],
)
def test_odd_naps(nap: datetime.timedelta, due_us: int) -> None:
    commit = Actor(play("t.A", lambda run, state: Sleep(at(0), nap))).go(BEGIN)
    assert commit is not None
    assert commit.due_us == due_us


def test_now_is_the_steps_and_in_utc() -> None:
    seen = []

    def part(run: Any, state: At) -> Any:
        seen.append(run.now)
        seen.append(run.now)
        return Return(None)

    Actor(play("t.A", part)).go(BEGIN)
    assert seen == [datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)] * 2


def test_a_letter_during_a_nap_waits_for_its_end() -> None:
    nap = datetime.timedelta(seconds=1)
    actor = Actor(
        play(
            "t.A",
            opens(then=lambda s: Sleep(at(1, s), nap)),
            lambda run, state: Receive(at(2, state.s), state.s),
            takes(Reply, lambda reply: Return(reply.n)),
        )
    )
    actor.go(BEGIN)
    actor.get(CONFIRM, 0)
    commit = actor.get(data(Reply(5)), 1)
    assert commit is not None
    assert not commit.ran
    assert commit.due_us == NOW_US + 1_000_000
    actor.world.now_us += 1_000_000
    actor.go()
    assert outcome(actor.go()).value == encode(5)


# --- holding and the hospital --------------------------------------------------------------------


def test_who_holds_waits_for_an_operator() -> None:
    actor = Actor(
        play("t.A", lambda run, state: Hold(at(1), "look at this"), lambda run, state: Return(1))
    )
    commit = actor.go(BEGIN)
    assert commit is not None
    assert (commit.held, commit.due_us) == ("look at this", None)
    assert actor.checkpoint.waiting == OnOperator("look at this")
    assert actor.go() is None
    assert outcome(actor.go(RETRY)).value == encode(1)


def test_a_patient_takes_letters_in_but_no_step() -> None:
    actor = Actor(play("t.A", opens(), takes(Reply)))
    actor.go(BEGIN)
    engine.admit(actor.checkpoint, actor.letter(CONFIRM, 0), actor.world)
    commit = actor.get(data(Reply(1)), 1)
    assert commit is not None
    assert (commit.ran, commit.due_us) == (False, None)
    assert actor.go() is None
    assert outcome(actor.go(RETRY)).value == encode("Reply(n=1)")


def test_what_brought_a_flow_to_the_hospital_is_kept() -> None:
    actor = Actor(play("t.A", opens(), takes(Reply, lambda reply: 1 // 0)))
    actor.go(BEGIN)
    actor.get(CONFIRM, 0)
    letter = actor.letter(data(Reply(1)), 1)
    before = encode(actor.checkpoint)
    with pytest.raises(ZeroDivisionError):
        actor.go(letter)
    actor.checkpoint = decode_checkpoint(before, actor.registry.states_of)
    commit = engine.admit(actor.checkpoint, letter, actor.world)
    assert commit.due_us is None
    assert actor.checkpoint.admitted
    assert sessions.head(actor.checkpoint.sessions[0]) == data(Reply(1))
    with pytest.raises(ZeroDivisionError):
        actor.go(RETRY)


# --- sessions in a step --------------------------------------------------------------------------


def test_the_invitation_names_the_opener_and_carries_the_first_message() -> None:
    actor = Actor(play("t.A", opens(Note("1"), Note("2")), takes(Reply), version=4))
    commit = actor.go(BEGIN)
    assert commit is not None
    assert [type(item) for _, item in commit.outbox] == [Opened]
    (invitation,) = actor.invitations
    assert (invitation.flow, invitation.initiator, invitation.version) == ("t.R", "t.A", 4)
    assert invitation.first == data(Note("1"))
    assert len(invitation.secret) == 16
    assert sent(actor.get(CONFIRM, 0)) == [data(Note("2"))]


def test_every_session_has_a_secret_of_its_own() -> None:
    def part(run: Any, state: At) -> Any:
        for _ in range(3):
            run.open("t.R", BOB, 0)
        return Return(None)

    secrets = set()
    for flow_id in (1, 2):
        for key in (bytes(32), b"k" * 32):
            actor = Actor(play("t.A", part), flow_id=flow_id, key=key)
            actor.go(BEGIN)
            secrets |= {invitation.secret for invitation in actor.invitations}
    assert len(secrets) == 12


def test_a_responder_confirms_and_runs() -> None:
    responder = play(
        "t.R",
        lambda run, state: Receive(at(1, state.s), state.s),
        lambda run, state: run.send(state.s, Reply(run.received(Ask).n)) or Return(None),
        responds_to="t.A",
    )
    alice = Actor(play("t.A", opens(Ask(4)), takes(Reply, lambda reply: Return(reply.n))))
    alice.go(BEGIN)
    bob = Actor(responder, flow_id=70)
    (invitation,) = alice.invitations
    bob.checkpoint, confirmation = engine.respond("t.R_v1", responder, invitation, "alice", 70)
    assert confirmation == Letter(1, 0, invitation.secret, 0, Confirm(70, 0, 1))
    bob.go(BEGIN)
    commit = bob.go()
    assert sent(commit) == [data(Reply(4)), End()]
    assert commit is not None
    assert commit.gone
    letters = [confirmation, *[item for _, item in commit.outbox]]
    assert [letter.seq for letter in letters] == [0, 1, 2]
    last = None
    for letter in reversed(letters):
        last = alice.go(Arrival("bob", letter)) or last
    assert outcome(last).value == encode(4)


@pytest.mark.parametrize(
    "forged",
    [
        {"peer": "mallory"},
        {"secret": bytes(16)},
        {"session": 1},
        {"session": 2**40},
    ],
    ids=["another party", "another secret", "no such session", "no such session, far out"],
)
@pytest.mark.parametrize(
    "content", [CONFIRM, data(Reply(1)), End(), Failure("E", b"", ""), Reject("", "")]
)
@pytest.mark.parametrize("state", ["invited", "open"])
def test_what_is_not_for_this_session_is_nothing(
    state: str, content: Any, forged: dict[str, Any]
) -> None:
    """It is acknowledged like every other letter that has no reader, so that guessing tells a
    stranger nothing; it changes nothing."""
    actor = Actor(play("t.A", opens(Ask(1)), takes(Reply)))
    actor.go(BEGIN)
    if state == "open":
        actor.get(CONFIRM, 0)
    before = encode(actor.checkpoint)
    for seq in (0, 1, 2, 10**6):
        assert actor.go(actor.letter(content, seq, **forged)) is None
    assert encode(actor.checkpoint) == before


def test_a_repeated_letter_is_nothing_and_one_far_ahead_is_not_taken() -> None:
    actor = Actor(play("t.A", opens(Ask(1)), takes(Reply)))
    actor.go(BEGIN)
    assert actor.get(CONFIRM, 0) is not None
    assert actor.get(CONFIRM, 0) is None
    assert actor.get(data(Reply(9)), 3) is not None
    assert actor.get(data(Reply(9)), 3) is None
    before = encode(actor.checkpoint)
    with pytest.raises(NotTaken):
        actor.get(data(Reply(9)), 1000)
    assert encode(actor.checkpoint) == before


def test_without_run_a_letter_is_only_taken_in() -> None:
    actor = Actor(play("t.A", opens(Ask(1)), takes(Reply)))
    actor.go(BEGIN)
    actor.get(CONFIRM, 0)
    commit = actor.go(actor.letter(data(Reply(3)), 1), run=False)
    assert commit is not None
    assert (commit.ran, commit.due_us) == (False, 0)
    assert outcome(actor.go()).value == encode("Reply(n=3)")


def test_sending_throws_what_is_at_the_head_of_the_inbox_and_nothing_else() -> None:
    def part(run: Any, state: At) -> Any:
        run.send(state.s, Ask(2))
        return Return("sent")

    def actor() -> Actor:
        actor = Actor(
            play("t.A", opens(then=lambda s: Hold(at(1, s), "wait")), part, errors=ERRORS)
        )
        actor.go(BEGIN)
        return actor

    alice = actor()
    alice.get(CONFIRM, 0)
    alice.get(data(Reply(1)), 1)
    assert sent(alice.go(RETRY)) == [data(Ask(2)), End()], "unread data is in nobody's way"

    alice = actor()
    alice.get(CONFIRM, 0)
    alice.get(End(), 1)
    assert isinstance(failure(alice.go(RETRY)), rt.SessionEnded)

    alice = actor()
    alice.get(CONFIRM, 0)
    alice.get(Failure("hand.TooMuch", encode(TooMuch(1, 2).fields()), "ab"), 1)
    error = failure(alice.go(RETRY))
    assert isinstance(error, TooMuch)
    assert (error.error_id, error.peer) == ("ab", BOB)

    alice = actor()
    alice.get(Reject("not here", "cd"), 0)
    error = failure(alice.go(RETRY))
    assert isinstance(error, rt.SessionRejected)
    assert (error.reason, error.error_id, error.peer) == ("not here", "cd", BOB)


def test_reading_what_is_over_ends_every_time_and_never_hangs() -> None:
    def part(run: Any, state: At) -> Any:
        try:
            run.received(Reply)
        except rt.SessionEnded:
            if state.count < 3:
                return Receive(at(1, state.s, count=state.count + 1), state.s)
            return Return(state.count)

    actor = Actor(play("t.A", opens(), part))
    actor.go(BEGIN)
    actor.get(CONFIRM, 0)
    commit = actor.get(End(), 1)
    for _ in range(3):
        assert commit is not None
        assert commit.due_us == 0
        commit = actor.go()
    assert outcome(commit).value == encode(3)


@pytest.mark.parametrize("last", [End(), Failure("E", b"", "ab"), Reject("no", "ab")])
def test_writing_to_what_is_over_ends_too(last: Any) -> None:
    def part(run: Any, state: At) -> Any:
        try:
            run.received(Reply)
        except rt.FlowError:
            run.send(state.s, Ask(1))

    actor = Actor(play("t.A", opens(), part))
    actor.go(BEGIN)
    actor.get(CONFIRM, 0)
    error = failure(actor.get(last, 1))
    assert isinstance(error, rt.SessionEnded)


def test_writing_after_leaving_the_session_ends() -> None:
    def part(run: Any, state: At) -> Any:
        s = run.open("t.R", BOB, 1)
        run.leave(0)
        run.send(s, Ask(1))

    assert isinstance(failure(Actor(play("t.A", part)).go(BEGIN)), rt.SessionEnded)


def test_leaving_ends_what_was_opened_deeper_and_nothing_else() -> None:
    def part(run: Any, state: At) -> Any:
        for block in (0, 1, 2, 1, 0):
            run.open("t.R", BOB, block)
        return Hold(at(1), "rest")

    def left(run: Any, state: At) -> Any:
        run.leave(state.count)
        run.leave(state.count)
        return Hold(at(1), "")

    for block, ended in ((2, []), (1, [2]), (0, [1, 2, 3])):
        actor = Actor(play("t.A", part, left))
        actor.go(BEGIN)
        for number in range(5):
            actor.get(CONFIRM, 0, number)
        actor.checkpoint.frames[0].state = at(1, count=block)
        assert sent(actor.go(RETRY)) == [End()] * len(ended)
        assert actor.sessions == [n for n in range(5) if n not in ended]


def test_a_message_larger_than_a_frame_is_the_flows_own_fault() -> None:
    for size, fits in ((MAX_FRAME_BYTES - 2048, True), (MAX_FRAME_BYTES, False)):
        actor = Actor(play("t.A", opens(Note("x" * size)), takes(Reply)))
        if fits:
            actor.go(BEGIN)
            assert len(encode(actor.invitations[0])) <= MAX_FRAME_BYTES
        else:
            with pytest.raises(Fault, match="larger than a frame"):
                actor.go(BEGIN)


def test_the_peer_of_a_session_is_known_while_it_lives() -> None:
    def part(run: Any, state: At) -> Any:
        s = run.open("t.R", rt.Party("carol"), 1)
        name = run.peer(s).name
        run.leave(0)
        return Return(name + run.peer(s).name)

    commit = Actor(play("t.A", part)).go(BEGIN)
    assert type(commit) is engine.Commit, "an invitation that is not accepted yet is still there"

    def gone(run: Any, state: At) -> Any:
        return run.peer(rt.Session(99))

    with pytest.raises(Fault, match="has ended"):
        Actor(play("t.A", gone)).go(BEGIN)


# --- what arrives, as the flow sees it -----------------------------------------------------------


def received(content: Any, kind: type[rt.Message] = Reply) -> rt.FlowError:
    actor = Actor(play("t.A", opens(), takes(kind), errors=ERRORS))
    actor.go(BEGIN)
    actor.get(CONFIRM, 0)
    return failure(actor.get(content, 1))


def test_another_type_is_unexpected_and_its_name_is_cut_to_size() -> None:
    error = received(data(Ask(1)))
    assert isinstance(error, rt.UnexpectedMessage)
    assert error.reason == "hand.Ask arrived where hand.Reply was expected"
    assert len(str(received(Data("n" * 1000, b"")))) < MAX_TEXT + 100


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x91\xa1x", b"\x91\x01\x01", b"\x90", b"\x91" * 5000]
)
def test_what_cannot_be_read_is_malformed(body: bytes) -> None:
    error = received(Data("hand.Reply", body))
    assert isinstance(error, rt.Malformed)
    assert len(error.error_id) == 16


def test_a_declared_error_is_typed_and_says_where_it_came_from() -> None:
    error = received(Failure("hand.Refused", encode(Refused("cold").fields()), "0badcafe"))
    assert isinstance(error, Refused)
    assert (error.why, error.error_id, error.peer) == ("cold", "0badcafe", BOB)


@pytest.mark.parametrize(
    "content",
    [
        Failure("UnexpectedFlowEnd", b"", "id"),
        Failure("hand.Unknown", b"\x91\x01", "id"),
        Failure("hand.TooMuch", b"\x91\xa1x", "id"),
        Failure("hand.TooMuch", b"", "id"),
        Failure("SessionRejected", encode(("forged",)), "id"),
        Failure("SystemExit", b"", "id"),
        Failure("builtins.KeyboardInterrupt", b"", "id"),
        Failure("", b"", "id"),
    ],
)
def test_every_other_failure_is_an_unexpected_end_with_its_id(content: Failure) -> None:
    error = received(content)
    assert type(error) is rt.UnexpectedFlowEnd
    assert (error.error_id, error.peer, error.reason) == ("id", BOB, "")


def test_an_end_where_something_was_expected() -> None:
    error = received(End())
    assert type(error) is rt.SessionEnded
    assert error.peer == BOB


def test_a_late_rejection_is_one_too() -> None:
    error = received(Reject("r" * 4000, "id"))
    assert type(error) is rt.SessionRejected
    assert (error.error_id, len(error.reason)) == ("id", MAX_TEXT)


def test_an_error_is_known_that_only_a_calling_flow_can_name() -> None:
    inner = play("t.Inner", opens(), takes(Reply))
    outer = play(
        "t.Outer",
        lambda run, state: Call(at(1), inner, at(0)),
        lambda run, state: Return(run.result(inner)),
        errors=ERRORS,
    )
    actor = Actor(outer, inner)
    actor.go(BEGIN)
    actor.get(CONFIRM, 0)
    commit = actor.get(Failure("hand.Refused", encode(Refused("cold").fields()), "id"), 1)
    assert isinstance(failure(commit), Refused)


# --- what the peers are told ---------------------------------------------------------------------


def told(*parts: Any, letters: tuple[Any, ...] = ()) -> tuple[list[Any], rt.FlowError]:
    """What an open session's peer gets when the flow fails, and the error."""
    actor = Actor(play("t.A", *parts, errors=ERRORS))
    commit = actor.go(BEGIN)
    for seq, letter in enumerate((CONFIRM, *letters)):
        commit = actor.get(letter, seq)
    return sent(commit), failure(commit)


def test_a_declared_error_thrown_here_is_told_whole_after_what_was_said_before() -> None:
    def part(run: Any, state: At) -> Any:
        run.received(Reply)
        run.send(state.s, Note("first this"))
        raise TooMuch(1, 2)

    letters, error = told(opens(), part, letters=(data(Reply(1)),))
    assert letters == [
        data(Note("first this")),
        Failure("hand.TooMuch", encode(TooMuch(1, 2).fields()), error.error_id),
    ]


@pytest.mark.parametrize(
    "built_in", [rt.Malformed("secret"), rt.SessionEnded("secret"), rt.UnexpectedMessage("secret")]
)
def test_a_built_in_error_tells_only_its_id(built_in: rt.FlowError) -> None:
    def part(run: Any, state: At) -> Any:
        raise built_in

    letters, error = told(opens(), part, letters=(data(Reply(1)),))
    assert letters == [Failure("UnexpectedFlowEnd", b"", error.error_id)]
    assert b"secret" not in encode(letters)


def test_details_travel_one_hop() -> None:
    """What came from bob is not carol's to know, only that it has an id."""

    def part(run: Any, state: At) -> Any:
        b = run.open("t.R", BOB, 0)
        run.open("t.R", rt.Party("carol"), 0)
        return Receive(at(1), b)

    actor = Actor(play("t.A", part, takes(Reply), errors=ERRORS))
    actor.go(BEGIN)
    actor.get(CONFIRM, 0, 0)
    actor.get(CONFIRM, 0, 1, "carol")
    commit = actor.get(Failure("hand.Refused", encode(Refused("secret").fields()), "id"), 1)
    assert commit is not None
    assert [(peer, item.content) for peer, item in commit.outbox] == [
        ("carol", Failure("UnexpectedFlowEnd", b"", "id"))
    ]
    error = failure(commit)
    assert isinstance(error, Refused)
    assert (error.why, error.error_id, error.peer) == ("secret", "id", BOB)


def test_a_new_error_made_of_a_peers_is_our_own() -> None:
    def part(run: Any, state: At) -> Any:
        try:
            run.received(Reply)
        except Refused as e:
            raise TooMuch(1, len(e.why)) from None

    actor = Actor(
        play(
            "t.A",
            lambda run, state: (
                (run.open("t.R", rt.Party("carol"), 0) and None) or opens()(run, state)
            ),
            part,
            errors=ERRORS,
        )
    )
    actor.go(BEGIN)
    actor.get(CONFIRM, 0, 0, "carol")
    actor.get(CONFIRM, 0, 1)
    commit = actor.get(Failure("hand.Refused", encode(Refused("why").fields()), "id"), 1, 1)
    (told_carol,) = sent(commit)
    assert told_carol.name == "hand.TooMuch"
    assert told_carol.error_id == failure(commit).error_id != "id"


def test_two_errors_of_one_step_have_two_ids() -> None:
    inner = play("t.Inner", lambda run, state: (_ for _ in ()).throw(TooMuch(1, 2)))
    seen = []

    def part(run: Any, state: At) -> Any:
        try:
            run.result(inner)
        except TooMuch as e:
            seen.append(e.error_id)
        raise Refused("again")

    commit = Actor(
        play("t.A", lambda run, state: Call(at(1), inner, at(0)), part, errors=ERRORS), inner
    ).go(BEGIN)
    assert seen[0] != failure(commit).error_id


def test_an_error_before_the_confirmation_waits_for_it() -> None:
    """The peer is not reachable yet; the flow is over, but not forgotten."""

    def part(run: Any, state: At) -> Any:
        s = run.open("t.R", BOB, 0)
        run.send(s, Note("1"))
        run.send(s, Note("2"))
        raise TooMuch(1, 2)

    actor = Actor(play("t.A", part, errors=ERRORS))
    commit = actor.go(BEGIN)
    error = failure(commit)
    assert commit is not None
    assert (commit.gone, commit.due_us) == (False, None)
    assert actor.checkpoint.waiting == OnSettling()
    commit = actor.get(CONFIRM, 0)
    assert commit is not None
    assert commit.gone
    assert sent(commit) == [
        data(Note("2")),
        Failure("hand.TooMuch", encode(TooMuch(1, 2).fields()), error.error_id),
    ]


@pytest.mark.parametrize(
    "last", [Reject("no", ""), End(), Failure("E", b"", ""), data(Reply(1))], ids=repr
)
def test_who_never_confirmed_is_told_nothing_and_forgotten(last: Any) -> None:
    def part(run: Any, state: At) -> Any:
        run.send(run.open("t.R", BOB, 0), Note("1"))
        raise TooMuch(1, 2)

    actor = Actor(play("t.A", part))
    actor.go(BEGIN)
    commit = actor.get(last, 0)
    assert commit is not None
    assert commit.gone
    assert commit.outbox == []


# --- the end of a flow that only sent ------------------------------------------------------------


def only_sends(then: Any = lambda run: Return("fine")) -> Any:
    def part(run: Any, state: At) -> Any:
        run.send(run.open("t.R", BOB, 0), Note("1"))
        return then(run)

    return part


def test_it_waits_until_it_is_accepted_and_keeps_its_result() -> None:
    actor = Actor(play("t.A", only_sends()))
    commit = actor.go(BEGIN)
    assert commit is not None
    assert commit.outcome is None
    assert actor.checkpoint.waiting == OnAcceptance(encode("fine"))
    assert actor.go() is None
    commit = actor.get(CONFIRM, 0)
    assert outcome(commit).value == encode("fine")
    assert sent(commit) == [End()]
    assert commit is not None
    assert commit.gone


def test_it_fails_if_nobody_listened() -> None:
    actor = Actor(play("t.A", only_sends()))
    actor.go(BEGIN)
    commit = actor.get(Reject("there is no flow t.R here", "id"), 0)
    error = failure(commit)
    assert isinstance(error, rt.SessionRejected)
    assert (error.reason, error.error_id) == ("there is no flow t.R here", "id")
    assert commit is not None
    assert commit.gone


def test_a_subflow_that_only_sends_waits_too_and_its_caller_may_catch_it() -> None:
    inner = play("t.Inner", only_sends())

    def caught(run: Any, state: At) -> Any:
        try:
            return Return(run.result(inner))
        except rt.SessionRejected as e:
            return Return(f"caught {e.reason}")

    for letter, result in ((CONFIRM, "fine"), (Reject("no", "id"), "caught no")):
        actor = Actor(play("t.A", lambda run, state: Call(at(1), inner, at(0)), caught), inner)
        actor.go(BEGIN)
        assert len(actor.checkpoint.frames) == 2
        commit = actor.get(letter, 0)
        assert outcome(commit).value == encode(result)
        assert actor.checkpoint.sessions == []


def in_a_block(count: int) -> Any:
    """Opens in a block and leaves it, so often, then rests."""

    def part(run: Any, state: At) -> Any:
        for _ in range(count):
            run.send(run.open("t.R", BOB, 1), Note("1"))
            run.leave(0)
        return Hold(at(1), "rest")

    return part


@pytest.mark.parametrize("end", ["returns", "throws"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_rejected_sessions_of_a_block_leave_nothing_behind(count: int, end: str) -> None:
    def last(run: Any, state: At) -> Any:
        if end == "throws":
            raise TooMuch(1, 2)
        return Return("fine")

    actor = Actor(play("t.A", in_a_block(count), last, errors=ERRORS))
    actor.go(BEGIN)
    for number in range(count):
        actor.get(Reject("no", f"id{number}"), 0, number)
    assert len(actor.sessions) == 1, "one rejection is enough to fail with"
    commit = actor.go(RETRY)
    kind = rt.SessionRejected if end == "returns" else TooMuch
    assert isinstance(failure(commit), kind)
    assert commit is not None
    assert commit.gone
    assert actor.checkpoint.sessions == []


def test_a_rejection_that_comes_while_it_waits_for_another_acceptance() -> None:
    def part(run: Any, state: At) -> Any:
        for _ in range(3):
            run.send(run.open("t.R", BOB, 1), Note("1"))
            run.leave(0)
        return Return("fine")

    actor = Actor(play("t.A", part))
    actor.go(BEGIN)
    actor.get(Reject("no", "id"), 0, 1)
    assert actor.get(CONFIRM, 0, 0) is not None
    commit = actor.get(CONFIRM, 0, 2)
    assert isinstance(failure(commit), rt.SessionRejected)
    assert commit is not None
    assert commit.gone


def test_confirmed_sessions_of_a_block_are_told_and_forgotten() -> None:
    actor = Actor(play("t.A", in_a_block(3), lambda run, state: Return(1)))
    actor.go(BEGIN)
    for number in range(3):
        assert sent(actor.get(CONFIRM, 0, number)) == [End()]
    assert actor.sessions == []
    assert actor.get(data(Reply(1)), 1) is None, "what still comes has no reader"


# --- subflows ------------------------------------------------------------------------------------


def test_a_subflow_returns_into_its_caller_in_the_same_step() -> None:
    inner = play("t.Inner", lambda run, state: Return(state.count * 2))
    outer = play(
        "t.Outer",
        lambda run, state: Call(at(1), inner, at(0, count=21)),
        lambda run, state: Return(run.result(inner)),
    )
    assert outcome(Actor(outer, inner).go(BEGIN)).value == encode(42)


def test_an_error_goes_through_every_frame_until_it_is_caught() -> None:
    third = play("t.Third", lambda run, state: Pause(at(1)), lambda run, state: boom())
    second = play(
        "t.Second",
        lambda run, state: Call(at(1), third, at(0)),
        lambda run, state: Return(run.result(third)),
    )

    def caught(run: Any, state: At) -> Any:
        try:
            return run.result(second)
        except TooMuch as e:
            return Return(f"{e} {e.peer} {len(e.error_id)}")

    first = play("t.First", lambda run, state: Call(at(1), second, at(0)), caught)
    actor = Actor(first, second, third)
    actor.go(BEGIN)
    assert [frame.flow for frame in actor.checkpoint.frames] == [
        "t.First_v1",
        "t.Second_v1",
        "t.Third_v1",
    ]
    assert outcome(actor.go()).value == encode("2 is over 1 None 16")


def boom() -> Any:
    raise TooMuch(1, 2)


def test_a_subflows_sessions_end_with_it_and_its_callers_do_not() -> None:
    def uses(run: Any, state: At) -> Any:
        run.send(state.s, Note("by the subflow"))
        own = run.open("t.R", rt.Party("carol"), 0)
        return Receive(at(1, state.s), own)

    def ends(run: Any, state: At) -> Any:
        run.received(Reply)
        return Return(None)

    inner = play("t.Inner", uses, ends)
    outer = play(
        "t.Outer",
        opens(then=lambda s: Call(at(1, s), inner, at(0, s))),
        lambda run, state: run.send(state.s, Note("by the caller")) or Hold(at(1), ""),
    )
    actor = Actor(outer, inner)
    actor.go(BEGIN)
    assert [invitation.initiator for invitation in actor.invitations] == ["t.Outer", "t.Inner"]
    actor.get(CONFIRM, 0, 0)
    actor.get(CONFIRM, 0, 1, "carol")
    commit = actor.get(data(Reply(1)), 1, 1, "carol")
    assert commit is not None
    assert [(peer, item.content) for peer, item in commit.outbox] == [
        ("carol", End()),
        ("bob", data(Note("by the caller"))),
    ]
    assert actor.sessions == [0]


def test_a_failing_subflow_tells_its_own_peers_and_not_its_callers() -> None:
    def part(run: Any, state: At) -> Any:
        return Receive(at(1), run.open("t.R", rt.Party("carol"), 0))

    inner = play("t.Inner", part, lambda run, state: boom())

    def caught(run: Any, state: At) -> Any:
        try:
            run.result(inner)
        except TooMuch:
            return Hold(at(1), "caught")

    outer = play("t.Outer", opens(then=lambda s: Call(at(1, s), inner, at(0))), caught)
    actor = Actor(outer, inner)
    actor.go(BEGIN)
    actor.get(CONFIRM, 0, 0)
    actor.get(CONFIRM, 0, 1, "carol")
    commit = actor.get(data(Reply(1)), 1, 1, "carol")
    assert commit is not None
    (told_carol,) = commit.outbox
    assert (told_carol[0], told_carol[1].content.name) == ("carol", "hand.TooMuch")


def test_a_fresh_session_after_a_caught_error() -> None:
    inner = play("t.Inner", opens(Ask(1)), takes(Reply, lambda reply: Return(reply.n)))

    def again(run: Any, state: At) -> Any:
        try:
            return Return(run.result(inner))
        except TooMuch:
            return Call(at(1), inner, at(0))

    outer = play("t.Outer", lambda run, state: Call(at(1), inner, at(0)), again, errors=ERRORS)
    actor = Actor(outer, inner)
    actor.go(BEGIN)
    actor.get(CONFIRM, 0, 0)
    actor.get(Failure("hand.TooMuch", encode(TooMuch(1, 2).fields()), "id"), 1, 0)
    assert actor.sessions == [1]
    assert len({invitation.secret for invitation in actor.invitations}) == 2
    actor.get(Confirm(71, 0, 1), 0, 1)
    assert outcome(actor.get(data(Reply(8)), 1, 1)).value == encode(8)


def recursive(depth: int) -> Actor:
    def down(run: Any, state: At) -> Any:
        if state.count == 0:
            return Return(0)
        return Call(at(1, count=state.count), made[0], at(0, count=state.count - 1))

    made: list[Any] = []
    made.append(play("t.Deep", down, lambda run, state: Return(state.count + run.result(made[0]))))
    return Actor(made[0], start=at(0, count=depth))


def test_recursion_goes_deep_but_not_for_ever() -> None:
    deepest = MAX_FRAMES - 1
    assert outcome(recursive(deepest).go(BEGIN)).value == encode(deepest * (deepest + 1) // 2)
    with pytest.raises(Fault, match=f"more than {MAX_FRAMES} deep"):
        recursive(MAX_FRAMES).go(BEGIN)


def test_a_subflow_that_is_not_registered_is_a_fault() -> None:
    inner = play("t.Inner")
    with pytest.raises(Fault, match="Inner is not registered"):
        Actor(play("t.Outer", lambda run, state: Call(at(1), inner, at(0)))).go(BEGIN)


def test_results_and_messages_are_asked_for_once_and_only_if_there() -> None:
    for wrong in (lambda run, state: run.received(Ask), lambda run, state: run.result(rt.Flow)):
        with pytest.raises(rt.InvariantBroken):
            Actor(play("t.A", wrong)).go(BEGIN)


# --- what else a step may do ---------------------------------------------------------------------


def test_a_loop_without_an_end_fails_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "MAX_TURNS", 100)

    def part(run: Any, state: At) -> Any:
        while True:
            run.tick()

    with pytest.raises(Fault, match="more than 100 turns"):
        Actor(play("t.A", part)).go(BEGIN)


def test_texts_for_people_may_hold_anything() -> None:
    """An author's Python can make texts that no encoder takes."""
    odd = "half \ud800 pair"

    def part(run: Any, state: At) -> Any:
        run.at("ONE", odd)
        run.log("warn", odd)
        return Hold(at(0), odd)

    commit = Actor(play("t.A", part, steps=(rt.ProgressStep("ONE", "One"),))).go(BEGIN)
    assert commit is not None
    written = "half \\ud800 pair"
    assert commit.logs == [("warn", written)]
    assert [move.label for move in commit.moves] == [written]
    assert commit.held == written
    encode((commit.logs, commit.moves))


def test_a_service_is_whatever_is_bound_to_its_name() -> None:
    key = rt.ServiceKey[Any]("t.S")
    thing = object()
    seen = []
    flow = play("t.A", lambda run, state: seen.append(run.service(key)) or Return(None))
    Actor(flow, services={"t.S": thing}).go(BEGIN)
    assert seen == [thing]


# --- whether a flow can go on --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waiting", "can"),
    [
        (OnCommit(), True),
        (OnMessage(0), False),
        (OnMessage(9), True),
        (OnTime(NOW_US), True),
        (OnTime(NOW_US + 1), False),
        (OnOperator("x"), False),
        (OnAcceptance(b"\xc0"), False),
        (OnSettling(), False),
    ],
    ids=repr,
)
def test_who_can_go_on(waiting: Any, can: bool) -> None:
    actor = Actor(play("t.A", opens(), takes(Reply)))
    actor.go(BEGIN)
    actor.checkpoint.waiting = waiting
    assert engine.can_go_on(actor.checkpoint, NOW_US) is can
    assert (engine.due(actor.checkpoint, NOW_US) == 0) is can
    actor.checkpoint.admitted = True
    assert engine.due(actor.checkpoint, NOW_US) is None


def test_events_that_find_nothing_to_do_write_nothing() -> None:
    actor = Actor(play("t.A", opens(), takes(Reply)))
    actor.go(BEGIN)
    before = encode(actor.checkpoint)
    assert actor.go(RESUME) is None
    assert encode(actor.checkpoint) == before


# --- outcomes ------------------------------------------------------------------------------------


def test_an_outcomes_error_is_itself_again_or_says_what_it_was() -> None:
    def part(run: Any, state: At) -> Any:
        raise Refused("cold")

    made = outcome(Actor(play("t.A", part)).go(BEGIN))
    known = engine.error_from_outcome(made, ERRORS)
    assert isinstance(known, Refused)
    unknown = engine.error_from_outcome(made, {})
    assert type(unknown) is rt.UnexpectedFlowEnd
    assert unknown.reason == "hand.Refused: refused: cold"
    assert unknown.error_id == known.error_id


def test_an_outcome_that_was_damaged_says_so() -> None:
    with pytest.raises(BadBytes):
        engine.error_from_outcome(engine.Outcome("t.A_v1", b"\xc1", "hand.Refused"), ERRORS)
    with pytest.raises(BadBytes):
        decode(int, b"\xa1x")
