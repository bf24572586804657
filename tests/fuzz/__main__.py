"""A campaign of spoiled programs that tells how far it is: `python -m tests.fuzz START COUNT`.

Prints a line of JSON for each chunk: its first number, how many, how far they came, the seconds of
the processor, and what is wrong. A number gives the same program as long as the corpus is the same.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import Counter

from tests.fuzz import trial
from tests.fuzz.mutations import Spoiler, corpus

CHUNK = 2_000


def main(start: int, count: int) -> bool:
    """Whether nothing is wrong with so many programs."""
    spoiler = Spoiler(corpus())
    trial.judge(b"")
    # What is loaded by now stays: sweeping it again and again would take a third of the time.
    gc.collect()
    gc.freeze()
    right = True
    for first in range(start, start + count, CHUNK):
        size = min(CHUNK, start + count - first)
        reached: Counter[str] = Counter()
        troubles: dict[str, list[object]] = {}
        begun = time.process_time()
        for number in range(first, first + size):
            data = spoiler.spoiled(number)
            found = trial.judge(data, reached)
            if found is not None and found[:60] not in troubles:
                small = trial.smallest(data, found)
                troubles[found[:60]] = [number, found, small.decode("utf-8", "replace")]
        right = right and not troubles
        line = {
            "start": first,
            "count": size,
            "cpu_s": round(time.process_time() - begun, 1),
            "reached": dict(reached),
            "troubles": list(troubles.values()),
        }
        print(json.dumps(line), flush=True)
    return right


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]), int(sys.argv[2])))
