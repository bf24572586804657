"""The purchase of examples/purchase: what the manager's decisions lead to, and its clock."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flowrt.core.flow import FlowError, Party
from tests.examples.loaded import loaded
from tests.runtime.crashes import HOUR_US, Power, World, every_crash

DAYS_US = 24 * HOUR_US


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with loaded("purchase", "purchase", tmp_path_factory.mktemp("purchase")) as found:
        yield found


class Trade(World):
    """A builder buys ten saws of 100 each. Its manager says `decisions`, one after the other, and
    the warehouse whether all has arrived."""

    def __init__(
        self,
        app: SimpleNamespace,
        *decisions: Any,
        budget: int = 500,
        sku: str = "saw",
        complete: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(reload=True, **options)
        self.app = app
        self.decisions = list(decisions)
        self.arrival = app.flow.Arrival(complete)
        for name, stock in (("builder", {}), ("shop", {"saw": "100"})):
            self.add(
                name,
                [app.flow],
                lambda stock=stock: {  # type: ignore[misc]
                    "Warehouse": app.warehouse.Warehouse(stock)
                },
            )
        self.purchase = self.start(
            "builder",
            app.flow.Purchase_v1,
            order="P-1",
            seller=Party("shop"),
            sku=sku,
            count=10,
            budget=decimal.Decimal(budget),
        )

    def run(self, horizon_us: int = 30 * DAYS_US, limit: int = 100_000) -> None:
        super().run(horizon_us, limit)

    def tick(self) -> bool:
        return super().tick() or self._answer()

    def _answer(self) -> bool:
        """People answer when all is quiet; what to say follows from the price that they are shown,
        so that it is the same when a crash makes them say it again."""
        node = self.node("builder")
        for task in node.tasks():
            if task.role == "warehouse":
                answer = self.arrival
            else:
                asked = [price for price, _ in self.decisions]
                if task.question.price not in asked:
                    continue
                answer = dict(self.decisions)[task.question.price]
            node.submit_answer(task.flow_id, task.number, answer, by="mary")
            return True
        return False

    def ended(self) -> Any:
        try:
            return self.result(self.purchase)
        except FlowError as error:
            return f"{type(error).__name__}: {error}"

    def story(self) -> Any:
        shipped = self.rows("shop", "SELECT sku, count, receiver FROM warehouse_shipments")
        return self.ended(), shipped, self.residue()


SHIPPED = [("saw", 10, "builder")]
NOTHING_LEFT = {"builder": (0, 0, 0), "shop": (0, 0, 0)}


def test_what_is_within_the_budget_is_bought_at_once(app: SimpleNamespace) -> None:
    with Trade(app, budget=1_000) as world:
        world.run()
        assert world.story() == (1_000, SHIPPED, NOTHING_LEFT)


def test_a_crash_at_any_commit_changes_nothing(app: SimpleNamespace) -> None:
    bid, approve = app.flow.Decision_Bid, app.flow.Decision_Approve()
    price = decimal.Decimal

    def build(power: Power) -> Trade:
        # 1000, then half of the way to 800, then no lower than 850.
        decisions = [(1_000, bid(price(800))), (900, bid(price(700))), (850, approve)]
        return Trade(app, *decisions, power=power)

    runs = 0
    for power, story in every_crash(build, Trade.story):
        assert story == (850, SHIPPED, NOTHING_LEFT), power
        runs += 1
    assert runs > 30


def test_the_manager_refuses(app: SimpleNamespace) -> None:
    with Trade(app, (1_000, app.flow.Decision_Refuse("too dear"))) as world:
        world.run()
        assert world.story() == ("TurnedDown: turned down: too dear", [], NOTHING_LEFT)
        with pytest.raises(app.flow.Refusal):
            world.result(world.purchase)
        with pytest.raises(app.flow.TurnedDown):  # The seller knows why.
            world.node("shop").handle(1).result_now()


def test_a_quote_expires_while_nobody_decides(app: SimpleNamespace) -> None:
    with Trade(app) as world:
        world.run(2 * DAYS_US)
        assert [task.role for task in world.node("builder").tasks()] == ["manager"]
        world.run()
        assert world.story() == ("Expired: the quote of 1000 has expired", [], NOTHING_LEFT)
        assert world.node("builder").tasks() == []


def test_what_is_not_sold(app: SimpleNamespace) -> None:
    with Trade(app, sku="hammer") as world:
        world.run()
        assert world.ended() == "NotForSale: hammer is not for sale"


def test_the_delivery_is_looked_at_when_it_is_due(app: SimpleNamespace) -> None:
    with Trade(app, budget=1_000, complete=False) as world:
        world.run(13 * DAYS_US)
        assert world.ended() == 1_000
        assert [flow.flow for flow in world.node("builder").flows()] == [
            "purchase.CheckDelivery_v1"
        ]
        assert world.node("builder").tasks() == []
        world.now_us += 13 * DAYS_US
        world.run(2 * DAYS_US)
        [patient] = world.node("builder").hospital()
        assert patient.cause == "hold: order P-1 is not complete, says mary"


def test_the_demo(app: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert asyncio.run(app.haggle.show()) == decimal.Decimal("1723.00")
    assert "The manager bids 1600" in capsys.readouterr().out
