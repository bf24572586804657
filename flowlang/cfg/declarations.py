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
    schedules: tuple[machine.Schedule, ...]


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
            _function(info, source) for info in infos if isinstance(info, types.FunctionInfo)
        ),
        services=tuple(
            _service(info, source) for info in infos if isinstance(info, types.ServiceInfo)
        ),
        schedules=tuple(
            _schedule(info, expressions, source)
            for info in infos
            if isinstance(info, types.ScheduleInfo)
        ),
    )


def place(source: Source, span: Span) -> machine.Place:
    """Where something begins, with that line's text."""
    return machine.Place(span.line, source.line(span.line).strip())


def _record(info: types.RecordInfo, expressions: Expressions, source: Source) -> machine.Record:
    fields = tuple(
        machine.Field(
            field.name,
            field.type,
            None if field.default is None else expressions.of(field.default),
        )
        for field in info.fields
    )
    node = info.declaration
    return machine.Record(info.kind, info.name, node.doc, fields, place(source, node.span))


def _error(info: types.ErrorInfo, expressions: Expressions, source: Source) -> machine.Error:
    node = info.declaration
    if node is None:
        raise ValueError(f"{info.name} is declared by no file")
    text = None if node.text is None else expressions.of(node.text)
    fields = tuple(machine.Field(field.name, field.type) for field in info.parameters)
    family = info.families[0] if info.families else None
    return machine.Error(info.name, fields, text, place(source, node.span), family)


def _function(info: types.FunctionInfo, source: Source) -> machine.Function:
    node = info.declaration
    return machine.Function(
        info.name, parameters(info.parameters), info.result, node.target, place(source, node.span)
    )


def _service(info: types.ServiceInfo, source: Source) -> machine.Service:
    operations = tuple(
        machine.Operation(
            operation.name,
            "once" if operation.declaration.once else operation.kind,
            parameters(operation.parameters),
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


def parameters(infos: Iterable[types.ParameterInfo]) -> tuple[machine.Variable, ...]:
    """Parameters, without what only the checker wants to know."""
    return tuple(machine.Variable(info.name, info.type) for info in infos)
