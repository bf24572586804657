"""What was recorded, transaction by transaction, for who wants to follow it. Keeps a page at most.

An update is read from the tables when the reader comes to it, so one who is slow, or was away for
a year, costs no memory and misses nothing. Its number goes on from where it was.
"""

from __future__ import annotations

import asyncio
import collections
import datetime
from collections.abc import Callable
from typing import NamedTuple

from flowrt.ledger.transactions import SignedTransaction, StateAndRef

PAGE = 64
"""How many updates are read at once."""


class Update(NamedTuple):
    """A transaction that was recorded, what states of the vault it made, and which it used up.
    `number` rises with each, with gaps; states are in order of their references."""

    number: int
    recorded: datetime.datetime
    transaction: SignedTransaction
    produced: tuple[StateAndRef, ...]
    consumed: tuple[StateAndRef, ...]


Read = Callable[[int, int], list[Update]]
"""At most so many updates (the second number) with numbers above the first, in order."""


class Updates:
    """The updates that one reader takes. `position` is the number of the last one that he has."""

    def __init__(self, read: Read, position: int = 0) -> None:
        self._read = read
        self.position = position
        self._page: collections.deque[Update] = collections.deque()
        self._changed = asyncio.Event()
        self._is_over = False

    def __len__(self) -> int:
        """How many updates are in memory."""
        return len(self._page)

    def told(self) -> None:
        """Something was recorded. It is committed before the reader runs, or it never happened."""
        self._changed.set()

    def close(self) -> None:
        """Nothing more is wanted: who waits for `next` gets StopAsyncIteration."""
        self._is_over = True
        self._changed.set()

    def next_now(self) -> Update | None:
        """The next update, None if there is none yet."""
        if not self._page:
            self._page.extend(self._read(self.position, PAGE))
        if not self._page:
            return None
        found = self._page.popleft()
        self.position = found.number
        return found

    def __aiter__(self) -> Updates:
        return self

    async def __anext__(self) -> Update:
        while not self._is_over:
            self._changed.clear()
            found = self.next_now()
            if found is not None:
                return found
            await self._changed.wait()
        raise StopAsyncIteration
