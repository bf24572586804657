"""Keys, money and a deposit for the tests of `terms.flow`. No node knows them."""

from __future__ import annotations

from channel_flow import Deposit

from flowrt.core.flow import Party, Timestamp
from flowrt.ledger.keys import ED25519, PublicKey, SigningKey
from flowrt.stdlib.ledger.parts_flow import Amount, Identity, Issuer, StateRef


def sample_key(number: int) -> PublicKey:
    """The key of the payer (1), the payee (2), the mint (3), the notary (4)."""
    return SigningKey(ED25519, bytes([number]) * 32).public


def sample_money() -> Issuer:
    return Issuer(sample_key(3), b"\x01")


def sample_deposit(units: int, ends: Timestamp) -> Deposit:
    return Deposit(
        StateRef(bytes(32), 0),
        Amount(units, "EUR"),
        sample_money(),
        Identity(Party("notary"), sample_key(4)),
        sample_key(1),
        sample_key(2),
        ends,
        bytes(32),
    )
