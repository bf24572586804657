"""`flowctl watch`: the progress of many flows as it happens.

Trees that are drawn anew on a terminal, a line for each event elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from flowrt.cli.asking import NODE, ask, clean, flow_id
from flowrt.cli.completing import flow_ids
from flowrt.cli.printing import JSON

if TYPE_CHECKING:
    from rich.console import Group

    from flowrt.client import Client
    from flowrt.core.tracker import TreeView

MOST = 100
"""How many flows are watched at once: each is a connection."""


@click.command()
@click.argument("ids", nargs=-1, shell_complete=flow_ids)
@NODE
@JSON
def watch(ids: tuple[str, ...], node: str | None, as_json: bool) -> None:
    """Watch flows until they end: those of the IDS, else all that live."""

    async def work(to: Client) -> int:
        if ids:
            chosen = [await flow_id(to, one) for one in ids]
        else:
            chosen = [one.id async for one in to.flows(state="living")]
        chosen = list(dict.fromkeys(chosen))
        if len(chosen) > MOST:
            click.echo(f"the first {MOST} of {len(chosen)} flows", err=True)
        if sys.stdout.isatty() and not as_json:
            await _draw(to, chosen[:MOST])
        else:
            await asyncio.gather(*(_lines(to, one, as_json) for one in chosen[:MOST]))
        return len(chosen)

    if not ask(node, work):
        click.echo("no flow lives", err=True)


async def _lines(to: Client, own: int, as_json: bool) -> None:
    async for event in to.handle(own).progress():
        if as_json:
            click.echo(json.dumps({"id": own, **event}, ensure_ascii=False))
        elif text := _said(event):
            click.echo(f"{own}  {'  ' * event['depth']}{clean(event['flow'])}: {clean(text)}")


def _said(event: dict[str, Any]) -> str:
    """An event in words; "" for one that says nothing to people."""
    if event["outcome"] is not None:
        return str(event["outcome"])
    return str(event["label"]) if event["kind"] in ("position", "label") else ""


async def _draw(to: Client, chosen: Iterable[int]) -> None:
    from rich.live import Live

    seen: dict[int, TreeView] = {}
    with Live(drawn(seen), refresh_per_second=8) as live:

        async def follow(own: int) -> None:
            async for tree in to.handle(own).trees():
                seen[own] = tree
                live.update(drawn(seen))

        await asyncio.gather(*(follow(one) for one in chosen))


def drawn(seen: dict[int, TreeView]) -> Group:
    """Trees of flows, as rich shows them."""
    from rich.console import Group
    from rich.text import Text

    found = []
    for own, tree in sorted(seen.items()):
        end = {"done": ("done", "green"), "failed": (f"failed: {tree.error}", "red")}
        text, style = end.get(tree.outcome or "", ("", ""))
        found.append(Text.assemble((f"{own}  {clean(tree.flow)}  ", "bold"), (text, style)))
        for row in tree.rows:
            mark, style = {"passed": ("✓", "green"), "current": ("▶", "bold cyan")}.get(
                row.seen, (" ", "dim")
            )
            found.append(Text(f"  {mark} {'  ' * row.depth}{clean(row.label)}", style))
        if tree.trouble is not None:
            found.append(Text(f"  ! {clean(tree.trouble.cause)}", "yellow"))
    return Group(*found)
