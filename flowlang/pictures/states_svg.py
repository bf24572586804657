"""A machine as SVG: its states in layers, and what happens on the ways between them."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, assert_never

from flowlang import machine
from flowlang.pictures import svg
from flowlang.pictures.layered import Edge, Layout, Point, Size, layout, ranks
from flowlang.pictures.measure import shortened
from flowlang.pictures.ways import END, Way, awaited, resting, short, steps_at, title, ways
from flowlang.types import shown

TITLE = svg.Style(16, bold=True)
SUBTITLE = svg.Style(12, "soft", mono=True)
NAME = svg.Style(13, bold=True)
WAITS = svg.Style(12)
SOURCE = svg.Style(10.5, "soft", mono=True)
TOLD = svg.Style(11.5, "soft")
STEP = svg.Style(9.5, "blue", bold=True)
END_NAME = svg.Style(12, bold=True)

BROADEST = 300.0
"""Pixels of a line in a state; a longer one is shortened."""

LABEL = 190.0
"""Pixels of what stands beside a line."""

MOST_TOLD = 7
"""Lines beside one way; of more, those in the middle are left out."""

FAR = 6
"""A way over more ranks than this is drawn as a stub that says where it leads."""

MARGIN = 24.0


class Node(NamedTuple):
    """What is drawn in a box: `kind` says how."""

    kind: str
    lines: tuple[tuple[str, svg.Style], ...]
    steps: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Graph:
    """The machine as boxes and lines: `told` is what stands beside each of the `edges`."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    told: tuple[tuple[str, ...], ...]


def svg_of(flow: machine.Machine) -> str:
    """The whole file."""
    graph = graph_of(flow)
    return _drawn(flow, graph, layout_of(graph))


def layout_of(graph: Graph) -> Layout:
    """Where the boxes and lines of a graph go."""
    return layout([size_of(node) for node in graph.nodes], graph.edges)


def graph_of(flow: machine.Machine) -> Graph:
    """A box for each state in which the flow rests, and for each way in which one of them ends."""
    states = resting(flow)
    steps, leading = steps_at(flow), ways(flow)
    numbers = {state.name: number for number, state in enumerate(states)}
    nodes = [_state_node(state, steps.get(state.name, ())) for state in states]
    found: list[tuple[int, int, Way]] = []
    for state in states:
        failures = [way.told[-1] for way in leading[state.name] if _fails(way)]
        for way in leading[state.name]:
            if way.target == END:
                if _fails(way) and way.told[-1] != failures[0]:
                    continue  # All errors of a state are in one box.
                nodes.append(_end_node(failures if _fails(way) else ["return"]))
                found.append(
                    (numbers[state.name], len(nodes) - 1, way._replace(told=way.told[:-1]))
                )
            else:
                found.append((numbers[state.name], numbers[way.target], way))
    none = Size(0, 0)
    rank = ranks(len(nodes), [Edge(source, target, none) for source, target, _ in found])
    edges, told = [], []
    for source, target, way in found:
        if abs(rank[target] - rank[source]) > FAR:
            nodes.append(Node("far", ((f"to {way.target}", WAITS),)))
            target = len(nodes) - 1
        lines = _told_lines(way)
        wide = max((TOLD.width(line) for line in lines), default=0.0)
        edges.append(Edge(source, target, Size(wide, 15.0 * len(lines) + 6) if lines else none))
        told.append(lines)
    return Graph(tuple(nodes), tuple(edges), tuple(told))


def _state_node(state: machine.State, steps: tuple[str, ...]) -> Node:
    lines = [(state.name, NAME)]
    if state.awaits is not None:
        lines.append((awaited(state.awaits).removesuffix(": …"), WAITS))
    lines.append((f"{state.place.line}  {state.place.text}", SOURCE))
    fitting = tuple((_cut(said, style), style) for said, style in lines)
    return Node(_kind(state.awaits), fitting, steps if len(steps) <= 2 else (*steps[:1], "…"))


def _fails(way: Way) -> bool:
    return way.target == END and way.told[-1] != "return"


def _end_node(said: list[str]) -> Node:
    kind = "end" if said == ["return"] else "failure"
    shown_ = said if len(said) <= MOST_TOLD else [*said[: MOST_TOLD - 1], "…"]
    return Node(kind, tuple((_cut(one, END_NAME), END_NAME) for one in shown_))


def _kind(wait: machine.Wait | None) -> str:
    match wait:
        case None:
            return "start"
        case machine.AwaitMessage() | machine.AwaitEach() | machine.AwaitChoice():
            return "message"
        case machine.AwaitSubflow():
            return "subflow"
        case machine.AwaitResult() | machine.AwaitResults() | machine.AwaitAnswer():
            return "others"
        case machine.AwaitCheckpoint() | machine.AwaitTime() | machine.AwaitMoment():
            return "time"
        case machine.AwaitOperator():
            return "operator"
        case _:
            assert_never(wait)


_COLOURS = {
    "start": "f-box s-line",
    "message": "f-blue-box s-blue",
    "subflow": "f-green-box s-green",
    "others": "f-amber-box s-amber",
    "time": "f-box s-line",
    "operator": "f-red-box s-red",
    "end": "f-green-box s-green",
    "failure": "f-red-box s-red",
    "far": "f-ground s-line dashed",
}


def _told_lines(way: Way) -> tuple[str, ...]:
    told = way.told
    if len(told) > MOST_TOLD:
        told = (*told[: MOST_TOLD - 2], "…", told[-1])
    return tuple(shortened(line, LABEL, TOLD.size) for line in told)


def _cut(said: str, style: svg.Style) -> str:
    return shortened(said, BROADEST, style.size, bold=style.bold, mono=style.mono)


def size_of(node: Node) -> Size:
    """How large a box is, in pixels."""
    wide = max(style.width(said) for said, style in node.lines) + 28
    if node.kind in ("end", "failure", "far"):
        return Size(wide, 17 * len(node.lines) + 11)
    if node.steps:
        wide = max(wide, STEP.width(" · ".join(node.steps)) + 28)
    return Size(max(wide, 90), 17 * len(node.lines) + (34 if node.steps else 16))


def _drawn(flow: machine.Machine, graph: Graph, at: Layout) -> str:
    elements: list[str] = []
    result = f" -> {shown(flow.result)}" if flow.result is not None else ""
    parameters = ", ".join(f"{p.name}: {shown(p.type)}" for p in flow.parameters)
    under = _under(flow)
    room = max(at.wide, 360.0)
    head = shortened(f"({parameters}){result}", room, SUBTITLE.size, mono=True)
    elements.append(
        svg.text(MARGIN, 32, shortened(title(flow), room, 16, bold=True), TITLE, "start")
    )
    elements.append(svg.text(MARGIN, 52, head, SUBTITLE, "start"))
    if under:
        said = shortened(under, room, SUBTITLE.size, mono=True)
        elements.append(svg.text(MARGIN, 68, said, SUBTITLE, "start"))
    left, top = MARGIN, 100.0 if under else 84.0

    def moved(point: Point) -> tuple[float, float]:
        return (point.x + left, point.y + top)

    for route, edge in zip(at.routes, graph.edges, strict=True):
        colour = "red" if graph.nodes[edge.target].kind == "failure" else "line"
        points = [moved(point) for point in route]
        elements.append(svg.line(points, f"s-{colour}", 6))
        elements.append(svg.head(points[-1], (0, 1), colour))
    start = moved(Point(at.nodes[0].x + size_of(graph.nodes[0]).wide / 2, at.nodes[0].y))
    elements.append(svg.line([(start[0], start[1] - 20), start], "s-line"))
    elements.append(svg.dot(start[0], start[1] - 20, 5, "f-ink"))
    elements.append(svg.head(start, (0, 1), "line"))
    for node, corner in zip(graph.nodes, at.nodes, strict=True):
        elements += _node(node, *moved(corner))
    for lines, label in zip(graph.told, at.labels, strict=True):
        if label is not None:
            x, y = moved(label)
            for number, said in enumerate(lines):
                style = dataclasses.replace(TOLD, colour=_told_colour(said))
                elements.append(svg.text(x, y + 14 + 15 * number, said, style, "start", halo=True))
    rests = sum(1 for node in graph.nodes if node.kind not in ("end", "failure", "far"))
    described = f"The state machine of flow {short(flow.name)}: {rests} states in which it rests."
    widest = max(room, TITLE.width(title(flow)) if room > 360 else 0.0)
    return svg.page(widest + 2 * MARGIN, at.high + top + MARGIN, title(flow), described, elements)


def _under(flow: machine.Machine) -> str:
    parts = []
    if flow.responds_to is not None:
        parts.append(f"responds to {flow.responds_to}")
    if flow.startable:
        parts.append(f"startable by {', '.join(flow.startable)}")
    return "; ".join(parts)


def _node(node: Node, x: float, y: float) -> list[str]:
    size = size_of(node)
    is_small = node.kind in ("end", "failure", "far")
    round_ = 14 if is_small else 6
    elements = [svg.box(x, y, size.wide, size.high, _COLOURS[node.kind], round_)]
    middle, at = x + size.wide / 2, y + (19 if is_small else 22)
    for said, style in node.lines:
        colour = {"end": "green", "failure": "red"}.get(node.kind, style.colour)
        elements.append(svg.text(middle, at, said, dataclasses.replace(style, colour=colour)))
        at += 17
    if node.steps:
        elements.append(svg.text(middle, at + 2, " · ".join(node.steps), STEP))
    return elements


def _told_colour(said: str) -> str:
    word = said.partition(" ")[0]
    return {"step": "blue", "catch": "red", "send": "ink"}.get(word, "soft")
