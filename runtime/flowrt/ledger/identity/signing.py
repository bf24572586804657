"""The service `Keys`: this node's own keys, and what it signs with them.

Which of them there are is in the register, so a key that a step made is gone with the step if that
fails. It knows no contract: what is signed was judged before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from flowrt.core.flow import Tx
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity import register
from flowrt.ledger.identity.claims import Pseudonym, claim
from flowrt.ledger.identity.directory import Network
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.keys import PublicKey, SigningKey
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.signatures import GoodSignatures
from flowrt.ledger.states import Rulebook
from flowrt.ledger.transactions import SignedTransaction, sign
from flowrt.stdlib.ledger.keys_flow import SigningRefused
from flowrt.stdlib.ledger.parts_flow import Identity

RECOVERED = 10_000
"""When a database was put back to an older state, so many pseudonyms after the last one that it
knows are taken for ours."""

_IDENTITIES = 2
"""And so many well-known keys."""

_log = logging.getLogger("flowrt.ledger")


class Keys:
    """The keys of one node."""

    def __init__(
        self,
        keystore: KeyStore,
        network: Network,
        rulebook: Rulebook | None = None,
        memory: GoodSignatures | None = None,
        recovered: int = RECOVERED,
    ) -> None:
        """The rulebook reads states, to find those who take part in them. `memory` learns which
        signatures are ours, so that this node need not verify them. `recovered`: so many
        pseudonyms are made between two backups of the database, at most."""
        self._keystore = keystore
        self._network = network
        self._rulebook = rulebook or Rulebook()
        self._memory = GoodSignatures() if memory is None else memory
        self._recovered = recovered

    def setup(self, tx: Tx) -> None:
        """Make the tables and the first well-known key, if they are not there. In a database that
        was put back to an older state the next keys are taken for ours: others may have seen them.
        Raises LedgerError if the database is that of another seed."""
        register.set_up(tx)
        last = register.last_number(tx, register.WELL_KNOWN)
        if last is None:
            self._keep_identity(tx, 0)
        elif self._number(tx, self._keystore.identity(last).public) != last:
            raise LedgerError(
                f"the key store is not the one that {tx.me.name}'s database was made with: "
                "restore it from the backup of its seed"
            )
        if register.went_back(tx):
            pseudonym = register.last_number(tx, register.PSEUDONYM) or 0
            self.recover(tx, pseudonym + 1, pseudonym + self._recovered)
            for number in range(_IDENTITIES):
                self._keep_identity(tx, (last or 0) + 1 + number)
            _log.warning(
                "%s: the database was put back to an older state; %d pseudonyms after number %d "
                "are taken for ours. If more were made since, run ledger.keys.RecoverKeys",
                tx.me.name,
                self._recovered,
                pseudonym,
            )

    # --- what flows ask ---

    def me(self, tx: Tx) -> Identity:
        """This node's party, and its key in the network map. Raises UnknownParty if the map does
        not have it."""
        return self._network.identity(tx, tx.me)

    def fresh(self, tx: Tx) -> PublicKey:
        """A new pseudonym, derived from the number after the last one."""
        number = (register.last_number(tx, register.PSEUDONYM) or 0) + 1
        key = self._keystore.fresh(number).public
        register.keep(tx, key, tx.me.name, register.PSEUDONYM, number)
        return key

    def is_ours(self, tx: Tx, key: PublicKey) -> bool:
        """Whether we can sign with a key: one of our pseudonyms, or a well-known key of ours, old
        ones too. Of a composite key, its parts are asked."""
        return self._number(tx, key) is not None

    def salt(self, tx: Tx) -> bytes:
        """32 secret bytes for a transaction. The time is in them, so a database that was put back
        to an older state does not give the same again."""
        used = register.next_salt(tx)
        return self._keystore.salt(used, tx.flow_id, int(tx.now.timestamp() * 1_000_000))

    def build(self, tx: Tx, builder: TransactionBuilder) -> SignedTransaction:
        """What an author's service makes of a builder: the transaction, with a secret salt and our
        signatures, as `sign` gives them. Raises Unreadable if it is too large."""
        return self.sign(tx, SignedTransaction(builder.build(self.salt(tx))))

    def sign(self, tx: Tx, transaction: SignedTransaction) -> SignedTransaction:
        """With our signatures, for all required keys that are ours. Never as its notary: that is
        the notary's business."""
        if not isinstance(transaction, SignedTransaction):
            kind = type(transaction).__name__
            raise TypeError(f"a {kind} was never signed: Keys.build(tx, builder) does that first")
        wanted = {leaf for key in transaction.transaction.required_keys for leaf in key.leaves}
        wanted -= transaction.signers | _notary_leaves(transaction)
        found = (self._signing_key(tx, key) for key in sorted(wanted))
        return self._signed(transaction, (key for key in found if key is not None))

    def sign_with(
        self, tx: Tx, transaction: SignedTransaction, keys: Sequence[PublicKey]
    ) -> SignedTransaction:
        """With our signatures by these keys. Raises SigningRefused for one that is not ours, or is
        the transaction's notary's."""
        found: list[SigningKey] = []
        notary = _notary_leaves(transaction)
        for key in keys:
            signing = self._signing_key(tx, key)
            if signing is None:
                raise SigningRefused(key, "it is not ours")
            if key in notary:
                raise SigningRefused(key, "only the notary's own flows sign as notary")
            if key not in transaction.signers:
                found.append(signing)
        return self._signed(transaction, found)

    def claim(self, tx: Tx, key: PublicKey) -> Pseudonym:
        """That one of our pseudonyms is ours. Raises SigningRefused for another key."""
        found = register.holder(tx, key)
        if found is None or found.kind != register.PSEUDONYM or found.number is None:
            raise SigningRefused(key, "it is no pseudonym of ours")
        return claim(
            self._network.name, tx.me, self.identity_key(tx), self._keystore.fresh(found.number)
        )

    def pseudonyms_in(self, tx: Tx, transaction: SignedTransaction) -> tuple[PublicKey, ...]:
        """Our pseudonyms among those who must sign a transaction and those who take part in its
        outputs, as far as their classes are installed; in order."""
        parts = transaction.transaction
        keys = set(parts.required_keys)
        for output in parts.outputs:
            try:
                state = self._rulebook.read_state(output.schema, output.version, output.data)
            except LedgerError:
                continue
            keys.update(state.participants())
        leaves = {leaf for key in keys for leaf in key.leaves}
        return tuple(key for key in sorted(leaves) if self.is_pseudonym(tx, key))

    def rotate(self, tx: Tx) -> PublicKey:
        """The next well-known key. It counts when the network map names it; until then, and for
        what was made out to it, the old one goes on signing."""
        number = register.last_number(tx, register.WELL_KNOWN)
        return self._keep_identity(tx, 0 if number is None else number + 1)

    def recover(self, tx: Tx, first: int, last: int) -> None:
        """After a loss of the database: take the pseudonyms of these numbers for ours, as if they
        had been made again. Rather too many than too few: those that were never used do no harm,
        and the next fresh one is a new one for sure."""
        for number in range(first, last + 1):
            key = self._keystore.fresh(number).public
            register.keep(tx, key, tx.me.name, register.PSEUDONYM, number)

    def recover_identities(self, tx: Tx, count: int) -> None:
        """The same for the first `count` well-known keys: one more than it was rotated."""
        for number in range(count):
            self._keep_identity(tx, number)

    # --- for other services ---

    def is_pseudonym(self, tx: Tx, key: PublicKey) -> bool:
        """Whether a key is a pseudonym of ours."""
        found = register.holder(tx, key)
        return found is not None and found.kind == register.PSEUDONYM and found.number is not None

    def identity_key(self, tx: Tx) -> SigningKey:
        """The private key that belongs to our entry in the network map. Raises UnknownParty if
        there is none, LedgerError if it names a key that is not derived from our seed."""
        key = self.me(tx).key
        found = self._signing_key(tx, key)
        if found is None:
            raise LedgerError(
                f"the network map has a key of {tx.me.name} that its database does not know as "
                "ours: run ledger.keys.RecoverKeys, or have the key of now certified"
            )
        return found

    def _keep_identity(self, tx: Tx, number: int) -> PublicKey:
        key = self._keystore.identity(number).public
        register.keep(tx, key, tx.me.name, register.WELL_KNOWN, number)
        return key

    def _number(self, tx: Tx, key: PublicKey) -> int | None:
        found = register.holder(tx, key)
        return found.number if found is not None else None

    def _signed(
        self, transaction: SignedTransaction, keys: Iterable[SigningKey]
    ) -> SignedTransaction:
        made = [sign(transaction.id, key) for key in keys]
        for signature in made:
            self._memory.made(signature, transaction.id)
        return transaction.plus(*made)

    def _signing_key(self, tx: Tx, key: PublicKey) -> SigningKey | None:
        found = register.holder(tx, key)
        if found is None or found.number is None:
            return None
        if found.kind == register.WELL_KNOWN:
            return self._keystore.identity(found.number)
        return self._keystore.fresh(found.number)


def _notary_leaves(transaction: SignedTransaction) -> frozenset[PublicKey]:
    """The keys by which a transaction would be notarised."""
    notary = transaction.notary
    return notary.key.leaves if notary is not None else frozenset()
