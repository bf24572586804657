"""All that a file declares but its flows, resolved. Knows nothing of what flows do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from flowlang import machine, types
from flowlang.cfg.expressions import Expressions
from flowlang.source import Source, Span


@dataclasses.dataclass(frozen=True)
class Declarations:
    """All of a file but its flows, each kind in the file's order."""

    uses: dict[str, tuple[str, ...]]
    used_errors: tuple[str, ...]
    records: tuple[machine.Record, ...]
    errors: tuple[machine.Error, ...]
    functions: tuple[machine.Function, ...]
    services: tuple[machine.Service, ...]
    enums: tuple[machine.Enum, ...]
    opaques: tuple[machine.Opaque, ...]
    schedules: tuple[machine.Schedule, ...]
    protocols: tuple[machine.Protocol, ...]


def declarations(checked: types.Checked, project: Mapping[str, types.Checked]) -> Declarations:
    """What a file without mistakes declares. `project` has the checked files by module."""
    infos = list(checked.infos.values())
    expressions = Expressions(checked, project, lambda variable: variable.name)
    source = checked.source
    uses: dict[str, tuple[str, ...]] = {}
    for use in checked.file.uses:
        names = uses.get(use.module, ())
        uses[use.module] = names + tuple(u.name for u in use.names if u.name not in names)
    used = [checked.scope[name] for names in uses.values() for name in names]
    return Declarations(
        uses=uses,
        used_errors=tuple(info.name for info in used if isinstance(info, types.ErrorInfo)),
        records=tuple(
            _record(info, expressions, source)
            for info in infos
            if isinstance(info, types.RecordInfo)
        ),
        errors=tuple(
            _error(info, expressions, source) for info in infos if isinstance(info, types.ErrorInfo)
        ),
        functions=tuple(
            _function(info, expressions, source)
            for info in infos
            if isinstance(info, types.FunctionInfo)
        ),
        services=tuple(
            _service(info, expressions, source)
            for info in infos
            if isinstance(info, types.ServiceInfo)
        ),
        enums=tuple(
            _enum(info, expressions, source) for info in infos if isinstance(info, types.EnumInfo)
        ),
        opaques=tuple(
            machine.Opaque(
                info.name,
                info.declaration.doc,
                info.declaration.target,
                place(source, info.declaration.span),
            )
            for info in infos
            if isinstance(info, types.OpaqueInfo)
        ),
        schedules=tuple(
            _schedule(info, expressions, source)
            for info in infos
            if isinstance(info, types.ScheduleInfo)
        ),
        protocols=tuple(
            machine.Protocol(
                info.name,
                info.declaration.doc,
                info.roles,
                info.turns,
                place(source, info.declaration.span),
            )
            for info in infos
            if isinstance(info, types.ProtocolInfo)
        ),
    )


def place(source: Source, span: Span) -> machine.Place:
    """Where something begins, with that line's text."""
    return machine.Place(span.line, source.line(span.line).strip())


def _record(info: types.RecordInfo, expressions: Expressions, source: Source) -> machine.Record:
    node = info.declaration
    fields = _fields(info.fields, expressions)
    return machine.Record(info.kind, info.name, node.doc, fields, place(source, node.span))


def _fields(
    fields: Iterable[types.FieldInfo | types.ParameterInfo], expressions: Expressions
) -> tuple[machine.Field, ...]:
    return tuple(
        machine.Field(
            field.name,
            field.type,
            None if field.default is None else expressions.of(field.default),
        )
        for field in fields
    )


def _enum(info: types.EnumInfo, expressions: Expressions, source: Source) -> machine.Enum:
    cases = tuple(
        machine.Case(
            case.qualified,
            _fields(case.fields, expressions),
            place(source, case.declaration.span),
        )
        for case in info.cases.values()
    )
    node = info.declaration
    return machine.Enum(info.name, node.doc, cases, place(source, node.span))


def _error(info: types.ErrorInfo, expressions: Expressions, source: Source) -> machine.Error:
    node = info.declaration
    if node is None:
        raise ValueError(f"{info.name} is declared by no file")
    text = None if node.text is None else expressions.of(node.text)
    return machine.Error(
        info.name,
        _fields(info.parameters, expressions),
        text,
        place(source, node.span),
        info.families[0] if info.families else None,
    )


def _function(
    info: types.FunctionInfo, expressions: Expressions, source: Source
) -> machine.Function:
    node = info.declaration
    taken = parameters(info.parameters, expressions)
    at = place(source, node.span)
    return machine.Function(info.name, taken, info.result, node.target, at)


def _service(info: types.ServiceInfo, expressions: Expressions, source: Source) -> machine.Service:
    operations = tuple(
        machine.Operation(
            operation.name,
            "once" if operation.declaration.once else operation.kind,
            parameters(operation.parameters, expressions),
            operation.result,
        )
        for operation in info.operations.values()
    )
    node = info.declaration
    return machine.Service(info.name, node.doc, operations, place(source, node.span))


def _schedule(
    info: types.ScheduleInfo, expressions: Expressions, source: Source
) -> machine.Schedule:
    node = info.declaration
    flow = expressions.flow(node.call)
    arguments = expressions.arguments(node.call)
    where = place(source, node.span)
    return machine.Schedule(
        info.name, flow.name, flow.version, arguments, node.cron, node.zone, where
    )


def parameters(
    infos: Iterable[types.ParameterInfo], expressions: Expressions
) -> tuple[machine.Variable, ...]:
    """Parameters, without what only the checker wants to know."""
    return tuple(
        machine.Variable(
            info.name,
            info.type,
            None if info.default is None else expressions.of(info.default),
        )
        for info in infos
    )
