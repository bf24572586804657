"""A campaign of disks that lose their power: `python -m tests.power COUNT [SEED]`.

Examines plot after plot until there were so many states, tells how many of each kind there were,
and ends with 1 if a promise was broken. A seed gives the same plots and losses again; the salts of
SQLite's logs differ.
"""

from __future__ import annotations

import logging
import random
import sys
import time

from tests.power import vfs
from tests.power.judge import Report, examine
from tests.power.plots import PLOTS

KINDS_OF_DISK = {
    "SQLite syncs folders": (True, False),
    "names follow files": (False, True),
    "nothing is given": (False, False),
}
"""Whether SQLite makes the names of its logs durable, and whether a file's own sync does."""


def campaign(count: int, seed: int = 0) -> Report:
    """At least so many states, in whole rounds: every plot on every kind of disk, every point of
    the flows' logs and every fourth of the others."""
    total = Report()
    while total.count < count:
        for syncs, follows in KINDS_OF_DISK.values():
            vfs.SYNCS_FOLDERS = syncs
            for plot, play in PLOTS.items():
                draw = random.Random(f"{plot} {seed}")
                every = 1 if plot == "trades" else 4
                for party, disk in play(draw).items():
                    total += examine(
                        disk, draw, party=party, every=every, again=0.001, names_follow=follows
                    )
        seed += 1
    vfs.SYNCS_FOLDERS = True
    return total


def main(count: int, seed: int) -> bool:
    """Whether every promise was kept."""
    if vfs.UNUSABLE is not None:
        print(vfs.UNUSABLE)
        return False
    logging.disable(logging.CRITICAL)
    begun, used = time.monotonic(), time.process_time()
    total = campaign(count, seed)
    seconds = time.process_time() - used
    for kind, states in sorted(total.states.items(), key=lambda found: -found[1]):
        print(f"{states:9,}  {kind}")
    print(
        f"{total.count:9,}  states at {total.points:,} writes, syncs and changes of names, "
        f"{seconds:.0f} s of the processor ({total.count / seconds:.0f} a second), "
        f"{time.monotonic() - begun:.0f} s in all, {len(total.violations)} violations"
    )
    print("\n".join(total.violations[:20]))
    return not total.violations


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    sys.exit(not main(*arguments, *(20_000, 0)[len(arguments) :]))
