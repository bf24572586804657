"""What `test` blocks become: nodes of the tree. Knows no meaning."""

from __future__ import annotations

from typing import Any

from flowlang import syntax
from flowlang.parser import literals
from flowlang.parser.expressions import Parts, between
from flowlang.parser.tokens import Token
from flowlang.parser.waits import FlowCall, Waits
from flowlang.source import Span
from flowlang.syntax import tests

MOST_CALLS = 1_000_000
"""A test that expects more calls of one operation was not meant."""


def _name(token: Token) -> syntax.Name:
    return syntax.Name(token.text, token.span)


class Tests(Waits):
    """Builds what a test sets up, does and expects."""

    def test(self, parts: Parts) -> tests.Test:
        start, text, opening = parts[:3]
        lines = self._lines(opening, parts[3:], "its parties and what happens")
        _, body = self._doc_and(lines)
        span = between(start.span, self._end(opening, lines))
        parties: tuple[syntax.Name, ...] = ()
        place: Span | None = None
        kept: list[tests.Line] = []
        for line in body:
            if not isinstance(line, _Parties):
                kept.append(line)
            elif place is None and not kept:
                parties, place = line.names, line.span
            else:
                self._late_parties(line.span, place)
        broken = any(span.line <= line <= span.end_line for line in self.broken_lines)
        name = self._fixed_text(text, "the name of a test")
        return tests.Test(name, text.span, parties, place, tuple(kept), broken, span)

    def _late_parties(self, span: Span, first: Span | None) -> None:
        if first is None:
            message, note = "`parties` comes first in a test", None
        else:
            message, note = "`parties` is said twice in this test", ("it is said here first", first)
        hint = "name all parties in one line, the first of the test"
        self._mistakes.add("F802", span, message, hint, note=note)

    def _fixed_text(self, token: Token, what: str) -> str:
        """A text without holes that says something."""
        found = literals.parts_of(token.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
            return "?"
        text = "".join(part for part in found if isinstance(part, str))
        if not all(isinstance(part, str) for part in found):
            message, hint = f"{what} is a fixed text: it shows no values", "write it out"
            self._mistakes.add("F801", token.span, message, hint)
        elif not text.strip():
            self._mistakes.add("F801", token.span, f"{what} is empty", "say what it is in words")
        return text or "?"

    def test_parties(self, parts: Parts) -> _Parties:
        start, names, _ = parts
        return _Parties(tuple(map(_name, names)), between(start.span, names[-1].span))

    # --- what is set up -----------------------------------------------------------------------

    def test_mocks(self, parts: Parts) -> tests.Mocks:
        start, party, opening = parts[:3]
        lines = self._lines(opening, parts[3:], "what its services answer")
        found = tuple(one for one in self._statements(lines) if isinstance(one, tests.Mock))
        return tests.Mocks(_name(party), found, between(start.span, self._end(opening, lines)))

    def mock(self, parts: Parts) -> tests.Mock:
        operation, _, answers, _ = parts
        self._allow_wild(operation.span)
        span = between(operation.span, answers[-1].span)
        return tests.Mock(operation, tuple(answers), span)

    def call_pattern(self, parts: Parts) -> tests.Operation:
        service, _, name = parts[:3]
        named = between(service.span, name.span)
        callee = syntax.Attribute(_name(service), name.text, name.span, named)
        call = self._call_of(callee, parts[3:])
        return tests.Operation(callee, call, between(service.span, parts[-1].span))

    def _call_of(
        self, callee: syntax.Name | syntax.Attribute, given: list[Any]
    ) -> syntax.Call | None:
        """The call with the arguments in brackets; None where there are no brackets."""
        if not given:
            return None
        arguments = tuple(given[1]) if len(given) > 2 else ()
        call = syntax.Call(callee, arguments, between(callee.span, given[-1].span))
        fits = self._nest(call, callee, *[argument.value for argument in arguments])
        return call if fits else None

    def thrown(self, parts: Parts) -> tests.Throws:
        start, name = parts[0], _name(parts[1])
        call = self._call_of(name, parts[2:])
        return tests.Throws(name, call, between(start.span, parts[-1].span))

    # --- what is done -------------------------------------------------------------------------

    def test_start(self, parts: Parts) -> tests.Begin:
        called: FlowCall = parts[-4]
        name = _name(parts[1]) if len(parts) == 7 else None
        span = between(parts[0].span, parts[-2].span)
        return tests.Begin(name, called.call, _name(parts[-2]), span)

    def test_answer(self, parts: Parts) -> tests.Answer:
        start, role, _, party, _, value, _, by, _ = parts
        return tests.Answer(
            self._fixed_text(role, "a role"),
            role.span,
            _name(party),
            value,
            self._fixed_text(by, "who answers"),
            between(start.span, by.span),
        )

    def test_command(self, parts: Parts) -> tests.Command:
        start, name, _, message, _ = parts
        return tests.Command(_name(name), message, between(start.span, message.span))

    def test_after(self, parts: Parts) -> tests.After:
        return tests.After(parts[1], between(parts[0].span, parts[1].span))

    def test_restart(self, parts: Parts) -> tests.Restart:
        return tests.Restart(_name(parts[1]), between(parts[0].span, parts[1].span))

    # --- what is expected ---------------------------------------------------------------------

    def outcome(self, parts: Parts) -> tests.Outcome:
        first = parts[0]
        if isinstance(first, tests.Throws):
            return tests.Outcome("throws", None, first, first.span)
        value: syntax.Expr | None = parts[1] if len(parts) == 2 else None
        span = between(first.span, parts[-1].span)
        return tests.Outcome("returns" if first.kind == "RETURNS" else "waits", value, None, span)

    def expect_outcome(self, parts: Parts) -> tests.ExpectOutcome:
        start, name, outcome, _ = parts
        span = between(start.span, outcome.span)
        self._allow_wild(span)
        return tests.ExpectOutcome(_name(name), outcome, span)

    def expect_flow(self, parts: Parts) -> tests.ExpectFlow:
        start, flow, _, party, outcome, _ = parts
        span = between(start.span, outcome.span)
        self._allow_wild(span)
        return tests.ExpectFlow(_name(flow), _name(party), outcome, span)

    def expect_mail(self, parts: Parts) -> tests.ExpectMail:
        start, name, _, message, _ = parts
        span = between(start.span, message.span)
        self._allow_wild(span)
        return tests.ExpectMail(_name(name), message, span)

    def expect_calls(self, parts: Parts) -> tests.ExpectCalls:
        operation, party = parts[-4], parts[-2]
        span = between(parts[0].span, party.span)
        self._allow_wild(span)
        count = self._count(parts[1]) if len(parts) == 6 else 1
        return tests.ExpectCalls(count, operation, _name(party), span)

    def _count(self, token: Token) -> int:
        if token.kind == "NO":
            return 0
        found = literals.number(token.text)
        if isinstance(found, literals.Wrong):
            self._literal_is_wrong(found, token.span)
        elif isinstance(found.value, int) and found.kind == "Int" and found.value <= MOST_CALLS:
            return found.value
        else:
            message = "how often something is called is a whole number"
            self._mistakes.add("F808", token.span, message, "write `expect 2 …` or `expect no …`")
        return 1

    def expect_messages(self, parts: Parts) -> tests.ExpectMessages:
        start, _, opening = parts[:3]
        lines = self._lines(opening, parts[3:], "the messages, one on each line")
        found = tuple(one for one in self._statements(lines) if isinstance(one, tests.SentMessage))
        return tests.ExpectMessages(found, between(start.span, self._end(opening, lines)))

    def expect_no_messages(self, parts: Parts) -> tests.ExpectMessages:
        return tests.ExpectMessages((), between(parts[0].span, parts[2].span))

    def sent(self, parts: Parts) -> tests.SentMessage:
        sender, _, receiver, _, message, _ = parts
        span = between(sender.span, message.span)
        self._allow_wild(span)
        return tests.SentMessage(_name(sender), _name(receiver), message, span)

    # --- `_` ----------------------------------------------------------------------------------

    def _allow_wild(self, span: Span) -> None:
        """Every `_` within `span` stands for any value."""
        first, last = (span.line, span.column), (span.end_line, span.end_column)
        self._wild = [one for one in self._wild if not first <= (one.line, one.column) < last]

    def _refuse_wild(self) -> None:
        """Each `_` that is left stands where a value is wanted."""
        for span in self._wild:
            self.unknown_names.add(tests.ANYTHING)
            self._mistakes.add(
                "F016",
                span,
                "`_` is no value: it stands for any value in a pattern, and in what a test expects",
                "write a value",
            )


class _Parties:
    """The line `parties a, b`."""

    def __init__(self, names: tuple[syntax.Name, ...], span: Span) -> None:
        self.names = names
        self.span = span
