"""Programs of the language's types that run: on a node that loads each flow from bytes at every
step, and answers itself through the network."""

from __future__ import annotations

import decimal
import functools
import sys
import types
from collections.abc import Iterator

import pytest

from flowrt.core.flow import FlowError, Malformed
from flowrt.core.values import BadBytes, decode, encode
from tests.language.test_hostile import World

ENUM = '''
enum Decision:
    """What was decided."""
    Approved(by: Text, level: Int = 1)
    Refused(why: Text)
    Pending

record File:
    decision: Decision
    earlier: List[Decision] = []
    later: Decision? = none

message Answer:
    decision: Decision

error Unfit(why: Text = "unfit"): "{why:>8}"
'''

MATCHING = (
    ENUM
    + """
flow Try(decision: Decision, other: Decision? = none, n: Int = 5) -> Text:
    startable by rpc
    var said = ""
    match decision:
        case Approved(by, level):
            checkpoint
            said = "{by} {level}"
        case Refused(why):
            open Reply with me as talk
            receive answer: Answer from talk unchecked
            match answer.decision:
                case Approved:
                    said = "after all, not {why}"
                case _:
                    throw Unfit(why)
        case Pending:
            sleep 1s
            said = "pending"
    match other:
        case none:
            said = said + " none"
        case Refused, Pending:
            said = said + " not yet"
        case Approved(by, _):
            said = said + " " + by.upper()
    let kept = File(decision, [decision], other)
    checkpoint
    let same = kept with later = Decision.Pending, earlier = []
    require same.decision == decision and same.earlier.size == 0 else Unfit()
    require same.later == Decision.Pending and kept != same else Unfit()
    return "{said} {n}"

flow Reply():
    responds to Try as talk
    send Answer(Decision.Approved("desk")) to talk
"""
)


@pytest.fixture(scope="module")
def matching() -> World:
    return World(MATCHING)


@pytest.mark.parametrize(
    ("case", "arguments", "expected"),
    [
        ("Approved", ("bob",), "bob 1 none 5"),
        ("Approved", ("bob", 3), "bob 3 none 5"),
        ("Refused", ("late",), "after all, not late none 5"),
    ],
)
def test_a_match_takes_the_case_that_fits(
    matching: World, case: str, arguments: tuple[object, ...], expected: str
) -> None:
    made = getattr(matching.module, f"Decision_{case}")(*arguments)
    assert matching.run("Try", decision=made) == expected


def test_defaults_are_filled_in_where_a_flow_is_started(matching: World) -> None:
    approved = matching.module.Decision_Approved("bob")
    other = matching.module.Decision_Approved("ann", 2)
    assert matching.run("Try", decision=approved, other=other, n=7) == "bob 1 ANN 7"
    pending = matching.module.Decision_Pending()
    assert matching.run("Try", decision=approved, other=pending) == "bob 1 not yet 5"


def test_a_case_is_known_by_its_name_and_nothing_may_follow_its_fields(matching: World) -> None:
    file = matching.module.File
    data = encode(file(matching.module.Decision_Approved("bob")))
    assert decode(file, data) == file(matching.module.Decision_Approved("bob"))
    for wrong in (
        encode((("Approved", "bob", 1, 2), (), None)),
        encode((("Granted", "bob"), (), None)),
        encode((("Refused",), (), None)),
        encode((("Refused", 5), (), None)),
        encode(("Approved", (), None)),
    ):
        with pytest.raises(BadBytes):
            decode(file, wrong)


def test_what_hangs_on_a_case_is_checked_before_it_is_used() -> None:
    checks = """
flow Ask() -> Text:
    startable by rpc
    open Tell with me as talk
    receive answer: Answer from talk:
        match answer.decision:
            case Approved(by, level):
                require by.size // level > 1 else Unfit("{by} {level}")
            case _:
                throw Unfit()
    return "fine"

flow Tell():
    responds to Ask as talk
    send Answer(Decision.Approved("bob", {level})) to talk
"""
    assert World(ENUM + checks.replace("{level})", "1)", 1)).run("Ask") == "fine"
    with pytest.raises(FlowError, match="bob 3"):
        World(ENUM + checks.replace("{level})", "3)", 1)).run("Ask")
    with pytest.raises(Malformed, match="division by zero"):
        World(ENUM + checks.replace("{level})", "0)", 1)).run("Ask")


# --- values of Python -------------------------------------------------------------------------

OPAQUE = """
type Invoice = python "shop_invoices:Invoice":
    number: Text
    total: Decimal
    ordered

function issue(number: Text, total: Decimal) -> Invoice = python "shop_invoices:issue"

message Bill:
    invoice: Invoice
    copies: List[Invoice]

error Wrong(invoice: Invoice): "wrong: {invoice.number}"

flow Try(number: Text) -> Text:
    startable by rpc
    let first = issue(number, 1.50)
    checkpoint
    let second = issue("7", first.total + 0.50)
    open Check with me as talk
    send Bill(first, [first, second]) to talk
    try:
        receive bill: Bill from talk:
            require bill.copies.size == 1 else Wrong(bill.invoice)
        require bill.invoice == first and bill.invoice != second else Wrong(second)
        require first < second else Wrong(first)
        return "{bill.invoice.number} {bill.invoice.total}"
    catch Wrong as wrong:
        checkpoint
        require wrong.invoice.number != "" else Wrong(wrong.invoice)
        return "wrong {wrong.invoice.number}"

flow Check():
    responds to Try as talk
    receive bill: Bill from talk unchecked
    if bill.invoice.number == "13":
        throw Wrong(bill.invoice)
    send Bill(bill.invoice, [bill.copies[0]]) to talk
"""


@functools.total_ordering
class Invoice:
    """A class of an author: its bytes, its fields, its order."""

    def __init__(self, number: str, total: decimal.Decimal) -> None:
        self.number = number
        self.total = total

    def to_flow(self) -> bytes:
        return f"{self.number}|{self.total}".encode()

    @classmethod
    def from_flow(cls, data: bytes) -> Invoice:
        number, total = data.decode().split("|")
        return cls(number, decimal.Decimal(total))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Invoice) and self.to_flow() == other.to_flow()

    def __lt__(self, other: Invoice) -> bool:
        return self.total < other.total

    def __hash__(self) -> int:
        return hash(self.to_flow())


@pytest.fixture
def invoices() -> Iterator[World]:
    module = types.ModuleType("shop_invoices")
    module.Invoice = Invoice  # type: ignore[attr-defined]
    module.issue = Invoice  # type: ignore[attr-defined]
    sys.modules["shop_invoices"] = module
    yield World(OPAQUE)
    del sys.modules["shop_invoices"]


def test_a_value_of_python_is_kept_sent_and_compared(invoices: World) -> None:
    assert invoices.run("Try", number="5") == "5 1.5"


def test_an_error_may_carry_a_value_of_python(invoices: World) -> None:
    assert invoices.run("Try", number="13") == "wrong 13"


def test_bytes_that_its_class_does_not_write_are_refused(invoices: World) -> None:
    bill = invoices.module.Bill
    good = encode((b"5|1.5", (b"7|2",)))
    assert decode(bill, good).invoice == Invoice("5", decimal.Decimal("1.5"))
    for wrong in (
        (b"5", ()),  # its own code says no
        ("5|1.5", ()),  # a text is no bytes
        (b"5|1.5", (b"7|abc",)),
        (b"5|+1.5", ()),  # another form of the same value
        (5, ()),
    ):
        with pytest.raises(BadBytes):
            decode(bill, encode(wrong))
