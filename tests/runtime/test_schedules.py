"""Schedules: when they are due by the clocks of towns, and that each time counts once."""

from __future__ import annotations

import datetime
import types
import zoneinfo
from pathlib import Path
from typing import Any

import pytest

from flowrt.core import flow as rt
from flowrt.core.flow import Return
from flowrt.core.registry import NotRegistrable
from flowrt.schedules import Schedules, ScheduleWrong, next_us
from tests.runtime.crashes import CRASHES, FAULTS, START_US, Power, World, every_crash
from tests.runtime.plays import At, at, play, plays

MINUTE_US = 60_000_000
LONDON, NEW_YORK, UTC = "Europe/London", "America/New_York", "UTC"


def micros(text: str, zone: str = UTC, fold: int = 0) -> int:
    local = datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=fold)
    return round(local.timestamp()) * 1_000_000


def times(cron: str, zone: str, start: str, count: int) -> list[str]:
    """The next times, in UTC, each found from the one before."""
    found, now_us = [], micros(start)
    for _ in range(count):
        now_us = next_us(cron, zone, now_us)
        moment = datetime.datetime.fromtimestamp(now_us / 1e6, datetime.UTC)
        found.append(moment.strftime("%m-%d %H:%M"))
    return found


# In 2026 London goes forward on March 29 at 01:00 UTC and back on October 25 at 01:00 UTC; New York
# forward on March 8 at 07:00 UTC and back on November 1 at 06:00 UTC.


@pytest.mark.parametrize(
    ("cron", "zone", "start", "expected"),
    [
        # Once a day at a time that the gap skips: right after the gap on that day.
        ("30 1 * * *", LONDON, "2026-03-28", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("30 2 * * *", NEW_YORK, "2026-03-07", ["03-07 07:30", "03-08 07:00", "03-09 06:30"]),
        # Once a day at a time that comes twice: once.
        ("30 1 * * *", LONDON, "2026-10-24", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31", ["10-31 05:30", "11-01 05:30", "11-02 06:30"]),
        # At other times nothing is odd but the distance.
        ("0 18 * * *", LONDON, "2026-03-28", ["03-28 18:00", "03-29 17:00", "03-30 17:00"]),
        ("0 18 * * MON-FRI", LONDON, "2026-03-27 19:00", ["03-30 17:00", "03-31 17:00"]),
        # Every hour or more often: real hours and minutes, through both changes.
        (
            "0 * * * *",
            LONDON,
            "2026-10-24 23:30",
            ["10-25 00:00", "10-25 01:00", "10-25 02:00", "10-25 03:00"],
        ),
        ("0 * * * *", NEW_YORK, "2026-03-08 05:30", ["03-08 06:00", "03-08 07:00", "03-08 08:00"]),
        ("*/30 * * * *", LONDON, "2026-10-25 00:15", ["10-25 00:30", "10-25 01:00", "10-25 01:30"]),
        (
            "*/30 * * * *",
            NEW_YORK,
            "2026-11-01 05:15",
            ["11-01 05:30", "11-01 06:00", "11-01 06:30"],
        ),
    ],
)
def test_changes_of_the_clock(cron: str, zone: str, start: str, expected: list[str]) -> None:
    assert times(cron, zone, start, len(expected)) == expected


@pytest.mark.parametrize("zone", [LONDON, NEW_YORK])
@pytest.mark.parametrize("minute", [0, 30])
@pytest.mark.parametrize("hour", [0, 1, 2, 3])
def test_once_a_day_is_once_a_day_the_whole_year(zone: str, hour: int, minute: int) -> None:
    where = zoneinfo.ZoneInfo(zone)
    now_us, days = micros("2026-01-01", zone) - 1, []
    while now_us < micros("2026-12-31", zone):
        now_us = next_us(f"{minute} {hour} * * *", zone, now_us)
        days.append(datetime.datetime.fromtimestamp(now_us / 1e6, where).date())
    assert len(set(days)) == len(days) == 365


@pytest.mark.parametrize("zone", [LONDON, NEW_YORK])
def test_every_hour_is_every_hour_the_whole_year(zone: str) -> None:
    now_us = micros("2026-01-01", zone)
    for _ in range(365 * 24):
        following = next_us("0 * * * *", zone, now_us)
        assert following == now_us + 60 * MINUTE_US
        now_us = following


@pytest.mark.parametrize(
    "cron", ["", "x", "* * * *", "61 * * * *", "0 0 30 2 *", "* * * * * * * *", "0 0 31 4 *"]
)
def test_what_is_no_cron_text_is_refused(cron: str) -> None:
    with pytest.raises(ScheduleWrong):
        next_us(cron, UTC, START_US)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../../etc/passwd", "/etc/passwd", "a\0b"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ScheduleWrong, match="there is no time zone"):
        next_us("* * * * *", zone, START_US)


# --- on a node -----------------------------------------------------------------------------------


def nightly(cron: str = "*/10 * * * *", name: str = "t.Nightly", *parts: Any) -> rt.Schedule:
    steps = parts or (lambda run, s: Return(s.count),)
    flow = play("t.Netting", *steps, startable=("schedule",))
    return rt.Schedule(name, flow, at(0, count=5), cron, UTC)


def scheduling(*schedules: rt.Schedule) -> types.ModuleType:
    made = plays(*{schedule.flow for schedule in schedules})
    made.SCHEDULES = schedules  # type: ignore[attr-defined]
    return made


def world(*schedules: rt.Schedule, power: Power | None = None, **how: Any) -> World:
    made = World(power=power, **how)
    made.add("alice", [scheduling(*schedules)])
    return made


def started(on: World) -> list[int]:
    """The flows that were started and have ended, by id."""
    on.node("alice")
    store: Any = on.members["alice"].store
    return [number for number in range(1, 40) if store.outcome(number) is not None]


FIRST_US = next_us("*/10 * * * *", UTC, START_US)


@pytest.fixture(params=["memory", "sqlite"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "sqlite" else None


def test_it_starts_its_flow_each_time(folder: Path | None) -> None:
    with world(nightly(), folder=folder) as on:
        assert on.node("alice").next_due() in (0, FIRST_US)
        on.run(0)
        assert started(on) == []
        on.run(35 * MINUTE_US)
        assert len(started(on)) in (3, 4)
        assert on.node("alice").handle(1).result_now() == 5
        assert on.now_us == FIRST_US + (len(started(on)) - 1) * 10 * MINUTE_US
        assert on.residue() == {"alice": (0, 0, 0)}


@pytest.mark.parametrize("crash", [False, True])
def test_what_came_due_while_nobody_was_there_is_due_once(crash: bool) -> None:
    with world(nightly()) as on:
        on.run(0)
        on.now_us = FIRST_US + 95 * MINUTE_US
        if crash:
            on.crash("alice")
        on.run(0)
        assert len(started(on)) == 1
        on.run(5 * MINUTE_US)
        assert len(started(on)) == 2


@pytest.mark.parametrize("kind", [*CRASHES, *FAULTS])
def test_each_time_counts_once_whatever_befalls(kind: str) -> None:
    schedule = nightly()

    def build(power: Power) -> World:
        return world(schedule, power=power)

    def observe(on: World) -> Any:
        return len(started(on)), on.residue()

    expected = None
    for power, seen in every_crash(build, observe, kinds=(kind,), twice=True):
        expected = expected or seen
        assert expected[0] in (5, 6)
        assert seen == expected, power


def test_two_at_one_instant(folder: Path | None) -> None:
    one, other = nightly(), nightly(name="t.Other")
    other = rt.Schedule("t.Other", one.flow, at(0, count=6), one.cron, UTC)
    with world(one, other, folder=folder) as on:
        on.run(0)
        on.now_us = FIRST_US
        on.run(0)
        results = {on.node("alice").handle(number).result_now() for number in started(on)}
        assert results == {5, 6}


def test_a_new_text_counts_from_now_and_who_is_gone_is_forgotten() -> None:
    first = nightly("0 0 1 1 *")
    gone = rt.Schedule("t.Gone", first.flow, at(0), "* * * * *", UTC)
    with world(first, gone) as on:
        store: Any = on.members["alice"].store
        assert set(store.schedules()) == {"t.Nightly", "t.Gone"}
        changed = rt.Schedule("t.Nightly", first.flow, at(0, count=9), "*/10 * * * *", UTC)
        on.members["alice"].modules = [scheduling(changed)]
        on.now_us += 1
        on.crash("alice")
        store = on.members["alice"].store
        assert set(store.schedules()) == {"t.Nightly"}
        on.now_us = FIRST_US
        on.run(0)
        assert [on.node("alice").handle(n).result_now() for n in started(on)] == [9]
        commits = on.power.commits
        on.crash("alice")
        on.run(0)
        assert on.power.commits == commits, "nothing has changed"


def test_a_row_that_was_damaged_is_made_anew() -> None:
    schedules = Schedules([nightly()])
    changed = schedules.load({"t.Nightly": b"\xc1"}, START_US)
    assert set(changed) == {"t.Nightly"}
    assert schedules.next_due() == FIRST_US


def test_a_clock_that_is_set_back_starts_nothing_again() -> None:
    with world(nightly()) as on:
        on.run(0)
        on.now_us = FIRST_US
        on.run(0)
        on.now_us = FIRST_US - MINUTE_US
        on.run(2 * MINUTE_US)
        assert len(started(on)) == 1


def test_a_clock_that_is_set_back_while_a_batch_is_full_loses_none() -> None:
    one, other = nightly(), nightly(name="t.Other")
    other = rt.Schedule("t.Other", one.flow, at(0, count=6), one.cron, UTC)
    with world(one, other, batch=1) as on:
        on.run(0)
        on.now_us = FIRST_US
        node = on.node("alice")
        node.turn()  # One of the two; the other waits for the next batch.
        on.now_us = FIRST_US - MINUTE_US
        on.run(2 * MINUTE_US)
        assert len(started(on)) == 2


def test_a_first_step_that_fails_is_in_the_hospital_and_the_next_comes() -> None:
    def breaks(run: Any, at_: At) -> Any:
        raise ZeroDivisionError

    with world(nightly("*/10 * * * *", "t.Nightly", breaks)) as on:
        on.run(25 * MINUTE_US)
        assert len(on.node("alice").hospital()) >= 2


def test_what_a_schedule_may_start_is_looked_at_when_a_node_opens() -> None:
    flow = play("t.Netting", lambda run, s: Return(1))
    with pytest.raises(NotRegistrable, match="not `startable by schedule`"):
        world(rt.Schedule("t.N", flow, at(0), "* * * * *", UTC))
    one = nightly()
    with pytest.raises(NotRegistrable, match=r"two schedules are named t\.Nightly"):
        world(one, rt.Schedule("t.Nightly", one.flow, at(0), "0 0 * * *", UTC))
    with pytest.raises(ScheduleWrong):
        world(nightly("never"))
    stranger = plays(play("t.Other", lambda run, s: Return(1)))
    stranger.SCHEDULES = (nightly(),)  # type: ignore[attr-defined]
    with pytest.raises(NotRegistrable, match=r"starts Netting, which is not registered"):
        World().add("alice", [stranger])


def test_what_became_of_the_last_is_seen_and_the_next_comes(folder: Path | None) -> None:
    ends: list[Any] = [Return(1), rt.Timeout(), ZeroDivisionError("a bug"), Return(4)]

    def step(run: Any, at_: At) -> Any:
        found = ends[0]
        if isinstance(found, BaseException):
            raise found
        return found

    with world(nightly("*/10 * * * *", "t.Nightly", step), folder=folder) as on:
        on.run(0)

        def next_one() -> tuple[int | None, str]:
            [seen] = on.node("alice").schedules()
            assert (seen.name, seen.flow, seen.cron, seen.zone) == (
                "t.Nightly",
                "t.Netting_v1",
                "*/10 * * * *",
                UTC,
            )
            on.run(round(seen.due.timestamp() * 1e6) - on.now_us)
            on.crash("alice")
            [seen] = on.node("alice").schedules()
            ends.pop(0)
            return seen.last, seen.ended

        assert on.node("alice").schedules()[0].last is None
        assert next_one() == (1, "well")
        assert next_one() == (2, "Timeout")
        assert next_one() == (3, "")
        assert [one.flow_id for one in on.node("alice").hospital()] == [3]
        last, ended = next_one()
        assert ended == "well"
        assert last is not None
        assert last > 3
        # A text that changes keeps what is known.
        on.members["alice"].modules = [scheduling(nightly("5 0 * * *", "t.Nightly", step))]
        on.crash("alice")
        assert on.node("alice").schedules()[0].last == last
