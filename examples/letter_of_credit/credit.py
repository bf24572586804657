"""The letter of credit and the bill of lading on the ledger: what they are, under which rules they
change. Knows no vault and no conversation.
"""

from __future__ import annotations

from flowrt.core.flow import Timestamp
from flowrt.finance import cash
from flowrt.finance.cash import Cash, cash_paid
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.states import CommandData, State, command, contract, require, state
from flowrt.ledger.transactions import LedgerTransaction
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer

LETTER = "credit.Letter"
BILL = "credit.BillOfLading"


@state(LETTER, contract=LETTER)
class LetterOfCredit(State, frozen=True, array_like=True, gc=False):
    """`bank` promises `seller` `amount`, in money of `money`, for a bill of lading that is
    presented before `expires`. `bill` is the number of the one that was."""

    number: bytes
    buyer: PublicKey
    seller: PublicKey
    bank: PublicKey
    adviser: PublicKey
    amount: Amount
    money: Issuer
    goods: str
    ship_by: Timestamp
    expires: Timestamp
    bill: bytes | None = None

    @property
    def linear_id(self) -> bytes:
        return self.number

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.buyer, self.seller, self.bank, self.adviser)

    def with_bill(self, bill: bytes | None) -> LetterOfCredit:
        """The same letter, with that bill presented, or none."""
        return LetterOfCredit(
            self.number,
            self.buyer,
            self.seller,
            self.bank,
            self.adviser,
            self.amount,
            self.money,
            self.goods,
            self.ship_by,
            self.expires,
            bill,
        )


@state(BILL, contract=BILL)
class BillOfLading(State, frozen=True, array_like=True, gc=False):
    """Whoever owns it gets the goods. `paper` is the SHA-256 of its picture."""

    number: bytes
    owner: PublicKey
    goods: str
    vessel: str
    shipped: Timestamp
    paper: bytes

    @property
    def linear_id(self) -> bytes:
        return self.number

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owner,)

    def with_owner(self, owner: PublicKey) -> tuple[CommandData, BillOfLading]:
        """The command that moves it, and the bill as it is then."""
        moved = BillOfLading(self.number, owner, self.goods, self.vessel, self.shipped, self.paper)
        return Move(), moved


@command("credit.Letter.Issue")
class Issue(CommandData, frozen=True, array_like=True, gc=False):
    """The bank makes its promise."""


@command("credit.Letter.Present")
class Present(CommandData, frozen=True, array_like=True, gc=False):
    """The seller presents a bill, which the transaction refers to, in time. Signed by the adviser,
    too, who has the papers."""


@command("credit.Letter.Return")
class Return(CommandData, frozen=True, array_like=True, gc=False):
    """The bank sends the documents back: the seller may present others."""


@command("credit.Letter.Honour")
class Honour(CommandData, frozen=True, array_like=True, gc=False):
    """The bank pays, and the buyer has the bill: in one transaction, or not at all."""


@command("credit.Letter.Cancel")
class Cancel(CommandData, frozen=True, array_like=True, gc=False):
    """The letter's time is over."""


@command("credit.BillOfLading.Ship")
class Ship(CommandData, frozen=True, array_like=True, gc=False):
    """The goods are on board. Signed by whoever has the bill first."""


@command("credit.BillOfLading.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    """The goods are somebody else's. Signed by whose they were."""


@contract(LETTER)
def verify_letter(transaction: LedgerTransaction) -> None:
    """Accepts the transaction, or raises LedgerError: there is one letter in it, and one command,
    which says what becomes of it."""
    before = transaction.inputs_of(LetterOfCredit)
    after = transaction.outputs_of(LetterOfCredit)
    kinds = (Issue, Present, Return, Honour, Cancel)
    found = [signed for signed in transaction.commands if isinstance(signed.value, kinds)]
    require(len(found) == 1, "one command says what becomes of the letter")
    value, signers = found[0].value, set(found[0].signers)
    if isinstance(value, Issue):
        require(not before and len(after) == 1, "one letter is issued")
        _check_issued(after[0], signers)
        return
    require(len(before) == 1, "one letter is used")
    letter = before[0]
    if isinstance(value, Present):
        _check_presented(transaction, letter, after, signers)
        return
    require(letter.bank in signers, "the bank has signed")
    if isinstance(value, Return):
        require(letter.bill is not None, "documents were presented")
        require(after == [letter.with_bill(None)], "nothing else of the letter changes")
        return
    require(not after, "the letter ends")
    if isinstance(value, Honour):
        _check_honoured(transaction, letter)
        return
    window = transaction.window
    is_over = window is not None and window.since is not None and window.since >= letter.expires
    require(is_over, "a letter is cancelled when its time is over")
    require(letter.bill is None, "what was presented in time is examined first")


def _check_issued(letter: LetterOfCredit, signers: set[PublicKey]) -> None:
    require(letter.bank in signers, "the bank has signed")
    require(letter.bill is None, "nothing was presented yet")
    require(letter.amount.units > 0, "something is promised")
    require(letter.ship_by <= letter.expires, "there is time to present the documents")
    require(len(set(letter.participants())) == 4, "four parties take part")


def _check_presented(
    transaction: LedgerTransaction,
    letter: LetterOfCredit,
    after: list[LetterOfCredit],
    signers: set[PublicKey],
) -> None:
    require({letter.seller, letter.adviser} <= signers, "the seller and its bank have signed")
    require(letter.bill is None, "no other documents are being examined")
    bills = [bill for bill in transaction.references if isinstance(bill, BillOfLading)]
    require(len(bills) == 1, "one bill of lading is presented")
    require(bills[0].owner == letter.seller, "it is the seller's")
    require(after == [letter.with_bill(bills[0].number)], "nothing else of the letter changes")
    window = transaction.window
    in_time = window is not None and window.until is not None and window.until <= letter.expires
    require(in_time, "documents are presented before the letter expires")


def _check_honoured(transaction: LedgerTransaction, letter: LetterOfCredit) -> None:
    moved = [(bill.number, bill.owner) for bill in transaction.outputs_of(BillOfLading)]
    require(moved == [(letter.bill, letter.buyer)], "the buyer gets the bill that was presented")
    paid = cash_paid(transaction, letter.seller).get((letter.money, letter.amount.currency), 0)
    require(paid >= letter.amount.units, "the seller is paid")
    own = [coin for coin in transaction.inputs_of(Cash) if coin.owner == letter.seller]
    require(not own, "with other money than its own")
    settled = [move.value for move in transaction.commands_of(cash.Move)]
    require(settled == [cash.Move(LETTER)], "the money pays for this letter and nothing else")


@contract(BILL)
def verify_bill(transaction: LedgerTransaction) -> None:
    """Accepts the transaction, or raises LedgerError: a bill is made, or changes its owner and
    nothing else."""
    before = {bill.number: bill for bill in transaction.inputs_of(BillOfLading)}
    after = {bill.number: bill for bill in transaction.outputs_of(BillOfLading)}
    count = len(transaction.outputs_of(BillOfLading))
    require(len(after) == count, "no bill is there twice")
    require(set(before) <= set(after), "no bill is lost")
    shippers, movers = transaction.signers_of(Ship), transaction.signers_of(Move)
    for number, bill in after.items():
        old = before.get(number)
        if old is None:
            require(bill.owner in shippers, "who ships has signed")
            require(bill.paper in transaction.attachments, "a picture of the paper is attached")
        else:
            require(old.owner in movers, "whose goods it were has signed")
            require(old.with_owner(bill.owner)[1] == bill, "nothing but the owner changes")
