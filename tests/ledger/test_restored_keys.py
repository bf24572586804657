"""A database that is put back to an older state, on files: keys that others have seen since are
ours, and no key is made a second time."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from flowrt.ledger.keys import PublicKey
from flowrt.ledger.local import LocalNetwork
from flowrt.store import RestoredFromBackup
from flowrt.store.sqlite import SqliteStore
from tests.ledger import deals
from tests.ledger.market import BOB
from tests.ledger.played import program

MODULE = program("""
use ledger.identities: SwapIdentities
use ledger.keys: Keys
use ledger.parts: PublicKey

flow Swap(whom: Party) -> PublicKey:
    startable by rpc
    open Swapping with whom as talk
    let swapped = subflow SwapIdentities(talk)
    return swapped.ours

flow Swapping():
    responds to Swap as talk
    let ignored = subflow SwapIdentities(talk)

flow Rotate() -> PublicKey:
    startable by rpc
    return Keys.rotate()
""")
RECOVERED = 20


def local(folder: Path) -> LocalNetwork:
    return LocalNetwork(["alice", "bob"], [deals.RULES], folder=folder, recovered=RECOVERED)


async def day(folder: Path, swaps: int) -> list[PublicKey]:
    """So many pseudonyms of alice's that bob is shown."""
    async with await local(folder).open(MODULE) as network:
        found = [await network.run("alice", MODULE.Swap_v1, whom=BOB) for _ in range(swaps)]
        await network.run("alice", MODULE.Rotate_v1)
        return found


async def is_ours(folder: Path, keys: list[PublicKey]) -> list[bool]:
    async with await local(folder).open(MODULE, only=["alice"]) as network:
        tx: Any = network.nodes["alice"].reading()
        return [network.ledgers["alice"].keys.is_ours(tx, key) for key in keys]


def put_back(folder: Path, kept: Path) -> None:
    """The database of the backup is here again; what lies beside it stays."""
    for path in kept.iterdir():
        shutil.copy(path, folder / path.name)


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_keys_that_others_have_seen_stay_ours_and_none_is_made_twice(
    tmp_path: Path, again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    folder, kept = tmp_path / "town", tmp_path / "kept"
    folder.mkdir()
    kept.mkdir()
    early = asyncio.run(day(folder, 1))
    for path in folder.glob("alice.db*"):
        if not path.name.endswith("-mark"):
            shutil.copy(path, kept / path.name)
    late = asyncio.run(day(folder, 2))
    rotated = [local(folder).keys["alice"].identity(number).public for number in (1, 2)]
    put_back(folder, kept)
    with pytest.raises(RestoredFromBackup):
        asyncio.run(day(folder, 1))
    SqliteStore(folder / "alice.db").accept_restore("alice")
    with caplog.at_level(logging.WARNING, "flowrt.ledger"):
        new = asyncio.run(day(folder, 1))
    assert "alice: the database was put back to an older state; 20 pseudonyms" in caplog.text
    assert asyncio.run(is_ours(folder, [*early, *late, *rotated, *new])) == [True] * 6
    # The number of the last key that was known was 1.
    assert new == [local(folder).keys["alice"].fresh(1 + RECOVERED + 1).public]
    caplog.clear()
    if again:
        asyncio.run(day(folder, 1))
        assert not caplog.text, "it is told once"
