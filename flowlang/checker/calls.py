"""What a call calls, and which argument goes where. Leaves the arguments' types to its caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal, TypeAlias, assert_never

from flowlang import syntax
from flowlang.checker import predefined, remedies, words
from flowlang.checker.builtins import CALLS, Builtin
from flowlang.checker.findings import Findings
from flowlang.checker.names import DECLARE, Names, kind_of
from flowlang.checker.variables import Blocks
from flowlang.diagnostics import Note
from flowlang.types import (
    BUILTINS,
    CaseInfo,
    EnumInfo,
    ErrorInfo,
    FlowInfo,
    FunctionInfo,
    OpaqueInfo,
    OperationInfo,
    ProtocolInfo,
    RecordInfo,
    ScheduleInfo,
    ServiceInfo,
    StepInfo,
    Type,
    shown,
)

Meaning: TypeAlias = (
    RecordInfo | CaseInfo | ErrorInfo | FunctionInfo | OperationInfo | FlowInfo | Builtin
)


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place for one argument. `type` is "any" where several fit, "rounding" where the name of a
    way of rounding stands; `default` says that it may stay empty."""

    name: str
    type: Type | Literal["any", "rounding"]
    default: bool = False
    declared: syntax.Field | syntax.Parameter | None = None


class Calls:
    """Finds out what is called, and puts arguments into the order of their declarations."""

    def __init__(self, findings: Findings, names: Names, blocks: Blocks) -> None:
        self._findings = findings
        self._names = names
        self._blocks = blocks

    # --- what is called ---------------------------------------------------------------------

    def meaning(self, callee: syntax.Name | syntax.Attribute) -> Meaning | None:
        """What the callee names; None if a mistake was (now) reported."""
        if isinstance(callee, syntax.Attribute):
            return self._operation(callee)
        name = callee.name
        if self._blocks.is_variable(name):
            self._refuse_variable(callee)
            return None
        if name in self._names.unknown:
            return None
        if name in CALLS:
            return CALLS[name]
        info = self._names.scope.get(name) or predefined.ERRORS.get(name)
        if name == predefined.ANY_ERROR.name:
            self._names.report_missing(name, callee.span, "error")
            return None
        if info is None:
            self._report_missing(callee)
            return None
        if isinstance(info, EnumInfo | OpaqueInfo):
            self._refuse_type(callee, info)
            return None
        self._findings.meaning_of[callee] = info
        if isinstance(info, ScheduleInfo | ProtocolInfo):
            self._findings.report(
                "F316",
                callee.span,
                f"`{name}` is {words.a(kind_of(info))}, and cannot be called",
                None,
                self._names.place(name),
            )
            return None
        if isinstance(info, ServiceInfo):
            operation = next(iter(info.operations), "operation")
            self._findings.report(
                "F316",
                callee.span,
                f"`{name}` is a service; what is called is one of its operations",
                f"write `{name}.{operation}(…)`, for example",
            )
            return None
        return info

    def _refuse_type(self, callee: syntax.Name, info: EnumInfo | OpaqueInfo) -> None:
        name = callee.name
        if isinstance(info, EnumInfo):
            case = next(iter(info.cases.values()))
            example = f"{name}.{case.name}{'(…)' if case.fields else ''}"
            message = f"`{name}` is an enum; what is made is one of its cases"
            hint = f"write `{example}`, for example"
        else:
            message = f"`{name}` is a type of Python, which makes its values"
            hint = "declare a `function` that gives one"
        self._findings.report("F316", callee.span, message, hint, self._names.place(name))

    def _refuse_variable(self, callee: syntax.Name) -> None:
        binding = self._blocks.living[callee.name]
        self._findings.variable_of[callee] = binding.variable
        if binding.role != "unclear":
            self._findings.report(
                "F316",
                callee.span,
                f"`{callee.name}` is {binding.noun}, and cannot be called",
                None,
                self._findings.note("it is declared here", binding.variable.span),
            )

    def _report_missing(self, callee: syntax.Name) -> None:
        name = callee.name
        if name in self._names.unknown or name in self._names.declared:
            return
        if name in BUILTINS:
            hint = {
                "Decimal": "`decimal(n)` makes a Decimal of an Int",
                "Int": "`int(x)` reads an Int from a Text",
                "Text": 'write a value into a text: `"{x}"`',
            }.get(name)
            self._findings.report(
                "F316", callee.span, f"{name} is a built-in type, and cannot be called", hint
            )
            return
        if name[0].isupper():
            what = "record, message, error or flow"
            known = chain(self._names.of_kind("record", "message", "error", "flow"))
        else:
            what = "function"
            # `retrun (x)` and `thorw (e)` read as calls.
            words_meant = ("return", "throw")
            known = chain(self._names.of_kind("function"), predefined.FUNCTIONS, words_meant)
        hint = remedies.CALLS.get(name) or self._findings.did_you_mean(name, known)
        self._findings.report("F203", callee.span, f"there is no {what} `{name}`", hint or DECLARE)
        self._names.settle(name, hint)

    def service(self, node: syntax.Expr) -> ServiceInfo | None:
        """The service that an expression names, if it does."""
        if not isinstance(node, syntax.Name) or node.name in self._blocks.living:
            return None
        info = self._names.scope.get(node.name)
        if not isinstance(info, ServiceInfo):
            return None
        self._findings.meaning_of[node] = info
        return info

    def enum(self, node: syntax.Expr) -> EnumInfo | None:
        """The enum that an expression names, if it does."""
        if not isinstance(node, syntax.Name) or node.name in self._blocks.living:
            return None
        info = self._names.scope.get(node.name)
        return info if isinstance(info, EnumInfo) else None

    def case(self, node: syntax.Attribute, enum: EnumInfo) -> CaseInfo | None:
        """The case that `Decision.Approved` names; None if a mistake was (now) reported."""
        found = enum.cases.get(node.name)
        if found is not None:
            self._findings.meaning_of[node] = found
            return found
        name = words.short(enum.name)
        hint = self._findings.did_you_mean(node.name, enum.cases) or _has(enum.cases)
        message = f"`{name}` has no case `{node.name}`"
        self._findings.report("F216", node.name_span, message, hint, self._names.place(name))
        return None

    def is_value(self, node: syntax.Expr) -> bool:
        """Whether what stands before a dot is a value, and not the name of a declaration."""
        if not isinstance(node, syntax.Name):
            return True
        return node.name in self._blocks.living or node.name in predefined.VALUES

    def _operation(self, callee: syntax.Attribute) -> OperationInfo | CaseInfo | None:
        report = self._findings.report
        enum = self.enum(callee.value)
        if enum is not None:
            return self.case(callee, enum)
        service = self.service(callee.value)
        if service is not None:
            operation = service.operations.get(callee.name)
            if operation is not None:
                self._findings.meaning_of[callee] = operation
                return operation
            known = service.operations
            hint = self._findings.did_you_mean(callee.name, known) or _has(known)
            report(
                "F213",
                callee.name_span,
                f"`{words.short(service.name)}` has no operation `{callee.name}`",
                hint,
                self._names.place(words.short(service.name)),
            )
            return None
        if isinstance(callee.value, syntax.Name) and self._is_settled(callee.value):
            return None
        report(
            "F316",
            callee.name_span,
            f"`.{callee.name}(…)` cannot be called: only services have operations",
            METHODS.get(callee.name) or remedies.ATTRIBUTES.get(callee.name),
        )
        return None

    def _is_settled(self, node: syntax.Name) -> bool:
        """Whether no more is to be said of a name before a dot; says what is."""
        if node.name in self._blocks.living:
            return self._blocks.living[node.name].role == "unclear"
        if node.name not in self._names.unknown and not predefined.reserved(node.name):
            self._names.report_missing(node.name, node.span, "service")
            return True
        return node.name in self._names.unknown

    # --- which argument goes where ----------------------------------------------------------

    def slots(self, meaning: Meaning | StepInfo) -> tuple[Slot, ...]:
        """The places for arguments, in declared order."""
        match meaning:
            case RecordInfo():
                declared = meaning.declaration.fields
                return tuple(
                    Slot(field.name, field.type, field.default is not None, node)
                    for field, node in zip(meaning.fields, declared, strict=True)
                )
            case CaseInfo():
                return tuple(
                    Slot(field.name, field.type, field.default is not None, parameter)
                    for field, parameter in zip(
                        meaning.fields, meaning.declaration.parameters, strict=True
                    )
                )
            case Builtin(parameters=parameters):
                return tuple(Slot(name, kind) for name, kind in parameters)
            case ErrorInfo() | FunctionInfo() | OperationInfo() | FlowInfo() | StepInfo():
                nodes: Sequence[syntax.Parameter | None] = (
                    meaning.declaration.parameters if meaning.declaration else [None]
                )
                return tuple(
                    Slot(parameter.name, parameter.type, parameter.default is not None, node)
                    for parameter, node in zip(meaning.parameters, nodes, strict=True)
                )
            case _:
                assert_never(meaning)

    def arrange(
        self, call: syntax.Call | syntax.StepTo, called: str, slots: tuple[Slot, ...]
    ) -> tuple[syntax.Expr | None, ...]:
        """The arguments in the order of the slots, None where there is none."""
        by_name = {slot.name: slot for slot in slots}
        places: dict[str, syntax.Argument] = {}
        bare = isinstance(call, syntax.StepTo) and not slots
        signature = (
            f"write `step {called}`" if bare else f"its form is `{called}({_signature(slots)})`"
        )
        complete = True
        named = False
        for number, argument in enumerate(call.arguments):
            if argument.name is not None:
                named = True
                slot = by_name.get(argument.name)
            else:
                slot = slots[number] if number < len(slots) and not named else None
            if slot is None:
                complete = False
                self._report_stray(argument, number, named, called, slots, signature)
            elif slot.name in places:
                self._report_twice(argument, slot, places[slot.name])
            else:
                places[slot.name] = argument
        missing = [slot.name for slot in slots if slot.name not in places and not slot.default]
        if missing and complete:
            self._findings.report(
                "F311",
                call.span,
                f"`{called}` needs {words.listed(missing)}",
                signature,
            )
        return tuple(places[slot.name].value if slot.name in places else None for slot in slots)

    def _report_stray(
        self,
        argument: syntax.Argument,
        number: int,
        named: bool,
        called: str,
        slots: tuple[Slot, ...],
        signature: str,
    ) -> None:
        report = self._findings.report
        if argument.name is not None:
            hint = self._findings.did_you_mean(argument.name, [slot.name for slot in slots])
            report(
                "F312",
                self._findings.name_span(argument.name, argument.span),
                f"`{called}` has no `{argument.name}`",
                hint or signature,
            )
        elif named:
            report(
                "F315",
                argument.span,
                "an argument without a name cannot follow one with a name",
                "give it its name, as in `name=value`",
            )
        elif number == len(slots):
            report(
                "F313",
                argument.span,
                f"`{called}` takes {words.counted(len(slots), 'argument')}, and this is one more",
                signature,
            )

    def _report_twice(self, argument: syntax.Argument, slot: Slot, first: syntax.Argument) -> None:
        self._findings.report(
            "F314",
            argument.span,
            f"`{slot.name}` is given twice",
            "remove one of the two",
            self._findings.note("it is first given here", first.span),
        )

    def note(self, slot: Slot, callee: syntax.Name | syntax.Attribute) -> Note | None:
        """Where the slot was declared."""
        owner = callee.value if isinstance(callee, syntax.Attribute) else callee
        if slot.declared is None or not isinstance(owner, syntax.Name):
            return None
        declared = self._names.declared.get(owner.name)
        message = f"`{slot.name}` is declared here"
        return Note(message, declared.source, slot.declared.span) if declared else None


METHODS = {
    "close": "write `close s`",
    "send": "write `send x to s`",
    "receive": "write `receive x: T from s:`",
}
"""What other languages call like this."""


def _has(names: Iterable[str]) -> str | None:
    known = list(names)
    return f"it has {words.listed(known)}" if 0 < len(known) <= 5 else None


def _signature(slots: tuple[Slot, ...]) -> str:
    parts = []
    for slot in slots[:8]:
        kind = "" if isinstance(slot.type, str) else f": {shown(slot.type)}"
        parts.append(f"{slot.name}{kind}{' = …' if slot.default else ''}")
    return ", ".join([*parts, "…"] if len(slots) > 8 else parts)


def called(call: syntax.Call) -> str:
    """The callee as written: `Order`, `Desk.propose`."""
    match call.callee:
        case syntax.Name(name=name):
            return name
        case syntax.Attribute(value=syntax.Name(name=service), name=name):
            return f"{service}.{name}"
        case syntax.Attribute(name=name):
            return name
        case _:
            assert_never(call.callee)
