"""Expressions of a machine as Python computes them. Knows no statements."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TypeAlias, assert_never

from flowlang import machine, types
from flowlang.codegen import words
from flowlang.codegen.scope import Scope, is_case
from flowlang.codegen.trees import (
    AND,
    COMPARISON,
    OR,
    PRODUCT,
    SUM,
    UNION,
    Atom,
    Attribute,
    Call,
    Known,
    Lambda,
    Method,
    Prefix,
    Tree,
    call,
    chain,
)
from flowlang.codegen.trees import Dict as DictTree
from flowlang.codegen.trees import Tuple as TupleTree

Facts: TypeAlias = frozenset[str]
"""Variables and parts of them, as Python writes them, that a test has shown not to be None; and of
which case they are, or are not."""

NOTHING: Facts = frozenset()

_OPPOSITE = {
    "==": "!=",
    "!=": "==",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
    "in": "not in",
}
_DECIMAL = {"+": "rt.decimal_add", "-": "rt.decimal_subtract", "*": "rt.decimal_multiply"}
_WHOLE = {"//": "rt.floor_div", "%": "rt.modulo"}
_UNITS = (
    ("days", 86_400_000),
    ("hours", 3_600_000),
    ("minutes", 60_000),
    ("seconds", 1000),
    ("milliseconds", 1),
)


class Values:
    """Turns expressions into trees. `variable` gives a variable its name in Python."""

    def __init__(self, scope: Scope, variable: Callable[[str], str]) -> None:
        self._scope = scope
        self._variable = variable

    def of(self, node: machine.Expr, known: Facts = NOTHING) -> Tree:
        """The expression, where `known` holds."""
        match node:
            case machine.Const():
                return self._constant(node)
            case machine.Var(name=name):
                return Atom(self._variable(name))
            case machine.Get(value=value, name=name):
                owner = self.of(value, known)
                attribute = words.field(name)
                if isinstance(owner, Atom):
                    return Atom(f"{owner.text}.{attribute}")
                return Attribute(owner, attribute)
            case machine.Some(value=value):
                tree = self.of(value, known)
                return Known(tree, _is_path(value) and tree.text in known)
            case machine.IsCase(value=value, cases=cases):
                return self._is_case(value, cases, known)
            case machine.Cased(value=value, case=case, others=others):
                return self._cased(value, case, others, known)
            case machine.Update(value=value, changes=changes):
                named = [(words.field(name), self.of(change, known)) for name, change in changes]
                return Call(self._scope.computed("changed"), (("", self.of(value, known)), *named))
            case machine.Compute(function=function, arguments=arguments):
                return call(self._scope.computed(function), *self._all(arguments, known))
            case machine.New(type=kind, arguments=arguments):
                return call(self._scope.named(kind), *self._all(arguments, known))
            case machine.Arithmetic():
                return self._arithmetic(node, known)
            case machine.Compare():
                return self._compare(node, known, truth=True)
            case machine.Logic(operator=operator, left=left, right=right):
                after = known | self.shown(left, operator == "and", known)
                strength = AND if operator == "and" else OR
                return chain(strength, operator, self.of(left, known), self.of(right, after))
            case machine.Not(value=value):
                return self.negated(value, known)
            case machine.Negate():
                return self._negate(node, known)
            case machine.Item(values=values, index=index, map=is_map):
                head = "rt.entry" if is_map else "rt.item"
                return call(head, self.of(values, known), self.of(index, known))
            case machine.Earlier(left=left, right=right):
                return call("rt.earlier", self.of(left, known), self.of(right, known))
            case machine.Keys(value=value):
                return call("tuple", call("sorted", self.of(value, known)))
            case machine.Items(items=items):
                return TupleTree(self._all(items, known)) if items else Atom("()")
            case machine.Entries(entries=entries):
                pairs = tuple((self.of(key, known), self.of(one, known)) for key, one in entries)
                return DictTree(pairs) if pairs else Atom("{}")
            case machine.Text(parts=parts):
                if len(parts) == 1 and isinstance(parts[0], machine.Const):
                    if parts[0].type == "Text":
                        return self.of(parts[0])
                return call("rt.text", *self._all(parts, known))
            case machine.Builtin(name=name):
                return Atom(f"run.{name}")
            case machine.Received(type=kind):
                return call("run.received", Atom(self._scope.named(kind)))
            case machine.Outcome(type=told):
                return call("run.outcome", self._scope.kind(told or types.NONE, field=True))
            case machine.Reply(type=kind):
                return call("run.answer", Atom(self._scope.named(kind)))
            case machine.Sender():
                return call("run.sender")
            case machine.Peer(session=session):
                return call("run.peer", self.of(session, known))
            case machine.Version(session=session):
                return call("run.version", self.of(session, known))
            case machine.About(value=value, what="text"):
                return call("str", self.of(value, known))
            case machine.About(value=value, what=what):
                owner, attribute = self.of(value, known), "error_id" if what == "id" else "peer"
                if isinstance(owner, Atom):
                    return Atom(f"{owner.text}.{attribute}")
                return Attribute(owner, attribute)
            case machine.Shared(value=value, name=name):
                return Method(
                    self.of(value, known), "field", (Atom(words.text(words.field(name))),)
                )
            case machine.Size(value=value):
                return call("len", self.of(value, known))
            case machine.Divide(left=left, right=right, places=places, rounding=rounding):
                operands = self._all((left, right, places), known)
                return call("rt.divide", *operands, Atom(words.text(rounding)))
            case machine.ToDecimal(value=value):
                return call(f"{self._scope.library('decimal')}.Decimal", self.of(value, known))
            case machine.CallFunction(name=name, arguments=arguments):
                return call(self._scope.named(name), *self._all(arguments, known))
            case machine.Answered(value=value, part=part):
                owner = self.of(value, known)
                if isinstance(owner, Atom):
                    return Atom(f"{owner.text}.{part}")
                return Attribute(owner, part)
            case (
                machine.StartFlow()
                | machine.Request()
                | machine.Follow()
                | machine.FollowEach()
                | machine.AskFor()
            ):
                return self._begun(node, known)
            case machine.CallOperation(service=service, operation=operation, arguments=arguments):
                bound = call("run.service", Atom(self._scope.key(service)))
                given = (Atom("run.tx"), *self._all(arguments, known))
                return Method(bound, words.name(operation), given)
            case _:
                assert_never(node)

    def _all(self, nodes: tuple[machine.Expr, ...], known: Facts) -> tuple[Tree, ...]:
        return tuple(self.of(node, known) for node in nodes)

    def _begun(self, node: machine.Beginning, known: Facts) -> Tree:
        match node:
            case machine.StartFlow(flow=flow, version=version, arguments=arguments, at=at):
                called = self._scope.flow(flow, version)
                start = call(f"{called}.Start", *self._all(arguments, known))
                return _with("run.start", (Atom(called), start), "at", self._maybe(at, known))
            case machine.Request(service=service, operation=operation, arguments=arguments):
                key, name = Atom(self._scope.key(service)), Atom(words.text(words.name(operation)))
                return call("run.request", key, name, *self._all(arguments, known))
            case machine.Follow(id=flow):
                return call("run.follow", self.of(flow, known))
            case machine.FollowEach(ids=flows):
                return call("tuple", call("map", Atom("run.follow"), self.of(flows, known)))
            case machine.AskFor(role=role, question=question, within=within):
                asked, answer = Atom(words.text(node.asked)), Atom(words.text(node.answer))
                given = (self.of(role, known), asked, self.of(question, known), answer)
                return _with("run.ask", given, "within", self._maybe(within, known))
            case _:
                assert_never(node)

    def _maybe(self, node: machine.Expr | None, known: Facts) -> Tree | None:
        return None if node is None else self.of(node, known)

    # --- constants --------------------------------------------------------------------------

    def _constant(self, node: machine.Const) -> Tree:
        match node.type, node.value:
            case "Decimal", str() as value:
                digits = value if value.lstrip("-").isdigit() else words.text(value)
                return call(f"{self._scope.library('decimal')}.Decimal", Atom(digits))
            case "Timestamp", str() as value:
                return self._moment(value)
            case "Bytes", str() as value:
                return Atom(words.octets(bytes.fromhex(value)))
            case "Duration", int() as value:
                return Call(f"{self._scope.library('datetime')}.timedelta", (_duration(value),))
            case "Text", str() as value:
                return Atom(words.text(value))
            case "Session", int() as value:
                return call("rt.Session", Atom(str(value)))
            case "Bool" | "none" | "Int", None | bool() | int() as value:
                return Atom(str(value))
            case _:
                raise ValueError(f"no constant has the form {node}")

    def _moment(self, value: str) -> Tree:
        when = datetime.datetime.fromisoformat(value)
        library = self._scope.library("datetime")
        parts = [when.year, when.month, when.day, when.hour, when.minute, when.second]
        if when.microsecond:
            parts.append(when.microsecond)
        given = [("", Atom(str(part))) for part in parts]
        zone = ("tzinfo", Atom(f"{library}.UTC"))
        return Call(f"{library}.datetime", (*given, zone))

    # --- cases of enums ---------------------------------------------------------------------

    def _is_case(self, value: machine.Expr, cases: tuple[str, ...], known: Facts) -> Tree:
        tree = self.of(value, known)
        kinds = [Atom(self._scope.named(case)) for case in cases]
        wanted: Tree = kinds[0]
        for kind in kinds[1:]:
            wanted = chain(UNION, "|", wanted, kind)
        return call("isinstance", tree, wanted)

    def _cased(self, value: machine.Expr, case: str, others: tuple[str, ...], known: Facts) -> Tree:
        tree = self.of(value, known)
        names = [self._scope.mentioned(one) for one in others]
        name = self._scope.mentioned(case)
        is_it = name is not None and _fact(tree, name) in known
        is_no_other = all(one is not None and _fact(tree, one, is_=False) in known for one in names)
        if _is_path(value) and (is_it or is_no_other):
            return Known(tree, True)
        return call(self._scope.computed("cased"), Atom(self._scope.named(case)), tree)

    # --- operators --------------------------------------------------------------------------

    def _arithmetic(self, node: machine.Arithmetic, known: Facts) -> Tree:
        operator = node.operator
        strength = PRODUCT if operator == "*" else SUM
        if node.type in ("Timestamp", "Duration"):
            # A lambda is checked as if it ran later, so no test before it counts there.
            body = chain(strength, operator, self.of(node.left), self.of(node.right))
            return call("rt.shifted", Lambda(body))
        left, right = self.of(node.left, known), self.of(node.right, known)
        if node.type == "Decimal":
            return call(_DECIMAL[operator], left, right)
        if node.type == "Int":
            if operator in _WHOLE:
                return call(_WHOLE[operator], left, right)
            return call("rt.checked", chain(strength, operator, left, right))
        return chain(strength, operator, left, right)

    def _negate(self, node: machine.Negate, known: Facts) -> Tree:
        if node.type == "Duration":
            return call("rt.shifted", Lambda(Prefix("-", self.of(node.value))))
        value = self.of(node.value, known)
        if node.type == "Decimal":
            # Python's own minus rounds to the digits of the thread's context.
            zero = call(f"{self._scope.library('decimal')}.Decimal", Atom("0"))
            return call("rt.decimal_subtract", zero, value)
        return call("rt.checked", Prefix("-", value))

    def _compare(self, node: machine.Compare, known: Facts, *, truth: bool) -> Tree:
        operator = node.operator if truth else _OPPOSITE[node.operator]
        left, right = node.left, node.right
        if operator in ("==", "!="):
            if isinstance(left, machine.Const) and left.type in ("none", "Bool"):
                left, right = right, left
            if isinstance(right, machine.Const) and right.type in ("none", "Bool"):
                operator = "is" if operator == "==" else "is not"
            elif isinstance(left, machine.Items) and isinstance(right, machine.Items):
                # Two literals of different lengths are, to a type checker, never equal.
                return chain(
                    COMPARISON, operator, self._list(left, known), self._list(right, known)
                )
            elif _is_made_case(left) or _is_made_case(right):
                # Two cases are, to a type checker, never equal, be it that a test has shown one.
                function = self._scope.computed("equal")
                same = call(function, self.of(left, known), self.of(right, known))
                return same if operator == "==" else Prefix("not", same)
        return chain(COMPARISON, operator, self.of(left, known), self.of(right, known))

    def _list(self, node: machine.Items, known: Facts) -> Call:
        return call("rt.frozen", self.of(node, known))

    def negated(self, node: machine.Expr, known: Facts = NOTHING) -> Tree:
        """The opposite of a condition, as a person would write it."""
        match node:
            case machine.Compare():
                return self._compare(node, known, truth=False)
            case machine.Not(value=value):
                return self.of(value, known)
            case machine.Const(value=value):
                return Atom(str(not value))
            case _:
                return Prefix("not", self.of(node, known))

    # --- what a condition shows -------------------------------------------------------------

    def shown(self, node: machine.Expr, truth: bool, known: Facts) -> Facts:
        """What is not None when the condition comes out as `truth`, as mypy sees it too."""
        match node:
            case machine.Compare(operator="==" | "!=" as operator, left=left, right=right):
                none = machine.Const("none", None)
                tested = left if right == none else right
                if none not in (left, right) or (operator == "!=") != truth:
                    return NOTHING
                tree = self.of(tested, known)
                return frozenset((tree.text,)) if _is_path(tested) else NOTHING
            case machine.IsCase(value=value, cases=cases) if _is_path(value):
                tree = self.of(value, known)
                names = [self._scope.named(case) for case in cases]
                if not truth:
                    return frozenset(_fact(tree, name, is_=False) for name in names)
                there = frozenset((tree.text,))
                return there | {_fact(tree, names[0])} if len(names) == 1 else there
            case machine.Not(value=value):
                return self.shown(value, not truth, known)
            case machine.Logic(operator=operator, left=left, right=right):
                if truth != (operator == "and"):
                    return NOTHING
                first = self.shown(left, truth, known)
                return first | self.shown(right, truth, known | first)
            case _:
                return NOTHING


def _fact(tree: Tree, case: str, *, is_: bool = True) -> str:
    """That a variable or a part of one is that case, or is not."""
    return f"{tree.text} {'is' if is_ else 'is not'} {case}"


def _is_made_case(node: machine.Expr) -> bool:
    return isinstance(node, machine.New) and is_case(node.type)


def _with(head: str, given: tuple[Tree, ...], name: str, value: Tree | None) -> Call:
    """A call with one more argument, of that name, if there is a value for it."""
    arguments = tuple(("", tree) for tree in given)
    return Call(head, arguments if value is None else (*arguments, (name, value)))


def _is_path(node: machine.Expr) -> bool:
    """Whether it is a variable or a part of one."""
    while isinstance(node, machine.Get | machine.Some | machine.About | machine.Answered):
        if isinstance(node, machine.About) and node.what == "text":
            return False
        node = node.value
    return isinstance(node, machine.Var)


def forget(known: Facts, name: str) -> Facts:
    """What is still known when the variable has a new value."""
    return frozenset(fact for fact in known if fact.split(" ")[0].partition(".")[0] != name)


def _duration(milliseconds: int) -> tuple[str, Tree]:
    """As an argument, in the largest unit that counts it whole."""
    if milliseconds == 0:
        return "", Atom("0")
    unit, size = next(unit for unit in _UNITS if milliseconds % unit[1] == 0)
    return unit, Atom(str(milliseconds // size))


def is_quiet(node: machine.Expr) -> bool:
    """Whether computing it does nothing and cannot fail, so that it may be left out."""
    match node:
        case machine.Const() | machine.Var() | machine.Builtin():
            return True
        case (
            machine.Get(value=value)
            | machine.Some(value=value)
            | machine.Not(value=value)
            | machine.Size(value=value)
            | machine.Keys(value=value)
            | machine.Answered(value=value)
            | machine.About(value=value)
            | machine.Shared(value=value)
        ):
            return is_quiet(value)
        case machine.Compare(left=left, right=right) | machine.Logic(left=left, right=right):
            return is_quiet(left) and is_quiet(right)
        case machine.Items(items=parts) | machine.Text(parts=parts):
            return all(is_quiet(part) for part in parts)
        case machine.New(arguments=arguments):
            return all(is_quiet(argument) for argument in arguments)
        case machine.Entries(entries=entries):
            return all(is_quiet(part) for entry in entries for part in entry)
        case _:
            return False
