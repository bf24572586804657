"""The loan of examples/loan: who is chosen, who is left out, what a crash changes (nothing)."""

from __future__ import annotations

import asyncio
import datetime
import decimal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flowrt.core.flow import Party
from tests.examples.loaded import loaded
from tests.runtime.crashes import HOUR_US, Power, World, every_crash

LENDERS = ("cheap", "dear", "proud", "poor")
RATES = {"cheap": "3.5", "dear": "4.5", "proud": "", "poor": "1"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with loaded("loan", "loan", tmp_path_factory.mktemp("loan")) as found:
        yield found


class Town(World):
    """A borrower and four lenders: one offers nothing, one has nothing. `rates` changes a rate."""

    def __init__(self, app: SimpleNamespace, units: int, *more: str, **options: Any) -> None:
        super().__init__(reload=True, **options)
        self.app = app
        for name in ("mill", *LENDERS):
            self.add(
                name,
                [app.flow],
                lambda name=name: {"Treasury": self.treasury(name)},  # type: ignore[misc]
            )
        lenders = tuple(map(Party, (*LENDERS, *more)))
        self.loan = self.start(
            "mill", app.flow.Borrow_v1, lenders=lenders, units=units, purpose="a roof"
        )

    def treasury(self, name: str) -> Any:
        """Its bureau knows at once, and answers without an event loop."""
        units = 0 if name == "poor" else 1_000
        made = self.app.treasury.Treasury(units, most=300, rate=RATES.get(name, ""))
        judge = made.judge

        def at_once(key: str, borrower: Party, request: Any) -> Any:
            try:
                judge(key, borrower, request).send(None)
            except StopIteration as answer:
                return answer.value
            raise AssertionError("it waits")

        made.judge = at_once
        return made

    def run(self, horizon_us: int = 48 * HOUR_US, limit: int = 100_000) -> None:
        super().run(horizon_us, limit)

    def books(self) -> dict[str, Any]:
        """What each lender has left, holds back and has lent."""
        query = "SELECT units, rate FROM treasury_loans"
        return {
            name: (*self.rows(name, "SELECT free, held FROM treasury")[0], self.rows(name, query))
            for name in LENDERS
        }

    def story(self) -> Any:
        try:
            found: Any = dict(self.result(self.loan))
        except self.app.flow.NotEnough as error:
            found = str(error)
        return found, self.books(), self.residue()


def test_the_cheapest_lend_and_the_others_are_let_go(app: SimpleNamespace) -> None:
    def build(power: Power) -> Town:
        return Town(app, 500, power=power)

    rate, share = decimal.Decimal, app.flow.Accepted
    for power, (shares, books, residue) in every_crash(build, Town.story):
        assert shares == {"cheap": share(300, rate("3.5")), "dear": share(200, rate("4.5"))}, power
        assert books["cheap"] == (700, 0, [(300, "3.5")])
        assert books["dear"] == (800, 0, [(200, "4.5")])
        assert books["proud"] == (1_000, 0, [])
        assert books["poor"] == (0, 0, [])
        assert set(residue.values()) == {(0, 0, 0)}


def test_not_enough_is_told_to_all_and_nothing_is_held_back(app: SimpleNamespace) -> None:
    def build(power: Power) -> Town:
        return Town(app, 601, power=power)

    for power, (said, books, _) in every_crash(build, Town.story):
        assert said == "all together do not lend 601", power
        assert [books[name] for name in LENDERS[:3]] == [(1_000, 0, [])] * 3


def test_who_is_asleep_is_waited_for_a_day_and_not_longer(app: SimpleNamespace) -> None:
    with Town(app, 500, "asleep") as world:
        began = world.now_us
        world.run(23 * HOUR_US)
        assert world.outcome(world.loan) is None
        world.run(2 * HOUR_US)
        assert set(world.result(world.loan)) == {"cheap", "dear"}
        assert world.now_us - began <= 25 * HOUR_US
        # It wakes up: what it offers now is dropped, and it is told that nothing comes of it.
        world.add("asleep", [app.flow], lambda: {"Treasury": world.treasury("cheap")})
        world.run()
        assert world.rows("asleep", "SELECT free, held FROM treasury") == [(1_000, 0)]
        assert set(world.residue().values()) == {(0, 0, 0)}


def test_nonsense_is_passed_over(app: SimpleNamespace) -> None:
    offer = app.flow.Offer
    rate = decimal.Decimal
    lenders = [Party(name) for name in "abcd"]
    offers = [offer(-5, rate(1)), None, offer(10, rate(-1)), offer(9, rate(2))]
    assert app.rates.allot(5, lenders, offers) == {"d": app.flow.Accepted(5, rate(2))}
    assert app.rates.allot(10, lenders, offers) == {}


def test_nobody_lends_twice(app: SimpleNamespace) -> None:
    with Town(app, 100, "cheap") as world:
        world.run()
        with pytest.raises(app.flow.NotEnough):
            world.result(world.loan)


def test_the_demo(app: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    [shares] = asyncio.run(app.gather.show(datetime.timedelta(milliseconds=300)))
    assert {name: share.units for name, share in shares.items()} == {
        "abacus": 7_000,
        "bullion": 25_000,
        "coffer": 8_000,
    }
    assert "all together do not lend 400000" in capsys.readouterr().out
