"""Machines as SVG: well-formed whatever the author writes, every state and way drawn once, nothing
on top of something else. UPDATE_EXPECT=1 writes the picture of `expected/` anew."""

from __future__ import annotations

import itertools
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from flowlang import machine
from flowlang.compiler import compile_modules
from flowlang.pictures import states_svg
from flowlang.pictures.ways import END, resting, ways
from flowlang.source import Source
from tests.examples.loaded import folder_of
from tests.pictures import letters
from tests.programs.generator import LIBRARY, MODULE, seeded

EXPECTED = Path(__file__).parent / "expected"
SVG = "{http://www.w3.org/2000/svg}"


def machines(text: str) -> list[machine.Machine]:
    made = compile_modules(["m"], {"m": Source("m.flow", "m", text)}.get)
    assert not made.diagnostics
    return list(made.modules["m"].machines)


def random_machines(seed: int) -> list[machine.Machine]:
    program = seeded(seed)
    files = {MODULE: Source("program.flow", MODULE, program.text)}
    if program.library is not None:
        files[LIBRARY] = Source("shapes.flow", LIBRARY, program.library)
    made = compile_modules([MODULE], files.get)
    return [one for module in made.modules.values() for one in module.machines]


def judge(flow: machine.Machine) -> None:
    graph = states_svg.graph_of(flow)
    at = states_svg.layout_of(graph)
    drawn = [
        (point.x, point.y, *states_svg.size_of(node))
        for point, node in zip(at.nodes, graph.nodes, strict=True)
    ]
    for (x, y, w, h), (a, b, c, d) in itertools.combinations(drawn, 2):
        assert not (x < a + c and a < x + w and y < b + d and b < y + h)
    names = [node.lines[0][0] for node in graph.nodes if node.kind not in ("end", "failure", "far")]
    assert names == [state.name for state in resting(flow)]
    # One line for each way; all errors of a state are in one box.
    wanted = 0
    for found in ways(flow).values():
        failures = [way for way in found if way.target == END and way.told[-1] != "return"]
        wanted += len(found) - max(0, len(failures) - 1)
    assert len(graph.edges) == wanted
    page = ET.fromstring(states_svg.svg_of(flow))
    assert not letters.trouble(page)
    assert page.find(f"{SVG}title") is not None
    assert page.find(f"{SVG}desc") is not None
    room = (0.0, 0.0, float(page.get("width") or 0), float(page.get("height") or 0))
    for box in page.iter(f"{SVG}rect"):
        assert float(box.get("x") or 0) + float(box.get("width") or 0) <= room[2]
        assert float(box.get("y") or 0) + float(box.get("height") or 0) <= room[3]


def test_machines_of_random_programs_are_drawn() -> None:
    for seed in range(3):
        for flow in random_machines(seed):
            judge(flow)


def test_what_authors_write_is_only_text() -> None:
    [flow] = machines(
        "flow F(n: Int):\n"
        '    hold "</text><script>alert(1)</script> & \\" \\u{202E} \\u{0} 売り手"\n'
    )
    drawn = states_svg.svg_of(flow)
    assert not {one.tag for one in ET.fromstring(drawn).iter()} & {f"{SVG}script", f"{SVG}a"}
    assert "&lt;/text&gt;&lt;scri" in drawn
    assert all(part.isprintable() for part in drawn.split("\n"))


def test_a_picture_needs_nothing_from_elsewhere() -> None:
    [flow] = machines("flow F():\n    checkpoint\n")
    drawn = states_svg.svg_of(flow)
    assert re.findall(r"https?://[^\"]+", drawn) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in drawn
    assert "@import" not in drawn
    assert "prefers-color-scheme:dark" in drawn


def test_a_far_way_is_a_stub() -> None:
    waits = "".join("        checkpoint\n" for _ in range(states_svg.FAR + 3))
    [flow] = machines(
        "error Gone\n\nflow F(n: Int):\n    try:\n        if n > 0:\n            throw Gone()\n"
        f"{waits}    catch Gone:\n        pass\n    sleep 1m\n"
    )
    graph = states_svg.graph_of(flow)
    [first, *others] = [node.lines[0][0] for node in graph.nodes if node.kind == "far"]
    assert first == "to Asleep"
    assert set(others) <= {first}


def test_a_picture_of_two_thousand_states_is_made() -> None:
    waits = "".join(
        f"        checkpoint\n        if n > {n}:\n            sleep 1m\n" for n in range(1000)
    )
    [flow] = machines(f"flow F(n: Int):\n    while n > 0:\n{waits}")
    graph = states_svg.graph_of(flow)
    assert len([node for node in graph.nodes if node.kind == "time"]) == 2000
    ET.fromstring(states_svg.svg_of(flow))


def test_the_buyer_looks_as_expected() -> None:
    folder = folder_of("small_trade")

    def load(name: str) -> Source:
        return Source(f"{name}.flow", name, (folder / f"{name}.flow").read_text("utf-8"))

    made = compile_modules(["trade"], load)
    [buyer] = [one for one in made.modules["trade"].machines if one.name == "trade.Buyer"]
    path, drawn = EXPECTED / "buyer.svg", states_svg.svg_of(buyer)
    if "UPDATE_EXPECT" in os.environ:
        path.write_text(drawn, "utf-8")
    assert drawn == path.read_text("utf-8")
