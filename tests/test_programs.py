"""Random whole programs do on nodes, through crashes, what the reference interpreter says.

Each program is run three times: by the reference interpreter of the syntax tree, on nodes that are
left in peace, and on nodes that crash before and after every commit and load each flow from bytes.
All that can be seen of the runs must be equal. `FLOW_PROGRAMS` is how many a campaign tries.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from flowlang import codegen
from flowlang.cfg import liveness
from flowlang.cfg.graph import Block
from flowlang.parser import parse
from flowlang.source import Source
from tests.programs import breaks, constructs, deep, python, trial
from tests.programs.constructs import NOT_GENERATED, WANTED, Count, sorts
from tests.programs.generator import Program, seeded

CHUNKS = 21
IN_CHUNK = 20
IN_CHUNK_OF_CAMPAIGN = 48
CAMPAIGN = int(os.environ.get("FLOW_PROGRAMS", "5000"))
CAMPAIGN_CHUNKS = 20
FIRST = 1_000_000
"""The first seed of a campaign, beyond those that are tried every time."""

SELDOM = (
    122, 19, 356, 270, 395, 78, 151, 430, 664, 62, 314, 791, 362, 776, 584, 171, 20, 188, 604, 783,
    509, 665, 668, 118, 138, 226, 40, 149, 375, 482, 589, 30, 42, 88, 131, 143, 196, 235, 236, 239,
    305, 445, 679, 103, 268,
)  # fmt: skip
"""Programs that together have every construct twice: where to look first."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Programs log much, and fail on purpose."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def hold(first: int, count: int) -> None:
    """So many programs behave, from that seed on; one that does not is made small, and printed with
    what it should have done and what it did."""
    tried = 0
    for number in itertools.count(first):
        if tried == count:
            return
        program = seeded(number)
        try:
            # Some take too long to be tried.
            tried += trial.judge(program) is not None
        except trial.Differs as found:
            small = trial.smallest(program, found)
            small.add_note(f"found with seed {number}")
            raise small from None


@pytest.mark.parametrize("number", range(CHUNKS))
@pytest.mark.parametrize(
    "count", [IN_CHUNK, pytest.param(IN_CHUNK_OF_CAMPAIGN, marks=pytest.mark.campaign)]
)
def test_programs_do_what_the_reference_says(number: int, count: int) -> None:
    hold(number * 1000, count)


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(CAMPAIGN_CHUNKS))
def test_many_programs_do_what_the_reference_says(number: int) -> None:
    hold(FIRST + number * 100_000, CAMPAIGN // CAMPAIGN_CHUNKS)


# --- deeper than random programs go ---------------------------------------------------------------


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    "sorts", [("if",), ("for",), ("while",), ("try",), ("try", "for", "if", "while")]
)
def test_deep_blocks_do_what_the_reference_says(sorts: tuple[str, ...], waits: bool) -> None:
    for depth in (19, 60):
        expected = trial.judge(deep.tower(sorts, depth, waits=waits))
        assert expected is not None
        assert expected.seen.main.ending.how == "returned"


@pytest.mark.parametrize("program", [deep.sum_of_calls(90), deep.guarded_calls(30)])
def test_deep_expressions_do_what_the_reference_says(program: Program) -> None:
    expected = trial.judge(program)
    assert expected is not None
    assert len(expected.seen.main.journal) > 1


# --- nothing is left out ------------------------------------------------------------------------


def test_every_construct_is_generated() -> None:
    """Counted in programs: each construct, and each way to fail, is in several of them."""
    found: Count = collections.Counter()
    for number in [*SELDOM, *(number for number in range(800) if number not in SELDOM)]:
        program = seeded(number)
        texts = [text for text in (program.library, program.text) if text is not None]
        files = [parse(Source("program.flow", "program", text)).file for text in texts]
        found.update(set(constructs.count(files) + trial.expected(program, files).happened))
        missing = {name: found[name] for name in WANTED if found[name] < 2}
        if not missing and {name for name in sorts() if found[name] < 2} == NOT_GENERATED:
            return
    assert not missing
    assert {name for name in sorts() if found[name] < 2} == NOT_GENERATED


def test_generated_python_is_as_clean_as_written(tmp_path: Path) -> None:
    """What mypy --strict and ruff say of it: nothing."""
    for number in range(25):
        program = seeded(number)
        _, modules = trial.understood(program)
        # Programs in two files import each other by the same name, so each is in a folder alone.
        folder = tmp_path / (f"two_files_{number}" if program.library else "one_file")
        for module in modules:
            name = module.module if program.library else f"program_{number}"
            python.write(folder, name, codegen.generate(module))
    assert python.complaints(tmp_path) == ""


# --- the test can fail --------------------------------------------------------------------------


Broken = Callable[[breaks.Modules], Iterable[breaks.Modules]]


def noticed(broken: Broken, known: int) -> trial.Differs | None:
    """A program that shows the break, looked for first where it is known to be seen; None if none
    of the first hundred does."""
    for number in [known, *range(100)]:
        program = seeded(number)
        _, modules = trial.understood(program)
        for changed in broken(modules):
            try:
                trial.judge(program, lambda _, changed=changed: changed)  # type: ignore[misc]
            except trial.Differs as found:
                return found
    return None


def as_they_are(modules: breaks.Modules) -> list[breaks.Modules]:
    return [modules]


def test_a_variable_that_is_not_kept_is_noticed() -> None:
    found = noticed(breaks.forgetful, 0)
    assert found is not None
    assert "only in the actual run" in str(found)


def test_handlers_that_are_missing_are_noticed() -> None:
    found = noticed(breaks.careless, 4)
    assert found is not None
    assert "only in the actual run" in str(found)


@pytest.mark.parametrize("broken", [breaks.patient, breaks.hoarding])
def test_deadlines_that_are_missing_are_noticed(broken: Broken) -> None:
    found = noticed(broken, 16)
    assert found is not None
    assert "only in the actual run" in str(found)


def test_liveness_that_forgets_handlers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only a `catch` needs must be kept as well."""
    needed = liveness.needed

    def forgetful(blocks: Sequence[Block]) -> Mapping[str, frozenset[str]]:
        return needed([dataclasses.replace(block, handlers=()) for block in blocks])

    monkeypatch.setattr(liveness, "needed", forgetful)
    found = noticed(as_they_are, 27)
    assert found is not None
    assert "only in the actual run" in str(found)
