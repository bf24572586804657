"""A bond on the ledger: an asset like any other, which the buyer of this example does not want.

Knows no trade. What a state and its contract must be is in docs/ledger.md.
"""

from __future__ import annotations

from flowrt.ledger.keys import PublicKey
from flowrt.ledger.states import CommandData, State, command, contract, require, state
from flowrt.ledger.transactions import LedgerTransaction
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

NAME = "market.Bond"


@state(NAME, contract=NAME)
class Bond(State, frozen=True, array_like=True, gc=False):
    """`issuance` says who owes it, under which number."""

    issuance: Issuer
    owner: PublicKey
    face_value: Amount

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owner,)

    def with_owner(self, owner: PublicKey) -> tuple[CommandData, State]:
        """The command that moves it, and the bond as it is then."""
        return Move(), Bond(self.issuance, owner, self.face_value)


@command("market.Bond.Issue")
class Issue(CommandData, frozen=True, array_like=True, gc=False):
    """New bonds. Signed by whoever owes them."""


@command("market.Bond.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    """A bond changes its owner. Signed by the old one."""


@contract(NAME)
def verify(transaction: LedgerTransaction) -> None:
    """Accepts the transaction, or raises LedgerError: one bond is issued, or has another owner."""
    used, made = transaction.inputs_of(Bond), transaction.outputs_of(Bond)
    require(len(made) == 1, "one bond at a time")
    if not used:
        require(made[0].issuance.key in transaction.signers_of(Issue), "who owes it has signed")
        require(made[0].face_value.units > 0, "something is owed")
        return
    require(len(used) == 1, "one bond at a time")
    require(used[0].owner in transaction.signers_of(Move), "its owner has signed")
    require(used[0].with_owner(made[0].owner)[1] == made[0], "nothing but the owner changes")
