"""No node verifies a signature twice, nor its own; what another node verified it does verify."""

from __future__ import annotations

import collections

import pytest

from flowrt.ledger.filtered import FilteredTransaction, for_notary
from flowrt.ledger.keys import PublicKey
from flowrt.ledger.problems import Unreadable
from flowrt.ledger.transactions import KNOWN_BYTES, SignedTransaction, Transaction
from tests.ledger.trades import TradeTown


def test_in_a_trade_each_side_verifies_the_others_signature_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = TradeTown()
    town.coins(110_000)
    asset = town.paper()
    verified: collections.Counter[tuple[PublicKey, bytes]] = collections.Counter()
    verify = PublicKey.verify

    def counting(key: PublicKey, signature: bytes, content: bytes) -> None:
        verified[key, signature] += 1
        verify(key, signature, content)

    monkeypatch.setattr(PublicKey, "verify", counting)
    traded = town.result_of(town.offer(asset, pseudonymous=False))
    times = {one.by: verified[one.by, one.data] for one in traded.signatures}
    assert traded.notary is not None
    # The seal by seller and buyer, the signature of either by the other alone.
    seal = times.pop(traded.notary.key)
    assert (seal, sorted(times.values())) == (2, [1, 1])
    assert max(verified.values()) == 2
    town.close()


def test_a_transaction_that_was_read_is_known_and_one_that_cannot_be_read_never_is() -> None:
    town = TradeTown()
    town.coins(110_000)
    traded = town.result_of(town.offer(town.paper()))
    data = bytes(bytearray(traded.to_flow()))
    again = SignedTransaction.from_flow(data)
    assert (again, again.to_flow(), again.id) == (traded, data, traded.id)
    assert len(data) <= KNOWN_BYTES
    assert SignedTransaction.from_flow(bytes(bytearray(data))) is again
    for _ in range(2):
        with pytest.raises(Unreadable):
            SignedTransaction.from_flow(data[:-1])
        with pytest.raises(Unreadable):
            Transaction.from_bytes(traded.transaction.encoded + b"\x00")
    shown = for_notary(traded.transaction)
    assert FilteredTransaction.from_flow(shown.to_flow()).groups == shown.groups
    town.close()
