"""`flowctl hospital`, `schedule`, `drain`, `versions`, `peers`, `audit`: a node that runs."""

from __future__ import annotations

import click

from flowrt.cli.asking import NODE, WHY, ask, clean, moment, plainly
from flowrt.cli.printing import JSON, print_json, print_table


@click.command()
@NODE
@JSON
def hospital(node: str | None, as_json: bool) -> None:
    """List the flows that failed and wait."""
    found = ask(node, lambda to: to.hospital())
    if as_json:
        print_json(plainly(found))
        return
    rows = [
        (
            *(one.id, clean(one.flow), clean(one.place), one.tries, moment(one.next_try)),
            *(clean(", ".join(one.commands).replace("retry_with", "repair")), clean(one.cause)),
        )
        for one in found
    ]
    print_table(("ID", "FLOW", "AT", "TRIES", "NEXT TRY", "ONE MAY", "CAUSE"), rows)


@click.command()
@NODE
@JSON
def versions(node: str | None, as_json: bool) -> None:
    """List what still needs which version of which flow."""
    found = ask(node, lambda to: to.versions())
    if as_json:
        print_json(plainly(found))
        return
    rows = [
        (
            *(clean(one.flow), one.version, "yes" if one.is_installed else "no"),
            *(one.flows, one.sessions, one.schedules, "yes" if one.may_be_removed else "no"),
        )
        for one in found
    ]
    heads = ("FLOW", "VERSION", "INSTALLED", "FLOWS", "SESSIONS", "SCHEDULES", "REMOVABLE")
    print_table(heads, rows)


@click.command()
@NODE
@JSON
def peers(node: str | None, as_json: bool) -> None:
    """List the peers that the node has met, and what each has of it."""
    found = ask(node, lambda to: to.peers())
    if as_json:
        print_json(plainly(found))
        return
    rows = [
        (
            *(clean(one.peer), one.sessions, one.unread, one.inbound, one.outbox),
            clean(", ".join(f"{name} {count}" for name, count in one.refused.items())),
        )
        for one in found
    ]
    print_table(("PEER", "SESSIONS", "UNREAD", "INBOUND", "OUTBOX", "REFUSED"), rows)


@click.command()
@click.option("--undo", is_flag=True, help="Take new flows again.")
@NODE
def drain(undo: bool, node: str | None) -> None:
    """Let the node take nothing new; what lives goes on, over restarts."""
    ask(node, lambda to: to.undrain() if undo else to.drain())
    click.echo("it takes new flows again" if undo else "it takes nothing new")


@click.command()
@click.option("--after", type=click.IntRange(0), default=0, help="The row after which to go on.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--changes", is_flag=True, help="What people did alone.")
@NODE
@JSON
def audit(after: int, limit: int, changes: bool, node: str | None, as_json: bool) -> None:
    """Print the audit trail, oldest first."""
    found = ask(node, lambda to: to.audit(after, limit, changes=changes))
    if as_json:
        print_json(plainly(found))
        return
    rows = [
        (
            *(row.number, moment(row.at), one.flow or "-", one.event, clean(one.by)),
            clean("; ".join(filter(None, (one.said, one.reason)))),
        )
        for row in found.rows
        for one in row.entries
    ]
    print_table(("ROW", "AT", "FLOW", "EVENT", "BY", "WHAT"), rows)


@click.group(invoke_without_command=True)
@NODE
@JSON
@click.pass_context
def schedule(ctx: click.Context, node: str | None, as_json: bool) -> None:
    """List schedules; pause one, let it go on, run it now."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = node
        return
    found = ask(node, lambda to: to.schedules())
    if as_json:
        print_json(plainly(found))
        return
    rows = [
        (
            *(clean(one.name), clean(one.flow), clean(one.cron), clean(one.zone)),
            f"paused by {clean(one.paused)}" if one.paused else moment(one.due),
        )
        for one in found
    ]
    print_table(("SCHEDULE", "FLOW", "CRON", "ZONE", "NEXT"), rows)


@schedule.command("pause")
@click.argument("name")
@WHY
@NODE
@click.pass_obj
def pause_schedule(outer: str | None, name: str, reason: str, node: str | None) -> None:
    """Start nothing by the schedule NAME until it is resumed."""
    ask(node or outer, lambda to: to.pause_schedule(name, reason))
    click.echo(f"{clean(name)} is paused")


@schedule.command("resume")
@click.argument("name")
@WHY
@NODE
@click.pass_obj
def resume_schedule(outer: str | None, name: str, reason: str, node: str | None) -> None:
    """Let the schedule NAME go on."""
    ask(node or outer, lambda to: to.resume_schedule(name, reason))
    click.echo(f"{clean(name)} goes on")


@schedule.command("run")
@click.argument("name")
@NODE
@click.pass_obj
def run_schedule(outer: str | None, name: str, node: str | None) -> None:
    """Start the flow of the schedule NAME now, once more."""
    handle = ask(node or outer, lambda to: to.run_schedule(name))
    click.echo(f"{handle.id}  {clean(name)} is run")
