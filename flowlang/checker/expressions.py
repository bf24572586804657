"""The type of each expression, and what its names mean. Knows no statements.

Every expression gets its type in `Findings.type_of`. A mistake is reported where it is found and
its expression becomes Unknown, which fits everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import assert_never

from flowlang import syntax
from flowlang.checker import folding, methods, narrowing, predefined, relations, remedies, words
from flowlang.checker.builtins import Builtin, Builtins
from flowlang.checker.calls import METHODS, Calls, Meaning, Slot, called
from flowlang.checker.facts import Facts
from flowlang.checker.findings import Findings
from flowlang.checker.literals import Literals
from flowlang.checker.names import Names
from flowlang.checker.operators import Operators
from flowlang.checker.variables import Blocks
from flowlang.diagnostics import Note
from flowlang.types import (
    AWAITED,
    BOOL,
    BYTES,
    INT,
    NONE,
    PARTY,
    SESSION,
    TEXT,
    TIMESTAMP,
    UNKNOWN,
    AnswerType,
    CaseInfo,
    Caught,
    EnumInfo,
    ErrorInfo,
    FlowInfo,
    FunctionInfo,
    ListType,
    MapType,
    Named,
    NoneType,
    OpaqueInfo,
    OperationInfo,
    OptionalType,
    PendingType,
    RecordInfo,
    StepInfo,
    Type,
    Unknown,
    shown,
)


class Expressions:
    """Types expressions at one point after another, with the variables and facts of that point."""

    def __init__(self, findings: Findings, names: Names, blocks: Blocks, facts: Facts) -> None:
        self.blocks = blocks
        self.facts = facts
        self.calls = Calls(findings, names, blocks)
        self._findings = findings
        self._names = names
        self._literals = Literals(findings, names.named, self)
        self._operators = Operators(findings, self)
        self._builtins = Builtins(findings, self)

    # --- the three questions ----------------------------------------------------------------

    def infer(self, node: syntax.Expr, wanted: Type | None = None) -> Type:
        """The type of an expression. `wanted` gives a type to a bare `[]` or `{}`."""
        kind: Type
        match node:
            case syntax.Constant():
                kind = self._literals.constant(node)
            case syntax.Interpolation():
                kind = self._literals.interpolation(node)
            case syntax.Formatted():
                kind = self._literals.formatted(node)
            case syntax.Update():
                kind = self._update(node)
            case syntax.Name():
                kind = self._name(node)
            case syntax.Attribute():
                kind = self._attribute(node)
            case syntax.Index():
                kind = self._index(node)
            case syntax.Call():
                kind = self._call(node)
            case syntax.Unary():
                kind = self._operators.unary(node)
            case syntax.Binary():
                kind = self._operators.binary(node, wanted)
            case syntax.ListLiteral():
                kind = self._literals.list_literal(node, wanted)
            case syntax.MapLiteral():
                kind = self._literals.map_literal(node, wanted)
            case _:
                assert_never(node)
        self._findings.type_of[node] = kind
        return kind

    def value(self, node: syntax.Expr, wanted: Type | None = None) -> Type:
        """The type of an expression that is a value: neither a session nor an error."""
        kind = self.infer(node, wanted)
        if relations.has_session(kind):
            self._findings.report(
                "F603",
                node.span,
                "a session is not a value: it can be neither kept, compared nor handed back",
                "send to it, receive from it, or pass it to a subflow",
            )
            return UNKNOWN
        if relations.has_error(kind):
            self._findings.report(
                "F327",
                node.span,
                "an error is not a value: it can only be thrown",
                "read its fields, or write `throw …`",
            )
            return UNKNOWN
        return kind

    def expect(self, node: syntax.Expr, wanted: Type, note: Note | None = None) -> Type:
        """The type of an expression where `wanted` is wanted; `note` says where that comes from."""
        given = self.infer(node, wanted)
        if relations.fits(given, wanted):
            return given
        self.report_mismatch(node, given, wanted, note)
        return UNKNOWN

    def condition(self, node: syntax.Expr) -> None:
        """An expression that decides something."""
        self.expect(node, BOOL)

    def when(self, condition: syntax.Expr, truth: bool) -> None:
        """From here on `condition` has come out as `truth`."""
        self.facts.learn(narrowing.present(condition, truth, self._findings.variable_of))

    def report_mismatch(
        self,
        node: syntax.Expr | syntax.Effect,
        given: Type,
        wanted: Type,
        note: Note | None = None,
    ) -> None:
        """Say that one type is there and another is wanted."""
        text = None if isinstance(node, syntax.Effect) else self._findings.quoted(node.span)
        if isinstance(given, OptionalType) and relations.fits(given.item, wanted):
            self.report_absent(node, given, f", but {shown(wanted)} is wanted")
            return
        have, want = words.told_apart(given, wanted)
        self._findings.report(
            "F301",
            node.span,
            f"this is {have}, but {want} is wanted",
            remedies.for_mismatch(given, wanted, text),
            note or self.origin(node),
        )

    def report_absent(self, node: syntax.Expr | syntax.Effect, given: Type, rest: str = "") -> None:
        """Say that a value may be none where it must not be."""
        path = None
        if not isinstance(node, syntax.Effect):
            path = narrowing.path_of(node, self._findings.variable_of)
        text = self._findings.quoted(node.span) if path else None
        self._findings.report(
            "F305",
            node.span,
            f"this is {shown(given)}, which may be none{rest}" if given != NONE else "this is none",
            remedies.for_absent(text) if given != NONE else None,
            self.origin(node),
        )

    def origin(self, node: syntax.Expr | syntax.Effect) -> Note | None:
        """Where the variable that an expression is was declared."""
        variable = self._findings.variable_of.get(node)
        if variable is None:
            return None
        message = f"`{variable.name}` is declared here, as {words.said(variable.type)}"
        return self._findings.note(message, variable.span)

    # --- names and what they are made of ----------------------------------------------------

    def _name(self, node: syntax.Name) -> Type:
        binding = self.blocks.living.get(node.name)
        if binding is not None:
            self._findings.variable_of[node] = binding.variable
            if isinstance(binding.variable.type, PendingType):
                self._report_pending(node, binding.variable.type)
                return UNKNOWN
            return self._narrowed(node, binding.variable.type)
        if node.name in predefined.VALUES:
            return predefined.VALUES[node.name]
        if node.name not in self._names.unknown:
            self._report_no_value(node)
        return UNKNOWN

    def _report_pending(self, node: syntax.Name, kind: PendingType) -> None:
        self._findings.report(
            "F377",
            node.span,
            f"`{node.name}` is pending: its {kind.kind} is not there yet",
            f"wait for it in a `receive:`, with `case {kind.kind} {node.name} as x:`",
            self.origin(node),
        )

    def _report_no_value(self, node: syntax.Name) -> None:
        name, report = node.name, self._findings.report
        declared = self._names.declared.get(name)
        if declared is not None:
            hint = {
                "function": f"call it: `{name}(…)`",
                "service": f"call one of its operations: `{name}.…(…)`",
                "flow": f"run it: `subflow {name}(…)`",
                "enum": f"make one of its cases: `{name}.…`",
                "type": "its values come from Python",
                "record": f"make one: `{name}(…)`",
                "message": f"make one: `{name}(…)`",
                "error": f"make one: `{name}(…)`",
                "schedule": "what it starts, it starts by itself",
            }[declared.kind]
            message = f"`{name}` is {words.a(declared.kind)}, but a value is wanted here"
            report("F205", node.span, message, hint, self._names.place(name))
        elif what := predefined.reserved(name):
            message = f"`{name}` is {what}, but a value is wanted here"
            report("F205", node.span, message)
        elif name in predefined.ROUNDINGS:
            report(
                "F215",
                node.span,
                f"`{name}` is a way of rounding, which only `divide` takes",
                f"write `divide(x, y, places, {name})`",
            )
        else:
            functions = self._names.of_kind("function")
            known = chain(self.blocks.living, predefined.VALUES, functions)
            hint_near = self._findings.did_you_mean(name, known)
            gone = self.blocks.gone.get(name)
            note = (
                self._findings.note(
                    f"this `{name}` lived only until the end of its block", gone.variable.span
                )
                if gone
                else None
            )
            if gone:
                hint_near = "declare it before the block, with `var`, and assign to it inside"
            message = f"there is no variable `{name}` here"
            report("F201", node.span, message, hint_near, note)
            self.blocks.assume(name, node.span)

    def _narrowed(self, node: syntax.Expr, kind: Type) -> Type:
        if not isinstance(kind, OptionalType):
            return kind
        path = narrowing.path_of(node, self._findings.variable_of)
        return kind.item if path is not None and path in self.facts else kind

    def _attribute(self, node: syntax.Attribute) -> Type:
        enum = self.calls.enum(node.value)
        if enum is not None:
            return self._case(node, enum)
        service = self.calls.service(node.value)
        if service is not None:
            written = f"{words.short(service.name)}.{node.name}"
            self._findings.report(
                "F332",
                node.span,
                f"`{written}` is an operation, and is called with brackets",
                f"write `{written}(…)`",
            )
            return UNKNOWN
        whole = self.infer(node.value)
        if isinstance(whole, Unknown):
            return UNKNOWN
        if isinstance(whole, OptionalType | NoneType):
            self.report_absent(node.value, whole)
            return UNKNOWN
        parts = self._parts(whole)
        if node.name in parts:
            return self._narrowed(node, parts[node.name])
        method = methods.of(whole).get(node.name)
        if method is not None and method.brackets:
            self._findings.report(
                "F332",
                node.name_span,
                f"`.{node.name}` is asked with brackets",
                f"write `.{node.name}({'…' if method.parameters else ''})`",
            )
            return UNKNOWN
        if method is not None:
            self._findings.methods[node] = method
            return self._narrowed(node, method.result)
        self._report_no_part(node, whole, list(parts))
        return UNKNOWN

    def _parts(self, whole: Type) -> Mapping[str, Type]:
        """What may stand after a dot."""
        match whole:
            case Named(name=name):
                return self._names.parts(name)
            case AnswerType(value=value):
                return {**self._parts(value), "value": value, "by": TEXT, "at": TIMESTAMP}
            case Caught(errors=errors):
                return self._shared(errors)
            case ListType() | MapType():
                return {"size": INT}
            case _ if whole in (TEXT, BYTES):
                return {"size": INT}
            case _ if whole == PARTY:
                return {"name": TEXT}
            case _ if whole == SESSION:
                return {"peer": PARTY, "version": INT}
            case _:
                return {}

    def _shared(self, errors: Sequence[str]) -> Mapping[str, Type]:
        """What every one of several errors has, of the same type."""
        first, *others = [self._names.parts(error) for error in errors]
        return {
            name: kind
            for name, kind in first.items()
            if all(name in other and other[name] == kind for other in others)
        }

    def _report_no_part(self, node: syntax.Attribute, whole: Type, known: list[str]) -> None:
        if isinstance(whole, Caught) and any(
            node.name in self._names.parts(error) for error in whole.errors
        ):
            names = words.listed([words.short(error) for error in whole.errors], "or")
            self._findings.report(
                "F409",
                node.name_span,
                f"not all errors that are caught here have a `{node.name}`",
                f"it is one of {names}; catch one alone to use its own fields",
            )
            return
        asked = methods.of(whole)
        hint = self._findings.did_you_mean(node.name, [*known, *asked])
        if not isinstance(whole, Named):
            hint = remedies.ATTRIBUTES.get(node.name) or hint
        if isinstance(whole, ListType):
            hint = methods.WHY_NOT.get(node.name) or hint
        if isinstance(whole, Named) and whole.kind == "enum":
            hint = "look at it with `match`, which gives names to its parts"
        if hint is None and 0 < len(known) <= 5 and not asked:
            hint = f"it has {words.listed(known)}"
        declared = self._names.place(words.short(whole.name)) if isinstance(whole, Named) else None
        self._findings.report(
            "F212", node.name_span, f"{words.said(whole)} has no `{node.name}`", hint, declared
        )

    def _index(self, node: syntax.Index) -> Type:
        whole = self.infer(node.value)
        match whole:
            case ListType(item=item):
                self.expect(node.index, INT)
                self._refuse_negative(node)
                return item
            case MapType(key=key, value=value):
                self.expect(node.index, key)
                return value
            case Unknown():
                self.infer(node.index)
                return UNKNOWN
            case OptionalType() | NoneType():
                self.infer(node.index)
                self.report_absent(node.value, whole)
                return UNKNOWN
            case _:
                self.infer(node.index)
                self._findings.report(
                    "F328",
                    node.span,
                    f"this is {words.said(whole)}; only a List or a Map has items",
                    None,
                    self.origin(node.value),
                )
                return UNKNOWN

    def _refuse_negative(self, node: syntax.Index) -> None:
        index = folding.value(node.index)
        if not isinstance(index, int):
            return
        if isinstance(node.value, syntax.ListLiteral) and index >= len(node.value.items):
            size = len(node.value.items)
            self._findings.report(
                "F328",
                node.index.span,
                f"this list has {words.counted(size, 'item')}, counted from 0,"
                f" so there is no item {index}",
                f"the last one is item {size - 1}" if size else None,
            )
        if index < 0:
            text = self._findings.quoted(node.value.span) or "xs"
            self._findings.report(
                "F328",
                node.index.span,
                "the items of a list are counted from 0, so this one never exists",
                f"the last one is `{text}[{text}.size - 1]`",
            )

    # --- calls ------------------------------------------------------------------------------

    def is_method(self, node: syntax.Call) -> bool:
        """Whether the call asks a value something."""
        callee = node.callee
        return isinstance(callee, syntax.Attribute) and self.calls.is_value(callee.value)

    def _method(self, node: syntax.Call, callee: syntax.Attribute) -> Type:
        whole = self.infer(callee.value)
        if isinstance(whole, Unknown | OptionalType | NoneType):
            self.loose(node)
            if not isinstance(whole, Unknown):
                self.report_absent(callee.value, whole)
            return UNKNOWN
        method = methods.of(whole).get(callee.name)
        if method is None or not method.brackets:
            self.loose(node)
            if method is not None or callee.name in self._parts(whole):
                message = f"`.{callee.name}` is not called"
                hint = "leave the brackets out"
                self._findings.report("F316", callee.name_span, message, hint)
            elif callee.name in METHODS:
                message = f"{words.said(whole)} has no `{callee.name}`"
                hint = METHODS[callee.name]
                self._findings.report("F212", callee.name_span, message, hint)
            else:
                self._report_no_part(callee, whole, list(self._parts(whole)))
            return UNKNOWN
        slots = tuple(Slot(name, kind) for name, kind in method.parameters)
        self._findings.methods[node] = method
        self._given(node, callee.name, slots)
        return method.result

    def _case(self, node: syntax.Attribute, enum: EnumInfo) -> Type:
        found = self.calls.case(node, enum)
        if found is not None and found.fields:
            fields = ", ".join(field.name for field in found.fields)
            written = f"{words.short(enum.name)}.{found.name}"
            message = f"`{written}` has fields, and is made with them"
            self._findings.report("F348", node.span, message, f"write `{written}({fields})`")
            return UNKNOWN
        return Named("enum", enum.name) if found is not None else UNKNOWN

    def _update(self, node: syntax.Update) -> Type:
        whole = self.infer(node.value)
        fields: Mapping[str, Type] = {}
        if isinstance(whole, Named) and whole.kind in ("record", "message"):
            fields = self._names.parts(whole.name)
        elif isinstance(whole, OptionalType | NoneType):
            self.report_absent(node.value, whole)
        elif not isinstance(whole, Unknown):
            self._findings.report(
                "F349",
                node.value.span,
                f"this is {words.said(whole)}; `with` changes the fields of a record or a message",
                None,
                self.origin(node.value),
            )
        seen: dict[str, syntax.Argument] = {}
        for change in node.changes:
            self._change(change, whole, fields, seen)
        return whole if fields else UNKNOWN

    def _change(
        self,
        change: syntax.Argument,
        whole: Type,
        fields: Mapping[str, Type],
        seen: dict[str, syntax.Argument],
    ) -> None:
        name = change.name or ""
        if fields and name in fields:
            self.expect(change.value, fields[name])
        else:
            self.infer(change.value, UNKNOWN)
        if fields and name not in fields:
            span = self._findings.name_span(name, change.span)
            hint = self._findings.did_you_mean(name, fields)
            message = f"{words.said(whole)} has no `{name}`"
            self._findings.report("F212", span, message, hint)
        if name in seen:
            self._findings.report(
                "F314",
                change.span,
                f"`{name}` is given twice",
                "remove one of the two",
                self._findings.note("it is first given here", seen[name].span),
            )
        seen.setdefault(name, change)

    def is_ordered(self, kind: Type) -> bool:
        """Whether `<` compares two values of it."""
        if not isinstance(kind, Named):
            return relations.ordered(kind)
        info = self._names.named.get(kind.name)
        return isinstance(info, OpaqueInfo) and info.ordered

    def _call(self, node: syntax.Call) -> Type:
        if isinstance(node.callee, syntax.Attribute) and self.is_method(node):
            return self._method(node, node.callee)
        meaning = self.calls.meaning(node.callee)
        match meaning:
            case None:
                self.loose(node)
                return UNKNOWN
            case RecordInfo():
                self.arguments(node, meaning)
                return Named(meaning.kind, meaning.name)
            case CaseInfo():
                return self._made(node, meaning)
            case ErrorInfo():
                self.arguments(node, meaning)
                return Named("error", meaning.name)
            case FunctionInfo():
                self.arguments(node, meaning)
                return meaning.result
            case OperationInfo():
                self.arguments(node, meaning)
                if meaning.kind in AWAITED:
                    self.report_awaited(node, meaning)
                    return meaning.result or UNKNOWN
                if meaning.result is None:
                    self._findings.report(
                        "F317",
                        node.span,
                        f"`{called(node)}` gives no result",
                        "let it stand alone on its line",
                    )
                    return UNKNOWN
                return meaning.result
            case FlowInfo():
                self.loose(node)
                self._findings.report(
                    "F330",
                    node.span,
                    f"`{called(node)}` is a flow, and running it may wait",
                    f"write `let x = subflow {called(node)}(…)` on a line of its own",
                    self._names.place(called(node)),
                )
                return UNKNOWN
            case Builtin():
                return self._builtins.call(node, meaning, self.arguments(node, meaning))
            case _:
                assert_never(meaning)

    def report_awaited(self, node: syntax.Call, operation: OperationInfo) -> None:
        """Say that an operation is waited for."""
        why = "leaves the node, and the flow waits for what comes of it"
        if operation.kind == "event":
            why = "is an event, and the flow waits until it is so"
        text = self._findings.quoted(node.span) or f"{called(node)}(…)"
        self._findings.report(
            "F370",
            node.span,
            f"`{called(node)}` {why}",
            f"write `await {text}` on a line of its own, or right of `let x =`",
        )

    def loose(self, node: syntax.Call | syntax.StepTo) -> None:
        """Look at the arguments of a call that cannot be understood."""
        for argument in node.arguments:
            self.infer(argument.value, UNKNOWN)

    def arguments(self, node: syntax.Call, meaning: Meaning) -> tuple[syntax.Expr | None, ...]:
        """Check the arguments of a call, and note them in declared order."""
        return self._given(node, called(node), self.calls.slots(meaning))

    def _given(
        self, node: syntax.Call, name: str, slots: tuple[Slot, ...]
    ) -> tuple[syntax.Expr | None, ...]:
        arranged = self.calls.arrange(node, name, slots)
        self._findings.calls[node] = arranged
        for slot, value in zip(slots, arranged, strict=True):
            if value is None:
                continue
            if slot.type == "rounding":
                self._rounding(value)
            elif slot.type == "any":
                self.value(value)
            elif not isinstance(slot.type, str):
                self.expect(value, slot.type, self.calls.note(slot, node.callee))
        self._rest(node)
        return arranged

    def step_values(self, node: syntax.StepTo, step: StepInfo) -> None:
        """Check the values that a move to a step shows, and note them in declared order."""
        slots = self.calls.slots(step)
        arranged = self.calls.arrange(node, node.name, slots)
        self._findings.calls[node] = arranged
        for slot, value in zip(slots, arranged, strict=True):
            if value is None or slot.declared is None:
                continue
            if not isinstance(slot.type, str):
                note = self._findings.note(f"`{slot.name}` is declared here", slot.declared.span)
                self.expect(value, slot.type, note)
        self._rest(node)

    def _rest(self, node: syntax.Call | syntax.StepTo) -> None:
        """Look at the arguments for which there was no place."""
        for argument in node.arguments:
            if argument.value not in self._findings.type_of:
                self.infer(argument.value, UNKNOWN)

    def _made(self, node: syntax.Call, case: CaseInfo) -> Type:
        if not case.fields and not node.arguments:
            written = f"{words.short(case.enum)}.{case.name}"
            message = f"`{written}` has no fields, and is not called"
            self._findings.report("F348", node.span, message, f"write `{written}`")
        self.arguments(node, case)
        return Named("enum", case.enum)

    def _rounding(self, node: syntax.Expr) -> None:
        self._findings.type_of[node] = TEXT
        if isinstance(node, syntax.Name) and node.name in predefined.ROUNDINGS:
            return
        name = node.name if isinstance(node, syntax.Name) else ""
        self._findings.report(
            "F215",
            node.span,
            "the name of a way of rounding is wanted here",
            self._findings.did_you_mean(name, predefined.ROUNDINGS)
            or f"one of {words.listed(predefined.ROUNDINGS, 'or')}",
        )
