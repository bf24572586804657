"""How a deposit is split: the refund and the claims, as transactions of cash.

Payer and payee make the same transaction from the same facts, so neither has to look through one
that the other made. Knows no vault, no signature and no flow.
"""

from __future__ import annotations

import hashlib

from channel_flow import Deposit

from flowrt.finance.cash import Cash, Move
from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.keys import PublicKey, all_of
from flowrt.ledger.transactions import SignedTransaction, StateAndRef
from flowrt.stdlib.ledger.parts_flow import Amount, TimeWindow


def refund(deposit: Deposit) -> SignedTransaction:
    """All of it back to the payer, once the channel's time is over. Nobody has signed it."""
    return _split(deposit, 0, TimeWindow(deposit.ends, None))


def claim(deposit: Deposit, total: int) -> SignedTransaction:
    """`total` for the payee, the rest for the payer, as long as the channel is open. Nobody has
    signed it."""
    return _split(deposit, total, TimeWindow(None, deposit.ends))


def owner_of(payer: PublicKey, payee: PublicKey) -> PublicKey:
    """The key that owns a deposit: both have to sign."""
    return all_of([payer, payee])


def coin_of(deposit: Deposit) -> Cash:
    """What the deposit must be on the ledger."""
    return Cash(owner_of(deposit.payer, deposit.payee), deposit.amount, deposit.money)


def _split(deposit: Deposit, total: int, window: TimeWindow) -> SignedTransaction:
    coin = coin_of(deposit)
    # The salt is both sides' alone, and no two splits have the same one.
    salt = hashlib.sha256(b"%s %d" % (deposit.salt, total)).digest()
    made = TransactionBuilder(deposit.notary).make(coin).command(Move(), coin.owner).build(salt)
    builder = TransactionBuilder().use(StateAndRef(deposit.coin, made.outputs[0]))
    for owner, units in ((deposit.payee, total), (deposit.payer, deposit.amount.units - total)):
        if units:
            amount = Amount(units, deposit.amount.currency)
            builder.make(Cash(owner, amount, deposit.money))
    builder.command(Move(), coin.owner).within(window.since, window.until)
    return SignedTransaction(builder.build(salt))
