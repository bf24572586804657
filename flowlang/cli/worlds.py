"""Worlds told to people: what happened, because of what, what is wrong; and their replay files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowlang.cli.playing import Ready, Wanted
from flowlang.cli.printing import colored, drawable
from flowlang.project import shown

if TYPE_CHECKING:
    from flowrt.sim.scenario import Played
    from flowrt.sim.shrink import Shrunk

SHOWN_LINES = 60
"""How much of a story is printed; the end of it is what matters."""


def write_small(small: Shrunk, wanted: Wanted, stage: Ready, mark: str, output: Path) -> Path:
    from flowlang.run import CannotRun
    from flowrt.sim.replay import SUFFIX, trace_of, write_trace

    assert small.played.violation is not None
    name = Path(wanted.files[0]).stem if wanted.files else stage.scenario.name
    stem = re.sub(r"[^\w.-]+", "-", f"{name}-{small.played.violation.invariant}-{mark}")
    path = output / f"{stem}{SUFFIX}"
    try:
        write_trace(trace_of(small.played, wanted.story(stage.sources)), path)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from None
    return path


def told_small(what: str, small: Shrunk, file: str) -> str:
    """A failure for people: what happened in `what`, what is left of the choices, how to see it
    again."""
    lines = list(story_of(small.played, False))
    cut = len(lines) - SHOWN_LINES
    if cut > 0:
        lines = [drawable(f"… {cut} lines before"), *lines[cut:]]
    worlds = f"{counted(small.tried, 'world')}, {small.seconds:.1f} s"
    least = "" if small.is_least else "; there was no time for more"
    return "\n".join(
        [
            f"{what}, made small: {counted(small.was, 'choice')} became {small.left} "
            f"({worlds}{least})",
            *lines,
            ending(small.played),
            f"again: flowc sim replay {shown(Path(file))}",
            "",
        ]
    )


def ending(played: Played) -> str:
    """What is left of the choices, and what is wrong."""
    because = causes(played)
    lines = ["because of:", *(f"  {line}" for line in because)] if because else []
    if played.violation is None:
        return "\n".join([*lines, click.style("All invariants held.", fg="green")])
    lines.append(click.style(f"violated: {played.violation}", fg="red", bold=True))
    text = "\n".join(lines)
    return text if colored() else click.unstyle(text)


def causes(played: Played) -> list[str]:
    from flowrt.sim.words import in_words

    return in_words(played.choices, list(played.world.hosts))


def story_of(played: Played, verbose: bool) -> Iterable[str]:
    from flowrt.sim.words import story

    return story(played.world.history, played.world.start_us, steps=verbose)


def violation_of(played: Played) -> dict[str, Any]:
    found = played.violation
    return {} if found is None else {"invariant": found.invariant, "text": str(found)}


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines, columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
