"""From the tree of a file to what its names and types mean, and what is wrong with it.

One pass after the other: names, heads of declarations, bodies of flows (names and types; ways
through them; foreign data), and who calls whom. Reads no files and changes no tree.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowlang import syntax
from flowlang.checker import conversations, schedules, tests, values
from flowlang.checker.closing import Closing
from flowlang.checker.control import Control
from flowlang.checker.declarations import Declarations
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.checker.statements import Body
from flowlang.checker.typerefs import TypeReader
from flowlang.checker.untrusted import Trust
from flowlang.diagnostics import in_order
from flowlang.source import Source
from flowlang.types import (
    Checked,
    EnumInfo,
    ErrorInfo,
    FlowInfo,
    FunctionInfo,
    RecordInfo,
    ScheduleInfo,
    ServiceInfo,
)

__all__ = ["check"]


def check(file: syntax.File, source: Source, imports: Mapping[str, Checked]) -> Checked:
    """What `file` means. `imports` has the checked files that it uses, by module; of a module that
    is not there the caller has said so already. Mistakes are in the result, never raised."""
    findings = Findings(source)
    names = Names(findings, imports)
    names.unknown |= file.broken_names
    for use in file.uses:
        names.take(use)
    types = TypeReader(findings, names)
    infos = Declarations(findings, names, types, source.module).read(file.declarations)
    findings.named = names.named
    flows = []
    for info in infos:
        if isinstance(info, RecordInfo | ErrorInfo):
            conversations.check_crosses(findings, names, info)
        if isinstance(
            info, RecordInfo | EnumInfo | FunctionInfo | ServiceInfo | ErrorInfo | FlowInfo
        ):
            values.check_defaults(findings, names, info)
        if isinstance(info, ErrorInfo) and info.declaration is not None:
            values.check_text(findings, names, info, info.declaration)
        elif isinstance(info, FlowInfo):
            for step in info.steps.values():
                values.check_label(findings, names, step)
            body = Body(findings, names, types, info.declaration, info)
            body.check()
            Control(findings, info.declaration).check()
            Closing(findings).check(info.declaration.body)
            Trust(findings, info.declaration, info).check()
            flows.append((info, body.effects.subflows))
        elif isinstance(info, ScheduleInfo):
            schedules.check(findings, names, info.declaration)
    conversations.check_circles(findings, flows)
    tests.check(findings, names, file)
    return Checked(
        source=source,
        file=file,
        infos=names.infos,
        scope=names.scope,
        type_of=findings.type_of,
        variable_of=findings.variable_of,
        meaning_of=findings.meaning_of,
        calls=findings.calls,
        type_refs=findings.type_refs,
        checks_of=findings.checks_of,
        diagnostics=tuple(in_order(findings.diagnostics)),
        named=names.named,
        methods=findings.methods,
        patterns=findings.patterns,
    )
