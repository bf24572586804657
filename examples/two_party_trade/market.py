"""The world of the example: who there is, what they own on the first morning, a plan of orders.

Everything follows from a seed, so that a process that starts again finds the same world. Knows the
services but no node.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import random
from pathlib import Path
from typing import Literal

import bonds
import trade_flow
from bonds import Bond
from desk import PERCENT, Appetite, Desk

from flowrt.core.flow import Party
from flowrt.finance import cash, paper
from flowrt.finance.cash import Cash
from flowrt.finance.desk import CashDesk, Treasury
from flowrt.finance.paper import CommercialPaper
from flowrt.finance.trading import TradeDesk
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.ledger.states import CommandData, State
from flowrt.ledger.transactions import SignedTransaction, sign
from flowrt.stdlib.finance import cash_flow
from flowrt.stdlib.finance import trade_flow as library
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef

SELLER = Party("seller")
BUYER = Party("buyer")
NOTARY = Party("notary")
PARTIES = (SELLER, BUYER, NOTARY)
"""Those who have nodes."""

BANK = "bank"  # whose money it is; takes no part
ISSUER = "acme"  # whose promises are sold; takes no part

RULES = (cash, paper, bonds)
MODULES = Ledger.modules(trade_flow, library, cash_flow)
"""What every node can run: the ledger's flows, the library's trade, this one."""

ACCOUNT = b"\x01"
MORNING = datetime.datetime(2026, 1, 5, 9, tzinfo=datetime.UTC)
MATURITY = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)

UNASKED = 15_000_000
"""Up to 150,000.00 euros the buyer's treasury need not be asked."""

TOO_MUCH = 25_000_000
"""Above 250,000.00 euros it says no."""


def euros(units: int) -> Amount:
    return Amount(units, "EUR")


def network(seed: str, folder: Path | None = None) -> LocalNetwork:
    """The network of the parties; the notary's book is in the folder, or in memory."""
    names = (SELLER.name, BUYER.name, BANK, ISSUER)
    return LocalNetwork(names, RULES, notary=NOTARY.name, seed=seed, folder=folder)


class Market:
    """What the parties of a network own on the first morning.

    Attributes:
        local: the network; no node of it is open.
        bank: whose money the coins are.
        opening: for each party, the transactions that issued what it owns.
    """

    def __init__(self, local: LocalNetwork) -> None:
        self.local = local
        self.bank = Issuer(self.local.key(BANK), ACCOUNT)
        self.opening: dict[Party, list[SignedTransaction]] = {party: [] for party in PARTIES}

    def paper(self, serial: str, face: int) -> StateRef:
        """A commercial paper of the seller's."""
        made = CommercialPaper(
            Issuer(self.local.key(ISSUER), serial.encode()),
            self.local.key(SELLER.name),
            euros(face),
            self.bank,
            MATURITY,
        )
        return self._issue(SELLER, made, paper.Issue(), ISSUER)

    def bond(self, serial: str, face: int) -> StateRef:
        """A bond of the seller's."""
        issuance = Issuer(self.local.key(ISSUER), serial.encode())
        made = Bond(issuance, self.local.key(SELLER.name), euros(face))
        return self._issue(SELLER, made, bonds.Issue(), ISSUER)

    def coin(self, units: int) -> StateRef:
        """A coin of the buyer's."""
        made = Cash(self.local.key(BUYER.name), euros(units), self.bank)
        return self._issue(BUYER, made, cash.Issue(), BANK)

    def services(self, ledger: Ledger, party: Party) -> dict[str, object]:
        """What a party's node has of its own."""
        return {
            "Desk": Desk(ledger, [self.bank], self.opening.get(party, ())),
            "finance.trade.Trading": Appetite(ledger),
            "finance.trade.Trades": TradeDesk(ledger.keys, ledger.vault, ledger.rules),
            "finance.cash.Cash": CashDesk(ledger.keys, ledger.network, ledger.vault),
            "finance.cash.Treasury": Treasury({"EUR": UNASKED}),
        }

    def _issue(self, owner: Party, made: State, command: CommandData, by: str) -> StateRef:
        """Make a state out of nothing, in a transaction that whoever owes it signs. It has a time
        window, as papers need one, so the notary has sealed it."""
        number = len(self.opening[owner])
        # A seed is no secret either, so it need not be in the salt.
        salt = hashlib.sha256(f"{owner.name} {number}".encode()).digest()
        builder = TransactionBuilder(self.local.identity(NOTARY.name))
        builder.make(made).command(command, self.local.key(by))
        signed = builder.around(MORNING, datetime.timedelta(minutes=1)).sign(
            [self.local.keys[by].identity()], salt
        )
        seal = sign(signed.id, self.local.keys[NOTARY.name].identity())
        self.opening[owner].append(signed.plus(seal))
        return StateRef(signed.id, 0)


def small_world(party: str) -> dict[str, object]:
    """The services of a party where the seller has one paper, CP-1, of 100,000.00 euros and the
    buyer 200,000.00 euros in three coins: for `flowc run`."""
    market = Market(network("small world"))
    market.paper("CP-1", 10_000_000)
    for units in (8_000_000, 7_000_000, 5_000_000):
        market.coin(units)
    return market.local.services(
        party, MODULES, lambda ledger: market.services(ledger, Party(party))
    )


# --- a day's orders ---------------------------------------------------------------------------

End = Literal["settled", "AssetMismatch", "Declined"]


@dataclasses.dataclass(frozen=True)
class Order:
    """One order of the seller, how it must end, and what is paid for it if it is settled."""

    name: str
    serial: str
    asset: StateRef
    prices: tuple[Amount, ...]
    ends: End
    paid: Amount | None


@dataclasses.dataclass(frozen=True)
class Day:
    """The market in the morning, and what the seller means to sell."""

    market: Market
    orders: tuple[Order, ...]


def plan(seed: str, trades: int, at_once: int, folder: Path | None = None) -> Day:
    """A day of `trades` orders, of which at most `at_once` are under way at a time.

    A quarter ask too much at first; an eighth are so large that the buyer's treasury is asked, and
    half as many so large that it says no; an eighth offer a bond, which the buyer does not want.
    The buyer's money is enough, whatever is reserved by trades under way.
    """
    chance = random.Random(f"{seed}/{trades}")
    kinds = ["bond"] * -(-trades // 8) + ["dear"] * -(-trades // 4) + ["large"] * -(-trades // 8)
    kinds += ["vast"] * -(-trades // 16) + ["fair"] * trades
    kinds = chance.sample(kinds[:trades], trades)
    market = Market(network(seed, folder))
    orders, due, largest = [], 0, 0
    for number, kind in enumerate(kinds, start=1):
        times = {"large": 2, "vast": 4}.get(kind, 1)
        face = times * chance.randrange(8_000_000, 12_000_000)
        if kind == "bond":
            serial = f"B-{number:04}"
            ref = market.bond(serial, face)
        else:
            serial = f"C-{number:04}"
            ref = market.paper(serial, face)
        best = face * PERCENT // 100
        prices = (face, best - 1) if kind == "dear" else (best - number,)
        ends: End = {"bond": "AssetMismatch", "vast": "Declined"}.get(kind, "settled")  # type: ignore[assignment]
        paid = euros(prices[-1]) if ends == "settled" else None
        orders.append(
            Order(f"order-{number:04}", serial, ref, tuple(map(euros, prices)), ends, paid)
        )
        due += prices[-1]
        largest = max(largest, prices[-1])
    # A trade reserves less than its price and the largest coin together.
    coins, most = 0, 12_000_000
    while coins < due + (largest + most) * at_once:
        units = chance.randrange(2_000_000, most)
        market.coin(units)
        coins += units
    return Day(market, tuple(orders))
