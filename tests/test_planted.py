"""Mistakes planted in right programs: each is said once, where it is, and nothing else is said.

A mistake that is said twice, or that hides another, costs its author a round. `FLOW_PLANTED` is how
many programs a campaign tries.
"""

from __future__ import annotations

import functools
import os
import random

import pytest

from flowlang.diagnostics import as_text
from tests.fuzz.mutations import written
from tests.fuzz.planted import DECLARATIONS, STATEMENTS, Planted, planted
from tests.programs.generator import seeded
from tests.test_codes import compiled

CHUNKS = 4
IN_CHUNK = 60
CAMPAIGN = int(os.environ.get("FLOW_PLANTED", "20000"))
CAMPAIGN_CHUNKS = 20


@functools.cache
def programs() -> list[str]:
    """Those of the repository, and random ones."""
    found = [*written(), *(seeded(number).text for number in range(30))]
    return [text for text in found if not compiled(text).diagnostics]


def trouble(case: Planted) -> str | None:
    """What the compiler says too much or too little; None if all is well."""
    made = compiled(case.text)
    missing = dict(case.places)
    more = []
    for found in made.diagnostics:
        line = found.span.line
        what = next((w for w, (first, last) in missing.items() if first <= line <= last), None)
        if what is None:
            more.append(found.code)
        else:
            del missing[what]
    if not missing and not more:
        return None
    shown = "\n".join(as_text(found, made.sources) for found in made.diagnostics)
    return f"not said: {list(missing)}, too much: {more}\n{shown}\n{case.text}"


def hold(numbers: range, count: int) -> None:
    tried = 0
    for number in numbers:
        choose = random.Random(number)
        case = planted(choose.choice(programs()), choose, count)
        if case is not None:
            tried += 1
            found = trouble(case)
            assert found is None, f"number {number}: {found}"
    assert tried * 4 > len(numbers), "most programs have no room for mistakes"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_three_mistakes_are_three_errors(chunk: int) -> None:
    hold(range(chunk * IN_CHUNK, (chunk + 1) * IN_CHUNK), 3)


def test_one_mistake_is_one_error() -> None:
    hold(range(IN_CHUNK), 1)


@pytest.mark.campaign
@pytest.mark.parametrize("chunk", range(CAMPAIGN_CHUNKS))
def test_many_programs_with_three_mistakes(chunk: int) -> None:
    size = max(1, CAMPAIGN // CAMPAIGN_CHUNKS)
    hold(range(1_000_000 + chunk * size, 1_000_000 + (chunk + 1) * size), 3)


PLAIN = "flow Plain(count: Int) -> Int:\n{}\n    return count\n\n{}\n\nrecord Last:\n    a: Int\n"


@pytest.mark.parametrize("what", STATEMENTS)
def test_each_statement_alone(what: str) -> None:
    lines = STATEMENTS[what].format(n="zza", N="Zza").split("\n")
    text = PLAIN.format("\n".join(f"    {line}" for line in lines), "")
    assert trouble(Planted(text, {what: (2, 1 + len(lines))})) is None


@pytest.mark.parametrize("what", DECLARATIONS)
def test_each_declaration_alone(what: str) -> None:
    lines = DECLARATIONS[what].format(n="zza", N="Zza").split("\n")
    text = PLAIN.format("    pass", "\n".join(lines))
    assert trouble(Planted(text, {what: (5, 4 + len(lines))})) is None


FOUND = {
    "a word of some places as a name": (
        "record Told:\n    right: Bool\n\nrecord Asked:\n    what: Text\n\n"
        "flow F(what: Text) -> Bool:\n"
        '    let answer = ask "clerk": Asked(what) ->\n    return answer.right\n',
        8,
    ),
    "return misspelt, before a bracket": (
        "flow F(a: Int) -> Int:\n    retrun (a + 1)\n",
        2,
    ),
    "return misspelt, before a list": (
        "flow F(a: Int) -> List[Int]:\n    if a > 1:\n        return []\n    retrun [a].sorted()\n",
        4,
    ),
    "a name lost, functions below it": (
        "flow F() -> Decimal:\n    let = 1\n    return round(10.00, 0, HALF_UP)\n",
        2,
    ),
    "a built-in value declared again": (
        "flow F(a: Int):\n    let me = a\n    open G with me as talk\n    close talk\n\n"
        "flow G():\n    responds to F as talk\n    pass\n",
        2,
    ),
    "a bracket left open before a Python type": (
        'error E(a: Int\ntype Invoice = python "a:B"\n\nflow F(a: Invoice):\n    pass\n',
        1,
    ),
    "a bracket left open before a subflow": (
        "flow F(a: Int):\n    let x = max(a, 1\n    subflow G(x)\n\nflow G(a: Int):\n    pass\n",
        2,
    ),
    "a call cut off behind a comma": (
        "flow F(a: Int, b: Int) -> Int:\n    let x = max(a,\n    return x\n",
        2,
    ),
}
"""What was said twice, and the line where it is wrong."""


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_stays_one_error(what: str) -> None:
    text, line = FOUND[what]
    assert trouble(Planted(text, {what: (line, line)})) is None


def test_what_is_said_twice_or_not_at_all_is_noticed() -> None:
    text = "flow F(a: Int):\n    let x = b\n    let y = c\n"
    assert "too much: ['F201']" in (trouble(Planted(text, {"b": (2, 2)})) or "")
    assert "not said: ['a']" in (trouble(Planted(text, {"a": (1, 1), "b": (2, 2)})) or "")
