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
    ProtocolInfo,
    RecordInfo,
    ScheduleInfo,
    ServiceInfo,
    StepInfo,
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
        case OpaqueInfo() | ScheduleInfo() | ProtocolInfo():
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
    blocks = _fields(findings, names, info, error.parameters)
    if error.text is None:
        return
    strays = _strays(error.text, blocks)
    for part in strays:
        findings.report(
            "F333",
            part.span,
            "the text of an error can show the error's fields, and nothing else",
            "give the error one more field, and fill it where the error is thrown",
        )
    if not strays:
        Expressions(findings, names, blocks, Facts()).expect(error.text, TEXT)


def check_label(findings: Findings, names: Names, info: StepInfo) -> None:
    """The label of a step with values may show these."""
    step = info.declaration
    if not step.parameters:
        return  # A label without holes, as the parser has seen to.
    blocks = _fields(findings, names, info, step.parameters)
    strays = _strays(step.label, blocks)
    for part in strays:
        findings.report(
            "F386",
            part.span,
            "the label of a step can show the step's values, and nothing else",
            f"give `{step.name}` one more value, and fill it where the step begins",
        )
    if not strays:
        Expressions(findings, names, blocks, Facts()).expect(step.label, TEXT)


def check_key(findings: Findings, expressions: Expressions, key: syntax.Expr) -> None:
    """A business key is a text made of the flow's parameters, the only ones that are alive here: it
    is made where the flow is started, before there is a step."""
    strays = _strays(key, expressions.blocks)
    for part in strays:
        findings.report(
            "F389",
            part.span,
            "a key is made of the flow's parameters, and of nothing else",
            "give the flow one more parameter, and fill it where the flow is started",
        )
    if not strays:
        expressions.expect(key, TEXT)


def _fields(
    findings: Findings,
    names: Names,
    info: ErrorInfo | StepInfo,
    nodes: tuple[syntax.Parameter, ...],
) -> Blocks:
    """The variables that a text can see: what its error or step is given."""
    blocks = Blocks(findings, names)
    for node, parameter in zip(nodes, info.parameters, strict=True):
        span = findings.name_span(node.name, node.span)
        findings.variable_of[node] = blocks.declare(node.name, span, parameter.type, "field")
    return blocks


def _strays(text: syntax.Expr, blocks: Blocks) -> list[syntax.Expr]:
    """What a text cannot show: calls, and what only a running flow knows."""
    return [
        part
        for part in trees.everything(text)
        if isinstance(part, syntax.Call) or _is_of_node(part, blocks)
    ]


def _is_of_node(part: syntax.Expr, blocks: Blocks) -> bool:
    if not isinstance(part, syntax.Name) or part.name in blocks.living:
        return False
    return part.name in predefined.VALUES
