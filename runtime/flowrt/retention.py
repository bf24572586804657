"""How long a node keeps what is over: results of flows that have ended, and its audit trail.

Says what is too old and when to look again; forgets nothing itself, and reads no clock.
"""

from __future__ import annotations

import dataclasses
import datetime

EVERY_US = 3_600_000_000
"""So often a node looks for what is too old."""

SOON_US = 50_000
"""So soon it goes on when there was more than it forgets at once: others want the store too."""

AT_ONCE = 1000
"""So many flows, and as many rows of the audit trail, it forgets in one transaction."""

_MICROSECOND = datetime.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept; None: until somebody purges them.

    `results` are those of flows that have ended, with their progress, what they said to their
    owners, and clients' names for them; `audit` is the audit trail.
    """

    results: datetime.timedelta | None = None
    audit: datetime.timedelta | None = None

    def __post_init__(self) -> None:
        for name in ("results", "audit"):
            age = getattr(self, name)
            if age is not None and age < datetime.timedelta(0):
                raise ValueError(f"{name} are kept for {age}: give an age that is not negative")


class Keeping:
    """When a node forgets what. With no retention never."""

    def __init__(self, retention: Retention | None) -> None:
        self._retention = retention or Retention()
        keeps_all = self._retention == Retention()
        self._due_us: int | None = None if keeps_all else 0

    def next_due(self) -> int | None:
        """When to look (microseconds); None for never."""
        return self._due_us

    def too_old(self, now_us: int) -> tuple[int, int] | None:
        """Before when results, and before when rows of the audit trail are too old, if it is time
        to look."""
        if self._due_us is None or self._due_us > now_us:
            return None
        self._due_us = now_us + EVERY_US
        return (
            _before(now_us, self._retention.results),
            _before(now_us, self._retention.audit),
        )

    def forgot(self, now_us: int, most: int) -> None:
        """So much was forgotten: if that is all that may be at once, there is more."""
        if most >= AT_ONCE:
            self._due_us = now_us + SOON_US


def _before(now_us: int, age: datetime.timedelta | None) -> int:
    return 0 if age is None else now_us - age // _MICROSECOND
