"""Graphs in layers: whatever the graph, boxes never meet, and every edge runs from its source to
its target around the others."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from flowlang.pictures.layered import Edge, Layout, Point, Size, layout
from flowlang.pictures.measure import broken, columns, shortened, width
from flowlang.pictures.tracks import Turn, tracks

NONE = Size(0, 0)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Size], list[Edge]]:
    count = draw(st.integers(1, 12))
    sizes = [Size(draw(st.integers(40, 300)), draw(st.integers(20, 90))) for _ in range(count)]
    ends = draw(
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=24)
    )
    labels = [draw(st.sampled_from([NONE, Size(80, 20), Size(150, 65)])) for _ in ends]
    return sizes, [Edge(a, b, label) for (a, b), label in zip(ends, labels, strict=True)]


Box = tuple[float, float, float, float]


def boxes(sizes: list[Size], edges: list[Edge], at: Layout) -> list[Box]:
    nodes = [(p.x, p.y, *size) for p, size in zip(at.nodes, sizes, strict=True)]
    labels = [
        (p.x, p.y, *edge.label) for p, edge in zip(at.labels, edges, strict=True) if p is not None
    ]
    return [*nodes, *labels]


def overlap(one: Box, other: Box) -> bool:
    (x, y, w, h), (a, b, c, d) = one, other
    return x < a + c and a < x + w and y < b + d and b < y + h


def crosses(start: Point, end: Point, box: Box) -> bool:
    """Whether a piece of a line runs through a box, not only along its edge."""
    x, y, w, h = box
    return (
        max(start.x, end.x) > x + 1
        and min(start.x, end.x) < x + w - 1
        and max(start.y, end.y) > y + 1
        and min(start.y, end.y) < y + h - 1
    )


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_nothing_meets_and_every_edge_arrives(graph: tuple[list[Size], list[Edge]]) -> None:
    sizes, edges = graph
    at = layout(sizes, edges)
    drawn = boxes(sizes, edges, at)
    assert not [pair for pair in itertools.combinations(drawn, 2) if overlap(*pair)]
    nodes = drawn[: len(sizes)]
    for edge, route in zip(edges, at.routes, strict=True):
        source, target = nodes[edge.source], nodes[edge.target]
        assert source[0] - 1 <= route[0].x <= source[0] + source[2] + 1
        assert route[0].y == source[1] + source[3]
        assert target[0] - 1 <= route[-1].x <= target[0] + target[2] + 1
        assert route[-1].y == target[1]
        for start, end in itertools.pairwise(route):
            assert abs(start.x - end.x) < 0.5 or abs(start.y - end.y) < 0.5  # at right angles
            assert not [box for box in nodes if crosses(start, end, box)]
    for x, y, w, h in drawn:
        assert 0 <= x <= at.wide - w
        assert 0 <= y <= at.high - h
    assert layout(sizes, edges) == at


def test_lines_side_by_side_have_tracks_of_their_own() -> None:
    nested = [Turn((0,), (30,)), Turn((10,), (40,)), Turn((50,), (50,)), Turn((60,), (90,))]
    assert tracks(nested) == [1, 0, 0, 0]
    assert (
        tracks([Turn((0,), (20,)), Turn((20,), (0,))])[0]
        != tracks([Turn((0,), (20,)), Turn((20,), (0,))])[1]
    )


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60), st.floats(30, 300), st.booleans())
def test_what_is_cut_fits(text: str, room: float, mono: bool) -> None:
    assert width(shortened(text, room, 12, mono=mono), 12, mono=mono) <= max(room, 12)
    for line in broken(text, room, 12, most=3, mono=mono):
        assert width(line, 12, mono=mono) <= max(room, 12)
    assert len(broken(text, room, 12, most=3)) <= 3


def test_wide_letters_count_twice_and_marks_above_letters_not() -> None:
    assert columns("売り手") == 6
    assert columns("e\u0301") == 1
    assert width("i", 10) < width("W", 10) <= width("売", 10)
