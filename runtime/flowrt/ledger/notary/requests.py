"""What a notary is asked: which transaction uses up what, and who says so. Looks nothing up.

A request is signed by the key under which the network knows the requester, over exactly the states
that the transaction names and its id, for one notary: it proves later who asked for what.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from flowrt.core.declared import Value
from flowrt.core.values import encode
from flowrt.ledger.filtered import FilteredTransaction, for_notary
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import BadSignature, BadStructure, LedgerError
from flowrt.ledger.signatures import GoodSignatures, TransactionSignature
from flowrt.ledger.transactions import (
    INPUTS,
    NOTARY,
    PARAMETERS,
    REFERENCES,
    WINDOW,
    SignedTransaction,
)
from flowrt.stdlib.ledger.parts_flow import Identity, StateRef, TimeWindow

MAX_STATES: Final = 9_999
"""The most inputs and references, together, of a transaction that a notary looks at."""

_SIGNED = b"flowlang notary request\x00"


class RequestProof(Value, frozen=True, array_like=True, gc=False):
    """The requester's signature over a request, and the key that made it."""

    flow_never_changes: ClassVar = True

    by: PublicKey
    data: bytes


class Claim(Value, frozen=True, array_like=True, gc=False):
    """What is to be entered in a notary's book: that a transaction uses up `inputs`.

    Attributes:
        transaction: its id.
        requester: the name of the party that asks.
        again: it is only asked for what was accepted before.
    """

    flow_never_changes: ClassVar = True

    transaction: bytes
    inputs: tuple[StateRef, ...]
    references: tuple[StateRef, ...]
    window: TimeWindow | None
    parameters: bytes | None
    notary: Identity
    requester: str
    proof: bytes
    again: bool


def parts_of(transaction: SignedTransaction) -> FilteredTransaction:
    """What a notary that does not validate is shown: what the transaction uses up and refers to,
    its time window and notary, with the proof that nothing of these is left out."""
    return for_notary(transaction.transaction)


def content(
    notary: Identity, id: bytes, inputs: Sequence[StateRef], references: Sequence[StateRef]
) -> bytes:
    """What a requester signs."""
    return _SIGNED + encode([notary.key, id, tuple(inputs), tuple(references)])


def content_of(transaction: SignedTransaction) -> bytes:
    """What a requester signs about a transaction. Raises BadStructure if that has no notary."""
    found = transaction.transaction
    if found.notary is None:
        raise BadStructure("the transaction names no notary")
    return content(found.notary, found.id, found.inputs, found.references)


def claim_of_parts(
    parts: FilteredTransaction, requester: Identity, proof: RequestProof, again: bool
) -> Claim:
    """The claim that these parts make.

    Raises:
        BadProof: something is hidden that a notary must see.
        BadStructure, BadSignature: see `claim_of`.
    """
    (notary, window, parameters) = (
        _one(parts.all_of(group), what)
        for group, what in (
            (NOTARY, "notary"),
            (WINDOW, "time window"),
            (PARAMETERS, "hash of parameters"),
        )
    )
    return _claim(
        parts.id,
        (parts.all_of(INPUTS), parts.all_of(REFERENCES)),
        (notary, window, parameters),
        requester,
        proof,
        again,
    )


def claim_of(
    transaction: SignedTransaction, requester: Identity, proof: RequestProof, again: bool
) -> Claim:
    """The claim that a whole transaction makes.

    Raises:
        BadStructure: it names no notary, needs none, names a state twice or too many states.
        BadSignature: the requester has not signed this request, or with another key.
    """
    found = transaction.transaction
    return _claim(
        found.id,
        (found.inputs, found.references),
        (found.notary, found.window, found.parameters),
        requester,
        proof,
        again,
    )


def is_signed(transaction: SignedTransaction, signatures: Sequence[TransactionSignature]) -> bool:
    """Whether these are good signatures of the transaction, by the key of its notary, and by nobody
    else."""
    notary = transaction.notary
    return notary is not None and is_sealed(transaction.id, notary, signatures)


def is_sealed(
    id: bytes,
    notary: Identity,
    signatures: Sequence[TransactionSignature],
    memory: GoodSignatures | None = None,
) -> bool:
    """The same of the transaction of that id and notary: a flow that waits for the answer need not
    keep all of it. `memory` is that of the node which asks."""
    if len(signatures) > len(notary.key.leaves):
        return False
    try:
        for signature in signatures:
            signature.check(id, memory)
    except LedgerError:
        return False
    signers = {signature.by for signature in signatures}
    return signers <= notary.key.leaves and notary.key.is_fulfilled_by(signers)


def _one(found: tuple[object, ...], what: str) -> object:
    if len(found) > 1:
        raise BadStructure(f"more than one {what}")
    return found[0] if found else None


def _claim(
    id: bytes,
    states: tuple[tuple[StateRef, ...], tuple[StateRef, ...]],
    rest: tuple[object, object, object],
    requester: Identity,
    proof: RequestProof,
    again: bool,
) -> Claim:
    inputs, references = states
    notary, window, parameters = rest
    if not isinstance(notary, Identity):
        raise BadStructure("the transaction names no notary")
    if len(inputs) + len(references) > MAX_STATES:
        raise BadStructure(
            f"{len(inputs) + len(references)} inputs and references; at most {MAX_STATES}"
        )
    if not inputs and not references and window is None:
        raise BadStructure("a transaction without inputs, references and time window needs none")
    if len({*inputs, *references}) < len(inputs) + len(references):
        raise BadStructure("a state is named twice")
    if proof.by != requester.key:
        raise BadSignature(f"the request is not signed by the key of {requester.party.name}")
    proof.by.verify(proof.data, content(notary, id, inputs, references))
    return Claim(
        transaction=id,
        inputs=inputs,
        references=references,
        window=window if isinstance(window, TimeWindow) else None,
        parameters=parameters if isinstance(parameters, bytes) else None,
        notary=notary,
        requester=requester.party.name,
        proof=proof.data,
        again=again,
    )
