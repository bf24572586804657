"""What flows ask of transactions: pure functions, declared in ledger/core.flow. Judges nothing."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from flowrt.core.declared import Party
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.transactions import SignedTransaction, StateAndRef, TransactionSignature
from flowrt.stdlib.ledger.parts_flow import TimeWindow


def needs_notary(transaction: SignedTransaction) -> bool:
    """Whether it counts only with the signature of its notary."""
    return transaction.transaction.needs_notary


def dependencies(transaction: SignedTransaction) -> tuple[bytes, ...]:
    """The ids of the transactions whose outputs it names, each once, in rising order."""
    return transaction.transaction.dependencies


def attachments(transaction: SignedTransaction) -> tuple[bytes, ...]:
    """SHA-256 of each attachment."""
    return transaction.transaction.attachments


def rests_on(transaction: SignedTransaction) -> tuple[bytes, ...]:
    """What somebody may ask for who is shown it: the ids of its dependencies, and its
    attachments."""
    return transaction.transaction.dependencies + transaction.transaction.attachments


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


def added(before: SignedTransaction, after: SignedTransaction) -> tuple[TransactionSignature, ...]:
    """The signatures that `after` has and `before` has not."""
    return tuple(one for one in after.signatures if one not in before.signatures)


def count(parties: Sequence[Party], wanted: Party) -> int:
    """How often a party stands among others."""
    return parties.count(wanted)


def owned(keys: Sequence[PublicKey], owners: Sequence[Party], by: Party) -> tuple[PublicKey, ...]:
    """Those of the keys whose owner, at the same place, is the party."""
    return tuple(key for key, owner in zip(keys, owners, strict=True) if owner == by)


def are_by(signatures: Sequence[TransactionSignature], keys: Sequence[PublicKey]) -> bool:
    """Whether there are signatures, each by one of the keys or by a part of one."""
    parts = {part for key in keys for part in key.leaves}
    return 0 < len(signatures) <= len(parts) and all(one.by in parts for one in signatures)


def short(text: str) -> str:
    """So much of a text as one tells others."""
    return text[:1000]


def few(conflicts: Sequence[Any]) -> tuple[Any, ...]:
    """So many conflicts as one tells others."""
    return tuple(conflicts[:100])


def is_over(transaction: SignedTransaction, time: datetime.datetime) -> bool:
    """Whether at that time the transaction's window is over, so that it is never notarised."""
    window = transaction.transaction.window
    return window is not None and window.until is not None and window.until <= time
