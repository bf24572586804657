"""The world of the example: three parties, what they own at the start, and a plan of orders.

Everything follows from a seed, so that a process that starts again finds the same world. Knows the
services but no node.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence
from typing import Literal

from desk import PERCENT, Desk
from keys import Keys, directory, private_key, sign
from ledger_flow import Amount, SignedTransaction, State, StateRef, Transaction
from register import Register
from transactions import CASH, id_of
from vault import Vault

from flowrt.core.flow import Party

SELLER = Party("seller")
BUYER = Party("buyer")
NOTARY = Party("notary")
BANK = Party("bank")  # whose money it is; takes no part
ISSUER = Party("acme")  # whose promises are sold; takes no part
PARTIES = (SELLER, BUYER, NOTARY)

PAPER = "CommercialPaper"
BOND = "Bond"


def euros(units: int) -> Amount:
    return Amount(units, "EUR")


def coin(units: int, owner: Party) -> State:
    return State(CASH, "", BANK, euros(units), owner)


def security(kind: str, serial: str, face: int, owner: Party) -> State:
    return State(kind, serial, ISSUER, euros(face), owner)


def issue(seed: str, states: Iterable[State]) -> SignedTransaction:
    """The transaction with which the world begins: makes `states` out of nothing, signed by those
    who owe them and sealed by the notary."""
    outputs = tuple(states)
    transaction = Transaction(NOTARY, (), outputs)
    signers = sorted({state.issuer.name for state in outputs})
    return SignedTransaction(
        transaction,
        tuple(
            sign(private_key(seed, name), Party(name), transaction)
            for name in (*signers, NOTARY.name)
        ),
    )


def services(
    seed: str, owner: Party, first: Sequence[SignedTransaction], desk: Desk | None = None
) -> dict[str, object]:
    """What the node of `owner` offers to its flows."""
    public = directory(seed, [party.name for party in (*PARTIES, BANK, ISSUER)])
    keys = Keys(seed, owner, public)
    return {
        "Keys": keys,
        "Vault": Vault(keys, NOTARY, [BANK], first),
        "Desk": desk or Desk(),
        # Everybody's node has the notary's flow; the book of who is no notary stays empty.
        "Register": Register(keys, first if owner == NOTARY else ()),
    }


def small_world(party: str) -> dict[str, object]:
    """The services of a party where the seller has one paper, CP-1, of 1,000.00 euros and the buyer
    2,000.00 euros in three coins: for `flowc run`."""
    states = [
        security(PAPER, "CP-1", 100_000, SELLER),
        *(coin(units, BUYER) for units in (80_000, 70_000, 50_000)),
    ]
    return services("small world", Party(party), [issue("small world", states)])


# --- a day's orders ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Order:
    """One order of the seller, and how it must end."""

    name: str
    serial: str
    paper: StateRef
    prices: tuple[Amount, ...]
    ends: Literal["settled", "AssetMismatch"]


@dataclasses.dataclass(frozen=True)
class Day:
    """What everybody owns in the morning, and what the seller means to sell."""

    first: SignedTransaction
    orders: tuple[Order, ...]


def plan(seed: str, trades: int, at_once: int) -> Day:
    """A day of `trades` orders, of which at most `at_once` are under way at a time.

    A quarter ask too much at first; an eighth offer a bond, which the buyer does not want. The
    buyer's money is enough, whatever is locked by trades under way.
    """
    chance = random.Random(f"{seed}/{trades}")
    kinds = ["bond"] * -(-trades // 8) + ["dear"] * -(-trades // 4) + ["fair"] * trades
    kinds = chance.sample(kinds[:trades], trades)
    papers: list[State] = []
    asked: list[tuple[int, ...]] = []
    for number, kind in enumerate(kinds, start=1):
        face = chance.randrange(80_000, 120_000)
        best = face * PERCENT // 100
        papers.append(
            security(BOND, f"B-{number:04}", face, SELLER)
            if kind == "bond"
            else security(PAPER, f"C-{number:04}", face, SELLER)
        )
        asked.append((face, best - 1) if kind == "dear" else (best - number,))
    coins: list[int] = []
    # A trade locks less than its price and the largest coin together.
    while sum(coins) < 120_000 * trades + 2 * 120_000 * at_once:
        coins.append(chance.randrange(20_000, 120_000))
    first = issue(seed, [*papers, *(coin(units, BUYER) for units in coins)])
    made_by = id_of(first.transaction)
    return Day(
        first,
        tuple(
            Order(
                name=f"order-{index + 1:04}",
                serial=paper.serial,
                paper=StateRef(made_by, index),
                prices=tuple(euros(units) for units in prices),
                ends="settled" if paper.kind == PAPER else "AssetMismatch",
            )
            for index, (paper, prices) in enumerate(zip(papers, asked, strict=True))
        ),
    )
