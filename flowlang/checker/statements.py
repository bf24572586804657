"""A flow's statements in order: what they declare, what they take, what is known after them.

Knows names and types. Whether the end of the flow is reached, whether data may be trusted and who
calls whom in a circle are questions of their own, asked elsewhere.
"""

from __future__ import annotations

from typing import assert_never

from flowlang import syntax
from flowlang.checker import conversations, narrowing, predefined, relations, trees, words
from flowlang.checker.builtins import Builtin
from flowlang.checker.calls import called
from flowlang.checker.effects import Effects
from flowlang.checker.exchanges import Exchanges
from flowlang.checker.expressions import Expressions
from flowlang.checker.facts import Facts, Meeting, Path
from flowlang.checker.findings import Findings
from flowlang.checker.matching import Matching
from flowlang.checker.names import Names
from flowlang.checker.typerefs import TypeReader
from flowlang.checker.values import check_key
from flowlang.checker.variables import Binding, Blocks, Role
from flowlang.diagnostics import Note
from flowlang.types import (
    AWAITED,
    DURATION,
    NONE,
    SESSION,
    TEXT,
    TIMESTAMP,
    UNKNOWN,
    CaseInfo,
    Caught,
    ErrorInfo,
    FlowInfo,
    FunctionInfo,
    ListType,
    MapType,
    Named,
    NoneType,
    OperationInfo,
    OptionalType,
    RecordInfo,
    StepInfo,
    Type,
    Unknown,
    Variable,
)


class Body:
    """Checks the body of one flow. `effects` knows the flows that it runs."""

    def __init__(
        self, findings: Findings, names: Names, types: TypeReader, flow: syntax.Flow, info: FlowInfo
    ) -> None:
        self._findings = findings
        self._names = names
        self._types = types
        self._flow = flow
        self._info = info
        self._facts = Facts()
        self._blocks = Blocks(findings, names)
        self._expressions = Expressions(findings, names, self._blocks, self._facts)
        self.effects = Effects(findings, names, types, self._expressions)
        self._exchanges = Exchanges(
            findings,
            names,
            types,
            self._expressions,
            self.effects,
            info,
            body=self._block,
            lines=self._lines,
        )

    def check(self) -> None:
        """Everything from the flow's parameters to its last statement."""
        flow, findings = self._flow, self._findings
        for node, parameter in zip(flow.parameters, self._info.parameters, strict=True):
            span = findings.name_span(node.name, node.span)
            variable = self._blocks.declare(node.name, span, parameter.type, "parameter")
            findings.variable_of[node] = variable
        conversations.check_head(findings, self._names, flow, self._info)
        if flow.responds is not None:
            responds = flow.responds
            variable = self._blocks.declare(responds.name, responds.name_span, SESSION, "session")
            findings.variable_of[responds] = variable
        if flow.key is not None:
            check_key(findings, self._expressions, flow.key)
        if flow.owner is not None:
            variable = self._blocks.declare(flow.owner.name, flow.owner.span, SESSION, "session")
            findings.variable_of[flow.owner] = variable
        self._block(flow.body)
        self._check_tracks()
        if not flow.broken:
            self.effects.check_taken()

    def _check_tracks(self) -> None:
        run = {info.name for _, info in self.effects.subflows}
        for step in self._flow.steps:
            if step.tracks is None:
                continue
            info = self._names.find(step.tracks, "flow")
            if info is not None and info.name not in run and not self._flow.broken:
                self._findings.report(
                    "F410",
                    step.tracks.span,
                    f"this flow never runs `{step.tracks.name}`, so there is nothing to track",
                    f"run it with `subflow {step.tracks.name}(…)`, or remove `tracks`",
                )

    def _block(self, block: syntax.Block) -> None:
        self._blocks.enter()
        self._lines(block)
        self._blocks.leave()

    def _lines(self, block: syntax.Block) -> None:
        for statement in block:
            self._statement(statement)

    def _statement(self, statement: syntax.Statement) -> None:
        match statement:
            case syntax.Let():
                self._let(statement)
            case syntax.Assign():
                self._assign(statement)
            case syntax.If():
                self._if(statement)
            case syntax.Match():
                self._match(statement)
            case syntax.While():
                self._while(statement)
            case syntax.For():
                self._for(statement)
            case syntax.Break() | syntax.Continue() | syntax.Pass() | syntax.Checkpoint():
                pass
            case syntax.Return():
                self._return(statement)
            case syntax.Open():
                self._exchanges.open(statement)
            case syntax.Send():
                self._exchanges.send(statement)
            case syntax.Receive():
                self._exchanges.receive(statement)
            case syntax.Choice():
                self._exchanges.choice(statement)
            case syntax.Close():
                self._exchanges.close(statement)
            case syntax.EffectStatement():
                self.effects.of(statement.effect)
            case syntax.Try():
                self._try(statement)
            case syntax.Throw():
                self._error(statement.error)
            case syntax.Require():
                self._expressions.condition(statement.condition)
                self._error(statement.error)
                self._expressions.when(statement.condition, True)
            case syntax.StepTo():
                self._step(statement)
            case syntax.Sleep():
                self._expressions.expect(statement.duration, DURATION)
            case syntax.WaitUntil():
                self._expressions.expect(statement.time, TIMESTAMP)
            case syntax.Log():
                self._expressions.expect(statement.text, TEXT)
            case syntax.Hold():
                self._expressions.expect(statement.reason, TEXT)
            case syntax.CallStatement():
                self._call(statement.call)
            case syntax.Within():
                self._within(statement)
            case syntax.Broken():
                self._blocks.unclear(statement.names, statement.span)
                self._block(statement.body)
            case _:
                assert_never(statement)

    # --- variables --------------------------------------------------------------------------

    def _let(self, node: syntax.Let) -> None:
        kind = self._types.read(node.type) if node.type is not None else None
        if isinstance(node.value, syntax.Pending) and kind is None and not node.mutable:
            self._begin(node, node.value)
            return
        given = self._value(node.value, kind)
        if kind is None:
            kind = self._decided(node, given)
        role: Role = "var" if node.mutable else "let"
        variable = self._blocks.declare(node.name, node.name_span, kind, role, mutable=node.mutable)
        self._findings.variable_of[node] = variable
        self._now_has(variable.name, given)

    def _begin(self, node: syntax.Let, pending: syntax.Pending) -> None:
        kind = self.effects.begin(pending)
        variable = self._blocks.declare(node.name, node.name_span, kind, "let")
        self._findings.variable_of[node] = variable
        self.effects.began(variable, pending)

    def _value(
        self, node: syntax.Expr | syntax.Effect, wanted: Type | None, note: Note | None = None
    ) -> Type:
        """The type of what a variable, or the caller of this flow, gets."""
        if not isinstance(node, syntax.Effect):
            if wanted is None:
                return self._expressions.value(node)
            return self._expressions.expect(node, wanted, note)
        given = self.effects.value(node)
        if wanted is not None and not relations.fits(given, wanted):
            whole = node.call if isinstance(node, syntax.Subflow) else node
            self._expressions.report_mismatch(whole, given, wanted, note)
            return UNKNOWN
        return given

    def _decided(self, node: syntax.Let, given: Type) -> Type:
        if not relations.undecided(given):
            return given
        self._findings.report(
            "F306",
            node.value.span,
            "the type of this `none` is not known here",
            f"give it one: `{'var' if node.mutable else 'let'} {node.name}: Int? = none`",
        )
        return UNKNOWN

    def _now_has(self, name: str, given: Type) -> None:
        """A variable that may be none is not none once it got a value that is not."""
        variable = self._blocks.living[name].variable
        absent = isinstance(given, OptionalType | NoneType | Unknown)
        if isinstance(variable.type, OptionalType) and not absent:
            self._facts.learn([Path(variable)])

    def _assign(self, node: syntax.Assign) -> None:
        binding = self._blocks.living.get(node.name)
        if binding is None:
            self._value(node.value, UNKNOWN)
            self._report_unknown_target(node)
            return
        variable = binding.variable
        if not variable.mutable:
            self._report_fixed(node, binding)
        given = self._value(node.value, variable.type if variable.mutable else UNKNOWN)
        self._findings.variable_of[node] = variable
        self._facts.forget([variable])
        self._now_has(node.name, given)

    def _report_unknown_target(self, node: syntax.Assign) -> None:
        name = node.name
        if name in self._names.unknown:
            return
        if name in self._names.declared or predefined.reserved(name):
            self._names.report_missing(name, node.name_span, "variable")
            return
        known = (n for n, binding in self._blocks.living.items() if binding.variable.mutable)
        gone = self._blocks.gone.get(name)
        note = None
        hint = self._findings.did_you_mean(name, known)
        if gone is not None:
            message = f"this `{name}` lived only until the end of its block"
            note = self._findings.note(message, gone.variable.span)
            hint = "declare it before the block, with `var`"
        self._findings.report(
            "F402",
            node.name_span,
            f"there is no variable `{name}` to give a new value to",
            hint or f"declare it: `let {name} = …`, or `var` if it will change",
            note,
        )
        self._blocks.assume(name, node.name_span)

    def _report_fixed(self, node: syntax.Assign, binding: Binding) -> None:
        if binding.role == "let":
            hint = f"declare it with `var {node.name} = …` instead of `let`"
        else:
            hint = f"copy it, under another name: `var other = {node.name}`"
        if relations.has_session(binding.variable.type) or binding.role == "caught":
            hint = "choose another name"
        self._findings.report(
            "F401",
            node.name_span,
            f"`{node.name}` is {_fixed(binding)}, and keeps its value",
            hint,
            self._findings.note("it is declared here", binding.variable.span),
        )

    # --- branches and loops -----------------------------------------------------------------

    def _if(self, node: syntax.If) -> None:
        meeting = Meeting(self._facts)
        for condition, body in node.branches:
            self._expressions.condition(condition)
            start = self._facts.mark()
            self._expressions.when(condition, True)
            self._block(body)
            if not trees.leaves(body):
                meeting.reach(start)
            self._facts.undo(start)
            self._expressions.when(condition, False)
        start = self._facts.mark()
        self._block(node.otherwise or ())
        if not trees.leaves(node.otherwise or ()):
            meeting.reach(start)
        meeting.meet()

    def _match(self, node: syntax.Match) -> None:
        kind = self._expressions.value(node.value)
        path = narrowing.path_of(node.value, self._findings.variable_of)
        matching = Matching(self._findings, self._names, node, kind)
        meeting = Meeting(self._facts)
        for case in node.cases:
            found = matching.case(case)
            start = self._facts.mark()
            if found.present and path is not None:
                self._facts.learn([path])
            self._blocks.enter()
            for binding, part in found.bindings:
                variable = self._blocks.declare(binding.name, binding.span, part, "matched")
                self._findings.variable_of[binding] = variable
            for statement in case.body:
                self._statement(statement)
            self._blocks.leave()
            if not trees.leaves(case.body):
                meeting.reach(start)
            self._facts.undo(start)
            if matching.none_matched and path is not None:
                self._facts.learn([path])
        matching.finish()
        meeting.meet()

    def _while(self, node: syntax.While) -> None:
        self._facts.forget(self._living(trees.assigned(node.body)))
        self._expressions.condition(node.condition)
        start = self._facts.mark()
        self._expressions.when(node.condition, True)
        self._block(node.body)
        self._facts.undo(start)
        if not trees.breaks(node.body):
            self._expressions.when(node.condition, False)

    def _for(self, node: syntax.For) -> None:
        item = self._item(node.values)
        self._facts.forget(self._living(trees.assigned(node.body)))
        start = self._facts.mark()
        self._blocks.enter()
        variable = self._blocks.declare(node.name, node.name_span, item, "loop")
        self._findings.variable_of[node] = variable
        self._block(node.body)
        self._blocks.leave()
        self._facts.undo(start)

    def _item(self, values: syntax.Expr) -> Type:
        """What a loop over `values` gives, one after the other."""
        kind = self._expressions.infer(values)
        match kind:
            case ListType(item=item) if relations.has_error(item):
                return self._expressions.value(values)
            case MapType(value=value) if relations.has_session(value) or relations.has_error(value):
                return self._expressions.value(values)
            case ListType(item=item) | MapType(key=item):
                return item
            case Unknown():
                return UNKNOWN
            case OptionalType() | NoneType():
                self._expressions.report_absent(values, kind)
                return UNKNOWN
            case _:
                hint = "count with `while`" if words.said(kind) == "Int" else None
                message = "`for` goes through a List or a Map's keys, but this is"
                self._findings.report("F329", values.span, f"{message} {words.said(kind)}", hint)
                return UNKNOWN

    def _living(self, names: frozenset[str]) -> list[Variable]:
        living = self._blocks.living
        return [living[name].variable for name in names if name in living]

    def _try(self, node: syntax.Try) -> None:
        meeting = Meeting(self._facts)
        start = self._facts.mark()
        self._block(node.body)
        if not trees.leaves(node.body):
            meeting.reach(start)
        meeting.interrupt(self._living(trees.assigned(node.body)))
        seen: dict[str, syntax.Name] = {}
        for catch in node.catches:
            start = self._facts.mark()
            self._catch(catch, seen)
            if not trees.leaves(catch.body):
                meeting.reach(start)
            self._facts.undo(start)
        meeting.meet()

    def _catch(self, node: syntax.Catch, seen: dict[str, syntax.Name]) -> None:
        found = [self._names.caught(error) for error in node.errors]
        for name, info in zip(node.errors, found, strict=True):
            if info is not None:
                self._refuse_caught(name, info, seen)
                seen.setdefault(info.name, name)
        self._blocks.enter()
        if node.name is not None and node.name_span is not None:
            known = [info.name for info in found if info is not None]
            kind: Type = Named("error", known[0]) if known else UNKNOWN
            if len(known) < len(found):
                kind = UNKNOWN
            elif len(known) > 1:
                kind = Caught(tuple(dict.fromkeys(known)))
            variable = self._blocks.declare(node.name, node.name_span, kind, "caught")
            self._findings.variable_of[node] = variable
        self._block(node.body)
        self._blocks.leave()

    def _refuse_caught(
        self, name: syntax.Name, info: ErrorInfo, seen: dict[str, syntax.Name]
    ) -> None:
        """Say that an error never gets to a `catch`, where that is so."""
        takes = (info.name, *info.families, predefined.ANY_ERROR.name)
        first = next((seen[one] for one in takes if one in seen), None)
        if first is None:
            return
        if first.name == predefined.ANY_ERROR.name != name.name:
            message, hint = "every error is caught already", f"move it above `{first.name}`"
        elif first.name == name.name:
            message, hint = f"`{name.name}` is caught already", "remove one of the two"
        else:
            message = f"`{first.name}` is caught already, and `{name.name}` is one of these"
            hint = f"move it above `{first.name}`, or remove it"
        self._findings.report(
            "F408",
            name.span,
            f"{message}, so {f'`{name.name}`' if message.startswith('every') else 'it'} never"
            " gets here",
            hint,
            self._findings.note("it is caught here", first.span),
        )

    def _within(self, node: syntax.Within) -> None:
        self._expressions.expect(node.duration, DURATION)
        self._block(node.body)
        if not trees.limited(node.body):
            self._findings.report(
                "F611",
                node.span,
                "nothing in this block waits, so there is nothing that could take too long",
                "remove `within`, or move what waits into its block",
            )

    def _return(self, node: syntax.Return) -> None:
        wanted, value = self._info.result, node.value
        if value is None:
            if wanted is not None:
                self._findings.report(
                    "F404",
                    node.span,
                    f"`return` needs a value here: this flow promises {words.said(wanted)}",
                    None,
                    self._promise(),
                )
            return
        if wanted is not None:
            self._value(value, wanted, self._promise())
            return
        if isinstance(value, syntax.Effect):
            told = self.effects.of(value)
            if told is None:
                return  # `return subflow F(…)` of a flow without a result: it comes last.
            given = told
        else:
            given = self._expressions.infer(value)
        if not isinstance(given, Unknown):
            self._findings.report(
                "F405",
                value.span,
                "this flow promises no result, so nothing can be returned",
                f"add `-> {words.said(given)}` to its first line, or write `return` alone",
                self._findings.note("the flow begins here", self._flow.name_span),
            )

    def _promise(self) -> Note | None:
        result = self._flow.result
        return self._findings.note("the result is declared here", result.span) if result else None

    # --- the rest ---------------------------------------------------------------------------

    def _error(self, node: syntax.Expr) -> None:
        """What is thrown."""
        if isinstance(node, syntax.Name) and node.name not in self._blocks.living:
            declared = self._names.declared.get(node.name)
            if node.name == predefined.ANY_ERROR.name:
                self._names.report_missing(node.name, node.span, "error")
                return
            if node.name in predefined.ERRORS or (declared and declared.kind == "error"):
                self._findings.report(
                    "F331",
                    node.span,
                    f"`{node.name}` is the name of an error, not an error that can be thrown",
                    f"make one: `{node.name}(…)`",
                    self._names.place(node.name),
                )
                return
        if isinstance(node, syntax.Call) and self._names.is_missing(node.callee):
            self._names.report_missing(node.callee.name, node.callee.span, "error")
            self._expressions.loose(node)
            return
        kind = self._expressions.infer(node)
        if isinstance(kind, Unknown | Caught) or (isinstance(kind, Named) and kind.kind == "error"):
            return
        self._findings.report(
            "F331",
            node.span,
            f"this is {words.said(kind)}, but only an error can be thrown",
            "declare one, such as `error Refused(reason: Text)`, and throw that",
        )

    def _step(self, node: syntax.StepTo) -> None:
        if node.label is not None:
            self._expressions.expect(node.label, TEXT)
        steps = [step.name for step in self._flow.steps]
        if node.name in self._info.steps:
            self._values_of_step(node, self._info.steps[node.name])
            return
        for argument in node.arguments:
            self._expressions.infer(argument.value, UNKNOWN)
        if self._flow.broken or node.name in map(words.upper, steps):
            return
        hint = self._findings.did_you_mean(node.name, steps)
        self._findings.report(
            "F214",
            node.name_span,
            f"this flow has no progress step `{node.name}`",
            hint or f'declare it at the top of the flow, under `steps:`: `{node.name} "…"`',
        )

    def _values_of_step(self, node: syntax.StepTo, step: StepInfo) -> None:
        broken = isinstance(step.declaration.label, syntax.Constant) and self._flow.broken
        if node.label is None or not step.parameters:
            if broken and not step.parameters:
                self._expressions.loose(node)  # Its line could not be read.
            else:
                self._expressions.step_values(node, step)
            return
        names = ", ".join(parameter.name for parameter in step.parameters)
        self._findings.report(
            "F385",
            node.label.span,
            f"the label of `{node.name}` is made of its values",
            f"give these: `step {node.name}({names})`",
            self._findings.note(f"`{node.name}` is declared here", step.declaration.span),
        )

    def _call(self, node: syntax.Call) -> None:
        """A call that stands alone on its line."""
        if self._expressions.is_method(node):
            if not isinstance(self._expressions.infer(node), Unknown):
                self._refuse_result(node)
            return
        meaning = self._expressions.calls.meaning(node.callee)
        name = called(node)
        match meaning:
            case None:
                self._expressions.loose(node)
                self._findings.type_of[node] = UNKNOWN
            case OperationInfo():
                self._expressions.arguments(node, meaning)
                if meaning.kind in AWAITED:
                    self._expressions.report_awaited(node, meaning)
                self._findings.type_of[node] = meaning.result or NONE
            case FlowInfo():
                self._expressions.loose(node)
                self._findings.report(
                    "F330",
                    node.span,
                    f"`{name}` is a flow, and running it may wait",
                    f"write `subflow {name}(…)`",
                    self._names.place(name),
                )
            case ErrorInfo():
                self._expressions.infer(node)
                message = "this makes an error, but does not throw it"
                self._findings.report("F318", node.span, message, f"write `throw {name}(…)`")
            case RecordInfo() | CaseInfo() | FunctionInfo() | Builtin():
                self._expressions.infer(node)
                self._refuse_result(node)
            case _:
                assert_never(meaning)

    def _refuse_result(self, node: syntax.Call) -> None:
        name = called(node)
        self._findings.report(
            "F318",
            node.span,
            f"`{name}(…)` only gives a result, and nothing takes it",
            f"keep it: `let x = {name}(…)`, or remove the line"
            if not self._expressions.is_method(node)
            else "values never change: give the result to a variable, or remove the line",
        )


def _fixed(binding: Binding) -> str:
    return "declared with `let`" if binding.role == "let" else binding.noun
