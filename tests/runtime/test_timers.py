"""When flows wake: the earliest time of each, and nothing that piles up."""

from __future__ import annotations

import random

from flowrt.timers import SLACK, Timers


def test_each_flow_is_taken_once_at_its_earliest_time() -> None:
    timers = Timers()
    for due_us, flow_id in ((50, 1), (30, 1), (40, 1), (30, 2), (60, 3)):
        timers.set(due_us, flow_id)
    assert timers.next_due() == 30
    assert timers.take_due(29) == []
    assert timers.take_due(30) == [1, 2]
    assert timers.next_due() == 60
    assert timers.take_due(1000) == [3]
    assert timers.next_due() is None


def test_a_flow_that_is_gone_is_not_looked_at() -> None:
    timers = Timers()
    timers.set(5, 1)
    timers.forget(1)
    timers.forget(2)
    assert timers.next_due() is None
    assert len(timers) == 0


def test_a_flow_that_was_gone_may_be_set_again() -> None:
    """Its old entry must not ring for the new one."""
    timers = Timers()
    timers.set(5, 1)
    timers.forget(1)
    timers.set(9, 1)
    assert timers.take_due(8) == []
    assert timers.take_due(9) == [1]


def test_stale_entries_are_swept() -> None:
    timers = Timers()
    for due_us in range(10_000, 0, -1):
        timers.set(due_us, 1)
    assert len(timers) <= SLACK + 3
    assert timers.take_due(1) == [1]
    assert timers.take_due(10**9) == []


def test_against_a_plain_dictionary() -> None:
    for seed in range(50):
        choose = random.Random(seed)
        timers, plain = Timers(), dict[int, int]()
        now_us = 0
        for _ in range(300):
            flow_id = choose.randrange(5)
            match choose.randrange(4):
                case 0 | 1:
                    due_us = now_us + choose.randrange(20)
                    timers.set(due_us, flow_id)
                    plain[flow_id] = min(due_us, plain.get(flow_id, due_us))
                case 2:
                    timers.forget(flow_id)
                    plain.pop(flow_id, None)
                case _:
                    now_us += choose.randrange(10)
                    due = {flow for flow, due_us in plain.items() if due_us <= now_us}
                    taken = timers.take_due(now_us)
                    assert (len(taken), set(taken)) == (len(due), due), seed
                    for flow in due:
                        del plain[flow]
            assert timers.next_due() == min(plain.values(), default=None), seed
