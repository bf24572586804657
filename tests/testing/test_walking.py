"""Conversations that the compiler lists are walked by the real flows; it is told where not."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from flowlang.compiler import compile_modules, conversations
from flowlang.source import Source
from flowrt.testing import walk
from tests.examples.loaded import EXAMPLES


def talks(example: str, module: str) -> list[dict[str, Any]]:
    """What `flowc check --tests --json` lists of an example."""
    files = {
        path.stem: Source(path.name, path.stem, path.read_text())
        for path in (EXAMPLES / example).glob("*.flow")
    }
    made = compile_modules([module], files.get, lambda: files)
    return [dataclasses.asdict(one) for one in conversations(made)]


@pytest.fixture(scope="module")
def sale() -> dict[str, Any]:
    return talks("purchase", "purchase")[0]


@pytest.mark.parametrize(
    ("example", "module", "count"), [("loan", "loan", 2), ("purchase", "purchase", 1)]
)
def test_the_examples_walk(
    example: str, module: str, count: int, examples: dict[str, SimpleNamespace]
) -> None:
    modules = [examples[example].flow]
    for talk in talks(example, module)[:count]:
        for side in (0, 1):
            found = walk(talk, side, modules=modules)
            assert found.walked, str(found)


def test_a_flow_that_never_follows(
    sale: dict[str, Any], examples: dict[str, SimpleNamespace]
) -> None:
    modules = [examples["purchase"].flow]
    answers = {"Warehouse.list_price": st.none()}
    found = walk(sale, 1, modules=modules, answers=answers, tries=10, seed=3)
    assert not found.walked
    assert (found.said, found.wanted) == (1, 4)
    assert str(found) == (
        "Sale_v1 not walked: after 1 of 4 messages Sale_v1 ends (throws NotForSale)"
        f" ({found.tries} tries, seed 3)"
    )
    assert walk(sale, 1, modules=modules, answers=answers, tries=10, seed=3) == found


def test_a_flow_that_says_something_else(
    sale: dict[str, Any], examples: dict[str, SimpleNamespace]
) -> None:
    steps = [dict(one) for one in sale["steps"]]
    next(one for one in steps if one["text"] == "Quote")["text"] = "Confirmation"
    found = walk({**sale, "steps": steps}, 1, modules=[examples["purchase"].flow], tries=40)
    assert not found.walked
    assert found.left == "Sale_v1 sends Quote instead of Confirmation"


def test_a_message_that_is_not_listed(
    sale: dict[str, Any], examples: dict[str, SimpleNamespace]
) -> None:
    steps = [one for one in sale["steps"] if one["text"] != "Quote"]
    found = walk({**sale, "steps": steps}, 1, modules=[examples["purchase"].flow], tries=40)
    assert not found.walked
    assert found.left == "Sale_v1 sends Quote besides"


def test_what_is_not_there(sale: dict[str, Any], examples: dict[str, SimpleNamespace]) -> None:
    modules = [examples["purchase"].flow]
    with pytest.raises(InvalidArgument, match=r"no module has a flow purchase\.Auction"):
        walk({**sale, "right": "purchase.Auction"}, 1, modules=modules)
    with pytest.raises(InvalidArgument, match=r"no flow calls an operation Desk\.ask"):
        walk(sale, 0, modules=modules, answers={"Desk.ask": st.none()}, tries=1)
