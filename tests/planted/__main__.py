"""`python -m tests.planted`: plant every defect, hunt it from several first seeds, and print the
table of docs/reliability.md. Words name defects or rooms; FLOW_HUNTS says how many hunts each.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import sys

from tests.planted.defects import DEFECTS
from tests.planted.hunting import HEAD, Hunted, hunted, summary
from tests.planted.planting import Defect


def _hunted(name: str, hunts: int) -> Hunted:
    logging.disable(logging.CRITICAL)
    defect = next(defect for defect in DEFECTS if defect.name == name)
    return hunted(defect, hunts)


def main(words: list[str]) -> int:
    """0 if every defect was seen in every hunt."""
    hunts = int(os.environ.get("FLOW_HUNTS", "3"))
    wanted: list[Defect] = [
        defect for defect in DEFECTS if not words or defect.name in words or defect.room in words
    ]
    print(HEAD, flush=True)
    found = []
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        for one in pool.map(_hunted, [defect.name for defect in wanted], [hunts] * len(wanted)):
            print(one.row(), flush=True)
            found.append(one)
    print(f"\n{summary(found)}")
    return 0 if all(one.is_killed for one in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
