"""A machine as Mermaid's `stateDiagram-v2`, for documents."""

from __future__ import annotations

from flowlang import machine
from flowlang.pictures.mermaid import escaped
from flowlang.pictures.ways import END, resting, title, told, ways


def mermaid_of(flow: machine.Machine) -> str:
    """A Mermaid `stateDiagram-v2`."""
    lines = ["---", f"title: {title(flow)}", "---", "stateDiagram-v2", f"    {END} --> Start"]
    leading = ways(flow)
    for state in resting(flow):
        for way in leading[state.name]:
            label = f" : {escaped(told(way))}" if way.told else ""
            lines.append(f"    {state.name} --> {way.target}{label}")
    for state in resting(flow):
        keeps = ", ".join(state.keeps) or "nothing"
        lines += [
            f"    note right of {state.name}",
            f"        line {state.place.line} {escaped(state.place.text)}",
            f"        keeps {escaped(keeps)}",
            "    end note",
        ]
    return "\n".join(lines) + "\n"
