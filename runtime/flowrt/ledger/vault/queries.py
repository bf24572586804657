"""Questions about the states of the vault: filters, pages, sums. Reads only.

A page ends with the value that it is sorted by and the row of its last state, and the next page
begins behind these. None of them ever changes, so that who reads page after page sees each state
that stays, once, whatever comes and goes meanwhile.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from typing import Any, Final

from flowrt.core.flow import Tx
from flowrt.core.values import BadBytes, decode, encode
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.transactions import StateAndRef
from flowrt.ledger.vault.records import Records, time_of, time_us
from flowrt.ledger.vault.states import all_kinds, output_of
from flowrt.ledger.vault.tables import ref_parts
from flowrt.stdlib.ledger.parts_flow import Issuer, StateRef
from flowrt.stdlib.ledger.vault_flow import FoundState, StatePage, StateQuery, Total

MOST_SIZE = 1_000
"""The largest page."""

MOST_NAMES = 1_000
"""How many names one list of a query has, at most."""

MOST_MERGED = 32
"""How many kinds of states are read side by side, at most; more are sorted."""

MOST_GROUPS = 10_000
"""How many groups are summed, at most."""

SORTS: Final[dict[str, tuple[str, Any]]] = {
    "recorded": ("s.ref", tuple[str, int, int]),
    "consumed": ("s.consumed", tuple[str, int, int]),
    "units": ("s.units", tuple[str, int, int]),
    "currency": ("s.currency", tuple[str, str, int]),
    "linear": ("s.linear", tuple[str, bytes, int]),
}
"""By what pages are sorted: the column, and the type of the place where a page ends."""

_GROUPS: Final = {
    "currency": "s.currency",
    "issuer": "s.issuer",
    "owner": "s.owner",
    "notary": "n.name",
}


class BadQuery(LedgerError):
    """A query that means nothing: what of it, and what is possible."""


def page(tx: Tx, records: Records, query: StateQuery) -> StatePage:
    """The states that fit, a page of them, and where the next page begins. Raises BadQuery."""
    if query.sort not in SORTS:
        raise BadQuery(f"states are sorted by {', '.join(SORTS)}, not by {query.sort}")
    if not 0 < query.size <= MOST_SIZE:
        raise BadQuery(f"a page has 1 to {MOST_SIZE} states, not {query.size}")
    where, values = _where(query)
    by, _ = SORTS[query.sort]
    if query.sort != "recorded":
        where.append(f"{by} IS NOT NULL")
    if query.after is not None:
        sorted_by, row = _position(query.after, query.sort)
        sign = "<" if query.descending else ">"
        where.append(f"({by}, s.ref) {sign} (?, ?)" if by != "s.ref" else f"s.ref {sign} ?")
        values += [sorted_by, row] if by != "s.ref" else [row]
    kinds = _kinds(tx, query)
    order = "DESC" if query.descending else "ASC"
    select = (
        "SELECT s.ref, s.output, s.relevant, s.recorded_us, s.consumed, s.lock, s.pending, "
        f"{by} FROM {_FROM} WHERE {' AND '.join(where)}"
    )
    in_order = query.sort == "recorded" and query.consumed is False and not query.linear_ids
    if in_order and len(kinds) <= MOST_MERGED:
        # Each kind's states stand in the index in order: they are merged, and none is sorted.
        parts = [f"{select} AND s.kind = {kind}" for kind in kinds]
        values *= len(parts)
    else:
        parts = [select + _among(query, kinds)]
    rows = (
        tx.execute(
            f"{' UNION ALL '.join(parts)} ORDER BY 8 {order}, 1 {order} LIMIT ?",
            (*values, query.size),
        )
        if parts
        else []
    )
    ids = records.ids(
        tx, [ref_parts(row[0])[0] for row in rows] + [row[4] for row in rows if row[4]]
    )
    return StatePage(
        tuple(_found(row, ids) for row in rows),
        encode([query.sort, rows[-1][-1], rows[-1][0]]) if len(rows) == query.size else None,
    )


def totals(tx: Tx, query: StateQuery, by: Sequence[str]) -> tuple[Total, ...]:
    """How many states fit, and the sum of their units, for each group, in order of the groups. What
    is not fungible has no units. Raises BadQuery, also for too many groups."""
    unknown = [name for name in by if name not in _GROUPS]
    if unknown or len(set(by)) < len(by):
        raise BadQuery(f"states are grouped by {', '.join(_GROUPS)}, each once")
    where, values = _where(query)
    among = _among(query, _kinds(tx, query))
    columns = [_GROUPS[name] if name in by else "NULL" for name in _GROUPS]
    grouped = ", ".join(_GROUPS[name] for name in _GROUPS if name in by)
    rows = tx.execute(
        f"SELECT {', '.join(columns)}, count(*), sum(s.units >> 32), sum(s.units & 4294967295) "
        f"FROM {_FROM} WHERE {' AND '.join(where)}{among} "
        + (f"GROUP BY {grouped} ORDER BY {grouped} LIMIT {MOST_GROUPS + 1}" if grouped else ""),
        values,
    )
    if len(rows) > MOST_GROUPS:
        raise BadQuery(f"more than {MOST_GROUPS} groups")
    found = []
    for currency, issuer, owner, notary, count, high, low in rows:
        units = decimal.Decimal(((high or 0) << 32) + (low or 0))
        known = None if issuer is None else issuer_of(tx, issuer)
        key = None if owner is None else PublicKey(owner)
        found.append(Total(currency, known, key, notary, count, units))
    return tuple(found)


def issuer_of(tx: Tx, number: int) -> Issuer:
    """The issuer of that number."""
    [(key, reference)] = tx.execute(
        "SELECT key, reference FROM ledger_issuer WHERE id = ?", (number,)
    )
    return Issuer(PublicKey(key), reference)


def present_form(tx: Tx, records: Records, linear_id: bytes) -> StateAndRef | None:
    """The unconsumed state of a linear id; of several, which a contract should not allow, the
    newest."""
    rows = tx.execute(
        "SELECT ref, output FROM ledger_state WHERE linear = ? AND consumed IS NULL "
        "ORDER BY ref DESC LIMIT 1",
        (linear_id,),
    )
    if not rows:
        return None
    row, output = rows[0]
    number, index = ref_parts(row)
    return StateAndRef(StateRef(records.ids(tx, [number])[number], index), output_of(output))


_FROM = "ledger_state s JOIN ledger_notary n ON n.id = s.notary"


def _found(row: tuple[Any, ...], ids: dict[int, bytes]) -> FoundState:
    ref, output, relevant, recorded_us, consumed, lock, pending, _ = row
    number, index = ref_parts(ref)
    return FoundState(
        state=StateAndRef(StateRef(ids[number], index), output_of(output)),
        relevant=bool(relevant),
        recorded=time_of(recorded_us),
        consumed_by=None if consumed is None else ids[consumed],
        locked_by=0 if pending is not None else None if lock is None else abs(lock),
    )


def _position(after: bytes, sort: str) -> tuple[Any, int]:
    try:
        name, sorted_by, row = decode(SORTS[sort][1], after)
    except BadBytes:
        name = ""
    if name != sort:
        raise BadQuery("`after` is the `next` of a page that was sorted in the same way")
    return sorted_by, row


def _kinds(tx: Tx, query: StateQuery) -> list[int]:
    """The kinds of states, by schema and contract, that a query speaks of."""
    for names in (query.schemas, query.contracts):
        if len(names) > MOST_NAMES:
            raise BadQuery(f"a list of {len(names)} names; {MOST_NAMES} at most")
    schemas, contracts = set(query.schemas), set(query.contracts)
    return [
        kind
        for kind, schema, contract in all_kinds(tx)
        if (not schemas or schema in schemas)
        and (not contracts or contract in contracts or contract.rpartition("_v")[0] in contracts)
    ]


def _among(query: StateQuery, kinds: Sequence[int]) -> str:
    """The condition that a state is of one of the kinds, if the query says so."""
    if not query.schemas and not query.contracts:
        return ""
    return f" AND s.kind IN ({', '.join(map(str, kinds))})"


def _where(query: StateQuery) -> tuple[list[str], list[Any]]:
    """What a query says, as conditions and their values."""
    where: list[str] = ["1 = 1"]
    values: list[Any] = []

    def one_of(what: str, names: Sequence[Any]) -> None:
        if len(names) > MOST_NAMES:
            raise BadQuery(f"a list of {len(names)} names; {MOST_NAMES} at most")
        if names:
            where.append(f"{what} IN ({', '.join('?' * len(names))})")
            values.extend(names)

    def bound(condition: str, value: Any) -> None:
        if value is not None:
            where.append(condition)
            values.append(value)

    one_of("n.name", query.notaries)
    one_of("s.owner", [key.encoded for key in query.owners])
    if query.issuers or query.issued_by:
        if len(query.issuers) > MOST_NAMES or len(query.issued_by) > MOST_NAMES:
            raise BadQuery(f"more than {MOST_NAMES} issuers")
        conditions = ["(key = ? AND reference = ?)"] * len(query.issuers)
        conditions += ["key = ?"] * len(query.issued_by)
        where.append(f"s.issuer IN (SELECT id FROM ledger_issuer WHERE {' OR '.join(conditions)})")
        for issuer in query.issuers:
            values += [issuer.key.encoded, issuer.reference]
        values += [key.encoded for key in query.issued_by]
    one_of("s.currency", query.currencies)
    one_of("s.linear", query.linear_ids)
    if query.consumed is not None:
        where.append(f"s.consumed IS {'NOT ' if query.consumed else ''}NULL")
    bound("s.relevant = ?", query.relevant)
    if query.locked is not None:
        where.append(
            "(s.lock IS NOT NULL OR s.pending IS NOT NULL)"
            if query.locked
            else "s.lock IS NULL AND s.pending IS NULL"
        )
    bound("s.units >= ?", query.at_least)
    bound("s.units <= ?", query.at_most)
    since, before = query.recorded_since, query.recorded_before
    bound("s.recorded_us >= ?", None if since is None else time_us(since))
    bound("s.recorded_us < ?", None if before is None else time_us(before))
    return where, values
