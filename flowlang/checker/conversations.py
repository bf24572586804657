"""What two sides may say to each other: who answers whom, what crosses the wire, where sessions go.

Asked for single statements by `statements`, and once for all flows of a file, when it is known who
calls whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowlang import syntax
from flowlang.checker import roles, words
from flowlang.checker.circles import circles
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.checker.relations import has_session
from flowlang.diagnostics import Note
from flowlang.types import (
    FLOW_ID,
    UNKNOWN,
    ErrorInfo,
    FlowIdType,
    FlowInfo,
    Info,
    ListType,
    MapType,
    Named,
    OptionalType,
    RecordInfo,
    Type,
    Unknown,
    shown,
)


def check_head(findings: Findings, names: Names, flow: syntax.Flow, info: FlowInfo) -> None:
    """How a flow comes to run: by a counterparty, from outside, as a subflow."""
    roles.check_plays(findings, names, flow, info)
    if flow.responds is not None:
        _check_responder(findings, names, flow, flow.responds)
        return
    if flow.owner is not None and flow.startable != ("rpc",):
        findings.report(
            "F661",
            flow.owner.span,
            "only who starts a flow by rpc can be its owner: a schedule hears nothing",
            f"write `startable by rpc as {flow.owner.name}`",
        )
    takes = next((one for one in info.parameters if has_session(one.type)), None)
    if flow.startable and takes is not None:
        node = flow.parameters[info.parameters.index(takes)]
        findings.report(
            "F610",
            node.span,
            f"nobody outside has a session to give for `{takes.name}`",
            "open the session inside the flow, or remove `startable by`",
        )


def _check_responder(
    findings: Findings, names: Names, flow: syntax.Flow, responds: syntax.Responds
) -> None:
    other: Info | None = None
    if responds.role is not None:
        roles.find_role(findings, names, responds.flow, responds.role)
    else:
        other = names.find(responds.flow, "flow")
    if flow.parameters:
        findings.report(
            "F607",
            flow.parameters[0].span,
            "a flow that responds is started by its counterparty, so it takes no parameters",
            f"receive what it needs: `receive x: T from {responds.name}:`",
            findings.note("it responds here", responds.span),
        )
    if flow.startable:
        findings.report(
            "F610",
            flow.name_span,
            f"`{flow.name}` is started by its counterparty, and cannot be startable as well",
            "remove one of `responds to` and `startable by`",
            findings.note("it responds here", responds.span),
        )
    if other is not None and other.declaration is flow:
        findings.report(
            "F606",
            responds.flow.span,
            "a flow cannot respond to itself",
            "write a second flow for the other side",
        )


def check_open(
    findings: Findings, names: Names, node: syntax.Name, opened: FlowInfo, opener: FlowInfo
) -> None:
    """Whether `opened` is what runs at the other side when `opener` opens a session."""
    if opened.responds_to == opener.name:
        return
    responds = opened.declaration.responds
    if responds is not None and opened.responds_to is None:
        return  # To whom it responds could not be read.
    mine = words.short(opener.name)
    if responds is None:
        message = f"`{node.name}` does not respond to `{mine}`"
    else:
        other = words.short(opened.responds_to or "")
        message = f"`{node.name}` responds to `{other}`, not to `{mine}`"
    answering = [
        name
        for name, info in names.scope.items()
        if isinstance(info, FlowInfo) and info.responds_to == opener.name
    ]
    hint = f"write `responds to {mine} as s` in it"
    if answering:
        hint = f"the flow that responds to `{mine}` is `{answering[0]}`"
    findings.report("F605", node.span, message, hint, names.place(node.name))


def check_sent(findings: Findings, names: Names, node: syntax.Expr, kind: Type) -> None:
    """Only messages cross the wire."""
    if isinstance(kind, Unknown) or (isinstance(kind, Named) and kind.kind == "message"):
        return
    findings.report(
        "F601",
        node.span,
        f"this is {words.said(kind)}, and only messages can be sent",
        _declare(names, kind),
        _place(names, kind),
    )


def check_crosses(findings: Findings, names: Names, info: RecordInfo | ErrorInfo) -> None:
    """What messages and errors carry must mean something on another node."""
    if info.declaration is None or (isinstance(info, RecordInfo) and info.kind == "record"):
        return
    what = info.kind if isinstance(info, RecordInfo) else "error"
    nodes = (
        info.declaration.fields
        if isinstance(info.declaration, syntax.Record)
        else info.declaration.parameters
    )
    for node in nodes:
        if _has_id(findings.type_refs[node.type], names, set()):
            findings.report(
                "F642",
                node.type.span,
                f"`{node.name}` would carry the id of a flow to another node, where it means"
                " nothing",
                f"keep it out of the {what}; what may be shown to people is its text: `Text`",
            )


def _has_id(kind: Type, names: Names, seen: set[str]) -> bool:
    """Whether a value of this type may hold the id of a flow."""
    match kind:
        case FlowIdType():
            return True
        case ListType(item=item) | OptionalType(item=item) | MapType(value=item):
            return _has_id(item, names, seen)
        case Named(name=name) if name not in seen:
            seen.add(name)
            return any(_has_id(part, names, seen) for part in names.parts(name).values())
        case _:
            return kind == FLOW_ID


def received(findings: Findings, names: Names, ref: syntax.TypeRef, kind: Type) -> Type:
    """The type of what is received, which must be a message."""
    if isinstance(kind, Unknown) or (isinstance(kind, Named) and kind.kind == "message"):
        return kind
    findings.report(
        "F602",
        ref.span,
        f"{words.said(kind)} cannot be received: only messages cross the wire",
        _declare(names, kind),
        _place(names, kind),
    )
    return UNKNOWN


def _declare(names: Names, kind: Type) -> str:
    if isinstance(kind, Named) and kind.kind == "record" and kind.name in names.named:
        name = words.short(kind.name)
        return f"declare it with `message {name}:` instead of `record {name}:`"
    if has_session(kind):
        return "a session stays here; whoever should talk to the other side opens another one"
    return f"declare a message with a field for it, such as `value: {shown(kind)}`, and use that"


def _place(names: Names, kind: Type) -> Note | None:
    return names.place(words.short(kind.name)) if isinstance(kind, Named) else None


def refuse_as_subflow(
    findings: Findings, names: Names, callee: syntax.Name | syntax.Attribute, info: FlowInfo
) -> None:
    """A flow that responds gets its session from its counterparty and from nobody else; so does one
    with an owner, from whoever starts it from outside."""
    name = callee.name
    if info.declaration.responds is None:
        findings.report(
            "F660",
            callee.span,
            f"`{name}` has an owner, who starts it from outside, so no flow can run it",
            "move what both need into a flow that takes the session as a parameter",
            names.place(name),
        )
        return
    findings.report(
        "F608",
        callee.span,
        f"`{name}` responds to a counterparty, so it cannot run as a subflow",
        "move what both need into a flow that takes the session as a parameter",
        names.place(name),
    )


# --- circles ------------------------------------------------------------------------------------

Called = tuple[syntax.Subflow, FlowInfo]


def check_circles(findings: Findings, flows: Sequence[tuple[FlowInfo, Sequence[Called]]]) -> None:
    """A flow that runs itself again with a session keeps nothing behind: the call comes last.
    Otherwise the frames that wait for each other would grow with the conversation."""
    graph: dict[str, list[str]] = {info.name: [] for info, _ in flows}
    for info, calls in flows:
        graph[info.name] += [called.name for _, called in calls]
    group_of = {name: number for number, group in enumerate(circles(graph)) for name in group}
    for info, calls in flows:
        circling = [
            (node, called)
            for node, called in calls
            if info.name in group_of
            and group_of.get(called.name) == group_of[info.name]
            and any(has_session(one.type) for one in called.parameters)
        ]
        if not circling:
            continue
        last = set(_last(info.declaration.body, True, False))
        for node, called in circling:
            if node not in last:
                name = words.short(called.name)
                findings.report(
                    "F609",
                    node.span,
                    f"`{name}` leads back to this flow with a session,"
                    " so running it must be the last thing that is done",
                    f"write `return subflow {name}(…)`, outside of any `try` or `within`",
                )


def _last(block: syntax.Block, ends_flow: bool, inside_try: bool) -> Iterator[syntax.Subflow]:
    """The subflows after which the flow has nothing left to do."""
    for number, statement in enumerate(block):
        final = ends_flow and number == len(block) - 1
        match statement:
            case syntax.Return(value=syntax.Subflow() as subflow) if not inside_try:
                yield subflow
            case syntax.EffectStatement(effect=syntax.Subflow() as subflow) if (
                final and not inside_try
            ):
                yield subflow
            case syntax.If(branches=branches, otherwise=otherwise):
                for below in (*[body for _, body in branches], otherwise or ()):
                    yield from _last(below, final, inside_try)
            case syntax.While(body=body) | syntax.For(body=body):
                yield from _last(body, False, inside_try)
            case syntax.Within(body=body):
                yield from _last(body, False, True)
            case syntax.Choice(cases=cases):
                for case in cases:
                    yield from _last(case.body, final, inside_try)
            case syntax.Try(body=body, catches=catches):
                yield from _last(body, False, True)
                for catch in catches:
                    yield from _last(catch.body, final, inside_try)
            case _:
                pass  # The other statements run no flow, or something comes after them.
