"""How a flow waits for several things: which one counts, what is thrown, what is dropped."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import pytest

from flowrt.core import engine
from flowrt.core import flow as rt
from flowrt.core.engine import CallEnded, FlowEnded, Outcome
from flowrt.core.flow import (
    Await,
    Call,
    Came,
    Choose,
    Done,
    Ended,
    Late,
    Receive,
    ReceiveEach,
    Return,
    Sleep,
    WaitUntil,
)
from flowrt.core.values import Confirm, Data, End, Ending, Failure, Reject, encode
from tests.runtime.hand_flow import Note, Refused, Reply
from tests.runtime.plays import NOW_US, Actor, At, at, play, sent

SECOND_US = 1_000_000
NOW = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=NOW_US)


def seconds(count: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=count)


def data(message: rt.Message) -> Data:
    return Data(message.wire, encode(message))


def opening(*parties: str) -> Any:
    """A first step that opens sessions 0, 1, … and goes on in a checkpoint."""

    def first(run: Any, at_: At) -> Any:
        for party in parties:
            run.send(run.open("t.B", rt.Party(party), 0), Note("hello"))
        return rt.Checkpoint(at(1))

    return first


def actor(*parts: Any, parties: Sequence[str] = ("bob",), others: Sequence[Any] = ()) -> Actor:
    """A flow whose sessions with these parties are open, and which has gone to its second step."""
    made = Actor(play("t.A", opening(*parties), *parts, errors={"hand.Refused": Refused}), *others)
    made.go(engine.BEGIN)
    for number, party in enumerate(parties):
        made.go(made.letter(Confirm(7, number, 3), 0, number, party), run=False)
    made.go()
    return made


def ended(commit: engine.Commit | None) -> Any:
    """The result of the flow that this commit ended, or the error that did."""
    assert commit is not None
    assert commit.outcome is not None
    if commit.outcome.error is not None:
        errors = {"hand.Refused": Refused}
        return engine.error_from_outcome(commit.outcome, errors)
    return engine.decode(int | str | None, commit.outcome.value)


ALL: tuple[rt.Session, ...] = (rt.Session(0), rt.Session(1), rt.Session(2))
THREE = ("bob", "carol", "dave")


def says(run: Any, kind: type[rt.Message]) -> str:
    return f"{run.sender()}: {run.received(kind)}"


def chooser(*arms: Any, sessions: Any = ALL, timeout: Any = None, until: Any = None) -> Any:
    """Steps that choose once and tell which arm it was, and of which session."""

    def waits(run: Any, at_: At) -> Any:
        return Choose(at(2), sessions, (), timeout, until)

    def tells(run: Any, at_: At) -> Any:
        arm = run.chosen(*arms)
        if isinstance(arms[arm], Came):
            run.received(arms[arm].kind)
        return Return(f"{arm} {run.sender()}")

    return waits, tells


# --- a choice ------------------------------------------------------------------------------------


def test_of_several_sessions_the_earliest_arrival_wins() -> None:
    who = actor(*chooser(Came(ALL, Reply)), parties=THREE)
    who.go(who.letter(data(Reply(1)), 1, 2, "dave"), run=False)
    who.go(who.letter(data(Reply(2)), 1, 0, "bob"), run=False)
    assert ended(who.go()) == "0 2"


def test_the_first_arm_that_fits_is_chosen_by_type_and_session() -> None:
    arms = (Came(rt.Session(1), Reply), Came(ALL, Note), Came(rt.Session(0), Reply))
    for party, session, message, arm in (
        ("bob", 0, Reply(1), "2 0"),
        ("carol", 1, Reply(1), "0 1"),
        ("bob", 0, Note("?"), "1 0"),
    ):
        who = actor(*chooser(*arms), parties=THREE)
        assert ended(who.get(data(message), 1, session, party)) == arm


def test_a_message_that_was_committed_first_wins_over_the_timer() -> None:
    who = actor(*chooser(Came(ALL, Reply), Late(), timeout=seconds(10)), parties=THREE)
    who.go(who.letter(data(Reply(1)), 1, 1, "carol"), run=False)
    who.world.now_us += 3600 * SECOND_US
    assert ended(who.go()) == "0 1"


def test_time_is_over_when_nothing_came() -> None:
    who = actor(*chooser(Came(ALL, Reply), Late(), timeout=seconds(10)), parties=THREE)
    who.world.now_us += 10 * SECOND_US - 1
    assert who.go() is None
    who.world.now_us += 1
    assert ended(who.go()) == "1 -1"


def test_a_time_that_no_case_takes_is_our_own_fault() -> None:
    who = actor(*chooser(Came(ALL, Reply), timeout=seconds(1)), parties=THREE)
    who.world.now_us += SECOND_US
    with pytest.raises(rt.InvariantBroken, match="timeout"):
        who.go()


@pytest.mark.parametrize(
    ("own", "until", "result"),
    [(5, 9, "0 -1"), (5, 5, "0 -1"), (9, 5, "Timeout"), (5, -5, "Timeout"), (0, 9, "0 -1")],
)
def test_of_its_own_time_and_a_deadline_the_first_counts(own: int, until: int, result: str) -> None:
    deadline = NOW + seconds(until)
    who = actor(*chooser(Late(), Came(ALL, Reply), timeout=seconds(own), until=deadline))
    who.world.now_us += 60 * SECOND_US
    found = ended(who.go())
    assert (found if isinstance(found, str) else type(found).__name__) == result


def test_an_end_is_told_once_and_when_all_are_over_it_is_thrown() -> None:
    def waits(run: Any, at_: At) -> Any:
        return Choose(at(2, kept=at_.kept), ALL[:2])

    def tells(run: Any, at_: At) -> Any:
        try:
            run.chosen(Ended(ALL[:2]))
        except rt.SessionEnded:
            return Return(at_.kept)
        return rt.Checkpoint(at(1, kept=f"{at_.kept}{run.sender()}"))

    who = actor(waits, tells, parties=THREE[:2])
    assert who.get(End(), 1, 1, "carol") is not None
    who.go()
    assert who.go() is None, "the other may still speak"
    who.get(End(), 1, 0, "bob")
    who.go()
    assert ended(who.go()) == "10"


def test_an_end_that_no_case_takes_is_thrown() -> None:
    who = actor(*chooser(Came(ALL, Reply)), parties=THREE)
    assert type(ended(who.get(End(), 1, 1, "carol"))) is rt.SessionEnded


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (Failure("hand.Refused", encode(Refused("no").fields()), "id"), Refused),
        (Failure("UnexpectedFlowEnd", b"", "id"), rt.UnexpectedFlowEnd),
        (data(Note("what")), rt.UnexpectedMessage),
        (Data(Reply.wire, b"\xc1"), rt.Malformed),
        (Data(Reply.wire, b""), rt.Malformed),
    ],
)
def test_what_no_case_takes_is_thrown(content: Any, kind: type[rt.FlowError]) -> None:
    arms = (Came(ALL, Reply), Ended(ALL), Late())
    who = actor(*chooser(*arms, timeout=seconds(9)), parties=THREE)
    assert type(ended(who.get(content, 1, 1, "carol"))) is kind


def test_a_session_that_was_closed_here_is_over() -> None:
    def waits(run: Any, at_: At) -> Any:
        run.close(rt.Session(0))
        return Choose(at(2), ALL[:2])

    who = actor(waits, chooser(Came(ALL, Reply))[1], parties=THREE[:2])
    assert engine.due(who.checkpoint, NOW_US) is None
    assert ended(who.get(data(Reply(1)), 1, 1, "carol")) == "0 1"


def test_a_choice_of_one_tells_its_end_again() -> None:
    """`receive from s:` with `case ended:` after the session is over."""
    one = rt.Session(0)

    def waits(run: Any, at_: At) -> Any:
        run.close(one)
        return Choose(at(2), (one,))

    who = actor(waits, chooser(Came(one, Reply), Ended(one))[1])
    assert ended(who.go()) == "1 0"


def test_a_choice_among_nobody_does_not_wait_for_ever() -> None:
    who = actor(*chooser(Came((), Reply), sessions=()))
    assert type(ended(who.go())) is rt.SessionEnded


def test_a_rejection_is_thrown_from_a_choice() -> None:
    who = Actor(
        play("t.A", opening("bob"), *chooser(Came(ALL, Reply), Ended(ALL), sessions=ALL[:1]))
    )
    who.go(engine.BEGIN)
    who.go()
    assert type(ended(who.get(Reject("no such flow", "id"), 0))) is rt.SessionRejected


def test_a_choice_without_a_question_is_our_own_fault() -> None:
    who = actor(chooser(Came(ALL, Reply))[0], lambda run, at_: Return("silent"))
    with pytest.raises(rt.InvariantBroken, match="did not ask"):
        who.get(data(Reply(1)), 1)


# --- one from each -------------------------------------------------------------------------------


def each(optional: bool = False, discard: bool = False, until: Any = None) -> Any:
    def waits(run: Any, at_: At) -> Any:
        return ReceiveEach(at(2), ALL, optional, until, discard)

    def tells(run: Any, at_: At) -> Any:
        ask = run.received_some if optional else run.received_each
        return Return(" ".join([str(m.n) if m else "-" for m in ask(Reply)]))

    return waits, tells


def test_one_from_each_in_the_sessions_order() -> None:
    who = actor(*each(), parties=THREE)
    who.get(data(Reply(3)), 1, 2, "dave")
    who.get(data(Reply(4)), 2, 2, "dave")
    who.get(data(Reply(1)), 1, 0, "bob")
    assert ended(who.get(data(Reply(2)), 1, 1, "carol")) == "1 2 3"


def test_the_first_error_is_thrown_at_once() -> None:
    who = actor(*each(), parties=THREE)
    who.get(data(Reply(3)), 1, 2, "dave")
    failure = Failure("hand.Refused", encode(Refused("by carol").fields()), "id")
    error = ended(who.get(failure, 1, 1, "carol"))
    assert str(error) == str(Refused("by carol"))


def test_of_two_that_went_wrong_the_first_is_thrown() -> None:
    who = actor(*each(), parties=THREE)
    failure = Failure("hand.Refused", encode(Refused("x").fields()), "id")
    who.go(who.letter(failure, 1, 2, "dave"), run=False)
    who.go(who.letter(End(), 1, 0, "bob"), run=False)
    assert type(ended(who.go())) is Refused


def test_nobody_to_wait_for_is_an_empty_list() -> None:
    for optional in (False, True):
        who = actor(
            lambda run, at_, o=optional: ReceiveEach(at(2), (), o),
            each(optional)[1],
        )
        assert engine.due(who.checkpoint, NOW_US) == 0
        assert ended(who.go()) == ""


def test_a_group_that_is_late_is_a_timeout_and_nothing_is_lost() -> None:
    def later(run: Any, at_: At) -> Any:
        with pytest.raises(rt.Timeout):
            run.received_each(Reply)
        return ReceiveEach(at(3), ALL)

    who = actor(each(until=NOW + seconds(9))[0], later, each()[1], parties=THREE)
    who.get(data(Reply(1)), 1, 0, "bob")
    who.get(data(Reply(2)), 1, 1, "carol")
    who.world.now_us += 9 * SECOND_US
    who.go()
    assert ended(who.get(data(Reply(3)), 1, 2, "dave")) == "1 2 3"


def test_an_optional_group_takes_what_there_is() -> None:
    who = actor(*each(True, True, NOW + seconds(9)), parties=THREE)
    who.get(data(Reply(1)), 1, 0, "bob")
    who.get(Failure("hand.Refused", encode(Refused("x").fields()), "id"), 1, 1, "carol")
    assert engine.due(who.checkpoint, NOW_US) == NOW_US + 9 * SECOND_US
    who.world.now_us += 9 * SECOND_US
    assert ended(who.go()) == "1 - -"


@pytest.mark.parametrize(
    "content", [End(), data(Note("x")), Data(Reply.wire, b"\xc1"), Failure("E", b"", "id")]
)
def test_an_optional_group_has_none_for_whatever_went_wrong(content: Any) -> None:
    who = actor(*each(True), parties=THREE)
    who.get(content, 1, 1, "carol")
    who.get(data(Reply(1)), 1, 0, "bob")
    assert ended(who.get(data(Reply(3)), 1, 2, "dave")) == "1 - 3"


def test_a_callers_deadline_over_an_optional_group_is_a_timeout() -> None:
    """Nobody said that none is an answer to that one."""
    tells = each(True)[1]

    def calls(run: Any, at_: At) -> Any:
        return Call(at(2), inner, at(0), NOW + seconds(9))

    inner_parts = (lambda run, at_: ReceiveEach(at(1), ALL, True, NOW + seconds(90), True), tells)
    inner = play("t.In", *inner_parts)
    who = actor(calls, lambda run, at_: run.result(inner), parties=THREE, others=[inner])
    who.world.now_us += 9 * SECOND_US
    assert type(ended(who.go())) is rt.Timeout
    assert who.checkpoint.extra is None or not who.checkpoint.extra.owed


# --- owed messages -------------------------------------------------------------------------------


def gives_up(run: Any, at_: At) -> Any:
    with pytest.raises(rt.Timeout):
        run.received(Reply)
    return Receive(at(3), rt.Session(0))


def discarding(run: Any, at_: At) -> Any:
    return Receive(at(2), rt.Session(0), NOW + seconds(1), discard=True)


def last(run: Any, at_: At) -> Any:
    return Return(str(run.received(Reply).n))


def late() -> Actor:
    who = actor(discarding, gives_up, last)
    who.world.now_us += SECOND_US
    who.go()
    assert who.checkpoint.extra is not None
    assert who.checkpoint.extra.owed == {0: 1}
    return who


def test_exactly_one_message_that_is_owed_is_dropped_when_it_comes() -> None:
    who = late()
    assert who.get(data(Reply(1)), 1) is not None
    assert ended(who.get(data(Reply(2)), 2)) == "2"


def test_owed_and_out_of_order() -> None:
    who = late()
    who.get(data(Reply(2)), 2)
    assert ended(who.get(data(Reply(1)), 1)) == "2"


def test_an_end_that_comes_instead_of_what_is_owed_is_told() -> None:
    who = late()
    assert type(ended(who.get(End(), 1))) is rt.SessionEnded


def test_what_is_owed_is_forgotten_with_its_session() -> None:
    def closes(run: Any, at_: At) -> Any:
        with pytest.raises(rt.Timeout):
            run.received(Reply)
        run.close(rt.Session(0))
        return Sleep(at(3), seconds(9))

    who = actor(discarding, closes, lambda run, at_: Return("x"))
    who.world.now_us += SECOND_US
    who.go()
    assert who.sessions == [0], "as long as it has a name, it is known who was there"
    assert who.checkpoint.extra is None


def test_two_owed_are_two_dropped() -> None:
    def again(run: Any, at_: At) -> Any:
        with pytest.raises(rt.Timeout):
            run.received(Reply)
        return Receive(at(3), rt.Session(0), NOW + seconds(2), discard=True)

    def then(run: Any, at_: At) -> Any:
        with pytest.raises(rt.Timeout):
            run.received(Reply)
        return Receive(at(4), rt.Session(0))

    who = actor(discarding, again, then, last)
    for _ in range(2):
        who.world.now_us += SECOND_US
        who.go()
    who.get(data(Reply(1)), 1)
    who.get(data(Reply(2)), 2)
    assert ended(who.get(data(Reply(3)), 3)) == "3"


def test_a_late_message_without_discard_is_read_next() -> None:
    def waits(run: Any, at_: At) -> Any:
        return Receive(at(2), rt.Session(0), NOW + seconds(1))

    who = actor(waits, gives_up, last)
    who.world.now_us += SECOND_US
    who.go()
    assert ended(who.get(data(Reply(7)), 1)) == "7"


# --- deadlines -----------------------------------------------------------------------------------


def test_a_deadline_that_is_past_already_is_still_after_what_is_there() -> None:
    for there in (True, False):
        waits = lambda run, at_: Receive(at(2), rt.Session(0), NOW - seconds(99))  # noqa: E731
        who = Actor(play("t.A", opening("bob"), waits, last))
        who.go(engine.BEGIN)
        who.go(who.letter(Confirm(7, 0, 3), 0), run=False)
        if there:
            who.go(who.letter(data(Reply(5)), 1), run=False)
        who.go()
        found = ended(who.go())
        assert found == "5" if there else type(found) is rt.Timeout


def test_a_deadline_before_1970_is_one() -> None:
    long_ago = datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)
    who = actor(lambda run, at_: Receive(at(2), rt.Session(0), long_ago), last)
    assert type(ended(who.go())) is rt.Timeout


@pytest.mark.parametrize("kind", ["sleep", "until", "receive", "each", "choose", "await", "accept"])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_deadline_over_a_subflow_reaches_every_wait_in_it(kind: str, depth: int) -> None:
    def waits(run: Any, at_: At) -> Any:
        s = rt.Session(0)
        match kind:
            case "sleep":
                return Sleep(at(1), seconds(99))
            case "until":
                return WaitUntil(at(1), NOW + seconds(99))
            case "receive":
                return Receive(at(1), s)
            case "each":
                return ReceiveEach(at(1), (s,))
            case "choose":
                return Choose(at(1), (s,), (), seconds(99))
            case "await":
                return Await(at(1), (run.follow(77),))
            case _:
                run.send(run.open("t.B", rt.Party("bob"), 0), Note("x"))
                return Return(None)

    def asks(run: Any, at_: At) -> Any:
        match kind:
            case "sleep" | "until":
                run.woken()
            case "receive":
                run.received(Reply)
            case "each":
                run.received_each(Reply)
            case "choose":
                run.chosen(Came(rt.Session(0), Reply), Late())
            case _:
                run.outcome(int)
        return Return("not too late")

    flows = [play("t.In0", waits, asks)]
    for number in range(1, depth):
        inner = flows[-1]

        def calls(run: Any, at_: At, inner: Any = inner) -> Any:
            return Call(at(1), inner, at(0), NOW + seconds(50))

        def back(run: Any, at_: At, inner: Any = inner) -> Any:
            return Return(run.result(inner))

        flows.append(play(f"t.In{number}", calls, back))

    def outer(run: Any, at_: At) -> Any:
        return Call(at(2), flows[-1], at(0), NOW + seconds(9))

    def caught(run: Any, at_: At) -> Any:
        with pytest.raises(rt.Timeout):
            run.result(flows[-1])
        return Sleep(at(3), seconds(1000))

    def free(run: Any, at_: At) -> Any:
        run.woken()
        return Return("outlived it")

    who = actor(outer, caught, free, others=flows)
    assert engine.due(who.checkpoint, NOW_US) == NOW_US + 9 * SECOND_US
    who.world.now_us += 9 * SECOND_US
    who.go()
    assert len(who.checkpoint.frames) == 1
    who.world.now_us += 1000 * SECOND_US
    assert ended(who.go()) == "outlived it"


def test_a_subflow_that_catches_its_callers_deadline_is_told_at_its_next_wait() -> None:
    def waits(run: Any, at_: At) -> Any:
        return Sleep(at(1), seconds(99))

    def catches(run: Any, at_: At) -> Any:
        with pytest.raises(rt.Timeout):
            run.woken()
        return Receive(at(2), rt.Session(0))

    inner = play("t.In", waits, catches, last)
    who = actor(
        lambda run, at_: Call(at(2), inner, at(0), NOW + seconds(9)),
        lambda run, at_: run.result(inner),
        others=[inner],
    )
    who.world.now_us += 9 * SECOND_US
    who.go()
    assert engine.due(who.checkpoint, who.world.now_us) == 0
    assert type(ended(who.go())) is rt.Timeout


def test_a_sleep_in_a_subflow_that_is_over_before_the_deadline() -> None:
    def slept(run: Any, at_: At) -> Any:
        run.woken()
        return Return("slept")

    inner = play("t.In", lambda run, at_: Sleep(at(1), seconds(5)), slept)
    who = actor(
        lambda run, at_: Call(at(2), inner, at(0), NOW + seconds(9)),
        lambda run, at_: Return(run.result(inner)),
        others=[inner],
    )
    who.world.now_us += 60 * SECOND_US  # Both are over: the node was away.
    assert ended(who.go()) == "slept"


def test_a_clock_that_is_set_back_only_makes_it_wait_longer() -> None:
    who = actor(*chooser(Late(), timeout=seconds(10), sessions=()))
    who.world.now_us -= 3600 * SECOND_US
    assert who.go() is None
    assert engine.due(who.checkpoint, who.world.now_us) == NOW_US + 10 * SECOND_US
    who.world.now_us = NOW_US + 10 * SECOND_US
    assert ended(who.go()) == "0 -1"


# --- calls ---------------------------------------------------------------------------------------


def asking(within: float | None = None) -> Any:
    def asks(run: Any) -> rt.Pending:
        time = None if within is None else seconds(within)
        return run.ask("boss", "t.Q", 1, "t.A", time)  # type: ignore[no-any-return]

    return asks


def test_a_call_that_was_taken_is_not_told_again() -> None:
    """A loop that chooses between a result and a session whose peer goes on talking."""

    def begins(run: Any, at_: At) -> Any:
        call = run.follow(50)
        return Choose(at(2, count=call), (rt.Session(0),), (call,))

    def tells(run: Any, at_: At) -> Any:
        call = rt.Pending(at_.count)
        if run.chosen(Done(call), Came(rt.Session(0), Reply)) == 0:
            assert run.outcome(int) == 5
            return Choose(at(2, count=call), (rt.Session(0),), (call,))
        return Return(str(run.received(Reply).n))

    who = actor(begins, tells)
    who.go(FlowEnded(50, Outcome("t.X_v1", encode(5))))
    assert engine.due(who.checkpoint, NOW_US) is None
    assert who.go() is None
    assert ended(who.get(data(Reply(4)), 1)) == "4"


def test_a_call_and_a_message_in_the_order_in_which_they_came() -> None:
    def begins(run: Any, at_: At) -> Any:
        call = run.follow(50)
        return Choose(at(2, count=call), (rt.Session(0),), (call,))

    def tells(run: Any, at_: At) -> Any:
        return Return(run.chosen(Done(rt.Pending(at_.count)), Came(rt.Session(0), Reply)))

    for first in (0, 1):
        who = actor(begins, tells)
        events: list[engine.Event] = [FlowEnded(50, Outcome("t.X_v1", encode(5)))]
        events.insert(1 - first, who.letter(data(Reply(4)), 1))
        for event in events:
            who.go(event, run=False)
        assert ended(who.go()) == first


@pytest.mark.parametrize(
    ("task", "own", "until", "result"),
    [
        (5, 9, 99, "TaskExpired"),
        (9, 5, 99, "late"),
        (9, 99, 5, "Timeout"),
        (5, 5, 5, "TaskExpired"),
    ],
)
def test_after_a_long_rest_what_was_over_first_counts(
    task: int, own: int, until: int, result: str
) -> None:
    def begins(run: Any, at_: At) -> Any:
        call = asking(task)(run)
        return Choose(at(2, count=call), (), (call,), seconds(own), NOW + seconds(until))

    def tells(run: Any, at_: At) -> Any:
        if run.chosen(Done(rt.Pending(at_.count)), Late()) == 1:
            return Return("late")
        return Return(run.answer(int).value)

    who = actor(begins, tells)
    who.world.now_us += 1000 * SECOND_US
    found = ended(who.go())
    assert (found if isinstance(found, str) else type(found).__name__) == result


@pytest.mark.parametrize(("until", "error"), [(5, "Timeout"), (9, "TaskExpired")])
def test_an_awaited_task_is_expired_or_too_late(until: int, error: str) -> None:
    def begins(run: Any, at_: At) -> Any:
        return Await(at(2), (asking(7)(run),), NOW + seconds(until))

    who = actor(begins, lambda run, at_: Return(run.answer(int).value))
    who.world.now_us += 1000 * SECOND_US
    assert type(ended(who.go())).__name__ == error


def gathers(*flows: int, until: Any = None) -> Any:
    def begins(run: Any, at_: At) -> Any:
        return Await(at(2), tuple(run.follow(flow) for flow in flows), until)

    def tells(run: Any, at_: At) -> Any:
        try:
            return Return(str(run.outcomes(int)))
        except rt.FlowFailed as error:
            return Return(error.reason)

    return begins, tells


def test_awaiting_each_gives_their_results_in_order() -> None:
    who = actor(*gathers(50, 51, 52))
    for flow in (52, 50):
        assert who.go(FlowEnded(flow, Outcome("t.X_v1", encode(flow)))) is not None
    assert ended(who.go(FlowEnded(51, Outcome("t.X_v1", encode(51))))) == "(50, 51, 52)"


def test_awaiting_each_fails_with_the_first() -> None:
    who = actor(*gathers(50, 51, 52))
    lost = Outcome("t.X_v1", encode((None, "id", None, "it is gone")), "t.Gone")
    commit = who.go(FlowEnded(52, lost))
    assert ended(commit) == "t.Gone: it is gone"


def test_awaiting_nobody_is_an_empty_list() -> None:
    who = actor(*gathers())
    assert ended(who.go()) == "()"


def test_awaiting_each_too_long_is_a_timeout_and_what_comes_then_is_ignored() -> None:
    begins, _ = gathers(50, 51, until=NOW + seconds(5))

    def tells(run: Any, at_: At) -> Any:
        with pytest.raises(rt.Timeout):
            run.outcomes(int)
        return Sleep(at(3), seconds(99))

    who = actor(begins, tells, lambda run, at_: Return("x"))
    who.go(FlowEnded(50, Outcome("t.X_v1", encode(1))))
    who.world.now_us += 5 * SECOND_US
    who.go()
    assert who.go(FlowEnded(51, Outcome("t.X_v1", encode(1)))) is None
    assert who.checkpoint.extra is not None
    assert who.checkpoint.extra.calls == []


def test_a_call_of_a_subflow_goes_with_it() -> None:
    def begins(run: Any, at_: At) -> Any:
        asking()(run)
        return Return(1)

    inner = play("t.In", begins)

    def after(run: Any, at_: At) -> Any:
        run.result(inner)
        return Sleep(at(3), seconds(9))

    who = actor(lambda run, at_: Call(at(2), inner, at(0)), after, others=[inner])
    assert who.checkpoint.extra is not None
    assert who.checkpoint.extra.calls == []
    assert who.checkpoint.extra.next_call == 1, "no other call has its number"
    assert who.go(CallEnded(0, Ending(encode(1)))) is None


def test_nothing_is_said_to_peers_by_a_deadline() -> None:
    who = actor(lambda run, at_: Receive(at(2), rt.Session(0), NOW), last)
    commit = who.go()
    assert [type(content) for content in sent(commit)] == [Failure]
    assert ended(commit).reason == ""
