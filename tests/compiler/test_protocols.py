"""Protocols: their two sides fit each other, what two flows follow can be written down and holds
for both, and a version that takes no less and sends no more breaks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlang import machine
from flowlang.compiler import Compilation, compile_modules, misfits
from flowlang.formatter import formatted
from flowlang.protocol import inferring, roles, versions
from flowlang.protocol.automaton import Automaton
from flowlang.protocol.check import conversations, program_of, sessions_of
from flowlang.protocol.pairs import check, in_turns
from flowlang.source import Source
from tests.examples.loaded import EXAMPLES, SMALL
from tests.programs.generator import LIBRARY, seeded

MESSAGES = "".join(f"message M{number}\n" for number in range(6)) + "\n"
ROLES = ("one", "two")

Lines = list[str]


# --- random protocols -----------------------------------------------------------------------------


@st.composite
def protocols(draw: st.DrawFn) -> str:
    """The lines of a protocol in which nothing is wrong."""
    lines, _ = _block(draw, 3, (), None)
    return "protocol Talk:\n" + "".join(f"    {line}\n" for line in lines)


def _sent(draw: st.DrawFn, sender: int | None = None, message: int | None = None) -> str:
    side = draw(st.integers(0, 1)) if sender is None else sender
    number = draw(st.integers(0, 5)) if message is None else message
    return f"{ROLES[side]} -> {ROLES[1 - side]}: M{number}"


def _block(
    draw: st.DrawFn, depth: int, repeats: tuple[str, ...], first: str | None
) -> tuple[Lines, bool]:
    """Lines, and whether a way leads behind them. The first one sends, so that nothing that comes
    before can be taken for something else, and no repeat goes round in silence."""
    lines = [first or _sent(draw)]
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["sent", "choice", "repeat"] if depth else ["sent"]))
        if kind == "sent":
            lines.append(_sent(draw))
        elif kind == "choice":
            found, goes_on = _choice(draw, depth - 1, repeats)
            lines += found
            if not goes_on:
                return lines, False
        else:
            name = f"r{len(repeats)}"
            found, goes_on = _block(draw, depth - 1, (*repeats, name), None)
            lines += [f"repeat {name}:", *(f"    {line}" for line in found)]
            if not goes_on:
                return lines, False
    leave = draw(st.sampled_from(["", "", "end", *repeats]))
    if leave:
        lines.append(leave if leave == "end" else f"continue {leave}")
    return lines, not leave


def _choice(draw: st.DrawFn, depth: int, repeats: tuple[str, ...]) -> tuple[Lines, bool]:
    side = draw(st.integers(0, 1))
    lines: Lines = []
    goes_on = False
    for number, message in enumerate(draw(st.permutations(range(6)))[: draw(st.integers(2, 3))]):
        found, further = _block(draw, depth, repeats, _sent(draw, side, message))
        lines.append("or:" if number else f"choice at {ROLES[side]}:")
        lines += [f"    {line}" for line in found]
        goes_on = goes_on or further
    if draw(st.booleans()):
        lines += ["or:", "    end"]
    return lines, goes_on


def compiled(text: str) -> machine.Protocol:
    source = Source("talk.flow", "talk", MESSAGES + text)
    made = compile_modules(["talk"], {"talk": source}.get)
    assert not made.diagnostics, (text, made.diagnostics)
    return made.modules["talk"].protocols[0]


def sides(protocol: machine.Protocol) -> tuple[Automaton, Automaton]:
    one, two = (roles.keeping(protocol, role) for role in ROLES)
    return one, two


@given(protocols())
@settings(max_examples=60)
def test_the_two_sides_of_a_protocol_fit_and_can_be_written_down_again(text: str) -> None:
    protocol = compiled(text)
    assert machine.from_json(machine.to_json(_module(protocol))).protocols == (protocol,)
    if set(protocol.roles) != set(ROLES):
        return
    one, two = sides(protocol)
    verdict = check(one, two)
    assert (verdict.misfits, verdict.longest) == ((), 0)
    again = inferring.written("Talk", ROLES, inferring.infer(one, two))
    other_one, other_two = sides(compiled(again))
    for side, other in ((one, other_two), (two, other_one), (other_one, two), (other_two, one)):
        assert in_turns(side, other).misfits == (), (text, again)
    assert not formatted(Source("talk.flow", "talk", again)).diagnostics


def _module(protocol: machine.Protocol) -> machine.Module:
    return machine.Module(
        machine.FORMAT, "m", "m.flow", "", None, {}, (), (), (), (), (), (), protocols=(protocol,)
    )


@given(protocols())
@settings(max_examples=40)
def test_no_version_breaks_anybody_who_fits_the_same(text: str) -> None:
    protocol = compiled(text)
    if set(protocol.roles) != set(ROLES):
        return
    for role, peer in (ROLES, ROLES[::-1]):
        mine = roles.keeping(protocol, role)
        assert versions.breaks(mine, roles.keeping(protocol, peer), "peers") == []
        assert versions.breaks(mine, versions.peers_of(mine, "peers"), "peers") == []


@given(protocols(), st.data())
@settings(max_examples=60)
def test_a_way_less_breaks_those_who_go_it(text: str, data: st.DataObject) -> None:
    protocol = compiled(text)
    wide = [number for number, turn in enumerate(protocol.turns) if len(turn.said) > 1]
    if not wide or set(protocol.roles) != set(ROLES):
        return
    at = data.draw(st.sampled_from(wide))
    turn = protocol.turns[at]
    gone = data.draw(st.sampled_from(turn.said))
    less = machine.Turn(
        turn.sender,
        tuple(one for one in turn.said if one is not gone),
        turn.over,
        turn.module,
        turn.line,
        turn.text,
    )
    turns = (*protocol.turns[:at], less, *protocol.turns[at + 1 :])
    smaller = machine.Protocol(protocol.name, None, protocol.roles, turns, protocol.place)
    sender, receiver = turn.sender, roles.other_of(protocol, turn.sender)
    broken = versions.breaks(
        roles.keeping(smaller, receiver), roles.keeping(protocol, sender), "senders"
    )
    assert f"senders that still send `{gone.message.rpartition('.')[2]}`" in {
        one.peers for one in broken
    }
    assert not versions.breaks(
        roles.keeping(smaller, sender), roles.keeping(protocol, receiver), "receivers"
    )


# --- what two flows follow ------------------------------------------------------------------------


def followed(made: Compilation) -> Iterator[tuple[str, bool]]:
    """Each session that fits, and whether there is a protocol of it, which then holds for both."""
    modules = list(made.modules.values())
    program = program_of(modules)
    flows = [flow.name for module in modules for flow in module.machines]
    for one in conversations(program, sessions_of(program, flows)).sessions:
        if one.verdict is None or one.verdict.misfits or one.left is None or one.right is None:
            continue
        try:
            points = inferring.infer(one.left, one.right)
            text = inferring.written("Talk", ROLES, points)
        except inferring.NotInferred:
            yield one.session.flow, False
            continue
        messages = inferring.messages_of(points)
        declared = "".join(f"message {name.rpartition('.')[2]}\n" for name in messages)
        source = Source("talk.flow", "talk", f"{declared}\n{text}")
        again = compile_modules(["talk"], {"talk": source}.get)
        assert not again.diagnostics, text
        names = {f"talk.{name.rpartition('.')[2]}": name for name in messages}
        protocol = _called(again.modules["talk"].protocols[0], names)
        if set(protocol.roles) == set(ROLES):
            two, first = (roles.keeping(protocol, role) for role in ("two", "one"))
            assert in_turns(one.left, two).misfits == (), text
            assert in_turns(one.right, first).misfits == (), text
        yield one.session.flow, True


def _called(protocol: machine.Protocol, names: dict[str, str]) -> machine.Protocol:
    """With the messages that the flows mean."""
    turns = tuple(
        machine.Turn(
            turn.sender,
            tuple(
                machine.Said(names[said.message], said.target, said.module, said.line, said.text)
                for said in turn.said
            ),
            turn.over,
            turn.module,
            turn.line,
            turn.text,
        )
        for turn in protocol.turns
    )
    return machine.Protocol(protocol.name, None, protocol.roles, turns, protocol.place)


def test_the_examples_follow_protocols() -> None:
    found = {}
    for path in sorted([*EXAMPLES.glob("*/*.flow"), *SMALL.glob("*/*.flow")]):
        texts = {one.stem: one.read_text() for one in path.parent.glob("*.flow")}
        sources = {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}
        found |= dict(followed(compile_modules([path.stem], sources.get)))
    assert found["purchase.Purchase"]
    assert found["trade.MakeOffer"]
    # Its notices come when they come, whoever's turn it is.
    assert not found["channel.Channel"]


@pytest.mark.parametrize("seed", range(8))
def test_random_programs_follow_protocols(seed: int) -> None:
    program = seeded(seed)
    texts = {"main": program.text, LIBRARY: program.library or ""}
    sources = {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}
    for _ in followed(compile_modules(["main"], sources.get)):
        pass


# --- flows and their roles ------------------------------------------------------------------------

FITS = Path(__file__).parent.parent / "language" / "fits"

TRADE = """
message Offer:
    price: Int
message Accept
message Refuse

protocol Trade:
    seller -> buyer: Offer
    choice at buyer:
        buyer -> seller: Accept
    or:
        buyer -> seller: Refuse
    or:
        end

flow Sell(buyer: Party):
    startable by rpc
    plays Trade.seller on trade
    open Buy with buyer as trade
    send Offer(12) to trade
    receive from trade:
        case Accept:
            pass
        case Refuse:
            pass
        case ended:
            pass

flow Buy():
    responds to Sell as trade
    plays Trade.buyer on trade
    subflow Answer(trade)

flow Answer(talk: Session[Trade.buyer]):
    receive offer: Offer from talk unchecked
    if offer.price < 10:
        send Accept() to talk
    elif offer.price < 20:
        send Refuse() to talk

flow Ask(sellers: List[Party]):
    startable by rpc
    open Trade.seller with each sellers as talks
    receive offers: Offer from each talks unchecked
    for talk in talks:
        send Refuse() to talk
    log info "{offers.size}"
"""


def test_roles_that_are_kept_are_not_remarked_on() -> None:
    source = Source("trade.flow", "trade", TRADE)
    made = compile_modules(["trade"], {"trade": source}.get)
    assert not made.diagnostics
    assert misfits(made) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("        case Refuse:\n            pass\n", "", {"P222", "P201", "P203"}),
        ("send Accept() to talk", "send Offer(1) to talk", {"P221", "P201"}),
        ("    for talk in talks:\n        send Refuse() to talk\n", "", set()),
        (
            "        send Refuse() to talk\n    log",
            "        send Offer(3) to talk\n    log",
            {"P221"},
        ),
    ],
)
def test_roles_that_are_not_kept(old: str, new: str, expected: set[str]) -> None:
    assert TRADE.count(old) == 1
    source = Source("trade.flow", "trade", TRADE.replace(old, new))
    made = compile_modules(["trade"], {"trade": source}.get)
    assert not made.diagnostics
    found = {one.code for one in misfits(made) if one.severity == "error"}
    assert found <= expected
    assert bool(found) == bool(expected)


# --- what is told first, and where ----------------------------------------------------------------

HIDDEN = """
message Order:
    sku: Text

message Receipt:
    units: Int

message Bill:
    units: Int

flow Buy(shop: Party):
    open Sell with shop as talk
    send Order("bolt") to talk
    try:
        receive receipt: Receipt from talk within 1d unchecked
        log info "{receipt.units}"
    catch Timeout:
        return
    receive bill: Bill from talk unchecked
    log info "{bill.units}"

flow Sell():
    responds to Buy as talk
    receive order: Order from talk unchecked
    send Receipt(1) to talk
    if order.sku.size > 3:
        send Order("nut") to talk
    else:
        send Bill(1) to talk
"""


def found_in(**texts: str) -> list[tuple[str, str, str, int]]:
    """What is found in modules, of which the last is asked: code, severity, file, line."""
    sources = {name: Source(f"{name}.flow", name, text) for name, text in texts.items()}
    made = compile_modules(list(sources), sources.get)
    assert not made.diagnostics, made.diagnostics[0]
    return [(one.code, one.severity, one.source, one.span.line) for one in misfits(made)]


def test_an_error_is_not_hidden_by_what_comes_too_late() -> None:
    found = {(code, severity) for code, severity, _, _ in found_in(trade=HIDDEN)}
    assert found == {("P201", "error"), ("P211", "warning")}
    fine = HIDDEN.replace('send Order("nut")', "send Bill(2)")
    assert [one[:2] for one in found_in(trade=fine)] == [("P211", "warning")]


def test_late_on_the_shortest_way_and_unread_on_another_is_an_error() -> None:
    text = HIDDEN.replace(
        "    catch Timeout:\n        return\n",
        '    catch Timeout:\n        log info "late"\n',
    ).replace('    receive bill: Bill from talk unchecked\n    log info "{bill.units}"\n', "")
    text = text.replace(
        '    if order.sku.size > 3:\n        send Order("nut")',
        "    if order.sku.size > 3:\n        send Bill(2)",
    )
    codes = [one[:2] for one in found_in(trade=text)]
    assert ("P204", "error") in codes


SHARED = """
message Order:
    sku: Text

message Receipt:
    units: Int

# A file of its own, in which the lines
# have other numbers.









flow Take(talk: Session):
    receive order: Order from talk unchecked
    log info "{order.sku}"
"""

USING = """
use shared: Order, Receipt, Take

flow Buy(shop: Party):
    open Sell with shop as talk
    send Order("bolt") to talk
    receive receipt: Receipt from talk unchecked
    log info "{receipt.units}"

flow Sell():
    responds to Buy as talk
    subflow Take(talk)
"""


def test_an_end_behind_a_subflow_is_told_in_the_flows_own_file() -> None:
    sources = {
        "shared": Source("shared.flow", "shared", SHARED),
        "using": Source("using.flow", "using", USING),
    }
    made = compile_modules(["using"], sources.get)
    (found,) = misfits(made)
    assert found.code == "P203"
    lines = USING.splitlines()
    assert [(note.source, lines[note.span.line - 1].strip()) for note in found.notes] == [
        ("using.flow", "subflow Take(talk)")
    ]
    assert found.run is not None
    for stand in found.run.now:
        assert stand.file == "using.flow"
        assert stand.line <= len(lines)


# --- groups that are counted ----------------------------------------------------------------------

COUNTED = (FITS / "counted_answers.flow").read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("left = left - 1", "left = left - 2"),
        ("left = left - 1", "left = left - 1\n                left = left - 1"),
        ("                left = left - 1", "                pass\n        left = left - 1"),
        ("var left = talks.size", "var left = talks.size - 1"),
        ("while left > 0", "while left > 1"),
        (
            "    send Receipt(1) to talk\n",
            "    send Receipt(1) to talk\n    send Receipt(2) to talk\n",
        ),
    ],
)
def test_a_group_that_is_counted_otherwise_does_not_fit(old: str, new: str) -> None:
    assert COUNTED.count(old) == 1
    found = found_in(trade=COUNTED.replace(old, new))
    is_right_anyway = new.startswith("                pass")
    assert any(one[1] == "error" for one in found) is not is_right_anyway
