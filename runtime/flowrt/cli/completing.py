"""What the shell completes: flows, their parameters, ids; and the scripts that make it do so.

Says nothing where no node answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flowrt.client import Client


def _asked(ctx: click.Context, work: Callable[[Client], Awaitable[list[str]]]) -> list[str]:
    from flowrt.cli.asking import VARIABLE, ask

    node = ctx.params.get("node") or ctx.lookup_default("node")
    if node is None:
        import os

        node = os.environ.get(VARIABLE)
    try:
        return ask(node, work, tries=1)
    except Exception:  # A shell that completes shows no errors.
        return []


def flow_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of flows that may be started."""

    async def work(to: Client) -> list[str]:
        return [one.flow for one in (await to.types()).flows if one.flow.startswith(incomplete)]

    return _asked(ctx, work)


def flow_arguments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Parameters of the flow that are not given yet; parties, where one is wanted."""
    name, equals, begun = incomplete.partition("=")
    given = {one.partition("=")[0] for one in ctx.params.get("arguments") or ()}

    async def work(to: Client) -> list[str]:
        from flowrt.cli.flows import chosen

        kind = chosen(await to.types(), str(ctx.params.get("flow")))
        known = kind.parameters.get("properties", {})
        if equals:
            if known.get(name, {}).get("description") != "a party":
                return []
            return [f"{name}={one.peer}" for one in await to.peers() if one.peer.startswith(begun)]
        return [f"{one}=" for one in known if one.startswith(name) and one not in given]

    return _asked(ctx, work)


def flow_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of flows that live."""

    async def work(to: Client) -> list[str]:
        found = []
        async for one in to.flows(state="living"):
            if str(one.id).startswith(incomplete):
                found.append(str(one.id))
            if len(found) == 100:
                break
        return found

    return _asked(ctx, work)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a SHELL complete flows, parameters and ids.

    For bash: `source <(flowctl completion bash)`.
    """
    from click.shell_completion import get_completion_class

    from flowrt.cli import commands

    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(commands, {}, "flowctl", "_FLOWCTL_COMPLETE")
    click.echo(made.source_template % made.source_vars())
