"""What a node keeps no longer is freed: an error that a flow has caught holds no frame alive."""

from __future__ import annotations

import gc
import types

import pytest

from flowrt.core.flow import Party
from tests.runtime.written import BOB, Stage, compiled

PROGRAM = compiled("""
message Ask:
    number: Int

message Answer:
    number: Int

error Unfair(number: Int): "{number} is not fair"

flow Own(number: Int) -> Int:
    startable by rpc
    var sum = 0
    try:
        subflow Fails(number)
    catch Unfair as why:
        sleep 1s
        log info "{why.text}"
        sum = sum + number
    return sum

flow Again(number: Int) -> Int:
    startable by rpc
    var sum = 0
    try:
        subflow Kept(number)
    catch Unfair as why:
        sleep 1s
        log info "{why.text}"
        sum = sum + number
    return sum

flow Kept(number: Int):
    try:
        subflow Fails(number)
    catch Unfair as why:
        sleep 1s
        throw why

flow Fails(number: Int):
    sleep 1s
    throw Unfair(number)

flow Asks(other: Party, number: Int) -> Int:
    startable by rpc
    var sum = 0
    open Answers with other as line
    try:
        send Ask(number) to line
        receive answer: Answer from line unchecked
        sum = 1000
    catch Unfair as why:
        sleep 1s
        sum = sum + number
        log info "{why.id}"
    return sum

flow Answers():
    responds to Asks as line
    receive asked: Ask from line unchecked
    throw Unfair(3)
""")


def frames() -> list[types.FrameType]:
    """The frames of flows that are held by something."""
    gc.collect()
    return [
        one
        for one in gc.get_objects()
        if isinstance(one, types.FrameType) and one.f_globals is vars(PROGRAM)
    ]


@pytest.mark.parametrize("name", ["Own_v1", "Again_v1", "Asks_v1"])
@pytest.mark.parametrize("crashes", [False, True])
def test_an_error_that_was_kept_holds_no_frame(name: str, crashes: bool) -> None:
    stage = Stage(PROGRAM, crashes=crashes)
    flow = getattr(PROGRAM, name)
    to: dict[str, Party] = {"other": BOB} if name == "Asks_v1" else {}
    assert [stage.run(flow, number=number, **to) for number in range(5)] == list(range(5))
    assert frames() == []
