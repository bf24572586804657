"""What expressions and literals become: nodes of the tree. Knows no statement.

Here and in the two modules that build on this one is a method for each rule (or alias) of
`grammar/flow.lark`; it gets the parts of the rule, every token included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from flowlang import syntax
from flowlang.parser import literals
from flowlang.parser.mistakes import EXPRESSION_DEPTH, Mistakes
from flowlang.parser.table import Table
from flowlang.parser.tokens import Token
from flowlang.source import Span

Parts: TypeAlias = list[Any]
HoleReader: TypeAlias = Callable[[int, int, int, int], "syntax.Expr | None"]
"""Reads the expression between two offsets of the text, the first at a line and column."""

OTHERWISE = {
    "None": "none",
    "null": "none",
    "nil": "none",
    "NULL": "none",
    "undefined": "none",
    "True": "true",
    "TRUE": "true",
    "False": "false",
    "FALSE": "false",
}
"""Values that other languages write so; none of these words may be a name."""


def between(first: Span, last: Span) -> Span:
    """From the start of one place to the end of another."""
    return Span(first[0], first[1], last[2], last[3])


class Expressions:
    """Builds values. `broken_lines` are the numbers of lines where something is not in the tree;
    `unknown_names` stand in it for literals that are wrong."""

    def __init__(
        self, table: Table, mistakes: Mistakes, read_hole: HoleReader, damaged: set[int]
    ) -> None:
        self._mistakes = mistakes
        self._read_hole = read_hole
        self._reserved = frozenset(table.reserved)
        self._depths: dict[object, int] = {}
        self._too_deep: set[int] = set()
        # The places of literals that only a `-` before them makes an Int.
        self._smallest: dict[object, Span] = {}
        # The places of `_` that nothing has allowed yet.
        self._wild: list[Span] = []
        self.broken_lines = set(damaged)
        self.unknown_names: set[str] = set()

    # --- lists --------------------------------------------------------------------------------

    def none_yet(self, parts: Parts) -> Parts:
        return []

    def first(self, parts: Parts) -> Parts:
        return [parts[0]]

    def more(self, parts: Parts) -> Parts:
        items: Parts = parts[0]
        items.append(parts[-1])
        return items

    # --- expressions --------------------------------------------------------------------------

    def interpolated(self, parts: Parts) -> syntax.Expr:
        return cast(syntax.Expr, parts[0])

    def _nest(self, node: syntax.Expr, *parts: syntax.Expr) -> bool:
        """Notes how deep `node` is; False, and a mistake, when that is too deep."""
        depths = self._depths
        depth = 1 + max([depths.get(part, 0) for part in parts], default=0)
        if depth <= EXPRESSION_DEPTH:
            depths[node] = depth
            return True
        span = node.span
        if span.line not in self._too_deep:
            self._too_deep.add(span.line)
            self._mistakes.add(
                "F032",
                Span(span.line, span.column, span.line, span.column + 1),
                f"this expression has more than {EXPRESSION_DEPTH} operations one inside another",
                "give a part of it a name with `let`, then go on with the name; "
                "a long sum is better made in a loop",
            )
        return False

    def binary(self, parts: Parts) -> syntax.Expr:
        left, operator, right = parts
        node = syntax.Binary(operator.text, left, right, between(left.span, right.span))
        return node if self._nest(node, left, right) else left

    def unary(self, parts: Parts) -> syntax.Expr:
        operator, operand = parts
        span = between(operator.span, operand.span)
        if operator.kind == "MINUS" and self._smallest.pop(operand, None):
            return syntax.Constant("Int", -operand.value, span)
        node = syntax.Unary("-" if operator.kind == "MINUS" else "not", operand, span)
        return node if self._nest(node, operand) else operand

    def attribute(self, parts: Parts) -> syntax.Expr:
        value, _, name = parts
        node = syntax.Attribute(value, name.text, name.span, between(value.span, name.span))
        return node if self._nest(node, value) else value

    def index(self, parts: Parts) -> syntax.Expr:
        value, _, index, last = parts
        node = syntax.Index(value, index, between(value.span, last.span))
        return node if self._nest(node, value, index) else value

    def call(self, parts: Parts) -> syntax.Expr:
        callee, last = parts[0], parts[-1]
        arguments = tuple(parts[2]) if len(parts) > 3 else ()
        span = between(callee.span, last.span)
        if not isinstance(callee, syntax.Name | syntax.Attribute):
            self._mistakes.add(
                "F149",
                callee.span,
                "only something with a name can be called",
                "call a declared record, message, error, function or operation by its name",
            )
            return cast(syntax.Expr, callee)
        node = syntax.Call(callee, arguments, span)
        fits = self._nest(node, callee, *[argument.value for argument in arguments])
        return node if fits else callee

    def argument(self, parts: Parts) -> syntax.Argument:
        return syntax.Argument(None, parts[0], parts[0].span)

    def named_argument(self, parts: Parts) -> syntax.Argument:
        name, _, value = parts
        return syntax.Argument(name.text, value, between(name.span, value.span))

    def name_value(self, parts: Parts) -> syntax.Expr:
        name: Token = parts[0]
        meant = OTHERWISE.get(name.text)
        if meant is None:
            return syntax.Name(name.text, name.span)
        self._mistakes.add("F112", name.span, f"`{name.text}` is written `{meant}`")
        if meant == "none":
            return syntax.Constant("none", None, name.span)
        return syntax.Constant("Bool", meant == "true", name.span)

    def anything(self, parts: Parts) -> syntax.Expr:
        self._wild.append(parts[0].span)
        return syntax.Name(parts[0].text, parts[0].span)

    def true(self, parts: Parts) -> syntax.Expr:
        return syntax.Constant("Bool", True, parts[0].span)

    def false(self, parts: Parts) -> syntax.Expr:
        return syntax.Constant("Bool", False, parts[0].span)

    def none(self, parts: Parts) -> syntax.Expr:
        return syntax.Constant("none", None, parts[0].span)

    def update(self, parts: Parts) -> syntax.Expr:
        value, _, changes = parts
        found = tuple(changes)
        node = syntax.Update(value, found, between(value.span, found[-1].span))
        fits = self._nest(node, value, *[change.value for change in found])
        return node if fits else cast(syntax.Expr, value)

    def parenthesised(self, parts: Parts) -> syntax.Expr:
        # The parentheses belong to the value's place, so that a caret is under all of it.
        value = parts[1]
        span = between(parts[0].span, parts[2].span)
        fields = {name: getattr(value, name) for name in value.__slots__}
        made: syntax.Expr = type(value)(**{**fields, "span": span})
        if value in self._depths:
            self._depths[made] = self._depths[value]
        if value in self._smallest:
            self._smallest[made] = self._smallest.pop(value)
        return made

    def list_literal(self, parts: Parts) -> syntax.Expr:
        items = tuple(parts[1]) if len(parts) > 2 else ()
        node = syntax.ListLiteral(items, between(parts[0].span, parts[-1].span))
        return node if self._nest(node, *items) else items[0]

    def map_literal(self, parts: Parts) -> syntax.Expr:
        entries = tuple(parts[1]) if len(parts) > 2 else ()
        node = syntax.MapLiteral(entries, between(parts[0].span, parts[-1].span))
        inner = [part for entry in entries for part in entry]
        return node if self._nest(node, *inner) else inner[0]

    def entry(self, parts: Parts) -> tuple[syntax.Expr, syntax.Expr]:
        return parts[0], parts[2]

    # --- literals -----------------------------------------------------------------------------

    def number(self, parts: Parts) -> syntax.Expr:
        token: Token = parts[0]
        found = literals.number(token.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
            self.unknown_names.add(token.text)
            return syntax.Name(token.text, token.span)
        node = syntax.Constant(found.kind, found.value, token.span)
        if found.kind == "Int" and found.value == literals.INT_MOST + 1:
            self._smallest[node] = token.span
        return node

    def bytes(self, parts: Parts) -> syntax.Expr:
        token: Token = parts[0]
        found = literals.bytes_of(token.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
            found = b""
        return syntax.Constant("Bytes", found, token.span)

    def text(self, parts: Parts) -> syntax.Expr:
        token: Token = parts[0]
        found = literals.parts_of(token.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
            return syntax.Constant("Text", "", token.span)
        if all(isinstance(part, str) for part in found):
            return syntax.Constant("Text", "".join(cast(list[str], found)), token.span)
        pieces: list[str | syntax.Expr] = []
        for part in found:
            if isinstance(part, str):
                pieces.append(part)
                continue
            column = token.column + part.start
            start, end = token.start + part.start, token.start + part.end
            value = self._read_hole(start, end, token.line, column)
            if value is not None:
                pieces.append(self._formatted(token, part, value))
        node = syntax.Interpolation(tuple(pieces), token.span)
        inner = [piece for piece in pieces if not isinstance(piece, str)]
        if self._nest(node, *inner):
            return node
        return syntax.Constant("Text", "", token.span)

    def _formatted(self, token: Token, hole: literals.Hole, value: syntax.Expr) -> syntax.Expr:
        if hole.format is None:
            return value
        first = token.column + hole.end
        place = Span(token.line, first, token.line, first + 1 + len(hole.format))
        return syntax.Formatted(value, hole.format, place, between(value.span, place))

    def _literal_is_wrong(self, wrong: literals.Wrong, span: Span) -> None:
        place = span
        if wrong.length:
            column = span.column + wrong.offset
            place = Span(span.line, column, span.line, column + wrong.length)
        self._mistakes.add(wrong.code, place, wrong.message, wrong.hint)
