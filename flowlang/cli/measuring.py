"""`flowc size` and `flowc stats`: tables of figures. Computes none of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowlang.cli.compiling import compile_or_exit
from flowlang.cli.printing import FILE, JSON, PATHS, print_json
from flowlang.diagnostics import closest
from flowlang.project import Project, shown, sources_below

if TYPE_CHECKING:
    from flowlang.figures import Counts, Size, StateSize


@click.command()
@FILE
@click.argument("flow", required=False)
@JSON
def size(file: Path, flow: str | None, as_json: bool) -> None:
    """Say what each flow of FILE, or FLOW alone, keeps in each state, and in how many bytes."""
    from flowlang import figures

    files = sources_below([file])
    compilation = compile_or_exit(files, as_json)
    module = compilation.modules[Project.around(files[0]).module_of(files[0])]
    flows = [one.name.rpartition(".")[2] for one in module.machines]
    if flow is not None and flow not in flows:
        near = closest(flow, flows)
        hint = f" Did you mean `{near}`?" if near else ""
        raise click.UsageError(f"There is no flow `{flow}` in {shown(file)}.{hint}")
    found = figures.sizes(module, compilation.modules, flow)
    if as_json:
        states = [dataclasses.asdict(one) for one in found]
        print_json({"ok": True, "samples": figures.SAMPLES, "states": states})
        return
    for name in dict.fromkeys(one.flow for one in found):
        click.echo(_sizes(name, [one for one in found if one.flow == name]))
    taken = figures.SAMPLES
    click.echo(
        f"~ is taken from samples: {taken['Text']} characters of text, {taken['Bytes']} bytes,"
        f" {taken['Party']} characters of a party's name,\n  {taken['List']} items of a list,"
        f" {taken['Map']} entries of a map. Messages in an inbox are not counted."
    )


def _sizes(name: str, states: Sequence[StateSize]) -> str:
    """The table of one flow."""
    rows = [("state", "line", "keeps", "bytes", "at most")]
    for one in states:
        rows.append((one.state, str(one.line), "", *_bytes(one.size)))
        rows += [("", "", f"{kept.name}: {kept.type}", *_bytes(kept.size)) for kept in one.kept]
    return f"{name}\n{table(rows, right=(1, 3, 4))}"


def _bytes(size: Size) -> tuple[str, str]:
    if size.most is None:
        return f"~{size.usual:,}", "no bound"
    return f"{size.usual:,}", f"{size.most:,}"


@click.command()
@PATHS
@JSON
def stats(paths: tuple[Path, ...], as_json: bool) -> None:
    """Count what the modules in PATHS, and those that they use, have: flows, states, messages."""
    from flowlang import figures

    compilation = compile_or_exit(sources_below(paths), as_json)
    found = [
        figures.counts(module, compilation.checked[name].source.text.count("\n"))
        for name, module in sorted(compilation.modules.items())
    ]
    if as_json:
        modules = [dataclasses.asdict(one) for one in found]
        print_json({"ok": True, "modules": modules, "total": _total(found)})
        return
    names = [field.name for field in dataclasses.fields(figures.Counts)]
    rows = [tuple(names)]
    rows += [tuple(_cell(getattr(one, name)) for name in names) for one in found]
    if len(found) > 1:
        total = _total(found)
        rows.append(tuple(_cell(total.get(name, "total")) for name in names))
    click.echo(table(rows, right=range(1, len(names))))


def _total(found: Sequence[Counts]) -> dict[str, int]:
    rows: list[dict[str, Any]] = [dataclasses.asdict(one) for one in found]
    return {name: sum(row[name] for row in rows) for name in rows[0] if name != "module"}


def _cell(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def table(rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    """Rows of words in columns; those in `right` stand at their column's right side."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            word.rjust(width) if number in right else word.ljust(width)
            for number, (word, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)
