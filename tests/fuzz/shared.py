"""Hostile bytes for the ledger: signed transactions, filtered ones and keys, spoiled and read."""

from __future__ import annotations

import functools
import random
import time

from flowrt.ledger.filtered import FilteredTransaction, for_notary
from flowrt.ledger.keys import PublicKey, composite
from flowrt.ledger.problems import LedgerError
from flowrt.ledger.transactions import SignedTransaction
from flowrt.ledger.verifying import check_structure
from tests.fuzz.findings import Findings, described
from tests.fuzz.packed import spoiled
from tests.ledger.mutations import mutations
from tests.ledger.notes import ALICE, BOB, issued, moved

SLOW_S = 0.25
"""For one input of a transaction's largest size."""


@functools.cache
def good() -> list[bytes]:
    key = composite([(1, ALICE.public), (2, BOB.public)], 2)
    shown = for_notary(moved().transaction).to_flow()
    return [moved().to_flow(), issued().to_flow(), shown, b"\x03" + key.encoded[1:]]


@functools.cache
def near() -> list[bytes]:
    """What differs in one place only: spoiled once more, it is wrong inside and not at its rim."""
    return [made for data in good()[:3] for _, made in mutations(data)]


def one(number: int) -> bytes:
    """Spoiled bytes, the same for the same number."""
    choose = random.Random(f"transaction {number}")
    pool = good() if choose.random() < 0.5 else near()
    return spoiled(choose.choice(pool), choose, good())


def judge(data: bytes) -> str | None:
    """What is wrong with how the bytes are read; None if nothing is."""
    begun = time.process_time()
    for kind in (SignedTransaction, FilteredTransaction, PublicKey):
        try:
            found = kind.from_flow(data)
            if found.to_flow() != data:
                return f"a {kind.__name__} has another encoding"
            if isinstance(found, SignedTransaction):
                check_structure(found.transaction)
                found.check_signatures()
                if found not in (moved(), issued()):
                    return "what nobody signed passes"
        except LedgerError as error:
            if not (0 < len(str(error)) <= 500 and str(error).isprintable()):
                return f"a text that is not for people: {error}"
        except BaseException as error:
            return described(error)
    seconds = time.process_time() - begun
    return f"takes {seconds * 1000:.0f} ms" if seconds > SLOW_S else None


def reading(first: int, count: int) -> Findings:
    """So many spoiled bytes."""
    found = Findings("transactions, proofs, keys read")
    for number in range(first, first + count):
        data = one(number)
        trouble = judge(data)
        if trouble is not None and trouble.startswith("takes "):
            trouble = judge(data)  # Others use the processor as well.
        found.add(number, trouble, data)
    return found.done()
