"""Defaults and texts of errors: expressions outside of any flow, which see little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from flowlang import syntax
from flowlang.checker import predefined, trees
from flowlang.checker.expressions import Expressions
from flowlang.checker.facts import Facts
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.checker.variables import Blocks
from flowlang.types import (
    TEXT,
    EnumInfo,
    ErrorInfo,
    FieldInfo,
    FlowInfo,
    FunctionInfo,
    Info,
    OpaqueInfo,
    ParameterInfo,
    RecordInfo,
    ScheduleInfo,
    ServiceInfo,
)


def check_defaults(findings: Findings, names: Names, info: Info) -> None:
    """A default is a value written out, of the type of its field or parameter."""
    expressions = Expressions(findings, names, Blocks(findings, names), Facts())
    for fields, nodes in _with_defaults(info):
        for field, node in zip(fields, nodes, strict=True):
            if field.default is not None:
                _check_default(findings, expressions, field.default, field, node)


def _with_defaults(
    info: Info,
) -> Iterator[
    tuple[Sequence[FieldInfo | ParameterInfo], Sequence[syntax.Field | syntax.Parameter]]
]:
    match info:
        case RecordInfo():
            yield info.fields, info.declaration.fields
        case EnumInfo():
            for case in info.cases.values():
                yield case.fields, case.declaration.parameters
        case ServiceInfo():
            for operation in info.operations.values():
                yield operation.parameters, operation.declaration.parameters
        case ErrorInfo() | FunctionInfo() | FlowInfo():
            if info.declaration is not None:
                yield info.parameters, info.declaration.parameters
        case OpaqueInfo() | ScheduleInfo():
            pass  # They have none.
        case _:
            assert_never(info)


def _check_default(
    findings: Findings,
    expressions: Expressions,
    default: syntax.Expr,
    field: FieldInfo | ParameterInfo,
    node: syntax.Field | syntax.Parameter,
) -> None:
    if not is_fixed(default):
        findings.report(
            "F322",
            default.span,
            "a default is a value written out: a literal, or a list or map of such",
            f"declare `{field.name}` without a default, or as optional with `= none`",
        )
        return
    note = findings.note(f"`{field.name}` is declared here", node.type.span)
    expressions.expect(default, field.type, note)


def is_fixed(node: syntax.Expr) -> bool:
    """Whether it is a value written out: a literal, or a list or map of such."""
    return all(_is_written(part) for part in trees.everything(node))


def _is_written(node: syntax.Expr) -> bool:
    match node:
        case syntax.Constant() | syntax.ListLiteral() | syntax.MapLiteral():
            return True
        case syntax.Unary(operator="-", operand=syntax.Constant()):
            return True
        case _:
            return False


def check_text(findings: Findings, names: Names, info: ErrorInfo, error: syntax.Error) -> None:
    """An error's text may show its fields. It is made anew wherever the error arrives, so it knows
    no node and calls nothing."""
    blocks = Blocks(findings, names)
    for node, parameter in zip(error.parameters, info.parameters, strict=True):
        span = findings.name_span(node.name, node.span)
        findings.variable_of[node] = blocks.declare(node.name, span, parameter.type, "field")
    if error.text is None:
        return
    sound = True
    for part in trees.everything(error.text):
        if isinstance(part, syntax.Call) or _is_of_node(part, blocks):
            sound = False
            findings.report(
                "F333",
                part.span,
                "the text of an error can show the error's fields, and nothing else",
                "give the error one more field, and fill it where the error is thrown",
            )
    if sound:
        expressions = Expressions(findings, names, blocks, Facts())
        expressions.expect(error.text, TEXT)


def _is_of_node(part: syntax.Expr, blocks: Blocks) -> bool:
    if not isinstance(part, syntax.Name) or part.name in blocks.living:
        return False
    return part.name in predefined.VALUES
