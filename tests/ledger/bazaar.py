"""A market with money: alice, who means harm, pays bob and trades with him, shows him keys, moves
states to another notary with him. Scenes of it, each with a message that she says."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from typing import Any

from flowrt.core.flow import Party
from flowrt.finance import cash, paper
from flowrt.finance.cash import Cash
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.finance.paper import CommercialPaper
from flowrt.finance.trading import TradeDesk, TradeRules
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity.networkmap import NotaryEntry
from flowrt.ledger.node import Ledger
from flowrt.stdlib.finance import cash_flow, money_flow, trade_flow
from flowrt.stdlib.finance.trade_flow import Settling, Settling_ByBuyer, Settling_BySeller
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from tests.ledger.market import ALICE, BOB, PROGRAM, Market
from tests.ledger.played import program

Begin = Callable[[], object]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
STARTERS = program("""
use ledger.core: SignedTransaction
use ledger.finality: Finality, ReceiveFinality
use ledger.identities: ReceiveIdentities, SendIdentities
use ledger.keys: Keys
use ledger.notary_change: NotaryChange
use ledger.parts: PublicKey, StateRef
use ledger.vault: Vault

service Deals:
    write agree(words: Text, keys: List[PublicKey]) -> SignedTransaction

flow Move(refs: List[StateRef], new: Party) -> SignedTransaction:
    startable by rpc
    return subflow NotaryChange(refs, new)

flow Hide(words: Text) -> Bytes:
    startable by rpc
    let made = Deals.agree(words, [Keys.fresh()])
    let final = subflow Finality(made, [])
    return final.id

flow ShowKeys(whom: Party, shown: Bytes):
    startable by rpc
    open SeeKeys with whom as talk
    subflow SendIdentities(Vault.transaction(shown), talk)

flow SeeKeys():
    responds to ShowKeys as talk
    subflow ReceiveIdentities(talk)

flow Share(signed: SignedTransaction, parties: List[Party]) -> SignedTransaction:
    startable by rpc
    open Take with each parties as talks
    return subflow Finality(signed, talks)

flow Take() -> SignedTransaction:
    responds to Share as talk
    return subflow ReceiveFinality(talk)
""")

_numbers = itertools.count(1)


class Willing(TradeRules):
    """Sells whatever it has for at least 100,000."""

    def sells(self, tx: Any, asset: StateRef, price: Amount, buyer: Party) -> bool:
        return price.currency == "EUR" and price.units >= 100_000


class Bazaar(Market):
    """Papers cost at most 110,000 cents, whoever sells."""

    def __init__(self) -> None:
        names = ("alice", "bob", "bank", "second")
        flows = (PROGRAM, STARTERS, cash_flow, money_flow, trade_flow)
        super().__init__(
            *names, modules=dict.fromkeys((*names, "notary"), flows), rules=(cash, paper)
        )
        listed = [NotaryEntry("notary"), NotaryEntry("second")]
        self.local.map = self.local.publish(2, listed)
        for name in self.local.parties:
            self.world.crash(name)

    def _own(self, ledger: Ledger) -> dict[str, object]:
        made = super()._own(ledger)["Deals"]
        return {
            "deals.Deals": made,
            "play.Deals": made,
            "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
            "finance.cash.Treasury": Treasury(otherwise=None),
            "finance.trade.Trades": TradeDesk(ledger.keys, ledger.vault, ledger.rules),
            "finance.trade.Trading": Willing(paper.NAME, Amount(110_000, "EUR")),
        }

    def given(self, builder: TransactionBuilder, whom: Party) -> StateRef:
        """Made by the bank for somebody, who has recorded it then."""
        salt = next(_numbers).to_bytes(32, "big")
        signed = builder.sign([self.local.keys["bank"].identity()], salt)
        self.do("bank", STARTERS.Share_v1, signed=signed, parties=(whom,))
        return StateRef(signed.id, 0)

    def coin(self, whom: Party, units: int) -> StateRef:
        bank = self.local.key("bank")
        builder = TransactionBuilder(self.local.identity("notary"))
        builder.make(Cash(self.local.key(whom.name), Amount(units, "EUR"), Issuer(bank, b"")))
        return self.given(builder.command(cash.Issue(), bank), whom)

    def paper(self, whom: Party) -> StateRef:
        bank = self.local.key("bank")
        now = EPOCH + datetime.timedelta(microseconds=self.world.now_us)
        builder = TransactionBuilder(self.local.identity("notary")).command(paper.Issue(), bank)
        number = next(_numbers).to_bytes(4, "big")
        issuer, owner = Issuer(bank, number), self.local.key(whom.name)
        value, paid_in = Amount(120_000, "EUR"), Issuer(bank, b"")
        builder.make(CommercialPaper(issuer, owner, value, paid_in, now + 3000 * DAY))
        return self.given(builder.around(now, DAY), whom)


def pay(market: Any, hidden: bool, payer: str = "alice") -> Begin:
    payee = BOB if payer == "alice" else ALICE
    market.coin(Party(payer), 700)
    return lambda: market.start(
        payer, cash_flow.CashPayment_v1, payee=payee, amount=Amount(700, "EUR"), pseudonymous=hidden
    )


def pay_openly(market: Any) -> Begin:
    return pay(market, False)


def pay_hidden(market: Any) -> Begin:
    return pay(market, True)


def be_paid(market: Any) -> Begin:
    return pay(market, True, "bob")


def sell(market: Any, settling: Settling | None = None) -> Begin:
    """Alice sells a paper to bob."""
    asset = market.paper(ALICE)
    market.coin(BOB, 100_000)
    return lambda: market.start(
        "alice",
        trade_flow.OfferTrade_v1,
        buyer=BOB,
        asset=asset,
        price=Amount(100_000, "EUR"),
        settling=settling,
    )


def sell_and_settle(market: Any) -> Begin:
    return sell(market, Settling_BySeller())


def buy(market: Any, settling: Settling | None = None) -> Begin:
    """Alice buys one from bob."""
    asset = market.paper(BOB)
    market.coin(ALICE, 100_000)
    return lambda: market.start(
        "alice",
        trade_flow.AskForTrade_v1,
        seller=BOB,
        asset=asset,
        price=Amount(100_000, "EUR"),
        settling=settling,
    )


def buy_and_settle(market: Any) -> Begin:
    return buy(market, Settling_ByBuyer())


def move(market: Any, who: str = "alice") -> Begin:
    """What both have goes to another notary."""
    id = market.do("alice", "Agree", others=(BOB,), words=f"deal {next(_numbers)}")
    new = Party("second")
    return lambda: market.start(who, STARTERS.Move_v1, refs=(StateRef(id, 0),), new=new)


def agree_to_move(market: Any) -> Begin:
    return move(market, "bob")


def show_keys(market: Any, who: str = "alice") -> Begin:
    id = market.do(who, STARTERS.Hide_v1, words=f"deal {next(_numbers)}")
    whom = BOB if who == "alice" else ALICE
    return lambda: market.start(who, STARTERS.ShowKeys_v1, whom=whom, shown=id)


def see_keys(market: Any) -> Begin:
    return show_keys(market, "bob")


MESSAGES = [
    (pay_openly, "finance.cash.CashOffered"),
    (pay_hidden, "finance.cash.CashOfferedToPseudonym"),
    (pay_hidden, "ledger.finality.Unsealed"),
    (be_paid, "ledger.identities.NewPseudonym"),
    (sell, "finance.trade.AssetOffered"),
    (sell, "ledger.signatures.Consent"),
    (sell_and_settle, "finance.trade.TradeSealed"),
    (buy, "finance.trade.AssetWanted"),
    (buy, "finance.trade.BuyerShown"),
    (buy, "ledger.signatures.Proposal"),
    (buy_and_settle, "finance.trade.TradeSealed"),
    (move, "ledger.notary_change.ChangeProposal"),
    (agree_to_move, "ledger.notary_change.ChangeConsent"),
    (move, "ledger.notary_change.ChangeMade"),
    (show_keys, "ledger.identities.PseudonymsOffered"),
    (show_keys, "ledger.identities.PseudonymsShown"),
    (see_keys, "ledger.identities.PseudonymsWanted"),
]

STRICT = (
    *("CashOffered", "CashOfferedToPseudonym", "ChangeProposal", "ChangeMade"),
    *("PseudonymsOffered", "PseudonymsShown", "PseudonymsWanted"),
)
