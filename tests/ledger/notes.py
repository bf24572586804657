"""A small contract that the tests play with: promissory notes, in two versions of their schema."""

from __future__ import annotations

import functools

from flowrt.core.flow import Party
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import ECDSA_P256, ED25519, PublicKey, SigningKey
from flowrt.ledger.states import CommandData, State, command, contract, require, state, upgrade
from flowrt.ledger.transactions import (
    LedgerTransaction,
    SignedTransaction,
    StateAndRef,
    Transaction,
    sign,
)
from flowrt.stdlib.ledger.parts_flow import Amount, Identity


@state("notes.Note", version=1, contract="notes.Note")
class OldNote(State, frozen=True, array_like=True, gc=False):
    """The issuer owes the owner an amount."""

    issuer: PublicKey
    owner: PublicKey
    amount: Amount

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.issuer, self.owner)


@state("notes.Note", version=2, contract="notes.Note")
class Note(State, frozen=True, array_like=True, gc=False):
    """The same, with a remark."""

    issuer: PublicKey
    owner: PublicKey
    amount: Amount
    remark: str

    def participants(self) -> tuple[PublicKey, ...]:
        return (self.issuer, self.owner)


@upgrade(OldNote, Note)
def with_remark(old: OldNote) -> Note:
    return Note(old.issuer, old.owner, old.amount, "")


@command("notes.Issue")
class Issue(CommandData, frozen=True, array_like=True, gc=False):
    pass


@command("notes.Move")
class Move(CommandData, frozen=True, array_like=True, gc=False):
    pass


@contract("notes.Note")
def notes(tx: LedgerTransaction) -> None:
    """One note is issued by its issuer, or moved by its owner and otherwise the same."""
    made, used = tx.outputs_of(Note), tx.inputs_of(Note)
    require(all(note.amount.units > 0 for note in made), "a note is worth something")
    if tx.commands_of(Issue):
        require(not used, "an issue uses nothing up")
        signers = tx.signers_of(Issue)
        require(all(note.issuer in signers for note in made), "the issuer signs")
        return
    signers = tx.signers_of(Move)
    require(all(note.owner in signers for note in used), "the owners sign")

    def worth(found: list[Note]) -> list[tuple[PublicKey, Amount]]:
        return sorted(((n.issuer, n.amount) for n in found), key=lambda one: one[0].encoded)

    require(worth(used) == worth(made), "what is moved stays the same")


@contract("notes.Note", version=2)
def notes_2(tx: LedgerTransaction) -> None:
    notes(tx)


NOTARY = SigningKey(ED25519, b"n" * 32)
OTHER_NOTARY = SigningKey(ED25519, b"m" * 32)
ALICE = SigningKey(ED25519, b"a" * 32)
BOB = SigningKey(ECDSA_P256, b"b" * 32)
NOTARY_ID = Identity(Party("Notary"), NOTARY.public)
OTHER_ID = Identity(Party("Other notary"), OTHER_NOTARY.public)


def issue_builder(units: int = 100) -> TransactionBuilder:
    note = Note(ALICE.public, ALICE.public, Amount(units, "EUR"), "first")
    return TransactionBuilder(NOTARY_ID).make(note).command(Issue(), ALICE.public)


@functools.cache
def issued(salt: bytes = b"1" * 32) -> SignedTransaction:
    return issue_builder().sign([ALICE], salt)


def move_builder(found: StateAndRef) -> TransactionBuilder:
    note = Note(ALICE.public, BOB.public, Amount(100, "EUR"), "first")
    return TransactionBuilder().use(found).make(note).command(Move(), ALICE.public, BOB.public)


@functools.cache
def moved(salt: bytes = b"2" * 32) -> SignedTransaction:
    """Signed by all: Alice, Bob and the notary."""
    built = move_builder(issued().transaction.output(0)).build(salt)
    return SignedTransaction(built, [sign(built.id, key) for key in (ALICE, BOB, NOTARY)])


def looked_up(*known: Transaction):  # a Lookup
    by_id = {one.id: one for one in known}
    return lambda ref: by_id[ref.transaction].outputs[ref.index]
