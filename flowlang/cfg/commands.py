"""Which messages a flow may receive from its owner: it follows that session into subflows.

Knows where sessions go and nothing of blocks. A session in a list counts as every one of the list.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowlang import syntax, types
from flowlang.checker import trees


def commands(
    flow: syntax.Flow, checked: types.Checked, project: Mapping[str, types.Checked]
) -> tuple[str, ...]:
    """The qualified names of these messages, sorted; nothing for a flow without an owner."""
    if flow.owner is None:
        return ()
    search = _Search(project)
    search.follow(flow, checked, frozenset((checked.variable_of[flow.owner],)))
    return tuple(sorted(search.found))


class _Search:
    def __init__(self, project: Mapping[str, types.Checked]) -> None:
        self.found: set[str] = set()
        self._project = project
        self._seen: set[tuple[syntax.Flow, frozenset[types.Variable]]] = set()

    def follow(
        self, flow: syntax.Flow, checked: types.Checked, sessions: frozenset[types.Variable]
    ) -> None:
        """What a flow receives from these variables, which are sessions or lists of them."""
        if (flow, sessions) in self._seen:
            return
        self._seen.add((flow, sessions))
        held = set(sessions)
        for statement in trees.statements(flow.body):
            match statement:
                case syntax.For(values=values) if self._leads(values, checked, held):
                    held.add(checked.variable_of[statement])
                case syntax.Receive(session=session, type=kind):
                    if self._leads(session, checked, held):
                        self._note(kind, checked)
                case syntax.Choice():
                    self._choice(statement, checked, held)
                case _:
                    pass  # The other statements neither receive nor name a session anew.
            for subflow in _subflows(statement):
                self._into(subflow.call, checked, held)

    def _choice(
        self, choice: syntax.Choice, checked: types.Checked, held: set[types.Variable]
    ) -> None:
        for case in choice.cases:
            if not isinstance(case, syntax.MessageCase | syntax.EndedCase):
                continue
            session = case.session or choice.session
            if session is None or not self._leads(session, checked, held):
                continue
            if isinstance(case, syntax.MessageCase):
                self._note(case.type, checked)
            if case.sender is not None:
                held.add(checked.variable_of[case.sender])

    def _into(self, call: syntax.Call, checked: types.Checked, held: set[types.Variable]) -> None:
        info = checked.meaning_of.get(call.callee)
        if not isinstance(info, types.FlowInfo):
            return
        below = self._project[info.name.rpartition(".")[0]]
        given = zip(info.declaration.parameters, checked.calls[call], strict=True)
        passed = frozenset(
            below.variable_of[parameter]
            for parameter, value in given
            if value is not None and self._leads(value, checked, held)
        )
        if passed:
            self.follow(info.declaration, below, passed)

    def _leads(self, node: syntax.Expr, checked: types.Checked, held: set[types.Variable]) -> bool:
        """Whether the owner's session may be in the value of an expression."""
        return any(checked.variable_of.get(part) in held for part in trees.everything(node))

    def _note(self, ref: syntax.TypeRef, checked: types.Checked) -> None:
        kind = checked.type_refs[ref]
        while isinstance(kind, types.ListType | types.OptionalType):
            kind = kind.item
        if isinstance(kind, types.Named):
            self.found.add(kind.name)


def _subflows(statement: syntax.Statement) -> tuple[syntax.Subflow, ...]:
    match statement:
        case (
            syntax.Let(value=syntax.Subflow() as subflow)
            | syntax.Assign(value=syntax.Subflow() as subflow)
            | syntax.Return(value=syntax.Subflow() as subflow)
            | syntax.EffectStatement(effect=syntax.Subflow() as subflow)
        ):
            return (subflow,)
        case _:
            return ()
