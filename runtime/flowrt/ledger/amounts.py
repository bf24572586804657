"""Arithmetic of amounts: exact, of one currency, refused outside of 64 bits. Knows no state."""

from __future__ import annotations

from collections.abc import Iterable

from flowrt.core.flow import INT_MAX
from flowrt.ledger.problems import LedgerError
from flowrt.stdlib.ledger.parts_flow import Amount


class BadAmount(LedgerError):
    """Amounts of different currencies, or one that no amount can hold."""


def total(amounts: Iterable[Amount], currency: str) -> Amount:
    """The sum of amounts of `currency`; zero of none. Raises BadAmount."""
    units = 0
    for amount in amounts:
        if amount.currency != currency:
            raise BadAmount(f"{amount.currency} cannot be added to {currency}")
        units += amount.units
    return Amount(_fitting(units), currency)


def plus(one: Amount, other: Amount) -> Amount:
    """Both together. Raises BadAmount."""
    return total((one, other), one.currency)


def minus(one: Amount, other: Amount) -> Amount:
    """What is left of `one`; may be below zero. Raises BadAmount."""
    return plus(one, Amount(-other.units, other.currency))


def _fitting(units: int) -> int:
    if not -INT_MAX <= units <= INT_MAX:
        raise BadAmount(f"no amount has {units} units")
    return units
