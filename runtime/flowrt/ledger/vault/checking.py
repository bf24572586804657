"""Whether transactions may be believed, each judged once. Writes nothing.

What was found good is remembered by the id, which says all that was judged: the parts, and by their
ids the transactions that the inputs come from. Signatures are remembered one by one, in
a memory that the node's other services may share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from flowrt.core.flow import Tx
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.memory import Remembered
from flowrt.ledger.problems import (
    BadProof,
    BadSignature,
    ContractRejected,
    LedgerError,
    SignaturesMissing,
)
from flowrt.ledger.signatures import GoodSignatures
from flowrt.ledger.states import Rulebook
from flowrt.ledger.transactions import (
    LedgerTransaction,
    Output,
    SignedTransaction,
    Transaction,
    TransactionSignature,
)
from flowrt.ledger.vault import attachments
from flowrt.ledger.vault.records import Records
from flowrt.ledger.vault.states import named, output_of
from flowrt.ledger.verifying import check_structure, resolved, verify
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import Identity, StateRef

MOST_JUDGED = 65_536
"""How many ids of good transactions are remembered, and keys that take part in them."""

SIGNED_BYTES = 4 * 1024 * 1024
"""How many bytes of signed transactions are remembered of which all signatures are good."""

KnowsNotary = Callable[[Tx, Identity], bool]
"""Whether the network has, or had, such a notary."""


class Checker:
    """Judges for one node."""

    def __init__(
        self,
        rules: Rulebook,
        records: Records,
        knows_notary: KnowsNotary | None = None,
        memory: GoodSignatures | None = None,
    ) -> None:
        self._rules = rules
        self._records = records
        self._knows_notary = knows_notary
        self._good: Remembered[bytes, tuple[PublicKey, ...]] = Remembered(MOST_JUDGED)
        self._signed: Remembered[bytes, bool] = Remembered(SIGNED_BYTES)
        self._memory = GoodSignatures() if memory is None else memory

    def check(self, tx: Tx, transaction: Transaction) -> tuple[PublicKey, ...]:
        """Structure and contracts; gives the keys that take part in what it uses up or makes, each
        once, in order.

        Raises:
            TransactionInvalid, ContractRejected: what does not accept it, and why.
            UnknownTransaction: a dependency is not recorded.
        """
        before = self._good.get(transaction.id)
        if before is not None:
            return before
        self._check_notaries(tx, transaction)
        outputs = {
            ref: self.output(tx, ref) for ref in (*transaction.inputs, *transaction.references)
        }
        attached = attachments.read(tx, transaction.attachments)
        try:
            found = verify(transaction, outputs.__getitem__, self._rules, attached)
            states = (*found.inputs, *found.outputs)
            keys = tuple(sorted({key for one in states for key in one.participants()}))
        except ContractRejected as error:
            raise core.ContractRejected(error.contract, error.why) from error
        except LedgerError as error:
            raise core.TransactionInvalid(transaction.id, str(error)[:500]) from error
        self._good.put(transaction.id, keys, 1 + len(keys))
        return keys

    def resolved(self, tx: Tx, transaction: Transaction) -> LedgerTransaction:
        """The transaction with all that it names, as contracts see it; nothing is judged. Raises
        UnknownTransaction, TransactionInvalid: something that it names is not here, or cannot be
        read."""
        attached = attachments.read(tx, transaction.attachments)
        try:
            check_structure(transaction)
            return resolved(transaction, lambda ref: self.output(tx, ref), self._rules, attached)
        except LedgerError as error:
            raise core.TransactionInvalid(transaction.id, str(error)[:500]) from error

    def _check_notaries(self, tx: Tx, transaction: Transaction) -> None:
        if self._knows_notary is None:
            return
        notaries = {output.notary for output in transaction.outputs}
        if transaction.notary is not None:
            notaries.add(transaction.notary)
        for notary in sorted(notaries, key=lambda one: one.party.name):
            if not self._knows_notary(tx, notary):
                raise core.TransactionInvalid(
                    transaction.id, f"{notary.party.name} is no notary of this network"
                )

    def output(self, tx: Tx, ref: StateRef) -> Output:
        """What a reference to a recorded transaction names. Raises UnknownTransaction."""
        found = named(tx, ref)
        if found is not None and found.output is not None:
            return output_of(found.output)
        before = None if found is None else self._records.verified(tx, ref.transaction)
        if before is None:
            raise core.UnknownTransaction(ref.transaction)
        outputs = before.transaction.outputs
        if not 0 <= ref.index < len(outputs):
            raise core.TransactionInvalid(
                ref.transaction, f"it has {len(outputs)} outputs, and no number {ref.index}"
            )
        return outputs[ref.index]

    def check_signatures(
        self, transaction: SignedTransaction, without: Collection[PublicKey] = ()
    ) -> None:
        """That all required keys but those of `without` have signed, and that each signature that
        is there is good. Raises SignaturesMissing, BadSignature."""
        missing = transaction.missing(without)
        if missing:
            error = SignaturesMissing(tuple(key.text for key in missing), transaction.id.hex())
            raise core.SignaturesMissing(", ".join(error.missing), transaction.id) from error
        data = transaction.to_flow()
        if self._signed.get(data) is None:
            for signature in transaction.signatures:
                self.check_signature(transaction.id, signature)
            self._signed.put(data, True, len(data))

    def check_signature(self, id: bytes, signature: TransactionSignature) -> None:
        """That a signature is one of the transaction of this id. Raises BadSignature."""
        try:
            signature.check(id, self._memory)
        except (BadSignature, BadProof) as error:
            raise core.BadSignature(signature.by.text) from error
