"""Sequence pictures: every writer draws every item once, whatever they say; no box on another one.
UPDATE_EXPECT=1 writes the pictures of `expected/` anew."""

from __future__ import annotations

import itertools
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlang.pictures import sequence_mermaid, sequence_svg, sequence_text
from flowlang.pictures.measure import columns
from flowlang.pictures.sequence import (
    Alternatives,
    Branch,
    Ending,
    Frame,
    Instead,
    Item,
    Lane,
    Loop,
    Message,
    Note,
    Progress,
    Sequence,
    every,
    without_subflows,
)
from tests.pictures import letters

EXPECTED = Path(__file__).parent / "expected"
SVG = "{http://www.w3.org/2000/svg}"
KEYS = ("a", "b", "c")

SHOP = Sequence(
    "Seller and Buyer",
    (
        Lane("a", "Seller"),
        Lane("b", "Buyer", "at buyer"),
        Lane("c", "Vault", "of Buyer", "service"),
    ),
    (
        Progress("a", "OFFERING", "Offering the paper"),
        Message("a", "b", "Terms", place="trade.flow:71 → 110"),
        Instead(
            "UnacceptablePrice",
            (Message("b", "a", "UnacceptablePrice", "error"), Ending("b", "fails", failed=True)),
        ),
        Loop(
            "while true",
            (
                Frame("b", "Settle", (Message("b", "c", "propose", "call"),)),
                Message("c", "b", "Proposal", "answer"),
                Note(("a",), "held", "wait"),
            ),
        ),
        Alternatives(
            (
                Branch("price > limit", (Message("b", "a", "Refusal"),)),
                Branch("otherwise", (Message("b", "b", "thinks"), Message("b", "a", "End", "end"))),
            )
        ),
        Message("a", "c", "late", "lost"),
        Note(("a", "b"), "`price > limit`", "condition", "trade.flow:9"),
        Note(("b",), "does not fit: Terms comes, but Buyer waits for Consent", "trouble"),
        Ending("a", "returns"),
    ),
    "What is said between a seller and a buyer.",
)

words = st.text(max_size=40) | st.sampled_from(["</text>", "end", "a; b # c", "売り手", "x" * 300])
lanes = st.sampled_from(KEYS)
leaves: st.SearchStrategy[Item] = st.one_of(
    st.builds(
        Message,
        lanes,
        lanes,
        words,
        st.sampled_from(["data", "call", "answer", "error", "end", "lost"]),
        words,
    ),
    st.builds(
        Note,
        st.lists(lanes, min_size=1, max_size=3).map(tuple),
        words,
        st.sampled_from(["plain", "condition", "wait", "trouble"]),
        words,
    ),
    st.builds(Progress, lanes, words, words),
    st.builds(Ending, lanes, words, st.booleans(), words),
)


def within(inner: st.SearchStrategy[Item]) -> st.SearchStrategy[Item]:
    items = st.lists(inner, max_size=3).map(tuple)
    branches = st.lists(st.builds(Branch, words, items), min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Alternatives, branches),
        st.builds(Instead, words, items),
        st.builds(Loop, words, items),
        st.builds(Frame, lanes, words, items),
    )


pictures = st.builds(
    Sequence,
    words,
    st.tuples(*(st.builds(Lane, st.just(key), words, words) for key in KEYS)),
    st.lists(st.recursive(leaves, within, max_leaves=12), max_size=5).map(tuple),
    words,
)


@settings(max_examples=15, deadline=None)
@given(pictures)
def test_every_picture_can_be_drawn(picture: Sequence) -> None:
    page = ET.fromstring(sequence_svg.svg_of(picture))
    assert not letters.trouble(page)
    boxes = sequence_svg.boxes_of(picture)
    for one, other in itertools.combinations(boxes, 2):
        apart = (
            one.x >= other.x + other.wide
            or other.x >= one.x + one.wide
            or one.y >= other.y + other.high
            or other.y >= one.y + one.high
        )
        assert apart or holds(one, other) or holds(other, one)
    wide, high = float(page.get("width") or 0), float(page.get("height") or 0)
    for box in boxes:
        assert 0 <= box.x <= wide - box.wide
        assert 0 <= box.y <= high - box.high
    fragments = [
        item
        for item in every(picture.items)
        if isinstance(item, Alternatives | Instead | Loop | Frame)
    ]
    assert len([box for box in boxes if box.depth]) == len(fragments)
    for drawn in (sequence_text.text_of(picture), sequence_mermaid.mermaid_of(picture)):
        assert all(line.isprintable() for line in drawn.split("\n"))
    assert sequence_mermaid.mermaid_of(picture).count("\n    end\n") <= len(fragments)
    sequence_text.text_of(without_subflows(picture), ascii_only=True)


def test_a_long_condition_has_room_in_its_frame() -> None:
    condition = "a condition that is a good deal longer than all that happens under it"
    picture = Sequence("", (Lane("a", "A"),), (Loop(condition, (Ending("a", "ends"),)),))
    [frame] = [box for box in sequence_svg.boxes_of(picture) if box.depth]
    page = ET.fromstring(sequence_svg.svg_of(picture))
    [title] = [one for one in letters.texts(page) if one[0] == condition]
    assert frame.x < title[1] < title[2] < frame.x + frame.wide


def holds(one: sequence_svg.Box, other: sequence_svg.Box) -> bool:
    return (
        one.depth > 0
        and one.x <= other.x
        and one.y <= other.y
        and one.x + one.wide >= other.x + other.wide
        and one.y + one.high >= other.y + other.high
    )


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("shop.svg", sequence_svg.svg_of(SHOP)),
        ("shop.mmd", sequence_mermaid.mermaid_of(SHOP)),
        ("shop.txt", sequence_text.text_of(SHOP)),
        ("shop-ascii.txt", sequence_text.text_of(SHOP, ascii_only=True)),
        ("shop-shut.txt", sequence_text.text_of(without_subflows(SHOP))),
    ],
)
def test_a_picture_looks_as_expected(name: str, drawn: str) -> None:
    path = EXPECTED / name
    if "UPDATE_EXPECT" in os.environ:
        path.write_text(drawn, "utf-8")
    assert drawn == path.read_text("utf-8")


def test_lines_of_the_terminal_are_as_wide_as_they_look() -> None:
    wide = Sequence(
        "",
        (Lane("a", "売り手"), Lane("b", "買い手")),
        (Loop("毎日", (Message("a", "b", "注文"),)),),
    )
    lines = [line for line in sequence_text.text_of(wide).splitlines() if line[:1] in "┌│└"]
    assert len({columns(line) for line in lines}) == 1
