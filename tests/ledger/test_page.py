"""The example of docs/ledger.md is one program, and it runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from flowrt.ledger.problems import ContractRejected, LedgerError

PAGE = Path(__file__).parent.parent.parent / "docs" / "ledger.md"


def test_the_example_of_the_page_runs(monkeypatch) -> None:
    made = ModuleType("acme_tickets")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    names = vars(made)
    names["module"] = made
    for text in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        exec(compile(text, str(PAGE), "exec"), names)
    ticket, passing = names["Ticket"], names["Pass"]
    bad = names["TransactionBuilder"]().use(names["sale"].transaction.output(0))
    bad.make(ticket(names["fan"].public, names["fan"].public, "row 1", names["Amount"](0, "CHF")))
    bad.command(passing(), names["organiser"].public)
    known = names["known"]
    with pytest.raises(ContractRejected, match="only the owner changes"):
        names["verify"](
            bad.build(),
            lambda ref: known[ref.transaction].outputs[ref.index],
            names["rules"],
            {},
        )


def test_every_error_is_on_the_page() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    kinds = LedgerError.__subclasses__()
    assert {kind.__name__ for kind in kinds if kind.__module__ == LedgerError.__module__} <= told
