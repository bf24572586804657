"""Which role of a protocol a flow plays on which of its sessions. Knows no protocol's lines."""

from __future__ import annotations

from collections.abc import Iterator

from flowlang import syntax
from flowlang.checker import trees, words
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.source import Span
from flowlang.types import SESSION, FlowInfo, ProtocolInfo


def find_role(
    findings: Findings, names: Names, protocol: syntax.Name, role: syntax.Name
) -> ProtocolInfo | None:
    """The protocol that has this role; None if a mistake was (now) reported."""
    info = names.find(protocol, "protocol")
    if not isinstance(info, ProtocolInfo):
        return None
    if role.name in info.roles:
        return info
    if len(info.roles) == 2:
        findings.report(
            "F657",
            role.span,
            f"`{protocol.name}` has no role `{role.name}`",
            findings.did_you_mean(role.name, info.roles)
            or f"its roles are {words.listed(info.roles)}",
            names.place(protocol.name),
        )
    return None


def check_plays(findings: Findings, names: Names, flow: syntax.Flow, info: FlowInfo) -> None:
    """What a flow says of its sessions: there is that role, and there is that session."""
    for parameter in flow.parameters:
        arguments = parameter.type.arguments
        if parameter.type.name == "Session" and len(arguments) == 1 and arguments[0].role:
            protocol = syntax.Name(arguments[0].name, arguments[0].span)
            find_role(findings, names, protocol, arguments[0].role)
    said: dict[str, tuple[str, Span]] = {}
    for session, role, span in _by_themselves(flow):
        said.setdefault(session, (role, span))
    known = {name for name, _ in _sessions(flow, info)}
    for node in flow.plays:
        found = find_role(findings, names, node.protocol, node.role)
        name = node.session.name
        if name not in known and not flow.broken:
            findings.report(
                "F658",
                node.session.span,
                f"`{flow.name}` has no session `{name}`",
                findings.did_you_mean(name, known)
                or (
                    f"its sessions are {words.listed(sorted(known))}"
                    if known
                    else f"open one: `open {node.protocol.name}.… with party as {name}`"
                ),
            )
        if found is None:
            continue
        role = f"{node.protocol.name}.{node.role.name}"
        first = said.setdefault(name, (role, node.span))
        if first[1] != node.span:
            findings.report(
                "F658",
                node.span,
                f"what is played on `{name}` is said already: `{first[0]}`",
                "keep one of the two",
                findings.note("it is said here", first[1]),
            )


def _by_themselves(flow: syntax.Flow) -> Iterator[tuple[str, str, Span]]:
    """The sessions that say by themselves what this flow plays on them, and where."""
    for parameter in flow.parameters:
        arguments = parameter.type.arguments
        if parameter.type.name == "Session" and len(arguments) == 1 and arguments[0].role:
            yield parameter.name, f"{arguments[0].name}.{arguments[0].role.name}", parameter.span
    if flow.responds is not None and flow.responds.role is not None:
        other = f"the other side of {flow.responds.flow.name}.{flow.responds.role.name}"
        yield flow.responds.name, other, flow.responds.span
    for node in trees.statements(flow.body):
        if isinstance(node, syntax.Open) and node.role is not None:
            yield node.name, f"the other side of {node.flow.name}.{node.role.name}", node.span


def _sessions(flow: syntax.Flow, info: FlowInfo) -> Iterator[tuple[str, Span]]:
    """The sessions on which a flow may say what it plays."""
    for node, parameter in zip(flow.parameters, info.parameters, strict=True):
        if parameter.type == SESSION:
            yield parameter.name, node.span
    if flow.responds is not None:
        yield flow.responds.name, flow.responds.name_span
    for statement in trees.statements(flow.body):
        if isinstance(statement, syntax.Open):
            yield statement.name, statement.name_span
