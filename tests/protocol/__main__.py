"""`python -m tests.protocol campaign [pairs [first]]`: SPIN judges so many pairs. Its verdicts are
kept if it judged the first ones, and among them all that are kept already; with `--write`, also if
that makes the file shorter. `play [pairs [first]]`: on nodes every counterexample ends as it says,
and every pair that fits runs in fifty random orders. Both fail where something differs.
"""

from __future__ import annotations

import collections
import logging
import sys
import time

from tests.protocol import completing, playing, records
from tests.protocol.pairs import Drawn, codes, drawn, faults

PAIRS = 2_300
PART = 160
SCHEDULES = 50


def judge(first: int, count: int, anyway: bool = False) -> int:
    """How many verdicts differ. `anyway`: a shorter file than the kept one is written, too."""
    began = time.monotonic()
    found: list[records.Record] = []
    differences: list[str] = []
    for at in range(first, first + count, PART):
        some, other = records.campaign(range(at, min(at + PART, first + count)))
        found += some
        differences += other
        unsafe = sum("u" in one.verdicts for one in found)
        print(
            f"{len(found)} pairs judged, {unsafe} unsafe, {len(differences)} judged otherwise by"
            f" the check, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for line in other:
            print(f"  {line}", flush=True)
    if first == 0 and not differences:
        kept = max((one.seed + 1 for one in records.read()), default=0)
        if count >= kept or anyway:
            records.write(found)
        else:
            print(f"not written: {kept} pairs are kept; ask for as many, or --write", flush=True)
    return len(differences)


def play(first: int, count: int) -> int:
    """How many pairs did on nodes what the check does not say of them."""
    logging.disable()
    seen: collections.Counter[str] = collections.Counter()
    wrong = 0
    for at in range(first, first + count, 16):
        for one in drawn(range(at, min(at + 16, first + count))):
            if one.modules is None:
                continue
            try:
                seen.update(_play(one))
            except AssertionError as error:
                wrong += 1
                print(f"{one.seed}: {error}", flush=True)
    for what, times in sorted(seen.items()):
        print(f"{times:7,} {what}")
    return wrong


def _play(one: Drawn) -> list[str]:
    """What happened with a pair. Raises playing.Wrong, following.Spurious: no play is the run."""
    assert one.modules is not None
    modules = playing.loaded(one.modules)
    found = faults(one)
    if not found:
        if any(map(codes, one.checked)):
            return ["not played: a side may wait for ever"]
        runs = [playing.schedule(one.pair, modules, one.text, n) for n in range(SCHEDULES)]
        return [
            "a pair that fits",
            *(f"a random order{'' if run else ', cut off'}" for run in runs),
        ]
    return [
        f"{misfit.code}: {completing.played(one.pair, modules, session, misfit)}"
        for session, misfit in found
    ]


def main(arguments: list[str]) -> int:
    words = [word for word in arguments if word != "--write"]
    anyway = len(words) < len(arguments)
    way = words[0] if words else ""
    if way not in ("campaign", "play") or (anyway and way == "play"):
        print(__doc__)
        return 2
    count = int(words[1]) if len(words) > 1 else PAIRS
    first = int(words[2]) if len(words) > 2 else 0
    return 1 if (play(first, count) if way == "play" else judge(first, count, anyway)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
