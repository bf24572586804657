"""Scenarios of operators and clients: CS-110 to CS-145, C26, C36, C44, C51, C55, C56, C72."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Any

import pytest

from flowrt.core.flow import FlowKilled, SessionEnded, SessionRejected, UnexpectedFlowEnd
from flowrt.handle import Bounced, NotAccepted, NotStartable
from flowrt.views import Wanted
from tests.conformance.conftest import Play
from tests.conformance.scene import ALICE, BOB, CAROL, Flow, Scene, program

PROGRAM = """
message Number:
    n: Int

message More:
    n: Int

record Thing:
    name: Text
    data: Bytes
    note: Text? = none

error Wrong(n: Int): "wrong {n}"
error Kind

service Desk:
    write count()
    external think(n: Int) -> Int

flow Leads(others: List[Party], thinks: Bool) -> Int:
    startable by rpc
    open Follows with each others as talks
    send Number(1) to each talks
    try:
        if thinks:
            let thought = await Desk.think(1)
            return thought
        receive numbers: Number from each talks unchecked
        return numbers.size
    catch FlowError:
        return -1

flow Follows():
    responds to Leads as talk
    receive first: Number from talk unchecked
    log info "{first.n}"
    receive second: Number from talk unchecked
    send second to talk

flow Holds(order: Text, nap: Duration) -> Text:
    startable by rpc
    key "order {order}"
    sleep nap
    return order

flow Once(n: Int) -> Int:
    startable by rpc
    Desk.count()
    checkpoint
    require n > 0 else Wrong(n)
    sleep 1h
    return n * 2

flow Nothing():
    startable by rpc
    Desk.count()

flow Ticks():
    startable by schedule
    Desk.count()

schedule Minutely = Ticks() every "* * * * *" in "UTC"

flow Root(other: Party) -> Int:
    startable by rpc
    let n = subflow Branch(other, 2)
    return n

flow Branch(other: Party, depth: Int) -> Int:
    open Twig with other as talk
    if depth > 0:
        let n = subflow Branch(other, depth - 1)
        return n
    receive number: Number from talk unchecked
    return number.n

flow Twig():
    responds to Branch as talk
    try:
        receive number: Number from talk unchecked
        log info "{number.n}"
    catch UnexpectedFlowEnd:
        Desk.count()

flow Owned(nap: Duration) -> Int:
    startable by rpc as owner
    receive first: Number from owner unchecked
    sleep nap
    return first.n

flow Values(
    thing: Thing, amount: Decimal, things: Map[Text, Thing], moment: Timestamp, other: Party
) -> List[Text]:
    startable by rpc
    open ValuesToo with other as talk
    let carry = Carry(thing, amount, things, moment, other)
    send carry to talk then receive back: Carry from talk unchecked
    require back == carry else Wrong(1)
    let name = back.things["a"].name
    return [text(back.amount), text(back.thing.data.size), name, text(back.moment)]

message Carry:
    thing: Thing
    amount: Decimal
    things: Map[Text, Thing]
    moment: Timestamp
    other: Party

flow ValuesToo():
    responds to Values as talk
    receive carry: Carry from talk unchecked
    checkpoint
    send carry to talk
"""

PLAY = program(PROGRAM)
HOUR = datetime.timedelta(hours=1)


class Desk:
    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS counted (at INTEGER)")

    def count(self, tx: Any) -> None:
        tx.execute("INSERT INTO counted VALUES (?)", (int(tx.now.timestamp()),))

    def think(self, key: str, n: int) -> int:
        raise ConnectionError("nobody there")


def services() -> dict[str, object]:
    return {"Desk": Desk()}


QUIET = PROGRAM[: PROGRAM.index("schedule Minutely")] + PROGRAM[PROGRAM.index("flow Root") :]
"""The same without its schedule."""

CALM = program(QUIET)


def counted(scene: Scene, party: str = "alice") -> int:
    return len(scene.rows(party, "SELECT at FROM counted"))


def kill(scene: Scene, flow_id: int, party: str = "alice") -> None:
    scene.node(party).submit_kill(flow_id, by="ann", reason="enough")


# --- kill -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("thinks", [False, True])
def test_cs_111_the_peers_of_a_killed_flow_are_told(play: Play, thinks: bool) -> None:
    scene = play(QUIET, "alice bob carol", services)
    leads = scene.start("alice", CALM.Leads_v1, others=(BOB, CAROL), thinks=thinks)
    scene.run(datetime.timedelta(seconds=10))
    assert [len(scene.flows(party)) for party in ("alice", "bob", "carol")] == [1, 1, 1]
    kill(scene, leads.id)
    kill(scene, leads.id)
    scene.nothing_is_left()
    with pytest.raises(FlowKilled, match="killed by ann: enough"):
        scene.result(leads)
    for party in ("bob", "carol"):
        with pytest.raises(UnexpectedFlowEnd) as told:
            scene.result(Flow(party, 1))
        assert "enough" not in str(told.value)


def test_cs_110_a_flow_that_is_killed_in_a_step_ends_after_it(play: Play) -> None:
    """A step is short and whole: who is told to end ends after it: nothing catches that."""
    scene = play(QUIET, "alice", services)
    once = scene.start("alice", CALM.Once_v1, n=4)
    scene.until(lambda: scene.flows("alice"))
    kill(scene, once.id)
    with pytest.raises(FlowKilled):
        scene.result(once)
    assert counted(scene) == 1
    scene.nothing_is_left()


def test_cs_114_a_killed_flow_frees_what_it_held(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    holds = scene.start("alice", CALM.Holds_v1, order="7", nap=HOUR * 1000)
    scene.run()
    refused = scene.node("alice").submit(CALM.Holds_v1, order="7", nap=HOUR)
    scene.run()
    with pytest.raises(NotStartable, match="lives already"):
        refused.result_now()
    kill(scene, holds.id)
    assert scene.run_flow("alice", CALM.Holds_v1, order="7", nap=HOUR) == "7"


def test_c26_killing_the_root_ends_the_tree_below(play: Play) -> None:
    scene = play(QUIET, services=services)
    root = scene.start("alice", CALM.Root_v1, other=BOB)
    scene.run()
    assert len(scene.flows("bob")) == 3
    kill(scene, root.id)
    scene.nothing_is_left()
    assert counted(scene, "bob") == 3


# --- client ids -----------------------------------------------------------------------------------


def test_cs_120_the_same_client_id_starts_one_flow(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    first = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4)
    second = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4)
    scene.run(datetime.timedelta(minutes=1))
    third = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4)
    assert first.id == second.id == third.id
    assert counted(scene) == 1
    assert scene.result(Flow("alice", first.id)) == 8
    assert scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4).result_now() == 8
    assert counted(scene) == 1


def test_cs_121_the_same_client_id_with_other_arguments_is_refused(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4)
    for _ in range(2):
        with pytest.raises(NotStartable, match="'order 7' is the name of flow 1"):
            scene.node("alice").submit_once("order 7", CALM.Once_v1, n=5)
        scene.run()
    assert counted(scene) == 1


def test_cs_122_a_failure_is_kept_under_its_client_id(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    scene.node("alice").submit_once("order 7", CALM.Once_v1, n=-4)
    scene.run()
    for _ in range(2):
        again = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=-4)
        with pytest.raises(CALM.Wrong, match="wrong -4"):
            again.result_now()
        scene.crash("alice")


def test_cs_123_a_flow_without_a_result_has_none(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    scene.node("alice").submit_once("n", CALM.Nothing_v1)
    scene.run()
    assert scene.node("alice").submit_once("n", CALM.Nothing_v1).result_now() is None


def test_cs_125_a_restart_changes_nothing_for_clients(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    first = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4)
    scene.run(datetime.timedelta(minutes=1))
    scene.crash("alice")
    again = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4)
    assert again.id == first.id
    scene.run(HOUR * 2)
    assert again.result_now() == 8
    scene.crash("alice")
    assert scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4).result_now() == 8
    assert counted(scene) == 1


def test_cs_128_a_killed_flow_keeps_its_client_id(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    first = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4)
    scene.run(datetime.timedelta(minutes=1))
    kill(scene, first.id)
    scene.run()
    kill(scene, first.id)
    scene.crash("alice")
    with pytest.raises(FlowKilled, match="killed by ann: enough"):
        scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4).result_now()


def test_c36_after_its_purge_a_client_id_is_new(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    first = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=4)
    scene.run(HOUR * 2)
    scene.node("alice").purge(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
    second = scene.node("alice").submit_once("order 7", CALM.Once_v1, n=5)
    assert second.id != first.id
    assert scene.result(Flow("alice", second.id)) == 10


def test_c44_many_clients_at_once_and_one_whose_process_dies(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    ids = {scene.node("alice").submit_once("a", CALM.Once_v1, n=4).id for _ in range(20)}
    assert len(ids) == 1
    scene.crash("alice")
    handles = [scene.node("alice").submit_once("a", CALM.Once_v1, n=4) for _ in range(20)]
    assert scene.result(Flow("alice", handles[0].id)) == 8
    assert counted(scene) == 1


# --- draining -------------------------------------------------------------------------------------


def drain(scene: Scene, on: bool) -> None:
    scene.node("alice").submit_draining(on, by="ann")
    scene.until(lambda: scene.node("alice").is_draining is on)


def test_cs_141_a_draining_node_finishes_what_lives(play: Play) -> None:
    scene = play(QUIET, services=services)
    leads = scene.start("bob", CALM.Leads_v1, others=(ALICE,), thinks=False)
    holds = scene.start("alice", CALM.Holds_v1, order="7", nap=HOUR * 5)
    scene.run()
    drain(scene, True)
    assert {flow.flow for flow in scene.flows("alice")} == {"play.Follows_v1", "play.Holds_v1"}
    scene.node("bob").submit_kill(leads.id, by="ann", reason="it hangs")
    assert scene.result(holds) == "7"
    assert scene.flows("alice") == [], "only now it may be stopped"
    assert scene.node("alice").is_draining
    drain(scene, False)
    assert scene.run_flow("alice", CALM.Holds_v1, order="7", nap=HOUR) == "7"


def test_cs_142_a_draining_node_starts_nothing(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    drain(scene, True)
    for _ in range(2):
        with pytest.raises(NotStartable, match="alice is draining: it takes no new flows"):
            scene.node("alice").submit(CALM.Nothing_v1)
        scene.crash("alice")
    assert counted(scene) == 0


def test_cs_142_a_draining_node_accepts_no_invitation(play: Play) -> None:
    scene = play(QUIET, services=services)
    drain(scene, True)
    leads = scene.start("bob", CALM.Root_v1, other=ALICE)
    with pytest.raises(SessionRejected, match="alice is draining: it takes no new sessions"):
        scene.result(leads)
    assert scene.flows("alice") == []
    drain(scene, False)
    again = scene.start("bob", CALM.Root_v1, other=ALICE)
    scene.run()
    assert len(scene.flows("alice")) == 3
    assert not scene.has_ended(again)


def test_cs_143_a_draining_node_fires_no_schedule(play: Play) -> None:
    scene = play(PROGRAM, "alice", services)
    scene.run(datetime.timedelta(seconds=130))
    before = counted(scene)
    assert before in (2, 3)
    drain(scene, True)
    scene.run(HOUR)
    assert counted(scene) == before
    drain(scene, False)
    scene.run(datetime.timedelta(seconds=5))
    assert counted(scene) == before + 1, "what came due meanwhile, once"


# --- looking --------------------------------------------------------------------------------------


def test_cs_147_flows_are_found_by_what_they_wait_for(play: Play) -> None:
    scene = play(QUIET, "alice bob carol", services)
    leads = scene.start("alice", CALM.Leads_v1, others=(BOB, CAROL), thinks=False)
    thinks = scene.start("alice", CALM.Leads_v1, others=(CAROL,), thinks=True)
    holds = scene.start("alice", CALM.Holds_v1, order="7", nap=HOUR * 1000)
    scene.run(datetime.timedelta(seconds=5))
    late = scene.start("alice", CALM.Holds_v1, order="8", nap=HOUR * 1000)
    scene.run(datetime.timedelta(seconds=5))
    node = scene.node("alice")

    def found(**wanted: Any) -> list[int]:
        return [flow.id for flow in node.flows(Wanted(**wanted))]

    assert found() == [leads.id, thinks.id, holds.id, late.id]
    assert found(peer="bob") == [leads.id]
    assert found(peer="carol", waits="message") == [leads.id]
    assert found(waits="Desk.think") == [thinks.id]
    assert found(flow="play.Holds") == [holds.id, late.id]
    start = datetime.datetime.fromtimestamp(scene.now_us // 1_000_000, datetime.UTC)
    before = start - datetime.timedelta(seconds=7)
    assert found(flow="play.Holds_v1", before=before) == [holds.id]
    assert found(in_hospital=True) == []
    scene.run()
    assert found(in_hospital=True) == [thinks.id], "its operation failed ten times"


def test_cs_148_a_flow_at_rest_as_data(play: Play) -> None:
    scene = play(QUIET, services=services)
    root = scene.start("alice", CALM.Root_v1, other=BOB)
    quick = scene.start("alice", CALM.Nothing_v1)
    scene.run(datetime.timedelta(seconds=5))
    dump = json.loads(json.dumps(scene.node("alice").dump(root.id)))
    assert [frame["flow"] for frame in dump["frames"]] == ["play.Branch_v1"] * 3 + ["play.Root_v1"]
    assert dump["waits"] == "a message"
    assert [session["peer"] for session in dump["sessions"]] == ["bob"] * 3
    assert dump["place"] == dump["frames"][0]["place"] == "play.flow:72"
    assert "secret" not in str(dump)
    with pytest.raises(KeyError):
        scene.node("alice").dump(quick.id)


# --- owners and values ----------------------------------------------------------------------------


def test_c51_what_an_owner_says_while_its_flow_ends_comes_back(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    owned = scene.start("alice", CALM.Owned_v1, nap=HOUR)
    scene.run(datetime.timedelta(minutes=1))
    node = scene.node("alice")
    for n in (1, 2):
        scene.tell_soon(node.submit_command(owned.id, CALM.Number(n)))
    assert scene.result(owned) == 1
    _, letter = node.mail(owned.id, 0)
    assert isinstance(letter, Bounced)
    assert letter.message == CALM.Number(2)
    _, letter = node.mail(owned.id, 1)
    assert isinstance(letter, SessionEnded)
    with pytest.raises(NotAccepted):
        scene.tell(scene.node("alice").submit_command(owned.id, CALM.Number(3)))


def test_c55_a_request_that_does_not_fit_changes_nothing(play: Play) -> None:
    scene = play(QUIET, "alice", services)
    node = scene.node("alice")
    for flow, arguments in (
        (CALM.Once_v1, {"n": "4"}),
        (CALM.Once_v1, {}),
        (CALM.Once_v1, {"n": 4, "m": 5}),
        (CALM.Once_v1, {"n": True}),
        (CALM.Once_v1, {"n": 1 << 63}),
        (CALM.Branch_v1, {"other": BOB, "depth": 1}),
        (PLAY.Once_v1, {"n": 4}),
        (dict, {}),
    ):
        with pytest.raises(NotStartable):
            node.submit(flow, **arguments)
    owned = scene.start("alice", CALM.Owned_v1, nap=HOUR)
    scene.run(datetime.timedelta(minutes=1))
    before = scene.flows("alice")
    with pytest.raises(NotAccepted, match="never takes"):
        scene.tell(scene.node("alice").submit_command(owned.id, CALM.More(1)))
    with pytest.raises(KeyError):
        scene.node("alice").handle(77)
    assert scene.flows("alice") == before


def test_c56_values_come_back_as_they_went(play: Play) -> None:
    scene = play(QUIET, services=services)
    nothing = CALM.Thing("", b"", None)
    bytes_ = CALM.Thing("a\x00\u2028\U0001f600", bytes.fromhex("deadbeef"), "")
    result = scene.run_flow(
        "alice",
        CALM.Values_v1,
        thing=bytes_,
        amount=decimal.Decimal("99999999999999999999.000000000000000001"),
        things={"a": bytes_, "": nothing},
        moment=datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.UTC),
        other=BOB,
    )
    assert result[:3] == ("99999999999999999999.000000000000000001", "4", bytes_.name)
    assert result[3].startswith("9999-12-31T23:59:59.999999")
