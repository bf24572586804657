"""The types of what is written out: constants, texts with parts, lists and maps. Knows no names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowlang import formats, syntax
from flowlang.checker import relations, words
from flowlang.checker.findings import Findings
from flowlang.types import (
    BUILTINS,
    INT,
    NONE,
    SESSION,
    TEXT,
    UNKNOWN,
    ListType,
    MapType,
    Named,
    NoneType,
    OptionalType,
    Type,
    TypeInfo,
    Unknown,
)

if TYPE_CHECKING:
    from flowlang.checker.expressions import Expressions


class Literals:
    """Types literals; what is inside them it gives back to `expressions`."""

    def __init__(
        self,
        findings: Findings,
        named: Mapping[str, TypeInfo],
        expressions: Expressions,
    ) -> None:
        self._findings = findings
        self._named = named
        self._expressions = expressions

    def constant(self, node: syntax.Constant) -> Type:
        return NONE if node.kind == "none" else BUILTINS[node.kind]

    def interpolation(self, node: syntax.Interpolation) -> Type:
        for part in node.parts:
            if isinstance(part, str):
                continue
            kind = self._expressions.infer(part)
            if not relations.printable(kind):
                self._findings.report(
                    "F320",
                    part.span,
                    f"a text cannot show {words.said(kind)}",
                    self._how_to_show(kind, self._findings.quoted(part.span) or "x"),
                )
        return TEXT

    def formatted(self, node: syntax.Formatted) -> Type:
        kind = self._expressions.infer(node.value)
        if isinstance(kind, OptionalType | NoneType):
            self._expressions.report_absent(node.value, kind)
            return TEXT
        if isinstance(kind, Unknown):
            return TEXT
        found = formats.read(node.format, kind)
        if isinstance(found, formats.Unfit):
            self._findings.report("F351", node.format_span, found.message, found.hint)
        return TEXT

    def _how_to_show(self, kind: Type, text: str) -> str | None:
        match kind:
            case ListType() | MapType():
                return f"show its size, `{{{text}.size}}`, or its items one by one"
            case Named(kind="enum"):
                return "look at it with `match`, and show its parts"
            case Named(name=name):
                info = self._named.get(name)
                fields = info.declaration if info else None
                if isinstance(fields, syntax.Record) and fields.fields:
                    return f"show its fields: `{{{text}.{fields.fields[0].name}}}`, for example"
                return "show its fields"
            case _ if kind == SESSION:
                return f"show the party at its other end: `{{{text}.peer}}`"
            case _:
                return None

    def list_literal(self, node: syntax.ListLiteral, wanted: Type | None) -> Type:
        if wanted == ListType(SESSION):
            self._refuse_twice(node)
        target = relations.bare(wanted) if wanted is not None else None
        if isinstance(target, ListType):
            for item in node.items:
                self._expressions.expect(item, target.item)
            return target
        if not node.items:
            if wanted is None:
                self._report_undecided(node, "this empty list", "List[Text]")
            return ListType(UNKNOWN)
        kind = self._expressions.infer(node.items[0])
        for item in node.items[1:]:
            found = self._expressions.infer(item, kind)
            kind = self._common(kind, found, item, "items of a list", node.items[0])
        if relations.undecided(kind):
            self._report_undecided(node, "this list", "List[Int?]")
            kind = UNKNOWN
        return ListType(kind)

    def map_literal(self, node: syntax.MapLiteral, wanted: Type | None) -> Type:
        self._refuse_repeated(node)
        target = relations.bare(wanted) if wanted is not None else None
        if isinstance(target, MapType):
            for key, value in node.entries:
                self._expressions.expect(key, target.key)
                self._expressions.expect(value, target.value)
            return target
        if not node.entries:
            if wanted is None:
                self._report_undecided(node, "this empty map", "Map[Text, Int]")
            return MapType(UNKNOWN, UNKNOWN)
        (first_key, first_value), *rest = node.entries
        keys, values = self._key(first_key), self._expressions.infer(first_value)
        for key, value in rest:
            keys = self._common(keys, self._key(key), key, "keys of a map", first_key)
            found = self._expressions.infer(value, values)
            values = self._common(values, found, value, "values of a map", first_value)
        if relations.undecided(values):
            self._report_undecided(node, "this map", "Map[Text, Int?]")
            values = UNKNOWN
        return MapType(keys, values)

    def _key(self, node: syntax.Expr) -> Type:
        kind = self._expressions.value(node)
        if kind in (INT, TEXT, UNKNOWN):
            return kind
        self._findings.report(
            "F309", node.span, f"the keys of a Map are Int or Text, not {words.said(kind)}"
        )
        return UNKNOWN

    def _common(
        self, kind: Type, found: Type, node: syntax.Expr, what: str, first: syntax.Expr
    ) -> Type:
        both = relations.join(kind, found)
        if both is not None:
            return both
        have, want = words.told_apart(found, kind)
        self._findings.report(
            "F307",
            node.span,
            f"the {what} have one type: this is {have}, but {want} came before",
            None,
            self._findings.note("the first one is here", first.span),
        )
        return UNKNOWN

    def _report_undecided(self, node: syntax.Expr, what: str, example: str) -> None:
        self._findings.report(
            "F306",
            node.span,
            f"the type of {what} is not known here",
            f"give it one: `let x: {example} = …`",
        )

    def _refuse_twice(self, node: syntax.ListLiteral) -> None:
        seen: dict[str, syntax.Expr] = {}
        for item in node.items:
            if not isinstance(item, syntax.Name):
                continue
            if item.name in seen:
                self._findings.report(
                    "F619",
                    item.span,
                    f"`{item.name}` is in this list already",
                    "remove one of the two: what is received from each comes once from each",
                    self._findings.note("it is first given here", seen[item.name].span),
                )
            seen.setdefault(item.name, item)

    def _refuse_repeated(self, node: syntax.MapLiteral) -> None:
        seen: dict[object, syntax.Expr] = {}
        for key, _ in node.entries:
            if not isinstance(key, syntax.Constant) or key.kind not in ("Int", "Text"):
                continue
            if key.value in seen:
                self._findings.report(
                    "F310",
                    key.span,
                    "this key is in the map already",
                    "remove one of the two",
                    self._findings.note("it is first given here", seen[key.value].span),
                )
            seen.setdefault(key.value, key)
