"""Expressions with every name resolved. Knows no statements and no order of things."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, assert_never

from flowlang import machine, syntax, types

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
        """The external operation that is waited for, if it is one."""
        if isinstance(node.value, syntax.Call):
            meaning = self._checked.meaning_of.get(node.value.callee)
            if isinstance(meaning, types.OperationInfo) and meaning.kind == "external":
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
        value = self.of(node.value)
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
        info = self._checked.named.get(owner)
        fields: Sequence[str] = ()
        match info:
            case types.RecordInfo():
                return machine.Get(value, name)
            case types.ErrorInfo():
                fields = [parameter.name for parameter in info.parameters]
            case None:
                fields = () if owner == "FlowError" else ("reason",)
        match name:
            case "text" | "peer" | "id" as what if name not in fields:
                return machine.About(value, what)
            case _:
                return machine.Get(value, name)

    def _field_type(self, owner: str, name: str) -> types.Type:
        match self._checked.named.get(owner):
            case types.RecordInfo(fields=fields):
                return next(field.type for field in fields if field.name == name)
            case types.ErrorInfo(parameters=parameters):
                declared = next((field.type for field in parameters if field.name == name), None)
            case None:  # One of the built-in errors.
                declared = None
        peer: types.Type = types.OptionalType(types.PARTY)
        return declared or (peer if name == "peer" else types.TEXT)

    def _known(self, found: machine.Expr, declared: types.Type, here: types.Type) -> machine.Expr:
        """`found`, marked where tests have shown that an optional value is there."""
        optional = types.OptionalType | types.NoneType
        if isinstance(declared, types.OptionalType) and not isinstance(here, optional):
            return machine.Some(found)
        return found

    def _call(self, node: syntax.Call) -> machine.Expr:
        meaning = self._checked.meaning_of.get(node.callee)
        match meaning:
            case types.RecordInfo():
                return machine.New(meaning.name, self._record_arguments(node, meaning))
            case types.ErrorInfo():
                return machine.New(meaning.name, self.arguments(node))
            case types.FunctionInfo():
                target = meaning.declaration.target
                return machine.CallFunction(meaning.name, target, self.arguments(node))
            case types.OperationInfo():
                return machine.CallOperation(
                    self._service(node.callee), meaning.name, self.arguments(node)
                )
            case None:
                return self._builtin(node)
            case _:
                raise ValueError(f"{type(meaning).__name__} is no expression")

    def arguments(self, node: syntax.Call) -> tuple[machine.Expr, ...]:
        """The arguments of a call whose parameters have no defaults, in declared order."""
        return tuple(self.of(value) for value in self._checked.calls[node] if value is not None)

    def _record_arguments(
        self, node: syntax.Call, record: types.RecordInfo
    ) -> tuple[machine.Expr, ...]:
        given = self._checked.calls[node]
        return tuple(
            self._default(record, field) if value is None else self.of(value)
            for field, value in zip(record.fields, given, strict=True)
        )

    def _default(self, record: types.RecordInfo, field: types.FieldInfo) -> machine.Expr:
        if field.default is None:
            raise ValueError(f"{record.name}.{field.name} has no default")
        owner = self._project[record.name.rpartition(".")[0]]
        return Expressions(owner, self._project, self._name_of).of(field.default)

    def _service(self, callee: syntax.Expr) -> str:
        if isinstance(callee, syntax.Attribute):
            service = self._checked.meaning_of[callee.value]
            if isinstance(service, types.ServiceInfo):
                return service.name
        raise ValueError("an operation is called through its service")

    def _builtin(self, node: syntax.Call) -> machine.Expr:
        given = [value for value in self._checked.calls[node] if value is not None]
        match given:
            case [value]:
                return machine.ToDecimal(self.of(value))
            case [left, right, places, syntax.Name(name=rounding)]:
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
