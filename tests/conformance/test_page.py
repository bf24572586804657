"""docs/conformance.md answers for every scenario once, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.conformance.ids import ASKED, CORDA, OTHERS, WIRE

ROOT = Path(__file__).parent.parent.parent
ANSWERS = {"holds", "better", "otherwise", "does not apply", "open"}


class Row(NamedTuple):
    id: str
    scenario: str
    answer: str
    why: str
    tests: list[str]


def rows() -> list[Row]:
    found = []
    for line in (ROOT / "docs" / "conformance.md").read_text().splitlines():
        if re.match(r"\| (CS?-?\d|[WR]\d\d)", line):
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
    assert not {*CORDA.split(), *OTHERS.split(), *WIRE.split(), *ASKED.split()} - {*ids}


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


# --- bad inputs -------------------------------------------------------------------------------

INPUTS = [row for row in ROWS if row.id[0] in "WR"]
ID = re.compile(r"\b([WR]\d\d)\b")


def test_every_test_of_a_bad_input_has_its_id() -> None:
    """In its name, or where its cases or what it is for are told: in its module."""
    homes: dict[str, list[str]] = {}
    for path in (ROOT / "tests").glob("**/test_*.py"):
        text = path.read_text()
        for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.M):
            homes.setdefault(name, []).append(text)
    without = [
        (row.id, test)
        for row in INPUTS
        for test in row.tests
        if f"_{row.id.lower()}_" not in test and not any(row.id in text for text in homes[test])
    ]
    assert without == []


def test_every_case_of_a_bad_input_is_of_a_row_that_names_its_test() -> None:
    """Whatever test has an id in its name is named there; of a module that has cases of an id, one
    test is."""
    named = {row.id: {*row.tests} for row in INPUTS}
    passed_over = []
    for path in (ROOT / "tests").glob("**/test_*.py"):
        if path == Path(__file__):
            continue
        text = path.read_text()
        tests = re.findall(r"^(?:async )?def (test_\w+)", text, re.M)
        for test in tests:
            for letter, number in re.findall(r"_([wr])(\d\d)(?=_)", test):
                name = f"{letter.upper()}{number}"
                if test not in named[name]:
                    passed_over.append((name, test))
        for name in sorted(set(ID.findall(text))):
            if not named[name] & {*tests}:
                passed_over.append((name, path.name))
    assert passed_over == []


def test_who_is_not_let_in_is_refused_by_tests_that_exist() -> None:
    text = (ROOT / "docs" / "conformance.md").read_text()
    lines = text.split("\n### Who is not let in\n")[1].split("\n## ")[0].splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][2:]
    assert len(rows) >= 9
    known = names_of("**/test_*.py")
    for _, at_parties, at_users, tests in rows:
        named = re.findall(r"`(test_\w+)`", tests)
        assert "" not in (at_parties, at_users)
        assert named
        assert not {*named} - known
