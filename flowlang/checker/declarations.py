"""What each declaration of a file offers to others: fields, parameters, results, steps of a flow.

Reads heads, not bodies: statements, defaults and error texts come later, when all heads are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, assert_never

from flowlang import syntax
from flowlang.checker import words
from flowlang.checker.circles import circles, way_round
from flowlang.checker.families import Families
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names, check_casing
from flowlang.checker.protocols import Protocols, plays
from flowlang.checker.typerefs import TypeReader
from flowlang.source import Span
from flowlang.types import (
    CaseInfo,
    EnumInfo,
    ErrorInfo,
    FieldInfo,
    FlowInfo,
    FunctionInfo,
    Info,
    Named,
    OpaqueInfo,
    OperationInfo,
    OptionalType,
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
        self._protocols = Protocols(findings, names, module, ())

    def read(self, declarations: Sequence[syntax.Declaration]) -> list[Info]:
        """The infos of all declarations, in order. The first of a name is the one that is known
        by it; what comes second is looked at all the same."""
        first = [self._names.declare(one, self._module) for one in declarations]
        errors = [one for one in declarations if isinstance(one, syntax.Error)]
        self._families = Families(self._findings, self._names).read(errors)
        self._protocols = Protocols(self._findings, self._names, self._module, declarations)
        infos = []
        for declaration, known in zip(declarations, first, strict=True):
            info = self._head(declaration)
            infos.append(info)
            if known:
                self._names.infos[declaration.name] = info
                self._names.scope[declaration.name] = info
            if isinstance(info, RecordInfo | EnumInfo | OpaqueInfo | ErrorInfo):
                self._names.named.setdefault(info.name, info)
        self._refuse_endless(infos)
        return infos

    def _head(self, declaration: syntax.Declaration) -> Info:
        qualified = f"{self._module}.{declaration.name}"
        match declaration:
            case syntax.Record():
                return self._record(declaration, qualified)
            case syntax.Enum():
                return self._enum(declaration, qualified)
            case syntax.Opaque():
                self._check_names(declaration.fields, "field")
                fields = tuple(
                    FieldInfo(field.name, self._types.read(field.type), None)
                    for field in declaration.fields
                )
                return OpaqueInfo(qualified, fields, declaration.ordered, declaration)
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
            case syntax.Protocol():
                return self._protocols.read(declaration)
            case syntax.Schedule():
                return ScheduleInfo(qualified, declaration)
            case _:
                assert_never(declaration)

    # --- values -----------------------------------------------------------------------------

    def _record(self, declaration: syntax.Record, qualified: str) -> RecordInfo:
        self._check_names(declaration.fields, "field")
        fields = tuple(
            FieldInfo(field.name, self._types.read(field.type), field.default)
            for field in declaration.fields
        )
        self._check_order(declaration.fields, "field")
        return RecordInfo(qualified, declaration.kind, fields, declaration)

    def _enum(self, declaration: syntax.Enum, qualified: str) -> EnumInfo:
        cases: dict[str, CaseInfo] = {}
        seen: dict[str, Span] = {}
        for case in declaration.cases:
            span = case.name_span
            check_casing(self._findings, "a case", case.name, span, words.upper_camel)
            self._refuse_second(case.name, span, seen)
            self._check_names(case.parameters, "field")
            fields = tuple(
                FieldInfo(one.name, self._types.read(one.type), one.default)
                for one in case.parameters
            )
            self._check_order(case.parameters, "field")
            cases.setdefault(case.name, CaseInfo(case.name, qualified, fields, case))
        return EnumInfo(qualified, cases, declaration)

    def _check_order(self, nodes: Sequence[syntax.Field | syntax.Parameter], what: str) -> None:
        """What has a default stands behind what has none."""
        optional: syntax.Field | syntax.Parameter | None = None
        for node in nodes:
            if node.default is not None:
                optional = node
            elif optional is not None:
                self._findings.report(
                    "F323",
                    self._findings.name_span(node.name, node.span),
                    f"`{node.name}` must be given, but stands after a {what} that may be left out",
                    f"move it {'above' if what == 'field' else 'before'} `{optional.name}`,"
                    " or give it a default too",
                )
                optional = None

    def _refuse_endless(self, infos: Sequence[Info]) -> None:
        """A value that always contains another one of its own type could never be made."""
        holders = {info.name: info for info in infos if isinstance(info, RecordInfo | EnumInfo)}
        ways = {name: _ways(info) for name, info in holders.items()}
        made: set[str] = set()
        while True:
            # What has a way to be made of what can be made can be made itself.
            more = {
                name
                for name, found in ways.items()
                if name not in made
                and any(all(one in made or one not in ways for _, one in way) for way in found)
            }
            if not more:
                break
            made |= more
        graph = {
            name: [one for way in found for _, one in way if one not in made]
            for name, found in ways.items()
            if name not in made
        }
        for group in circles(graph):
            within = {name: graph[name] for name in group}
            way = way_round(within, group[0])
            self._report_endless(holders, way, way[1] if len(way) > 1 else way[0])

    def _report_endless(
        self, holders: Mapping[str, RecordInfo | EnumInfo], way: list[str], after: str
    ) -> None:
        info = holders[way[0]]
        field = next(node for one in _ways(info) for node, name in one if name == after)
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
            result = self._types.read(operation.result) if operation.result else None
            if operation.kind == "event" and isinstance(result, OptionalType):
                self._findings.report(
                    "F378",
                    operation.result.span if operation.result else operation.span,
                    "an event gives nothing as long as it is not so, and then a value",
                    "leave `?` out",
                )
                result = result.item
            info = OperationInfo(
                operation.name, operation.kind, self._parameters(operation), result, operation
            )
            operations.setdefault(operation.name, info)
        return ServiceInfo(qualified, operations, declaration)

    def _flow(self, declaration: syntax.Flow, qualified: str) -> FlowInfo:
        steps = self._steps(declaration.steps)
        responds_to = None
        if declaration.responds is not None:
            responds = declaration.responds
            found = self._names.declared.get(responds.flow.name)
            wanted = "flow" if responds.role is None else "protocol"
            if found and found.kind == wanted:
                role = "" if responds.role is None else f".{responds.role.name}"
                responds_to = f"{found.qualified}{role}"
        return FlowInfo(
            qualified,
            declaration.version,
            self._parameters(declaration, "all"),
            self._types.read(declaration.result) if declaration.result else None,
            declaration.untrusted_result,
            responds_to,
            steps,
            declaration,
            plays(self._names, declaration),
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
        self._check_order(
            declaration.parameters,
            "field" if isinstance(declaration, syntax.Error) else "parameter",
        )
        return tuple(
            ParameterInfo(
                one.name, self._types.read(one.type, sessions), one.untrusted, one.default
            )
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


_Node: TypeAlias = syntax.Field | syntax.Parameter


def _ways(info: RecordInfo | EnumInfo) -> list[list[tuple[_Node, str]]]:
    """The ways to make a value: of each, its fields that are always values of declared types."""
    if isinstance(info, RecordInfo):
        made: list[tuple[Sequence[FieldInfo], Sequence[_Node]]] = [
            (info.fields, info.declaration.fields)
        ]
    else:
        made = [(case.fields, case.declaration.parameters) for case in info.cases.values()]
    return [
        [
            (node, field.type.name)
            for field, node in zip(fields, nodes, strict=True)
            if isinstance(field.type, Named)
        ]
        for fields, nodes in made
    ]
