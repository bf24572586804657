"""Which classes a node can run: versions side by side, and what is refused when it opens."""

from __future__ import annotations

import types
import typing

import pytest

from flowrt.core import flow as rt
from flowrt.core.registry import NotRegistrable, Registry
from tests.runtime import greet_v1_flow, greet_v2_flow, hand_flow


def module(name: str, **names: object) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(names)
    return made


def a_flow(name: str = "reg.A", version: int = 1, **parts: object) -> type[rt.Flow[typing.Any]]:
    body = {"__module__": "made_flow", "contract": 2, "name": name, "version": version}
    return type("A", (rt.Flow,), {**body, **parts})


def test_every_flow_of_a_module_is_known_by_its_versioned_name() -> None:
    registry = Registry([hand_flow])
    assert registry.classes["hand.Asker_v1"] is hand_flow.Asker_v1
    assert registry.names[hand_flow.Asker_v1] == "hand.Asker_v1"
    assert registry.step_names["hand.Teller_v1"] == ("ONE", "TWO")
    assert registry.states_of("hand.Asker_v1") is hand_flow.Asker_v1.States
    with pytest.raises(KeyError):
        registry.states_of("hand.Asker_v9")


def test_a_module_may_be_passed_twice() -> None:
    assert Registry([hand_flow, hand_flow]).classes == Registry([hand_flow]).classes


def test_flows_of_a_module_that_another_imports_are_known_too() -> None:
    importing = module("importing_flow", Bid_v1=hand_flow.Bid_v1)
    registry = Registry([importing])
    assert "hand.Limit_v1" in registry.classes


def test_two_versions_live_side_by_side() -> None:
    registry = Registry([greet_v1_flow, greet_v2_flow])
    assert registry.classes["greet.Greeter_v1"] is greet_v1_flow.Greeter_v1
    assert registry.classes["greet.Greeter_v2"] is greet_v2_flow.Greeter_v2


def test_a_module_without_flows_is_refused_with_a_remedy() -> None:
    with pytest.raises(NotRegistrable, match="module types holds no generated flows; pass what"):
        Registry([types])


def test_a_module_of_messages_alone_is_fine() -> None:
    Registry([module("words_flow", Ask=hand_flow.Ask)])


def test_another_contract_is_refused_with_a_remedy() -> None:
    with pytest.raises(NotRegistrable, match="contract 3, this runtime has 2; compile it again"):
        Registry([module("m", A=a_flow(contract=3))])


def test_two_classes_of_one_versioned_name_are_refused() -> None:
    with pytest.raises(
        NotRegistrable, match=r"two classes are named reg\.A_v1: in .* give the newer"
    ):
        Registry([module("m", A=a_flow()), module("n", A=a_flow())])


def test_a_subflow_that_is_nowhere_is_refused_by_name() -> None:
    calling = a_flow(subflows=("reg.Missing_v1",))
    with pytest.raises(NotRegistrable, match=r"A calls reg\.Missing_v1, which is not registered"):
        Registry([module("m", A=calling)])


# --- who responds --------------------------------------------------------------------------------


def test_the_newest_version_that_responds_to_the_initiator_is_taken() -> None:
    old = a_flow("reg.R", 1, responds_to="reg.I")
    new = a_flow("reg.R", 2, responds_to="reg.I")
    other = a_flow("reg.R", 3, responds_to="reg.J")
    registry = Registry([module("m", B=new, A=old, C=other)])
    assert registry.responder("reg.R", "reg.I") is new
    assert registry.responder("reg.R", "reg.J") is other


# --- services and errors of all versions ---------------------------------------------------------


def test_a_service_has_the_operations_that_any_version_calls() -> None:
    for modules in ([greet_v1_flow, greet_v2_flow], [greet_v2_flow, greet_v1_flow]):
        (key,) = Registry(modules).services()
        assert key.name == "greet.Manners"
        assert {operation.name for operation in key.operations} == {"greeting", "farewell"}


def test_versions_that_call_one_operation_differently_are_refused() -> None:
    old = rt.ServiceKey[typing.Any]("reg.S", rt.Operation("op", "read", ("a",), str))
    new = rt.ServiceKey[typing.Any]("reg.S", rt.Operation("op", "read", ("a", "b"), str))
    registry = Registry(
        [module("m", A=a_flow(services=(old,)), B=a_flow(version=2, services=(new,)))]
    )
    with pytest.raises(NotRegistrable, match=r"reg\.S\.op otherwise than another flow"):
        registry.services()


def test_errors_of_all_flows_are_known_by_wire_name() -> None:
    assert Registry([hand_flow]).errors["hand.TooMuch"] is hand_flow.TooMuch


def test_errors_that_no_flow_names_are_known_too() -> None:
    """A service may throw any declared error."""

    class Odd(rt.FlowError):
        wire = "reg.Odd"

    class Odder(Odd):
        pass

    made = module("m", A=a_flow(), Odd=Odd, Odder=Odder, Base=rt.FlowError, Own=rt.Timeout)
    found = Registry([made]).errors
    assert found["reg.Odd"] is Odd
    assert "FlowError" not in found
    assert "Timeout" not in found
