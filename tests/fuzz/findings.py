"""What a target found: how many inputs in which time, and what is wrong. Knows no target."""

from __future__ import annotations

import time
import traceback
from pathlib import Path

SHOWN = 10


class Findings:
    """Counts inputs; keeps the first of each sort of trouble."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.inputs = 0
        self.seconds = 0.0
        self.troubles: dict[str, str] = {}
        self._begun = time.process_time()

    def add(self, number: int, trouble: str | None, data: bytes, *, counts: bool = True) -> None:
        """One input, and what is wrong with how it was taken."""
        self.inputs += counts
        if trouble is not None and len(self.troubles) < SHOWN:
            self.troubles.setdefault(trouble[:60], f"number {number}: {trouble}\n{data[:2000]!r}")

    def done(self) -> Findings:
        self.seconds = time.process_time() - self._begun
        return self

    def text(self) -> str:
        """Everything that is wrong; empty if nothing is."""
        return "\n".join(self.troubles.values())

    def line(self) -> str:
        """A line of the table."""
        rate = self.inputs / self.seconds if self.seconds else 0
        return (
            f"{self.target:34} {self.inputs:>9,} {self.seconds:>8.1f} {rate:>9,.0f}"
            f" {len(self.troubles):>8}"
        )


def described(error: BaseException) -> str:
    """An error, and where it was raised."""
    where = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(where[-1].filename).name}:{where[-1].lineno}" if where else ""
    return f"{type(error).__name__}{place}: {error}"
