"""Which coins pay a sum, and the outputs and commands that pay it with them.

A coin is a fungible state that our keys can move and that nobody has reserved. Of the coins that
suffice as few as possible are taken: the largest ones, and in place of the last of them the
smallest that does. So none of those taken can be left out, a single coin that fits exactly is
always found, and equal vaults choose equally.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from flowrt.core.flow import Tx
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.states import CommandData, FungibleState, Rulebook, State
from flowrt.ledger.transactions import StateAndRef
from flowrt.ledger.vault import locks
from flowrt.ledger.vault.records import Records
from flowrt.ledger.vault.states import (
    all_kinds,
    notary_number,
    output_at,
    output_of,
    read,
    reserving,
)
from flowrt.ledger.vault.tables import FREE, ref_parts
from flowrt.stdlib.ledger.core_flow import InsufficientBalance, TooLarge
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, Issuer, StateRef

MOST_COINS = 1_000
"""How many coins pay one sum, at most: they must fit into a transaction."""

MOST_UNITS = (1 << 63) - 1

_PAGE = 64
_NOTARIES = 100


class Coin(NamedTuple):
    """A coin as the index has it: its row, and how many units."""

    row: int
    units: int


class _Purse:
    """The coins of one currency and notary that this flow may take, by size."""

    def __init__(
        self,
        tx: Tx,
        currency: str,
        notary: int,
        issuers: Sequence[int] | None,
        kinds: Sequence[int] | None = None,
    ) -> None:
        self._tx = tx
        self._values = (currency, notary)
        self._only = ""
        if issuers is not None:
            self._only += f" AND issuer IN ({', '.join(map(str, issuers))})"
        if kinds is not None:
            self._only += f" AND kind IN ({', '.join(map(str, kinds))})"
        self._own: list[Coin] = []
        if tx.flow_id in reserving(tx):
            own = tx.execute(
                "SELECT ref, units FROM ledger_state WHERE lock = ? AND spendable = 1 "
                f"AND pending IS NULL AND currency = ? AND notary = ?{self._only}",
                (tx.flow_id, currency, notary),
            )
            self._own = sorted(map(Coin._make, own), key=_by_size)

    def smallest(self, units: int, beside: Collection[int] = ()) -> Coin | None:
        """The smallest coin of at least so many units."""
        rows = self._tx.execute(
            f"SELECT ref, units FROM ledger_state WHERE {FREE} AND currency = ? AND notary = ? "
            f"AND units >= ?{self._only} ORDER BY units, ref LIMIT ?",
            (*self._values, units, len(beside) + 1),
        )
        found = [
            coin
            for coin in (*self._own, *map(Coin._make, rows))
            if coin.units >= units and coin.row not in beside
        ]
        return min(found, key=_by_size, default=None)

    def largest(self, units: int) -> tuple[list[Coin], int]:
        """The largest coins, until they are so many units or MOST_COINS; and how many units."""
        taken: list[Coin] = []
        total = 0
        own = list(self._own)
        page: collections.deque[Coin] = collections.deque()
        last: Coin | None = Coin(MOST_UNITS, MOST_UNITS)
        while total < units and len(taken) < MOST_COINS:
            if not page and last is not None:
                page.extend(self._page(last))
                last = page[-1] if len(page) == _PAGE else None
            if own and (not page or _by_size(own[-1]) > _by_size(page[0])):
                coin = own.pop()
            elif page:
                coin = page.popleft()
            else:
                break
            taken.append(coin)
            total += coin.units
        return taken, total

    def _page(self, last: Coin) -> list[Coin]:
        """The largest free coins behind that one."""
        rows = self._tx.execute(
            f"SELECT ref, units FROM ledger_state WHERE {FREE} AND currency = ? AND notary = ? "
            f"AND (units, ref) < (?, ?){self._only} ORDER BY units DESC, ref DESC LIMIT {_PAGE}",
            (*self._values, last.units, last.row),
        )
        return list(map(Coin._make, rows))

    def total(self) -> int:
        """How many units there are in all."""
        rows = self._tx.execute(
            "SELECT sum(units >> 32), sum(units & 4294967295) FROM ledger_state "
            f"WHERE {FREE} AND currency = ? AND notary = ?{self._only}",
            self._values,
        )
        high, low = rows[0]
        return ((high or 0) << 32) + (low or 0) + sum(coin.units for coin in self._own)


def _by_size(coin: Coin) -> tuple[int, int]:
    return coin.units, coin.row


def choose(
    tx: Tx,
    units: int,
    currency: str,
    *,
    notary: Identity | None = None,
    issuers: Collection[Issuer] | None = None,
    schema: str | None = None,
) -> list[int]:
    """The rows of coins of one notary that are at least so many units, in order. Who takes them
    says so (`locks.pick`), so that no later selection has them.

    Without `notary` it is the one with whom the fewest coins suffice. `issuers` are those whose
    coins will do, `schema` is what they are called; None for all.

    Raises:
        InsufficientBalance: so much is missing; of several notaries, with the one that has most.
        TooLarge: more than MOST_COINS coins would be needed.
        ValueError: a sum of nothing.
    """
    if not 0 < units <= MOST_UNITS:
        raise ValueError(f"{units} units of {currency} cannot be paid")
    known = None if issuers is None else _ids_of(tx, issuers)
    kinds = None if schema is None else _kinds_of(tx, schema)
    best: list[Coin] | None = None
    most = 0
    is_too_many = False
    for number in _notaries(tx, currency, notary):
        purse = _Purse(tx, currency, number, known, kinds)
        taken, total = _fewest(purse, units)
        if total < units:
            if len(taken) == MOST_COINS:
                total = purse.total()
                is_too_many = is_too_many or total >= units
            most = max(most, total)
        elif best is None or len(taken) < len(best):
            best = taken
    if best is None and is_too_many:
        raise TooLarge(f"more than {MOST_COINS} coins would be needed for {units} {currency}")
    if best is None:
        raise InsufficientBalance(Amount(units - most, currency))
    return sorted(coin.row for coin in best)


def _fewest(purse: _Purse, units: int) -> tuple[list[Coin], int]:
    """As few coins as suffice, and how many units; or the largest ones, if they do not."""
    one = purse.smallest(units)
    if one is not None:
        return [one], one.units
    taken, total = purse.largest(units)
    if total < units:
        return taken, total
    first = taken[:-1]
    before = total - taken[-1].units
    last = purse.smallest(units - before, {coin.row for coin in first})
    assert last is not None  # The one that was taken does.
    return [*first, last], before + last.units


def _notaries(tx: Tx, currency: str, notary: Identity | None) -> list[int]:
    """The notaries whose coins may be taken, by number; in order of their names."""
    if notary is not None:
        number = notary_number(tx, notary)
        return [] if number is None else [number]
    rows = tx.execute(
        "SELECT n.id FROM ledger_notary n WHERE EXISTS (SELECT 1 FROM ledger_state WHERE "
        f"{FREE} AND currency = ? AND notary = n.id) OR EXISTS (SELECT 1 FROM ledger_state "
        f"WHERE lock = ? AND currency = ? AND notary = n.id) ORDER BY n.name, n.id "
        f"LIMIT {_NOTARIES}",
        (currency, tx.flow_id, currency),
    )
    return [id for (id,) in rows]


def _ids_of(tx: Tx, issuers: Collection[Issuer]) -> list[int]:
    found = []
    for issuer in issuers:
        rows = tx.execute(
            "SELECT id FROM ledger_issuer WHERE key = ? AND reference = ?",
            (issuer.key.encoded, issuer.reference),
        )
        found += [id for (id,) in rows]
    return sorted(set(found))


def _kinds_of(tx: Tx, schema: str) -> list[int]:
    return [kind for kind, of, _ in all_kinds(tx) if of == schema]


def balance(tx: Tx, currency: str) -> int:
    """How many units of a currency this flow could spend now, over all notaries."""
    return sum(
        _Purse(tx, currency, notary, None).total() for notary in _notaries(tx, currency, None)
    )


# --- paying with them -------------------------------------------------------------------------


class _Taken(NamedTuple):
    """A coin that was chosen, as it is written."""

    row: int
    found: StateAndRef
    state: State


class Spender:
    """Puts payments into transactions. One for each vault."""

    def __init__(self, rules: Rulebook, records: Records) -> None:
        self._rules = rules
        self._records = records

    def spend(
        self,
        tx: Tx,
        builder: TransactionBuilder,
        payments: Sequence[tuple[PublicKey | None, Amount]],
        change: Callable[[], PublicKey],
        issuers: Collection[Issuer] | None = None,
        schema: str | None = None,
        moving: CommandData | None = None,
    ) -> tuple[PublicKey, ...]:
        """Add coins of ours to a transaction, one output for each payment and issuer, and what is
        left of an issuer's coins under a key that `change` makes; the keys that must sign. `moving`
        is the command for it, if it is not the one that coins have for every payment.

        What is paid to None leaves the ledger: no output is made of it, and the caller adds the
        command that says so. The notary is the builder's; if it has none, it gets that of the
        coins. The coins are this flow's until it ends or releases them. Raises as `choose`; nothing
        is done then.
        """
        wanted: dict[str, int] = {}
        for _, amount in payments:
            if amount.units <= 0:
                raise ValueError(f"{amount.units} units of {amount.currency} cannot be paid")
            wanted[amount.currency] = wanted.get(amount.currency, 0) + amount.units
        for currency, units in wanted.items():
            if units > MOST_UNITS:
                raise TooLarge(f"a sum of {units} {currency}")
        chosen: dict[str, list[_Taken]] = {}
        notary = builder.notary
        for currency, units in wanted.items():
            rows = choose(tx, units, currency, notary=notary, issuers=issuers, schema=schema)
            chosen[currency] = self._take(tx, rows)
            notary = chosen[currency][0].found.notary
        keys: set[PublicKey] = set()
        newest: dict[str, int] = {}
        for coin in (coin for taken in chosen.values() for coin in taken):
            # No output may be judged by an older version of a contract than any input is.
            name, version = coin.found.output.contract_version
            newest[name] = max(version, newest.get(name, 0))
        for currency, taken in chosen.items():
            due = [(key, amount.units) for key, amount in payments if amount.currency == currency]
            keys |= _pay(builder, taken, due, change, newest, moving)
            locks.pick(tx, [coin.row for coin in taken])
        return tuple(sorted(keys))

    def _take(self, tx: Tx, rows: Sequence[int]) -> list[_Taken]:
        ids = self._records.ids(tx, [ref_parts(row)[0] for row in rows])
        taken = []
        for row in rows:
            number, index = ref_parts(row)
            output = output_of(output_at(tx, row))
            found = StateAndRef(StateRef(ids[number], index), output)
            taken.append(_Taken(row, found, read(self._rules, output)))
        return taken


def _pay(
    builder: TransactionBuilder,
    taken: Sequence[_Taken],
    due: Sequence[tuple[PublicKey | None, int]],
    change: Callable[[], PublicKey],
    newest: Mapping[str, int],
    moving: CommandData | None,
) -> set[PublicKey]:
    """Pay one currency with these coins, an issuer after the other; the owners of the coins.
    `newest` are the versions of the contracts that judge what is made."""
    groups: dict[tuple[str, bytes, bytes], list[_Taken]] = {}
    for coin in taken:
        issuer = _fungible(coin.state).issuer
        group = coin.found.kind, issuer.key.encoded, issuer.reference
        groups.setdefault(group, []).append(coin)
    ordered = [groups[group] for group in sorted(groups)]
    left = [sum(_fungible(coin.state).amount.units for coin in group) for group in ordered]
    at = 0
    for owner, units in due:
        while units:
            part = min(units, left[at])
            if owner is not None:
                _make(builder, ordered[at][0], part, owner, newest)
            units -= part
            left[at] -= part
            at += not left[at]
    # No coin could be left out, so what is left is less than any of them, and of the last group.
    for coins, rest in zip(ordered, left, strict=True):
        if rest:
            _make(builder, coins[0], rest, change(), newest)
    owners = set()
    for coin in taken:
        builder.use(coin.found)
        state = _fungible(coin.state)
        command, _ = state.with_owner(state.owner)
        builder.command(moving or command, state.owner)
        owners.add(state.owner)
    return owners


def _make(
    builder: TransactionBuilder,
    model: _Taken,
    units: int,
    owner: PublicKey,
    newest: Mapping[str, int],
) -> None:
    state = _fungible(model.state)
    made = state.with_amount(Amount(units, state.amount.currency), owner)
    if builder.notary is None:
        builder.notary = model.found.notary
    builder.make(made, contract_version=newest[model.found.output.contract_version[0]])


def _fungible(state: State) -> FungibleState:
    return state  # type: ignore[return-value]  # only such are coins
