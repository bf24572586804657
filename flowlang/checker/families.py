"""Families of errors: `error TooLate is Refusal`. Knows names, and not who throws or catches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowlang import syntax
from flowlang.checker import predefined
from flowlang.checker.circles import circles, way_round
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names
from flowlang.types import ErrorInfo


class Families:
    """Finds the families of a file's errors, when all names are known and no head is read yet."""

    def __init__(self, findings: Findings, names: Names) -> None:
        self._findings = findings
        self._names = names

    def read(self, errors: Sequence[syntax.Error]) -> Mapping[str, tuple[str, ...]]:
        """By an error's short name, the qualified names of its families, the nearest first."""
        own: dict[str, syntax.Error] = {}
        for error in errors:
            own.setdefault(error.name, error)
        above = {name: self._family(error, own) for name, error in own.items()}
        graph = {name: [above[name] or ""] for name in own}
        for group in circles(graph):
            self._report_circle(own, way_round({name: graph[name] for name in group}, group[0]))
            for name in group:
                above[name] = None
        return {name: self._chain(name, above) for name in own}

    def _family(self, error: syntax.Error, own: Mapping[str, syntax.Error]) -> str | None:
        """The short name of an error's family, if there is one and it may be one."""
        node = error.family
        if node is None or node.name in self._names.unknown:
            return None
        declared = self._names.declared.get(node.name)
        if declared is None and node.name in (*predefined.ERRORS, predefined.ANY_ERROR.name):
            self._report_built_in(node)
            return None
        if declared is None or declared.kind != "error":
            self._names.report_missing(node.name, node.span, "error")
            return None
        info = self._names.scope.get(node.name)
        if node.name in own:
            fields: Sequence[object] = own[node.name].parameters
        else:
            fields = info.parameters if isinstance(info, ErrorInfo) else ()
        if fields:
            self._findings.report(
                "F387",
                node.span,
                f"`{node.name}` has fields, so it cannot be a family",
                "leave them to its errors, or declare a family without fields",
                self._names.place(node.name),
            )
            return None
        return node.name

    def _report_built_in(self, node: syntax.Name) -> None:
        hint = "leave this `is` out: `catch FlowError` takes every error"
        if node.name != predefined.ANY_ERROR.name:
            hint = f"declare a family, and name it beside the other: `catch Mine, {node.name}:`"
        message = f"`{node.name}` is built in, and cannot be a family"
        self._findings.report("F387", node.span, message, hint)

    def _report_circle(self, own: Mapping[str, syntax.Error], way: Sequence[str]) -> None:
        node = own[way[0]].family
        assert node is not None  # Nothing is in a circle without one.
        if len(way) == 1:
            message, hint = "an error cannot be its own family", "leave this `is` out"
        else:
            circle = " is ".join([f"`{name}`" for name in (*way, way[0])])
            message = f"these families lead in a circle: {circle}"
            hint = "leave one `is` out"
        self._findings.report("F388", node.span, message, hint)

    def _chain(self, name: str, above: Mapping[str, str | None]) -> tuple[str, ...]:
        found: list[str] = []
        at = above[name]
        while at is not None:
            known = self._names.scope.get(at)
            if at not in above and isinstance(known, ErrorInfo):
                return (*found, known.name, *known.families)
            found.append(self._names.declared[at].qualified)
            at = above.get(at)
        return tuple(found)
