"""What operators give, and which operands they take. Knows no statements and no names."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flowlang import syntax
from flowlang.checker import folding, narrowing, relations, remedies, words
from flowlang.checker.findings import Findings
from flowlang.types import (
    BOOL,
    DECIMAL,
    INT,
    NONE,
    UNKNOWN,
    ListType,
    MapType,
    NoneType,
    OptionalType,
    Type,
    Unknown,
    shown,
)

if TYPE_CHECKING:
    from flowlang.checker.expressions import Expressions


class Operators:
    """Types operators; their operands it gives back to `expressions`."""

    def __init__(self, findings: Findings, expressions: Expressions) -> None:
        self._findings = findings
        self._expressions = expressions

    def unary(self, node: syntax.Unary) -> Type:
        if node.operator == "not":
            self._expressions.expect(node.operand, BOOL)
            return BOOL
        kind = self._expressions.value(node.operand)
        if isinstance(kind, OptionalType | NoneType):
            self._expressions.report_absent(node.operand, kind)
            return UNKNOWN
        if kind not in (*relations.NEGATABLE, UNKNOWN):
            self._findings.report("F302", node.span, f"`-` does not apply to {words.said(kind)}")
            return UNKNOWN
        return kind

    def binary(self, node: syntax.Binary, wanted: Type | None) -> Type:
        match node.operator:
            case "and" | "or":
                self._expressions.expect(node.left, BOOL)
                mark = self._expressions.facts.mark()
                self._expressions.when(node.left, node.operator == "and")
                self._expressions.expect(node.right, BOOL)
                self._expressions.facts.undo(mark)
                return BOOL
            case "==" | "!=" | "<" | "<=" | ">" | ">=":
                self._compare(node)
                return BOOL
            case "in":
                self._contains(node)
                return BOOL
            case "/":
                left, right = (
                    self._expressions.value(node.left),
                    self._expressions.value(node.right),
                )
                self._refuse_slash(node, left, right)
                return UNKNOWN
            case "+" | "-" | "*" | "//" | "%":
                return self._arithmetic(node, wanted)
            case _:
                assert_never(node.operator)

    def _both(self, node: syntax.Binary, wanted: Type | None = None) -> tuple[Type, Type]:
        """The operands' types; a bare `[]`, `{}` or `none` takes the type of the other one."""
        if _is_bare(node.left) and not _is_bare(node.right):
            right = self._expressions.value(node.right, wanted)
            return self._expressions.value(node.left, right), right
        left = self._expressions.value(node.left, wanted)
        wanted = left if _is_bare(node.right) else wanted
        # After a mistake on the left, the right is not worth another one of the same kind.
        kind_of = self._expressions.infer if left == UNKNOWN else self._expressions.value
        return left, kind_of(node.right, wanted)

    def _compare(self, node: syntax.Binary) -> None:
        left, right = self._both(node)
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return
        if node.operator in ("==", "!="):
            if relations.same_sort(left, right) or self._was_optional(node):
                self._refuse_fixed(node)
                return
            if NONE in (left, right):
                side, kind = (node.right, right) if left == NONE else (node.left, left)
                self._findings.report(
                    "F304",
                    node.span,
                    f"this is {words.said(kind)}, which is never none",
                    "remove the comparison",
                    self._expressions.origin(side),
                )
                return
            have, want = words.told_apart(left, right)
            message = f"{have} and {want} are never equal"
        else:
            for side, kind in ((node.left, left), (node.right, right)):
                if isinstance(kind, OptionalType | NoneType):
                    self._expressions.report_absent(side, kind)
                    return
            if left == right and self._expressions.is_ordered(left):
                self._refuse_fixed(node)
                return
            have, want = words.told_apart(left, right)
            message = f"{have} and {want} cannot be put in order"
            if left == right:
                message = f"{words.said(left)} has no order"
        self._findings.report(
            "F304", node.span, message, remedies.for_operator(left, node.operator, right)
        )

    def _refuse_fixed(self, node: syntax.Binary) -> None:
        """A comparison of written values decides nothing."""
        truth = folding.compared(node.operator, node.left, node.right)
        if truth is not None:
            word = "true" if truth else "false"
            self._findings.report(
                "F350",
                node.span,
                f"this comparison is always {word}",
                f"compare with something that may change, or write `{word}`",
            )

    def _was_optional(self, node: syntax.Binary) -> bool:
        """Whether a side could be none before a test, so that testing again is no mistake."""
        variable_of = self._findings.variable_of
        paths = [narrowing.path_of(side, variable_of) for side in (node.left, node.right)]
        tests_none = narrowing.is_none(node.left) or narrowing.is_none(node.right)
        return tests_none and any(
            path is not None and path in self._expressions.facts for path in paths
        )

    def _contains(self, node: syntax.Binary) -> None:
        whole = self._expressions.value(node.right)
        match whole:
            case ListType(item=item) | MapType(key=item):
                given = self._expressions.value(node.left, item)
                if not relations.same_sort(given, item):
                    self._expressions.report_mismatch(node.left, given, item)
            case Unknown():
                self._expressions.value(node.left)
            case OptionalType() | NoneType():
                self._expressions.value(node.left)
                self._expressions.report_absent(node.right, whole)
            case _:
                self._expressions.value(node.left)
                self._findings.report(
                    "F302",
                    node.right.span,
                    f"`in` looks into a List or among a Map's keys, but this is {shown(whole)}",
                )

    def _refuse_slash(self, node: syntax.Binary, left: Type, right: Type) -> None:
        x = self._findings.quoted(node.left.span) or "x"
        y = self._findings.quoted(node.right.span) or "y"
        hint = f"for Int write `{x} // {y}`; for Decimal `divide({x}, {y}, places, HALF_EVEN)`"
        if left == right == INT:
            hint = f"write `{x} // {y}`, which rounds down"
        elif left == right == DECIMAL:
            hint = f"write `divide({x}, {y}, places, HALF_EVEN)`"
        self._findings.report("F303", node.span, "`/` does not say how to round", hint)

    def _arithmetic(self, node: syntax.Binary, wanted: Type | None) -> Type:
        left, right = self._both(node, wanted if isinstance(wanted, ListType) else None)
        for side, kind in ((node.left, left), (node.right, right)):
            if isinstance(kind, OptionalType | NoneType):
                self._expressions.report_absent(side, kind)
                return UNKNOWN
        kind_of_result = relations.arithmetic(left, node.operator, right)
        if kind_of_result is None:
            what = words.said(left)
            if left != right:
                what = " and ".join(words.told_apart(left, right))
            self._findings.report(
                "F302",
                node.span,
                f"`{node.operator}` does not apply to {what}",
                remedies.for_operator(left, node.operator, right),
            )
            return UNKNOWN
        self._refuse_impossible(node)
        return kind_of_result

    def _refuse_impossible(self, node: syntax.Binary) -> None:
        """What is made of written values and can never work."""
        if node.operator in ("//", "%") and folding.value(node.right) == 0:
            self._findings.report("F324", node.right.span, "this divides by zero")
        message = folding.overflows(node.operator, node.left, node.right)
        if message is not None:
            self._findings.report("F325", node.span, message)


def _is_bare(node: syntax.Expr) -> bool:
    match node:
        case syntax.ListLiteral(items=()) | syntax.MapLiteral(entries=()):
            return True
        case _:
            return narrowing.is_none(node)
