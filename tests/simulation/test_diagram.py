"""Diagrams and values as people read them."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from flowrt.core.flow import Party
from flowrt.sim.diagram import MOST_ROWS, Row, diagram
from flowrt.sim.notation import brief, shown
from tests.runtime import hand_flow


def test_lanes_of_three() -> None:
    rows = [
        Row("a", "b", "Order(3)", "+0s"),
        Row("c", "a", "Offer", "+0s"),
        Row("b", "b", "a note that goes over other lanes", "+1s"),
    ]
    assert diagram(["a", "b", "c"], rows, ascii_only=True) == [
        "     a              b             c",
        "+0s  |-- Order(3) ->|             |",
        "     |<--------- Offer -----------|",
        "+1s  |              | a note that goes over other lanes",
    ]
    assert diagram(["a", "b"], rows[:1]) == [
        "     a              b",
        "+0s  │── Order(3) ─▶│",
    ]


def test_no_times_no_column() -> None:
    assert diagram(["ann", "bob"], [Row("bob", "ann", "Yes")]) == [
        "ann           bob",
        " │◀─── Yes ────│",
    ]


def test_wide_letters_take_two_columns() -> None:
    heads, arrow = diagram(["ann", "売り手"], [Row("ann", "売り手", "注文")])
    assert heads == "ann         売り手"
    assert arrow == " │─── 注文 ───▶│"


def test_a_long_story_is_cut() -> None:
    lines = diagram(["a", "b"], [Row("a", "b", str(n)) for n in range(MOST_ROWS + 5)])
    assert len(lines) == MOST_ROWS + 2
    assert lines[-1] == "│ … 5 more    │"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('say "a\\b"', '"say \\"a\\\\b\\""'),
        ("ä\n\x1b\u202e\x85", '"ä\\n\\x1b\\u{202e}\\x85"'),
        ((1, True, None), "[1, true, none]"),
        ({"a": Decimal("1.50")}, '{"a": 1.5}'),
        (Party("bob"), "bob"),
        (datetime.timedelta(hours=25), "1d1h"),
        (hand_flow.Ask(3), "Ask(n=3)"),
    ],
)
def test_values_read_as_one_writes_them(value: object, text: str) -> None:
    assert shown(value) == text


def test_what_is_long_is_cut() -> None:
    assert brief("a" * 100, 10) == '"aaaaaaaa…'
