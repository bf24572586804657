"""When a schedule starts its flow, and with what. The only home of cron expressions in the
compiler; knows no clock."""

from __future__ import annotations

import datetime
import functools
import importlib.resources

from flowlang import syntax
from flowlang.checker import words
from flowlang.checker.expressions import Expressions
from flowlang.checker.facts import Facts
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.checker.values import is_fixed
from flowlang.checker.variables import Blocks
from flowlang.types import FlowInfo

MAX_CRON = 100
"""Characters of a cron expression. Longer ones are slips, and might hold endless numbers."""

_PARTS = "minute, hour, day of the month, month and day of the week"
_EXAMPLE = '`"0 18 * * MON-FRI"` is at 18:00 from Monday to Friday'
_SOME_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def check(findings: Findings, names: Names, schedule: syntax.Schedule) -> None:
    """A schedule's flow, what it is given, and when it runs."""
    _check_flow(findings, names, schedule)
    if problem := _problem_of(schedule.cron):
        findings.report("F380", schedule.cron_span, problem, _EXAMPLE)
    zones = _zones()
    if schedule.zone not in zones:
        near = findings.did_you_mean(schedule.zone, zones)
        hint = near or 'write a region and a city, such as "Europe/London", or "UTC"'
        findings.report(
            "F381",
            schedule.zone_span,
            "there is no time zone of this name",
            hint.replace("`", '"') if near else hint,
        )


def _check_flow(findings: Findings, names: Names, schedule: syntax.Schedule) -> None:
    call = schedule.call
    expressions = Expressions(findings, names, Blocks(findings, names), Facts())
    info = None
    if isinstance(call.callee, syntax.Name):
        info = names.find(call.callee, "flow")
    loose = [argument for argument in call.arguments if not is_fixed(argument.value)]
    for argument in loose:
        findings.report(
            "F382",
            argument.value.span,
            "what a schedule gives to its flow is written out: a literal, or a list or map of such",
            "let the flow work it out when it starts",
        )
    if not isinstance(info, FlowInfo):
        return
    if "schedule" not in info.declaration.startable:
        findings.report(
            "F383",
            call.callee.span,
            f"`{words.short(info.name)}` cannot be started by a schedule",
            "declare in it that it may be: `startable by schedule`",
            names.place(words.short(info.name)),
        )
    elif not loose:
        expressions.arguments(call, info)


def _problem_of(cron: str) -> str | None:
    """What is wrong with a cron expression."""
    # It takes time to import, which whoever has no schedule need not wait for.
    from cronsim import CronSim, CronSimError

    if len(cron) > MAX_CRON or len(cron.split()) != 5:
        return f"the times of a schedule have five parts: {_PARTS}"
    try:
        times = CronSim(cron, _SOME_DAY)
    except CronSimError as error:
        part = str(error).removeprefix("Bad ").replace("-of-", " of the ")
        return f"there is no such {part}"
    if next(times, None) is None:
        return "such a day never comes, so this would never start anything"
    return None


@functools.cache
def _zones() -> frozenset[str]:
    """The names of all time zones, the same on every machine."""
    return frozenset((importlib.resources.files("tzdata") / "zones").read_text("utf-8").split())
