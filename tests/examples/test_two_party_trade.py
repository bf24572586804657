"""The trade of examples/two_party_trade: how it ends, what a crash may change (nothing), what
people and a cheat may."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flowrt.core.flow import FlowError, Party
from flowrt.finance.cash import Cash
from flowrt.finance.trading import TradeDesk
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.transactions import LedgerTransaction, SignedCommand
from flowrt.stdlib.finance import trade_flow
from flowrt.stdlib.finance.trade_flow import AssetMismatch, ProposalRefused
from flowrt.stdlib.ledger.approval_flow import PaymentDecision_Approve, PaymentDecision_Refuse
from flowrt.stdlib.ledger.core_flow import InsufficientBalance, TimeWindowInvalid
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer
from tests.examples.ledgered import DAY_US, LedgerWorld
from tests.examples.loaded import loaded
from tests.runtime.crashes import HOUR_US, Power, Start, every_crash

FACE = 10_000_000
PRICE = 9_500_000
COINS = (8_000_000, 7_000_000, 5_000_000, 9_000_000)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with loaded("two_party_trade", "trade", tmp_path_factory.mktemp("trade")) as found:
        yield found


class Street(LedgerWorld):
    """The seller has two papers, a large one and a bond; the buyer four coins."""

    def __init__(self, app: SimpleNamespace, lie: Any = None, **options: Any) -> None:
        self.app = app
        self.lie = lie
        self.market: Any = None
        super().__init__(
            ("seller", "buyer", "bank", "acme"),
            app.market.RULES,
            app.flow,
            self._mine,
            library=[trade_flow],
            **options,
        )

    def _mine(self, local: Any, ledger: Any) -> dict[str, object]:
        if self.market is None:
            self.market = self.app.market.Market(local)
            for serial, face in (("C-1", FACE), ("C-2", FACE), ("C-3", 2 * FACE)):
                self.market.paper(serial, face)
            self.market.bond("B-1", FACE)
            for units in COINS:
                self.market.coin(units)
        found: dict[str, object] = self.market.services(ledger, ledger_of(local, ledger))
        if self.lie is not None:
            found["finance.trade.Trades"] = self.lie(found["finance.trade.Trades"])
        return found

    def sell(self, order: str, serial: str, *prices: int) -> Start:
        return self.start(
            "seller",
            self.app.flow.Seller_v1,
            order=order,
            buyer=Party("buyer"),
            serial=serial,
            prices=tuple(Amount(units, "EUR") for units in prices),
        )

    def papers(self, party: str) -> list[str]:
        """The numbers of the papers and bonds that a party has."""
        desk = self.app.desk
        page = self.vault(party, "states", desk.StateQuery(size=100))
        found = (desk.serial_of(self.vault(party, "read", one.state.ref)) for one in page.states)
        return sorted(serial for serial in found if serial)

    def story(self) -> Any:
        """One paper for the second price, another at the same time."""
        orders = [self.sell("A-1", "C-1", FACE, PRICE), self.sell("A-2", "C-2", PRICE - 1)]
        self.run()
        prices = [self.result(order).price.units for order in orders]
        self.nothing_is_left()
        return prices, self.papers("seller"), self.papers("buyer"), self.cash("seller", "buyer")


def ledger_of(local: Any, ledger: Any) -> Party:
    """Whose ledger it is."""
    return next(Party(name) for name, one in local.ledgers.items() if one is ledger)


SOLD = (
    [PRICE, PRICE - 1],
    ["B-1", "C-3"],
    ["C-1", "C-2"],
    (2 * PRICE - 1, sum(COINS) - 2 * PRICE + 1),
)


def test_papers_are_sold_whoever_crashes_in_between(app: SimpleNamespace) -> None:
    with Street(app, restless=True) as world:
        assert world.story() == SOLD
        assert sum(member.crashes for member in world.members.values()) > 15


@pytest.mark.campaign
def test_the_same_with_a_crash_at_every_commit(app: SimpleNamespace) -> None:
    def build(power: Power) -> Street:
        return Street(app, power=power)

    for power, seen in every_crash(build, Street.story):
        assert seen == SOLD, power


def test_what_the_buyer_does_not_want(app: SimpleNamespace) -> None:
    with Street(app) as world:
        bond = world.ends(world.sell("A-1", "B-1", PRICE), AssetMismatch)
        assert (bond.wanted, bond.offered) == ("finance.CommercialPaper", "market.Bond")  # type: ignore[attr-defined]
        world.ends(world.sell("A-2", "C-1", FACE, FACE - 1), app.flow.Unsold)
        world.ends(world.sell("A-2", "C-1", PRICE), app.flow.OrderExists)
        world.ends(world.sell("A-3", "C-9", PRICE), app.flow.NotHeld)
        assert world.cash("seller", "buyer") == (0, sum(COINS))
        world.nothing_is_left()


def test_too_little_cash_costs_nothing(app: SimpleNamespace) -> None:
    with Street(app) as world:
        orders = [world.sell(f"A-{number}", f"C-{number}", PRICE) for number in (1, 2)]
        large = world.sell("A-3", "C-3", 19_000_000)
        world.answer("buyer", "treasury", PaymentDecision_Approve())
        assert [world.result(order).price.units for order in orders] == [PRICE, PRICE]
        world.ends(large, InsufficientBalance)
        assert world.papers("buyer") == ["C-1", "C-2"]
        world.nothing_is_left()


@pytest.mark.parametrize("treasury", ["agrees", "refuses", "is away"])
def test_much_money_is_asked_for(app: SimpleNamespace, treasury: str) -> None:
    with Street(app, restless=True) as world:
        selling = world.sell("A-1", "C-3", 19_000_000)
        if treasury == "is away":
            world.run(3 * DAY_US)
            assert world.node("buyer").tasks("treasury") == []
        else:
            no = PaymentDecision_Refuse("we have enough of it")
            said = PaymentDecision_Approve() if treasury == "agrees" else no
            asked = world.answer("buyer", "treasury", said)
            assert (asked.payee, asked.amount, asked.currency) == (Party("seller"), 190_000, "EUR")
        if treasury == "agrees":
            assert world.result(selling).price.units == 19_000_000
            assert world.papers("buyer") == ["C-3"]
        else:
            declined = world.ends(selling, app.flow.Declined)
            assert "enough" not in str(declined), "why is no business of the seller's"
            assert (world.papers("buyer"), world.cash("buyer")) == ([], (sum(COINS),))
        world.nothing_is_left()


def test_an_offer_stands_for_three_days(app: SimpleNamespace) -> None:
    with Street(app) as world:
        gone = world.leave("buyer")
        selling = world.sell("A-1", "C-1", PRICE)
        world.run(4 * DAY_US)
        with pytest.raises(FlowError):
            world.result(selling)
        world.back(gone)
        again = world.sell("A-2", "C-1", PRICE)
        world.run()
        assert world.result(again).price.units == PRICE
        world.nothing_is_left()


class Short:
    """A `Trades` that pays a cent less than was agreed."""

    def __init__(self, honest: TradeDesk) -> None:
        self._honest = honest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    def propose(self, tx: Any, sale: Any, *rest: Any) -> Any:
        cheaper = type(sale)(
            sale.asset, Amount(sale.price.units - 1, "EUR"), sale.pay_to, sale.issuers
        )
        return self._honest.propose(tx, cheaper, *rest)


def test_a_buyer_who_pays_less_gets_no_signature(app: SimpleNamespace) -> None:
    with Street(app, Short) as world:
        refused = world.ends(world.sell("A-1", "C-1", PRICE), ProposalRefused)
        assert "it does not pay" in str(refused)
        assert world.cash("seller", "buyer") == (0, sum(COINS))
        world.nothing_is_left()


def test_who_has_signed_finds_out_and_offers_again(app: SimpleNamespace) -> None:
    """The buyer is gone with the seller's signature. When the time of the transaction is over it
    never will be sealed, and the paper is the seller's to offer again."""
    with Street(app) as world:
        selling = world.sell("A-1", "C-1", PRICE)
        while not world.vault("seller", "in_flight", 1):
            assert world.tick()
        gone = world.leave("buyer")
        world.run(3 * DAY_US)
        world.ends(selling, TimeWindowInvalid)
        assert world.vault("seller", "in_flight", 1) == ()
        world.back(gone)
        world.run(2 * HOUR_US)
        again = world.sell("A-2", "C-1", PRICE)
        world.run()
        assert world.result(again).price.units == PRICE
        world.nothing_is_left()


# --- the bond -------------------------------------------------------------------------------------


def judged(app: SimpleNamespace, before: list[Any], after: list[Any], value: Any, by: Any) -> None:
    command = SignedCommand(value, (by,))
    app.bonds.verify(
        LedgerTransaction(bytes(32), tuple(before), tuple(after), (command,), (), None, None, {})
    )


def test_what_the_contract_of_bonds_refuses(app: SimpleNamespace) -> None:
    with Street(app) as world:
        acme, seller, buyer = (world.local.key(name) for name in ("acme", "seller", "buyer"))
    bonds, amount = app.bonds, Amount(FACE, "EUR")
    bond = bonds.Bond(Issuer(acme, b"B-1"), seller, amount)
    move, sold = bond.with_owner(buyer)
    judged(app, [], [bond], bonds.Issue(), acme)
    judged(app, [bond], [sold], move, seller)
    worth = bonds.Bond(bond.issuance, buyer, Amount(FACE + 1, "EUR"))
    nothing = bonds.Bond(bond.issuance, seller, Amount(0, "EUR"))
    for before, after, value, by in (
        ([], [bond], bonds.Issue(), seller),
        ([], [nothing], bonds.Issue(), acme),
        ([], [bond, bond], bonds.Issue(), acme),
        ([bond], [sold], move, buyer),
        ([bond], [worth], move, seller),
        ([bond], [], move, seller),
        ([bond, bond], [sold], move, seller),
    ):
        with pytest.raises(LedgerError):
            judged(app, before, after, value, by)


def test_money_is_no_paper(app: SimpleNamespace) -> None:
    with Street(app) as world:
        coin = Cash(world.local.key("seller"), Amount(5, "EUR"), world.money)
    assert app.desk.serial_of(coin) is None
    assert app.desk.limit_of(coin) == Amount(0, "")
