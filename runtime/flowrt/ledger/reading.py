"""What flows ask of transactions: pure functions, declared in ledger/core.flow. Judges nothing."""

from __future__ import annotations

from collections.abc import Sequence

from flowrt.ledger.keys import PublicKey
from flowrt.ledger.transactions import SignedTransaction, StateAndRef, TransactionSignature
from flowrt.stdlib.ledger.parts_flow import TimeWindow


def needs_notary(transaction: SignedTransaction) -> bool:
    """Whether it counts only with the signature of its notary."""
    return transaction.transaction.needs_notary


def dependencies(transaction: SignedTransaction) -> tuple[bytes, ...]:
    """The ids of the transactions whose outputs it names, each once, in rising order."""
    return transaction.transaction.dependencies


def required_keys(transaction: SignedTransaction) -> tuple[PublicKey, ...]:
    """The keys that must sign it, its notary's among them if it needs one, in order."""
    return tuple(sorted(transaction.transaction.required_keys))


def missing_keys(transaction: SignedTransaction) -> tuple[PublicKey, ...]:
    """The keys whose signatures are missing, but for its notary's, in order."""
    return transaction.missing(notary_keys(transaction))


def notary_keys(transaction: SignedTransaction) -> tuple[PublicKey, ...]:
    """The key of its notary, if its signature is needed; otherwise none."""
    notary = transaction.notary
    if notary is None or not transaction.transaction.needs_notary:
        return ()
    return (notary.key,)


def signatures(transaction: SignedTransaction) -> tuple[TransactionSignature, ...]:
    """The signatures that are there, in order of their keys. Whether they are good is not said."""
    return transaction.signatures


def signatures_by(
    transaction: SignedTransaction, keys: Sequence[PublicKey]
) -> tuple[TransactionSignature, ...]:
    """Those of these keys, and of the parts of keys that are composed of several."""
    parts = {part for key in keys for part in key.leaves}
    return tuple(one for one in transaction.signatures if one.by in parts)


def with_signatures(
    transaction: SignedTransaction, more: Sequence[TransactionSignature]
) -> SignedTransaction:
    """With these as well; of two by one key the one that it had is kept."""
    return transaction.plus(*more)


def outputs(transaction: SignedTransaction) -> tuple[StateAndRef, ...]:
    """Its outputs with their names, in order."""
    whole = transaction.transaction
    return tuple(whole.output(index) for index in range(len(whole.outputs)))


def time_window(transaction: SignedTransaction) -> TimeWindow | None:
    """When it may be notarised; none if that is always."""
    return transaction.transaction.window
