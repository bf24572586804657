"""`flowc protocol`: what two flows say to each other, and what a new version of one breaks. Reads
files and prints; compares nothing itself."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flowlang.cli.compiling import compile_or_exit
from flowlang.cli.printing import JSON, PATHS, drawable, print_diagnostics, print_json
from flowlang.diagnostics import as_data, closest, in_order
from flowlang.project import Project, shown, sources_below

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowlang.protocol.asking import Comparison, Matrix, Release


@click.group()
def protocol() -> None:
    """Write down what two flows say to each other, or compare versions of what they say."""


_FLOW = re.compile(r"(?P<file>.+\.flow):(?P<flow>[A-Za-z]\w*)\Z")


def _named(written: str) -> tuple[Path, str | None]:
    """`FILE` or `FILE:Flow`."""
    found = _FLOW.match(written)
    return (Path(found["file"]), found["flow"]) if found else (Path(written), None)


def _release(path: Path, as_json: bool) -> Release:
    from flowlang.protocol.asking import Release

    file = sources_below([path])[0]
    compilation = compile_or_exit([file], as_json)
    module = compilation.modules[Project.around(file).module_of(file)]
    return Release(shown(file), module, tuple(compilation.modules.values()), compilation.sources)


def _check_flow(release: Release, name: str) -> None:
    if release.flow(name) is None:
        names = [one.name.rpartition(".")[2] for one in release.module.machines]
        near = closest(name, names)
        hint = f" Did you mean `{near}`?" if near else ""
        raise click.UsageError(f"There is no flow `{name}` in {release.file}.{hint}")


# --- infer ----------------------------------------------------------------------------------------


@protocol.command()
@click.argument("one", metavar="FILE:FLOW")
@click.argument("other", metavar="FLOW")
@click.option("--name", help="What the protocol is called. Default: after the flow that opens.")
@click.option("--use", is_flag=True, help="Write `use` lines for the messages, too.")
@JSON
def infer(one: str, other: str, name: str | None, use: bool, as_json: bool) -> None:
    """Write the protocol that two flows follow: flowc protocol infer trade.flow:Seller Buyer

    What is printed is a declaration; put it where the messages are declared.
    """
    from flowlang.protocol import asking, inferring

    path, first = _named(one)
    if first is None:
        raise click.UsageError(f"Name a flow of the file: {one}:SomeFlow")
    second = _named(other)[1] or other
    release = _release(path, as_json)
    qualified = []
    for flow in (first, second):
        _check_flow(release, flow)
        found = release.flow(flow)
        assert found is not None
        qualified.append(found.name)
    if name is not None and not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,63}", name):
        raise click.UsageError(f"`{name}` is no name of a protocol: write it in UpperCamel.")
    try:
        made = asking.inferred(release, qualified[0], qualified[1], name)
    except inferring.NotInferred as why:
        _fail(str(why), as_json)
    if as_json:
        print_json({"ok": True, "protocol": made.text, "messages": list(made.messages)})
        return
    if use:
        click.echo(_uses(made.messages) + "\n")
    click.echo(made.text, nl=False)


def _uses(messages: Sequence[str]) -> str:
    modules: dict[str, list[str]] = {}
    for message in messages:
        module, _, short = message.rpartition(".")
        modules.setdefault(module, []).append(short)
    return "\n".join(f"use {path}: {', '.join(names)}" for path, names in sorted(modules.items()))


# --- diff -----------------------------------------------------------------------------------------


@protocol.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@JSON
def diff(old: str, new: str, as_json: bool) -> None:
    """Say who breaks when NEW takes the place of OLD.

    OLD and NEW are files, or a flow in each: flowc protocol diff v1/trade.flow:Buyer
    v2/trade.flow:Buyer. The peers need not be known. Exits 1 if somebody breaks.
    """
    from flowlang.protocol import asking

    (old_path, old_flow), (new_path, new_flow) = _named(old), _named(new)
    if (old_flow is None) != (new_flow is None):
        raise click.UsageError("Name a flow of both files, or of none.")
    before, after = _release(old_path, as_json), _release(new_path, as_json)
    if old_flow is not None and new_flow is not None:
        _check_flow(before, old_flow)
        _check_flow(after, new_flow)
    found = asking.compared(before, old_flow, after, new_flow)
    wrong = any(one.breaks or one.unknown for one in found)
    if as_json:
        print_json({"ok": not wrong, "compared": [_data(one, after) for one in found]})
    elif not found:
        click.echo("There is nothing to compare: no protocol, and no flow with a session.")
    else:
        for one in found:
            _print_comparison(one, after)
    sys.exit(int(wrong))


def _place(spot: Any, release: Release) -> str:
    sources = {source.module: source.name for source in release.sources.values()}
    return f"{sources.get(spot.module, spot.module)}:{spot.place.line}"


def _data(one: Comparison, release: Release) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "unknown": one.unknown,
        "breaks": [
            {"who": found.peers, "place": _place(found.spot, release) if found.spot else None}
            for found in one.breaks
        ],
    }


def _print_comparison(one: Comparison, release: Release) -> None:
    if one.unknown is not None:
        click.echo(drawable(f"{one.subject}: cannot be compared"))
        click.echo(drawable(f"    {one.unknown}"))
        return
    click.echo(drawable(f"{one.subject}: {'breaks' if one.breaks else 'nobody breaks'}"))
    for found in one.breaks:
        place = f"   ({_place(found.spot, release)})" if found.spot is not None else ""
        click.echo(drawable(f"    {found.peers}{place}"))


# --- matrix ---------------------------------------------------------------------------------------


@protocol.command()
@PATHS
@JSON
def matrix(paths: tuple[Path, ...], as_json: bool) -> None:
    """Compare all versions of each initiator in PATHS with all versions of its responder.

    PATHS are files of one release each, such as v1/settle.flow v2/settle.flow. Exits 1 if a pair
    does not fit.
    """
    from flowlang.protocol import asking

    releases = [_release(file, as_json) for path in paths for file in sources_below([path])]
    found = asking.matrices(releases)
    cells = [cell for one in found for cell in one.cells]
    diagnostics = in_order([cell.found for cell in cells if cell.found is not None])
    wrong = any(cell.code for cell in cells)
    if as_json:
        pairs = [dataclasses.asdict(one) for one in found]
        for pair in pairs:
            for cell in pair["cells"]:
                cell.pop("found")
        said = [as_data(one) for one in diagnostics]
        print_json({"ok": not wrong, "pairs": pairs, "diagnostics": said})
    elif not found:
        click.echo("No flow here opens a session to which another one here responds.")
    else:
        sources = {source.name: source for one in releases for source in one.sources.values()}
        print_diagnostics(diagnostics, sources)
        click.echo("\n".join(_table(one) for one in found))
    sys.exit(int(wrong))


def _table(one: Matrix) -> str:
    """Initiators down, responders across."""
    codes = {(cell.initiator, cell.responder): cell.code or "fits" for cell in one.cells}
    wide = max(map(len, one.initiators))
    widths = [max(len(name), 5) for name in one.responders]
    rows = [
        " " * wide
        + "".join(
            f"  {name.ljust(size)}" for name, size in zip(one.responders, widths, strict=True)
        )
    ]
    for initiator in one.initiators:
        said = [codes[initiator, responder] for responder in one.responders]
        cells = "".join(f"  {code.ljust(size)}" for code, size in zip(said, widths, strict=True))
        rows.append(initiator.ljust(wide) + cells)
    return "\n".join(row.rstrip() for row in rows)


def _fail(message: str, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"ok": False, "message": message})
    else:
        click.echo(f"error: {message}", err=True)
    sys.exit(1)
