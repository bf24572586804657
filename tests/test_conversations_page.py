"""What docs/conversations.md shows of wrong trades is what the compiler says of them.

Each change on the page is made to the example, and the text below it is compared. `UPDATE_EXPECT=1`
writes the texts anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from flowlang.cli.conversing import listed
from flowlang.compiler import compile_modules, conversations, misfits
from flowlang.diagnostics import as_text
from flowlang.source import Source

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "conversations.md"
TRADE = ROOT / "tests" / "examples" / "small_trade"
SHOWN = re.compile(r"^### (.*?)\n.*?^```diff\n(.*?)^```\n\n^```text\n(.*?)^```", re.M | re.S)
LISTED = re.compile(
    r"^\$ flowc check --tests tests/examples/small_trade\n```\n\n^```text\n(.*?)^```", re.M | re.S
)


def changed(text: str, diff: str) -> str:
    """The text after a change; each hunk fits in one place only."""
    for hunk in diff.split("@@\n"):
        lines = [line.rstrip("\n") for line in hunk.splitlines()]
        old = "\n".join(line[1:] for line in lines if line[:1] != "+")
        new = "\n".join(line[1:] for line in lines if line[:1] != "-")
        assert text.count(old) == 1, hunk
        text = text.replace(old, new)
    return text


def sources(text: str) -> dict[str, Source]:
    ledger = (TRADE / "ledger.flow").read_text()
    return {
        "trade": Source("trade.flow", "trade", text),
        "ledger": Source("ledger.flow", "ledger", ledger),
    }


def said(text: str) -> str:
    """What is found in a trade, as `flowc check` prints it."""
    known = sources(text)
    made = compile_modules(["trade"], known.get, lambda: known)
    assert not made.diagnostics
    return "\n".join(as_text(found, made.sources) for found in misfits(made))


def expect(start: int, end: int, text: str) -> None:
    page = PAGE.read_text()
    if os.environ.get("UPDATE_EXPECT"):
        PAGE.write_text(page[:start] + text + page[end:])
        page = PAGE.read_text()
    assert page[start:].startswith(f"{text}```")


@pytest.mark.parametrize("number", range(5))
def test_a_wrong_trade_is_told_as_the_page_says(number: int) -> None:
    shown = list(SHOWN.finditer(PAGE.read_text()))
    assert len(shown) == 5
    one = shown[number]
    text = said(changed((TRADE / "trade.flow").read_text(), one[2]))
    assert text.count("error[") == 1
    expect(one.start(3), one.end(3), text)


def test_the_right_trade_fits() -> None:
    assert said((TRADE / "trade.flow").read_text()) == ""


def test_the_listed_conversations_are_those_of_the_page() -> None:
    one = LISTED.search(PAGE.read_text())
    assert one
    known = sources((TRADE / "trade.flow").read_text())
    made = compile_modules(["trade"], known.get, lambda: known)
    expect(
        one.start(1), one.end(1), "\n".join(listed(conversations(made), ascii_only=False)) + "\n"
    )


def test_every_code_of_the_page_is_one() -> None:
    codes = set(re.findall(r"codes/(P\d+)\.md", PAGE.read_text()))
    assert codes >= {f"P{number}" for number in (*range(201, 212), 213)}


def test_what_counts_a_group_fits() -> None:
    (text,) = re.findall(r"^```flow\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    made = compile_modules(["buy"], {"buy": Source("buy.flow", "buy", text)}.get)
    assert [*made.diagnostics, *misfits(made)] == []
