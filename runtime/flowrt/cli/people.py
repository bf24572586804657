"""`flowctl tasks`, `answer` and what else is done with a question to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flowrt.cli.asking import NODE, REASON, ask, clean, moment, pairs, plainly
from flowrt.cli.printing import JSON, print_json, print_table
from flowrt.serving.troubles import refused

if TYPE_CHECKING:
    from flowrt.client import Client

TASK = click.argument("task")


def numbers(task: str) -> tuple[int, int]:
    """The flow and the number of a question: 2/0; the number may be left out. Raises Refused."""
    flow, slash, number = task.partition("/")
    parts = (flow, number if slash else "0")
    if not all(one.isascii() and one.isdigit() and len(one) < 20 for one in parts):
        remedy = "`flowctl tasks` shows those that there are"
        raise refused(task, "a task is written as FLOW/NUMBER, such as 2/0", remedy)
    return int(parts[0]), int(parts[1])


@click.command()
@click.option("--role", help="Those for this role alone.")
@click.option("--mine", is_flag=True, help="Those alone that you have claimed.")
@NODE
@JSON
def tasks(role: str | None, mine: bool, node: str | None, as_json: bool) -> None:
    """List the questions that you may answer."""
    found = ask(node, lambda to: to.tasks(role=role, mine=mine or None))
    if as_json:
        print_json(plainly(found))
        return
    rows = [
        (
            f"{one.flow_id}/{one.number}",
            clean(one.role),
            clean(one.flow),
            moment(one.due),
            clean(one.claimed),
            clean(_question(one.question)),
        )
        for one in found
    ]
    print_table(("TASK", "ROLE", "FLOW", "DUE", "CLAIMED BY", "QUESTION"), rows)


def _question(question: Any) -> str:
    if isinstance(question, dict):
        return " ".join(f"{name}={value}" for name, value in question.items())
    return str(question)


@click.command()
@TASK
@click.argument("values", nargs=-1, required=True)
@NODE
def answer(task: str, values: tuple[str, ...], node: str | None) -> None:
    """Answer TASK with a value, a case of an enum and its fields, or a record's fields.

    `answer 2/0 Approve`, `answer 2/0 Bid price=5`, `answer 2/0 yes=true note=fine`.
    """
    flow, number = numbers(task)

    async def work(to: Client) -> None:
        question = await to.task(flow, number)
        await to.answer(flow, number, read_answer(question.form, values, task))

    ask(node, work)
    click.echo(f"task {flow}/{number} is answered")


def read_answer(form: dict[str, Any], values: tuple[str, ...], task: str) -> Any:
    """An answer as it is typed, by its form. Raises Refused."""
    from flowrt.cli.typed import Reader

    reader = Reader(form.get("$defs", {}))
    schema = reader.resolved(form)
    if values[0].startswith("{") and len(values) == 1:
        return reader.value({"type": "object"}, values[0], task, "answer")
    for case in schema.get("oneOf", ()):
        fields = case.get("properties", {})
        if values[0] in fields:
            found = reader.fields(fields[values[0]], pairs(values[1:]), values[0])
            return {values[0]: found}
    if schema.get("type") == "object" and "properties" in schema and "=" in values[0]:
        return reader.fields(schema, pairs(values), task)
    if len(values) > 1:
        raise refused(task, "its answer is one value", "quote it if it has blanks")
    return reader.value(schema, values[0], task, "answer")


def _done(node: str | None, task: str, word: str, said: str, *given: str) -> None:
    flow, number = numbers(task)
    ask(node, lambda to: getattr(to, word)(flow, number, *given))
    click.echo(f"task {flow}/{number} {said}")


@click.command()
@TASK
@NODE
def claim(task: str, node: str | None) -> None:
    """Take TASK for yourself: nobody else can answer it."""
    _done(node, task, "claim", "is yours")


@click.command()
@TASK
@NODE
def release(task: str, node: str | None) -> None:
    """Let TASK go."""
    _done(node, task, "release", "is free")


@click.command()
@TASK
@click.argument("user")
@NODE
def delegate(task: str, user: str, node: str | None) -> None:
    """Hand TASK to another USER who may answer it."""
    _done(node, task, "delegate", f"is {clean(user)}'s", user)


@click.command()
@TASK
@REASON
@NODE
def expire(task: str, reason: str, node: str | None) -> None:
    """End TASK's time: its flow goes on as if nobody had answered."""
    _done(node, task, "expire", "is over", reason)
