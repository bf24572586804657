"""The built-in functions: what each takes and gives. Several take values of different types, which
no author can declare. Knows no statements."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from flowlang import formats, syntax
from flowlang.checker import folding, relations, words
from flowlang.checker.findings import Findings
from flowlang.types import (
    DECIMAL,
    DURATION,
    INT,
    TEXT,
    TIMESTAMP,
    UNKNOWN,
    NoneType,
    OptionalType,
    Type,
    Unknown,
)

if TYPE_CHECKING:
    from flowlang.checker.expressions import Expressions

Word: TypeAlias = Literal[
    "abs", "decimal", "divide", "int", "max", "min", "round", "text", "timestamp"
]


@dataclasses.dataclass(frozen=True)
class Builtin:
    """A built-in function. A parameter without a type takes several, or is a way of rounding."""

    name: Word
    parameters: tuple[tuple[str, Type | Literal["any", "rounding"]], ...]


_ROUNDING: tuple[str, Literal["rounding"]] = ("rounding", "rounding")

CALLS: Mapping[str, Builtin] = {
    one.name: one
    for one in (
        Builtin("abs", (("value", "any"),)),
        Builtin("decimal", (("value", "any"),)),
        Builtin("divide", (("value", DECIMAL), ("by", DECIMAL), ("places", INT), _ROUNDING)),
        Builtin("int", (("value", "any"),)),
        Builtin("max", (("left", "any"), ("right", "any"))),
        Builtin("min", (("left", "any"), ("right", "any"))),
        Builtin("round", (("value", DECIMAL), ("places", INT), _ROUNDING)),
        Builtin("text", (("value", "any"),)),
        Builtin("timestamp", (("value", TEXT),)),
    )
}

GIVES: Mapping[tuple[str, Type], Type] = {
    ("abs", INT): INT,
    ("abs", DECIMAL): DECIMAL,
    ("abs", DURATION): DURATION,
    ("decimal", INT): DECIMAL,
    ("decimal", TEXT): OptionalType(DECIMAL),
    ("int", TEXT): OptionalType(INT),
    ("int", DECIMAL): OptionalType(INT),
}
"""What those that take one value of several types give."""

_TAKES = {
    "abs": "an Int, a Decimal or a Duration",
    "decimal": "an Int or a Text",
    "int": "a Text or a Decimal",
}


class Builtins:
    """Types calls of built-in functions whose arguments are in order."""

    def __init__(self, findings: Findings, expressions: Expressions) -> None:
        self._findings = findings
        self._expressions = expressions

    def call(
        self, node: syntax.Call, meaning: Builtin, arguments: Sequence[syntax.Expr | None]
    ) -> Type:
        """What the call gives."""
        given = [argument for argument in arguments if argument is not None]
        if len(given) < len(arguments):
            return UNKNOWN
        match meaning.name:
            case "divide":
                if folding.value(given[1]) == 0:
                    self._findings.report("F324", given[1].span, "this divides by zero")
                self._places(given[2])
                return DECIMAL
            case "round":
                self._places(given[1])
                return DECIMAL
            case "timestamp":
                return self._timestamp(given[0])
            case "text":
                return self._text(given[0])
            case "min" | "max":
                return self._choice(node, meaning.name, given[0], given[1])
            case "abs" | "decimal" | "int":
                return self._one(meaning.name, given[0])

    def _places(self, node: syntax.Expr) -> None:
        number = folding.value(node)
        if isinstance(number, int) and not 0 <= number <= formats.MAX_PLACES:
            message = f"a Decimal has 0 to {formats.MAX_PLACES} decimal places"
            self._findings.report("F324", node.span, message)

    def _timestamp(self, node: syntax.Expr) -> Type:
        if not isinstance(node, syntax.Constant):
            if self._findings.type_of.get(node) == TEXT:
                self._findings.report(
                    "F341",
                    node.span,
                    "a timestamp is written out, so that it is right before the flow runs",
                    "receive a Timestamp, or let a function in Python read the text",
                )
            return TIMESTAMP
        if isinstance(node.value, str) and formats.moment(node.value) is None:
            self._findings.report(
                "F341",
                node.span,
                "this is not a moment",
                'write one like "2026-01-31T12:00:00Z" or "2026-01-31T12:00:00+01:00"',
            )
        return TIMESTAMP

    def _text(self, node: syntax.Expr) -> Type:
        kind = self._findings.type_of[node]
        if not relations.printable(kind):
            self._findings.report(
                "F340", node.span, f"`text` cannot show {words.said(kind)}", "show its parts"
            )
        return TEXT

    def _one(self, name: str, node: syntax.Expr) -> Type:
        kind = self._findings.type_of[node]
        if isinstance(kind, Unknown):
            return UNKNOWN
        if isinstance(kind, OptionalType | NoneType):
            self._expressions.report_absent(node, kind)
            return UNKNOWN
        gives = GIVES.get((name, kind))
        if gives is None:
            hint = "it is one already: leave the call out" if _is_already(name, kind) else None
            self._findings.report(
                "F340",
                node.span,
                f"`{name}` takes {_TAKES[name]}, and this is {words.said(kind)}",
                hint,
                self._expressions.origin(node),
            )
            return UNKNOWN
        return gives

    def _choice(self, node: syntax.Call, name: str, left: syntax.Expr, right: syntax.Expr) -> Type:
        kinds = [self._findings.type_of[left], self._findings.type_of[right]]
        for side, kind in zip((left, right), kinds, strict=True):
            if isinstance(kind, Unknown):
                return UNKNOWN
            if isinstance(kind, OptionalType | NoneType):
                self._expressions.report_absent(side, kind)
                return UNKNOWN
        if kinds[0] == kinds[1] and relations.ordered(kinds[0]):
            return kinds[0]
        have, want = words.told_apart(kinds[0], kinds[1])
        if kinds[0] != kinds[1]:
            message = f"`{name}` takes two values of one type, and these are {have} and {want}"
        else:
            message = f"`{name}` takes two values that `<` compares, and not {have}"
        self._findings.report("F340", node.span, message)
        return UNKNOWN


def _is_already(name: str, kind: Type) -> bool:
    return (name, kind) in (("int", INT), ("decimal", DECIMAL))
