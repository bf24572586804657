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


# --- a window on what is in the store -------------------------------------------------------------


class Stored:
    """The times in a store, and how many of them were read."""

    def __init__(self) -> None:
        self.due: dict[int, int] = {}
        self.read = 0

    def later(self, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        rows = sorted((due_us, flow) for flow, due_us in self.due.items())
        found = [row for row in rows if row > after][:limit]
        self.read += len(found)
        return found


def test_only_the_nearest_are_read() -> None:
    stored = Stored()
    stored.due = {flow: 1000 + flow // 3 for flow in range(100)}
    timers = Timers(stored.later, 10)
    timers.clear()
    assert (timers.next_due(), len(timers), stored.read) == (1000, 10, 10)
    assert timers.take_due(1002, 4) == [0, 1, 2, 3]
    assert timers.take_due(1003) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert (timers.next_due(), stored.read) == (1004, 20)
    assert timers.take_due(10**6) == list(range(12, 100))
    assert timers.next_due() is None
    stored.read = 0
    timers.set(7, 5)
    assert (timers.next_due(), timers.take_due(7), stored.read) == (7, [5], 0), "all is here"


def test_what_comes_is_kept_up_to_twice_as_many() -> None:
    stored = Stored()
    timers = Timers(stored.later, 10)
    timers.clear()
    assert timers.next_due() is None
    for flow in range(1, 1001):
        stored.due[flow] = due_us = 10**6 - 7 * flow
        timers.set(due_us, flow)
        assert len(timers) <= 20 + SLACK
    taken = []
    while (due_us := timers.next_due()) is not None:
        taken += timers.take_due(due_us)
        for flow in taken[-1:]:
            del stored.due[flow]
    assert taken == list(range(1000, 0, -1))


def test_a_time_that_is_in_no_store_is_kept_however_far_it_is() -> None:
    """As that of a flow whose operation runs: its row says that it is looked at at once."""
    stored = Stored()
    timers = Timers(stored.later, 4)
    timers.clear()
    timers.set(5000, 99, pinned=True)
    for flow in range(1, 50):
        stored.due[flow] = 100 + flow
        timers.set(100 + flow, flow)
    assert timers.take_due(4999) == list(range(1, 50))
    stored.due.clear()
    assert timers.take_due(5000) == [99]
    timers.set(9000, 98, pinned=True)
    timers.unpin(98)
    stored.due[98] = 9000
    for flow in range(1, 50):
        stored.due[flow] = 100 + flow
        timers.set(100 + flow, flow)
    assert 98 not in timers._set, "the store has it now"
    assert timers.take_due(9000) == [*range(1, 50), 98]


def test_against_a_plain_dictionary_whatever_is_near() -> None:
    """None is late, and none is early but those that were set anew for later."""
    for seed in range(60):
        choose = random.Random(seed)
        stored = Stored()
        timers = Timers(stored.later, choose.randrange(1, 6))
        now_us = 0
        early: dict[int, int] = {}
        timers.clear()
        for _ in range(300):
            flow = choose.randrange(40)
            match choose.randrange(5):
                case 0 | 1:
                    due_us = now_us + 1 + choose.randrange(60)
                    stored.due[flow] = due_us
                    early[flow] = min(due_us, early.get(flow, due_us))
                    timers.set(due_us, flow)
                case 2:
                    timers.forget(flow)
                    stored.due.pop(flow, None)
                    early.pop(flow, None)
                case 3 if choose.random() < 0.1:
                    timers.clear()
                case _:
                    now_us += choose.randrange(15)
                    taken = timers.take_due(now_us)
                    assert len(taken) == len(set(taken))
                    for one in taken:
                        assert early[one] <= now_us, seed
                        if stored.due[one] > now_us:  # Looked at in vain, and set anew.
                            early[one] = stored.due[one]
                            timers.set(stored.due[one], one)
                        else:
                            del stored.due[one], early[one]
                    assert all(due_us > now_us for due_us in stored.due.values()), seed
