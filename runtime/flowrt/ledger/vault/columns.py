"""What of a state stands in columns, so that it can be searched for. Knows no SQL.

Columns are made from a state as its newest installed version has it. When a newer version comes,
those of unconsumed states are made again (`states.read_again`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from flowrt.ledger.keys import COMPOSITE, PublicKey
from flowrt.ledger.states import State
from flowrt.stdlib.ledger.parts_flow import Issuer

Ours = Callable[[PublicKey], bool]
"""Whether a key, which is not composite, is ours."""

_FUNGIBLE = ("owner", "with_owner", "amount", "issuer", "with_amount")


class Columns(NamedTuple):
    """The columns of one state. `relevant`: a key of ours takes part; `spendable`: it is fungible,
    and our keys are enough to move it."""

    relevant: bool
    spendable: bool
    owner: bytes | None
    issuer: Issuer | None
    currency: str | None
    units: int | None
    linear: bytes | None


@functools.lru_cache(maxsize=1024)
def _shape(kind: type[State]) -> tuple[bool, bool, bool]:
    """Whether states of a class are ownable, fungible, linear."""
    ownable = hasattr(kind, "owner") and hasattr(kind, "with_owner")
    return ownable, all(hasattr(kind, name) for name in _FUNGIBLE), hasattr(kind, "linear_id")


def is_fungible(state: State) -> bool:
    """Whether a state is so much of something."""
    return _shape(type(state))[1]


def columns_of(state: State, encumbered: bool, ours: Ours) -> Columns:
    """The columns of a state; `encumbered` says that it can only be spent together with another."""
    ownable, fungible, linear = _shape(type(state))
    relevant = any(ours(leaf) for key in state.participants() for leaf in _leaves(key))
    owner = issuer = currency = units = None
    spendable = False
    if ownable:
        key: PublicKey = state.owner  # type: ignore[attr-defined]
        owner = key.encoded
        if fungible:
            amount, issuer = state.amount, state.issuer  # type: ignore[attr-defined]
            currency, units = amount.currency, amount.units
            spendable = relevant and units > 0 and not encumbered and _can_move(key, ours)
    return Columns(
        relevant,
        spendable,
        owner,
        issuer,
        currency,
        units,
        bytes(state.linear_id) if linear else None,  # type: ignore[attr-defined]
    )


def _leaves(key: PublicKey) -> tuple[PublicKey, ...]:
    return (key,) if key.scheme != COMPOSITE else tuple(sorted(key.leaves))


def _can_move(key: PublicKey, ours: Ours) -> bool:
    if key.scheme != COMPOSITE:
        return ours(key)
    return key.is_fulfilled_by({leaf for leaf in key.leaves if ours(leaf)})
