"""What a picture says of a flow's tree: conditions as they are written, what a statement shows to
others. Reads checked trees, follows no conversation."""

from __future__ import annotations

from collections.abc import Iterator

from flowlang import syntax, types
from flowlang.checker.nodes import everything
from flowlang.source import Span

BUILT_IN = (
    "SessionRejected",
    "SessionEnded",
    "UnexpectedFlowEnd",
    "UnexpectedMessage",
    "Malformed",
)
"""Errors that a wait for a message may throw whatever the peer's flow says."""


def short(name: str) -> str:
    """A qualified name without its module."""
    return name.rpartition(".")[2]


def written(checked: types.Checked, span: Span) -> str:
    """The source text of a span, in one line."""
    lines = checked.source.text.split("\n")[span.line - 1 : span.end_line]
    if lines:
        lines[-1] = lines[-1][: span.end_column - 1]
        lines[0] = lines[0][span.column - 1 :]
    return " ".join(" ".join(lines).split())


def place(checked: types.Checked, span: Span) -> str:
    """`trade.flow:12`."""
    return f"{checked.source.name.rpartition('/')[2]}:{span.line}"


def listed(names: list[str], word: str = "or") -> str:
    """`A`, `A or B`, `A, B or C`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def type_name(checked: types.Checked, value: syntax.Expr) -> str:
    """The short name of a value's declared type."""
    return types.shown(checked.type_of[value]).removesuffix("?")


def calls(checked: types.Checked, value: object) -> Iterator[tuple[str, str, str]]:
    """The operations that change something or leave the node, within an expression: service,
    operation, and what it gives."""
    for node in everything(value):
        if isinstance(node, syntax.Call) and isinstance(node.callee, syntax.Attribute):
            meaning = checked.meaning_of.get(node.callee)
            service = checked.meaning_of.get(node.callee.value)
            if (
                isinstance(meaning, types.OperationInfo)
                and isinstance(service, types.ServiceInfo)
                and meaning.kind != "read"
            ):
                gives = types.shown(meaning.result) if meaning.result is not None else "done"
                yield short(service.name), meaning.name, gives


def is_silent(checked: types.Checked, value: object) -> bool:
    """Whether nothing in a statement or block shows outside of its flow's variables, and the flow
    goes on behind it."""
    for node in everything(value):
        match node:
            case syntax.Call(callee=syntax.Attribute() as callee):
                meaning = checked.meaning_of.get(callee)
                if isinstance(meaning, types.OperationInfo) and meaning.kind != "read":
                    return False
            case (
                syntax.Open()
                | syntax.Send()
                | syntax.Receive()
                | syntax.Choice()
                | syntax.Close()
                | syntax.Return()
                | syntax.Throw()
                | syntax.Require()
                | syntax.StepTo()
                | syntax.Sleep()
                | syntax.WaitUntil()
                | syntax.Hold()
                | syntax.Subflow()
                | syntax.Start()
                | syntax.Await()
                | syntax.Ask()
                | syntax.Break()
                | syntax.Continue()
            ):
                return False
            case _:
                pass
    return True


def error_of(checked: types.Checked, value: syntax.Expr) -> types.ErrorInfo | None:
    """The error that a call makes; None for a variable that holds one."""
    callee = value.callee if isinstance(value, syntax.Call) else value
    if not isinstance(callee, syntax.Name | syntax.Attribute):
        return None
    meaning = checked.meaning_of.get(callee)
    return meaning if isinstance(meaning, types.ErrorInfo) else None


def caught(checked: types.Checked, catch: syntax.Catch) -> list[str]:
    """The qualified names of the errors that a catch takes."""
    found = [checked.meaning_of.get(name) for name in catch.errors]
    return [info.name for info in found if isinstance(info, types.ErrorInfo)]


def demanded(checked: types.Checked, value: object) -> list[types.ErrorInfo]:
    """The errors that `require` and `throw` in a block of checks may throw, each once."""
    found: dict[str, types.ErrorInfo] = {}
    for node in everything(value):
        if isinstance(node, syntax.Require | syntax.Throw):
            error = error_of(checked, node.error)
            if error is not None:
                found.setdefault(error.name, error)
    return list(found.values())


def label(
    checked: types.Checked, step: syntax.ProgressStep | None, given: syntax.Expr | None
) -> str:
    """What the tracker shows at a step, with the names of what is filled in."""
    said = given if given is not None else step.label if step is not None else None
    if isinstance(said, syntax.Constant):
        return str(said.value)
    return written(checked, said.span).strip('"') if said is not None else ""


def is_endless(node: syntax.While) -> bool:
    """Whether a loop is written `while true`."""
    return isinstance(node.condition, syntax.Constant) and node.condition.value is True
