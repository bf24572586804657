"""Any error, several errors, families of errors: what is caught, what it tells, what travels."""

from __future__ import annotations

import datetime
from types import ModuleType

import pytest

from flowrt.core import flow as rt
from flowrt.core.commit import Commit
from flowrt.core.step import StepRun
from flowrt.core.values import Failure
from tests.runtime.plays import Actor, play
from tests.runtime.written import ALICE, BOB, Stage, compiled

RULES = """
error Refusal: "refused"
error TooExpensive(given: Int) is Refusal: "{given} is too much"

flow Check(price: Int):
    require price < 1000 else TooExpensive(price)
"""

SHOP = """
use rules: Refusal, Check

error Tardy is Refusal
error Late(given: Int, by: Duration) is Tardy: "{by} late"
error Lost(given: Int, at: Text)

message Offer:
    price: Int

flow Buy(shop: Party, price: Int) -> Text:
    startable by rpc
    open Sell with shop as talk
    var told = ""
    try:
        send Offer(price) to talk then receive answer: Offer from talk unchecked
        return "sold for {answer.price}"
    catch Late, Lost as error:
        checkpoint
        require error.given > 0 else Odd(error.text)
        told = "late or lost: {error.given}"
    catch Refusal as error:
        checkpoint
        let peer = error.peer
        if peer != none:
            told = "{peer.name}: "
        require error.text != "" and error.id != "" else Odd(error.text)
        told = told + "{error.text}, {error.id.size}"
    return told

error Odd(text: Text)

flow Again(shop: Party, price: Int):
    startable by rpc
    try:
        subflow Ask(shop, price)
    catch FlowError as error:
        checkpoint
        log info error.text
        throw error

flow Ask(shop: Party, price: Int):
    open Answer with shop as talk
    send Offer(price) to talk then receive answer: Offer from talk unchecked

flow Answer():
    responds to Ask as talk
    receive offer: Offer from talk unchecked
    subflow Judge(offer.price)
    send offer to talk

flow Sell():
    responds to Buy as talk
    receive offer: Offer from talk unchecked
    subflow Judge(offer.price)
    send offer to talk

flow Judge(price: Int):
    subflow Check(price)
    require price < 500 else Late(price, 2d)
    require price < 400 else Lost(price, "sea")
    require price < 300 else Tardy()
    require price < 200 else Refusal()
"""


@pytest.fixture(scope="module")
def shop() -> ModuleType:
    return compiled(SHOP, rules=RULES)


ENDS = {
    100: "sold for 100",
    250: "bob: refused, 16",
    350: "bob: Tardy, 16",
    450: "late or lost: 450",
    550: "late or lost: 550",
    # This module does not name that error, but its family, and the node has it.
    2000: "bob: 2000 is too much, 16",
}


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("price", ENDS)
def test_what_is_caught_and_what_it_tells(shop: ModuleType, price: int, crashes: bool) -> None:
    stage = Stage(shop, ALICE, BOB, crashes=crashes)
    assert stage.run(shop.Buy_v1, shop=BOB, price=price) == ENDS[price]


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize(
    ("price", "name"),
    [(250, "rules.Refusal"), (350, "Tardy"), (550, "Late"), (2000, "rules.TooExpensive")],
)
def test_any_error_is_thrown_on_as_what_it_is(
    shop: ModuleType, price: int, name: str, crashes: bool
) -> None:
    """It outlives a crash in the checkpoint, where its class is not written."""
    stage = Stage(shop, ALICE, BOB, crashes=crashes)
    with pytest.raises(rt.FlowError) as thrown:
        stage.run(shop.Again_v1, shop=BOB, price=price)
    assert thrown.value.wire.endswith(name)
    assert thrown.value.peer == BOB
    if name == "Late":
        assert (thrown.value.given, str(thrown.value)) == (550, "2d late")  # type: ignore[attr-defined]


def test_a_family_is_a_class_that_its_errors_extend(shop: ModuleType) -> None:
    late = shop.Late(3, datetime.timedelta(1))
    assert isinstance(late, shop.Tardy)
    assert isinstance(late, shop.Refusal)
    assert str(late) == "1d late"


def test_a_peer_cannot_make_an_error_of_a_name_that_has_fields() -> None:
    """The families that a failure names are only looked up among those without fields."""
    program = compiled(
        "error Full(left: Int)\nerror Refusal\n\nmessage Ping:\n    n: Int\n\n"
        "flow Ask(of: Party):\n    startable by rpc\n    open Say with of as talk\n"
        "    receive pong: Ping from talk unchecked\n\n"
        "flow Say():\n    responds to Ask as talk\n    send Ping(1) to talk\n"
    )
    known = {kind.wire: kind for kind in (program.Full, program.Refusal)}
    content = Failure("x.Other", b"", "0123", ("x.More", program.Full.wire))
    assert error_from(content, known) is rt.UnexpectedFlowEnd
    content = Failure("x.Other", b"", "0123", ("x.More", program.Refusal.wire))
    assert error_from(content, known) is program.Refusal
    content = Failure(program.Full.wire, b"", "0123", (program.Refusal.wire,))
    assert error_from(content, known) is rt.UnexpectedFlowEnd


def error_from(content: Failure, errors: dict[str, type[rt.FlowError]]) -> type[rt.FlowError]:
    """What a flow that knows these errors makes of a failure."""
    inner = play("t.A", lambda run, state: rt.Return(None))
    inner.errors = errors
    actor = Actor(inner)
    step = StepRun(actor.checkpoint, 1, actor.world, Commit())
    return type(step._error_from(None, content))
