"""The audit of a trading day: opens the databases of the parties and the notary's book, and
believes none of them.

It asks no node, no flow and no vault: it reads the tables, decodes every transaction, checks every
signature and every contract again, and adds up the money. Each check returns what it found wrong;
nothing found means it holds.

    python -m audit FOLDER --seed 7 --trades 50
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import functools
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from bonds import Bond
from day import AT_ONCE, store_path
from desk import serial_of
from market import BUYER, PARTIES, RULES, SELLER, Day, plan

from flowrt.core.flow import Party
from flowrt.finance.cash import Cash
from flowrt.finance.paper import CommercialPaper
from flowrt.ledger.notary.judging import hash_of, name_of
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import Rulebook, State
from flowrt.ledger.transactions import SignedTransaction
from flowrt.ledger.verifying import verify
from flowrt.stdlib.ledger.parts_flow import StateRef

OWNERS = (SELLER, BUYER)


@dataclasses.dataclass(frozen=True)
class Books:
    """What the databases say."""

    databases: Mapping[Party, sqlite3.Connection]
    kept: Mapping[Party, Mapping[bytes, bytes]]  # what each has recorded, by its id
    recorded: Mapping[bytes, SignedTransaction]  # all of that
    made: Mapping[StateRef, State]  # every state that one of them made
    used: Mapping[bytes, bytes]  # the notary's book: the name of a state, the hash of its user

    @property
    def trades(self) -> dict[bytes, SignedTransaction]:
        """Those that use something up: all but the morning's."""
        return {key: one for key, one in self.recorded.items() if one.inputs}

    @functools.cached_property
    def users(self) -> dict[StateRef, list[bytes]]:
        """By each state that was used up, the transactions that did it."""
        found = collections.defaultdict(list)
        for key, signed in self.recorded.items():
            for ref in signed.inputs:
                found[ref].append(key)
        return dict(found)

    @functools.cached_property
    def keys(self) -> dict[Party, set[bytes]]:
        """Each owner's keys, pseudonyms among them."""
        query = "SELECT key FROM ledger_keys WHERE number IS NOT NULL"
        return {party: {key for (key,) in self.databases[party].execute(query)} for party in OWNERS}

    def holdings(self, party: Party) -> list[State]:
        """What a party's vault says that it owns."""
        query = (
            "SELECT t.id, s.ref & 16383 FROM ledger_state s"
            " JOIN ledger_transaction t ON t.number = s.ref >> 14"
            " WHERE s.consumed IS NULL AND s.relevant AND t.status = 1"
        )
        rows = self.databases[party].execute(query)
        found = (self.made.get(StateRef(id_, index)) for id_, index in rows)
        return [state for state in found if state is not None]


@dataclasses.dataclass(frozen=True)
class DayBooks(Books):
    """The same, and what they should say it about."""

    day: Day


@contextlib.contextmanager
def read(stores: Mapping[Party, Path], book: Path) -> Iterator[Books]:
    """What the parties' databases and the notary's book say."""
    with contextlib.ExitStack() as stack:
        databases = {
            party: stack.enter_context(contextlib.closing(_connect(path)))
            for party, path in stores.items()
        }
        used_up = stack.enter_context(contextlib.closing(_connect(book)))
        query = "SELECT id, signed FROM ledger_transaction WHERE status = 1"
        kept = {party: dict(databases[party].execute(query)) for party in OWNERS}
        recorded = {
            key: SignedTransaction.from_flow(data)
            for rows in kept.values()
            for key, data in rows.items()
        }
        rules = Rulebook(RULES)
        made = {
            StateRef(key, index): rules.read_state(output.schema, output.version, output.data)
            for key, signed in recorded.items()
            for index, output in enumerate(signed.transaction.outputs)
        }
        used = dict(used_up.execute("SELECT name, by FROM used"))
        yield Books(databases, kept, recorded, made, used)


@contextlib.contextmanager
def opened(folder: Path, seed: str, trades: int) -> Iterator[DayBooks]:
    """The books of the day that was held in `folder`."""
    stores = {party: store_path(folder, party) for party in PARTIES}
    with read(stores, folder / "notary.book.db") as books:
        yield DayBooks(**vars(books), day=plan(seed, trades, AT_ONCE))


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


# --- the checks -------------------------------------------------------------------------------


def every_order_ended_once(books: DayBooks) -> list[str]:
    """Each order was begun, and its asset was sold once, or not at all where nobody wanted it."""
    rows = books.databases[SELLER].execute("SELECT name FROM desk_orders")
    begun = {name for (name,) in rows}
    wrong = [
        f"{order.name} was never begun" for order in books.day.orders if order.name not in begun
    ]
    wrong += [f"{name} was never ordered" for name in begun - {o.name for o in books.day.orders}]
    for order in books.day.orders:
        sales, due = len(books.users.get(order.asset, [])), 1 if order.ends == "settled" else 0
        if sales != due:
            wrong.append(f"{order.name}: sold {sales} times instead of {due}")
    return wrong


def both_sides_have_the_same_transactions(books: Books) -> list[str]:
    """Seller and buyer keep each trade under the same id, byte for byte."""
    wrong = []
    for key in sorted(books.trades):
        versions = {books.kept[party].get(key) for party in OWNERS}
        if len(versions) > 1:
            wrong.append(f"{key.hex()[:16]} is not the same at seller and buyer")
    return wrong


def every_id_and_signature_is_good(books: Books) -> list[str]:
    """Each id is its transaction's; all who must sign have signed, the notary among them; each
    signature is valid."""
    wrong = []
    for key, signed in books.recorded.items():
        name = key.hex()[:16]
        if signed.id != key:
            wrong.append(f"{name} is not the id of what is kept under it")
        try:
            signed.check_signatures()
        except LedgerError as error:
            wrong.append(f"{name}: {error}")
    return wrong


def every_contract_accepts(books: Books) -> list[str]:
    """Each transaction is accepted by the contracts of what it uses up and makes: no money and no
    paper comes out of nothing but by those who owe it."""
    wrong = []
    rules = Rulebook(RULES)
    known = {key: signed.transaction for key, signed in books.recorded.items()}
    for key, signed in books.recorded.items():
        try:
            verify(
                signed.transaction,
                lambda ref: known[ref.transaction].outputs[ref.index],
                rules,
                {},
            )
        except (LedgerError, LookupError) as error:
            wrong.append(f"{key.hex()[:16]}: {error}")
    return wrong


def no_state_was_used_twice(books: Books) -> list[str]:
    """No two transactions use the same state, and the notary's book says the same."""
    wrong = [
        f"output {ref.index} of {ref.transaction.hex()[:16]} was used up {len(keys)} times"
        for ref, keys in books.users.items()
        if len(keys) > 1
    ]
    if dict(books.used) != {name_of(ref): hash_of(keys[0]) for ref, keys in books.users.items()}:
        wrong.append("the notary's book is not what was recorded")
    return wrong


def cash_is_conserved(books: DayBooks) -> list[str]:
    """What both have in their vaults is what was issued, and what nothing has used up."""
    opening = {one.id for some in books.day.market.opening.values() for one in some}
    wrong = [
        f"{key.hex()[:16]} was issued by whom nobody knows"
        for key in books.recorded.keys() - books.trades.keys() - opening
    ]
    issued = sum(units_of(books.made[StateRef(key, 0)]) for key in opening)
    return wrong + money_lost(books, issued)


def money_lost(books: Books, issued: int) -> list[str]:
    """What is wrong if so much was issued: it must be in what nothing has used up, and in the
    vaults of both."""
    wrong = []
    gone = {ref for signed in books.recorded.values() for ref in signed.inputs}
    there = sum(units_of(state) for ref, state in books.made.items() if ref not in gone)
    if there != issued:
        wrong.append(f"{issued} were issued, {there} were not used up")
    in_vaults = sum(cash_of(books, party) for party in OWNERS)
    if in_vaults != issued:
        wrong.append(f"{issued} were issued, {in_vaults} are in the vaults")
    return wrong


def prices_are_as_agreed(books: DayBooks) -> list[str]:
    """Each paper went to the buyer, for the first price of its order that the buyer accepts."""
    wrong = []
    for order in books.day.orders:
        due = None if order.paid is None else order.paid.units
        wrong += sold_otherwise(books, order.name, order.asset, order.serial, due)
    return wrong


def sold_otherwise(
    books: Books, name: str, asset: StateRef, serial: str, due: int | None
) -> list[str]:
    """What is wrong with the sales of an asset, if `due` was to be paid for it."""
    wrong = []
    for key in books.users.get(asset, []):
        outputs = [
            books.made[StateRef(key, index)]
            for index in range(len(books.recorded[key].transaction.outputs))
        ]
        paid = sum(units_of(one) for one in outputs if _owner(one) in books.keys[SELLER])
        if paid != due:
            wrong.append(f"{name}: {paid} was paid instead of {due or 'nothing'}")
        bought = [one for one in outputs if serial_of(one) == serial]
        if [_owner(one) in books.keys[BUYER] for one in bought] != [True]:
            wrong.append(f"{name}: the buyer did not get the paper")
    return wrong


def nothing_is_left_over(books: Books) -> list[str]:
    """No coin and no paper is reserved, and no transaction waits for its notary."""
    wrong = []
    for party in OWNERS:
        for what, query in (
            ("states are reserved", "SELECT count(*) FROM ledger_state WHERE lock IS NOT NULL"),
            ("are in flight", "SELECT count(*) FROM ledger_transaction WHERE status = 0"),
        ):
            count = books.databases[party].execute(query).fetchone()[0]
            if count:
                wrong.append(f"{party.name}: {count} {what}")
    return wrong


CHECKS = (
    ("every trade settled once, or was refused as it had to be", every_order_ended_once),
    ("the same transactions on both sides", both_sides_have_the_same_transactions),
    ("every id and signature is good", every_id_and_signature_is_good),
    ("every contract accepts every transaction", every_contract_accepts),
    ("nothing was used up twice, and the notary's book agrees", no_state_was_used_twice),
    ("cash is conserved", cash_is_conserved),
    ("every price is as agreed", prices_are_as_agreed),
    ("nothing is left reserved or in flight", nothing_is_left_over),
)


def units_of(state: State) -> int:
    """How much money a state is: none, if it is no cash."""
    return state.amount.units if isinstance(state, Cash) else 0


def cash_of(books: Books, party: Party) -> int:
    return sum(map(units_of, books.holdings(party)))


def _owner(state: State) -> bytes | None:
    owner = getattr(state, "owner", None)
    return None if owner is None else owner.encoded


# --- what comes of it -------------------------------------------------------------------------


class Finding(msgspec.Struct):
    """One check and what it found wrong."""

    check: str
    wrong: list[str]


class Holding(msgspec.Struct):
    """What a party owns: cash in minor units, papers and bonds by their count."""

    party: str
    cash: int
    papers: int
    bonds: int


class Answer(msgspec.Struct):
    """The findings; who owned what in the morning, and owns what now; by order, how it had to end,
    and the transaction by which it was settled."""

    findings: list[Finding]
    morning: list[Holding]
    now: list[Holding]
    ends: dict[str, str]
    settled: dict[str, str]


def audit(folder: Path, seed: str, trades: int) -> Answer:
    """What the databases say.

    Raises:
        LedgerError, ValueError, sqlite3.Error: a database is missing, or holds what is no
            transaction.
    """
    with opened(folder, seed, trades) as books:
        users = {order.name: books.users.get(order.asset, []) for order in books.day.orders}
        return Answer(
            [Finding(name, check(books)) for name, check in CHECKS],
            [
                holding(party, [books.made[StateRef(one.id, 0)] for one in opening])
                for party, opening in books.day.market.opening.items()
                if party in OWNERS
            ],
            [holding(party, books.holdings(party)) for party in OWNERS],
            {order.name: order.ends for order in books.day.orders},
            {name: keys[0].hex() for name, keys in users.items() if keys},
        )


def holding(party: Party, states: list[State]) -> Holding:
    kinds = [type(state) for state in states]
    units = sum(map(units_of, states))
    return Holding(party.name, units, kinds.count(CommercialPaper), kinds.count(Bond))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", default="7")
    parser.add_argument("--trades", type=int, default=50)
    options = parser.parse_args()
    try:
        answer = audit(options.folder, options.seed, options.trades)
    except (LedgerError, LookupError, ValueError, sqlite3.Error) as error:
        answer = Answer([Finding("the databases can be read", [str(error)])], [], [], {}, {})
    sys.stdout.write(json.dumps(msgspec.to_builtins(answer)) + "\n")
    return 1 if any(finding.wrong for finding in answer.findings) else 0


if __name__ == "__main__":
    sys.exit(main())
