"""The service `Deposits`: deposits made of coins in a node's vault, and those of others.

Judges no transaction: the contract of cash and the vault do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from channel_flow import Deposit, Funding
from splits import coin_of, owner_of

from flowrt.core.flow import Timestamp, Tx
from flowrt.finance.cash import NAME as CASH
from flowrt.finance.desk import coins_of
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import COMPOSITE, PublicKey
from flowrt.ledger.merkle import HASH_BYTES
from flowrt.ledger.node import Ledger
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.transactions import SignedTransaction, TransactionSignature
from flowrt.stdlib.ledger.core_flow import LedgerRefusal
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef


class Deposits:
    """Deposits at one node, which takes the money of these issuers."""

    def __init__(self, ledger: Ledger, issuers: Collection[Issuer]) -> None:
        self._keys = ledger.keys
        self._network = ledger.network
        self._vault = ledger.vault
        self._issuers = frozenset(issuers)

    def takes(self, tx: Tx, money: Issuer) -> bool:
        return money in self._issuers

    def lock(
        self,
        tx: Tx,
        payer: PublicKey,
        payee: PublicKey,
        amount: Amount,
        money: Issuer,
        ends: Timestamp,
    ) -> Funding:
        both = owner_of(payer, payee)
        builder = TransactionBuilder()
        self._vault.spend(
            tx, builder, [(both, amount)], lambda: self._keys.fresh(tx), [money], schema=CASH
        )
        signed = self._keys.build(tx, builder)
        index = [coin.owner for coin in coins_of(signed)].index(both)
        assert builder.notary is not None
        deposit = Deposit(
            StateRef(signed.id, index),
            amount,
            money,
            builder.notary,
            payer,
            payee,
            ends,
            self._keys.salt(tx),
        )
        return Funding(signed, deposit)

    def objection(self, tx: Tx, to: Deposit, payee: PublicKey) -> str | None:
        if to.payee != payee:
            return "it does not pay us"
        if to.payer == payee or to.payer.scheme == COMPOSITE:
            return "its payer has no key of its own"
        if len(to.salt) != HASH_BYTES:
            return "its salt is none"
        notary = to.notary
        known = self._network.is_notary(tx, notary.party)
        if not known or self._network.party_of(tx, notary.key) != notary.party:
            return "nobody knows its notary"
        return None

    def is_funded(self, tx: Tx, deposit: Deposit) -> bool:
        try:
            found = self._vault.read(tx, deposit.coin)
        except LedgerRefusal:
            return False
        return (
            found == coin_of(deposit)
            and self._vault.state(tx, deposit.coin).notary == deposit.notary
            and self._vault.consumer(tx, deposit.coin) is None
        )

    def has_signed(
        self,
        tx: Tx,
        by: PublicKey,
        transaction: SignedTransaction,
        signatures: Sequence[TransactionSignature],
    ) -> bool:
        """Whether one of these is a good signature by that key, and there is no other."""
        try:
            for signature in signatures:
                signature.check(transaction.id)
        except LedgerError:
            return False
        return {signature.by for signature in signatures} == {by}

    def ours(self, tx: Tx, transaction: bytes) -> Amount:
        coins = coins_of(self._vault.transaction(tx, transaction))
        units = sum(coin.amount.units for coin in coins if self._keys.is_ours(tx, coin.owner))
        return Amount(units, coins[0].amount.currency if coins else "")

    def closes(self, tx: Tx, transaction: SignedTransaction) -> bool:
        return any(self._is_shared(tx, ref) for ref in transaction.inputs)

    def _is_shared(self, tx: Tx, ref: StateRef) -> bool:
        """Whether a state is a coin that we have only a part in."""
        try:
            found = self._vault.read(tx, ref)
        except LedgerRefusal:
            return False
        owner: PublicKey | None = getattr(found, "owner", None)
        return (
            owner is not None
            and owner.scheme == COMPOSITE
            and any(self._keys.is_ours(tx, leaf) for leaf in owner.leaves)
        )
