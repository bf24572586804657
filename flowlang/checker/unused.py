"""What a file has without a use: names, variables, parameters, results; waits without an end; and
operations that have another name in Python.

Looks at a file in which there is no mistake, and says what is probably not meant. Nothing here
stops a file from being compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from flowlang import syntax
from flowlang.checker import nodes, trees
from flowlang.diagnostics import Diagnostic, in_order
from flowlang.source import Span
from flowlang.types import SESSION, Checked, ErrorInfo, FlowInfo, ListType, Variable

IGNORED = "ignored"
"""A variable that is called so, or begins with it and `_`, is not expected to be used."""


def remarks(checked: Checked, in_python: Callable[[str], str]) -> Sequence[Diagnostic]:
    """Warnings and notes about a file without mistakes, in order. `in_python` says how an operation
    or a parameter is called there."""
    return _Remarks(checked, in_python).all()


class _Remarks:
    """One file."""

    def __init__(self, checked: Checked, in_python: Callable[[str], str]) -> None:
        self._checked = checked
        self._in_python = in_python
        self._found: list[Diagnostic] = []
        everything = (*checked.file.declarations, *checked.file.tests)
        self._mentioned: dict[object, frozenset[str]] = {
            one: frozenset(nodes.words(one)) for one in everything
        }
        self._read = {
            variable
            for key, variable in checked.variable_of.items()
            if isinstance(key, syntax.Name)
        }

    def all(self) -> Sequence[Diagnostic]:
        self._uses()
        self._private_declarations()
        for key, variable in self._checked.variable_of.items():
            if variable not in self._read and not _is_ignored(variable.name):
                self._variable(key, variable)
        for declaration in self._checked.file.declarations:
            if isinstance(declaration, syntax.Flow):
                self._parameters(declaration)
                self._steps(declaration)
                self._statements(declaration.body, limited=False)
                if declaration.startable:
                    self._called_otherwise(declaration)
            elif isinstance(declaration, syntax.Service):
                self._operations_called_otherwise(declaration)
        return in_order(self._found)

    def _report(
        self,
        code: str,
        span: Span,
        message: str,
        hint: str,
        severity: Literal["warning", "note"] = "warning",
    ) -> None:
        name = self._checked.source.name
        self._found.append(Diagnostic(code, message, name, span, hint, (), severity))

    # --- names ------------------------------------------------------------------------------

    def _uses(self) -> None:
        declarations = self._checked.file.declarations
        has_flows = any(isinstance(one, syntax.Flow) for one in declarations)
        for use in self._checked.file.uses:
            for used in use.names:
                # What a peer fails with arrives as itself in flows of files that know it.
                is_error = isinstance(self._checked.scope.get(used.name), ErrorInfo)
                if is_error and has_flows:
                    continue
                if not any(used.name in words for words in self._mentioned.values()):
                    whole = "the line" if len(use.names) == 1 else "the name"
                    message = f"`{used.name}` is taken from `{use.module}`, but never used"
                    self._report("F220", used.span, message, f"remove {whole}")

    def _private_declarations(self) -> None:
        for one in self._checked.file.declarations:
            if one.name not in self._checked.file.private or _is_reached(one):
                continue
            others = (words for other, words in self._mentioned.items() if other is not one)
            if not any(one.name in words for words in others):
                message = f"`{one.name}` is private, and nothing in this file uses it"
                hint = "remove it, or remove `private` if other files are to use it"
                self._report("F221", one.name_span, message, hint)

    def _operations_called_otherwise(self, service: syntax.Service) -> None:
        for one in service.operations:
            name = self._in_python(one.name)
            if name != one.name:
                message = f"the method for `{service.name}.{one.name}` is called `{name}` in Python"
                hint = f"write `def {name}(…)`, since Python has a use of its own for `{one.name}`"
                self._report("F419", one.span, message, hint, "note")

    def _called_otherwise(self, flow: syntax.Flow) -> None:
        for one in flow.parameters:
            name = self._in_python(one.name)
            if name != one.name:
                message = (
                    f"the parameter `{one.name}` of `{flow.name}` is called `{name}` in Python"
                )
                hint = f"start the flow with `{name}=…`"
                self._report("F419", one.span, message, hint, "note")

    # --- variables --------------------------------------------------------------------------

    def _variable(self, key: object, variable: Variable) -> None:
        """A variable that nothing reads. Where the language wants a name, nothing is said."""
        if isinstance(key, syntax.Let):
            message = f"`{variable.name}` is given a value, but never read"
            hint = f"remove it; or call it `{IGNORED}_{variable.name}` if that is meant"
            self._report("F415", variable.span, message, hint)
        elif isinstance(key, syntax.Catch):
            message = f"`{variable.name}` is never read"
            self._report("F415", variable.span, message, f"remove `as {variable.name}`")

    def _parameters(self, flow: syntax.Flow) -> None:
        for node in flow.parameters:
            variable = self._checked.variable_of.get(node)
            if variable is None or variable in self._read or _is_ignored(variable.name):
                continue
            if variable.type in (SESSION, ListType(SESSION)):
                continue  # To have a session in hand keeps it open.
            message = f"the parameter `{variable.name}` of `{flow.name}` is never read"
            hint = f"remove it; or call it `{IGNORED}_{variable.name}` if that is meant"
            self._report("F416", variable.span, message, hint)

    def _steps(self, flow: syntax.Flow) -> None:
        reached = {
            node.name for node in trees.statements(flow.body) if isinstance(node, syntax.StepTo)
        }
        for step in flow.steps:
            if step.name not in reached:
                message = f"`{flow.name}` never reaches its progress step `{step.name}`"
                self._report("F435", step.span, message, f"write `step {step.name}`, or remove it")

    # --- statements -------------------------------------------------------------------------

    def _statements(self, block: object, *, limited: bool) -> None:
        """All statements in and below a block, which has a deadline over it if it is `limited`."""
        for node in nodes.below(block):
            match node:
                case syntax.Within():
                    self._statements(node.body, limited=True)
                    continue
                case syntax.EffectStatement(effect=syntax.Subflow(call=call)):
                    self._ignored_result(call)
                case syntax.Receive(deadline=None) if not limited:
                    self._endless(node.name_span, "within 2d")
                case syntax.Choice(cases=cases) if not limited:
                    if not any(isinstance(case, syntax.TimeoutCase) for case in cases):
                        first = node.span
                        place = Span(first.line, first.column, first.line, first.column + 7)
                        self._endless(place, "case timeout 2d:")
                case _:
                    pass
            self._statements(node, limited=limited)

    def _ignored_result(self, call: syntax.Call) -> None:
        meaning = self._checked.meaning_of.get(call.callee)
        if isinstance(meaning, FlowInfo) and meaning.result is not None:
            name = meaning.declaration.name
            message = f"`{name}` has a result, and nothing takes it"
            hint = f"write `let result = subflow {name}(…)`, or `let {IGNORED} = …`"
            self._report("F417", call.callee.span, message, hint)

    def _endless(self, span: Span, limit: str) -> None:
        message = "this waits without a time limit: a peer that never answers keeps the flow"
        self._report("F418", span, message, f"give it one: `{limit}`", "note")


def _is_ignored(name: str) -> bool:
    return name == IGNORED or name.startswith(f"{IGNORED}_")


def _is_reached(declaration: syntax.Declaration) -> bool:
    """Whether something else than a name leads to it: an invitation, a command, a clock."""
    if not isinstance(declaration, syntax.Flow):
        return isinstance(declaration, syntax.Schedule)
    return declaration.responds is not None or bool(declaration.startable)
