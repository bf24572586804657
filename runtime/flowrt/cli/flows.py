"""`flowctl start`, `send`, `result`, `list`, `show`, `dump`, and what is done with one flow."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Any

import click

from flowrt.cli.asking import NODE, REASON, WHY, ask, clean, flow_id, moment, pairs, plainly
from flowrt.cli.completing import flow_arguments, flow_ids, flow_names
from flowrt.cli.printing import JSON, print_json, print_table
from flowrt.serving.troubles import nearest, refused

if TYPE_CHECKING:
    from flowrt.api import bodies
    from flowrt.client import Client

ID = click.argument("id", shell_complete=flow_ids)
STATES = ("living", "running", "hospital", "ended", "done", "failed")


@click.command()
@click.argument("flow", shell_complete=flow_names)
@click.argument("arguments", nargs=-1, shell_complete=flow_arguments)
@click.option("--client", help="Your own name for it: asked for twice, it is started once.")
@click.option("--wait", is_flag=True, help="Wait until it ends, and print its result.")
@NODE
@JSON
def start(
    flow: str,
    arguments: tuple[str, ...],
    client: str | None,
    wait: bool,
    node: str | None,
    as_json: bool,
) -> None:
    """Start FLOW with name=value for each of its parameters.

    Values are read by the parameters' types: `count=5`, `price="1000.00 EUR"`, a list as
    `a,b` or as JSON, a record as JSON.
    """
    given = pairs(arguments)

    async def work(to: Client) -> tuple[int, str, str]:
        from flowrt.cli.typed import Reader

        types = await to.types()
        kind = chosen(types, flow)
        found = Reader(types.definitions).fields(kind.parameters, given, kind.flow)
        handle = await to.start(kind.flow, client, **found)
        return handle.id, kind.flow, handle.client

    number, name, own = ask(node, work)
    if wait:
        _result(node, number, as_json)
    elif as_json:
        print_json({"id": number, "flow": name, "client": own})
    else:
        click.echo(f"{number}  {clean(name)} is started")


def chosen(types: bodies.Types, name: str) -> bodies.FlowType:
    """The flow of that name, or the only one whose name ends so. Raises Refused."""
    known = {one.flow: one for one in types.flows}
    if name in known:
        return known[name]
    ending = [one for one in known if one.endswith(f".{name}")]
    if len(ending) == 1:
        return known[ending[0]]
    if ending:
        raise refused(name, "several flows end so", "take " + " or ".join(ending))
    short = {one.rpartition(".")[2]: one for one in known}
    near = difflib.get_close_matches(name.rpartition(".")[2], short, 1, 0.6)
    remedy = f"did you mean `{short[near[0]]}`?" if near else nearest(name, known)
    remedy = remedy or "ask who runs the node for a role that may start one"
    raise refused(name, "there is no such flow that you may start", remedy)


@click.command()
@ID
@click.argument("message")
@click.argument("fields", nargs=-1)
@click.option("--number", type=click.IntRange(0), help="Sent again with this, it is sent once.")
@NODE
@JSON
def send(
    id: str,
    message: str,
    fields: tuple[str, ...],
    number: int | None,
    node: str | None,
    as_json: bool,
) -> None:
    """Send MESSAGE, with name=value for its fields, to the owner's session of flow ID."""
    given = pairs(fields)

    async def work(to: Client) -> bodies.Sent:
        from flowrt.cli.typed import Reader, guessed

        own = await flow_id(to, id)
        handle = to.handle(own)
        name = (await handle.show()).flow.flow.rpartition("_v")[0]
        types = await to.types()
        kind = next((one for one in types.flows if one.flow == name), None)
        if kind is None:  # One may send to it, and start none: then its types are not told.
            found = {one: guessed(text) for one, text in given.items()}
            return await handle.send(message, number, **found)
        known = {one.name.rpartition(".")[2]: one for one in kind.messages}
        known |= {one.name: one for one in kind.messages}
        if message not in known:
            remedy = nearest(message, [n for n in known if "." not in n] or known)
            raise refused(name, f"it takes no {message}", remedy or "it takes nothing")
        read = Reader(types.definitions).fields(known[message].fields, given, message)
        return await handle.send(known[message].name, number, **read)

    sent = ask(node, work)
    if as_json:
        print_json(plainly(sent))
    else:
        again = ", as it was before" if sent.repeated else ""
        click.echo(f"{clean(message)} is sent to flow {sent.id}{again}")


@click.command()
@ID
@click.option("--no-wait", is_flag=True, help="Do not wait until it ends.")
@NODE
@JSON
def result(id: str, no_wait: bool, node: str | None, as_json: bool) -> None:
    """Wait for flow ID, and print its result; exit code 1 if it failed."""
    _result(node, id, as_json, wait=not no_wait)


def _result(node: str | None, id: str | int, as_json: bool, *, wait: bool = True) -> None:
    async def work(to: Client) -> bodies.Result:
        handle = to.handle(await flow_id(to, id) if isinstance(id, str) else id)
        found = await handle.outcome(30 if wait else 0)
        while wait and found.outcome is None:
            found = await handle.outcome(30)
        return found

    found = ask(node, work)
    if as_json:
        print_json(plainly(found))
    elif found.outcome is None:
        click.echo(f"flow {found.id} runs")
    elif found.error is not None:
        told = found.error
        click.echo(f"flow {found.id} failed: {clean(told.name)}: {clean(told.text)}", err=True)
    else:
        shown = found.result if found.shown is None else found.shown
        if isinstance(shown, dict | list):
            print_json(shown)
        else:
            click.echo(clean(shown))
    if found.error is not None:
        sys.exit(1)


@click.command("list")
@click.option("--state", type=click.Choice(STATES), default="living", show_default=True)
@click.option("--flow", help="Flows of this name.", shell_complete=flow_names)
@click.option("--party", help="Flows that wait for this party.")
@click.option("--key", help="The flow with this business key.")
@click.option("--waiting-longer", type=click.IntRange(0), help="At rest for so many seconds.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@NODE
@JSON
def list_flows(limit: int, node: str | None, as_json: bool, **filters: Any) -> None:
    """List flows."""

    async def work(to: Client) -> tuple[list[bodies.FlowInfo], bool]:
        found: list[bodies.FlowInfo] = []
        async for one in to.flows(**filters):
            if len(found) == limit:
                return found, True
            found.append(one)
        return found, False

    found, more = ask(node, work)
    if as_json:
        print_json(plainly(found))
        return
    rows = [
        (one.id, clean(one.flow), one.state, moment(one.since), clean(one.by), clean(_waits(one)))
        for one in found
    ]
    print_table(("ID", "FLOW", "STATE", "SINCE", "BY", "WAITS FOR"), rows)
    if more:
        click.echo(f"there are more than {limit}: --limit shows them", err=True)


def _waits(one: bodies.FlowInfo) -> str:
    until = f" until {moment(one.due)}" if one.due else ""
    return one.error or f"{one.waits}{until}"


@click.command()
@ID
@NODE
@JSON
def show(id: str, node: str | None, as_json: bool) -> None:
    """Show where flow ID stands: its state, variables, source line, what it waits for."""

    async def work(
        to: Client,
    ) -> tuple[bodies.FlowDetail, dict[str, Any] | None, list[bodies.OwnersMail]]:
        from flowrt.client import Conflict, Forbidden

        handle = to.handle(await flow_id(to, id))
        try:
            dump = await handle.dump()
        except (Forbidden, Conflict):  # Not for who asks; or it has ended.
            dump = None
        try:
            said = await handle.said()
        except Conflict:  # It has no owner.
            said = []
        return await handle.show(), dump, said

    detail, dump, said = ask(node, work)
    if as_json:
        print_json({**plainly(detail), "variables": _frames(dump), "messages": plainly(said)})
        return
    _show_flow(detail)
    for name, values in _frames(dump):
        click.echo(f"  {clean(name)}:")
        for variable, value in values.items():
            click.echo(f"    {clean(variable)} = {clean(value)}")
    for one in detail.sessions:
        counts = f"{one.sent} sent, {one.received} received, {one.unread} unread"
        click.echo(
            f"  session {one.number} with {clean(one.peer or 'its owner')}: {one.status}, {counts}"
        )
    for mail in said:
        click.echo(f"  said to its owner: {clean(mail.message)} {clean(mail.fields)}")


def _show_flow(detail: bodies.FlowDetail) -> None:
    one, tree = detail.flow, detail.progress
    click.echo(f"{one.id}  {clean(one.flow)}  {one.state}")
    due = f" until {moment(one.due)}" if one.due else ""
    started = f"{one.by} as {one.client}" if one.by else ""
    retried = f" (tried {detail.tries} times)" if detail.tries else ""
    for name, text in (
        ("started by", started),
        ("since", moment(one.since)),
        ("at", one.place),
        ("waits for", one.waits and one.waits + due),
        ("error", one.error),
        ("cause", detail.cause and detail.cause + retried),
        ("next try", moment(detail.next_try) if detail.next_try else ""),
        ("one may", ", ".join(detail.commands).replace("retry_with", "repair")),
    ):
        if text:
            click.echo(f"  {name}: {clean(text)}")
    for row in tree.rows:
        mark = {"passed": "✓", "current": "▶"}.get(row.seen, " ")
        click.echo(f"  {mark} {'  ' * row.depth}{clean(row.label)}")


def _frames(dump: dict[str, Any] | None) -> list[tuple[str, dict[str, Any]]]:
    """The variables of each flow of the stack, as a dump has them."""
    frames = (dump or {}).get("frames") or []
    found = []
    for one in frames:
        values = one.get("variables", one.get("values", {}))
        found.append((str(one.get("flow", "")), dict(values)))
    return found


@click.command()
@ID
@NODE
def dump(id: str, node: str | None) -> None:
    """Print all that flow ID is at rest, as JSON."""

    async def work(to: Client) -> dict[str, Any]:
        return await to.handle(await flow_id(to, id)).dump()

    print_json(ask(node, work))


# --- what is done with one --------------------------------------------------------------------


def _done(node: str | None, id: str, word: str, said: str, *given: Any, **named: Any) -> None:
    async def work(to: Client) -> int:
        own = await flow_id(to, id)
        await getattr(to.handle(own), word)(*given, **named)
        return own

    click.echo(f"flow {ask(node, work)} {said}")


@click.command()
@ID
@REASON
@NODE
def kill(id: str, reason: str, node: str | None) -> None:
    """End flow ID, wherever it is; it runs nothing more."""
    _done(node, id, "kill", "is ended", reason)


@click.command()
@ID
@REASON
@NODE
def pause(id: str, reason: str, node: str | None) -> None:
    """Let flow ID rest until it is resumed."""
    _done(node, id, "pause", "rests", reason)


@click.command()
@ID
@WHY
@NODE
def resume(id: str, reason: str, node: str | None) -> None:
    """Let flow ID, which was paused, go on."""
    _done(node, id, "resume", "goes on", reason)


@click.command()
@ID
@WHY
@NODE
def retry(id: str, reason: str, node: str | None) -> None:
    """Let flow ID of the hospital try again."""
    _done(node, id, "retry", "tries again", reason)


@click.command()
@ID
@click.argument("changes", nargs=-1, required=True)
@REASON
@NODE
def repair(id: str, changes: tuple[str, ...], reason: str, node: str | None) -> None:
    """Set variables of flow ID of the hospital, as name=value, and let it try again."""
    from flowrt.cli.typed import guessed

    found = {name: guessed(text) for name, text in pairs(changes).items()}
    _done(node, id, "repair", "is changed, and tries again", found, reason)


@click.command()
@ID
@click.argument("error")
@click.argument("fields", nargs=-1)
@REASON
@NODE
def throw(id: str, error: str, fields: tuple[str, ...], reason: str, node: str | None) -> None:
    """Throw ERROR, with name=value for its fields, where flow ID rests in the hospital."""
    from flowrt.cli.typed import guessed

    found = {name: guessed(text) for name, text in pairs(fields).items()}
    _done(node, id, "throw", f"has got {clean(error)}", error, reason, **found)
