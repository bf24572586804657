"""How a day of the demo went: what was found in the end, and how people are told.

Knows numbers and texts alone.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flowlang.demo.tally import Kill
from flowlang.demo.views import of


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that must be true in the end, and what was found wrong with it."""

    check: str
    wrong: list[str]


@dataclasses.dataclass(frozen=True)
class Holding:
    """What a party owns: cash in minor units, papers and bonds by their count."""

    party: str
    cash: int
    papers: int
    bonds: int


@dataclasses.dataclass(frozen=True)
class Audit:
    """What the auditor says: the checks, and who owned what in the morning and owns what now."""

    checks: list[Check]
    morning: list[Holding]
    now: list[Holding]


@dataclasses.dataclass(frozen=True)
class Report:
    """How the day went. `flows_resumed` counts flows of all parties that went on after a kill;
    checkpoint sizes are in bytes, one for each time that a flow was committed at rest."""

    ok: bool
    seed: int
    trades: int
    settled: int
    refused: int
    refusals: dict[str, int]  # by the error that the trade ended with
    kills_wanted: int
    killed: int
    kills: list[Kill]
    flows_resumed: int
    checkpoints: int
    largest_checkpoint: int
    median_checkpoint: int
    seconds: float
    morning: list[Holding]
    now: list[Holding]
    checks: list[Check]


def holdings(morning: list[Holding], now: list[Holding]) -> list[str]:
    """Who owns what, and owned what in the morning."""
    rows = [("who owns what now", "cash in EUR", "papers", "bonds")]
    before = {one.party: one for one in morning}
    for one in now:
        was = before.get(one.party, one)
        rows.append(
            (
                f"  {one.party}",
                f"{was.cash / 100:,.2f} -> {one.cash / 100:,.2f}",
                f"{was.papers} -> {one.papers}",
                f"{was.bonds} -> {one.bonds}",
            )
        )
    if not now:
        return []
    cash = sum(one.cash for one in now)
    papers, bonds = (sum(getattr(o, kind) for o in now) for kind in ("papers", "bonds"))
    rows.append(("  together", f"{cash / 100:,.2f}", str(papers), str(bonds)))
    # What nobody has or had is not worth a column.
    width = 4 if bonds or any(one.bonds for one in morning) else 3
    widths = [max(len(row[column]) for row in rows) for column in range(width)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:width], widths[1:])])
        for row in rows
    ]


def verified(checks: list[Check]) -> list[str]:
    """Each check, whether it holds, and the first things that are wrong."""
    lines = []
    for check in checks:
        lines.append(f"  {'no ' if check.wrong else 'yes'}  {check.check}")
        lines += [f"         {wrong}" for wrong in check.wrong[:5]]
        if len(check.wrong) > 5:
            lines.append(f"         and {len(check.wrong) - 5} more")
    return lines


def summary(report: Report, keep: Path | None) -> str:
    """The report for people."""
    why = ", ".join(f"{count} {error}" for error, count in report.refusals.items())
    lines = [
        f"{report.settled} trades settled, {report.refused} refused as they had to be"
        f"{f' ({why})' if why else ''}, in {report.seconds:.1f} s"
    ]
    if report.killed:
        in_flight = ", ".join(str(kill.in_flight) for kill in report.kills)
        lines += [
            f"killed with SIGKILL {of(report.killed, 'time')}, and resumed each time",
            f"  trades in flight at each kill: {in_flight}",
            f"  flows that went on afterwards: {report.flows_resumed}",
        ]
    if report.killed < report.kills_wanted:
        lines.append(f"  {report.kills_wanted} kills were wanted, but the trades were done by then")
    lines += [
        f"suspended flows: {report.checkpoints} checkpoints, median {report.median_checkpoint} "
        f"bytes, largest {report.largest_checkpoint}",
        *holdings(report.morning, report.now),
        "verified in the databases of both sides and the notary's book:",
        *verified(report.checks),
    ]
    if keep is not None:
        lines.append(f"databases, sources and compiled flows are in {keep}")
    if not report.ok:
        lines.append(f"FAILED; again with: flowc demo --seed {report.seed}")
    return "\n".join(lines)
