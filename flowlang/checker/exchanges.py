"""What a flow says to others and waits for from them: sessions, messages, cases by what comes.

Knows names and types. Which flows may talk at all is asked of `conversations`; statements inside a
block are its caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from flowlang import syntax
from flowlang.checker import conversations, relations, roles, trees, words
from flowlang.checker.control import checks_of
from flowlang.checker.effects import Effects
from flowlang.checker.expressions import Expressions
from flowlang.checker.facts import Meeting, Path
from flowlang.checker.findings import Findings
from flowlang.checker.names import Names, check_casing
from flowlang.checker.narrowing import path_of
from flowlang.checker.typerefs import TypeReader
from flowlang.checker.variables import Role
from flowlang.source import Span
from flowlang.types import (
    DURATION,
    PARTY,
    SESSION,
    UNKNOWN,
    FlowInfo,
    ListType,
    OptionalType,
    PendingType,
    Type,
    Unknown,
)

# A state's class is named after it, beside the classes that every flow has.
TAKEN_STATES = frozenset({"Start", "States", "Result"})

_SESSIONS = ListType(SESSION)


class Exchanges:
    """Checks the statements of one flow that concern its sessions. `body` checks a block, `lines`
    the statements of a block that is open already."""

    def __init__(
        self,
        findings: Findings,
        names: Names,
        types: TypeReader,
        expressions: Expressions,
        effects: Effects,
        info: FlowInfo,
        *,
        body: Callable[[syntax.Block], None],
        lines: Callable[[syntax.Block], None],
    ) -> None:
        self._findings = findings
        self._names = names
        self._types = types
        self._expressions = expressions
        self._blocks = expressions.blocks
        self._effects = effects
        self._info = info
        self._body = body
        self._lines = lines
        self._states: dict[str, Span] = {}

    # --- opening and sending ----------------------------------------------------------------

    def open(self, node: syntax.Open) -> None:
        """A session with one party, or one with each of several."""
        info = None
        if node.role is not None:
            roles.find_role(self._findings, self._names, node.flow, node.role)
        else:
            info = self._names.find(node.flow, "flow")
        if isinstance(info, FlowInfo):
            conversations.check_open(self._findings, self._names, node.flow, info, self._info)
        self._one_or_several(node.party, PARTY, node.each, "write `with each {}`")
        kind = _SESSIONS if node.each else SESSION
        variable = self._blocks.declare(node.name, node.name_span, kind, "session")
        self._findings.variable_of[node] = variable

    def send(self, node: syntax.Send) -> None:
        """A message to one session, or to each of several."""
        kind = self._expressions.infer(node.value)
        conversations.check_sent(self._findings, self._names, node.value, kind)
        self._session(node.session, several=node.each)

    def close(self, node: syntax.Close) -> None:
        """The end of a session, or of each of several, said by the flow that they belong to."""
        self._session(node.session, several=node.each, group="write `close each {}`")
        root = node.session
        while isinstance(root, syntax.Index):
            root = root.value
        binding = self._blocks.living.get(root.name) if isinstance(root, syntax.Name) else None
        if binding is not None and binding.role == "parameter":
            self._findings.report(
                "F618",
                node.session.span,
                "this session belongs to the flow that passed it on, and is not closed here",
                "return, and let that flow close it",
                self._findings.note("it is passed in here", binding.variable.span),
            )

    def _session(
        self, node: syntax.Expr, *, several: bool = False, group: str = "write `each {}`"
    ) -> None:
        self._one_or_several(node, SESSION, several, group)

    def _one_or_several(self, node: syntax.Expr, one: Type, several: bool, group: str) -> None:
        """A value of type `one`, or a list of them; `group` says how a list is wanted here."""
        wanted, other = (ListType(one), one) if several else (one, ListType(one))
        given = self._expressions.infer(node, wanted)
        if given == other:
            text = self._findings.quoted(node.span) or "…"
            self._findings.report(
                "F301",
                node.span,
                f"this is {words.said(given)}, but {words.said(wanted)} is wanted",
                "leave `any` or `each` out" if several else group.format(text),
                self._expressions.origin(node),
            )
        elif not relations.fits(given, wanted):
            self._expressions.report_mismatch(node, given, wanted)

    # --- receiving --------------------------------------------------------------------------

    def receive(self, node: syntax.Receive) -> None:
        """One message, or one from each of several sessions."""
        if node.send is not None:
            self.send(node.send)
        kind = self._received(node)
        self._session(node.session, several=node.each)
        if node.deadline is not None:
            self._expressions.expect(node.deadline.duration, DURATION)
        if node.state is not None:
            self._check_state(node.state, node.span)
        variable = self._blocks.declare(node.name, node.name_span, kind, "received")
        self._findings.variable_of[node] = variable
        # What the checks learn still holds after them.
        self._body(node.checks or ())

    def _received(self, node: syntax.Receive) -> Type:
        kind = self._types.read(node.type)
        if not isinstance(kind, OptionalType):
            message = conversations.received(self._findings, self._names, node.type, kind)
            return ListType(message) if node.each else message
        if node.each:
            message = conversations.received(self._findings, self._names, node.type, kind.item)
            return ListType(OptionalType(message))
        self._findings.report(
            "F616",
            node.type.span,
            "a message of one session is never none: it comes, or an error is thrown",
            f"write `{words.said(kind.item)}`, and catch `Timeout` or `SessionEnded`",
        )
        return kind.item

    def _check_state(self, state: str, span: Span) -> None:
        place = self._findings.name_span(state, span)
        check_casing(self._findings, "a state", state, place, words.snake)
        shown = "".join(part[:1].upper() + part[1:] for part in state.split("_"))
        if shown in TAKEN_STATES:
            self._findings.report(
                "F210",
                place,
                f"`@{state}` would become the state `{shown}`, which every flow has already",
                "choose another name",
            )
        elif shown in self._states:
            self._findings.report(
                "F207",
                place,
                f"`@{state}` is declared twice",
                "rename one of the two",
                self._findings.note("it is first declared here", self._states[shown]),
            )
        self._states.setdefault(shown, place)

    # --- choices ----------------------------------------------------------------------------

    def choice(self, node: syntax.Choice) -> None:
        """Whatever comes first of several things."""
        if node.send is not None:
            self.send(node.send)
        if node.session is not None:
            self._session(node.session, group="write `receive:`, and `from any {}` in its cases")
        if node.state is not None:
            self._check_state(node.state, node.span)
        facts = self._expressions.facts
        meeting = Meeting(facts)
        seen: dict[object, syntax.Case] = {}
        for case in node.cases:
            start = facts.mark()
            self._blocks.enter()
            self._case(case, node)
            self._check_twice(case, seen)
            self._lines(case.body)
            self._blocks.leave()
            if not trees.leaves(case.body):
                meeting.reach(start)
            facts.undo(start)
        meeting.meet()
        if node.cases and all(isinstance(case, syntax.TimeoutCase) for case in node.cases):
            self._report_only_timeout(node)

    def _case(self, case: syntax.Case, node: syntax.Choice) -> None:
        """The head of a case, and the names that it gives."""
        match case:
            case syntax.MessageCase():
                kind = self._types.read(case.type)
                kind = conversations.received(self._findings, self._names, case.type, kind)
                self._case_session(case, node)
                if case.value is not None:
                    self._name(case.value, kind, "received")
                    if not case.unchecked:
                        self._findings.checks_of[case] = checks_of(case)
                if case.sender is not None:
                    self._name(case.sender, SESSION, "session")
            case syntax.EndedCase():
                self._case_session(case, node)
                if case.sender is not None:
                    self._name(case.sender, SESSION, "session")
            case syntax.TimeoutCase(duration=duration):
                self._expressions.expect(duration, DURATION)
            case syntax.DoneCase(value=value):
                kind = self._effects.take(case)
                if value is not None:
                    self._name(value, kind, "done")
            case syntax.BrokenCase():
                pass  # Its body is a statement that could not be read.
            case _:
                assert_never(case)

    def _name(self, bound: syntax.Bound, kind: Type, role: Role) -> None:
        self._findings.variable_of[bound] = self._blocks.declare(bound.name, bound.span, kind, role)

    def _case_session(
        self, case: syntax.MessageCase | syntax.EndedCase, node: syntax.Choice
    ) -> None:
        """Where the case waits: said once for all cases, or by each for itself."""
        if case.session is not None:
            self._session(case.session, several=case.any, group="write `any {}`")
            if node.session is not None:
                self._findings.report(
                    "F612",
                    case.session.span,
                    "the `receive` above says already from whom this comes",
                    "leave `from …` out here, or above, where `receive:` takes cases of several"
                    " sessions",
                    self._findings.note("it is said here", node.session.span),
                )
        elif node.session is None:
            what = "ended" if isinstance(case, syntax.EndedCase) else case.type.name
            self._findings.report(
                "F613",
                case.span,
                "this case does not say from which session",
                f"write `case {what} from s`; or `receive from s:` above, for cases of one session",
            )

    def _check_twice(self, case: syntax.Case, seen: dict[object, syntax.Case]) -> None:
        """Report a case that an earlier one always takes."""
        key = self._key(case)
        if key is None:
            return
        if key in seen:
            self._findings.report(
                "F614",
                case.span,
                "an earlier case takes this already, so it never gets here",
                "remove one of the two",
                self._findings.note("it is taken here", seen[key].span),
            )
        seen.setdefault(key, case)

    def _key(self, case: syntax.Case) -> object:
        """What two cases that wait for the same have in common; None where that is not known."""
        match case:
            case syntax.TimeoutCase():
                return "timeout"
            case syntax.MessageCase(type=type_):
                kind = self._findings.type_refs.get(type_, UNKNOWN)
                what: object = None if isinstance(kind, Unknown) else kind
            case syntax.EndedCase():
                what = "ended"
            case syntax.DoneCase(pending=pending):
                variable = self._findings.variable_of.get(pending)
                kind = variable.type if variable is not None else UNKNOWN
                fits = isinstance(kind, PendingType) and kind.kind == case.kind
                return variable if fits else None
            case _:
                return None
        if what is None or case.session is None:
            return what
        path = self._path(case.session)
        return None if path is None else (what, path, case.any)

    def _path(self, session: syntax.Expr) -> Path | None:
        return path_of(session, self._findings.variable_of)

    def _report_only_timeout(self, node: syntax.Choice) -> None:
        self._findings.report(
            "F615",
            node.span,
            "this waits for nothing but the time to pass",
            "add a case for a message, or write `sleep` instead",
        )
