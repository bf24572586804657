"""The patterns of one `match`: which fit, which can never match, what is still missing.

Knows the type of what is matched; knows no blocks and no order of things.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from flowlang import syntax
from flowlang.checker import relations, words
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.source import Span
from flowlang.types import (
    BOOL,
    BUILTINS,
    NONE,
    UNKNOWN,
    CaseInfo,
    EnumInfo,
    FieldInfo,
    Named,
    OptionalType,
    Type,
    Unknown,
)


@dataclasses.dataclass(frozen=True)
class Found:
    """What one `case` tells: the names that it gives with their types, and whether what is
    matched is not none in its block."""

    bindings: tuple[tuple[syntax.Binding, Type], ...]
    present: bool


class Matching:
    """Goes through the cases of one `match` in their order. `kind` is the type of what is
    matched."""

    def __init__(self, findings: Findings, names: Names, node: syntax.Match, kind: Type) -> None:
        self._findings = findings
        self._node = node
        self._kind = kind
        self._bare = relations.bare(kind)
        self._optional = isinstance(kind, OptionalType)
        info = names.named.get(self._bare.name) if isinstance(self._bare, Named) else None
        self._enum = info if isinstance(info, EnumInfo) else None
        self._seen: dict[object, Span] = {}
        self._sound = not node.broken and not isinstance(kind, Unknown)

    @property
    def none_matched(self) -> bool:
        """Whether `none` went to a case before."""
        return NONE in self._seen

    def case(self, case: syntax.MatchCase) -> Found:
        """Check one case, after those above it."""
        bindings: list[tuple[syntax.Binding, Type]] = []
        none_before = self.none_matched
        for pattern in case.patterns:
            found = self._pattern(pattern)
            if found and len(case.patterns) > 1:
                self._findings.report(
                    "F347",
                    pattern.span,
                    "a case of several patterns cannot give names to their parts",
                    "give this pattern a `case` of its own, or leave its brackets out",
                )
            bindings += found
        present = self._optional and not any(
            (isinstance(one, syntax.AnyPattern) and not none_before) or _is_none(one)
            for one in case.patterns
        )
        return Found(tuple(bindings), present and bool(case.patterns))

    # --- one pattern ------------------------------------------------------------------------

    def _pattern(self, node: syntax.Pattern) -> list[tuple[syntax.Binding, Type]]:
        match node:
            case syntax.AnyPattern():
                self._take("_", node.span, "_")
                return []
            case syntax.ValuePattern():
                self._value(node)
                return []
            case syntax.CasePattern():
                return self._case(node)

    def _value(self, node: syntax.ValuePattern) -> None:
        constant = node.value
        given: Type = NONE if constant.kind == "none" else BUILTINS[constant.kind]
        self._findings.type_of[constant] = given
        if isinstance(self._kind, Unknown):
            return
        if given == NONE and not self._optional:
            self._misfit(node.span, f"this is never none: it is {words.said(self._kind)}")
        elif given not in (NONE, self._bare):
            said = words.said(self._bare)
            self._misfit(node.span, f"this is {words.said(given)}, but {said} is matched")
        else:
            shown = self._findings.quoted(node.span) or "this value"
            self._take(NONE if given == NONE else (given, constant.value), node.span, shown)

    def _misfit(self, span: Span, message: str, hint: str | None = None) -> None:
        self._sound = False
        self._findings.report(
            "F342",
            span,
            message,
            hint or "remove this case",
            self._findings.note("this is what is matched", self._node.value.span),
        )

    def _case(self, node: syntax.CasePattern) -> list[tuple[syntax.Binding, Type]]:
        unknown: list[tuple[syntax.Binding, Type]] = [
            (one, UNKNOWN) for one in node.bindings or () if one is not None
        ]
        if isinstance(self._kind, Unknown):
            return unknown
        if self._enum is None:
            hint = "to match anything, write `case _:`" if node.bindings is None else None
            said = words.said(self._kind)
            message = f"only the cases of an enum are matched by name, and this is {said}"
            self._misfit(node.span, message, hint)
            return unknown
        case = self._enum.cases.get(node.name)
        if case is None:
            self._sound = False
            name = words.short(self._enum.name)
            hint = self._findings.did_you_mean(node.name, self._enum.cases)
            if hint is None:
                hint = f"it has {words.listed(list(self._enum.cases))}"
            message = f"`{name}` has no case `{node.name}`"
            self._findings.report("F216", node.name_span, message, hint)
            return unknown
        self._findings.patterns[node] = case
        self._take(case.name, node.span, case.name)
        return self._bindings(node, case)

    def _bindings(
        self, node: syntax.CasePattern, case: CaseInfo
    ) -> list[tuple[syntax.Binding, Type]]:
        if node.bindings is None:
            return []
        fields = [field.name for field in case.fields]
        if len(node.bindings) != len(fields):
            form = f"{case.name}({', '.join(fields)})" if fields else case.name
            self._findings.report(
                "F345",
                node.span,
                f"`{case.name}` has {words.counted(len(fields), 'field')},"
                f" and this names {len(node.bindings)}",
                f"write `case {form}:`; `_` stands for a field that nobody wants"
                if fields
                else f"write `case {form}:`",
            )
            return [(one, UNKNOWN) for one in node.bindings if one is not None]
        found: list[tuple[syntax.Binding, Type]] = []
        for at, (binding, field) in enumerate(zip(node.bindings, case.fields, strict=True)):
            if binding is not None:
                self._check_place(binding, at, case.fields)
                found.append((binding, field.type))
        return found

    def _check_place(self, binding: syntax.Binding, at: int, fields: Sequence[FieldInfo]) -> None:
        """Parts are named in the order of the fields; two that were exchanged would go unseen."""
        for place, field in enumerate(fields):
            if field.name == binding.name and place != at:
                self._findings.report(
                    "F346",
                    binding.span,
                    f"here stands the field `{fields[at].name}`, and `{binding.name}` is another",
                    "name the fields in the order in which they are declared",
                )

    # --- which are left ---------------------------------------------------------------------

    def _take(self, key: object, span: Span, shown: str) -> None:
        before = self._seen.get(key)
        if before is not None or self._missing() == []:
            why = f"`{shown}` is matched already" if before else "every value is matched already"
            note = self._findings.note("it is matched here", before) if before else None
            self._findings.report("F343", span, f"{why}, so this never matches", "remove it", note)
        self._seen.setdefault(key, span)

    def _missing(self) -> list[str] | None:
        """The patterns that are still to be matched; None where they cannot be counted."""
        if "_" in self._seen:
            return []
        absent = ["none"] if self._optional and not self.none_matched else []
        if self._enum is not None:
            return [name for name in self._enum.cases if name not in self._seen] + absent
        if self._bare == BOOL:
            values = ("true", True), ("false", False)
            return [name for name, one in values if (BOOL, one) not in self._seen] + absent
        return None

    def finish(self) -> None:
        """After the last case: say what no case matches."""
        missing = self._missing()
        if not self._sound or missing == []:
            return
        if missing is None:
            message = f"not every {words.said(self._bare)} has a case here"
            if self._optional and not self.none_matched:
                message += ", and neither has `none`"
            hint = "add `case _:` for all the others, last"
        else:
            message = f"no case matches {words.listed(missing)}"
            hint = f"add `case {missing[0]}:`"
            if len(missing) > 1:
                hint += ", or `case _:` for all the others"
        self._findings.report("F344", self._node.value.span, message, hint)


def _is_none(pattern: syntax.Pattern) -> bool:
    return isinstance(pattern, syntax.ValuePattern) and pattern.value.kind == "none"
