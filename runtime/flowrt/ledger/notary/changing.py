"""The change of a notary: a transaction after which states are guarded by another one, and that
changes nothing else. Knows no flow and no book.

It has one command, `ChangeNotary`, and as many outputs as inputs: each is the state that the input
of the same number names, under the new notary. No contract is asked. All who take part in a state
must sign, and the notary that guards the states so far, which thereby lets them go.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from flowrt.core.values import BadBytes, decode, encode
from flowrt.ledger.problems import BadStructure, Unreadable
from flowrt.ledger.states import CommandData, command, schema_of
from flowrt.ledger.transactions import (
    Command,
    LedgerTransaction,
    Output,
    SignedTransaction,
    StateAndRef,
    Transaction,
)
from flowrt.stdlib.ledger.parts_flow import Identity


@command("ledger.ChangeNotary")
class ChangeNotary(CommandData, frozen=True, array_like=True, gc=False):
    """That the states are guarded by `to` from now on. Known on every node."""

    to: Identity


def is_change(transaction: Transaction) -> bool:
    """Whether it says of itself that it changes the notary; it is held to that."""
    return any(raw.schema == _NAME for raw in transaction.commands)


def changes_notary(transaction: SignedTransaction) -> bool:
    """The same, for flows."""
    return is_change(transaction.transaction)


def read_change(raw: Command) -> ChangeNotary | None:
    """The command, if it is such a one. Raises Unreadable."""
    if raw.schema != _NAME:
        return None
    try:
        found: ChangeNotary = decode(ChangeNotary, raw.data)
    except BadBytes as error:
        raise Unreadable(f"not a {_NAME}: {error}") from None
    if raw.version != 1 or encode(found) != raw.data:
        raise Unreadable(f"not a {_NAME} in canonical form")
    return found


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


def check_change(
    transaction: Transaction, used: Sequence[Output], found: LedgerTransaction
) -> None:
    """Raises BadStructure unless the transaction, whose inputs are `used`, changes the notary and
    nothing else, and all who take part in the states are to sign."""
    [change, *others] = found.commands
    if others or not isinstance(change.value, ChangeNotary):
        raise BadStructure("a change of notary has no other command")
    if not transaction.inputs or transaction.references or transaction.attachments:
        raise BadStructure("a change of notary has inputs, and no references or attachments")
    if change.value.to == transaction.notary:
        raise BadStructure("a change of notary to the same one")
    states = [
        StateAndRef(ref, output) for ref, output in zip(transaction.inputs, used, strict=True)
    ]
    if moved(states, change.value.to) != transaction.outputs:
        raise BadStructure("a change of notary changes something else, too")
    participants = {key for state in found.inputs for key in state.participants()}
    if not participants <= set(change.signers):
        raise BadStructure("a change of notary is signed by all who take part in the states")


_NAME = schema_of(ChangeNotary).name
