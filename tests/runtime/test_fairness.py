"""Nobody starves: how late a step is, in batches, is bounded by how many others are ready."""

from __future__ import annotations

import math

from flowrt.handle import StillRunning
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.runtime.written import compiled

BATCH = 16
STEPS = 5
PROGRAM = compiled("""
flow Works(n: Int) -> Int:
    startable by rpc
    checkpoint
    checkpoint
    checkpoint
    checkpoint
    return n
""")


def test_c60_a_backlog_that_swings_makes_nobody_wait_longer_than_it_is_long() -> None:
    node = Node.create(
        "alice", store=MemoryStore(), network=MemoryNetwork(), modules=[PROGRAM], batch=BATCH
    )
    handles = []
    for swing in (0, 50, 200, 0, 120, 1, 0):
        backlog = [node.submit(PROGRAM.Works_v1, n=n) for n in range(swing)]
        probe = node.submit(PROGRAM.Works_v1, n=-1)
        handles += [*backlog, probe]
        ready = sum(handle.outcome is None for handle in handles)
        most = STEPS * math.ceil(ready / BATCH) + 1
        turns = 0
        while probe.outcome is None:
            node.turn()
            turns += 1
        assert turns <= most, (swing, turns, most)
        for _ in range(most // 2):
            node.turn()  # The next swing comes before all of this one is done.
    while node.turn():
        pass
    for handle in handles:
        try:
            assert handle.result_now() in (-1, *range(200))
        except StillRunning:
            raise AssertionError(f"{handle} was never finished") from None
    node._stop(RuntimeError("over"))
