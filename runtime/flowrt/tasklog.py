"""What becomes of tasks, as the audit trail has it: written with the step that asks or hears the
answer, read by who tells of it. Knows neither nodes nor receivers.

An entry of the trail has it behind its note, and only where a task is concerned.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from flowrt.core.commit import Task
from flowrt.core.engine import CallEnded, Event
from flowrt.core.values import BadBytes, decode
from flowrt.views import time_of

Kind = Literal["new", "claimed", "released", "answered", "expired", "closed"]

Key: TypeAlias = tuple[int, int]
"""A task: its flow, and its number there."""


class Open(msgspec.Struct, frozen=True):
    """A task that is open."""

    role: str
    flow: str
    since: datetime.datetime
    due: datetime.datetime | None
    claimed: str | None


Change: TypeAlias = tuple[Kind, Key, Open, str | None]
"""What became of a task, the task as it was or is then, and who did it."""

Written: TypeAlias = tuple[Any, ...]
"""(kind, number), with (role, flow, due in microseconds) of a new one, with whose it is of one that
is claimed, with who did it of one that is over."""


def of_step(tasks: Mapping[int, Task | None], event: Event) -> list[Written]:
    """What a step makes of its flow's tasks, to be written with it."""
    found: list[Written] = []
    for number, task in tasks.items():
        if task is not None:
            found.append(("new", number, task.role, task.flow, task.due_us))
        elif type(event) is CallEnded and event.number == number:
            kind = "answered" if event.ending.error is None else "expired"
            found.append((kind, number, event.ending.by))
        else:
            found.append(("closed", number, ""))
    return found


def of_claim(number: int, to: str, by: str) -> list[Written]:
    """What a claim makes of a task, to be written with it; `to` is "" where it is free again."""
    return [("claimed", number, to) if to else ("released", number, by)]


def changes_in(
    entries: bytes, at: datetime.datetime, known: Mapping[Key, Open]
) -> Iterator[Change]:
    """What a row of the trail, written at that time, tells of tasks, in order. `known` are those
    that were open; what it tells of others that are over was told before."""
    try:
        rows = decode(list[tuple[Any, ...]], entries)
    except BadBytes:
        return
    now = dict[Key, Open | None]()
    for row in rows:
        if len(row) < 6:
            continue
        for kind, number, *rest in row[5]:
            key = (row[0], number)
            if kind == "new":
                role, flow, due_us = rest
                task: Open | None = Open(role, flow, at, time_of(due_us) if due_us else None, None)
            else:
                task = now[key] if key in now else known.get(key)
            if task is None:
                continue
            found, by = kind, None if kind == "new" else rest[0] or None
            if kind == "closed" and task.due is not None and task.due <= at:
                found = "expired"
            if kind in ("claimed", "released"):
                task = msgspec.structs.replace(task, claimed=by if kind == "claimed" else None)
            is_over = kind not in ("new", "claimed", "released")
            now[key] = None if is_over else task
            yield found, key, task, by


def differences(
    known: Mapping[Key, Open], now: Mapping[Key, Open], at: datetime.datetime
) -> Iterator[Change]:
    """The same without the trail, which does not go on from what is known: that the store was a
    backup, or that it has forgotten rows that nobody had read. How a task ended nobody knows."""
    for key, task in known.items():
        if key not in now or now[key].since != task.since:
            is_late = task.due is not None and task.due <= at
            yield "expired" if is_late else "closed", key, task, None
    for key, task in now.items():
        before = known.get(key)
        if before is not None and before.since != task.since:
            before = None
        if before is None:
            yield "new", key, task, None
        claimed = before.claimed if before is not None else None
        if task.claimed != claimed:
            yield "claimed" if task.claimed else "released", key, task, task.claimed
