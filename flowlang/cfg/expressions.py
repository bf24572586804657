"""Expressions with every name resolved. Knows no statements and no order of things."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, assert_never

from flowlang import formats, machine, syntax, types

_INT_MAX = 2**63 - 1

_PREDEFINED: Mapping[str, machine.Builtin] = {
    "me": machine.Builtin("me"),
    "now": machine.Builtin("now"),
    "flow_id": machine.Builtin("flow_id"),
}


class Expressions:
    """Resolves the expressions of one checked file.

    `name_of` gives a variable its name in the machine. `project` has the checked files by module,
    because the default of a field stands in the file that declares the record.
    """

    def __init__(
        self,
        checked: types.Checked,
        project: Mapping[str, types.Checked],
        name_of: Callable[[types.Variable], str],
    ) -> None:
        self._checked = checked
        self._project = project
        self._name_of = name_of

    def of(self, node: syntax.Expr) -> machine.Expr:
        """The expression, resolved."""
        match node:
            case syntax.Constant():
                return constant(node)
            case syntax.Interpolation(parts=parts):
                return machine.Text(tuple(self._part(part) for part in parts))
            case syntax.Formatted():
                return formatted(self.of(node.value), self.type_of(node.value), node.format)
            case syntax.Update(value=value, changes=changes):
                made = tuple((change.name or "", self.of(change.value)) for change in changes)
                return machine.Update(self.of(value), made)
            case syntax.Name():
                return self._name(node)
            case syntax.Attribute():
                return self._attribute(node)
            case syntax.Index(value=value, index=index):
                is_map = isinstance(self.type_of(value), types.MapType)
                return machine.Item(self.of(value), self.of(index), is_map)
            case syntax.Call():
                return self._call(node)
            case syntax.Unary():
                return self._unary(node)
            case syntax.Binary():
                return self._binary(node)
            case syntax.ListLiteral(items=items):
                return machine.Items(tuple(self.of(item) for item in items))
            case syntax.MapLiteral(entries=entries):
                return machine.Entries(
                    tuple((self.of(key), self.of(value)) for key, value in entries)
                )
            case _:
                assert_never(node)

    def given(self, node: syntax.Expr | syntax.Effect) -> machine.Expr:
        """What a variable gets without waiting for it."""
        match node:
            case syntax.Start(call=call, at=at):
                info = self.flow(call)
                when = None if at is None else self.of(at)
                return machine.StartFlow(info.name, info.version, self.arguments(call), when)
            case syntax.Pending(effect=effect):
                return self.begun(effect)
            case syntax.Subflow() | syntax.Await() | syntax.Ask():
                raise ValueError(f"{type(node).__name__} is waited for")
            case _:
                return self.of(node)

    def begun(self, node: syntax.Await | syntax.Ask) -> machine.Expr:
        """What is begun, to be waited for now or later."""
        if isinstance(node, syntax.Ask):
            return self.asked(node)
        called = self.of(node.value)
        if node.each:
            return machine.FollowEach(called)
        if isinstance(called, machine.CallOperation) and self.operation(node) is not None:
            return machine.Request(called.service, called.operation, called.arguments)
        return machine.Follow(called)

    def asked(self, node: syntax.Ask) -> machine.AskFor:
        """What people are asked."""
        asked, answer = self.type_of(node.question), self._checked.type_refs[node.answer]
        if not (isinstance(asked, types.Named) and isinstance(answer, types.Named)):
            raise ValueError("people are asked with declared types, and answer with them")
        role, question = self.of(node.role), self.of(node.question)
        within = None if node.deadline is None else self.of(node.deadline)
        return machine.AskFor(role, asked.name, question, answer.name, within)

    def operation(self, node: syntax.Await) -> types.OperationInfo | None:
        """The external operation, or the event, that is waited for, if it is one."""
        if isinstance(node.value, syntax.Call):
            meaning = self._checked.meaning_of.get(node.value.callee)
            if isinstance(meaning, types.OperationInfo) and meaning.kind in types.AWAITED:
                return meaning
        return None

    def flow(self, call: syntax.Call) -> types.FlowInfo:
        """The flow that is called."""
        info = self._checked.meaning_of[call.callee]
        if not isinstance(info, types.FlowInfo):
            raise ValueError(f"{info.name} is no flow")
        return info

    def type_of(self, node: syntax.Expr) -> types.Type:
        """The type that the expression has where it stands."""
        return self._checked.type_of[node]

    def _part(self, part: str | syntax.Expr) -> machine.Expr:
        return machine.Const("Text", part) if isinstance(part, str) else self.of(part)

    def _name(self, node: syntax.Name) -> machine.Expr:
        variable = self._checked.variable_of.get(node)
        if variable is not None:
            found = machine.Var(self._name_of(variable))
            return self._known(found, variable.type, self.type_of(node))
        return _PREDEFINED[node.name]

    def _attribute(self, node: syntax.Attribute) -> machine.Expr:
        case = self._checked.meaning_of.get(node)
        if isinstance(case, types.CaseInfo):
            return machine.New(case.qualified, ())
        value = self.of(node.value)
        method = self._checked.methods.get(node)
        if method is not None:
            computed = machine.Compute(method.function, (value,))
            return self._known(computed, method.result, self.type_of(node))
        match self.type_of(node.value):
            case types.SESSION:
                return machine.Peer(value) if node.name == "peer" else machine.Version(value)
            case types.ListType() | types.MapType() | types.TEXT | types.BYTES:
                return machine.Size(value)
            case types.AnswerType():
                return self._of_answer(value, node)
            case types.Named(name=name):
                declared = self._field_type(name, node.name)
                found = self._part_of(value, name, node.name)
                return self._known(found, declared, self.type_of(node))
            case types.Caught(errors=errors):
                declared = self._field_type(errors[0], node.name)
                found = self._part_of(value, errors[0], node.name)
                if isinstance(found, machine.Get):
                    found = machine.Shared(value, node.name)
                return self._known(found, declared, self.type_of(node))
            case _:
                return machine.Get(value, node.name)

    def _of_answer(self, value: machine.Expr, node: syntax.Attribute) -> machine.Expr:
        """A part of an answer, or a field of what was answered."""
        kind = self.type_of(node.value)
        match node.name:
            case "value" | "by" | "at" as part:
                return machine.Answered(value, part)
            case name if isinstance(kind, types.AnswerType) and isinstance(kind.value, types.Named):
                found = machine.Get(machine.Answered(value, "value"), name)
                declared = self._field_type(kind.value.name, name)
                return self._known(found, declared, self.type_of(node))
            case name:
                raise ValueError(f"no answer has {name}")

    def _part_of(self, value: machine.Expr, owner: str, name: str) -> machine.Expr:
        """A field; where an error has no field of that name, what it tells of itself."""
        fields: Sequence[str] = ()
        match self._checked.named.get(owner):
            case types.RecordInfo() | types.OpaqueInfo() | types.EnumInfo():
                return machine.Get(value, name)
            case types.ErrorInfo(parameters=parameters):
                fields = [parameter.name for parameter in parameters]
            case None:  # One of the built-in errors, whose `reason` is not among the names below.
                pass
        match name:
            case "text" | "peer" | "id" as what if name not in fields:
                return machine.About(value, what)
            case _:
                return machine.Get(value, name)

    def _field_type(self, owner: str, name: str) -> types.Type:
        declared: types.Type | None = None
        match self._checked.named.get(owner):
            case types.RecordInfo(fields=fields) | types.OpaqueInfo(fields=fields):
                return next(field.type for field in fields if field.name == name)
            case types.EnumInfo():
                raise ValueError(f"{owner} is an enum, and has no fields of its own")
            case types.ErrorInfo(parameters=parameters):
                declared = next((field.type for field in parameters if field.name == name), None)
            case types.EnumInfo() | None:
                pass  # An enum has no fields of its own; a built-in error has texts.
        peer: types.Type = types.OptionalType(types.PARTY)
        return declared or (peer if name == "peer" else types.TEXT)

    def _known(self, found: machine.Expr, declared: types.Type, here: types.Type) -> machine.Expr:
        """`found`, marked where tests have shown that an optional value is there."""
        optional = types.OptionalType | types.NoneType
        if isinstance(declared, types.OptionalType) and not isinstance(here, optional):
            return machine.Some(found)
        return found

    def _call(self, node: syntax.Call) -> machine.Expr:
        method = self._checked.methods.get(node)
        if method is not None and isinstance(node.callee, syntax.Attribute):
            asked = self.of(node.callee.value)
            return machine.Compute(method.function, (asked, *self.arguments(node)))
        meaning = self._checked.meaning_of.get(node.callee)
        match meaning:
            case types.RecordInfo():
                return machine.New(meaning.name, self.filled(node, meaning.name, meaning.fields))
            case types.CaseInfo():
                given = self.filled(node, meaning.enum, meaning.fields)
                return machine.New(meaning.qualified, given)
            case types.ErrorInfo():
                return machine.New(
                    meaning.name, self.filled(node, meaning.name, meaning.parameters)
                )
            case types.FunctionInfo():
                target = meaning.declaration.target
                given = self.filled(node, meaning.name, meaning.parameters)
                return machine.CallFunction(meaning.name, target, given)
            case types.OperationInfo():
                service = self._service(node.callee)
                given = self.filled(node, service, meaning.parameters)
                return machine.CallOperation(service, meaning.name, given)
            case None:
                return self._builtin(node)
            case _:
                raise ValueError(f"{type(meaning).__name__} is no expression")

    def arguments(self, node: syntax.Call) -> tuple[machine.Expr, ...]:
        """The arguments of a call of a flow or of what has no defaults, in declared order."""
        meaning = self._checked.meaning_of.get(node.callee)
        if isinstance(meaning, types.FlowInfo):
            return self.filled(node, meaning.name, meaning.parameters)
        return tuple(self.of(value) for value in self._checked.calls[node] if value is not None)

    def filled(
        self,
        node: syntax.Call,
        owner: str,
        slots: Sequence[types.FieldInfo | types.ParameterInfo],
    ) -> tuple[machine.Expr, ...]:
        """The arguments of a call of `owner` (qualified), in declared order, with the defaults of
        those that are left out."""
        return tuple(
            self._default(owner, slot) if value is None else self.of(value)
            for slot, value in zip(slots, self._checked.calls[node], strict=True)
        )

    def _default(self, owner: str, slot: types.FieldInfo | types.ParameterInfo) -> machine.Expr:
        if slot.default is None:
            raise ValueError(f"{owner}.{slot.name} has no default")
        # It stands in the file that declares the owner.
        checked = self._project[owner.rpartition(".")[0]]
        return Expressions(checked, self._project, self._name_of).of(slot.default)

    # --- cases of enums ---------------------------------------------------------------------

    def cased(self, case: types.CaseInfo, value: machine.Expr) -> machine.Expr:
        """The value as one of that case, which it has been shown to be."""
        return machine.Cased(value, case.qualified, self._others(case.enum, {case.name}))

    def _others(self, enum: str, names: Collection[str]) -> tuple[str, ...]:
        info = self._checked.named[enum]
        if not isinstance(info, types.EnumInfo):
            raise ValueError(f"{enum} is no enum")
        return tuple(case.qualified for name, case in info.cases.items() if name not in names)

    def matches(
        self, case: syntax.MatchCase, subject: machine.Expr, node: syntax.Expr
    ) -> machine.Expr:
        """Whether one of the patterns of a case matches; `node` is what is matched, as written."""
        named = [
            self._checked.patterns[pattern]
            for pattern in case.patterns
            if isinstance(pattern, syntax.CasePattern)
        ]
        tests: list[machine.Expr] = []
        if named:
            cases = tuple(info.qualified for info in named)
            others = self._others(named[0].enum, {info.name for info in named})
            tests.append(machine.IsCase(subject, cases, others))
        for pattern in case.patterns:
            if isinstance(pattern, syntax.AnyPattern):
                return machine.Const("Bool", True)
            if isinstance(pattern, syntax.ValuePattern):
                tests.append(self._is(subject, pattern.value, self.type_of(node)))
        found = tests[0]
        for test in tests[1:]:
            found = machine.Logic("or", found, test)
        return found

    def _is(self, subject: machine.Expr, value: syntax.Constant, kind: types.Type) -> machine.Expr:
        if kind == types.BOOL:
            return subject if value.value is True else machine.Not(subject)
        return machine.Compare("==", subject, constant(value))

    def _service(self, callee: syntax.Expr) -> str:
        if isinstance(callee, syntax.Attribute):
            service = self._checked.meaning_of[callee.value]
            if isinstance(service, types.ServiceInfo):
                return service.name
        raise ValueError("an operation is called through its service")

    def _builtin(self, node: syntax.Call) -> machine.Expr:
        given = [value for value in self._checked.calls[node] if value is not None]
        name = node.callee.name
        kind = self.type_of(given[0])
        match name, given:
            case "timestamp", [syntax.Constant(value=str(text))]:
                return machine.Const("Timestamp", moment_text(text))
            case "text", [value]:
                return machine.Compute("shown", (self.of(value),))
            case "decimal", [value] if kind == types.INT:
                return machine.ToDecimal(self.of(value))
            case "decimal" | "int", [value]:
                function = f"{name}_of_{name_of_type(kind).lower()}"
                return machine.Compute(function, (self.of(value),))
            case "abs", [value]:
                return machine.Compute(f"abs_{name_of_type(kind).lower()}", (self.of(value),))
            case "min" | "max", [left, right]:
                function = "least" if name == "min" else "greatest"
                return machine.Compute(function, (self.of(left), self.of(right)))
            case "round", [value, places, syntax.Name(name=rounding)]:
                way = machine.Const("Text", rounding)
                return machine.Compute("rounded", (self.of(value), self.of(places), way))
            case "divide", [left, right, places, syntax.Name(name=rounding)]:
                return machine.Divide(self.of(left), self.of(right), self.of(places), rounding)
            case _:
                raise ValueError("no built-in function takes these arguments")

    def _unary(self, node: syntax.Unary) -> machine.Expr:
        value = self.of(node.operand)
        if node.operator == "not":
            return machine.Not(value)
        kind = name_of_type(self.type_of(node.operand))
        if isinstance(value, machine.Const) and kind in ("Int", "Duration"):
            if isinstance(value.value, int):
                return machine.Const(kind, -value.value)
        if isinstance(value, machine.Const) and kind == "Decimal":
            return machine.Const(kind, written(-decimal.Decimal(str(value.value))))
        return machine.Negate(kind, value)

    def _binary(self, node: syntax.Binary) -> machine.Expr:
        left, right = self.of(node.left), self.of(node.right)
        match node.operator:
            case "and" | "or" as logic:
                return machine.Logic(logic, left, right)
            case "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" as comparison:
                known = _compared(comparison, left, right)
                return machine.Compare(comparison, left, right) if known is None else known
            case "+" | "-" | "*" | "//" | "%" as arithmetic:
                kind = name_of_type(self.type_of(node.left))
                return machine.Arithmetic(arithmetic, kind, left, right)
            case "/":
                raise ValueError("`/` is not in the language")
            case _:
                assert_never(node.operator)


def constant(node: syntax.Constant) -> machine.Const:
    """A value as the machine writes it."""
    match node.value:
        case decimal.Decimal() as value:
            return machine.Const(node.kind, written(value))
        case bytes() as value:
            return machine.Const(node.kind, value.hex())
        case datetime.timedelta() as value:
            return machine.Const(node.kind, value // datetime.timedelta(milliseconds=1))
        case None | bool() | int() | str() as value:
            return machine.Const(node.kind, value)
        case _:
            assert_never(node.value)


def moment_text(written: str) -> str:
    """A timestamp in the one way to write it."""
    found = formats.moment(written)
    if found is None:
        raise ValueError(f"{written!r} is no moment")
    return found.isoformat()


def formatted(value: machine.Expr, kind: types.Type, written: str) -> machine.Expr:
    """A value as its format shows it."""
    found = formats.read(written, kind)
    if isinstance(found, formats.Unfit):
        raise ValueError(found.message)
    if found.style:
        function = f"{name_of_type(kind).lower()}_shown"
        return machine.Compute(function, (value, machine.Const("Text", found.style)))
    number = kind in (types.INT, types.DECIMAL)
    if number:
        places = machine.Const("none" if found.places is None else "Int", found.places)
        value = machine.Compute(
            "number_shown", (value, places, machine.Const("Bool", found.grouped))
        )
    if not found.width:
        return value
    align = found.align or (">" if number else "<")
    fill = "0" if found.zeros else " "
    texts = (machine.Const("Text", align), machine.Const("Text", fill))
    return machine.Compute("padded", (value, machine.Const("Int", found.width), *texts))


def written(value: decimal.Decimal) -> str:
    """A Decimal in the one way to write it: no trailing zeros, no exponent, no minus zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def name_of_type(kind: types.Type) -> str:
    """What `Arithmetic` and `Negate` call a type."""
    match kind:
        case types.Builtin(name=name):
            return name
        case types.ListType():
            return "List"
        case _:
            raise ValueError(f"nothing is computed with {types.shown(kind)}")


def _compared(
    operator: Literal["==", "!=", "<", "<=", ">", ">=", "in"],
    left: machine.Expr,
    right: machine.Expr,
) -> machine.Const | None:
    """What a comparison of two values that are written out comes to: linters and type checkers
    take such a comparison for a mistake, and here it is only the author's constant."""
    if not (isinstance(left, machine.Const) and isinstance(right, machine.Const)):
        return None
    one, other = _value(left), _value(right)
    if operator in ("==", "!="):
        same = (left.type, one) == (right.type, other)
        return machine.Const("Bool", same == (operator == "=="))
    match one, other:
        case str(), str():
            order = (one > other) - (one < other)
        case int() | decimal.Decimal(), int() | decimal.Decimal():
            order = (one > other) - (one < other)
        case _:
            return None
    answers = {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}
    return machine.Const("Bool", answers[operator])


def _value(const: machine.Const) -> str | int | bool | decimal.Decimal | None:
    return decimal.Decimal(str(const.value)) if const.type == "Decimal" else const.value
