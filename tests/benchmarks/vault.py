"""What the vault costs: recording, durably, and choosing among many coins."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

from flowrt.ledger.builder import TransactionBuilder
from flowrt.ledger.vault import selection
from flowrt.stdlib.ledger.vault_flow import StateQuery
from flowrt.store.memory import MemoryStore
from flowrt.store.sqlite import SqliteStore
from tests.ledger.coins import NOTARY, OURS, THEIRS, Rig, give, issue

RECORDED = 1_024
"""How many transactions are recorded."""

AT_ONCE = 64
"""How many in one commit, as when so many flows do it at the same time."""

COINS = 100_000


def recording(figures: dict[str, float]) -> None:
    """Coins that are given on: signatures and contract checked, recorded, the input used up."""
    coins = [issue(number, [5]) for number in range(RECORDED)]
    moves = [
        give(RECORDED + number, [coin.transaction.output(0)], THEIRS[0] if number % 2 else OURS[1])
        for number, coin in enumerate(coins)
    ]
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "alice.db")
        rig = Rig(store)
        for transactions, name in ((coins, "issue"), (moves, "record")):
            begun, work = time.perf_counter(), time.process_time()
            for start in range(0, len(transactions), AT_ONCE):
                for flow, one in enumerate(transactions[start : start + AT_ONCE], 1):
                    with rig.step(flow) as tx:
                        rig.vault.check_signatures(tx, one, ())
                        rig.vault.check(tx, one)
                        rig.vault.record(tx, one)
                        rig.vault.flow_ended(tx, flow)
                rig.commit()
            figures[f"vault_{name}_per_s"] = RECORDED / (time.perf_counter() - begun)
            figures[f"vault_{name}_cpu_us"] = (time.process_time() - work) / RECORDED * 1e6
        [(size,)] = rig.do_sql("SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'ledger_%'") or [
            (0,)
        ]
        figures["vault_bytes_per_transaction"] = (size or 0) / (2 * RECORDED)
        store.close()


def choosing(figures: dict[str, float]) -> None:
    """Of many coins of sizes by chance, the few that pay a sum; and the pages of all of them."""
    chance = random.Random(7)
    rig = Rig(MemoryStore())
    part = 2_000
    for number in range(COINS // part):
        units = [chance.randrange(1, 1_000_000) for _ in range(part)]
        rig.do("record_visible", issue(number, units), flow=0)
    figures["vault_coins"] = COINS
    for name, low, high in (
        ("one_coin", 1, 1_000_000),
        ("tens_of_coins", 10_000_000, 50_000_000),
        ("hundreds_of_coins", 100_000_000, 500_000_000),
    ):
        took = []
        for _ in range(60):
            wanted = chance.randrange(low, high)
            with rig.step(1, keep=False) as tx:
                begun = time.process_time()
                selection.choose(tx, wanted, "EUR", notary=NOTARY)
                took.append(time.process_time() - begun)
        figures[f"vault_select_{name}_us"] = statistics.median(took) * 1e6
    took = []
    for _ in range(60):
        with rig.step(1, keep=False) as tx:
            builder = TransactionBuilder(NOTARY)
            begun = time.process_time()
            amount = [(THEIRS[0].public, selection.Amount(chance.randrange(1, 900_000), "EUR"))]
            rig.vault.spend(tx, builder, amount, lambda: OURS[1].public)
            took.append(time.process_time() - begun)
    figures["vault_spend_us"] = statistics.median(took) * 1e6
    after, took = None, []
    for _ in range(50):
        with rig.step(1, keep=False) as tx:
            begun = time.process_time()
            after = rig.vault.states(tx, StateQuery(sort="recorded", size=100, after=after)).next_
            took.append(time.process_time() - begun)
    figures["vault_page_of_100_us"] = statistics.median(took) * 1e6


def measure(figures: dict[str, float]) -> None:
    """All figures of the vault, into `figures`."""
    recording(figures)
    choosing(figures)
