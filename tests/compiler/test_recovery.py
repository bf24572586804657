"""The parser on programs with mistakes: each is said once, and all the rest is in the tree."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlang import syntax
from flowlang.diagnostics import as_text
from flowlang.parser import Parsed, parse
from flowlang.parser.table import load_table
from flowlang.source import Source

ONE_MISTAKE = Path(__file__).parent / "one_mistake.txt"
"""Programs, each between `===` and `---`, and what is said about them. `UPDATE_EXPECT=1` writes
the texts anew, to be read in the diff."""


def read(text: str) -> Parsed:
    return parse(Source("a.flow", "a", text))


def said(text: str) -> str:
    source = Source("a.flow", "a", text)
    return "".join(as_text(found, {"a.flow": source}) for found in parse(source).diagnostics)


def codes(text: str) -> list[str]:
    return [found.code for found in read(text).diagnostics]


def flow_of(text: str) -> syntax.Flow:
    """The first flow of a file, which has mistakes."""
    return next(one for one in read(text).file.declarations if isinstance(one, syntax.Flow))


def names(body: syntax.Block) -> list[str]:
    return [type(statement).__name__ for statement in body]


# --- one mistake ------------------------------------------------------------------------------

PROGRAMS = [
    tuple(case.split("---\n", 1))
    for case in ONE_MISTAKE.read_text("utf-8").removeprefix("===\n").split("===\n")
]
if os.environ.get("UPDATE_EXPECT"):
    PROGRAMS = [(program, said(program)) for program, _ in PROGRAMS]
    ONE_MISTAKE.write_text("".join(f"===\n{one}---\n{two}" for one, two in PROGRAMS), "utf-8")
# A docstring without end takes the rest of the file.
BEFORE_OTHERS = [one for one, two in PROGRAMS if "F014" not in two]
# The start of a file is a place of its own.
BEHIND_OTHERS = [
    one
    for one, two in PROGRAMS
    if not re.search("F014|F140", two) and not one.startswith(("use ", " "))
]


@pytest.mark.parametrize(("program", "expected"), PROGRAMS)
def test_one_mistake_is_said_once(program: str, expected: str) -> None:
    assert said(program) == expected
    assert len(codes(program)) == 1


@pytest.mark.parametrize("program", BEFORE_OTHERS)
def test_the_next_flow_is_in_the_tree(program: str) -> None:
    parsed = read(program + "flow Late() -> Int:\n    return 1\n")
    assert [found.message for found in parsed.diagnostics] == [
        found.message for found in read(program).diagnostics
    ]
    last = parsed.file.declarations[-1]
    assert isinstance(last, syntax.Flow)
    assert (last.name, last.broken, names(last.body)) == ("Late", False, ["Return"])


@pytest.mark.parametrize("program", BEHIND_OTHERS)
def test_the_flow_before_is_in_the_tree(program: str) -> None:
    parsed = read("flow Early() -> Int:\n    return 1\n" + program)
    assert [found.message for found in parsed.diagnostics] == [
        found.message for found in read(program).diagnostics
    ]
    first = parsed.file.declarations[0]
    assert isinstance(first, syntax.Flow)
    assert (first.name, first.broken) == ("Early", False)


def test_terminals_are_never_named() -> None:
    for _, expected in PROGRAMS:
        assert not re.search(r"\b(NEWLINE|INDENT|DEDENT|BROKEN|[LR]PAR|[LR]SQB|NUMBER)\b", expected)


# --- several ----------------------------------------------------------------------------------


def test_three_mistakes_are_three_diagnostics_and_the_rest_is_in_the_tree() -> None:
    text = """\
message Offer:
    price: Int

flow Seller(buyer: Party) -> Int:
    open Buyer with buyer as trade
    send Offer(1) too trade
    let bad =
    receive answer: Offer from trade:
        require answer.price > 0 else Bad(1)
    if answer.price = 1:
        pass
    return answer.price

flow Buyer():
    responds to Seller as trade
    pass
"""
    assert (
        said(text)
        == """\
error[F110]: expected `to` and a session, found `too`
  --> a.flow:6:19
   |
 6 |     send Offer(1) too trade
   |                   ^^^
 help: did you mean `to`?
error[F100]: expected a value after `=`
  --> a.flow:7:14
   |
 7 |     let bad =
   |              ^
 help: write `let name = value`
error[F114]: `=` gives a variable its value; it does not compare
  --> a.flow:10:21
    |
 10 |     if answer.price = 1:
    |                     ^
 help: to compare, write `==`
"""
    )
    file = read(text).file
    assert [one.name for one in file.declarations] == ["Offer", "Seller", "Buyer"]
    seller = file.declarations[1]
    assert isinstance(seller, syntax.Flow)
    assert seller.broken
    assert names(seller.body) == ["Open", "Send", "Broken", "Receive", "If", "Return"]
    broken = seller.body[2]
    assert isinstance(broken, syntax.Broken)
    assert broken.names == ("bad",)


def test_mistakes_in_a_header_and_below_it_are_both_said() -> None:
    text = """\
flow F(a Int) -> Int:
    let x = 1 +
    if x:
        let y = 2 2
    return x

service S:
    read f(a) -> Int
    wirte g(a: Int)

record R:
    a Int
    b: Text

record Q(a: Int):
    b Int
"""
    assert [(d.code, d.span.line) for d in read(text).diagnostics] == [
        ("F100", 1),
        ("F100", 2),
        ("F100", 4),
        ("F100", 8),
        ("F110", 9),
        ("F100", 12),
        ("F100", 15),
        ("F100", 16),
    ]
    assert read(text).file.broken_names == {"F", "S", "R", "Q"}


def test_a_case_that_cannot_be_read_hides_nothing_else() -> None:
    text = """\
enum Decision:
    Approved(by: Text)
    Refused No

flow F(a: Int):
    match a:
        case 1:
            let b = 2
        case 2 3:
            let b = 3
        elephant
    b = 3

class X:
    def f(self):
        return self.x
"""
    parsed = read(text)
    assert [(d.code, d.span.line) for d in parsed.diagnostics] == [
        ("F100", 3),
        ("F100", 9),
        ("F100", 11),
        ("F115", 14),
    ]
    assert "Decision" in parsed.file.broken_names
    (flow,) = parsed.file.declarations
    assert isinstance(flow, syntax.Flow)
    match = flow.body[0]
    assert isinstance(match, syntax.Match)
    assert match.broken
    assert [len(case.patterns) for case in match.cases] == [1, 0]


# --- what stays in the tree -------------------------------------------------------------------


def test_blocks_below_a_broken_header_are_read() -> None:
    text = """\
flow F(a: Int):
    if a b:
        let x = 1
    elif a:
        let x = 2 2
    elif c d:
        let y = 3
    else:
        let z = 4
    try:
        pass
    catch 1:
        let v = 5
    catch E as e:
        throw e
    while a b:
        break
    pass
"""
    parsed = read(text)
    assert [d.span.line for d in parsed.diagnostics] == [2, 5, 6, 12, 16]
    flow = flow_of(text)
    assert names(flow.body) == ["Broken", "Try", "Broken", "Pass"]
    assert "Let" in str(flow.body[0])
    attempt = flow.body[1]
    assert isinstance(attempt, syntax.Try)
    assert [len(catch.errors) for catch in attempt.catches] == [0, 1]


def test_a_broken_elif_stays_a_branch() -> None:
    text = """\
flow F(a: Int):
    if a:
        let x = 1
    elif a b:
        let x = 2
    else:
        let x = 3
"""
    assert codes(text) == ["F100"]
    (choice,) = flow_of(text).body
    assert isinstance(choice, syntax.If)
    assert len(choice.branches) == 2
    assert choice.otherwise is not None


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("recieve x: T from s unchecked", "Receive"),
        ("send 1 too s", "Send"),
        ("let match = 1", "Let"),
        ("x += 1", "Assign"),
        ("let x = a is not none", "Let"),
        ("let x = 'text'", "Let"),
        ('let x = f"text {a}"', "Let"),
        ("let x = .5", "Let"),
        ("let x = 1e5", "Let"),
        ("let x = a && !b || c", "Let"),
        ("let x = None", "Let"),
        ("if a {\n        pass\n    } else {\n        pass\n    }", "If"),
        ("if a == 1 then\n        pass", "If"),
        ("if a = 1:\n        pass", "If"),
        ("if a\n        pass", "If"),
        ("if a:\n        pass\n    else if b:\n        pass\n    elsif c:\n        pass", "If"),
        ("raise E(1)", "Throw"),
        ("receive x: T from s", "Receive"),
        ("let x = (1, 2", "Broken"),
        ("let x = f(1, 2", "Let"),
        ("let x = 1)", "Let"),
        ("let x = 1;", "Let"),
        ("val x = 1", "Let"),
    ],
)
def test_a_line_that_is_understood_is_in_the_tree(line: str, kind: str) -> None:
    text = f"flow F(a: Int):\n    {line}\n    let last = 1\n"
    assert codes(text)
    assert names(flow_of(text).body) == [kind, "Let"]


def test_a_missing_block_is_a_gap() -> None:
    text = "flow F(a: Int):\n    if a:\n    return\n"
    assert codes(text) == ["F102"]
    flow = flow_of(text)
    assert flow.broken
    choice = flow.body[0]
    assert isinstance(choice, syntax.If)
    assert names(choice.branches[0][1]) == ["Broken"]


def test_statements_left_of_their_flow_are_one_mistake() -> None:
    text = "flow F():\nlet x = 1\nsend x to y\n\nmessage M:\n    a: Int\n"
    assert codes(text) == ["F102"]
    assert codes("let x = 1\nx = 2\nsend x to y\nerror E\nlet y = 1\n") == ["F127", "F127"]


def test_a_number_that_is_wrong_is_a_name_of_which_nothing_is_known() -> None:
    file = read("flow F():\n    let x = 1e5 + 2\n").file
    assert file.broken_names == {"1e5"}


def test_a_declaration_with_a_gap_is_known_by_its_name_alone() -> None:
    text = """\
record R:
    a Int
message M:
service S:
    read f(
    read g() -> Int
flow Seller():
    responds to Buyer
    pass
flow Buyer():
    steps:
        A
        B "b"
    step A
"""
    file = read(text).file
    assert file.broken_names == {"R", "M", "S", "Seller"}
    (buyer,) = file.declarations
    assert isinstance(buyer, syntax.Flow)
    assert [step.name for step in buyer.steps] == ["A", "B"]


@pytest.mark.parametrize(
    "text",
    [
        'flow F(to: Party):\n    log info "{to} {to.name}"\n    send to to to\n',
        'flow F():\n    let send = 3\n    log info "{send}"\n    let x = send + send\n',
        "flow F():\n    for step in steps:\n        g(step)\n    return step\n",
    ],
)
def test_a_word_that_cannot_be_a_name_is_said_where_it_is_given(text: str) -> None:
    assert codes(text) == ["F111"] + ["F100"] * ("in steps" in text)


def test_a_broken_line_that_would_have_named_something_may_have_named_anything() -> None:
    text = """\
flow F(a: Int):
    open G with a
    send a to talk
    let = 3
    log info x

flow H():
    log info y
"""
    first = flow_of(text).body[0]
    assert isinstance(first, syntax.Broken)
    assert first.names == ("a", "talk", "x")


def test_a_construct_that_is_not_known_yet_hides_its_cases() -> None:
    text = "flow F(a: Int):\n    migrate a:\n        case Order as o:\n            g(o)\n"
    assert codes(text) == ["F199"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("let x = a && b", "and"),
        ("let x = a || b", "or"),
        ("let x = a adn b", "and"),
        ("let x = a === b", "=="),
        ("let x = a => b", ">="),
        ("let x = a is not b", "!="),
        ("x += b", "+"),
    ],
)
def test_mended_operators_are_those_of_the_language(line: str, expected: str) -> None:
    parsed = read(f"flow F(a: Int):\n    {line}\n")
    assert len(parsed.diagnostics) == 1
    operators = [n.operator for n in every_node(parsed.file) if isinstance(n, syntax.Binary)]
    assert operators == [expected]


def test_mended_words_are_those_of_the_language() -> None:
    text = """\
mesage M:
    a: Int
service S:
    reed f() -> Int
flow F():
    startable by rcp
    log inof "x"
    lett x = 1
"""
    assert codes(text) == ["F110"] * 5
    record, service, flow = read(text).file.declarations
    assert isinstance(record, syntax.Record)
    assert isinstance(service, syntax.Service)
    assert isinstance(flow, syntax.Flow)
    assert record.kind == "message"
    assert service.operations[0].kind == "read"
    assert flow.startable == ("rpc",)
    log, let = flow.body
    assert isinstance(log, syntax.Log)
    assert isinstance(let, syntax.Let)
    assert (log.level, let.mutable) == ("info", False)


def test_reading_stops_at_a_hundred_mistakes() -> None:
    text = "flow F():\n" + "    a b\n" * 500 + "flow Late():\n    pass\n"
    parsed = read(text)
    assert len(parsed.diagnostics) == 100
    assert parsed.file.broken_names == {"F", "Late"}


# --- any text ---------------------------------------------------------------------------------

PROGRAM = '''"""A trade."""
use ledger.core: Amount, Keys
message Info:
    """What."""
    price: Amount
    from: List[Text]? = []
error Bad(given: Amount, by: Text): "bad {given + 1}"
function total(lines: List[Line]) -> Decimal = python "shop.prices:total"
service Desk:
    read price(kind: untrusted Text) -> Amount
    write propose(info: Info)
flow Seller(buyer: Party, price: Amount) -> Tx:
    """Sell."""
    version 2
    startable by rpc
    steps:
        ONE "One" tracks Other
    step ONE
    open Buyer with buyer as trade
    send Info(price, from=[1, {"a": 2}]) to trade then receive x: Info from trade @here:
        require x.price >= 1_000 else Bad(x.price, by="me {x.from[0]}")
    try:
        let signed = subflow Sign(trade, paying=price)
    catch Bad, Worse:
        log info "no"
    while not (price == 1) and 2 in xs:
        var y: Int? = none
        y = -3 * 2
        break
    if x != none:
        return subflow Last(trade)
    elif true:
        sleep 30s
    else:
        hold "why"
    return x
'''
TOKEN = re.compile(r'"""|"[^"\n]*"|\w+|\n *|[^\w\s]| +')
TOKENS = TOKEN.findall(PROGRAM)
WORDS = [*load_table().names, *load_table().reserved]
STRANGE = [
    *"()[]{}:,.=\"'\\;!&@?#$€\t\r\f\0\u202e\ud800",
    '"""',
    'b"',
    "\n",
    "\n    ",
    "\n ",
    *WORDS,
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The program with a few tokens removed, doubled, swapped, replaced or put in."""
    tokens = list(TOKENS)
    for _ in range(draw(st.integers(1, 5))):
        here = draw(st.integers(0, len(tokens) - 1))
        there = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(["remove", "double", "swap", "replace", "put"])):
            case "remove":
                del tokens[here]
            case "double":
                tokens.insert(here, tokens[here])
            case "swap":
                tokens[here], tokens[there] = tokens[there], tokens[here]
            case "replace":
                tokens[here] = draw(st.sampled_from(STRANGE))
            case _:
                tokens.insert(here, draw(st.sampled_from(STRANGE)))
    return "".join(tokens)


def check_anything(text: str) -> None:
    parsed = read(text)
    lines = text.removeprefix("\ufeff").split("\n")
    for found in parsed.diagnostics:
        assert 1 <= found.span.line <= len(lines)
        assert 1 <= found.span.column <= len(lines[found.span.line - 1]) + 1
        assert found.span[:2] <= found.span[2:]
        assert re.fullmatch(r"F[017]\d\d", found.code)
    assert parsed.diagnostics or parsed.file.declarations
    for node in every_node(parsed.file):
        check_words(node)
    if not parsed.diagnostics:
        assert not parsed.file.broken_names
        assert not any(isinstance(node, syntax.Broken) for node in every_node(parsed.file))


def check_words(node: Any) -> None:
    """What is written out in the types of the tree holds for what was mended, too."""
    match node:
        case syntax.Binary(operator=operator):
            assert operator in get_args(syntax.BinaryOperator)
        case syntax.Unary(operator=operator):
            assert operator in ("-", "not")
        case syntax.Log(level=level):
            assert level in words_of(syntax.Log, "level")
        case syntax.Record(kind=kind):
            assert kind in words_of(syntax.Record, "kind")
        case syntax.Operation(kind=kind):
            assert kind in words_of(syntax.Operation, "kind")
        case syntax.Flow(startable=ways):
            assert set(ways) <= {"rpc", "schedule"}


def words_of(node: type, field: str) -> tuple[str, ...]:
    """The words that the tree's type allows, so that a new one is known here, too."""
    return get_args(get_type_hints(node)[field])


def every_node(found: Any) -> list[Any]:
    if isinstance(found, tuple):
        return [node for item in found for node in every_node(item)]
    if not dataclasses.is_dataclass(found):
        return []
    fields = (getattr(found, field.name) for field in dataclasses.fields(found))
    return [found, *(node for field in fields for node in every_node(field))]


def test_the_program_itself_is_fine() -> None:
    assert codes(PROGRAM) == []
    assert "".join(TOKENS) == PROGRAM


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_a_program_changed_at_random_never_raises(text: str) -> None:
    check_anything(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*TOKENS, *STRANGE]), max_size=60).map("".join))
def test_words_at_random_never_raise(text: str) -> None:
    check_anything(text)


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_any_text_never_raises(text: str) -> None:
    check_anything(text)
