"""What is left in the stores and outside, compared with what clients asked and were told.

It reads the files with SQLite alone and works out by itself what must be there; of the engine it
knows the names of its tables.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.processes.supervisor import PARTIES, Order, Supervisor

NOT_SOLD = 13

SELLER = ("reserved", "shipped", "stamp:{}:{}:1", "closed")

LEFT_OVER = {
    "flows that still live": "SELECT count(*) FROM engine_flow",
    "rows in the outbox": "SELECT count(*) FROM engine_outbox",
    "patients": "SELECT count(*) FROM engine_hospital",
    "business keys": "SELECT count(*) FROM engine_key",
    "open questions": "SELECT count(*) FROM engine_task",
}


class Finding(NamedTuple):
    """Something wrong: `kind` is lost, doubled, wrong or left over; `order` is whose, if one's."""

    kind: str
    order: str
    text: str


def is_quiet(path: Path) -> bool:
    """Whether nothing is left to do in a store, while its process runs."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return all(db.execute(sql).fetchone()[0] == 0 for sql in LEFT_OVER.values())


def look(world: Supervisor) -> list[Finding]:
    """Everything that is wrong in the end. No process may run any more."""
    tables = {party: _Tables(path) for party, path in world.paths.items()}
    found = [finding for order in world.orders.values() for finding in _order(order, tables, world)]
    for party in PARTIES:
        found += _party(party, tables[party], world)
    known = {order.name for order in world.orders.values()}
    found += [Finding("wrong", "", f"in the hospital: {text}") for text in world.patients]
    strange = sorted({name for _, name in world.effects} - known)
    found += [
        Finding("doubled", name, f"an effect of {name}, which nobody wants") for name in strange
    ]
    return found


class _Tables:
    """A store's file, as SQLite shows it."""

    def __init__(self, path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as db:
            self.check = db.execute("PRAGMA integrity_check").fetchone()[0]
            self.books: dict[str, Counter[tuple[str, int]]] = {}
            self.flows: dict[str, set[int]] = {}
            for flow, name, what, value in db.execute("SELECT * FROM books"):
                self.books.setdefault(name, Counter())[what, value] += 1
                if what == "asked":
                    self.flows.setdefault(name, set()).add(flow)
            self.outcomes = {
                number: (flow, error)
                for number, flow, error in db.execute("SELECT id, flow, error FROM engine_outcome")
            }
            self.left = {what: db.execute(sql).fetchone()[0] for what, sql in LEFT_OVER.items()}


def _order(order: Order, tables: dict[str, _Tables], world: Supervisor) -> Iterator[Finding]:
    """What is wrong with one order."""
    name, sold = order.name, order.count != NOT_SOLD
    price = 3 * order.count

    def finding(kind: str, text: str) -> Finding:
        return Finding(kind, name, f"{name}: {text}")

    buyer = Counter([("asked", order.count)])
    seller: Counter[tuple[str, int]] = Counter()
    if sold:
        buyer += Counter([("owed", price), ("paid", price), ("got", order.count)])
        seller += Counter([(what.format(name, order.count), order.count) for what in SELLER])
    for party, wanted in ((order.buyer, buyer), (order.seller, seller)):
        rows = tables[party].books.get(name, Counter())
        if wanted - rows:
            yield finding("lost", f"{party} has no {dict(wanted - rows)}")
        if rows - wanted:
            yield finding("doubled", f"{party} has {dict(rows - wanted)} too many")
    answers = []
    for operation, value in (("pay", price), ("ship", order.count), ("stamp", order.count)):
        effect = world.effects.get((operation, name))
        times = len(effect.accepted) if effect is not None else 0
        if times < sold:
            yield finding("lost", f"{operation} had no effect")
        if times > sold:
            yield finding("doubled", f"{operation} had {times} effects")
        if operation == "stamp":
            if effect is not None and effect.tries > sold + effect.retries:
                text = f"{effect.tries} tries of what may run once, {effect.retries} by a person"
                yield finding("doubled", text)
            continue
        answers.append(f"{operation}:{name}:{value}:1")
    wanted_end = " ".join(answers) if sold else "NotSold"
    if not order.ended:
        yield finding("lost", "its client never heard how it ended")
    if set(order.ended) - {wanted_end}:
        yield finding("wrong", f"its client heard {sorted(set(order.ended))}, not {wanted_end}")
    if order.missing:
        yield finding("lost", f"its client was told that it began; {order.missing} times not there")
    flows = tables[order.buyer].flows.get(name, set())
    if set(order.started) - flows:
        yield finding(
            "lost", f"told that {set(order.started)} began, and there is {flows or 'none'}"
        )
    if len(flows) > 1:
        yield finding("doubled", f"flows {sorted(flows)} were started for it")
    for flow in flows:
        outcome = tables[order.buyer].outcomes.get(flow)
        if outcome is None:
            yield finding("lost", f"flow {flow} has no outcome")
        elif (outcome[1] is None) != sold:
            yield finding("wrong", f"flow {flow} ended with {outcome[1]}")


def _party(party: str, tables: _Tables, world: Supervisor) -> Iterator[Finding]:
    """What is wrong with a party's store as a whole."""
    if tables.check != "ok":
        yield Finding("wrong", "", f"{party}: {tables.check}")
    for what, number in tables.left.items():
        if number:
            yield Finding("left over", "", f"{party}: {number} {what}")
    ended = Counter(flow.rpartition(".")[2] for flow, _ in tables.outcomes.values())
    mine = sum(order.buyer == party for order in world.orders.values())
    for flow, wanted in (("Buy_v1", mine), ("Sell_v1", len(world.orders) - mine)):
        if ended[flow] != wanted:
            kind = "doubled" if ended[flow] > wanted else "lost"
            yield Finding(kind, "", f"{party}: {ended[flow]} flows {flow} ended, of {wanted}")
    strange = sorted(set(tables.books) - set(world.orders))
    if strange:
        yield Finding("doubled", "", f"{party}: rows of {strange}, which nobody wants")
