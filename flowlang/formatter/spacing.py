"""Where a space stands between two words of a line. Knows neither lines nor widths."""

from __future__ import annotations

from typing import Protocol

OPENERS = frozenset("([{")
CLOSERS = frozenset(")]}")
_VALUES = frozenset({"NUMBER", "TEXT", "BYTES", "TRUE", "FALSE", "NONE"})


class Spelled(Protocol):
    """A token, and whether it is a name where it stands."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def name(self) -> bool: ...


class Spacing:
    """Asked for each word of a line in turn. `_counts` has, for each open bracket, how many words
    its current item has so far."""

    def __init__(self) -> None:
        self._last: Spelled | None = None
        self._counts: list[int] = []
        self._tight = True  # nothing may stand between the last word and the next

    def before(self, word: Spelled) -> bool:
        """Whether a space stands before `word`."""
        last, text = self._last, word.text
        if text in CLOSERS and self._counts:
            self._counts.pop()
        named = text == "=" and bool(self._counts) and self._counts[-1] == 1
        spaced = not (self._tight or named or text in CLOSERS or text in ",:.?")
        if spaced and text in "([" and last is not None:
            spaced = not _is_value(last)
        sign = text in "+-" and (last is None or not _is_value(last))
        self._tight = named or sign or text in OPENERS or text in ".@"
        if text == "," and self._counts:
            self._counts[-1] = 0
        elif self._counts:
            self._counts[-1] += 1
        if text in OPENERS:
            self._counts.append(0)
        self._last = word
        return spaced


def _is_value(word: Spelled) -> bool:
    """Whether a value or a type may end with `word`."""
    return word.name or word.kind in _VALUES or word.text in CLOSERS or word.text == "?"
