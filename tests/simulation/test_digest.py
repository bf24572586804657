"""The same seed is the same world: in any process, under any hash seed, optimised or not, and when
it is played again from its choices."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowrt.sim import play
from flowrt.sim.tape import count
from tests.simulation import programs, stories

ROOT = Path(__file__).parents[2]
SEEDS = 18
MANY = 36

DIGESTS = """
import itertools, logging, sys
from flowrt.sim import play
from tests.simulation import programs, stories
logging.disable()
made = [*stories.examples(), *itertools.islice(programs.stories(), 5)]
for seed in range(int(sys.argv[1])):
    story = made[seed % len(made)]
    print(story.name, seed, play(story, seed).world.digest)
"""


def digests(seeds: int, *options: str, hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *options, "-c", DIGESTS, str(seeds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("seeds", [SEEDS, pytest.param(MANY, marks=pytest.mark.campaign)])
def test_digests_do_not_depend_on_the_process(seeds: int) -> None:
    plain = digests(seeds, hash_seed="0")
    assert len(set(plain)) == seeds
    assert digests(seeds, hash_seed="1") == plain
    assert digests(seeds, "-O", hash_seed="2") == plain


@pytest.mark.parametrize("kind", [stories.Trade, stories.Channel, stories.Loan, stories.Purchase])
def test_examples_are_replayed_exactly(kind: type) -> None:
    replayed([kind()], 30)


@pytest.mark.parametrize("worlds", [40, pytest.param(100, marks=pytest.mark.campaign)])
def test_programs_are_replayed_exactly(worlds: int) -> None:
    replayed(list(itertools.islice(programs.stories(500), 8)), worlds)


def replayed(made: list[object], worlds: int) -> None:
    choices = 0
    for seed in range(worlds):
        story = made[seed % len(made)]
        first = play(story, seed)  # type: ignore[arg-type]
        again = play(story, choices=first.choices)  # type: ignore[arg-type]
        assert again.world.digest == first.world.digest, (first.scenario, seed)
        assert again.choices == first.choices
        choices += count(first.choices)
    assert choices > 20 * worlds


def test_another_seed_is_another_world() -> None:
    story = stories.Purchase()
    assert len({play(story, seed).world.digest for seed in range(30)}) == 30
