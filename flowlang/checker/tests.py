"""What the lines of `test` blocks mean, and whether their values fit. Runs nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import assert_never

from flowlang import syntax
from flowlang.checker import folding, nodes, trees, words
from flowlang.checker.expressions import Expressions
from flowlang.checker.facts import Facts
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.checker.variables import Blocks
from flowlang.source import START, Span
from flowlang.syntax import tests
from flowlang.types import (
    BOOL,
    DURATION,
    NONE,
    PARTY,
    FlowInfo,
    FunctionInfo,
    Named,
    OperationInfo,
    OptionalType,
    RecordInfo,
    Type,
    Unknown,
)

_MAKES_VALUES = frozenset({"timestamp"})
"""What is built in and may be called in a test."""


def check(findings: Findings, names: Names, file: syntax.File) -> None:
    """All tests of a file; its declarations are known."""
    first: dict[str, Span] = {}
    for test in file.tests:
        if test.name in first:
            findings.report(
                "F801",
                test.name_span,
                "two tests of this file have one name",
                "say in the name what is different about it",
                findings.note("the first one is here", first[test.name]),
            )
        first.setdefault(test.name, test.name_span)
        _Test(findings, names, file, test).check()


class _Test:
    """One test. `_started` are the flows by the names that it gives to them."""

    def __init__(
        self, findings: Findings, names: Names, file: syntax.File, test: tests.Test
    ) -> None:
        self._findings = findings
        self._names = names
        self._file = file
        self._test = test
        self._blocks = Blocks(findings, names)
        self._expressions = Expressions(findings, names, self._blocks, Facts())
        self._started: dict[str, FlowInfo | None] = {}
        self._parties: dict[str, Span] = {}

    def check(self) -> None:
        """Report what is wrong with it."""
        test = self._test
        self._blocks.assume(tests.ANYTHING, START)
        for name in test.parties:
            if name.name in self._parties:
                self._findings.report(
                    "F802",
                    name.span,
                    f"the party `{name.name}` is named twice",
                    "remove one of the two",
                )
                continue
            self._parties[name.name] = name.span
            self._blocks.declare(name.name, name.span, PARTY, "let")
        if test.parties_span is None and not test.broken:
            self._findings.report(
                "F802",
                test.name_span,
                "this test does not say between whom it plays",
                "begin it with a line such as `parties seller, buyer`",
            )
        if test.parties_span is None:
            self._assume_parties()
        for line in test.lines:
            self._line(line)

    def _assume_parties(self) -> None:
        """Whatever could be a party is one: that they are not named was said."""
        for node in nodes.everything(self._test):
            if isinstance(node, syntax.Name) and node.name[0].islower():
                self._blocks.assume(node.name, node.span)

    def _line(self, line: tests.Line) -> None:
        match line:
            case tests.Mocks():
                self._party(line.party)
                for mock in line.mocks:
                    self._mock(mock)
            case tests.Begin():
                self._begin(line)
            case tests.Answer():
                self._party(line.party)
                self._answer(line)
            case tests.Command():
                self._command(line)
            case tests.After():
                if self._value(line.time, DURATION):
                    self._time(line.time)
            case tests.Restart():
                self._party(line.party)
            case tests.ExpectOutcome():
                info = self._find(line.started)
                self._outcome(line.outcome, info)
            case tests.ExpectFlow():
                self._party(line.party)
                found = self._names.find(line.flow, "flow")
                self._outcome(line.outcome, found if isinstance(found, FlowInfo) else None)
            case tests.ExpectMail():
                self._owned(line.started)
                self._message(line.message)
            case tests.ExpectCalls():
                self._party(line.party)
                self._operation(line.operation)
            case tests.ExpectMessages():
                for sent in line.messages:
                    self._party(sent.sender)
                    self._party(sent.receiver)
                    self._message(sent.message)
            case syntax.Broken():
                pass  # What is wrong with it was said when it was read.
            case _:
                assert_never(line)

    # --- what is named ------------------------------------------------------------------------

    def _party(self, node: syntax.Name) -> None:
        if node.name in self._parties or self._test.parties_span is None:
            return
        near = self._findings.did_you_mean(node.name, self._parties)
        self._findings.report(
            "F803",
            node.span,
            f"`{node.name}` is no party of this test",
            near or "name it in the first line of the test, behind `parties`",
            self._findings.note("its parties are these", self._test.parties_span),
        )

    def _find(self, node: syntax.Name) -> FlowInfo | None:
        """The flow that was started under this name."""
        if node.name not in self._started:
            near = self._findings.did_you_mean(node.name, self._started)
            if not self._test.broken:
                self._findings.report(
                    "F806",
                    node.span,
                    f"nothing was started as `{node.name}` above this line",
                    near or f"write `start {node.name} = SomeFlow(…) at party` above it",
                )
            self._started[node.name] = None
        return self._started[node.name]

    # --- what is set up -----------------------------------------------------------------------

    def _mock(self, mock: tests.Mock) -> None:
        info = self._operation(mock.operation)
        for answer in mock.answers:
            if isinstance(answer, tests.Throws):
                self._throws(answer)
            else:
                self._value(answer, _answers(info) if info is not None else None)

    def _operation(self, node: tests.Operation) -> OperationInfo | None:
        found = self._expressions.calls.meaning(node.callee)
        if not isinstance(found, OperationInfo):
            if found is not None and isinstance(node.callee.value, syntax.Name):
                name = node.callee.value
                self._names.report_missing(name.name, name.span, "service")
            if node.call is not None:
                self._expressions.loose(node.call)
            return None
        if node.call is not None and not self._written(node.call):
            self._expressions.loose(node.call)
        elif node.call is not None:
            self._expressions.arguments(node.call, found)
        return found

    # --- what is done -------------------------------------------------------------------------

    def _begin(self, line: tests.Begin) -> None:
        self._party(line.party)
        callee = line.call.callee
        info = self._names.find(callee, "flow") if isinstance(callee, syntax.Name) else None
        flow = info if isinstance(info, FlowInfo) else None
        if line.name is not None:
            self._name(line.name, flow)
        written = self._written(line.call)
        if flow is None or not written:
            self._expressions.loose(line.call)
            return
        if "rpc" not in flow.declaration.startable and not flow.declaration.broken:
            short = words.short(flow.name)
            how = "the flow that it responds to is started, and opens a session with it"
            self._findings.report(
                "F805",
                line.call.callee.span,
                f"`{short}` cannot be started from outside",
                how
                if flow.declaration.responds
                else "declare in it that it may be: `startable by rpc`",
                self._names.place(short),
            )
        self._expressions.arguments(line.call, flow)

    def _name(self, node: syntax.Name, flow: FlowInfo | None) -> None:
        if node.name in self._started or node.name in self._parties:
            what = "a party" if node.name in self._parties else "a flow that was started"
            self._findings.report(
                "F806",
                node.span,
                f"`{node.name}` is already {what} of this test",
                "choose another name",
            )
        self._started[node.name] = flow

    def _answer(self, line: tests.Answer) -> None:
        wanted = [kind for role, kind in self._asked() if role == line.role]
        if len(set(wanted)) == 1:
            self._value(line.value, wanted[0])
        else:
            self._value(line.value, None)

    def _asked(self) -> Iterator[tuple[str, Type]]:
        """The roles that flows of this file ask, with the types of the answers."""
        for flow in self._file.declarations:
            if isinstance(flow, syntax.Flow):
                for node in nodes.everything(flow):
                    if isinstance(node, syntax.Ask) and isinstance(node.role, syntax.Constant):
                        kind = self._findings.type_refs.get(node.answer)
                        if kind is not None:
                            yield str(node.role.value), kind

    def _command(self, line: tests.Command) -> None:
        self._owned(line.started)
        self._message(line.message, exact=True)

    def _owned(self, node: syntax.Name) -> None:
        """A flow that talks to its owner."""
        flow = self._find(node)
        if flow is not None and flow.declaration.owner is None and not flow.declaration.broken:
            short = words.short(flow.name)
            self._findings.report(
                "F807",
                node.span,
                f"`{short}` has no owner who could talk to it",
                "declare in it: `startable by rpc as owner`",
                self._names.place(short),
            )

    def _time(self, node: syntax.Expr) -> None:
        length = folding.value(node)
        if isinstance(length, datetime.timedelta) and length <= datetime.timedelta(0):
            self._findings.report(
                "F809", node.span, "time only goes forward", "write how much of it passes: `2d`"
            )

    # --- what is expected ---------------------------------------------------------------------

    def _outcome(self, outcome: tests.Outcome, flow: FlowInfo | None) -> None:
        if outcome.error is not None:
            self._throws(outcome.error)
        if outcome.value is not None:
            self._value(outcome.value, (flow.result or NONE) if flow is not None else None)

    def _throws(self, node: tests.Throws) -> None:
        info = self._names.caught(node.error)
        if node.call is None:
            return
        if not self._written(node.call) or info is None:
            self._expressions.loose(node.call)
        else:
            self._expressions.arguments(node.call, info)

    def _message(self, node: syntax.Expr, *, exact: bool = False) -> None:
        """A message; unless it is `exact`, its name alone is one with any fields."""
        if isinstance(node, syntax.Name) and not exact:
            info = self._names.scope.get(node.name)
            if isinstance(info, RecordInfo) and info.kind == "message":
                self._findings.meaning_of[node] = info
            elif node.name not in self._names.unknown:
                self._names.report_missing(node.name, node.span, "message")
            return
        if not self._written(node):
            return
        kind = self._expressions.value(node)
        sendable = isinstance(kind, Named) and kind.kind == "message"
        if not sendable and not isinstance(kind, Unknown):
            self._findings.report(
                "F601",
                node.span,
                f"this is {words.said(kind)}, but only messages are sent",
                "write a message with its fields: `SomeMessage(…)`",
            )

    # --- values -------------------------------------------------------------------------------

    def _value(self, node: syntax.Expr, wanted: Type | None) -> bool:
        """Whether it is a value written out; says what is wrong with it."""
        if not self._written(node):
            return False
        if wanted is None:
            self._expressions.value(node)
        else:
            self._expressions.expect(node, wanted)
        return True

    def _written(self, node: syntax.Expr) -> bool:
        """Whether a value is written out: what a test says is looked up and computed nowhere."""
        parts = list(trees.everything(node))
        for part in parts:
            if not self._is_written(part):
                self._findings.report(
                    "F804",
                    part.span,
                    "a value in a test is written out",
                    "write a literal, a record, an enum's case, a list, a map, a party, or a call "
                    "of a `function`",
                )
                return False
        return True

    def _is_written(self, node: syntax.Expr) -> bool:
        match node:
            case syntax.Constant() | syntax.ListLiteral() | syntax.MapLiteral():
                return True
            case syntax.Unary(operator="-", operand=syntax.Constant()):
                return True
            case syntax.Name(name=name):
                # What is no value at all is said where its type is looked for.
                return name not in ("me", "now", "flow_id", "started_by")
            case syntax.Attribute(value=syntax.Name()):
                return True
            case syntax.Call(callee=syntax.Name(name=name)):
                known = self._names.scope.get(name)
                return name in _MAKES_VALUES or name[0].isupper() or isinstance(known, FunctionInfo)
            case syntax.Call(callee=syntax.Attribute(value=syntax.Name(name=name))):
                return name[0].isupper()
            case _:
                return False


def _answers(operation: OperationInfo) -> Type:
    """What a test says that an operation answers. An event is not so as long as it answers `none`,
    or `false` where it gives nothing."""
    result = operation.result or NONE
    if operation.kind != "event":
        return result
    return BOOL if operation.result is None else OptionalType(result)
