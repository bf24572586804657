"""Deals: what several agree on, signed by all of them; a chain of them as long as wanted.

The contract, and a service by which the flows of the tests make transactions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from flowrt.core.flow import Party, Tx
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey, SigningKey
from flowrt.ledger.node import Ledger
from flowrt.ledger.states import CommandData, Rulebook, State, command, contract, require, state
from flowrt.ledger.transactions import LedgerTransaction, SignedTransaction, StateAndRef, sign
from flowrt.stdlib.ledger.parts_flow import Identity


@command("deals.Agree")
class Agree(CommandData, frozen=True, array_like=True, gc=False):
    pass


@state("deals.Deal", contract="deals.Deal")
class Deal(State, frozen=True, array_like=True, gc=False):
    """What these agreed on, for the `round`th time."""

    words: str
    round: int
    parties: tuple[PublicKey, ...]

    def participants(self) -> tuple[PublicKey, ...]:
        return self.parties


@contract("deals.Deal")
def deals(tx: LedgerTransaction) -> None:
    """All who agree sign, and nobody says what is not to be said."""
    signers = tx.signers_of(Agree)
    for deal in (*tx.inputs_of(Deal), *tx.outputs_of(Deal)):
        require(set(deal.parties) <= signers, "all who agree sign")
    for deal in tx.outputs_of(Deal):
        require("nonsense" not in deal.words, "nobody agrees on nonsense")


RULES = sys.modules[__name__]


class Deals:
    """The service of the tests' flows."""

    def __init__(self, ledger: Ledger, notary: Identity, seal: SigningKey | None = None) -> None:
        self._ledger = ledger
        self._notary = notary
        self._seal = seal
        """The notary's own key, by which histories are made without asking it."""

    def agree(self, tx: Tx, words: str, keys: Sequence[PublicKey]) -> SignedTransaction:
        """A deal that needs no notary, signed by us."""
        builder = TransactionBuilder(self._notary).make(Deal(words, 0, tuple(keys)))
        return self._signed(tx, builder, keys)

    def propose(self, tx: Tx, keys: Sequence[PublicKey], signs: bool) -> SignedTransaction:
        """A deal among holders of these keys, signed by us or by nobody."""
        builder = TransactionBuilder(self._notary).make(Deal("tea", 0, tuple(keys)))
        builder.command(Agree(), *keys)
        built = SignedTransaction(builder.build(self._ledger.keys.salt(tx)))
        return self._ledger.keys.sign(tx, built) if signs else built

    def words_of(self, tx: Tx, transaction: SignedTransaction) -> str:
        raw = transaction.transaction.outputs[0]
        found = Rulebook([RULES]).read_state(raw.schema, raw.version, raw.data)
        assert isinstance(found, Deal)
        return found.words

    def again(
        self, tx: Tx, before: StateAndRef, words: str, keys: Sequence[PublicKey]
    ) -> SignedTransaction:
        """The deal in its next form, among these, signed by us."""
        old = Rulebook([RULES]).read_state(
            before.output.schema, before.output.version, before.output.data
        )
        assert isinstance(old, Deal)
        builder = TransactionBuilder(self._notary).use(before)
        builder.make(Deal(words, old.round + 1, tuple(keys)))
        return self._signed(tx, builder, (*old.parties, *keys))

    def grow(self, tx: Tx, count: int, wide: int, spoiled: int, how: str) -> bytes:
        """Record a history of so many deals of ours, each resting on the `wide` before it; the id
        of the last. Number `spoiled` is wrong: "unsealed", or "nonsense"."""
        me = (self._ledger.keys.me(tx).key,)
        made: list[SignedTransaction] = []
        for number in range(count):
            builder = TransactionBuilder(self._notary)
            for index, before in enumerate(reversed(made[-wide:])):
                builder.use(before.transaction.output(index))
            words = "nonsense" if (number, how) == (spoiled, "nonsense") else f"deal {number}"
            for _ in range(wide):
                builder.make(Deal(words, number, me))
            if how == "attached":
                builder.attach(self._ledger.vault.attach(tx, b"annex %d" % number))
            signed = self._signed(tx, builder, me)
            if made and (number, how) != (spoiled, "unsealed"):
                assert self._seal is not None
                signed = signed.plus(sign(signed.id, self._seal))
            self._ledger.vault.record(tx, signed)
            made.append(signed)
        return made[-1].id

    def _signed(
        self, tx: Tx, builder: TransactionBuilder, keys: Sequence[PublicKey]
    ) -> SignedTransaction:
        builder.command(Agree(), *keys)
        built = SignedTransaction(builder.build(self._ledger.keys.salt(tx)))
        return self._ledger.keys.sign(tx, built)

    def key_of(self, tx: Tx, party: Party) -> PublicKey:
        return self._ledger.network.identity(tx, party).key
