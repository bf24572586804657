"""Counts what a program contains and what happened when it ran, so that no gap goes unseen.

`WANTED` names everything that the generated programs together must have. Judges nothing.
"""

from __future__ import annotations

import collections
import itertools
import typing
from collections.abc import Iterable, Mapping

from flowlang import syntax
from tests.programs import language, tree

Count = collections.Counter[str]


OPERATORS = ("+", "-", "*", "//", "%", "==", "!=", "<", "<=", ">", ">=", "in", "and", "or")
CONSTANTS = ("Int", "Decimal", "Bool", "Text", "Bytes", "Duration", "none")
CALLED = (
    "record", "message", "error", "function", "read", "write", "case", "abs", "min", "max", "int",
    "text", "round", "timestamp",
)  # fmt: skip
ASKED = (
    "upper", "lower", "trim", "starts_with", "ends_with", "contains", "replace", "split", "slice",
    "first", "last", "reversed", "sorted", "sum", "min", "max", "index_of", "append", "join",
    "keys", "values", "get", "put", "remove", "days", "hours", "minutes", "seconds",
    "milliseconds", "year", "month", "day", "hour", "minute", "second", "weekday",
)  # fmt: skip

STATEMENTS = (
    "let", "let typed", "var", "let = subflow", "assign", "assign = subflow",
    "if", "elif", "else", "while", "while true", "for", "break", "continue",
    "return", "return value", "return subflow",
    "open", "send", "receive checked", "receive unchecked", "send then receive", "receive @state",
    "receive within", "receive then discard", "receive each then discard",
    "subflow", "try", "catch as", "catch", "catch several",
    "catch several as", "catch Trouble", "catch Mischief", "catch FlowError",
    "throw", "throw again", "require",
    "operation", "match", "case of an enum", "case with names", "case without names", "case none",
    "case true", "case Int", "case Text", "case _", "case of several",
)  # fmt: skip

PLACES = (
    "wait in if", "wait in for", "wait in while", "wait in try", "wait in catch",
    "wait in responder", "wait in subflow", "wait in try in loop", "wait in loop in try",
    "wait in try in try", "wait in loop in loop", "open in loop", "open in try", "open in if",
    "break from a loop that waits", "continue in a loop that waits",
    "return from a loop that waits", "throw in a try that waits",
    "checks with if", "checks with for", "checks with let",
    "recursion", "session parameter", "sessions parameter", "for over a map", "for over sessions",
    "narrowed in if", "narrowed by require", "field default left out", "named argument",
    "tracks", "responder that speaks first", "use", "checks with while",
    "owner", "untrusted result", "key", "on transient", "on failure",
    "wait in match", "checks with match", "parameter default left out", "error default left out",
    "case default left out", "part used after a wait", "loop left in match",
    "error used after a wait", "variable used only in a catch", "set in a block, used after a wait",
)  # fmt: skip

EVENTS = (
    "caught: error thrown here", "caught: error from the peer", "caught: SessionEnded",
    "caught: SessionRejected", "caught: UnexpectedFlowEnd", "caught: UnexpectedMessage",
    "caught: Malformed",
    "failed: error thrown here", "failed: error from the peer", "failed: SessionEnded",
    "failed: SessionRejected", "failed: UnexpectedFlowEnd", "failed: UnexpectedMessage",
    "failed: Malformed",
    "caught after waiting", "caught at once", "caught: by its family", "text of an error",
    "peer of an error", "the owner spoke", "a message was late", "a late message was dropped",
    "one of a group was late", "chose that it was late", "was too late",
    "waited in if", "waited in for", "waited in while", "waited in try", "waited in catch",
    "waited in subflow", "waited in responder",
    "kept a peer's error from others", "ended in the hospital",
    "an error thrown again", "an error thrown again after a wait",
    "a peer's error thrown again", "a peer's error thrown again after a wait",
    "waited for acceptance", "subflow called itself",
)  # fmt: skip

WANTED = (
    *language.wanted(),
    *STATEMENTS,
    *PLACES,
    *EVENTS,
    *[f"binary {operator}" for operator in OPERATORS],
    *[f"constant {kind}" for kind in CONSTANTS],
    *[f"call of {kind}" for kind in CALLED],
    *[f".{name}" for name in ("size", "name", "peer", "field", *ASKED)],
    *[f"format of {kind}" for kind in ("number", "text", "time")],
    *[
        "me",
        "now",
        "flow_id",
        "interpolation",
        "index",
        "list",
        "map",
        "unary -",
        "unary not",
        "with",
    ],
)


def sorts() -> set[str]:
    """Every kind of statement and expression that a flow may be made of."""
    whole = syntax.Statement | syntax.Expr | syntax.Effect
    return {kind.__name__ for kind in typing.get_args(whole)} - {"Broken"}


NOT_GENERATED: frozenset[str] = frozenset()
"""Nodes that the checker accepts and that no program has yet: a debt, to be paid soon."""


def count(files: Iterable[syntax.File]) -> Count:
    """What this program contains."""
    declarations = [declaration for file in files for declaration in file.declarations]
    counter = Counter({declaration.name: declaration for declaration in declarations})
    for file in files:
        counter.note(*["use"] * len(file.uses))
    for declaration in declarations:
        if isinstance(declaration, syntax.Flow):
            counter.flow(declaration)
            for node in tree.inside(declaration.body):
                counter.sort(node)
    return counter.found


class Counter:
    """Walks flows and notes what it passes."""

    def __init__(self, declared: Mapping[str, syntax.Declaration]) -> None:
        self.declared = declared
        self.found: Count = collections.Counter()
        self.kind = ""

    def note(self, *names: str) -> None:
        self.found.update(names)

    def sort(self, node: object) -> None:
        """The kind of a statement or what waits on its right side, and of its expressions."""
        inner = () if tree.is_right_side(node) else tree.expressions(node)
        parts = [part for expression in inner for part in tree.parts(expression)]
        self.note(*{type(part).__name__ for part in (node, *parts)})

    def flow(self, flow: syntax.Flow) -> None:
        self.kind = "main" if flow.startable else "responder" if flow.responds else "subflow"
        for parameter in flow.parameters:
            if parameter.type.name == "Session":
                self.note("session parameter")
            if parameter.type.name == "List" and parameter.type.arguments[0].name == "Session":
                self.note("sessions parameter")
        if flow.owner is not None:
            self.note("owner")
        if flow.untrusted_result:
            self.note("untrusted result")
        if flow.key is not None:
            self.note("key")
        for remedy in flow.remedies:
            self.note(f"on {remedy.cause}")
        if any(step.tracks is not None for step in flow.steps):
            self.note("tracks")
        if flow.responds is not None and isinstance(flow.body[0], syntax.Send):
            self.note("responder that speaks first")
        for node in tree.inside(flow.body):
            if isinstance(node, syntax.Subflow) and _callee(node.call) == flow.name:
                self.note("recursion")
        self.liveness(flow)
        self.block(flow.body, ())

    def liveness(self, flow: syntax.Flow) -> None:
        """What goes wrong first where a state keeps too little."""
        timeline = list(tree.inside(flow.body))
        # What is read from each place on, and what is read behind the first wait from there.
        later: list[set[str]] = [set()]
        waited: list[set[str]] = [set()]
        for node in reversed(timeline):
            waited.append(later[-1] if tree.waits(node) else waited[-1])
            later.append(later[-1] | tree.read((node,)))
        waited.reverse()
        for at, node in enumerate(timeline):
            if isinstance(node, syntax.Try):
                self.catches(node, timeline)
            for block in tree.blocks(node):
                names = {n.name for n in tree.inside(block) if isinstance(n, syntax.Assign)}
                if names and names & waited[at + len(list(tree.inside((node,))))]:  # type: ignore[arg-type]
                    self.note("set in a block, used after a wait")

    def catches(self, node: syntax.Try, timeline: list[object]) -> None:
        for catch in node.catches:
            inside = list(tree.inside(catch.body))
            waits = next((at for at, n in enumerate(inside) if tree.waits(n)), len(inside))
            if catch.name is not None and catch.name in tree.read(inside[waits + 1 :]):
                self.note("error used after a wait")
            mine = {id(n) for n in inside}
            elsewhere = tree.read([n for n in timeline if id(n) not in mine])
            if tree.read(inside) - elsewhere - {catch.name} - tree.bound(inside):
                self.note("variable used only in a catch")

    def block(self, body: syntax.Block, around: tuple[str, ...]) -> None:
        for statement in body:
            self.statement(statement, around)

    # --- statements ---

    def statement(self, node: syntax.Statement, around: tuple[str, ...]) -> None:
        if tree.waits(node):
            self.wait(around)
        for expression in tree.expressions(node):
            self.expression(expression)
        match node:
            case syntax.Let(value=value, type=written, mutable=mutable):
                self.note("var" if mutable else "let", *(["let typed"] if written else []))
                if isinstance(value, syntax.Subflow):
                    self.note("let = subflow")
            case syntax.Assign(value=value):
                self.note("assign = subflow" if isinstance(value, syntax.Subflow) else "assign")
            case syntax.Return(value=value):
                sort = (
                    " subflow" if isinstance(value, syntax.Subflow) else " value" if value else ""
                )
                self.note(f"return{sort}")
            case syntax.If():
                self.if_(node, around)
            case syntax.Match():
                self.match(node, around)
            case syntax.While(condition=condition, body=body):
                endless = isinstance(condition, syntax.Constant)
                self.note("while true" if endless else "while")
                self.loop(body, (*around, "while"))
            case syntax.For(values=values, body=body):
                self.for_(values)
                self.loop(body, (*around, "for"))
            case syntax.Try():
                self.try_(node, around)
            case syntax.Receive():
                self.receive(node)
            case syntax.Open():
                self.note("open", *[f"open in {_place(place)}" for place in around])
            case syntax.Throw(error=error):
                self.note("throw again" if isinstance(error, syntax.Name) else "throw")
            case syntax.Require(condition=condition):
                self.note("require", *(["narrowed by require"] if _is_narrowing(condition) else []))
            case syntax.EffectStatement(effect=effect):
                self.note(*["subflow"] * isinstance(effect, syntax.Subflow))
            case _ if (entry := language.statements().get(type(node))) is not None:
                self.note(*entry.counted(node))
                for inner in tree.blocks(node):
                    self.block(inner, (*around, type(node).__name__.lower()))
            case _:
                self.note(_SIMPLE[type(node)])

    def wait(self, around: tuple[str, ...]) -> None:
        self.note(*{f"wait in {place}" for place in around}, f"wait in {self.kind}")
        for outer, inner in itertools.pairwise(around):
            self.note(f"wait in {_place(inner)} in {_place(outer)}")

    def if_(self, node: syntax.If, around: tuple[str, ...]) -> None:
        self.note("if", *["elif"] * (len(node.branches) - 1))
        for condition, body in node.branches:
            if _is_narrowing(condition):
                self.note("narrowed in if")
            self.block(body, (*around, "if"))
        if node.otherwise is not None:
            self.note("else")
            self.block(node.otherwise, (*around, "if"))

    def match(self, node: syntax.Match, around: tuple[str, ...]) -> None:
        self.note("match")
        for case in node.cases:
            if len(case.patterns) > 1:
                self.note("case of several")
            for pattern in case.patterns:
                self.pattern(pattern, case)
            if any(isinstance(one, syntax.Break | syntax.Continue) for one in case.body):
                self.note("loop left in match")
            self.block(case.body, (*around, "match"))

    def pattern(self, pattern: syntax.Pattern, case: syntax.MatchCase) -> None:
        match pattern:
            case syntax.AnyPattern():
                self.note("case _")
            case syntax.ValuePattern(value=constant):
                kind = constant.kind if constant.kind != "Bool" else str(constant.value).lower()
                self.note(f"case {kind}")
            case syntax.CasePattern(bindings=bindings):
                names_ = "without" if bindings is None else "with"
                self.note("case of an enum", f"case {names_} names")
                names = {binding.name for binding in bindings or () if binding is not None}
                inside = list(tree.inside(case.body))
                waits = next((at for at, n in enumerate(inside) if tree.waits(n)), len(inside))
                if names & tree.read(inside[waits + 1 :]):
                    self.note("part used after a wait")

    def for_(self, values: syntax.Expr) -> None:
        self.note("for")
        if isinstance(values, syntax.MapLiteral):
            self.note("for over a map")
        if isinstance(values, syntax.ListLiteral) and "send" in _round(values):
            self.note("for over sessions")

    def loop(self, body: syntax.Block, around: tuple[str, ...]) -> None:
        if any(tree.waits(node) for node in tree.inside(body)):
            for leaving in tree.leaving(body):
                self.note(_LEAVING[type(leaving)])
        self.block(body, around)

    def try_(self, node: syntax.Try, around: tuple[str, ...]) -> None:
        self.note("try")
        inside = list(tree.inside(node.body))
        if any(tree.waits(i) for i in inside) and any(isinstance(i, syntax.Throw) for i in inside):
            self.note("throw in a try that waits")
        self.block(node.body, (*around, "try"))
        for catch in node.catches:
            several = " several" if len(catch.errors) > 1 else ""
            self.note(f"catch{several}{' as' if catch.name else ''}")
            for error in catch.errors:
                if error.name in ("Trouble", "Mischief", "FlowError"):
                    self.note(f"catch {error.name}")
            self.block(catch.body, (*around, "catch"))

    def receive(self, node: syntax.Receive) -> None:
        self.note("receive unchecked" if node.checks is None else "receive checked")
        if node.state is not None:
            self.note("receive @state")
        if node.send is not None:
            self.note("send then receive")
        if node.deadline is not None:
            each = " each" if node.each else ""
            self.note(f"receive{each} {'then discard' if node.deadline.discard else 'within'}")
        for check in node.checks or ():
            for sort, name in _CHECKS:
                if isinstance(check, sort):
                    self.note(f"checks with {name}")
            self.statement(check, ("checks",))

    # --- expressions ---

    def expression(self, node: tree.Right) -> None:
        for inner in tree.parts(node):
            entry = language.expression(inner) or language.right_sides().get(type(inner))
            if entry is not None:
                self.note(*entry.counted(inner))
                continue
            match inner:
                case syntax.Constant(kind=kind):
                    self.note(f"constant {kind}")
                case syntax.Name(name=name) if name in ("me", "now", "flow_id"):
                    self.note(name)
                case syntax.Attribute(name=name):
                    plain = (*ASKED, "size", "name", "peer")
                    self.note(f".{name}" if name in plain else ".field")
                case syntax.Formatted(format=written):
                    sort = "time" if written[-1].isalpha() else "number"
                    texts = ("6", ">6", "^5")
                    self.note(f"format of {'text' if written in texts else sort}")
                case syntax.Update():
                    self.note("with")
                case syntax.Binary(operator=operator):
                    self.note(f"binary {operator}")
                case syntax.Unary(operator=operator):
                    self.note(f"unary {operator}")
                case syntax.Call():
                    self.call(inner)
                case syntax.Name() | syntax.Subflow():
                    pass
                case _:
                    self.note(_NAMES[type(inner)])

    def call(self, node: syntax.Call) -> None:
        if any(argument.name is not None for argument in node.arguments):
            self.note("named argument")
        if isinstance(node.callee, syntax.Attribute):
            before = node.callee.value
            if isinstance(before, syntax.Name) and before.name == "Decision":
                self.note("call of case")
                if node.callee.name == "Approved" and len(node.arguments) < 2:
                    self.note("case default left out")
                return
            if not (isinstance(before, syntax.Name) and before.name == "Desk"):
                self.note(f".{node.callee.name}")
                return
            service = self.declared["Desk"]
            assert isinstance(service, syntax.Service)
            kinds = {operation.name: operation.kind for operation in service.operations}
            self.note(f"call of {kinds[node.callee.name]}")
            return
        match self.declared.get(node.callee.name):
            case syntax.Record(kind=kind, fields=fields):
                self.note(f"call of {kind}")
                if len(fields) > len(node.arguments):
                    self.note("field default left out")
            case syntax.Error(parameters=parameters):
                self.note("call of error")
                if len(parameters) > len(node.arguments):
                    self.note("error default left out")
            case syntax.Function(parameters=parameters):
                self.note("call of function")
                if len(parameters) > len(node.arguments):
                    self.note("parameter default left out")
            case None:
                self.note(f"call of {node.callee.name}")


_CHECKS = (
    (syntax.If, "if"),
    (syntax.For, "for"),
    (syntax.Let, "let"),
    (syntax.While, "while"),
    (syntax.Match, "match"),
)

_SIMPLE: dict[type, str] = {
    syntax.Break: "break",
    syntax.Continue: "continue",
    syntax.Send: "send",
    syntax.CallStatement: "operation",
}

_NAMES: dict[type, str] = {
    syntax.Interpolation: "interpolation",
    syntax.Index: "index",
    syntax.ListLiteral: "list",
    syntax.MapLiteral: "map",
}

_LEAVING: dict[type, str] = {
    syntax.Break: "break from a loop that waits",
    syntax.Continue: "continue in a loop that waits",
    syntax.Return: "return from a loop that waits",
}


def _place(place: str) -> str:
    return "loop" if place in ("for", "while") else place


def _round(values: syntax.ListLiteral) -> str:
    """Sessions have names of their own pool; nothing else is listed by them."""
    from tests.programs.names import SESSIONS

    named = all(isinstance(i, syntax.Name) and i.name in SESSIONS for i in values.items)
    return "send" if named else ""


def _callee(call: syntax.Call) -> str:
    return call.callee.name


def _is_narrowing(condition: syntax.Expr) -> bool:
    return (
        isinstance(condition, syntax.Binary)
        and condition.operator in ("==", "!=")
        and isinstance(condition.right, syntax.Constant)
        and condition.right.kind == "none"
    )
