"""Commercial paper: a promise to pay its face value in cash at maturity, which can be traded.

Corda: net.corda.finance.contracts.CommercialPaper. Stricter than there: papers that one transaction
redeems are each paid for, and with cash that pays for nothing else.
"""

from __future__ import annotations

import datetime

from flowrt.core.flow import Timestamp
from flowrt.finance.cash import Token, cash_paid, require_payment_for
from flowrt.finance.groups import (
    Group,
    grouped,
    has_signed,
    of_kinds,
    require_currency,
    single,
    summed,
)
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.states import CommandData, State, command, contract, require, state
from flowrt.ledger.transactions import LedgerTransaction
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

NAME = "finance.CommercialPaper"

PaperKey = tuple[Issuer, Amount, Issuer, datetime.datetime]
"""All of a paper but its owner: whatever else changes makes it another paper."""


@state(NAME, contract=NAME)
class CommercialPaper(State, frozen=True, array_like=True, gc=False):
    """`issuance` says who issued it, under which number. Whoever owns it after `matures` gets
    `face_value`, in cash of the issuer and reference `payable_in`."""

    issuance: Issuer
    owner: PublicKey
    face_value: Amount
    payable_in: Issuer
    matures: Timestamp

    def participants(self) -> tuple[PublicKey, ...]:
        """Its owner."""
        return (self.owner,)

    @property
    def token(self) -> Token:
        """The cash that it is redeemed in."""
        return (self.payable_in, self.face_value.currency)

    def with_owner(self, owner: PublicKey) -> tuple[CommandData, State]:
        """The command that moves it, and the paper as it is then."""
        return Move(), CommercialPaper(
            self.issuance, owner, self.face_value, self.payable_in, self.matures
        )


@command("finance.CommercialPaper.Issue")
class Issue(CommandData, frozen=True, array_like=True, gc=False):
    """A new paper. Signed by its issuer."""


@command("finance.CommercialPaper.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    """A paper changes its owner. Signed by the old one."""


@command("finance.CommercialPaper.Redeem")
class Redeem(CommandData, frozen=True, array_like=True, gc=False):
    """A paper is paid and vanishes. Signed by its owner."""


@contract(NAME)
def verify(transaction: LedgerTransaction) -> None:
    """Accepts the transaction, or raises LedgerError: papers are issued, moved or redeemed."""
    done = single(
        of_kinds(transaction, (Issue, Move, Redeem)),
        "there is exactly one command for commercial paper",
    )
    groups = grouped(transaction, CommercialPaper, _all_but_owner)
    for group in groups:
        if isinstance(done.value, Issue):
            _check_issue(transaction, group, done.signers)
        elif isinstance(done.value, Move):
            paper = _only_input(group)
            require(
                has_signed(paper.owner, done.signers),
                "the transaction is signed by the owner of the paper",
            )
            require(len(group.outputs) == 1, "the state is propagated")
        else:
            _check_redeemed(transaction, group, done.signers)
    if isinstance(done.value, Redeem):
        _check_paid(transaction, [paper for group in groups for paper in group.inputs])


def _all_but_owner(paper: CommercialPaper) -> PaperKey:
    return (paper.issuance, paper.face_value, paper.payable_in, paper.matures)


def _only_input(group: Group[CommercialPaper, PaperKey]) -> CommercialPaper:
    require(len(group.inputs) == 1, "there is exactly one input of each paper")
    return group.inputs[0]


def _check_issue(
    transaction: LedgerTransaction,
    group: Group[CommercialPaper, PaperKey],
    signers: tuple[PublicKey, ...],
) -> None:
    require(not group.inputs, "an issue does not replace a paper")
    require(len(group.outputs) == 1, "there is exactly one output of each paper")
    paper = group.outputs[0]
    until = transaction.window.until if transaction.window else None
    require(until is not None, "issuances have a time window with an end")
    assert until is not None
    require(has_signed(paper.issuance.key, signers), "output states are issued by a command signer")
    require(paper.face_value.units > 0, "the face value is above zero")
    require(until < paper.matures, "the maturity date is not in the past")
    require_currency(paper.face_value.currency)


def _check_redeemed(
    transaction: LedgerTransaction,
    group: Group[CommercialPaper, PaperKey],
    signers: tuple[PublicKey, ...],
) -> None:
    paper = _only_input(group)
    since = transaction.window.since if transaction.window else None
    require(since is not None, "redemptions have a time window with a beginning")
    assert since is not None
    require(since >= paper.matures, "the paper must have matured")
    require(not group.outputs, "the paper must be destroyed")
    require(has_signed(paper.owner, signers), "the transaction is signed by the owner of the paper")


def _check_paid(transaction: LedgerTransaction, papers: list[CommercialPaper]) -> None:
    """Each owner gets what all its papers are worth; Corda looks at each paper alone, so that there
    one payment can redeem two papers."""
    owners = {paper.owner for paper in papers}
    for owner in owners:
        owed: dict[Token, int] = {}
        for paper in papers:
            if paper.owner == owner:
                owed[paper.token] = summed((owed.get(paper.token, 0), paper.face_value.units))
        require(cash_paid(transaction, owner) == owed, "the received amount equals the face value")
    require_payment_for(transaction, NAME, owners)
