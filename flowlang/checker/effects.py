"""What a flow runs, starts, waits for and asks of people, and what each of these gives to it.

Knows names and types. Which statement an effect stands in, and whether what it gets may be trusted,
are questions of others.
"""

from __future__ import annotations

from typing import assert_never

from flowlang import syntax
from flowlang.checker import conversations, words
from flowlang.checker.calls import called
from flowlang.checker.expressions import Expressions
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.checker.relations import has_session
from flowlang.checker.typerefs import TypeReader
from flowlang.types import (
    AWAITED,
    DURATION,
    FLOW_ID,
    NONE,
    TEXT,
    TIMESTAMP,
    UNKNOWN,
    AnswerType,
    FlowIdType,
    FlowInfo,
    ListType,
    Named,
    NoneType,
    OperationInfo,
    OptionalType,
    PendingType,
    Type,
    Unknown,
    Variable,
)

ANSWER_PARTS = ("value", "by", "at")
"""What every answer has, beside the fields of what was answered."""


class Effects:
    """Types the effects of one flow. `subflows` are the flows that it runs, and where."""

    def __init__(
        self, findings: Findings, names: Names, types: TypeReader, expressions: Expressions
    ) -> None:
        self.subflows: list[tuple[syntax.Subflow, FlowInfo]] = []
        self._findings = findings
        self._names = names
        self._types = types
        self._expressions = expressions
        self._pending: dict[Variable, syntax.Pending] = {}

    def of(self, node: syntax.Effect) -> Type | None:
        """What an effect gives; None if it gives nothing."""
        match node:
            case syntax.Subflow():
                return self._subflow(node)
            case syntax.Start():
                return self._start(node)
            case syntax.Await():
                return self._await(node)
            case syntax.Ask():
                return self._ask(node)
            case syntax.Pending():
                self.of(node.effect)
                self._findings.report(
                    "F376",
                    node.span,
                    "what is pending needs a name of its own, by which it is taken later",
                    "write `let x = pending …`",
                )
                return UNKNOWN
            case _:
                assert_never(node)

    def value(self, node: syntax.Effect) -> Type:
        """What an effect gives to a variable, which must be something."""
        kind = self.of(node)
        if kind is not None:
            return kind
        message, hint = _nothing(node)
        self._findings.report("F317", node.span, message, hint)
        return UNKNOWN

    # --- other flows ------------------------------------------------------------------------

    def _subflow(self, node: syntax.Subflow) -> Type | None:
        call = node.call
        info = self._called_flow(call, "subflow", "runs as a subflow")
        if info is None:
            return UNKNOWN
        self.subflows.append((node, info))
        if info.declaration.responds is not None or info.declaration.owner is not None:
            conversations.refuse_as_subflow(self._findings, self._names, call.callee, info)
            self._expressions.loose(call)
        else:
            self._expressions.arguments(call, info)
        self._findings.type_of[call] = info.result or NONE
        return info.result

    def _start(self, node: syntax.Start) -> Type:
        call = node.call
        info = self._called_flow(call, "start", "can be started")
        if node.at is not None:
            self._expressions.expect(node.at, TIMESTAMP)
        if info is None:
            return UNKNOWN
        if self._may_start(call, info):
            self._expressions.arguments(call, info)
        else:
            self._expressions.loose(call)
        # What nobody checked stays with the flow that has it: of its result only the end is told.
        told = info.result is not None and not info.declaration.untrusted_result
        kind = FlowIdType(info.result) if told and info.result is not None else FLOW_ID
        self._findings.type_of[call] = kind
        return kind

    def _may_start(self, call: syntax.Call, info: FlowInfo) -> bool:
        """Whether a flow can be started by another one: it needs nobody's session."""
        name = called(call)
        if info.declaration.owner is not None:
            conversations.refuse_as_subflow(self._findings, self._names, call.callee, info)
            return False
        if info.declaration.responds is not None:
            self._findings.report(
                "F640",
                call.callee.span,
                f"`{name}` responds to a counterparty, so it cannot be started here",
                f"start a flow that opens a session with `{name}`",
                self._names.place(name),
            )
            return False
        takes = next((one for one in info.parameters if has_session(one.type)), None)
        if takes is not None:
            self._findings.report(
                "F641",
                call.callee.span,
                f"`{name}` takes a session as `{takes.name}`, and no session leaves the flow that"
                " has it",
                f"run it here with `subflow {name}(…)`, or let it open a session of its own",
                self._names.place(name),
            )
        return takes is None

    def _called_flow(self, call: syntax.Call, word: str, can: str) -> FlowInfo | None:
        """The flow that is called; None if a mistake was (now) reported."""
        info = self._flow(call, word, can)
        if info is None:
            self._expressions.loose(call)
            self._findings.type_of[call] = UNKNOWN
        return info

    def _flow(self, call: syntax.Call, word: str, can: str) -> FlowInfo | None:
        callee = call.callee
        blocks = self._expressions.blocks
        if isinstance(callee, syntax.Name) and not blocks.is_variable(callee.name):
            declared = self._names.declared.get(callee.name)
            if declared is None or declared.kind == "flow":
                info = self._names.find(callee, "flow")
                return info if isinstance(info, FlowInfo) else None
        if self._expressions.calls.meaning(callee) is not None:
            name = called(call)
            what = self._names.declared[name].kind if name in self._names.declared else "operation"
            self._findings.report(
                "F330",
                callee.span,
                f"`{name}` is {words.a(what)}, but only a flow {can}",
                f"leave `{word}` out: `{name}(…)`",
            )
        return None

    # --- waiting ----------------------------------------------------------------------------

    def _await(self, node: syntax.Await) -> Type | None:
        value = node.value
        if isinstance(value, syntax.Call):
            meaning = self._expressions.calls.meaning(value.callee)
            match meaning:
                case None:
                    self._expressions.loose(value)
                    self._findings.type_of[value] = UNKNOWN
                    return UNKNOWN
                case FlowInfo():
                    return self._await_flow(value)
                case OperationInfo():
                    return self._await_operation(node, value, meaning)
                case _:
                    pass  # What it gives may be the id of a flow.
        return self._await_id(node)

    def _await_flow(self, call: syntax.Call) -> Type:
        self._expressions.loose(call)
        self._findings.type_of[call] = UNKNOWN
        name = called(call)
        self._findings.report(
            "F330",
            call.span,
            f"`{name}` is a flow; what is waited for is the id of one that was started",
            f"run it here with `subflow {name}(…)`; or write `let id = start {name}(…)` and then"
            " `await id`",
            self._names.place(name),
        )
        return UNKNOWN

    def _await_operation(
        self, node: syntax.Await, call: syntax.Call, operation: OperationInfo
    ) -> Type | None:
        if operation.kind not in AWAITED and _is_id(operation.result, node.each):
            return self._await_id(node)
        self._expressions.arguments(call, operation)
        self._findings.type_of[call] = operation.result or NONE
        name = called(call)
        if operation.kind not in AWAITED:
            self._findings.report(
                "F371",
                node.span,
                f"`{name}` is a `{operation.kind}` operation, which answers at once",
                "leave `await` out; or declare it `external` if it leaves the node",
                self._names.place(name.partition(".")[0]),
            )
            return operation.result or UNKNOWN
        if node.each:
            self._findings.report(
                "F372",
                node.span,
                f"`{name}` is one operation, and `each` waits for every flow of a list",
                "leave `each` out",
            )
        return operation.result

    def _await_id(self, node: syntax.Await) -> Type | None:
        kind = self._expressions.infer(node.value)
        own = isinstance(node.value, syntax.Name) and node.value.name == "flow_id"
        if own and "flow_id" not in self._expressions.blocks.living:
            self._findings.report(
                "F373",
                node.value.span,
                "a flow that waits for its own end waits for ever",
                "wait for a flow that was started here: `let id = start F(…)`, then `await id`",
            )
            return UNKNOWN
        match kind:
            case FlowIdType(result=result) if not node.each:
                return result
            case ListType(item=FlowIdType(result=result)) if node.each:
                return ListType(result)
            case _ if _is_id(kind, node.each):
                return None
            case Unknown() | ListType(item=Unknown()):
                return UNKNOWN
            case OptionalType():
                self._expressions.report_absent(node.value, kind)
                return UNKNOWN
            case _:
                self._refuse_awaited(node, kind)
                return UNKNOWN

    def _refuse_awaited(self, node: syntax.Await, kind: Type) -> None:
        hint: str | None = "what is waited for begins with `start F(…)`, or is external or an event"
        if _is_id(kind, not node.each):
            hint = "leave `each` out" if node.each else "to wait for all of them, `await each …`"
        wanted = "a list of ids of flows" if node.each else "the id of a flow"
        self._findings.report(
            "F372",
            node.value.span,
            f"this is {words.said(kind)}, and `await{' each' if node.each else ''}` takes {wanted}"
            + ("" if node.each else ", an external operation or an event"),
            hint,
            self._expressions.origin(node.value),
        )

    # --- people -----------------------------------------------------------------------------

    def _ask(self, node: syntax.Ask) -> Type:
        self._expressions.expect(node.role, TEXT)
        asked = self._expressions.value(node.question)
        if not (isinstance(asked, Unknown) or _is_declared(asked)):
            self._findings.report(
                "F374",
                node.question.span,
                f"this is {words.said(asked)}, but people are asked with a record or a message",
                "declare a record whose fields are what they must see, and make one here",
            )
        answer = self._types.read(node.answer)
        if node.deadline is not None:
            self._expressions.expect(node.deadline, DURATION)
        if isinstance(answer, Unknown):
            return UNKNOWN
        if not isinstance(answer, Named) or not _is_declared(answer):
            self._findings.report(
                "F374",
                node.answer.span,
                f"this is {words.said(answer)}, but people answer with a record or a message",
                "declare a record whose fields are what they fill in",
            )
            return UNKNOWN
        for part in ANSWER_PARTS:
            if part in self._names.parts(answer.name):
                name = words.short(answer.name)
                self._findings.report(
                    "F375",
                    node.answer.span,
                    f"`{name}` has a field `{part}`, and so has every answer by itself",
                    f"give the field of `{name}` another name",
                    self._names.place(name),
                )
        return AnswerType(answer)

    # --- what is pending --------------------------------------------------------------------

    def begin(self, node: syntax.Pending) -> Type:
        """What is begun by `let x = pending …`."""
        effect = node.effect
        given = self.of(effect)
        if isinstance(given, Unknown):
            return UNKNOWN
        if isinstance(effect, syntax.Ask):
            return PendingType("answer", given or NONE)
        if effect.each:
            self._findings.report(
                "F376",
                node.span,
                "`each` waits for several at once, and what is pending is one",
                "begin each of them with a `let` of its own",
            )
            return UNKNOWN
        return PendingType("result", given or NONE)

    def began(self, variable: Variable, node: syntax.Pending) -> None:
        """`variable` holds what was begun here, until a case takes it."""
        if isinstance(variable.type, PendingType):
            self._pending[variable] = node

    def take(self, case: syntax.DoneCase) -> Type:
        """What a case takes, of something that was begun before."""
        name, report = case.pending.name, self._findings.report
        binding = self._expressions.blocks.living.get(name)
        if binding is None:
            self._expressions.infer(case.pending)
            return UNKNOWN
        variable = binding.variable
        self._findings.variable_of[case.pending] = variable
        kind = variable.type
        note = self._findings.note(f"`{name}` is declared here", variable.span)
        if isinstance(kind, Unknown):
            return UNKNOWN
        if not isinstance(kind, PendingType):
            message = f"`{name}` is {words.said(kind)}, and not pending"
            hint = "begin it before, with `let x = pending …`"
            report("F427", case.pending.span, message, hint, note)
            return UNKNOWN
        self._pending.pop(variable, None)
        if kind.kind != case.kind:
            what = "a question to people" if kind.kind == "answer" else "no question to people"
            message = f"`{name}` is {what}, so no {case.kind} comes of it, but {words.a(kind.kind)}"
            report("F426", case.pending.span, message, f"write `case {kind.kind} {name}`", note)
            return UNKNOWN
        if case.value is not None and isinstance(kind.result, NoneType):
            message = f"`{name}` gives no result, so there is nothing to name"
            report("F317", case.value.span, message, f"leave `as {case.value.name}` out", note)
            return UNKNOWN
        return kind.result

    def check_taken(self) -> None:
        """Say what is begun and never taken: nobody would ever know what came of it."""
        for variable, node in self._pending.items():
            if isinstance(variable.type, PendingType):
                kind = variable.type.kind
                self._findings.report(
                    "F425",
                    node.span,
                    f"nothing ever takes what becomes of `{variable.name}`",
                    f"take it in a later `receive:`, with `case {kind} {variable.name} as x:`; or"
                    " wait for it here, without `pending`",
                )


def _is_id(kind: Type | None, each: bool) -> bool:
    """Whether it is what `await` takes: the id of a flow, or a list of them."""
    if each:
        return isinstance(kind, ListType) and _is_id(kind.item, False)
    return isinstance(kind, FlowIdType) or kind == FLOW_ID


def _is_declared(kind: Type) -> bool:
    return isinstance(kind, Named) and kind.kind != "error"


def _nothing(node: syntax.Effect) -> tuple[str, str]:
    """What is said where a result is wanted of what gives none."""
    hint = "let it stand alone on its line"
    match node:
        case syntax.Subflow(call=call) | syntax.Await(value=syntax.Call() as call):
            return f"`{called(call)}` gives no result", hint
        case _:
            return "flows of which nothing but the id is known give no result", hint
