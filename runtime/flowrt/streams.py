"""One reader of a flow's progress: everything from where it begins, then live, in bounded memory.

What a reader has not taken yet is in the store, not here: of the latest events a few are kept, so
that who keeps up asks the store for nothing, and who falls behind reads what was written. Only the
reports of operations are nowhere else; of each operation the newest one waits, and those that it
took the place of are counted.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Iterator

from flowrt.core.progress import ProgressEvent

KEPT = 64
"""So many of the latest events a reader has in memory, at most."""

PAGE = 256
"""So many events are read from the store at once."""

Read = Callable[[int, int], list[ProgressEvent]]
"""At most so many events (the second number), from one of that number on."""


class Stream:
    """The events that one reader takes. `dropped` counts reports that it never saw."""

    __slots__ = (
        "_changed",
        "_is_behind",
        "_is_over",
        "_latest",
        "_next",
        "_page",
        "_read",
        "_reports",
        "_stopped",
        "dropped",
    )

    def __init__(self, read: Read, start: int = 0) -> None:
        self._read = read
        self._next = start
        self._is_behind = True
        self._is_over = False
        self._page: Iterator[ProgressEvent] = iter(())
        self._latest: collections.deque[ProgressEvent] = collections.deque(maxlen=KEPT)
        self._reports: dict[int, ProgressEvent] = {}
        self._changed = asyncio.Event()
        self._stopped: Exception | None = None
        self.dropped = 0

    def __len__(self) -> int:
        """How many events are kept in memory."""
        return len(self._latest) + len(self._reports)

    # --- told by the node ---

    def moved(self, event: ProgressEvent) -> None:
        """An event is committed."""
        if event.number >= self._next:
            self._latest.append(event)
            self._changed.set()

    def reported(self, event: ProgressEvent) -> None:
        """An operation says how far it is."""
        assert event.detail is not None
        self.dropped += event.detail.call in self._reports
        self._reports[event.detail.call] = event
        self._changed.set()

    def stop(self, reason: Exception) -> None:
        """Nothing will come any more."""
        self._stopped = reason
        self._changed.set()

    def end(self) -> None:
        """The flow has ended: whatever will ever come is committed."""
        self._is_over = True
        self._changed.set()

    # --- asked by the reader ---

    async def next(self) -> ProgressEvent | None:
        """The next event; None if the flow has ended and the reader has all, which he may have had
        from the beginning. Raises what it was stopped with, when all before that is taken."""
        while True:
            event = self.next_now()
            if event is not None:
                return event
            if self._is_over:
                return None
            if self._stopped is not None:
                raise self._stopped
            self._changed.clear()
            await self._changed.wait()

    def next_now(self) -> ProgressEvent | None:
        """The same, but None if nothing is there."""
        event = next(self._page, None)
        if event is None:
            event = self._after_page()
        if event is not None:
            self._next = event.number + 1
            return event
        for number in self._reports:
            return self._reports.pop(number)
        return None

    def _after_page(self) -> ProgressEvent | None:
        latest = self._latest
        while latest and latest[0].number < self._next:
            latest.popleft()
        is_next = bool(latest) and latest[0].number == self._next
        if not is_next and (self._is_behind or latest) and self._stopped is None:
            page = self._read(self._next, PAGE)
            self._is_behind = len(page) == PAGE
            self._page = iter(page)
            if page:
                return next(self._page)
        # If there is a gap all the same, what was in it is purged.
        return latest.popleft() if latest else None
