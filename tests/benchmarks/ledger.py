"""What the ledger costs: signatures, transactions, verification. One section, one function each."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from flowrt.ledger import transactions as of_transactions
from flowrt.ledger.keys import ED25519, SigningKey
from flowrt.ledger.states import Rulebook
from flowrt.ledger.transactions import (
    GoodSignatures,
    SignedTransaction,
    Transaction,
    sign,
    sign_all,
)
from flowrt.ledger.verifying import verify
from tests.benchmarks import backchain, cash, notary, trade, trades, vault
from tests.ledger import notes


def micros(once: Callable[[], object], times: int) -> float:
    """Microseconds of the processor that a call takes: the median of nine rounds."""
    rounds = []
    for _ in range(9):
        begun = time.process_time()
        for _ in range(times):
            once()
        rounds.append((time.process_time() - begun) / times * 1e6)
    return statistics.median(rounds)


@contextmanager
def unremembered() -> Iterator[None]:
    """Every transaction is read from its bytes, also one that the process has read before."""
    with (
        mock.patch.object(of_transactions, "_read", Transaction._parsed),
        mock.patch.object(of_transactions, "_read_signed", SignedTransaction._parsed),
    ):
        yield


def signatures(figures: dict[str, float]) -> None:
    """The scheme alone: what no ledger can be faster than."""
    key = SigningKey(ED25519, b"k" * 32)
    content = b"c" * 70
    data = key.sign(content)
    figures["ed25519_sign_us"] = micros(lambda: key.sign(content), 500)
    figures["ed25519_verify_us"] = micros(lambda: key.public.verify(data, content), 200)
    ids = [number.to_bytes(32, "big") for number in range(256)]
    figures["ledger_sign_in_batch_of_256_us"] = micros(lambda: sign_all(ids, key), 3) / 256


def transactions(figures: dict[str, float]) -> None:
    """One input, one output, two signers, three signatures."""
    first = notes.issued().transaction
    used = first.output(0)
    whole = notes.moved()
    data = whole.to_flow()
    rules, lookup = Rulebook([notes]), notes.looked_up(first)
    memory = GoodSignatures()
    keys = (notes.ALICE, notes.NOTARY)
    signed = SignedTransaction(whole.transaction, [sign(whole.id, key) for key in keys])
    bob = [notes.BOB.public]

    def build() -> bytes:
        return notes.move_builder(used).build(b"2" * 32).id

    figures["ledger_build_us"] = micros(build, 500)
    with unremembered():
        figures["ledger_parse_us"] = micros(lambda: SignedTransaction.from_flow(data), 500)
        figures["ledger_parse_and_id_us"] = micros(
            lambda: SignedTransaction.from_flow(data).id, 500
        )
    figures["ledger_known_us"] = micros(lambda: SignedTransaction.from_flow(data), 500)
    figures["ledger_verify_us"] = micros(lambda: verify(whole.transaction, lookup, rules, {}), 500)
    figures["ledger_two_signatures_us"] = micros(lambda: signed.check_signatures(bob), 100)
    figures["ledger_two_known_signatures_us"] = micros(
        lambda: signed.check_signatures(bob, memory), 500
    )
    figures["ledger_transaction_bytes"] = len(data)


def measure(figures: dict[str, float]) -> None:
    """All figures of the ledger, into `figures`."""
    signatures(figures)
    transactions(figures)
    vault.measure(figures)
    cash.measure(figures)
    backchain.measure(figures)
    trades.measure(figures)
    trade.measure(figures)
    with tempfile.TemporaryDirectory() as folder:
        figures.update(notary.figures(Path(folder)))
