"""Test blocks: those that hold, and for each way to fail a program with the whole text.

`failures/waits.flow` fails as `failures/waits.txt` says. `UPDATE_EXPECT=1` writes the texts anew.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flowlang.codegen import generate
from flowlang.compiler import compile_modules
from flowlang.project import Project
from flowlang.source import Source
from flowlang.testing.gathering import Workshop
from flowlang.testing.playing import Played

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FAILURES = sorted((HERE / "failures").glob("*.flow"))
HOLD = [
    ROOT / "tests" / "language" / "runs" / "tests.flow",
    ROOT / "flowlang" / "templates" / "new" / "greeting.flow",
    HERE / "events.flow",
    *sorted(
        path for path in (ROOT / "examples").glob("*/*.flow") if '\ntest "' in path.read_text()
    ),
]
UPDATE = bool(os.environ.get("UPDATE_EXPECT"))


def played(path: Path) -> Iterator[Played]:
    """All tests of a file, run."""
    workshop = Workshop(Project.around(path), [path])
    try:
        assert not workshop.diagnostics
        for test in workshop.tests[path]:
            yield workshop.play(test)
    finally:
        workshop.close()


@pytest.mark.parametrize("path", HOLD, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_holds(path: Path) -> None:
    for one in played(path):
        assert one.failure is None, one.text()


@pytest.mark.parametrize("path", FAILURES, ids=lambda path: path.stem)
def test_what_fails_says_all_about_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    [one] = played(Path(path.name))
    text = one.text()
    expected = path.with_suffix(".txt")
    if UPDATE:
        expected.write_text(text)
    assert text == expected.read_text()


def test_every_failure_has_its_own_text() -> None:
    assert {path.stem for path in (HERE / "failures").glob("*.txt")} == {p.stem for p in FAILURES}


def test_the_same_twice(tmp_path: Path) -> None:
    path = Path(shutil.copy(ROOT / "examples" / "purchase" / "purchase.flow", tmp_path))
    first, second = ([(one.history, one.flows) for one in played(path)] for _ in range(2))
    assert [[repr(e) for e in h] for h, _ in first] == [[repr(e) for e in h] for h, _ in second]


# --- the page ---------------------------------------------------------------------------------


def test_the_tests_of_the_language_page(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "language.md").read_text()
    first = text.partition("```flow\n")[2].partition("```")[0]
    tests = text.partition("## Tests\n")[2].partition("```flow declarations\n")[2]
    (tmp_path / "shopping.flow").write_text(f"{first}\n{tests.partition('```')[0]}")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "prices.py").write_text(
        "import decimal\n\n\ndef total(items):\n"
        "    return decimal.Decimal(sum(item.count for item in items) * 8)\n"
    )
    found = list(played(tmp_path / "shopping.flow"))
    assert len(found) == 2
    for one in found:
        assert one.failure is None, one.text()


# --- what tests do not touch ------------------------------------------------------------------

PLAIN = """\
flow Ask(other: Party) -> Text:
    startable by rpc
    log info "{other}"
    return "yes"
"""
TEST = """

test "asking":
    parties ann, bob
    start asking = Ask(bob) at ann
    expect asking returns "yes"
"""


def python_of(text: str) -> str:
    made = compile_modules(["shop"], {"shop": Source("shop.flow", "shop", text)}.get)
    assert not made.diagnostics
    return generate(made.modules["shop"])


@pytest.mark.parametrize("text", [PLAIN + TEST, f"{PLAIN}{TEST}{TEST.replace('asking', 'more')}"])
def test_a_test_changes_nothing_of_what_is_compiled(text: str) -> None:
    assert python_of(text) == python_of(PLAIN)


def test_names_of_two_projects_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two projects have a module `prices` each, and each gets its own; so does who has another."""
    foreign = ModuleType("prices")
    foreign.__file__ = str(tmp_path / "elsewhere" / "prices.py")
    monkeypatch.setitem(sys.modules, "prices", foreign)
    for name, price in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "prices.py").write_text(f"def price():\n    return {price}\n")
        (folder / "shop.flow").write_text(
            'function price() -> Int = python "prices:price"\n\n'
            "flow Ask() -> Int:\n    startable by rpc\n    return price()\n\n"
            'test "price":\n    parties ann\n    start asking = Ask() at ann\n'
            f"    expect asking returns {price}\n"
        )
    shops = [Workshop(Project.around(p), [p]) for p in sorted(tmp_path.glob("*/shop.flow"))]
    for _ in range(2):
        for shop in shops:
            [[test]] = shop.tests.values()
            one = shop.play(test)
            assert one.failure is None, one.text()
            assert sys.modules["prices"] is foreign
            assert "shop_flow" not in sys.modules
    for shop in shops:
        shop.close()
