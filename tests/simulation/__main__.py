"""`make sim`: a long campaign of worlds, its figures, and exit code 1 if anything did not hold.

SIM_WORLDS=200000 is how many, SIM_FIRST=0 the first seed, SIM_PROCESSES as many as processors;
figures are also written to build/sim.json.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path

from flowrt.sim import campaign
from tests.simulation import programs, stories

PROGRAMS = 116
"""How many random programs there are; with the examples, a round number of stories."""

LONG = 50_000
"""A campaign of so many worlds must have seen every cell."""


def main() -> int:
    worlds = int(os.environ.get("SIM_WORLDS", "20000"))
    first = int(os.environ.get("SIM_FIRST", "0"))
    processes = int(os.environ.get("SIM_PROCESSES", "0")) or None
    programs.quiet()
    made = list(itertools.islice(programs.stories(), PROGRAMS))
    compared = sum(story.made.expected is not None for story in made)
    print(
        f"{len(made)} programs, {compared} of them compared with the reference; {worlds:,} worlds"
    )
    begun = last = time.monotonic()

    def told(figures: campaign.Figures) -> None:
        nonlocal last
        if time.monotonic() - last > 30:
            last = time.monotonic()
            print(f"{figures.worlds:>10,} worlds, {figures.violated} violations", flush=True)
            write(figures)

    figures = campaign.run(
        [*stories.examples(), *made], worlds, first=first, processes=processes, told=told
    )
    wanted = campaign.sometimes() if worlds >= LONG else []
    print(figures.as_text(wanted))
    print(f"in {time.monotonic() - begun:,.0f} s")
    write(figures)
    return 1 if figures.violated or figures.missing(wanted) else 0


def write(figures: campaign.Figures) -> None:
    """Keep what is known so far."""
    folder = Path("build")
    folder.mkdir(exist_ok=True)
    (folder / "sim.json").write_bytes(figures.as_json(campaign.sometimes()))


if __name__ == "__main__":
    sys.exit(main())
