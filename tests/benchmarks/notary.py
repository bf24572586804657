"""How many transactions a notary enters in its book each second, and how that depends on how much
stands in it and on how many wait together. Measures the book and the desk; no flow, no network.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from flowrt.core.flow import Party
from flowrt.ledger.keys import ED25519, SigningKey
from flowrt.ledger.notary.desk import Desk
from flowrt.ledger.notary.judging import name_of
from flowrt.ledger.notary.requests import Claim
from flowrt.stdlib.ledger.parts_flow import Identity, StateRef
from flowrt.store.uniqueness import UniquenessFile

STATES = 200_000
"""How many states stand in the full book, unless a run asks for more (`NOTARY_STATES=10000000`)."""

WAITING = 256
"""How many claims wait together."""

SECONDS = 3.0


def _names(count: int) -> Iterator[tuple[bytes, bytes]]:
    """So many names in rising order, spread evenly as hashes are."""
    step = (1 << 64) // max(1, count)
    for number in range(count):
        prefix = (number * step + random.randrange(step)).to_bytes(8, "big")
        yield prefix + os.urandom(24) + b"\0\0", os.urandom(32)


def _claim(notary: Identity) -> Claim:
    inputs = tuple(StateRef(os.urandom(32), number) for number in range(2))
    return Claim(
        transaction=os.urandom(32), inputs=inputs, references=(), window=None, parameters=None,
        notary=notary, requester="alice", proof=os.urandom(64), again=False,
    )  # fmt: skip


def _rate(desk: Desk, waiting: int, seconds: float) -> float:
    """Transactions of two inputs each second, as many at a time as wait."""
    notary = Identity(Party("notary"), desk.key.public)
    entered = 0
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        desk.decide([_claim(notary) for _ in range(waiting)])
        entered += waiting
    return entered / took


def figures(folder: Path) -> dict[str, float]:
    """By name. The names that end with `_per_s` are transactions of two inputs each second."""
    key = SigningKey(ED25519, bytes(32))
    states = int(os.environ.get("NOTARY_STATES", STATES))
    found: dict[str, float] = {}
    book = UniquenessFile(folder / "empty.db", "notary")
    desk = Desk(book, key)
    found["notary_batch_size"] = WAITING
    found["notary_commits_alone_per_s"] = _rate(desk, 1, SECONDS)
    found["notary_commits_per_s"] = _rate(desk, WAITING, SECONDS)
    book.close()
    book = UniquenessFile(folder / "full.db", "notary")
    book.load(_names(states))
    found["notary_states"] = states
    found["notary_bytes_per_state"] = (folder / "full.db").stat().st_size / states
    name = "notary_commits_per_s_10m" if states >= 10_000_000 else "notary_commits_per_s_full"
    found[name] = _rate(Desk(book, key), WAITING, SECONDS)
    book.close()
    assert name_of(StateRef(bytes(32), 0)) == bytes(34)
    return found


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, figure in figures(Path(folder)).items():
            print(f"{name:32} {figure:>12,.1f}")
