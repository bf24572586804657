"""What each declaration of a file offers to others: fields, parameters, results, steps of a flow.

Reads heads, not bodies: statements, defaults and error texts come later, when all heads are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, assert_never

from flowlang import syntax
from flowlang.checker import words
from flowlang.checker.circles import circles, way_round
from flowlang.checker.families import Families
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names, check_casing
from flowlang.checker.typerefs import TypeReader
from flowlang.source import Span
from flowlang.types import (
    ErrorInfo,
    FieldInfo,
    FlowInfo,
    FunctionInfo,
    Info,
    Named,
    OperationInfo,
    ParameterInfo,
    RecordInfo,
    ScheduleInfo,
    ServiceInfo,
    StepInfo,
)


class Declarations:
    """Reads all heads of a file into infos."""

    def __init__(self, findings: Findings, names: Names, types: TypeReader, module: str) -> None:
        self._findings = findings
        self._names = names
        self._types = types
        self._module = module
        self._families: Mapping[str, tuple[str, ...]] = {}

    def read(self, declarations: Sequence[syntax.Declaration]) -> list[Info]:
        """The infos of all declarations, in order. The first of a name is the one that is known
        by it; what comes second is looked at all the same."""
        first = [self._names.declare(one, self._module) for one in declarations]
        errors = [one for one in declarations if isinstance(one, syntax.Error)]
        self._families = Families(self._findings, self._names).read(errors)
        infos = []
        for declaration, known in zip(declarations, first, strict=True):
            info = self._head(declaration)
            infos.append(info)
            if known:
                self._names.infos[declaration.name] = info
                self._names.scope[declaration.name] = info
            if isinstance(info, RecordInfo | ErrorInfo):
                self._names.named.setdefault(info.name, info)
        self._refuse_endless(infos)
        return infos

    def _head(self, declaration: syntax.Declaration) -> Info:
        qualified = f"{self._module}.{declaration.name}"
        match declaration:
            case syntax.Record():
                return self._record(declaration, qualified)
            case syntax.Error():
                # The error's text sees its fields, so their names are checked like variables.
                families = self._families[declaration.name]
                return ErrorInfo(qualified, self._parameters(declaration), declaration, families)
            case syntax.Function():
                self._check_names(declaration.parameters, "parameter")
                parameters = self._parameters(declaration)
                result = self._types.read(declaration.result)
                return FunctionInfo(qualified, parameters, result, declaration)
            case syntax.Service():
                return self._service(declaration, qualified)
            case syntax.Flow():
                return self._flow(declaration, qualified)
            case syntax.Schedule():
                return ScheduleInfo(qualified, declaration)
            case _:
                assert_never(declaration)

    # --- values -----------------------------------------------------------------------------

    def _record(self, declaration: syntax.Record, qualified: str) -> RecordInfo:
        self._check_names(declaration.fields, "field")
        fields = []
        optional: syntax.Field | None = None
        for field in declaration.fields:
            fields.append(FieldInfo(field.name, self._types.read(field.type), field.default))
            if field.default is not None:
                optional = field
            elif optional is not None:
                self._findings.report(
                    "F323",
                    self._findings.name_span(field.name, field.span),
                    f"`{field.name}` must be given, but stands after a field that may be left out",
                    f"move it above `{optional.name}`, or give it a default too",
                )
                optional = None
        return RecordInfo(qualified, declaration.kind, tuple(fields), declaration)

    def _refuse_endless(self, infos: Sequence[Info]) -> None:
        """A record that always contains another one of its own type could never be made."""
        records = {info.name: info for info in infos if isinstance(info, RecordInfo)}
        graph = {
            name: [field.type.name for field in info.fields if isinstance(field.type, Named)]
            for name, info in records.items()
        }
        for group in circles(graph):
            within = {name: graph[name] for name in group}
            way = way_round(within, group[0])
            info, after = records[way[0]], way[1] if len(way) > 1 else way[0]
            field = next(
                node
                for node, one in zip(info.declaration.fields, info.fields, strict=True)
                if isinstance(one.type, Named) and one.type.name == after
            )
            names = [words.short(name) for name in (*way, way[0])]
            shown = names if len(names) < 7 else [*names[:5], "…"]
            note = None
            if len(way) > 1:
                circle = "the circle is " + " → ".join(f"`{name}`" for name in shown)
                note = self._findings.note(circle, info.declaration.name_span)
            self._findings.report(
                "F321",
                field.span,
                f"every `{names[0]}` would contain another `{names[0]}`, without end",
                f"make it optional, `{field.type.name}?`, or a list",
                note,
            )

    # --- what is called ---------------------------------------------------------------------

    def _service(self, declaration: syntax.Service, qualified: str) -> ServiceInfo:
        self._check_names(declaration.operations, "operation")
        operations: dict[str, OperationInfo] = {}
        for operation in declaration.operations:
            self._check_names(operation.parameters, "parameter")
            info = OperationInfo(
                operation.name,
                operation.kind,
                self._parameters(operation),
                self._types.read(operation.result) if operation.result else None,
                operation,
            )
            operations.setdefault(operation.name, info)
        return ServiceInfo(qualified, operations, declaration)

    def _flow(self, declaration: syntax.Flow, qualified: str) -> FlowInfo:
        steps = self._steps(declaration.steps)
        responds_to = None
        if declaration.responds is not None:
            found = self._names.declared.get(declaration.responds.flow.name)
            responds_to = found.qualified if found and found.kind == "flow" else None
        return FlowInfo(
            qualified,
            declaration.version,
            self._parameters(declaration, "all"),
            self._types.read(declaration.result) if declaration.result else None,
            declaration.untrusted_result,
            responds_to,
            steps,
            declaration,
        )

    def _steps(self, steps: Sequence[syntax.ProgressStep]) -> dict[str, StepInfo]:
        """The progress steps by name; the first of a name counts."""
        seen: dict[str, Span] = {}
        found: dict[str, StepInfo] = {}
        for step in steps:
            span = self._findings.name_span(step.name, step.span)
            check_casing(self._findings, "a progress step", step.name, span, words.upper)
            self._refuse_second(step.name, span, seen)
            found.setdefault(step.name, StepInfo(step.name, self._parameters(step), step))
        return found

    def _parameters(
        self,
        declaration: syntax.Error
        | syntax.Function
        | syntax.Operation
        | syntax.Flow
        | syntax.ProgressStep,
        sessions: Literal["none", "all"] = "none",
    ) -> tuple[ParameterInfo, ...]:
        return tuple(
            ParameterInfo(one.name, self._types.read(one.type, sessions), one.untrusted)
            for one in declaration.parameters
        )

    def _check_names(
        self, nodes: Sequence[syntax.Field | syntax.Parameter | syntax.Operation], what: str
    ) -> None:
        seen: dict[str, Span] = {}
        for node in nodes:
            span = self._findings.name_span(node.name, node.span)
            check_casing(self._findings, words.a(what), node.name, span, words.snake)
            self._refuse_second(node.name, span, seen)

    def _refuse_second(self, name: str, span: Span, seen: dict[str, Span]) -> None:
        if name in seen:
            self._findings.report(
                "F207",
                span,
                f"`{name}` is declared twice",
                "rename or remove one of the two",
                self._findings.note("it is first declared here", seen[name]),
            )
        seen.setdefault(name, span)
