"""The swap on the ledger: what it is, what it wants done next, under which rules it goes on. Knows
no vault and no conversation.

Rates are whole millionths (4.25 % is 42,500), so nothing is rounded but the payment.
"""

from __future__ import annotations

import itertools

from flowrt.core.flow import Int, Party, Timestamp
from flowrt.finance import cash
from flowrt.finance.cash import Cash, cash_paid
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.states import (
    CommandData,
    ScheduledActivity,
    State,
    command,
    contract,
    require,
    state,
)
from flowrt.ledger.transactions import LedgerTransaction
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, Issuer, StateRef

SWAP = "rates.Swap"
DAYS_IN_A_YEAR = 360
"""As the money market counts."""


@state(SWAP, contract=SWAP)
class Swap(State, frozen=True, array_like=True, gc=False):
    """At each of `dates`, for the time since the date before it, `payer` owes `holder` the fixed
    rate on `notional`, and `holder` owes `payer` the rate of `index` as `oracle` tells it. The
    difference is paid, in money of `money`. `done` of the dates are over."""

    number: bytes
    payer: Identity
    holder: Identity
    oracle: Identity
    index: str
    notional: Amount
    money: Issuer
    fixed: Int
    begins: Timestamp
    dates: tuple[Timestamp, ...]
    done: Int = 0

    @property
    def linear_id(self) -> bytes:
        return self.number

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.payer.key, self.holder.key)

    def next_activity(self, ref: StateRef, me: Party) -> ScheduledActivity | None:
        """Each side looks at the rate when it is due; the one that owes pays."""
        if me not in (self.payer.party, self.holder.party):
            return None
        return ScheduledActivity(self.dates[self.done], "swap.Settle", {})

    @property
    def due(self) -> Timestamp:
        """The next date."""
        return self.dates[self.done]

    def owed(self, rate: int) -> int:
        """What `payer` owes at the next date, where that is the rate; below zero: `holder` does.
        Half a cent and more counts as one."""
        since = self.dates[self.done - 1] if self.done else self.begins
        year = DAYS_IN_A_YEAR * 1_000_000
        exact = self.notional.units * (self.fixed - rate) * (self.due - since).days
        units = (2 * abs(exact) + year) // (2 * year)
        return units if exact > 0 else -units

    def after(self) -> Swap | None:
        """The swap when the next date is over; None if that was the last."""
        if self.done + 1 == len(self.dates):
            return None
        return Swap(
            self.number,
            self.payer,
            self.holder,
            self.oracle,
            self.index,
            self.notional,
            self.money,
            self.fixed,
            self.begins,
            self.dates,
            self.done + 1,
        )


@command("rates.Swap.Agree")
class Agree(CommandData, frozen=True, array_like=True, gc=False):
    """Both sides enter into the swap."""


@command("rates.Swap.Fix")
class Fix(CommandData, frozen=True, array_like=True, gc=False):
    """The rate of `index` at `date` is `rate`: the oracle signs it. Both sides sign, too, that this
    is what comes of it."""

    index: str
    date: Timestamp
    rate: Int


@contract(SWAP)
def verify(transaction: LedgerTransaction) -> None:
    """Accepts the transaction, or raises LedgerError."""
    before, after = transaction.inputs_of(Swap), transaction.outputs_of(Swap)
    fixes = transaction.commands_of(Fix)
    if not before:
        require(len(after) == 1 and not fixes, "both sides enter into one swap")
        _check_agreed(after[0], transaction.signers_of(Agree))
        return
    require(len(before) == 1 and len(fixes) == 1, "one swap is settled by one fixing")
    swap, fix = before[0], fixes[0].value
    assert isinstance(fix, Fix)
    wanted = {swap.payer.key, swap.holder.key, swap.oracle.key}
    require(wanted <= set(fixes[0].signers), "both sides and the oracle have signed")
    require((fix.index, fix.date) == (swap.index, swap.due), "it is the fixing that is due")
    goes_on = swap.after()
    require(after == ([goes_on] if goes_on is not None else []), "the swap goes on as agreed")
    _check_paid(transaction, swap, swap.owed(fix.rate))


def _check_agreed(swap: Swap, signers: frozenset[PublicKey]) -> None:
    require({swap.payer.key, swap.holder.key} <= signers, "both sides have signed")
    require(len({swap.payer.key, swap.holder.key, swap.oracle.key}) == 3, "three take part")
    require(swap.done == 0 and 0 < len(swap.dates) <= 400, "it has 1 to 400 dates")
    require(swap.notional.units > 0, "the rates are paid on something")
    times = (swap.begins, *swap.dates)
    require(all(a < b for a, b in itertools.pairwise(times)), "its dates follow each other")


def _check_paid(transaction: LedgerTransaction, swap: Swap, owed: int) -> None:
    if owed == 0:
        return
    payer, payee = (swap.payer, swap.holder) if owed > 0 else (swap.holder, swap.payer)
    token = (swap.money, swap.notional.currency)
    paid = cash_paid(transaction, payee.key).get(token, 0)
    require(paid >= abs(owed), f"{payer.party.name} pays {abs(owed)} {token[1]}")
    own = [coin for coin in transaction.inputs_of(Cash) if coin.owner == payee.key]
    require(not own, "with other money than that of who is paid")
    moves = [move.value for move in transaction.commands_of(cash.Move)]
    require(moves == [cash.Move(SWAP)], "the money pays for this fixing and nothing else")
