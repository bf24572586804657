"""Obligations: debts to be paid in cash by a day, which can be moved, netted, settled and released.

Corda: net.corda.finance.contracts.asset.Obligation. There a settlement could leave one creditor's
debt in place of another's, a netting could make new debts, and nobody's signature was needed for a
group without inputs; here each creditor's claim is followed. Left out: payment in other assets than
cash, and other contracts that a transaction could settle for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from flowrt.core.declared import Value
from flowrt.core.flow import Int, Timestamp
from flowrt.finance.cash import cash_paid, require_payment_for
from flowrt.finance.groups import (
    Group,
    grouped,
    has_signed,
    of_kinds,
    require_currency,
    require_signed,
    summed,
)
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import CommandData, State, command, contract, require, state
from flowrt.ledger.transactions import LedgerTransaction, SignedCommand
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

NAME = "finance.Obligation"

MAX_ISSUERS = 16
"""The most issuers whose cash an obligation can be paid in."""


class Terms(Value, frozen=True, array_like=True, gc=False):
    """What is owed: cash of `currency` from any of the issuers `payable_in`, until `due`."""

    currency: str
    payable_in: tuple[Issuer, ...]
    due: Timestamp


DebtKey = tuple[PublicKey, Terms]
"""What is equal in debts that can be merged: who owes, and what."""


@state(NAME, contract=NAME)
class Obligation(State, frozen=True, array_like=True, gc=False):
    """`obligor` owes `units` of what the terms say to `beneficiary`. `defaulted` says that it was
    not paid when it was due."""

    obligor: PublicKey
    beneficiary: PublicKey
    terms: Terms
    units: Int
    defaulted: bool = False

    def participants(self) -> tuple[PublicKey, ...]:
        """Both sides."""
        return (self.obligor, self.beneficiary)

    @property
    def owner(self) -> PublicKey:
        """The beneficiary: a claim is worth something, a debt is not."""
        return self.beneficiary

    @property
    def amount(self) -> Amount:
        return Amount(self.units, self.terms.currency)

    @property
    def debt(self) -> DebtKey:
        return (self.obligor, self.terms)

    def with_owner(self, owner: PublicKey) -> tuple[CommandData, State]:
        """The command that moves it, and the obligation as it is then."""
        return Move(), Obligation(self.obligor, owner, self.terms, self.units, self.defaulted)


@command("finance.Obligation.Issue")
class Issue(CommandData, frozen=True, array_like=True, gc=False):
    """New debts. Signed by the obligors."""


@command("finance.Obligation.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    """Claims change their owner, or are split or merged. Signed by the beneficiaries."""


@command("finance.Obligation.Exit")
class Exit(CommandData, frozen=True, array_like=True, gc=False):
    """So much of the obligor's debt is released. Signed by the beneficiaries, with a `Move` beside
    it."""

    obligor: PublicKey
    terms: Terms
    units: Int


@command("finance.Obligation.Settle")
class Settle(CommandData, frozen=True, array_like=True, gc=False):
    """Debts of one obligor and terms are paid with so much cash. Signed by the obligor."""

    amount: Amount


@command("finance.Obligation.CloseOut")
class CloseOut(CommandData, frozen=True, array_like=True, gc=False):
    """What two parties owe each other is set off; at most what remains is owed. Signed by either of
    each pair."""


@command("finance.Obligation.NetPayments")
class NetPayments(CommandData, frozen=True, array_like=True, gc=False):
    """Debts among any number of parties are replaced by others under which each has and owes as
    much in all. Signed by all of them."""


@command("finance.Obligation.SetDefault")
class SetDefault(CommandData, frozen=True, array_like=True, gc=False):
    """Debts that were not paid when they were due are marked so, or, with False, marked as good
    again. Signed by the beneficiaries."""

    defaulted: bool


_ACTS = (Issue, Settle, CloseOut, NetPayments, SetDefault)


@contract(NAME)
def verify(transaction: LedgerTransaction) -> None:
    """Accepts the transaction, or raises LedgerError: see docs/finance.md."""
    acts = of_kinds(transaction, _ACTS)
    require(
        len(acts) <= 1 and not (acts and of_kinds(transaction, (Move, Exit))),
        "there is only one command for obligations, or moves and exits",
    )
    require(
        all(debt.units > 0 for debt in transaction.outputs_of(Obligation)),
        "no output is of zero or less",
    )
    act = acts[0] if acts else None
    value = act.value if act else None
    if act is not None and isinstance(value, SetDefault):
        _check_default(transaction, value.defaulted, act.signers)
        return
    _check_normal(transaction)
    if act is None:
        for group in grouped(transaction, Obligation, _debt):
            _check_conserved(transaction, group)
    elif isinstance(value, Issue):
        for group in grouped(transaction, Obligation, _debt):
            _check_issue(group, act.signers)
    elif isinstance(value, Settle):
        _check_settled(transaction, act)
    elif isinstance(value, CloseOut):
        _check_closed_out(transaction, act.signers)
    else:
        _check_netted(transaction, act.signers)


def _debt(debt: Obligation) -> DebtKey:
    return (debt.obligor, debt.terms)


def _check_normal(transaction: LedgerTransaction) -> None:
    for what, states in (("inputs", transaction.inputs), ("outputs", transaction.outputs)):
        require(
            not any(isinstance(debt, Obligation) and debt.defaulted for debt in states),
            f"all {what} are in the normal state",
        )


def _units(debts: Iterable[Obligation]) -> int:
    return summed(debt.units for debt in debts)


def _check_issue(group: Group[Obligation, DebtKey], signers: tuple[PublicKey, ...]) -> None:
    obligor, terms = group.key
    require(has_signed(obligor, signers), "output states are issued by a command signer")
    require(
        _units(group.outputs) > _units(group.inputs), "output values sum to more than the inputs"
    )
    require_signed(
        [debt.beneficiary for debt in group.inputs],
        signers,
        "the owners of the inputs have signed",
    )
    require_currency(terms.currency)
    require(
        0 < len(set(terms.payable_in)) == len(terms.payable_in) <= MAX_ISSUERS,
        f"the terms name 1 to {MAX_ISSUERS} issuers, each once",
    )


def _check_conserved(transaction: LedgerTransaction, group: Group[Obligation, DebtKey]) -> None:
    require(bool(group.inputs), "there is at least one obligation input for this group")
    before, after = _units(group.inputs), _units(group.outputs)
    owners = {debt.beneficiary for debt in group.inputs}
    exiting = _exiting(transaction, group.key, owners)
    require(
        before == after + exiting,
        f"of obligor {group.key[0].text} the amounts balance: {before} - {exiting} is not {after}",
    )
    movers = transaction.signers_of(Move)
    require(bool(movers), "there is a move command")
    require_signed(owners, movers, "the owners of the inputs have signed")


def _exiting(transaction: LedgerTransaction, key: DebtKey, owners: set[PublicKey]) -> int:
    """How many units are released; none by an exit that lacks a signature or stands there twice."""
    found = []
    for signed in transaction.commands_of(Exit):
        assert isinstance(signed.value, Exit)
        if (signed.value.obligor, signed.value.terms) != key:
            continue
        if signed.value.units <= 0:
            raise LedgerError("no exit is of zero or less")
        if all(has_signed(owner, signed.signers) for owner in owners):
            found.append(signed.value.units)
    return found[0] if len(found) == 1 else 0


def _check_settled(transaction: LedgerTransaction, act: SignedCommand) -> None:
    assert isinstance(act.value, Settle)
    groups = grouped(transaction, Obligation, _debt)
    require(len(groups) == 1, "a settlement is about the debts of one obligor and terms")
    group = groups[0]
    obligor, terms = group.key
    require(bool(group.inputs), "there is at least one obligation input for this group")
    require(has_signed(obligor, act.signers), "the obligor has signed")
    before = _by_beneficiary(group.inputs)
    after = _by_beneficiary(group.outputs)
    settled = 0
    for beneficiary in before:
        paid = cash_paid(transaction, beneficiary)
        got = summed(paid.get((issuer, terms.currency), 0) for issuer in terms.payable_in)
        require(got <= before[beneficiary], "a payment does not exceed the debt")
        # Corda compares the sums of all creditors, so that there one's debt may remain another's.
        require(
            before[beneficiary] == after[beneficiary] + got,
            f"to each beneficiary the obligations balance: {before[beneficiary]} were owed, {got} "
            f"are paid, {after[beneficiary]} are owed still",
        )
        settled += got
    require(not after.keys() - before.keys(), "a settlement makes no new claims")
    require(settled > 0, "something is paid in cash that the terms accept")
    require(
        act.value.amount == Amount(settled, terms.currency),
        f"the amount in the settle command is what is paid: {settled} {terms.currency}",
    )
    require_payment_for(transaction, NAME, before)


def _by_beneficiary(debts: Iterable[Obligation]) -> Counter[PublicKey]:
    found: Counter[PublicKey] = Counter()
    for debt in debts:
        found[debt.beneficiary] += debt.units
    return found


def _check_closed_out(transaction: LedgerTransaction, signers: tuple[PublicKey, ...]) -> None:
    groups = grouped(
        transaction,
        Obligation,
        lambda debt: (frozenset((debt.obligor, debt.beneficiary)), debt.terms),
    )
    for group in groups:
        require(bool(group.inputs), "there is at least one obligation input for this group")
        _check_same_balances(group.inputs, group.outputs)
        # Else one side could make up debts in both directions, and sell its own claim.
        require(len(group.outputs) <= 1, "what remains is owed in one obligation")
        require(
            any(has_signed(party, signers) for party in group.key[0]),
            "any involved party has signed",
        )


def _check_netted(transaction: LedgerTransaction, signers: tuple[PublicKey, ...]) -> None:
    for group in grouped(transaction, Obligation, lambda debt: debt.terms):
        require(bool(group.inputs), "there is at least one obligation input for this group")
        _check_same_balances(group.inputs, group.outputs)
        # Parties of the outputs too: who stood in the middle of two new debts had a say in neither.
        involved = {
            party
            for debt in (*group.inputs, *group.outputs)
            for party in (debt.obligor, debt.beneficiary)
        }
        require_signed(involved, signers, "all involved parties have signed")


def _check_same_balances(inputs: list[Obligation], outputs: list[Obligation]) -> None:
    require(_balances(inputs) == _balances(outputs), "amounts owed on input and output must match")


def _balances(debts: list[Obligation]) -> dict[PublicKey, int]:
    """What each party has less what it owes, but for those at zero."""
    summed(debt.units for debt in debts)
    found: Counter[PublicKey] = Counter()
    for debt in debts:
        found[debt.beneficiary] += debt.units
        found[debt.obligor] -= debt.units
    return {party: units for party, units in found.items() if units}


def _check_default(
    transaction: LedgerTransaction, defaulted: bool, signers: tuple[PublicKey, ...]
) -> None:
    since = transaction.window.since if transaction.window else None
    require(since is not None, "there is a time window with a beginning")
    assert since is not None
    for group in grouped(transaction, Obligation, _debt):
        require(len(group.inputs) == len(group.outputs), "as many debts come out as go in")
        for before, after in zip(group.inputs, group.outputs, strict=True):
            require(since > before.terms.due, "the due date has passed")
            require(before.defaulted != defaulted, "the input's state is another one")
            expected = Obligation(
                before.obligor, before.beneficiary, before.terms, before.units, defaulted
            )
            require(after == expected, "nothing but the state changes")
        require_signed(
            [debt.beneficiary for debt in group.inputs],
            signers,
            "the owners of the inputs have signed",
        )
