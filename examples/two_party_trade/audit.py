"""The audit of a trading day: opens the three parties' databases and believes none of them.

It asks no node and no flow: it reads the tables, decodes every transaction, checks every signature
again and adds up the money. Each check returns what it found wrong; nothing found means it holds.

    python -m audit FOLDER --seed 7 --trades 50
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from day import AT_ONCE, store_path
from desk import Desk
from keys import directory, has_signed, is_valid
from ledger_flow import SignedTransaction, State, StateRef
from market import BANK, BUYER, ISSUER, NOTARY, PARTIES, SELLER, Day, plan
from transactions import CASH, balances, from_bytes, id_of, outputs_of

from flowrt.core.flow import Party


@dataclasses.dataclass(frozen=True)
class Books:
    """What the databases say, and what they should say it about."""

    day: Day
    public: dict[str, bytes]
    seller: sqlite3.Connection
    buyer: sqlite3.Connection
    notary: sqlite3.Connection
    sealed: dict[bytes, SignedTransaction]  # by the id under which the notary keeps it
    made: dict[StateRef, State]  # every state that a sealed transaction made

    def user_of(self, ref: StateRef) -> list[bytes]:
        """The sealed transactions that use up the state `ref`."""
        return [key for key, signed in self.sealed.items() if ref in signed.transaction.inputs]


@contextlib.contextmanager
def opened(folder: Path, seed: str, trades: int) -> Iterator[Books]:
    """The books of the day that was held in `folder`."""
    with contextlib.ExitStack() as stack:
        seller, buyer, notary = (
            stack.enter_context(contextlib.closing(_connect(store_path(folder, party))))
            for party in PARTIES
        )
        sealed = _signed(notary, "register_sealed")
        made = {
            ref: state
            for signed in sealed.values()
            for ref, state in outputs_of(signed.transaction)
        }
        names = [party.name for party in (*PARTIES, BANK, ISSUER)]
        day = plan(seed, trades, AT_ONCE)
        yield Books(day, dict(directory(seed, names)), seller, buyer, notary, sealed, made)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _signed(db: sqlite3.Connection, table: str) -> dict[bytes, SignedTransaction]:
    return {key: from_bytes(data) for key, data in db.execute(f"SELECT id, signed FROM {table}")}


# --- the checks -------------------------------------------------------------------------------


def every_order_ended_once(books: Books) -> list[str]:
    """Each order was begun, and its paper was sold once, or not at all where nobody wanted it."""
    begun = {name for (name,) in books.seller.execute("SELECT name FROM desk_orders")}
    wrong = [
        f"{order.name} was never begun" for order in books.day.orders if order.name not in begun
    ]
    wrong += [f"{name} was never ordered" for name in begun - {o.name for o in books.day.orders}]
    for order in books.day.orders:
        sales, due = len(books.user_of(order.paper)), 1 if order.ends == "settled" else 0
        if sales != due:
            wrong.append(f"{order.name}: sold {sales} times instead of {due}")
    return wrong


def all_sides_have_the_same_transactions(books: Books) -> list[str]:
    """Seller, buyer and notary keep the same transactions under the same ids, byte for byte."""
    kept = {
        name: dict(db.execute(f"SELECT id, signed FROM {table}"))
        for name, db, table in (
            ("seller", books.seller, "vault_transactions"),
            ("buyer", books.buyer, "vault_transactions"),
            ("notary", books.notary, "register_sealed"),
        )
    }
    wrong = []
    for key in sorted({key for rows in kept.values() for key in rows}):
        versions = {name: rows.get(key) for name, rows in kept.items()}
        if len(set(versions.values())) > 1:
            wrong.append(f"{key.hex()[:16]} is not the same at {', '.join(versions)}")
    return wrong


def every_id_and_signature_is_good(books: Books) -> list[str]:
    """Each id is its transaction's; each owner of an input signed; each signature is valid; the
    notary sealed it."""
    wrong = []
    for key, signed in books.sealed.items():
        name = key.hex()[:16]
        if id_of(signed.transaction) != key:
            wrong.append(f"{name} is not the id of what is kept under it")
        for signature in signed.signatures:
            if not is_valid(books.public, signature, signed.transaction):
                wrong.append(f"{name}: the signature of {signature.by.name} is not valid")
        owners = {books.made[ref].owner for ref in signed.transaction.inputs if ref in books.made}
        for party in sorted({owner.name for owner in owners} | {NOTARY.name}):
            if not has_signed(books.public, Party(party), signed):
                wrong.append(f"{name}: {party} has not signed")
    return wrong


def no_input_was_sealed_twice(books: Books) -> list[str]:
    """No two sealed transactions use the same state, and the notary's table says the same."""
    users = collections.defaultdict(list)
    for key, signed in books.sealed.items():
        for ref in signed.transaction.inputs:
            users[ref].append(key)
    wrong = [
        f"output {ref.index} of {ref.made_by.hex()[:16]} was sealed away {len(keys)} times"
        for ref, keys in users.items()
        if len(keys) > 1
    ]
    rows = books.notary.execute("SELECT made_by, position, used_by FROM register_used")
    noted = {StateRef(made_by, position): used_by for made_by, position, used_by in rows}
    if noted != {ref: keys[0] for ref, keys in users.items()}:
        wrong.append("the notary's table of used states is not what its seals say")
    return wrong


def every_transaction_balances(books: Books) -> list[str]:
    """Each transaction but the first uses states that exist and makes as much as it uses."""
    wrong = []
    first = id_of(books.day.first.transaction)
    for key, signed in books.sealed.items():
        used = [books.made.get(ref) for ref in signed.transaction.inputs]
        known = [state for state in used if state is not None]
        if key == first:
            continue
        if len(known) != len(used) or not balances(known, list(signed.transaction.outputs)):
            wrong.append(f"{key.hex()[:16]} does not balance")
    return wrong


def cash_is_conserved(books: Books) -> list[str]:
    """What both have in their vaults is what was issued, and what the seals say they have."""
    issued = sum(s.value.units for s in books.day.first.transaction.outputs if s.kind == CASH)
    gone = {ref for signed in books.sealed.values() for ref in signed.transaction.inputs}
    wrong, total = [], 0
    for party, db in ((SELLER, books.seller), (BUYER, books.buyer)):
        query = "SELECT sum(units) FROM vault_states WHERE kind = ? AND used_by IS NULL"
        in_vault = db.execute(query, (CASH,)).fetchone()[0] or 0
        by_seals = sum(
            state.value.units
            for ref, state in books.made.items()
            if state.kind == CASH and state.owner == party and ref not in gone
        )
        total += in_vault
        if in_vault != by_seals:
            wrong.append(f"{party.name} has {in_vault} in its vault, but {by_seals} by the seals")
    if total != issued:
        wrong.append(f"{issued} were issued, {total} are there")
    return wrong


def prices_are_as_agreed(books: Books) -> list[str]:
    """Each paper went to the buyer, for the first price of its order that the buyer accepts."""
    wrong = []
    for order in books.day.orders:
        paper = books.made[order.paper]
        limit = paper.value.units * Desk().percent // 100
        agreed = next((price.units for price in order.prices if price.units <= limit), None)
        for key in books.user_of(order.paper):
            outputs = books.sealed[key].transaction.outputs
            paid = sum(s.value.units for s in outputs if s.kind == CASH and s.owner == SELLER)
            if paid != agreed:
                wrong.append(f"{order.name}: {paid} was paid instead of {agreed}")
            if not any(s.serial == paper.serial and s.owner == BUYER for s in outputs):
                wrong.append(f"{order.name}: the buyer did not get the paper")
    return wrong


def nothing_is_left_locked(books: Books) -> list[str]:
    """Every coin that no trade used is free again."""
    query = "SELECT count(*) FROM vault_states WHERE locked_by IS NOT NULL"
    left = {
        party.name: db.execute(query).fetchone()[0]
        for party, db in ((SELLER, books.seller), (BUYER, books.buyer))
    }
    return [f"{name}: {count} states are still locked" for name, count in left.items() if count]


CHECKS = (
    ("every trade settled once, or was refused as it had to be", every_order_ended_once),
    ("the same transactions on all sides", all_sides_have_the_same_transactions),
    ("every id and signature is good", every_id_and_signature_is_good),
    ("no seal on a conflicting input", no_input_was_sealed_twice),
    ("every transaction balances", every_transaction_balances),
    ("cash is conserved", cash_is_conserved),
    ("every price is as agreed", prices_are_as_agreed),
    ("no coin is left locked", nothing_is_left_locked),
)


class Finding(msgspec.Struct):
    """One check and what it found wrong."""

    check: str
    wrong: list[str]


def audit(folder: Path, seed: str, trades: int) -> tuple[list[Finding], dict[str, str]]:
    """The findings, and the id of the transaction by which each order was settled.

    Raises:
        ValueError, sqlite3.Error: a database is missing or holds what is not a transaction.
    """
    with opened(folder, seed, trades) as books:
        findings = [Finding(name, check(books)) for name, check in CHECKS]
        users = {order.name: books.user_of(order.paper) for order in books.day.orders}
        return findings, {name: keys[0].hex() for name, keys in users.items() if keys}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", default="7")
    parser.add_argument("--trades", type=int, default=50)
    options = parser.parse_args()
    try:
        findings, settled = audit(options.folder, options.seed, options.trades)
    except (ValueError, sqlite3.Error) as error:
        findings, settled = [Finding("the databases can be read", [str(error)])], {}
    answer = {"findings": msgspec.to_builtins(findings), "settled": settled}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if any(finding.wrong for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
