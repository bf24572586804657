"""The service `Credit`: letters and bills in a node's vault, and the transactions that change them.
Judges nothing: the contracts and the vault do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from credit import (
    LETTER,
    BillOfLading,
    Cancel,
    Honour,
    Issue,
    LetterOfCredit,
    Present,
    Return,
    Ship,
)
from letter_flow import Bill, Letter, NoSuchLetter, Papers, Terms

from flowrt.core.flow import Party, Tx
from flowrt.finance import cash
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.node import Ledger
from flowrt.ledger.states import State
from flowrt.ledger.transactions import SignedTransaction, StateAndRef
from flowrt.stdlib.ledger.core_flow import UnknownParty
from flowrt.stdlib.ledger.parts_flow import StateRef

S = TypeVar("S", bound=State)


class Credit:
    """Letters of credit at one node. Those that we issue are guarded by `notary`."""

    def __init__(self, ledger: Ledger, notary: Party) -> None:
        self._keys = ledger.keys
        self._network = ledger.network
        self._vault = ledger.vault
        self._rules = ledger.rules
        self._notary = notary

    # --- reading ---

    def letter(self, tx: Tx, number: bytes) -> Letter:
        return self._shown(tx, self._find(tx, number, LetterOfCredit)[1])

    def bill(self, tx: Tx, number: bytes) -> Bill:
        """A bill of ours, for whoever looks from outside."""
        return self._bill_shown(tx, self._find(tx, number, BillOfLading)[1])

    def presented(self, tx: Tx, letter: bytes) -> Bill:
        found, terms = self._find(tx, letter, LetterOfCredit)
        return self._bill_shown(tx, self._presented(tx, found, terms)[1])

    def letter_in(self, tx: Tx, transaction: SignedTransaction) -> Letter | None:
        found = self._one(self._outputs(transaction), LetterOfCredit)
        return None if found is None else self._shown(tx, found)

    def bill_in(self, tx: Tx, transaction: SignedTransaction) -> Bill | None:
        found = self._one(self._outputs(transaction), BillOfLading)
        return None if found is None else self._bill_shown(tx, found)

    def letter_used(self, tx: Tx, transaction: SignedTransaction) -> Letter | None:
        found = self._one(self._named(tx, transaction.transaction.inputs), LetterOfCredit)
        return None if found is None else self._shown(tx, found)

    def presents(self, tx: Tx, transaction: SignedTransaction) -> Papers | None:
        letter = self.letter_in(tx, transaction)
        bill = self._one(self._named(tx, transaction.transaction.references), BillOfLading)
        if letter is None or bill is None or letter.bill != bill.number:
            return None
        return Papers(letter, self._bill_shown(tx, bill))

    def wrong_with(self, tx: Tx, terms: Terms) -> str | None:
        if terms.amount.units <= 0:
            return "nothing is promised"
        if not tx.now < terms.expires or terms.ship_by > terms.expires:
            return "there is no time to ship the goods and present the documents"
        if not 0 < len(terms.goods) <= 1000:
            return "the goods are described in 1 to 1,000 characters"
        return None

    def discrepancies(self, tx: Tx, letter: Letter, bill: Bill) -> tuple[str, ...]:
        found = []
        if bill.goods != letter.terms.goods:
            found.append(f"the bill of lading is for {bill.goods}, not {letter.terms.goods}")
        if bill.shipped > letter.terms.ship_by:
            found.append(
                f"shipped on {bill.shipped:%Y-%m-%d}, not by {letter.terms.ship_by:%Y-%m-%d}"
            )
        if bill.owner != letter.terms.seller:
            found.append(f"the goods are {bill.owner.name}'s, not {letter.terms.seller.name}'s")
        return tuple(found)

    def honours(self, tx: Tx, transaction: SignedTransaction, letter: Letter) -> bool:
        """The contracts have accepted it, so the letter's whole sum is paid for its bill, which the
        buyer gets; that is all of ours that it may take."""
        used = self._named(tx, transaction.transaction.inputs)
        ours = [state for state in used if self._is_ours(tx, state)]
        return len(ours) == 2 and {type(state) for state in ours} == {LetterOfCredit, BillOfLading}

    # --- writing ---

    def issue(self, tx: Tx, buyer: Party, terms: Terms) -> SignedTransaction:
        me = self._keys.me(tx).key
        letter = LetterOfCredit(
            self._keys.salt(tx)[:16],
            self._key(tx, buyer),
            self._key(tx, terms.seller),
            me,
            self._key(tx, terms.adviser),
            terms.amount,
            terms.money,
            terms.goods,
            terms.ship_by,
            terms.expires,
        )
        builder = TransactionBuilder(self._network.identity(tx, self._notary))
        return self._signed(tx, builder.make(letter).command(Issue(), me))

    def ship(self, tx: Tx, letter: bytes, vessel: str, paper: bytes) -> SignedTransaction:
        found, terms = self._find(tx, letter, LetterOfCredit)
        digest = self._vault.attach(tx, paper)
        number = self._keys.salt(tx)[:16]
        bill = BillOfLading(number, terms.seller, terms.goods, vessel, tx.now, digest)
        builder = TransactionBuilder(found.notary).make(bill).attach(digest)
        return self._signed(tx, builder.command(Ship(), terms.seller))

    def present(self, tx: Tx, letter: bytes, bill: bytes) -> SignedTransaction:
        found, terms = self._find(tx, letter, LetterOfCredit)
        builder = TransactionBuilder().use(found).refer_to(self._find(tx, bill, BillOfLading)[0])
        builder.make(terms.with_bill(bill)).within(None, terms.expires)
        return self._signed(tx, builder.command(Present(), terms.seller, terms.adviser))

    def honour(self, tx: Tx, letter: bytes) -> SignedTransaction:
        found, terms = self._find(tx, letter, LetterOfCredit)
        paper, bill = self._presented(tx, found, terms)
        move, delivered = bill.with_owner(terms.buyer)
        builder = TransactionBuilder().use(found, paper).make(delivered)
        builder.command(Honour(), terms.bank).command(move, terms.seller)
        self._vault.spend(
            tx,
            builder,
            [(terms.seller, terms.amount)],
            lambda: self._keys.fresh(tx),
            [terms.money],
            schema=cash.NAME,
            moving=cash.Move(LETTER),
        )
        return self._signed(tx, builder)

    def send_back(self, tx: Tx, letter: bytes) -> SignedTransaction:
        found, terms = self._find(tx, letter, LetterOfCredit)
        builder = TransactionBuilder().use(found).make(terms.with_bill(None))
        return self._signed(tx, builder.command(Return(), terms.bank))

    def cancel(self, tx: Tx, letter: bytes) -> SignedTransaction:
        found, terms = self._find(tx, letter, LetterOfCredit)
        builder = TransactionBuilder().use(found).within(terms.expires, None)
        return self._signed(tx, builder.command(Cancel(), terms.bank))

    # --- the ledger's things ---

    def _find(self, tx: Tx, number: bytes, kind: type[S]) -> tuple[StateAndRef, S]:
        """The present form of a letter or bill. Raises NoSuchLetter."""
        found = self._vault.linear(tx, number)
        state = None if found is None else self._read(found)
        if found is None or not isinstance(state, kind):
            raise NoSuchLetter(number)
        return found, state

    def _presented(
        self, tx: Tx, found: StateAndRef, letter: LetterOfCredit
    ) -> tuple[StateAndRef, BillOfLading]:
        """The bill that was presented. It is somebody else's, no state of ours, so it is found
        by the transaction that presented it. Raises NoSuchLetter."""
        presenting = self._vault.transaction(tx, found.ref.transaction)
        for ref in presenting.transaction.references:
            paper = self._vault.state(tx, ref)
            bill = self._read(paper)
            if isinstance(bill, BillOfLading) and bill.number == letter.bill:
                return paper, bill
        raise NoSuchLetter(letter.number)

    def _read(self, found: StateAndRef) -> State:
        output = found.output
        return self._rules.read_state(output.schema, output.version, output.data)

    def _outputs(self, transaction: SignedTransaction) -> list[State]:
        count = len(transaction.transaction.outputs)
        return [self._read(transaction.transaction.output(index)) for index in range(count)]

    def _named(self, tx: Tx, refs: Sequence[StateRef]) -> list[State]:
        return [self._read(self._vault.state(tx, ref)) for ref in refs]

    @staticmethod
    def _one(states: list[State], kind: type[S]) -> S | None:
        return next((state for state in states if isinstance(state, kind)), None)

    def _is_ours(self, tx: Tx, state: State) -> bool:
        owner = getattr(state, "owner", None) or getattr(state, "seller", None)
        return owner is not None and self._keys.is_ours(tx, owner)

    def _shown(self, tx: Tx, letter: LetterOfCredit) -> Letter:
        terms = Terms(
            self._party(tx, letter.seller),
            self._party(tx, letter.adviser),
            letter.amount,
            letter.money,
            letter.goods,
            letter.ship_by,
            letter.expires,
        )
        buyer, bank = self._party(tx, letter.buyer), self._party(tx, letter.bank)
        return Letter(letter.number, buyer, bank, terms, letter.bill)

    def _bill_shown(self, tx: Tx, bill: BillOfLading) -> Bill:
        owner = self._party(tx, bill.owner)
        return Bill(bill.number, owner, bill.goods, bill.vessel, bill.shipped)

    def _party(self, tx: Tx, key: PublicKey) -> Party:
        found = self._network.party_of(tx, key)
        if found is None:
            raise UnknownParty(key.text)
        return found

    def _key(self, tx: Tx, party: Party) -> PublicKey:
        return self._network.identity(tx, party).key

    def _signed(self, tx: Tx, builder: TransactionBuilder) -> SignedTransaction:
        built = SignedTransaction(builder.build(self._keys.salt(tx)))
        return self._keys.sign(tx, built)
