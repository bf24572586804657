"""Every target once, as a table: `python -m tests.fuzz.targets [FACTOR] [FIRST]`.

Without atheris each target spoils what real conversations made; a number gives the same input as
long as the corpus is the same. Exit code 1 if something was found.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from tests.fuzz import rest, shared, trial, wire, words
from tests.fuzz.fair import quiet
from tests.fuzz.findings import Findings
from tests.fuzz.mutations import Spoiler, corpus


@functools.cache
def _spoiler() -> Spoiler:
    return Spoiler(corpus())


def programs(first: int, count: int) -> Findings:
    """Spoiled programs through parser, checker, generator, formatter."""
    spoiler = _spoiler()
    trial.judge(b"")
    found = Findings("programs compiled")
    for number in range(first, first + count):
        data = spoiler.spoiled(number)
        found.add(number, trial.judge(data), data)
    return found.done()


TARGETS: dict[str, tuple[Callable[[int, int], Findings], int]] = {
    "programs": (programs, 1_000),
    "frames": (wire.decoding, 20_000),
    "packets": (wire.reading, 10_000),
    "checkpoints": (rest.decoding, 8_000),
    "steps": (rest.stepping, 4_000),
    "arguments": (words.reading, 1_000),
    "transactions": (shared.reading, 20_000),
}
"""By name: the target, and how many inputs it takes for a factor of 1, which are a few seconds."""


def main(factor: float, first: int) -> bool:
    """Print the table; whether nothing was found."""
    print(f"{'target':34} {'inputs':>9} {'seconds':>8} {'a second':>9} {'findings':>8}")
    right = True
    with quiet():
        for target, count in TARGETS.values():
            found = target(first, max(1, int(count * factor)))
            print(found.line(), flush=True)
            if found.troubles:
                right = False
                print(found.text())
    return right


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(
        not main(
            float(given[0]) if given else 1.0,
            int(given[1]) if len(given) > 1 else 1_000_000,
        )
    )
