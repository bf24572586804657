"""Who answers an invitation, and the rejection where nobody does: typed, and told in words."""

from __future__ import annotations

import types
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.registry import NotRegistrable, Registry
from flowrt.core.values import (
    DRAINING,
    NO_RESPONDER,
    QUOTA,
    UNKNOWN_FLOW,
    VERSION,
    Invite,
    Letter,
    Reject,
    decode_frame,
)
from flowrt.limits import Limits
from flowrt.node import Node
from flowrt.peers.outbox import frame_of
from flowrt.peers.reception import Reception
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime import hand_flow as hand
from tests.runtime.book import services
from tests.runtime.crashes import World
from tests.runtime.test_registry import a_flow, module

BOB = rt.Party("bob")


class Careful(hand.Answerer_v1):
    """Answers as the other does, under a name of its own."""

    name = "mine.Careful"
    responds_to = "hand.Asker"


MINE = module("mine_flow", Careful_v1=Careful)
Careful.__module__ = "mine_flow"


def invited(flow: str, initiator: str, version: int = 1) -> Invite:
    return Invite(0, bytes(8), flow, initiator, version, 1, 0, bytes(16), None)


def refused(registry: Registry, **options: Any) -> str:
    with pytest.raises(NotRegistrable) as caught:
        Reception(registry, **options)
    return str(caught.value)


# --- why nobody answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow", "initiator", "kind", "why"),
    [
        ("reg.Nothing", "reg.I", UNKNOWN_FLOW, "there is no flow reg.Nothing here"),
        ("reg.R_v1", "reg.I", UNKNOWN_FLOW, "there is no flow reg.R_v1 here"),
        ("builtins.eval", "reg.I", UNKNOWN_FLOW, "there is no flow builtins.eval here"),
        ("", "", UNKNOWN_FLOW, "there is no flow  here"),
        ("reg.R", "reg.Other", NO_RESPONDER, "reg.R does not respond to reg.Other here"),
        ("reg.Plain", "reg.I", NO_RESPONDER, "reg.Plain does not respond to reg.I here"),
    ],
)
def test_who_does_not_respond_says_why(flow: str, initiator: str, kind: int, why: str) -> None:
    responder = a_flow("reg.R", 1, responds_to="reg.I")
    registry = Registry([module("m", A=responder, B=a_flow("reg.Plain"))])
    assert Reception(registry).answer(invited(flow, initiator)) == Reject(why, "", kind)


def test_versions_that_are_not_answered_are_told_both() -> None:
    responder = a_flow("reg.R", 1, responds_to="reg.I")
    reception = Reception(Registry([module("m", A=responder)]), accepts={"reg.I": (3, 2, 2)})
    for version in (2, 3):
        assert reception.answer(invited("reg.R", "reg.I", version)) is responder
    for version in (0, 1, 4, 2**31):
        answer = reception.answer(invited("reg.R", "reg.I", version))
        text = f"reg.R talks to versions 2 and 3 of reg.I here, not to version {version}"
        assert answer == Reject(text, "", VERSION, (2, 3))
    one = Reception(Registry([module("m", A=responder)]), accepts={"reg.I": [2]})
    answer = one.answer(invited("reg.R", "reg.I", 1))
    assert isinstance(answer, Reject)
    assert answer.reason == "reg.R talks to version 2 of reg.I here, not to version 1"


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"modules": ()}, UNKNOWN_FLOW, "there is no flow hand.Answerer here"),
        (
            {"accepts": {"hand.Asker": (2, 3)}},
            VERSION,
            "hand.Answerer talks to versions 2 and 3 of hand.Asker here, not to version 1",
        ),
        (
            {"limits": Limits(sessions=1), "crowd": 1},
            QUOTA,
            "1 sessions of alice are open at bob: refused by quota",
        ),
        ({"drains": True}, DRAINING, "bob is draining: it takes no new sessions"),
    ],
    ids=["unknown", "version", "quota", "draining"],
)
def test_the_initiators_flow_is_told_why_and_both_logs_have_the_id(
    options: dict[str, Any], kind: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with World() as world:
        world.add("alice", [hand], services)
        heard: list[Reject] = []
        send = world.network._send

        def listen(sender: str, receiver: str, data: bytes) -> None:
            frame = decode_frame(frame_of(data))
            if isinstance(frame, Letter) and isinstance(frame.content, Reject):
                heard.append(frame.content)
            send(sender, receiver, data)

        world.network._send = listen  # type: ignore[method-assign]
        options = dict(options)
        crowd, drains = options.pop("crowd", 0), options.pop("drains", False)
        modules = options.pop("modules", [hand])
        bare = [module("none_flow", A=a_flow())]
        world.add("bob", modules or bare, services if modules else dict, **options)
        if drains:
            world.node("bob").submit_draining(True, by="ann")
            world.run()
        for _ in range(crowd):
            world.start("alice", hand.Notifier_v1, to=BOB, texts=("x",) * 40, flow="hand.Listener")
            world.tick()
            world.tick()
        asker = world.start("alice", hand.Asker_v1, to=BOB, rounds=2)
        world.run()
        with pytest.raises(rt.SessionRejected) as caught:
            world.result(asker)
    assert str(caught.value) == text
    assert caught.value.peer == BOB
    assert {(one.kind, one.reason) for one in heard} == {(kind, text)}
    assert {one.error_id for one in heard} == {caught.value.error_id}
    assert caught.value.error_id in caplog.text


# --- who answers instead -------------------------------------------------------------------------


def test_a_stand_in_answers_under_the_name_that_initiators_use() -> None:
    with World() as world:
        world.add("alice", [hand], services)
        world.add("bob", [hand, MINE], services, responders={"hand.Answerer": Careful})
        asker = world.start("alice", hand.Asker_v1, to=BOB, rounds=2)
        world.tick()
        world.tick()
        assert [view.flow for view in world.node("bob").flows()] == ["mine.Careful_v1"]
        world.run()
        assert world.result(asker) == 6


def test_a_stand_in_needs_no_original() -> None:
    mine = a_flow("mine.R", 1, responds_to="reg.I")
    reception = Reception(Registry([module("m", A=mine)]), {"reg.R": mine})
    assert reception.answer(invited("reg.R", "reg.I")) is mine


def test_of_several_versions_of_a_stand_in_the_newest_answers() -> None:
    old = a_flow("mine.R", 1, responds_to="reg.I")
    new = a_flow("mine.R", 2, responds_to="reg.I")
    reception = Reception(Registry([module("m", A=old, B=new)]), {"reg.R": [old, new]})
    assert reception.answer(invited("reg.R", "reg.I")) is new


def test_two_stand_ins_for_one_are_refused_by_name() -> None:
    one = a_flow("mine.R", 1, responds_to="reg.I")
    two = a_flow("yours.R", 1, responds_to="reg.I")
    registry = Registry([module("m", A=one, B=two)])
    assert refused(registry, responders={"reg.R": (one, two)}) == (
        "two flows are to answer as reg.R: mine.R_v1 of made_flow and yours.R_v1 of made_flow; "
        "name one of them"
    )


def test_a_stand_in_that_cannot_answer_is_refused_with_a_remedy() -> None:
    original = a_flow("reg.R", 1, responds_to="reg.I")
    plain = a_flow("mine.Plain")
    other = a_flow("mine.Other", 1, responds_to="reg.J")
    absent = a_flow("mine.Absent", 1, responds_to="reg.I")
    registry = Registry([module("m", A=original, B=plain, C=other)])
    for flow, text in [
        (
            absent,
            "A is to answer as reg.R, and is not registered; pass its module to the node as well",
        ),
        (
            plain,
            "A is to answer as reg.R, and responds to nobody; "
            "give it a header line `responds to … as …`",
        ),
        (other, "A responds to reg.J, and is to answer as reg.R, which responds to reg.I"),
        ((), "nobody is to answer as reg.R; name a class, or leave reg.R out"),
    ]:
        assert refused(registry, responders={"reg.R": flow}) == text
    assert refused(registry, accepts={"reg.I": ()}) == (
        "of reg.I 0 versions are accepted; name 1 to 64"
    )


def test_a_node_whose_stand_ins_are_ambiguous_does_not_start() -> None:
    modules: list[types.ModuleType] = [hand, MINE]
    with pytest.raises(NotRegistrable, match=r"two flows are to answer as hand\.Answerer"):
        Node.create(
            "bob",
            store=MemoryStore(),
            network=MemoryNetwork(),
            modules=modules,
            services=services(),
            responders={"hand.Answerer": (Careful, hand.Answerer_v1)},
        )


def test_limits_are_numbers_above_nothing() -> None:
    for wrong in ({"sessions": 0}, {"unread": -1}, {"window": None}, {"outbox": float("inf")}):
        with pytest.raises(ValueError, match="must be a number above 0"):
            Limits(**wrong)  # type: ignore[arg-type]
