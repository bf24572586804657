"""`flowc graph`: which flows are drawn, as what, and where to. Draws nothing itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from flowlang.cli.compiling import compile_or_exit
from flowlang.cli.printing import FILE, PATH
from flowlang.diagnostics import closest
from flowlang.project import FileTrouble, Project, shown, sources_below

if TYPE_CHECKING:
    from flowlang.compiler import Compilation
    from flowlang.pictures.sequence import Sequence

_Value = TypeVar("_Value")


@click.command()
@FILE
@click.argument("flows", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "svg"]),
    help="text for a terminal, mermaid for documents, svg for everything else. "
    "Default: what the name of OUTPUT says, otherwise text.",
)
@click.option(
    "--conversation",
    is_flag=True,
    help="What the FLOWS say to each other; the first one begins. Without others: all that it "
    "opens.",
)
@click.option(
    "--inline/--no-inline",
    default=True,
    show_default=True,
    help="In a conversation, whether what happens in subflows is drawn.",
)
@click.option("-o", "--output", type=PATH, help="File to write. Default: standard output.")
def graph(
    file: Path,
    flows: tuple[str, ...],
    form: str | None,
    conversation: bool,
    inline: bool,
    output: Path | None,
) -> None:
    """Draw the state machines of FLOWS in FILE (of all of them if none is named), or with
    --conversation what they say to each other.

    \b
    flowc graph trade.flow Buyer -o buyer.svg
    flowc graph trade.flow --conversation Seller Buyer Notary
    """
    form = form or _form_of(output)
    files = sources_below([file])
    compilation = compile_or_exit(files)
    module = Project.around(files[0]).module_of(files[0])
    if conversation:
        drawn = _conversation(compilation, module, file, flows, form, inline)
    else:
        drawn = _machines(compilation, module, file, flows, form)
    if output is None:
        click.echo(drawn, nl=False)
    else:
        _write(output, drawn)
        click.echo(f"wrote {shown(output)}", err=True)


def _write(path: Path, drawn: str) -> None:
    """A picture that is there is drawn anew; a source is never written over."""
    if path.suffix in (".flow", ".py"):
        raise click.UsageError(f"{shown(path)} is the name of a source, not of a picture.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(drawn, "utf-8")
    except OSError as error:
        why = f"cannot write here: {error.strerror or error}"
        raise FileTrouble("F706", shown(path), why) from None


def _form_of(output: Path | None) -> str:
    suffix = output.suffix if output is not None else ""
    return {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}.get(suffix, "text")


def _machines(
    compilation: Compilation, module: str, file: Path, flows: tuple[str, ...], form: str
) -> str:
    from flowlang import machine
    from flowlang.pictures import states_mermaid, states_svg, states_text

    found = {one.name.rpartition(".")[2]: one for one in compilation.modules[module].machines}
    chosen = [_known(name, found, file) for name in flows] or list(found.values())
    if form == "svg" and len(chosen) != 1:
        names = ", ".join(found)
        raise click.UsageError(
            f"An SVG shows one flow, so name one of {names}; or all together in their "
            "--conversation."
        )
    draw: Callable[[machine.Machine], str] = {
        "mermaid": states_mermaid.mermaid_of,
        "svg": states_svg.svg_of,
        "text": states_text.text_of,
    }[form]
    return "\n".join(draw(one) for one in chosen)


def _conversation(
    compilation: Compilation,
    module: str,
    file: Path,
    flows: tuple[str, ...],
    form: str,
    inline: bool,
) -> str:
    from flowlang import types
    from flowlang.pictures import sequence_mermaid, sequence_svg, sequence_text
    from flowlang.pictures.conversation import conversation, opened_by
    from flowlang.pictures.sequence import without_subflows

    infos = {
        name: info.name
        for name, info in compilation.checked[module].scope.items()
        if isinstance(info, types.FlowInfo)
    }
    if not flows:
        raise click.UsageError("Name the flow that begins the conversation.")
    root, *others = [_known(name, infos, file) for name in flows]
    opened = opened_by(root, compilation.checked)
    reached = opened_by(root, compilation.checked, others) if others else opened
    for name, other in zip(flows[1:], others, strict=True):
        if other not in opened:
            raise click.UsageError(_not_opened(flows[0], name, opened))
        if other not in reached:
            raise click.UsageError(
                f"`{name}` is opened by another flow than these: name that one too, or "
                f"`{flows[0]}` alone for all."
            )
    picture: Sequence = conversation(root, others or opened, compilation.checked)
    if not inline:
        picture = without_subflows(picture)
    if form == "svg":
        return sequence_svg.svg_of(picture)
    if form == "mermaid":
        return sequence_mermaid.mermaid_of(picture)
    return sequence_text.text_of(picture, ascii_only=not _draws_lines())


def _not_opened(root: str, name: str, opened: list[str]) -> str:
    talks = ", ".join(one.rpartition(".")[2] for one in opened)
    if talks:
        return f"`{root}` never opens a session with `{name}`; it talks with {talks}."
    return f"`{root}` opens no session: it only answers. Name the flow that begins first."


def _known(name: str, known: Mapping[str, _Value], file: Path) -> _Value:
    if name in known:
        return known[name]
    near = closest(name, known)
    hint = f" Did you mean `{near}`?" if near else ""
    raise click.UsageError(f"There is no flow `{name}` in {shown(file)}.{hint}")


def _draws_lines() -> bool:
    """Whether the output can show the lines of boxes."""
    try:
        "│─┌╌▶✗■".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
