"""Random whole programs do on nodes, through crashes, what the reference interpreter says.

Each program is run three times: by the reference interpreter of the syntax tree, on nodes that are
left in peace, and on nodes that crash before and after every commit and load each flow from bytes.
All that can be seen of the runs must be equal. `FLOW_PROGRAMS` is how many a campaign tries.
"""

from __future__ import annotations

import collections
import os

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.programs import breaks, trial
from tests.programs.constructs import WANTED, Count
from tests.programs.generator import Program, programs, seeded

CHUNKS = 21
IN_CHUNK = 50
CAMPAIGN = int(os.environ.get("FLOW_PROGRAMS", "5000"))
CAMPAIGN_CHUNKS = 20


def hold(number: int, count: int) -> None:
    """So many programs behave; a failing one is made small, and printed with both observations."""
    passed: set[str] = set()
    tried: list[bool] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(programs())
    def behaves(program: Program) -> None:
        if program.text not in passed:
            tried.append(trial.judge(program) is not None)
            passed.add(program.text)

    try:
        behaves()
    except trial.Differs as error:
        error.add_note(f"found with seed {number}")
        raise
    # Hypothesis may repeat itself; what counts are different programs that really ran.
    assert sum(tried) >= count * 0.96


@pytest.mark.parametrize("number", range(CHUNKS))
def test_programs_do_what_the_reference_says(number: int) -> None:
    hold(number, IN_CHUNK)


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(CAMPAIGN_CHUNKS))
def test_many_programs_do_what_the_reference_says(
    number: int, request: pytest.FixtureRequest
) -> None:
    if "campaign" not in request.config.option.markexpr:
        pytest.skip("a campaign: run with -m campaign")
    hold(1000 + number, CAMPAIGN // CAMPAIGN_CHUNKS)


# --- nothing is left out ------------------------------------------------------------------------


def test_every_construct_is_generated() -> None:
    """Counted in programs: each construct, and each way to end, is in several of them."""
    found: Count = collections.Counter()
    for number in range(800):
        program = seeded(number)
        files, _ = trial.understood(program)
        found.update(set(trial.expected(program, files).counts))
    missing = {name: found[name] for name in WANTED if found[name] < 3}
    assert not missing


# --- the test can fail --------------------------------------------------------------------------
