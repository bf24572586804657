"""The same judges, with inputs guided by what code they reach.

    python -m tests.fuzz.guided frames|checkpoints|programs [libFuzzer options, as -runs=9999]

Wants atheris, which the project does not depend on: `pip install atheris`. It begins from what real
conversations made, and ends with the first finding. Without it there are the targets of
tests/fuzz/targets.py, which spoil the same corpus by structure.
"""

from __future__ import annotations

import importlib
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TARGETS = {
    "frames": ("tests.fuzz.wire", "frames"),
    "checkpoints": ("tests.fuzz.rest", "checkpoints"),
    "programs": ("tests.fuzz.trial", ""),
}
INSTRUMENTED = ["flowrt", "flowlang"]
MOST_BYTES = 1 << 14


class Found(Exception):
    """An input that a judge has something against."""


def main(name: str, options: list[str]) -> None:
    """Run until something is found, or as long as the options say."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris, or run tests.fuzz.targets")
    place, corpus = TARGETS[name]
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.fair import quiet
        from tests.fuzz.mutations import corpus as written
        from tests.fuzz.packed import spoiled

        target = importlib.import_module(place)
    judge: Callable[[bytes], str | None] = target.judge
    samples = [text.encode() for text in written()] if not corpus else getattr(target, corpus)()

    def one(data: bytes) -> None:
        wrong = judge(data)
        if wrong is not None:
            raise Found(f"{name}: {wrong}")

    def by_structure(data: bytes, most: int, seed: int) -> bytes:
        """Every second time as MessagePack, else as bytes."""
        choose = random.Random(seed)
        if choose.random() < 0.5:
            return spoiled(data, choose, samples)[:most]
        return atheris.Mutate(data, most)

    with tempfile.TemporaryDirectory() as folder, quiet():
        for number, sample in enumerate(samples):
            Path(folder, str(number)).write_bytes(sample[:MOST_BYTES])
        arguments = [sys.argv[0], folder, f"-max_len={MOST_BYTES}", "-timeout=20", *options]
        mutator = {"custom_mutator": by_structure} if corpus else {}
        atheris.Setup(arguments, one, **mutator)
        atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.guided {'|'.join(TARGETS)} [options]")
    main(sys.argv[1], sys.argv[2:])
