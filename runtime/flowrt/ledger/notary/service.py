"""The service `Notaries` of ledger/notary.flow: what a node says to notaries, and says as one.

Here a refusal becomes the error that flows declare. It opens no session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from flowrt.core.flow import Tx
from flowrt.ledger.filtered import FilteredTransaction
from flowrt.ledger.keys import PublicKey, SigningKey
from flowrt.ledger.notary.desk import Answer, Desk
from flowrt.ledger.notary.judging import Conflicting, NotAccepted, OutsideWindow
from flowrt.ledger.notary.requests import (
    Claim,
    RequestProof,
    claim_of,
    claim_of_parts,
    content_of,
    is_sealed,
)
from flowrt.ledger.problems import BadStructure, LedgerError
from flowrt.ledger.signatures import GoodSignatures, TransactionSignature
from flowrt.ledger.states import Rulebook
from flowrt.ledger.transactions import SignedTransaction, StateAndRef
from flowrt.services import gathers
from flowrt.stdlib.ledger.core_flow import (
    Conflict,
    NotaryConflict,
    NotNotarised,
    RequestInvalid,
    TimeWindowInvalid,
    Use_Input,
    Use_Reference,
)
from flowrt.stdlib.ledger.parts_flow import Identity

Parameters = Callable[[Tx], Collection[bytes]]
"""Gives the hashes of the network's parameters under which a transaction may be notarised now;
none if the network has none."""


NEWEST = 1_024
"""How many of the newest signatures are kept in memory for those who wait for them."""

_NOTARISED = "ledger.notary.Notaries.notarised"


class IdentityKeys(Protocol):
    """Whoever has the key under which the network knows this node."""

    def identity_key(self, tx: Tx) -> SigningKey: ...


class Notary:
    """What makes a node a notary, or one of a notary's workers.

    Attributes:
        identity: who the notary is in transactions. Its key is the desk's, or composed of several
            with the desk's among them.
        desk: where its claims come together.
        is_validating: whether it wants to see whole transactions, and verifies them.
        parameters: which of the network's parameters it accepts.
    """

    def __init__(
        self,
        identity: Identity,
        desk: Desk,
        *,
        is_validating: bool = False,
        parameters: Parameters | None = None,
    ) -> None:
        """Raises LedgerError if the desk's key is none of the notary's."""
        if desk.key.public not in identity.key.leaves:
            raise LedgerError(f"the desk signs with a key that is none of {identity.party.name}'s")
        self.identity = identity
        self.desk = desk
        self.is_validating = is_validating
        self.parameters = parameters


class Notaries:
    """The service of one node; `notary` is absent where the node is none."""

    def __init__(
        self,
        keys: IdentityKeys,
        notary: Notary | None = None,
        rules: Rulebook | None = None,
        memory: GoodSignatures | None = None,
    ) -> None:
        """`rules` reads states, to find those who take part in them. `memory` has the signatures
        that this node has found good."""
        self._keys = keys
        self._notary = notary
        self._rules = rules or Rulebook()
        self._memory = GoodSignatures() if memory is None else memory
        self._newest: dict[bytes, tuple[TransactionSignature, ...]] = {}

    # --- as a client ---

    def prove(self, tx: Tx, transaction: SignedTransaction) -> RequestProof:
        """Our signature over a request to have the transaction notarised. Raises RequestInvalid."""
        with _as_refusal():
            content = content_of(transaction)
        key = self._keys.identity_key(tx)
        return RequestProof(key.public, key.sign(content))

    def participants(self, tx: Tx, states: Sequence[StateAndRef]) -> tuple[PublicKey, ...]:
        """The keys of all who take part in the states, in order. Raises RequestInvalid where a
        state cannot be read here."""
        with _as_refusal():
            found = [
                self._rules.read_state(one.output.schema, one.output.version, one.output.data)
                for one in states
            ]
        return tuple(sorted({key for state in found for key in state.participants()}))

    def is_sealed(
        self, tx: Tx, id: bytes, by: Identity, signatures: Sequence[TransactionSignature]
    ) -> bool:
        """Whether these are good signatures of the transaction of that id, by its notary's key and
        by nobody else."""
        return is_sealed(id, by, signatures, self._memory)

    # --- as a notary ---

    def claim_of_parts(
        self,
        tx: Tx,
        parts: FilteredTransaction,
        requester: Identity,
        proof: RequestProof,
        again: bool,
    ) -> Claim:
        """What a request makes of the parts that are shown. Raises RequestInvalid."""
        with _as_refusal():
            claim = claim_of_parts(parts, requester, proof, again)
            notary = self._check(tx, claim)
            if notary.is_validating and not again:
                raise BadStructure("this notary wants to see the whole transaction")
            return claim

    def claim_of(
        self,
        tx: Tx,
        transaction: SignedTransaction,
        requester: Identity,
        proof: RequestProof,
    ) -> Claim:
        """What a request makes of a whole transaction, which is not verified yet. Raises
        RequestInvalid."""
        with _as_refusal():
            claim = claim_of(transaction, requester, proof, again=False)
            notary = self._check(tx, claim)
            if not notary.is_validating:
                raise BadStructure("this notary does not want to see whole transactions")
            return claim

    @gathers
    async def commit(self, key: str, claim: Claim) -> tuple[TransactionSignature, ...]:
        """The notary's signature, when the claim stands in the book.

        Raises:
            NotaryConflict: states were used up by others.
            TimeWindowInvalid: it is too early or too late.
            NotNotarised: it was only asked for what was accepted before.
        """
        if self._notary is None:
            raise RequestInvalid("this node is no notary")
        return _said(claim, await self._notary.desk.answer(claim))

    def notarised(self, tx: Tx, transaction: bytes) -> tuple[TransactionSignature, ...] | None:
        """The signatures, if this process has given them not long ago. What was notarised before,
        or by others, the book tells."""
        return self._newest.get(transaction)

    def announce(self, tx: Tx, claim: Claim, signatures: Sequence[TransactionSignature]) -> None:
        """Tell those who wait that it is notarised, in the step that answers the requester."""
        self._newest[claim.transaction] = tuple(signatures)
        if len(self._newest) > NEWEST:
            del self._newest[next(iter(self._newest))]
        tx.happened(_NOTARISED, claim.transaction)

    def _check(self, tx: Tx, claim: Claim) -> Notary:
        notary = self._notary
        if notary is None:
            raise BadStructure("this node is no notary")
        if claim.notary != notary.identity:
            raise BadStructure(
                f"the transaction's notary is {claim.notary.party.name}, not "
                f"{notary.identity.party.name} under its key"
            )
        accepted = notary.parameters(tx) if notary.parameters is not None else ()
        if accepted and claim.parameters not in accepted and not claim.again:
            raise BadStructure(
                "the transaction does not name the network's parameters that are in force"
            )
        return notary


def _said(claim: Claim, answer: Answer) -> tuple[TransactionSignature, ...]:
    """An answer as flows have it. Raises the error that it is."""
    verdict = answer.verdict
    if isinstance(verdict, Conflicting):
        raise NotaryConflict(
            claim.transaction,
            tuple(
                Conflict(used.ref, used.by, Use_Input() if used.is_input else Use_Reference())
                for used in verdict.states
            ),
        )
    if isinstance(verdict, OutsideWindow):
        raise TimeWindowInvalid(verdict.now, verdict.window)
    if isinstance(verdict, NotAccepted):
        raise NotNotarised(claim.transaction)
    if answer.signature is None:
        raise RuntimeError("a claim was accepted and not signed")
    return (answer.signature,)


@contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        raise RequestInvalid(str(error)[:500]) from error
