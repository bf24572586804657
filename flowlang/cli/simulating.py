"""`flowc sim`: many worlds of some flows, and one world again. Plays and judges nothing itself."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowlang.cli.playing import Ready, Wanted, made, ready, told
from flowlang.cli.printing import JSON, PATH, print_json
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
    from flowrt.sim.replay import Trace
    from flowrt.sim.scenario import Played

TELL_S = 2.0


@click.group()
def sim() -> None:
    """Play flows in worlds in which everything goes wrong, and play one of these worlds again."""


@sim.command("run")
@click.argument("files", nargs=-1, type=PATH)
@click.option("--flow", help="Start only this flow. Default: each that is startable by rpc.")
@click.option("--arg", "written", multiple=True, metavar="KEY=VALUE", help="An argument of it.")
@click.option("--worlds", default=200, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="That of the first world.")
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
    with told(as_json), ready(wanted, as_json) as stage:
        sums = _play(stage, wanted, range(seed, seed + worlds), made(output), as_json)
    if as_json:
        print_json(sums.data())
    else:
        click.echo(sums.text())
    sys.exit(1 if sums.found else 0)


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
        click.echo("\n".join(lines if until is None else lines[:until]))
        if until is None:
            click.echo(ending(again.played))
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


class Sums:
    """What came of many worlds. `found` are the violations: seed, invariant, text, and, for the
    first of each kind, the smallest world and its file."""

    def __init__(self) -> None:
        self.worlds = self.events = self.virtual_us = 0
        self.seconds = 0.0
        self.troubles: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.found: list[dict[str, Any]] = []

    def add(self, played: Played) -> None:
        from flowrt.sim.history import Ended, Trouble

        world = played.world
        self.worlds += 1
        self.events += world.events
        self.virtual_us += world.now_us - world.start_us
        for event in world.history:
            if type(event) is Trouble:
                self.troubles[re.sub(r": .*", "", event.kind)] += 1
            elif type(event) is Ended:
                self.outcomes[event.flow, event.error or "returned"] += 1

    def data(self) -> dict[str, Any]:
        return {
            "ok": not self.found,
            "worlds": self.worlds,
            "events": self.events,
            "seconds": round(self.seconds, 2),
            "virtual_days": round(self.virtual_us / 86_400_000_000, 2),
            "troubles": dict(sorted(self.troubles.items())),
            "outcomes": [
                {"flow": flow, "outcome": outcome, "count": count}
                for (flow, outcome), count in sorted(self.outcomes.items())
            ],
            "violations": self.found,
        }

    def text(self) -> str:
        worlds, events = self.worlds / self.seconds, self.events / self.seconds
        lines = [
            f"{counted(self.worlds, 'world')}, {counted(self.events, 'event')}, "
            f"{self.virtual_us / 86_400_000_000:,.1f} days of virtual time "
            f"in {self.seconds:.1f} s ({worlds:,.0f} worlds/s, {events:,.0f} events/s)",
            "flows that ended:",
            *table([(f, o, f"{n:,}") for (f, o), n in sorted(self.outcomes.items())]),
            "what went wrong on the way:",
            *table([(kind, f"{n:,}") for kind, n in sorted(self.troubles.items())]),
        ]
        if not self.found:
            return "\n".join([*lines, "All invariants held."])
        lines.append(f"{counted(len(self.found), 'violation')}:")
        lines += table([(f"seed {one['seed']}", one["text"]) for one in self.found[:20]])
        return "\n".join(lines)


def _play(stage: Ready, wanted: Wanted, seeds: Iterable[int], output: Path, as_json: bool) -> Sums:
    from flowrt.sim.scenario import play
    from flowrt.sim.shrink import kind_of, shrink

    sums = Sums()
    kinds: set[str] = set()
    began = last = time.monotonic()
    for seed in seeds:
        played = play(stage.scenario, seed)
        sums.add(played)
        if played.violation is not None:
            one: dict[str, Any] = {"seed": seed, **violation_of(played)}
            sums.found.append(one)
            if kind_of(played.violation) not in kinds:
                kinds.add(kind_of(played.violation))
                small = shrink(stage.scenario, played)
                one["file"] = str(write_small(small, wanted, stage, str(seed), output))
                one["choices"] = causes(small.played)
                if not as_json:
                    click.echo(told_small(f"world of seed {seed}", small, one["file"]))
        if not as_json and sys.stderr.isatty() and time.monotonic() - last > TELL_S:
            last = time.monotonic()
            click.echo(f"… {sums.worlds:,} worlds", err=True)
    sums.seconds = max(time.monotonic() - began, 1e-6)
    return sums
