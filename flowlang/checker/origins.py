"""Where the variables of a flow have their values from, and which can hold foreign data at all.

Looks at a whole flow, in whatever order things happen. Believes that names and types are right, or
that their mistakes are reported; reports nothing itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from flowlang import syntax
from flowlang.checker import trees
from flowlang.checker.facts import Path
from flowlang.checker.findings import Findings
from flowlang.types import (
    Caught,
    ErrorInfo,
    FlowInfo,
    FunctionInfo,
    Named,
    OperationInfo,
    Variable,
)

MAX_PARTS = 32
"""Longer paths, and lets made of more parts than this, are followed as a whole."""

Origin: TypeAlias = Literal["received", "case", "caught", "parameter", "result"]


@dataclasses.dataclass
class Suspicion:
    """What is foreign about a variable. `root` is the variable that foreign data came in by, the
    latest if there are several. A `let` is as clean as its `sources`; where they are None, the
    variable is examined for itself."""

    root: Variable
    sources: tuple[Path, ...] | None = None


class Read(NamedTuple):
    """A variable, or a part of one, that an expression reads; `whole` unless only a part of that
    is used which has no path, such as `lines[i].count`."""

    node: syntax.Expr
    path: Path
    whole: bool


def bindings(pattern: syntax.Pattern) -> tuple[syntax.Binding | None, ...]:
    """The names that a pattern gives."""
    return pattern.bindings or () if isinstance(pattern, syntax.CasePattern) else ()


def _case_name(pattern: syntax.Pattern) -> str:
    return pattern.name if isinstance(pattern, syntax.CasePattern) else ""


class Origins:
    """Where the variables of one flow have their values from, in whatever order things happen."""

    def __init__(self, findings: Findings, flow: syntax.Flow, info: FlowInfo) -> None:
        self.roots: dict[Variable, Origin] = {}
        self.born: dict[Variable, int] = {}
        self.suspicions: dict[Variable, Suspicion] = {}
        self.unchecked = False
        self._variable_of = findings.variable_of
        self._meaning_of = findings.meaning_of
        self._checks_of = findings.checks_of
        self._named = findings.named
        self._aliases: dict[Variable, Path] = {}
        self._feeds: dict[Variable, list[Variable]] = {}
        for node, parameter in zip(flow.parameters, info.parameters, strict=True):
            if parameter.untrusted:
                self._root(node, "parameter")
        for statement in trees.statements(flow.body):
            self._statement(statement)
        self._spread()
        self._settle_lets(flow.body)
        self.by_name: dict[str, list[Variable]] = {}
        for variable in self.suspicions:
            self.by_name.setdefault(variable.name, []).append(variable)

    def _root(self, node: object, origin: Origin) -> None:
        variable = self._birth(node)
        if variable is not None:
            self.roots[variable] = origin

    def _birth(self, node: object) -> Variable | None:
        variable = self._variable_of.get(node)
        if variable is not None:
            self.born.setdefault(variable, len(self.born))
        return variable

    def _statement(self, statement: syntax.Statement) -> None:
        if isinstance(statement, syntax.Assign | syntax.Return):
            self.unchecked |= self.is_unchecked(statement.value)
        match statement:
            case syntax.Receive(checks=checks) if checks is not None:
                self._root(statement, "received")
            case syntax.Choice(cases=cases):
                self._cases(cases)
            case syntax.Try(catches=catches):
                for catch in catches:
                    self._root(catch, "caught")
            case syntax.Let(value=value) | syntax.For(values=value) | syntax.Assign(value=value):
                target = self._birth(statement)
                if target is None or isinstance(value, syntax.Effect):
                    if isinstance(statement, syntax.Let) and self.is_unchecked(value):
                        self._root(statement, "result")
                    return
                for read in self.reads(value):
                    self._feeds.setdefault(read.path.root, []).append(target)
                alias = self.path(value)
                fixed = isinstance(statement, syntax.Let) and not statement.mutable
                # What may get another value is no second name of anything, nor is what reads it.
                if fixed and alias and not alias.root.mutable and len(alias.parts) < MAX_PARTS:
                    self._aliases[target] = alias
            case syntax.Match(value=value, cases=cases):
                for case in cases:
                    for pattern in case.patterns:
                        self._pattern(pattern, value)
            case _:
                pass  # The other statements give no variable a value, or one to be trusted.

    def _pattern(self, pattern: syntax.Pattern, value: syntax.Expr) -> None:
        """What a pattern names is a part of what is matched."""
        for at, binding in enumerate(bindings(pattern)):
            target = self._birth(binding) if binding is not None else None
            if target is None:
                continue
            for read in self.reads(value):
                self._feeds.setdefault(read.path.root, []).append(target)
            alias = self.path(value)
            if alias and not alias.root.mutable and len(alias.parts) < MAX_PARTS:
                parts = (*alias.parts, f"{_case_name(pattern)} {at}")
                self._aliases[target] = Path(alias.root, parts)

    def _cases(self, cases: Iterable[syntax.Case]) -> None:
        for case in cases:
            if isinstance(case, syntax.MessageCase) and case in self._checks_of:
                self._root(case.value, "case")

    def _spread(self) -> None:
        """Whatever is made of foreign data is foreign; the latest root counts."""
        roots = sorted(self.roots, key=self.born.__getitem__)
        latest = self._reached(reversed(roots))
        for variable, root in self._reached(roots).items():
            self.suspicions[variable] = Suspicion(latest.get(variable, root))

    def _reached(self, roots: Iterable[Variable]) -> dict[Variable, Variable]:
        """The variables that can hold data of a root, each with the first that gets there. Data is
        never kept in a variable that is older than its root, so no way leads through one."""
        reached: dict[Variable, Variable] = {}
        for root in roots:
            waiting = [root]
            while waiting:
                variable = waiting.pop()
                if variable not in reached and self.born[variable] >= self.born[root]:
                    reached[variable] = root
                    waiting += self._feeds.get(variable, ())
        return reached

    def _settle_lets(self, body: syntax.Block) -> None:
        for statement in trees.statements(body):
            if not isinstance(statement, syntax.Let) or isinstance(statement.value, syntax.Effect):
                continue
            target = self._variable_of.get(statement)
            suspicion = self.suspicions.get(target) if target is not None else None
            if suspicion is None or statement.mutable:
                continue
            sources: set[Path] = set()
            for read in self.reads(statement.value):
                below = self.suspicions.get(read.path.root)
                if below is not None:
                    sources.update(below.sources or (read.path,))
            settled = not any(path.root.mutable for path in sources)
            if settled and len(sources) <= MAX_PARTS:
                suspicion.sources = tuple(sorted(sources, key=self._order))

    def is_unchecked(self, value: object) -> bool:
        """Whether it runs a flow that gives back what nobody has checked."""
        if not isinstance(value, syntax.Subflow):
            return False
        info = self._meaning_of.get(value.call.callee)
        return isinstance(info, FlowInfo) and info.untrusted_result

    def is_sender(self, path: Path) -> bool:
        """Whether it is the party from whom a caught error came, which the transport knows."""
        if path.parts[:1] != ("peer",) or self.roots.get(path.root) != "caught":
            return False
        kinds = path.root.type
        names = kinds.errors if isinstance(kinds, Caught) else ()
        names = (kinds.name,) if isinstance(kinds, Named) else names
        return not any("peer" in self._fields(name) for name in names)

    def _fields(self, error: str) -> frozenset[str]:
        info = self._named.get(error)
        if not isinstance(info, ErrorInfo):
            return frozenset()
        return frozenset(parameter.name for parameter in info.parameters)

    def _order(self, path: Path) -> tuple[int, tuple[str, ...]]:
        return self.born.get(path.root, -1), path.parts

    # --- reading expressions ----------------------------------------------------------------

    def path(self, node: syntax.Expr) -> Path | None:
        """The variable or part of one that an expression is; a second name counts as the first."""
        parts: list[str] = []
        while True:
            match node:
                case syntax.Attribute(value=value, name=name):
                    parts.append(name)
                    node = value
                case syntax.Index(value=value, index=syntax.Constant(value=key)):
                    parts.append(f"[{key!r}]")
                    node = value
                case syntax.Name():
                    variable = self._variable_of.get(node)
                    if variable is None:
                        return None
                    first = self._aliases.get(variable, Path(variable))
                    return Path(first.root, (*first.parts, *reversed(parts)))
                case _:
                    return None

    def reads(self, node: syntax.Expr, *, into_calls: bool = False) -> Iterator[Read]:
        """What an expression's value is made of. What Python gives back is to be trusted, or a
        parameter would not have been declared `untrusted`; so arguments count only `into_calls`."""
        waiting = [(node, True)]
        while waiting:
            found, whole = waiting.pop()
            path = self.path(found)
            if path is not None:
                yield Read(found, path, whole)
                continue
            match found:
                case syntax.Call():
                    if into_calls or not self._is_python(found):
                        waiting += [(inner, True) for inner in reversed(trees.inside(found))]
                case syntax.Attribute(value=value):
                    waiting.append((value, False))
                case syntax.Index(value=value, index=index):
                    waiting += [(index, True), (value, False)]
                case _:
                    waiting += [(inner, whole) for inner in reversed(trees.inside(found))]

    def _is_python(self, call: syntax.Call) -> bool:
        meaning = self._meaning_of.get(call.callee)
        return isinstance(meaning, FunctionInfo | OperationInfo)
