"""When schedules start their flows: by cron texts and the clocks of time zones. Starts nothing.

A time that a change of the clock skips is not missed: it comes right after the gap. One that comes
twice counts once, except for schedules that run every hour or more often. (The rules of Debian's
cron, as `cronsim` has them.)
"""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Iterable, Mapping

import msgspec

from flowrt.core.flow import Schedule
from flowrt.core.values import BadBytes, decode, encode


class ScheduleWrong(Exception):
    """A schedule that cannot be: its cron text or its time zone; says which."""


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the store remembers: when it is due next, by which text and zone that was found, which
    flow it started last (0: none), who has paused it ("" if nobody has)."""

    due_us: int
    cron: str
    zone: str
    last: int = 0
    paused: str = ""


def next_us(cron: str, zone: str, after_us: int) -> int:
    """The first time after `after_us`, in microseconds since 1970.

    Raises:
        ScheduleWrong: the text is no cron text, never comes true, or the zone is not known.
    """
    import zoneinfo  # Slow, and few nodes have schedules.

    import cronsim

    try:
        where = zoneinfo.ZoneInfo(zone)
        moment = datetime.datetime.fromtimestamp(after_us // 1_000_000, where)
        found = next(cronsim.CronSim(cron, moment))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScheduleWrong(f"there is no time zone {zone}: {error}") from None
    except cronsim.CronSimError as error:
        raise ScheduleWrong(f"`{cron}` is no cron text: {error}") from None
    except StopIteration:
        raise ScheduleWrong(f"`{cron}` never comes true") from None
    return int(found.timestamp()) * 1_000_000


class Schedules:
    """The schedules of one node, and when each is due."""

    def __init__(self, schedules: Iterable[Schedule]) -> None:
        self.known = {schedule.name: schedule for schedule in schedules}
        self._due: list[tuple[int, str]] = []
        self._next: dict[str, int] = {}
        self.paused: dict[str, str] = {}
        """Who has paused it, by name."""
        for schedule in self.known.values():
            next_us(schedule.cron, schedule.zone, 0)

    def load(self, rows: Mapping[str, bytes], now_us: int) -> dict[str, bytes | None]:
        """Begin from what the store remembers; the rows that are new or changed, None for those
        that nobody knows any more. What came due while nobody was there is due once, now."""
        changed: dict[str, bytes | None] = dict.fromkeys(rows.keys() - self.known.keys())
        self._due.clear()
        self.paused.clear()
        for name, schedule in self.known.items():
            row = _read(rows.get(name))
            if row is None or (row.cron, row.zone) != (schedule.cron, schedule.zone):
                last, paused = (0, "") if row is None else (row.last, row.paused)
                due_us = next_us(schedule.cron, schedule.zone, now_us)
                row = _Row(due_us, schedule.cron, schedule.zone, last, paused)
                changed[name] = encode(row)
            self._next[name] = row.due_us
            if row.paused:
                self.paused[name] = row.paused
            else:
                self._due.append((row.due_us, name))
        heapq.heapify(self._due)
        return changed

    def next_due(self) -> int | None:
        """When the next one is due (microseconds)."""
        return self._due[0][0] if self._due else None

    def due_us(self, name: str) -> int:
        """When one comes next; one that is paused, when it would have come."""
        return self._next[name]

    def take_due(self, now_us: int) -> list[Schedule]:
        """Those that are due now; each comes again when `fired` is told."""
        taken = []
        while self._due and self._due[0][0] <= now_us:
            taken.append(self.known[heapq.heappop(self._due)[1]])
        return taken

    def is_due(self, schedule: Schedule, now_us: int) -> bool:
        """Whether it is due and its flow is not started yet."""
        return schedule.name not in self.paused and self._next[schedule.name] <= now_us

    def wait_again(self, schedule: Schedule) -> None:
        """It was taken as due and is not: the clock was set back since. It comes when it is."""
        if schedule.name not in self.paused and all(n != schedule.name for _, n in self._due):
            heapq.heappush(self._due, (self._next[schedule.name], schedule.name))

    def following(self, schedule: Schedule, now_us: int, flow_id: int) -> tuple[int, bytes]:
        """When it comes next, and the row that remembers it; `flow_id` is started now."""
        due_us = next_us(schedule.cron, schedule.zone, now_us)
        return due_us, encode(_Row(due_us, schedule.cron, schedule.zone, flow_id))

    def fired(self, name: str, due_us: int) -> None:
        """Its flow is started, and that is committed."""
        self._next[name] = due_us
        if name not in self.paused:
            heapq.heappush(self._due, (due_us, name))

    def row_of(self, schedule: Schedule, due_us: int, last: int, paused: str) -> bytes:
        """The row that remembers that it is paused, or not any more."""
        return encode(_Row(due_us, schedule.cron, schedule.zone, last, paused))

    def pause(self, name: str, by: str) -> None:
        """It is paused, and that is committed."""
        self.paused[name] = by
        self._due = [one for one in self._due if one[1] != name]
        heapq.heapify(self._due)

    def resume(self, name: str, due_us: int) -> None:
        """It goes on at that time, and that is committed."""
        if self.paused.pop(name, None) is not None:
            self.fired(name, due_us)


def last_started(row: bytes | None) -> int:
    """The flow that a schedule started last, by its row; 0 if none."""
    found = _read(row)
    return 0 if found is None else found.last


def _read(data: bytes | None) -> _Row | None:
    if data is None:
        return None
    try:
        row: _Row = decode(_Row, data)
    except BadBytes:
        return None
    return row
