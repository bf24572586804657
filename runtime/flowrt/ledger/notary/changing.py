"""Making the transaction by which states get another notary. Judges nothing: `verifying` does.

It has one command and an output for each input: the same state under the new notary. All who take
part in the states must sign, and the notary that guards them so far, which thereby lets them go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from flowrt.core.values import encode
from flowrt.ledger import transactions as wire
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import BadStructure
from flowrt.ledger.states import NotaryChange, schema_of
from flowrt.ledger.transactions import (
    Command,
    Output,
    SignedTransaction,
    StateAndRef,
    Transaction,
)
from flowrt.stdlib.ledger.parts_flow import Identity


def changes_notary(transaction: SignedTransaction) -> bool:
    """Whether it says of itself that it changes the notary of its states, and nothing else."""
    return transaction.transaction.changes_notary


def new_notary(transaction: SignedTransaction) -> Identity | None:
    """Where a change of notary leads; None for what is no such transaction."""
    found = transaction.transaction
    return found.outputs[0].notary if found.changes_notary and found.outputs else None


def moved(used: Sequence[StateAndRef], to: Identity) -> tuple[Output, ...]:
    """The states as they are under the notary `to`, in the same order.

    Raises:
        BadStructure: one is encumbered by a state that is not among them.
    """
    places = {found.ref: number for number, found in enumerate(used)}
    outputs = []
    for found in used:
        encumbrance = found.output.encumbrance
        if encumbrance is not None:
            beside = msgspec.structs.replace(found.ref, index=encumbrance)
            if beside not in places:
                raise BadStructure("a state is moved without the one that encumbers it")
            encumbrance = places[beside]
        outputs.append(msgspec.structs.replace(found.output, notary=to, encumbrance=encumbrance))
    return tuple(outputs)


def change(
    used: Sequence[StateAndRef], to: Identity, participants: Iterable[PublicKey], salt: bytes
) -> SignedTransaction:
    """The transaction that moves states to the notary `to`, not signed yet. `participants` are the
    keys of all who take part in them.

    Raises:
        BadStructure: there is none, they have several notaries, that is `to`, or see `moved`.
    """
    before = {found.notary for found in used}
    if len(before) != 1 or to in before:
        raise BadStructure("states of one notary are moved to another one")
    schema = schema_of(NotaryChange)
    groups = {
        wire.INPUTS: [encode(found.ref) for found in used],
        wire.OUTPUTS: [encode(output) for output in moved(used, to)],
        wire.COMMANDS: [encode(Command(schema.name, schema.version, encode(NotaryChange())))],
        wire.NOTARY: [encode(before.pop())],
        wire.SIGNERS: [encode(tuple(sorted(set(participants))))],
    }
    return SignedTransaction(Transaction(groups, salt))
