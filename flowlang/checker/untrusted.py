"""Data that another party sent, and whether it was examined before it is used.

Follows a flow statement by statement: what a condition looks at is clean from there on. Which
variables can hold foreign data at all, `origins` has found out before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, assert_never

from flowlang import syntax
from flowlang.checker import trees, words
from flowlang.checker.calls import called
from flowlang.checker.control import not_in_checks
from flowlang.checker.facts import Facts, Meeting, Path
from flowlang.checker.findings import Findings
from flowlang.checker.origins import Origins, Read, bindings
from flowlang.checker.relations import bare
from flowlang.diagnostics import Note
from flowlang.source import Span
from flowlang.types import (
    UNKNOWN,
    CaseInfo,
    EnumInfo,
    ErrorInfo,
    FlowInfo,
    FunctionInfo,
    ListType,
    Named,
    OperationInfo,
    OptionalType,
    ParameterInfo,
    RecordInfo,
    Type,
    Variable,
)

MAX_ROUNDS = 4
"""After so many, every variable that could ever hold foreign data is taken to hold it."""


class Mentioned(NamedTuple):
    """What a condition looks at. An `idle` one comes out the same whatever the data is."""

    paths: frozenset[Path]
    roots: frozenset[Variable]
    idle: bool = False


class Trust:
    """Follows one flow and reports foreign data that is used before it was examined."""

    def __init__(self, findings: Findings, flow: syntax.Flow, info: FlowInfo) -> None:
        self._findings = findings
        self._flow = flow
        self._info = info
        self._origins = Origins(findings, flow, info)
        self._clean = Facts()
        self._forgiven: set[Path] = set()
        self._examined: set[Variable] = set()
        self._in_checks = False
        self._soiled: set[Variable] = set()
        self._quiet = False

    def check(self) -> None:
        """The whole flow."""
        if self._origins.roots or self._origins.unchecked:
            self._find_soiled()
            self._walk()

    def _find_soiled(self) -> None:
        """Which variables are given foreign data somewhere: after a loop or a `try` that does so
        they may hold it. What is given may depend on that in turn, so look until nothing is new."""
        self._quiet = True
        for _ in range(MAX_ROUNDS):
            before = len(self._soiled)
            self._walk()
            if len(self._soiled) == before:
                break
        else:
            self._soiled.update(self._origins.suspicions)
        self._quiet = False

    def _walk(self) -> None:
        self._clean = Facts()
        self._forgiven = set()
        self._examined = set()
        self._block(self._flow.body)

    def _block(self, block: syntax.Block) -> None:
        for statement in block:
            # What may not stand among checks is reported for that alone.
            if not (self._in_checks and not_in_checks(statement)):
                self._statement(statement)

    def _statement(self, statement: syntax.Statement) -> None:
        match statement:
            case syntax.Let(value=value):
                self._look(value)
                self._gets(self._findings.variable_of.get(statement), value)
            case syntax.Assign():
                self._assign(statement)
            case syntax.If():
                self._if(statement)
            case syntax.Match():
                self._match(statement)
            case syntax.While(condition=condition, body=body):
                self._clean.forget(self._named(trees.assigned(body)))
                self._look(condition)
                start = self._clean.mark()
                self._block(body)
                self._clean.undo(start)
            case syntax.For(values=values, body=body):
                self._look(values)
                start = self._clean.mark()
                self._gets(self._findings.variable_of.get(statement), values)
                self._clean.forget(self._named(trees.assigned(body)))
                self._block(body)
                self._clean.undo(start)
                self._clean.forget(self._named(trees.assigned(body)))
            case syntax.Return(value=value):
                if value is not None and self._info.untrusted_result:
                    self._look(value)
                elif value is not None:
                    self._refuse(value, "returned")
                    self._refuse_unchecked(value, "returned")
            case syntax.Open(party=party):
                self._refuse(party, "used to open a session")
            case syntax.Send(value=value):
                self._refuse(value, "sent")
            case syntax.Receive():
                self._receive(statement)
            case syntax.Choice():
                self._choice(statement)
            case syntax.EffectStatement(effect=effect):
                self._look(effect)
            case syntax.Try():
                self._try(statement)
            case syntax.Throw(error=error):
                self._look(error)
            case syntax.Require(condition=condition, error=error):
                self._look(condition)
                self._look(error)
                self._mind(condition)
            case syntax.StepTo():
                self._step(statement)
            case syntax.Sleep(duration=duration):
                self._refuse(duration, "used as a time to sleep")
            case syntax.WaitUntil(time=time):
                self._refuse(time, "used as a time to wait for")
            case syntax.Log(text=text):
                self._look(text)
            case syntax.Hold(reason=reason):
                self._look(reason)
            case syntax.CallStatement(call=call):
                self._look(call)
            case syntax.Within(duration=duration, body=body):
                self._refuse(duration, "used as a time limit")
                self._block(body)
            case syntax.Broken(body=body):
                self._block(body)
            case syntax.Break() | syntax.Continue() | syntax.Pass() | syntax.Checkpoint():
                pass
            case syntax.Close():
                pass
            case _:
                assert_never(statement)

    # --- statements -------------------------------------------------------------------------

    def _gets(self, target: Variable | None, value: syntax.Expr | syntax.Effect) -> None:
        """A variable has a new value: it is as foreign as that."""
        suspicion = self._origins.suspicions.get(target) if target is not None else None
        if target is None or suspicion is None or suspicion.sources is not None:
            return
        # The value is looked at first: it may be made of the variable's old one.
        if isinstance(value, syntax.Effect):
            clean = not self._origins.is_unchecked(value)
        else:
            clean = self._foreign(value) is None
        self._clean.forget([target])
        if clean:
            self._clean.learn([Path(target)])
        else:
            self._soiled.add(target)

    def _assign(self, node: syntax.Assign) -> None:
        self._look(node.value)
        target = self._findings.variable_of.get(node)
        if target is None:
            return
        born = self._origins.born
        self._refuse_unchecked(node.value, f"kept in `{node.name}`")
        if not isinstance(node.value, syntax.Effect):
            for read in self._origins.reads(node.value):
                if self._is_foreign(read.path) and born[target] < born[self._root(read.path)]:
                    self._report(read, f"kept in `{node.name}`, which lives on after it")
        self._gets(target, node.value)

    def _if(self, node: syntax.If) -> None:
        meeting = Meeting(self._clean)
        for condition, body in node.branches:
            self._look(condition)
            start = self._clean.mark()
            self._block(body)
            left = trees.leaves(body)
            if not left:
                meeting.reach(start)
            self._clean.undo(start)
            if left:
                self._mind(condition)
        start = self._clean.mark()
        self._block(node.otherwise or ())
        if not trees.leaves(node.otherwise or ()):
            meeting.reach(start)
        meeting.meet()

    def _match(self, node: syntax.Match) -> None:
        """A value that is matched is one of those written out, in the blocks of their cases; once
        a case has left, the rest has been looked at. What hangs on a case of an enum has not."""
        self._look(node.value)
        meeting = Meeting(self._clean)
        plain = not self._has_payload(node.value)
        mentioned = self._mentioned(node.value, True)
        for case in node.cases:
            start = self._clean.mark()
            if plain and not any(isinstance(one, syntax.AnyPattern) for one in case.patterns):
                self._clean.learn(mentioned.paths)
            for pattern in case.patterns:
                for binding in bindings(pattern):
                    if binding is not None:
                        self._gets(self._findings.variable_of.get(binding), node.value)
            self._block(case.body)
            left = trees.leaves(case.body)
            if not left:
                meeting.reach(start)
            self._clean.undo(start)
            if left:
                self._examined |= mentioned.roots
                if plain:
                    self._clean.learn(mentioned.paths)
        meeting.meet()

    def _has_payload(self, node: syntax.Expr) -> bool:
        kind = bare(self._findings.type_of.get(node, UNKNOWN))
        info = self._findings.named.get(kind.name) if isinstance(kind, Named) else None
        return isinstance(info, EnumInfo) and any(case.fields for case in info.cases.values())

    def _try(self, node: syntax.Try) -> None:
        meeting = Meeting(self._clean)
        start = self._clean.mark()
        self._block(node.body)
        if not trees.leaves(node.body):
            meeting.reach(start)
        meeting.interrupt(self._named(trees.assigned(node.body)))
        for catch in node.catches:
            start = self._clean.mark()
            self._block(catch.body)
            if not trees.leaves(catch.body):
                meeting.reach(start)
            self._clean.undo(start)
        meeting.meet()

    def _receive(self, node: syntax.Receive) -> None:
        if node.send is not None:
            self._statement(node.send)
        if node.deadline is not None:
            self._refuse(node.deadline.duration, "used as a time limit")
        variable = self._findings.variable_of.get(node)
        if node.checks is None or variable is None:
            return
        self._checks(node.checks)
        if variable not in self._examined and self._was_to_check(variable, node.checks):
            check = f"`require {node.name}.… else …`"
            if node.each:
                check = f"`for one in {node.name}:` and below it `require one.… else …`"
            self._say(
                "F503",
                node.name_span,
                f"nothing here checks `{node.name}`",
                f"say what must hold: {check};"
                " or write `unchecked` instead of the checks, to take it as it comes",
            )
        self._clean.learn([Path(variable)])

    def _checks(self, block: syntax.Block) -> None:
        self._in_checks = True
        self._block(block)
        self._in_checks = False

    def _was_to_check(self, variable: Variable, checks: syntax.Block) -> bool:
        """Whether there was something to check, and a check of it could be read."""
        gap = any(isinstance(one, syntax.Broken) for one in trees.statements(checks))
        has_parts = bool(checks) and self._has_parts(variable.type)
        return has_parts and not gap and not self._findings.has_mistake(checks)

    def _has_parts(self, kind: Type) -> bool:
        while isinstance(kind, ListType | OptionalType):
            kind = kind.item
        if not isinstance(kind, Named):
            return False
        info = self._findings.named.get(kind.name)
        return isinstance(info, RecordInfo) and bool(info.fields)

    def _choice(self, node: syntax.Choice) -> None:
        if node.send is not None:
            self._statement(node.send)
        meeting = Meeting(self._clean)
        for case in node.cases:
            start = self._clean.mark()
            self._case(case)
            if not trees.leaves(case.body):
                meeting.reach(start)
            self._clean.undo(start)
        meeting.meet()

    def _case(self, case: syntax.Case) -> None:
        """What came is to be trusted after the checks at the head of its case, if they examine it;
        otherwise nowhere."""
        body = case.body
        if isinstance(case, syntax.TimeoutCase):
            self._refuse(case.duration, "used as a time limit")
        if isinstance(case, syntax.MessageCase) and case.value is not None:
            checks = self._findings.checks_of.get(case, 0)
            self._checks(body[:checks])
            body = body[checks:]
            variable = self._findings.variable_of.get(case.value)
            if variable is not None:
                if variable in self._examined or not self._has_parts(variable.type):
                    self._clean.learn([Path(variable)])
        self._block(body)

    def _step(self, node: syntax.StepTo) -> None:
        if node.label is not None:
            self._refuse(node.label, "shown as progress")
        step = self._info.steps.get(node.name)
        values = self._findings.calls.get(node, ())
        for parameter, value in zip(step.parameters if step else (), values, strict=False):
            if value is not None and not parameter.untrusted:
                self._refuse(value, "shown as progress")

    def _named(self, names: frozenset[str]) -> list[Variable]:
        """The variables of these names that are given foreign data somewhere."""
        by_name = self._origins.by_name
        return [
            variable
            for name in names
            for variable in by_name.get(name, ())
            if variable in self._soiled
        ]

    # --- looking ----------------------------------------------------------------------------

    def _look(self, node: syntax.Expr | syntax.Effect) -> None:
        """Refuse foreign data where a call inside wants data that can be trusted."""
        match node:
            case (
                syntax.Subflow() | syntax.Start() | syntax.Await() | syntax.Ask() | syntax.Pending()
            ):
                self._look_at_effect(node)
            case syntax.Unary(operand=operand):
                self._look(operand)
            case syntax.Binary(operator="and" | "or", left=left, right=right):
                self._look(left)
                start = self._clean.mark()
                self._clean.learn(self._mentioned(left, True).paths)
                self._look(right)
                self._clean.undo(start)
            case _:
                for inner in trees.everything(node):
                    if isinstance(inner, syntax.Call):
                        self._look_at_call(inner)

    def _look_at_effect(self, effect: syntax.Effect) -> None:
        match effect:
            case syntax.Subflow(call=call):
                self._look(call)
            case syntax.Start(call=call, at=at):
                self._look(call)
                if at is not None:
                    self._refuse(at, "used as a time to start")
            case syntax.Await(value=value):
                self._refuse(value, "waited for")
            case syntax.Ask(role=role, question=question, deadline=deadline):
                self._refuse(role, "used to choose who is asked")
                self._refuse(question, "shown to people as a question")
                if deadline is not None:
                    self._refuse(deadline, "used as a time to wait")
            case syntax.Pending(effect=inner):
                self._look_at_effect(inner)
            case _:
                assert_never(effect)

    def _look_at_call(self, call: syntax.Call) -> None:
        meaning = self._findings.meaning_of.get(call.callee)
        if isinstance(meaning, OperationInfo) and meaning.kind == "write" and self._in_checks:
            self._say(
                "F505",
                call.span,
                f"`{called(call)}` writes, and checks only look",
                "call it below the checks",
            )
        match meaning:
            case FunctionInfo() | OperationInfo() | FlowInfo():
                values = self._findings.calls.get(call, ())
                for parameter, value in zip(meaning.parameters, values, strict=False):
                    if value is not None and not parameter.untrusted:
                        self._refuse_argument(call, parameter, value)
            case RecordInfo() | CaseInfo() | ErrorInfo() | None:
                pass  # A value made of foreign data is foreign itself; an error may carry it.
            case _:
                pass  # A service is not called.

    def _refuse_argument(
        self, call: syntax.Call, parameter: ParameterInfo, value: syntax.Expr
    ) -> None:
        read = self._foreign(value)
        if read is None:
            return
        text = self._text(read)
        self._say(
            "F502",
            read.node.span,
            f"{text} was not checked yet, and `{called(call)}` trusts its `{parameter.name}`",
            f"check it first, with a `require` about {text}; or declare"
            f" `{parameter.name}: untrusted …` if `{called(call)}` is made for such data",
            self._source(read),
        )
        self._forgive(read)

    def _refuse(self, node: syntax.Expr | syntax.Effect, use: str) -> None:
        """Foreign data may not be used like this."""
        self._look(node)
        read = None if isinstance(node, syntax.Effect) else self._foreign(node)
        if read is not None:
            self._report(read, use)

    def _refuse_unchecked(self, node: syntax.Expr | syntax.Effect, use: str) -> None:
        """What a flow gives back unchecked is taken with `let`, to be checked."""
        if not isinstance(node, syntax.Subflow) or not self._origins.is_unchecked(node):
            return
        name = called(node.call)
        hint = f"write `let result = subflow {name}(…)`, and check `result` with `require`"
        if use == "returned" and self._info.result is not None:
            hint += f"; or promise as little: `-> untrusted {words.said(self._info.result)}`"
        self._say(
            "F513",
            node.span,
            f"what `{name}` gives back was not checked, so it cannot be {use}",
            hint,
        )

    def _report(self, read: Read, use: str) -> None:
        text, root = self._text(read), self._root(read.path)
        hint = f"check it first, with a `require` about {text}"
        if self._origins.roots[root] == "case":
            name = root.name
            hint = (
                f"begin the case with its checks, such as `require {name}.… else …`;"
                f" or write `as {name} unchecked`, to take it as it comes"
            )
        self._say(
            "F501",
            read.node.span,
            f"{text} was not checked yet, so it cannot be {use}",
            hint,
            self._source(read),
        )
        self._forgive(read)

    def _say(
        self, code: str, span: Span, message: str, hint: str, note: Note | None = None
    ) -> None:
        if not self._quiet:
            self._findings.report(code, span, message, hint, note)

    def _text(self, read: Read) -> str:
        text = self._findings.quoted(read.node.span)
        return f"`{text}`" if text else "this"

    def _source(self, read: Read) -> Note:
        root = self._root(read.path)
        name = root.name
        message = {
            "received": f"`{name}` is what the other side sent",
            "case": f"`{name}` is what the other side sent",
            "caught": f"`{name}` was thrown, maybe by another party, and is caught here",
            "parameter": f"`{name}` is declared `untrusted` here",
            "result": f"`{name}` is what a flow gave back unchecked",
        }[self._origins.roots[root]]
        return self._findings.note(message, root.span)

    def _forgive(self, read: Read) -> None:
        """One report of it is enough."""
        self._forgiven.add(read.path)

    # --- what is foreign, and what was examined -----------------------------------------------

    def _foreign(self, node: syntax.Expr) -> Read | None:
        """The first part of an expression's value that is foreign and was not examined."""
        return next((r for r in self._origins.reads(node) if self._is_foreign(r.path)), None)

    def _is_foreign(self, path: Path) -> bool:
        suspicion = self._origins.suspicions.get(path.root)
        if suspicion is None:
            return False
        if not path.parts and self._origins.roots.get(path.root) == "caught":
            return False  # An error as a whole can only be thrown, which it may.
        if self._origins.is_sender(path):
            return False
        for length in range(len(path.parts) + 1):
            part = Path(path.root, path.parts[:length])
            if part in self._clean or part in self._forgiven:
                return False
        return suspicion.sources is None or any(map(self._is_foreign, suspicion.sources))

    def _root(self, path: Path) -> Variable:
        suspicions = self._origins.suspicions
        foreign = [s for s in suspicions[path.root].sources or () if self._is_foreign(s)]
        if not foreign:
            return suspicions[path.root].root
        return max((suspicions[s.root].root for s in foreign), key=self._origins.born.__getitem__)

    def _mind(self, condition: syntax.Expr) -> None:
        """The flow goes on only if `condition` came out as it should: what it mentions is clean."""
        mentioned = self._mentioned(condition, True)
        self._clean.learn(mentioned.paths)
        self._examined |= mentioned.roots

    def _mentioned(self, node: syntax.Expr, truth: bool) -> Mentioned:
        match node:
            case syntax.Unary(operator="not", operand=operand):
                return self._mentioned(operand, not truth)
            case syntax.Binary(operator="and" | "or" as operator, left=left, right=right):
                one, other = self._mentioned(left, truth), self._mentioned(right, truth)
                either_will_do = truth == (operator == "or")
                if (one.idle and other.idle) or (either_will_do and (one.idle or other.idle)):
                    return _IDLE
                return Mentioned(one.paths | other.paths, one.roots | other.roots)
            case syntax.Binary(operator="==" | "!=" | "<" | "<=" | ">" | ">=") if self._same(node):
                return _IDLE
        if all(isinstance(inner, _FIXED) for inner in trees.everything(node)):
            return _IDLE
        return self._seen(self._origins.reads(node, into_calls=True))

    def _seen(self, reads: Iterable[Read]) -> Mentioned:
        paths: set[Path] = set()
        roots: set[Variable] = set()
        for read in reads:
            suspicion = self._origins.suspicions.get(read.path.root)
            if suspicion is None:
                continue
            roots.add(suspicion.root)
            if read.whole:
                paths.add(read.path)
                paths.update(suspicion.sources or ())
        return Mentioned(frozenset(paths), frozenset(roots))

    def _same(self, node: syntax.Binary) -> bool:
        return self._shape(node.left) == self._shape(node.right)

    def _shape(self, node: syntax.Expr) -> object:
        """What an expression says, without where it says it."""
        path = self._origins.path(node)
        if path is not None:
            return path
        inner = tuple(self._shape(one) for one in trees.inside(node))
        match node:
            case syntax.Constant(kind=kind, value=value):
                return (kind, value)
            case syntax.Name(name=name) | syntax.Attribute(name=name):
                return (name, *inner)
            case syntax.Call():
                names = tuple(argument.name for argument in node.arguments)
                return (called(node), names, *inner)
            case syntax.Unary(operator=operator) | syntax.Binary(operator=operator):
                return (operator, *inner)
            case syntax.Formatted(format=format_):
                return (format_, *inner)
            case syntax.Update(changes=changes):
                return (tuple(change.name for change in changes), *inner)
            case syntax.Interpolation(parts=parts):
                return (tuple(part for part in parts if isinstance(part, str)), *inner)
            case syntax.Index() | syntax.ListLiteral() | syntax.MapLiteral():
                return (type(node), *inner)
            case _:
                assert_never(node)


_IDLE = Mentioned(frozenset(), frozenset(), True)

_FIXED = (
    syntax.Constant,
    syntax.Unary,
    syntax.Binary,
    syntax.ListLiteral,
    syntax.MapLiteral,
    syntax.Interpolation,
    syntax.Formatted,
)
"""What is the same whatever the data is, if all that is inside is."""
