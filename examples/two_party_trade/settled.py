"""The audit of trades between nodes of their own: opens the databases of three parties and the
notary's book, once nobody serves them any more, and believes none of them.

What was ordered, and what the seller was told about it, comes as JSON on stdin: `issued`, all the
money there is, and for each order its `order`, `serial`, `price` and `transaction`.

    python -m settled FOLDER < orders.json

FOLDER is a network's, as `flowctl network new` makes it, of the parties seller, buyer and notary.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import sqlite3
import sys
from pathlib import Path

import audit
import msgspec
from audit import OWNERS, Answer, Books, Finding
from desk import serial_of
from market import BUYER, PARTIES, SELLER

from flowrt.core.flow import Party
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import State
from flowrt.serving.config import read
from flowrt.serving.troubles import Refused
from flowrt.stdlib.ledger.parts_flow import StateRef


class Order(msgspec.Struct, frozen=True):
    """What was to be sold, for how many units of money, by which transaction it is told to be."""

    order: str
    serial: str
    price: int
    transaction: str


class Told(msgspec.Struct, frozen=True):
    """What the databases should say."""

    issued: int
    orders: list[Order]


@dataclasses.dataclass(frozen=True)
class Market(Books):
    """What they say, beside what they should."""

    told: Told

    @functools.cached_property
    def morning(self) -> dict[StateRef, State]:
        """What was made out of nothing."""
        made = self.recorded.keys() - self.trades.keys()
        return {ref: state for ref, state in self.made.items() if ref.transaction in made}

    @functools.cached_property
    def issues(self) -> dict[str | None, list[StateRef]]:
        """The papers among that, by their number; what has none, by None."""
        found = collections.defaultdict(list)
        for ref, state in self.morning.items():
            found[serial_of(state)].append(ref)
        return found


def every_trade_settled_once(books: Market) -> list[str]:
    """Each order was begun once, and its paper sold once, by the transaction that the flow
    returned."""
    rows = books.databases[SELLER].execute("SELECT name FROM desk_orders")
    begun = collections.Counter(name for (name,) in rows)
    due = collections.Counter(one.order for one in books.told.orders)
    wrong = [f"{name} was begun {begun[name]} times" for name in due if begun[name] != 1]
    wrong += [f"{name} was never ordered" for name in begun - due]
    for one in books.told.orders:
        sales = [key.hex() for ref in books.issues[one.serial] for key in books.users.get(ref, [])]
        if sales != [one.transaction]:
            wrong.append(f"{one.order}: sold by {sales or 'nothing'}, told was {one.transaction}")
    return wrong


def cash_is_conserved(books: Market) -> list[str]:
    """All that was issued is there, in the vaults of both, and no more."""
    return audit.money_lost(books, books.told.issued)


def papers_are_conserved(books: Market) -> list[str]:
    """Each paper was issued once, and is once in the vaults: in the buyer's."""
    wrong = []
    there = {
        party: collections.Counter(filter(None, map(serial_of, books.holdings(party))))
        for party in OWNERS
    }
    for one in books.told.orders:
        if len(books.issues[one.serial]) != 1:
            wrong.append(f"{one.serial} was issued {len(books.issues[one.serial])} times")
        held = {party.name: there[party][one.serial] for party in OWNERS}
        if held != {SELLER.name: 0, BUYER.name: 1}:
            wrong.append(f"{one.serial} is held so often: {held}")
    count = sum(sum(held.values()) for held in there.values())
    if count != len(books.told.orders):
        wrong.append(f"{count} papers are in the vaults, {len(books.told.orders)} were ordered")
    return wrong


def prices_are_as_agreed(books: Market) -> list[str]:
    """Each paper went to the buyer, for the price of its order."""
    return [
        wrong
        for one in books.told.orders
        for ref in books.issues[one.serial]
        for wrong in audit.sold_otherwise(books, one.order, ref, one.serial, one.price)
    ]


CHECKS = (
    ("every trade settled once", every_trade_settled_once),
    ("the same transactions on both sides", audit.both_sides_have_the_same_transactions),
    ("every id and signature is good", audit.every_id_and_signature_is_good),
    ("every contract accepts every transaction", audit.every_contract_accepts),
    ("nothing was used up twice, and the notary's book agrees", audit.no_state_was_used_twice),
    ("cash is conserved", cash_is_conserved),
    ("papers are conserved", papers_are_conserved),
    ("every price is as agreed", prices_are_as_agreed),
    ("nothing is left reserved or in flight", audit.nothing_is_left_over),
)


def settled(folder: Path, told: Told) -> Answer:
    """What the databases say about what was told.

    Raises:
        Refused, LedgerError, LookupError, ValueError, sqlite3.Error: a party or its database is
            missing, or holds what is no transaction.
    """
    configs = {party: read(folder / party.name, {}) for party in PARTIES}
    stores = {party: one.file(one.settings.store) for party, one in configs.items()}
    notary = configs[Party("notary")]
    assert notary.settings.ledger is not None
    with audit.read(stores, notary.file(notary.settings.ledger.book)) as found:
        books = Market(**vars(found), told=told)
        # Who makes something out of nothing owns it: the buyer money, the seller papers.
        own = {party: [] for party in OWNERS}
        for state in books.morning.values():
            own[BUYER if serial_of(state) is None else SELLER].append(state)
        return Answer(
            [Finding(name, check(books)) for name, check in CHECKS],
            [audit.holding(party, own[party]) for party in OWNERS],
            [audit.holding(party, books.holdings(party)) for party in OWNERS],
            {one.order: "settled" for one in told.orders},
            {
                one.order: key.hex()
                for one in told.orders
                for ref in books.issues[one.serial]
                for key in books.users.get(ref, [])
            },
        )


def main() -> int:
    told = msgspec.json.decode(sys.stdin.buffer.read(), type=Told)
    try:
        answer = settled(Path(sys.argv[1]), told)
    except (Refused, LedgerError, LookupError, ValueError, sqlite3.Error) as error:
        answer = Answer([Finding("the databases can be read", [str(error)])], [], [], {}, {})
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    return 1 if any(finding.wrong for finding in answer.findings) else 0


if __name__ == "__main__":
    sys.exit(main())
