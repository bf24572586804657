"""What is under way right now, in memory that outlives its process: a page of a small file.

A step that ends its process every time it runs leaves no other trace; nor does an external
operation. The page is written with nothing but a store into memory, and is never synchronised: it
says what was under way when the process ended, not when the machine did. Knows numbers alone.
"""

from __future__ import annotations

import mmap
import struct
from typing import TypeAlias

SIZE = 8192
"""How many bytes it has: the steps' come first, then those of calls."""

STEPS = 512
"""How many bytes are the steps'."""

DEADLY = 3
"""What so many processes in a row did not outlive is not begun again by itself."""

_NUMBER = struct.Struct("<Q")
_PAIR = struct.Struct("<QQ")
_PLACES = range(_NUMBER.size, STEPS - _PAIR.size + 1, _PAIR.size)

_CALL = struct.Struct("<QII")
"""Flow, number, and twice how many processes it has ended, plus 1 while it is under way."""
_CALLS = range(STEPS, SIZE, _CALL.size)

Page: TypeAlias = "bytearray | mmap.mmap"

Call: TypeAlias = tuple[int, int]
"""A flow, and the number of an external operation in it."""


class Marks:
    """Which number is under way (0: none), and how many processes in a row each has ended; which
    calls of external operations are under way, of which there may be many, and the same of them.

    Of calls there is room for 480. Where there are more at once, the others leave no trace; what
    has ended a process gives its place up only if all are taken, the least deadly first.
    """

    __slots__ = ("_at", "_free", "_resting", "page")

    def __init__(self, page: Page) -> None:
        self.page = page
        self._at: dict[Call, int] = {}
        self._resting: dict[Call, int] = {}
        """Those that are not under way, and have ended so many processes."""
        self._free: list[int] = []

    def begin(self, number: int) -> None:
        """That number is under way now; 0: nothing is."""
        _NUMBER.pack_into(self.page, 0, number)

    def opened(self) -> dict[int, int]:
        """A new process: what was under way has ended the one before. How many each has ended."""
        (number,) = _NUMBER.unpack_from(self.page, 0)
        found = self._counts()
        if number:
            found[number] = found.get(number, 0) + 1
            while len(found) > len(_PLACES):
                del found[min(found, key=lambda one: (found[one], one))]
            self._write(found)
            self.begin(0)
        return found

    def forgive(self, number: int) -> None:
        """It has passed, or nobody will begin it by himself: what it ended counts no more."""
        found = self._counts()
        if found.pop(number, 0):
            self._write(found)

    def _counts(self) -> dict[int, int]:
        pairs = [_PAIR.unpack_from(self.page, at) for at in _PLACES]
        return {number: count for number, count in pairs if number and count}

    def _write(self, counts: dict[int, int]) -> None:
        pairs = [*counts.items(), *[(0, 0)] * len(_PLACES)]
        for at, pair in zip(_PLACES, pairs, strict=False):
            _PAIR.pack_into(self.page, at, *pair)

    # --- calls of external operations ---

    def calls(self, is_new: bool) -> dict[Call, int]:
        """How many processes in a row each call has ended. In a process that `is_new`, those that
        were under way have ended the one before."""
        self._at.clear()
        self._resting.clear()
        self._free.clear()
        found: dict[Call, int] = {}
        if self.page[_CALLS.start : _CALLS.stop].count(0) == len(_CALLS) * _CALL.size:
            self._free.extend(reversed(_CALLS))
            return found
        for at in reversed(_CALLS):
            flow_id, number, word = _CALL.unpack_from(self.page, at)
            if not word:
                self._free.append(at)
                continue
            call, count, runs = (flow_id, number), word >> 1, word & 1
            self._at[call] = at
            if is_new or not runs:
                self._resting[call] = count = count + runs
                _CALL.pack_into(self.page, at, flow_id, number, count << 1)
            if count:
                found[call] = count
        return found

    def begin_call(self, call: Call) -> None:
        """That call is under way now, too."""
        at, count = self._at.get(call), self._resting.pop(call, 0)
        if at is None:
            if not self._free and self._resting:
                self.end_call(min(self._resting, key=lambda one: (self._resting[one], one)), True)
            if not self._free:
                return
            at = self._at[call] = self._free.pop()
        _CALL.pack_into(self.page, at, *call, count << 1 | 1)

    def end_call(self, call: Call, outlived: bool) -> None:
        """It is not under way any more: the process has `outlived` it, or nobody will begin it
        again, so that what it ended counts no more; or the process leaves it in good order."""
        at = self._at.get(call)
        if at is None:
            return
        count = 0 if outlived else _CALL.unpack_from(self.page, at)[2] >> 1
        if count:
            self._resting[call] = count
            _CALL.pack_into(self.page, at, *call, count << 1)
            return
        self._resting.pop(call, None)
        del self._at[call]
        _CALL.pack_into(self.page, at, 0, 0, 0)
        self._free.append(at)
