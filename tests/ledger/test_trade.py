"""What else can happen to a trade: refusals, lies, silence, the end of a process at any commit."""

from __future__ import annotations

import dataclasses
import datetime
import statistics
from collections.abc import Iterator
from typing import Any

import pytest

from flowrt.core.flow import FlowError
from flowrt.finance import cash, obligation, paper
from flowrt.finance.cash import Cash
from flowrt.finance.desk import coins_of
from flowrt.finance.trading import TradeDesk, TradeRules
from flowrt.handle import StillRunning
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity.signing import Keys
from flowrt.ledger.local import NotaryEntry
from flowrt.ledger.transactions import SignedTransaction
from flowrt.stdlib.finance import trade_flow as trade
from flowrt.stdlib.finance.trade_flow import (
    Settling_ByBuyer,
    Settling_BySeller,
    Settling_Together,
)
from flowrt.stdlib.ledger.core_flow import NotaryUnknown, StatesUnavailable, TimeWindowInvalid
from flowrt.stdlib.ledger.finality_flow import RecoverTransaction_v1
from flowrt.stdlib.ledger.network_flow import AcceptMap_v1
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from tests.ledger.trades import ALICE, BOB, TradeTown, play
from tests.runtime.crashes import Power, Start

WAYS = (Settling_Together(), Settling_ByBuyer(), Settling_BySeller())
NAMES = ["together", "by buyer", "by seller"]


@pytest.fixture
def town() -> Iterator[TradeTown]:
    made = TradeTown()
    yield made
    made.close()


def refused(town: TradeTown, selling: Start, error: type[Exception]) -> Any:
    """Both sides end with the same error, and nothing has happened."""
    town.world.run()
    with pytest.raises(error) as caught:
        town.result(selling)
    assert repr(town.answer()) == repr(caught.value)
    assert (town.owned("alice"), town.owned("bob")) == (1, 0)
    town.nothing_is_left()
    return caught.value


# --- the buyer refuses ------------------------------------------------------------------------


@pytest.mark.parametrize("settling", WAYS, ids=NAMES)
def test_a_price_above_the_limit(town: TradeTown, settling: Any) -> None:
    selling = town.offer(town.paper(), 110_001, settling=settling)
    found = refused(town, selling, trade.UnacceptablePrice)
    assert found.price == Amount(110_001, "EUR")


def test_a_price_in_another_currency(town: TradeTown) -> None:
    selling = town.offer(town.paper(), price=Amount(5, "USD"))
    refused(town, selling, trade.UnacceptablePrice)


def test_another_kind_of_asset(town: TradeTown) -> None:
    town.rules["bob"] = TradeRules("acme.Bond", Amount(110_000, "EUR"))
    found = refused(town, town.offer(town.paper()), trade.AssetMismatch)
    assert (found.wanted, found.offered) == ("acme.Bond", paper.NAME)


def test_an_asset_of_somebody_else(town: TradeTown) -> None:
    theirs = town.paper(owner="bob")
    signed = town.ask("bob", "transaction", theirs.transaction)
    town.do("alice", play().Enter_v1, signed=signed)
    with pytest.raises(trade.NotOurs):
        town.result_of(town.offer(theirs))
    town.nothing_is_left()


@pytest.mark.parametrize("pseudonymous", [False, True])
def test_nobody_sells_with_keys_that_are_not_known_as_his(
    monkeypatch: pytest.MonkeyPatch, pseudonymous: bool
) -> None:
    """The key to be paid is a pseudonym without a claim; or the asset is another's."""
    monkeypatch.setattr(TradeDesk, "introductions", lambda *_: ())
    if not pseudonymous:
        monkeypatch.setattr(Keys, "is_ours", lambda *_: True)
    town = TradeTown()
    asset = town.paper(owner="alice" if pseudonymous else "bob")
    if not pseudonymous:
        signed = town.ask("bob", "transaction", asset.transaction)
        town.do("alice", play().Enter_v1, signed=signed)
    town.offer(asset, pseudonymous=pseudonymous)
    town.world.run()
    said = town.answer()
    assert isinstance(said, trade.NotTheirs)
    assert said.what == ("the key" if pseudonymous else "the asset")
    town.close()


def test_one_paper_is_not_offered_twice_at_a_time(town: TradeTown) -> None:
    town.coins(110_000)
    asset = town.paper()
    first, second = town.offer(asset), town.offer(asset)
    town.world.run()
    town.result(first)
    with pytest.raises(StatesUnavailable):
        town.result(second)
    town.nothing_is_left()


def test_what_was_bought_under_a_pseudonym_is_sold_on(town: TradeTown) -> None:
    town.coins(110_000)
    asset = town.paper()
    for number, (seller, buyer) in enumerate(((ALICE, BOB), (BOB, ALICE), (ALICE, BOB))):
        price = Amount(100_000 - number, "EUR")
        offered = {"buyer": buyer, "asset": asset, "price": price}
        sold = town.do(seller.name, trade.OfferTrade_v1, **offered)
        asset = StateRef(sold.id, 0)
        assert (town.owned(seller.name), town.owned(buyer.name)) == (0, 1)
    assert (town.balance("alice"), town.balance("bob")) == (99_999, 10_001)
    town.nothing_is_left()


def test_the_buyer_pays_with_cash_that_the_seller_takes(town: TradeTown) -> None:
    town.coins(100_000)
    town.coins(50_000, 60_000, reference=b"\x02")
    bank = town.local.key("bank")
    sold = town.result_of(town.offer(town.paper(), issuers=(Issuer(bank, b"\x02"),)))
    assert {coin.issuer.reference for coin in coins_of(sold)} == {b"\x02"}
    assert town.balance("alice") == 100_000


# --- a buyer begins ---------------------------------------------------------------------------


@pytest.mark.parametrize("settling", WAYS, ids=NAMES)
def test_a_buyer_asks(town: TradeTown, settling: Any) -> None:
    town.coins(110_000)
    asset, price = town.paper(), Amount(100_000, "EUR")
    town.rules["alice"] = TradeRules(paper.NAME, price, {asset: price}, [BOB])
    asked = {"seller": ALICE, "asset": asset, "price": price, "settling": settling}
    bought = town.do("bob", trade.AskForTrade_v1, **asked)
    assert town.answer("alice") == bought
    assert (town.owned("alice"), town.owned("bob")) == (0, 1)
    assert (town.balance("alice"), town.balance("bob")) == (100_000, 10_000)
    town.nothing_is_left()


def test_what_is_not_for_sale_is_not_sold(town: TradeTown) -> None:
    asset, price = town.paper(), Amount(100_000, "EUR")
    town.rules["alice"] = TradeRules(paper.NAME, price, {asset: Amount(100_001, "EUR")})
    with pytest.raises(trade.NotForSale):
        town.do("bob", trade.AskForTrade_v1, seller=ALICE, asset=asset, price=price)
    town.nothing_is_left()


def test_the_price_of_who_asks_is_the_price(
    town: TradeTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seller who then offers something else, or for more, even within the limit."""
    asset, other = town.papers(1, 2)
    price = Amount(100_000, "EUR")
    town.rules["alice"] = TradeRules(paper.NAME, price, {asset: price, other: price})
    for wrong, error in (
        (trade.Sale(asset, Amount(100_001, "EUR"), town.local.key("alice"), ()), "price"),
        (trade.Sale(other, price, town.local.key("alice"), ()), "not what was asked for"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(trade, "Sale", lambda *_, wrong=wrong: wrong)
            with pytest.raises(trade.TradeRefused, match=error):
                town.do("bob", trade.AskForTrade_v1, seller=ALICE, asset=asset, price=price)
    town.nothing_is_left()


# --- a buyer who lies -------------------------------------------------------------------------


@dataclasses.dataclass
class Liar:
    """Proposes something that was not agreed."""

    desk: TradeDesk
    town: TradeTown
    lie: str
    other: StateRef

    def __getattr__(self, name: str) -> Any:
        return getattr(self.desk, name)

    def propose(
        self, tx: Any, sale: trade.Sale, pseudonymous: bool, tolerance: datetime.timedelta
    ) -> SignedTransaction:
        vault, keys = self.desk._vault, self.desk._keys
        me = keys.me(tx).key
        builder = TransactionBuilder()
        taken = [sale.asset, self.other] if self.lie == "another" else [sale.asset]
        for ref in taken:
            found = vault.state(tx, ref)
            owned: Any = self.desk._state(found)
            move, moved = owned.with_owner(me)
            builder.use(found).make(moved).command(move, owned.owner)
        price = sale.price.units - 1 if self.lie == "less" else sale.price.units
        seller = sale.pay_to if self.lie != "to himself" else me
        if self.lie == "own cash":
            builder.make(Cash(seller, sale.price, Issuer(me, b"")))
            builder.command(cash.Issue(), me)
        else:
            vault.spend(tx, builder, [(seller, Amount(price, "EUR"))], lambda: me)
        if self.lie == "a debt":
            owes = self.town.local.key("alice")
            terms = obligation.Terms("EUR", (Issuer(me, b""),), self.town.now)
            builder.make(obligation.Obligation(owes, me, terms, 1_000_000))
            builder.command(obligation.Issue(), owes)
        if self.lie == "years":
            builder.around(tx.now, datetime.timedelta(days=700))
        elif self.lie != "any time":
            builder.around(tx.now, tolerance)
        return keys.sign(tx, SignedTransaction(builder.build(keys.salt(tx))))


LIES = {
    "less": "it does not pay",
    "to himself": "it does not pay",
    "own cash": "it does not pay",
    "another": "nothing else of ours",
    "a debt": "more than that the asset is moved",
    "years": "could still be notarised",
    "any time": "could still be notarised",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_seller_signs_what_was_agreed_and_nothing_else(lie: str) -> None:
    town = TradeTown(lie=lambda desk, town: Liar(desk, town, lie, StateRef(bytes(32), 0)))
    town.coins(110_000)
    asset, other = town.papers(1, 2)
    town.lies["bob"].other = other
    bank = Issuer(town.local.key("bank"), b"")
    selling = town.offer(asset, issuers=(bank,))
    town.world.run()
    with pytest.raises(trade.ProposalRefused, match=LIES[lie]) as caught:
        town.result(selling)
    assert repr(town.answer()) == repr(caught.value)
    assert (town.owned("alice"), town.balance("bob")) == (2, 110_000)
    town.nothing_is_left()
    town.close()


def test_who_takes_anybodys_cash_takes_that_of_the_buyer() -> None:
    town = TradeTown(lie=lambda desk, town: Liar(desk, town, "own cash", StateRef(bytes(32), 0)))
    asset = town.paper()
    town.result_of(town.offer(asset))
    assert town.owned("bob") == 1
    town.close()


# --- silence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("settling", WAYS[1:], ids=NAMES[1:])
def test_who_is_not_told_finds_out(town: TradeTown, settling: Any) -> None:
    """The side that has it notarised is gone as soon as it is."""
    town.coins(110_000)
    asset = town.paper()
    selling = town.offer(asset, settling=settling)
    gone, left = ("alice", "bob") if settling == WAYS[2] else ("bob", "alice")
    town.until("notary", "Notarising_v1")
    while town.world.node("notary").flows():
        town.world.node("notary").turn()
    del town.world.members[gone]
    town.world.run()
    sold = town.result(selling) if left == "alice" else town.answer("bob")
    assert town.ask(left, "has", sold.id)
    assert (town.owned(left), town.ask(left, "in_flight", 10)) == (int(left == "bob"), ())
    assert town.balance(left) == (100_000 if left == "alice" else 10_000)


def test_what_nobody_has_notarised_is_over_with_its_window(town: TradeTown) -> None:
    town.coins(110_000)
    asset = town.paper()
    selling = town.offer(asset, settling=Settling_ByBuyer())
    town.until("alice", "AwaitTrade_v1")
    # The seller has signed: until the window is over the paper is not free.
    assert len(town.ask("alice", "in_flight", 10)) == 1
    del town.world.members["bob"]
    town.world.run()
    with pytest.raises(TimeWindowInvalid):
        town.result(selling)
    assert town.ask("alice", "in_flight", 10) == ()
    assert town.owned("alice") == 1


def test_a_buyer_who_says_no_and_has_it_notarised_all_the_same(town: TradeTown) -> None:
    """Nobody is deprived of a trade by a lie: the seller asks the notary."""
    town.coins(110_000)
    asset = town.paper()
    price = Amount(100_000, "EUR")
    selling = town.world.start("alice", play().SellTo_v1, buyer=BOB, asset=asset, price=price)
    town.world.run()
    sold = town.result(selling)
    assert town.ask("alice", "has", sold.id)
    assert (town.owned("alice"), town.balance("alice")) == (0, 100_000)


def test_a_seller_who_is_refused_learns_that_the_buyer_has_had_it_notarised(
    town: TradeTown,
) -> None:
    """Whoever settles has not to believe a refusal: the other side has all signatures as well."""
    town.coins(110_000)
    asset = town.paper()
    no_notary(town)
    price = Amount(100_000, "EUR")
    flow = play().SellToWhomHurries_v1
    sold = town.do("alice", flow, buyer=BOB, asset=asset, price=price)
    assert town.ask("alice", "has", sold.id)
    assert (town.owned("alice"), town.balance("alice")) == (0, 100_000)
    assert town.ask("alice", "in_flight", 10) == ()


def test_what_a_refused_seller_signed_stays_in_flight_until_it_is_over(town: TradeTown) -> None:
    town.coins(110_000)
    asset = town.paper()
    no_notary(town)
    selling = town.offer(asset, settling=Settling_BySeller())
    while (found := outcome(town, selling)) is None:
        assert town.world.tick()
    assert isinstance(found, NotaryUnknown)
    [left] = town.ask("alice", "in_flight", 10)  # The buyer may still have it notarised.
    town.world.run()  # Its time is over then.
    with pytest.raises(TimeWindowInvalid):
        town.do("alice", RecoverTransaction_v1, transaction=left.id_, peer=BOB)
    assert (town.ask("alice", "in_flight", 10), town.owned("alice")) == ((), 1)


def outcome(town: TradeTown, started: Start) -> object:
    try:
        return town.world.result(started)
    except StillRunning:
        return None
    except FlowError as error:
        return error


def no_notary(town: TradeTown) -> None:
    """As far as Alice knows, the network has struck its notary off."""
    newer = town.local.publish(2, [NotaryEntry("bank", False)]).data
    assert town.do("alice", AcceptMap_v1, map_=newer) == 2


# --- the end of a process ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["before", "after"])
def test_a_crash_at_any_commit_changes_nothing(kind: str) -> None:
    """One town, in which the n-th trade loses a process at its n-th commit."""
    power = Power()
    town = TradeTown(power=power)
    town.coins(10_000_000)
    papers = town.papers(*range(1, 61))
    number = 0
    for asset in papers:
        number += 1
        power.fail = {power.commits + number: kind}
        failures = power.failures
        selling = town.offer(asset, 100_000)
        town.world.run()
        sold = town.result(selling)
        assert town.ask("bob", "transaction", sold.id) == sold, number
        sums = (town.balance("alice"), town.balance("bob"), town.owned("bob"))
        assert sums == (number * 100_000, 10_000_000 - number * 100_000, number)
        if power.failures == failures:
            break
    power.heal()
    assert number > 20
    assert power.failures == number - 1
    town.nothing_is_left()
    town.close()


# --- what a trade costs while it waits --------------------------------------------------------


@pytest.mark.parametrize("settling", WAYS, ids=NAMES)
def test_a_trade_that_waits_is_small(town: TradeTown, settling: Any) -> None:
    """No figure of time: the bytes of each state, of all three parties."""
    town.coins(30_000, 30_000, 50_000)
    asset = town.paper()
    before = town.commits()
    town.result_of(town.offer(asset, settling=settling))
    sizes = [size for _, size in town.resting_states(before)]
    assert len(sizes) > 7
    assert statistics.median(sizes) < 1_500
    assert max(sizes) < 2_048
