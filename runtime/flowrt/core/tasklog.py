"""What becomes of tasks, as the audit trail has it: written with the step that asks or hears the
answer, read by who tells of it.

An entry of the trail has it behind its note, and only where a task is concerned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from flowrt.core.commit import Task
from flowrt.core.engine import CallEnded, Event
from flowrt.core.values import BadBytes, decode

Kind = Literal["new", "claimed", "released", "answered", "expired", "closed"]

Key: TypeAlias = tuple[int, int]
"""A task: its flow, and its number there."""


class Open(msgspec.Struct, frozen=True):
    """A task that is open. Times are microseconds since 1970, `due_us` 0 if there is no deadline;
    `claimed` is "" if nobody has claimed it."""

    role: str
    flow: str
    since_us: int
    due_us: int
    claimed: str = ""

    def is_due(self, at_us: int) -> bool:
        """Whether its time was over."""
        return 0 < self.due_us <= at_us


Change: TypeAlias = tuple[Kind, Key, Open, str]
"""What became of a task, the task as it was or is then, and who did it; "" if nobody did."""

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


def changes_in(entries: bytes, at_us: int, known: Mapping[Key, Open]) -> Iterator[Change]:
    """What a row of the trail, written at that time, tells of tasks, in order. `known` are those
    that were open; what it tells of others that are over was told before."""
    try:
        rows = decode(list[tuple[Any, ...]], entries)
    except BadBytes:
        return
    now: dict[Key, Open | None] = {}
    for row in rows:
        if len(row) < 6:
            continue
        for kind, number, *rest in row[5]:
            key = (row[0], number)
            if kind == "new":
                role, flow, due_us = rest
                now[key] = task = Open(role, flow, at_us, due_us)
                yield kind, key, task, ""
                continue
            found = now[key] if key in now else known.get(key)
            if found is None:
                continue
            if kind in ("claimed", "released"):
                claimed = rest[0] if kind == "claimed" else ""
                now[key] = found = msgspec.structs.replace(found, claimed=claimed)
            else:
                now[key] = None
            was_late = kind == "closed" and found.is_due(at_us)
            yield "expired" if was_late else kind, key, found, rest[0]


def differences(known: Mapping[Key, Open], now: Mapping[Key, Open], at_us: int) -> Iterator[Change]:
    """The same without the trail, which does not go on from what is known: the store was a backup,
    or has forgotten rows that nobody had read. How a task ended nobody knows."""
    for key, task in known.items():
        if key not in now or now[key].since_us != task.since_us:
            yield "expired" if task.is_due(at_us) else "closed", key, task, ""
    for key, task in now.items():
        before = known.get(key)
        if before is not None and before.since_us != task.since_us:
            before = None
        if before is None:
            yield "new", key, task, ""
        if task.claimed != (before.claimed if before is not None else ""):
            yield "claimed" if task.claimed else "released", key, task, task.claimed
