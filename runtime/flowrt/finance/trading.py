"""The services of `finance.trade`: putting the transaction of a trade together, and looking into
one before it is signed. Judges no contract: the vault does.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from flowrt.core.flow import Party, Tx
from flowrt.core.values import encode
from flowrt.finance.cash import NAME as CASH
from flowrt.finance.desk import coins_of
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.identity.claims import Pseudonym
from flowrt.ledger.identity.signing import Keys
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.states import OwnableState, Rulebook, State, schema_of
from flowrt.ledger.transactions import Command, SignedTransaction, StateAndRef, Transaction
from flowrt.ledger.vault.service import Vault
from flowrt.stdlib.finance.trade_flow import NotOurs, Sale
from flowrt.stdlib.ledger.core_flow import TransactionInvalid
from flowrt.stdlib.ledger.parts_flow import Amount, Issuer, StateRef


class TradeDesk:
    """The service `Trades` of one node."""

    def __init__(self, keys: Keys, vault: Vault, rules: Rulebook) -> None:
        self._keys = keys
        self._vault = vault
        self._rules = rules

    def owner(self, tx: Tx, asset: StateAndRef) -> PublicKey | None:
        """Who owns a state; None if its class is not installed, or such states have no owner."""
        found = self._state(asset)
        return found.owner if isinstance(found, OwnableState) else None

    def introductions(self, tx: Tx, keys: Sequence[PublicKey]) -> tuple[Pseudonym, ...]:
        """Claims of those of the keys that are pseudonyms of ours, each once."""
        known = {self._keys.me(tx).key}
        claims = []
        for key in keys:
            if key not in known and self._keys.is_pseudonym(tx, key):
                claims.append(self._keys.claim(tx, key))
            known.add(key)
        return tuple(claims)

    def propose(
        self, tx: Tx, sale: Sale, pseudonymous: bool, tolerance: datetime.timedelta
    ) -> SignedTransaction:
        """The asset to us, coins of ours to the seller, within so long of now, signed by us.

        The coins are of the issuers that the seller takes and guarded by the asset's notary; they
        are this flow's until it ends. Raises InsufficientBalance, TooLarge, and NotOurs where the
        asset is nothing that anybody owns.
        """
        found = self._vault.state(tx, sale.asset)
        asset = self._state(found)
        if not isinstance(asset, OwnableState):
            raise NotOurs(sale.asset)
        version = int(found.output.contract.rpartition("_v")[2])

        def ours() -> PublicKey:
            return self._keys.fresh(tx) if pseudonymous else self._keys.me(tx).key

        builder = TransactionBuilder().use(found)
        move, moved = asset.with_owner(ours())
        builder.make(moved, contract_version=version).command(move, asset.owner)
        self._vault.spend(
            tx, builder, [(sale.pay_to, sale.price)], ours, sale.issuers or None, schema=CASH
        )
        built = builder.around(tx.now, tolerance).build(self._keys.salt(tx))
        return self._keys.sign(tx, SignedTransaction(built))

    def objection(
        self, tx: Tx, to: SignedTransaction, sale: Sale, longest: datetime.timedelta
    ) -> str | None:
        """Why a transaction is not what the seller of `sale` signs; None if it is.

        Our signature stands under all that a transaction asks of our keys, so nothing may be in it
        but what was agreed. Raises UnknownTransaction if what it uses up is not in the vault.
        """
        transaction = to.transaction
        ours = [ref for ref in transaction.inputs if self._is_ours(tx, ref)]
        if ours != [sale.asset]:
            return "it does not use up the asset, and nothing else of ours"
        if transaction.changes_notary:
            return "it changes the notary"
        asset = self._state(self._vault.state(tx, sale.asset))
        if not isinstance(asset, OwnableState):
            return "nobody owns the asset"
        if not self._asks_only_to_move(tx, transaction, asset):
            return "it asks for our signature under more than that the asset is moved"
        if _paid(to, sale) < sale.price.units:
            return f"it does not pay {sale.price.units} {sale.price.currency} in cash that we take"
        window = transaction.window
        if window is None or window.until is None or window.until > tx.now + longest:
            return f"it could still be notarised in more than {longest}"
        return None

    def _is_ours(self, tx: Tx, ref: StateRef) -> bool:
        found = self._state(self._vault.state(tx, ref))
        if found is None:
            raise TransactionInvalid(ref.transaction, "its class is not installed")
        return any(self._has_part_of_ours(tx, key) for key in found.participants())

    def _asks_only_to_move(self, tx: Tx, transaction: Transaction, asset: OwnableState) -> bool:
        move, _ = asset.with_owner(asset.owner)
        schema = schema_of(type(move))
        allowed = Command(schema.name, schema.version, encode(move))
        for command, signers in zip(transaction.commands, transaction.signers, strict=True):
            if command != allowed and any(self._has_part_of_ours(tx, key) for key in signers):
                return False
        return True

    def _has_part_of_ours(self, tx: Tx, key: PublicKey) -> bool:
        return any(self._keys.is_ours(tx, leaf) for leaf in key.leaves)

    def _state(self, found: StateAndRef) -> State | None:
        output = found.output
        try:
            return self._rules.read_state(output.schema, output.version, output.data)
        except LedgerError:
            return None


class TradeRules:
    """The service `Trading` with fixed rules."""

    def __init__(
        self,
        wanted: str,
        limit: Amount,
        for_sale: Mapping[StateRef, Amount] | None = None,
        buyers: Iterable[Party] | None = None,
    ) -> None:
        """Buy `wanted`, a kind of asset, for at most `limit` each; sell what is `for_sale` at these
        prices or higher ones, to these buyers, or to anybody for None."""
        self._wanted = wanted
        self._limit = limit
        self._for_sale = dict(for_sale or {})
        self._buyers = None if buyers is None else frozenset(buyers)

    def wanted(self, tx: Tx) -> str:
        """The kind of asset that is bought."""
        return self._wanted

    def limit(self, tx: Tx, asset: StateAndRef) -> Amount:
        """The most that is paid for one."""
        return self._limit

    def sells(self, tx: Tx, asset: StateRef, price: Amount, buyer: Party) -> bool:
        """Whether the asset is sold to this buyer at this price."""
        least = self._for_sale.get(asset)
        return (
            least is not None
            and (self._buyers is None or buyer in self._buyers)
            and price.currency == least.currency
            and price.units >= least.units
        )


def _paid(transaction: SignedTransaction, sale: Sale) -> int:
    """What it pays to the seller's key for the sale, in cash of the issuers that it takes."""
    taken: Sequence[Issuer] = sale.issuers
    return sum(
        coin.amount.units
        for coin in coins_of(transaction)
        if coin.owner == sale.pay_to
        and coin.amount.currency == sale.price.currency
        and (not taken or coin.issuer in taken)
    )
