"""`python -m tests.protocol campaign [pairs [first]]`: SPIN judges so many pairs, and its verdicts
are kept; then the runtime plays what the check says. Fails where they differ."""

from __future__ import annotations

import sys
import time

from tests.protocol import records

PAIRS = 2_300
PART = 160


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] != "campaign":
        print(__doc__)
        return 2
    count = int(arguments[1]) if len(arguments) > 1 else PAIRS
    first = int(arguments[2]) if len(arguments) > 2 else 0
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
        records.write(found)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
