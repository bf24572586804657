"""The vault's tables, and how those of an older vault become these. Knows no transaction.

A recorded transaction has a number, and its output number `i` is the row `number * 2**14 + i` of
the states: rows are in the order of recording, and no row holds the 32 bytes of an id but one.
"""

from __future__ import annotations

from typing import Final

from flowrt.core.flow import Tx
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.transactions import MAX_COMPONENTS

VERSION: Final = 2

SHIFT: Final = 14
"""Bits of a state's row that are the number of the output."""

VERIFIED, IN_FLIGHT = 1, 0
"""What a transaction in the table is."""

FREE: Final = "spendable = 1 AND consumed IS NULL AND lock IS NULL AND pending IS NULL"
"""The condition of the index of coins; a query that says the same uses it."""

_SCHEDULED = """
CREATE TABLE ledger_scheduled (ref INTEGER PRIMARY KEY, due_us INTEGER NOT NULL, refused TEXT);
CREATE INDEX ledger_scheduled_due ON ledger_scheduled (due_us) WHERE refused IS NULL;
"""

# `lock` is the flow that has reserved a state, negative once it has put it into a transaction;
# `pending` is the number of a transaction in flight that uses it up; `consumed` that of a recorded
# one.
_TABLES = f"""
CREATE TABLE ledger_transaction (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, status INTEGER NOT NULL,
    at_us INTEGER NOT NULL, signed BLOB NOT NULL);
CREATE INDEX ledger_in_flight ON ledger_transaction (at_us) WHERE status = {IN_FLIGHT};
CREATE TABLE ledger_kind (
    id INTEGER PRIMARY KEY, schema TEXT NOT NULL, version INTEGER NOT NULL, contract TEXT NOT NULL,
    read_as INTEGER NOT NULL, UNIQUE (schema, version, contract));
CREATE TABLE ledger_notary (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, key BLOB NOT NULL, UNIQUE (name, key));
CREATE TABLE ledger_issuer (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, reference BLOB NOT NULL, UNIQUE (key, reference));
CREATE TABLE ledger_state (
    ref INTEGER PRIMARY KEY, kind INTEGER NOT NULL, notary INTEGER NOT NULL, output BLOB NOT NULL,
    relevant INTEGER NOT NULL, spendable INTEGER NOT NULL, owner BLOB, issuer INTEGER,
    currency TEXT, units INTEGER, linear BLOB, recorded_us INTEGER NOT NULL,
    consumed INTEGER, consumed_us INTEGER, lock INTEGER, pending INTEGER);
CREATE INDEX ledger_state_coin ON ledger_state (currency, notary, units, ref, issuer)
    WHERE {FREE};
CREATE INDEX ledger_state_kind ON ledger_state (kind) WHERE consumed IS NULL;
CREATE INDEX ledger_state_linear ON ledger_state (linear) WHERE linear IS NOT NULL;
CREATE INDEX ledger_state_lock ON ledger_state (lock) WHERE lock IS NOT NULL;
CREATE INDEX ledger_state_pending ON ledger_state (pending) WHERE pending IS NOT NULL;
CREATE TABLE ledger_kept (
    flow INTEGER NOT NULL, id BLOB NOT NULL, waits INTEGER NOT NULL, signed BLOB NOT NULL,
    PRIMARY KEY (flow, id)) WITHOUT ROWID;
CREATE INDEX ledger_kept_ready ON ledger_kept (flow) WHERE waits = 0;
CREATE TABLE ledger_need (
    flow INTEGER NOT NULL, need BLOB NOT NULL, id BLOB NOT NULL, here INTEGER NOT NULL,
    PRIMARY KEY (flow, need, id)) WITHOUT ROWID;
CREATE INDEX ledger_need_open ON ledger_need (flow, need) WHERE here = 0;
CREATE TABLE ledger_keeping (
    flow INTEGER PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE ledger_attachment (hash BLOB PRIMARY KEY, content BLOB NOT NULL);
{_SCHEDULED}"""

UPGRADES: dict[int, str] = {1: _SCHEDULED}
"""By version: statements that make the tables of this version those of the next."""


class VaultNewer(LedgerError):
    """A newer version wrote the vault."""


def set_up(tx: Tx) -> None:
    """Make the tables, or bring those of an older vault forward. Raises VaultNewer."""
    tx.execute("CREATE TABLE IF NOT EXISTS ledger_vault (version INTEGER NOT NULL)")
    rows = tx.execute("SELECT version FROM ledger_vault")
    if not rows:
        _run(tx, _TABLES)
        tx.execute("INSERT INTO ledger_vault VALUES (?)", (VERSION,))
        return
    found: int = rows[0][0]
    if found > VERSION:
        raise VaultNewer(
            f"the vault has version {found}, this one reads up to {VERSION}: install a newer one"
        )
    for version in range(found, VERSION):
        _run(tx, UPGRADES[version])
    if found != VERSION:
        tx.execute("UPDATE ledger_vault SET version = ?", (VERSION,))


def row_of(number: int, index: int) -> int:
    """The row of output `index` of the transaction of that number."""
    return number << SHIFT | index


def ref_parts(row: int) -> tuple[int, int]:
    """The number of the transaction, and that of the output, of a state's row."""
    return row >> SHIFT, row & ((1 << SHIFT) - 1)


def _run(tx: Tx, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            tx.execute(statement)


assert MAX_COMPONENTS <= 1 << SHIFT
