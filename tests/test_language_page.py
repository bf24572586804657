"""The flows in the language's page that can be started do what the page says of them."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowrt.core.flow import FlowError
from tests.runtime.written import ALICE, BOB, CAROL, Stage, compiled
from tests.test_docs import FENCE, whole

PAGE = Path(__file__).parent.parent / "docs" / "language.md"
STARTABLE = re.compile(
    r"^flow (\w+)[^\n]*\n(?:    (?:\"\"\"|version|key)[^\n]*\n)*    startable by rpc", re.M
)
PROGRAMS = {
    name: whole(PAGE, mark, text)
    for mark, text in FENCE.findall(PAGE.read_text())
    for name in STARTABLE.findall(text)
}
HOUR = datetime.timedelta(hours=1)


class Invoice:
    """The class of Python that the page's example of one needs."""

    def __init__(self, number: str, total: Decimal) -> None:
        self.number, self.total = number, total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Invoice) and self.to_flow() == other.to_flow()

    def __hash__(self) -> int:
        return hash(self.to_flow())

    def __lt__(self, other: Invoice) -> bool:
        return self.total < other.total

    def to_flow(self) -> bytes:
        return f"{self.number} {self.total}".encode()

    @classmethod
    def from_flow(cls, data: bytes) -> Invoice:
        number, total = data.decode().split()
        return cls(number, Decimal(total))


class Shop:
    """Every service that the page declares."""

    def __init__(self) -> None:
        self.reserved: list[tuple[str, int]] = []
        self.paid: list[int] = []

    def on_hand(self, tx: Any, sku: str) -> int:
        return 5

    def reserve(self, tx: Any, sku: str, count: int) -> None:
        self.reserved.append((sku, count))

    def take(self, tx: Any, sku: str) -> int:
        return len(sku)

    def book(self, key: str, sku: str) -> str:
        return f"label for {sku}"

    def pay(self, key: str, sum_: int) -> None:
        self.paid.append(sum_)

    def enter(self, tx: Any, invoice: str, amount: Decimal) -> None:
        raise AssertionError("nobody enters an invoice here")

    def settled(self, tx: Any, invoice: str) -> Decimal | None:
        return Decimal("12.5") if invoice == "4711" and tx.now.hour >= 9 else None

    def closed(self, tx: Any, year: int) -> bool:
        return year < 2027


@pytest.fixture(autouse=True)
def _python_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    prices, invoices = ModuleType("shop.prices"), ModuleType("shop.invoices")
    prices.total = lambda items: Decimal(sum(item.count for item in items))  # type: ignore[attr-defined]
    invoices.Invoice = invoices.issue = Invoice  # type: ignore[attr-defined]
    for module in (ModuleType("shop"), prices, invoices):
        monkeypatch.setitem(sys.modules, module.__name__, module)


Does = Callable[[ModuleType, Stage], Any]


def runs(flow: str, **arguments: Any) -> Does:
    return lambda module, stage: stage.run(getattr(module, f"{flow}_v1"), **arguments)


def buy(module: ModuleType, stage: Stage) -> Any:
    order = module.Order("A-1", (module.Item("bolt", 3), module.Item("nut", 2)))
    return stage.run(module.Buy_v1, shop=BOB, order=order, most=Decimal(5))


def decide(module: ModuleType, stage: Stage) -> Any:
    cases = [
        module.Decision_Approved("bob"),
        module.Decision_Rejected("no"),
        module.Decision_Pending(),
    ]
    return [stage.run(module.Decide_v1, decision=case) for case in cases]


def answered(flow: str, answer: str, **arguments: Any) -> Does:
    def does(module: ModuleType, stage: Stage) -> Any:
        flow_id = stage.start(getattr(module, f"{flow}_v1"), sku="bolt", **arguments)
        stage.rest()
        alice = stage.nodes[ALICE.name]
        [task] = alice.tasks("buyer")
        alice.submit_answer(flow_id, task.number, getattr(module, answer)(True), "mary")
        return stage.result(flow_id)

    return does


def gather(module: ModuleType, stage: Stage) -> Any:
    flow_id = stage.start(module.Gather_v1, name="x", goal=Decimal(30))
    for command in (module.PayMore(Decimal(20)), module.Stop()):
        stage.nodes[ALICE.name].submit_command(flow_id, command)
        stage.turn(ALICE.name)
    result = stage.result(flow_id)
    return result, stage.nodes[ALICE.name].handle(flow_id).receive_now() == module.Paid(Decimal(20))


def pay(module: ModuleType, stage: Stage) -> Any:
    small, big = Invoice("1", Decimal(5)), Invoice("2", Decimal(9))
    return [
        stage.run(module.Pay_v1, invoice=invoice, limit=limit)
        for invoice, limit in ((small, big), (big, small))
    ]


def dun(invoice: str) -> Does:
    def does(module: ModuleType, stage: Stage) -> Any:
        flow_id = stage.start(module.Dun_v1, invoice=invoice)
        stage.rest()
        stage.now_us += 3_600_000_000
        stage.nodes[ALICE.name].submit_happened("settled", invoice)
        return stage.result(flow_id)

    return does


CASES: list[tuple[str, Does, Any]] = [
    ("Buy", buy, 5),
    ("Decide", decide, ["approved by bob", "rejected: no", "pending"]),
    ("Order", runs("Order", sku="bolt"), 4),
    ("Remind", runs("Remind", customer=BOB, days=3), None),
    ("Compare", runs("Compare", shops=(BOB, CAROL), sku="bolt"), 3),
    ("Compare", runs("Compare", shops=(BOB, CAROL), sku="nut"), None),
    ("Collect", runs("Collect", lenders=(BOB, CAROL)), 17),
    ("Poll", runs("Poll", members=(BOB, CAROL)), 8),
    ("Ask", runs("Ask", shop=BOB, limit=Decimal(1)), "bolt for 0.11"),
    ("Ask", runs("Ask", shop=BOB, limit=Decimal("0.1")), "refused: 0.12 is too much for bolt"),
    ("TrySell", runs("TrySell", count=5, late=HOUR / 2), "sold"),
    ("TrySell", runs("TrySell", count=10, late=HOUR), "only 9"),
    ("TrySell", runs("TrySell", count=5, late=HOUR), "not sold"),
    ("TrySell", runs("TrySell", count=0, late=HOUR / 2), "refused: nothing is wanted"),
    ("WeighAll", runs("WeighAll", skus=("bolt", "nut")), 10),
    ("WeighAll", runs("WeighAll", skus=("bolt", "glue")), 0),
    ("Approve", runs("Approve", sku="bolt", count=1), "nobody was there"),
    ("Sell", runs("Sell", buyer=BOB, price=Decimal(9)), True),
    ("Sell", runs("Sell", buyer=BOB, price=Decimal(11)), False),
    ("Approve", answered("Approve", "Approval", count=1), "mary agrees"),
    ("Deliver", answered("Deliver", "Consent"), "label for bolt"),
    ("Deliver", runs("Deliver", sku="bolt"), "refused: nobody agrees to label for bolt"),
    ("Dun", dun("4711"), "paid 12.50"),
    ("Dun", dun("4712"), "overdue"),
    ("CloseYear", runs("CloseYear", year=2026), None),
    ("Gather", gather, (20, True)),
    ("Download", runs("Download", pages=("a", "b")), 2),
    ("Pay", pay, ["1", "2a"]),
]


@pytest.mark.parametrize("crashes", [False, True], ids=["undisturbed", "crashes"])
@pytest.mark.parametrize(
    ("name", "does", "gives"), [pytest.param(*case, id=case[0]) for case in CASES]
)
def test_a_flow_of_the_page(name: str, does: Does, gives: Any, crashes: bool) -> None:
    module, shop = compiled(PROGRAMS[name]), Shop()
    used = [
        service
        for service in ("Stock", "Carrier", "Depot", "Books")
        if f" {service}." in PROGRAMS[name]
    ]
    # A process that ends after every turn never gets to hear of an operation that it began.
    crashes = crashes and "Carrier" not in used
    stage = Stage(module, services=dict.fromkeys(used, shop), crashes=crashes)
    try:
        given = does(module, stage)
    except FlowError as error:
        given = str(error)
    assert given == gives
    assert shop.reserved == ([("bolt", 3), ("nut", 2)] if name == "Buy" else [])
    assert shop.paid == ([12] if given == "label for bolt" else [])


def test_every_flow_of_the_page_that_can_be_started_is_run() -> None:
    assert set(PROGRAMS) == {name for name, _, _ in CASES}
    assert len(re.findall(r"^    startable by rpc", PAGE.read_text(), re.M)) == len(PROGRAMS)
