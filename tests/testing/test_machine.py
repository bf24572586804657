"""Protocol machines: they say what the automaton allows, and find what a flow cannot take."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.stateful import invariant, run_state_machine_as_test

from flowrt.core import flow as rt
from flowrt.core.values import End, Letter, encode
from flowrt.testing import ProtocolMachine, protocol_machine
from flowrt.testing.adversaries import hostile_machine
from flowrt.testing.counterparty import BrokenPeer
from flowrt.testing.stage import Stage
from tests.runtime.written import compiled

FLOWS = [
    ("purchase", "Sale_v1", {}),
    ("purchase", "Purchase_v1", {}),
    ("loan", "Lend_v1", {}),
    ("loan", "Borrow_v1", {"peers": ("ann", "ben")}),
    ("small_channel", "Channel_v1", {}),
    ("small_channel", "Collect_v1", {}),
    ("small_trade", "Buyer_v1", {}),
    ("small_trade", "Notary_v1", {}),
]


def run(machine: type[ProtocolMachine], examples: int = 8, steps: int = 12) -> None:
    """Play the machine; raises what it finds, shrunk."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def found(error: BaseException) -> str:
    """What hypothesis says about a failure: the error, and the steps that lead to it."""
    return "\n".join([f"{type(error).__name__}: {error}", *error.__notes__])


@pytest.mark.parametrize(("example", "flow", "options"), FLOWS)
def test_the_examples_flows(
    examples: dict[str, SimpleNamespace], example: str, flow: str, options: dict[str, Any]
) -> None:
    ends = set()

    class Machine(protocol_machine(getattr(examples[example].flow, flow), **options)):  # type: ignore[misc]
        def teardown(self) -> None:
            ends.add(type(self.outcome).__name__)
            super().teardown()

    run(Machine)
    assert len(ends) > 1


@pytest.mark.parametrize(("example", "flow", "options"), FLOWS)
def test_nobody_harms_the_examples_flows(
    examples: dict[str, SimpleNamespace], example: str, flow: str, options: dict[str, Any]
) -> None:
    run(hostile_machine(getattr(examples[example].flow, flow), **options), examples=5)


waits = compiled(
    """
message Hello:
    name: Text
message Number:
    value: Int
message Bye
message Stop
record Question:
    text: Text

flow Opens(whom: Party, others: List[Party]) -> Int:
    startable by rpc as owner
    open Answers with whom as one
    send Hello("") to one
    receive from one:
        case Number as number:
            require number.value > 0 else Malformed("no")
        case Bye:
            return 0
        case ended:
            return 1
    open Answers with each others as many
    receive numbers: Number from each many unchecked
    receive:
        case Hello from one as hello:
            require hello.name != "" else Malformed("no")
        case Stop from owner:
            return 2
        case timeout 1h:
            return 3
    let answer = ask "clerk": Question("why") -> Hello
    sleep 1d
    return subflow Rest(one)

flow Rest(one: Session) -> Int:
    receive bye: Bye from one unchecked
    return 4

flow Answers():
    responds to Opens as peer
    receive hello: Hello from peer unchecked
    send Number(1) to peer
"""
)


def test_what_a_flow_waits_for_is_known_in_every_state() -> None:
    stage = Stage([waits], {}, ["ann", "ben"])
    ann, ben = stage.peers["ann"], stage.peers["ben"]

    def wanted() -> list[tuple[str, str]]:
        return [(line.owner.name, one.kind.__name__) for line, one in stage.expected()]

    def say(message: rt.Message, line: Any) -> None:
        line.send(message)
        stage.rest()

    stage.start(waits.Opens_v1, {"whom": rt.Party("ann"), "others": (rt.Party("ben"),)})
    assert wanted() == []  # The invitation is not answered.
    ann.lines[0].accept()
    stage.rest()
    assert wanted() == [("ann", "Number"), ("ann", "Bye")]
    say(waits.Number(1), ann.lines[0])
    ben.lines[0].accept()
    stage.rest()
    assert wanted() == [("ben", "Number")]
    say(waits.Number(1), ben.lines[0])
    assert wanted() == [("ann", "Hello")]
    say(waits.Hello("ann"), ann.lines[0])
    assert wanted() == []  # It waits for a person,
    stage.node.submit_answer(1, stage.node.tasks()[0].number, waits.Hello("clerk"), "clerk")
    stage.rest()
    assert wanted() == []  # then for tomorrow.
    stage.crash()
    stage.sleep(datetime.timedelta(days=1))
    assert wanted() == [("ann", "Bye")]
    say(waits.Bye(), ann.lines[0])
    assert stage.outcomes() == {1: 4}
    assert stage.messages() == [waits.Hello("")]
    stage.close()


FAULTY = """
message Ask:
    parts: Int
message Share:
    units: Int

flow Client(whom: Party):
    startable by rpc
    open Divider with whom as line
    send Ask(2) to line
    receive share: Share from line unchecked

flow Divider() -> Int:
    responds to Client as line
    var rest = 12
    var last = 0
    while rest > 0:
        receive wish: Ask from line:
            require wish.parts >= last else Malformed("no")
        last = wish.parts
        rest = rest - rest // wish.parts
        send Share(rest) to line
    return rest
"""


def test_a_planted_mistake_is_found_and_small() -> None:
    faulty = compiled(FAULTY)
    with pytest.raises(AssertionError, match="is in the hospital") as caught:
        run(protocol_machine(faulty.Divider_v1), examples=200)
    text = found(caught.value)
    assert "Divider_v1 is in the hospital" in text
    assert "Fault: division by zero" in text
    assert text.count("peer_sends_what_is_expected") == 1
    assert "Ask(parts=0)" in text
    assert "time_passes" not in text
    assert "node_crashes" not in text


def test_authors_add_what_must_hold() -> None:
    faulty = compiled(FAULTY)

    class Machine(protocol_machine(faulty.Divider_v1, given={rt.Int: st.integers(2, 4)})):  # type: ignore[misc]
        @invariant()
        def never_less_than_five(self) -> None:
            shares = [message.units for message in self.stage.messages()]
            assert all(units >= 5 for units in shares), shares

    with pytest.raises(AssertionError, match=r"\[6, 3\]"):
        run(Machine, examples=100)


def test_an_adversary_finds_what_an_honest_peer_never_says() -> None:
    """Honest peers name times of this age; an adversary one after which there is none."""
    faulty = compiled(
        """
message Meeting:
    at: Timestamp

flow Client(whom: Party):
    startable by rpc
    open Calendar with whom as line
    send Meeting(now) to line

flow Calendar() -> Timestamp:
    responds to Client as line
    receive meeting: Meeting from line unchecked
    return meeting.at + 36525d
"""
    )
    run(protocol_machine(faulty.Calendar_v1), examples=15, steps=5)
    with pytest.raises(AssertionError, match="the time is out of range"):
        run(hostile_machine(faulty.Calendar_v1), examples=300, steps=5)


def test_who_changes_another_flow_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adversary is real: without the look at who speaks, it reaches the witness's flow."""
    program = compiled(FAULTY)
    monkeypatch.setattr("flowrt.core.session.is_for", lambda session, peer, secret: True)
    with pytest.raises(AssertionError, match="which talks with somebody else, was changed"):
        run(hostile_machine(program.Divider_v1, given={rt.Int: st.integers(2, 4)}), examples=300)


def test_a_node_that_goes_on_after_its_last_word_is_found() -> None:
    stage = Stage([compiled(FAULTY)], {}, ["ann"])
    line = stage.peers["ann"].invite(stage.node.registry.classes[_divider(stage)])
    stage.rest()
    line.send(stage.node.registry.messages[_asking(stage)](-1))
    stage.rest()
    assert line.is_over  # It threw Malformed.
    more = Letter(0, 0, line.state.secret, line.state.expected, End())
    with pytest.raises(BrokenPeer, match="spoke after its last word"):
        line.owner.hear("host", bytes(8) + encode(more))
    other = Letter(0, 0, b"another secret..", 0, End())
    with pytest.raises(BrokenPeer, match="a letter in a session that ann does not have"):
        line.owner.hear("host", bytes(8) + encode(other))
    stage.close()


def _asking(stage: Stage) -> str:
    return next(name for name in stage.node.registry.messages if name.endswith(".Ask"))


def _divider(stage: Stage) -> str:
    return next(name for name in stage.node.registry.classes if name.endswith(".Divider_v1"))


def test_what_cannot_be_tested_so() -> None:
    with pytest.raises(InvalidArgument, match="is no flow; give a generated class"):
        protocol_machine(object)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="Rest_v1 neither responds to a flow nor is"):
        protocol_machine(waits.Rest_v1)
    with pytest.raises(InvalidArgument, match="Opens_v1 has no parameter from_"):
        protocol_machine(waits.Opens_v1, arguments={"from_": st.none()})
    with pytest.raises(InvalidArgument, match="no flow uses a service Desk; they use: none"):
        protocol_machine(waits.Opens_v1, services={"Desk": object()})()
    with pytest.raises(InvalidArgument, match=r"no flow calls an operation Desk\.ask"):
        protocol_machine(waits.Opens_v1, answers={"Desk.ask": st.none()})()
