"""Strategies for declared types: what they draw survives bytes, is accepted, and starts small."""

from __future__ import annotations

import datetime
import decimal
import functools
import typing
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import find as search
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from flowrt.core import flow as rt
from flowrt.core.values import decode, encode
from flowrt.testing import arguments_of, values_of
from flowrt.testing.stage import Stage
from tests.runtime.written import compiled
from tests.testing.stamps import Stamp

made = compiled(
    """
type Stamp = python "tests.testing.stamps:Stamp":
    number: Int

enum Shape:
    Point
    Circle(radius: Decimal)
    Named(name: Text, of: List[Int])

error Refused(why: Text, shape: Shape): "refused: {why}"
error Plain

message Note:
    text: Text
    stamp: Stamp

record All:
    a: Int
    b: Decimal
    c: Bool
    d: Text
    e: Bytes
    f: Timestamp
    g: Duration
    h: Party
    i: FlowId
    j: List[Shape]
    k: Map[Text, Decimal?]
    l: Map[Int, List[Note]]
    m: Shape?
    n: Stamp
    o: Int = 7

flow Echo(whole: All, shapes: List[Shape], text: Text = "x") -> All:
    startable by rpc
    checkpoint
    log info "{shapes.size} {text}"
    return whole
"""
)

find = functools.partial(
    search,
    settings=settings(max_examples=300, database=None, phases=[Phase.generate, Phase.shrink]),
)

KINDS = [
    made.All,
    made.Note,
    made.Shape,
    made.Stamp,
    rt.Int,
    rt.Timestamp,
    rt.Party,
    decimal.Decimal,
    datetime.timedelta,
    bool,
    str,
    bytes,
    tuple[rt.Int, ...],
    typing.Optional[decimal.Decimal],  # noqa: UP045 - both ways to write it are resolved
    rt.Mapping[str, rt.Int],
    type(None),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_drawn_comes_back_from_its_bytes(kind: Any) -> None:
    @settings(max_examples=60)
    @given(values_of(kind))
    def check(value: Any) -> None:
        data = encode(value)
        assert decode(kind, data) == value
        assert encode(decode(kind, data)) == data

    check()


@settings(max_examples=40)
@given(arguments_of(made.Echo_v1))
def test_a_flow_takes_it_and_gives_it_back(arguments: dict[str, Any]) -> None:
    stage = Stage([made], {}, [])
    stage.start(made.Echo_v1, arguments)
    assert stage.outcomes() == {1: arguments["whole"]}
    stage.close()


def test_the_smallest_comes_first() -> None:
    assert find(values_of(made.Shape), lambda _: True) == made.Shape_Point()
    assert find(values_of(made.Note), lambda _: True) == made.Note("", Stamp(0))
    assert find(values_of(rt.Int), lambda value: value > 3) == 4
    assert find(values_of(decimal.Decimal), lambda value: value > 3) == 4
    assert find(values_of(datetime.timedelta), lambda _: True) == datetime.timedelta(0)
    assert find(values_of(made.Shape | None), lambda _: True) is None
    assert find(values_of(tuple[rt.Int, ...]), lambda value: len(value) > 1) == (0, 0)


def test_errors_are_drawn_with_their_fields() -> None:
    refused = find(values_of(made.Refused), lambda error: bool(error.why))
    assert refused.shape == made.Shape_Point()
    assert str(refused) == f"refused: {refused.why}"
    assert isinstance(find(values_of(made.Plain), lambda _: True), made.Plain)


def test_hypothesis_knows_generated_classes_by_itself() -> None:
    """`made` was compiled after hypothesis was loaded; the entry point of the package let it in."""

    assert find(st.from_type(made.Note), lambda _: True) == made.Note("", Stamp(0))
    assert find(st.from_type(rt.Int), lambda value: value > 3) == 4
    assert isinstance(find(st.from_type(made.Refused), lambda _: True), made.Refused)
    assert decode(made.All, encode(found := find(st.from_type(made.All), lambda _: True))) == found


def test_some_types_can_be_given() -> None:
    notes = values_of(made.Note, given={str: st.just("hello")})
    assert find(notes, lambda _: True).text == "hello"
    parties = values_of(rt.Party, parties=[rt.Party("zoe")])
    assert find(parties, lambda _: True) == rt.Party("zoe")


def test_arguments_can_be_given_by_name() -> None:
    found = find(arguments_of(made.Echo_v1, {"text": st.just("given")}), lambda _: True)
    assert found["text"] == "given"
    with pytest.raises(InvalidArgument, match=r"Echo_v1 has no parameter colour; it has: whole, "):
        arguments_of(made.Echo_v1, {"colour": st.none()})


def test_what_is_no_type_of_the_language() -> None:
    with pytest.raises(InvalidArgument, match=r"float is no type of the flow language"):
        values_of(float)
    with pytest.raises(InvalidArgument, match=r"is no type of the flow language"):
        values_of(typing.Any)


def test_the_examples_types(examples: dict[str, SimpleNamespace]) -> None:
    for app in examples.values():
        for name, kind in vars(app.flow).items():
            if isinstance(kind, type) and issubclass(kind, rt.Value | rt.FlowError):
                drawn = find(values_of(kind), lambda _: True)
                assert isinstance(drawn, kind), name
