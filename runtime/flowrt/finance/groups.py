"""What contracts of several instruments share: states of a kind side by side, sums, who has signed.

Knows no instrument.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Generic, TypeVar

from flowrt.core.flow import INT_MAX
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import CommandData, State, require
from flowrt.ledger.transactions import LedgerTransaction, SignedCommand

S = TypeVar("S", bound=State)
K = TypeVar("K", bound=Hashable)

_CURRENCY = re.compile(r"[A-Z]{3,12}")


@dataclasses.dataclass(slots=True)
class Group(Generic[S, K]):
    """The states of a transaction that have `key` in common, in the transaction's order."""

    key: K
    inputs: list[S]
    outputs: list[S]


def grouped(
    transaction: LedgerTransaction, kind: type[S], by: Callable[[S], K]
) -> list[Group[S, K]]:
    """The states of `kind`, grouped by what `by` says of them, in order of their first state."""
    found: dict[K, Group[S, K]] = {}
    for state in transaction.inputs:
        if isinstance(state, kind):
            key = by(state)
            found.setdefault(key, Group(key, [], [])).inputs.append(state)
    for state in transaction.outputs:
        if isinstance(state, kind):
            key = by(state)
            found.setdefault(key, Group(key, [], [])).outputs.append(state)
    return list(found.values())


def summed(units: Iterable[int]) -> int:
    """The sum of units. Raises LedgerError where no amount could hold it."""
    found = sum(units)
    require(found <= INT_MAX, "the amounts sum to more than an amount can be")
    return found


def has_signed(key: PublicKey, signers: Collection[PublicKey]) -> bool:
    """Whether `key` is among those who must sign, itself or, of a composite key, enough of its
    leaves."""
    return key in signers or key.is_fulfilled_by(signers)


def require_signed(keys: Iterable[PublicKey], signers: Collection[PublicKey], why: str) -> None:
    """Refuse the transaction, saying why, unless each of the keys must sign."""
    require(all(has_signed(key, signers) for key in keys), why)


def require_currency(currency: str) -> None:
    """Refuse what only looks like a currency, such as `EUR` with a space behind it."""
    require(
        _CURRENCY.fullmatch(currency) is not None, "a currency has three to twelve capital letters"
    )


def single(commands: Iterable[SignedCommand], why: str) -> SignedCommand:
    """The only one of the commands. Raises LedgerError with `why` for none or several."""
    found = list(commands)
    if len(found) != 1:
        raise LedgerError(why)
    return found[0]


def of_kinds(
    transaction: LedgerTransaction, kinds: tuple[type[CommandData], ...]
) -> list[SignedCommand]:
    """The commands of any of these kinds."""
    return [command for command in transaction.commands if isinstance(command.value, kinds)]
