"""What is under way right now, in memory that outlives its process: a page of a small file.

A step that ends its process every time it runs leaves no other trace. The page is written with
nothing but a store into memory, and is never synchronised: it says what was under way when the
process ended, not when the machine did. Knows numbers alone.
"""

from __future__ import annotations

import mmap
import struct
from typing import TypeAlias

SIZE = 512
"""How many bytes it has."""

_NUMBER = struct.Struct("<Q")
_PAIR = struct.Struct("<QQ")
_PLACES = range(_NUMBER.size, SIZE - _PAIR.size + 1, _PAIR.size)

Page: TypeAlias = "bytearray | mmap.mmap"


class Marks:
    """Which number is under way (0: none), and how many processes in a row each has ended."""

    __slots__ = ("page",)

    def __init__(self, page: Page) -> None:
        self.page = page

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
