"""The services of `finance.cash`: putting transactions of cash together, and what may be paid
without asking. Judges nothing: the contract and the vault do."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from flowrt.core.flow import Party, Tx
from flowrt.core.values import BadBytes, decode
from flowrt.finance.cash import NAME, Cash, Exit, Issue
from flowrt.finance.groups import summed
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity.directory import Network
from flowrt.ledger.identity.signing import Keys
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.transactions import SignedTransaction
from flowrt.ledger.vault.service import Vault
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer


class CashDesk:
    """The service `Cash` of one node."""

    def __init__(self, keys: Keys, network: Network, vault: Vault) -> None:
        self._keys = keys
        self._network = network
        self._vault = vault

    def issue(
        self, tx: Tx, sums: Sequence[Amount], reference: bytes, notary: Party
    ) -> SignedTransaction:
        """A coin of ours for each sum, owed by us. Raises UnknownParty."""
        me = self._keys.me(tx).key
        builder = TransactionBuilder(self._network.identity(tx, notary))
        for amount in sums:
            builder.make(Cash(me, amount, Issuer(me, reference)))
        builder.command(Issue(), me)
        return self._signed(tx, builder)

    def pay(
        self, tx: Tx, to: PublicKey, amount: Amount, issuers: Sequence[Issuer]
    ) -> SignedTransaction:
        """Coins of ours to that key, change to new keys. Raises InsufficientBalance, TooLarge."""
        builder = TransactionBuilder()
        wanted = issuers or None
        self._vault.spend(
            tx, builder, [(to, amount)], lambda: self._keys.fresh(tx), wanted, schema=NAME
        )
        return self._signed(tx, builder)

    def withdraw(self, tx: Tx, amount: Amount, reference: bytes) -> SignedTransaction:
        """Coins that we own and owe vanish. Raises InsufficientBalance, TooLarge."""
        me = self._keys.me(tx).key
        issuer = Issuer(me, reference)
        builder = TransactionBuilder()
        owners = self._vault.spend(
            tx, builder, [(None, amount)], lambda: self._keys.fresh(tx), [issuer], schema=NAME
        )
        builder.command(Exit(amount, issuer), *owners, me)
        return self._signed(tx, builder)

    def paid(self, tx: Tx, transaction: SignedTransaction, to: PublicKey, currency: str) -> Amount:
        """What a transaction pays to a key in a currency, of all issuers."""
        coins = (coin for coin in coins_of(transaction) if coin.owner == to)
        units = summed(coin.amount.units for coin in coins if coin.amount.currency == currency)
        return Amount(units, currency)

    def _signed(self, tx: Tx, builder: TransactionBuilder) -> SignedTransaction:
        built = builder.build(self._keys.salt(tx))
        return self._keys.sign(tx, SignedTransaction(built))


class Treasury:
    """The service `Treasury` with fixed limits."""

    def __init__(
        self,
        limits: Mapping[str, int] | None = None,
        patience: datetime.timedelta = datetime.timedelta(days=2),
        otherwise: int | None = 0,
    ) -> None:
        """`limits` are minor units by currency; `otherwise` is that of all others, None for any
        sum. People have `patience` to answer."""
        self._limits = dict(limits or {})
        self._patience = patience
        self._otherwise = otherwise

    def limit(self, tx: Tx, currency: str) -> int | None:
        """Up to how many units nobody is asked."""
        return self._limits.get(currency, self._otherwise)

    def patience(self, tx: Tx) -> datetime.timedelta:
        """How long people have to answer."""
        return self._patience


def coins_of(transaction: SignedTransaction) -> list[Cash]:
    """The cash that a transaction makes. What claims to be cash and cannot be read is none."""
    found = []
    for output in transaction.transaction.outputs:
        if output.schema == NAME and output.version == 1:
            try:
                found.append(decode(Cash, output.data))
            except BadBytes:
                continue
    return found
