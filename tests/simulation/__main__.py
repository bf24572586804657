"""`make sim`: a long campaign of worlds, its figures, and exit code 1 if anything did not hold.

SIM_WORLDS=200000 is how many, SIM_FIRST=0 the first seed, SIM_PROCESSES as many as processors;
SIM_LEDGER=20000 plays so many of the ledger's worlds alone. Figures are also written to
build/sim.json.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path

from flowrt.sim import campaign
from tests.simulation import ledger, programs, stories

PROGRAMS = 104
"""How many random programs there are; with the others, a round number of stories."""

LEDGER = 12
"""How many of all stories, which take turns, are the ledger's: one in ten."""

LONG = 50_000
"""A campaign of so many worlds must have seen every cell."""


def main() -> int:
    alone = int(os.environ.get("SIM_LEDGER", "0"))
    worlds = alone or int(os.environ.get("SIM_WORLDS", "20000"))
    first = int(os.environ.get("SIM_FIRST", "0"))
    processes = int(os.environ.get("SIM_PROCESSES", "0")) or None
    programs.quiet()
    made = [] if alone else list(itertools.islice(programs.stories(), PROGRAMS))
    others = [] if alone else stories.examples()
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
        [*others, *made, *[ledger.Town()] * LEDGER],
        worlds,
        first=first,
        processes=processes,
        told=told,
    )
    wanted = campaign.sometimes() if worlds >= LONG and not alone else []
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
