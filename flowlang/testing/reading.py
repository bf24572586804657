"""From a checked file to its tests as plain data. Knows nothing of how they run."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator, Sequence
from typing import assert_never

from flowlang import syntax
from flowlang.codegen import words
from flowlang.codegen.scope import class_name
from flowlang.source import Source, Span
from flowlang.syntax import tests
from flowlang.testing import plan
from flowlang.types import (
    CaseInfo,
    Checked,
    ErrorInfo,
    FieldInfo,
    FlowInfo,
    FunctionInfo,
    OperationInfo,
    ParameterInfo,
    RecordInfo,
    ServiceInfo,
)


def plans(checked: Checked) -> tuple[plan.Plan, ...]:
    """The tests of a file without mistakes, in order."""
    reader = _Reader(checked)
    return tuple(reader.read(test) for test in checked.file.tests)


class _Reader:
    """One file."""

    def __init__(self, checked: Checked) -> None:
        self._checked = checked

    def read(self, test: tests.Test) -> plan.Plan:
        parties = tuple(name.name for name in test.parties)
        mocks: list[plan.Mock] = []
        steps: list[plan.Step] = []
        for line in test.lines:
            if isinstance(line, tests.Mocks):
                mocks += [self._mock(line.party.name, mock) for mock in line.mocks]
            elif not isinstance(line, syntax.Broken):
                steps.append(self._step(line))
        source = self._checked.source
        place = plan.Place(test.span.line, test.span.column, f'test "{test.name}"')
        return plan.Plan(
            source.name, source.module, test.name, place, parties, tuple(mocks), tuple(steps)
        )

    def _place(self, span: Span) -> plan.Place:
        return plan.Place(span.line, span.column, _text(self._checked.source, span))

    def _mock(self, party: str, mock: tests.Mock) -> plan.Mock:
        answers = tuple(
            (True, self._error(answer))
            if isinstance(answer, tests.Throws)
            else (False, self._value(answer))
            for answer in mock.answers
        )
        return plan.Mock(party, self._operation(mock.operation), answers)

    def _operation(self, node: tests.Operation) -> plan.Operation:
        info = self._checked.meaning_of[node.callee]
        service = self._checked.meaning_of[node.callee.value]
        assert isinstance(info, OperationInfo)
        assert isinstance(service, ServiceInfo)
        given = None
        if node.call is not None:
            given = tuple(value for _, value in self._given(node.call, info.parameters))
        return plan.Operation(service.name, words.name(info.name), given)

    def _step(
        self,
        line: tests.Begin
        | tests.Answer
        | tests.Command
        | tests.After
        | tests.Restart
        | tests.ExpectOutcome
        | tests.ExpectFlow
        | tests.ExpectMail
        | tests.ExpectCalls
        | tests.ExpectMessages,
    ) -> plan.Step:
        place = self._place(line.span)
        match line:
            case tests.Begin(name=name, call=call, party=party):
                info = self._checked.meaning_of[call.callee]
                assert isinstance(info, FlowInfo)
                given = self._given(call, info.parameters, leave_out=True)
                arguments = tuple((words.state_field(name), value) for name, value in given)
                called = name.name if name is not None else None
                return plan.Start(place, called, _flow(info), party.name, arguments)
            case tests.Answer(role=role, party=party, value=value, by=by):
                return plan.Answer(place, role, party.name, self._value(value), by)
            case tests.Command(started=started, message=message):
                return plan.Command(place, started.name, self._value(message))
            case tests.After(time=time):
                return plan.After(place, self._value(time))
            case tests.Restart(party=party):
                return plan.Restart(place, party.name)
            case tests.ExpectOutcome(started=started, outcome=outcome):
                return plan.ExpectOutcome(place, started.name, self._outcome(outcome))
            case tests.ExpectFlow(flow=flow, party=party, outcome=outcome):
                info = self._checked.meaning_of[flow]
                assert isinstance(info, FlowInfo)
                return plan.ExpectFlow(place, _flow(info), party.name, self._outcome(outcome))
            case tests.ExpectMail(started=started, message=message):
                return plan.ExpectMail(place, started.name, self._message(message))
            case tests.ExpectCalls(count=count, operation=operation, party=party):
                wanted = self._operation(operation)
                return plan.ExpectCalls(place, count, wanted, party.name)
            case tests.ExpectMessages(messages=messages):
                return plan.ExpectMessages(place, tuple(map(self._sent, messages)))
            case _:
                assert_never(line)

    def _sent(self, node: tests.SentMessage) -> plan.Sent:
        message = self._message(node.message)
        return plan.Sent(self._place(node.span), node.sender.name, node.receiver.name, message)

    def _message(self, node: syntax.Expr) -> plan.Value:
        """A message; its name alone is one with any fields."""
        meaning = self._checked.meaning_of.get(node)
        if isinstance(node, syntax.Name) and isinstance(meaning, RecordInfo):
            return plan.Made(*_named(meaning.name), None)
        return self._value(node)

    def _outcome(self, node: tests.Outcome) -> plan.Outcome:
        if node.error is not None:
            return plan.Outcome("throws", self._error(node.error))
        value = self._value(node.value) if node.value is not None else None
        return plan.Outcome(node.kind, value)

    def _error(self, node: tests.Throws) -> plan.Value:
        info = self._checked.meaning_of[node.error]
        assert isinstance(info, ErrorInfo)
        fields = None
        if node.call is not None:
            given = self._given(node.call, info.parameters)
            fields = tuple((words.field(name), value) for name, value in given)
        return plan.Made(*_named(info.name), fields)

    # --- values -------------------------------------------------------------------------------

    def _given(
        self,
        call: syntax.Call,
        slots: Sequence[ParameterInfo | FieldInfo],
        *,
        leave_out: bool = False,
    ) -> Iterator[tuple[str, plan.Value]]:
        """What a call gives, by name; defaults too, unless they are to be left out."""
        for slot, node in zip(slots, self._checked.calls[call], strict=True):
            if node is not None:
                yield slot.name, self._value(node)
            elif slot.default is not None and not leave_out:
                yield slot.name, self._value(slot.default)

    def _value(self, node: syntax.Expr) -> plan.Value:
        match node:
            case syntax.Constant(value=value):
                return plan.Written(value)
            case syntax.Unary(operator="-", operand=syntax.Constant(value=value)):
                assert isinstance(value, int | decimal.Decimal | datetime.timedelta)
                return plan.Written(-value)
            case syntax.ListLiteral(items=items):
                return plan.ListOf(tuple(map(self._value, items)))
            case syntax.MapLiteral(entries=entries):
                pairs = [(self._value(key), self._value(value)) for key, value in entries]
                return plan.MapOf(tuple(pairs))
            case syntax.Name(name=tests.ANYTHING):
                return plan.Anything()
            case syntax.Name(name=name):
                return plan.PartyNamed(name)
            case syntax.Attribute():
                return self._made(self._checked.meaning_of[node], None)
            case syntax.Call(callee=syntax.Name(name="timestamp"), arguments=(argument,)):
                assert isinstance(argument.value, syntax.Constant)
                return plan.Time(str(argument.value.value))
            case syntax.Call():
                return self._made(self._checked.meaning_of[node.callee], node)
            case _:
                raise AssertionError(f"{node} is not written out")

    def _made(self, meaning: object, call: syntax.Call | None) -> plan.Value:
        match meaning:
            case RecordInfo() if call is not None:
                return plan.Made(*_named(meaning.name), self._fields(call, meaning.fields))
            case CaseInfo():
                module, name = _named(meaning.enum)
                fields = self._fields(call, meaning.fields) if call is not None else ()
                return plan.Made(module, f"{name}_{meaning.name}", fields)
            case FunctionInfo() if call is not None:
                values = tuple(value for _, value in self._given(call, meaning.parameters))
                return plan.Computed(meaning.declaration.target, values)
            case _:
                raise AssertionError(f"{meaning} makes no value")

    def _fields(
        self, call: syntax.Call, slots: Sequence[FieldInfo]
    ) -> tuple[tuple[str, plan.Value], ...]:
        given = self._given(call, slots)
        return tuple((words.field(name), value) for name, value in given)


def _named(qualified: str) -> tuple[str, str]:
    """A declaration's module and its name in Python; a built-in error has no module."""
    module, _, name = qualified.rpartition(".")
    return module, words.name(name)


def _flow(info: FlowInfo) -> plan.FlowNamed:
    module, _, name = info.name.rpartition(".")
    return plan.FlowNamed(module, class_name(name, info.version))


def _text(source: Source, span: Span) -> str:
    """The first line of a stretch of text."""
    line = source.line(span.line)
    end = span.end_column - 1 if span.line == span.end_line else None
    return line[span.column - 1 : end].strip()
