"""The service `Vault` (ledger/vault.flow): each operation as flows call it. Owns no table.

Nothing is written before all that could refuse an operation has been looked at, so a flow that
catches a refusal goes on with a vault that did not change.
"""

from __future__ import annotations

import decimal
import weakref
from collections.abc import Callable, Collection, Sequence

from flowrt.core.flow import Tx
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.signatures import GoodSignatures
from flowrt.ledger.states import CommandData, Rulebook, State
from flowrt.ledger.transactions import (
    LedgerTransaction,
    SignedTransaction,
    StateAndRef,
    Transaction,
    TransactionSignature,
)
from flowrt.ledger.vault import attachments, kept, locks, queries, states, tables
from flowrt.ledger.vault.checking import Checker, KnowsNotary
from flowrt.ledger.vault.columns import Ours
from flowrt.ledger.vault.records import Records, time_of
from flowrt.ledger.vault.scheduled import Scheduled
from flowrt.ledger.vault.selection import Spender, balance
from flowrt.ledger.vault.states import Named, Writer, named, output_of
from flowrt.ledger.vault.tables import IN_FLIGHT, VERIFIED, ref_parts, row_of
from flowrt.ledger.vault.updates import Update, Updates
from flowrt.stdlib.ledger import core_flow as core
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef
from flowrt.stdlib.ledger.vault_flow import InFlight, Overdue, StatePage, StateQuery, Total

MOST_AT_ONCE = 10_000
"""How many things one operation answers with, at most."""

_RECORDED = "ledger.vault.Vault.recorded"
_CONSUMED = "ledger.vault.Vault.consumed"

BARE, OURS, VISIBLE = range(3)
"""Which states of a transaction get rows: none, those in which a key of ours takes part, all."""


class Vault:
    """One node's vault: `Node.open(services={"Vault": Vault(rules, is_ours), …})`.

    `is_ours` says whether a key is ours (not a composite one: of that the leaves are asked);
    `knows_notary`, if it is given, whether the network has or had a notary: transactions of others
    are not valid then. `memory` has the signatures that this node has found good.
    """

    def __init__(
        self,
        rules: Rulebook,
        is_ours: Callable[[Tx, PublicKey], bool],
        knows_notary: KnowsNotary | None = None,
        memory: GoodSignatures | None = None,
    ) -> None:
        self.rules = rules
        self._records = Records()
        self._checker = Checker(rules, self._records, knows_notary, memory)
        self.diary = Scheduled(rules, self._records)
        self._writer = Writer(rules, _asking(is_ours), self.diary)
        self._spender = Spender(rules, self._records)
        self._readers: weakref.WeakSet[Updates] = weakref.WeakSet()

    # --- the node's own calls ---

    def setup(self, tx: Tx) -> None:
        """Make the tables or bring them forward, read states again that have a newer version, and
        release what flows left that are no more."""
        tables.set_up(tx)
        attachments.set_up(tx)
        self._writer.read_again(tx)
        self.diary.set_up(tx)
        locks.repair(tx, tx.lives)
        for flow_id in kept.flows(tx):
            if not tx.lives(flow_id):
                kept.forget(tx, flow_id)

    def flow_ended(self, tx: Tx, flow_id: int) -> None:
        """What a flow has reserved is free, and what it downloaded is gone."""
        locks.release(tx, flow_id)
        kept.forget(tx, flow_id)
        attachments.forget(tx, flow_id)

    # --- transactions ---

    def has(self, tx: Tx, id: bytes) -> bool:
        return self._records.status(tx, id) == VERIFIED

    def transaction(self, tx: Tx, id: bytes) -> SignedTransaction:
        found = self._records.verified(tx, id)
        if found is None:
            raise core.UnknownTransaction(id)
        return found

    def recorded(self, tx: Tx, id: bytes) -> SignedTransaction | None:
        return self._records.verified(tx, id)

    def state(self, tx: Tx, ref: StateRef) -> StateAndRef:
        try:
            return StateAndRef(ref, self._checker.output(tx, ref))
        except core.TransactionInvalid:
            raise core.UnknownTransaction(ref.transaction) from None

    def read(self, tx: Tx, ref: StateRef) -> State:
        """For services: the state of that name as its class has it. Raises UnknownTransaction, and
        TransactionInvalid if its class is not installed here."""
        output = self.state(tx, ref).output
        try:
            return self.rules.read_state(output.schema, output.version, output.data)
        except LedgerError as error:
            raise core.TransactionInvalid(ref.transaction, str(error)[:500]) from error

    def resolved(self, tx: Tx, of: SignedTransaction) -> LedgerTransaction:
        """For services: a transaction with all states and commands that it names, as contracts see
        it. Judges nothing: `check` does. Raises UnknownTransaction, TransactionInvalid."""
        return self._checker.resolved(tx, of.transaction)

    def consumed(self, tx: Tx, ref: StateRef) -> bytes | None:
        return self.consumer(tx, ref)

    def consumer(self, tx: Tx, ref: StateRef) -> bytes | None:
        found = named(tx, ref)
        if found is None or found.consumed is None:
            return None
        return self._records.ids(tx, [found.consumed])[found.consumed]

    def check(self, tx: Tx, transaction: SignedTransaction) -> SignedTransaction:
        self._checker.check(tx, transaction.transaction)
        return transaction

    def participants(self, tx: Tx, of: SignedTransaction) -> tuple[PublicKey, ...]:
        return self._checker.check(tx, of.transaction)

    def check_signatures(
        self, tx: Tx, transaction: SignedTransaction, without: Collection[PublicKey]
    ) -> None:
        self._checker.check_signatures(transaction, without)

    def record(self, tx: Tx, transaction: SignedTransaction) -> None:
        self._record(tx, transaction, OURS)

    def record_visible(self, tx: Tx, transaction: SignedTransaction) -> None:
        self._record(tx, transaction, VISIBLE)

    def record_bare(self, tx: Tx, transaction: SignedTransaction) -> None:
        self._record(tx, transaction, BARE)

    def _record(self, tx: Tx, transaction: SignedTransaction, which: int) -> None:
        before = self._records.find(tx, transaction.id)
        if before is not None and before.status == VERIFIED:
            return
        self._checker.check_signatures(transaction)
        self._checker.check(tx, transaction.transaction)
        inputs = self._inputs(tx, transaction.transaction)
        for ref, found in inputs:
            if found.consumed is not None:
                other = self._records.ids(tx, [found.consumed])[found.consumed]
                raise core.TransactionInvalid(
                    transaction.id,
                    f"output {ref.index} of {ref.transaction.hex()} was used up by {other.hex()}",
                )
        number = self._records.put(tx, transaction, VERIFIED, before)
        attachments.needed(tx, transaction.transaction.attachments)
        # What waited for it, while it was in flight, are its inputs.
        for ref, found in inputs:
            if found.output is not None:
                states.consume(tx, found.row, number)
                self.diary.remove(tx, found.row)
                tx.happened(_CONSUMED, ref)
        if which != BARE:
            self._writer.add(tx, transaction.transaction, number, which == OURS)
        tx.happened(_RECORDED, transaction.id)
        for reader in list(self._readers):
            reader.told()

    def _inputs(self, tx: Tx, transaction: Transaction) -> list[tuple[StateRef, Named]]:
        """What the inputs name. Raises UnknownTransaction: a dependency is not recorded."""
        found = []
        for ref in transaction.inputs:
            one = named(tx, ref)
            if one is None:
                raise core.UnknownTransaction(ref.transaction)
            found.append((ref, one))
        for ref in transaction.references:
            if self._records.status(tx, ref.transaction) != VERIFIED:
                raise core.UnknownTransaction(ref.transaction)
        return found

    # --- transactions that wait for their notary ---

    def record_in_flight(self, tx: Tx, transaction: SignedTransaction) -> None:
        if self._records.find(tx, transaction.id) is not None:
            return
        notary = transaction.notary
        self._checker.check_signatures(transaction, () if notary is None else (notary.key,))
        self._checker.check(tx, transaction.transaction)
        inputs = self._inputs(tx, transaction.transaction)
        used_up = tuple(ref for ref, found in inputs if found.consumed is not None)
        if used_up:
            raise core.StatesUnavailable(used_up)
        number = self._records.put(tx, transaction, IN_FLIGHT)
        attachments.needed(tx, transaction.transaction.attachments)
        locks.await_notary(tx, [found.row for _, found in inputs], number)

    def finalise(
        self, tx: Tx, id: bytes, signatures: Sequence[TransactionSignature]
    ) -> SignedTransaction:
        before = self._records.find(tx, id)
        if before is None:
            raise core.UnknownTransaction(id)
        transaction = self._records.read(before.signed)
        if before.status == IN_FLIGHT:
            transaction = self._with(transaction, signatures)
            self._record(tx, transaction, OURS)
        return transaction

    @staticmethod
    def _with(
        transaction: SignedTransaction, signatures: Sequence[TransactionSignature]
    ) -> SignedTransaction:
        """With these, which may be anything. Raises BadSignature for one that nobody needs."""
        needed = {leaf for key in transaction.transaction.required_keys for leaf in key.leaves}
        for one in signatures:
            if one.by not in needed:
                raise core.BadSignature(one.by.text)
        return transaction.plus(*signatures)

    def waiting(self, tx: Tx, id: bytes) -> SignedTransaction:
        before = self._records.find(tx, id)
        if before is None or before.status != IN_FLIGHT:
            raise core.UnknownTransaction(id)
        return self._records.read(before.signed)

    def forget_in_flight(self, tx: Tx, id: bytes) -> None:
        before = self._records.find(tx, id)
        if before is None or before.status != IN_FLIGHT:
            return
        self._records.forget(tx, before.number)
        freed = set(locks.no_longer_await(tx, before.number))
        if freed:
            self._await_others(tx, freed)

    def _await_others(self, tx: Tx, freed: set[int]) -> None:
        """Rows that waited for a transaction may be used up by others in flight, too."""
        for number, _, _, signed in self._records.in_flight(tx):
            for ref in self._records.read(signed).inputs:
                found = named(tx, ref)
                if found is not None and found.row in freed:
                    locks.await_notary(tx, [found.row], number)

    def is_in_flight(self, tx: Tx, id: bytes) -> bool:
        return self._records.status(tx, id) == IN_FLIGHT

    def in_flight(self, tx: Tx, most: int) -> tuple[InFlight, ...]:
        rows = self._records.in_flight(tx, _bounded(most))
        return tuple(InFlight(id, time_of(at_us)) for _, id, at_us, _ in rows)

    def overdue(self, tx: Tx, most: int) -> tuple[Overdue, ...]:
        return self.diary.overdue(tx, _bounded(most))

    def schedule_again(self, tx: Tx, ref: StateRef) -> bool:
        found = named(tx, ref)
        return found is not None and self.diary.again(tx, found.row, ref)

    # --- what was downloaded ---

    def missing(self, tx: Tx, of: SignedTransaction) -> tuple[bytes, ...]:
        return tuple(
            id
            for id in of.transaction.dependencies
            if self._records.status(tx, id) != VERIFIED and not kept.has(tx, id)
        )

    def keep(self, tx: Tx, transaction: SignedTransaction) -> None:
        if self._records.status(tx, transaction.id) != VERIFIED:
            kept.keep(tx, transaction)

    def wanted(self, tx: Tx, most: int) -> tuple[bytes, ...]:
        return tuple(kept.wanted(tx, _bounded(most)))

    def record_kept(self, tx: Tx, most: int) -> int:
        """Record at most so many, each after what it depends on; how many are left. Raises what
        the first one that is not valid raises, and UnknownTransaction where none can be next."""
        room = _bounded(most)
        while room > 0 and kept.left(tx):
            ready = kept.ready(tx, room)
            if not ready and kept.recorded_elsewhere(tx):
                continue
            if not ready:
                raise core.UnknownTransaction((kept.wanted(tx, 1) or [b""])[0])
            for id, signed in ready:
                self._record(tx, self._records.read(signed), OURS)
                kept.recorded(tx, id, len(signed))
            room -= len(ready)
        return kept.left(tx)

    def forget_kept(self, tx: Tx) -> None:
        kept.forget(tx, tx.flow_id)

    def attach(self, tx: Tx, content: bytes) -> bytes:
        digest = attachments.put(tx, content)
        attachments.needed(tx, (digest,))
        return digest

    def fetch(self, tx: Tx, content: bytes) -> bytes:
        """Keep a file for the running flow, and for good once a transaction that names it is
        recorded; its SHA-256. Raises TooLarge."""
        return attachments.fetch(tx, content)

    def shares(self, tx: Tx, hash: bytes) -> bool:
        """Whether a file is here. If another flow has fetched it, it stays as long as this one."""
        attachments.share(tx, hash)
        return attachments.has(tx, hash)

    def attachment(self, tx: Tx, hash: bytes) -> bytes | None:
        return attachments.read(tx, [hash]).get(hash)

    def missing_attachments(self, tx: Tx, of: SignedTransaction) -> tuple[bytes, ...]:
        named_once = dict.fromkeys(of.transaction.attachments)
        return tuple(digest for digest in named_once if not attachments.has(tx, digest))

    # --- states ---

    def states(self, tx: Tx, query: StateQuery) -> StatePage:
        return queries.page(tx, self._records, query)

    def totals(self, tx: Tx, query: StateQuery, by: Sequence[str]) -> tuple[Total, ...]:
        return queries.totals(tx, query, by)

    def linear(self, tx: Tx, id: bytes) -> StateAndRef | None:
        return queries.present_form(tx, self._records, id)

    def spendable(self, tx: Tx, currency: str) -> decimal.Decimal:
        return decimal.Decimal(balance(tx, currency))

    def reserve(self, tx: Tx, refs: Sequence[StateRef]) -> None:
        locks.reserve(tx, refs)

    def release(self, tx: Tx) -> None:
        locks.release(tx, tx.flow_id)

    def release_some(self, tx: Tx, refs: Sequence[StateRef]) -> None:
        locks.release_some(tx, refs)

    # --- for other services, and from outside ---

    def spend(
        self,
        tx: Tx,
        builder: TransactionBuilder,
        payments: Sequence[tuple[PublicKey | None, Amount]],
        change: Callable[[], PublicKey],
        issuers: Collection[Issuer] | None = None,
        schema: str | None = None,
        moving: CommandData | None = None,
    ) -> tuple[PublicKey, ...]:
        """Put coins of ours into a transaction; see `selection.Spender.spend`. For a service whose
        own operation, which must be a `write` one, pays."""
        return self._spender.spend(tx, builder, payments, change, issuers, schema, moving)

    def updates(self, tx: Tx, position: int = 0) -> Updates:
        """What is recorded, from behind that update on; 0 for all there ever was. `tx` is
        `node.reading()`: what it sees is committed."""
        found = Updates(lambda after, most: self._updates(tx, after, most), position)
        self._readers.add(found)
        return found

    def _updates(self, tx: Tx, after: int, most: int) -> list[Update]:
        found = []
        for number, at_us, signed in self._records.recorded_after(tx, after, most):
            transaction = self._records.read(signed)
            id = transaction.id
            rows = tx.execute(
                "SELECT ref, output FROM ledger_state WHERE ref BETWEEN ? AND ? ORDER BY ref",
                (row_of(number, 0), row_of(number + 1, 0) - 1),
            )
            produced = tuple(
                StateAndRef(StateRef(id, ref_parts(row)[1]), output_of(output))
                for row, output in rows
            )
            used = []
            for ref in sorted(transaction.inputs, key=lambda ref: (ref.transaction, ref.index)):
                one = named(tx, ref)
                if one is not None and one.output is not None:
                    used.append(StateAndRef(ref, output_of(one.output)))
            update = Update(number, time_of(at_us), transaction, produced, tuple(used))
            found.append(update)
        return found


def _asking(is_ours: Callable[[Tx, PublicKey], bool]) -> Callable[[Tx], Ours]:
    """Asks about each key once in a transaction's recording."""

    def asking(tx: Tx) -> Ours:
        known: dict[PublicKey, bool] = {}

        def ours(key: PublicKey) -> bool:
            if key not in known:
                known[key] = is_ours(tx, key)
            return known[key]

        return ours

    return asking


def _bounded(most: int) -> int:
    return max(0, min(most, MOST_AT_ONCE))
