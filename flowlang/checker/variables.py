"""The variables that are alive at one point of a flow, block by block.

Knows who declared a name and until where it lives; knows nothing of expressions.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

from flowlang.checker import predefined, words
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names, check_casing
from flowlang.source import Span
from flowlang.types import UNKNOWN, Type, Variable

Role: TypeAlias = Literal[
    "parameter",
    "let",
    "var",
    "loop",
    "matched",
    "session",
    "received",
    "done",
    "caught",
    "field",
    "unclear",
]
"""How a variable came about; "unclear" where the text around it could not be read."""

_NOUNS: dict[Role, str] = {
    "parameter": "a parameter",
    "let": "a variable",
    "var": "a variable",
    "loop": "a loop variable",
    "matched": "a part of what is matched",
    "session": "a session",
    "received": "a received message",
    "done": "what came of something pending",
    "caught": "a caught error",
    "field": "a field",
    "unclear": "a variable",
}


@dataclasses.dataclass(frozen=True)
class Binding:
    """A living name."""

    variable: Variable
    role: Role

    @property
    def noun(self) -> str:
        """`a parameter`, `a loop variable`."""
        return _NOUNS[self.role]


class Blocks:
    """The open blocks and the names in them. No name hides another, so one table is enough."""

    def __init__(self, findings: Findings, names: Names) -> None:
        self.living: dict[str, Binding] = {}
        self.gone: dict[str, Binding] = {}
        self._findings = findings
        self._names = names
        self._open: list[list[tuple[str, Binding | None]]] = [[]]

    def enter(self) -> None:
        """A block begins."""
        self._open.append([])

    def leave(self) -> None:
        """The innermost block ends, and its names with it."""
        for name, before in reversed(self._open.pop()):
            self.gone[name] = self.living.pop(name)
            if before is not None:
                self.living[name] = before

    def declare(
        self, name: str, span: Span, kind: Type, role: Role, *, mutable: bool = False
    ) -> Variable:
        """A new variable of the innermost block, also when its name turns out not to be free."""
        check_casing(self._findings, _NOUNS[role], name, span, words.snake)
        before = self.living.get(name)
        if before is not None and before.role != "unclear":
            self._report_second(name, span, role, before)
            # What is meant further down is anybody's guess, so nothing is said about it.
            kind = kind if kind == before.variable.type else UNKNOWN
            mutable = mutable or before.variable.mutable
        elif not self._check_free(name, span):
            kind = UNKNOWN
        variable = Variable(name, kind, mutable, span)
        self._bind(name, Binding(variable, role))
        return variable

    def is_variable(self, name: str) -> bool:
        """Whether a call of `name` would call a variable. Where one has taken the name of a
        declaration, which is reported, the declaration is meant."""
        return name in self.living and name not in self._names.declared

    def unclear(self, names: tuple[str, ...], span: Span) -> None:
        """Names of a statement that could not be read: it may have declared them."""
        for name in names:
            free = name not in self._names.declared and predefined.reserved(name) is None
            if free and name not in self.living:
                self._bind(name, Binding(Variable(name, UNKNOWN, True, span), "unclear"))

    def assume(self, name: str, span: Span) -> None:
        """Let an undeclared name pass until the flow ends: its mistake is reported."""
        variable = Variable(name, UNKNOWN, True, span)
        self._open[0].append((name, None))
        self.living[name] = Binding(variable, "unclear")

    def _bind(self, name: str, binding: Binding) -> None:
        self._open[-1].append((name, self.living.get(name)))
        self.living[name] = binding

    def _report_second(self, name: str, span: Span, role: Role, before: Binding) -> None:
        if role in ("parameter", "field"):
            self._findings.report(
                "F207",
                span,
                f"`{name}` is declared twice",
                "rename or remove one of the two",
                self._findings.note("it is first declared here", before.variable.span),
            )
            return
        if before.variable.mutable:
            hint = f"to give it a new value, write `{name} = …`"
        else:
            hint = "choose another name; a name means one thing as long as it lives"
        self._findings.report(
            "F208",
            span,
            f"`{name}` is already {before.noun} here",
            hint,
            self._findings.note(f"`{name}` is declared here", before.variable.span),
        )

    def _check_free(self, name: str, span: Span) -> bool:
        """Whether a variable may have this name. If not, whoever uses the name further down may
        mean either."""
        if what := predefined.reserved(name):
            self._findings.report(
                "F210",
                span,
                f"`{name}` is {what} and cannot be declared again",
                "choose another name",
            )
        elif found := self._names.declared.get(name):
            self._findings.report(
                "F209",
                span,
                f"`{name}` is already {words.a(found.kind)}",
                "choose another name for the variable",
                self._names.place(name),
            )
        else:
            return True
        return False
