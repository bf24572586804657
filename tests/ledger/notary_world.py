"""A small ledger for a notary's tests: parties with keys, a network that knows them, states that
anybody may move who owns them. Knows no scenario."""

from __future__ import annotations

import datetime
import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from flowrt.core.flow import Party
from flowrt.ledger import transactions as wire
from flowrt.ledger import verifying
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import ED25519, PublicKey, SigningKey
from flowrt.ledger.notary.desk import Desk
from flowrt.ledger.notary.service import Notaries, Notary
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.problems import SignaturesMissing as Missing
from flowrt.ledger.signatures import sign
from flowrt.ledger.states import (
    CommandData,
    Rulebook,
    State,
    command,
    contract,
    require,
    state,
)
from flowrt.ledger.transactions import LedgerTransaction, SignedTransaction, StateAndRef
from flowrt.services import StepTx
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger import notary_flow, transactions_flow
from flowrt.stdlib.ledger.parts_flow import Identity, StateRef
from flowrt.store.uniqueness import UniquenessMemory
from tests.conformance.scene import InMemory, Services
from tests.ledger.played import program

PARTIES = ("alice", "bob", "notary", "second", "judge", "former")


@state("test.Note", contract="test.Note")
class Note(State, frozen=True, array_like=True, gc=False):
    """A thing with an owner."""

    owner: PublicKey
    text: str = ""

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.owner,)


@command("test.Note.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    """From one owner to the next."""


@contract("test.Note")
def check_notes(transaction: LedgerTransaction) -> None:
    owners = {note.owner for note in transaction.inputs_of(Note)}
    require(owners <= transaction.signers_of(Move), "every owner signs")
    require(all(n.text != "bad" for n in transaction.outputs_of(Note)), "a note is bad")


RULES = Rulebook([sys.modules[__name__]])


def key_of(name: str) -> SigningKey:
    return SigningKey(ED25519, name.encode().ljust(32, b"."))


def identity_of(name: str) -> Identity:
    return Identity(Party(name), key_of(name).public)


NOTARY, JUDGE, FORMER = identity_of("notary"), identity_of("judge"), identity_of("former")
_salts = itertools.count()


def salt() -> bytes:
    return next(_salts).to_bytes(32, "big")


def issued(count: int = 1, by: Identity = NOTARY, owner: str = "alice") -> list[StateAndRef]:
    """Notes that exist; `MADE` has the transaction."""
    builder = TransactionBuilder(by)
    for number in range(count):
        builder.make(Note(key_of(owner).public, str(number)))
    made = builder.command(Move(), key_of(owner).public).sign([key_of(owner)], salt())
    MADE[made.id] = made
    return [made.transaction.output(number) for number in range(count)]


MADE: dict[bytes, SignedTransaction] = {}


def moving(
    *notes: StateAndRef,
    references: Sequence[StateAndRef] = (),
    window: tuple[datetime.datetime | None, datetime.datetime | None] | None = None,
    signer: str | None = "alice",
    by: Identity = NOTARY,
    text: str = "moved",
    parameters: bytes | None = None,
) -> SignedTransaction:
    """A transaction that gives notes to bob."""
    builder = TransactionBuilder(by).use(*notes).refer_to(*references)
    builder.make(Note(key_of("bob").public, text)).command(Move(), key_of("alice").public)
    if window is not None:
        builder.within(*window)
    if parameters is not None:
        builder.under(parameters)
    return builder.sign([key_of(signer)] if signer else [], salt())


class Known:
    """What a node of the test knows of keys, the network and transactions: enough for the flows of
    ledger.notary. What it does not have must not be called."""

    def __init__(self, party: str) -> None:
        self.party = party

    # Keys

    def identity_key(self, tx: StepTx) -> SigningKey:
        return key_of(self.party)

    # Network

    def identity(self, tx: StepTx, of: Party) -> Identity:
        if of.name not in PARTIES:
            raise core.UnknownParty(of.name)
        return identity_of(of.name)

    def is_notary(self, tx: StepTx, who: Party) -> bool:
        return who.name in ("notary", "judge")

    def is_validating(self, tx: StepTx, notary: Party) -> bool:
        return notary.name == "judge"

    def workers(self, tx: StepTx, notary: Party) -> tuple[Party, ...]:
        return (notary, Party("second")) if notary.name == "notary" else (notary,)

    # Vault and Backchain

    def has(self, tx: StepTx, id: bytes) -> bool:
        return id in MADE

    def accept(self, tx: StepTx, ids: Sequence[bytes], *others: object) -> bool:
        return False

    def begin(self, tx: StepTx, ids: Sequence[bytes], files: Sequence[bytes]) -> Any:
        if unknown := [id for id in ids if id not in MADE]:
            raise core.UnknownTransaction(unknown[0])
        return transactions_flow.Wanted(ids=(), most=0, attachment=None)

    def verify(self, tx: StepTx, most: int) -> int:
        return 0

    def check_signatures(
        self, tx: StepTx, transaction: SignedTransaction, without: Sequence[PublicKey]
    ) -> None:
        try:
            transaction.check_signatures(without)
        except Missing as error:
            raise core.SignaturesMissing(", ".join(error.missing), transaction.id) from None

    def check(self, tx: StepTx, transaction: SignedTransaction) -> SignedTransaction:
        def output(ref: StateRef) -> wire.Output:
            return MADE[ref.transaction].transaction.output(ref.index).output

        try:
            verifying.verify(transaction.transaction, output, RULES, {})
        except LedgerError as error:
            raise core.TransactionInvalid(transaction.id, str(error)) from None
        return transaction

    def setup(self, tx: StepTx) -> None:
        """Nothing is kept."""

    def offer_anew(self, tx: StepTx, to: Party, offered: Any) -> None:
        """Nor is what was offered."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "flow_ended":
            raise AttributeError(name)

        def absent(*arguments: Any) -> Any:
            raise AssertionError(f"{name} is not a part of this test")

        return absent


class Ledger(InMemory):
    """Nodes of all parties: alice and bob, a notary with two workers on one book, one that
    validates, and one that is none any more."""

    def __init__(self, parameters: Sequence[bytes] = ()) -> None:
        self.parameters = parameters
        self.books = {name: UniquenessMemory() for name in ("notary", "judge", "former")}
        super().__init__({party: [notary_flow, STARTERS] for party in PARTIES}, None)

    def now(self) -> datetime.datetime:
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return epoch + datetime.timedelta(microseconds=self.world.now_us)

    def _add(self, party: str, services: Services) -> None:
        def mine() -> Mapping[str, object]:
            known = Known(party)
            return {
                "Notaries": Notaries(known, self.notary(party)),
                **dict.fromkeys(("Network", "Vault", "Backchain"), known),
            }

        super()._add(party, mine)

    def notary(self, party: str) -> Notary | None:
        """What makes a party's node a notary."""
        name = {"second": "notary"}.get(party, party)
        if name not in self.books:
            return None
        desk = Desk(self.books[name], key_of(name), self.now)
        return Notary(
            identity_of(name),
            desk,
            is_validating=name == "judge",
            parameters=(lambda tx: self.parameters) if self.parameters else None,
        )

    def notarise(self, transaction: SignedTransaction, party: str = "alice") -> Any:
        """The signatures, or the error raised."""
        return self.run_flow(party, STARTERS.Notarises_v1, transaction=transaction)


STARTERS = program("""
use ledger.core: Signature, SignedTransaction, NotNotarised
use ledger.notary: NotariseTransaction, RecallNotarisation, AwaitNotarisation

flow Notarises(transaction: SignedTransaction) -> List[Signature]:
    startable by rpc
    return subflow NotariseTransaction(transaction)

flow Recalls(transaction: SignedTransaction) -> List[Signature]:
    startable by rpc
    return subflow RecallNotarisation(transaction)

flow Awaits(transaction: SignedTransaction) -> List[Signature]:
    startable by rpc
    return subflow AwaitNotarisation(transaction)
""")


def signed_by(transaction: SignedTransaction, *names: str) -> SignedTransaction:
    return transaction.plus(*(sign(transaction.id, key_of(name)) for name in names))
