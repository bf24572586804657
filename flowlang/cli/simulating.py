"""`flowc sim`: many worlds of some flows, and one world again. Plays and judges nothing itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowlang.cli.playing import Ready, Wanted, made, ready, told
from flowlang.cli.printing import JSON, PATH, colored, drawable, print_json
from flowlang.cli.worlds import (
    causes,
    counted,
    ending,
    story_of,
    table,
    told_small,
    violation_of,
    write_small,
)

if TYPE_CHECKING:
    from flowrt.sim.campaign import Figures
    from flowrt.sim.replay import Trace

TELL_S = 2.0
DAY_US = 86_400_000_000
MOST_CAUSES = 10
CAUSE_WIDTH = 120


@click.group()
def sim() -> None:
    """Play flows in worlds in which everything goes wrong, and play one of these worlds again."""


@sim.command("run")
@click.argument("files", nargs=-1, type=PATH)
@click.option("--flow", help="Start only this flow. Default: each that is startable by rpc.")
@click.option("--arg", "written", multiple=True, metavar="KEY=VALUE", help="An argument of it.")
@click.option("--worlds", default=200, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="That of the first world.")
@click.option(
    "--jobs", type=click.IntRange(1), help="So many processes. Default: one for each processor."
)
@click.option("--parties", default=3, show_default=True, type=click.IntRange(1, 7))
@click.option("--services", help="MODULE:FUNCTION that gives a party's services. Default: made up.")
@click.option("--scenario", "target", help="MODULE:OBJECT, a scenario of your own.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for replay files of what went wrong. Default: this one.",
)
@JSON
def run_worlds(
    files: tuple[Path, ...],
    flow: str | None,
    written: tuple[str, ...],
    worlds: int,
    seed: int,
    jobs: int | None,
    parties: int,
    services: str | None,
    target: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Play the flows of FILES in many worlds: crashes, lost packets, wrong clocks, full disks.

    What nobody says is made up: who starts which flow with which arguments, what services, people
    and owners answer. A world in which something is not as it must be is made small, told, and
    written to a replay file; the exit code is 1 then.
    """
    if not files and target is None:
        raise click.UsageError("Name the .flow files to play, or a --scenario of your own.")
    wanted = Wanted(
        tuple(map(str, files)), flow, written, parties, services=services, target=target
    )
    from flowrt.sim import campaign

    last = began = time.monotonic()

    def tell(figures: Figures) -> None:
        nonlocal last
        if not as_json and sys.stderr.isatty() and time.monotonic() - last > TELL_S:
            last = time.monotonic()
            click.echo(drawable(f"… {figures.worlds:,} worlds"), err=True)

    jobs = min(jobs or os.cpu_count() or 1, -(-worlds // campaign.CHUNK))
    with told(as_json), ready(wanted, as_json) as stage:
        folder = made(output)
        figures = campaign.run([stage.scenario], worlds, first=seed, processes=jobs, told=tell)
        seconds = max(time.monotonic() - began, 1e-6)
        found = _shrunk(stage, wanted, figures, folder, as_json)
    if as_json:
        print_json(_data(figures, found, seconds))
    else:
        click.echo(_text(figures, found, seconds))
    sys.exit(1 if figures.violated else 0)


@sim.command("replay")
@click.argument("file", type=PATH)
@click.option("--verbose", is_flag=True, help="Show each step, too, and where it led.")
@click.option("--until", type=click.IntRange(1), help="Show only so many of the first events.")
@JSON
def replay_world(file: Path, verbose: bool, until: int | None, as_json: bool) -> None:
    """Play the world of a replay FILE again, and tell what happens in it.

    The exit code is 0 if nothing is wrong in it any more, as after a repair.
    """
    from flowlang.run import CannotRun
    from flowrt.sim.replay import BadTrace, read_trace, replay

    with told(as_json):
        try:
            trace = read_trace(file)
            wanted = Wanted.again(trace.story)
        except BadTrace as error:
            raise CannotRun(str(error)) from None
        except ValueError as error:
            raise CannotRun(f"{file} cannot be played: {error}") from None
        with ready(_found(wanted, file), as_json) as stage:
            changed = _changed(trace, stage)
            again = replay(trace, stage.scenario)
            # Told here, where the flows' messages can still be read.
            lines = list(story_of(again.played, verbose))
    violation = again.played.violation
    if as_json:
        print_json(
            {
                "ok": violation is None,
                "same": again.same,
                "difference": again.difference or None,
                "changed": changed,
                "violation": violation_of(again.played),
                "digest": again.played.world.digest,
                "choices": causes(again.played),
                "events": lines,
            }
        )
    else:
        click.echo("\n".join(lines[:until]))
        if until is not None and until < len(lines):
            click.echo(drawable(f"… {counted(len(lines) - until, 'line')} more"))
        click.echo(ending(again.played), color=colored())
        click.echo(_verdict(again.difference, changed, violation is None))
    sys.exit(0 if violation is None else 1)


def _verdict(difference: str, changed: Sequence[str], is_well: bool) -> str:
    if not difference:
        return "This is exactly the world of the file."
    because = f" ({', '.join(changed)} changed since)" if changed else ""
    end = "." if is_well or changed else "; the runtime, Python or your own code are others now."
    return f"This is not the world of the file{because}: {difference}{end}"


def _changed(trace: Trace, stage: Ready) -> list[str]:
    """The modules whose text is not what it was."""
    then, now = trace.story.sources, stage.sources
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def _found(wanted: Wanted, trace: Path) -> Wanted:
    """The files where they are: as they were named, else beside the replay file."""
    import dataclasses

    from flowlang.run import CannotRun

    files = []
    for name in wanted.files:
        found = next((p for p in (Path(name), trace.parent / Path(name).name) if p.exists()), None)
        if found is None:
            raise CannotRun(
                f"{trace} needs {name}, which is not here; "
                "replay it in the folder in which it was written"
            )
        files.append(str(found))
    return dataclasses.replace(wanted, files=tuple(files))


# --- playing ------------------------------------------------------------------------------------


def _shrunk(
    stage: Ready, wanted: Wanted, figures: Figures, output: Path, as_json: bool
) -> list[dict[str, Any]]:
    """What went wrong, by seed; the first of each kind is made small, told and written."""
    from flowrt.sim.scenario import play
    from flowrt.sim.shrink import kind_of, shrink
    from flowrt.sim.violation import Violation

    found = []
    kinds: set[str] = set()
    for one in sorted(figures.violations, key=lambda one: one.seed):
        violation = Violation(one.invariant, one.text)
        data: dict[str, Any] = {
            "seed": one.seed,
            "invariant": one.invariant,
            "text": str(violation),
        }
        found.append(data)
        if kind_of(violation) in kinds:
            continue
        kinds.add(kind_of(violation))
        played = play(stage.scenario, one.seed)
        if played.violation is None:
            data["text"] += " (and not when its seed is played again: something keeps state)"
            continue
        small = shrink(stage.scenario, played)
        data["file"] = str(write_small(small, wanted, stage, str(one.seed), output))
        data["choices"] = causes(small.played)
        if not as_json:
            click.echo(told_small(f"world of seed {one.seed}", small, data["file"]))
    return found


def _data(figures: Figures, found: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    return {
        "ok": not figures.violated,
        "worlds": figures.worlds,
        "events": figures.events,
        "seconds": round(seconds, 2),
        "virtual_days": round(figures.simulated_us / DAY_US, 2),
        "troubles": dict(sorted(figures.troubles.items())),
        "outcomes": [
            {"flow": flow, "outcome": end or "returned", "count": count}
            for (flow, end), count in sorted(figures.outcomes.items())
        ],
        "hospital": [
            {"flow": flow, "cause": why, "count": count}
            for (flow, why), count in sorted(figures.hospital.items())
        ],
        "violated": figures.violated,
        "violations": found,
    }


def _text(figures: Figures, found: Sequence[dict[str, Any]], seconds: float) -> str:
    worlds, events = figures.worlds / seconds, figures.events / seconds
    ends = sorted(figures.outcomes.items())
    lines = [
        f"{counted(figures.worlds, 'world')}, {counted(figures.events, 'event')}, "
        f"{figures.simulated_us / DAY_US:,.1f} days of virtual time "
        f"in {seconds:.1f} s ({worlds:,.0f} worlds/s, {events:,.0f} events/s)",
        "flows that ended:" if ends else "no flow ended",
        *table([(flow, end or "returned", f"{n:,}") for (flow, end), n in ends]),
        *_hospital(figures),
        "what went wrong on the way:",
        *table([(kind, f"{n:,}") for kind, n in sorted(figures.troubles.items())]),
    ]
    if not figures.violated:
        return "\n".join([*lines, "All invariants held."])
    lines.append(f"{counted(figures.violated, 'violation')}:")
    lines += table([(f"seed {one['seed']}", one["text"]) for one in found[:20]])
    return "\n".join(lines)


def _hospital(figures: Figures) -> list[str]:
    """The mistakes of flows and their Python: no invariant is broken by them, but no flow ends."""
    found = figures.hospital.most_common(MOST_CAUSES)
    if not found:
        return []
    rows = [(flow, _short(why), f"{count:,}") for (flow, why), count in found]
    more = len(figures.hospital) - len(found)
    rest = [drawable(f"  … {counted(more, 'cause')} more")] if more else []
    return ["flows in the hospital, by a mistake in them or in their Python:", *table(rows), *rest]


def _short(text: str) -> str:
    return text if len(text) <= CAUSE_WIDTH else f"{text[: CAUSE_WIDTH - 1]}{drawable('…')}"
