"""What a world must never do, when it did it. Knows no world."""

from __future__ import annotations


class Violation(AssertionError):
    """An invariant does not hold. `invariant` is its short name ("I1" …), `text` what was seen."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text
