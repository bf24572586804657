"""Cash: a claim against whoever issued it, and the rules under which it moves. Knows no vault.

Corda: net.corda.finance.contracts.asset.Cash. Stricter than there: coins that an issue uses up are
signed for by their owners, and no exit is of less than one unit.
"""

from __future__ import annotations

from collections.abc import Iterable

from flowrt.finance.groups import (
    Group,
    grouped,
    has_signed,
    require_currency,
    require_signed,
    summed,
)
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import CommandData, State, command, contract, require, state
from flowrt.ledger.transactions import LedgerTransaction
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

NAME = "finance.Cash"

Token = tuple[Issuer, str]
"""What coins that can be merged have in common: who owes them, its reference, the currency."""


@state(NAME, contract=NAME)
class Cash(State, frozen=True, array_like=True, gc=False):
    """A coin: `issuer` owes `amount` to `owner`."""

    owner: PublicKey
    amount: Amount
    issuer: Issuer

    def participants(self) -> tuple[PublicKey, ...]:
        """Its owner."""
        return (self.owner,)

    @property
    def token(self) -> Token:
        return (self.issuer, self.amount.currency)

    @property
    def exit_keys(self) -> frozenset[PublicKey]:
        """Who must sign that it leaves the ledger: the owner and the issuer."""
        return frozenset((self.owner, self.issuer.key))

    def with_owner(self, owner: PublicKey) -> tuple[CommandData, State]:
        """The command that moves it, and the coin as it is then."""
        return Move(), Cash(owner, self.amount, self.issuer)

    def with_amount(self, amount: Amount, owner: PublicKey) -> State:
        """A coin of the same issuer."""
        return Cash(owner, amount, self.issuer)


@command("finance.Cash.Issue")
class Issue(CommandData, frozen=True, array_like=True, gc=False):
    """New cash comes onto the ledger. Signed by its issuer."""


@command("finance.Cash.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    """Cash changes its owner, or is split or merged. Signed by the owners. `settles` names the
    contract for which it is a payment, such as `finance.Obligation`, so that no two contracts count
    the same payment; empty for none of them."""

    settles: str = ""


@command("finance.Cash.Exit")
class Exit(CommandData, frozen=True, array_like=True, gc=False):
    """So much cash of an issuer leaves the ledger. Signed by its owners and the issuer, with a
    `Move` signed by the owners beside it."""

    amount: Amount
    issuer: Issuer


@contract(NAME)
def verify(transaction: LedgerTransaction) -> None:
    """Accepts the transaction, or raises LedgerError: the cash of each issuer, reference and
    currency is issued, conserved, or leaves, and whose cash it was has signed."""
    issues = transaction.commands_of(Issue)
    require(len(issues) <= 1, "there is only one issue command")
    for group in grouped(transaction, Cash, _token):
        require(
            all(coin.amount.units > 0 for coin in group.outputs),
            "no output is of zero or less",
        )
        if issues:
            _check_issue(transaction, group, issues[0].signers)
        else:
            _check_conserved(transaction, group)


def cash_paid(transaction: LedgerTransaction, owner: PublicKey) -> dict[Token, int]:
    """What the transaction pays to this key: units by issuer and currency, of its outputs."""
    found: dict[Token, int] = {}
    for coin in transaction.outputs_of(Cash):
        if coin.owner == owner:
            found[coin.token] = found.get(coin.token, 0) + coin.amount.units
    return found


def require_payment_for(
    transaction: LedgerTransaction, contract_name: str, payees: Iterable[PublicKey]
) -> None:
    """For contracts that count cash outputs as payment: that this cash pays for `contract_name` and
    for nothing else, and that those who are paid bring none of it themselves."""
    moves = transaction.commands_of(Move)
    require(bool(moves) and not transaction.commands_of(Issue), "who is paid gets cash that moves")
    require(
        all(isinstance(move.value, Move) and move.value.settles == contract_name for move in moves),
        f"all cash of the transaction moves for {contract_name}",
    )
    own = {coin.owner for coin in transaction.inputs_of(Cash)}
    require(own.isdisjoint(payees), "who is paid brings no cash into the transaction")


def _token(coin: Cash) -> Token:
    return (coin.issuer, coin.amount.currency)


def _check_issue(
    transaction: LedgerTransaction, group: Group[Cash, Token], signers: tuple[PublicKey, ...]
) -> None:
    issuer, currency = group.key
    before = summed(coin.amount.units for coin in group.inputs)
    after = summed(coin.amount.units for coin in group.outputs)
    require(has_signed(issuer.key, signers), "output states are issued by a command signer")
    require(after > before, "output values sum to more than the inputs")
    require_currency(currency)
    # Corda does not ask for this, so there an issuer can take a coin back by issuing a larger one.
    require_signed(
        [coin.owner for coin in group.inputs],
        {*signers, *transaction.signers_of(Move)},
        "the owners of the inputs have signed",
    )


def _check_conserved(transaction: LedgerTransaction, group: Group[Cash, Token]) -> None:
    issuer, currency = group.key
    require(bool(group.inputs), "there is at least one cash input for this group")
    require(all(coin.amount.units > 0 for coin in group.inputs), "no input is of zero or less")
    before = summed(coin.amount.units for coin in group.inputs)
    after = summed(coin.amount.units for coin in group.outputs)
    exiting = _exiting(transaction, group)
    require(
        before == after + exiting,
        f"for reference {issuer.reference.hex()} at issuer {issuer.key.text} the amounts balance: "
        f"{before} - {exiting} is not {after} {currency}",
    )
    movers = transaction.signers_of(Move)
    require(bool(movers), "there is a move command")
    require_signed(
        [coin.owner for coin in group.inputs], movers, "the owners of the inputs have signed"
    )


def _exiting(transaction: LedgerTransaction, group: Group[Cash, Token]) -> int:
    """How many units of the group leave. An exit that lacks a signature, or stands there twice,
    counts as none, as in Corda; then the amounts do not balance."""
    wanted = frozenset().union(*(coin.exit_keys for coin in group.inputs))
    found = []
    for signed in transaction.commands_of(Exit):
        assert isinstance(signed.value, Exit)
        if (signed.value.issuer, signed.value.amount.currency) != group.key:
            continue
        if signed.value.amount.units <= 0:
            raise LedgerError("no exit is of zero or less")
        if all(has_signed(key, signed.signers) for key in wanted):
            found.append(signed.value.amount.units)
    return found[0] if len(found) == 1 else 0
