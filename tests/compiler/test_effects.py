"""What is awaited, started, asked and pending, as states, pictures and Python; schedules too."""

from __future__ import annotations

import textwrap
from pathlib import Path

from flowlang import codegen, machine
from flowlang.compiler import compile_modules
from flowlang.diagnostics import as_text
from flowlang.pictures import states_text
from flowlang.source import Source
from tests.programs import python

DECLARED = """
record Purchase:
    sku: Text

record Approval:
    approved: Bool
    note: Text? = none

message Offer:
    sku: Text

error Lost(sku: Text): "lost {sku}"

service Carrier:
    read rate(tx: Text) -> Decimal
    external ship(key: Text, self: Int) -> List[Text]?
    external once pay(sum: Decimal)

"""


def module(text: str) -> machine.Module:
    source = Source("t.flow", "t", DECLARED.strip() + "\n\n" + textwrap.dedent(text).strip() + "\n")
    made = compile_modules(["t"], {"t": source}.get)
    assert not made.diagnostics, "\n".join(as_text(d, made.sources) for d in made.diagnostics)
    return made.modules["t"]


def flow(text: str) -> machine.Machine:
    return module(text).machines[0]


def keeps(made: machine.Machine) -> dict[str, tuple[str, ...]]:
    """What each state in which the flow rests keeps."""
    return {state.name: state.keeps for state in made.states if state.tag is not None}


WAITS = """
flow F(day: Timestamp, sku: Text) -> Int:
    wait until day
    let label = await Carrier.ship(sku, 3)
    let id = start G(sku)
    let other = start G("x") at day
    let n = await id
    let ns = await each [id, other]
    let a = ask "buyer": Purchase(sku) -> Approval within 2d
    await Carrier.pay(12.5)
    if label == none or a.note == none:
        return n
    return await other

flow G(sku: Text) -> Int:
    return sku.size
"""


def test_states_are_named_after_whanswersthey_wait_for_and_keep_whanswersis_needed() -> None:
    assert keeps(flow(WAITS)) == {
        "Start": ("day", "sku"),
        "WaitUntil": ("day", "sku"),
        "AwaitShip": ("day", "sku"),
        "AwaitFlow": ("sku", "label", "id", "other"),
        "AwaitFlows": ("sku", "label", "other", "n"),
        "AskApproval": ("label", "other", "n"),
        "AwaitPay": ("label", "other", "n", "a"),
        "AwaitFlow2": (),
    }


def test_a_picture_says_whanswersis_waited_for() -> None:
    text = states_text.text_of(flow(WAITS))
    for said in (
        "waits    for the time day",
        "waits    for Carrier.ship",
        "waits    for the end of flow id",
        "waits    for the end of each flow of …",
        "waits    for Approval of buyer",
        "then     AwaitFlow: start G, start G",
    ):
        assert said in text


PENDING = """
flow F(shop: Party) -> Text:
    open G with shop as talk
    let asked = pending ask "buyer": Purchase("x") -> Approval
    let label = pending await Carrier.ship("x", 1)
    let told = pending await Carrier.pay(1.5)
    var turns = 0
    while turns < 3:
        turns = turns + 1
        receive:
            case answer asked as a:
                log info a.by
            case result label as found:
                if found != none:
                    log info "{found.size}"
            case result told:
                pass
            case Offer from talk as offer unchecked:
                return offer.sku
    return ""

flow G():
    responds to F as talk
    send Offer("bolt") to talk
"""


def test_whanswersis_pending_lives_until_no_case_can_take_it() -> None:
    made = flow(PENDING)
    assert keeps(made) == {
        "Start": ("shop",),
        "AwaitAskedOrLabelOrOther": ("talk", "asked", "label", "told", "turns"),
    }
    assert "asked or label or told or Offer from talk" in states_text.text_of(made)


def test_a_machine_makes_the_round_through_json() -> None:
    schedule = """
    flow S(n: Int):
        startable by schedule
        log info "{n}"

    schedule Nightly = S(-3) every "0 18 * * MON-FRI" in "Europe/London"
    """
    for text in (WAITS, PENDING, schedule):
        made = module(text)
        assert machine.from_json(machine.to_json(made)) == made


HOSTILE = """
flow Awaitable(run: Text, tuple: FlowId[Int], tuples: List[FlowId[Int]]) -> Int:
    let str = await Carrier.ship(run, 1)
    let at = ask run: Purchase("a") -> Approval
    let rt = start Awaitable(run, tuple, tuples)
    let map = start Awaitable(run, rt, [rt, tuple]) at now + 3d
    await each [rt]
    within 5m:
        try:
            await Carrier.pay(0.5)
            let label = await map
            let more = await each tuples
            return label + more[0]
        catch TaskExpired, FlowFailed, Lost:
            log info "failed"
        let int = ask "q": Purchase("a") -> Approval within 2d
        if int.note != none and int.value.note != none:
            log info int.note + int.value.note
    let answers = pending ask "q": Purchase("a") -> Approval
    let cls = pending await Carrier.ship(run, 1)
    receive:
        case answer answers as label:
            log info "{label.at} {label.by} {at.approved}"
        case result cls as list:
            if list != none and str != none:
                log info "{list.size} {str.size}"
        case timeout 1s:
            checkpoint
    return await map

record SCHEDULES:
    n: Int

flow Nightly(schedules: Decimal):
    startable by schedule
    log info "{schedules}"

schedule Nights = Nightly(0.5) every "0 18 * * MON-FRI" in "Europe/London"
schedule Days = Nightly(schedules=-1.0) every "*/5 8-17 * * *" in "UTC"
"""

SERVICES = """\
import decimal

from flowrt.core import flow as rt
from t_flow import Carrier, Carrier_key


class Plain:
    def rate(self, tx: rt.Tx, tx_: str) -> decimal.Decimal:
        return decimal.Decimal(1)

    def ship(self, key: str, key_: str, self_: int) -> tuple[str, ...] | None:
        return (key, key_)

    def pay(self, key: str, sum_: decimal.Decimal) -> None:
        pass


class Later:
    def rate(self, tx: rt.Tx, tx_: str) -> decimal.Decimal:
        return decimal.Decimal(1)

    async def ship(self, key: str, key_: str, self_: int) -> tuple[str, ...] | None:
        return (key, key_)

    async def pay(self, key: str, sum_: decimal.Decimal) -> None:
        pass


BOUND: tuple[rt.ServiceKey[Carrier], Carrier, Carrier] = (Carrier_key, Plain(), Later())
"""


def test_generated_python_is_clean_and_types_the_services(tmp_path: Path) -> None:
    for name, text in (("waits", WAITS), ("pending", PENDING), ("hostile", HOSTILE)):
        project = tmp_path / name
        python.write(project, "t", codegen.generate(module(text)))
        (project / "services.py").write_text(SERVICES)
    assert python.complaints(tmp_path) == ""
