"""A machine in words, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from flowlang import machine
from flowlang.diagnostics import printable
from flowlang.pictures.ways import END, Way, awaited, resting, short, title, told, ways
from flowlang.types import shown


def text_of(flow: machine.Machine) -> str:
    """For a terminal: each state with its line, what it waits for and keeps, where it goes."""
    types = {variable.name: variable.type for variable in flow.variables}
    types |= {parameter.name: parameter.type for parameter in flow.parameters}
    parameters = ", ".join(f"{p.name}: {shown(p.type)}" for p in flow.parameters)
    result = f" -> {shown(flow.result)}" if flow.result is not None else ""
    lines = [f"{title(flow)}({parameters}){result}"]
    if flow.responds_to is not None:
        lines.append(f"responds to {flow.responds_to}")
    if flow.startable:
        lines.append(f"startable by {', '.join(flow.startable)}")
    for one in flow.remedies:
        tries = f"retry {one.retries} every {one.every_us / 1e6:g}s then " if one.retries else ""
        lines.append(f"on {one.cause} {tries}{'end' if one.ends else 'hold'}")
    rests, leading = resting(flow), ways(flow)
    lines_of = {state.name: state.place.line for state in flow.states}
    width = max(len(state.name) for state in rests)
    for state in rests:
        lines.append("")
        name = state.name
        keeps = [f"{kept}: {shown(types[kept])}" for kept in state.keeps]
        for what, said in _rows(state, keeps, leading[name], lines_of):
            lines.append(f"  {name:{width}}  {what:8} {said}".rstrip())
            name = ""
    return "\n".join(printable(line) for line in lines) + "\n"


def _rows(
    state: machine.State, keeps: list[str], leading: Iterable[Way], lines: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    yield f"line {state.place.line}", state.place.text
    if state.awaits is not None:
        yield "waits", f"for {awaited(state.awaits)}"
    yield "keeps", ", ".join(keeps) or "nothing"
    for number, way in enumerate(leading):
        target = "the end" if way.target == END else way.target
        said = f": {told(way)}" if way.told else ""
        yield "" if number else "then", f"{target}{said}"
    for number, handler in enumerate(state.handlers):
        errors = ", ".join(short(error) for error in handler.errors)
        yield "" if number else "catches", f"{errors} (line {lines[handler.target]})"
