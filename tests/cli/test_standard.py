"""The library that comes with flowlang: anybody uses it, nobody writes it, its Python is fresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowlang import standard
from flowlang.codegen import generate
from flowlang.compiler import compile_modules, misfits, remarks
from flowlang.formatter import formatted
from flowlang.project import Project
from flowlang.source import Source
from tests.cli.conftest import Flowc

MODULES = sorted(
    ".".join(path.relative_to(standard.TEXTS).with_suffix("").parts)
    for path in standard.TEXTS.rglob("*.flow")
)
SHOP = """\
use ledger.approval: ApprovePayment, Payment, PaymentDecision, PaymentRefused
use ledger: Order

flow Rent(order: Order, limit: Decimal = 2.00) -> Text:
    startable by rpc
    let agreed = subflow ApprovePayment(Payment(order.to, 3.00, "GBP", "rent"), limit, 1d)
    if agreed != none:
        return agreed
    return "nobody"

test "the treasury agrees":
    parties alice, bob
    start rent = Rent(Order(bob)) at alice
    answer "treasury" at alice with PaymentDecision.Approve by "ann"
    expect rent returns "ann"

test "the treasury does not agree":
    parties alice, bob
    start rent = Rent(Order(bob)) at alice
    answer "treasury" at alice with PaymentDecision.Refuse("no") by "ann"
    expect rent throws PaymentRefused("ann", "no")
"""
LEDGER = "record Order:\n    to: Party\n"


def _sources() -> dict[str, Source]:
    found = {}
    for name in MODULES:
        path = standard.text_of(name)
        assert path is not None
        found[name] = Source(str(path.relative_to(standard.TEXTS)), name, path.read_text())
    return found


def test_what_is_committed_is_what_the_compiler_makes() -> None:
    """If not: `make stdlib`."""
    sources = _sources()
    made = compile_modules(sources, sources.get)
    found = [*made.diagnostics, *remarks(made), *misfits(made)]
    assert [one for one in found if one.severity != "note"] == []
    for name, module in made.modules.items():
        assert standard.python_of(name).read_text() == generate(module), f"{name}: make stdlib"
    there = set(standard.python_folder().rglob("*_flow.py"))
    assert there == {standard.python_of(name) for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_it_is_written_the_one_way(name: str) -> None:
    source = _sources()[name]
    assert formatted(source).text == source.text


def test_a_project_uses_it_and_does_not_write_it(flowc: Flowc, tmp_path: Path) -> None:
    (tmp_path / "renting.flow").write_text(SHOP)
    (tmp_path / "ledger.flow").write_text(LEDGER)
    for _ in range(2):
        assert flowc("check", "renting.flow")[0] == 0
    assert flowc("compile", "renting.flow")[0] == 0
    assert {path.name for path in tmp_path.rglob("*.py")} == {"renting_flow.py", "ledger_flow.py"}
    text = (tmp_path / "renting_flow.py").read_text()
    assert "from flowrt.stdlib.ledger.approval_flow import" in text
    assert "from ledger_flow import Order" in text
    code, said, talk = flowc("test", "renting.flow")
    assert (code, talk) == (0, ""), said
    arguments = ("order=Order(bob)", "limit=3.00", "--as", "alice")
    assert flowc("compile", "renting.flow")[1].endswith("3 modules compiled, 0 changed.\n")
    assert flowc("graph", "renting.flow")[0] == 0
    code, said, talk = flowc("run", "renting.flow", "Rent", *arguments)
    assert (code, said) == (0, 'renting.Rent_v1 returned "nobody"\n'), talk


def test_two_modules_of_one_name_are_told(flowc: Flowc, tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "approval.flow").write_text(LEDGER)
    (tmp_path / "ledger" / "mine.flow").write_text(LEDGER)
    (tmp_path / "renting.flow").write_text("use ledger.mine: Order\nuse ledger.approval: Payment\n")
    code, said, talk = flowc("check", "renting.flow")
    assert code == 1
    assert said + talk == (
        "error[F714]: module `ledger.approval` is also in the library that comes with flowlang\n"
        "  --> ledger/approval.flow:1:1\n"
        " help: rename the file or its folder\n"
    )


def test_its_own_files_are_a_project() -> None:
    path = standard.TEXTS / "ledger" / "approval.flow"
    project = Project.around(path)
    assert project == Project(standard.TEXTS, standard.python_folder())
    assert project.module_of(path) == "ledger.approval"
    found = project.find("ledger.approval")
    assert found is not None
    assert (found.file, found.standard) == (path, False)


def test_its_own_tests_pass(flowc: Flowc) -> None:
    code, said, talk = flowc("test", str(standard.TEXTS))
    assert (code, talk) == (0, ""), said


def test_who_changed_it_and_did_not_compile_it_is_told(
    flowc: Flowc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "renting.flow").write_text(SHOP)
    (tmp_path / "ledger.flow").write_text(LEDGER)
    monkeypatch.setattr(standard, "python_folder", lambda: tmp_path)
    code, said, talk = flowc("test", "renting.flow")
    assert code == 1
    assert "error[F717]: this was made from another ledger/approval.flow" in said + talk
    assert "runs `make stdlib`" in said + talk
