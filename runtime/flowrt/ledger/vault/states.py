"""Rows of states: made, used up, found by their names, read again. Locks are `locks`' business."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from flowrt.core.flow import Tx
from flowrt.core.values import decode
from flowrt.ledger.memory import Holders, holders, of_table
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import Rulebook, State
from flowrt.ledger.transactions import MAX_COMPONENTS, OUTPUTS, Output, Transaction
from flowrt.ledger.vault import records
from flowrt.ledger.vault.columns import Columns, Ours, columns_of
from flowrt.ledger.vault.records import ROWS_BYTES, time_us
from flowrt.ledger.vault.scheduled import Scheduled
from flowrt.ledger.vault.tables import VERIFIED, row_of
from flowrt.stdlib.ledger.parts_flow import Identity, Issuer, StateRef

AGAIN = 500
"""How many rows are read again by one statement."""

KNOWN = 1024
"""How many outputs are read once, and known by their bytes then."""

_ROWS, _NUMBERS, _KINDS = (
    "ledger_state",
    "ledger_kind ledger_notary ledger_issuer",
    "ledger_kind",
)
"""What is remembered: rows, the numbers of what stands in them by a number, and all kinds."""


class Named(NamedTuple):
    """What a reference names. `row` is that of the state; `output` is its bytes, None where the
    vault keeps the transaction and not the state; `consumed` the number of who used it up."""

    row: int
    output: bytes | None
    consumed: int | None


def named(tx: Tx, ref: StateRef) -> Named | None:
    """What a reference to an output of a recorded transaction names; None for any other. Whether
    the transaction has such an output is not known where there is no row."""
    if not 0 <= ref.index < MAX_COMPONENTS:
        return None
    transaction = records.find(tx, ref.transaction)
    if transaction is None or transaction.status != VERIFIED:
        return None
    row = row_of(transaction.number, ref.index)
    remembered = of_table(tx, _ROWS, ROWS_BYTES)
    found: Named | None = remembered.get(row)
    if found is None:
        rows = tx.execute("SELECT output, consumed FROM ledger_state WHERE ref = ?", (row,))
        found = Named(row, *rows[0]) if rows else Named(row, None, None)
        remembered.put(row, found, _weight(found))
    return found


def output_at(tx: Tx, row: int) -> bytes:
    """The bytes of the output in a row, which is there."""
    found: Named | None = of_table(tx, _ROWS, ROWS_BYTES).get(row)
    if found is not None and found.output is not None:
        return found.output
    [(output,)] = tx.execute("SELECT output FROM ledger_state WHERE ref = ?", (row,))
    data: bytes = output
    return data


def all_kinds(tx: Tx) -> list[tuple[int, str, str]]:
    """All kinds of states in order of their numbers: number, schema, contract."""
    found: list[tuple[int, str, str]] | None = tx.known.get(_KINDS)
    if found is None:
        rows = tx.execute("SELECT id, schema, contract FROM ledger_kind ORDER BY id")
        found = tx.known[_KINDS] = [(id, schema, contract) for id, schema, contract in rows]
    return found


def notary_number(tx: Tx, notary: Identity) -> int | None:
    """The number of a notary; None if no state has it."""
    values = notary.party.name, notary.key.encoded
    known: int | None = of_table(tx, _NUMBERS).get(values)
    if known is None:
        rows = tx.execute("SELECT id FROM ledger_notary WHERE name = ? AND key = ?", values)
        if not rows:
            return None
        known = rows[0][0]
        of_table(tx, _NUMBERS).put(values, known)
    return known


def _weight(found: Named) -> int:
    return 200 + len(found.output or b"")


@functools.lru_cache(maxsize=KNOWN)
def output_of(data: bytes) -> Output:
    """The output of a row."""
    found: Output = decode(Output, data)
    return found


def consume(tx: Tx, row: int, by: int) -> None:
    """A state is used up by the transaction of that number. Whoever had reserved it has not now."""
    tx.execute(
        "UPDATE ledger_state SET consumed = ?, consumed_us = ?, lock = NULL, pending = NULL "
        "WHERE ref = ? AND consumed IS NULL",
        (by, time_us(tx.now), row),
    )
    remembered = of_table(tx, _ROWS, ROWS_BYTES)
    found: Named | None = remembered.get(row)
    if found is not None and found.consumed is None:
        found = found._replace(consumed=by)
        remembered.put(row, found, _weight(found))


_LAST = (
    "SELECT max(abs(lock)) FROM (SELECT max(lock) AS lock FROM ledger_state WHERE lock IS NOT NULL "
    "UNION ALL SELECT min(lock) FROM ledger_state WHERE lock IS NOT NULL)"
)


def reserving(tx: Tx) -> Holders:
    """The flows that may have reserved states."""
    return holders(tx, "ledger_state lock", _LAST)


class Writer:
    """Makes rows of states. One for each vault."""

    def __init__(self, rules: Rulebook, ours: Callable[[Tx], Ours], scheduled: Scheduled) -> None:
        self._rules = rules
        self._scheduled = scheduled
        self._ours = ours

    def add(self, tx: Tx, transaction: Transaction, number: int, only_ours: bool) -> list[int]:
        """Rows for the outputs of a transaction: all, or those in which a key of ours takes part.
        Those that could be spent are reserved for the flow that records them. What has rows."""
        ours = self._ours(tx)
        kinds: dict[object, int] = {}
        made = []
        remembered = of_table(tx, _ROWS, ROWS_BYTES)
        written_out = transaction.groups.get(OUTPUTS, ())
        for index, output in enumerate(transaction.outputs):
            row = row_of(number, index)
            state = self._rules.read_state(output.schema, output.version, output.data)
            columns = columns_of(state, output.encumbrance is not None, ours)
            if only_ours and not columns.relevant:
                absent = Named(row, None, None)
                remembered.put(row, absent, _weight(absent))
                continue
            written = output.schema, output.version, output.contract
            if written not in kinds:
                kinds[written] = self._kind(tx, output)
            if output.notary not in kinds:
                kinds[output.notary] = _notary(tx, output.notary)
            tx.execute(
                "INSERT INTO ledger_state VALUES "
                "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, NULL)",
                (
                    row,
                    kinds[written],
                    kinds[output.notary],
                    written_out[index],
                    *_columns(tx, columns),
                    time_us(tx.now),
                    tx.flow_id or None if columns.spendable else None,
                ),
            )
            if columns.spendable and tx.flow_id:
                reserving(tx).add(tx.flow_id)
            if columns.relevant:
                self._scheduled.add(tx, row, state, StateRef(transaction.id, index))
            found = Named(row, written_out[index], None)
            remembered.put(row, found, _weight(found))
            made.append(row)
        return made

    def _kind(self, tx: Tx, output: Output) -> int:
        written = output.schema, output.version, output.contract
        known: int | None = of_table(tx, _NUMBERS).get(written)
        if known is not None:
            return known
        rows = tx.execute(
            "SELECT id FROM ledger_kind WHERE schema = ? AND version = ? AND contract = ?", written
        ) or tx.execute(
            "INSERT INTO ledger_kind (schema, version, contract, read_as) VALUES (?, ?, ?, ?) "
            "RETURNING id",
            (*written, self._rules.newest(output.schema, output.version)),
        )
        tx.known.pop(_KINDS, None)
        found: int = rows[0][0]
        of_table(tx, _NUMBERS).put(written, found)
        return found

    def read_again(self, tx: Tx) -> int:
        """Make the columns of unconsumed states anew whose newest version is another than when they
        were made; how many. What cannot be read now stays as it is."""
        count = 0
        for kind, schema, version, read_as in tx.execute(
            "SELECT id, schema, version, read_as FROM ledger_kind ORDER BY id"
        ):
            try:
                newest = self._rules.newest(schema, version)
            except LedgerError:
                continue  # Not installed any more: it is found by what was known of it.
            if newest != read_as:
                count += self._read_kind_again(tx, kind)
                tx.execute("UPDATE ledger_kind SET read_as = ? WHERE id = ?", (newest, kind))
        return count

    def _read_kind_again(self, tx: Tx, kind: int) -> int:
        ours = self._ours(tx)
        count, after = 0, -1
        while True:
            rows = tx.execute(
                "SELECT ref, output FROM ledger_state WHERE kind = ? AND consumed IS NULL "
                f"AND ref > ? ORDER BY ref LIMIT {AGAIN}",
                (kind, after),
            )
            for after, data in rows:
                output = output_of(data)
                state = self._rules.read_state(output.schema, output.version, output.data)
                columns = columns_of(state, output.encumbrance is not None, ours)
                tx.execute(
                    "UPDATE ledger_state SET relevant = ?, spendable = ?, owner = ?, issuer = ?, "
                    "currency = ?, units = ?, linear = ? WHERE ref = ?",
                    (*_columns(tx, columns), after),
                )
                count += 1
            if len(rows) < AGAIN:
                return count


def read(rules: Rulebook, output: Output) -> State:
    """The state of an output, in its newest installed version. Raises UnknownSchema, Unreadable."""
    return rules.read_state(output.schema, output.version, output.data)


def _columns(tx: Tx, columns: Columns) -> tuple[object, ...]:
    issuer = None if columns.issuer is None else _issuer(tx, columns.issuer)
    return (*columns[:3], issuer, *columns[4:])


def _notary(tx: Tx, notary: Identity) -> int:
    known = notary_number(tx, notary)
    if known is not None:
        return known
    values = notary.party.name, notary.key.encoded
    [(made,)] = tx.execute(
        "INSERT INTO ledger_notary (name, key) VALUES (?, ?) RETURNING id", values
    )
    number: int = made
    of_table(tx, _NUMBERS).put(values, number)
    return number


def _issuer(tx: Tx, issuer: Issuer) -> int:
    values = issuer.key.encoded, issuer.reference
    known: int | None = of_table(tx, _NUMBERS).get(values)
    if known is not None:
        return known
    rows = tx.execute(
        "SELECT id FROM ledger_issuer WHERE key = ? AND reference = ?", values
    ) or tx.execute("INSERT INTO ledger_issuer (key, reference) VALUES (?, ?) RETURNING id", values)
    found: int = rows[0][0]
    of_table(tx, _NUMBERS).put(values, found)
    return found
