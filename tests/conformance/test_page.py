"""docs/conformance.md answers for every scenario once, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.conformance.ids import CORDA, OTHERS

ROOT = Path(__file__).parent.parent.parent
ANSWERS = {"holds", "better", "does not apply", "open"}


class Row(NamedTuple):
    id: str
    scenario: str
    answer: str
    why: str
    tests: list[str]


def rows() -> list[Row]:
    found = []
    for line in (ROOT / "docs" / "conformance.md").read_text().splitlines():
        if re.match(r"\| CS?-?\d", line):
            name, scenario, answer, why, tests = [cell.strip() for cell in line[1:-1].split("|")]
            found.append(Row(name, scenario, answer, why, re.findall(r"`(\w+)`", tests)))
    return found


ROWS = rows()


def names_of(pattern: str) -> set[str]:
    texts = [path.read_text() for path in (ROOT / "tests").glob(pattern)]
    return {
        name for text in texts for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.M)
    }


def test_every_scenario_is_answered_once() -> None:
    ids = [row.id for row in ROWS]
    assert sorted(set(ids)) == sorted(ids)
    assert not {*CORDA.split(), *OTHERS.split()} - {*ids}


def test_every_answer_is_one_and_says_why_or_how() -> None:
    for row in ROWS:
        assert row.answer in ANSWERS, row
        assert row.scenario, row
        assert row.tests or row.answer in ("does not apply", "open"), row
        assert row.why or row.answer == "holds", row


def test_every_test_that_is_named_exists() -> None:
    known = names_of("**/test_*.py")
    assert [(row.id, test) for row in ROWS for test in row.tests if test not in known] == []


def test_every_test_of_a_scenario_is_named_by_it() -> None:
    named = {row.id: row.tests for row in ROWS}
    for test in names_of("conformance/test_*.py"):
        prefix = re.match(r"test_((?:cs?_?\d+_)+)", test)
        if prefix is None:
            continue
        for letters, number in re.findall(r"(cs_|c)(\d+)_", prefix[1]):
            name = f"CS-{number}" if letters == "cs_" else f"C{number}"
            assert test in named.get(name, []), f"{name} does not name {test}"
