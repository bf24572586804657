"""Sides of a protocol that know each other only by it: who answers for a role, what is rejected."""

from __future__ import annotations

from types import ModuleType

import pytest

from flowrt.core import flow as rt
from flowrt.core.registry import NotRegistrable, Registry
from flowrt.core.shapes import shape_of, told, unlike
from flowrt.node import Node
from flowrt.peers.reception import Reception
from flowrt.store.memory import MemoryDisk, MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.planted.program import GIVING, OTHER_TALKS, ROLES, TALKS
from tests.runtime.written import ALICE, BOB, START_US, Stage, compiled

ASKING, ANSWERING = compiled(ROLES, talks=TALKS), compiled(GIVING, talks=TALKS)


def played(asking: ModuleType, giving: ModuleType, n: int) -> object:
    """What asking gives where the two were compiled apart."""
    network, nodes = MemoryNetwork(), []
    for party, program in ((ALICE, asking), (BOB, giving)):
        store = MemoryStore(MemoryDisk())
        key = party.name.encode().ljust(32, b".")
        nodes.append(
            Node.create(
                party.name,
                store=store,
                network=network,
                modules=[program],
                clock=lambda: START_US,
                key=key,
            )
        )
    flow_id = nodes[0].submit(asking.Asking_v1, peer=BOB, n=n).id
    for _ in range(100):
        if not any([*[node.turn() for node in nodes], network.pump()]):
            break
    return nodes[0].handle(flow_id).result_now()


def test_who_answers_for_a_role_is_found_without_its_name() -> None:
    assert played(ASKING, ANSWERING, 5) == 10
    assert played(ASKING, ANSWERING, 1) == 0


def test_both_sides_may_live_in_one_program() -> None:
    both = compiled(ROLES + GIVING.partition("\n\n")[2], talks=TALKS)
    assert Stage(both).run(both.Asking_v1, peer=BOB, n=7) == 14


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Offer:\n    n: Int", "Offer:\n    n: Int\n    why: Text", "not the same message"),
        ("Offer:\n    n: Int", "Offer:\n    m: Int", "Offer is not the same .*: its field m"),
        ("Back:\n    n: Int", "Back:\n    k: Int", "Back is not the same .*: its field k"),
        ("giver -> asker: Leave", "giver -> asker: Offer", "Offer may be sent from here"),
    ],
)
def test_messages_of_other_fields_are_rejected(old: str, new: str, why: str) -> None:
    text = GIVING
    for before, after in (
        ("offer.n", "offer.m") if "m: Int" in new and "Offer" in new else ("", ""),
        ("Leave() to", "Offer(1) to") if "-> asker" in new else ("", ""),
    ):
        text = text.replace(before, after) if before else text
    with pytest.raises(rt.SessionRejected, match=why):
        played(ASKING, compiled(text, talks=TALKS.replace(old, new)), 5)


def test_a_receiver_may_know_more_that_may_be_left_out() -> None:
    more = TALKS.replace("Offer:\n    n: Int", "Offer:\n    n: Int\n    m: Int = 3")
    new = compiled(GIVING, talks=more)
    assert played(ASKING, new, 5) == 10
    # The other way round the last field is one that the receiver does not read.
    new = compiled(ROLES, talks=more)
    assert played(new, ANSWERING, 5) == 10


def test_two_flows_that_answer_for_a_role_refuse_the_start() -> None:
    other = compiled(GIVING.replace("Giving", "Lending"), talks=TALKS)
    registry = Registry([ANSWERING, other])
    with pytest.raises(
        NotRegistrable, match=r"answer for talks\.Deal\.giver: .*Giving_v1 .*Lending"
    ):
        Reception(registry)
    Reception(registry, {"talks.Deal.giver": other.Lending_v1})


def test_two_versions_of_one_flow_are_no_two_flows() -> None:
    registry = Registry([ANSWERING])
    assert registry.responder("talks.Deal.giver", "talks.Deal.asker") is ANSWERING.Giving_v1
    assert registry.responder("talks.Deal.giver", "talks.Deal.giver") is None
    assert registry.responder("talks.Deal.asker", "talks.Deal.giver") is None


def test_what_an_invitation_tells_is_the_same_in_every_process() -> None:
    role = ASKING.Asking_v1.roles["talks.Deal.asker"]
    assert told(role) == ">talks.Offer:d4c59eda <talks.Back:d4c59eda <talks.Leave:"
    assert unlike(told(role), ANSWERING.Giving_v1.roles["talks.Deal.giver"]) is None
    assert len(shape_of(role[0][0])) == 1


def test_an_invitation_that_tells_nothing_is_rejected() -> None:
    role = ANSWERING.Giving_v1.roles["talks.Deal.giver"]
    assert unlike("", role) == "talks.Back may be sent from here, and is not known there"
    assert unlike("nonsense ::: > >:", role) is not None
    other = compiled(GIVING, talks=OTHER_TALKS).Giving_v1.roles["talks.Deal.giver"]
    assert unlike(told(ASKING.Asking_v1.roles["talks.Deal.asker"]), other) is not None
